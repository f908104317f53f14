//! Landfall as IPAM driver with leases in stock, and on a parent whose MAC the container has.

use std::collections::BTreeSet;

use lab::{DhcpServer, DhcpServer6, Dnsmasq, Lan, LanOptions, Mode6, Place, ServerOptions};
use serde_json::json;
use wire::dhcp4::MessageType;

use crate::container::Container;
use crate::macvlan::home;
use crate::pools::{Pool, pool, try_create};
use crate::server::{Grant, Reply, Request, Server};
use crate::site::{
    SOON, Site, endpoint_argument, eventually, id, ip_json, link_names, same, stocked,
};
use crate::warm::by_mac;

const BRIDGE: [(&str, &str); 1] = [("bridge", "br0")];
const PASSTHRU: [(&str, &str); 3] =
    [("mode", "macvlan"), ("parent", "eth0"), ("macvlan_mode", "passthru")];
const MAC: &str = "02:00:00:00:00:55";

#[test]
fn an_address_out_of_the_stock() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", by_mac);
    let pool = Pool::with_network(&site, "lan", &BRIDGE, &[("warm", "2")]);
    let stock = stocked(&site, 2);
    // While the server is deaf.
    server.behave(|_| Vec::new());
    let address = pool.address(&site, Some("web")).unwrap();
    assert!(stock.contains(&address), "{address} of {stock:?}");
    // With its MAC.
    let endpoint = try_create(&site, "lan", "web", "", &address).unwrap();
    let of_it = |kind| {
        let said = server.requests();
        let of_mac = |r: &&Request| r.kind == kind && r.message.chaddr.to_string() == endpoint.mac;
        said.iter().filter(of_mac).count()
    };
    assert_eq!(of_it(MessageType::Discover), 1, "in advance");
    let web = Container::start(&site, endpoint.clone());
    assert_eq!(web.cidrs(), std::slice::from_ref(&address));
    assert!(web.ping(Lan::ROUTER) && site.lan.laptop_ns().ping(web.ip()).unwrap());
    assert_eq!((site.leases("granted"), site.leases("handed_over")), (0, 1));

    // One that nobody comes for is given back, and another takes its place.
    server.behave(by_mac);
    let unused: BTreeSet<String> = stocked(&site, 2);
    let other = pool.address(&site, None).unwrap();
    assert!(unused.contains(&other), "{other} of {unused:?}");
    pool.give_back(&site, &other);
    server.wait_count(MessageType::Release, 1);
    assert!(!stocked(&site, 2).contains(&other));

    // Its name keeps the MAC.
    pool.end(&site, web);
    server.wait_count(MessageType::Release, 2);
    let again = pool.run(&site, "lan", "web");
    assert_eq!((&again.endpoint.mac, &again.endpoint.address), (&endpoint.mac, &address));
    pool.end(&site, again);
    site.delete_network("lan");
    pool.release(&site);
    server.wait_count(MessageType::Release, 5);
    assert_eq!(site.links(), ["br0", "laptop", "lo", "router"]);
    assert_eq!(site.stop_and_read_store(), (vec![], vec![]));
}

#[test]
fn ipv6_comes_with_it() {
    let site = Site::on(Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap());
    let options = ServerOptions { ipv6: Some(Mode6::Both), ..ServerOptions::default() };
    let server = Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap();
    let options = [("warm", "1"), ("ipv6", "auto")];
    let pool = Pool::with_network(&site, "lan", &BRIDGE, &options);
    stocked(&site, 1);
    eventually("a lease of IPv6", SOON, || same(server.leases6().unwrap().len(), &1));
    let leased = server.leases6().unwrap()[0].ip;
    let replies = || {
        let of_it = format!(" {leased} ");
        server.log().grep("DHCPREPLY").iter().filter(|line| line.contains(&of_it)).count()
    };
    eventually("the one that granted it", SOON, || same(replies(), &1));
    let web = pool.run(&site, "lan", "web");
    assert_eq!(web.endpoint.address6, format!("{leased}/128"));
    assert!(site.lan.ping6(Place::Laptop, leased).unwrap());
    assert_eq!(replies(), 1, "it was asked for in advance, and not again");
    pool.end(&site, web);
    site.delete_network("lan");
    pool.release(&site);
    eventually("given back", SOON, || same(server.leases6().unwrap().len(), &0));
    eventually("given back", SOON, || same(server.leases().unwrap().len(), &0));
}

/// The address is what the parent's MAC gets.
fn of_parent(request: &Request) -> Vec<Reply> {
    assert_eq!(request.message.chaddr.to_string(), MAC);
    Grant::new([10, 77, 1, 85]).answer(request)
}

#[test]
fn the_only_one_on_a_parent() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let card = format!(
        "link add wire type veth peer name eth0\nlink set wire master br0 up\n\
         link set eth0 address {MAC}\nlink set eth0 up\n"
    );
    lan.host_ns().ip_batch(&card).unwrap();
    let mut site = Site::on(lan);
    let links = site.links();
    let parent = ip_json(site.host(), &["link", "show", "eth0"]);
    let silence = [&PASSTHRU[..], &[("lease_timeout", "300ms")]].concat();
    let refusal = pool(&site, &silence, "").unwrap_err();
    assert!(refusal.contains("on eth0 within 0.3s") && !refusal.contains("master"), "{refusal}");
    let server = Server::start(site.lan.router_ns(), "eth0", of_parent);
    let pool = Pool::with_network(&site, "lan", &PASSTHRU, &[]);
    assert_eq!(pool.id, "parent:eth0:10.77.0.0/16");
    assert_eq!(server.count(MessageType::Request), 0, "no lease is taken");
    let refused = |words: &str| {
        let refusal = pool.address(&site, None).unwrap_err();
        assert!(refusal.contains(words), "{refusal}");
    };

    let address = pool.address(&site, None).unwrap();
    assert_eq!((&*address, server.count(MessageType::Request)), ("10.77.1.85/16", 1));
    assert_eq!(site.links(), links, "and nothing else is there");
    refused("there is one container on it");
    let discovers = server.count(MessageType::Discover);
    let endpoint = try_create(&site, "lan", "web", "", &address).unwrap();
    assert_eq!(endpoint.mac, "", "there is none to be set");
    let web = Container::start(&site, endpoint);
    assert_eq!(web.cidrs(), [address]);
    assert!(web.ping(Lan::ROUTER) && site.lan.laptop_ns().ping(web.ip()).unwrap());
    assert_eq!(server.count(MessageType::Discover), discovers, "it goes on with its lease");
    refused("there is one container on it");

    pool.end(&site, web);
    server.wait_count(MessageType::Release, 1);
    let again = pool.run(&site, "lan", "db");
    pool.end(&site, again);
    server.wait_count(MessageType::Release, 2);
    // A name has no other MAC here.
    let address = pool.address(&site, None).unwrap();
    let mut named = endpoint_argument("lan", "named", "");
    named["Interface"]["Address"] = json!(address);
    named["Options"]["identity"] = json!("named");
    let discovers = server.count(MessageType::Discover);
    site.ok("CreateEndpoint", &named);
    assert_eq!(server.count(MessageType::Discover), discovers, "it goes on with its lease");
    assert_eq!(server.count(MessageType::Release), 2);
    site.ok("DeleteEndpoint", &json!({"NetworkID": id("lan"), "EndpointID": id("named")}));
    server.wait_count(MessageType::Release, 3);
    site.delete_network("lan");
    pool.release(&site);
    eventually("nothing is left", SOON, || same(site.status()["endpoints"].clone(), &json!([])));
    assert_eq!((site.links(), link_names(&home(&site))), (links, vec!["lo".to_owned()]));
    assert_eq!(ip_json(site.host(), &["link", "show", "eth0"]), parent);
    assert_eq!(site.stop_and_read_store(), (vec![], vec![]));
}
