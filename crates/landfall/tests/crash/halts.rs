//! Calls that meet each other: one waits at a point of the daemon's work while another goes on.

use std::thread;

use lab::{DhcpServer, Message};
use serde_json::{Value, json};

use crate::fault::POINTS;
use crate::life::{Crashing, Line};
use crate::site::{SOON, endpoint_argument, eventually, id, same};

const MAC: &str = "02:00:00:00:00:42";
/// More than any test takes from CreateEndpoint to Join.
const PATIENT: u32 = 60_000;

fn endpoint(name: &str) -> Value {
    json!({ "NetworkID": id("lan"), "EndpointID": id(name) })
}

fn create(line: &Line, name: &str) -> Result<Value, String> {
    line.call("CreateEndpoint", &endpoint_argument("lan", name, MAC))
}

/// The time of a held lease is over, its RELEASE is about to go out, and its MAC comes back.
#[test]
fn a_mac_whose_hold_ends_just_now() {
    let mut site = Crashing::new(PATIENT);
    let halt = site.halt("leave: known");
    site.network("1s");
    let guest = site.start("one", MAC);
    site.agree_on(&guest);
    site.stop(guest);
    let giving_up = halt.met();
    let line = site.line();
    thread::scope(|scope| {
        let call = scope.spawn(|| create(&line, "two"));
        // Its link is made right after it was seen that the MAC is in use.
        eventually("the link of the second", SOON, || same(site.site.endpoint_links().len(), &2));
        assert_eq!(site.server.logged(Message::Release, MAC), [] as [String; 0]);
        drop(giving_up);
        let answer = call.join().unwrap().unwrap();
        assert_ne!(answer["Interface"]["Address"], "", "{answer}");
    });
    assert_eq!(site.server.logged(Message::Release, MAC).len(), 1);
    assert_eq!(site.server.logged(Message::Discover, MAC).len(), 2);
    assert_eq!(site.site.shown("one"), Value::Null);
    site.call("DeleteEndpoint", &endpoint("two"));
    site.end();
}

/// Whatever is made after the call that removes all there is.
#[test]
fn an_endpoint_is_deleted_while_it_is_made() {
    for point in POINTS.into_iter().filter(|point| point.starts_with("create: ")) {
        if ["create: frame sent", "create: lease recorded"].contains(&point) {
            // Nothing can come between there; and then it is made.
            continue;
        }
        println!("deleted at {point}");
        let mut site = Crashing::new(PATIENT);
        let halt = site.halt(point);
        site.network("0");
        let line = site.line();
        thread::scope(|scope| {
            let made = scope.spawn(|| create(&line, "web"));
            let making = halt.met();
            let shown = |key: &str| site.site.shown("web")[key].clone();
            let delete = || line.call("DeleteEndpoint", &endpoint("web")).unwrap();
            if point.starts_with("create: link") {
                // What removes it waits for whoever makes the link, and has ended the lease before.
                eventually("a lease", SOON, || same(shown("state"), &json!("BOUND")));
                let deleted = scope.spawn(delete);
                eventually("no client", SOON, || same(shown("state"), &json!("NONE")));
                drop(making);
                deleted.join().unwrap();
            } else {
                delete();
                assert_eq!(site.site.shown("web"), Value::Null);
                drop(making);
            }
            let refusal = made.join().unwrap().unwrap_err();
            assert!(refusal.contains("another call is making or removing it"), "{refusal}");
        });
        site.end();
    }
}

/// No network uses the bridge any more, and before its port is removed one does.
#[test]
fn a_network_is_made_while_the_last_one_on_its_bridge_goes() {
    let mut site = Crashing::new(PATIENT);
    let halt = site.halt("forget: port unused");
    site.network("0");
    let line = site.line();
    let links = site.site.links();
    thread::scope(|scope| {
        let deleted =
            scope.spawn(|| line.call("DeleteNetwork", &json!({ "NetworkID": id("lan") })).unwrap());
        let forgetting = halt.met();
        site.site.network("other", &[]);
        drop(forgetting);
        deleted.join().unwrap();
    });
    assert_eq!(site.site.links(), links, "the port is the same");
    // And it works: what is asked for comes back.
    let container = site.site.run("other", "web", MAC);
    eventually("a renewal", SOON, || {
        let acks = site.server.logged(Message::Ack, MAC).len();
        if acks >= 2 { Ok(()) } else { Err(acks.to_string()) }
    });
    assert!(container.ping(lab::Lan::ROUTER));
    container.stop(&site.site);
    site.site.delete_network("other");
    site.end();
}
