//! INIT-REBOOT: RFC 2131 §3.2, §4.3.2, §4.4.2.

use std::net::Ipv4Addr;

use dhcp::v4::{Client, Event, State};
use wire::MacAddr;
use wire::dhcp4::code;

use super::bench::*;

fn rebooted() -> Bench {
    Bench::of(Client::reboot(plain(), ADDRESS, 1, at(0.0)))
}

#[test]
fn the_address_is_asked_for_by_broadcast_without_a_server() {
    let mut bench = rebooted();
    bench.state(State::Rebooting);
    let request = bench.request();
    assert_eq!(request.to_mac, MacAddr::BROADCAST);
    assert_eq!((request.from, request.to), (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
    assert_eq!(request.message.ciaddr, Ipv4Addr::UNSPECIFIED);
    assert_eq!(request.message.options.requested_address(), Some(ADDRESS));
    assert_eq!(request.message.options.get(code::SERVER_ID), None);
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
    bench.state(State::Bound);
}

#[test]
fn a_nak_leads_to_init_without_the_address() {
    let mut bench = rebooted();
    let request = bench.request();
    bench.answer(nak(&request));
    bench.state(State::Selecting);
    assert_eq!(bench.discover().message.options.requested_address(), None);
    bench.silent();
}

#[test]
fn silence_leads_to_init_with_the_address_as_a_wish_in_a_few_seconds() {
    let mut bench = rebooted();
    let first = bench.request();
    bench.until(1.5);
    assert_eq!(bench.request().message.xid, first.message.xid);
    bench.next_deadline();
    assert!(bench.seconds(bench.now) < 4.0);
    bench.state(State::Selecting);
    let discover = bench.discover();
    assert_eq!(discover.message.options.requested_address(), Some(ADDRESS));
    assert_ne!(discover.message.xid, first.message.xid);
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
}

#[test]
fn nothing_is_given_back_that_was_not_granted() {
    let mut bench = rebooted();
    bench.request();
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.event(), Event::Released);
    bench.silent();
    bench.state(State::Stopped);
}
