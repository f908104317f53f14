//! The host's static routes, copied into containers as docker-net-dhcp does.

use lab::{Lan, LanOptions};
use serde_json::json;
use wire::dhcp4::code;

use crate::server::{Grant, Server};
use crate::site::Site;

/// A host with an address and many routes on its bridge.
fn site() -> Site {
    let options = LanOptions { host_address: Some("10.77.0.2/16".into()), ..LanOptions::default() };
    let lan = Lan::new(options).unwrap();
    lan.host_ns()
        .ip_batch(
            // What a container beside the bridge can use as well:
            "route add 10.99.0.0/16 via 10.77.0.1 dev br0\n\
             route add 10.98.0.0/16 dev br0\n\
             route add 192.0.2.7/32 via 10.77.0.9 dev br0 proto static\n\
             addr add 10.78.0.2/16 dev br0\n\
             link add uplink type veth peer name other\n\
             link set uplink up\nlink set other up\n\
             addr add 10.79.0.2/16 dev uplink\n\
             route add default via 10.77.0.9 dev br0\n\
             route add 169.254.0.0/16 dev br0\n\
             route add 169.254.7.0/24 via 10.77.0.1 dev br0\n\
             route add 10.0.0.0/8 via 10.77.0.1 dev br0\n\
             route add 10.77.1.0/24 via 10.77.0.1 dev br0\n\
             route add 10.97.0.0/16 via 10.78.0.1 dev br0\n\
             route add 10.96.0.0/16 via 10.79.0.1 dev uplink\n\
             route add blackhole 10.95.0.0/16\n\
             route add unreachable 10.94.0.0/16\n\
             route add 10.93.0.0/16 via 10.77.0.1 dev br0 table 100\n",
        )
        .unwrap();
    Site::on(lan)
}

#[test]
fn copied_are_those_that_a_container_can_use() {
    let site = site();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let container = site.run("lan", "web", "");
    // Not: the default route, link-local ones, the kernel's own, what covers the lease, what another subnet's router
    // leads to, what leads out elsewhere or nowhere, other tables.
    assert_eq!(
        container.routes(),
        [
            "10.98.0.0/16 dev eth0",
            "10.99.0.0/16 via 10.77.0.1 dev eth0",
            "192.0.2.7 via 10.77.0.9 dev eth0",
            "default via 10.77.0.1 dev eth0",
        ],
        "Join answered {}",
        container.joined
    );
    assert!(container.ping(Lan::ROUTER));
}

#[test]
fn skip_routes_leaves_them_out() {
    let site = site();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[("skip_routes", "true")]);
    let container = site.run("lan", "web", "");
    assert_eq!(container.joined["StaticRoutes"], json!([]));
    assert_eq!(container.routes(), ["default via 10.77.0.1 dev eth0"]);
}

#[test]
fn the_servers_own_route_to_the_same_place_wins() {
    let site = site();
    let mut routes = vec![16, 10, 99, 10, 77, 0, 9];
    routes.extend([0, 10, 77, 0, 1]);
    let grant = Grant::new([10, 77, 1, 5]).option(code::CLASSLESS_ROUTES, &routes);
    let _server = Server::granting(&site.lan, grant);
    site.network("lan", &[]);
    let container = site.run("lan", "web", "");
    assert_eq!(
        container.routes(),
        [
            "10.98.0.0/16 dev eth0",
            "10.99.0.0/16 via 10.77.0.9 dev eth0",
            "192.0.2.7 via 10.77.0.9 dev eth0",
            "default via 10.77.0.1 dev eth0",
        ]
    );
}
