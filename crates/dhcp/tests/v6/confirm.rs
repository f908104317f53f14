//! Confirm, and Rebind in its place: RFC 8415 §18.2.3, §18.2.10.1, §18.2.12.

use dhcp::v6::{Client, Config, Event, Lease, Loss, State};
use wire::dhcp6::{MessageType, StatusCode};

use super::bench::*;

/// A lease that was there before, and when it was.
fn remembered(config: &Config) -> Lease {
    let mut bench = Bench::started(config.clone());
    bench.bind(|answer| answer);
    bench.client.lease().unwrap().clone()
}

/// A client that asks about such a lease at second `seconds`.
fn rebooting(config: Config, seconds: f64) -> Bench {
    let lease = remembered(&config);
    let client = Client::reboot_with_lease(config, lease, 3, at(seconds));
    Bench::at(client, at(seconds))
}

#[test]
fn after_a_boot_the_lease_is_confirmed_before_it_is_used() {
    let mut bench = rebooting(plain(), 100.0);
    bench.state(State::Rebooting);
    assert_eq!(bench.client.lease(), None);
    let confirm = bench.asked(MessageType::Confirm);
    let options = confirm.message().options;
    assert_eq!(options.server_id(), None);
    assert_eq!(options.option_request().count(), 0);
    assert_eq!(confirm.addresses(), Some(vec![ADDRESS]));
    let ia = options.ia_na().next().unwrap();
    let address = ia.options.addresses().next().unwrap();
    assert_eq!((ia.t1, ia.t2, address.preferred, address.valid), (0, 0, 0, 0));
    bench.silent();
    bench.answer(done(&confirm, StatusCode::Success).server(other_server()));
    assert_eq!(bench.event(), Event::Bound);
    bench.silent();
    bench.state(State::Bound);
    // The server of the lease and its times are what they were.
    assert_eq!(bench.client.lease().unwrap(), &remembered(&plain()));
}

#[test]
fn not_on_link_after_a_boot_leads_to_solicit() {
    let mut bench = rebooting(plain(), 100.0);
    let confirm = bench.asked(MessageType::Confirm);
    bench.answer(done(&confirm, StatusCode::NotOnLink));
    assert_eq!(bench.asked(MessageType::Solicit).addresses(), Some(vec![]));
    bench.silent();
    assert_eq!(bench.client.lease(), None);
}

#[test]
fn silence_after_a_boot_lets_the_lease_be_used_after_two_seconds() {
    let mut bench = rebooting(plain(), 100.0);
    bench.until(101.9);
    bench.state(State::Rebooting);
    bench.until(102.0);
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.address(), ADDRESS);
    bench.state(State::Confirming);
    bench.until(120.0);
    bench.state(State::Bound);
    let sent = bench.all_sent();
    assert!((3..=5).contains(&sent.len()), "{}", sent.len());
    assert!(sent.iter().all(|sent| sent.message().kind == MessageType::Confirm));
    let (first, last) = (&sent[0], sent.last().unwrap());
    assert_eq!(first.message().xid, last.message().xid);
    assert!(bench.seconds(last.at) < 110.0, "CNF_MAX_RD");
    // T1 comes as it would have come.
    bench.next_deadline();
    bench.asked(MessageType::Renew);
}

#[test]
fn an_answer_that_comes_late_still_counts() {
    let mut bench = rebooting(plain(), 100.0);
    bench.until(103.0);
    assert_eq!(bench.event(), Event::Bound);
    let confirm = bench.all_sent().pop().unwrap();
    bench.answer(done(&confirm, StatusCode::NotOnLink));
    let Event::Lost { why: Loss::Refused(refusal), .. } = bench.event() else { panic!("kept") };
    assert_eq!(refusal.status, StatusCode::NotOnLink);
    bench.asked(MessageType::Solicit);
}

#[test]
fn a_lease_that_is_over_after_a_boot_is_asked_for() {
    let mut bench = rebooting(plain(), f64::from(VALID) + 1.0);
    bench.state(State::Soliciting);
    assert_eq!(bench.asked(MessageType::Solicit).addresses(), Some(vec![ADDRESS]));
    bench.silent();
}

#[test]
fn a_lease_past_t1_is_renewed_once_it_is_confirmed() {
    let mut bench = rebooting(plain(), 2500.0);
    let confirm = bench.asked(MessageType::Confirm);
    bench.answer(done(&confirm, StatusCode::Success));
    assert_eq!(bench.event(), Event::Bound);
    bench.asked(MessageType::Renew);
    bench.state(State::Renewing);
    // And when nobody answers, too.
    let mut bench = rebooting(plain(), 2500.0);
    bench.until(2502.0);
    bench.state(State::Renewing);
}

#[test]
fn prefixes_are_rebound_and_not_confirmed() {
    let mut bench = rebooting(with_prefix(), 100.0);
    let rebind = bench.asked(MessageType::Rebind);
    assert_eq!(rebind.message().options.server_id(), None);
    assert_eq!(rebind.addresses(), Some(vec![ADDRESS]));
    assert_eq!(rebind.prefixes(), Some(vec![(PREFIX, 56)]));
    // At the pace of a Confirm.
    bench.until(101.5);
    assert_eq!(bench.asked(MessageType::Rebind).message().xid, rebind.message().xid);
    bench.answer(reply(&rebind).server(other_server()));
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.client.lease().unwrap().server, other_server());
    bench.silent();
}

#[test]
fn a_prefix_that_is_not_known_after_a_boot_is_requested_anew() {
    let mut bench = rebooting(with_prefix(), 100.0);
    let rebind = bench.asked(MessageType::Rebind);
    bench.answer(reply(&rebind).server(other_server()).pd(|ia| {
        ia.contents.clear();
        ia.status = Some(StatusCode::NoBinding);
    }));
    assert_eq!(bench.event(), Event::Bound);
    let request = bench.asked(MessageType::Request);
    assert_eq!(request.message().options.server_id(), Some(&other_server()[..]));
    assert_eq!(request.prefixes(), Some(vec![(PREFIX, 56)]));
    // And what is given goes in the place of what was not known.
    let other = "2001:db8:78::".parse().unwrap();
    bench.answer(reply(&request).server(other_server()).pd(|ia| {
        ia.contents = vec![(other, 56, PREFERRED, VALID)];
    }));
    assert!(matches!(bench.event(), Event::Changed { .. }));
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.addresses.len(), lease.prefixes.len()), (1, 1));
    assert_eq!(lease.prefixes[0].prefix, other);
    bench.silent();
}

#[test]
fn prefixes_that_are_wrong_after_a_boot_are_not_used() {
    let mut bench = rebooting(with_prefix(), 100.0);
    let rebind = bench.asked(MessageType::Rebind);
    let gone = |ia: &mut Filled| {
        ia.contents.iter_mut().for_each(|(.., preferred, valid)| (*preferred, *valid) = (0, 0));
    };
    bench.answer(reply(&rebind).na(gone).pd(gone));
    bench.asked(MessageType::Solicit);
    bench.silent();

    let mut bench = rebooting(with_prefix(), 100.0);
    let rebind = bench.asked(MessageType::Rebind);
    let unknown = |ia: &mut Filled| {
        ia.contents.clear();
        ia.status = Some(StatusCode::NoBinding);
    };
    bench.answer(reply(&rebind).na(unknown).pd(unknown));
    bench.asked(MessageType::Solicit);
    bench.silent();
}

#[test]
fn when_the_link_was_away_the_lease_stays_in_use_while_it_is_confirmed() {
    let mut bench = Bench::bound();
    bench.until(10.0);
    bench.run(|client, now| client.confirm(at(12.0), now));
    bench.until(11.9);
    bench.silent();
    assert!(!bench.client.listening(), "nothing was asked yet");
    bench.until(12.0);
    bench.state(State::Confirming);
    let confirm = bench.asked(MessageType::Confirm);
    assert_eq!(confirm.message().options.elapsed_time(), Some(0));
    assert_eq!(bench.address(), ADDRESS);
    bench.answer(done(&confirm, StatusCode::Success).server(other_server()));
    bench.silent();
    bench.state(State::Bound);
    assert_eq!(bench.client.lease().unwrap().server, server());
}

#[test]
fn silence_changes_nothing() {
    let mut bench = Bench::bound();
    let before = bench.client.lease().cloned();
    bench.run(|client, now| client.confirm(now, now));
    bench.until(9.9);
    bench.state(State::Confirming);
    bench.until(10.0);
    bench.state(State::Bound);
    assert_eq!(bench.client.lease().cloned(), before);
    let times: Vec<_> = bench.all_sent().iter().map(|sent| bench.seconds(sent.at)).collect();
    for (time, expected) in times.iter().zip([0.0, 1.0, 3.0, 7.0]) {
        assert!((time - expected).abs() <= expected / 5.0, "{times:?}");
    }
    assert_eq!(times.len(), 4);
}

#[test]
fn another_link_takes_the_lease_away() {
    let mut bench = Bench::bound();
    bench.run(|client, now| client.confirm(now, now));
    let confirm = bench.asked(MessageType::Confirm);
    bench.answer(done(&confirm, StatusCode::UnspecFail));
    bench.state(State::Confirming);
    bench.answer(done(&confirm, StatusCode::NotOnLink));
    let Event::Lost { why: Loss::Refused(refusal), .. } = bench.event() else { panic!("kept") };
    assert_eq!((refusal.server, refusal.status), (server(), StatusCode::NotOnLink));
    assert_eq!(bench.asked(MessageType::Solicit).addresses(), Some(vec![]));
}

#[test]
fn with_prefixes_the_link_is_asked_by_rebind() {
    let mut bench = Bench::bound_with_prefix();
    bench.run(|client, now| client.confirm(now, now));
    bench.state(State::Confirming);
    let rebind = bench.asked(MessageType::Rebind);
    bench.answer(reply(&rebind));
    assert_eq!(bench.event(), Event::Renewed);
    bench.state(State::Bound);
}

#[test]
fn without_a_lease_what_is_looked_for_is_looked_for_anew() {
    let mut bench = Bench::started(plain());
    let before = bench.asked(MessageType::Solicit);
    bench.until(100.0);
    bench.all_sent();
    bench.run(|client, now| client.confirm(now, now));
    let solicit = bench.asked(MessageType::Solicit);
    assert_ne!(solicit.message().xid, before.message().xid);
    bench.until(102.0);
    bench.asked(MessageType::Solicit);

    let mut bench = Bench::started(plain());
    let solicit = bench.asked(MessageType::Solicit);
    bench.answer(advertise(&solicit));
    bench.asked(MessageType::Request);
    bench.run(|client, now| client.confirm(at(3.0), now));
    bench.until(2.9);
    bench.silent();
    bench.until(3.0);
    bench.asked(MessageType::Solicit);

    let mut bench = Bench::new();
    bench.run(|client, now| client.confirm(now, now));
    bench.silent();
    bench.state(State::Stopped);
}

#[test]
fn a_second_confirm_before_the_first_has_begun_takes_its_place() {
    let mut bench = rebooting(plain(), 100.0);
    bench.asked(MessageType::Confirm);
    bench.run(|client, now| client.confirm(at(101.0), now));
    bench.until(101.0);
    bench.asked(MessageType::Confirm);
    // The silence counts from there.
    bench.until(102.9);
    bench.state(State::Rebooting);
    bench.until(103.0);
    assert_eq!(bench.event(), Event::Bound);
}
