//! Options that only the container or the host notices, each with an engine and a server.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use lab::{
    Arp, Capture, DhcpServer, Dnsmasq, Kea, Lan, LanOptions, Message, Namespace, ServerOptions,
};

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

/// To the server all of such a network is one client, of which there is one at a time.
#[test]
fn one_client_identifier_for_a_network() {
    let kept = Ipv4Addr::new(10, 77, 0, 77);
    let extra = vec![format!("--dhcp-host=id:disk7,{kept}")];
    let site = Site::new(ServerOptions { extra, ..ServerOptions::default() });
    site.network("lan", &["client_id=disk7"]);
    for name in ["one", "two"] {
        site.run(name, &["--network", "lan"]);
        let shown = site.shown(name, "lan");
        assert_eq!(shown.address, kept);
        let table = site.server.table().unwrap();
        let its = table.lines().find(|line| line.contains(&shown.mac)).unwrap();
        // A text of the type 0.
        assert!(its.ends_with(" 00:64:69:73:6b:37"), "{its}");
        let said = site.docker_fails(&run_args("second", &["--network", "lan"]));
        assert!(said.contains("client_id \"disk7\" is in use on br0"), "{said}");
        site.docker(&["rm", "-f", name, "second"]);
        site.no_lease_is_left();
    }
}

/// `conflict_check=full` asks for as long as RFC 5227 says before a container starts, and declines what another machine has.
#[test]
fn addresses_are_asked_after_before_a_start() {
    const MAC: &str = "02:00:00:00:00:48";
    let taken = Ipv4Addr::new(10, 77, 0, 78);
    let extra = vec![format!("--dhcp-host={MAC},{taken}")];
    let site = Site::new(ServerOptions { extra, ..ServerOptions::default() });
    let laptop = site.lan.laptop_ns();
    laptop.ip_batch(&format!("addr add {taken}/16 dev eth0\n")).unwrap();
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    // The RFC's times are up to 7 s, and less than 1 s where another machine answers.
    site.network("lan", &["conflict_check=full", "lease_timeout=20s"]);
    let probes = |address: Ipv4Addr| {
        let is_probe = |arp: &Arp| arp.sender.is_unspecified() && arp.target == address;
        capture.pick(|frame| frame.arp().filter(is_probe).map(|_| frame.at))
    };
    for options in [&[][..], &["--mac-address", MAC]] {
        site.run("web", &[&["--network", "lan"], options].concat());
        let started = SystemTime::now();
        let shown = site.shown("web", "lan");
        let probes = probes(shown.address);
        assert_eq!(probes.len(), 3, "{probes:?}");
        let pauses = probes.iter().zip(probes[1..].iter().chain([&started]));
        for (pause, least) in pauses.map(|(one, next)| next.duration_since(*one)).zip([1, 1, 2]) {
            let pause = pause.unwrap();
            assert!(pause >= Duration::from_millis(least * 1000 - 50), "{probes:?} {started:?}");
        }
        assert_ne!(shown.address, taken);
        site.reached(shown.address);
        site.logged(Message::Decline, &shown.mac, usize::from(!options.is_empty()));
        site.docker(&["rm", "-f", "web"]);
        site.no_lease_is_left();
    }
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
