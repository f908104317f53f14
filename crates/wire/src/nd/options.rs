//! Options of neighbour discovery (RFC 4861 §4.6, RFC 4191 §2.3, RFC 8106 §5, RFC 3971 §5.3.2).

use std::net::Ipv6Addr;

use super::message::Preference;
use crate::names::plain_list;
use crate::{Error, MacAddr};

const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const NONCE: u8 = 14;
const ROUTE: u8 = 24;
const DNS_SERVERS: u8 = 25;
const SEARCH_DOMAINS: u8 = 31;

/// Flags of a prefix (RFC 4861 §4.6.2).
const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;

/// Options count their length in so many bytes.
const UNIT: usize = 8;
/// The most bytes of an option.
const LONGEST: usize = 255 * UNIT;
/// The most servers that one option holds.
const MOST_SERVERS: usize = (LONGEST - 8) / 16;

/// The options of a received message, whose lengths add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options<'a>(&'a [u8]);

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NdOption {
    /// The sender's MAC.
    SourceMac(MacAddr),
    /// The MAC of whoever has the target address.
    TargetMac(MacAddr),
    /// A prefix of the link.
    Prefix(PrefixInformation),
    /// The link's MTU.
    Mtu(u32),
    /// What the answer must repeat, and what tells a node its own packet (RFC 7527). The length is
    /// 6, or 8 more, and so on.
    Nonce(Box<[u8]>),
    /// A route through the router.
    Route(RouteInformation),
    /// DNS servers.
    DnsServers(DnsServers),
    /// Domains to search.
    SearchDomains(SearchDomains),
}

/// A prefix of the link (RFC 4861 §4.6.2). Lifetimes are seconds, all ones for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixInformation {
    /// The prefix. Bits behind its length are as they came.
    pub prefix: Ipv6Addr,
    /// Its length in bits, 0 to 128.
    pub length: u8,
    /// L: its addresses are on the link.
    pub on_link: bool,
    /// A: addresses may be made from it.
    pub autonomous: bool,
    /// For how long both are so.
    pub valid: u32,
    /// For how long addresses made from it are preferred.
    pub preferred: u32,
}

/// A route through the router (RFC 4191 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteInformation {
    /// The destination. Bits behind its length are as they came.
    pub prefix: Ipv6Addr,
    /// Its length in bits, 0 to 128.
    pub length: u8,
    /// Which of two routes to take first.
    pub preference: Preference,
    /// For how long it is valid, in seconds, all ones for ever.
    pub lifetime: u32,
}

/// DNS servers (RFC 8106 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsServers {
    /// For how long they may be asked, in seconds, all ones for ever.
    pub lifetime: u32,
    /// The servers.
    pub servers: Vec<Ipv6Addr>,
}

/// Domains to search (RFC 8106 §5.2), those that [`Frame`](crate::frame::Frame) lets through
/// consisting of letters, digits, hyphens and underscores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchDomains {
    /// For how long they may be searched, in seconds, all ones for ever.
    pub lifetime: u32,
    /// The domains without their final dots.
    pub domains: Vec<String>,
}

impl<'a> Options<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Options<'a>, Error> {
        let mut rest = bytes;
        while let [_, length, ..] = rest {
            let length = UNIT * usize::from(*length);
            if length == 0 {
                return Err(Error::NdInvalid("option of length 0"));
            }
            let have = rest.len();
            rest = rest.get(length..).ok_or(Error::Truncated {
                what: "option",
                need: length,
                have,
            })?;
        }
        if rest.is_empty() {
            Ok(Options(bytes))
        } else {
            Err(Error::Truncated { what: "option", need: UNIT, have: rest.len() })
        }
    }

    /// The options that are known and well-formed, in order.
    pub fn iter(&self) -> impl Iterator<Item = NdOption> + use<'a> {
        self.raw().filter_map(|(kind, data)| NdOption::read(kind, data))
    }

    /// The sender's MAC, if it says it.
    pub fn source_mac(&self) -> Option<MacAddr> {
        self.mac(SOURCE_MAC)
    }

    /// The target's MAC, if it is said.
    pub fn target_mac(&self) -> Option<MacAddr> {
        self.mac(TARGET_MAC)
    }

    /// The nonce, if there is one.
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.raw().find_map(|(kind, data)| (kind == NONCE).then_some(data))
    }

    fn mac(&self, wanted: u8) -> Option<MacAddr> {
        self.raw().find_map(|(kind, data)| (kind == wanted).then(|| mac(data)).flatten())
    }

    /// Kinds and data, without the two bytes of kind and length.
    fn raw(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let [kind, length, ..] = rest else { return None };
            let (option, after) = rest.split_at_checked(UNIT * usize::from(*length))?;
            rest = after;
            Some((*kind, option.get(2..)?))
        })
    }
}

impl NdOption {
    fn read(kind: u8, data: &[u8]) -> Option<NdOption> {
        match kind {
            SOURCE_MAC => mac(data).map(NdOption::SourceMac),
            TARGET_MAC => mac(data).map(NdOption::TargetMac),
            PREFIX => prefix(data).map(NdOption::Prefix),
            MTU => {
                let [_, _, a, b, c, d] = *data else { return None };
                Some(NdOption::Mtu(u32::from_be_bytes([a, b, c, d])))
            }
            NONCE => Some(NdOption::Nonce(data.into())),
            ROUTE => route(data).map(NdOption::Route),
            DNS_SERVERS => {
                let (lifetime, rest) = lifetime(data)?;
                let (servers, []) = rest.as_chunks::<16>() else { return None };
                let servers: Vec<_> = servers.iter().map(|bytes| (*bytes).into()).collect();
                let filled = !servers.is_empty();
                filled.then_some(NdOption::DnsServers(DnsServers { lifetime, servers }))
            }
            SEARCH_DOMAINS => {
                let (lifetime, rest) = lifetime(data)?;
                let domains = plain_list(rest)?;
                Some(NdOption::SearchDomains(SearchDomains { lifetime, domains }))
            }
            _ => None,
        }
    }

    /// Appends the option as it goes over the wire. What is beyond the longest option is left out.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0, 0]);
        let kind = match self {
            NdOption::SourceMac(mac) => {
                out.extend(mac.0);
                SOURCE_MAC
            }
            NdOption::TargetMac(mac) => {
                out.extend(mac.0);
                TARGET_MAC
            }
            NdOption::Prefix(prefix) => {
                let on_link = if prefix.on_link { ON_LINK } else { 0 };
                let autonomous = if prefix.autonomous { AUTONOMOUS } else { 0 };
                out.extend([prefix.length, on_link | autonomous]);
                out.extend(prefix.valid.to_be_bytes());
                out.extend(prefix.preferred.to_be_bytes());
                out.extend([0; 4]);
                out.extend(prefix.prefix.octets());
                PREFIX
            }
            NdOption::Mtu(mtu) => {
                out.extend([0, 0]);
                out.extend(mtu.to_be_bytes());
                MTU
            }
            NdOption::Nonce(nonce) => {
                out.extend(nonce.iter().take(LONGEST - 2));
                NONCE
            }
            NdOption::Route(route) => {
                out.extend([route.length, route.preference.flags()]);
                out.extend(route.lifetime.to_be_bytes());
                let needed = usize::from(route.length).div_ceil(64) * UNIT;
                out.extend(route.prefix.octets().iter().take(needed));
                ROUTE
            }
            NdOption::DnsServers(dns) => {
                out.extend([0, 0]);
                out.extend(dns.lifetime.to_be_bytes());
                out.extend(dns.servers.iter().take(MOST_SERVERS).flat_map(Ipv6Addr::octets));
                DNS_SERVERS
            }
            NdOption::SearchDomains(search) => {
                out.extend([0, 0]);
                out.extend(search.lifetime.to_be_bytes());
                for domain in &search.domains {
                    // Each label counts with its length, and there is an end.
                    if out.len() - start + domain.len() + 2 > LONGEST {
                        break;
                    }
                    for label in domain.split('.').chain([""]) {
                        // A label holds 63 bytes at most (RFC 1035 §2.3.4).
                        let label = label.as_bytes().get(..63).unwrap_or(label.as_bytes());
                        out.push(label.len() as u8);
                        out.extend(label);
                    }
                }
                SEARCH_DOMAINS
            }
        };
        let length = (out.len() - start).next_multiple_of(UNIT);
        out.resize(start + length, 0);
        if let Some([first, second, ..]) = out.get_mut(start..) {
            *first = kind;
            *second = u8::try_from(length / UNIT).unwrap_or(u8::MAX);
        }
    }
}

fn mac(data: &[u8]) -> Option<MacAddr> {
    data.try_into().ok().map(MacAddr)
}

/// The lifetime behind two reserved bytes, and what follows.
fn lifetime(data: &[u8]) -> Option<(u32, &[u8])> {
    let ([_, _, a, b, c, d], rest) = data.split_first_chunk()?;
    Some((u32::from_be_bytes([*a, *b, *c, *d]), rest))
}

fn prefix(data: &[u8]) -> Option<PrefixInformation> {
    let ([length, flags, v0, v1, v2, v3, p0, p1, p2, p3, _, _, _, _], rest) =
        data.split_first_chunk()?;
    let prefix: [u8; 16] = rest.try_into().ok()?;
    (*length <= 128).then_some(PrefixInformation {
        prefix: prefix.into(),
        length: *length,
        on_link: flags & ON_LINK != 0,
        autonomous: flags & AUTONOMOUS != 0,
        valid: u32::from_be_bytes([*v0, *v1, *v2, *v3]),
        preferred: u32::from_be_bytes([*p0, *p1, *p2, *p3]),
    })
}

/// RFC 4191 §2.3: a route with the reserved preference is ignored, and so is one whose prefix is
/// longer than what there is of it.
fn route(data: &[u8]) -> Option<RouteInformation> {
    let ([length, flags, a, b, c, d], rest) = data.split_first_chunk()?;
    if rest.len() > 16 || usize::from(*length) > 8 * rest.len() {
        return None;
    }
    let mut prefix = [0; 16];
    prefix.get_mut(..rest.len())?.copy_from_slice(rest);
    Some(RouteInformation {
        prefix: prefix.into(),
        length: *length,
        preference: Preference::of_flags(*flags)?,
        lifetime: u32::from_be_bytes([*a, *b, *c, *d]),
    })
}
