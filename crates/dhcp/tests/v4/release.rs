//! Giving a lease back: RFC 2131 §4.4.6.

use dhcp::v4::{Event, State};
use wire::MacAddr;
use wire::dhcp4::MessageType;

use super::bench::*;

#[test]
fn a_release_goes_out_at_once_and_the_client_stops() {
    let mut bench = Bench::bound();
    bench.until(7.0);
    bench.run(|client, now| client.release(now));
    let release = bench.asked(MessageType::Release);
    assert_eq!(release.at, at(7.0));
    assert_eq!(bench.event(), Event::Released);
    bench.state(State::Stopped);
    assert_eq!(bench.client.lease(), None);
    assert_eq!(bench.client.poll_timeout(), None);
    bench.run(|client, now| client.release(now));
    bench.silent();
}

#[test]
fn each_state_of_a_lease_can_be_released() {
    for share in [0.6, 0.9] {
        let mut bench = Bench::bound();
        bench.until(f64::from(LEASE) * share);
        bench.all_sent();
        bench.run(|client, now| client.release(now));
        assert_eq!(bench.asked(MessageType::Release).to, SERVER);
        assert_eq!(bench.event(), Event::Released);
    }
}

#[test]
fn nothing_answers_arp_so_all_get_the_frame_and_the_server_the_packet() {
    let elsewhere = ROUTER;
    let mut bench = Bench::bound_by(|answer| answer.from(ROUTER_MAC, elsewhere));
    bench.run(|client, now| client.release(now));
    for second in 0..3 {
        bench.until(f64::from(second));
        let (arp, _) = bench.arp();
        assert_eq!((arp.sender_ip, arp.target_ip), (ADDRESS, SERVER));
        bench.silent();
    }
    // Not again while it is under way.
    bench.run(|client, now| client.release(now));
    bench.silent();
    bench.until(3.0);
    let release = bench.asked(MessageType::Release);
    assert_eq!((release.from, release.to, release.to_mac), (ADDRESS, SERVER, MacAddr::BROADCAST));
    assert_eq!(bench.event(), Event::Released);
    bench.silent();
    bench.state(State::Stopped);
}

#[test]
fn a_request_under_way_is_given_back() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.run(|client, now| client.release(now));
    let release = bench.asked(MessageType::Release);
    assert_eq!((release.from, release.message.ciaddr), (ADDRESS, ADDRESS));
    assert_eq!((release.to, release.to_mac), (SERVER, SERVER_MAC));
    assert_eq!(bench.event(), Event::Released);
    // The ACK that was under way comes too late for anything.
    bench.answer(ack(&request));
    bench.silent();
    bench.state(State::Stopped);
}

#[test]
fn without_a_lease_there_is_nothing_to_send() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.release(now));
    bench.silent();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.event(), Event::Released);
    bench.answer(offer(&discover));
    bench.silent();
}

#[test]
fn a_lease_that_is_over_is_not_given_back() {
    let mut bench = Bench::bound();
    bench.now = at(f64::from(LEASE));
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.event(), Event::Released);
    bench.silent();
}

#[test]
fn a_released_client_can_start_again() {
    let mut bench = Bench::bound();
    bench.run(|client, now| client.release(now));
    bench.all_sent();
    bench.event();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    assert_eq!(discover.message.options.requested_address(), Some(ADDRESS));
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
}
