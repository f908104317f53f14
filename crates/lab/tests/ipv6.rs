//! A site with IPv6: its router reaches others, and what advertises it tells kernels of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

use std::net::Ipv6Addr;
use std::time::Duration;

use lab::{Dnsmasq, Lan, LanOptions, Mode6, Namespace, Place, ServerOptions};

const SOON: Duration = Duration::from_secs(10);

fn site() -> Lan {
    Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap()
}

fn on_prefix(ip: Ipv6Addr) -> bool {
    ip.segments()[..4] == Lan::PREFIX6.segments()[..4]
}

/// Waits until the machine's own kernel has made an address and taken a default router.
fn autoconfigured(machine: &Namespace) -> Ipv6Addr {
    let ip = machine.wait_address6("eth0", SOON, on_prefix).unwrap();
    let routes = machine.ok(&["ip", "-6", "route", "show", "default"]).unwrap();
    assert!(routes.contains("via fe80:"), "{routes}");
    ip
}

#[test]
fn router_and_laptop_reach_each_other_at_once() {
    let lan = Lan::new(LanOptions {
        ipv6: true,
        host_address6: Some("2001:db8:77::2/64".into()),
        ..LanOptions::default()
    })
    .unwrap();
    assert!(lan.ping6(Place::Laptop, Lan::ROUTER6).unwrap());
    assert!(lan.ping6(Place::Router, Lan::LAPTOP6).unwrap());
    assert!(lan.ping6(Place::Laptop, "2001:db8:77::2".parse().unwrap()).unwrap());
    // The router is one: it passes on what is for elsewhere.
    lan.ok(Place::Router, &["ip", "addr", "add", "2001:db8:99::1/128", "dev", "lo", "nodad"])
        .unwrap();
    assert!(lan.ping6(Place::Laptop, "2001:db8:99::1".parse().unwrap()).unwrap());
}

#[test]
fn without_the_option_there_are_link_local_addresses_alone() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let addresses = lan.router_ns().addresses6("eth0").unwrap();
    assert!(addresses.iter().all(|address| address.ip.is_unicast_link_local()), "{addresses:?}");
}

#[test]
fn dnsmasq_advertises_a_prefix() {
    let lan = site();
    let options = ServerOptions { ipv6: Some(Mode6::Slaac), ..ServerOptions::default() };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let printer = lan.add_machine("printer").unwrap();
    let ip = autoconfigured(&printer);
    assert!(lan.ping6(Place::Laptop, ip).unwrap());
    server.log().wait_for("RTR-ADVERT(eth0) 2001:db8:77::", SOON).unwrap();
    // The laptop listens to no router: it has the addresses that it was given.
    let addresses = lan.laptop_ns().addresses6("eth0").unwrap();
    assert_eq!(addresses.len(), 2, "{addresses:?}");
}

#[test]
fn a_prefix_without_the_a_flag_makes_no_address() {
    let lan = site();
    let options = ServerOptions { ipv6: Some(Mode6::Stateful), ..ServerOptions::default() };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let printer = lan.add_machine("printer").unwrap();
    server.log().wait_for("RTR-ADVERT(eth0) 2001:db8:77::", SOON).unwrap();
    printer.wait_address6("eth0", Duration::from_millis(300), on_prefix).unwrap_err();
}
