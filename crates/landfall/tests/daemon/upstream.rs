//! Why nobody on the LAN answers a container: what lies between it and the server.

use lab::{Lan, landfall_binary};
use wire::dhcp4::MessageType;

use crate::doctor::doctor;
use crate::macvlan::{LINKS, MAC, PARENT, by_mac, link, network, server, site};
use crate::server::Server;
use crate::site::{SOON, Site, eventually, same};

#[test]
fn silence_on_a_parent_is_explained() {
    let site = site();
    network(&site, &[("lease_timeout", "1s")]);
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    let says = [
        "no DHCP server answered on eth0 within 1s",
        "no sign that one MAC only is let pass",
        "-o bridge=",
    ];
    assert!(says.iter().all(|words| refusal.contains(words)), "{refusal}");
    site.host().ok(&["ip", "link", "set", "wire", "down"]).unwrap();
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    assert!(refusal.contains("eth0 has no carrier"), "{refusal}");
    assert_eq!(site.links(), LINKS);
}

/// A switch that lets the MAC of `link` alone come in at `port`, as port security does.
fn secure(site: &Site, port: &str, link: &str) {
    let mac = self::link(site.host(), link)["address"].as_str().unwrap().to_owned();
    for words in [
        &["bridge", "fdb", "replace", &mac, "dev", port, "master", "static"][..],
        &["bridge", "link", "set", "dev", port, "locked", "on"],
    ] {
        site.host().ok(words).unwrap();
    }
}

#[test]
fn an_upstream_that_drops_foreign_macs_is_named() {
    // By a card of the host's own, and by a bridge with one.
    for bridged in [false, true] {
        let site = site();
        let server = server(&site);
        if bridged {
            let lines = "link add br1 type bridge\nlink set br1 up\nlink set eth0 master br1\n";
            site.host().ip_batch(lines).unwrap();
            site.network("lan", &[("bridge", "br1"), ("lease_timeout", "1s")]);
        } else {
            network(&site, &[("lease_timeout", "1s")]);
        }
        let way = if bridged { "br1" } else { PARENT };
        secure(&site, "wire", way);
        let own = link(site.host(), way)["address"].as_str().unwrap().to_owned();
        let refusal = site.try_create("lan", "web", MAC).unwrap_err();
        let seen = format!("10.77.0.1 answers {way}'s own MAC {own} by ARP and no other");
        for words in [&seen, "lets one MAC only pass", "port security", "-o mode=ipvlan"] {
            assert!(refusal.contains(words), "{words}: {refusal}");
        }
        assert_eq!(server.count(MessageType::Request), 0, "nothing is taken");
        if bridged {
            // The daemon closes what it listened with when it has answered.
            eventually("nobody else listens at the card", SOON, || {
                same(link(site.host(), PARENT)["promiscuity"].clone(), &1.into())
            });
            let machine = site.machine();
            machine.copy_in(&landfall_binary().unwrap(), "/usr/local/bin/landfall").unwrap();
            let said = doctor(machine, &site.lan, &["br1", "--wait", "1"]);
            let (severity, told) = said.only("dhcp-server");
            assert!(severity == "error" && told.contains(&seen), "{severity}: {told}");
        }
        // Once it lets others pass.
        site.host().ok(&["bridge", "link", "set", "dev", "wire", "locked", "off"]).unwrap();
        let container = site.run("lan", "web", MAC);
        assert!(container.ping(Lan::ROUTER));
    }
}

/// The server says nothing within that time, as it looks whether an address is free; the host's router answers at once.
#[test]
fn foreign_macs_are_told_by_the_hosts_own_router() {
    let site = site();
    let _slow = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    let lines = "addr add 10.77.0.7/16 dev eth0\nroute add default via 10.77.0.1\n";
    site.host().ip_batch(lines).unwrap();
    network(&site, &[("lease_timeout", "1s")]);
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    assert!(refusal.contains("no sign that one MAC only is let pass"), "{refusal}");
    secure(&site, "wire", PARENT);
    // The switch has learnt that of the first.
    let refusal = site.try_create("lan", "web", "02:00:00:00:00:43").unwrap_err();
    assert!(refusal.contains("10.77.0.1 answers eth0's own MAC"), "{refusal}");
    assert!(refusal.contains("lets one MAC only pass"), "{refusal}");
}

#[test]
fn a_server_that_serves_only_whom_it_knows_is_named() {
    let site = site();
    let known = link(site.host(), PARENT)["address"].as_str().unwrap().to_owned();
    let _server = Server::start(site.lan.router_ns(), "eth0", move |request| {
        match request.message.chaddr.to_string() == known {
            true => by_mac(request).answer(request),
            false => Vec::new(),
        }
    });
    network(&site, &[("lease_timeout", "1s")]);
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    let says = [
        "the DHCP server 10.77.0.1 answers eth0's own MAC",
        "it serves only clients that it knows",
        "enter the container's MAC there",
    ];
    assert!(says.iter().all(|words| refusal.contains(words)), "{refusal}");
    // Nor do its neighbours say anything: either may be the cause.
    let ignore = "echo 8 > /proc/sys/net/ipv4/conf/all/arp_ignore";
    site.lan.router_ns().ok(&["sh", "-c", ignore]).unwrap();
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    let says = ["lets one MAC only pass, or the server serves only clients that it knows"];
    assert!(says.iter().all(|words| refusal.contains(words)), "{refusal}");
}
