//! The daemon killed at each fault point once, in the life of a container that comes back.

use lab::{DhcpServer, Message};
use serde_json::json;

use crate::fault::POINTS;
use crate::life::Crashing;
use crate::site::{SOON, endpoint_argument, eventually, id, same};

const MAC: &str = "02:00:00:00:00:42";
/// Those that come by when the lease of a container is held for its return.
const HELD: [&str; 2] = ["hold: ", "claim: "];
const WARM: &str = "warm: ";
/// More than any test takes from CreateEndpoint to Join.
const PATIENT: u32 = 60_000;

fn points(of: &str) -> Vec<&'static str> {
    let points: Vec<&str> = POINTS.into_iter().filter(|point| point.starts_with(of)).collect();
    assert!(!points.is_empty());
    points
}

/// A container lives, ends and comes back, and the engine asks again whenever the daemon died.
fn a_life_with_a_death_at(point: &str) {
    println!("killed at {point}");
    let held = HELD.iter().any(|of| point.starts_with(of));
    let mut site = Crashing::new(PATIENT);
    site.arm(point);
    site.network(if held { "10m" } else { "0" });
    let guest = site.start("web", MAC);
    if point.starts_with("change: ") {
        site.change_router();
    }
    // What happens by itself: the address lives as long as its lease, and that is prolonged.
    if ["join: ", "renew: ", "change: "].iter().any(|of| point.starts_with(of)) {
        site.outlive(point);
    }
    site.agree_on(&guest);
    site.stop(guest);
    let again = site.start("again", MAC);
    site.agree_on(&again);
    site.stop(again);
    if held {
        // The network's end is the end of what is held for it.
        site.call("DeleteNetwork", &json!({ "NetworkID": id("lan") }));
    }
    if !point.starts_with("forget: ") {
        assert!(site.died_at(point), "{point} was not come by");
    }
    // Of an endpoint that was being made, the lease is asked for once more to be given back, and
    // once more by the engine.
    let lives = if held { 1 } else { 2 };
    let asked = lives + if point.starts_with("create: ") { 2 } else { 0 };
    let discovers = site.server.logged(Message::Discover, MAC).len();
    assert!((lives..=asked).contains(&discovers), "{discovers} DISCOVERs");
    if point.starts_with("forget: ") {
        site.call("DeleteNetwork", &json!({ "NetworkID": id("lan") }));
        assert!(site.died_at(point), "{point} was not come by");
    }
    site.end();
}

/// Leases are taken in advance, and a container takes one, while the daemon dies.
fn a_stock_with_a_death_at(point: &str) {
    println!("killed at {point}");
    let mut site = Crashing::new(PATIENT);
    site.arm(point);
    site.network_with(&[("release_delay", "0"), ("warm", "2")]);
    site.outlive(point);
    eventually("leases in stock", SOON, || {
        let status = site.site.status();
        let all = status["endpoints"].as_array().unwrap().iter();
        same(all.filter(|endpoint| endpoint["spare"] == json!(true)).count(), &2)
    });
    let guest = site.start("web", "");
    site.agree_on(&guest);
    assert_eq!(site.site.leases("handed_over"), 1);
    site.stop(guest);
    site.call("DeleteNetwork", &json!({ "NetworkID": id("lan") }));
    site.end();
}

#[test]
fn while_leases_are_taken_in_advance() {
    points(WARM).into_iter().for_each(a_stock_with_a_death_at);
}

macro_rules! lives {
    ($($name:ident: $of:literal),* $(,)?) => {
        $(#[test]
        fn $name() {
            points($of).into_iter().for_each(a_life_with_a_death_at);
        })*

        #[test]
        fn every_point_has_its_test() {
            let tested = [$($of),*, WARM];
            for point in POINTS {
                assert!(tested.iter().any(|of| point.starts_with(of)), "{point}");
            }
        }
    };
}

lives! {
    while_a_network_is_made: "network: ",
    while_an_endpoint_is_made: "create: ",
    while_it_is_joined: "join: ",
    while_its_lease_is_renewed: "renew: ",
    while_its_lease_changes: "change: ",
    while_its_lease_is_held: "hold: ",
    while_its_lease_is_claimed: "claim: ",
    while_it_is_left: "leave: ",
    while_it_is_deleted: "delete: ",
    while_its_network_is_forgotten: "forget: ",
}

/// The engine died with the daemon: nobody asks again, and nobody joins what was made.
#[test]
fn nobody_asks_again() {
    for point in points("create: ") {
        println!("killed at {point}");
        let mut site = Crashing::new(200);
        site.network("0");
        // The first frame may come before the record: there is nothing yet that could be lost.
        let second = format!("{point}#2");
        site.arm(if point == "create: frame sent" { &second } else { point });
        let argument = endpoint_argument("lan", "web", MAC);
        assert_eq!(site.once("CreateEndpoint", &argument), None);
        site.dies_at(point);
        site.revive();
        if point != "create: known" {
            // What is undone is not shown, and takes its time.
            site.site.landfall.log().wait_for("endpoint removed", SOON).unwrap();
        }
        site.end();
    }
}

/// Neither does it lose what it came back for.
#[test]
fn a_return_that_is_never_joined() {
    let mut site = Crashing::new(300);
    site.network("10m");
    let guest = site.start("web", MAC);
    site.agree_on(&guest);
    site.stop(guest);
    let held = |site: &Crashing, name: &str| site.site.shown(name)["held_until"].is_string();
    assert!(held(&site, "web"));
    let address = site.site.shown("web")["address"].clone();
    let argument = endpoint_argument("lan", "again", MAC);
    assert_eq!(site.call("CreateEndpoint", &argument)["Interface"]["Address"], address);
    eventually("held again", SOON, || same(held(&site, "again"), &true));
    eventually("no link of it", SOON, || same(site.site.endpoint_links(), &vec![]));
    let guest = site.start("third", MAC);
    site.agree_on(&guest);
    assert_eq!(site.site.shown("third")["address"], address);
    assert_eq!(site.server.logged(Message::Discover, MAC).len(), 1);
    site.stop(guest);
    site.call("DeleteNetwork", &json!({ "NetworkID": id("lan") }));
    site.end();
}

/// One that lives is not taken for such a one.
#[test]
fn a_container_that_lives_on() {
    let mut site = Crashing::new(300);
    site.network("0");
    let guest = site.start("web", MAC);
    site.agree_on(&guest);
    site.site.landfall.kill9().unwrap();
    let renewals = |site: &Crashing| site.server.logged(Message::Ack, MAC).len();
    let before = renewals(&site);
    site.revive();
    // Seconds apart: far beyond the patience of 300 ms.
    eventually("two renewals", SOON, || {
        let now = renewals(&site) - before;
        if now >= 2 { Ok(()) } else { Err(format!("{now}")) }
    });
    site.agree_on(&guest);
    assert!(site.site.landfall.log().grep("ended unheard").is_empty());
    site.stop(guest);
    site.end();
}

/// The engine stopped the container while no daemon ran, and does not say so again.
#[test]
fn a_container_that_ended_unheard() {
    let mut site = Crashing::new(300);
    site.network("0");
    let mut guest = site.start("web", MAC);
    site.agree_on(&guest);
    site.site.landfall.kill9().unwrap();
    guest.leave_alone();
    guest.move_out(site.site.host());
    guest.unbind(&site.site);
    site.revive();
    site.end();
}
