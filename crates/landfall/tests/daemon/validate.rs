//! `validate_dhcp`: no network where no DHCP server answers.

use std::time::{Duration, Instant};

use lab::{Lan, LanOptions};
use serde_json::json;
use wire::dhcp4::MessageType;

use crate::server::{Grant, Server};
use crate::site::{SOON, Site, eventually, id, same};

const WANTED: [(&str, &str); 2] = [("validate_dhcp", "true"), ("lease_timeout", "700ms")];

/// The links of Landfall's in the host.
fn ours(site: &Site) -> Vec<String> {
    site.links().into_iter().filter(|name| name.starts_with("lf")).collect()
}

#[test]
fn a_server_that_offers_is_enough_and_leases_nothing() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &WANTED);
    server.wait_count(MessageType::Discover, 1);
    // A container that comes after it is the next to ask, and has the address.
    let endpoint = site.create("lan", "web", "");
    assert_eq!(endpoint.address, "10.77.1.5/16");
    let of_others = |kind| {
        let requests = server.requests().into_iter().filter(|request| request.kind == kind);
        requests.filter(|r| r.message.chaddr.to_string() != endpoint.mac).count()
    };
    assert_eq!(of_others(MessageType::Discover), 1);
    assert_eq!(of_others(MessageType::Request), 0);
    assert_eq!(site.leases("granted"), 1);
}

#[test]
fn silence_is_an_error_that_leaves_nothing() {
    let site = Site::new();
    // One that only speaks when it is asked for what it has given.
    let server = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    let begun = Instant::now();
    let error = site.call("CreateNetwork", &site.network_argument("lan", &WANTED)).unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    // The second is the bridge's own, whose MAC has no answer either.
    server.wait_count(MessageType::Discover, 2);
    for words in ["no DHCP server answered on br0 within 0.7s", "nothing heard", &id("lan")[..12]] {
        assert!(error.contains(words), "no {words:?} in: {error}");
    }
    assert!(!error.contains("endpoint"), "{error}");
    assert_eq!(ours(&site), Vec::<String>::new());
    assert_eq!(site.status()["networks"], json!([]));
    // Without it the network is made all the same.
    site.network("lan", &[]);
}

#[test]
fn a_bridge_that_leads_nowhere_is_named() {
    let site = Site::new();
    site.host().ip_batch("link set router nomaster\nlink set laptop nomaster\n").unwrap();
    let error = site.call("CreateNetwork", &site.network_argument("lan", &WANTED)).unwrap_err();
    assert!(error.contains("no port that leads to a LAN"), "{error}");
}

/// On a network card.
#[test]
fn on_a_parent() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let site = Site::on(lan);
    site.host().ip_batch("link add card type veth peer name other\nlink set card up\nlink set other master br0 up\n").unwrap();
    let options = [&WANTED[..], &[("mode", "macvlan"), ("parent", "card")]].concat();
    let error = site.call("CreateNetwork", &site.network_argument("lan", &options)).unwrap_err();
    assert!(error.contains("no DHCP server answered on card"), "{error}");
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &options);
}

/// Who gives up waiting leaves no network, and does not wait for the time-out either.
#[test]
fn a_caller_that_gives_up() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    let options = [("validate_dhcp", "true"), ("lease_timeout", "5m")];
    let call = site.begin("CreateNetwork", &site.network_argument("lan", &options));
    server.wait_for(MessageType::Discover, SOON);
    call.hang_up();
    eventually("nothing left", SOON, || same(ours(&site), &Vec::new()));
    assert_eq!(site.status()["networks"], json!([]));
}
