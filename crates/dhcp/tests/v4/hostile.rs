//! Replies that must not be used: ignored, and counted by reason.

use std::net::{Ipv4Addr, SocketAddrV4};

use dhcp::v4::{Ignored, State};
use wire::MacAddr;
use wire::dhcp4::{Op, code, port};
use wire::frame::udp4;

use super::bench::*;

type Edit = fn(Answer) -> Answer;
type Counter = fn(&Ignored) -> u32;

/// Each as an OFFER, as an ACK to a new lease and as an ACK to a renewal.
const BAD: &[(&str, Edit, Counter)] = &[
    ("xid", |a| with(a, |m| m.xid ^= 1), |i| i.other_exchange),
    ("chaddr", |a| with(a, |m| m.chaddr = SERVER_MAC), |i| i.other_machine),
    ("op", |a| with(a, |m| m.op = Op::BootRequest), |i| i.not_a_reply),
    ("no type", |a| a.without(code::MESSAGE_TYPE), |i| i.malformed),
    ("type 0", |a| a.set(code::MESSAGE_TYPE, &[0]), |i| i.malformed),
    ("type of a client", |a| a.set(code::MESSAGE_TYPE, &[3]), |i| i.unexpected),
    ("no server", |a| a.without(code::SERVER_ID), |i| i.no_server),
    ("short server", |a| a.set(code::SERVER_ID, &[192, 0, 2]), |i| i.no_server),
    ("server 0.0.0.0", |a| a.server(Ipv4Addr::UNSPECIFIED), |i| i.no_server),
    ("server broadcast", |a| a.server(Ipv4Addr::BROADCAST), |i| i.no_server),
    ("server multicast", |a| a.server(Ipv4Addr::new(224, 0, 0, 1)), |i| i.no_server),
    ("server loopback", |a| a.server(Ipv4Addr::LOCALHOST), |i| i.no_server),
    ("client id", |a| a.set(code::CLIENT_ID, &[1, 2, 3]), |i| i.other_client_id),
    ("no lease time", |a| a.without(code::LEASE_TIME), |i| i.bad_lease_time),
    ("short lease time", |a| a.set(code::LEASE_TIME, &[1]), |i| i.bad_lease_time),
    ("lease time 0", |a| a.lease(0), |i| i.bad_lease_time),
    ("0.0.0.0", |a| a.address(Ipv4Addr::UNSPECIFIED), |i| i.bad_address),
    ("0.1.2.3", |a| a.address(Ipv4Addr::new(0, 1, 2, 3)), |i| i.bad_address),
    ("loopback", |a| a.address(Ipv4Addr::LOCALHOST), |i| i.bad_address),
    ("multicast", |a| a.address(Ipv4Addr::new(239, 1, 2, 3)), |i| i.bad_address),
    ("class E", |a| a.address(Ipv4Addr::new(240, 0, 0, 1)), |i| i.bad_address),
    ("255.255.255.255", |a| a.address(Ipv4Addr::BROADCAST), |i| i.bad_address),
    ("subnet's broadcast", |a| a.address(Ipv4Addr::new(192, 0, 2, 255)), |i| i.bad_address),
    ("subnet's own", |a| a.address(Ipv4Addr::new(192, 0, 2, 0)), |i| i.bad_address),
    ("the server's own", |a| a.address(SERVER), |i| i.bad_address),
];

fn with(mut answer: Answer, edit: impl Fn(&mut wire::dhcp4::Message)) -> Answer {
    edit(&mut answer.message);
    answer
}

#[test]
fn bad_offers_are_ignored() {
    for (what, edit, counter) in BAD {
        let mut bench = Bench::new();
        bench.run(|client, now| client.start(now));
        let discover = bench.discover();
        bench.answer(edit(offer(&discover)));
        bench.state(State::Selecting);
        bench.silent();
        assert_eq!(counter(&bench.client.progress().ignored()), 1, "{what}");
        assert_eq!(bench.client.progress().ignored().total(), 1, "{what}");
        assert_eq!(bench.client.progress().offers, 0, "{what}");
        // The good one after it is taken.
        bench.answer(offer(&discover));
        bench.state(State::Requesting);
    }
}

#[test]
fn bad_acks_are_ignored() {
    for (what, edit, counter) in BAD {
        let mut bench = Bench::new();
        bench.run(|client, now| client.start(now));
        let discover = bench.discover();
        bench.answer(offer(&discover));
        let request = bench.request();
        bench.answer(edit(ack(&request)));
        bench.state(State::Requesting);
        bench.silent();
        assert_eq!(counter(&bench.client.progress().ignored()), 1, "{what}");
        bench.answer(ack(&request));
        bench.state(State::Bound);
    }
}

#[test]
fn bad_answers_to_a_renewal_leave_the_lease_as_it_is() {
    for (what, edit, counter) in BAD {
        let mut bench = Bench::bound();
        let before = bench.client.lease().cloned();
        bench.next_deadline();
        let request = bench.request();
        bench.answer(edit(ack(&request)));
        bench.state(State::Renewing);
        bench.silent();
        assert_eq!(bench.client.lease().cloned(), before, "{what}");
        assert_eq!(counter(&bench.client.progress().ignored()), 1, "{what}");
    }
}

#[test]
fn bad_naks_take_no_lease_away() {
    let bad: [(&str, Edit, Counter); 5] = [
        ("xid", |a| with(a, |m| m.xid ^= 1), |i| i.other_exchange),
        ("chaddr", |a| with(a, |m| m.chaddr = SERVER_MAC), |i| i.other_machine),
        ("op", |a| with(a, |m| m.op = Op::BootRequest), |i| i.not_a_reply),
        ("no server", |a| a.without(code::SERVER_ID), |i| i.no_server),
        ("client id", |a| a.set(code::CLIENT_ID, &[1, 2, 3]), |i| i.other_client_id),
    ];
    for (what, edit, counter) in bad {
        let mut bench = Bench::bound();
        bench.next_deadline();
        let request = bench.request();
        bench.answer(edit(nak(&request)));
        bench.state(State::Renewing);
        assert_eq!(counter(&bench.client.progress().ignored()), 1, "{what}");
    }
}

#[test]
fn a_nak_while_selecting_refuses_nothing() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(nak(&discover));
    bench.answer(ack(&discover));
    bench.state(State::Selecting);
    assert_eq!(bench.client.progress().ignored().unexpected, 2);
    assert_eq!(bench.client.progress().naks, 0);
}

#[test]
fn cut_off_messages_are_no_messages() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    let whole = offer(&discover).message.emit();
    for len in (0..240).step_by(7) {
        let from = SocketAddrV4::new(SERVER, port::SERVER);
        let to = SocketAddrV4::new(ADDRESS, port::CLIENT);
        bench.hear(&udp4(SERVER_MAC, MAC, from, to, &whole[..len]));
    }
    bench.state(State::Selecting);
    assert_eq!(bench.client.progress().ignored().malformed, 35);
}

#[test]
fn other_ports_and_other_peoples_arp_are_not_even_counted() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    let from = SocketAddrV4::new(SERVER, port::SERVER);
    let to = SocketAddrV4::new(ADDRESS, port::SERVER);
    bench.hear(&udp4(SERVER_MAC, MAC, from, to, &offer(&discover).message.emit()));
    bench.hear(&wire::arp::Arp::announcement(SERVER_MAC, SERVER).emit(MacAddr::BROADCAST));
    bench.state(State::Selecting);
    assert_eq!(bench.client.progress().ignored(), Ignored::default());
}

#[test]
fn masks_that_mean_nothing_count_as_none() {
    for (mask, address, prefix_len) in [
        (Some([0, 0, 0, 0]), ADDRESS, 24),
        (Some([255, 0, 255, 0]), ADDRESS, 24),
        (None, ADDRESS, 24),
        (None, Ipv4Addr::new(172, 16, 3, 4), 16),
        (None, Ipv4Addr::new(10, 1, 2, 3), 8),
        (Some([255, 255, 255, 255]), ADDRESS, 32),
        (Some([255, 255, 255, 254]), Ipv4Addr::new(192, 0, 2, 51), 31),
        (Some([128, 0, 0, 0]), ADDRESS, 1),
    ] {
        let bench = Bench::bound_by(|answer| {
            let answer = answer.address(address);
            match mask {
                Some(mask) => answer.mask(mask),
                None => answer.without(code::SUBNET_MASK),
            }
        });
        assert_eq!(bench.client.lease().unwrap().prefix_len, prefix_len, "{mask:?} {address}");
        let ignored = bench.client.progress().ignored();
        // In the OFFER and in the ACK.
        let bad = if matches!(mask, Some([0, 0, 0, 0] | [255, 0, 255, 0])) { 2 } else { 0 };
        assert_eq!((ignored.bad_mask, ignored.total()), (bad, 0), "{mask:?} {address}");
    }
}

#[test]
fn every_reason_has_its_name_and_is_added_up() {
    let names: Vec<String> = serde_json::to_value(Ignored::default())
        .unwrap()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let mut shown = Ignored::default().by_reason().map(|(reason, _)| reason.to_owned()).to_vec();
    shown.sort();
    assert_eq!(shown, names);
    let before = Ignored { malformed: 1, bad_mask: u32::MAX, ..Ignored::default() };
    let after = Ignored { malformed: 4, unexpected: 2, ..before };
    let mut total = Ignored { no_server: 5, ..Ignored::default() };
    total.add(before, after);
    let expected = Ignored { malformed: 3, unexpected: 2, no_server: 5, ..Ignored::default() };
    assert_eq!(total, expected);
}

#[test]
fn a_server_may_echo_our_client_id() {
    let own: Box<[u8]> = vec![0, 9, 9, 9].into();
    let mut config = plain();
    config.client_id = Some(own.clone());
    let mut bench = Bench::with(config);
    bench.bind(|answer| answer.set(code::CLIENT_ID, &own));
    bench.next_deadline();
    let request = bench.request();
    assert_eq!(request.message.options.client_id(), Some(&*own));
    // The MAC is somebody else's identifier now.
    bench.answer(ack(&request).set(code::CLIENT_ID, &[1, 2, 0, 0, 0, 0, 0x42]));
    bench.state(State::Renewing);
}

#[test]
fn an_ack_that_comes_when_its_lease_is_over_is_none() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.until(2.0);
    bench.answer(ack(&request).lease(2));
    bench.state(State::Requesting);
    assert_eq!(bench.client.progress().ignored().bad_lease_time, 1);
}

#[test]
fn a_servers_message_is_kept_in_bounds() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(nak(&request).set(code::MESSAGE, &[b'a'; 600]));
    let nak = bench.client.progress().last_nak.clone().unwrap();
    assert_eq!(nak.message.unwrap().chars().count(), 255);
}
