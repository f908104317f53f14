//! Several routers, their routes and prefixes, in a container's kernel.

use std::net::Ipv6Addr;

use lab::{AdvertisedRoute, Lan, Place, Preference, Prefix, Radvd, RouterOptions};
use serde_json::Value;

use crate::container::Container;
use crate::ipv6::{MADE, addresses, routes, site_with_ipv6};
use crate::site::{SOON, Site, eventually, ip_json, same};

const MAC: &str = "02:00:00:00:00:42";
/// Somewhere on the Internet, and somewhere on the site.
const FAR: &str = "2001:db8:ffff::1";
const INSIDE: &str = "fd00:9::1";

/// A router that says it with nothing else.
fn bare(lifetime: u16, preference: Preference) -> RouterOptions {
    let (prefixes, dns, search) = (Vec::new(), Vec::new(), Vec::new());
    RouterOptions { lifetime, preference, prefixes, dns, search, interval: 4, ..Default::default() }
}

fn on_router(site: &Site, options: &RouterOptions) -> (Radvd, String) {
    let ns = site.lan.router_ns();
    (Radvd::start(ns, "eth0", options).unwrap(), ns.link_local("eth0").unwrap().to_string())
}

fn on_laptop(site: &Site, options: &RouterOptions) -> (Radvd, String) {
    let ns = site.lan.laptop_ns();
    (Radvd::start(ns, "eth0", options).unwrap(), ns.link_local("eth0").unwrap().to_string())
}

/// Through whom a container's kernel reaches `destination`; empty: not at all.
fn through(container: &Container, destination: &str) -> String {
    let Ok(found) = container.ns.ok(&["ip", "-json", "-6", "route", "get", destination]) else {
        return String::new();
    };
    let found: Value = serde_json::from_str(&found).unwrap();
    found[0]["gateway"].as_str().unwrap_or_default().to_owned()
}

fn await_through(container: &Container, destination: &str, router: &str) {
    eventually(router, SOON * 2, || same(through(container, destination), &router.to_owned()));
}

#[test]
fn the_preferred_router_is_taken_and_another_when_it_is_gone() {
    let site = site_with_ipv6();
    let (_first, first) = on_router(&site, &RouterOptions::default());
    site.network("lan", &[("ipv4", "false"), ("ipv6", "slaac")]);
    let container = site.run("lan", "web", MAC);
    await_through(&container, FAR, &first);
    // One that is preferred comes, and says farewell.
    let (mut radvd, second) = on_laptop(&site, &bare(1800, Preference::High));
    await_through(&container, FAR, &second);
    assert!(routes(&container).contains(&format!("default via {first}")));
    radvd.stop().unwrap();
    await_through(&container, FAR, &first);
    assert!(!routes(&container).contains(&format!("default via {second}")));
    // It comes again, and goes without a word: its time is over.
    radvd.restart().unwrap();
    radvd.reconfigure(&bare(6, Preference::High)).unwrap();
    await_through(&container, FAR, &second);
    radvd.kill().unwrap();
    await_through(&container, FAR, &first);
    // As one of the last resort it takes nothing over.
    radvd.restart().unwrap();
    radvd.reconfigure(&bare(1800, Preference::Low)).unwrap();
    eventually("a second router", SOON, || {
        same(routes(&container).contains(&format!("default via {second}")), &true)
    });
    // Its first word may be that of before.
    await_through(&container, FAR, &first);
    assert!(routes(&container).contains(&format!("default via {second}")));
    assert!(container.ns.ping6(Lan::ROUTER6).unwrap());
}

fn with_routes(lifetime: u32) -> RouterOptions {
    let route = |prefix: &str, length| AdvertisedRoute {
        prefix: prefix.parse().unwrap(),
        length,
        preference: Preference::Medium,
        lifetime,
    };
    let routes = vec![route("fd00:9::", 48), route("2000::", 3)];
    RouterOptions { routes, ..bare(0, Preference::Medium) }
}

#[test]
fn a_route_of_a_router_s_own_leads_through_it_until_it_is_taken_back() {
    let site = site_with_ipv6();
    let (_first, first) = on_router(&site, &RouterOptions::default());
    let (mut second, other) = on_laptop(&site, &with_routes(1800));
    site.network("lan", &[("ipv4", "false"), ("ipv6", "slaac")]);
    let container = site.run("lan", "web", MAC);
    await_through(&container, INSIDE, &other);
    await_through(&container, FAR, &other);
    assert_eq!(through(&container, "fd00:8::1"), first, "by default");
    second.reconfigure(&with_routes(0)).unwrap();
    await_through(&container, INSIDE, &first);
    await_through(&container, FAR, &first);
}

/// Half of the Internet is as good as all of it.
#[test]
fn without_a_default_route_a_container_has_none_to_half_of_the_internet() {
    let site = site_with_ipv6();
    let (_first, _) = on_router(&site, &RouterOptions::default());
    let (_second, other) = on_laptop(&site, &with_routes(1800));
    site.network("lan", &[("ipv4", "false"), ("ipv6", "slaac"), ("default_route", "never")]);
    let container = site.run("lan", "web", MAC);
    await_through(&container, INSIDE, &other);
    assert_eq!(through(&container, FAR), "");
    let shown: Vec<String> = routes(&container);
    assert!(!shown.iter().any(|route| route.starts_with("2000::/3")), "{shown:?}");
}

#[test]
fn a_prefix_goes_another_comes_and_the_first_is_back() {
    const OTHER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x79, 0, 0, 0, 0, 0);
    let site = site_with_ipv6();
    let first = Prefix::default();
    let second = Prefix { prefix: OTHER, ..first };
    let saying = |prefixes: &[Prefix]| RouterOptions {
        prefixes: prefixes.to_vec(),
        ..RouterOptions::default()
    };
    let (mut radvd, _) = on_router(&site, &saying(&[first]));
    site.network("lan", &[("ipv4", "false"), ("ipv6", "slaac")]);
    let container = site.run("lan", "web", MAC);
    let deprecated = || {
        let links =
            ip_json(&container.ns, &["-6", "addr", "show", "dev", "eth0", "scope", "global"]);
        let all = links[0]["addr_info"].as_array().cloned().unwrap_or_default();
        let mut shown: Vec<_> = all
            .iter()
            .filter_map(|a| Some((a["local"].as_str()?.to_owned(), a["deprecated"] == true)))
            .collect();
        shown.sort();
        shown
    };
    let of_second = Ipv6Addr::from_bits(OTHER.to_bits() | (MADE.to_bits() & u128::from(u64::MAX)));
    let both = |first: bool, second: bool| {
        vec![(MADE.to_string(), first), (of_second.to_string(), second)]
    };
    eventually("the first", SOON, || same(deprecated(), &vec![(MADE.to_string(), false)]));
    // Nobody prefers it any more; what it is used for goes on.
    radvd.reconfigure(&saying(&[Prefix { preferred: 0, ..first }, second])).unwrap();
    eventually("the second", SOON, || same(deprecated(), &both(true, false)));
    assert!(site.lan.ping6(Place::Laptop, MADE).unwrap());
    let found = ip_json(&container.ns, &["-6", "route", "get", FAR]);
    assert_eq!(found[0]["prefsrc"], of_second.to_string(), "{found}");
    radvd.reconfigure(&saying(&[first, Prefix { preferred: 0, ..second }])).unwrap();
    eventually("the first again", SOON, || same(deprecated(), &both(false, true)));
    // On the link only as long as it is said to be, for addresses for two hours more (RFC 4862 §5.5.3).
    assert!(routes(&container).contains(&"2001:db8:79::/64".to_owned()));
    radvd.reconfigure(&saying(&[first, Prefix { preferred: 0, valid: 0, ..second }])).unwrap();
    eventually("not on the link any more", SOON, || {
        same(routes(&container).contains(&"2001:db8:79::/64".to_owned()), &false)
    });
    assert_eq!(addresses(&container).len(), 2);
    let told = container.endpoint.address6.clone();
    assert_eq!(told, format!("{MADE}/128"));
}
