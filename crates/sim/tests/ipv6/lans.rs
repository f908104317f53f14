//! LANs to begin with.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use dhcp::ipv6::{Address, Config, Delegated, Origin};
use sim::Host;
use sim::v6::{Kind, Lan, Router, RouterId, Server, ServerId};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A fleet of this size, started within a minute, in a LAN with SLAAC.
pub(crate) fn slaac(seed: u64, size: usize) -> (Lan, RouterId) {
    let mut lan = Lan::new(seed);
    let router = lan.add_router(Router::home());
    let fleet = lan.add_fleet(size);
    lan.start(fleet, MINUTE);
    (lan, router)
}

/// The same in a LAN with DHCPv6.
pub(crate) fn managed(seed: u64, server: Server, size: usize) -> (Lan, RouterId, ServerId) {
    let mut lan = Lan::new(seed);
    let router = lan.add_router(Router::managed());
    let server = lan.add_server(server);
    let fleet = lan.add_fleet(size);
    lan.start(fleet, MINUTE);
    (lan, router, server)
}

/// The same where each asks for a prefix of that length as well.
pub(crate) fn delegating(
    seed: u64,
    server: Server,
    size: usize,
    length: u8,
) -> (Lan, RouterId, ServerId) {
    let mut lan = Lan::new(seed);
    let router = lan.add_router(Router::managed());
    let server = lan.add_server(server);
    let fleet = lan.add_fleet_of(size, |config| Config { prefix: Some(length), ..config });
    lan.start(fleet, MINUTE);
    (lan, router, server)
}

/// The prefixes of all endpoints.
pub(crate) fn prefixes(lan: &Lan) -> Vec<Vec<(Ipv6Addr, u8)>> {
    let of = |all: &[Delegated]| all.iter().map(|one| (one.prefix, one.length)).collect();
    lan.endpoints().iter().map(|endpoint| of(&endpoint.delegated)).collect()
}

/// How many addresses of that origin there are.
pub(crate) fn count(lan: &Lan, origin: Origin) -> usize {
    let all = lan.endpoints().iter().flat_map(|endpoint| &endpoint.configured);
    all.filter(|address| address.origin == origin).count()
}

/// The addresses of all endpoints.
pub(crate) fn addresses(lan: &Lan) -> Vec<Vec<Ipv6Addr>> {
    let of = |all: &[Address]| all.iter().map(|one| one.address).collect();
    lan.endpoints().iter().map(|endpoint| of(&endpoint.configured)).collect()
}

/// What all endpoints have sent of a kind.
pub(crate) fn sent(lan: &Lan, kind: Kind) -> u32 {
    lan.sent().of(kind)
}

/// A pool without anything in it, on the same link.
pub(crate) fn nothing<A: Host>(pool: &RangeInclusive<A>) -> RangeInclusive<A> {
    pool.start().plus(1)..=*pool.start()
}

/// A prefix of 64 bits.
pub(crate) fn prefix(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 0)
}
