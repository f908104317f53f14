//! Which option goes into which message (RFC 8415 §18.2, appendix B).

use std::net::Ipv6Addr;

use wire::dhcp6::{Builder, Fqdn, Ia, IaAddress, IaPrefix, MessageType, code};

use super::Config;
use super::lease::Lease;

/// What is asked for (option 6) together with leases.
const PARAMETERS: [u16; 4] =
    [code::DNS_SERVERS, code::DOMAIN_LIST, code::SOL_MAX_RT, code::ADDR_REG_ENABLE];
/// What is asked for in either case, as containers may want to know it: nothing is done about it.
const FOR_CONTAINERS: [u16; 6] = [
    code::VENDOR_OPTIONS,
    code::SNTP_SERVERS,
    code::TIME_ZONE_POSIX,
    code::TIME_ZONE_NAME,
    code::NTP_SERVERS,
    code::BOOT_FILE_URL,
];
/// What is asked for without them (RFC 8415 §18.2.6).
const INFORMATION: [u16; 5] = [
    code::DNS_SERVERS,
    code::DOMAIN_LIST,
    code::INFORMATION_REFRESH_TIME,
    code::INF_MAX_RT,
    code::ADDR_REG_ENABLE,
];
/// The enterprise number of the vendor class: Landfall has none, and 0 is nobody's.
const ENTERPRISE: [u8; 4] = [0; 4];
/// Longest class that is sent.
const LONGEST_CLASS: usize = 255;

/// What is in a message's identity associations.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Contents<'a> {
    /// Addresses of the IA_NA.
    pub(crate) addresses: &'a [Ipv6Addr],
    /// Prefixes of the IA_PD and their lengths.
    pub(crate) prefixes: &'a [(Ipv6Addr, u8)],
}

/// The same, kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    pub(crate) addresses: Vec<Ipv6Addr>,
    pub(crate) prefixes: Vec<(Ipv6Addr, u8)>,
}

impl Held {
    /// What a lease holds.
    pub(crate) fn of(lease: &Lease) -> Held {
        Held {
            addresses: lease.addresses.iter().map(|leased| leased.address).collect(),
            prefixes: lease.prefixes.iter().map(|leased| (leased.prefix, leased.length)).collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.prefixes.is_empty()
    }

    pub(crate) fn contents(&self) -> Contents<'_> {
        Contents { addresses: &self.addresses, prefixes: &self.prefixes }
    }
}

/// A message of the client's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) kind: MessageType,
    pub(crate) xid: u32,
    pub(crate) elapsed: u16,
    /// The server that is meant, if not all are.
    pub(crate) server: Option<&'a [u8]>,
    pub(crate) contents: Contents<'a>,
}

impl Question<'_> {
    /// The UDP payload.
    pub(crate) fn encode(&self, config: &Config) -> Vec<u8> {
        let mut message = Builder::new(self.kind, self.xid).option(code::CLIENT_ID, &config.duid);
        if let Some(server) = self.server {
            message = message.option(code::SERVER_ID, server);
        }
        message = message.option(code::ELAPSED_TIME, &self.elapsed.to_be_bytes());
        message = self.associations(message, config);
        match self.kind {
            MessageType::Solicit
            | MessageType::Request
            | MessageType::Renew
            | MessageType::Rebind => {
                let name = config.host_name.as_deref().and_then(Fqdn::wish);
                if self.kind == MessageType::Solicit && config.rapid_commit {
                    message = message.option(code::RAPID_COMMIT, &[]);
                }
                message = option_request(message, &PARAMETERS, name.is_some());
                if let Some(name) = name {
                    message = message.option(code::CLIENT_FQDN, &name);
                }
                classes(message, config)
            }
            MessageType::InformationRequest => {
                classes(option_request(message, &INFORMATION, false), config)
            }
            _ => message,
        }
        .finish()
    }

    /// The identity associations. Where the client asks for something, each that it wants is there,
    /// with or without contents; else only those with contents.
    fn associations(&self, mut message: Builder, config: &Config) -> Builder {
        let asks = matches!(
            self.kind,
            MessageType::Solicit | MessageType::Request | MessageType::Renew | MessageType::Rebind
        );
        // T1 and T2, like all lifetimes below, are the server's to say (RFC 8415 §18.2.1).
        let header = Ia::header(config.iaid, 0, 0);
        let Contents { addresses, prefixes } = self.contents;
        if !addresses.is_empty() || (asks && config.address) {
            message = message.nest(code::IA_NA, &header, |ia| {
                addresses.iter().fold(ia, |ia, address| {
                    ia.option(code::IA_ADDRESS, &IaAddress::header(*address, 0, 0))
                })
            });
        }
        if !prefixes.is_empty() || (asks && config.prefix.is_some()) {
            message = message.nest(code::IA_PD, &header, |ia| {
                prefixes.iter().fold(ia, |ia, (prefix, length)| {
                    ia.option(code::IA_PREFIX, &IaPrefix::header(*prefix, *length, 0, 0))
                })
            });
        }
        message
    }
}

fn option_request(message: Builder, codes: &[u16], name: bool) -> Builder {
    let name = name.then_some(code::CLIENT_FQDN);
    let codes = codes.iter().copied().chain(FOR_CONTAINERS).chain(name);
    let codes: Vec<u8> = codes.flat_map(u16::to_be_bytes).collect();
    message.option(code::OPTION_REQUEST, &codes)
}

/// The user class and the vendor class, each as the only one of its kind.
fn classes(mut message: Builder, config: &Config) -> Builder {
    for (code, before, class) in [
        (code::USER_CLASS, &[][..], &config.classes.user),
        (code::VENDOR_CLASS, &ENTERPRISE, &config.classes.vendor),
    ] {
        if (1..=LONGEST_CLASS).contains(&class.len()) {
            let length = (class.len() as u16).to_be_bytes();
            message = message.option(code, &[before, &length, class.as_bytes()].concat());
        }
    }
    message
}
