//! Where the server stands, and how its replies come.

use std::net::Ipv4Addr;

use lab::{Capture, DhcpServer, Dnsmasq, Kea, Lan, LanOptions, Message, Namespace, ServerOptions};
use serde_json::json;
use wire::dhcp4::MessageType;

use crate::container::endpoint_ref;
use crate::server::{Grant, Server};
use crate::site::{SOON, Site, eventually, id, ip_json};

const MAC: &str = "02:00:00:00:00:42";

/// A container's whole life with a real server: one DISCOVER, a renewal that is answered, a RELEASE.
fn life_with(site: &Site, server: &dyn DhcpServer) {
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    assert!(container.ping(Lan::ROUTER));
    let expiry = |site: &Site| site.shown("web")["expires_at"].as_str().unwrap().to_owned();
    let first = expiry(site);
    eventually("a renewal", SOON, || {
        let now = expiry(site);
        if now > first { Ok(()) } else { Err(now) }
    });
    assert_eq!(site.shown("web")["state"], "BOUND");
    assert_eq!(server.logged(Message::Discover, MAC).len(), 1);
    container.stop(site);
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    assert_eq!(server.logged(Message::Release, MAC).len(), 1);
    assert_eq!(server.logged(Message::Nak, MAC).len(), 0);
}

/// dnsmasq takes no note of a T1 of two seconds or less.
fn quick_renewals() -> ServerOptions {
    ServerOptions { renew: Some(3), rebind: Some(100), ..ServerOptions::default() }
}

#[test]
fn dnsmasq_on_the_lan() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", quick_renewals()).unwrap();
    life_with(&Site::on(lan), &server);
}

#[test]
fn kea_on_the_lan() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = Kea::start(lan.router_ns(), "eth0", quick_renewals()).unwrap();
    life_with(&Site::on(lan), &server);
}

#[test]
fn dnsmasq_on_the_host_itself() {
    let options = LanOptions { host_address: Some("10.77.0.2/16".into()), ..LanOptions::default() };
    let lan = Lan::new(options).unwrap();
    let server = Dnsmasq::start(lan.host_ns(), "br0", quick_renewals()).unwrap();
    let site = Site::on(lan);
    life_with(&site, &server);
}

#[test]
fn dnsmasq_in_a_container_on_the_bridge() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let place = lan.add_machine("vethd00").unwrap();
    place.ip_batch("addr add 10.77.0.3/16 dev eth0\n").unwrap();
    let server = Dnsmasq::start(&place, "eth0", quick_renewals()).unwrap();
    let site = Site::on(lan);
    life_with(&site, &server);
}

#[test]
fn a_server_in_a_container_of_landfalls_own() {
    let site = Site::new();
    let router = Server::granting(&site.lan, Grant::new([10, 77, 1, 1]));
    site.network("lan", &[]);
    let host = site.run("lan", "server", "");
    drop(router);
    let address = host.ip();
    let grant = Grant { server: Some(address), ..Grant::new([10, 77, 1, 5]) }.times(1, 100, 200);
    let server = Server::start(&host.ns, "eth0", move |request| grant.answer(request));
    let container = site.run("lan", "web", MAC);
    assert!(container.ping(address));
    // By unicast from one container to the other.
    let renewal = server.wait_after(0, "a renewal", SOON, |r| {
        r.kind == MessageType::Request && r.message.ciaddr == container.ip()
    });
    assert_eq!(renewal.to, address);
    container.stop(&site);
    server.wait_for(MessageType::Release, SOON);
}

#[test]
fn replies_by_unicast() {
    let site = Site::new();
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    let grant = Grant { unicast: true, ..Grant::new([10, 77, 1, 5]) };
    let server = Server::granting(&site.lan, grant);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(server.count(MessageType::Discover), 1);
    capture.wait_for("the ACK", SOON, |f| f.dhcp().is_some_and(|dhcp| dhcp.kind == 5)).unwrap();
    let replies = capture.pick(|f| f.dhcp().filter(|dhcp| [2, 5].contains(&dhcp.kind)));
    assert_eq!(replies.len(), 2);
    assert!(replies.iter().all(|reply| reply.destination == MAC), "{replies:?}");
}

#[test]
fn replies_by_broadcast() {
    let site = Site::new();
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(server.count(MessageType::Discover), 1);
    capture.wait_for("the ACK", SOON, |f| f.dhcp().is_some_and(|dhcp| dhcp.kind == 5)).unwrap();
    let replies = capture.pick(|f| f.dhcp().filter(|dhcp| [2, 5].contains(&dhcp.kind)));
    assert!(replies.iter().all(|reply| reply.destination == "ff:ff:ff:ff:ff:ff"), "{replies:?}");
}

/// The MAC was in use on another machine of the LAN a moment ago: the bridge would send unicast replies there.
#[test]
fn a_mac_that_was_last_seen_behind_the_uplink() {
    let site = Site::new();
    let grant = Grant { unicast: true, ..Grant::new([10, 77, 1, 5]) };
    let server = Server::granting(&site.lan, grant);
    site.network("lan", &[]);
    // The laptop speaks with that MAC once.
    site.lan
        .laptop_ns()
        .ip_batch(&format!(
            "link add moved link eth0 address {MAC} type macvlan mode bridge\n\
             addr add 10.77.9.9/16 dev moved noprefixroute\nlink set moved up\n"
        ))
        .unwrap();
    let learnt = || site.host().ok(&["bridge", "fdb", "show", "br", "br0"]).unwrap();
    let of_mac = |fdb: &str| -> Vec<String> {
        fdb.lines().filter(|line| line.starts_with(MAC)).map(String::from).collect()
    };
    site.lan.laptop_ns().run(&["ping", "-c", "1", "-W", "1", "-I", "moved", "10.77.0.1"]).unwrap();
    eventually("the stale entry", SOON, || {
        let entries = of_mac(&learnt());
        if entries.iter().any(|e| e.contains("dev laptop")) { Ok(()) } else { Err(learnt()) }
    });
    site.lan.laptop_ns().ip_batch("link del moved\n").unwrap();

    let container = site.run("lan", "web", MAC);
    assert_eq!(server.count(MessageType::Discover), 1);
    assert!(container.ping(Lan::ROUTER));
    let entries = of_mac(&learnt());
    assert!(entries.iter().all(|e| e.contains("dev lf-")), "{entries:?}");
}

/// The server stands in another network; a relay carries its words.
#[test]
fn a_server_behind_a_relay() {
    let site = Site::new();
    let far = Ipv4Addr::new(10, 99, 0, 1);
    site.lan.router_ns().ip_batch(&format!("addr add {far}/32 dev lo\n")).unwrap();
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    let grant = Grant { server: Some(far), ..Grant::new([10, 77, 1, 5]) }.times(1, 100, 200);
    let server = Server::granting(&site.lan, grant);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    let renewal = server.wait_after(0, "a renewal", SOON, |r| {
        r.kind == MessageType::Request && r.message.ciaddr == container.ip()
    });
    assert_eq!(renewal.to, far);
    let router = mac_of(site.lan.router_ns());
    let sent = capture
        .wait_for("the renewal", SOON, |f| f.dhcp().is_some_and(|d| d.kind == 3 && d.to == far))
        .unwrap();
    assert_eq!(sent.dhcp().unwrap().destination, router, "through the router");
    container.stop(&site);
    assert_eq!(server.wait_for(MessageType::Release, SOON).to, far);
}

fn mac_of(ns: &Namespace) -> String {
    ip_json(ns, &["link", "show", "eth0"])[0]["address"].as_str().unwrap().to_owned()
}

/// `docker network rm` right after the last container: the RELEASE still finds its way out.
#[test]
fn a_network_that_is_removed_while_a_release_is_on_its_way() {
    let site = Site::new();
    let far = Ipv4Addr::new(10, 99, 0, 1);
    let grant = Grant { server: Some(far), ..Grant::new([10, 77, 1, 5]) };
    let server = Server::granting(&site.lan, grant);
    site.network("lan", &[]);
    let endpoint = site.create("lan", "web", MAC);
    // The way to the server must be asked for, and the one who knows it takes its time.
    site.lan
        .router_ns()
        .ip_batch(&format!("addr add {far}/32 dev lo\nlink set eth0 arp off\n"))
        .unwrap();
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.ok("Leave", &endpoint_ref(&endpoint));
    site.ok("DeleteEndpoint", &endpoint_ref(&endpoint));
    let removal = site.begin("DeleteNetwork", &json!({ "NetworkID": id("lan") }));
    let asks = |f: &lab::Frame| f.arp().is_some_and(|arp| arp.target == Lan::ROUTER);
    capture.wait_for("a question for the router", SOON, asks).unwrap();
    site.lan.router_ns().ip_batch("link set eth0 arp on\n").unwrap();
    server.wait_for(MessageType::Release, SOON);
    assert!(removal.answer().starts_with("HTTP/1.1 200"));
    assert_eq!(site.links(), ["br0", "laptop", "lo", "router"]);
}
