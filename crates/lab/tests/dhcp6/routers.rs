//! What radvd advertises, as the project's client takes it.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::ipv6::{Origin, Preference};
use lab::{AdvertisedRoute, Lan, Prefix, Radvd, RouterOptions};

use crate::endpoint::Endpoint;
use crate::{SOON, addresses, site};

const ULA: Ipv6Addr = Ipv6Addr::new(0xfd77, 0x77, 0, 0, 0, 0, 0, 0);
const ELSEWHERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x99, 0, 0, 0, 0, 0);

/// Everything that a router can say.
fn all() -> RouterOptions {
    RouterOptions {
        preference: lab::Preference::High,
        hop_limit: 77,
        mtu: Some(1400),
        prefixes: vec![
            Prefix { deprecated_at_end: true, ..Prefix::default() },
            Prefix { prefix: ULA, on_link: false, valid: u32::MAX, ..Prefix::default() },
        ],
        routes: vec![AdvertisedRoute {
            prefix: ELSEWHERE,
            length: 48,
            preference: lab::Preference::Low,
            lifetime: 600,
        }],
        interval: 4,
        ..RouterOptions::default()
    }
}

#[test]
fn all_that_radvd_says_arrives() {
    let lan = site();
    let router = Radvd::start(lan.router_ns(), "eth0", &all()).unwrap();
    let mut endpoint = Endpoint::start(&lan, 0x07, |_| ());
    endpoint.ready();
    let configuration = endpoint.client.configuration();
    let routers: Vec<_> = configuration.routers.iter().collect();
    assert_eq!(routers.len(), 1);
    assert_eq!(routers[0].address, lan.router_ns().link_local("eth0").unwrap());
    assert_eq!(routers[0].preference, Preference::High);
    assert_eq!((configuration.hop_limit, configuration.mtu), (Some(77), Some(1400)));
    let slaac = addresses(&endpoint, Origin::Slaac);
    let made =
        [Lan::PREFIX6, ULA].map(|prefix| Ipv6Addr::from_bits(prefix.to_bits() | 0xff_fe00_0007));
    assert_eq!(slaac, made);
    let on_link: Vec<_> = configuration.on_link.iter().map(|p| (p.prefix, p.length)).collect();
    assert_eq!(on_link, [(Lan::PREFIX6, 64)]);
    let routes: Vec<_> =
        configuration.routes.iter().map(|r| (r.destination, r.length, r.preference)).collect();
    assert_eq!(routes, [(ELSEWHERE, 48, Preference::Low)]);
    assert_eq!(configuration.dns, [Lan::ROUTER6]);
    assert_eq!(configuration.search, ["lan.test".into()]);
    drop(router);
}

#[test]
fn radvd_says_something_else_and_then_farewell() {
    let lan = site();
    let mut router = Radvd::start(lan.router_ns(), "eth0", &all()).unwrap();
    let mut endpoint = Endpoint::start(&lan, 0x07, |_| ());
    endpoint.ready();

    let mut other = all();
    other.preference = lab::Preference::Low;
    other.mtu = Some(1300);
    router.reconfigure(&other).unwrap();
    endpoint.run_until("another MTU", SOON, |endpoint| {
        endpoint.client.configuration().mtu == Some(1300)
    });
    assert_eq!(endpoint.client.configuration().routers[0].preference, Preference::Low);

    router.stop().unwrap();
    endpoint.run_until("no router", SOON, |endpoint| {
        endpoint.client.configuration().routers.is_empty()
    });
    // Its addresses stay, but for one prefix it took back that they are preferred.
    assert_eq!(addresses(&endpoint, Origin::Slaac).len(), 2);
    let now = dhcp::Instant::from_boot(net::clock::boot_now());
    let preferred = |address: &dhcp::ipv6::Address| address.preferred_until > now;
    let both: Vec<_> = endpoint.client.configuration().addresses.iter().map(preferred).collect();
    assert_eq!(both, [false, true]);
}

#[test]
fn a_router_that_is_killed_says_nothing() {
    let lan = site();
    let mut router = Radvd::start(lan.router_ns(), "eth0", &RouterOptions::default()).unwrap();
    let mut endpoint = Endpoint::start(&lan, 0x07, |_| ());
    endpoint.ready();
    router.kill().unwrap();
    endpoint.run_for(Duration::from_millis(300));
    assert_eq!(endpoint.client.configuration().routers.len(), 1);
    router.restart().unwrap();
}

#[test]
fn kernels_take_it_too() {
    let lan = site();
    let _router = Radvd::start(lan.router_ns(), "eth0", &all()).unwrap();
    let printer = lan.add_machine("printer").unwrap();
    let ula = |ip: Ipv6Addr| ip.segments()[..4] == ULA.segments()[..4];
    printer.wait_address6("eth0", SOON, ula).unwrap();
}
