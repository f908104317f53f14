//! Restarts of the daemon, asked for and not.

use std::thread;
use std::time::Duration;

use lab::{Capture, Frame, Lan, Place};
use serde_json::{Value, json};
use wire::dhcp4::MessageType;

use crate::container::Container;
use crate::server::{Grant, Request, Server};
use crate::site::{SOON, Site, endpoint_argument, eventually, id, same};

const MAC: &str = "02:00:00:00:00:42";

fn prolongs(request: &Request) -> bool {
    request.kind == MessageType::Request && !request.message.ciaddr.is_unspecified()
}

/// Who gets what: the last byte of the MAC is that of the address.
fn by_mac(request: &Request) -> Grant {
    let last = request.message.chaddr.0[5];
    Grant::new([10, 77, 1, last]).times(2, 60, 120)
}

fn server_by_mac(lan: &Lan) -> Server {
    Server::start(lan.router_ns(), "eth0", |request| by_mac(request).answer(request))
}

#[test]
fn every_lease_goes_on() {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let containers = [("a", "02:00:00:00:00:01"), ("b", "02:00:00:00:00:02")]
        .map(|(name, mac)| site.run("lan", name, mac));
    eventually("both in the status", SOON, || {
        same(
            [site.shown("a"), site.shown("b")].map(|e| e["interface"].clone()),
            &["eth0", "eth0"].map(|n| json!(n)),
        )
    });
    let without_times = |site: &Site| {
        let mut endpoints = site.status()["endpoints"].clone();
        for endpoint in endpoints.as_array_mut().unwrap() {
            endpoint["renews_at"].take();
            endpoint["expires_at"].take();
            // Counted anew by each run.
            endpoint["ignored"].take();
        }
        endpoints
    };
    let before = without_times(&site);
    let links = site.links();
    let pinging = "ping -n -i 0.05 -c 20 -W 1 10.77.0.1";
    let argv: Vec<&str> = pinging.split(' ').collect();
    let output = thread::scope(|scope| {
        let ping = scope.spawn(|| containers[0].ns.run(&argv).unwrap());
        assert!(site.landfall.stop().unwrap().success());
        site.landfall.restart().unwrap();
        ping.join().unwrap()
    });
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains(" 0% packet loss"), "{output}");
    eventually("the same status", SOON, || same(without_times(&site), &before));
    assert_eq!(site.links(), links);

    // Renewals on time, and what the server changes comes through.
    let mark = server.mark();
    for last in [1, 2] {
        server
            .wait_after(mark, "a renewal", SOON, |r| prolongs(r) && r.message.chaddr.0[5] == last);
    }
    server
        .behave(|request| Grant { routers: vec![Lan::LAPTOP], ..by_mac(request) }.answer(request));
    for container in &containers {
        eventually("the new router", SOON, || {
            same(container.routes(), &vec!["default via 10.77.0.9 dev eth0".to_owned()])
        });
    }
    assert_eq!(server.count(MessageType::Discover), 2, "one for each container");
    assert_eq!(server.count(MessageType::Release), 0);
    for container in containers {
        container.stop(&site);
    }
    site.delete_network("lan");
    server.wait_count(MessageType::Release, 2);
    assert_eq!(site.links(), ["br0", "laptop", "lo", "router"]);
}

#[test]
fn between_create_endpoint_and_join() {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let endpoint = site.create("lan", "web", MAC);
    assert!(site.landfall.stop().unwrap().success());
    site.landfall.restart().unwrap();
    // Its address is held: a server that asks hears it.
    let output =
        site.lan.router_ns().run(&["ping", "-c", "1", "-W", "1", &endpoint.ip().to_string()]);
    assert!(!output.unwrap().status.success(), "nobody has it yet");
    let neighbours =
        site.lan.router_ns().ok(&["ip", "neigh", "show", &endpoint.ip().to_string()]).unwrap();
    assert!(neighbours.contains(MAC), "{neighbours}");
    assert_eq!(site.create("lan", "web", MAC), endpoint);
    let container = Container::start(&site, endpoint);
    assert!(container.ping(Lan::ROUTER));
    server.wait_after(0, "a renewal", SOON, prolongs);
    assert_eq!(server.count(MessageType::Discover), 1);
    container.stop(&site);
    server.wait_for(MessageType::Release, SOON);
}

#[test]
fn the_container_ends_while_the_daemon_is_away() {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    assert!(site.landfall.stop().unwrap().success());
    // The sandbox goes with everything in it; nobody could tell the daemon.
    container.ns.ip_batch("link del eth0\n").unwrap();
    site.landfall.restart().unwrap();
    let release = server.wait_for(MessageType::Release, SOON);
    assert_eq!(release.message.ciaddr, container.ip());
    eventually("the endpoint gone", SOON, || same(site.status()["endpoints"].clone(), &json!([])));
    // The engine says so afterwards.
    container.leave(&site);
    container.delete(&site);
    assert_eq!(site.stop_and_read_store(), (vec![id("lan")], vec![]));
}

#[test]
fn a_lease_that_changed_while_nobody_looked_is_applied() {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let container = site.run("lan", "web", "02:00:00:00:00:05");
    assert!(site.landfall.stop().unwrap().success());
    server.grant(Grant::new([10, 77, 2, 9]).times(60, 90, 120));
    site.landfall.restart().unwrap();
    eventually("the new address", SOON, || same(container.cidrs(), &vec!["10.77.2.9/16".into()]));
    assert!(site.lan.ping(Place::Laptop, [10, 77, 2, 9].into()).unwrap());
    // And the next start knows both: what is true, and what Docker was told.
    site.landfall.restart().unwrap();
    eventually("the status", SOON, || {
        let shown = site.shown("web");
        same(
            (shown["address"].clone(), shown["docker_shows"].clone()),
            &(json!("10.77.2.9/16"), json!("10.77.1.5/16")),
        )
    });
    assert_eq!(container.cidrs(), ["10.77.2.9/16"]);
    assert_eq!(server.count(MessageType::Discover), 1);
}

#[test]
fn a_lease_that_ended_while_the_daemon_was_away() {
    let mut site = Site::new();
    let grant = Grant::new([10, 77, 1, 5]).times(1, 2, 3);
    let server = Server::granting(&site.lan, grant);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    eventually("the lifetime of the lease", SOON, || {
        let left = container.addresses()[0]["valid_life_time"].as_u64().unwrap();
        if left <= 4 { Ok(()) } else { Err(left.to_string()) }
    });
    assert!(site.landfall.stop().unwrap().success());
    // The kernel ends it, for the day on which Landfall is not there.
    eventually("no address", SOON, || same(container.cidrs(), &vec![]));
    server.grant(Grant::new([10, 77, 1, 6]).times(60, 90, 120));
    site.landfall.restart().unwrap();
    eventually("an address again", SOON, || same(container.cidrs(), &vec!["10.77.1.6/16".into()]));
    eventually("a default route again", SOON, || {
        same(container.routes(), &vec!["default via 10.77.0.1 dev eth0".into()])
    });
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(site.shown("web")["docker_shows"], "10.77.1.5/16");
}

#[test]
fn a_lease_that_was_lost_before_the_daemon_ended() {
    let mut site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]).times(1, 2, 3));
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    server.behave(|_| vec![]);
    eventually("the end of the lease", SOON, || same(container.cidrs(), &vec![]));
    eventually("the status", SOON, || same(site.shown("web")["address"].clone(), &Value::Null));
    assert!(site.landfall.stop().unwrap().success());
    server.grant(Grant::new([10, 77, 1, 5]).times(60, 90, 120));
    site.landfall.restart().unwrap();
    eventually("an address again", SOON, || same(container.cidrs(), &vec!["10.77.1.5/16".into()]));
    assert!(container.ping(Lan::ROUTER));
}

#[test]
fn killed_while_a_container_runs() {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    site.landfall.kill9().unwrap();
    assert!(container.ping(Lan::ROUTER));
    site.landfall.restart().unwrap();
    let mark = server.mark();
    server.wait_after(mark, "a renewal", SOON, prolongs);
    assert_eq!(server.count(MessageType::Discover), 1);
    container.stop(&site);
    server.wait_for(MessageType::Release, SOON);
    assert_eq!(site.stop_and_read_store(), (vec![id("lan")], vec![]));
}

#[test]
fn killed_during_create_endpoint() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    site.network("lan", &[]);
    let call = site.begin("CreateEndpoint", &endpoint_argument("lan", "web", MAC));
    server.wait_for(MessageType::Discover, SOON);
    eventually("the veth", SOON, || same(site.endpoint_links().len(), &2));
    site.landfall.kill9().unwrap();
    drop(call);
    assert_eq!(site.endpoint_links().len(), 2);
    site.landfall.restart().unwrap();
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
    assert_eq!(site.status()["endpoints"], json!([]));
    // The same endpoint, once more.
    server.behave(|request| by_mac(request).answer(request));
    let container = site.run("lan", "web", MAC);
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(site.stop_and_read_store().1, [id("web")]);
}

#[test]
fn killed_during_delete_endpoint() {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    // At different moments of the call, which takes some milliseconds.
    for micros in [0, 500, 1000, 2000, 4000, 8000] {
        site.create("lan", "web", MAC);
        let mark = server.mark();
        let argument = json!({ "NetworkID": id("lan"), "EndpointID": id("web") });
        let call = site.begin("DeleteEndpoint", &argument);
        thread::sleep(Duration::from_micros(micros));
        site.landfall.kill9().unwrap();
        drop(call);
        site.landfall.restart().unwrap();
        // The engine asks again.
        site.ok("DeleteEndpoint", &argument);
        server.wait_after(mark, "the RELEASE", SOON, |r| r.kind == MessageType::Release);
        eventually("no links", SOON, || same(site.endpoint_links(), &vec![]));
        assert_eq!(site.status()["endpoints"], json!([]), "after {micros} µs");
    }
    assert_eq!(site.stop_and_read_store().1, Vec::<String>::new());
}

#[test]
fn networks_and_their_port_outlive_the_daemon() {
    let mut site = Site::new();
    site.network("lan", &[("lease_timeout", "700ms")]);
    let links = site.links();
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    for _ in 0..3 {
        assert!(site.landfall.stop().unwrap().success());
        assert_eq!(site.links(), links, "the port stays while the daemon is away");
        site.landfall.restart().unwrap();
        assert_eq!(site.links(), links);
    }
    assert_eq!(capture.pick(Frame::dhcp), []);
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    assert!(refusal.contains("within 0.7s"), "the options are forgotten: {refusal}");
    site.landfall.restart().unwrap();
    site.delete_network("lan");
    assert_eq!(site.links(), ["br0", "laptop", "lo", "router"]);
    assert_eq!(site.status()["networks"], Value::Array(vec![]));
}

#[test]
fn a_start_while_the_bridge_is_down() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |request| {
        by_mac(request).times(2, 4, 120).answer(request)
    });
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    assert!(site.landfall.stop().unwrap().success());
    site.host().ip_batch("link set br0 down\n").unwrap();
    site.landfall.restart().unwrap();
    assert_eq!(site.shown("web")["address"], "10.77.1.66/16");
    site.host().ip_batch("link set br0 up\n").unwrap();
    let mark = server.mark();
    server.wait_after(mark, "a renewal", SOON, prolongs);
    eventually("an answer to it", SOON, || {
        same(site.shown("web")["state"].clone(), &json!("BOUND"))
    });
    assert!(container.ping(Lan::ROUTER));
    // New ones as well.
    assert_eq!(site.create("lan", "next", "02:00:00:00:00:43").address, "10.77.1.67/16");
    container.stop(&site);
    server.wait_for(MessageType::Release, SOON);
    assert_eq!(server.count(MessageType::Discover), 2);
}
