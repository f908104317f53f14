//! Option codes, each with the section that defines it.

/// Pad: fills, has no length (RFC 2132 §3.1).
pub const PAD: u8 = 0;
/// Subnet mask (RFC 2132 §3.3).
pub const SUBNET_MASK: u8 = 1;
/// Routers, best first (RFC 2132 §3.5).
pub const ROUTER: u8 = 3;
/// Domain name servers, best first (RFC 2132 §3.8).
pub const DNS_SERVER: u8 = 6;
/// Log servers (RFC 2132 §3.9).
pub const LOG_SERVER: u8 = 7;
/// The client's host name (RFC 2132 §3.14).
pub const HOST_NAME: u8 = 12;
/// The domain the client resolves names in (RFC 2132 §3.17).
pub const DOMAIN_NAME: u8 = 15;
/// MTU of the interface (RFC 2132 §5.1).
pub const INTERFACE_MTU: u8 = 26;
/// Broadcast address of the subnet (RFC 2132 §5.3).
pub const BROADCAST_ADDRESS: u8 = 28;
/// Options of a vendor's own (RFC 2132 §8.4).
pub const VENDOR_OPTIONS: u8 = 43;
/// NTP servers, best first (RFC 2132 §8.3).
pub const NTP_SERVER: u8 = 42;
/// The address a client asks for (RFC 2132 §9.1).
pub const REQUESTED_ADDRESS: u8 = 50;
/// Lease time in seconds (RFC 2132 §9.2).
pub const LEASE_TIME: u8 = 51;
/// Whether `file` and `sname` hold options (RFC 2132 §9.3).
pub const OVERLOAD: u8 = 52;
/// What message it is (RFC 2132 §9.6).
pub const MESSAGE_TYPE: u8 = 53;
/// Server identifier: which server is meant (RFC 2132 §9.7).
pub const SERVER_ID: u8 = 54;
/// Codes the client wants answered (RFC 2132 §9.8).
pub const PARAMETER_REQUEST_LIST: u8 = 55;
/// A server's or client's words for a log (RFC 2132 §9.9).
pub const MESSAGE: u8 = 56;
/// Longest DHCP message the client takes (RFC 2132 §9.10).
pub const MAX_MESSAGE_SIZE: u8 = 57;
/// T1 in seconds: when to renew (RFC 2132 §9.11).
pub const RENEWAL_TIME: u8 = 58;
/// T2 in seconds: when to rebind (RFC 2132 §9.12).
pub const REBINDING_TIME: u8 = 59;
/// Vendor class of the client (RFC 2132 §9.13).
pub const VENDOR_CLASS: u8 = 60;
/// Client identifier (RFC 2132 §9.14, RFC 4361 §6.1).
pub const CLIENT_ID: u8 = 61;
/// The name of a TFTP server (RFC 2132 §9.4).
pub const TFTP_SERVER_NAME: u8 = 66;
/// The name of a boot file (RFC 2132 §9.5).
pub const BOOT_FILE: u8 = 67;
/// Classes of the client's user (RFC 3004 §4).
pub const USER_CLASS: u8 = 77;
/// The client would have a lease in two messages, or has it (RFC 4039 §4); empty.
pub const RAPID_COMMIT: u8 = 80;
/// The client's name, and who tells the DNS (RFC 4702 §2).
pub const CLIENT_FQDN: u8 = 81;
/// The time zone in POSIX's words (RFC 4833 §2).
pub const TIME_ZONE_POSIX: u8 = 100;
/// The time zone by its name in the TZ database (RFC 4833 §2).
pub const TIME_ZONE_NAME: u8 = 101;
/// The client can do without IPv4 (RFC 8925 §3.1).
pub const IPV6_ONLY_PREFERRED: u8 = 108;
/// Domains to search, compressed as in DNS (RFC 3397 §2).
pub const DOMAIN_SEARCH: u8 = 119;
/// Classless static routes (RFC 3442).
pub const CLASSLESS_ROUTES: u8 = 121;
/// Addresses of TFTP servers (RFC 5859 §3).
pub const TFTP_SERVERS: u8 = 150;
/// Microsoft's number for the same contents as 121, from before RFC 3442.
pub const CLASSLESS_ROUTES_MICROSOFT: u8 = 249;
/// Where browsers find their proxy (WPAD; a site's own number that all use).
pub const WPAD: u8 = 252;
/// End of a field's options, has no length (RFC 2132 §3.2).
pub const END: u8 = 255;
