//! What routers said of the link, and the addresses made of it.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};
use wire::MacAddr;
use wire::nd::Preference;

use super::list::{Entry, List};
use crate::Instant;

/// What is known of the link. It bounds itself: see the constants of [`Learned`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// Default routers.
    pub routers: List<DefaultRouter>,
    /// Prefixes that are on the link.
    pub on_link: List<Prefix>,
    /// Addresses made from prefixes.
    pub addresses: List<Made>,
    /// Routes through routers.
    pub routes: List<RouteVia>,
    /// DNS servers.
    pub dns: List<Ipv6Addr>,
    /// Domains to search.
    pub search: List<Box<str>>,
    /// The MTU, 1280 at least and not above the link's.
    pub mtu: Option<u16>,
    /// The hop limit for outgoing packets.
    pub hop_limit: Option<u8>,
    /// Whether the last router said that addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Whether it said that other configuration is.
    pub other: bool,
    /// Duplicates of the link-local address so far, as RFC 7217's counter.
    pub attempt: u8,
}

/// A default router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRouter {
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// Its MAC.
    pub mac: MacAddr,
    /// How much it is to be preferred.
    pub preference: Preference,
}

/// A prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// Its address, the bits behind its length zero.
    pub address: Ipv6Addr,
    /// Its length in bits.
    pub length: u8,
}

/// An address made from a prefix of 64 bits. It ends with its valid lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The prefix.
    pub prefix: Ipv6Addr,
    /// The address; `None` if there is none that is not another machine's.
    pub address: Option<Ipv6Addr>,
    /// The end of its preferred lifetime.
    pub preferred_until: Instant,
    /// Duplicates so far, as RFC 7217's counter.
    pub attempt: u8,
}

/// A route through a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteVia {
    /// The destination.
    pub destination: Prefix,
    /// The router's link-local address.
    pub router: Ipv6Addr,
    /// How much it is to be preferred.
    pub preference: Preference,
}

impl Learned {
    /// Most default routers.
    pub const ROUTERS: usize = 8;
    /// Most prefixes, and most addresses: as many as Linux takes (`max_addresses`).
    pub const PREFIXES: usize = 16;
    /// Most routes.
    pub const ROUTES: usize = 32;
    /// Most DNS servers, and most domains.
    pub const DNS: usize = 8;

    /// The addresses that may be used.
    pub fn made(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        self.addresses.iter().filter_map(|entry| entry.what.address)
    }

    /// Whether any router has said anything that lasts.
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty()
            && self.on_link.is_empty()
            && self.addresses.is_empty()
            && self.routes.is_empty()
            && self.dns.is_empty()
            && self.search.is_empty()
    }

    /// Whether what a route leads to is on the link: it is not reached through a router, nor are we.
    pub(crate) fn is_on_link(&self, destination: &Prefix) -> bool {
        let within = |on_link: &Prefix| {
            destination.length >= on_link.length && on_link.contains(destination.address)
        };
        self.on_link.iter().any(|entry| within(&entry.what))
    }

    /// The routes to elsewhere, though some were said before what they lead to was on the link.
    pub(crate) fn routes_elsewhere(&self) -> impl Iterator<Item = &Entry<RouteVia>> {
        self.routes.iter().filter(|entry| !self.is_on_link(&entry.what.destination))
    }

    /// Drops what is over, and says whether anything was.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        // Each of them, whatever the others say.
        self.routers.expire(now)
            | self.on_link.expire(now)
            | self.addresses.expire(now)
            | self.routes.expire(now)
            | self.dns.expire(now)
            | self.search.expire(now)
    }

    pub(crate) fn next_end(&self) -> Instant {
        self.routers
            .next_end()
            .min(self.on_link.next_end())
            .min(self.addresses.next_end())
            .min(self.routes.next_end())
            .min(self.dns.next_end())
            .min(self.search.next_end())
    }

    pub(crate) fn doubt(&mut self, doubted: bool) {
        self.routers.doubt(doubted);
        self.on_link.doubt(doubted);
        self.addresses.doubt(doubted);
        self.routes.doubt(doubted);
        self.dns.doubt(doubted);
        self.search.doubt(doubted);
    }

    pub(crate) fn drop_doubted(&mut self) -> bool {
        self.routers.drop_doubted()
            | self.on_link.drop_doubted()
            | self.addresses.drop_doubted()
            | self.routes.drop_doubted()
            | self.dns.drop_doubted()
            | self.search.drop_doubted()
    }

    /// Puts each moment through `clock`.
    pub(crate) fn translate(&mut self, clock: &impl Fn(Instant) -> Instant) {
        self.routers.translate(clock);
        self.on_link.translate(clock);
        self.addresses.translate(clock);
        for entry in self.addresses.iter_mut() {
            entry.what.preferred_until = clock(entry.what.preferred_until);
        }
        self.routes.translate(clock);
        self.dns.translate(clock);
        self.search.translate(clock);
    }
}

impl Prefix {
    /// The prefix of this length that `address` is in.
    pub fn of(address: Ipv6Addr, length: u8) -> Prefix {
        let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
        Prefix { address: Ipv6Addr::from_bits(address.to_bits() & mask), length: length.min(128) }
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: Ipv6Addr) -> bool {
        Prefix::of(address, self.length) == *self
    }

    /// Whether hosts of the Internet or of a site can have addresses in it, as far as it can be
    /// told: not link-local, a group, loopback, unspecified or an IPv4 address in disguise, except for those that a
    /// translator makes real (RFC 6052 §2.1, RFC 8215).
    pub(crate) fn is_for_hosts(&self) -> bool {
        let translated = Prefix::of(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 32);
        if self.length >= translated.length && translated.contains(self.address) {
            return true;
        }
        let special = Prefix::of(Ipv6Addr::UNSPECIFIED, 8);
        let link_local = Prefix::of(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);
        let groups = Prefix::of(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8);
        ![special, link_local, groups].iter().any(|other| self.overlaps(other))
    }

    /// Whether it is more than a registry gives a provider: no LAN is as large, nor anything that is given to a
    /// container, and what leads there leads to a part of the Internet.
    pub(crate) fn is_vast(&self) -> bool {
        self.length < 32
    }

    /// Whether one contains the other.
    pub(crate) fn overlaps(&self, other: &Prefix) -> bool {
        let length = self.length.min(other.length);
        Prefix::of(self.address, length) == Prefix::of(other.address, length)
    }
}
