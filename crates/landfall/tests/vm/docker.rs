//! VLANs and ipvlan with a real Docker Engine.

use std::net::Ipv4Addr;

use lab::{DhcpServer, Dnsmasq, Lan, LanOptions, Message, ServerOptions};

use crate::docker_site::{SOON, Site, inside, network_args, run_args};
use crate::ipvlan;
use crate::vlan::{ROUTER, lan_with_card, server_in_30};

const ADDRESS: &str = "{{.NetworkSettings.Networks.lan.IPAddress}}";
const MAC: &str = "02:00:00:00:00:42";
const ON_LAN: [&str; 2] = ["--network", "lan"];

/// A container on the network `lan` is in VLAN 30, and has its address from there.
fn is_in_30(site: &Site) {
    site.run("web", &ON_LAN);
    let address = site.inspect("web", ADDRESS);
    assert!(address.starts_with("10.30."), "{address}");
    assert!(site.sandbox("web").ping(ROUTER).unwrap());
    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
    site.docker(&["network", "rm", "lan"]);
}

/// Creates the network `lan` with the null IPAM driver.
fn create(site: &Site, options: &[&str]) {
    let args = network_args("landfall", "lan", options.iter());
    site.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
#[ignore = "runs in a virtual machine"]
fn containers_in_a_vlan() {
    let lan = lan_with_card();
    let server = server_in_30(&lan);
    let _untagged = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    lan.host_ns()
        .ok(&["ip", "link", "set", "br0", "type", "bridge", "vlan_filtering", "1"])
        .unwrap();
    for port in ["router", "wire"] {
        lan.host_ns().ok(&["bridge", "vlan", "add", "dev", port, "vid", "30"]).unwrap();
    }
    let site = Site::on(lan, server, &[]);
    let links = site.host_links();
    site.network("lan", &["vlan=30"]);
    is_in_30(&site);
    let on_card = |mode| [mode, "parent=eth0", "vlan=30", "release_delay=0"];
    // The same in one word.
    let named = ["mode=macvlan", "parent=eth0.30", "release_delay=0"];
    for options in [&on_card("mode=macvlan")[..], &named] {
        create(&site, options);
        assert!(site.host_links().contains("eth0.30"));
        is_in_30(&site);
        assert_eq!(site.host_links(), links);
    }
    // With Landfall as IPAM driver the interface is made for the pool.
    let mut args = vec!["network", "create", "-d", "landfall", "--ipam-driver", "landfall"];
    let options = on_card("mode=ipvlan");
    args.extend(options.iter().flat_map(|option| ["-o", *option]));
    args.extend(options[..3].iter().flat_map(|option| ["--ipam-opt", *option]));
    args.push("lan");
    site.docker(&args);
    let format = "{{range .IPAM.Config}}{{.Subnet}}{{end}}";
    assert_eq!(site.docker(&["network", "inspect", "-f", format, "lan"]), "10.30.0.0/16");
    is_in_30(&site);
    assert_eq!(site.host_links(), links);
}

/// All have the card's MAC. Docker sets none and gives out no address.
#[test]
#[ignore = "runs in a virtual machine"]
fn containers_share_a_cards_mac() {
    let lan = ipvlan::lan(LanOptions::default());
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let mut site = Site::on(lan, server, &[]);
    let links = site.host_links();
    let card = inside(site.lan.host_ns(), "eth0").mac;
    create(&site, &["mode=ipvlan", "parent=eth0"]);
    let said =
        site.docker_fails(&run_args("own", &[&ON_LAN[..], &["--mac-address", MAC]].concat()));
    assert!(said.contains("leave out `--mac-address`"), "{said}");
    site.docker(&["rm", "own"]);
    let names = ["web", "db"];
    names.iter().for_each(|name| site.run(name, &ON_LAN));
    let shown = names.map(|name| site.inspect(name, ADDRESS).parse::<Ipv4Addr>().unwrap());
    let as_shown = |site: &Site| {
        for (name, address) in names.into_iter().zip(shown) {
            assert_eq!(site.inspect(name, ADDRESS), address.to_string());
            let has = inside(&site.sandbox(name), "eth0");
            assert_eq!((has.mac, has.addresses), (card.clone(), vec![format!("{address}/16")]));
            site.reached(address);
        }
        assert!(site.sandbox("web").ping(shown[1]).unwrap());
        assert!(site.sandbox("db").ping(Lan::ROUTER).unwrap());
    };
    assert_ne!(shown[0], shown[1]);
    as_shown(&site);
    // Held by default, and known to the next daemon.
    site.docker(&["stop", "web"]);
    site.landfall().kill9().unwrap();
    site.landfall().restart().unwrap();
    site.docker(&["start", "web"]);
    site.docker(&["restart", "db"]);
    as_shown(&site);
    assert_eq!(site.server.log().grep(site.server.words(Message::Discover)).len(), 2);
    site.docker(&["rm", "-f", "web", "db"]);
    site.docker(&["network", "rm", "lan"]);
    site.no_lease_is_left();
    assert_eq!(site.host_links(), links);
}

/// Docker's own driver makes the links, and the addresses are leases all the same.
#[test]
#[ignore = "runs in a virtual machine"]
fn dockers_own_ipvlan() {
    let lan = ipvlan::lan(LanOptions::default());
    let options = ServerOptions { renew: Some(5), ..ServerOptions::default() };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let mut site = Site::on(lan, server, &[]);
    let links = site.host_links();
    let reached =
        ["--ipam-opt", "parent=eth0", "--ipam-opt", "ipvlan_mode=l2", "-o", "parent=eth0"];
    let create = ["network", "create", "-d", "ipvlan", "--ipam-driver", "landfall"];
    site.docker(&[&create[..], &reached, &["lan"]].concat());
    site.run("web", &ON_LAN);
    site.run("db", &ON_LAN);
    let [web, db] = ["web", "db"].map(|name| site.inspect(name, ADDRESS).parse().unwrap());
    assert_ne!(web, db);
    let leased = site.server.leases().unwrap();
    for address in [web, db] {
        site.reached(address);
        assert!(leased.iter().any(|lease| lease.ip == address), "{leased:?}");
    }
    site.landfall().kill9().unwrap();
    site.landfall().restart().unwrap();
    let mark = site.server.log().mark();
    for address in [web, db].map(|address: Ipv4Addr| address.to_string()) {
        let acknowledged = site.server.words(Message::Ack);
        let renewed = |line: &str| line.contains(acknowledged) && line.contains(&address);
        let log = site.server.log();
        log.wait_after(mark, "a renewal by the next daemon", renewed, SOON * 2).unwrap();
    }
    site.docker(&["rm", "-f", "web", "db"]);
    site.no_lease_is_left();
    site.docker(&["network", "rm", "lan"]);
    assert_eq!(site.host_links(), links);
}
