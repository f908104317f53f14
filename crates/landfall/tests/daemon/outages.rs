//! What becomes of endpoints whose bridge, port or uplink goes and comes back.

use lab::{Lan, Place};
use serde_json::json;
use wire::dhcp4::{MessageType, code};

use crate::container::Container;
use crate::server::{Grant, Request, Server, nak};
use crate::site::{SOON, Site, eventually, host_link, ip_json, same};

fn by_mac(request: &Request) -> Grant {
    let last = request.message.chaddr.0[5];
    Grant::new([10, 77, 1, last]).times(1800, 3150, 3600)
}

fn server(site: &Site) -> Server {
    Server::start(site.lan.router_ns(), "eth0", |request| by_mac(request).answer(request))
}

/// Whether a client asks if its lease is still right, as after a boot (RFC 2131 §3.7).
fn confirms(request: &Request, last: u8) -> bool {
    let options = &request.message.options;
    request.kind == MessageType::Request
        && options.get(code::REQUESTED_ADDRESS) == Some(&[10, 77, 1, last][..])
        && options.get(code::SERVER_ID).is_none()
}

/// Two that run, and one whose lease is held.
fn three(site: &Site) -> [Container; 2] {
    let containers = [("one", 1), ("two", 2)]
        .map(|(name, n)| site.run("lan", name, &format!("02:00:00:00:00:0{n}")));
    site.run("lan", "held", "02:00:00:00:00:03").stop(site);
    containers
}

fn all_confirmed(server: &Server, mark: usize) {
    for last in 1..=3 {
        server.wait_after(mark, "confirmed", SOON, |request| confirms(request, last));
    }
}

#[test]
fn a_bridge_that_is_deleted_and_made_again() {
    deleted_and_made_again(|site, lines| {
        lines.iter().for_each(|l| site.host().ip_batch(l).unwrap())
    });
}

/// Before the daemon has heard of the first half.
#[test]
fn a_bridge_that_is_deleted_and_made_again_at_once() {
    deleted_and_made_again(|site, lines| site.host().ip_batch(&lines.concat()).unwrap());
}

fn deleted_and_made_again(act: impl Fn(&Site, [&str; 2])) {
    let site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let containers = three(&site);
    let mark = server.mark();
    // The lab's own ports of it are the test's to put back.
    let again = "link add br0 type bridge\nlink set router master br0\nlink set laptop master br0\n\
                 link set br0 up\n";
    act(&site, ["link delete br0\n", again]);
    all_confirmed(&server, mark);
    for container in &containers {
        eventually("the router reached", SOON, || same(container.ping(Lan::ROUTER), &true));
        assert!(site.lan.ping(Place::Laptop, container.ip()).unwrap());
    }
    // The port answers for the one that is held, and new ones start.
    let held = ["ip", "neigh", "flush", "all"];
    site.lan.router_ns().ok(&held).unwrap();
    let _ = site.lan.router_ns().run(&["ping", "-c", "1", "-W", "1", "10.77.1.3"]).unwrap();
    let neighbours = site.lan.router_ns().ok(&["ip", "neigh", "show", "10.77.1.3"]).unwrap();
    assert!(neighbours.contains("02:00:00:00:00:03"), "{neighbours}");
    assert_eq!(site.create("lan", "four", "02:00:00:00:00:04").address, "10.77.1.4/16");
    assert_eq!(server.count(MessageType::Discover), 4);
    for container in containers {
        container.stop(&site);
    }
    site.delete_network("lan");
    let left = site.links();
    assert!(!left.iter().any(|link| link.starts_with("lfp-")), "{left:?}");
}

#[test]
fn a_bridge_that_was_not_there_when_the_daemon_started() {
    let mut site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let containers = three(&site);
    site.landfall.kill9().unwrap();
    site.host().ip_batch("link delete br0\n").unwrap();
    site.landfall.restart().unwrap();
    let refusal = site.try_create("lan", "four", "02:00:00:00:00:04").unwrap_err();
    assert!(refusal.contains("there is no interface br0"), "{refusal}");
    let mark = server.mark();
    let again = "link add br0 type bridge\nlink set router master br0\nlink set laptop master br0\n\
                 link set br0 up\n";
    site.host().ip_batch(again).unwrap();
    all_confirmed(&server, mark);
    for container in &containers {
        eventually("the router reached", SOON, || same(container.ping(Lan::ROUTER), &true));
    }
    assert_eq!(site.shown("one")["address"], "10.77.1.1/16");
    assert_eq!(server.count(MessageType::Discover), 3);
}

#[test]
fn a_bridge_that_goes_down_and_up_leads_to_another_lan() {
    let site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let containers = three(&site);
    server.behave(|request| {
        if request.kind == MessageType::Request && request.message.chaddr.0[5] == 2 {
            let options = &request.message.options;
            if options.get(code::REQUESTED_ADDRESS) == Some(&[10, 77, 1, 2][..]) {
                return vec![nak(request, Lan::ROUTER, "wrong network")];
            }
        }
        let last = request.message.chaddr.0[5];
        let address = if last == 2 { [10, 77, 2, 2] } else { [10, 77, 1, last] };
        Grant::new(address).answer(request)
    });
    let mark = server.mark();
    site.host().ip_batch("link set br0 down\nlink set br0 up\n").unwrap();
    all_confirmed(&server, mark);
    eventually("the new address", SOON, || {
        same(containers[1].cidrs(), &vec!["10.77.2.2/16".into()])
    });
    assert!(containers[0].ping(Lan::ROUTER));
    assert_eq!(containers[0].cidrs(), ["10.77.1.1/16"]);
}

#[test]
fn the_uplink_is_lost_and_back() {
    let site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let _containers = three(&site);
    let mark = server.mark();
    site.host().ip_batch("link set laptop nomaster\nlink set router down\n").unwrap();
    site.host().ip_batch("link set router up\n").unwrap();
    all_confirmed(&server, mark);
}

#[test]
fn a_link_that_leaves_its_bridge_and_a_port_that_is_deleted() {
    let site = Site::new();
    let server = server(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let [container, _] = three(&site);
    let link = host_link("one");
    site.host().ip_batch(&format!("link set {link} nomaster\n")).unwrap();
    eventually("back on its bridge", SOON, || {
        same(ip_json(site.host(), &["link", "show", &link])[0]["master"].clone(), &json!("br0"))
    });
    eventually("the router reached", SOON, || same(container.ping(Lan::ROUTER), &true));

    let mark = server.mark();
    let port = site.links().into_iter().find(|link| link.starts_with("lfp-")).unwrap();
    site.host().ip_batch(&format!("link delete {port}\n")).unwrap();
    all_confirmed(&server, mark);
    assert_eq!(site.create("lan", "four", "02:00:00:00:00:04").address, "10.77.1.4/16");
    assert!(site.links().contains(&port));
}
