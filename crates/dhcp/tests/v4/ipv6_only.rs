//! Doing without IPv4 (RFC 8925).

use std::net::Ipv4Addr;

use dhcp::v4::{Client, Config, Event, Listening, State};
use wire::dhcp4::{MessageType, code};

use super::bench::*;

const HALF_AN_HOUR: u32 = 1800;

fn willing() -> Config {
    Config { ipv6_only: true, ..plain() }
}

/// The answer with option 108.
fn preferring(answer: Answer, seconds: u32) -> Answer {
    answer.set(code::IPV6_ONLY_PREFERRED, &seconds.to_be_bytes())
}

fn asks_for_it(asked: &Asked) -> bool {
    asked.message.options.parameter_request_list().contains(&code::IPV6_ONLY_PREFERRED)
}

/// A client that was offered an address and the option, at second 0.
fn waiting(seconds: u32) -> Bench {
    let mut bench = Bench::with(willing());
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(preferring(offer(&discover), seconds));
    assert_eq!(bench.event(), Event::Ipv6Only);
    bench.silent();
    bench
}

#[test]
fn an_offer_with_the_option_is_not_taken() {
    let mut bench = Bench::with(willing());
    bench.run(|client, now| client.start_asking(now));
    let discover = bench.discover();
    assert!(asks_for_it(&discover));
    bench.answer(preferring(offer(&discover), HALF_AN_HOUR));
    assert_eq!(bench.event(), Event::Ipv6Only);
    bench.state(State::V6OnlyWait);
    assert_eq!((bench.client.lease(), bench.client.listening()), (None, Listening::default()));
    // What may be taken from now on is not what was offered then.
    bench.run(|client, now| client.request(now));
    bench.answer(offer(&discover));
    bench.until(f64::from(HALF_AN_HOUR) - 0.1);
    bench.silent();
    // V6ONLY_WAIT is over: asked again, and whoever is offered IPv4 alone takes it.
    bench.until(f64::from(HALF_AN_HOUR));
    let discover = bench.discover();
    assert!(asks_for_it(&discover));
    bench.answer(offer(&discover));
    let request = bench.request();
    assert!(asks_for_it(&request));
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
}

/// As servers send it that keep no address for those who would do without (RFC 8925 §3.3).
#[test]
fn an_offer_of_no_address_is_enough() {
    let nothing = |asked: &Asked| {
        let offer = preferring(Answer::to(asked, MessageType::Offer), HALF_AN_HOUR);
        offer.address(Ipv4Addr::UNSPECIFIED)
    };
    let mut bench = Bench::with(willing());
    bench.run(|client, now| client.start_asking(now));
    let discover = bench.discover();
    bench.answer(nothing(&discover));
    assert_eq!(bench.event(), Event::Ipv6Only);
    bench.state(State::V6OnlyWait);
    assert_eq!(bench.seconds(bench.client.poll_timeout().unwrap()), f64::from(HALF_AN_HOUR));
    assert_eq!(bench.client.progress().offers, 1);

    // To whoever has not asked for it, it is no offer; nor is what has no address and no option.
    let mut other = Bench::with(plain());
    other.run(|client, now| client.start(now));
    let discover = other.discover();
    other.answer(nothing(&discover));
    other.answer(nothing(&discover).without(code::IPV6_ONLY_PREFERRED));
    other.state(State::Selecting);
    assert_eq!(
        (other.client.progress().offers, other.client.progress().ignored().bad_address),
        (0, 2)
    );
    other.answer(offer(&discover));
    let request = other.request();
    other.answer(ack(&request));
    assert_eq!(other.event(), Event::Bound);
}

#[test]
fn it_waits_for_five_minutes_at_least() {
    for (says, waits) in [(0, 300), (299, 300), (301, 301), (u32::MAX, u32::MAX)] {
        let bench = waiting(says);
        let until = bench.client.poll_timeout().unwrap();
        assert_eq!(bench.seconds(until), f64::from(waits), "{says}");
    }
}

#[test]
fn without_the_option_or_with_a_broken_one_there_is_ipv4() {
    for broken in [None, Some(&[][..]), Some(&[0, 0, 7]), Some(&[0, 0, 0, 7, 8])] {
        let mut bench = Bench::with(willing());
        bench.run(|client, now| client.start(now));
        let mut offered = offer(&bench.discover());
        if let Some(data) = broken {
            offered = offered.set(code::IPV6_ONLY_PREFERRED, data);
        }
        bench.answer(offered);
        let request = bench.request();
        bench.answer(ack(&request));
        assert_eq!(bench.event(), Event::Bound, "{broken:?}");
    }
}

#[test]
fn an_address_can_be_insisted_on() {
    let mut bench = waiting(HALF_AN_HOUR);
    bench.until(0.5);
    bench.run(|client, now| client.insist(now));
    let discover = bench.discover();
    assert_eq!(discover.at, at(0.5));
    assert!(!asks_for_it(&discover));
    // A server that says it all the same is not heeded.
    bench.answer(preferring(offer(&discover), HALF_AN_HOUR));
    let request = bench.request();
    bench.answer(preferring(ack(&request), HALF_AN_HOUR));
    assert_eq!(bench.event(), Event::Bound);
    // It is no configuration.
    assert_eq!(bench.client.lease().unwrap().options.ipv6_only_preferred(), None);

    let mut bound = Bench::bound();
    bound.run(|client, now| client.insist(now));
    bound.silent();
    bound.state(State::Bound);
}

/// An ACK that has the option where the OFFER had not: the server has the address back.
#[test]
fn what_was_granted_with_the_option_is_given_back() {
    let mut bench = Bench::with(willing());
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(preferring(ack(&request), HALF_AN_HOUR));
    given_back(&mut bench);
}

#[test]
fn after_a_boot_an_address_that_is_still_right_is_given_back() {
    let mut bench = Bench::of(Client::reboot(willing(), ADDRESS, 1, at(0.0)));
    let request = bench.request();
    assert!(asks_for_it(&request));
    bench.answer(preferring(ack(&request), HALF_AN_HOUR));
    given_back(&mut bench);
}

fn given_back(bench: &mut Bench) {
    let release = bench.asked(MessageType::Release);
    assert_eq!((release.to_mac, release.to), (SERVER_MAC, SERVER));
    assert_eq!((release.from, release.message.ciaddr), (ADDRESS, ADDRESS));
    assert_eq!(bench.event(), Event::Ipv6Only);
    bench.state(State::V6OnlyWait);
    bench.until(f64::from(HALF_AN_HOUR) - 0.1);
    bench.silent();
}

#[test]
fn a_lease_in_use_goes_on() {
    let mut bench = Bench::with(willing());
    bench.bind(|answer| answer);
    for _ in 0..3 {
        bench.next_deadline();
        let request = bench.request();
        assert!(asks_for_it(&request));
        bench.answer(preferring(ack(&request), HALF_AN_HOUR));
        assert_eq!(bench.event(), Event::Renewed);
    }
    // Asked whether it is still right, too: a container uses it.
    bench.run(|client, now| client.confirm(now, now));
    let request = bench.request();
    bench.answer(preferring(ack(&request), HALF_AN_HOUR));
    assert_eq!(bench.event(), Event::Renewed);
}

#[test]
fn another_network_is_asked_anew() {
    let mut bench = waiting(HALF_AN_HOUR);
    bench.until(60.0);
    bench.run(|client, now| client.confirm(now, now));
    assert_eq!(bench.discover().at, at(60.0));
}

#[test]
fn whoever_waits_has_nothing_to_give_back() {
    let mut bench = waiting(HALF_AN_HOUR);
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.event(), Event::Released);
    bench.silent();
    assert_eq!(bench.client.poll_timeout(), None);
    assert_eq!(bench.client.progress().last_offer, None);
}
