//! Addresses that another machine uses, and servers that are silent or not what they say they are.

use std::collections::BTreeSet;

use lab::{Lan, Place};
use serde_json::json;
use wire::dhcp4::{MessageType, code};

use crate::container::{Container, FOREVER};
use crate::server::{Grant, Request, Server};
use crate::site::{SOON, Site, eventually, ip_json, same, stocked};

const MAC: &str = "02:00:00:00:00:42";

/// Gives the laptop's own address to whoever asks first, and then others.
fn server_that_gives_the_laptop_s(site: &Site) -> Server {
    let mut declined = 0;
    Server::start(site.lan.router_ns(), "eth0", move |request: &Request| {
        declined += u8::from(request.kind == MessageType::Decline);
        let address = if declined == 0 { Lan::LAPTOP.octets() } else { [10, 77, 1, declined] };
        Grant::new(address).answer(request)
    })
}

#[test]
fn an_address_in_use_is_declined_and_the_start_goes_on_with_another() {
    for check in ["fast", "full"] {
        let site = Site::new();
        let server = server_that_gives_the_laptop_s(&site);
        site.network("lan", &[("conflict_check", check), ("lease_timeout", "20s")]);
        let container = site.run("lan", "web", MAC);
        assert_eq!(container.endpoint.address, "10.77.1.1/16", "{check}");
        let decline = server.wait_for(MessageType::Decline, SOON);
        let options = &decline.message.options;
        let asked = options.get(code::REQUESTED_ADDRESS);
        assert_eq!(asked, Some(&Lan::LAPTOP.octets()[..]));
        assert!(container.ping(Lan::ROUTER));
    }
}

#[test]
fn with_the_check_off_it_is_taken_unseen() {
    let site = Site::new();
    let server = server_that_gives_the_laptop_s(&site);
    site.network("lan", &[("conflict_check", "off")]);
    assert_eq!(site.create("lan", "web", MAC).ip(), Lan::LAPTOP);
    assert_eq!(server.count(MessageType::Decline), 0);
}

#[test]
fn a_start_that_finds_only_addresses_in_use_names_the_holder() {
    let site = Site::new();
    let _server = Server::granting(&site.lan, Grant::new(Lan::LAPTOP.octets()));
    site.network("lan", &[("lease_timeout", "3s")]);
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    let laptop = &ip_json(site.lan.laptop_ns(), &["link", "show", "eth0"])[0];
    let laptop = laptop["address"].as_str().unwrap();
    assert!(refusal.contains("give addresses that are in use"), "{refusal}");
    assert!(refusal.contains(&Lan::LAPTOP.to_string()), "{refusal}");
    assert!(refusal.contains(laptop), "{refusal}");
}

/// A sibling is heard neither by the port that its own frames leave by nor by the bridge.
#[test]
fn a_sibling_on_the_same_host_is_seen_too() {
    let site = Site::new();
    // One address for all: the server is out of its mind.
    let mut declined = false;
    let server = Server::start(site.lan.router_ns(), "eth0", move |request: &Request| {
        declined |= request.kind == MessageType::Decline;
        Grant::new([10, 77, 1, if declined { 8 } else { 7 }]).answer(request)
    });
    site.network("lan", &[("release_delay", "1h")]);
    // Held: only the port answers for it.
    site.run("lan", "held", "02:00:00:00:00:07").stop(&site);
    assert_eq!(site.create("lan", "second", "02:00:00:00:00:08").address, "10.77.1.8/16");
    assert_eq!(server.count(MessageType::Decline), 1);
}

#[test]
fn a_running_container_defends_its_address_and_gives_it_up_in_the_end() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |request| {
        Grant::new([10, 77, 1, 7]).answer(request)
    });
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    let laptop = site.lan.laptop_ns();
    // Long after the start: what a machine says that has just been switched on with that address.
    eventually("bound", SOON, || same(site.shown("web")["state"].clone(), &json!("BOUND")));
    server.grant(Grant::new([10, 77, 1, 9]));
    laptop.ok(&["ip", "address", "add", "10.77.1.7/32", "dev", "eth0"]).unwrap();
    for _ in 0..2 {
        // Its question for the router's MAC names the address as its own.
        laptop.ok(&["ip", "neigh", "flush", "all"]).unwrap();
        laptop.run(&["ping", "-c", "1", "-W", "1", "-I", "10.77.1.7", "10.77.0.1"]).unwrap();
    }
    eventually("another address", SOON * 2, || {
        same(container.cidrs(), &vec!["10.77.1.9/16".to_owned()])
    });
    assert_eq!(server.count(MessageType::Decline), 1);
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(site.leases("in_conflict"), 1);
}

/// A lease that is taken in advance is asked after as any other is, and watched while it waits.
#[test]
fn what_another_machine_has_is_not_kept_in_stock() {
    let site = Site::new();
    let server = server_that_gives_the_laptop_s(&site);
    site.network("lan", &[("warm", "1"), ("conflict_check", "fast"), ("lease_timeout", "20s")]);
    assert_eq!(stocked(&site, 1), BTreeSet::from(["10.77.1.1/16".to_owned()]));
    assert_eq!(server.count(MessageType::Decline), 1);

    let laptop = site.lan.laptop_ns();
    laptop.ok(&["ip", "address", "add", "10.77.1.1/32", "dev", "eth0"]).unwrap();
    for _ in 0..2 {
        laptop.ok(&["ip", "neigh", "flush", "all"]).unwrap();
        laptop.run(&["ping", "-c", "1", "-W", "1", "-I", "10.77.1.1", "10.77.0.1"]).unwrap();
    }
    stocked(&site, 0);
    assert_eq!(server.count(MessageType::Decline), 2);
    let container = site.run("lan", "web", "");
    assert_eq!(container.endpoint.address, "10.77.1.2/16");
}

/// Between Join and its link's coming up: the engine has put it there meanwhile, as it was told.
#[test]
fn an_address_that_is_lost_before_the_link_is_up_does_not_stay() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 7]));
    site.network("lan", &[]);
    let container = Container::join(&site, site.create("lan", "web", MAC));
    eventually("bound", SOON, || same(site.shown("web")["state"].clone(), &json!("BOUND")));
    server.behave(|_| vec![]);
    let laptop = site.lan.laptop_ns();
    laptop.ok(&["ip", "address", "add", "10.77.1.7/32", "dev", "eth0"]).unwrap();
    for _ in 0..2 {
        laptop.ok(&["ip", "neigh", "flush", "all"]).unwrap();
        laptop.run(&["ping", "-c", "1", "-W", "1", "-I", "10.77.1.7", "10.77.0.1"]).unwrap();
    }
    eventually("lost", SOON, || same(site.leases("in_conflict"), &1));
    container.move_in(&site);
    eventually("no address", SOON, || same(container.cidrs(), &vec![]));
    server.grant(Grant::new([10, 77, 1, 9]));
    let another = vec!["10.77.1.9/16".to_owned()];
    eventually("another address", SOON * 2, || same(container.cidrs(), &another));
    assert!(container.ping(Lan::ROUTER));
}

/// RFC 2131 §4.4.5 against the option that keeps the address.
#[test]
fn a_lease_that_no_server_prolongs() {
    for (keep, left) in [("drop", vec![]), ("keep", vec!["10.77.1.66/16".to_owned()])] {
        let site = Site::new();
        let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 66]).times(1, 2, 3));
        site.network("lan", &[("on_lease_loss", keep)]);
        let container = site.run("lan", "web", MAC);
        server.behave(|_| vec![]);
        let mark = server.mark();
        server.wait_after(mark, "a search for a server", SOON, |r| r.kind == MessageType::Discover);
        eventually(keep, SOON, || same(container.cidrs(), &left));
        let ended = if keep == "keep" { "overdue" } else { "expired" };
        assert_eq!(site.leases(ended), 1);
        if keep == "keep" {
            // The kernel would end it a moment later.
            eventually("no end of its life", SOON, || same(container.lifetime(), &FOREVER));
            assert_eq!(container.cidrs(), left);
        }
        assert_eq!(site.lan.ping(Place::Laptop, container.ip()).unwrap(), keep == "keep");
        server.grant(Grant::new([10, 77, 1, 66]));
        eventually("again", SOON * 2, || same(site.shown("web")["state"].clone(), &json!("BOUND")));
        eventually("the address", SOON, || {
            same(container.cidrs(), &vec!["10.77.1.66/16".to_owned()])
        });
    }
}

/// A container with a DHCP server of its own, on a network that lets none act as one.
#[test]
fn a_rogue_server_in_a_container() {
    for guarded in [false, true] {
        let site = Site::new();
        let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 66]));
        let guard = if guarded { "true" } else { "false" };
        site.network("lan", &[("dhcp_guard", guard), ("release_delay", "0")]);
        let rogue = site.run("lan", "rogue", "02:00:00:00:00:66");
        server.behave(|_| vec![]);
        let rogue_ip = rogue.ip();
        let evil = Server::start(&rogue.ns, &rogue.interface, move |request| {
            Grant { server: Some(rogue_ip), ..Grant::new([10, 77, 6, 6]) }.answer(request)
        });
        let got = site.try_create("lan", "victim", MAC);
        if guarded {
            assert!(got.unwrap_err().contains("nothing heard"));
            assert!(evil.count(MessageType::Discover) > 0, "asked all the same");
        } else {
            assert_eq!(got.unwrap().address, "10.77.6.6/16");
        }
    }
}
