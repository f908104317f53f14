//! What a Reply grants: addresses and prefixes, for how long, and the configuration with them.

use std::net::Ipv6Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::dhcp6::{Duid, KeptOptions};

use crate::Instant;

/// A DHCPv6 lease: all that one server has given to a client.
///
/// The times are those of one boot of the machine, see [`Instant`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The server's DUID: who is asked to prolong it.
    pub server: Duid,
    /// The addresses, at most [`Lease::MOST`].
    pub addresses: Vec<LeasedAddress>,
    /// The delegated prefixes, at most [`Lease::MOST`].
    pub prefixes: Vec<LeasedPrefix>,
    /// When the message was sent that the server answered. All other times count from here.
    pub start: Instant,
    /// T1: ask the server to prolong it.
    pub t1_at: Instant,
    /// T2: ask any server.
    pub t2_at: Instant,
    /// Domain name servers, best first (option 23).
    pub dns: Vec<Ipv6Addr>,
    /// Domains to search (option 24).
    pub search: Vec<Box<str>>,
    /// All other options of the last Reply that concern an endpoint and not the message.
    #[serde(default, skip_serializing_if = "KeptOptions::is_empty")]
    pub options: KeptOptions,
}

/// An address of a lease. It has no prefix length: what is on the link, routers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasedAddress {
    /// The address.
    pub address: Ipv6Addr,
    /// From here on it must not be used for new connections; not later than `valid_until`.
    pub preferred_until: Instant,
    /// From here on it must not be used; [`Instant::NEVER`] for an infinite lifetime.
    pub valid_until: Instant,
}

/// A delegated prefix of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasedPrefix {
    /// The prefix, bits behind its length zero.
    pub prefix: Ipv6Addr,
    /// Its length, 1 to 128.
    pub length: u8,
    /// From here on it must not be used for new connections; not later than `valid_until`.
    pub preferred_until: Instant,
    /// From here on it must not be used; [`Instant::NEVER`] for an infinite lifetime.
    pub valid_until: Instant,
}

impl Lease {
    /// Most addresses and most prefixes that are taken of a server.
    pub const MOST: usize = 8;

    /// When the last address or prefix of it is over.
    pub fn expires_at(&self) -> Instant {
        self.ends().max().unwrap_or(Instant::BOOT)
    }

    /// Whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.prefixes.is_empty()
    }

    /// Whether an endpoint is configured in the same way by both: times and server aside.
    pub fn same_configuration(&self, other: &Lease) -> bool {
        fn addresses(lease: &Lease) -> impl Iterator<Item = Ipv6Addr> {
            lease.addresses.iter().map(|leased| leased.address)
        }
        fn prefixes(lease: &Lease) -> impl Iterator<Item = (Ipv6Addr, u8)> {
            lease.prefixes.iter().map(|leased| (leased.prefix, leased.length))
        }
        addresses(self).eq(addresses(other))
            && prefixes(self).eq(prefixes(other))
            && self.dns == other.dns
            && self.search == other.search
    }

    /// When the next address or prefix of it is over.
    pub(crate) fn next_end(&self) -> Instant {
        self.ends().min().unwrap_or(Instant::BOOT)
    }

    /// The shortest valid lifetime in it.
    pub(crate) fn lifetime(&self) -> Duration {
        self.next_end().saturating_since(self.start)
    }

    /// The lease without what is over at `now`.
    pub(crate) fn at(mut self, now: Instant) -> Lease {
        self.addresses.retain(|leased| leased.valid_until > now);
        self.prefixes.retain(|leased| leased.valid_until > now);
        self
    }

    fn ends(&self) -> impl Iterator<Item = Instant> {
        let addresses = self.addresses.iter().map(|leased| leased.valid_until);
        addresses.chain(self.prefixes.iter().map(|leased| leased.valid_until))
    }
}
