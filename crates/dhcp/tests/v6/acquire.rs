//! Solicit, Advertise, Request, Reply: RFC 8415 §18.2.1, §18.2.2, §18.2.9, §18.2.10.

use dhcp::v6::{Client, Config, Event, Offered, State};
use wire::dhcp6::{MessageType, StatusCode, code};

use super::bench::*;

#[test]
fn four_messages_make_a_lease() {
    let mut bench = Bench::new();
    bench.state(State::Stopped);
    assert_eq!(bench.client.poll_timeout(), None);
    assert!(!bench.client.listening());

    bench.run(|client, now| client.start(now));
    bench.state(State::Soliciting);
    assert!(bench.client.listening());
    let solicit = bench.asked(MessageType::Solicit);
    assert_eq!((solicit.at, solicit.source), (at(0.0), None));
    assert_eq!(solicit.addresses(), Some(vec![]));
    assert_eq!(solicit.prefixes(), None);

    bench.until(0.01);
    bench.answer(advertise(&solicit));
    bench.state(State::Requesting);
    let request = bench.asked(MessageType::Request);
    assert_ne!(request.message().xid, solicit.message().xid);
    assert_eq!(request.message().options.server_id(), Some(&server()[..]));
    assert_eq!(request.addresses(), Some(vec![ADDRESS]));

    bench.until(0.02);
    bench.answer(reply(&request));
    bench.state(State::Bound);
    assert_eq!(bench.event(), Event::Bound);
    bench.silent();
    assert!(!bench.client.listening());

    let lease = bench.client.lease().unwrap();
    assert_eq!((bench.address(), &lease.server), (ADDRESS, &server()));
    assert_eq!((&lease.dns[..], lease.search.len()), (&[DNS][..], 0));
    // It counts from the Request, not from the Reply.
    assert_eq!(lease.start, at(0.01));
    assert_eq!(lease.addresses[0].preferred_until, at(0.01 + f64::from(PREFERRED)));
    assert_eq!(lease.addresses[0].valid_until, at(0.01 + f64::from(VALID)));
    assert_eq!(lease.expires_at(), at(0.01 + f64::from(VALID)));

    let progress = bench.client.progress();
    let counts = (progress.solicits, progress.advertises, progress.requests, progress.replies);
    assert_eq!(counts, (1, 1, 1, 1));
    let offered =
        Offered { server: server(), source: SOURCE, address: Some(ADDRESS), prefix: None };
    assert_eq!(progress.last_offer.as_deref(), Some(&offered));
    assert_eq!(progress.ignored.total(), 0);
}

#[test]
fn solicits_go_out_at_once_and_then_at_the_pace_of_the_rfc() {
    for seed in 0..30 {
        let mut bench = Bench::of(Client::new(plain(), seed));
        bench.run(|client, now| client.start(now));
        bench.until(40_000.0);
        let sent = bench.all_sent();
        let times: Vec<_> = sent.iter().map(|sent| bench.seconds(sent.at)).collect();
        assert_eq!(times[0], 0.0);
        let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // The first is longer than IRT, never shorter.
        assert!(waits[0] > 1.0 && waits[0] <= 1.1, "{waits:?}");
        for pair in waits.windows(2) {
            let doubled = (1.9 * pair[0] - 1e-6..=2.1 * pair[0] + 1e-6).contains(&pair[1]);
            assert!(doubled || (3240.0..=3960.0).contains(&pair[1]), "{waits:?}");
        }
        assert!(waits.last().unwrap() > &3200.0, "{waits:?}");
        for sent in &sent {
            let message = sent.message();
            let elapsed = (bench.seconds(sent.at) * 100.0) as u64;
            let elapsed = u16::try_from(elapsed).unwrap_or(u16::MAX);
            assert!(message.options.elapsed_time().unwrap().abs_diff(elapsed) <= 1);
        }
        let first = sent[0].message().xid;
        assert!(sent.iter().all(|sent| sent.message().xid == first), "one transaction");
        bench.state(State::Soliciting);
    }
}

#[test]
fn two_clients_do_not_keep_step() {
    let times = |seed| {
        let mut bench = Bench::of(Client::new(plain(), seed));
        bench.run(|client, now| client.start(now));
        bench.until(100.0);
        bench.all_sent().iter().map(|sent| sent.at).collect::<Vec<_>>()
    };
    assert_eq!(times(7), times(7));
    assert_ne!(times(7), times(8));
}

#[test]
fn sol_max_rt_of_a_server_that_has_nothing_is_heeded() {
    let mut bench = Bench::started(plain());
    let solicit = bench.asked(MessageType::Solicit);
    let none = |answer: Answer| answer.refuses(StatusCode::NoAddrsAvail);
    bench.answer(none(advertise(&solicit)).set(code::SOL_MAX_RT, &60u32.to_be_bytes()));
    bench.state(State::Soliciting);
    bench.until(1000.0);
    let times: Vec<_> = bench.all_sent().iter().map(|sent| bench.seconds(sent.at)).collect();
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!((54.0..=66.0).contains(&longest), "{times:?}");
    let refusal = bench.client.progress().last_refusal.clone().unwrap();
    assert_eq!((refusal.server, refusal.status), (server(), StatusCode::NoAddrsAvail));
    assert_eq!(bench.client.progress().advertises, 0);
}

#[test]
fn max_rt_out_of_bounds_is_none() {
    for seconds in [0, 59, 86_401, u32::MAX] {
        let mut bench = Bench::started(plain());
        let solicit = bench.asked(MessageType::Solicit);
        let answer = advertise(&solicit).refuses(StatusCode::NoAddrsAvail);
        bench.answer(answer.set(code::SOL_MAX_RT, &seconds.to_be_bytes()));
        bench.until(20_000.0);
        let times: Vec<_> = bench.all_sent().iter().map(|sent| bench.seconds(sent.at)).collect();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        assert!((3240.0..=3960.0).contains(&longest), "{seconds}: {times:?}");
    }
}

#[test]
fn while_somebody_waits_the_first_advertise_wins() {
    let mut bench = Bench::started(plain());
    let solicit = bench.asked(MessageType::Solicit);
    bench.answer(advertise(&solicit).server(other_server()));
    bench.answer(advertise(&solicit).set(code::PREFERENCE, &[255]));
    let request = bench.asked(MessageType::Request);
    assert_eq!(request.message().options.server_id(), Some(&other_server()[..]));
    bench.silent();
    // The other server has no say any more.
    bench.answer(reply(&request));
    bench.state(State::Requesting);
    assert_eq!(bench.client.progress().ignored.other_server, 1);
    bench.answer(reply(&request).server(other_server()));
    bench.state(State::Bound);
}

#[test]
fn while_somebody_waits_a_part_of_what_is_asked_for_waits_a_moment_for_all_of_it() {
    let part = |solicit: &Sent| {
        advertise(solicit).server(other_server()).set(code::PREFERENCE, &[9]).pd(|ia| {
            ia.contents.clear();
            ia.status = Some(StatusCode::NoPrefixAvail);
        })
    };
    let mut bench = Bench::started(with_prefix());
    let solicit = bench.asked(MessageType::Solicit);
    bench.answer(part(&solicit));
    bench.silent();
    bench.answer(advertise(&solicit));
    let request = bench.asked(MessageType::Request);
    assert_eq!(request.message().options.server_id(), Some(&server()[..]));

    // A part is better than nothing.
    let mut bench = Bench::started(with_prefix());
    let solicit = bench.asked(MessageType::Solicit);
    bench.until(0.1);
    bench.answer(part(&solicit));
    bench.until(0.39);
    bench.silent();
    bench.until(0.41);
    let request = bench.asked(MessageType::Request);
    assert_eq!(request.message().options.server_id(), Some(&other_server()[..]));
}

/// A client whose lease has run out: nobody waits for its next one.
fn patient() -> (Bench, Sent) {
    let mut bench = Bench::bound();
    bench.until(f64::from(VALID));
    bench.all_sent();
    assert!(matches!(bench.event(), Event::Lost { .. }));
    assert!(bench.client.lease().is_none());
    bench.next_deadline();
    assert!(bench.seconds(bench.now) <= f64::from(VALID) + 1.0, "SOL_MAX_DELAY");
    let solicit = bench.asked(MessageType::Solicit);
    (bench, solicit)
}

#[test]
fn else_the_most_preferred_of_the_first_second_wins() {
    let (mut bench, solicit) = patient();
    // What there was is asked for again.
    assert_eq!(solicit.addresses(), Some(vec![ADDRESS]));
    bench.answer(advertise(&solicit).server(other_server()).set(code::PREFERENCE, &[7]));
    bench.answer(advertise(&solicit).set(code::PREFERENCE, &[9]));
    bench.answer(advertise(&solicit).server(other_server()).set(code::PREFERENCE, &[8]));
    bench.silent();
    let asked = bench.now;
    bench.next_deadline();
    let waited = bench.now.saturating_since(asked).as_secs_f64();
    assert!(waited > 1.0 && waited <= 1.1, "{waited}");
    let request = bench.asked(MessageType::Request);
    assert_eq!(request.message().options.server_id(), Some(&server()[..]));
    assert_eq!(bench.client.progress().advertises, 1 + 3);
}

#[test]
fn a_preference_of_255_is_taken_at_once() {
    let (mut bench, solicit) = patient();
    bench.answer(advertise(&solicit).server(other_server()).set(code::PREFERENCE, &[254]));
    bench.silent();
    bench.answer(advertise(&solicit).set(code::PREFERENCE, &[255]));
    let request = bench.asked(MessageType::Request);
    assert_eq!(request.message().options.server_id(), Some(&server()[..]));
}

#[test]
fn after_the_first_wait_any_advertise_is_taken_at_once() {
    let (mut bench, _) = patient();
    bench.next_deadline();
    let again = bench.asked(MessageType::Solicit);
    bench.answer(advertise(&again));
    bench.asked(MessageType::Request);
}

#[test]
fn of_two_servers_the_one_that_gives_all_wins() {
    let mut bench = Bench::bound_with_prefix();
    bench.until(f64::from(VALID));
    bench.next_deadline();
    let solicit = bench.all_sent().pop().unwrap();
    assert_eq!(solicit.prefixes(), Some(vec![(std::net::Ipv6Addr::UNSPECIFIED, 56)]));
    let mut half = advertise(&solicit).server(other_server());
    half.prefixes = None;
    bench.answer(half);
    bench.answer(advertise(&solicit));
    bench.next_deadline();
    let request = bench.asked(MessageType::Request);
    assert_eq!(request.message().options.server_id(), Some(&server()[..]));
    assert_eq!(request.prefixes(), Some(vec![(PREFIX, 56)]));
}

#[test]
fn rapid_commit_makes_a_lease_of_two_messages() {
    let mut bench = Bench::started(Config::new(duid(), IAID));
    let solicit = bench.asked(MessageType::Solicit);
    assert!(solicit.message().options.rapid_commit());
    // A Reply without the option is not an answer to it.
    bench.answer(reply(&solicit));
    bench.state(State::Soliciting);
    assert_eq!(bench.client.progress().ignored.unexpected, 1);
    bench.answer(reply(&solicit).set(code::RAPID_COMMIT, &[]));
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.address(), ADDRESS);
    bench.silent();
}

#[test]
fn a_server_without_rapid_commit_is_answered_with_a_request() {
    let mut bench = Bench::started(Config::new(duid(), IAID));
    let solicit = bench.asked(MessageType::Solicit);
    bench.answer(advertise(&solicit));
    let request = bench.asked(MessageType::Request);
    assert!(!request.message().options.rapid_commit());
}

#[test]
fn nobody_commits_rapidly_who_was_not_asked_to() {
    let mut bench = Bench::started(plain());
    let solicit = bench.asked(MessageType::Solicit);
    assert!(!solicit.message().options.rapid_commit());
    bench.answer(reply(&solicit).set(code::RAPID_COMMIT, &[]));
    bench.state(State::Soliciting);
    assert_eq!(bench.client.progress().ignored.unexpected, 1);
}

#[test]
fn an_unanswered_request_is_repeated_and_then_given_up() {
    let mut bench = Bench::started(plain());
    let solicit = bench.asked(MessageType::Solicit);
    bench.answer(advertise(&solicit));
    bench.until(8.0);
    let requests: Vec<_> = (0..4).map(|_| bench.asked(MessageType::Request)).collect();
    for (request, expected) in requests.iter().zip([0.0, 1.0, 3.0, 7.0]) {
        let time = bench.seconds(request.at);
        assert!((time - expected).abs() <= expected / 10.0 + 0.2, "{time} for {expected}");
        assert_eq!(request.message().xid, requests[0].message().xid);
    }
    bench.until(17.0);
    let again = bench.asked(MessageType::Solicit);
    // The old transaction's answers come too late.
    bench.answer(reply(&requests[0]));
    assert_eq!(bench.client.progress().ignored.other_exchange, 1);
    bench.state(State::Soliciting);
    // From here on nobody waits: ten Requests.
    bench.answer(advertise(&again));
    bench.until(400.0);
    let kinds: Vec<_> = bench.all_sent().iter().map(|sent| sent.message().kind).collect();
    let requests = kinds.iter().filter(|kind| **kind == MessageType::Request).count();
    assert_eq!(requests, 10, "{kinds:?}");
}

#[test]
fn refusals_in_a_row_are_answered_ever_later() {
    let mut bench = Bench::started(plain());
    let mut waits = Vec::new();
    for _ in 0..10 {
        let began = bench.now;
        if bench.client.state() == State::Init {
            assert!(!bench.client.listening());
            bench.next_deadline();
        }
        waits.push(bench.now.saturating_since(began).as_secs_f64());
        let solicit = bench.asked(MessageType::Solicit);
        bench.answer(advertise(&solicit));
        let request = bench.asked(MessageType::Request);
        bench.answer(reply(&request).refuses(StatusCode::NoAddrsAvail));
    }
    for (wait, expected) in waits.iter().zip([0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 64.0])
    {
        assert!((wait - expected).abs() <= expected / 10.0, "{waits:?}");
    }
    assert_eq!(bench.client.progress().refusals, 10);
}

#[test]
fn not_on_link_leads_to_a_solicit_without_the_address() {
    let config = Config { requested_address: Some(OTHER_ADDRESS), ..plain() };
    let mut bench = Bench::started(config);
    let solicit = bench.asked(MessageType::Solicit);
    assert_eq!(solicit.addresses(), Some(vec![OTHER_ADDRESS]));
    bench.answer(advertise(&solicit));
    let request = bench.asked(MessageType::Request);
    bench.answer(done(&request, StatusCode::NotOnLink));
    assert_eq!(bench.asked(MessageType::Solicit).addresses(), Some(vec![]));
}

#[test]
fn a_request_that_failed_for_no_reason_is_repeated() {
    for status in [StatusCode::UnspecFail, StatusCode::UseMulticast, StatusCode::Other(99)] {
        let mut bench = Bench::started(plain());
        let solicit = bench.asked(MessageType::Solicit);
        bench.answer(advertise(&solicit));
        let request = bench.asked(MessageType::Request);
        bench.answer(done(&request, status));
        bench.silent();
        bench.state(State::Requesting);
        bench.next_deadline();
        assert!(bench.seconds(bench.now) >= 0.9);
        let again = bench.asked(MessageType::Request);
        bench.answer(reply(&again));
        bench.state(State::Bound);
    }
}

#[test]
fn an_advertise_that_failed_is_none() {
    let mut bench = Bench::started(plain());
    let solicit = bench.asked(MessageType::Solicit);
    bench.answer(advertise(&solicit).status(StatusCode::UnspecFail));
    bench.answer(advertise(&solicit).na(|ia| ia.contents.clear()));
    bench.silent();
    assert_eq!(bench.client.progress().refusals, 2);
    bench.answer(advertise(&solicit));
    bench.asked(MessageType::Request);
}

#[test]
fn a_server_may_give_a_part_of_what_is_asked_for() {
    let mut bench = Bench::started(with_prefix());
    let solicit = bench.asked(MessageType::Solicit);
    let no_prefix = |answer: Answer| {
        answer.pd(|ia| {
            ia.contents.clear();
            ia.status = Some(StatusCode::NoPrefixAvail);
        })
    };
    bench.answer(no_prefix(advertise(&solicit)));
    bench.next_deadline();
    let request = bench.asked(MessageType::Request);
    // It is asked for all the same.
    assert_eq!((request.addresses(), request.prefixes()), (Some(vec![ADDRESS]), Some(vec![])));
    bench.answer(no_prefix(reply(&request)));
    assert_eq!(bench.event(), Event::Bound);
    assert!(bench.client.lease().unwrap().prefixes.is_empty());
    // And again with each renewal.
    bench.next_deadline();
    let renew = bench.asked(MessageType::Renew);
    assert_eq!((renew.addresses(), renew.prefixes()), (Some(vec![ADDRESS]), Some(vec![])));
    bench.answer(reply(&renew));
    assert!(matches!(bench.event(), Event::Changed { .. }));
    assert_eq!(bench.client.lease().unwrap().prefixes[0].prefix, PREFIX);
}

#[test]
fn a_lease_of_prefixes_alone() {
    let mut bench = Bench::started(Config { address: false, ..with_prefix() });
    let solicit = bench.asked(MessageType::Solicit);
    assert_eq!(solicit.addresses(), None);
    bench.answer(advertise(&solicit));
    let request = bench.asked(MessageType::Request);
    bench.answer(reply(&request));
    assert_eq!(bench.event(), Event::Bound);
    let lease = bench.client.lease().unwrap();
    assert!(lease.addresses.is_empty());
    assert_eq!((lease.prefixes[0].prefix, lease.prefixes[0].length), (PREFIX, 56));
}

#[test]
fn start_happens_once() {
    let mut bench = Bench::started(plain());
    bench.run(|client, now| client.start(now));
    bench.asked(MessageType::Solicit);
    bench.silent();
    let mut bench = Bench::bound();
    bench.run(|client, now| client.start(now));
    bench.silent();
    bench.state(State::Bound);
}

#[test]
fn a_late_clock_does_what_is_due_once() {
    let mut bench = Bench::started(plain());
    bench.asked(MessageType::Solicit);
    for _ in 0..3 {
        bench.run(|client, now| client.handle_timeout(now));
    }
    bench.silent();
    bench.now = at(1000.0);
    bench.run(|client, now| client.handle_timeout(now));
    bench.asked(MessageType::Solicit);
    bench.silent();
    assert!(bench.client.poll_timeout().unwrap() > bench.now);
}
