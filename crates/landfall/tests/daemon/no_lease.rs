//! Starts that end without a lease: when the DISCOVERs go out, and what the error says.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lab::{Capture, Frame, Lan, LanOptions, Namespace};
use wire::dhcp4::MessageType;

use crate::container::Container;
use crate::server::{Grant, Server, nak};
use crate::site::{Site, host_link, id, ip_json};

const MAC: &str = "02:00:00:00:00:42";

/// Tries to make an endpoint within half a second: the error, which names what it must.
fn refusal(site: &Site) -> String {
    site.network("lan", &[("lease_timeout", "500ms")]);
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    for name in [&id("lan")[..12], &id("web")[..12], site.lan.bridge(), MAC] {
        assert!(refusal.contains(name), "{name} is not named: {refusal}");
    }
    assert_eq!(site.endpoint_links(), Vec::<String>::new(), "{refusal}");
    refusal
}

/// A LAN whose host sees bridged frames in iptables and lets none through.
fn firewalled() -> Lan {
    let options = LanOptions { bridge_netfilter: true, ..LanOptions::default() };
    let lan = Lan::new(options).unwrap();
    lan.host_ns().ok(&["iptables", "-P", "FORWARD", "DROP"]).unwrap();
    lan
}

#[test]
fn discovers_go_out_at_0_1_3_and_7_seconds() {
    let site = Site::new();
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.network("lan", &[("lease_timeout", "9s")]);
    let begun = Instant::now();
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    let took = begun.elapsed();
    // Then it is asked in the bridge's own name, for three seconds and a half, whether its MAC has an answer.
    assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(15), "{took:?}");

    let all = capture.pick(|frame| frame.dhcp().map(|dhcp| (frame.at, dhcp)));
    let bridge = ip_json(site.host(), &["link", "show", "br0"])[0]["address"].clone();
    let bridge = bridge.as_str().unwrap();
    let (own, dhcp): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, dhcp)| dhcp.mac != MAC);
    let own: Vec<_> = own.iter().map(|(_, own)| (own.kind, &*own.mac, &*own.source)).collect();
    assert_eq!(own, [(1, bridge, bridge)]);
    let times: Vec<Duration> =
        dhcp.iter().map(|(at, _)| at.duration_since(dhcp[0].0).unwrap()).collect();
    assert_eq!(times.len(), 4, "{times:?}");
    for (index, seconds) in [(1, 1.0), (2, 2.0), (3, 4.0)] {
        // A jitter of a quarter, at most a second; and what a busy machine adds.
        let spread = f64::min(seconds / 4.0, 1.0);
        let gap = (times[index] - times[index - 1]).as_secs_f64();
        assert!(gap >= seconds - spread - 0.05 && gap <= seconds + spread + 0.3, "{times:?}");
    }
    let first = &dhcp[0].1;
    for (_, discover) in &dhcp {
        assert_eq!((discover.kind, discover.xid), (1, first.xid));
        assert_eq!((discover.mac.as_str(), discover.source.as_str()), (MAC, MAC));
        assert_eq!(discover.destination, "ff:ff:ff:ff:ff:ff");
    }
    assert!(
        refusal.contains(&format!("no DHCP server answered on {} within 9s", site.lan.bridge())),
        "{refusal}"
    );
    assert!(refusal.contains("4 DISCOVERs sent") && refusal.contains("nothing heard"), "{refusal}");
    assert!(refusal.contains("-o lease_timeout=25s"), "no remedy: {refusal}");
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
}

#[test]
fn a_bridge_that_leads_nowhere() {
    let site = Site::new();
    site.host().ip_batch("link set router nomaster\nlink set laptop nomaster\n").unwrap();
    let refusal = refusal(&site);
    assert!(refusal.contains("no port that leads to a LAN"), "{refusal}");
    assert!(refusal.contains("ip link set eth0 master br0"), "no remedy: {refusal}");
}

#[test]
fn a_bridge_that_only_has_containers() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let _neighbour = site.run("lan", "other", "02:00:00:00:00:43");
    drop(server);
    site.host().ip_batch("link set router nomaster\nlink set laptop nomaster\n").unwrap();
    site.network("short", &[("lease_timeout", "500ms")]);
    let refusal = site.try_create("short", "web", MAC).unwrap_err();
    assert!(refusal.contains("no port that leads to a LAN"), "{refusal}");
}

#[test]
fn an_uplink_without_carrier() {
    let site = Site::new();
    for ns in [site.lan.router_ns(), site.lan.laptop_ns()] {
        ns.ip_batch("link set eth0 down\n").unwrap();
    }
    let refusal = refusal(&site);
    assert!(refusal.contains("without carrier"), "{refusal}");
    assert!(refusal.contains("router") && refusal.contains("laptop"), "{refusal}");
}

#[test]
fn a_port_that_spanning_tree_holds_back() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let stp = "link set br0 type bridge stp_state 1 forward_delay 1500\n";
    lan.host_ns().ip_batch(stp).unwrap();
    let site = Site::on(lan);
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    let refusal = refusal(&site);
    assert!(
        refusal.contains("not forwarding yet") && refusal.contains("spanning tree"),
        "{refusal}"
    );
}

#[test]
fn an_offer_without_an_ack() {
    let site = Site::new();
    let grant = Grant::new([10, 77, 1, 5]);
    let server = Server::start(site.lan.router_ns(), "eth0", move |r| match r.kind {
        MessageType::Discover => vec![grant.reply(r, MessageType::Offer)],
        _ => Vec::new(),
    });
    let refusal = refusal(&site);
    assert!(refusal.contains("offered an address but did not acknowledge"), "{refusal}");
    assert!(refusal.contains("1 OFFERs, 1 REQUESTs"), "{refusal}");
    // On a busy machine it is repeated, after 0.75 s at the earliest, before the endpoint is undone.
    let requests = server.count(MessageType::Request);
    assert!((1..=2).contains(&requests), "{requests}");
}

#[test]
fn a_nak() {
    let site = Site::new();
    let grant = Grant::new([10, 77, 1, 5]);
    let _server = Server::start(site.lan.router_ns(), "eth0", move |r| match r.kind {
        MessageType::Discover => vec![grant.reply(r, MessageType::Offer)],
        MessageType::Request => vec![nak(r, Lan::ROUTER, "address not available")],
        _ => Vec::new(),
    });
    let refusal = refusal(&site);
    assert!(refusal.contains("DHCP server 10.77.0.1 on br0 refused (NAK)"), "{refusal}");
    assert!(refusal.contains("address not available"), "{refusal}");
}

#[test]
fn replies_that_no_client_may_take() {
    let site = Site::new();
    let grant = Grant { lease: 0, ..Grant::new([10, 77, 1, 5]) };
    let _server = Server::granting(&site.lan, grant);
    let refusal = refusal(&site);
    assert!(refusal.contains("1 DISCOVERs sent"), "{refusal}");
    assert!(refusal.contains("1 replies heard that no client may take"), "{refusal}");
}

#[test]
fn a_firewall_that_drops_bridged_frames() {
    let site = Site::on(firewalled());
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    let refusal = refusal(&site);
    assert!(refusal.contains("firewall drops bridged frames"), "{refusal}");
    assert!(refusal.contains("net.bridge.bridge-nf-call-iptables"), "{refusal}");
    // The question past the firewall is one of the diagnosis alone: no lease comes of it.
    assert_eq!(server.count(MessageType::Request), 0);

    // The rule that the error gives, word for word.
    let rule = refusal.split('`').find(|part| part.starts_with("iptables ")).unwrap();
    let argv: Vec<&str> = rule.split_whitespace().collect();
    site.host().ok(&argv).unwrap();
    let container = Container::start(&site, site.create("lan", "web", MAC));
    assert!(container.ping(Lan::ROUTER));
}

#[test]
fn a_dead_server_behind_such_a_firewall_is_a_dead_server() {
    let site = Site::on(firewalled());
    let refusal = refusal(&site);
    assert!(!refusal.contains("firewall"), "{refusal}");
    assert!(refusal.contains("Is br0 connected to the LAN"), "{refusal}");
}

#[test]
fn a_failed_start_leaves_the_forwarding_table_and_the_mac_free() {
    let site = Site::new();
    refusal(&site);
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    let container = site.run("lan", "web", MAC);
    assert_eq!(server.count(MessageType::Discover), 1);
    assert!(container.ping(Lan::ROUTER));
    let fdb = site.host().ok(&["bridge", "fdb", "show", "br", "br0"]).unwrap();
    let places: Vec<&str> = fdb.lines().filter(|line| line.starts_with(MAC)).collect();
    assert_eq!(places.len(), 1, "{fdb}");
    assert!(places[0].contains(&host_link("web")), "{fdb}");
}

#[test]
fn bridges_that_are_none() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    lan.host_ns().ip_batch("link add down0 type bridge\nlink add lonely type veth\n").unwrap();
    let site = Site::on(lan);
    for (bridge, words) in [
        ("br7", "there is no interface br7"),
        ("down0", "bridge down0 is down: `ip link set down0 up`"),
        ("lonely", "lonely is not a bridge but of the kind veth"),
        ("lo", "lo is not a bridge"),
    ] {
        let argument = site.network_argument("lan", &[("bridge", bridge)]);
        let refusal = site.call("CreateNetwork", &argument).unwrap_err();
        assert!(refusal.contains(words), "{bridge}: {refusal}");
    }
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    assert_eq!(site.status()["networks"].as_array().unwrap().len(), 0);
    assert_eq!(capture.pick(Frame::dhcp), []);
}

#[test]
fn a_bridge_that_goes_away_and_comes_back() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[("lease_timeout", "2s")]);
    site.create("lan", "first", "");
    // The first one's address is held on the new bridge as well.
    server.grant(Grant::new([10, 77, 1, 6]));
    site.host().ip_batch("link del br0\n").unwrap();
    let refusal = site.try_create("lan", "second", MAC).unwrap_err();
    assert!(refusal.contains("there is no interface br0"), "{refusal}");
    site.host()
        .ip_batch("link add br0 type bridge forward_delay 0\nlink set br0 up\nlink set router master br0\n")
        .unwrap();
    let container = site.run("lan", "second", MAC);
    assert!(container.ping(Lan::ROUTER));
    // Beside those of the first, which is back on the bridge as well.
    assert!(server.requests().iter().any(|r| r.message.chaddr.to_string() == MAC));
    container.stop(&site);
    site.delete_network("lan");
    assert!(!site.links().iter().any(|link| link.starts_with("lfp-")), "{:?}", site.links());
}

#[test]
fn a_server_in_another_namespace_is_not_heard() {
    // What the error counts is what came on this bridge and no other.
    let lan = Lan::new(LanOptions { extra_bridge: Some("br1".into()), ..LanOptions::default() });
    let site = Site::on(lan.unwrap());
    let elsewhere = Namespace::new("elsewhere").unwrap();
    site.host()
        .ip_batch(&format!(
            "link add up1 type veth peer name eth0 netns {}\nlink set up1 master br1 up\n",
            elsewhere.path().display()
        ))
        .unwrap();
    elsewhere.ip_batch("addr add 10.78.0.1/16 dev eth0\nlink set eth0 up\n").unwrap();
    let grant = Grant { server: Some(Ipv4Addr::new(10, 78, 0, 1)), ..Grant::new([10, 78, 1, 5]) };
    let other = Server::start(&elsewhere, "eth0", move |request| grant.answer(request));
    let refusal = refusal(&site);
    assert!(refusal.contains("nothing heard"), "{refusal}");
    assert!(other.requests().is_empty());
    site.network("lan1", &[("bridge", "br1")]);
    assert_eq!(site.create("lan1", "there", "").address, "10.78.1.5/16");
}
