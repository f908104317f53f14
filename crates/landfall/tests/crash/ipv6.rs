//! The daemon killed while an endpoint comes by its IPv6: nothing stays at the DHCPv6 server.

use lab::DhcpServer6;
use serde_json::json;

use crate::fault::POINTS;
use crate::life::Crashing;
use crate::site::{SOON, endpoint_argument, eventually, id, same};

const MAC: &str = "02:00:00:00:00:42";

/// Nobody asks again, and nobody joins what was made.
#[test]
fn a_lease_that_nobody_wrote_down_is_given_back() {
    for point in POINTS.into_iter().filter(|point| point.starts_with("create: ")) {
        println!("killed at {point}");
        let mut site = Crashing::with_ipv6(200);
        let options = [("release_delay", "0"), ("ipv6", "auto")];
        let argument = site.site.network_argument("lan", &options);
        site.call("CreateNetwork", &argument);
        // A first one has made the port and heard the router.
        let before = endpoint_argument("lan", "before", "02:00:00:00:00:43");
        site.call("CreateEndpoint", &before);
        site.call("DeleteEndpoint", &json!({ "NetworkID": id("lan"), "EndpointID": id("before") }));
        site.arm(point);
        assert_eq!(site.once("CreateEndpoint", &endpoint_argument("lan", "web", MAC)), None);
        site.dies_at(point);
        site.revive();
        eventually("no lease at the server", SOON, || {
            same(site.server.leases6().unwrap().len(), &0)
        });
        site.end();
    }
}

/// The record of an endpoint that has IPv6 only stays until its Release is out.
#[test]
fn a_lease_of_ipv6_alone_is_given_back_by_the_next_run() {
    let ends = |point: &&str| point.starts_with("leave: ") || point.starts_with("delete: ");
    for point in POINTS.into_iter().filter(ends) {
        println!("killed at {point}");
        let mut site = Crashing::with_ipv6(4_000);
        let options = [("release_delay", "0"), ("ipv4", "false"), ("ipv6", "dhcp")];
        let argument = site.site.network_argument("lan", &options);
        site.call("CreateNetwork", &argument);
        site.call("CreateEndpoint", &endpoint_argument("lan", "web", MAC));
        // The server writes it down when it has answered.
        eventually("a lease", SOON, || same(site.server.leases6().unwrap().len(), &1));
        site.arm(point);
        let gone = json!({ "NetworkID": id("lan"), "EndpointID": id("web") });
        assert_eq!(site.once("DeleteEndpoint", &gone), None);
        site.dies_at(point);
        site.revive();
        eventually("no lease at the server", SOON, || {
            same(site.server.leases6().unwrap().len(), &0)
        });
        site.end();
    }
}
