//! A site on its own: links, addresses, options, and that nothing of it stays.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use lab::{Capture, Lan, LanOptions, Place};

/// The network namespaces that this process holds open.
fn namespaces_held() -> Vec<String> {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    let links = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    let names = links.map(|link| link.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("net:")).collect()
}

#[test]
fn router_and_laptop_reach_each_other_through_the_hosts_bridge() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    assert!(lan.ping(Place::Laptop, Lan::ROUTER).unwrap());
    assert!(lan.ping(Place::Router, Lan::LAPTOP).unwrap());
    assert!(!lan.ping(Place::Router, Ipv4Addr::new(10, 77, 0, 200)).unwrap());
    // The Docker host has no address on its bridge unless asked for.
    let addresses = lan.ok(Place::Host, &["ip", "-4", "addr", "show", "dev", "br0"]).unwrap();
    assert!(!addresses.contains("inet"), "{addresses}");
}

#[test]
fn options_are_kept() {
    let lan = Lan::new(LanOptions {
        bridge: "lan7".into(),
        host_address: Some("10.77.0.2/16".into()),
        mtu: 1400,
        extra_bridge: Some("lan8".into()),
        ..LanOptions::default()
    })
    .unwrap();
    assert!(lan.ping(Place::Laptop, Ipv4Addr::new(10, 77, 0, 2)).unwrap());
    let links = lan.ok(Place::Host, &["ip", "-br", "link"]).unwrap();
    assert!(links.contains("lan7") && links.contains("lan8"), "{links}");
    let laptop = lan.ok(Place::Laptop, &["ip", "link", "show", "eth0"]).unwrap();
    assert!(laptop.contains("mtu 1400"), "{laptop}");
    let bridge = lan.ok(Place::Host, &["ip", "link", "show", "lan7"]).unwrap();
    assert!(bridge.contains("mtu 1400"), "{bridge}");
}

#[test]
fn two_sites_do_not_know_of_each_other() {
    let one = Lan::new(LanOptions::default()).unwrap();
    let other = Lan::new(LanOptions::default()).unwrap();
    other.ok(Place::Router, &["ip", "addr", "add", "10.77.0.77/16", "dev", "eth0"]).unwrap();
    let only_there = Ipv4Addr::new(10, 77, 0, 77);
    assert!(other.ping(Place::Laptop, only_there).unwrap());
    assert!(!one.ping(Place::Laptop, only_there).unwrap());
}

#[test]
fn another_machine_joins_the_lan() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let printer = lan.add_machine("printer").unwrap();
    printer.ok(&["ip", "addr", "add", "10.77.0.50/16", "dev", "eth0"]).unwrap();
    assert!(lan.ping(Place::Laptop, Ipv4Addr::new(10, 77, 0, 50)).unwrap());
}

#[test]
fn nothing_stays_when_a_site_is_dropped() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    // Nothing but these descriptors keeps the namespaces, and with them the links, alive: no name, no process.
    assert_eq!(namespaces_held().len(), 3);
    assert!(!Path::new("/run/netns").join(lan.host_ns().name()).exists());
    drop(lan);
    assert_eq!(namespaces_held(), Vec::<String>::new());
}

#[test]
fn a_capture_sees_frames_with_their_time_and_direction() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let capture = Capture::start(lan.router_ns(), "eth0").unwrap();
    let before = std::time::SystemTime::now();
    lan.ping(Place::Laptop, Lan::ROUTER).unwrap();
    let asks = capture
        .wait_for("the laptop's ARP request", Duration::from_secs(10), |frame| {
            frame.arp().is_some_and(|arp| arp.operation == 1 && arp.sender == Lan::LAPTOP)
        })
        .unwrap();
    let answers = capture
        .wait_for("the router's answer", Duration::from_secs(10), |frame| {
            frame.arp().is_some_and(|arp| arp.operation == 2 && arp.sender == Lan::ROUTER)
        })
        .unwrap();
    assert!(!asks.outgoing && answers.outgoing);
    assert!(
        before <= asks.at && asks.at <= answers.at && answers.at <= std::time::SystemTime::now()
    );
    // Nobody asks for a DHCP server here.
    assert_eq!(capture.pick(|frame| frame.dhcp()), []);
    capture
        .wait_for("a frame that never comes", Duration::from_millis(50), |frame| {
            frame.dhcp().is_some()
        })
        .unwrap_err();
}
