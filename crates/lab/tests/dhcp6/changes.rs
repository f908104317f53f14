//! Servers that change, refuse and give what another machine has, and what the project's client makes of it.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{Client, Mode, Origin};
use lab::{
    DhcpServer6, Dnsmasq, Isc6, Kea6, Message6, Mode6, Namespace, Place, ServerOptions,
    ServerOptions6, Wide6,
};
use wire::dhcp6::StatusCode;

use crate::endpoint::Endpoint;
use crate::{KEPT, SOON, addresses, kept, name_in_log, router, site};

const KINDS: [&str; 4] = ["dnsmasq", "kea", "isc", "wide"];

fn start(kind: &str, ns: &Namespace, options: ServerOptions6) -> Box<dyn DhcpServer6> {
    match kind {
        "dnsmasq" => {
            let mode = Some(Mode6::Unadvertised);
            let options = ServerOptions { ipv6: mode, server6: options, ..Default::default() };
            Box::new(Dnsmasq::start(ns, "eth0", options).unwrap())
        }
        "kea" => Box::new(Kea6::start(ns, "eth0", &options).unwrap()),
        "isc" => Box::new(Isc6::start(ns, "eth0", &options).unwrap()),
        _ => Box::new(Wide6::start(ns, "eth0", &options).unwrap()),
    }
}

/// The laptop has the address that is kept for the endpoint; how often the server was told of it.
fn declined(kind: &str) -> (Vec<Ipv6Addr>, u32) {
    let lan = site();
    let _router = router(&lan);
    let server = start(kind, lan.router_ns(), kept());
    let kept = format!("{KEPT}/64");
    lan.ok(Place::Laptop, &["ip", "addr", "add", &kept, "dev", "eth0"]).unwrap();
    let mut endpoint = Endpoint::start(&lan, 0x42, |_| ());
    endpoint.ready();
    endpoint.run_for(Duration::from_secs(2));
    let of = name_in_log(&*server, &endpoint);
    server.wait_logged6(Message6::Decline, &of, SOON).unwrap();
    (addresses(&endpoint, Origin::Dhcp), endpoint.client.progress().server.unwrap().declines)
}

#[test]
fn another_machines_address_is_declined_and_another_one_taken() {
    for kind in ["dnsmasq", "kea"] {
        let (addresses, declines) = declined(kind);
        assert_eq!((addresses.len(), declines), (1, 1), "{kind} {addresses:?}");
        assert_ne!(addresses, [KEPT], "{kind}");
    }
}

/// ISC offers what it has kept for a client again and again, WIDE nothing any more.
#[test]
fn some_servers_have_no_other_address_then() {
    for kind in ["isc", "wide"] {
        let (addresses, declines) = declined(kind);
        assert_eq!(addresses, [Ipv6Addr::UNSPECIFIED; 0], "{kind}");
        assert!((1..=4).contains(&declines), "{kind}: {declines} times");
    }
}

#[test]
fn each_server_tells_what_is_no_lease() {
    for kind in KINDS {
        let lan = site();
        let _router = router(&lan);
        let options = ServerOptions6 { search: vec!["of.the.server".into()], ..kept() };
        let server = start(kind, lan.router_ns(), options);
        let mut endpoint = Endpoint::start(&lan, 0x07, |config| config.mode = Mode::Slaac);
        let wanted: Box<str> = "of.the.server".into();
        endpoint.run_until("the server's domain", SOON, |endpoint| {
            endpoint.client.configuration().search.contains(&wanted)
        });
        let of = name_in_log(&*server, &endpoint);
        server.wait_logged6(Message6::InformationRequest, &of, SOON).unwrap();
        assert_eq!(server.leases6().unwrap(), [], "{kind}");
    }
}

#[test]
fn each_server_says_that_no_address_is_left() {
    for kind in KINDS {
        let lan = site();
        let _router = router(&lan);
        let first = ServerOptions6::default().pool.0;
        let options = ServerOptions6 { pool: (first, first), ..ServerOptions6::default() };
        let _server = start(kind, lan.router_ns(), options);
        let mut one = Endpoint::start(&lan, 0x01, |_| ());
        one.ready();
        assert_eq!(addresses(&one, Origin::Dhcp), [first], "{kind}");
        let mut other = Endpoint::start(&lan, 0x02, |_| ());
        other.ready();
        assert_eq!(addresses(&other, Origin::Dhcp), [Ipv6Addr::UNSPECIFIED; 0], "{kind}");
        let refusal = other.client.progress().server.unwrap().last_refusal.as_ref().unwrap();
        assert_eq!(refusal.status, StatusCode::NoAddrsAvail, "{kind} {refusal:?}");
    }
}

/// One that knows nothing of the lease gives it anew, once the client asks any server (T2).
#[test]
fn another_server_takes_a_lease_over() {
    for kind in ["kea", "isc"] {
        let lan = site();
        let _router = router(&lan);
        let quick =
            ServerOptions6 { renew: Some(1), rebind: Some(2), preferred: 15, valid: 20, ..kept() };
        let server = start(kind, lan.router_ns(), quick.clone());
        let mut endpoint = Endpoint::start(&lan, 0x07, |_| ());
        endpoint.ready();
        let first = addresses(&endpoint, Origin::Dhcp);
        let duid = endpoint.client.lease().unwrap().server.clone();
        endpoint.run_until("a renewal", SOON, |endpoint| {
            endpoint.client.progress().server.unwrap().replies > 1
        });
        drop(server);
        let other = start(kind, lan.router_ns(), quick);
        endpoint.run_until("another server", SOON, |endpoint| {
            endpoint.client.lease().is_some_and(|lease| lease.server != duid)
        });
        assert_eq!(addresses(&endpoint, Origin::Dhcp), first, "{kind}");
        let of = name_in_log(&*other, &endpoint);
        other.wait_logged6(Message6::Rebind, &of, SOON).unwrap();
    }
}

/// The LAN has got another prefix when the client asks.
fn renumbered(ask: impl FnOnce(&mut Client, Instant)) -> Endpoint {
    let lan = site();
    let _router = router(&lan);
    let mut server = Kea6::start(lan.router_ns(), "eth0", &kept()).unwrap();
    let mut endpoint = Endpoint::start(&lan, 0x07, |_| ());
    endpoint.ready();
    let pool =
        ["2001:db8:78::1:0", "2001:db8:78::1:ffff"].map(|ip| ip.parse::<Ipv6Addr>().unwrap());
    let options = ServerOptions6 { pool: pool.into(), ..ServerOptions6::default() };
    lan.ok(Place::Router, &["ip", "addr", "add", "2001:db8:78::1/64", "dev", "eth0"]).unwrap();
    server.reconfigure("eth0", &options).unwrap();
    endpoint.act(ask);
    endpoint.run_until("another address", SOON, |endpoint| {
        addresses(endpoint, Origin::Dhcp) == [pool[0]]
    });
    endpoint
}

#[test]
fn a_renewal_brings_the_address_of_another_prefix() {
    let endpoint = renumbered(|client, now| client.renew(now));
    // The Reply took the old one back and gave the new one.
    assert_eq!(endpoint.client.progress().server.unwrap().solicits, 1);
}

#[test]
fn an_address_that_is_not_right_any_more_is_replaced() {
    let endpoint = renumbered(|client, now| client.confirm(now, now));
    assert_eq!(endpoint.client.progress().server.unwrap().confirms, 1);
    let refusal = endpoint.client.progress().server.unwrap().last_refusal.as_ref().unwrap();
    assert_eq!(refusal.status, StatusCode::NotOnLink);
}
