//! No call takes longer than twenty seconds with the default options: the engine gives up after thirty, and holds a lock of
//! the network's meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;
use wire::dhcp4::MessageType;

use crate::container::endpoint_ref;
use crate::server::{Grant, Server, nak};
use crate::site::{Site, at_once, endpoint_argument, id};

const LONGEST: Duration = Duration::from_secs(20);
/// More than may give their leases back within that time, should each have to wait for the one before it.
const CROWD: u8 = 120;

fn timed<T>(what: &str, call: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let answer = call();
    let took = began.elapsed();
    assert!(took < LONGEST, "{what} took {took:?}");
    answer
}

/// What servers can do to a start, all at the same time.
#[test]
fn a_start() {
    let site = Site::new();
    let _server = Server::start(site.lan.router_ns(), "eth0", |request| {
        let mac = request.message.chaddr.0;
        let grant = Grant::new([10, 77, 1, mac[5]]);
        match (mac[4], request.kind) {
            // Offers, and no more.
            (1, MessageType::Discover) => grant.answer(request),
            (2, MessageType::Discover) => grant.answer(request),
            (2, MessageType::Request) => vec![nak(request, lab::Lan::ROUTER, "no")],
            // An address that the laptop has.
            (3, _) => Grant::new(lab::Lan::LAPTOP.octets()).answer(request),
            _ => vec![],
        }
    });
    site.network("lan", &[]);
    site.network("six", &[("ipv6", "dhcp"), ("ipv6_required", "true")]);
    let starts = [("lan", 0), ("lan", 1), ("lan", 2), ("lan", 3), ("six", 4)];
    at_once(starts.to_vec(), |(network, kind)| {
        let (name, mac) = (format!("k{kind}"), format!("02:00:00:00:{kind:02x}:01"));
        let argument = endpoint_argument(network, &name, &mac);
        timed(&name, || site.call("CreateEndpoint", &argument)).unwrap_err();
    });
    assert_eq!(site.endpoint_links(), [] as [&str; 0]);
}

/// The server and all ways to it are gone when everything ends.
#[test]
fn an_end() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |request| {
        Grant::new([10, 77, 1, request.message.chaddr.0[5]]).answer(request)
    });
    site.network("lan", &[]);
    site.network("held", &[("release_delay", "1h")]);
    let container = site.run("lan", "web", "02:00:00:00:00:fe");
    at_once((1..=CROWD).collect(), |n| {
        site.create("held", &format!("h{n}"), &format!("02:00:00:00:00:{n:02x}"))
    });
    let stays = site.run("held", "stays", "02:00:00:00:00:fd");
    timed("Leave, held", || stays.stop(&site));
    server.behave(|_| vec![]);
    site.host().ip_batch("link set router nomaster\n").unwrap();
    let reference = endpoint_ref(&container.endpoint);
    timed("Leave", || site.ok("Leave", &reference));
    timed("DeleteEndpoint", || site.ok("DeleteEndpoint", &reference));
    for network in ["held", "lan"] {
        let argument = json!({ "NetworkID": id(network) });
        timed("DeleteNetwork", || site.ok("DeleteNetwork", &argument));
    }
    assert_eq!(site.status()["endpoints"], json!([]));
}
