//! Another machine uses the address of a lease: RFC 5227 §2.4.

use std::net::Ipv4Addr;

use dhcp::v4::{Client, Config, ConflictCheck, Defence, Event, Listening, Loss, State};
use wire::MacAddr;
use wire::arp::Arp;

use super::bench::*;

/// In BOUND with the check long over, at second 100.
fn bound(defence: Defence) -> Bench {
    let mut bench = Bench::with(Config { defence, ..Config::new(MAC) });
    bench.run(|client, now| client.start(now));
    bench.exchange();
    bench.until(100.0);
    bench.all_sent();
    assert_eq!(bench.event(), Event::Bound);
    bench
}

fn conflicting() -> Arp {
    Arp::request(OTHER, ADDRESS, ROUTER)
}

fn defended(bench: &mut Bench) {
    let (arp, to) = bench.arp();
    assert_eq!((arp, to), (Arp::announcement(MAC, ADDRESS), MacAddr::BROADCAST));
}

#[test]
fn a_conflict_is_met_with_one_announcement() {
    let mut bench = bound(Defence::Once);
    bench.hear_arp(conflicting());
    defended(&mut bench);
    bench.until(1000.0);
    bench.silent();
    bench.state(State::Bound);
    assert_eq!(bench.client.progress().conflicts, 1);
    assert_eq!(bench.client.progress().last_conflict.unwrap().holder, OTHER);
    let renew_at = bench.client.lease().unwrap().renew_at;
    assert_eq!(bench.client.poll_timeout(), Some(renew_at));
}

#[test]
fn a_second_conflict_within_ten_seconds_ends_the_use_of_the_address() {
    for seconds in [0.1, 1.0, 9.999] {
        let mut bench = bound(Defence::Once);
        let lease = bench.client.lease().unwrap().clone();
        bench.hear_arp(conflicting());
        defended(&mut bench);
        bench.until(100.0 + seconds);
        bench.hear_arp(conflicting());
        let why = Loss::Conflict { holder: OTHER };
        assert_eq!(bench.event(), Event::Lost { old: Box::new(lease), why });
        assert_eq!(bench.client.lease(), None);
        let decline = bench.declined();
        assert_eq!(decline.message.options.requested_address(), Some(ADDRESS));
        assert_eq!(decline.message.options.server_id(), Some(SERVER));
        bench.silent();
        bench.state(State::Init);
        bench.next_deadline();
        assert_eq!(bench.discover().message.options.requested_address(), None);
    }
}

#[test]
fn a_conflict_after_ten_seconds_is_a_first_one_again() {
    let mut bench = bound(Defence::Once);
    for round in 0..20 {
        bench.until(100.0 + 10.0 * f64::from(round));
        bench.hear_arp(conflicting());
        defended(&mut bench);
        bench.silent();
    }
    bench.state(State::Bound);
}

#[test]
fn copies_of_a_frame_are_one_conflict() {
    // The port and the endpoint's link may both have heard it.
    let mut bench = bound(Defence::Once);
    bench.hear_arp(conflicting());
    defended(&mut bench);
    bench.hear_arp(conflicting());
    bench.until(100.099);
    bench.hear_arp(conflicting());
    bench.silent();
    bench.state(State::Bound);
}

#[test]
fn two_that_defend_one_address_are_not_both_left_with_it() {
    // The other machine answers the announcement with its own, at once.
    let mut bench = bound(Defence::Once);
    bench.hear_arp(conflicting());
    defended(&mut bench);
    bench.until(100.000_2);
    bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
    assert!(matches!(bench.event(), Event::Lost { why: Loss::Conflict { .. }, .. }));
    bench.declined();
}

#[test]
fn defended_always_the_address_is_never_given_up_and_announced_once_in_ten_seconds() {
    let mut bench = bound(Defence::Always);
    for tenth in 0..1000 {
        bench.until(100.0 + f64::from(tenth) / 10.0);
        bench.hear_arp(conflicting());
        assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
    }
    let sent = bench.all_sent();
    assert_eq!(sent.len(), 10);
    for pair in sent.windows(2) {
        assert!(pair[1].at.saturating_since(pair[0].at).as_secs_f64() >= 10.0 - 1e-6);
    }
    bench.silent();
    bench.state(State::Bound);
}

#[test]
fn our_own_mac_and_other_addresses_need_no_defence() {
    let mut bench = bound(Defence::Once);
    for arp in [
        Arp::announcement(MAC, ADDRESS),
        Arp::request(MAC, ADDRESS, ROUTER),
        Arp::request(ROUTER_MAC, ROUTER, ADDRESS),
        Arp::request(ROUTER_MAC, ROUTER, ADDRESS).reply_to(MAC),
        Arp::probe(OTHER, ADDRESS),
        Arp::announcement(OTHER, Ipv4Addr::new(192, 0, 2, 51)),
        Arp { sender_mac: MacAddr::BROADCAST, ..conflicting() },
    ] {
        bench.hear_arp(arp);
        bench.silent();
    }
    assert_eq!(bench.client.progress().conflicts, 0);
}

#[test]
fn a_lease_is_defended_in_each_of_its_states() {
    for (share, state) in [(0.6, State::Renewing), (0.9, State::Rebinding)] {
        let mut bench = bound(Defence::Once);
        bench.until(f64::from(LEASE) * share);
        bench.all_sent();
        bench.state(state);
        bench.hear_arp(conflicting());
        defended(&mut bench);
        bench.state(state);
        bench.until(f64::from(LEASE) * share + 1.0);
        bench.all_sent();
        bench.hear_arp(conflicting());
        assert!(matches!(bench.event(), Event::Lost { why: Loss::Conflict { .. }, .. }));
        bench.declined();
    }
}

#[test]
fn a_held_address_is_defended_and_its_place_is_held() {
    let mut bench = bound(Defence::Once);
    bench.run(|client, _| client.hold(true));
    let expected =
        Listening { conflicts: Some(ADDRESS), requests: Some(ADDRESS), ..Listening::default() };
    assert_eq!(bench.client.listening(), expected);
    // An announcement asks for the address as well: it is no question.
    bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
    defended(&mut bench);
    bench.silent();
    // Other machines' probes are answered, so that they stand back.
    bench.hear_arp(Arp::probe(OTHER, ADDRESS));
    assert_eq!(bench.arp().0, Arp::probe(OTHER, ADDRESS).reply_to(MAC));
    bench.silent();
}

#[test]
fn without_a_lease_nothing_is_defended() {
    let mut bench = bound(Defence::Once);
    bench.run(|client, now| client.release(now));
    bench.all_sent();
    bench.event();
    bench.hear_arp(conflicting());
    bench.silent();
    let mut bench = Bench::of(Client::new(Config::new(MAC), 1));
    bench.hear_arp(conflicting());
    bench.silent();
    assert_eq!(bench.client.listening(), Listening::default());
}

#[test]
fn without_a_check_there_is_no_defence() {
    let mut bench = Bench::bound();
    assert_eq!(bench.client.config().conflict_check, ConflictCheck::Off);
    bench.hear_arp(conflicting());
    bench.until(1.0);
    bench.hear_arp(conflicting());
    bench.silent();
    bench.state(State::Bound);
}
