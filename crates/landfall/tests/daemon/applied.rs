//! What containers get of what servers say, where the network's options decide about it.

use std::net::Ipv4Addr;

use lab::{Lan, LanOptions, Namespace, Radvd, RouterOptions};
use serde_json::Value;
use wire::dhcp4::{MessageType, code};

use crate::container::Container;
use crate::server::{Grant, Server};
use crate::site::{SOON, Site, eventually, host_link, ip_json, same};

const ADDRESS: [u8; 4] = [10, 77, 1, 5];

/// A LAN whose server grants that, and a container on a network with these options.
fn run_with(grant: Grant, options: &[(&str, &str)]) -> (Site, Server, Container) {
    let site = Site::new();
    let server = Server::granting(&site.lan, grant);
    site.network("lan", options);
    let container = site.run("lan", "web", "");
    (site, server, container)
}

fn wait_routes(container: &Container, routes: &[&str]) {
    let routes: Vec<String> = routes.iter().map(|&route| route.into()).collect();
    eventually("the routes", SOON, || same(container.routes(), &routes));
}

#[test]
fn the_users_router_takes_the_place_of_the_servers() {
    let mut routes = vec![16, 10, 50, 10, 77, 0, 1];
    routes.extend([0, 10, 77, 0, 1]);
    let grant = Grant::new(ADDRESS).option(code::CLASSLESS_ROUTES, &routes).times(1, 60, 120);
    let (site, server, container) = run_with(grant, &[("gateway", "10.77.0.9")]);
    let users = ["10.50.0.0/16 via 10.77.0.1 dev eth0", "default via 10.77.0.9 dev eth0"];
    assert_eq!(container.joined["Gateway"], "10.77.0.9");
    assert_eq!(container.routes(), users);
    assert_eq!(site.shown("web")["gateway"], "10.77.0.9");
    // The server changes its mind about the router, and about the address.
    server.grant(Grant { routers: vec![Lan::LAPTOP], ..Grant::new(ADDRESS).times(1, 60, 120) });
    wait_routes(&container, &users[1..]);
    server.grant(Grant::new([10, 77, 2, 6]).times(60, 90, 120));
    eventually("the address", SOON, || same(container.cidrs(), &vec!["10.77.2.6/16".to_owned()]));
    wait_routes(&container, &users[1..]);
}

#[test]
fn a_router_that_is_not_on_the_leases_subnet_is_an_error_that_leaves_nothing() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new(ADDRESS));
    site.network("lan", &[("gateway", "10.78.0.1")]);
    let error = site.try_create("lan", "web", "").unwrap_err();
    for words in ["gateway=10.78.0.1", "10.77.1.5/16", "10.77.0.1", "br0", "leave `gateway` out"] {
        assert!(error.contains(words), "no {words:?} in: {error}");
    }
    server.wait_count(MessageType::Release, 1);
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
}

#[test]
fn where_the_subnet_moves_away_from_the_users_router_the_servers_is_used() {
    let grant = Grant::new(ADDRESS).times(1, 60, 120);
    let (site, server, container) = run_with(grant, &[("gateway", "10.77.0.9")]);
    // Of 10.77.128.0/17, where the user's router is not.
    let moved = Grant {
        mask: Some(Ipv4Addr::new(255, 255, 128, 0)),
        routers: vec![[10, 77, 128, 1].into()],
        ..Grant::new([10, 77, 128, 5]).times(60, 90, 120)
    };
    server.grant(moved);
    wait_routes(&container, &["default via 10.77.128.1 dev eth0"]);
    site.landfall.log().wait_for("is no router for that address", SOON).unwrap();
    assert_eq!(site.shown("web")["gateway"], "10.77.128.1");
}

#[test]
fn default_route_never() {
    let mut routes = vec![16, 10, 50, 10, 77, 0, 9];
    routes.extend([0, 10, 77, 0, 1]);
    let classless = |grant: Grant| grant.option(code::CLASSLESS_ROUTES, &routes);
    let grant = classless(Grant::new(ADDRESS)).times(1, 60, 120);
    let (site, server, container) = run_with(grant, &[("default_route", "never")]);
    // Docker's own way out by NAT is none either.
    assert_eq!(container.joined.get("Gateway"), None);
    assert_eq!(container.joined["DisableGatewayService"], true);
    assert_eq!(container.routes(), ["10.50.0.0/16 via 10.77.0.9 dev eth0"]);
    assert_eq!(site.shown("web")["gateway"], Value::Null);
    // Nor does one come with another address.
    server.grant(classless(Grant::new([10, 77, 2, 6])).times(60, 90, 120));
    eventually("the address", SOON, || same(container.cidrs(), &vec!["10.77.2.6/16".to_owned()]));
    wait_routes(&container, &["10.50.0.0/16 via 10.77.0.9 dev eth0"]);
    assert!(container.ping(Lan::ROUTER));
}

/// What `--internal` promises holds after the first lease, too.
#[test]
fn an_internal_network_gets_no_router_later_either() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new(ADDRESS).times(1, 60, 120));
    let mut argument = site.network_argument("lan", &[]);
    argument["Options"]["com.docker.network.internal"] = true.into();
    site.ok("CreateNetwork", &argument);
    let container = site.run("lan", "web", "");
    assert_eq!(container.routes(), Vec::<String>::new());
    server.grant(Grant::new([10, 77, 2, 6]).times(60, 90, 120));
    eventually("the address", SOON, || same(container.cidrs(), &vec!["10.77.2.6/16".to_owned()]));
    assert_eq!(container.routes(), Vec::<String>::new());
    assert_eq!(site.shown("web")["gateway"], Value::Null);
}

/// IPv6's routers are told by themselves, so their routes are Landfall's to make or not.
#[test]
fn default_route_never_is_said_of_ipv6_as_well() {
    use lab::{Dnsmasq, Mode6, ServerOptions};

    let lan = Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap();
    let options = ServerOptions { ipv6: Some(Mode6::Slaac), ..ServerOptions::default() };
    let _server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let site = Site::on(lan);
    site.network("auto", &[("ipv6", "auto")]);
    site.network("never", &[("ipv6", "auto"), ("default_route", "never")]);
    let routes = |container: &Container| {
        let argv = ["ip", "-6", "route", "show", "proto", "ra"];
        container.ns.ok(&argv).unwrap()
    };
    let on_link = |container: &Container| {
        eventually("what is on the link", SOON, || {
            let routes = routes(container);
            if routes.contains("2001:db8:77::/64") { Ok(routes) } else { Err(routes) }
        })
    };
    // Together with what is on the link comes the default route, where there is to be one.
    let auto = site.run("auto", "web", "");
    assert!(on_link(&auto).contains("default via "), "{}", routes(&auto));
    let never = site.run("never", "db", "");
    assert!(!on_link(&never).contains("default"), "{}", routes(&never));
    let reached: Ipv4Addr = Lan::ROUTER;
    assert!(never.ping(reached));
}

/// The MTU of a link in a namespace.
fn mtu(ns: &Namespace, link: &str) -> u64 {
    ip_json(ns, &["link", "show", "dev", link])[0]["mtu"].as_u64().unwrap()
}

fn wait_mtu(container: &Container, mtu: u64) {
    eventually("the MTU", SOON, || same(self::mtu(&container.ns, "eth0"), &mtu));
}

#[test]
fn the_mtu_is_followed_and_the_bridge_keeps_its_own() {
    let say = |mtu: u16| Grant::new(ADDRESS).times(1, 60, 120).option(26, &mtu.to_be_bytes());
    let site = Site::new();
    let server = Server::granting(&site.lan, say(1400));
    site.network("lan", &[("propagate_mtu", "true")]);
    site.network("plain", &[]);
    let container = Container::join(&site, site.create("lan", "web", ""));
    // Before the engine moves it.
    assert_eq!(
        mtu(site.host(), container.joined["InterfaceName"]["SrcName"].as_str().unwrap()),
        1400
    );
    container.move_in(&site);
    assert_eq!(mtu(&container.ns, "eth0"), 1400);
    server.grant(say(1300));
    wait_mtu(&container, 1300);
    // More than the bridge has, and then nothing.
    server.grant(say(9000));
    wait_mtu(&container, 1500);
    server.grant(say(700));
    wait_mtu(&container, 700);
    server.grant(Grant::new(ADDRESS).times(1, 60, 120));
    wait_mtu(&container, 1500);
    server.grant(Grant { address: [10, 77, 1, 6].into(), ..say(1400) });
    let plain = site.run("plain", "db", "");
    assert_eq!(mtu(&plain.ns, "eth0"), 1500);
    assert_eq!(mtu(site.host(), "br0"), 1500);
    assert_eq!(mtu(site.host(), &host_link("web")), 1500);
}

#[test]
fn an_mtu_too_small_for_ipv6_does_not_end_it_and_the_routers_holds() {
    let lan = Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap();
    let said = RouterOptions { mtu: Some(1300), ..RouterOptions::default() };
    let _radvd = Radvd::start(lan.router_ns(), "eth0", &said).unwrap();
    let say = |mtu: u16| Grant::new(ADDRESS).times(1, 60, 120).option(26, &mtu.to_be_bytes());
    let site = Site::on(lan);
    let server = Server::granting(&site.lan, say(1400));
    site.network("lan", &[("propagate_mtu", "true"), ("ipv6", "auto")]);
    let container = site.run("lan", "web", "");
    let of_ipv6 =
        || container.ns.ok(&["cat", "/proc/sys/net/ipv6/conf/eth0/mtu"]).unwrap().trim().to_owned();
    eventually("the router's MTU", SOON, || same(of_ipv6(), &"1300".to_owned()));
    wait_mtu(&container, 1400);
    server.grant(say(1350));
    wait_mtu(&container, 1350);
    eventually("the router's MTU again", SOON, || same(of_ipv6(), &"1300".to_owned()));
    server.grant(say(576));
    wait_mtu(&container, 1280);
    let addresses = container.ns.ok(&["ip", "-6", "address", "show", "scope", "global"]).unwrap();
    assert!(addresses.contains("2001:db8:77:"), "{addresses}");
}
