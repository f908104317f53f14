//! INIT, SELECTING, REQUESTING: RFC 2131 §3.1, §4.4.1.

use std::net::Ipv4Addr;

use dhcp::v4::{Event, Listening, Offered, Refusal, State};
use wire::MacAddr;
use wire::dhcp4::code;

use super::bench::*;

const OTHER_SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);

#[test]
fn four_messages_make_a_lease() {
    let mut bench = Bench::new();
    bench.state(State::Stopped);
    assert_eq!(bench.client.poll_timeout(), None);

    bench.run(|client, now| client.start(now));
    bench.state(State::Selecting);
    let discover = bench.discover();
    assert_eq!(discover.at, at(0.0));
    assert_eq!(discover.to_mac, MacAddr::BROADCAST);
    assert_eq!((discover.from, discover.to), (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));

    bench.until(0.01);
    bench.answer(offer(&discover));
    bench.state(State::Requesting);
    let request = bench.request();
    assert_eq!(request.to_mac, MacAddr::BROADCAST);
    assert_eq!((request.from, request.to), (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
    assert_eq!(request.message.xid, discover.message.xid);

    bench.until(0.02);
    bench.answer(ack(&request));
    bench.state(State::Bound);
    assert_eq!(bench.event(), Event::Bound);
    bench.silent();

    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.address, lease.prefix_len, lease.server), (ADDRESS, 24, SERVER));
    assert_eq!(lease.gateway(), Some(ROUTER));
    assert_eq!(lease.next_hop, Some(SERVER_MAC));
    // The lease counts from the REQUEST, not from the ACK.
    assert_eq!(lease.start, at(0.01));
    assert_eq!(lease.expires_at, at(0.01 + f64::from(LEASE)));
    assert_eq!(bench.client.listening(), Listening::default());

    let progress = bench.client.progress();
    let counts = (progress.discovers, progress.offers, progress.requests, progress.acks);
    assert_eq!(counts, (1, 1, 1, 1));
    assert_eq!(
        progress.last_offer,
        Some(Offered { server: SERVER, address: ADDRESS, prefix_len: 24 })
    );
    assert_eq!(progress.ignored().total(), 0);
}

#[test]
fn an_offer_is_kept_until_it_may_be_taken() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start_asking(now));
    let discover = bench.discover();
    bench.until(0.01);
    bench.answer(offer(&discover));
    bench.answer(offer(&discover).server(OTHER_SERVER));
    bench.silent();
    bench.state(State::Selecting);
    assert_eq!(bench.client.progress().offers, 2);

    bench.until(0.02);
    bench.run(|client, now| client.request(now));
    bench.state(State::Requesting);
    let request = bench.request();
    assert_eq!(request.at, at(0.02));
    assert_eq!(request.message.options.get(code::SERVER_ID), Some(&SERVER.octets()[..]));
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.client.lease().unwrap().start, at(0.02));

    // Without an offer so far, the next one is taken at once.
    let mut bench = Bench::new();
    bench.run(|client, now| client.start_asking(now));
    let discover = bench.discover();
    bench.run(|client, now| client.request(now));
    bench.silent();
    bench.answer(offer(&discover));
    bench.request();
}

#[test]
fn discovers_go_out_at_0_1_3_and_7_seconds_then_at_the_pace_of_the_rfc() {
    for seed in 0..50 {
        let mut bench = Bench::of(dhcp::v4::Client::new(plain(), seed));
        bench.run(|client, now| client.start(now));
        bench.until(300.0);
        let sent: Vec<_> = bench.all_sent().iter().map(|sent| bench.seconds(sent.at)).collect();
        let mut previous = sent[0];
        assert_eq!(previous, 0.0);
        for (delay, time) in
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0].iter().zip(&sent[1..])
        {
            let jitter = f64::min(delay / 4.0, 1.0);
            let waited = time - previous;
            assert!((delay - jitter..=delay + jitter).contains(&waited), "{waited} for {delay}");
            previous = *time;
        }
        assert!(sent.len() <= 10);
        bench.state(State::Selecting);
        assert!(bench.client.listening().dhcp);
    }
}

#[test]
fn two_clients_do_not_keep_step() {
    let times = |seed| {
        let mut bench = Bench::of(dhcp::v4::Client::new(plain(), seed));
        bench.run(|client, now| client.start(now));
        bench.until(10.0);
        bench.all_sent().iter().map(|sent| sent.at).collect::<Vec<_>>()
    };
    assert_eq!(times(7), times(7));
    assert_ne!(times(7), times(8));
}

#[test]
fn a_later_init_keeps_the_rfcs_pace() {
    let mut bench = Bench::bound();
    let expiry = f64::from(LEASE);
    bench.until(expiry);
    bench.all_sent();
    assert!(matches!(bench.event(), Event::Lost { .. }));
    bench.until(expiry + 130.0);
    let sent: Vec<_> = bench.all_sent().iter().map(|sent| bench.seconds(sent.at)).collect();
    for (time, expected) in sent.iter().zip([4.0, 12.0, 28.0, 60.0, 124.0]) {
        assert!((time - expiry - expected).abs() <= 5.0, "{sent:?}");
    }
    assert!((4..=5).contains(&sent.len()), "{sent:?}");
}

#[test]
fn secs_counts_from_the_beginning_and_the_request_repeats_the_discovers() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    bench.until(9.0);
    let discovers: Vec<_> = (0..4).map(|_| bench.discover()).collect();
    for discover in &discovers {
        assert_eq!(u64::from(discover.message.secs), bench.seconds(discover.at) as u64);
        assert_eq!(discover.message.xid, discovers[0].message.xid);
    }
    bench.until(11.0);
    bench.answer(offer(&discovers[0]));
    assert_eq!(bench.request().message.secs, discovers[3].message.secs);
}

#[test]
fn the_first_offer_wins() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(offer(&discover).server(OTHER_SERVER));
    bench.answer(offer(&discover));
    let request = bench.request();
    assert_eq!(request.message.options.server_id(), Some(OTHER_SERVER));
    bench.silent();
    assert_eq!(bench.client.progress().offers, 2);

    // The other server has no say any more.
    bench.answer(ack(&request));
    bench.answer(nak(&request));
    bench.state(State::Requesting);
    assert_eq!(bench.client.progress().ignored().other_server, 2);
    bench.answer(ack(&request).server(OTHER_SERVER));
    bench.state(State::Bound);
}

#[test]
fn an_unanswered_request_is_repeated_and_then_given_up() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(offer(&discover));
    bench.until(5.0);
    let requests: Vec<_> = (0..3).map(|_| bench.request()).collect();
    for request in &requests {
        assert_eq!(request.message.xid, discover.message.xid);
        assert_eq!(request.message.options.requested_address(), Some(ADDRESS));
    }
    bench.silent();
    bench.until(9.0);
    // Back to INIT, with a new transaction; the old one's answers come too late.
    let again = bench.discover();
    assert_ne!(again.message.xid, discover.message.xid);
    assert_eq!(u64::from(again.message.secs), bench.seconds(again.at) as u64);
    bench.answer(ack(&requests[0]));
    assert_eq!(bench.client.progress().ignored().other_exchange, 1);
    bench.state(State::Selecting);
    // From here on at the RFC's pace, also after the next offer.
    bench.answer(offer(&again));
    bench.until(9.0 + 75.0);
    let requests: Vec<_> = (0..4).map(|_| bench.request()).collect();
    let spans: Vec<_> =
        requests.windows(2).map(|w| w[1].at.saturating_since(w[0].at).as_secs_f64()).collect();
    for (span, expected) in spans.iter().zip([4.0, 8.0, 16.0]) {
        assert!((span - expected).abs() <= 1.0, "{spans:?}");
    }
    bench.discover();
}

#[test]
fn an_ack_to_a_repeated_request_counts_from_the_first() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(offer(&discover));
    bench.until(2.0);
    bench.request();
    let second = bench.request();
    bench.answer(ack(&second));
    assert_eq!(bench.client.lease().unwrap().start, at(0.0));
}

#[test]
fn a_nak_in_requesting_begins_anew_at_once_and_naks_in_a_row_ever_later() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let mut waits = Vec::new();
    for _ in 0..10 {
        let began = bench.now;
        if let State::Init = bench.client.state() {
            assert!(!bench.client.listening().dhcp);
            bench.next_deadline();
        }
        waits.push(bench.now.saturating_since(began).as_secs_f64());
        let discover = bench.discover();
        bench.answer(offer(&discover));
        let request = bench.request();
        bench.answer(nak(&request).set(code::MESSAGE, b"address in use\0"));
    }
    for (wait, expected) in waits.iter().zip([0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 64.0])
    {
        assert!((wait - expected).abs() <= 1.0, "{waits:?}");
    }
    let progress = bench.client.progress();
    assert_eq!(progress.naks, 10);
    let refusal = Refusal { server: SERVER, message: Some("address in use".into()) };
    assert_eq!(progress.last_nak.as_deref(), Some(&refusal));
    bench.silent();
}

#[test]
fn an_ack_ends_the_row_of_naks() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    for _ in 0..2 {
        let discover = bench.discover();
        bench.answer(offer(&discover));
        let request = bench.request();
        bench.answer(nak(&request));
        bench.until(bench.seconds(bench.now) + 3.0);
    }
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(ack(&request));
    bench.run(|client, now| client.renew(now));
    let request = bench.request();
    bench.answer(nak(&request));
    bench.state(State::Selecting);
}

#[test]
fn start_happens_once() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    bench.run(|client, now| client.start(now));
    bench.discover();
    bench.silent();
    let mut bench = Bench::bound();
    bench.run(|client, now| client.start(now));
    bench.silent();
    bench.state(State::Bound);
}

#[test]
fn an_overloaded_clock_changes_nothing() {
    // A timeout that comes early or twice sends nothing more.
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    bench.discover();
    for _ in 0..3 {
        bench.run(|client, now| client.handle_timeout(now));
    }
    bench.silent();
    // One that comes late does what is due once, and goes on from there.
    bench.now = at(1000.0);
    bench.run(|client, now| client.handle_timeout(now));
    bench.discover();
    bench.silent();
    assert!(bench.client.poll_timeout().unwrap() > bench.now);
}
