//! What the options mean, those of identity associations and the status apart.

use std::net::Ipv6Addr;

use super::{Duid, Options, code};
use crate::names::{labels, plain_list, plain_name};

/// The values that SOL_MAX_RT and INF_MAX_RT can have (RFC 8415 §21.24 and §21.25).
const MAX_RT: std::ops::RangeInclusive<u32> = 60..=86_400;

/// S: the server is to tell the DNS the address that belongs to the name (RFC 4704 §4.1).
const FLAG_S: u8 = 1;
/// O: the server did not do as the client wished.
const FLAG_O: u8 = 2;
/// N: the server is not to tell the DNS anything.
const FLAG_N: u8 = 4;

/// A name and who tells the DNS of it (RFC 4704 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fqdn {
    /// The server tells the DNS which address belongs to the name.
    pub server_updates: bool,
    /// The server did not do as the client wished.
    pub overridden: bool,
    /// The server tells the DNS nothing.
    pub no_updates: bool,
    /// The name, qualified or not, without final dot; `None` when there is none that can stand in
    /// a configuration file without quotes.
    pub name: Option<String>,
}

impl Fqdn {
    /// The option's data for a client whose server is to update the DNS: S set. `None` for what is
    /// no name. One without a dot is to be completed by the server.
    pub fn wish(name: &str) -> Option<Vec<u8>> {
        let mut data = vec![FLAG_S];
        data.extend(labels(name)?);
        Some(data)
    }
}

/// The classes of a client's vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorClass<'a> {
    /// The vendor's enterprise number.
    pub enterprise: u32,
    classes: &'a [u8],
}

impl<'a> VendorClass<'a> {
    /// Each class.
    pub fn classes(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        Pieces(self.classes)
    }
}

impl<'a> Options<'a> {
    /// The client's DUID (option 1), if it can be one.
    pub fn client_id(self) -> Option<&'a [u8]> {
        self.get(code::CLIENT_ID).filter(|id| Duid::is_valid(id))
    }

    /// The server's DUID (option 2), if it can be one.
    pub fn server_id(self) -> Option<&'a [u8]> {
        self.get(code::SERVER_ID).filter(|id| Duid::is_valid(id))
    }

    /// The codes a client wants answered (option 6), in its order; empty when there is none.
    pub fn option_request(self) -> impl Iterator<Item = u16> + Clone {
        let (codes, _) = self.get(code::OPTION_REQUEST).unwrap_or_default().as_chunks::<2>();
        codes.iter().map(|code| u16::from_be_bytes(*code))
    }

    /// How much the server wants to be chosen (option 7): 0 where it does not say.
    pub fn preference(self) -> u8 {
        self.array(code::PREFERENCE).map_or(0, |[value]| value)
    }

    /// Hundredths of a second since the exchange began (option 8).
    pub fn elapsed_time(self) -> Option<u16> {
        self.array(code::ELAPSED_TIME).map(u16::from_be_bytes)
    }

    /// Whether two messages are to do instead of four (option 14).
    pub fn rapid_commit(self) -> bool {
        self.get(code::RAPID_COMMIT).is_some()
    }

    /// The classes of the client's user (option 15).
    pub fn user_class(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        Pieces(self.get(code::USER_CLASS).unwrap_or_default())
    }

    /// The classes of the client's vendors (option 16).
    pub fn vendor_classes(self) -> impl Iterator<Item = VendorClass<'a>> + Clone {
        self.all(code::VENDOR_CLASS).filter_map(|data| {
            let (enterprise, classes) = data.split_first_chunk::<4>()?;
            Some(VendorClass { enterprise: u32::from_be_bytes(*enterprise), classes })
        })
    }

    /// Whether the sender takes part in reconfiguration (option 20).
    pub fn reconfigure_accept(self) -> bool {
        self.get(code::RECONFIGURE_ACCEPT).is_some()
    }

    /// Domain name servers, best first (option 23); those that are no host's address are left out.
    pub fn dns_servers(self) -> impl Iterator<Item = Ipv6Addr> + Clone {
        let (servers, odd) = self.get(code::DNS_SERVERS).unwrap_or_default().as_chunks::<16>();
        let servers = if odd.is_empty() { servers } else { &[] };
        servers.iter().map(|octets| Ipv6Addr::from(*octets)).filter(is_host)
    }

    /// Domains to search, in order (option 24): at most 32, of letters, digits, hyphens,
    /// underscores and dots.
    pub fn domain_list(self) -> Vec<String> {
        self.get(code::DOMAIN_LIST).and_then(plain_list).unwrap_or_default()
    }

    /// Seconds until information is to be asked for anew (option 32), as it came.
    pub fn information_refresh_time(self) -> Option<u32> {
        self.u32(code::INFORMATION_REFRESH_TIME)
    }

    /// The client's name (option 39).
    pub fn client_fqdn(self) -> Option<Fqdn> {
        let (flags, name) = self.get(code::CLIENT_FQDN)?.split_first()?;
        let (name, _) = plain_name(name)?;
        let flag = |flag| flags & flag != 0;
        Some(Fqdn {
            server_updates: flag(FLAG_S),
            overridden: flag(FLAG_O),
            no_updates: flag(FLAG_N),
            name,
        })
    }

    /// Longest time between two Solicits in seconds (option 82), 60 to 86,400.
    pub fn sol_max_rt(self) -> Option<u32> {
        self.u32(code::SOL_MAX_RT).filter(|seconds| MAX_RT.contains(seconds))
    }

    /// Longest time between two Information-requests in seconds (option 83), 60 to 86,400.
    pub fn inf_max_rt(self) -> Option<u32> {
        self.u32(code::INF_MAX_RT).filter(|seconds| MAX_RT.contains(seconds))
    }

    /// Whether addresses that clients made themselves can be registered (option 148).
    pub fn addr_reg_enable(self) -> bool {
        self.get(code::ADDR_REG_ENABLE).is_some()
    }

    /// The value of an option whose length is fixed.
    fn array<const N: usize>(self, code: u16) -> Option<[u8; N]> {
        self.get(code)?.try_into().ok()
    }

    fn u32(self, code: u16) -> Option<u32> {
        self.array(code).map(u32::from_be_bytes)
    }
}

/// Whether it can be the address of another host on the network.
fn is_host(address: &Ipv6Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

/// Data with a length of two bytes before each piece; ends before one that is cut off.
#[derive(Clone)]
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (piece, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        self.0 = rest;
        Some(piece)
    }
}
