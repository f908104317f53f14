//! Gratuitous ARP, and holding the place of a lease that no container has.

use dhcp::v4::{Listening, State};
use std::net::Ipv4Addr;
use wire::MacAddr;
use wire::arp::{Arp, Operation};

use super::bench::*;

#[test]
fn an_announcement_goes_out_twice_two_seconds_apart() {
    let mut bench = Bench::bound();
    bench.until(5.0);
    bench.run(|client, _| client.announce());
    let (arp, to_mac) = bench.arp();
    assert_eq!((arp.sender_ip, arp.target_ip, to_mac), (ADDRESS, ADDRESS, MacAddr::BROADCAST));
    assert_eq!(arp.operation, Operation::Request);
    bench.until(6.999);
    bench.silent();
    bench.until(7.0);
    assert_eq!(bench.arp().0, arp);
    bench.until(60.0);
    bench.silent();
    assert_eq!(bench.client.listening(), Listening::default());
}

#[test]
fn what_is_not_leased_is_not_announced() {
    let mut bench = Bench::new();
    bench.run(|client, _| client.announce());
    bench.silent();
    assert_eq!(bench.client.poll_timeout(), None);

    // The lease ends between the two.
    let mut bench = Bench::bound();
    bench.run(|client, _| client.announce());
    bench.arp();
    bench.run(|client, now| client.release(now));
    bench.all_sent();
    bench.event();
    bench.until(10.0);
    bench.silent();
    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn a_held_lease_answers_arp_and_another_does_not() {
    let asking = MacAddr([2, 0, 0, 0, 0, 7]);
    let question = Arp::request(asking, SERVER, ADDRESS);
    let mut bench = Bench::bound();
    bench.hear(&question.emit(MacAddr::BROADCAST));
    bench.silent();

    bench.run(|client, _| client.hold(true));
    assert_eq!(
        bench.client.listening(),
        Listening { requests: Some(ADDRESS), ..Listening::default() }
    );
    bench.hear(&question.emit(MacAddr::BROADCAST));
    let (reply, to_mac) = bench.arp();
    assert_eq!(reply, question.reply_to(MAC));
    assert_eq!(to_mac, asking);
    // A probe is answered too: the address is taken.
    bench.hear(&Arp::probe(asking, ADDRESS).emit(MacAddr::BROADCAST));
    assert_eq!(bench.arp().0.operation, Operation::Reply);

    for other in [
        Arp::request(asking, SERVER, ROUTER),
        Arp::request(MAC, ADDRESS, ADDRESS),
        Arp::announcement(asking, ADDRESS),
        question.reply_to(asking),
    ] {
        bench.hear(&other.emit(MacAddr::BROADCAST));
        bench.silent();
    }

    bench.run(|client, _| client.hold(false));
    bench.hear(&question.emit(MacAddr::BROADCAST));
    bench.silent();
    assert_eq!(bench.client.listening(), Listening::default());
}

#[test]
fn nothing_is_held_before_and_after_the_lease() {
    let question = Arp::request(SERVER_MAC, SERVER, ADDRESS).emit(MacAddr::BROADCAST);
    let mut bench = Bench::new();
    bench.run(|client, _| client.hold(true));
    bench.hear(&question);
    bench.silent();
    assert_eq!(bench.client.listening().requests, None);
    bench.bind(|answer| answer);
    bench.hear(&question);
    bench.arp();
    bench.run(|client, now| client.release(now));
    bench.all_sent();
    bench.event();
    bench.hear(&question);
    bench.silent();
    bench.state(State::Stopped);
    assert_eq!(bench.client.listening().requests, None);
}

#[test]
fn the_place_of_a_changed_address_is_held() {
    let other = Ipv4Addr::new(192, 0, 2, 51);
    let mut bench = Bench::bound();
    bench.run(|client, _| client.hold(true));
    bench.next_deadline();
    let request = bench.request();
    bench.answer(ack(&request).address(other));
    bench.event();
    bench.hear(&Arp::request(SERVER_MAC, SERVER, ADDRESS).emit(MacAddr::BROADCAST));
    bench.silent();
    bench.hear(&Arp::request(SERVER_MAC, SERVER, other).emit(MacAddr::BROADCAST));
    assert_eq!(bench.arp().0.sender_ip, other);
}
