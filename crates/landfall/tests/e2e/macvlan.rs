//! Containers that are macvlan children of a network card, without a bridge.

use std::net::{Ipv4Addr, Ipv6Addr};

use lab::{Dnsmasq, Lan, LanOptions, Message, Mode6, Namespace, Place, ServerOptions};

use crate::site::{SOON, Site, inside, network_args, run_args, until};

const ADDRESS: &str = "{{.NetworkSettings.Networks.lan.IPAddress}}";

/// A LAN to which the host is connected by a network card: the bridge is a switch that happens to stand on the host.
pub(crate) fn lan() -> Lan {
    lan_with(LanOptions::default())
}

/// The same with other options.
pub(crate) fn lan_with(options: LanOptions) -> Lan {
    let lan = Lan::new(options).unwrap();
    let lines = "link add wire type veth peer name eth0\n\
                 link set wire master br0 up\nlink set eth0 up\n";
    lan.host_ns().ip_batch(lines).unwrap();
    lan
}

fn network(site: &Site, options: &[&str]) {
    let ours = ["mode=macvlan", "parent=eth0"];
    let args = network_args("landfall", "lan", ours.iter().chain(options));
    site.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
}

/// What a container has after its start, whatever its server.
fn life(mut site: Site) {
    let links = site.host_links();
    network(&site, &["release_delay=60s"]);
    assert_eq!(site.host_links(), links, "Landfall's own child stands elsewhere");
    site.run("web", &["--network", "lan", "--hostname", "web"]);
    let shown = site.shown("web", "lan");
    let sandbox = site.sandbox("web");
    let has = inside(&sandbox, "eth0");
    assert_eq!(has.addresses, [format!("{}/16", shown.address)]);
    assert_eq!(has.mac, shown.mac);
    assert_eq!(site.host_links(), links);
    site.reached(shown.address);
    assert!(sandbox.ping(Lan::ROUTER).unwrap());
    // The name goes to the server in an early renewal, by unicast.
    site.named_lease(&shown.mac, "web");
    drop(sandbox);

    // A restart, the daemon's end, a stop: the same address, and no second DISCOVER.
    let same = |site: &Site| {
        let again = site.shown("web", "lan");
        assert_eq!((&again.address, &again.mac), (&shown.address, &shown.mac));
        site.reached(shown.address);
    };
    site.docker(&["restart", "web"]);
    same(&site);
    let pid = site.inspect("web", "{{.State.Pid}}");
    site.landfall().kill9().unwrap();
    site.landfall().restart().unwrap();
    same(&site);
    assert_eq!(site.inspect("web", "{{.State.Pid}}"), pid, "the container runs on");
    until("its interface is known", SOON, || {
        site.endpoints().iter().any(|e| e["interface"] == "eth0").then_some(())
    });
    site.docker(&["stop", "web"]);
    site.docker(&["start", "web"]);
    same(&site);
    site.logged(Message::Discover, &shown.mac, 1);

    site.docker(&["rm", "-f", "web"]);
    site.docker(&["network", "rm", "lan"]);
    site.no_lease_is_left();
    assert_eq!(site.host_links(), links);
}

#[test]
fn a_container_on_a_network_card() {
    let lan = lan();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    life(Site::on(lan, server, &[]));
}

#[test]
fn a_dhcp_server_that_is_a_sibling() {
    let lan = lan();
    let sibling = Namespace::new("sibling").unwrap();
    let lines = format!(
        "link add sib0 link eth0 netns {} type macvlan mode bridge\n",
        sibling.path().display()
    );
    lan.host_ns().ip_batch(&lines).unwrap();
    let ip = Ipv4Addr::new(10, 77, 0, 3);
    sibling.ip_batch(&format!("addr add {ip}/16 dev sib0\nlink set sib0 up\n")).unwrap();
    let server = Dnsmasq::start(&sibling, "sib0", ServerOptions::default()).unwrap();
    life(Site::on(lan, server, &[]));
}

#[test]
fn how_siblings_reach_each_other() {
    let lan = lan();
    // A switch that sends back what it gets, as `vepa` needs.
    lan.host_ns().ok(&["bridge", "link", "set", "dev", "wire", "hairpin", "on"]).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let site = Site::on(lan, server, &[]);
    let of_link = |sandbox: &Namespace| sandbox.ok(&["ip", "-d", "link", "show", "eth0"]).unwrap();
    for (mode, reached) in [("bridge", true), ("private", false), ("vepa", true)] {
        network(&site, &[&format!("macvlan_mode={mode}"), "release_delay=0"]);
        site.run("one", &["--network", "lan"]);
        site.run("two", &["--network", "lan"]);
        let one = site.sandbox("one");
        let link = of_link(&one);
        assert!(link.contains(&format!("macvlan mode {mode} ")), "{link}");
        assert!(one.ping(Lan::ROUTER).unwrap());
        assert_eq!(one.ping(site.address("two", "lan")).unwrap(), reached, "{mode}");
        drop(one);
        site.docker(&["rm", "-f", "one", "two"]);
        site.docker(&["network", "rm", "lan"]);
    }
    let parent = inside(site.lan.host_ns(), "eth0").mac;
    network(&site, &["macvlan_mode=passthru", "release_delay=0"]);
    site.run("only", &["--network", "lan"]);
    let only = site.sandbox("only");
    let link = of_link(&only);
    assert!(link.contains("macvlan mode passthru ") && link.contains(&parent), "{link}");
    site.reached(site.inspect("only", ADDRESS).parse().unwrap());
    let said = site.docker_fails(&run_args("two", &["--network", "lan"]));
    assert!(said.contains("there is one container on it"), "{said}");
    drop(only);
    site.docker(&["rm", "-f", "only", "two"]);
    site.docker(&["network", "rm", "lan"]);
    site.no_lease_is_left();
}

#[test]
fn the_only_container_on_a_network_card_and_its_ipv6() {
    let lan = lan_with(LanOptions { ipv6: true, ..LanOptions::default() });
    let mac = "link set eth0 address 02:00:00:00:00:55\n";
    lan.host_ns().ip_batch(mac).unwrap();
    let made = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0xff, 0xfe00, 0x55);
    let options = ServerOptions { ipv6: Some(Mode6::Both), ..ServerOptions::default() };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let site = Site::on(lan, server, &[]);
    network(&site, &["macvlan_mode=passthru", "ipv6=auto", "release_delay=60s"]);
    site.run("web", &["--network", "lan"]);
    let shown = || {
        let format = "{{(index .NetworkSettings.Networks \"lan\").GlobalIPv6Address}}";
        site.inspect("web", format).parse::<Ipv6Addr>().unwrap()
    };
    let leased = shown();
    let reached = || {
        for address in [leased, made] {
            until("the laptop reaches it", SOON, || {
                site.lan.ping6(Place::Laptop, address).unwrap().then_some(())
            });
        }
        assert!(site.sandbox("web").ping6(Lan::LAPTOP6).unwrap());
    };
    assert_ne!(leased, made);
    reached();
    site.docker(&["restart", "-t", "1", "web"]);
    assert_eq!(shown(), leased);
    reached();
    site.docker(&["rm", "-f", "web"]);
    site.docker(&["network", "rm", "lan"]);
    site.no_lease_is_left();
}
