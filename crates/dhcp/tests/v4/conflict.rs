//! Probing an address before and after it is taken into use, and declining it: RFC 5227 §2.1,
//! RFC 2131 §3.1 step 5 and §4.4.4.

use std::net::Ipv4Addr;

use dhcp::v4::{Client, Config, Conflict, ConflictCheck, Event, Listening, Loss, State};
use wire::MacAddr;
use wire::arp::{Arp, Operation};
use wire::dhcp4::MessageType;

use super::bench::*;

/// A client in BOUND 2 ms after second 0, with the first probe sent and two to come.
fn bound_fast() -> Bench {
    let mut bench = started(ConflictCheck::Fast);
    bench.exchange();
    bench.until(0.002);
    bench.probe(ADDRESS);
    assert_eq!(bench.event(), Event::Bound);
    bench.silent();
    bench
}

#[test]
fn fast_is_the_default() {
    assert_eq!(Config::new(MAC).conflict_check, ConflictCheck::Fast);
}

#[test]
fn fast_probes_with_the_request_and_is_bound_two_milliseconds_later() {
    let mut bench = started(ConflictCheck::Fast);
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    assert_eq!(bench.probe(ADDRESS).at, request.at);
    bench.until(0.001);
    bench.answer(ack(&request));
    bench.state(State::Probing);
    assert_eq!(bench.client.lease(), None, "not before the address is known to be free");
    bench.until(0.001_999);
    bench.silent();
    bench.until(0.002);
    assert_eq!(bench.event(), Event::Bound);
    bench.state(State::Bound);
    // The lease counts from the REQUEST as ever.
    assert_eq!(bench.client.lease().unwrap().start, request.at);
    assert_eq!(bench.client.progress().probes, 1);
}

#[test]
fn fast_does_not_hold_up_an_ack_that_comes_later() {
    let mut bench = started(ConflictCheck::Fast);
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.probe(ADDRESS);
    bench.until(0.5);
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
    bench.silent();
}

#[test]
fn fast_goes_on_with_two_probes_one_to_two_seconds_apart_and_listens_for_two_more() {
    for seed in 0..50 {
        let mut bench = Bench::of(Client::new(Config::new(MAC), seed));
        bench.run(|client, now| client.start(now));
        bench.exchange();
        bench.until(30.0);
        assert_eq!(bench.event(), Event::Bound);
        let times: Vec<f64> = (0..3)
            .map(|_| {
                let at = bench.probe(ADDRESS).at;
                bench.seconds(at)
            })
            .collect();
        bench.silent();
        for pair in times.windows(2) {
            assert!((1.0..=2.0).contains(&(pair[1] - pair[0])), "{times:?}");
        }
        assert_eq!(bench.client.progress().probes, 3);

        // The listening ends two seconds after the last probe, to the moment.
        let last = times[2];
        for (seconds, lost) in [(last + 1.9999, true), (last + 2.0001, false)] {
            let mut bench = Bench::of(Client::new(Config::new(MAC), seed));
            bench.run(|client, now| client.start(now));
            bench.exchange();
            bench.until(seconds);
            assert_eq!(bench.client.is_probing(), lost);
            bench.all_sent();
            assert_eq!(bench.event(), Event::Bound);
            bench.hear_arp(occupied());
            assert_eq!(bench.client.lease().is_none(), lost, "{seconds}");
        }
    }
}

#[test]
fn full_keeps_the_times_of_the_rfc_between_ack_and_bound() {
    let mut first = Vec::new();
    for seed in 0..50 {
        let mut bench = Bench::of(Client::new(checking(ConflictCheck::Full), seed));
        bench.run(|client, now| client.start(now));
        let discover = bench.discover();
        bench.answer(offer(&discover));
        let request = bench.request();
        bench.until(0.01);
        bench.silent();
        bench.answer(ack(&request));
        bench.state(State::Probing);
        let mut times = vec![0.01];
        while bench.client.state() == State::Probing {
            assert_eq!(bench.client.lease(), None);
            bench.next_deadline();
            times.push(bench.seconds(bench.now));
        }
        for at in &times[1..4] {
            let probed = bench.probe(ADDRESS).at;
            assert_eq!(bench.seconds(probed), *at);
        }
        assert_eq!(bench.event(), Event::Bound);
        bench.silent();
        assert_eq!(times.len(), 5);
        let waits: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        assert!((0.0..=1.0).contains(&waits[0]), "PROBE_WAIT: {waits:?}");
        assert!((1.0..=2.0).contains(&waits[1]) && (1.0..=2.0).contains(&waits[2]), "{waits:?}");
        assert!((waits[3] - 2.0).abs() < 1e-6, "ANNOUNCE_WAIT: {waits:?}");
        first.push(waits[0]);
        // All of the check is over.
        assert!(!bench.client.is_probing());
        bench.until(100.0);
        bench.silent();
    }
    let (least, most) =
        (first.iter().copied().fold(1.0, f64::min), first.iter().copied().fold(0.0, f64::max));
    assert!(least < 0.2 && most > 0.8, "the first delay is a random one: {least} to {most}");
}

#[test]
fn off_sends_no_probe_and_knows_no_conflict() {
    let mut bench = started(ConflictCheck::Off);
    bench.exchange();
    assert_eq!(bench.event(), Event::Bound);
    bench.hear_arp(occupied());
    bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
    bench.until(60.0);
    bench.silent();
    assert_eq!(bench.client.listening(), Listening::default());
    assert_eq!(bench.client.progress().conflicts, 0);
}

#[test]
fn what_is_a_conflict_while_probing() {
    let request_for_another = Arp::request(OTHER, ADDRESS, ROUTER);
    for (what, arp) in [
        ("an answer to the probe", occupied()),
        ("an announcement", Arp::announcement(OTHER, ADDRESS)),
        ("any request of the holder", request_for_another),
        ("any reply of the holder", Arp::request(ROUTER_MAC, ROUTER, ADDRESS).reply_to(OTHER)),
        ("another machine's probe", Arp::probe(OTHER, ADDRESS)),
    ] {
        for check in [ConflictCheck::Fast, ConflictCheck::Full] {
            let mut bench = started(check);
            bench.exchange();
            bench.until(0.001);
            bench.state(State::Probing);
            bench.hear_arp(arp);
            bench.state(State::Selecting);
            assert_eq!(bench.client.progress().conflicts, 1, "{what}");
            let conflict = Conflict { address: ADDRESS, holder: OTHER };
            assert_eq!(bench.client.progress().last_conflict, Some(conflict), "{what}");
        }
    }
}

#[test]
fn what_is_no_conflict_while_probing() {
    let odd = |mac| Arp { sender_mac: mac, ..occupied() };
    for (what, arp) in [
        ("the container's kernel answers our probe", Arp::probe(MAC, ADDRESS).reply_to(MAC)),
        ("our own probe comes back", Arp::probe(MAC, ADDRESS)),
        ("our own announcement comes back", Arp::announcement(MAC, ADDRESS)),
        ("somebody asks for the address", Arp::request(OTHER, ROUTER, ADDRESS)),
        ("a probe for another address", Arp::probe(OTHER, OTHER_ADDRESS)),
        ("another address", Arp::announcement(OTHER, OTHER_ADDRESS)),
        (
            "a reply without a sender",
            Arp { sender_ip: Ipv4Addr::UNSPECIFIED, operation: Operation::Reply, ..occupied() },
        ),
        ("no machine's MAC", odd(MacAddr::ZERO)),
        ("a group's MAC", odd(MacAddr::BROADCAST)),
    ] {
        for check in [ConflictCheck::Fast, ConflictCheck::Full] {
            let mut bench = started(check);
            bench.exchange();
            bench.until(0.001);
            bench.hear_arp(arp);
            bench.until(10.0);
            assert_eq!(bench.event(), Event::Bound, "{what}");
            bench.hear_arp(arp);
            assert_eq!(bench.client.progress().conflicts, 0, "{what}");
            bench.state(State::Bound);
        }
    }
}

#[test]
fn a_conflict_found_in_the_background_ends_the_lease() {
    let mut bench = bound_fast();
    bench.until(0.5);
    let lease = bench.client.lease().unwrap().clone();
    bench.hear_arp(occupied());
    let why = Loss::Conflict { holder: OTHER };
    assert_eq!(bench.event(), Event::Lost { old: Box::new(lease), why });
    assert_eq!(bench.client.lease(), None);
    let decline = bench.declined();
    assert_eq!(decline.message.options.requested_address(), Some(ADDRESS));
    // RFC 2131 §3.1, step 5: nobody waits for a first lease now.
    bench.state(State::Init);
    bench.until(10.499);
    bench.silent();
    bench.until(11.5);
    bench.discover();
    bench.silent();
}

#[test]
fn a_probe_for_an_address_in_use_is_answered_by_its_holder_and_no_conflict() {
    let mut bench = bound_fast();
    bench.run(|client, _| client.hold(true));
    bench.hear_arp(Arp::probe(OTHER, ADDRESS));
    let (reply, to) = bench.arp();
    assert_eq!((reply, to), (Arp::probe(OTHER, ADDRESS).reply_to(MAC), OTHER));
    bench.state(State::Bound);
    bench.silent();
}

#[test]
fn while_an_address_is_checked_nobody_is_told_that_it_is_held() {
    let mut bench = started(ConflictCheck::Full);
    bench.run(|client, _| client.hold(true));
    bench.exchange();
    bench.hear_arp(Arp::request(OTHER, OTHER_ADDRESS, ADDRESS));
    bench.silent();
}

#[test]
fn the_ears_follow_the_check() {
    let mut bench = started(ConflictCheck::Fast);
    let nothing = Listening::default();
    assert_eq!(bench.client.listening(), Listening { dhcp: true, ..nothing });
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    let probing = Listening { conflicts: Some(ADDRESS), requests: Some(ADDRESS), ..nothing };
    assert_eq!(bench.client.listening(), Listening { dhcp: true, ..probing });
    bench.answer(ack(&request));
    assert_eq!(bench.client.listening(), probing);
    bench.until(0.002);
    let bound = Listening { conflicts: Some(ADDRESS), ..nothing };
    assert_eq!(bench.client.listening(), bound);
    assert!(bench.client.is_probing());
    bench.until(100.0);
    assert_eq!(bench.client.listening(), bound, "defence lasts as long as the lease");
    assert!(!bench.client.is_probing());
    let renew_at = bench.client.lease().unwrap().renew_at;
    assert_eq!(bench.client.poll_timeout(), Some(renew_at), "and costs no wake-up");
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.client.listening(), nothing);
}

#[test]
fn what_was_granted_and_not_used_yet_is_given_back() {
    let mut bench = started(ConflictCheck::Full);
    bench.exchange();
    bench.state(State::Probing);
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.asked(MessageType::Release).message.ciaddr, ADDRESS);
    assert_eq!(bench.event(), Event::Released);
    bench.until(60.0);
    bench.silent();
    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn a_lease_that_ends_while_it_is_probed_is_never_used() {
    let mut bench = started(ConflictCheck::Full);
    bench.exchange();
    bench.now = at(f64::from(LEASE) + 1.0);
    for _ in 0..4 {
        bench.run(|client, now| client.handle_timeout(now));
        bench.until(bench.seconds(bench.now) + 2.0);
    }
    assert_eq!(bench.client.lease(), None);
    bench.state(State::Selecting);
    assert!(bench.client.progress().discovers > 1);
}

#[test]
fn a_server_whose_leases_end_while_they_are_probed_is_asked_ever_more_rarely() {
    let mut bench = started(ConflictCheck::Full);
    let mut asked = Vec::new();
    for _ in 0..9 {
        let discover = bench.discover();
        asked.push(bench.seconds(bench.now));
        bench.answer(offer(&discover).lease(1));
        let request = bench.request();
        bench.answer(ack(&request).lease(1));
        while bench.client.state() != State::Selecting {
            bench.next_deadline();
        }
        (0..3).for_each(|_| drop(bench.probe(ADDRESS)));
    }
    let waits: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, pause) in waits.iter().zip([0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]) {
        assert!((pause + 3.0..=pause + 8.0).contains(wait), "{waits:?}");
    }
}

#[test]
fn a_host_name_set_while_probing_reaches_the_server() {
    let mut bench = started(ConflictCheck::Full);
    bench.exchange();
    bench.run(|client, now| client.set_host_name(Some("web"), now));
    bench.until(10.0);
    (0..3).for_each(|_| drop(bench.probe(ADDRESS)));
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.request().message.options.host_name().as_deref(), Some("web"));
}

#[test]
fn an_address_that_a_renewal_brings_is_checked_while_the_old_one_is_used() {
    for (check, least, most) in
        [(ConflictCheck::Fast, 0.002, 0.002), (ConflictCheck::Full, 4.0, 7.0)]
    {
        let (mut bench, asked) = Bench::moved(check);
        bench.state(State::Probing);
        assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
        let listening = bench.client.listening();
        assert_eq!(listening.conflicts, Some(OTHER_ADDRESS));
        while bench.client.state() == State::Probing {
            bench.next_deadline();
        }
        let waited = bench.seconds(bench.now) - asked;
        assert!((least - 1e-6..=most + 1e-6).contains(&waited), "{waited}");
        let Event::Changed { old } = bench.event() else { panic!("not changed") };
        assert_eq!(old.address, ADDRESS);
        assert_eq!(bench.client.lease().unwrap().address, OTHER_ADDRESS);
        bench.state(State::Bound);
    }
}

#[test]
fn a_new_lease_that_ends_while_it_is_probed_leaves_the_old_one() {
    let mut bench = started(ConflictCheck::Full);
    bench.exchange();
    bench.until(60.0);
    assert_eq!(bench.event(), Event::Bound);
    bench.all_sent();
    bench.next_deadline();
    let request = bench.request();
    bench.answer(ack(&request).address(OTHER_ADDRESS).lease(2));
    bench.state(State::Probing);
    bench.until(bench.seconds(request.at) + 10.0);
    bench.state(State::Renewing);
    assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
    assert!(!bench.client.is_probing());
    assert_eq!(bench.client.listening().conflicts, Some(ADDRESS));
}

#[test]
fn an_old_lease_that_ends_while_its_successor_is_probed_is_lost_in_time() {
    let mut bench = started(ConflictCheck::Full);
    bench.exchange();
    bench.until(60.0);
    bench.all_sent();
    bench.event();
    let end = f64::from(LEASE);
    bench.until(end - 0.001);
    bench.all_sent();
    // The answer to the last REBIND, just before the end.
    bench.run(|client, now| client.renew(now));
    let request = bench.request();
    bench.answer(ack(&request).address(OTHER_ADDRESS));
    bench.state(State::Probing);
    bench.until(end);
    let Event::Lost { old, why: Loss::Expired } = bench.event() else { panic!("not lost") };
    assert_eq!(old.address, ADDRESS);
    assert_eq!(bench.client.lease(), None);
    bench.until(end + 10.0);
    assert_eq!(bench.event(), Event::Bound);
}

#[test]
fn in_init_reboot_the_probe_goes_with_the_request() {
    let mut bench = Bench::of(Client::reboot(Config::new(MAC), ADDRESS, 1, at(0.0)));
    let request = bench.request();
    bench.probe(ADDRESS);
    bench.answer(ack(&request));
    bench.until(0.002);
    assert_eq!(bench.event(), Event::Bound);

    // Somebody has the address: who is to be told is known from the ACK alone.
    let mut bench = Bench::of(Client::reboot(Config::new(MAC), ADDRESS, 1, at(0.0)));
    let request = bench.request();
    bench.probe(ADDRESS);
    bench.hear_arp(occupied());
    bench.state(State::Rebooting);
    bench.answer(ack(&request));
    bench.declined();
    assert_eq!(bench.discover().message.options.requested_address(), None);
    bench.silent();

    let mut bench = Bench::of(Client::reboot(Config::new(MAC), ADDRESS, 1, at(0.0)));
    bench.request();
    bench.probe(ADDRESS);
    bench.hear_arp(occupied());
    bench.next_deadline();
    assert_eq!(bench.discover().message.options.requested_address(), None);
    assert_eq!(bench.client.progress().declines, 0, "nobody granted anything");
}

#[test]
fn a_resumed_lease_is_not_probed_but_defended() {
    let mut bench = bound_fast();
    bench.until(20.0);
    let lease = bench.client.lease().unwrap().clone();
    let now = at(20.0);
    let mut bench = Bench::at(Client::resume(Config::new(MAC), lease, 7, now), now);
    bench.silent();
    assert!(!bench.client.is_probing());
    assert_eq!(bench.client.listening().conflicts, Some(ADDRESS));
    bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
    assert_eq!(bench.arp().0, Arp::announcement(MAC, ADDRESS));
}
