//! The wall clock is set, and the machine sleeps.
//!
//! The machine's own clocks are everybody's: `examples/clocks.rs` stands between the daemon and them.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use lab::{Lan, LanOptions};
use serde_json::{Value, json};
use wire::dhcp4::{MessageType, code};

use crate::life::open_fifo;
use crate::server::{Grant, Request, Server, nak};
use crate::site::{SOON, Site, eventually, same};

const LIBRARY: &str = "/usr/local/lib/libclocks.so";
const FIFO: &str = "/run/clocks";
/// In seconds.
const YEAR: i64 = 365 * 86_400;

const SHORT: &str = "02:00:00:00:00:01";
const LONG: &str = "02:00:00:00:00:02";
const HELD: &str = "02:00:00:00:00:03";

/// A site whose daemon has clocks of its own, and a network that holds leases for an hour.
fn site() -> Site {
    let binary = Path::new(env!("CARGO_BIN_EXE_landfall"));
    let library = binary.with_file_name("examples").join("libclocks.so");
    let mut site = Site::with(Lan::new(LanOptions::default()).unwrap(), binary, &[]);
    // Cargo builds it beside the tests, unless it is told which of them to build.
    assert!(library.exists(), "{} is missing: `cargo build --examples`", library.display());
    site.machine().copy_in(&library, LIBRARY).unwrap();
    site.machine().ok(&["mkfifo", FIFO]).unwrap();
    let (preload, clocks) = (format!("LD_PRELOAD={LIBRARY}"), format!("LAB_CLOCKS={FIFO}"));
    site.landfall.set_env(&["LOG_LEVEL=debug", &preload, &clocks]);
    site.landfall.restart().unwrap();
    site.network("lan", &[("release_delay", "1h")]);
    site
}

/// Sets the wall clock forward, and has the machine sleep, both in seconds.
fn jump(site: &Site, wall: i64, slept: i64) {
    let line = format!("{wall} {slept}\n");
    let mark = site.landfall.log().mark();
    open_fifo(&site.machine().path(FIFO)).write_all(line.as_bytes()).unwrap();
    let said = |seen: &str| seen.contains("clocks: ");
    site.landfall.log().wait_after(mark, "the clocks set", said, SOON).unwrap();
}

/// The last byte of the MAC is that of the address; one lease is renewed all the time, the others last an hour.
fn by_mac(request: &Request) -> Grant {
    let mac = request.message.chaddr;
    let grant = Grant::new([10, 77, 1, mac.0[5]]);
    if mac.to_string() == SHORT { grant.times(2, 60, 120) } else { grant }
}

fn server(site: &Site) -> Server {
    Server::start(site.lan.router_ns(), "eth0", |request| by_mac(request).answer(request))
}

fn of(request: &Request, mac: &str) -> bool {
    request.message.chaddr.to_string() == mac
}

/// DHCPREQUEST in INIT-REBOOT (RFC 2131 §4.3.2): the address in option 50, no server, no `ciaddr`.
fn asks_whether_it_is_still_right(request: &Request) -> bool {
    let options = &request.message.options;
    request.kind == MessageType::Request
        && options.get(code::REQUESTED_ADDRESS).is_some()
        && options.get(code::SERVER_ID).is_none()
        && request.message.ciaddr.is_unspecified()
}

/// When a lease ends or is held until, as people are shown it.
fn due(site: &Site, name: &str, what: &str) -> Timestamp {
    site.shown(name)[what].as_str().unwrap().parse().unwrap()
}

/// So many seconds, give or take what a test takes.
fn about(later: Timestamp, earlier: Timestamp, seconds: i64) -> bool {
    ((later - earlier).get_seconds() - seconds).abs() <= 30
}

#[test]
fn the_wall_clock_is_set_a_year_forward_and_two_back() {
    let site = site();
    let server = server(&site);
    let long = site.run("lan", "long", LONG);
    site.run("lan", "held", HELD).stop(&site);
    let short = site.run("lan", "short", SHORT);
    for wall in [YEAR, -2 * YEAR] {
        let before = [due(&site, "long", "expires_at"), due(&site, "held", "held_until")];
        let mark = server.mark();
        jump(&site, wall, 0);
        // It goes on at its pace, and nobody else has anything to say.
        let renewals = eventually("two renewals", SOON, || {
            let said = server.requests().split_off(mark);
            if said.len() >= 2 { Ok(said) } else { Err(format!("{said:?}")) }
        });
        for renewal in &renewals {
            let message = &renewal.message;
            assert_eq!((renewal.kind, message.ciaddr), (MessageType::Request, short.ip()));
        }
        let between = renewals[1].at - renewals[0].at;
        assert!((1500..5000).contains(&between.as_millis()), "{between:?}");
        assert!((3500..=3600).contains(&long.lifetime()), "{}", long.lifetime());
        assert_eq!(long.cidrs(), [long.endpoint.address.as_str()]);
        // What people are shown follows the clock that they have.
        let after = [due(&site, "long", "expires_at"), due(&site, "held", "held_until")];
        for (after, before) in after.into_iter().zip(before) {
            assert!(about(after, before, wall), "{before}, then {after}");
        }
    }
    assert_eq!(site.leases("expired"), 0);
    assert_eq!(server.count(MessageType::Discover), 3);
    assert_eq!(server.count(MessageType::Release), 0);
}

#[test]
fn a_machine_that_has_slept_asks_whether_its_leases_are_right() {
    const NAP: i64 = 600;
    let site = site();
    let server = server(&site);
    let container = site.run("lan", "long", LONG);
    site.run("lan", "held", HELD).stop(&site);
    let before = due(&site, "long", "expires_at");
    let mark = server.mark();
    jump(&site, 0, NAP);
    for mac in [LONG, HELD] {
        let said = server.wait_after(mark, "a word", SOON, |request| of(request, mac));
        assert!(asks_whether_it_is_still_right(&said), "{said:?}");
    }
    // From the waking on, and not from the falling asleep.
    eventually("the lease prolonged", SOON, || {
        let now = due(&site, "long", "expires_at");
        if about(now, before, NAP) { Ok(()) } else { Err(format!("{before}, then {now}")) }
    });
    assert_eq!(container.cidrs(), [container.endpoint.address.as_str()]);
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(site.leases("changed"), 0);
    assert_eq!(server.requests().len(), mark + 2);
}

#[test]
fn a_machine_that_wakes_in_another_network() {
    let site = site();
    let server = server(&site);
    let container = site.run("lan", "long", LONG);
    server.behave(|request| match asks_whether_it_is_still_right(request) {
        true => vec![nak(request, Lan::ROUTER, "wrong network")],
        false => Grant::new([10, 77, 2, 9]).answer(request),
    });
    jump(&site, 0, 600);
    eventually("the new address", SOON, || same(container.cidrs(), &vec!["10.77.2.9/16".into()]));
    eventually("the route", SOON, || {
        same(container.routes(), &vec!["default via 10.77.0.1 dev eth0".to_owned()])
    });
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(site.shown("long")["docker_shows"], json!(container.endpoint.address));
}

#[test]
fn a_lease_ends_while_the_machine_sleeps() {
    let site = site();
    let server = server(&site);
    let container = site.run("lan", "long", LONG);
    server.grant(Grant::new([10, 77, 2, 9]));
    let mark = server.mark();
    // A server's clock has not stopped meanwhile.
    jump(&site, 0, 7200);
    eventually("the new address", SOON, || same(container.cidrs(), &vec!["10.77.2.9/16".into()]));
    assert_eq!(server.requests()[mark].kind, MessageType::Discover, "its own is over");
    site.landfall.log().wait_for("lease expired", SOON).unwrap();
    assert!(container.ping(Lan::ROUTER));
    assert_ne!(site.shown("long")["expires_at"], Value::Null);
}
