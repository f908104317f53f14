//! Addresses that the endpoint made itself: RFC 9686.

use std::net::Ipv6Addr;

use dhcp::Instant;
use dhcp::v6::{Client, Event};
use wire::dhcp6::{Builder, INFINITY, IaAddress, MessageType, code};

use super::bench::*;

/// An address that the endpoint made itself.
const OWN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0x42, 0, 0, 1);

/// A client that was informed; whether the server wants to know of addresses.
fn informed(wants: bool) -> Bench {
    let mut bench = Bench::new();
    bench.run(|client, now| client.inform(now));
    let asked = bench.asked(MessageType::InformationRequest);
    let mut answer = Answer::to(&asked, MessageType::Reply);
    if wants {
        answer = answer.set(code::ADDR_REG_ENABLE, &[]);
    }
    bench.answer(answer);
    assert_eq!(bench.event(), Event::Informed);
    assert_eq!(bench.client.registers(), wants);
    assert_eq!(bench.client.information().unwrap().registers, wants);
    bench
}

fn register(bench: &mut Bench, preferred: f64, valid: f64) {
    bench.run(|client, now| client.register(OWN, at(preferred), at(valid), now));
}

/// The address and its lifetimes in a message.
fn told(sent: &Sent) -> (Ipv6Addr, u32, u32) {
    let message = sent.message();
    assert_eq!(message.kind, MessageType::AddrRegInform);
    let codes: Vec<_> = message.options.iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [code::CLIENT_ID, code::IA_ADDRESS], "no server, no option request");
    let address = message.options.addresses().next().unwrap();
    assert_eq!(sent.source, Some(address.address), "it comes from the address itself");
    (address.address, address.preferred, address.valid)
}

fn noted(sent: &Sent, address: Ipv6Addr) -> Vec<u8> {
    Builder::new(MessageType::AddrRegReply, sent.message().xid)
        .option(code::SERVER_ID, &server())
        .option(code::IA_ADDRESS, &IaAddress::header(address, 1, 2))
        .finish()
}

#[test]
fn an_address_is_told_to_a_server_that_wants_to_know() {
    let mut bench = informed(true);
    register(&mut bench, 100.0, 200.0);
    let sent = bench.sent();
    assert_eq!(told(&sent), (OWN, 100, 200));
    assert!(bench.client.listening());
    bench.hear(&noted(&sent, OWN));
    assert_eq!(bench.event(), Event::Registered { address: OWN });
    assert!(!bench.client.listening());
    bench.until(199.0);
    bench.silent();
}

#[test]
fn nobody_is_told_who_does_not_want_to_know() {
    let mut bench = informed(false);
    register(&mut bench, 100.0, 200.0);
    bench.until(300.0);
    bench.silent();
    assert!(!bench.client.listening());
}

#[test]
fn what_is_there_already_is_told_as_soon_as_a_server_wants_to_know() {
    let mut bench = Bench::new();
    register(&mut bench, 1000.0, 2000.0);
    bench.run(|client, now| client.start(now));
    let solicit = bench.asked(MessageType::Solicit);
    assert!(solicit.message().options.option_request().any(|code| code == code::ADDR_REG_ENABLE));
    bench.answer(advertise(&solicit).set(code::ADDR_REG_ENABLE, &[]));
    let sent = bench.all_sent();
    assert!(sent.iter().any(|sent| sent.message().kind == MessageType::AddrRegInform));
    assert!(sent.iter().any(|sent| sent.message().kind == MessageType::Request));
}

#[test]
fn it_is_told_three_times_with_the_lifetimes_of_the_moment() {
    let mut bench = informed(true);
    register(&mut bench, 100.0, 200.0);
    bench.until(20.0);
    let sent = bench.all_sent();
    assert_eq!(sent.len(), 3);
    for (sent, expected) in sent.iter().zip([0.0, 1.0, 3.0]) {
        let time = bench.seconds(sent.at);
        assert!((time - expected).abs() <= expected / 5.0, "{time}");
        assert_eq!(told(sent), (OWN, (100.0 - time) as u32, (200.0 - time) as u32));
    }
    assert_eq!(sent[0].message().xid, sent[2].message().xid);
    assert!(!bench.client.listening());
}

#[test]
fn in_its_last_second_an_address_is_not_told_any_more() {
    let mut bench = informed(true);
    register(&mut bench, 0.5, 0.9);
    bench.until(2.0);
    bench.silent();
    bench.run(|client, now| client.register(OWN, at(3.5), at(3.5), now));
    assert_eq!(told(&bench.sent()), (OWN, 1, 1));
    bench.until(20.0);
    bench.silent();
}

#[test]
fn it_is_told_anew_when_its_end_has_moved() {
    let mut bench = informed(true);
    register(&mut bench, 1000.0, 2000.0);
    let first = bench.sent();
    bench.hear(&noted(&first, OWN));
    bench.event();
    // A router says the same again, or nearly.
    bench.until(100.0);
    register(&mut bench, 1000.0, 2010.0);
    bench.until(500.0);
    bench.silent();
    // And then it prolongs the address.
    register(&mut bench, 1500.0, 2500.0);
    bench.until(1999.0);
    let again = bench.sent();
    // 80 % of 2000 s, and the multiplier.
    assert!((0.72 * 2000.0..=0.88 * 2000.0).contains(&bench.seconds(again.at)), "{:?}", again.at);
    assert_ne!(again.message().xid, first.message().xid);
    assert_eq!(told(&again).2, (2500.0 - bench.seconds(again.at)) as u32);
}

#[test]
fn an_end_that_has_hardly_moved_is_not_told_but_many_small_moves_are() {
    let told = |step: f64| {
        let mut bench = informed(true);
        register(&mut bench, 1000.0, 10_000.0);
        let first = bench.sent();
        bench.hear(&noted(&first, OWN));
        bench.event();
        for round in 1..=9 {
            let round = f64::from(round);
            bench.until(round * 1000.0);
            register(&mut bench, 1000.0, 10_000.0 + round * step);
        }
        bench.until(9990.0);
        bench.all_sent().len()
    };
    assert_eq!(told(0.5), 0);
    assert!(told(40.0) > 0);
}

#[test]
fn an_address_that_lives_for_ever_is_told_so() {
    let mut bench = informed(true);
    bench.run(|client, now| client.register(OWN, Instant::NEVER, Instant::NEVER, now));
    assert_eq!(told(&bench.sent()), (OWN, INFINITY, INFINITY));
}

#[test]
fn an_address_that_is_given_up_is_told_with_lifetimes_of_zero() {
    let mut bench = informed(true);
    register(&mut bench, 100.0, 200.0);
    let first = bench.sent();
    bench.hear(&noted(&first, OWN));
    bench.event();
    bench.until(50.0);
    bench.run(|client, now| client.unregister(OWN, now));
    let last = bench.sent();
    assert_eq!(told(&last), (OWN, 0, 0));
    bench.hear(&noted(&last, OWN));
    bench.silent();
    bench.until(300.0);
    bench.silent();
}

#[test]
fn after_a_restart_addresses_are_told_within_ten_seconds_at_a_random_moment() {
    let moment = |seed| {
        let mut bench = Bench::of(Client::new(plain(), seed));
        bench.run(|client, now| client.resume_registering(now));
        assert!(bench.client.registers());
        register(&mut bench, 100.0, 200.0);
        bench.silent();
        bench.until(10.0);
        let told = bench.all_sent();
        bench.seconds(told[0].at)
    };
    let (one, other) = (moment(1), moment(2));
    assert!(one > 0.0 && other > 0.0 && (one - other).abs() > 0.1, "{one} {other}");
}

#[test]
fn replies_to_something_else_are_ignored() {
    let mut bench = informed(true);
    register(&mut bench, 100.0, 200.0);
    let sent = bench.sent();
    bench.hear(&noted(&sent, OTHER_ADDRESS));
    let mut other = noted(&sent, OWN);
    other[3] ^= 1;
    bench.hear(&other);
    bench.hear(&Builder::new(MessageType::AddrRegReply, sent.message().xid).finish());
    bench.hear(&sent.payload);
    bench.silent();
    let ignored = bench.client.progress().ignored;
    assert_eq!((ignored.bad_address, ignored.other_exchange, ignored.not_a_reply), (2, 1, 1));
    bench.hear(&noted(&sent, OWN));
    assert_eq!(bench.event(), Event::Registered { address: OWN });
}

#[test]
fn addresses_of_the_lease_and_of_the_link_are_not_told() {
    let mut bench = Bench::bound_by(|answer| answer.set(code::ADDR_REG_ENABLE, &[]));
    assert!(bench.client.registers());
    for address in [ADDRESS, SOURCE, Ipv6Addr::LOCALHOST, "ff02::1".parse().unwrap()] {
        bench.run(|client, now| client.register(address, at(50.0), at(100.0), now));
    }
    register(&mut bench, -10.0, -1.0);
    bench.silent();
    register(&mut bench, 50.0, 100.0);
    bench.sent();
}

#[test]
fn another_link_is_asked_anew_whether_it_wants_to_know() {
    let mut bench = Bench::bound_by(|answer| answer.set(code::ADDR_REG_ENABLE, &[]));
    register(&mut bench, 5000.0, 6000.0);
    bench.sent();
    bench.run(|client, now| client.confirm(now, now));
    assert!(!bench.client.registers());
    bench.until(12.0);
    assert!(bench.all_sent().iter().all(|sent| sent.message().kind == MessageType::Confirm));
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew).set(code::ADDR_REG_ENABLE, &[]));
    // Nothing is told of what the caller has not named again: it may be being checked.
    assert!(bench.client.registers());
    assert_eq!(bench.event(), Event::Renewed);
    bench.silent();
    register(&mut bench, 5000.0, 6000.0);
    assert_eq!(told(&bench.sent()).0, OWN);
}

#[test]
fn sixteen_addresses_are_enough() {
    let mut bench = informed(true);
    for number in 0..40u16 {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 1, 0, 0, number);
        bench.run(|client, now| client.register(address, at(50.0), at(100.0), now));
    }
    assert_eq!(bench.all_sent().len(), 16);
    bench.until(99.0);
    assert_eq!(bench.all_sent().len(), 32);
    // Those that are over make room.
    bench.now = at(101.0);
    bench.run(Client::handle_timeout);
    register(&mut bench, 150.0, 200.0);
    bench.sent();
}
