//! Option codes, each with the section that defines it.

/// The client's DUID (RFC 8415 §21.2).
pub const CLIENT_ID: u16 = 1;
/// The server's DUID (RFC 8415 §21.3).
pub const SERVER_ID: u16 = 2;
/// Identity association for addresses (RFC 8415 §21.4).
pub const IA_NA: u16 = 3;
/// Identity association for temporary addresses (RFC 8415 §21.5).
pub const IA_TA: u16 = 4;
/// An address, within an IA (RFC 8415 §21.6) or alone (RFC 9686 §4.2).
pub const IA_ADDRESS: u16 = 5;
/// Codes the client wants answered (RFC 8415 §21.7).
pub const OPTION_REQUEST: u16 = 6;
/// How much a server wants to be chosen (RFC 8415 §21.8).
pub const PREFERENCE: u16 = 7;
/// Hundredths of a second since the exchange began (RFC 8415 §21.9).
pub const ELAPSED_TIME: u16 = 8;
/// How it went (RFC 8415 §21.13).
pub const STATUS_CODE: u16 = 13;
/// Two messages instead of four (RFC 8415 §21.14).
pub const RAPID_COMMIT: u16 = 14;
/// Classes of the client's user (RFC 8415 §21.15).
pub const USER_CLASS: u16 = 15;
/// Vendor classes of the client (RFC 8415 §21.16).
pub const VENDOR_CLASS: u16 = 16;
/// The client takes Reconfigure messages (RFC 8415 §21.20).
pub const RECONFIGURE_ACCEPT: u16 = 20;
/// Options of a vendor's own (RFC 8415 §21.17).
pub const VENDOR_OPTIONS: u16 = 17;
/// Domain name servers, best first (RFC 3646 §3).
pub const DNS_SERVERS: u16 = 23;
/// Domains to search (RFC 3646 §4).
pub const DOMAIN_LIST: u16 = 24;
/// Identity association for prefixes (RFC 8415 §21.21).
pub const IA_PD: u16 = 25;
/// A prefix, within an IA_PD (RFC 8415 §21.22).
pub const IA_PREFIX: u16 = 26;
/// SNTP servers (RFC 4075 §4).
pub const SNTP_SERVERS: u16 = 31;
/// When to ask for information anew (RFC 8415 §21.23).
pub const INFORMATION_REFRESH_TIME: u16 = 32;
/// The client's name, and who tells the DNS (RFC 4704 §4).
pub const CLIENT_FQDN: u16 = 39;
/// The time zone in POSIX's words (RFC 4833 §3).
pub const TIME_ZONE_POSIX: u16 = 41;
/// The time zone by its name in the TZ database (RFC 4833 §3).
pub const TIME_ZONE_NAME: u16 = 42;
/// NTP servers (RFC 5908 §4).
pub const NTP_SERVERS: u16 = 56;
/// Where a boot file is (RFC 5970 §3.1).
pub const BOOT_FILE_URL: u16 = 59;
/// Longest time between two Solicits (RFC 8415 §21.24).
pub const SOL_MAX_RT: u16 = 82;
/// Longest time between two Information-requests (RFC 8415 §21.25).
pub const INF_MAX_RT: u16 = 83;
/// Clients may register addresses that they made themselves (RFC 9686 §4.1).
pub const ADDR_REG_ENABLE: u16 = 148;
