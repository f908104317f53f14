//! What must not be believed: RFC 8415 §16, §18.2.10, §18.4.

use std::net::Ipv6Addr;

use dhcp::v6::{Ignored, State};
use wire::dhcp6::{Builder, Duid, Ia, MessageType, StatusCode, code};

use super::bench::*;

/// A client that waits for the Reply to its Request.
fn requesting() -> (Bench, Sent) {
    let mut bench = Bench::started(plain());
    let solicit = bench.asked(MessageType::Solicit);
    bench.answer(advertise(&solicit));
    let request = bench.asked(MessageType::Request);
    (bench, request)
}

/// What is done to an answer, and where it is counted.
type Case = (fn(Answer) -> Answer, fn(&Ignored) -> u32);

#[test]
fn replies_that_are_not_for_this_exchange_are_ignored() {
    let table: [Case; 9] = [
        (|a| Answer { xid: a.xid ^ 1, ..a }, |i| i.other_exchange),
        (|a| Answer { client: None, ..a }, |i| i.other_client),
        (|a| Answer { client: Some(vec![0, 3, 0, 1, 9]), ..a }, |i| i.other_client),
        (|a| Answer { server: None, ..a }, |i| i.no_server),
        (|a| Answer { server: Some(vec![0, 3]), ..a }, |i| i.no_server),
        (|a| Answer { server: Some(vec![7; 131]), ..a }, |i| i.no_server),
        (|a| a.server(other_server()), |i| i.other_server),
        (|a| Answer { kind: MessageType::Advertise, ..a }, |i| i.unexpected),
        (|a| Answer { kind: MessageType::Request, ..a }, |i| i.not_a_reply),
    ];
    for (number, (edit, counter)) in table.into_iter().enumerate() {
        let (mut bench, request) = requesting();
        bench.answer(edit(reply(&request)));
        bench.silent();
        bench.state(State::Requesting);
        let ignored = bench.client.progress().ignored;
        assert_eq!((counter(&ignored), ignored.total()), (1, 1), "{number}: {ignored:?}");
        // The right one still comes through.
        bench.answer(reply(&request));
        bench.state(State::Bound);
    }
}

#[test]
fn advertises_that_are_not_for_this_exchange_are_ignored() {
    let table: [Case; 4] = [
        (|a| Answer { xid: a.xid ^ 0x80_0000, ..a }, |i| i.other_exchange),
        (|a| Answer { client: None, ..a }, |i| i.other_client),
        (|a| Answer { server: None, ..a }, |i| i.no_server),
        (|a| Answer { kind: MessageType::Reply, ..a }, |i| i.unexpected),
    ];
    for (edit, counter) in table {
        let mut bench = Bench::started(plain());
        let solicit = bench.asked(MessageType::Solicit);
        bench.answer(edit(advertise(&solicit)));
        bench.silent();
        assert_eq!(counter(&bench.client.progress().ignored), 1);
        bench.state(State::Soliciting);
    }
}

#[test]
fn associations_that_are_not_the_clients_are_ignored() {
    let (mut bench, request) = requesting();
    bench.answer(reply(&request).na(|ia| ia.iaid ^= 1));
    assert_eq!(bench.client.lease(), None);
    assert_eq!(bench.client.progress().ignored.no_association, 1);

    // A prefix that nobody has asked for.
    let mut bench = Bench::bound_by(|answer| {
        let prefixes = Filled {
            iaid: IAID,
            t1: 10,
            t2: 20,
            contents: vec![(PREFIX, 56, 30, 30)],
            status: None,
        };
        Answer { prefixes: Some(prefixes), ..answer }
    });
    let lease = bench.client.lease().unwrap();
    assert!(lease.prefixes.is_empty());
    bench.until(100.0);
    bench.state(State::Bound);
}

#[test]
fn a_reconfigure_is_not_heeded() {
    let mut bench = Bench::bound();
    for xid in [0, 1] {
        let reconfigure = Builder::new(MessageType::Reconfigure, xid)
            .option(code::CLIENT_ID, &duid())
            .option(code::SERVER_ID, &server())
            .option(19, &[5])
            .finish();
        bench.hear(&reconfigure);
    }
    bench.silent();
    bench.state(State::Bound);
    assert_eq!(bench.client.progress().ignored.reconfigure, 2);
}

#[test]
fn what_no_server_sends_is_dropped() {
    let mut bench = Bench::started(plain());
    for payload in [&[][..], &[7], &[7, 0, 0], &[0, 0, 0, 0], &[12, 0, 0, 0], &[255, 1, 2, 3]] {
        bench.hear(payload);
    }
    assert_eq!(bench.client.progress().ignored.malformed, 6);
    let solicit = bench.asked(MessageType::Solicit);
    // Its own Solicit, which comes back.
    bench.hear(&solicit.payload);
    assert_eq!(bench.client.progress().ignored.not_a_reply, 1);
    // From where nobody can be.
    let payload = advertise(&solicit).payload();
    for source in [Ipv6Addr::UNSPECIFIED, "ff02::1:2".parse().unwrap()] {
        bench.run(|client, now| client.handle_message(source, &payload, now));
    }
    assert_eq!(bench.client.progress().ignored.malformed, 8);
    bench.silent();
}

#[test]
fn an_idle_client_believes_nothing() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew));
    bench.event();
    let before = bench.client.lease().cloned();
    bench.answer(reply(&renew).times(0, 0, 0, 0));
    bench.answer(done(&renew, StatusCode::NotOnLink));
    bench.answer(advertise(&renew));
    bench.silent();
    assert_eq!(bench.client.lease().cloned(), before);
    assert_eq!(bench.client.progress().ignored.unexpected, 3);
}

#[test]
fn every_truncation_of_a_reply_is_survived() {
    let (_, request) = requesting();
    let whole = reply(&request).set(code::DOMAIN_LIST, b"\x03lan\x00").payload();
    for length in 0..whole.len() {
        let (mut bench, again) = requesting();
        assert_eq!(again.payload, request.payload, "the same seed");
        bench.hear(&whole[..length]);
        if let Some(lease) = bench.client.lease() {
            assert_eq!(lease.addresses[0].address, ADDRESS);
        }
    }
}

#[test]
fn one_bad_option_does_not_lose_the_others() {
    let (mut bench, request) = requesting();
    bench.answer(
        reply(&request)
            .set(code::DNS_SERVERS, &[1, 2, 3])
            .set(code::DOMAIN_LIST, &[63, 1])
            .set(code::CLIENT_FQDN, &[])
            .set(code::SOL_MAX_RT, &[1])
            .set(code::STATUS_CODE, &[0])
            .set(code::PREFERENCE, &[1, 2])
            .set(65_000, &[9; 40]),
    );
    bench.state(State::Bound);
    let lease = bench.client.lease().unwrap();
    assert!(lease.dns.is_empty() && lease.search.is_empty());
}

#[test]
fn thousands_of_associations_are_survived() {
    let (mut bench, request) = requesting();
    let mut message = Builder::new(MessageType::Reply, request.message().xid)
        .option(code::CLIENT_ID, &duid())
        .option(code::SERVER_ID, &server());
    for iaid in 0..4000 {
        message = message.option(code::IA_NA, &Ia::header(iaid, 0, 0));
    }
    bench.hear(&message.finish());
    // One of them was the client's, and empty.
    assert_eq!(bench.client.progress().refusals, 1);
}

#[test]
fn a_flood_of_answers_makes_nothing_grow() {
    let (mut bench, request) = requesting();
    for number in 0..10_000u32 {
        let stranger = Duid::new(&[&[0, 2][..], &number.to_be_bytes()].concat()).unwrap();
        bench.answer(reply(&request).server(stranger));
        bench.answer(advertise(&request));
    }
    bench.silent();
    assert_eq!(bench.client.progress().ignored.other_server, 10_000);
    bench.answer(reply(&request));
    bench.state(State::Bound);
}
