//! Options that only the container or the host notices, each with an engine and a server.

use std::net::Ipv4Addr;

use lab::{Arp, Capture, DhcpServer, Dnsmasq, Kea, Lan, LanOptions, Namespace, ServerOptions};

use crate::site::{SOON, Site, inside, run_args, until};

const LEASE: u32 = 8;
/// Of the host's, by the bridge.
const ROUTE: &str = "10.99.0.0/16";

/// On one site, with Kea, which grants leases as short as one likes.
#[test]
fn what_only_the_container_or_the_host_notices() {
    let host_address = Some("10.77.0.2/16".into());
    let lan = Lan::new(LanOptions { host_address, ..LanOptions::default() }).unwrap();
    lan.host_ns().ok(&["ip", "route", "add", ROUTE, "via", "10.77.0.9"]).unwrap();
    let options = ServerOptions { lease: LEASE, ..ServerOptions::default() };
    let server = Kea::start(lan.router_ns(), "eth0", options).unwrap();
    let mut site = Site::on(lan, server, &[]);
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.network("plain", &[]);
    let other = ["conflict_check=off", "interface_prefix=lan", "skip_routes=true"];
    let other = [&other[..], &["on_lease_loss=keep", "audit_log=true"]].concat();
    site.network("other", &other);
    site.run("one", &["--network", "plain"]);
    site.run("two", &["--network", "other"]);
    let (one, two) = (site.sandbox("one"), site.sandbox("two"));

    let (mine, theirs) = (site.address("one", "plain"), site.address("two", "other"));
    assert_eq!(inside(&one, "eth0").addresses, [format!("{mine}/16")]);
    assert_eq!(inside(&two, "lan0").addresses, [format!("{theirs}/16")], "interface_prefix");
    let leads_there = |sandbox: &Namespace| sandbox.ok(&["ip", "route"]).unwrap().contains(ROUTE);
    assert!(leads_there(&one) && !leads_there(&two), "skip_routes");
    let probed = |address: Ipv4Addr| {
        let is_probe = |arp: &Arp| arp.sender.is_unspecified() && arp.target == address;
        capture.pick(|frame| frame.arp().filter(is_probe)).len()
    };
    assert!(probed(mine) > 0 && probed(theirs) == 0, "conflict_check");
    let file = || site.engine.machine().read("/var/lib/landfall/audit.jsonl").unwrap();
    let told = |log: &str, address: Ipv4Addr| log.contains(&format!("\"{address}"));
    let log =
        until("a line in the audit log", SOON, || Some(file()).filter(|log| told(log, theirs)));
    assert!(!told(&log, mine), "audit_log: {log}");

    // Nobody prolongs the leases.
    site.server.stop().unwrap();
    until("the end of a lease", SOON * 2, || {
        inside(&one, "eth0").addresses.is_empty().then_some(())
    });
    assert_eq!(inside(&two, "lan0").addresses, [format!("{theirs}/16")], "on_lease_loss");
    site.reached(theirs);
    site.server.restart().unwrap();

    site.network("six", &["ipv6=auto", "ipv6_required=true", "lease_timeout=2s"]);
    let said = site.docker_fails(&run_args("six", &["--network", "six"]));
    assert!(said.contains("ipv6_required"), "{said}");
    site.docker(&["rm", "-f", "one", "two", "six"]);
    site.no_lease_is_left();
}

/// While the LAN's own server is away.
#[test]
fn a_container_that_serves_dhcp() {
    let mut site = Site::new(ServerOptions::default());
    for (network, option) in [("open", "dhcp_guard=false"), ("guarded", "dhcp_guard=true")] {
        site.network(network, &[option, "lease_timeout=4s"]);
    }
    for (network, heard) in [("open", true), ("guarded", false)] {
        site.run("rogue", &["--network", network]);
        site.server.stop().unwrap();
        let rogue = site.sandbox("rogue");
        let pool = (Ipv4Addr::new(10, 77, 66, 1), Ipv4Addr::new(10, 77, 66, 9));
        let options = ServerOptions { pool, ..ServerOptions::default() };
        let serving = Dnsmasq::start(&rogue, "eth0", options).unwrap();
        let victim = run_args("victim", &["--network", network]);
        if heard {
            site.docker(&victim);
            assert_eq!(site.address("victim", network).octets()[..3], [10, 77, 66]);
        } else {
            let said = site.docker_fails(&victim);
            assert!(said.contains("no DHCP server answered on br0"), "{said}");
            let asked = serving.log().grep("DHCPDISCOVER");
            assert!(!asked.is_empty(), "asked all the same");
        }
        drop((serving, rogue));
        site.docker(&["rm", "-f", "victim", "rogue"]);
        site.server.restart().unwrap();
    }
}

#[test]
fn a_bridge_in_conflict_with_another() {
    let (extra_bridge, host_address) = (Some("virbr0".into()), Some("10.77.0.2/16".into()));
    let options = LanOptions { extra_bridge, host_address, ..LanOptions::default() };
    let lan = Lan::new(options).unwrap();
    lan.host_ns().ip_batch("addr add 10.77.9.1/24 dev virbr0\n").unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let site = Site::on(lan, server, &[]);
    let create = site.network_args("lan", &[]);
    let said = site.docker_fails(&create.iter().map(String::as_str).collect::<Vec<_>>());
    for words in ["virbr0", "10.77.9.0/24", "ignore_conflicts=true"] {
        assert!(said.contains(words), "no {words:?} in: {said}");
    }
    site.network("lan", &["ignore_conflicts=true"]);
    site.run("web", &["--network", "lan"]);
    site.reached(site.address("web", "lan"));
}
