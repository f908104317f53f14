//! An address that must be the one: nothing else is asked for, and nothing else kept.

use dhcp::v4::{Client, Config, Event, Offered, State};
use wire::dhcp4::MessageType;

use super::bench::*;

/// A client that takes [`ADDRESS`] only.
fn demanding() -> Bench {
    let mut bench = Bench::with(Config { requested_address: Some(ADDRESS), ..plain() });
    bench.client.demand();
    bench.run(|client, now| client.start(now));
    bench
}

fn offered(bench: &Bench) -> Option<Offered> {
    bench.client.progress().last_offer
}

#[test]
fn another_offer_is_noted_and_not_asked_for() {
    let mut bench = demanding();
    let discover = bench.discover();
    assert_eq!(discover.message.options.requested_address(), Some(ADDRESS));
    bench.answer(offer(&discover).address(OTHER_ADDRESS));
    bench.silent();
    bench.state(State::Selecting);
    assert_eq!(
        offered(&bench),
        Some(Offered { server: SERVER, address: OTHER_ADDRESS, prefix_len: 24 })
    );
    assert_eq!(bench.client.progress().offers, 1);

    // Another server has it, or the same one later on.
    bench.answer(offer(&discover));
    let request = bench.request();
    assert_eq!(request.message.options.requested_address(), Some(ADDRESS));
    assert_eq!(offered(&bench), Some(Offered { server: SERVER, address: ADDRESS, prefix_len: 24 }));
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
}

#[test]
fn one_that_is_granted_all_the_same_is_given_back() {
    let mut bench = demanding();
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(ack(&request).address(OTHER_ADDRESS));
    let release = bench.asked(MessageType::Release);
    assert_eq!((release.message.ciaddr, release.to), (OTHER_ADDRESS, SERVER));
    assert_eq!(
        offered(&bench),
        Some(Offered { server: SERVER, address: OTHER_ADDRESS, prefix_len: 24 })
    );
    assert_eq!(bench.client.lease(), None);
    // And it is asked for again.
    assert_eq!(bench.discover().message.options.requested_address(), Some(ADDRESS));
}

#[test]
fn after_the_first_lease_any_other_will_do() {
    let mut bench = demanding();
    bench.bind(|answer| answer);
    bench.next_deadline();
    let renewal = bench.request();
    bench.answer(nak(&renewal));
    assert!(matches!(bench.event(), Event::Lost { .. }));
    let discover = bench.discover();
    bench.answer(offer(&discover).address(OTHER_ADDRESS));
    let request = bench.request();
    bench.answer(ack(&request).address(OTHER_ADDRESS));
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.client.lease().unwrap().address, OTHER_ADDRESS);
}

#[test]
fn a_grant_of_another_after_a_boot_is_given_back_too() {
    let config = Config { requested_address: Some(ADDRESS), ..plain() };
    let mut client = Client::reboot(config, ADDRESS, 1, at(0.0));
    client.demand();
    let mut bench = Bench::of(client);
    let request = bench.request();
    bench.answer(ack(&request).address(OTHER_ADDRESS));
    assert_eq!(bench.asked(MessageType::Release).message.ciaddr, OTHER_ADDRESS);
    bench.discover();
}

#[test]
fn a_wish_is_told_and_not_insisted_on() {
    let mut bench = Bench::new();
    bench.client.wish(ADDRESS);
    bench.client.demand();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    assert_eq!(discover.message.options.requested_address(), Some(ADDRESS));
    bench.answer(offer(&discover).address(OTHER_ADDRESS));
    let request = bench.request();
    bench.answer(ack(&request).address(OTHER_ADDRESS));
    assert_eq!(bench.client.lease().unwrap().address, OTHER_ADDRESS);
    // What its configuration says comes first.
    let mut bench = Bench::with(Config { requested_address: Some(OTHER_ADDRESS), ..plain() });
    bench.client.wish(ADDRESS);
    bench.run(|client, now| client.start(now));
    assert_eq!(bench.discover().message.options.requested_address(), Some(OTHER_ADDRESS));
}
