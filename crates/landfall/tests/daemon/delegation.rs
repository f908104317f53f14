//! Prefixes that a DHCPv6 server delegates to a container (`ipv6_pd`).

use std::net::Ipv6Addr;
use std::thread;
use std::time::Duration;

use lab::{
    Delegation, DhcpServer6, Isc6, Kea6, Lease6, Place, Radvd, RouterOptions, ServerOptions6,
};
use serde_json::{Value, json};

use crate::container::Container;
use crate::ipv6::site_with_ipv6;
use crate::site::{SOON, Site, eventually, ip_json, same};

const MAC: &str = "02:00:00:00:00:42";
const LINK_LOCAL: &str = "fe80::ff:fe00:42";
const DELEGATED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x7700, 0, 0, 0, 0, 0);

/// A LAN whose router advertises its prefix.
fn site() -> (Site, Radvd) {
    let site = site_with_ipv6();
    let router = Radvd::start(site.lan.router_ns(), "eth0", &RouterOptions::default()).unwrap();
    site.network("lan", &[("ipv4", "false"), ("ipv6", "auto"), ("ipv6_pd", "56")]);
    (site, router)
}

fn options(valid: u32) -> ServerOptions6 {
    ServerOptions6 {
        preferred: valid,
        valid,
        renew: Some(2),
        rebind: Some(4),
        delegation: Some(Delegation { prefix: DELEGATED, length: 40, delegated: 56 }),
        ..ServerOptions6::default()
    }
}

/// The prefix that the server has delegated, once it has.
fn delegated(site: &Site, server: &dyn DhcpServer6) -> (Ipv6Addr, String) {
    let is_one = |leases: &[Lease6]| leases.iter().any(|lease| lease.length == 56);
    let leases = server.wait_leases6("a prefix", SOON, &is_one).unwrap();
    let network = leases.iter().find(|lease| lease.length == 56).unwrap().ip;
    let prefix = format!("{network}/56");
    eventually("the prefix shown", SOON, || same(shown(site), &json!([prefix])));
    (network, prefix)
}

fn shown(site: &Site) -> Value {
    site.shown("web")["ipv6"]["prefixes"].clone()
}

/// The routes in the container that discard something.
fn discarded(container: &Container) -> Vec<Value> {
    let routes = ip_json(&container.ns, &["-6", "route", "show", "type", "unreachable"]);
    routes.as_array().unwrap().clone()
}

/// Where they lead, once it is so.
fn await_discarded(container: &Container, prefixes: &[&str]) {
    let wanted: Vec<Value> = prefixes.iter().map(|prefix| json!(prefix)).collect();
    eventually("what is discarded", SOON, || {
        let destinations = discarded(container).into_iter().map(|route| route["dst"].clone());
        same(destinations.collect::<Vec<_>>(), &wanted)
    });
}

fn is_routed_and_given_back(site: &mut Site, server: &dyn DhcpServer6) {
    let container = site.run("lan", "web", MAC);
    let (network, prefix) = delegated(site, server);
    await_discarded(&container, &[&prefix]);
    let route = &discarded(&container)[0];
    assert_eq!((&route["protocol"], &route["metric"]), (&json!("dhcp"), &json!(u32::MAX)));

    // The LAN's router sends it to the container, where one address of it stands.
    let [used, unused] = [1, 2].map(|last| Ipv6Addr::from_bits(network.to_bits() | last));
    let via = format!("route add {prefix} via {LINK_LOCAL} dev eth0\n");
    site.lan.router_ns().ip_batch(&via).unwrap();
    site.lan.laptop_ns().ip_batch(&via).unwrap();
    container.ns.ip_batch(&format!("addr add {used}/128 dev lo\n")).unwrap();
    for place in [Place::Router, Place::Laptop] {
        eventually("it is reached", SOON, || same(site.lan.ping6(place, used).unwrap(), &true));
    }
    // As a router it says what it has not, and sends nothing back.
    container.ns.sysctl("ipv6/conf/all/forwarding", "1").unwrap();
    let ping = ["ping", "-n", "-c", "1", "-W", "2", &unused.to_string()];
    let output = site.lan.router_ns().run(&ping).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Destination unreachable"), "{said}");

    // Renewed, and nothing changes.
    let ends = |leases: &[Lease6]| {
        leases.iter().find(|lease| lease.ip == network).map(|lease| lease.expiry)
    };
    let first = ends(&server.leases6().unwrap());
    server.wait_leases6("a renewal", SOON, &|leases| ends(leases) > first).unwrap();
    await_discarded(&container, &[&prefix]);

    // What was lost while no daemon ran is put back by the next.
    site.landfall.kill9().unwrap();
    container.ns.ip_batch(&format!("route del unreachable {prefix}\n")).unwrap();
    site.landfall.restart().unwrap();
    await_discarded(&container, &[&prefix]);
    assert_eq!(shown(site), json!([prefix]));

    // The container may live on without it.
    container.leave(site);
    assert_eq!(discarded(&container), [] as [Value; 0]);
    container.move_out(site);
    container.delete(site);
    server.wait_leases6("an empty table", SOON, &|leases| leases.is_empty()).unwrap();
}

#[test]
fn keas_prefix_is_routed_to_its_container_and_given_back() {
    let (mut site, _router) = site();
    let server = Kea6::start(site.lan.router_ns(), "eth0", &options(60)).unwrap();
    is_routed_and_given_back(&mut site, &server);
}

#[test]
fn iscs_prefix_is_routed_to_its_container_and_given_back() {
    let (mut site, _router) = site();
    // It answers with what is left of a lease until a quarter of that is over.
    let server = Isc6::start(site.lan.router_ns(), "eth0", &options(20)).unwrap();
    is_routed_and_given_back(&mut site, &server);
}

#[test]
fn another_prefix_takes_its_place() {
    let (site, _router) = site();
    let mut server = Kea6::start(site.lan.router_ns(), "eth0", &options(60)).unwrap();
    let container = site.run("lan", "web", MAC);
    let (_, first) = delegated(&site, &server);
    await_discarded(&container, &[&first]);
    let mut others = options(60);
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, 0x8800, 0, 0, 0, 0, 0);
    others.delegation = Some(Delegation { prefix, length: 40, delegated: 56 });
    server.reconfigure("eth0", &others).unwrap();
    let second = eventually("another prefix", SOON * 2, || {
        let now = shown(&site);
        let second = now[0].as_str().filter(|second| now[1].is_null() && *second != first);
        second.map(str::to_owned).ok_or(now.to_string())
    });
    assert!(second.starts_with("2001:db8:88"), "{second}");
    await_discarded(&container, &[&second]);
}

#[test]
fn a_prefix_that_no_server_prolongs_is_gone() {
    let (mut site, _router) = site();
    for runs in [true, false] {
        let valid = 8;
        let mut server = Kea6::start(site.lan.router_ns(), "eth0", &options(valid)).unwrap();
        let container = site.run("lan", "web", MAC);
        let (_, prefix) = delegated(&site, &server);
        await_discarded(&container, &[&prefix]);
        server.stop().unwrap();
        if !runs {
            site.landfall.kill9().unwrap();
            // Nobody tells of its end.
            thread::sleep(Duration::from_secs(valid.into()));
            site.landfall.restart().unwrap();
        }
        eventually("no prefix", SOON * 2, || same(shown(&site), &json!([])));
        await_discarded(&container, &[]);
        container.stop(&site);
    }
}
