//! What `landfall doctor` finds of IPv6: on the LAN, and in containers.

use lab::{DhcpServer6, Dnsmasq, Mode6, Radvd, RouterOptions, ServerOptions};

use crate::doctor::doctor;
use crate::ipv6::site_with_ipv6;
use crate::server::{Grant, Server};
use crate::site::{SOON, eventually, same};

const MAC: &str = "02:00:00:00:00:42";

#[test]
fn a_router_a_server_and_a_container() {
    let site = site_with_ipv6();
    let options = ServerOptions { ipv6: Some(Mode6::Both), ..ServerOptions::default() };
    let server = Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap();
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    eventually("in its container", SOON, || {
        same(site.shown("web")["interface"].clone(), &"eth0".into())
    });
    let said = doctor(site.machine(), &site.lan, &["--wait", "2"]);
    assert_eq!((said.checks("warning"), said.checks("error")), (vec![], vec![]));
    let router = site.lan.router_ns().link_local("eth0").unwrap();
    for (check, words) in [
        ("ipv6", "the kernel has it".to_owned()),
        (
            "addresses",
            "containers: with the addresses that the daemon says they have: 1 ".to_owned(),
        ),
        ("ipv6-router", format!("br0: {router} (")),
        (
            "ipv6-router",
            "for 1800s, addresses by DHCPv6 (M), 2001:db8:77::/64 for addresses (A)".into(),
        ),
        ("dhcpv6-server", "offers 2001:db8:77::1:".to_owned()),
    ] {
        let (severity, seen) = said.only(check);
        assert_eq!(severity, "ok", "{check}: {seen}");
        assert!(seen.contains(&words), "{check}: {seen}");
    }
    assert_eq!(server.leases6().unwrap().len(), 1, "the container's");

    // Somebody takes an address away, and then all of them.
    let cidr = container.endpoint.address6.clone();
    container.ns.ok(&["ip", "-6", "addr", "del", &cidr, "dev", "eth0"]).unwrap();
    let said = doctor(site.machine(), &site.lan, &["--no-probe"]);
    let (severity, words) = said.only("addresses");
    assert_eq!(severity, "warning", "{words}");
    let address = cidr.trim_end_matches("/128");
    assert!(words.contains(&format!("it has not {address} — ")), "{words}");
    container.ns.sysctl("ipv6/conf/eth0/disable_ipv6", "1").unwrap();
    let said = doctor(site.machine(), &site.lan, &["--no-probe"]);
    let (_, words) = said.only("addresses");
    assert!(words.contains("IPv6 is off on its interface, so it has not fe80::"), "{words}");
}

#[test]
fn nobody_routes_and_nobody_leases() {
    let site = site_with_ipv6();
    let _v4 = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    let ask = || doctor(site.machine(), &site.lan, &["--wait", "1", "br0"]);
    // That matters to networks that want IPv6.
    site.network("plain", &[]);
    let said = ask();
    assert_eq!((said.only("ipv6-router").0, said.checks("warning")), ("note", vec![]));
    site.network("lan", &[("ipv6", "auto")]);
    let said = ask();
    let (severity, words) = said.only("ipv6-router");
    assert_eq!(severity, "warning");
    assert!(words.contains("br0: no router answered a solicitation within 1s"), "{words}");

    let says = RouterOptions { managed: true, prefixes: vec![], ..RouterOptions::default() };
    let _router = Radvd::start(site.lan.router_ns(), "eth0", &says).unwrap();
    let said = ask();
    let (severity, words) = said.only("dhcpv6-server");
    assert_eq!((severity, said.checks("warning")), ("warning", vec!["dhcpv6-server"]), "{words}");
    assert!(
        words.contains("says that addresses are leased (M), and no server answered"),
        "{words}"
    );
}
