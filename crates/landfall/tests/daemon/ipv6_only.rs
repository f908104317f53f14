//! Networks whose containers have no IPv4 (`ipv4=false`).

use std::net::Ipv6Addr;

use lab::{DhcpServer, DhcpServer6, Dnsmasq, Lan, Message, Message6, Mode6, Place, ServerOptions};
use serde_json::{Value, json};

use crate::container::{Container, endpoint_ref};
use crate::ipv6::site_with_ipv6;
use crate::site::{Endpoint, SOON, Site, eventually, id, ip_json, same};

const MAC: &str = "02:00:00:00:00:42";
const DUID: &str = "00:03:00:01:02:00:00:00:00:42";
/// The address that the MAC makes of the LAN's prefix.
const MADE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0xff, 0xfe00, 0x42);
const ONLY: [(&str, &str); 2] = [("ipv4", "false"), ("ipv6", "auto")];

/// A router that would lease IPv4 addresses as well.
fn router(site: &Site, ipv6: Mode6) -> Dnsmasq {
    let options = ServerOptions { ipv6: Some(ipv6), ..ServerOptions::default() };
    Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap()
}

fn network(site: &Site, further: &[(&str, &str)]) {
    site.network("lan", &[&ONLY[..], further].concat());
}

fn address_of(endpoint: &Endpoint) -> Ipv6Addr {
    endpoint.address6.strip_suffix("/128").unwrap().parse().unwrap()
}

/// It has that address and no other, and the LAN reaches it.
fn assert_ipv6_only(site: &Site, container: &Container, address: Ipv6Addr) {
    eventually("the laptop reaches it", SOON, || {
        same(site.lan.ping6(Place::Laptop, address).unwrap(), &true)
    });
    assert!(container.ns.ping6(Lan::ROUTER6).unwrap());
    assert_eq!(container.cidrs(), [] as [&str; 0]);
    assert_eq!(container.routes(), [] as [&str; 0]);
    let default = ip_json(&container.ns, &["-6", "route", "show", "default"]);
    assert_eq!(default[0]["gateway"], site.lan.router_ns().link_local("eth0").unwrap().to_string());
}

/// What it says of itself.
fn assert_shown(site: &Site, name: &str, address: Ipv6Addr) {
    let shown = site.shown(name);
    assert_eq!(shown["state"], "OFF", "{shown}");
    assert_eq!(shown["address"], Value::Null, "{shown}");
    assert_eq!(shown["ipv6"]["addresses"][0]["address"], address.to_string(), "{shown}");
    assert_eq!(site.status()["networks"][0]["ipv4"], false);
}

/// Not a packet of DHCPv4 has come.
fn assert_silent(server: &Dnsmasq) {
    let of_dhcp4 = [Message::Discover, Message::Request, Message::Decline, Message::Release];
    for message in of_dhcp4 {
        let lines = DhcpServer::logged(server, message, MAC);
        // Some of its words are those of DHCPv6, with the DUID behind them.
        let lines: Vec<_> = lines.iter().filter(|line| !line.contains(DUID)).collect();
        assert_eq!(lines, [] as [&String; 0], "{message:?}");
    }
    assert_eq!(server.leases().unwrap(), []);
}

#[test]
fn a_container_has_ipv6_and_nothing_else() {
    let mut site = site_with_ipv6();
    let server = router(&site, Mode6::Stateful);
    network(&site, &[]);
    let container = site.run("lan", "web", MAC);
    assert_eq!(container.endpoint.address, "");
    let address = server.leases6().unwrap()[0].ip;
    assert_eq!(address_of(&container.endpoint), address);
    assert_eq!(container.joined.get("Gateway"), None);
    assert_eq!(container.joined["DisableGatewayService"], true, "no docker_gwbridge");
    assert_eq!(container.joined["StaticRoutes"], json!([]));
    assert_ipv6_only(&site, &container, address);
    assert_shown(&site, "web", address);
    // Two containers cannot have one MAC.
    let refusal = site.try_create("lan", "two", MAC).unwrap_err();
    assert!(refusal.contains("is in use on br0"), "{refusal}");
    container.stop(&site);
    eventually("the lease given back", SOON, || same(server.leases6().unwrap().len(), &0));
    assert_eq!(server.logged6(Message6::Release, DUID).len(), 1);
    assert_silent(&server);
    assert_eq!(site.endpoint_links(), [] as [&str; 0]);
    assert_eq!(site.stop_and_read_store(), (vec![id("lan")], vec![]));
}

#[test]
fn no_start_without_an_address() {
    let site = site_with_ipv6();
    let mut server =
        Dnsmasq::start(site.lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    network(&site, &[("lease_timeout", "1500ms")]);
    let refusal = site.try_create("lan", "one", MAC).unwrap_err();
    let said = "no IPv6 address is to be had on br0 within 1.5s";
    assert!(refusal.contains(said) && refusal.contains("ipv4=false"), "{refusal}");
    eventually("nothing is left", SOON, || same(site.endpoint_links().len(), &0));
    assert_eq!(site.status()["endpoints"], json!([]));

    let waits = [&ONLY[..], &[("no_server", "wait")]].concat();
    site.network("wait", &waits);
    let container = site.run("wait", "two", MAC);
    assert_eq!((&*container.endpoint.address, &*container.endpoint.address6), ("", ""));
    let options = ServerOptions { ipv6: Some(Mode6::Slaac), ..ServerOptions::default() };
    server.reconfigure("eth0", options).unwrap();
    // The router tells all of itself after a while, and is asked less and less often.
    eventually("the address", SOON * 2, || {
        let shown = site.shown("two")["ipv6"]["addresses"][0]["address"].clone();
        same(shown, &json!(MADE.to_string()))
    });
    assert_ipv6_only(&site, &container, MADE);
    assert_silent(&server);
}

#[test]
fn neither_family_is_refused() {
    let site = Site::new();
    let argument = site.network_argument("lan", &[("ipv4", "false")]);
    let refusal = site.call("CreateNetwork", &argument).unwrap_err();
    assert!(refusal.contains("neither IPv4 nor IPv6"), "{refusal}");
    // `docker network create --ipv4=false`, and an option that says otherwise.
    let mut argument = site.network_argument("lan", &[]);
    argument["Options"]["com.docker.network.enable_ipv4"] = false.into();
    let refusal = site.call("CreateNetwork", &argument).unwrap_err();
    assert!(refusal.contains("neither IPv4 nor IPv6"), "{refusal}");
    argument["Options"]["com.docker.network.generic"]["ipv4"] = "true".into();
    site.ok("CreateNetwork", &argument);
}

#[test]
fn a_container_that_comes_back_has_its_address_again() {
    let mut site = site_with_ipv6();
    let server = router(&site, Mode6::Stateful);
    network(&site, &[("release_delay", "10m")]);
    let container = site.run("lan", "web", MAC);
    let address = address_of(&container.endpoint);
    container.stop(&site);
    let held = |site: &Site| site.shown("web")["held_until"].is_string();
    assert!(held(&site), "{}", site.shown("web"));
    // Over a restart of the daemon as well.
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    eventually("it is held", SOON, || same(held(&site), &true));
    let again = site.run("lan", "again", MAC);
    assert_eq!(address_of(&again.endpoint), address);
    assert_ipv6_only(&site, &again, address);
    assert_eq!(server.logged6(Message6::Solicit, DUID).len(), 1);
    assert_eq!(server.logged6(Message6::Release, DUID).len(), 0);
    assert_silent(&server);
}

#[test]
fn after_a_crash_of_the_daemon_it_goes_on_and_is_given_back() {
    let mut site = site_with_ipv6();
    let server = router(&site, Mode6::Stateful);
    network(&site, &[]);
    let container = site.run("lan", "web", MAC);
    let address = address_of(&container.endpoint);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    eventually("it is known again", SOON, || {
        same(site.shown("web")["state"].clone(), &json!("OFF"))
    });
    assert_shown(&site, "web", address);
    assert_ipv6_only(&site, &container, address);
    container.stop(&site);
    eventually("the lease given back", SOON, || same(server.leases6().unwrap().len(), &0));
    assert_silent(&server);
}

#[test]
fn after_a_reboot_of_the_host_it_asks_whether_its_address_is_still_right() {
    let mut site = site_with_ipv6();
    let server = router(&site, Mode6::Stateful);
    network(&site, &[]);
    let container = site.run("lan", "web", MAC);
    let address = address_of(&container.endpoint);
    site.boot(true);
    let held = |site: &Site| site.shown("web")["held_until"].is_string();
    eventually("it waits for its container", SOON, || same(held(&site), &true));
    let again = site.run("lan", "again", MAC);
    assert_eq!(address_of(&again.endpoint), address);
    assert_ipv6_only(&site, &again, address);
    assert_eq!(server.logged6(Message6::Confirm, DUID).len(), 1);
    assert_eq!(server.logged6(Message6::Solicit, DUID).len(), 1);
    assert_eq!(site.shown("web"), Value::Null);
    assert_silent(&server);
    drop(container);
}

/// The bridge is deleted and made again, with the daemon running and without.
#[test]
fn it_is_put_back_on_a_bridge_that_was_made_again() {
    let mut site = site_with_ipv6();
    let server = router(&site, Mode6::Stateful);
    network(&site, &[]);
    let container = site.run("lan", "web", MAC);
    let address = address_of(&container.endpoint);
    assert_ipv6_only(&site, &container, address);
    // The lab's own ports of it are the test's to put back.
    let again = "link add br0 type bridge\nlink set router master br0\nlink set laptop master br0\n\
                 link set br0 up\n";
    for runs in [true, false] {
        if !runs {
            site.landfall.kill9().unwrap();
        }
        site.host().ip_batch("link delete br0\n").unwrap();
        if !runs {
            site.landfall.restart().unwrap();
        }
        site.host().ip_batch(again).unwrap();
        assert_ipv6_only(&site, &container, address);
    }
    site.ok("Leave", &endpoint_ref(&container.endpoint));
    assert_silent(&server);
}
