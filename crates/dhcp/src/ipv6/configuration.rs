//! What the container is to have.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};
use wire::MacAddr;
use wire::nd::Preference;

use crate::Instant;

/// What the endpoint's interface is to have. The times are those of one boot, see [`Instant`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The link-local address; `None` if another machine has it, and then there is nothing else
    /// either (RFC 4862 §5.4.5).
    pub link_local: Option<Ipv6Addr>,
    /// The addresses, the ones from prefixes first.
    pub addresses: Vec<Address>,
    /// The default routers, the most preferred first.
    pub routers: Vec<Router>,
    /// Prefixes whose addresses are reached without a router (RFC 4861 §6.3.4).
    pub on_link: Vec<OnLink>,
    /// Routes to more than the default (RFC 4191).
    pub routes: Vec<Route>,
    /// The MTU, if a router lowered it.
    pub mtu: Option<u16>,
    /// The hop limit of outgoing packets, if a router set it.
    pub hop_limit: Option<u8>,
    /// DNS servers: the routers' (RFC 8106), then the DHCPv6 server's.
    pub dns: Vec<Ipv6Addr>,
    /// Domains to search, in the same order.
    pub search: Vec<Box<str>>,
    /// Prefixes that a server delegated.
    pub delegated: Vec<Delegated>,
}

/// An address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: Ipv6Addr,
    /// The length to configure it with: 128, always. What is on the link is told by
    /// [`Configuration::on_link`], and by nothing else (RFC 5942 §4).
    pub prefix_len: u8,
    /// Where it comes from.
    pub origin: Origin,
    /// Until then it may be chosen for new connections (RFC 4862 §5.5.4).
    pub preferred_until: Instant,
    /// From here on it must not be used.
    pub valid_until: Instant,
}

/// Where an address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Made from a router's prefix.
    Slaac,
    /// Leased by a DHCPv6 server.
    Dhcp,
}

/// A default router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// Its MAC, as its last advertisement says.
    pub mac: MacAddr,
    /// Which router to take first (RFC 4191 §2.1).
    pub preference: Preference,
    /// From here on it is no default router.
    pub until: Instant,
}

/// A prefix whose addresses are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnLink {
    /// The prefix, the bits behind it zero.
    pub prefix: Ipv6Addr,
    /// Its length, 1 to 128.
    pub length: u8,
    /// From here on its addresses are reached by a router again.
    pub until: Instant,
}

/// A route of its own (RFC 4191 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The destination, the bits behind its length zero.
    pub destination: Ipv6Addr,
    /// The length of its prefix, 1 to 128.
    pub length: u8,
    /// The router's link-local address.
    pub router: Ipv6Addr,
    /// Which of two routes of the same length to take first.
    pub preference: Preference,
    /// From here on it must not be used.
    pub until: Instant,
}

/// A prefix that was delegated to the endpoint (RFC 8415 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegated {
    /// The prefix, the bits behind it zero.
    pub prefix: Ipv6Addr,
    /// Its length.
    pub length: u8,
    /// Until then it may be used for new addresses.
    pub preferred_until: Instant,
    /// From here on it must not be used.
    pub valid_until: Instant,
}
