//! Renew, Rebind, the end of a lease: RFC 8415 §18.2.4, §18.2.5, §18.2.10.1.

use dhcp::Instant;
use dhcp::v6::{Client, Event, Loss, State};
use wire::dhcp6::{INFINITY, MessageType, StatusCode, code};

use super::bench::*;

fn t1(bench: &Bench) -> f64 {
    bench.seconds(bench.client.lease().unwrap().t1_at)
}

fn t2(bench: &Bench) -> f64 {
    bench.seconds(bench.client.lease().unwrap().t2_at)
}

#[test]
fn an_idle_lease_needs_nothing_until_t1() {
    let mut bench = Bench::bound();
    assert!(!bench.client.listening());
    let (t1, t2) = (t1(&bench), t2(&bench));
    assert!((f64::from(T1) * 0.95..=f64::from(T1)).contains(&t1), "{t1}");
    assert!((f64::from(T2) * 0.95..=f64::from(T2)).contains(&t2), "{t2}");
    assert_eq!(bench.client.poll_timeout(), Some(bench.client.lease().unwrap().t1_at));
    bench.until(t1 - 0.001);
    bench.silent();
    bench.state(State::Bound);
}

#[test]
fn t1_renews_with_the_server_of_the_lease() {
    let mut bench = Bench::bound();
    bench.until(t1(&bench));
    bench.state(State::Renewing);
    assert!(bench.client.listening());
    let renew = bench.asked(MessageType::Renew);
    assert_eq!(renew.message().options.server_id(), Some(&server()[..]));
    assert_eq!(renew.addresses(), Some(vec![ADDRESS]));
    // Another server has no say.
    bench.answer(reply(&renew).server(other_server()));
    bench.state(State::Renewing);
    bench.answer(reply(&renew));
    assert_eq!(bench.event(), Event::Renewed);
    bench.silent();
    bench.state(State::Bound);
    let lease = bench.client.lease().unwrap();
    assert_eq!(lease.start, renew.at);
    assert_eq!(bench.seconds(lease.expires_at()), bench.seconds(renew.at) + f64::from(VALID));
}

#[test]
fn a_lease_lives_through_a_hundred_renewals_with_a_transaction_for_each() {
    let mut bench = Bench::bound();
    let mut xids = std::collections::HashSet::new();
    for _ in 0..100 {
        bench.next_deadline();
        let renew = bench.asked(MessageType::Renew);
        assert!(xids.insert(renew.message().xid));
        assert_eq!(renew.message().options.elapsed_time(), Some(0));
        bench.answer(reply(&renew));
        assert_eq!(bench.event(), Event::Renewed);
        bench.silent();
    }
}

#[test]
fn renewals_are_repeated_until_t2_then_rebound_then_lost() {
    let mut bench = Bench::bound();
    let (t1, t2, end) = (t1(&bench), t2(&bench), f64::from(VALID));
    bench.until(end - 0.001);
    assert!(bench.client.lease().is_some());
    bench.until(end);
    assert_eq!(bench.client.lease(), None);
    let Event::Lost { old, why: Loss::Expired } = bench.event() else { panic!("not lost") };
    assert_eq!(old.addresses[0].address, ADDRESS);
    let sent = bench.all_sent();
    let (renews, rebinds): (Vec<_>, Vec<_>) =
        sent.iter().partition(|sent| bench.seconds(sent.at) < t2);
    assert!(renews.iter().all(|sent| sent.message().kind == MessageType::Renew));
    assert!(rebinds.iter().all(|sent| sent.message().kind == MessageType::Rebind));
    for (first, sent) in [(t1, &renews), (t2, &rebinds)] {
        let times: Vec<_> = sent.iter().map(|sent| bench.seconds(sent.at)).collect();
        assert_eq!(times[0], first);
        let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (wait, expected) in waits.iter().zip([10.0, 20.0, 40.0, 80.0]) {
            assert!((wait / expected - 1.0).abs() < 0.25, "{waits:?}");
        }
        assert!(waits.iter().all(|wait| *wait <= 660.0), "{waits:?}");
        let xid = sent[0].message().xid;
        assert!(sent.iter().all(|sent| sent.message().xid == xid), "one transaction");
    }
    assert!(rebinds.iter().all(|sent| sent.message().options.server_id().is_none()));
    assert!(rebinds.iter().all(|sent| sent.addresses() == Some(vec![ADDRESS])));
    bench.state(State::Soliciting);
}

#[test]
fn any_server_may_answer_a_rebind_and_is_the_server_from_then_on() {
    let mut bench = Bench::bound();
    bench.until(t2(&bench));
    bench.state(State::Rebinding);
    let rebind = bench.all_sent().pop().unwrap();
    bench.answer(reply(&rebind).server(other_server()));
    assert_eq!(bench.event(), Event::Renewed);
    bench.until(t1(&bench));
    let renew = bench.asked(MessageType::Renew);
    assert_eq!(renew.message().options.server_id(), Some(&other_server()[..]));
}

#[test]
fn a_changed_configuration_is_an_event_with_the_old_one() {
    type Edit = fn(Answer) -> Answer;
    let edits: [(&str, Edit); 4] = [
        ("another address", |answer| answer.address(OTHER_ADDRESS)),
        ("DNS", |answer| answer.set(code::DNS_SERVERS, &OTHER_ADDRESS.octets())),
        ("no DNS", |answer| answer.set(code::DNS_SERVERS, &[])),
        ("search", |answer| answer.set(code::DOMAIN_LIST, b"\x03lan\x00")),
    ];
    for (what, edit) in edits {
        let mut bench = Bench::bound();
        let before = bench.client.lease().unwrap().clone();
        bench.next_deadline();
        let renew = bench.asked(MessageType::Renew);
        bench.answer(edit(reply(&renew)));
        assert_eq!(bench.event(), Event::Changed { old: Box::new(before.clone()) }, "{what}");
        bench.next_deadline();
        let renew = bench.asked(MessageType::Renew);
        bench.answer(edit(reply(&renew)));
        assert_eq!(bench.event(), Event::Renewed, "{what}");
    }
}

#[test]
fn an_address_that_a_reply_does_not_mention_lives_to_its_own_end() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew).address(OTHER_ADDRESS));
    assert!(matches!(bench.event(), Event::Changed { .. }));
    let addresses: Vec<_> =
        bench.client.lease().unwrap().addresses.iter().map(|leased| leased.address).collect();
    assert_eq!(addresses, [ADDRESS, OTHER_ADDRESS]);
    // Each renewal prolongs the new one only.
    while bench.seconds(bench.client.poll_timeout().unwrap()) < f64::from(VALID) {
        bench.next_deadline();
        let renew = bench.asked(MessageType::Renew);
        assert_eq!(renew.addresses(), Some(vec![ADDRESS, OTHER_ADDRESS]));
        bench.answer(reply(&renew).address(OTHER_ADDRESS));
        assert_eq!(bench.event(), Event::Renewed);
    }
    bench.until(f64::from(VALID));
    let Event::Changed { old } = bench.event() else { panic!("not changed") };
    assert_eq!(old.addresses.len(), 2);
    assert_eq!(bench.address(), OTHER_ADDRESS);
    bench.silent();
}

#[test]
fn a_lifetime_of_zero_takes_an_address_back() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew).na(|ia| {
        ia.contents = vec![(ADDRESS, 128, 0, 0), (OTHER_ADDRESS, 128, PREFERRED, VALID)];
    }));
    assert!(matches!(bench.event(), Event::Changed { .. }));
    assert_eq!(bench.address(), OTHER_ADDRESS);

    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew).address(OTHER_ADDRESS).times(0, 0, 0, 0));
    let Event::Lost { old, why } = bench.event() else { panic!("not lost") };
    assert_eq!((old.addresses[0].address, why), (OTHER_ADDRESS, Loss::Withdrawn));
    bench.asked(MessageType::Solicit);
}

#[test]
fn what_the_server_does_not_know_any_more_is_requested_from_it_anew() {
    for rebinding in [false, true] {
        let mut bench = Bench::bound();
        let (due, who) =
            if rebinding { (t2(&bench), other_server()) } else { (t1(&bench), server()) };
        bench.until(due);
        let asked = bench.all_sent().pop().unwrap();
        bench.answer(reply(&asked).server(who.clone()).refuses(StatusCode::NoBinding));
        let request = bench.asked(MessageType::Request);
        assert_eq!(request.message().options.server_id(), Some(&who[..]));
        assert_eq!(request.addresses(), Some(vec![ADDRESS]));
        // Meanwhile the lease is in use.
        assert_eq!(bench.address(), ADDRESS);
        bench.silent();
        bench.answer(reply(&request).server(who.clone()));
        assert_eq!(bench.event(), Event::Renewed);
        assert_eq!(bench.client.lease().unwrap().server, who);
    }
}

#[test]
fn what_is_given_anew_replaces_what_was_not_known() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew).refuses(StatusCode::NoBinding));
    let request = bench.asked(MessageType::Request);
    bench.answer(reply(&request).address(OTHER_ADDRESS));
    assert!(matches!(bench.event(), Event::Changed { .. }));
    assert_eq!(bench.address(), OTHER_ADDRESS);
}

#[test]
fn what_is_not_given_anew_is_lost() {
    type Edit = fn(&Sent) -> Answer;
    let edits: [(Edit, StatusCode); 4] = [
        (|asked| reply(asked).refuses(StatusCode::NoAddrsAvail), StatusCode::NoAddrsAvail),
        (|asked| reply(asked).refuses(StatusCode::NoBinding), StatusCode::NoBinding),
        (|asked| reply(asked).na(|ia| ia.contents.clear()), StatusCode::Success),
        (|asked| done(asked, StatusCode::NotOnLink), StatusCode::NotOnLink),
    ];
    for (answer, status) in edits {
        let mut bench = Bench::bound();
        bench.next_deadline();
        let renew = bench.asked(MessageType::Renew);
        bench.answer(reply(&renew).refuses(StatusCode::NoBinding));
        let request = bench.asked(MessageType::Request);
        bench.answer(answer(&request));
        let Event::Lost { old, why: Loss::Refused(refusal) } = bench.event() else {
            panic!("not refused")
        };
        assert_eq!((old.addresses[0].address, refusal.status), (ADDRESS, status));
        assert_eq!(bench.client.lease(), None);
        // What has been refused is not asked for again.
        assert_eq!(bench.asked(MessageType::Solicit).addresses(), Some(vec![]));
    }
}

#[test]
fn a_request_for_it_that_nobody_answers_leads_back_to_the_times_of_the_lease() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew).refuses(StatusCode::NoBinding));
    bench.until(f64::from(VALID) - 1.0);
    let sent = bench.all_sent();
    let requests = sent.iter().filter(|sent| sent.message().kind == MessageType::Request).count();
    assert_eq!(requests, 10);
    bench.state(State::Rebinding);
    assert_eq!(bench.address(), ADDRESS);
}

#[test]
fn a_prefix_that_is_not_known_leaves_the_address_alone() {
    let mut bench = Bench::bound_with_prefix();
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew).pd(|ia| {
        ia.contents.clear();
        ia.status = Some(StatusCode::NoBinding);
    }));
    assert_eq!(bench.event(), Event::Renewed);
    let request = bench.asked(MessageType::Request);
    assert_eq!(request.prefixes(), Some(vec![(PREFIX, 56)]));
    assert_eq!(bench.client.lease().unwrap().start, renew.at);
    bench.answer(reply(&request));
    assert_eq!(bench.event(), Event::Renewed);
}

#[test]
fn a_prefix_that_ends_beside_an_address_is_asked_for_at_once_and_once() {
    let mut bench = Bench::started(with_prefix());
    bench.bind(|answer| answer.pd(|ia| ia.contents[0].3 = 90).pd(|ia| ia.contents[0].2 = 60));
    // The server prolongs the address alone.
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew).pd(|ia| ia.contents.clear()));
    assert_eq!(bench.event(), Event::Renewed);
    bench.until(90.0);
    assert!(matches!(bench.event(), Event::Changed { .. }));
    bench.until(91.0);
    let renew = bench.asked(MessageType::Renew);
    assert_eq!(renew.prefixes(), Some(vec![]));
    let nothing = |ia: &mut Filled| {
        ia.contents.clear();
        ia.status = Some(StatusCode::NoPrefixAvail);
    };
    bench.answer(reply(&renew).pd(nothing));
    assert_eq!(bench.event(), Event::Renewed);
    bench.until(1000.0);
    bench.silent();
    // And so is an address that ends beside a prefix.
    let mut bench = Bench::started(with_prefix());
    bench.bind(|answer| answer.na(|ia| ia.contents[0].3 = 90).na(|ia| ia.contents[0].2 = 60));
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew).na(|ia| ia.contents.clear()));
    bench.event();
    bench.until(91.0);
    bench.event();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew));
    assert_eq!(bench.address(), ADDRESS);
}

#[test]
fn a_reply_without_the_association_is_as_good_as_none() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    let before = bench.client.lease().cloned();
    let mut nothing = reply(&renew);
    nothing.addresses = None;
    bench.answer(nothing);
    bench.answer(reply(&renew).na(|ia| ia.iaid += 1));
    bench.answer(reply(&renew).na(|ia| ia.contents.clear()));
    bench.silent();
    bench.state(State::Renewing);
    assert_eq!(bench.client.lease().cloned(), before);
    assert_eq!(bench.client.progress().ignored.no_association, 2);
    bench.next_deadline();
    assert_eq!(bench.asked(MessageType::Renew).message().xid, renew.message().xid);
}

#[test]
fn a_renewal_that_failed_for_no_reason_is_repeated() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    bench.answer(done(&renew, StatusCode::UnspecFail));
    bench.silent();
    bench.state(State::Renewing);
    bench.next_deadline();
    bench.asked(MessageType::Renew);
    assert!(bench.seconds(bench.now) >= bench.seconds(renew.at) + 9.0);
}

#[test]
fn an_infinite_lease_rests_for_ever_but_can_be_asked_about() {
    let mut bench = Bench::bound_by(|answer| answer.times(0, 0, INFINITY, INFINITY));
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.t1_at, lease.expires_at()), (Instant::NEVER, Instant::NEVER));
    assert_eq!(bench.client.poll_timeout(), None);
    bench.run(|client, now| client.renew(now));
    bench.asked(MessageType::Renew);
    bench.until(10_000.0);
    bench.state(State::Bound);
    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn the_caller_can_renew_early_and_silence_does_no_harm() {
    let mut bench = Bench::bound();
    bench.until(10.0);
    bench.run(|client, now| client.renew(now));
    bench.state(State::Renewing);
    assert_eq!(bench.asked(MessageType::Renew).at, at(10.0));
    bench.until(1000.0);
    bench.state(State::Bound);
    assert_eq!(bench.all_sent().len(), 4, "four more tries");
    bench.until(t1(&bench));
    let renew = bench.asked(MessageType::Renew);
    bench.answer(reply(&renew));
    assert_eq!(bench.event(), Event::Renewed);
}

#[test]
fn t1_takes_an_early_renewal_over() {
    let mut bench = Bench::bound();
    let t1 = t1(&bench);
    bench.until(t1 - 2.0);
    bench.run(|client, now| client.renew(now));
    let early = bench.asked(MessageType::Renew);
    bench.until(t1 + 1.0);
    let regular = bench.asked(MessageType::Renew);
    assert_eq!(bench.seconds(regular.at), t1);
    assert_ne!(regular.message().xid, early.message().xid);
}

#[test]
fn renew_while_rebinding_asks_all_again() {
    let mut bench = Bench::bound();
    bench.until(t2(&bench) + 1.0);
    bench.all_sent();
    bench.run(|client, now| client.renew(now));
    bench.asked(MessageType::Rebind);
    bench.state(State::Rebinding);
}

#[test]
fn short_leases_do_not_hang_on_one_packet() {
    for seconds in [20, 60, 120] {
        let mut bench = Bench::bound_by(|answer| answer.times(0, 0, seconds, seconds));
        bench.until(f64::from(seconds) - 0.1);
        let sent = bench.all_sent();
        let count = |kind| sent.iter().filter(|sent| sent.message().kind == kind).count();
        assert!(count(MessageType::Renew) >= 2, "{seconds}: {sent:?}");
        assert!(count(MessageType::Rebind) >= 2, "{seconds}: {sent:?}");
        assert!(sent.len() <= 12, "{seconds}: {}", sent.len());
    }
}

#[test]
fn tiny_leases_live() {
    for seconds in [1, 2, 5, 10, 30, 60, 120] {
        let mut bench = Bench::bound_by(|answer| answer.times(0, 0, seconds, seconds));
        for _ in 0..50 {
            bench.next_deadline();
            bench.state(State::Renewing);
            let renew = bench.asked(MessageType::Renew);
            let waited = renew.at.saturating_since(bench.client.lease().unwrap().start);
            assert!(waited.as_secs_f64() >= f64::from(seconds) * 0.37, "{seconds}: {waited:?}");
            bench.answer(reply(&renew).times(0, 0, seconds, seconds));
            assert_eq!(bench.event(), Event::Renewed);
        }
    }
}

#[test]
fn after_a_suspend_the_clock_decides() {
    for (slept, state) in
        [(2500.0, State::Renewing), (4000.0, State::Rebinding), (7300.0, State::Soliciting)]
    {
        let mut bench = Bench::bound();
        bench.now = at(slept);
        bench.run(|client, now| client.handle_timeout(now));
        bench.state(state);
        assert_eq!(bench.client.lease().is_some(), slept < f64::from(VALID));
    }
}

#[test]
fn a_new_host_name_reaches_the_server_at_once() {
    let mut bench = Bench::bound();
    bench.until(1.0);
    bench.run(|client, now| client.set_host_name(Some("web"), now));
    let renew = bench.asked(MessageType::Renew);
    assert_eq!(renew.at, at(1.0));
    let fqdn = renew.message().options.client_fqdn().unwrap();
    assert_eq!((fqdn.name.as_deref(), fqdn.server_updates), (Some("web"), true));
    bench.answer(reply(&renew));
    assert_eq!(bench.event(), Event::Renewed);
    bench.run(|client, now| client.set_host_name(Some("web"), now));
    bench.silent();
    bench.run(|client, now| client.set_host_name(Some(""), now));
    assert_eq!(bench.asked(MessageType::Renew).message().options.client_fqdn(), None);
}

#[test]
fn a_daemon_that_restarts_goes_on_where_the_lease_stands() {
    let lease = Bench::bound_with_prefix().client.lease().unwrap().clone();
    let text = serde_json::to_string(&lease).unwrap();
    let stored: dhcp::v6::Lease = serde_json::from_str(&text).unwrap();
    assert_eq!(stored, lease);

    let resumed = |seconds: f64, seed| {
        Bench::at(Client::resume(with_prefix(), lease.clone(), seed, at(seconds)), at(seconds))
    };
    let bench = resumed(100.0, 1);
    bench.state(State::Bound);
    bench.silent();
    assert_eq!(bench.client.poll_timeout(), Some(lease.t1_at));

    let mut moments = std::collections::HashSet::new();
    for seed in 0..20 {
        let mut renewing = resumed(2100.0, seed);
        renewing.silent();
        renewing.next_deadline();
        let renew = renewing.asked(MessageType::Renew);
        assert!(renewing.seconds(renew.at) <= 2110.0);
        moments.insert(renew.at);
        let mut rebinding = resumed(4000.0, seed);
        rebinding.next_deadline();
        rebinding.asked(MessageType::Rebind);
    }
    assert!(moments.len() > 15, "a restarted daemon does not renew all at once");

    let mut over = resumed(f64::from(VALID) + 1.0, 1);
    assert_eq!(over.event(), Event::Lost { old: Box::new(lease), why: Loss::Expired });
    over.state(State::Soliciting);
}

#[test]
fn what_is_left_when_something_is_taken_back_is_still_renewed() {
    let two = |ia: &mut Filled| {
        ia.contents.push((OTHER_ADDRESS, 128, PREFERRED, VALID));
    };
    let mut bench = Bench::bound_by(|answer| answer.na(two));
    bench.next_deadline();
    let mut renew = bench.asked(MessageType::Renew);
    let began = bench.now;
    // A server that only ever takes back.
    for _ in 0..20 {
        bench.answer(reply(&renew).times(0, 0, 0, 0));
        assert_eq!(bench.address(), OTHER_ADDRESS);
        bench.event();
        bench.silent();
        let lease = bench.client.lease().unwrap();
        assert!(lease.t1_at > bench.now && lease.t1_at <= lease.t2_at);
        assert!(lease.t1_at < lease.expires_at() + std::time::Duration::from_secs(2));
        bench.next_deadline();
        let Some(next) = bench.all_sent().pop() else { break };
        renew = next;
    }
    bench.state(State::Soliciting);
    assert!(bench.now.saturating_since(began).as_secs() > 1000, "not in a rush");
}
