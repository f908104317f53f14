//! The lease of a container that has ended waits for its return.

use std::net::Ipv4Addr;

use lab::Place;
use serde_json::Value;
use wire::dhcp4::MessageType;

use crate::container::{Container, endpoint_ref};
use crate::server::{Grant, Request, Server};
use crate::site::{SOON, Site, eventually};

const MAC: &str = "02:00:00:00:00:42";

/// Who gets what: the last byte of the MAC is that of the address.
fn by_mac(request: &Request) -> Grant {
    let last = request.message.chaddr.0[5];
    Grant::new([10, 77, 1, last]).times(3600, 1800, 3150)
}

fn server(site: &Site) -> Server {
    Server::start(site.lan.router_ns(), "eth0", |request| by_mac(request).answer(request))
}

fn held(site: &Site, name: &str) -> bool {
    site.shown(name)["held_until"] != Value::Null
}

#[test]
fn it_is_handed_to_the_container_that_comes_back() {
    let site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let first = site.run("lan", "one", MAC);
    let one = first.endpoint.clone();
    let (address, ip) = (one.address.clone(), one.ip());
    first.stop(&site);
    assert_eq!(site.endpoint_links(), [] as [&str; 0]);
    assert_eq!(site.shown("one")["address"], address);
    // The port answers for the address meanwhile.
    let ping = ["ping", "-c", "1", "-W", "1", &ip.to_string()];
    assert!(!site.lan.router_ns().run(&ping).unwrap().status.success());
    let neighbours = ["ip", "neigh", "show", &ip.to_string()];
    let neighbours = site.lan.router_ns().ok(&neighbours).unwrap();
    assert!(neighbours.contains(MAC), "{neighbours}");

    let mark = server.mark();
    let second = site.run("lan", "two", MAC);
    assert_eq!(second.endpoint.address, address);
    assert_eq!(server.mark(), mark, "not a word to the server");
    assert!(site.lan.ping(Place::Laptop, ip).unwrap());
    assert_eq!(site.shown("one"), Value::Null);
    assert!(!held(&site, "two"));
    assert_eq!(site.leases("handed_over"), 1);

    // What the engine still has to say of the first is no matter of the second's.
    site.ok("Leave", &endpoint_ref(&one));
    site.ok("DeleteEndpoint", &endpoint_ref(&one));
    assert!(site.lan.ping(Place::Laptop, ip).unwrap());
    second.stop(&site);
    site.delete_network("lan");
    server.wait_count(MessageType::Release, 1);
    assert_eq!(server.count(MessageType::Discover), 1);
    assert_eq!(site.links(), ["br0", "laptop", "lo", "router"]);
}

#[test]
fn nobody_else_gets_it_and_it_is_given_back_in_time() {
    let mut site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "2s")]);
    site.run("lan", "one", MAC).stop(&site);
    let other = site.create("lan", "other", "");
    assert_ne!(other.mac, MAC);
    assert_eq!(server.count(MessageType::Release), 0);
    assert!(held(&site, "one"));
    server.wait_count(MessageType::Release, 1);
    let released = server.wait_for(MessageType::Release, SOON);
    assert_eq!(released.message.chaddr.to_string(), MAC);
    eventually("forgotten", SOON, || match site.shown("one") {
        Value::Null => Ok(()),
        shown => Err(shown.to_string()),
    });
    site.ok("DeleteEndpoint", &endpoint_ref(&other));
    let (_, endpoints) = site.stop_and_read_store();
    assert_eq!(endpoints, [] as [&str; 0]);
}

#[test]
fn what_never_ran_is_given_back_at_once() {
    let site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let one = site.create("lan", "one", MAC);
    site.ok("DeleteEndpoint", &endpoint_ref(&one));
    server.wait_count(MessageType::Release, 1);
    assert_eq!(site.shown("one"), Value::Null);
}

#[test]
fn a_return_that_fails_leaves_it_held() {
    let site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let first = site.run("lan", "one", MAC);
    let address = first.endpoint.address.clone();
    first.stop(&site);
    // The engine could not start it after all.
    let two = site.create("lan", "two", MAC);
    site.ok("DeleteEndpoint", &endpoint_ref(&two));
    assert!(held(&site, "two"));
    assert_eq!(site.endpoint_links(), [] as [&str; 0]);
    assert_eq!(site.run("lan", "three", MAC).endpoint.address, address);
    assert_eq!(server.count(MessageType::Discover), 1);
    assert_eq!(server.count(MessageType::Release), 0);
}

#[test]
fn it_outlives_the_daemon() {
    let mut site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    site.run("lan", "one", MAC).stop(&site);
    site.run("lan", "old", "02:00:00:00:00:43").stop(&site);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    assert!(held(&site, "one") && held(&site, "old"));
    assert!(site.landfall.stop().unwrap().success());
    site.landfall.restart().unwrap();
    assert!(held(&site, "one") && held(&site, "old"));
    let again = site.run("lan", "two", MAC);
    assert!(again.ping(lab::Lan::ROUTER));
    assert_eq!(server.count(MessageType::Discover), 2);
    assert_eq!(server.count(MessageType::Release), 0);
}

#[test]
fn a_container_that_ended_while_the_daemon_was_away_is_held() {
    let mut site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let container = site.run("lan", "one", MAC);
    let address = container.endpoint.address.clone();
    site.landfall.kill9().unwrap();
    container.ns.ip_batch("link del eth0\n").unwrap();
    site.landfall.restart().unwrap();
    assert!(held(&site, "one"));
    assert_eq!(site.run("lan", "two", MAC).endpoint.address, address);
    assert_eq!(server.count(MessageType::Release), 0);
}

#[test]
fn the_oldest_makes_room_when_the_pool_is_empty() {
    let site = Site::new();
    // Two addresses, for whoever asks first.
    let mut leases: Vec<(Ipv4Addr, Option<wire::MacAddr>)> =
        [1, 2].map(|last| (Ipv4Addr::new(10, 77, 1, last), None)).into();
    let server = Server::start(site.lan.router_ns(), "eth0", move |request: &Request| {
        let mac = request.message.chaddr;
        if request.kind == MessageType::Release {
            leases.iter_mut().filter(|(_, at)| *at == Some(mac)).for_each(|(_, at)| *at = None);
            return vec![];
        }
        let mine = leases.iter().position(|(_, at)| *at == Some(mac));
        let Some(place) = mine.or_else(|| leases.iter().position(|(_, at)| at.is_none())) else {
            return vec![];
        };
        leases[place].1 = Some(mac);
        Grant::new(leases[place].0.octets()).answer(request)
    });
    site.network("lan", &[("release_delay", "1h")]);
    site.run("lan", "one", "02:00:00:00:00:01").stop(&site);
    site.run("lan", "two", "02:00:00:00:00:02").stop(&site);
    let third = site.create("lan", "three", "02:00:00:00:00:03");
    assert_eq!(third.ip(), Ipv4Addr::new(10, 77, 1, 1));
    assert_eq!(server.count(MessageType::Release), 1);
    assert!(held(&site, "two"));
    let second = site.create("lan", "four", "02:00:00:00:00:02");
    assert_eq!(second.ip(), Ipv4Addr::new(10, 77, 1, 2));
}

/// dnsmasq looks for three seconds whether anybody has the address that it would offer.
#[test]
fn a_slow_server_costs_nobody_a_lease() {
    let site = Site::new();
    let mut asked = 0;
    let server = Server::start(site.lan.router_ns(), "eth0", move |request| {
        let slow = request.message.chaddr.0[5] == 2 && request.kind == MessageType::Discover;
        asked += usize::from(slow);
        // The third DISCOVER comes after three seconds.
        if slow && asked < 3 { vec![] } else { by_mac(request).answer(request) }
    });
    site.network("lan", &[("release_delay", "1h")]);
    site.run("lan", "one", "02:00:00:00:00:01").stop(&site);
    site.create("lan", "two", "02:00:00:00:00:02");
    assert_eq!(server.count(MessageType::Release), 0);
    assert!(held(&site, "one"));
}

/// Nothing is gained by giving it something back.
#[test]
fn a_dead_server_costs_nobody_a_lease() {
    let site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h"), ("lease_timeout", "7500ms")]);
    let one = site.run("lan", "one", "02:00:00:00:00:01");
    let address = one.endpoint.address.clone();
    one.stop(&site);
    server.behave(|_| vec![]);
    let refusal = site.try_create("lan", "two", "02:00:00:00:00:02").unwrap_err();
    assert!(refusal.contains("no DHCP server answered on br0 within 7.5s"), "{refusal}");
    // It was asked whether it prolongs what is held, and had not a word for that either.
    let ours = |request: &Request| request.message.chaddr.0[5] == 1;
    server.wait_after(0, "a renewal", SOON, |request| {
        ours(request) && !request.message.ciaddr.is_unspecified()
    });
    assert_eq!(server.count(MessageType::Release), 0);
    assert_eq!(site.run("lan", "three", "02:00:00:00:00:01").endpoint.address, address);
}

#[test]
fn the_end_of_its_network_is_the_end_of_it() {
    let site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let containers: Vec<Container> = (1..=5)
        .map(|n| site.run("lan", &format!("c{n}"), &format!("02:00:00:00:00:0{n}")))
        .collect();
    for container in containers {
        container.stop(&site);
    }
    assert_eq!(server.count(MessageType::Release), 0);
    site.delete_network("lan");
    server.wait_count(MessageType::Release, 5);
    assert_eq!(site.links(), ["br0", "laptop", "lo", "router"]);
}
