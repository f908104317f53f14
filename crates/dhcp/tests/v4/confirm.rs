//! INIT-REBOOT with a lease in hand: RFC 2131 §3.2, §3.7 and §4.4.2; and time that jumps.

use dhcp::v4::{Client, Config, ConflictCheck, Event, Lease, Listening, Loss, State};
use wire::MacAddr;
use wire::arp::Arp;
use wire::dhcp4::{MessageType, code};

use super::bench::*;

const END: f64 = LEASE as f64;

fn lease() -> Lease {
    Bench::bound().client.lease().unwrap().clone()
}

/// A machine that boots at that second of a lease, its client without a check of the address.
fn rebooted(seconds: f64) -> Bench {
    rebooted_with(plain(), seconds)
}

fn rebooted_with(config: Config, seconds: f64) -> Bench {
    let now = at(seconds);
    Bench::at(Client::reboot_with_lease(config, lease(), 1, now), now)
}

/// The REQUEST of INIT-REBOOT that must be next.
fn verifying(bench: &mut Bench) -> Asked {
    let request = bench.request();
    assert_eq!(request.to_mac, MacAddr::BROADCAST);
    assert_eq!(request.from.to_bits(), 0);
    assert_eq!(request.to.to_bits(), u32::MAX);
    assert_eq!(request.message.ciaddr.to_bits(), 0);
    assert_eq!(request.message.options.requested_address(), Some(ADDRESS));
    assert_eq!(request.message.options.get(code::SERVER_ID), None);
    request
}

fn confirming(bench: &mut Bench) {
    bench.run(|client, now| client.confirm(now, now));
    bench.state(State::Confirming);
}

#[test]
fn a_remembered_lease_is_not_used_before_somebody_says_so() {
    let mut bench = rebooted(10.0);
    bench.state(State::Rebooting);
    assert_eq!(bench.client.lease(), None);
    let request = verifying(&mut bench);
    bench.silent();
    bench.until(10.1);
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
    bench.state(State::Bound);
    assert_eq!(bench.client.lease().unwrap().start, request.at);
    bench.silent();
}

#[test]
fn a_remembered_lease_can_be_given_back() {
    let mut bench = rebooted(10.0);
    verifying(&mut bench);
    bench.run(|client, now| client.release(now));
    let release = bench.asked(MessageType::Release);
    assert_eq!((release.message.ciaddr, release.to, release.to_mac), (ADDRESS, SERVER, SERVER_MAC));
    assert_eq!(bench.event(), Event::Released);
}

#[test]
fn a_nak_to_a_remembered_lease_leads_to_init() {
    let mut bench = rebooted(10.0);
    let request = verifying(&mut bench);
    bench.answer(nak(&request));
    bench.state(State::Selecting);
    assert_eq!(bench.discover().message.options.requested_address(), None);
    // It was not in use, so nobody has lost it.
    bench.silent();
}

#[test]
fn after_two_seconds_of_silence_the_remembered_lease_is_used_for_the_rest_of_its_time() {
    let mut bench = rebooted(10.0);
    let first = verifying(&mut bench);
    bench.until(11.999);
    assert_eq!(verifying(&mut bench).message.xid, first.message.xid);
    bench.silent();
    bench.until(12.0);
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.client.lease(), Some(&lease()));
    bench.state(State::Confirming);
    assert!(bench.client.listening().dhcp, "the exchange goes on behind");
    // A late ACK to the first question is an answer.
    bench.until(12.5);
    bench.answer(ack(&first));
    assert_eq!(bench.event(), Event::Renewed);
    bench.state(State::Bound);
    bench.until(500.0);
    bench.silent();
}

#[test]
fn behind_a_lease_in_use_the_servers_are_asked_at_the_rfcs_pace_until_t1() {
    let mut bench = rebooted(10.0);
    let renew_at = bench.seconds(lease().renew_at);
    bench.until(renew_at - 0.001);
    assert_eq!(bench.event(), Event::Bound);
    let sent: Vec<_> = bench.all_sent().iter().map(|sent| bench.seconds(sent.at) - 12.0).collect();
    for (pair, expected) in sent[2..].windows(2).zip([8.0, 16.0, 32.0, 64.0, 64.0, 64.0]) {
        assert!((pair[1] - pair[0] - expected).abs() <= 1.0, "{sent:?}");
    }
    assert!((3.0..=5.0).contains(&sent[2]));
    bench.until(renew_at);
    bench.state(State::Renewing);
    let renewal = bench.request();
    assert_eq!((renewal.to, renewal.to_mac), (SERVER, SERVER_MAC));
    bench.answer(ack(&renewal));
    assert_eq!(bench.event(), Event::Renewed);
}

#[test]
fn an_answer_that_comes_hours_later_counts_from_its_own_request() {
    let mut bench = rebooted(10.0);
    bench.until(3000.0);
    assert_eq!(bench.event(), Event::Bound);
    bench.all_sent();
    bench.next_deadline();
    let request = verifying(&mut bench);
    bench.answer(ack(&request).lease(600));
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(bench.client.lease().unwrap().start, request.at);
}

#[test]
fn a_nak_after_the_silence_loses_the_lease() {
    let mut bench = rebooted(10.0);
    verifying(&mut bench);
    bench.until(13.0);
    assert_eq!(bench.event(), Event::Bound);
    bench.all_sent();
    bench.next_deadline();
    let request = verifying(&mut bench);
    bench.answer(nak(&request));
    assert!(matches!(bench.event(), Event::Lost { why: Loss::Nak { .. }, .. }));
    bench.discover();
}

#[test]
fn a_remembered_lease_ends_at_its_own_time() {
    let mut bench = rebooted(10.0);
    bench.until(END);
    assert_eq!(bench.event(), Event::Bound);
    let Event::Lost { old, why: Loss::Expired } = bench.event() else { panic!("not lost") };
    assert_eq!(old.address, ADDRESS);
    assert_eq!(bench.all_sent().len() as u32, {
        let progress = bench.client.progress();
        progress.requests + progress.resolutions + progress.discovers
    });
    bench.state(State::Selecting);

    // It ends within the two seconds: it is not used at all.
    let mut bench = rebooted(END - 1.0);
    bench.until(END + 1.0);
    bench.state(State::Selecting);
    let sent = bench.all_sent();
    let What::Dhcp { message, .. } = &sent.last().unwrap().what else { panic!("not DHCP") };
    assert_eq!(message.options.requested_address(), Some(ADDRESS));
    bench.silent();
    // It was over before: nothing but the address is known.
    let mut bench = rebooted(END + 1.0);
    bench.state(State::Rebooting);
    bench.until(END + 10.0);
    bench.state(State::Selecting);
    assert_eq!(bench.client.lease(), None);
    bench.all_sent();
    bench.silent();
}

#[test]
fn past_t1_or_t2_a_remembered_lease_is_renewed_or_rebound_after_the_silence() {
    for (share, state) in [(0.6, State::Renewing), (0.9, State::Rebinding)] {
        let mut bench = rebooted(END * share);
        bench.until(END * share + 2.0);
        assert_eq!(bench.event(), Event::Bound);
        bench.state(state);
    }
}

#[test]
fn a_remembered_lease_is_probed_with_the_request() {
    let mut bench = rebooted_with(Config::new(MAC), 10.0);
    let request = verifying(&mut bench);
    bench.probe(ADDRESS);
    bench.answer(ack(&request));
    bench.state(State::Probing);
    bench.until(10.003);
    assert_eq!(bench.event(), Event::Bound);

    // Silence costs the two seconds and no more.
    let mut bench = rebooted_with(Config::new(MAC), 10.0);
    bench.until(12.0);
    assert_eq!(bench.event(), Event::Bound);
    bench.state(State::Confirming);

    // Somebody has the address: the server of the lease is told.
    let mut bench = rebooted_with(Config::new(MAC), 10.0);
    verifying(&mut bench);
    bench.probe(ADDRESS);
    bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
    bench.silent();
    bench.next_deadline();
    let decline = bench.declined();
    assert_eq!(decline.message.options.server_id(), Some(SERVER));
    bench.until(20.0);
    assert_eq!(bench.client.lease(), None);
}

#[test]
fn with_the_full_check_the_silence_comes_before_the_probes_and_an_ack_between_counts() {
    let config = Config { conflict_check: ConflictCheck::Full, ..Config::new(MAC) };
    let mut bench = rebooted_with(config.clone(), 10.0);
    let request = verifying(&mut bench);
    bench.until(12.0);
    bench.state(State::Probing);
    bench.answer(ack(&request).lease(9000));
    bench.state(State::Probing);
    bench.until(20.0);
    assert_eq!(bench.event(), Event::Bound);
    bench.state(State::Bound);
    assert_eq!(bench.client.lease().unwrap().lifetime().as_secs(), 9000);
    assert!(!bench.client.is_probing());

    let mut bench = rebooted_with(config.clone(), 10.0);
    bench.until(19.0);
    assert_eq!(bench.event(), Event::Bound);
    bench.state(State::Confirming);

    let mut bench = rebooted_with(config, 10.0);
    let request = verifying(&mut bench);
    bench.until(12.0);
    bench.all_sent();
    bench.answer(nak(&request));
    bench.state(State::Selecting);
    bench.discover();
    bench.silent();
}

#[test]
fn a_lease_stays_in_use_while_it_is_confirmed() {
    let mut bench = Bench::bound();
    bench.until(100.0);
    confirming(&mut bench);
    let request = verifying(&mut bench);
    assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
    assert_eq!(bench.client.listening(), Listening { dhcp: true, ..Listening::default() });
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(bench.client.lease().unwrap().start, at(100.0));
    bench.silent();
    bench.state(State::Bound);

    confirming(&mut bench);
    let request = verifying(&mut bench);
    bench.answer(ack(&request).set(code::ROUTER, &[192, 0, 2, 77]));
    assert!(matches!(bench.event(), Event::Changed { .. }));
}

#[test]
fn a_nak_to_a_confirmation_loses_the_lease() {
    let mut bench = Bench::bound();
    confirming(&mut bench);
    let request = verifying(&mut bench);
    bench.answer(nak(&request).set(code::MESSAGE, b"wrong network"));
    let why = Loss::Nak { server: SERVER, message: Some("wrong network".into()) };
    assert_eq!(bench.event(), Event::Lost { old: Box::new(lease()), why });
    assert_eq!(bench.discover().message.options.requested_address(), None);
}

#[test]
fn silence_to_a_confirmation_leaves_the_client_where_its_times_say() {
    for (share, state) in [(0.1, State::Bound), (0.6, State::Renewing), (0.9, State::Rebinding)] {
        let mut bench = Bench::bound();
        let begin = END * share;
        bench.until(begin);
        bench.all_sent();
        confirming(&mut bench);
        bench.until(begin + 5.0);
        bench.state(State::Confirming);
        let times = [(); 3].map(|()| verifying(&mut bench).at).map(|at| bench.seconds(at) - begin);
        for (time, expected) in times.iter().zip([0.0, 1.0, 3.0]) {
            assert!((time - expected).abs() <= 0.75, "{times:?}");
        }
        bench.silent();
        bench.until(begin + 10.0);
        bench.state(state);
        assert_eq!(bench.client.lease(), Some(&lease()));
    }
}

#[test]
fn an_ack_to_the_first_of_three_questions_is_taken_from_a_slow_server() {
    let mut bench = Bench::bound();
    confirming(&mut bench);
    let first = verifying(&mut bench);
    bench.until(4.5);
    bench.answer(ack(&first));
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(bench.client.lease().unwrap().start, at(0.0));
}

#[test]
fn a_confirmation_waits_for_its_time() {
    let mut bench = Bench::bound();
    bench.run(|client, now| client.confirm(at(5.0), now));
    assert!(!bench.client.listening().dhcp);
    bench.until(4.999);
    bench.silent();
    bench.until(5.0);
    let request = verifying(&mut bench);
    assert_eq!(request.message.secs, 0);
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(bench.client.lease().unwrap().start, at(5.0));
}

#[test]
fn a_lease_that_ends_while_it_is_confirmed_is_lost_in_time() {
    let mut bench = Bench::bound();
    bench.until(END - 1.0);
    bench.all_sent();
    bench.run(|client, now| client.confirm(at(END - 0.5), now));
    bench.until(END);
    assert!(matches!(bench.event(), Event::Lost { why: Loss::Expired, .. }));
    bench.state(State::Selecting);
}

#[test]
fn a_confirmation_probes_the_address_anew_and_a_conflict_ends_the_lease() {
    let mut bench = Bench::with(Config::new(MAC));
    bench.run(|client, now| client.start(now));
    bench.exchange();
    bench.until(100.0);
    bench.all_sent();
    bench.event();
    for check in 0..2 {
        confirming(&mut bench);
        let request = verifying(&mut bench);
        bench.probe(ADDRESS);
        assert!(bench.client.is_probing());
        if check == 0 {
            bench.answer(ack(&request));
            assert_eq!(bench.event(), Event::Renewed);
            bench.until(110.0);
            bench.probe(ADDRESS);
            bench.probe(ADDRESS);
            bench.silent();
        }
    }
    bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
    assert!(matches!(bench.event(), Event::Lost { why: Loss::Conflict { .. }, .. }));
    bench.declined();
    bench.state(State::Init);
}

#[test]
fn without_a_lease_a_confirmation_begins_the_search_anew() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    bench.until(100.0);
    bench.all_sent();
    bench.run(|client, now| client.confirm(now, now));
    let discover = bench.discover();
    assert_eq!((discover.at, discover.message.secs), (at(100.0), 0));
    bench.until(101.5);
    bench.discover();
    // In REQUESTING: the offer may be one of a LAN that is no more.
    bench.answer(offer(&discover));
    bench.until(104.0);
    bench.all_sent();
    bench.run(|client, now| client.confirm(now, now));
    bench.state(State::Selecting);
    bench.discover();

    // In REBOOTING and PROBING the same question is asked again.
    let mut bench = rebooted(10.0);
    verifying(&mut bench);
    bench.until(10.1);
    bench.run(|client, _| client.confirm(at(11.0), at(10.1)));
    assert!(!bench.client.listening().dhcp);
    bench.until(12.9);
    verifying(&mut bench);
    bench.state(State::Rebooting);
    bench.until(13.0);
    assert_eq!(bench.event(), Event::Bound);

    let config = Config { conflict_check: ConflictCheck::Full, ..Config::new(MAC) };
    let mut bench = Bench::with(config);
    bench.run(|client, now| client.start(now));
    bench.exchange();
    bench.run(|client, now| client.confirm(now, now));
    bench.state(State::Rebooting);
    let request = verifying(&mut bench);
    bench.answer(ack(&request));
    bench.until(10.0);
    assert_eq!(bench.event(), Event::Bound);

    // Stopped stays stopped.
    let mut bench = Bench::new();
    bench.run(|client, now| client.confirm(now, now));
    bench.silent();
    bench.state(State::Stopped);
    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn a_confirmation_does_not_shorten_a_pause_after_conflicts() {
    let mut bench = Bench::with(Config::new(MAC));
    bench.run(|client, now| client.start(now));
    bench.exchange();
    bench.until(1.0);
    bench.event();
    bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
    bench.state(State::Init);
    bench.all_sent();
    bench.run(|client, now| client.confirm(now, now));
    bench.until(10.9);
    assert!(bench.all_sent().is_empty());
}

#[test]
fn a_host_name_set_while_confirming_goes_with_a_new_question() {
    let mut bench = Bench::bound();
    confirming(&mut bench);
    let first = verifying(&mut bench);
    bench.until(0.2);
    bench.run(|client, now| client.set_host_name(Some("web"), now));
    let second = verifying(&mut bench);
    assert_eq!(second.message.options.host_name().as_deref(), Some("web"));
    assert_ne!(second.message.xid, first.message.xid);
    bench.answer(ack(&second));
    assert_eq!(bench.event(), Event::Renewed);
    bench.silent();
}

#[test]
fn a_jump_of_time_is_dealt_with_in_one_step() {
    for (share, state) in [
        (0.6, State::Renewing),
        (0.9, State::Rebinding),
        (1.0, State::Selecting),
        (50.0, State::Selecting),
    ] {
        for confirming in [false, true] {
            let mut bench = Bench::bound();
            if confirming {
                bench.run(|client, now| client.confirm(now, now));
                bench.until(1.5);
                bench.all_sent();
            }
            bench.now = at(END * share);
            bench.run(|client, now| client.handle_timeout(now));
            if share >= 1.0 {
                let Event::Lost { old, why: Loss::Expired } = bench.event() else {
                    panic!("not lost");
                };
                assert_eq!(old.address, ADDRESS);
                let discover = bench.discover();
                assert_eq!(discover.message.options.requested_address(), Some(ADDRESS));
                bench.state(state);
            } else if confirming {
                // One more of the three questions; then where the times say.
                verifying(&mut bench);
                bench.until(END * share + 10.0);
                bench.state(state);
                bench.all_sent();
            } else {
                let request = bench.request();
                assert_eq!(request.message.ciaddr, ADDRESS);
                let to_all = state == State::Rebinding;
                assert_eq!(request.to_mac == MacAddr::BROADCAST, to_all);
                bench.state(state);
            }
            bench.silent();
            assert!(bench.client.poll_timeout().unwrap() > bench.now);
        }
    }
}
