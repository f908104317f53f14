//! Callers that hang up while CreateEndpoint waits: everything is undone.

use std::time::Duration;

use lab::Capture;
use serde_json::json;
use wire::dhcp4::MessageType;

use crate::server::{Grant, Server};
use crate::site::{SOON, Site, endpoint_argument, eventually, id, same};

const MAC: &str = "02:00:00:00:00:42";

/// Nothing of an endpoint is left, neither in the kernel nor in the status.
fn wait_undone(site: &Site) {
    eventually("the links undone", SOON, || same(site.endpoint_links(), &vec![]));
    eventually("the endpoint undone", SOON, || {
        same(site.status()["endpoints"].clone(), &json!([]))
    });
}

#[test]
fn while_no_server_answers() {
    let mut site = Site::new();
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.network("lan", &[]);
    let links = site.links();
    let call = site.begin("CreateEndpoint", &endpoint_argument("lan", "web", MAC));
    capture.wait_for("the DISCOVER", SOON, |f| f.dhcp().is_some_and(|d| d.kind == 1)).unwrap();
    eventually("the veth", SOON, || same(site.endpoint_links().len(), &2));
    call.hang_up();
    wait_undone(&site);
    assert_eq!(site.links(), links);
    site.landfall.log().wait_for("hung up", SOON).unwrap();
    // The MAC is free again: an engine's user tries once more.
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.create("lan", "again", MAC);
    assert_eq!(server.count(MessageType::Discover), 1);
    assert_eq!(site.stop_and_read_store(), (vec![id("lan")], vec![id("again")]));
}

#[test]
fn before_the_offer_of_a_slow_server() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    site.network("lan", &[]);
    let call = site.begin("CreateEndpoint", &endpoint_argument("lan", "web", MAC));
    let discover = server.wait_for(MessageType::Discover, SOON);
    call.hang_up();
    wait_undone(&site);
    let grant = Grant::new([10, 77, 1, 5]);
    server.grant(grant.clone());
    server.send(&grant.reply(&discover, MessageType::Offer));
    // A second endpoint's lease proves that the daemon has read past the late offer.
    site.create("lan", "next", "02:00:00:00:00:43");
    let of_web = |kind| {
        let requests = server.requests();
        requests.iter().filter(|r| r.message.chaddr.to_string() == MAC && r.kind == kind).count()
    };
    assert_eq!((of_web(MessageType::Request), of_web(MessageType::Release)), (0, 0));
    assert_eq!(site.stop_and_read_store().1, [id("next")]);
}

#[test]
fn before_the_ack_of_a_slow_server() {
    let mut site = Site::new();
    let grant = Grant::new([10, 77, 1, 5]);
    let offers = grant.clone();
    let server = Server::start(site.lan.router_ns(), "eth0", move |request| match request.kind {
        MessageType::Discover => vec![offers.reply(request, MessageType::Offer)],
        _ => Vec::new(),
    });
    site.network("lan", &[]);
    let call = site.begin("CreateEndpoint", &endpoint_argument("lan", "web", MAC));
    let request = server.wait_for(MessageType::Request, SOON);
    call.hang_up();
    // The server has granted it by now, as far as the client can know: the ACK is on its way.
    let release = server.wait_for(MessageType::Release, SOON);
    assert_eq!(release.message.ciaddr, grant.address);
    assert_eq!(release.message.chaddr.to_string(), MAC);
    server.send(&grant.reply(&request, MessageType::Ack));
    wait_undone(&site);
    assert_eq!(site.stop_and_read_store().1, Vec::<String>::new());
}

#[test]
fn when_the_daemon_is_told_to_stop() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    site.network("lan", &[]);
    let call = site.begin("CreateEndpoint", &endpoint_argument("lan", "web", MAC));
    server.wait_for(MessageType::Discover, SOON);
    eventually("the veth", SOON, || same(site.endpoint_links().len(), &2));
    let stopped = std::time::Instant::now();
    let (_, endpoints) = site.stop_and_read_store();
    // Far from the lease_timeout of ten seconds, and from the ten that Docker gives a plugin.
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
    let answer = call.answer();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("stopping"), "{answer}");
    assert_eq!(endpoints, Vec::<String>::new());
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
}

/// What is half removed would be remembered by nobody: removing goes on without its caller.
#[test]
fn while_the_endpoint_is_removed() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |request| {
        let last = request.message.chaddr.0[5];
        Grant::new([10, 77, 1, last]).answer(request)
    });
    site.network("lan", &[]);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for (last, name) in (1..).zip(names) {
        site.create("lan", name, &format!("02:00:00:00:00:{last:02x}"));
    }
    for (index, name) in names.into_iter().enumerate() {
        let argument = json!({ "NetworkID": id("lan"), "EndpointID": id(name) });
        let method = if index % 2 == 0 { "DeleteEndpoint" } else { "Leave" };
        let call = site.begin(method, &argument);
        // Gone while the call is under way, at different moments of it.
        std::thread::sleep(Duration::from_micros(300 * index as u64));
        call.hang_up();
    }
    // The engine asks again, whether or not it was heard.
    for name in names {
        let argument = json!({ "NetworkID": id("lan"), "EndpointID": id(name) });
        site.ok("DeleteEndpoint", &argument);
    }
    wait_undone(&site);
    eventually("a RELEASE of each", SOON, || {
        same(server.count(MessageType::Release), &names.len())
    });
    assert_eq!(site.stop_and_read_store(), (vec![id("lan")], vec![]));
}

#[test]
fn while_the_network_is_made() {
    let mut site = Site::new();
    let before = site.links();
    let network = site.network_argument("lan", &[]);
    for micros in [0, 500, 1000, 2000, 4000] {
        let mark = site.landfall.log().mark();
        let call = site.begin("CreateNetwork", &network);
        std::thread::sleep(Duration::from_micros(micros));
        call.hang_up();
        // Done to its end, undone, or never heard.
        let answered = || {
            let lines = site.landfall.log().lines();
            let mut lines = lines.iter().skip(mark).map(|line| &line.text);
            lines.any(|line| line.contains("answered") && line.contains("CreateNetwork"))
        };
        eventually("no network", SOON, || {
            if answered() {
                site.ok("DeleteNetwork", &json!({ "NetworkID": id("lan") }));
            }
            same((site.links(), site.status()["networks"].clone()), &(before.clone(), json!([])))
        });
    }
    assert_eq!(site.stop_and_read_store(), (vec![], vec![]));
}

/// An engine repeats what it got no answer to: what it is told the second time holds.
#[test]
fn a_network_that_is_asked_for_again() {
    let mut site = Site::new();
    for turn in 0..40_u64 {
        let network = site.network_argument("lan", &[]);
        let call = site.begin("CreateNetwork", &network);
        std::thread::sleep(Duration::from_micros(turn * 100));
        call.hang_up();
        site.ok("CreateNetwork", &network);
        assert_eq!(site.status()["networks"].as_array().unwrap().len(), 1, "turn {turn}");
        site.ok("DeleteNetwork", &json!({ "NetworkID": id("lan") }));
    }
    assert_eq!(site.stop_and_read_store(), (vec![], vec![]));
}

/// Every step of CreateEndpoint is one that the caller may not wait for.
#[test]
fn at_any_moment() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |request| {
        let [.., a, b] = request.message.chaddr.0;
        Grant::new([10, 77, a, b]).answer(request)
    });
    site.network("lan", &[]);
    let links = site.links();
    // Several at a time, so that the kernel's locks are contended for.
    std::thread::scope(|scope| {
        for caller in 1..=4_u64 {
            let (site, server) = (&site, &server);
            scope.spawn(move || {
                for turn in 1..=20_u64 {
                    let mac = format!("02:00:00:00:{caller:02x}:{turn:02x}");
                    let name = format!("c{caller}-{turn}");
                    let call = site.begin("CreateEndpoint", &endpoint_argument("lan", &name, &mac));
                    if turn % 4 == 0 {
                        server.wait_after(0, "the DISCOVER", SOON, |request| {
                            request.message.chaddr.to_string() == mac
                        });
                    }
                    std::thread::sleep(Duration::from_micros(300 * turn + 70 * caller));
                    call.hang_up();
                }
            });
        }
    });
    // Those that were made before their caller hung up stand; an engine rolls back what it does not want.
    let of_made = |line: &String| {
        let (_, rest) = line.split_once("endpoint=").unwrap();
        rest[..12].to_owned()
    };
    let made: Vec<String> = site.landfall.log().grep("endpoint made").iter().map(of_made).collect();
    assert!(made.len() < 60, "all hung up too late to tell");
    for endpoint in made {
        let argument = json!({ "NetworkID": id("lan"), "EndpointID": format!("{endpoint:0<64}") });
        site.ok("DeleteEndpoint", &argument);
    }
    wait_undone(&site);
    assert_eq!(site.links(), links);
    // What the server may have granted is given back.
    let macs = |kind| {
        let requests = server.requests();
        let of_kind = requests.iter().filter(|request| request.kind == kind);
        of_kind.map(|request| request.message.chaddr).collect::<std::collections::BTreeSet<_>>()
    };
    eventually("a RELEASE for each REQUEST", SOON, || {
        same(macs(MessageType::Release), &macs(MessageType::Request))
    });
    assert!(macs(MessageType::Discover).len() >= 20);
    assert_eq!(site.stop_and_read_store(), (vec![id("lan")], vec![]));
}
