//! Links that go down, come up and go away; ports that wait; daemons side by side.

use lab::{Arp, Capture, Frame, Lan, LanOptions, Landfall, Place, landfall_binary};
use serde_json::json;
use wire::dhcp4::MessageType;

use crate::container::Container;
use crate::server::{Grant, Request, Server};
use crate::site::{SOON, Site, eventually, id, ip_json, link_names, same};

const MAC: &str = "02:00:00:00:00:42";

fn prolongs(request: &Request) -> bool {
    request.kind == MessageType::Request && !request.message.ciaddr.is_unspecified()
}

/// Who gets what: the last byte of the MAC is that of the address.
fn server_by_mac(lan: &Lan) -> Server {
    Server::start(lan.router_ns(), "eth0", |request| {
        let last = request.message.chaddr.0[5];
        Grant::new([10, 77, 1, last]).times(1, 60, 120).answer(request)
    })
}

fn announces(frame: &Frame, ip: std::net::Ipv4Addr) -> bool {
    frame.arp().is_some_and(|Arp { sender, target, .. }| (sender, target) == (ip, ip))
}

#[test]
fn a_link_that_is_set_down_in_the_container_and_up_again() {
    let site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    assert!(container.ping(Lan::ROUTER));
    let ip = container.ip();
    container.ns.ip_batch("link set eth0 down\n").unwrap();
    // The place is held: the lease is renewed through the port, which answers ARP as well.
    let expiry = site.shown("web")["expires_at"].clone();
    let mark = server.mark();
    server.wait_after(mark, "a renewal", SOON, prolongs);
    eventually("an answer to it", SOON, || {
        let now = site.shown("web")["expires_at"].clone();
        if now == expiry { Err(site.shown("web").to_string()) } else { Ok(()) }
    });
    site.lan.router_ns().ip_batch(&format!("neigh flush to {ip}\n")).unwrap();
    site.lan.router_ns().run(&["ping", "-c", "1", "-W", "1", &ip.to_string()]).unwrap();
    let neighbours = site.lan.router_ns().ok(&["ip", "neigh", "show", &ip.to_string()]).unwrap();
    assert!(neighbours.contains(MAC), "{neighbours:?}");

    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    container.ns.ip_batch("link set eth0 up\n").unwrap();
    capture.wait_for("an announcement", SOON, |frame| announces(frame, ip)).unwrap();
    assert!(site.lan.ping(Place::Laptop, ip).unwrap());
    assert_eq!(container.cidrs(), std::slice::from_ref(&container.endpoint.address));
    let mark = server.mark();
    server.wait_after(mark, "a renewal", SOON, prolongs);
    eventually("an answer to it", SOON, || {
        same(site.shown("web")["state"].clone(), &json!("BOUND"))
    });
    assert_eq!(server.count(MessageType::Discover), 1);
}

#[test]
fn a_sandbox_that_goes_away_without_a_word() {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    container.ns.ip_batch("link del eth0\n").unwrap();
    let release = server.wait_for(MessageType::Release, SOON);
    assert_eq!(release.message.ciaddr, container.ip());
    eventually("the endpoint gone", SOON, || same(site.status()["endpoints"].clone(), &json!([])));
    // The engine comes to it later.
    container.leave(&site);
    container.delete(&site);
    assert_eq!(server.count(MessageType::Release), 1);
    // The MAC is free.
    site.create("lan", "next", MAC);
    assert_eq!(site.stop_and_read_store().1, [id("next")]);
}

#[test]
fn a_bridge_that_is_down() {
    let site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    site.host().ip_batch("link set br0 down\n").unwrap();
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    assert!(refusal.contains("bridge br0 is down: `ip link set br0 up`"), "{refusal}");
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
    site.host().ip_batch("link set br0 up\n").unwrap();
    let container = site.run("lan", "web", MAC);
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(server.count(MessageType::Discover), 1);
}

/// Spanning tree's delay is paid once, by the port, and not by every container or every start of the daemon.
#[test]
fn a_port_that_has_come_through_spanning_tree_stays_open() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    // The shortest delay there is: two seconds of listening, two of learning.
    lan.host_ns().ip_batch("link set br0 type bridge stp_state 1 forward_delay 200\n").unwrap();
    let mut site = Site::on(lan);
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let port = site.links().into_iter().find(|link| link.starts_with("lfp-")).unwrap();
    eventually("the port forwarding", SOON, || {
        let link = &ip_json(site.host(), &["link", "show", &port])[0];
        same(link["linkinfo"]["info_slave_data"]["state"].clone(), &json!("forwarding"))
    });
    site.landfall.restart().unwrap();
    site.create("lan", "web", MAC);
    assert_eq!(server.count(MessageType::Discover), 1);
}

/// The plugin and the host service, or two engines, on one bridge.
#[test]
fn two_daemons_on_one_bridge() {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    let before = site.links();
    let mut other = Landfall::spawn_in(site.host(), &landfall_binary().unwrap(), &[], &[]).unwrap();
    site.network("one", &[]);
    let ours = site.run("one", "a", "02:00:00:00:00:0a");
    std::mem::swap(&mut site.landfall, &mut other);
    site.network("two", &[]);
    let theirs = site.run("two", "b", "02:00:00:00:00:0b");
    assert!(ours.ping(theirs.ip()) && theirs.ping(ours.ip()) && theirs.ping(Lan::ROUTER));
    assert_eq!(site.status()["endpoints"].as_array().unwrap().len(), 1);
    // A renewal of each, answered.
    for last in [0x0a, 0x0b] {
        let mark = server.mark();
        server
            .wait_after(mark, "a renewal", SOON, |r| prolongs(r) && r.message.chaddr.0[5] == last);
    }
    // Neither takes away what is the other's, not even at its start.
    site.landfall.restart().unwrap();
    theirs.stop(&site);
    site.delete_network("two");
    std::mem::swap(&mut site.landfall, &mut other);
    assert!(ours.ping(Lan::ROUTER));
    ours.stop(&site);
    site.delete_network("one");
    assert_eq!(site.links(), before);
    server.wait_count(MessageType::Release, 2);
    assert_eq!(server.count(MessageType::Discover), 2);
}

#[test]
fn a_link_that_never_gets_into_a_sandbox() {
    // An engine that fails between Join and the move rolls back with Leave and DeleteEndpoint.
    let site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let container = Container::join(&site, site.create("lan", "web", MAC));
    container.leave(&site);
    container.delete(&site);
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
    server.wait_for(MessageType::Release, SOON);
}

#[test]
fn a_dead_containers_link_goes_at_leave() {
    let site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    container.leave(&site);
    eventually("no link", SOON, || same(site.endpoint_links(), &vec![]));
    server.wait_for(MessageType::Release, SOON);
    container.move_out(&site);
    container.delete(&site);
    server.wait_count(MessageType::Release, 1);
}

/// `docker network disconnect`: the engine takes the link out by itself and gives it back.
#[test]
fn a_live_container_keeps_its_link_until_the_engine_has_taken_it_out() {
    let site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    let _alive = container.inhabit(&site);
    container.leave(&site);
    server.wait_for(MessageType::Release, SOON);
    // A second endpoint's whole life is time enough for whatever Leave goes on with.
    site.run("lan", "other", "02:00:00:00:00:43").stop(&site);
    assert_eq!(link_names(&container.ns), ["eth0", "lo"]);
    container.move_out(&site);
    assert_eq!(link_names(&container.ns), ["lo"]);
    assert_eq!(site.endpoint_links().len(), 2);
    container.delete(&site);
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
    server.wait_count(MessageType::Release, 2);
}
