//! Times and routes of a lease, as an ACK grants it: RFC 2131 §4.4.5, RFC 3442.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use dhcp::v4::{Client, Lease, Route};
use wire::dhcp4::code;

use super::bench::*;

fn lease(edit: impl Fn(Answer) -> Answer) -> Lease {
    Bench::bound_by(edit).client.lease().unwrap().clone()
}

fn ip(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

fn via(destination: Ipv4Addr, prefix_len: u8, router: Ipv4Addr) -> Route {
    Route { destination, prefix_len, via: Some(router) }
}

fn on_link(destination: Ipv4Addr, prefix_len: u8) -> Route {
    Route { destination, prefix_len, via: None }
}

#[test]
fn t1_and_t2_are_the_servers_or_the_rfcs_and_always_in_order() {
    // Lease time, T1 and T2 as sent; T1 and T2 as used, before the fuzz of up to 5 %.
    for (seconds, t1, t2, renew, rebind) in [
        (3600, None, None, 1800.0, 3150.0),
        (3600, Some(600), Some(1200), 600.0, 1200.0),
        (3600, Some(600), None, 600.0, 3150.0),
        (3600, None, Some(3000), 1800.0, 3000.0),
        (3600, None, Some(700), 400.0, 700.0),
        // Nonsense: T1 after T2, T2 after the end, zeros.
        (3600, Some(3000), Some(2000), 1800.0, 2000.0),
        (3600, Some(5000), Some(6000), 1800.0, 3150.0),
        (3600, Some(1000), Some(3600), 1000.0, 3150.0),
        (3600, Some(0), Some(0), 1800.0, 3150.0),
        (3600, Some(u32::MAX), Some(u32::MAX), 1800.0, 3150.0),
        (1, None, None, 0.5, 0.875),
        (2, Some(1), Some(1), 4.0 / 7.0, 1.0),
    ] {
        let set = |answer: Answer, code, value: Option<u32>| match value {
            Some(value) => answer.set(code, &value.to_be_bytes()),
            None => answer,
        };
        let lease = lease(|answer| {
            let answer = set(answer.lease(seconds), code::RENEWAL_TIME, t1);
            set(answer, code::REBINDING_TIME, t2)
        });
        let after = |moment: dhcp::Instant| moment.saturating_since(lease.start).as_secs_f64();
        for (got, expected) in [(lease.renew_at, renew), (lease.rebind_at, rebind)] {
            let got = after(got);
            let row = (seconds, t1, t2);
            assert!((expected * 0.95 - 1e-6..=expected + 1e-6).contains(&got), "{row:?}: {got}");
        }
        assert!(lease.renew_at < lease.rebind_at && lease.rebind_at < lease.expires_at);
        assert_eq!(after(lease.expires_at), f64::from(seconds));
    }
}

#[test]
fn endpoints_that_start_together_renew_apart() {
    let renewals: HashSet<_> = (0..20)
        .map(|seed| {
            let mut bench = Bench::of(Client::new(plain(), seed));
            bench.bind(|answer| answer.set(code::RENEWAL_TIME, &3000u32.to_be_bytes()));
            bench.client.lease().unwrap().renew_at
        })
        .collect();
    assert_eq!(renewals.len(), 20);
}

#[test]
fn the_default_route_is_the_first_usable_router() {
    let gateway = |routers: &[u8]| lease(|answer| answer.set(code::ROUTER, routers)).gateway();
    assert_eq!(gateway(&[192, 0, 2, 1, 192, 0, 2, 9]), Some(ip(192, 0, 2, 1)));
    assert_eq!(gateway(&[0, 0, 0, 0, 192, 0, 2, 9]), Some(ip(192, 0, 2, 9)));
    assert_eq!(gateway(&[224, 0, 0, 1, 127, 0, 0, 1, 255, 255, 255, 255]), None);
    // The address itself is no router to anywhere.
    assert_eq!(gateway(&[192, 0, 2, 50, 192, 0, 2, 9]), Some(ip(192, 0, 2, 9)));
    assert_eq!(lease(|answer| answer.without(code::ROUTER)).gateway(), None);
}

#[test]
fn classless_routes_displace_the_router_option() {
    // 10/8 via .3, default via .4.
    let routes: &[u8] = &[8, 10, 192, 0, 2, 3, 0, 192, 0, 2, 4];
    for option in [code::CLASSLESS_ROUTES, code::CLASSLESS_ROUTES_MICROSOFT] {
        let lease = lease(|answer| answer.set(option, routes));
        assert_eq!(lease.gateway(), Some(ip(192, 0, 2, 4)));
        assert_eq!(lease.routes(), [via(ip(10, 0, 0, 0), 8, ip(192, 0, 2, 3))]);
    }
    // Without a default route among them there is none, whatever option 3 says.
    let lease = lease(|answer| answer.set(code::CLASSLESS_ROUTES, &routes[..6]));
    assert_eq!(lease.gateway(), None);
}

#[test]
fn a_router_outside_the_subnet_is_made_reachable_first() {
    let router = ip(198, 51, 100, 1);
    let cloud =
        lease(|answer| answer.mask([255, 255, 255, 255]).set(code::ROUTER, &router.octets()));
    assert_eq!(cloud.prefix_len, 32);
    assert_eq!(cloud.gateway(), Some(router));
    assert_eq!(cloud.routes(), [on_link(router, 32)]);

    let other = ip(203, 0, 113, 1);
    let lease = lease(|answer| {
        let routes = [
            &[8, 10][..],
            &other.octets(),
            &[16, 172, 16],
            &other.octets(),
            &[0],
            &router.octets(),
        ]
        .concat();
        answer.set(code::CLASSLESS_ROUTES, &routes)
    });
    assert_eq!(
        lease.routes(),
        [
            on_link(router, 32),
            on_link(other, 32),
            via(ip(10, 0, 0, 0), 8, other),
            via(ip(172, 16, 0, 0), 16, other),
        ]
    );
}

#[test]
fn a_router_on_a_route_of_the_link_needs_no_route_of_its_own() {
    // 203.0.113/24 is on the link (router 0.0.0.0); 10/8 via 203.0.113.1.
    let routes = [24, 203, 0, 113, 0, 0, 0, 0, 8, 10, 203, 0, 113, 1];
    let lease = lease(|answer| answer.set(code::CLASSLESS_ROUTES, &routes));
    assert_eq!(
        lease.routes(),
        [on_link(ip(203, 0, 113, 0), 24), via(ip(10, 0, 0, 0), 8, ip(203, 0, 113, 1))]
    );
}

#[test]
fn routes_to_nowhere_are_left_out() {
    let routes = [8, 10, 224, 0, 0, 1, 8, 11, 192, 0, 2, 50, 8, 12, 192, 0, 2, 3];
    let lease = lease(|answer| answer.set(code::CLASSLESS_ROUTES, &routes));
    assert_eq!(lease.routes(), [via(ip(12, 0, 0, 0), 8, ip(192, 0, 2, 3))]);
}

#[test]
fn only_configuration_is_kept_of_the_options() {
    let lease = lease(|answer| {
        answer.set(code::DOMAIN_NAME, b"example.org").set(82, b"relay").set(code::MESSAGE, b"hello")
    });
    let codes: Vec<u8> = lease.options.iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [code::ROUTER, code::DOMAIN_NAME]);
}

#[test]
fn ten_thousand_idle_leases_fit_into_twenty_megabytes() {
    fn moves_between_threads<T: Send>() {}
    moves_between_threads::<dhcp::v4::Client>();
    assert!(size_of::<dhcp::v4::Client>() <= 320, "{}", size_of::<dhcp::v4::Client>());
    let bench = Bench::bound();
    let lease = bench.client.lease().unwrap();
    let options: usize = lease.options.iter().map(|(_, data)| data.len() + 3).sum();
    assert!(options < 100, "{options}");
}
