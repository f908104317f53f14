//! Options that only the container or the host notices, each with an engine and a server.

use std::net::Ipv4Addr;

use lab::{Arp, Capture, DhcpServer, Kea, Lan, LanOptions, Namespace, ServerOptions};

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
