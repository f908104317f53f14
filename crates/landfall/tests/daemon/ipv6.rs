//! IPv6: from the routers' prefixes, from a DHCPv6 server, from both and from nobody.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use lab::{
    DhcpServer6, Dnsmasq, Lan, LanOptions, Message6, Mode6, Place, Prefix, Radvd, RouterOptions,
    ServerOptions, ServerOptions6,
};
use serde_json::Value;

use crate::container::Container;
use crate::site::{SOON, Site, eventually, ip_json, same};

const MAC: &str = "02:00:00:00:00:42";
const DUID: &str = "00:03:00:01:02:00:00:00:00:42";
/// The address that the MAC makes of the LAN's prefix (RFC 4291, appendix A).
pub(crate) const MADE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0xff, 0xfe00, 0x42);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x42);

/// On a LAN where router and laptop have IPv6 addresses.
pub(crate) fn site_with_ipv6() -> Site {
    Site::on(Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap())
}

fn router(site: &Site, ipv6: Mode6) -> Dnsmasq {
    serving(site, ipv6, ServerOptions6::default())
}

fn serving(site: &Site, ipv6: Mode6, server6: ServerOptions6) -> Dnsmasq {
    let options = ServerOptions { ipv6: Some(ipv6), server6, ..ServerOptions::default() };
    Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap()
}

/// The global addresses of a container, with their prefix lengths.
pub(crate) fn addresses(container: &Container) -> Vec<String> {
    let shown = ["-6", "addr", "show", "dev", &container.interface, "scope", "global"];
    // Links without one are not shown, or as nothing.
    let links = ip_json(&container.ns, &shown);
    let all = links.as_array().and_then(|links| links.first());
    let all = all.and_then(|link| link["addr_info"].as_array().cloned()).unwrap_or_default();
    let all: Vec<Value> = all.into_iter().filter(|a| a["local"].is_string()).collect();
    let text = |a: &Value| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"]);
    all.iter().map(text).collect()
}

/// Its IPv6 routes but the kernel's own, as `DESTINATION via ROUTER`.
pub(crate) fn routes(container: &Container) -> Vec<String> {
    let routes = ip_json(&container.ns, &["-6", "route", "show"]);
    let ours = routes.as_array().unwrap().iter().filter(|route| route["protocol"] != "kernel");
    let text = |route: &Value| match route["gateway"].as_str() {
        Some(via) => format!("{} via {via}", route["dst"].as_str().unwrap()),
        None => route["dst"].as_str().unwrap().to_owned(),
    };
    ours.map(text).collect()
}

fn router_link_local(site: &Site) -> Ipv6Addr {
    site.lan.router_ns().link_local("eth0").unwrap()
}

/// Everything that a prefix from a router makes.
fn assert_on_the_lan(site: &Site, container: &Container, address: Ipv6Addr) {
    let default = format!("default via {}", router_link_local(site));
    eventually("the default route", SOON, || same(routes(container).contains(&default), &true));
    assert!(routes(container).contains(&"2001:db8:77::/64".to_owned()), "{:?}", routes(container));
    for (place, own) in [(Place::Laptop, Lan::LAPTOP6), (Place::Router, Lan::ROUTER6)] {
        assert!(site.lan.ping6(place, address).unwrap(), "{place:?}");
        assert!(container.ns.ping6(own).unwrap(), "{place:?}");
    }
}

#[test]
fn an_address_from_a_router_s_prefix() {
    let site = site_with_ipv6();
    let _router = router(&site, Mode6::Slaac);
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    assert_eq!(container.endpoint.address6, format!("{MADE}/128"));
    assert_on_the_lan(&site, &container, MADE);
    assert_eq!(addresses(&container), [format!("{MADE}/128")]);
    assert_eq!(container.ns.link_local(&container.interface).unwrap(), LINK_LOCAL);
    let shown = &site.shown("web")["ipv6"];
    assert_eq!(shown["addresses"][0]["address"], MADE.to_string(), "{shown}");
    assert_eq!(shown["addresses"][0]["origin"], "slaac");
    assert_eq!(shown["link_local"], LINK_LOCAL.to_string());
    assert_eq!(shown["routers"][0], router_link_local(&site).to_string());
    container.stop(&site);
}

#[test]
fn an_address_from_a_dhcpv6_server_is_given_back() {
    let site = site_with_ipv6();
    let server = router(&site, Mode6::Stateful);
    site.network("lan", &[("ipv6", "auto"), ("release_delay", "0")]);
    let container = site.run("lan", "web", MAC);
    let leases = server.leases6().unwrap();
    assert_eq!(leases.len(), 1, "{leases:?}");
    assert_eq!(leases[0].duid, DUID);
    let address = leases[0].ip;
    assert_eq!(container.endpoint.address6, format!("{address}/128"));
    assert_on_the_lan(&site, &container, address);
    assert_eq!(addresses(&container), [format!("{address}/128")]);
    assert_eq!(site.shown("web")["ipv6"]["addresses"][0]["origin"], "dhcp");
    container.stop(&site);
    eventually("the lease given back", SOON, || same(server.leases6().unwrap().len(), &0));
    assert_eq!(server.logged6(Message6::Release, DUID).len(), 1);
}

#[test]
fn both_at_once_and_the_leased_one_is_told() {
    let site = site_with_ipv6();
    let server = router(&site, Mode6::Both);
    site.network("lan", &[("ipv6", "true")]);
    let container = site.run("lan", "web", MAC);
    let leased = server.leases6().unwrap()[0].ip;
    assert_eq!(container.endpoint.address6, format!("{leased}/128"));
    assert_on_the_lan(&site, &container, MADE);
    assert_on_the_lan(&site, &container, leased);
    assert_eq!(addresses(&container).len(), 2);
}

/// `docker network create --ipv6`, where engines let it through.
#[test]
fn the_engine_s_own_switch_asks_for_it_too() {
    let site = site_with_ipv6();
    let _router = router(&site, Mode6::Slaac);
    for (name, option, address) in
        [("a", &[][..], format!("{MADE}/128")), ("b", &[("ipv6", "false")], String::new())]
    {
        let mut network = site.network_argument(name, option);
        network["Options"]["com.docker.network.enable_ipv6"] = true.into();
        site.ok("CreateNetwork", &network);
        let endpoint = site.create(name, name, MAC);
        assert_eq!(endpoint.address6, address, "{option:?}");
        site.ok("DeleteEndpoint", &crate::container::endpoint_ref(&endpoint));
    }
}

#[test]
fn only_what_was_asked_for() {
    let site = site_with_ipv6();
    let server = router(&site, Mode6::Both);
    site.network("slaac", &[("ipv6", "slaac")]);
    assert_eq!(site.create("slaac", "a", MAC).address6, format!("{MADE}/128"));
    assert_eq!(server.leases6().unwrap(), []);
    site.network("dhcp", &[("ipv6", "dhcp")]);
    let endpoint = site.create("dhcp", "b", "02:00:00:00:00:43");
    let leased = server.leases6().unwrap()[0].ip;
    assert_eq!(endpoint.address6, format!("{leased}/128"));
    site.network("none", &[]);
    assert_eq!(site.create("none", "c", "02:00:00:00:00:44").address6, "");
}

#[test]
fn stable_addresses_are_the_same_again_and_say_nothing_of_the_mac() {
    let site = site_with_ipv6();
    let _router = router(&site, Mode6::Slaac);
    let options = [("ipv6", "slaac"), ("ipv6_address", "stable"), ("release_delay", "0")];
    site.network("lan", &options);
    let container = site.run("lan", "a", MAC);
    let first = container.endpoint.address6.clone();
    assert!(first.starts_with("2001:db8:77:") && !first.contains("ff:fe"), "{first}");
    container.stop(&site);
    let again = site.run("lan", "b", MAC);
    assert_eq!(again.endpoint.address6, first);
    let other = site.create("lan", "c", "02:00:00:00:00:43").address6;
    assert!(other.starts_with("2001:db8:77:") && other != first, "{other}");
}

/// A start waits for half a second at most, and goes on as one without IPv6.
#[test]
fn where_there_is_no_ipv6_a_start_goes_on_without() {
    let site = Site::new();
    let _server = Dnsmasq::start(site.lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    site.network("lan", &[("ipv6", "auto")]);
    let began = Instant::now();
    let container = site.run("lan", "web", MAC);
    assert_eq!(container.endpoint.address6, "");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(container.ping(Lan::ROUTER));
    site.network("strict", &[("ipv6", "auto"), ("ipv6_required", "true")]);
    let refusal = site.try_create("strict", "two", "02:00:00:00:00:43").unwrap_err();
    assert!(refusal.contains("no IPv6 address is to be had on br0"), "{refusal}");
    eventually("nothing is left", SOON, || same(site.endpoint_links().len(), &1));
}

#[test]
fn a_router_that_comes_later_is_followed() {
    let site = site_with_ipv6();
    let mut server =
        Dnsmasq::start(site.lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    assert_eq!(addresses(&container), [] as [&str; 0]);
    server
        .reconfigure("eth0", ServerOptions { ipv6: Some(Mode6::Slaac), ..ServerOptions::default() })
        .unwrap();
    eventually("an address", SOON, || same(addresses(&container), &vec![format!("{MADE}/128")]));
    assert_on_the_lan(&site, &container, MADE);
}

/// What one advertisement says anew is put into all containers, and nothing but times changes there.
#[test]
fn an_advertisement_renews_all_containers() {
    const PREFERRED: u32 = 8;
    let site = site_with_ipv6();
    let _server = Dnsmasq::start(site.lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let prefix = Prefix { preferred: PREFERRED, valid: 600, ..Prefix::default() };
    let said = RouterOptions { prefixes: vec![prefix], interval: 4, ..RouterOptions::default() };
    let _router = Radvd::start(site.lan.router_ns(), "eth0", &said).unwrap();
    site.network("lan", &[("ipv6", "slaac")]);
    let containers: Vec<_> = (0..3).map(|n| site.run("lan", &format!("c{n}"), "")).collect();
    let preferred = |container: &Container| {
        let shown = ["-6", "addr", "show", "dev", &container.interface, "scope", "global"];
        let links = ip_json(&container.ns, &shown);
        links[0]["addr_info"][0]["preferred_life_time"].as_u64()
    };
    for container in &containers {
        let routed = format!("default via {}", router_link_local(&site));
        eventually("the route", SOON, || same(routes(container).contains(&routed), &true));
    }
    let before: Vec<_> = containers.iter().map(|c| (routes(c), addresses(c))).collect();
    for container in &containers {
        // It is told when half of it is over, and shown in whole seconds.
        let over = u64::from(PREFERRED / 2) + 1;
        let seen = |is: fn(&u64, &u64) -> bool| {
            let left = preferred(container);
            left.filter(|left| is(left, &over)).map(drop).ok_or(format!("{left:?}"))
        };
        eventually("about its half", SOON, || seen(u64::le));
        eventually("more than its half", SOON, || seen(u64::gt));
    }
    let after: Vec<_> = containers.iter().map(|c| (routes(c), addresses(c))).collect();
    assert_eq!(after, before);
    assert!(site.landfall.log().grep("IPv6 renewed").len() >= containers.len());
}

/// The lease and the addresses that go with it are held for the container that comes back.
#[test]
fn a_container_that_comes_back_has_its_addresses_again() {
    let site = site_with_ipv6();
    let server = router(&site, Mode6::Both);
    site.network("lan", &[("ipv6", "auto"), ("release_delay", "10m")]);
    let container = site.run("lan", "web", MAC);
    let first = container.endpoint.address6.clone();
    container.stop(&site);
    // Meanwhile the port answers for it.
    let held: Ipv6Addr = first.split('/').next().unwrap().parse().unwrap();
    site.lan.laptop_ns().ok(&["ip", "-6", "neigh", "flush", "dev", "eth0"]).unwrap();
    site.lan.ping6(Place::Laptop, held).unwrap();
    let known = ip_json(site.lan.laptop_ns(), &["-6", "neigh", "show", &held.to_string()]);
    assert_eq!(known[0]["lladdr"], MAC, "{known}");
    let again = site.run("lan", "again", MAC);
    assert_eq!(again.endpoint.address6, first);
    assert_on_the_lan(&site, &again, held);
    assert_eq!(server.logged6(Message6::Solicit, DUID).len(), 1);
    assert_eq!(server.logged6(Message6::Release, DUID).len(), 0);
}

#[test]
fn after_a_crash_of_the_daemon_everything_goes_on() {
    let mut site = site_with_ipv6();
    let server = router(&site, Mode6::Both);
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    let leased = server.leases6().unwrap()[0].ip;
    assert_on_the_lan(&site, &container, leased);
    let before = site.shown("web")["ipv6"]["addresses"].clone();
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let addresses_of = |shown: &Value| {
        let all = shown.as_array().unwrap().iter();
        all.map(|a| a["address"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    eventually("the same addresses", SOON, || {
        same(addresses_of(&site.shown("web")["ipv6"]["addresses"]), &addresses_of(&before))
    });
    assert_on_the_lan(&site, &container, leased);
    assert_eq!(server.logged6(Message6::Solicit, DUID).len(), 1);
    container.stop(&site);
}
