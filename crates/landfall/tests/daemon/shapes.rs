//! Leases of all shapes: masks, routers, routes, times.

use std::net::Ipv4Addr;

use lab::Lan;
use serde_json::{Value, json};
use wire::dhcp4::{MessageType, code};

use crate::container::Container;
use crate::server::{Grant, Server};
use crate::site::{SOON, Site, eventually, same};

/// A container on a LAN whose server gives `grant`.
fn run_with(grant: Grant) -> (Site, Server, Container) {
    let site = Site::new();
    let server = Server::granting(&site.lan, grant);
    site.network("lan", &[]);
    let container = site.run("lan", "web", "");
    (site, server, container)
}

/// A route of option 121 or 249: the prefix length, as many bytes of the destination as count, the router.
fn classless(destination: [u8; 4], prefix_len: u8, router: [u8; 4]) -> Vec<u8> {
    let bytes = usize::from(prefix_len.div_ceil(8));
    [&[prefix_len], &destination[..bytes], &router[..]].concat()
}

#[test]
fn a_mask_of_32_with_the_router_elsewhere() {
    let mask = Some(Ipv4Addr::BROADCAST);
    let (site, _server, container) = run_with(Grant { mask, ..Grant::new([10, 77, 1, 5]) });
    assert_eq!(container.endpoint.address, "10.77.1.5/32");
    let to_router = json!({ "Destination": "10.77.0.1/32", "RouteType": 1 });
    assert_eq!(container.joined["StaticRoutes"], json!([to_router]));
    assert_eq!(container.joined["Gateway"], "10.77.0.1");
    assert!(container.ping(Lan::ROUTER));
    container.stop(&site);
}

#[test]
fn a_router_outside_the_subnet() {
    let mask = Some(Ipv4Addr::new(255, 255, 255, 0));
    let (_site, _server, container) = run_with(Grant { mask, ..Grant::new([10, 77, 1, 5]) });
    assert_eq!(container.endpoint.address, "10.77.1.5/24");
    let to_router = json!({ "Destination": "10.77.0.1/32", "RouteType": 1 });
    assert_eq!(container.joined["StaticRoutes"], json!([to_router]));
    assert_eq!(container.joined["Gateway"], "10.77.0.1");
    assert!(container.ping(Lan::ROUTER));
}

#[test]
fn no_mask_at_all_and_one_of_0() {
    // 10.0.0.0 is of class A.
    for mask in [None, Some(Ipv4Addr::UNSPECIFIED)] {
        let (_site, _server, container) = run_with(Grant { mask, ..Grant::new([10, 77, 1, 5]) });
        assert_eq!(container.endpoint.address, "10.77.1.5/8");
        assert!(container.ping(Lan::ROUTER));
    }
}

#[test]
fn no_router() {
    let grant = Grant { routers: vec![], ..Grant::new([10, 77, 1, 5]) };
    let (site, _server, container) = run_with(grant);
    assert_eq!(container.joined["DisableGatewayService"], true);
    assert_eq!(container.joined.get("Gateway"), None);
    assert_eq!(container.routes(), Vec::<String>::new());
    assert_eq!(site.shown("web")["gateway"], Value::Null);
    assert!(container.ping(Lan::ROUTER));
}

#[test]
fn an_internal_network_has_no_router_either() {
    let site = Site::new();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    let mut network = site.network_argument("lan", &[]);
    network["Options"]["com.docker.network.internal"] = json!(true);
    site.ok("CreateNetwork", &network);
    let container = site.run("lan", "web", "");
    assert_eq!(container.joined["DisableGatewayService"], true);
    assert_eq!(container.joined.get("Gateway"), None);
    assert_eq!(container.joined["StaticRoutes"], json!([]));
}

#[test]
fn several_routers() {
    let routers = vec![Lan::ROUTER, Lan::LAPTOP];
    let (_site, _server, container) = run_with(Grant { routers, ..Grant::new([10, 77, 1, 5]) });
    assert_eq!(container.joined["Gateway"], "10.77.0.1");
    assert_eq!(container.routes(), ["default via 10.77.0.1 dev eth0"]);
}

#[test]
fn a_router_that_is_none_is_passed_over() {
    let routers = vec![Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, Lan::LAPTOP];
    let (_site, _server, container) = run_with(Grant { routers, ..Grant::new([10, 77, 1, 5]) });
    assert_eq!(container.joined["Gateway"], "10.77.0.9");
}

#[test]
fn classless_routes_replace_the_router_option() {
    // RFC 3442: with them option 3 is not looked at. 249 is what Windows servers send.
    for code in [code::CLASSLESS_ROUTES, code::CLASSLESS_ROUTES_MICROSOFT] {
        let routes = [
            classless([10, 50, 0, 0], 16, [10, 77, 0, 9]),
            classless([10, 60, 0, 0], 16, [0, 0, 0, 0]),
            classless([0, 0, 0, 0], 0, [10, 77, 0, 9]),
        ]
        .concat();
        let (_site, _server, container) =
            run_with(Grant::new([10, 77, 1, 5]).option(code, &routes));
        assert_eq!(container.joined["Gateway"], "10.77.0.9", "option {code}");
        let expected = json!([
            { "Destination": "10.60.0.0/16", "RouteType": 1 },
            { "Destination": "10.50.0.0/16", "RouteType": 0, "NextHop": "10.77.0.9" },
        ]);
        assert_eq!(container.joined["StaticRoutes"], expected, "option {code}");
        assert_eq!(
            container.routes(),
            [
                "10.50.0.0/16 via 10.77.0.9 dev eth0",
                "10.60.0.0/16 dev eth0",
                "default via 10.77.0.9 dev eth0",
            ]
        );
    }
}

#[test]
fn classless_routes_without_a_default_one_mean_no_router() {
    let routes = classless([10, 50, 0, 0], 16, [10, 77, 0, 9]);
    let (_site, _server, container) =
        run_with(Grant::new([10, 77, 1, 5]).option(code::CLASSLESS_ROUTES, &routes));
    assert_eq!(container.joined.get("Gateway"), None);
    assert_eq!(container.joined["DisableGatewayService"], true);
    assert_eq!(container.routes(), ["10.50.0.0/16 via 10.77.0.9 dev eth0"]);
}

#[test]
fn classless_routes_through_a_router_elsewhere() {
    let mask = Some(Ipv4Addr::BROADCAST);
    let routes =
        [classless([10, 50, 0, 0], 16, [10, 77, 0, 9]), classless([0, 0, 0, 0], 0, [10, 77, 0, 1])]
            .concat();
    let grant = Grant { mask, ..Grant::new([10, 77, 1, 5]) };
    let (_site, _server, container) = run_with(grant.option(code::CLASSLESS_ROUTES, &routes));
    let routes = container.joined["StaticRoutes"].as_array().unwrap();
    let kinds: Vec<_> = routes.iter().map(|route| route["RouteType"].as_u64().unwrap()).collect();
    assert_eq!(kinds, [1, 1, 0], "routers first: {routes:?}");
    assert!(container.ping(Lan::ROUTER) && container.ping(Lan::LAPTOP));
}

#[test]
fn an_infinite_lease() {
    let (site, server, container) =
        run_with(Grant { lease: u32::MAX, ..Grant::new([10, 77, 1, 5]) });
    let shown = site.shown("web");
    assert_eq!(shown["renews_at"], Value::Null);
    assert_eq!(shown["expires_at"], Value::Null);
    assert_eq!(shown["state"], "BOUND");
    let forever = u64::from(u32::MAX);
    eventually("an address for ever", SOON, || {
        same(container.addresses()[0]["valid_life_time"].as_u64(), &Some(forever))
    });
    container.stop(&site);
    server.wait_for(MessageType::Release, SOON);
}

#[test]
fn an_address_lives_as_long_as_its_lease() {
    let (_site, _server, container) = run_with(Grant { lease: 500, ..Grant::new([10, 77, 1, 5]) });
    // The engine sets it for ever; the daemon follows when the link is up.
    eventually("the lifetime of the lease", SOON, || {
        let seconds = container.addresses()[0]["valid_life_time"].as_u64().unwrap();
        if (450..=501).contains(&seconds) { Ok(()) } else { Err(seconds.to_string()) }
    });
}
