//! Containers that are macvlan children of a network card, without a bridge.

use std::net::Ipv4Addr;

use lab::{
    DhcpServer6, Dnsmasq, Lan, LanOptions, Mode6, Namespace, Place, ServerOptions, landfall_binary,
};
use serde_json::{Value, json};
use wire::dhcp4::MessageType;

use crate::container::Container;
use crate::doctor::doctor;
use crate::ipv6::addresses;
use crate::server::{Grant, Request, Server};
use crate::site::{SOON, Site, endpoint_argument, eventually, ip_json, link_names, same};

pub(crate) const MAC: &str = "02:00:00:00:00:42";
pub(crate) const PARENT: &str = "eth0";
/// What a host with the parent has of links when nobody uses Landfall.
pub(crate) const LINKS: [&str; 6] = ["br0", "eth0", "laptop", "lo", "router", "wire"];
const MACVLAN: [(&str, &str); 2] = [("mode", "macvlan"), ("parent", PARENT)];

/// A LAN to which the host is connected by a network card: the bridge is a switch that happens to stand on the host.
pub(crate) fn lan(options: LanOptions) -> Lan {
    let lan = Lan::new(options).unwrap();
    let lines = "link add wire type veth peer name eth0\n\
                 link set wire master br0 up\nlink set eth0 up\n";
    lan.host_ns().ip_batch(lines).unwrap();
    lan
}

pub(crate) fn site() -> Site {
    Site::on(lan(LanOptions::default()))
}

pub(crate) fn network(site: &Site, options: &[(&str, &str)]) {
    site.network("lan", &[&MACVLAN, options].concat());
}

/// Who gets what: the last byte of the MAC is that of the address.
pub(crate) fn by_mac(request: &Request) -> Grant {
    let last = request.message.chaddr.0[5];
    Grant::new([10, 77, 1, last])
}

/// With leases that are renewed every two seconds.
fn short_by_mac(request: &Request) -> Vec<crate::server::Reply> {
    by_mac(request).times(2, 60, 120).answer(request)
}

pub(crate) fn server(site: &Site) -> Server {
    Server::start(site.lan.router_ns(), "eth0", |request| by_mac(request).answer(request))
}

fn prolongs(request: &Request) -> bool {
    request.kind == MessageType::Request && !request.message.ciaddr.is_unspecified()
}

/// Where Landfall's own child stands.
pub(crate) fn home(site: &Site) -> Namespace {
    let status = site.status();
    let path = format!("/run/netns/landfall-{}", status["instance"].as_str().unwrap());
    Namespace::open("home", &site.machine().path(&path)).unwrap()
}

/// A machine that is a macvlan child of the parent beside Landfall's.
fn sibling(lan: &Lan, mac: &str, ip: Ipv4Addr) -> Namespace {
    let ns = Namespace::new("sibling").unwrap();
    let path = ns.path().display();
    let lines =
        format!("link add sib0 link eth0 address {mac} netns {path} type macvlan mode bridge\n");
    lan.host_ns().ip_batch(&lines).unwrap();
    ns.ip_batch(&format!("addr add {ip}/16 dev sib0\nlink set sib0 up\n")).unwrap();
    ns
}

pub(crate) fn link(ns: &Namespace, name: &str) -> Value {
    ip_json(ns, &["link", "show", name])[0].clone()
}

/// What the daemon has seen of a container in its sandbox.
pub(crate) fn settled(site: &Site, name: &str) {
    eventually("its interface is known", SOON, || {
        same(site.shown(name)["interface"].clone(), &"eth0".into())
    });
}

#[test]
fn a_life() {
    let site = site();
    let server = Server::start(site.lan.router_ns(), "eth0", short_by_mac);
    let looks = |site: &Site| link(site.host(), PARENT);
    let before = looks(&site);
    network(&site, &[]);
    let container = site.run("lan", "web", MAC);
    assert_eq!(container.cidrs(), ["10.77.1.66/16"]);
    assert_eq!(container.routes(), ["default via 10.77.0.1 dev eth0"]);
    assert_eq!(site.links(), LINKS, "the host has nothing of ours");
    let inside = link(&container.ns, "eth0");
    assert_eq!(inside["address"], MAC);
    assert_eq!(inside["linkinfo"]["info_data"]["mode"], "bridge", "{inside}");
    assert!(container.ping(Lan::ROUTER) && site.lan.laptop_ns().ping(container.ip()).unwrap());
    assert!(container.lifetime() <= 120, "{}", container.lifetime());
    assert_eq!(site.shown("web")["host_interface"], PARENT);

    // The server's answer to a unicast is heard.
    settled(&site, "web");
    let mark = server.mark();
    let first = server.wait_after(mark, "a renewal", SOON, prolongs);
    assert_eq!(first.to, Lan::ROUTER);
    eventually("renewed", SOON, || match site.leases("renewed") {
        0 => Err("no renewal".to_owned()),
        _ => Ok(()),
    });
    server.behave(|request| {
        Grant { routers: vec![Lan::LAPTOP], ..by_mac(request).times(2, 60, 120) }.answer(request)
    });
    eventually("the new router", SOON, || {
        same(container.routes(), &vec!["default via 10.77.0.9 dev eth0".to_owned()])
    });
    assert_eq!(server.count(MessageType::Discover), 1);

    container.stop(&site);
    server.wait_count(MessageType::Release, 1);
    assert_eq!(site.links(), LINKS);
    assert_eq!(link_names(&home(&site)).len(), 2, "lo and Landfall's own child");
    site.delete_network("lan");
    assert_eq!(link_names(&home(&site)), ["lo"]);
    assert_eq!(site.links(), LINKS);
    assert_eq!(looks(&site), before, "nothing of the parent has changed");
}

#[test]
fn its_mac_is_pinned() {
    let site = site();
    let _server = server(&site);
    network(&site, &[]);
    for (name, mac) in [("given", MAC), ("made", "")] {
        let endpoint = site.create("lan", name, mac);
        let child = format!("lc-{}", &endpoint.id[..12]);
        assert_eq!(link(site.host(), &child)["address"], endpoint.mac);
        // NET_ADDR_SET: udev's MACAddressPolicy= leaves it alone.
        let container = Container::join(&site, endpoint);
        container.move_in(&site);
        let read =
            ["sh", "-c", "mount -t sysfs none /mnt && cat /mnt/class/net/eth0/addr_assign_type"];
        let argv = [&["unshare", "--mount"], &read[..]].concat();
        assert_eq!(container.ns.ok(&argv).unwrap().trim(), "3", "{name}");
        container.stop(&site);
    }
}

#[test]
fn its_place_is_held_until_it_comes_back() {
    let site = site();
    let server = server(&site);
    network(&site, &[("release_delay", "1h")]);
    let first = site.run("lan", "one", MAC);
    settled(&site, "one");
    let (address, ip) = (first.endpoint.address.clone(), first.ip());
    first.stop(&site);
    assert_eq!(site.links(), LINKS);
    // Landfall answers for the address meanwhile, on the LAN and for siblings.
    let sibling = sibling(&site.lan, "02:00:00:00:00:07", Ipv4Addr::new(10, 77, 0, 7));
    for asks in [site.lan.router_ns(), &sibling] {
        let ping = ["ping", "-c", "1", "-W", "1", &ip.to_string()];
        assert!(!asks.run(&ping).unwrap().status.success());
        let neighbours = asks.ok(&["ip", "neigh", "show", &ip.to_string()]).unwrap();
        assert!(neighbours.contains(MAC), "{}: {neighbours}", asks.name());
    }
    let mark = server.mark();
    let second = site.run("lan", "two", MAC);
    assert_eq!(second.endpoint.address, address);
    assert_eq!(server.mark(), mark, "not a word to the server");
    assert!(site.lan.laptop_ns().ping(ip).unwrap() && sibling.ping(ip).unwrap());
    second.stop(&site);
    site.delete_network("lan");
    server.wait_count(MessageType::Release, 1);
}

#[test]
fn a_child_that_still_holds_the_mac_is_waited_out() {
    let site = site();
    let server = server(&site);
    network(&site, &[("lease_timeout", "20s")]);
    let old = sibling(&site.lan, MAC, Ipv4Addr::new(10, 77, 0, 7));
    let call = site.begin("CreateEndpoint", &endpoint_argument("lan", "web", MAC));
    server.wait_for(MessageType::Request, SOON);
    let at_home = home(&site);
    eventually("the MAC is tried", SOON, || {
        let children: Vec<String> = link_names(&at_home);
        let tried = children.iter().any(|name| name.starts_with("lc-"));
        if tried { Ok(()) } else { Err(format!("{children:?}")) }
    });
    old.ok(&["ip", "link", "set", "sib0", "down"]).unwrap();
    let answer = call.answer();
    assert!(answer.contains("10.77.1.66"), "{answer}");
    assert_eq!(link_names(&at_home).len(), 2, "lo and Landfall's own child");
}

#[test]
fn a_child_that_holds_the_mac_for_ever_is_named() {
    let site = site();
    let server = server(&site);
    network(&site, &[("lease_timeout", "1s")]);
    let _old = sibling(&site.lan, MAC, Ipv4Addr::new(10, 77, 0, 7));
    let refusal = site.try_create("lan", "web", MAC).unwrap_err();
    let says = format!("MAC {MAC} is in use on eth0 by another macvlan child");
    assert!(refusal.contains(&says), "{refusal}");
    server.wait_count(MessageType::Release, 1);
    assert_eq!(site.links(), LINKS);
    assert_eq!(link_names(&home(&site)).len(), 2, "lo and Landfall's own child");
}

#[test]
fn killed_and_started_again() {
    let mut site = site();
    let server = Server::start(site.lan.router_ns(), "eth0", short_by_mac);
    network(&site, &[("release_delay", "1h")]);
    let stays = site.run("lan", "stays", MAC);
    let ends = site.run("lan", "ends", "02:00:00:00:00:43");
    let waits = site.create("lan", "waits", "02:00:00:00:00:44");
    settled(&site, "stays");
    settled(&site, "ends");
    site.landfall.kill9().unwrap();
    // Its sandbox ends while nobody listens.
    let gone = ends.ip();
    ends.ns.ip_batch("link del eth0\n").unwrap();
    site.landfall.restart().unwrap();
    let mark = server.mark();
    server.wait_after(mark, "a renewal", SOON, |r| {
        prolongs(r) && r.message.chaddr.to_string() == MAC
    });
    settled(&site, "stays");
    assert!(stays.ping(Lan::ROUTER));
    eventually("held", SOON, || match &site.shown("ends")["held_until"] {
        Value::Null => Err("not held".to_owned()),
        _ => Ok(()),
    });
    let ping = ["ping", "-c", "1", "-W", "1", &gone.to_string()];
    assert!(!site.lan.router_ns().run(&ping).unwrap().status.success());
    // One that had not joined yet does, and what it has is seen.
    let waits = Container::start(&site, waits);
    settled(&site, "waits");
    assert!(waits.ping(Lan::ROUTER));
    assert_eq!(server.count(MessageType::Discover), 3, "one for each container");
    waits.stop(&site);
    stays.stop(&site);
    site.delete_network("lan");
    server.wait_count(MessageType::Release, 3);
    assert_eq!(site.links(), LINKS);
}

#[test]
fn a_server_that_is_a_sibling() {
    let site = site();
    let router = Ipv4Addr::new(10, 77, 0, 3);
    let sibling = sibling(&site.lan, "02:00:00:00:00:03", router);
    let grant = move |request: &Request| Grant {
        server: Some(router),
        ..by_mac(request).times(2, 60, 120)
    };
    let server = Server::start(&sibling, "sib0", move |request| grant(request).answer(request));
    network(&site, &[("release_delay", "1h")]);
    let container = site.run("lan", "web", MAC);
    assert!(container.ping(router));
    settled(&site, "web");
    let mark = server.mark();
    assert_eq!(server.wait_after(mark, "a renewal", SOON, prolongs).to, router);
    eventually("renewed", SOON, || match site.leases("renewed") {
        0 => Err("no renewal".to_owned()),
        _ => Ok(()),
    });
    // And once more with nobody in a sandbox.
    container.stop(&site);
    let (mark, renewed) = (server.mark(), site.leases("renewed"));
    server.wait_after(mark, "a renewal", SOON, prolongs);
    eventually("renewed", SOON, || match site.leases("renewed") {
        now if now > renewed => Ok(()),
        now => Err(now.to_string()),
    });
    assert_eq!(server.count(MessageType::Discover), 1);
}

#[test]
fn other_modes() {
    let site = site();
    let _server = server(&site);
    // A switch that sends back what it gets, as `vepa` needs.
    site.host().ok(&["bridge", "link", "set", "dev", "wire", "hairpin", "on"]).unwrap();
    for (mode, reached) in [("private", false), ("vepa", true)] {
        network(&site, &[("macvlan_mode", mode)]);
        let [a, b] = [("a", "02:00:00:00:00:0a"), ("b", "02:00:00:00:00:0b")]
            .map(|(name, mac)| site.run("lan", name, mac));
        assert_eq!(link(&a.ns, "eth0")["linkinfo"]["info_data"]["mode"], mode);
        assert!(a.ping(Lan::ROUTER) && b.ping(Lan::ROUTER));
        assert_eq!(a.ping(b.ip()), reached, "{mode}");
        a.stop(&site);
        b.stop(&site);
        site.delete_network("lan");
    }
}

#[test]
fn the_only_one_on_a_parent() {
    let lan = lan(LanOptions::default());
    lan.host_ns().ip_batch("link set eth0 address 02:00:00:00:00:55\n").unwrap();
    let mut site = Site::on(lan);
    let server = Server::start(site.lan.router_ns(), "eth0", short_by_mac);
    let before = link(site.host(), PARENT);
    let passthru = ("macvlan_mode", "passthru");
    network(&site, &[passthru]);
    let refused = |name, mac| site.try_create("lan", name, mac).unwrap_err();
    let refusal = refused("web", MAC);
    assert!(refusal.contains("no MAC of its own"), "{refusal}");
    assert!(refusal.contains("leave out `--mac-address`"), "{refusal}");

    let container = site.run("lan", "web", "");
    assert_eq!(container.endpoint.mac, "", "there is none to be set");
    assert_eq!(container.cidrs(), ["10.77.1.85/16"]);
    let inside = link(&container.ns, "eth0");
    assert_eq!(inside["linkinfo"]["info_data"]["mode"], "passthru", "{inside}");
    assert_eq!(inside["address"], "02:00:00:00:00:55");
    assert!(container.ping(Lan::ROUTER) && site.lan.laptop_ns().ping(container.ip()).unwrap());
    assert_eq!(link_names(&home(&site)), ["lo"], "no child of Landfall's own");
    settled(&site, "web");
    let refusal = refused("db", "");
    assert!(refusal.contains("there is one container on it"), "{refusal}");

    // The server's answer to a unicast is heard, also by the next daemon.
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let mark = server.mark();
    let renewal = server.wait_after(mark, "a renewal", SOON, prolongs);
    assert_eq!(renewal.to, Lan::ROUTER);
    eventually("renewed", SOON, || match site.leases("renewed") {
        0 => Err("no renewal".to_owned()),
        _ => Ok(()),
    });
    assert_eq!(server.count(MessageType::Discover), 1);

    container.stop(&site);
    server.wait_count(MessageType::Release, 1);
    assert_eq!(site.links(), LINKS);
    site.delete_network("lan");
    assert_eq!(link(site.host(), PARENT), before, "nothing of the parent has changed");
}

#[test]
fn a_vlan_that_cannot_be() {
    let site = site();
    site.host().ip_batch("link add down0 type veth peer name far0\n").unwrap();
    let macvlan = ("mode", "macvlan");
    for (options, says) in [
        (&[macvlan, ("parent", "eth0.0")][..], "a VLAN has a number from 1 to 4094"),
        (&[macvlan, ("parent", "eth0.4095")], "a VLAN has a number from 1 to 4094"),
        (&[macvlan, ("parent", "eth9"), ("vlan", "30")], "there is no interface eth9 on"),
        (&[macvlan, ("parent", "down0.30")], "parent down0 is down"),
        (&[macvlan, ("parent", "lo.30")], "lo is no Ethernet interface"),
        (&[macvlan, ("parent", PARENT), ("vlan", "0")], "the number of a VLAN, 1 to 4094"),
        (&[("vlan", "30")], "bridge br0 does not keep VLANs apart"),
    ] {
        let refusal = site.call("CreateNetwork", &site.network_argument("bad", options));
        let refusal = refusal.unwrap_err();
        assert!(refusal.contains(says), "{refusal}");
    }
    let argument = site.network_argument("lan", &[macvlan, ("parent", PARENT), ("vlan", "30")]);
    let made = site.call("CreateNetwork", &argument);
    // Where the kernel has VLANs it is made; `vm::vlan` says the rest.
    let there = site.links().contains(&"eth0.30".to_owned());
    match made {
        Ok(_) => assert!(there),
        Err(refusal) => assert!(!there && refusal.contains("the kernel has no VLANs"), "{refusal}"),
    }
    assert_eq!(link_names(&home(&site)).len(), if there { 2 } else { 1 });
}

#[test]
fn what_cannot_be_a_parent() {
    let site = site();
    let lines = "link add down0 type veth peer name wlan0\nlink set wlan0 up\n\
                 link add mv0 link wlan0 type macvlan\n\
                 link add taken0 type veth peer name far0\nlink set taken0 up\n\
                 link add pt0 link taken0 type macvlan mode passthru\n";
    site.host().ip_batch(lines).unwrap();
    site.machine()
        .ok(&[
            "sh",
            "-c",
            "mount -t tmpfs none /sys/class && mkdir -p /sys/class/net/wlan0/phy80211",
        ])
        .unwrap();
    for (parent, says) in [
        ("eth9", &["there is no interface eth9", "-o parent="][..]),
        ("down0", &["parent down0 is down", "ip link set down0 up"]),
        ("br0", &["br0 is a bridge", "-o bridge=br0"]),
        ("wire", &["wire is a port of br0", "-o bridge=br0"]),
        ("mv0", &["mv0 is a macvlan child itself", "network card"]),
        ("wlan0", &["wlan0 is wireless"]),
        ("taken0", &["taken0 is in use", "passthru"]),
        ("lo", &["lo is no Ethernet interface"]),
    ] {
        let options = [("mode", "macvlan"), ("parent", parent)];
        let refusal =
            site.call("CreateNetwork", &site.network_argument("lan", &options)).unwrap_err();
        assert!(says.iter().all(|words| refusal.contains(words)), "{parent}: {refusal}");
    }
    let links = site.links();
    let ipvlan = [("mode", "ipvlan"), ("parent", "taken0")];
    let refusal = site.call("CreateNetwork", &site.network_argument("lan", &ipvlan)).unwrap_err();
    // `vm::ipvlan` says the rest.
    let says =
        ["taken0 is in use", "taken0 cannot have ipvlan children, as this kernel makes none"];
    assert!(says.iter().any(|words| refusal.contains(words)), "{refusal}");
    assert_eq!(site.links(), links);
    assert_eq!(site.status()["networks"], json!([]));
    assert_eq!(link_names(&home(&site)), ["lo"]);
}

#[test]
fn the_cable_is_pulled_and_plugged_in() {
    let site = site();
    let server = server(&site);
    network(&site, &[]);
    let container = site.run("lan", "web", MAC);
    settled(&site, "web");
    site.host().ok(&["ip", "link", "set", "wire", "down"]).unwrap();
    eventually("no carrier", SOON, || {
        same(link(site.host(), PARENT)["operstate"].clone(), &"LOWERLAYERDOWN".into())
    });
    let mark = server.mark();
    site.host().ok(&["ip", "link", "set", "wire", "up"]).unwrap();
    server.wait_after(mark, "its lease is confirmed", SOON, |r| r.kind == MessageType::Request);
    assert!(container.ping(Lan::ROUTER));
}

#[test]
fn a_parent_that_is_made_again() {
    let site = site();
    let server = server(&site);
    network(&site, &[("release_delay", "1h")]);
    let container = site.run("lan", "web", MAC);
    settled(&site, "web");
    let address = container.endpoint.address.clone();
    // The kernel removes the children with it.
    site.host().ok(&["ip", "link", "delete", "wire"]).unwrap();
    eventually("held", SOON, || match &site.shown("web")["held_until"] {
        Value::Null => Err("not held".to_owned()),
        _ => Ok(()),
    });
    let lines = "link add wire type veth peer name eth0\n\
                 link set wire master br0 up\nlink set eth0 up\n";
    let mark = server.mark();
    site.host().ip_batch(lines).unwrap();
    server.wait_after(mark, "its lease is confirmed", SOON, |r| r.kind == MessageType::Request);
    container.stop(&site);
    let again = site.run("lan", "again", MAC);
    assert_eq!(again.endpoint.address, address);
    assert!(again.ping(Lan::ROUTER));
    assert_eq!(server.count(MessageType::Discover), 1);
}

#[test]
fn ipv6_of_its_own() {
    let site = Site::on(lan(LanOptions { ipv6: true, ..LanOptions::default() }));
    let options = ServerOptions { ipv6: Some(Mode6::Stateful), ..ServerOptions::default() };
    let server = Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap();
    network(&site, &[("ipv6", "auto"), ("release_delay", "1h")]);
    let first = site.run("lan", "one", MAC);
    let leased = server.leases6().unwrap();
    assert_eq!(first.endpoint.address6, format!("{}/128", leased[0].ip));
    settled(&site, "one");
    assert_eq!(addresses(&first), [format!("{}/128", leased[0].ip)]);
    assert!(site.lan.ping6(Place::Laptop, leased[0].ip).unwrap());
    let address6 = first.endpoint.address6.clone();
    first.stop(&site);
    // Landfall answers neighbours meanwhile.
    let laptop = site.lan.laptop_ns();
    laptop.ok(&["ip", "neigh", "flush", "dev", "eth0"]).unwrap();
    assert!(!laptop.ping6(leased[0].ip).unwrap());
    let neighbours = laptop.ok(&["ip", "neigh", "show", &leased[0].ip.to_string()]).unwrap();
    assert!(neighbours.contains(MAC), "{neighbours}");
    let second = site.run("lan", "two", MAC);
    assert_eq!(second.endpoint.address6, address6);
    assert!(site.lan.ping6(Place::Laptop, leased[0].ip).unwrap());
    second.stop(&site);
    site.delete_network("lan");
    eventually("given back", SOON, || same(server.leases6().unwrap().len(), &0));
}

/// No link of the host tells of it: it is found out when its lease is renewed there, or else when it expires.
#[test]
fn a_sandbox_that_goes_unheard() {
    let site = site();
    let server = Server::start(site.lan.router_ns(), "eth0", short_by_mac);
    network(&site, &[]);
    let container = site.run("lan", "web", MAC);
    settled(&site, "web");
    // Nobody is left to answer the server's ARP for the renewal: it must know the MAC.
    assert!(container.ping(Lan::ROUTER));
    container.ns.ip_batch("link del eth0\n").unwrap();
    server.wait_count(MessageType::Release, 1);
    eventually("the endpoint gone", SOON, || same(site.shown("web"), &Value::Null));
    container.leave(&site);
    container.delete(&site);
}

#[test]
fn the_card_lets_in_what_is_for_an_endpoint_without_a_link() {
    let site = site();
    let server = server(&site);
    network(&site, &[("release_delay", "1h")]);
    // What a real card lets in besides its own address; a veth lets in everything.
    let admitted = || {
        let entries = site.host().ok(&["bridge", "fdb", "show", "dev", PARENT]).unwrap();
        entries.lines().any(|line| line.starts_with(MAC))
    };
    assert!(!admitted());
    let container = site.run("lan", "web", MAC);
    assert!(admitted());
    container.stop(&site);
    assert!(admitted(), "its lease is held");
    site.delete_network("lan");
    server.wait_count(MessageType::Release, 1);
    assert!(!admitted());
}

#[test]
fn killed_while_a_mac_is_tried() {
    let mut site = site();
    let server = server(&site);
    network(&site, &[("lease_timeout", "20s")]);
    let old = sibling(&site.lan, MAC, Ipv4Addr::new(10, 77, 0, 7));
    let call = site.begin("CreateEndpoint", &endpoint_argument("lan", "web", MAC));
    let at_home = home(&site);
    eventually("the MAC is tried", SOON, || {
        let children = link_names(&at_home);
        let tried = children.iter().any(|name| name.starts_with("lc-"));
        if tried { Ok(()) } else { Err(format!("{children:?}")) }
    });
    site.landfall.kill9().unwrap();
    drop(call);
    site.landfall.restart().unwrap();
    server.wait_count(MessageType::Release, 1);
    assert_eq!(link_names(&at_home).len(), 2, "lo and Landfall's own child");
    // The engine repeats its call.
    old.ok(&["ip", "link", "set", "sib0", "down"]).unwrap();
    let container = site.run("lan", "web", MAC);
    assert!(container.ping(Lan::ROUTER));
    container.stop(&site);
    assert_eq!(site.links(), LINKS);
}

#[test]
fn doctor_looks_at_the_parent() {
    let site = site();
    network(&site, &[]);
    site.machine().copy_in(&landfall_binary().unwrap(), "/usr/local/bin/landfall").unwrap();
    let ask = || doctor(site.machine(), &site.lan, &[]);
    let said = ask();
    let (severity, words) = said.only("uplink");
    assert_eq!(severity, "ok", "{words}");
    assert!(words.contains("eth0: up, MTU 1500"), "{words}");
    assert!(said.checks("warning").iter().all(|check| *check != "bridge"), "no bridge is needed");
    site.host().ok(&["ip", "link", "set", "wire", "down"]).unwrap();
    let said = ask();
    let (severity, words) = said.only("uplink");
    assert_eq!(severity, "error", "{words}");
    assert!(words.contains("eth0: has no carrier"), "{words}");
}
