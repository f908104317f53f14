//! The only container on a network card, with its MAC, and IPv6.

use std::net::Ipv6Addr;

use lab::{
    DhcpServer6, Dnsmasq, Kea6, Lan, LanOptions, Message6, Mode6, Namespace, Place, Radvd,
    RouterOptions, ServerOptions, ServerOptions6,
};

use wire::dhcp4::{MessageType, code};

use crate::ipv6::addresses;
use crate::macvlan::{lan, network, settled};
use crate::server::{Grant, Request, Server};
use crate::site::{SOON, Site, eventually, ip_json, prolonged, same};

const MAC: &str = "02:00:00:00:00:55";
const DUID: &str = "00:03:00:01:02:00:00:00:00:55";
/// What the MAC makes of the LAN's prefix, and of that of link-local addresses.
const MADE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0xff, 0xfe00, 0x55);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x55);

fn site() -> Site {
    let lan = lan(LanOptions { ipv6: true, ..LanOptions::default() });
    lan.host_ns().ip_batch(&format!("link set eth0 address {MAC}\n")).unwrap();
    Site::on(lan)
}

fn on_passthru(site: &Site, options: &[(&str, &str)]) {
    network(site, &[&[("macvlan_mode", "passthru"), ("ipv4", "false")], options].concat());
}

#[test]
fn a_leased_address_and_one_that_is_made_and_the_next_daemon() {
    let mut site = site();
    let lasts = ServerOptions6 {
        preferred: 8,
        renew: Some(2),
        rebind: Some(7),
        ..ServerOptions6::default()
    };
    let server = Kea6::start(site.lan.router_ns(), "eth0", &lasts).unwrap();
    let says = RouterOptions { managed: true, ..RouterOptions::default() };
    let _router = Radvd::start(site.lan.router_ns(), "eth0", &says).unwrap();
    on_passthru(&site, &[("ipv6", "auto"), ("release_delay", "1h")]);
    let container = site.run("lan", "web", "");
    assert_eq!(container.endpoint.mac, "", "there is none to be set");
    settled(&site, "web");
    let leased = server.leases6().unwrap();
    assert_eq!((leased.len(), leased[0].duid.as_str()), (1, DUID));
    let leased = leased[0].ip;
    let both = [format!("{MADE}/128"), format!("{leased}/128")];
    eventually("both addresses", SOON, || {
        let has = addresses(&container);
        same(both.iter().all(|address| has.contains(address)) && has.len() == 2, &true)
    });
    assert_eq!(container.ns.link_local("eth0").unwrap(), LINK_LOCAL);
    for place in [Place::Laptop, Place::Router] {
        assert!(site.lan.ping6(place, leased).unwrap() && site.lan.ping6(place, MADE).unwrap());
    }
    assert!(container.ns.ping6(Lan::ROUTER6).unwrap());

    // The server's answer goes to the container's address, and is heard all the same, also by the next daemon.
    prolonged(&site, "web");
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    prolonged(&site, "web");
    assert_eq!(server.logged6(Message6::Solicit, DUID).len(), 1);
    assert_eq!(server.logged6(Message6::Rebind, DUID).len(), 0);
    assert_eq!(addresses(&container).len(), 2);

    // Nobody but the port answers for it, while it is held and after that.
    container.stop(&site);
    let laptop = site.lan.laptop_ns();
    laptop.ok(&["ip", "neigh", "flush", "dev", "eth0"]).unwrap();
    assert!(!laptop.ping6(leased).unwrap());
    let known = ip_json(laptop, &["-6", "neigh", "show", &leased.to_string()]);
    assert_eq!(known[0]["lladdr"], MAC, "{known}");
    site.delete_network("lan");
    server.wait_leases6("given back", SOON, &|leases| leases.is_empty()).unwrap();
}

#[test]
fn addresses_that_say_nothing_of_the_mac() {
    let site = site();
    let router = ServerOptions { ipv6: Some(Mode6::Slaac), ..ServerOptions::default() };
    let _router = Dnsmasq::start(site.lan.router_ns(), "eth0", router).unwrap();
    on_passthru(&site, &[("ipv6", "slaac"), ("ipv6_address", "stable")]);
    let container = site.run("lan", "web", "");
    settled(&site, "web");
    let [made] = &addresses(&container)[..] else { panic!("{:?}", addresses(&container)) };
    let made: Ipv6Addr = made.split('/').next().unwrap().parse().unwrap();
    assert_ne!(made, MADE);
    assert_ne!(container.ns.link_local("eth0").unwrap(), LINK_LOCAL);
    assert!(site.lan.ping6(Place::Laptop, made).unwrap());
    container.stop(&site);
}

/// As when a bond goes over to its other card, or a wireless card makes up another: the kernel gives the child the new one.
#[test]
fn the_cards_mac_is_another_now() {
    const NEW: &str = "02:00:00:00:00:99";
    let mut site = site();
    let server = Server::start(site.lan.router_ns(), "eth0", |request| {
        Grant::new([10, 77, 1, 85]).times(2, 60, 120).answer(request)
    });
    let _router = Radvd::start(site.lan.router_ns(), "eth0", &RouterOptions::default()).unwrap();
    network(&site, &[("macvlan_mode", "passthru"), ("ipv6", "slaac")]);
    let container = site.run("lan", "web", "");
    settled(&site, "web");
    let laptop = Namespace::open("laptop", site.lan.laptop_ns().path()).unwrap();
    let all = [container.ip().to_string(), MADE.to_string()];
    let known = || {
        let of =
            |address: &String| ip_json(&laptop, &["neigh", "show", address])[0]["lladdr"].clone();
        all.each_ref().map(of)
    };
    assert!(laptop.ping(container.ip()).unwrap() && laptop.ping6(MADE).unwrap());
    assert_eq!(known(), [MAC, MAC]);

    let mark = server.mark();
    site.host().ip_batch(&format!("link set eth0 address {NEW}\n")).unwrap();
    eventually("its neighbours are told", SOON, || same(known(), &[NEW.into(), NEW.into()]));
    let asked = server.wait_after(mark, "the server is asked", SOON, |request| {
        request.message.chaddr.to_string() == NEW
    });
    let id = asked.message.options.get(code::CLIENT_ID).map(<[u8]>::to_vec);
    assert_eq!(id.as_deref(), Some(&[1, 2, 0, 0, 0, 0, 0x55][..]), "as who it was");
    let renewal =
        |request: &Request| request.message.chaddr.to_string() == NEW && request.to == Lan::ROUTER;
    server.wait_after(server.mark(), "a renewal", SOON, renewal);
    // The next daemon finds it, and what changes reaches it.
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    server.wait_after(server.mark(), "a renewal by the next daemon", SOON, renewal);
    server.behave(|request| {
        let routers = vec![Lan::LAPTOP];
        Grant { routers, ..Grant::new([10, 77, 1, 85]).times(2, 60, 120) }.answer(request)
    });
    eventually("the new router", SOON, || {
        same(container.routes(), &vec!["default via 10.77.0.9 dev eth0".to_owned()])
    });
    let said = (server.count(MessageType::Discover), server.count(MessageType::Release));
    assert_eq!(said, (1, 0));
    assert!(laptop.ping(container.ip()).unwrap() && laptop.ping6(MADE).unwrap());
    assert!(container.ping(Lan::ROUTER) && container.ns.ping6(Lan::ROUTER6).unwrap());
    container.stop(&site);
    server.wait_count(MessageType::Release, 1);
}
