//! RELEASEs wait for their turn, and nobody else waits for them.

use serde_json::{Value, json};
use wire::dhcp4::MessageType;

use crate::server::{Grant, Server};
use crate::site::{SOON, Site, at_once, endpoint_argument, eventually, id, same};

const MAC: &str = "02:00:00:00:ff:01";
const BEHIND: &str = "02:00:00:00:ff:02";
/// What goes out at once, and two seconds more.
const CROWD: usize = 32 + 100;

/// An endpoint is deleted and made once more under its name and with its MAC while the RELEASE of its first life still
/// waits for its turn. That turn is not the second life's end.
#[test]
fn an_endpoint_is_made_again_before_its_turn() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |request| {
        let [.., high, low] = request.message.chaddr.0;
        Grant::new([10, 77, high, low]).answer(request)
    });
    site.network("crowd", &[("lease_timeout", "25s")]);
    site.network("lan", &[]);
    at_once((0..CROWD).collect(), |n| {
        let argument =
            endpoint_argument("crowd", &format!("c{n:03}"), &format!("02:00:00:00:01:{n:02x}"));
        site.ok("CreateEndpoint", &argument)
    });
    let web = site.create("lan", "web", MAC);
    site.create("lan", "last", BEHIND);
    // The places in the row are taken before the call is answered.
    site.delete_network("crowd");
    let delete = |name: &str| {
        site.ok("DeleteEndpoint", &json!({ "NetworkID": id("lan"), "EndpointID": id(name) }));
    };
    delete("web");
    assert_eq!(site.create("lan", "web", MAC), web);
    // Whoever comes behind it tells when its turn is over.
    delete("last");
    let of = |mac: &str, kind| {
        let requests = server.requests();
        requests.iter().filter(|r| r.kind == kind && r.message.chaddr.to_string() == mac).count()
    };
    eventually("the last RELEASE", SOON, || same(of(BEHIND, MessageType::Release), &1));
    assert_eq!(of(MAC, MessageType::Discover), 2);
    assert_eq!(of(MAC, MessageType::Release), 0, "it had to wait, and was given up");
    assert_eq!(site.shown("web")["address"], web.address);
    assert_eq!(site.shown("web")["state"], "BOUND");
    delete("web");
    eventually("its own RELEASE", SOON, || same(of(MAC, MessageType::Release), &1));
    assert_eq!(site.status()["endpoints"], Value::Array(vec![]));
    eventually("a RELEASE of each", SOON, || {
        same(server.count(MessageType::Release), &(CROWD + 2))
    });
}
