//! An address that another machine has: DHCPDECLINE and what follows. RFC 2131 §3.1 step 5, §4.4.4
//! and table 5; RFC 5227 §2.1.1.

use std::net::Ipv4Addr;

use dhcp::v4::{Config, ConflictCheck, Event, State};
use wire::MacAddr;
use wire::arp::Arp;
use wire::dhcp4::{MessageType, code};

use super::bench::*;

#[test]
fn an_address_in_use_is_declined_as_table_5_says() {
    let mut bench = Bench::with(Config {
        host_name: Some("web".into()),
        classes: classes("landfall", ""),
        broadcast: true,
        ..Config::new(MAC)
    });
    bench.run(|client, now| client.start(now));
    let request = bench.exchange();
    bench.probe(ADDRESS);
    bench.hear_arp(occupied());
    let Asked { message, .. } = bench.declined();
    assert_eq!(message.ciaddr, Ipv4Addr::UNSPECIFIED);
    assert_eq!((message.secs, message.broadcast), (0, false));
    assert_ne!(message.xid, request.message.xid);
    let codes: Vec<u8> = message.options.iter().map(|(code, _)| code).collect();
    let expected = [
        code::REQUESTED_ADDRESS,
        code::MESSAGE_TYPE,
        code::SERVER_ID,
        code::MESSAGE,
        code::CLIENT_ID,
    ];
    assert_eq!(codes, expected);
    assert_eq!(message.options.requested_address(), Some(ADDRESS));
    assert_eq!(message.options.server_id(), Some(SERVER));
    assert_eq!(message.options.client_id(), Some(&[1, 2, 0, 0, 0, 0, 0x42][..]));
    let why = message.options.message();
    assert_eq!(why.as_deref(), Some("address in use by 02:00:00:00:00:99"));
    assert_eq!(bench.client.progress().declines, 1);
    // Nobody was told of a lease, so nobody is told of its loss; the search goes on.
    let discover = bench.discover();
    assert_eq!(discover.message.options.requested_address(), None);
    bench.silent();
}

#[test]
fn a_conflict_heard_before_the_ack_is_declined_when_it_comes() {
    let mut bench = started(ConflictCheck::Fast);
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.probe(ADDRESS);
    bench.hear_arp(occupied());
    // The server does not know yet what it is about to grant.
    bench.state(State::Requesting);
    bench.silent();
    bench.until(0.1);
    bench.answer(ack(&request));
    bench.declined();
    bench.discover();
    bench.silent();
}

#[test]
fn a_conflict_heard_before_an_ack_that_is_lost_is_declined_in_place_of_another_request() {
    let mut bench = started(ConflictCheck::Fast);
    let discover = bench.discover();
    bench.answer(offer(&discover));
    bench.request();
    bench.probe(ADDRESS);
    bench.hear_arp(occupied());
    bench.next_deadline();
    assert!((0.75..=1.25).contains(&bench.seconds(bench.now)), "when the REQUEST would be due");
    let decline = bench.declined();
    assert_eq!(decline.message.options.server_id(), Some(SERVER));
    bench.discover();
    bench.silent();
}

#[test]
fn after_a_conflict_another_address_is_taken_at_once_by_who_waits_for_it() {
    let mut bench = started(ConflictCheck::Fast);
    bench.exchange();
    bench.probe(ADDRESS);
    bench.hear_arp(occupied());
    bench.declined();
    let discover = bench.discover();
    bench.answer(offer(&discover).address(OTHER_ADDRESS));
    let request = bench.request();
    bench.probe(OTHER_ADDRESS);
    bench.answer(ack(&request).address(OTHER_ADDRESS));
    bench.until(0.003);
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.client.lease().unwrap().address, OTHER_ADDRESS);
}

#[test]
fn the_address_that_was_configured_is_not_asked_for_again_when_it_is_anothers() {
    let mut bench = Bench::with(Config { requested_address: Some(ADDRESS), ..Config::new(MAC) });
    bench.run(|client, now| client.start(now));
    bench.exchange();
    bench.probe(ADDRESS);
    bench.hear_arp(occupied());
    bench.declined();
    assert_eq!(bench.discover().message.options.requested_address(), None);
}

#[test]
fn an_offer_of_what_was_just_declined_is_not_taken_for_ten_seconds() {
    let mut bench = started(ConflictCheck::Fast);
    bench.exchange();
    bench.probe(ADDRESS);
    bench.hear_arp(occupied());
    bench.declined();
    bench.until(9.0);
    let discovers = bench.all_sent();
    assert!(discovers.len() >= 4, "others may have another address: {discovers:?}");
    let What::Dhcp { message, .. } = discovers[0].what.clone() else { panic!("not DHCP") };
    let asked = Asked {
        at: discovers[0].at,
        to_mac: MacAddr::BROADCAST,
        from: Ipv4Addr::UNSPECIFIED,
        to: Ipv4Addr::BROADCAST,
        message,
    };
    bench.answer(offer(&asked));
    bench.state(State::Selecting);
    bench.silent();
    assert_eq!(bench.client.progress().ignored().declined_address, 1);
    bench.until(10.0);
    bench.answer(offer(&asked));
    bench.state(State::Requesting);
}

#[test]
fn conflicts_in_a_row_wait_one_second_then_ten_and_from_the_tenth_on_a_minute() {
    let mut bench = started(ConflictCheck::Fast);
    let mut waits = Vec::new();
    for round in 0..14u8 {
        let began = bench.now;
        if bench.client.state() == State::Init {
            assert!(!bench.client.listening().dhcp);
            bench.next_deadline();
        }
        waits.push(bench.now.saturating_since(began).as_secs_f64());
        let address = Ipv4Addr::new(192, 0, 2, 60 + round);
        let discover = bench.discover();
        bench.answer(offer(&discover).address(address));
        let request = bench.request();
        bench.probe(address);
        bench.answer(ack(&request).address(address));
        bench.hear_arp(Arp::announcement(OTHER, address));
        bench.declined();
    }
    let expected =
        [0.0, 0.0, 1.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 60.0, 60.0, 60.0, 60.0];
    for (wait, expected) in waits.iter().zip(expected) {
        let least = if expected == 1.0 { 0.75 } else { expected };
        let most = if expected == 0.0 { 0.0 } else { expected + 1.0 };
        assert!((least..=most).contains(wait), "{waits:?}");
    }
    assert_eq!(bench.client.progress().declines, 14);
    bench.silent();
}

#[test]
fn an_address_that_proves_good_ends_the_row_of_conflicts() {
    let mut bench = started(ConflictCheck::Fast);
    let lose = |bench: &mut Bench| {
        bench.exchange();
        bench.probe(ADDRESS);
        bench.hear_arp(occupied());
        bench.declined();
    };
    lose(&mut bench);
    bench.until(12.0);
    bench.all_sent();
    bench.next_deadline();
    bench.exchange();
    bench.until(bench.seconds(bench.now) + 10.0);
    assert_eq!(bench.event(), Event::Bound);
    bench.all_sent();
    // Ten more: the row begins anew, so it is not a minute at the tenth in all.
    for round in 1..=9 {
        bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
        bench.until(bench.seconds(bench.now) + 1.0);
        bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
        assert!(matches!(bench.event(), Event::Lost { .. }));
        let began = bench.now;
        bench.state(State::Init);
        bench.all_sent();
        bench.next_deadline();
        let waited = bench.now.saturating_since(began).as_secs_f64();
        assert!((10.0..=11.0).contains(&waited), "{round}: {waited}");
        bench.exchange();
        bench.until(bench.seconds(bench.now) + 10.0);
        assert_eq!(bench.event(), Event::Bound);
        bench.all_sent();
    }
}

#[test]
fn a_new_address_that_is_anothers_is_declined_and_the_old_one_goes_on() {
    let (mut bench, asked) = Bench::moved(ConflictCheck::Fast);
    bench.probe(OTHER_ADDRESS);
    bench.hear_arp(Arp::announcement(OTHER, OTHER_ADDRESS));
    let decline = bench.declined();
    assert_eq!(decline.message.options.requested_address(), Some(OTHER_ADDRESS));
    assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
    bench.state(State::Renewing);
    // Not at once again: after half of the time to T2, as after any renewal that failed.
    let rebind_at = bench.seconds(bench.client.lease().unwrap().rebind_at);
    bench.next_deadline();
    assert!((bench.seconds(bench.now) - (asked + rebind_at) / 2.0).abs() < 1.0);
    bench.resolve(SERVER, SERVER_MAC);
    let request = bench.request();
    assert_eq!(request.message.ciaddr, ADDRESS);
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Renewed);
    bench.silent();
}

#[test]
fn a_server_that_knows_no_other_address_is_not_stormed() {
    let mut bench = started(ConflictCheck::Fast);
    while bench.now < at(3600.0) {
        let Some(sent) = bench.try_sent() else {
            bench.next_deadline();
            continue;
        };
        let What::Dhcp { from, to, message } = sent.what else {
            bench.hear_arp(occupied());
            continue;
        };
        let kind = message.message_type();
        let asked =
            Asked { at: sent.at, to_mac: sent.to_mac, from: *from.ip(), to: *to.ip(), message };
        match kind {
            Some(MessageType::Discover) => bench.answer(offer(&asked)),
            Some(MessageType::Request) => bench.answer(ack(&asked)),
            _ => {}
        }
        assert_eq!(bench.client.lease(), None);
    }
    let progress = bench.client.progress();
    // Ten in the first two minutes, then one a minute; and it is never given up.
    assert!((55..=75).contains(&progress.declines), "{progress:?}");
    assert!(progress.probes <= progress.declines + 1);
    assert!(progress.discovers <= progress.declines + 10, "{progress:?}");
}
