//! One container's life: create, run, inspect, reach, renew, stop, start, remove.

use std::net::Ipv4Addr;

use lab::{Capture, DhcpServer, Dnsmasq, Kea, Lan, LanOptions, Lease, Message, ServerOptions};

use crate::site::{
    DISCOVER, RELEASE, REQUEST, SOON, Shown, Site, count, default_routes, inside, messages,
    next_renewal, nth, until,
};

const MAC: &str = "02:00:00:00:00:42";
const NETMASK: u8 = 16;
const MTU: u32 = 9000;
const T1: u32 = 4;
const LEASE: u32 = 120;

#[test]
fn on_dnsmasq() {
    let lan = big_lan();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", quick_renewals()).unwrap();
    one_life(Site::on(lan, server, &[]));
}

#[test]
fn on_kea() {
    let lan = big_lan();
    let server = Kea::start(lan.router_ns(), "eth0", quick_renewals()).unwrap();
    one_life(Site::on(lan, server, &[]));
}

/// A LAN whose MTU no new link has by itself.
fn big_lan() -> Lan {
    Lan::new(LanOptions { mtu: MTU, ..LanOptions::default() }).unwrap()
}

fn quick_renewals() -> ServerOptions {
    ServerOptions { lease: LEASE, renew: Some(T1), rebind: Some(90), ..ServerOptions::default() }
}

fn one_life<S: DhcpServer>(site: Site<S>) {
    let untouched = site.host_links();
    let bridge = site.bridge();
    let assigned = site.engine.machine().read("/sys/class/net/br0/addr_assign_type").unwrap();
    assert_ne!(assigned.trim(), "3", "nobody has set the bridge's MAC: it follows its ports'");
    let on_lan = Capture::start(site.lan.router_ns(), "eth0").unwrap();

    site.network("lan", &[]);
    let idle = site.host_links();
    assert_eq!(site.bridge(), bridge, "after network create");

    site.run("web", &["--network", "lan", "--hostname", "web", "--mac-address", MAC]);
    let address = it_is_on_the_lan(&site, &on_lan);
    assert_eq!(site.bridge(), bridge, "while the container runs");
    status_tells_of_it(&site, address);
    it_is_renewed(&site, &on_lan, address);

    site.docker(&["stop", "web"]);
    site.no_lease_is_left();
    site.logged(Message::Release, MAC, 1);
    let (_, release) = nth(&on_lan, MAC, RELEASE, 1, SOON);
    assert_eq!((release.from, release.to, release.ciaddr), (address, Lan::ROUTER, address));
    assert_eq!(site.host_links(), idle, "links are left");
    assert!(site.endpoints().is_empty());
    assert_eq!(site.bridge(), bridge, "after stop");

    site.docker(&["start", "web"]);
    let again = site.named_lease(MAC, "web").ip;
    site.reached(again);
    assert_eq!(count(&on_lan, MAC, DISCOVER), 2, "one for each start");
    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
    assert_eq!(site.host_links(), idle, "links are left");

    site.docker(&["network", "rm", "lan"]);
    assert_eq!(site.host_links(), untouched, "links are left");
    assert_eq!(site.bridge(), bridge, "after network rm");
}

/// Docker, the container, the server and the LAN agree on the address; the name is known before the first renewal.
fn it_is_on_the_lan<S: DhcpServer>(site: &Site<S>, on_lan: &Capture) -> Ipv4Addr {
    let lease = site.named_lease(MAC, "web");
    let address = lease.ip;
    let shown =
        Shown { address, prefix: NETMASK, mac: MAC.into(), gateway: Lan::ROUTER.to_string() };
    assert_eq!(site.shown("web", "lan"), shown);

    let sandbox = site.sandbox("web");
    let has = inside(&sandbox, "eth0");
    assert_eq!((has.mac.as_str(), has.mtu), (MAC, u64::from(MTU)));
    assert_eq!(has.addresses, [format!("{address}/{NETMASK}")]);
    assert_eq!(default_routes(&sandbox), [(Lan::ROUTER.to_string(), "eth0".into())]);
    site.reached(address);

    let (_, discover) = nth(on_lan, MAC, DISCOVER, 1, SOON);
    assert_eq!((discover.source.as_str(), discover.from), (MAC, Ipv4Addr::UNSPECIFIED));
    the_name_came_by_itself(on_lan);
    assert_eq!(count(on_lan, MAC, DISCOVER), 1);
    site.logged(Message::Discover, MAC, 1);
    address
}

/// The first REQUEST with the host name was not one that was due.
fn the_name_came_by_itself(on_lan: &Capture) {
    let requests: Vec<_> =
        messages(on_lan, MAC).into_iter().filter(|(_, m)| m.kind == REQUEST).collect();
    let named = requests.iter().position(|(_, m)| m.host_name.as_deref() == Some("web")).unwrap();
    if let Some((last, _)) = requests[..named].last() {
        let after = requests[named].0.duration_since(*last).unwrap().as_secs_f64();
        assert!(after < f64::from(T1) - 0.5, "the name came {after} s after the last REQUEST");
    }
}

fn status_tells_of_it<S: DhcpServer>(site: &Site<S>, address: Ipv4Addr) {
    let status = site.status();
    let network = site.docker(&["network", "inspect", "-f", "{{.Id}}", "lan"]);
    let container = site.inspect("web", "{{.Id}}");
    assert_eq!(status["networks"][0]["id"], network.as_str());
    assert_eq!(status["networks"][0]["bridge"], "br0");
    assert_eq!(status["networks"][0]["endpoints"], 1);
    let endpoint = &status["endpoints"][0];
    let shown = site.inspect("web", "{{(index .NetworkSettings.Networks \"lan\").EndpointID}}");
    assert_eq!(endpoint["id"], shown.as_str());
    for (key, value) in [
        ("network", network.as_str()),
        ("container", &container),
        ("host_name", "web"),
        ("bridge", "br0"),
        ("interface", "eth0"),
        ("mac", MAC),
        ("address", &format!("{address}/{NETMASK}")),
        ("gateway", &Lan::ROUTER.to_string()),
        ("server", &Lan::ROUTER.to_string()),
    ] {
        assert_eq!(endpoint[key], value, "{key} of {endpoint:#}");
    }
    assert!(site.host_links().contains(endpoint["host_interface"].as_str().unwrap()));
    assert!(endpoint["docker_shows"].is_null(), "{endpoint:#}");

    let table = site.landfall_says(&["status"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].starts_with("CONTAINER"), "{table}");
    let row: Vec<&str> = lines[1].split_whitespace().collect();
    let begins = ["web", &format!("({})", &container[..12]), &network[..12], "eth0", MAC];
    assert_eq!(row[..5], begins, "{table}");
    assert_eq!(row[5..7], [&format!("{address}/{NETMASK}"), &Lan::ROUTER.to_string()], "{table}");
    assert!(["BOUND", "RENEWING"].contains(&row[7]), "{table}");
}

/// T1 after the last REQUEST comes the next, to the server alone, and the address in the container lives as long as its
/// lease.
fn it_is_renewed<S: DhcpServer>(site: &Site<S>, on_lan: &Capture, address: Ipv4Addr) {
    let expiry = site.named_lease(MAC, "web").expiry;
    let renewal = next_renewal(on_lan, MAC, T1);
    let router = inside(site.lan.router_ns(), "eth0").mac;
    assert_eq!((renewal.source.as_str(), renewal.destination.as_str()), (MAC, router.as_str()));
    assert_eq!((renewal.from, renewal.to, renewal.ciaddr), (address, Lan::ROUTER, address));

    let later = |leases: &[Lease]| leases.iter().any(|l| l.mac == MAC && l.expiry > expiry);
    site.server.wait_leases("a later expiry", SOON, &later).unwrap();
    // Without the renewal the address would have lost T1's seconds by now.
    let sandbox = site.sandbox("web");
    let lives = until("the address lives on", SOON, || {
        Some(inside(&sandbox, "eth0").lives).filter(|left| *left > u64::from(LEASE - T1))
    });
    assert!(lives <= u64::from(LEASE), "{lives} s");
    site.reached(address);
}
