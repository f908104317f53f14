//! VLANs: interfaces of them as parents, and bridges that keep them apart.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use lab::{DhcpServer, Dnsmasq, Lan, LanOptions, Namespace, ServerOptions};
use serde_json::Value;

use crate::container::{Container, endpoint_ref};
use crate::pools::{self, Pool, with_pool};
use crate::site::{SOON, Site, eventually, ip_json, link_names, same};

/// The router in VLAN 30.
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 30, 0, 1);

/// The router is in VLAN 30 too, with a DHCP server for it: what comes from there came with the tag.
pub(crate) fn server_in_30(lan: &Lan) -> Dnsmasq {
    let lines = format!(
        "link add link eth0 name eth0.30 type vlan id 30\naddr add {ROUTER}/16 dev eth0.30\n\
         link set eth0.30 up\n"
    );
    lan.router_ns().ip_batch(&lines).unwrap();
    let options = ServerOptions {
        pool: (Ipv4Addr::new(10, 30, 1, 1), Ipv4Addr::new(10, 30, 1, 9)),
        router: Some(ROUTER),
        ..ServerOptions::default()
    };
    Dnsmasq::start(lan.router_ns(), "eth0.30", options).unwrap()
}

/// A LAN to which the host is connected by a network card.
pub(crate) fn lan_with_card() -> Lan {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let card =
        "link add wire type veth peer name eth0\nlink set wire master br0 up\nlink set eth0 up\n";
    lan.host_ns().ip_batch(card).unwrap();
    lan
}

fn link(ns: &Namespace, name: &str) -> Value {
    ip_json(ns, &["link", "show", name])[0].clone()
}

fn parents(site: &Site) -> Vec<String> {
    site.links().into_iter().filter(|name| name.starts_with("eth0.")).collect()
}

/// Landfall's own namespace.
fn home(site: &Site) -> Namespace {
    let status = site.status();
    let path = format!("/run/netns/landfall-{}", status["instance"].as_str().unwrap());
    Namespace::open("home", &site.machine().path(&path)).unwrap()
}

fn is_in_30(container: &Container) {
    assert_eq!(container.ip().octets()[..2], [10, 30], "{}", container.endpoint.address);
    assert_eq!(container.routes(), ["default via 10.30.0.1 dev eth0"]);
    assert!(container.ping(ROUTER));
}

#[test]
#[ignore = "runs in a virtual machine"]
fn the_interface_of_a_vlan_comes_and_goes_with_its_networks() {
    let lan = lan_with_card();
    let server = server_in_30(&lan);
    let mut site = Site::on(lan);
    let macvlan = ("mode", "macvlan");
    site.network("one", &[macvlan, ("parent", "eth0"), ("vlan", "30")]);
    site.network("two", &[macvlan, ("parent", "eth0.30")]);
    let made = link(site.host(), "eth0.30");
    let instance = site.status()["instance"].as_str().unwrap().to_owned();
    assert_eq!(made["linkinfo"]["info_data"]["id"], 30, "{made}");
    assert_eq!(made["ifalias"], format!("landfall-{instance}"));
    let flags = made["flags"].as_array().unwrap();
    assert!(flags.contains(&"NOARP".into()) && flags.contains(&"UP".into()), "{made}");
    let addresses = ip_json(site.host(), &["addr", "show", "dev", "eth0.30"]);
    assert_eq!(addresses[0]["addr_info"], serde_json::json!([]), "the host is not there");
    let web = site.run("one", "web", "");
    is_in_30(&web);
    let db = site.run("two", "db", "");
    is_in_30(&db);

    // Beside it: what an administrator made, and what an earlier run left when it was killed.
    let host = "link add link eth0 name eth0.40 type vlan id 40\nlink set eth0.40 up\n\
                link add link eth0 name vlan60 type vlan id 60\nlink set vlan60 up\n";
    site.host().ip_batch(host).unwrap();
    site.network("forty", &[macvlan, ("parent", "eth0.40")]);
    let left = link(site.host(), "eth0")["ifindex"].as_u64().unwrap();
    let left = format!("lfv{instance}046{left:x}");
    let home_ns = home(&site);
    let path = home_ns.path().display().to_string();
    site.landfall.kill9().unwrap();
    site.host()
        .ip_batch(&format!(
            "link add link eth0 name eth0.50 type vlan id 50\n\
             link set eth0.50 alias landfall-{instance}\n\
             link add link eth0 name {left} netns {path} type vlan id 70\n"
        ))
        .unwrap();
    site.landfall.restart().unwrap();
    assert_eq!(parents(&site), ["eth0.30", "eth0.40"]);
    assert!(!link_names(&home(&site)).contains(&left), "{:?}", link_names(&home(&site)));
    assert!(web.ping(ROUTER), "a restart takes nothing away");

    // Another name for what there is would be another interface of the same VLAN.
    let refused = |options: &[(&str, &str)]| {
        let argument = site.network_argument("bad", &[&[macvlan], options].concat());
        site.call("CreateNetwork", &argument).unwrap_err()
    };
    let taken = refused(&[("parent", "eth0.60")]);
    assert!(taken.contains("`-o parent=vlan60`"), "{taken}");
    site.host().ip_batch("link set vlan60 down\nlink set vlan60 name eth0.61\n").unwrap();
    let trap = refused(&[("parent", "eth0"), ("vlan", "61")]);
    assert!(trap.contains("is the interface of VLAN 60 of eth0, whatever its name says"), "{trap}");
    let zero = refused(&[("parent", "eth0.4095")]);
    assert!(zero.contains("a VLAN has a number from 1 to 4094"), "{zero}");

    web.stop(&site);
    site.delete_network("one");
    is_in_30(&db);
    db.stop(&site);
    site.delete_network("two");
    site.delete_network("forty");
    assert_eq!(parents(&site), ["eth0.40", "eth0.61"]);
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    assert_eq!(link_names(&home(&site)), ["lo"]);
}

#[test]
#[ignore = "runs in a virtual machine"]
fn a_bridge_that_keeps_vlans_apart() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = server_in_30(&lan);
    let untagged = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let site = Site::on(lan);
    let on_30 = ("vlan", "30");
    let argument = site.network_argument("lan", &[on_30]);
    let refusal = site.call("CreateNetwork", &argument).unwrap_err();
    assert!(refusal.contains("bridge br0 does not keep VLANs apart"), "{refusal}");
    site.host().ok(&["ip", "link", "set", "br0", "type", "bridge", "vlan_filtering", "1"]).unwrap();
    site.network("lan", &[on_30, ("lease_timeout", "4s")]);
    site.network("plain", &[]);

    // The uplink is not in the VLAN yet.
    let refusal = site.try_create("lan", "web", "").unwrap_err();
    assert!(refusal.contains("no DHCP server answered on br0 in VLAN 30"), "{refusal}");
    assert!(refusal.contains("No port of br0 that leads to the LAN is in VLAN 30"), "{refusal}");
    site.host().ok(&["bridge", "vlan", "add", "dev", "router", "vid", "30"]).unwrap();

    let web = site.run("lan", "web", "");
    is_in_30(&web);
    let db = site.run("plain", "db", "");
    assert_eq!(db.ip().octets()[..2], [10, 77]);
    assert!(db.ping(Lan::ROUTER) && !db.ping(web.ip()), "they are apart");
    // Each port is in its own VLAN alone.
    let vlans: Value =
        serde_json::from_str(&site.host().ok(&["bridge", "-json", "vlan", "show"]).unwrap())
            .unwrap();
    for port in vlans.as_array().unwrap() {
        let name = port["ifname"].as_str().unwrap();
        let of_30 = name.starts_with("lfv") || name == crate::site::host_link("web");
        let expected = if of_30 {
            serde_json::json!([{ "vlan": 30, "flags": ["PVID", "Egress Untagged"] }])
        } else if name.starts_with("lf") {
            serde_json::json!([{ "vlan": 1, "flags": ["PVID", "Egress Untagged"] }])
        } else {
            continue;
        };
        assert_eq!(port["vlans"], expected, "{name}");
    }

    // A name is another client in each VLAN.
    let silent = [("vlan", "31"), ("no_server", "wait"), ("lease_timeout", "500ms")];
    site.network("silent", &silent);
    let named = |network: &str, endpoint: &str| {
        site.try_create_asking(network, endpoint, "", &[("identity", "nas")]).unwrap()
    };
    let of_nas = [("lan", "nas30"), ("silent", "nas31"), ("plain", "nas")];
    let of_nas = of_nas.map(|(network, endpoint)| named(network, endpoint));
    let macs: BTreeSet<&str> = of_nas.iter().map(|endpoint| &*endpoint.mac).collect();
    assert_eq!(macs.len(), 3, "{macs:?}");
    for endpoint in &of_nas {
        site.ok("DeleteEndpoint", &endpoint_ref(endpoint));
    }
    site.delete_network("silent");

    addresses_before_endpoints(&site);

    // Both are put back where they were on a bridge that is made again.
    let again = "link delete br0\nlink add br0 type bridge vlan_filtering 1\n\
                 link set br0 up\nlink set router master br0\n";
    site.host().ip_batch(again).unwrap();
    site.host().ok(&["bridge", "vlan", "add", "dev", "router", "vid", "30"]).unwrap();
    eventually("web is back in its VLAN", SOON, || {
        if web.ping(ROUTER) { Ok(()) } else { Err(format!("{:?}", site.links())) }
    });
    assert!(db.ping(Lan::ROUTER));

    web.stop(&site);
    db.stop(&site);
    for server in [&server, &untagged] {
        server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    }
    site.delete_network("lan");
    let ports = || site.links().into_iter().filter(|name| name.starts_with("lf")).count();
    assert_eq!(ports(), 1, "{:?}", site.links());
    site.delete_network("plain");
    assert_eq!(ports(), 0);
}

/// With Landfall as IPAM driver: the pool is the VLAN's, and so is the lease that is there before its endpoint.
fn addresses_before_endpoints(site: &Site) {
    let on_30 = [("bridge", "br0"), ("vlan", "30")];
    let pool = Pool::request(site, &on_30);
    assert_eq!(pool.id, "bridge.30:br0:10.30.0.0/16");
    let create =
        |options| site.call("CreateNetwork", &with_pool(site, "ahead", options, &pool.subnet));
    let refusal = create(&[("vlan", "31")]).unwrap_err();
    assert!(refusal.contains("and the same `vlan`"), "{refusal}");
    create(&on_30).unwrap();
    let container = pool.run(site, "ahead", "ahead");
    is_in_30(&container);
    pool.end(site, container);
    site.delete_network("ahead");
    pool.release(site);
}

/// With Landfall as IPAM driver the first to need it is the pool.
#[test]
#[ignore = "runs in a virtual machine"]
fn the_interface_of_a_vlan_is_made_for_a_pool() {
    let lan = lan_with_card();
    let server = server_in_30(&lan);
    let mut site = Site::on(lan);
    let none: [&str; 0] = [];
    let (macvlan, eth0) = (("mode", "macvlan"), ("parent", "eth0"));
    let in_30 = [macvlan, eth0, ("vlan", "30")];
    // Of a pool that no network comes to use it goes again, and of one that there is not.
    let unused = Pool::request(&site, &in_30);
    assert_eq!(parents(&site), ["eth0.30"]);
    unused.release(&site);
    assert_eq!(parents(&site), none);
    let silent = [macvlan, ("parent", "eth0.31"), ("lease_timeout", "300ms")];
    let refusal = pools::pool(&site, &silent, "").unwrap_err();
    assert!(refusal.contains("no DHCP server answered on eth0.31"), "{refusal}");
    eventually("it is removed", SOON, || same(parents(&site), &vec![]));

    let pool = Pool::with_network(&site, "lan", &in_30, &[]);
    let web = pool.run(&site, "lan", "web");
    is_in_30(&web);
    // Another network beside it, without a pool: the interface stays for that one.
    site.network("other", &[macvlan, ("parent", "eth0.30")]);
    pool.end(&site, web);
    site.delete_network("lan");
    pool.release(&site);
    assert_eq!(parents(&site), ["eth0.30"]);
    site.delete_network("other");
    assert_eq!(parents(&site), none);

    // For a link of another driver's, over the end of the daemon.
    let pool = Pool::request(&site, &[("parent", "eth0.30")]);
    assert_eq!(pool.id, "macvlan:eth0.30:10.30.0.0/16:apart");
    let address = pool.address(&site, Some("apart")).unwrap();
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    assert_eq!(parents(&site), ["eth0.30"]);
    pool.give_back(&site, &address);
    pool.release(&site);
    assert_eq!(parents(&site), none);
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    assert_eq!(link_names(&home(&site)), ["lo"]);
}
