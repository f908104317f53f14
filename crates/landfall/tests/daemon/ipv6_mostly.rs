//! LANs whose DHCPv4 server would have those do without IPv4 who can (option 108, RFC 8925).

use std::net::Ipv6Addr;

use lab::{DhcpServer, DhcpServer6};
use lab::{
    Dnsmasq, Kea6, Lan, Message, Mode6, Place, Radvd, RouterOptions, ServerOptions, ServerOptions6,
};
use serde_json::{Value, json};
use wire::dhcp4::MessageType;

use crate::container::Container;
use crate::ipv6::site_with_ipv6;
use crate::server::{Grant, Server};
use crate::site::{Endpoint, SOON, Site, eventually, same};

const MAC: &str = "02:00:00:00:00:42";
/// The address that the MAC makes of the LAN's prefix.
const MADE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0xff, 0xfe00, 0x42);
/// Option 108 with half an hour, for those who ask for it.
const PREFERRED: &str = "--dhcp-option=108,00:00:07:08";

fn server(site: &Site, ipv6: Option<Mode6>, preferred: &str) -> Dnsmasq {
    let options = ServerOptions { ipv6, extra: vec![preferred.to_owned()], ..Default::default() };
    Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap()
}

fn address6(endpoint: &Endpoint) -> Ipv6Addr {
    endpoint.address6.strip_suffix("/128").unwrap().parse().unwrap()
}

fn assert_without_ipv4(site: &Site, name: &str, container: &Container, address: Ipv6Addr) {
    assert_eq!(container.endpoint.address, "");
    assert_eq!(address6(&container.endpoint), address);
    assert_eq!(container.joined["DisableGatewayService"], true, "no docker_gwbridge");
    assert_eq!(container.cidrs(), [] as [&str; 0]);
    let shown = site.shown(name);
    assert_eq!(shown["state"], "V6ONLY_WAIT", "{shown}");
    assert_eq!((&shown["address"], &shown["expires_at"]), (&Value::Null, &Value::Null));
    assert!(shown["renews_at"].is_string(), "{shown}");
}

fn assert_reached(site: &Site, address: Ipv6Addr) {
    eventually("the laptop reaches it", SOON, || {
        same(site.lan.ping6(Place::Laptop, address).unwrap(), &true)
    });
}

#[test]
fn a_container_with_ipv6_does_without_ipv4() {
    let site = site_with_ipv6();
    let server = server(&site, Some(Mode6::Slaac), PREFERRED);
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    assert_without_ipv4(&site, "web", &container, MADE);
    assert_reached(&site, MADE);
    assert_eq!(DhcpServer::logged(&server, Message::Discover, MAC).len(), 1);
    let table = site.machine().ok(&["/usr/local/bin/landfall", "status"]).unwrap();
    assert!(table.contains("do without IPv4 (option 108); it is asked again in 29m"), "{table}");
    container.stop(&site);
    // Whoever has no IPv6 is not told.
    site.network("ipv4", &[]);
    assert_ne!(site.create("ipv4", "old", "02:00:00:00:00:43").address, "");
    let of_first = |message| DhcpServer::logged(&server, message, MAC).len();
    assert_eq!((of_first(Message::Request), of_first(Message::Release)), (0, 0));
    assert_eq!(site.status()["endpoints"].as_array().unwrap().len(), 1);
}

/// A server that keeps no address for those who ask for the option: what it offers is 0.0.0.0 (RFC 8925 §3.3).
#[test]
fn a_server_that_offers_no_address() {
    let site = site_with_ipv6();
    let grant = Grant::new([0, 0, 0, 0]).option(108, &[0, 0, 7, 8]);
    let server = Server::granting(&site.lan, grant);
    let _router = Radvd::start(site.lan.router_ns(), "eth0", &RouterOptions::default()).unwrap();
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    assert_without_ipv4(&site, "web", &container, MADE);
    assert_reached(&site, MADE);
    let asked = |kind| server.count(kind);
    assert_eq!((asked(MessageType::Discover), asked(MessageType::Request)), (1, 0));
    container.stop(&site);
}

/// Its server speaks of option 108 whether it is asked or not, and is not heeded then.
#[test]
fn where_ipv6_does_not_come_there_is_ipv4() {
    let site = Site::new();
    let server = server(&site, None, "--dhcp-option-force=108,00:00:07:08");
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    assert_ne!(container.endpoint.address, "");
    assert_eq!(container.cidrs(), std::slice::from_ref(&container.endpoint.address));
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(site.shown("web")["state"], "BOUND");
    assert_eq!(DhcpServer::logged(&server, Message::Discover, MAC).len(), 2);
    container.stop(&site);
    eventually("the lease given back", SOON, || same(server.leases().unwrap().len(), &0));
}

#[test]
fn where_ipv6_goes_ipv4_comes() {
    let site = site_with_ipv6();
    let server = server(&site, None, PREFERRED);
    let short = ServerOptions6 {
        preferred: 6,
        valid: 6,
        renew: Some(2),
        rebind: Some(4),
        ..ServerOptions6::default()
    };
    let mut of_ipv6 = Kea6::start(site.lan.router_ns(), "eth0", &short).unwrap();
    site.network("lan", &[("ipv6", "dhcp")]);
    let container = site.run("lan", "web", MAC);
    assert_without_ipv4(&site, "web", &container, of_ipv6.leases6().unwrap()[0].ip);
    of_ipv6.stop().unwrap();
    eventually("an IPv4 address", SOON * 2, || same(container.cidrs().len(), &1));
    assert_eq!(container.cidrs()[0], site.shown("web")["address"]);
    eventually("its router", SOON, || {
        same(container.routes(), &vec![format!("default via {} dev eth0", Lan::ROUTER)])
    });
    assert!(site.lan.ping(Place::Laptop, server.leases().unwrap()[0].ip).unwrap());
}

/// Held without an IPv4 lease, over a restart of the daemon as well.
#[test]
fn a_container_that_comes_back_has_its_ipv6_again_and_no_ipv4() {
    let mut site = site_with_ipv6();
    let server = server(&site, Some(Mode6::Stateful), PREFERRED);
    site.network("lan", &[("ipv6", "auto"), ("release_delay", "10m")]);
    let mut container = site.run("lan", "a", MAC);
    let address = address6(&container.endpoint);
    for (before, name, restart) in [("a", "b", false), ("b", "c", true)] {
        container.stop(&site);
        assert!(site.shown(before)["held_until"].is_string(), "{}", site.shown(before));
        if restart {
            site.landfall.kill9().unwrap();
            site.landfall.restart().unwrap();
        }
        container = site.run("lan", name, MAC);
        assert_without_ipv4(&site, name, &container, address);
        assert_reached(&site, address);
    }
    assert_eq!(DhcpServer::leases(&server).unwrap(), []);
    assert_eq!(server.leases6().unwrap().len(), 1);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    eventually("it goes on", SOON, || {
        same(site.shown("c")["state"].clone(), &json!("V6ONLY_WAIT"))
    });
    assert_without_ipv4(&site, "c", &container, address);
    container.stop(&site);
    site.delete_network("lan");
    eventually("the lease given back", SOON, || same(server.leases6().unwrap().len(), &0));
}
