//! Leases taken in advance (`warm`).

use std::net::Ipv4Addr;

use lab::{DhcpServer, DhcpServer6, Dnsmasq, Lan, Place, ServerOptions};
use serde_json::{Value, json};
use wire::dhcp4::MessageType;

use crate::server::{Grant, Reply, Request, Server};
use crate::site::{SOON, Site, eventually, same, stocked, stocked_for_good};

const MAC: &str = "02:00:00:00:00:42";

/// Who gets what: the last two bytes of the MAC are those of the address.
pub(crate) fn by_mac(request: &Request) -> Vec<Reply> {
    let [.., c, d] = request.message.chaddr.0;
    Grant::new([10, 77, c | 1, d | 1]).times(1800, 3150, 3600).answer(request)
}

#[test]
fn a_container_starts_without_a_word_to_the_server() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", by_mac);
    site.network("lan", &[("warm", "2")]);
    let stock = stocked(&site, 2);
    // While the server is deaf.
    server.behave(|_| Vec::new());
    let container = site.run("lan", "one", "");
    assert!(stock.contains(&container.endpoint.address), "{stock:?}");
    assert!(site.lan.ping(Place::Laptop, container.ip()).unwrap());
    assert_eq!(site.leases("handed_over"), 1);
    let mac = container.endpoint.mac.clone();
    let of_it = |kind| {
        let said = server.requests();
        let of_mac = |r: &&Request| r.kind == kind && r.message.chaddr.to_string() == mac;
        said.iter().filter(of_mac).count()
    };
    assert_eq!(of_it(MessageType::Discover), 1, "in advance");
    // One that has a MAC of its own asks for itself.
    server.behave(by_mac);
    let own = site.run("lan", "own", MAC);
    assert_eq!(own.endpoint.mac, MAC);
    // The stock is filled up, not more.
    assert_eq!(stocked(&site, 2).intersection(&stock).count(), 1);
    own.stop(&site);
    container.stop(&site);
    server.wait_count(MessageType::Release, 2);
    site.delete_network("lan");
    server.wait_count(MessageType::Release, 4);
    assert_eq!(site.links(), ["br0", "laptop", "lo", "router"]);
    assert_eq!(site.stop_and_read_store(), (vec![], vec![]));
}

#[test]
fn the_daemon_and_the_machine_go_on_with_them() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", by_mac);
    site.network("lan", &[("warm", "3")]);
    let stock = stocked_for_good(&site, 3);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    assert_eq!(stocked(&site, 3), stock);
    let discovers = server.count(MessageType::Discover);
    site.boot(true);
    assert_eq!(stocked(&site, 3), stock);
    assert_eq!(server.count(MessageType::Discover), discovers, "each asks for what it had");
    let container = site.run("lan", "one", "");
    assert!(stock.contains(&container.endpoint.address), "{stock:?}");
    container.stop(&site);
    stocked(&site, 3);
    site.delete_network("lan");
    server.wait_count(MessageType::Release, 4);
}

#[test]
fn a_pool_that_is_empty_gives_to_containers_first() {
    let site = Site::new();
    let pool = (Ipv4Addr::new(10, 77, 1, 1), Ipv4Addr::new(10, 77, 1, 2));
    let pool = ServerOptions { pool, ..ServerOptions::default() };
    let server = Dnsmasq::start(site.lan.router_ns(), "eth0", pool).unwrap();
    site.network("lan", &[("warm", "5")]);
    let stock = stocked(&site, 2);
    let container = site.run("lan", "own", MAC);
    assert!(stock.contains(&container.endpoint.address), "{stock:?}");
    let leases = server.leases().unwrap();
    assert_eq!(leases.len(), 2);
    assert!(leases.iter().any(|lease| lease.mac == MAC));
    container.stop(&site);
    site.delete_network("lan");
    eventually("given back", SOON, || same(server.leases().unwrap().len(), &0));
}

#[test]
fn a_lease_in_stock_that_the_server_takes_back_goes() {
    let site = Site::new();
    let short = |request: &Request| {
        let [.., c, d] = request.message.chaddr.0;
        Grant::new([10, 77, c | 1, d | 1]).times(2, 60, 120).answer(request)
    };
    let server = Server::start(site.lan.router_ns(), "eth0", short);
    site.network("lan", &[("warm", "1")]);
    stocked(&site, 1);
    server.behave(|request| match request.kind {
        MessageType::Request => vec![crate::server::nak(request, Lan::ROUTER, "not any more")],
        _ => Vec::new(),
    });
    stocked(&site, 0);
    eventually("removed", SOON, || same(site.status()["endpoints"].clone(), &json!([])));
    let mark = server.mark();
    server.behave(by_mac);
    let container = site.run("lan", "one", "");
    assert!(container.ping(Lan::ROUTER));
    let said = server.requests();
    let own = said[mark..].iter().all(|r| r.message.chaddr.to_string() == container.endpoint.mac);
    assert!(own, "nobody else asks for a while: {:?}", &said[mark..]);
}

/// The host is there before its LAN: what it had in stock is asked for again when that has come.
fn a_boot_too_early(
    says: &str,
    away: impl FnOnce(&Site, &Server),
    back: impl FnOnce(&Site, &Server),
) {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", by_mac);
    site.network("lan", &[("warm", "2"), ("lease_timeout", "1s")]);
    let stock = stocked_for_good(&site, 2);
    away(&site, &server);
    site.boot(true);
    site.landfall.log().wait_for(says, SOON).unwrap();
    back(&site, &server);
    assert_eq!(stocked(&site, 2), stock);
    site.delete_network("lan");
    server.wait_count(MessageType::Release, 2);
}

#[test]
fn a_boot_before_the_bridge() {
    let set = |site: &Site, how| site.host().ip_batch(&format!("link set br0 {how}\n")).unwrap();
    a_boot_too_early("no lease in advance", |site, _| set(site, "down"), |site, _| set(site, "up"));
}

#[test]
fn a_boot_before_the_server() {
    a_boot_too_early(
        "no server gives a lease in advance",
        |_, server| server.behave(|_| Vec::new()),
        |_, server| server.behave(by_mac),
    );
}

#[test]
fn with_ipv6() {
    let lan = Lan::new(lab::LanOptions { ipv6: true, ..Default::default() }).unwrap();
    let site = Site::on(lan);
    let options = ServerOptions { ipv6: Some(lab::Mode6::Both), ..ServerOptions::default() };
    let server = Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap();
    site.network("lan", &[("warm", "1"), ("ipv6", "auto")]);
    stocked(&site, 1);
    eventually("a lease of IPv6", SOON, || same(server.leases6().unwrap().len(), &1));
    let leased = server.leases6().unwrap()[0].ip;
    let container = site.run("lan", "one", "");
    assert_eq!(container.endpoint.address6, format!("{leased}/128"));
    assert!(site.lan.ping6(Place::Laptop, leased).unwrap());
    // The next one is on its way: whatever its server grants in this moment comes back as well.
    container.stop(&site);
    site.delete_network("lan");
    eventually("given back", SOON, || same(server.leases6().unwrap().len(), &0));
}

#[test]
fn what_cannot_be() {
    let site = Site::new();
    for (options, words) in [
        (&[("warm", "65")][..], "option warm=\"65\": a number of leases, 0 to 64"),
        (&[("warm", "-1")], "a number of leases, 0 to 64"),
        (&[("warm", "1"), ("client_id", "x")], "no two leases have the same client_id"),
        (&[("warm", "1"), ("ipv4", "false"), ("ipv6", "auto")], "the network has no IPv4"),
        (
            &[("warm", "1"), ("mode", "macvlan"), ("macvlan_mode", "passthru"), ("parent", "eth0")],
            "a card that is passed through has one container",
        ),
    ] {
        let refusal = site.call("CreateNetwork", &site.network_argument("lan", options));
        let refusal = refusal.unwrap_err();
        assert!(refusal.contains(words), "{refusal}");
    }
    assert_eq!(site.status()["networks"], Value::Array(vec![]));
}
