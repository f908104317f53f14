//! Release and Decline: RFC 8415 §18.2.7, §18.2.8, §18.2.10.2, §18.2.10.3.

use dhcp::v6::{Client, Config, Event, Loss, State};
use wire::dhcp6::{MessageType, StatusCode, code};

use super::bench::*;

#[test]
fn a_release_names_all_that_is_given_back() {
    let mut bench = Bench::bound_with_prefix();
    bench.run(|client, now| client.release(now));
    bench.state(State::Releasing);
    assert_eq!(bench.client.lease(), None, "nothing of it is used any more");
    let release = bench.asked(MessageType::Release);
    assert_eq!(release.source, None, "not one of the addresses that are given back");
    let options = release.message().options;
    assert_eq!(options.server_id(), Some(&server()[..]));
    assert_eq!(options.elapsed_time(), Some(0));
    assert_eq!(release.addresses(), Some(vec![ADDRESS]));
    assert_eq!(release.prefixes(), Some(vec![(PREFIX, 56)]));
    assert_eq!(options.option_request().count(), 0);
    bench.silent();
    bench.answer(done(&release, StatusCode::Success));
    assert_eq!(bench.event(), Event::Released);
    bench.silent();
    bench.state(State::Stopped);
    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn whatever_the_reply_says_it_was_heard() {
    for status in [StatusCode::NoBinding, StatusCode::UnspecFail, StatusCode::NotOnLink] {
        let mut bench = Bench::bound();
        bench.run(|client, now| client.release(now));
        let release = bench.asked(MessageType::Release);
        bench.answer(done(&release, status).server(other_server()));
        bench.state(State::Releasing);
        bench.answer(done(&release, status));
        assert_eq!(bench.event(), Event::Released);
    }
}

#[test]
fn a_release_is_repeated_and_then_given_up() {
    let mut bench = Bench::bound();
    bench.run(|client, now| client.release(now));
    bench.until(20.0);
    let sent = bench.all_sent();
    assert_eq!(sent.len(), 4);
    for (sent, expected) in sent.iter().zip([0.0, 1.0, 3.0, 7.0]) {
        assert!((bench.seconds(sent.at) - expected).abs() <= expected / 5.0);
    }
    assert_eq!(bench.event(), Event::Released);
    bench.state(State::Stopped);
}

#[test]
fn what_may_have_been_granted_is_given_back_too() {
    let mut bench = Bench::started(plain());
    let solicit = bench.asked(MessageType::Solicit);
    bench.answer(advertise(&solicit));
    bench.asked(MessageType::Request);
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.asked(MessageType::Release).addresses(), Some(vec![ADDRESS]));
    bench.state(State::Releasing);
}

/// A Reply to a Solicit that gives what it asks for at once (RFC 8415 §18.3.1).
fn at_once(solicit: &Sent) -> Answer {
    reply(solicit).set(code::RAPID_COMMIT, &[])
}

fn soliciting() -> (Bench, Sent) {
    let mut bench = Bench::started(Config { rapid_commit: true, ..plain() });
    let solicit = bench.asked(MessageType::Solicit);
    (bench, solicit)
}

#[test]
fn what_a_solicit_on_its_way_brings_is_given_back() {
    let (mut bench, solicit) = soliciting();
    bench.until(0.2);
    bench.run(|client, now| client.release(now));
    bench.state(State::Releasing);
    assert!(bench.client.listening());
    bench.run(|client, now| client.release(now));
    // Offers nothing, or nothing at once: the other server may have granted.
    bench.answer(advertise(&solicit).server(other_server()));
    bench.answer(at_once(&solicit).refuses(StatusCode::NoAddrsAvail).server(other_server()));
    bench.answer(reply(&solicit));
    bench.silent();
    bench.answer(at_once(&solicit).address(OTHER_ADDRESS));
    let release = bench.asked(MessageType::Release);
    assert_eq!(release.addresses(), Some(vec![OTHER_ADDRESS]));
    assert_eq!(release.message().options.server_id(), Some(&server()[..]));
    bench.answer(done(&release, StatusCode::Success));
    assert_eq!(bench.event(), Event::Released);
    bench.state(State::Stopped);
}

#[test]
fn a_solicit_on_its_way_is_waited_for_a_second() {
    let (mut bench, _) = soliciting();
    bench.until(0.2);
    bench.run(|client, now| client.release(now));
    bench.until(0.9);
    bench.silent();
    bench.until(1.0);
    assert_eq!(bench.event(), Event::Released);
    bench.silent();
    bench.state(State::Stopped);
    assert_eq!(bench.client.poll_timeout(), None);
    // Later there is nothing to wait for: the next one is due after 3 s.
    let (mut bench, _) = soliciting();
    bench.until(2.9);
    bench.asked(MessageType::Solicit);
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.event(), Event::Released);
    bench.state(State::Stopped);
}

#[test]
fn where_there_is_nothing_to_give_back_it_is_over_at_once() {
    let mut bench = Bench::started(plain());
    bench.asked(MessageType::Solicit);
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.event(), Event::Released);
    bench.state(State::Stopped);
    bench.run(|client, now| client.release(now));
    bench.silent();
    // It can start again.
    bench.run(|client, now| client.start(now));
    bench.asked(MessageType::Solicit);
}

#[test]
fn an_address_in_use_is_declined_and_another_looked_for() {
    let mut bench = Bench::bound();
    bench.until(1.0);
    bench.run(|client, now| client.decline(ADDRESS, now));
    let Event::Lost { old, why } = bench.event() else { panic!("not lost") };
    assert_eq!(old.addresses[0].address, ADDRESS);
    assert_eq!(why, Loss::Conflict { address: ADDRESS });
    bench.state(State::Declining);
    let decline = bench.asked(MessageType::Decline);
    assert_eq!(decline.message().options.server_id(), Some(&server()[..]));
    assert_eq!(decline.addresses(), Some(vec![ADDRESS]));
    assert_eq!(decline.message().options.option_request().count(), 0);
    bench.answer(done(&decline, StatusCode::Success));
    let solicit = bench.asked(MessageType::Solicit);
    assert_eq!(solicit.at, at(1.0), "somebody may still wait");
    assert_eq!(solicit.addresses(), Some(vec![]), "not the same again");
    bench.answer(advertise(&solicit).address(OTHER_ADDRESS));
    let request = bench.asked(MessageType::Request);
    bench.answer(reply(&request).address(OTHER_ADDRESS));
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.address(), OTHER_ADDRESS);
}

#[test]
fn a_decline_is_repeated_five_times_and_then_given_up() {
    let mut bench = Bench::bound();
    bench.run(|client, now| client.decline(ADDRESS, now));
    bench.until(40.0);
    let kinds: Vec<_> = bench.all_sent().iter().map(|sent| sent.message().kind).collect();
    assert_eq!(kinds[..5], [MessageType::Decline; 5]);
    assert_eq!(kinds[5], MessageType::Solicit);
}

#[test]
fn what_is_left_of_a_lease_goes_on() {
    let mut bench = Bench::bound_with_prefix();
    bench.run(|client, now| client.decline(ADDRESS, now));
    let Event::Changed { old } = bench.event() else { panic!("not changed") };
    assert_eq!(old.addresses.len(), 1);
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.addresses.len(), lease.prefixes.len()), (0, 1));
    bench.state(State::Bound);
    let decline = bench.asked(MessageType::Decline);
    assert_eq!((decline.addresses(), decline.prefixes()), (Some(vec![ADDRESS]), None));
    bench.answer(done(&decline, StatusCode::Success));
    // Another address is asked for at once, as a container may have none.
    let renew = bench.asked(MessageType::Renew);
    assert_eq!((renew.addresses(), renew.prefixes()), (Some(vec![]), Some(vec![(PREFIX, 56)])));
    bench.answer(reply(&renew).address(OTHER_ADDRESS));
    assert!(matches!(bench.event(), Event::Changed { .. }));
    assert_eq!(bench.address(), OTHER_ADDRESS);
    bench.silent();
}

#[test]
fn a_decline_beside_a_prefix_that_nobody_answers_ends_in_the_same_way() {
    let mut bench = Bench::bound_with_prefix();
    bench.run(|client, now| client.decline(ADDRESS, now));
    assert!(matches!(bench.event(), Event::Changed { .. }));
    bench.until(40.0);
    let kinds: Vec<_> = bench.all_sent().iter().map(|sent| sent.message().kind).collect();
    assert_eq!(kinds[..5], [MessageType::Decline; 5]);
    assert_eq!(kinds[5], MessageType::Renew);
    bench.silent();
}

#[test]
fn conflicts_in_a_row_beside_a_prefix_wait_as_long() {
    let mut bench = Bench::bound_with_prefix();
    let mut waits = Vec::new();
    for _ in 0..12 {
        bench.run(|client, now| client.decline(ADDRESS, now));
        assert!(matches!(bench.event(), Event::Changed { .. }));
        let decline = bench.asked(MessageType::Decline);
        let began = bench.now;
        bench.answer(done(&decline, StatusCode::Success));
        let mut sent = bench.all_sent();
        if sent.is_empty() {
            bench.next_deadline();
            sent = bench.all_sent();
        }
        waits.push(bench.now.saturating_since(began).as_secs_f64());
        let renew = sent.pop().unwrap();
        assert_eq!(renew.message().kind, MessageType::Renew);
        bench.answer(reply(&renew));
        assert!(matches!(bench.event(), Event::Changed { .. }));
    }
    for (wait, expected) in
        waits.iter().zip([0.0, 1.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 60.0, 60.0, 60.0])
    {
        assert!((wait - expected).abs() <= expected / 10.0, "{waits:?}");
    }
}

#[test]
fn what_is_not_in_the_lease_is_not_declined() {
    let mut bench = Bench::bound();
    bench.run(|client, now| client.decline(OTHER_ADDRESS, now));
    bench.silent();
    let mut bench = Bench::new();
    bench.run(|client, now| client.decline(ADDRESS, now));
    bench.silent();
}

#[test]
fn conflicts_in_a_row_wait_one_second_then_ten_and_from_the_tenth_on_a_minute() {
    let mut bench = Bench::started(plain());
    let mut waits = Vec::new();
    for _ in 0..12 {
        bench.bind(|answer| answer);
        bench.run(|client, now| client.decline(ADDRESS, now));
        assert!(matches!(bench.event(), Event::Lost { .. }));
        let decline = bench.asked(MessageType::Decline);
        let began = bench.now;
        bench.answer(done(&decline, StatusCode::Success));
        if bench.client.state() == State::Init {
            bench.run(Client::handle_timeout);
            bench.next_deadline();
        }
        waits.push(bench.now.saturating_since(began).as_secs_f64());
    }
    for (wait, expected) in
        waits.iter().zip([0.0, 1.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 60.0, 60.0, 60.0])
    {
        assert!((wait - expected).abs() <= expected / 10.0, "{waits:?}");
    }
}

#[test]
fn addresses_that_are_declined_one_after_the_other_are_all_named() {
    let mut bench = Bench::bound_by(|answer| {
        answer.na(|ia| ia.contents.push((OTHER_ADDRESS, 128, PREFERRED, VALID)))
    });
    bench.run(|client, now| client.decline(ADDRESS, now));
    assert!(matches!(bench.event(), Event::Changed { .. }));
    assert_eq!(bench.asked(MessageType::Decline).addresses(), Some(vec![ADDRESS]));
    bench.run(|client, now| client.decline(OTHER_ADDRESS, now));
    assert!(matches!(bench.event(), Event::Lost { .. }));
    let decline = bench.asked(MessageType::Decline);
    assert_eq!(decline.addresses(), Some(vec![OTHER_ADDRESS, ADDRESS]));
}
