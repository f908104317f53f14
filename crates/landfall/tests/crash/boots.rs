//! The machine boots, and the daemon is killed before the containers are back.

use lab::{DhcpServer, Message};
use serde_json::{Value, json};

use crate::fault::POINTS;
use crate::life::Crashing;
use crate::site::{SOON, endpoint_argument, eventually, id, same};

const MAC: &str = "02:00:00:00:00:42";
/// More than any test takes from CreateEndpoint to Join.
const PATIENT: u32 = 60_000;

/// What a container that comes back passes, from its call to its lease.
fn points() -> impl Iterator<Item = &'static str> {
    ["claim: taken"].into_iter().chain(POINTS.into_iter().filter(|p| p.starts_with("create: ")))
}

/// A container had a lease when the machine went down, and the daemon has been killed again since.
/// Returns the address.
fn after_a_boot() -> (Crashing, Value) {
    let mut site = Crashing::new(PATIENT);
    site.network("10m");
    let mut guest = site.start("web", MAC);
    site.agree_on(&guest);
    let address = site.site.shown("web")["address"].clone();
    guest.leave_alone();
    guest.unbind(&site.site);
    site.boot();
    assert!(held(&site, "web"));
    // Its record is still the one of a container that runs, whose link is gone.
    site.site.landfall.kill9().unwrap();
    site.revive();
    assert!(held(&site, "web"));
    assert_eq!(site.site.endpoint_links(), [] as [&str; 0]);
    (site, address)
}

fn held(site: &Crashing, name: &str) -> bool {
    site.site.shown(name)["held_until"].is_string()
}

/// The container has its address, and its server was not asked for another.
fn is_back(mut site: Crashing, name: &str, address: &Value) {
    let guest = site.start(name, MAC);
    site.agree_on(&guest);
    assert_eq!(site.site.shown(name)["address"], *address);
    assert_eq!(site.server.logged(Message::Discover, MAC).len(), 1);
    assert_eq!(site.server.logged(Message::Release, MAC).len(), 0);
    site.stop(guest);
    // The network's end is the end of what is held for it.
    site.call("DeleteNetwork", &json!({ "NetworkID": id("lan") }));
    site.end();
}

#[test]
fn the_engine_asks_again() {
    for point in points() {
        println!("killed at {point}");
        let (mut site, address) = after_a_boot();
        site.arm(point);
        let argument = endpoint_argument("lan", "again", MAC);
        assert_eq!(site.once("CreateEndpoint", &argument), None);
        site.dies_at(point);
        site.revive();
        is_back(site, "again", &address);
    }
}

/// The engine was killed as well, and starts the container as another endpoint.
#[test]
fn the_engine_starts_it_once_more() {
    for point in points() {
        println!("killed at {point}");
        let (mut site, address) = after_a_boot();
        site.arm(point);
        let argument = endpoint_argument("lan", "again", MAC);
        assert_eq!(site.once("CreateEndpoint", &argument), None);
        site.dies_at(point);
        site.revive();
        // With its lease written down it is one that an engine may still join.
        if !["create: granted", "create: lease recorded"].contains(&point) {
            // Whichever of the two endpoints it is that waits now.
            eventually("one that waits", SOON, || {
                same(held(&site, "web") || held(&site, "again"), &true)
            });
            assert_eq!(site.site.endpoint_links(), [] as [&str; 0]);
        }
        is_back(site, "third", &address);
    }
}
