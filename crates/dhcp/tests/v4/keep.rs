//! BOUND, RENEWING, REBINDING, expiry: RFC 2131 §4.4.5.

use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{Client, Event, Listening, Loss, State};
use wire::MacAddr;
use wire::dhcp4::code;

use super::bench::*;

fn t1(bench: &Bench) -> f64 {
    bench.seconds(bench.client.lease().unwrap().renew_at)
}

fn t2(bench: &Bench) -> f64 {
    bench.seconds(bench.client.lease().unwrap().rebind_at)
}

#[test]
fn an_idle_lease_needs_nothing_until_t1() {
    let mut bench = Bench::bound();
    assert_eq!(bench.client.listening(), Listening::default());
    assert_eq!(bench.client.poll_timeout(), Some(bench.client.lease().unwrap().renew_at));
    bench.until(t1(&bench) - 0.001);
    bench.silent();
    bench.state(State::Bound);
}

#[test]
fn t1_renews_by_unicast_from_the_leased_address() {
    let mut bench = Bench::bound();
    bench.until(t1(&bench));
    bench.state(State::Renewing);
    let request = bench.request();
    assert_eq!(request.to_mac, SERVER_MAC);
    assert_eq!((request.from, request.to), (ADDRESS, SERVER));
    assert_eq!(request.message.ciaddr, ADDRESS);
    assert_eq!(bench.client.listening(), Listening { dhcp: true, ..Listening::default() });

    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Renewed);
    bench.silent();
    bench.state(State::Bound);
    let lease = bench.client.lease().unwrap();
    assert_eq!(lease.start, request.at);
    assert_eq!(bench.seconds(lease.expires_at), bench.seconds(request.at) + f64::from(LEASE));
}

#[test]
fn a_lease_lives_through_a_hundred_renewals_with_a_transaction_for_each() {
    let mut bench = Bench::bound();
    let mut xids = std::collections::HashSet::new();
    for _ in 0..100 {
        bench.next_deadline();
        let request = bench.request();
        assert!(xids.insert(request.message.xid));
        assert_eq!(request.message.secs, 0);
        bench.answer(ack(&request));
        assert_eq!(bench.event(), Event::Renewed);
        bench.silent();
    }
}

#[test]
fn renewals_are_repeated_after_half_of_the_time_to_t2_then_rebound_then_lost() {
    let mut bench = Bench::bound();
    let (t1, t2, end) = (t1(&bench), t2(&bench), f64::from(LEASE));
    bench.until(end);
    assert_eq!(bench.client.lease(), None);

    let mut expected = vec![t1];
    while let Some(next) = expected.last().map(|at| at + f64::max((t2 - at) / 2.0, 60.0))
        && next < t2
    {
        expected.push(next);
    }
    let renewals = expected.len();
    expected.push(t2);
    while let Some(next) = expected.last().map(|at| at + f64::max((end - at) / 2.0, 60.0))
        && next < end
    {
        expected.push(next);
    }
    assert!(renewals > 4 && expected.len() > renewals + 3, "the table is worth its name");

    let mut first = None;
    for (number, expected) in expected.into_iter().enumerate() {
        if number > 0 && number < renewals {
            // A retry looks for the server anew; here nobody answers its ARP.
            for _ in 0..3 {
                let (arp, _) = bench.arp();
                assert_eq!((arp.sender_ip, arp.target_ip), (ADDRESS, SERVER));
            }
            continue;
        }
        let request = bench.request();
        assert!((bench.seconds(request.at) - expected).abs() < 0.01, "{number}: {expected}");
        assert_eq!(request.message.ciaddr, ADDRESS);
        assert_eq!(request.from, ADDRESS);
        let began = *first.get_or_insert(request.at);
        let secs = request.at.saturating_since(began).as_secs();
        assert_eq!(u64::from(request.message.secs), secs);
        let rebinding = number >= renewals;
        assert_eq!(request.to_mac == MacAddr::BROADCAST, rebinding);
        assert_eq!(request.to, if rebinding { Ipv4Addr::BROADCAST } else { SERVER });
    }
    // Expiry: a DISCOVER that asks for the address again.
    let discover = bench.discover();
    assert_eq!(bench.seconds(discover.at), end);
    assert_eq!(discover.message.options.requested_address(), Some(ADDRESS));
    let Event::Lost { old, why: Loss::Expired } = bench.event() else { panic!("not lost") };
    assert_eq!(old.address, ADDRESS);
    bench.silent();
    bench.state(State::Selecting);
}

#[test]
fn any_server_may_answer_a_rebind_and_is_the_server_from_then_on() {
    let other = Ipv4Addr::new(192, 0, 2, 3);
    let other_mac = MacAddr([2, 0, 0, 0, 0, 3]);
    let mut bench = Bench::bound();
    bench.until(t2(&bench));
    bench.state(State::Rebinding);
    let request = bench.all_sent().pop().unwrap();
    let What::Dhcp { message, .. } = request.what else { panic!("not DHCP") };
    let asked = Asked {
        at: bench.now,
        to_mac: request.to_mac,
        from: ADDRESS,
        to: Ipv4Addr::BROADCAST,
        message,
    };
    bench.answer(ack(&asked).server(other).from(other_mac, other));
    assert_eq!(bench.event(), Event::Renewed);
    bench.until(t1(&bench));
    let renewal = bench.request();
    assert_eq!((renewal.to, renewal.to_mac), (other, other_mac));
}

#[test]
fn an_answer_to_an_earlier_attempt_is_too_late() {
    let mut bench = Bench::bound();
    bench.until(t1(&bench));
    let first = bench.request();
    bench.next_deadline();
    bench.resolve(SERVER, SERVER_MAC);
    let second = bench.request();
    assert_ne!(first.message.xid, second.message.xid);
    bench.answer(ack(&first));
    bench.state(State::Renewing);
    assert_eq!(bench.client.progress().ignored().other_exchange, 1);
    bench.answer(ack(&second));
    bench.state(State::Bound);
    assert_eq!(bench.client.lease().unwrap().start, second.at);
}

#[test]
fn a_changed_configuration_is_an_event_with_the_old_one() {
    let address = Ipv4Addr::new(192, 0, 2, 99);
    type Edit = fn(Answer) -> Answer;
    let edits: [(&str, Edit); 5] = [
        ("address", |answer| answer.address(Ipv4Addr::new(192, 0, 2, 99))),
        ("mask", |answer| answer.mask([255, 255, 0, 0])),
        ("router", |answer| answer.set(code::ROUTER, &[192, 0, 2, 77])),
        ("DNS", |answer| answer.set(code::DNS_SERVER, &[192, 0, 2, 53])),
        ("MTU", |answer| answer.set(code::INTERFACE_MTU, &1400u16.to_be_bytes())),
    ];
    for (what, edit) in edits {
        let mut bench = Bench::bound();
        let before = bench.client.lease().unwrap().clone();
        bench.next_deadline();
        let request = bench.request();
        bench.answer(edit(ack(&request)));
        assert_eq!(bench.event(), Event::Changed { old: Box::new(before.clone()) }, "{what}");
        let after = bench.client.lease().unwrap();
        assert!(!after.same_configuration(&before), "{what}");
        if what == "address" {
            assert_eq!(after.address, address);
        }
        bench.next_deadline();
        let request = bench.request();
        assert_eq!(request.message.ciaddr, bench.client.lease().unwrap().address);
        bench.answer(edit(ack(&request)));
        assert_eq!(bench.event(), Event::Renewed, "{what}");
    }
}

#[test]
fn other_times_are_no_change() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let request = bench.request();
    let answer = ack(&request)
        .lease(600)
        .set(code::RENEWAL_TIME, &100u32.to_be_bytes())
        .set(code::REBINDING_TIME, &300u32.to_be_bytes())
        .set(code::MESSAGE, b"short of addresses");
    bench.answer(answer);
    assert_eq!(bench.event(), Event::Renewed);
    let lease = bench.client.lease().unwrap();
    let start = bench.seconds(lease.start);
    assert!((95.0..=100.0).contains(&(bench.seconds(lease.renew_at) - start)));
    assert!((285.0..=300.0).contains(&(bench.seconds(lease.rebind_at) - start)));
    assert_eq!(lease.lifetime(), Duration::from_secs(600));
}

#[test]
fn a_nak_while_renewing_loses_the_lease_and_begins_anew() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let request = bench.request();
    let before = bench.client.lease().unwrap().clone();
    bench.answer(nak(&request).set(code::MESSAGE, b"wrong network"));
    let why = Loss::Nak { server: SERVER, message: Some("wrong network".into()) };
    assert_eq!(bench.event(), Event::Lost { old: Box::new(before), why });
    assert_eq!(bench.client.lease(), None);
    bench.state(State::Selecting);
    let discover = bench.discover();
    assert_eq!(discover.message.options.requested_address(), None, "it has just been refused");
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
}

#[test]
fn a_nak_while_rebinding_may_come_from_any_server() {
    let mut bench = Bench::bound();
    bench.until(t2(&bench));
    let request = bench.all_sent().pop().unwrap();
    let What::Dhcp { message, .. } = request.what else { panic!("not DHCP") };
    let asked = Asked { at: bench.now, to_mac: request.to_mac, from: ADDRESS, to: SERVER, message };
    bench.answer(nak(&asked).server(Ipv4Addr::new(192, 0, 2, 3)));
    assert!(matches!(bench.event(), Event::Lost { .. }));
    bench.discover();
}

#[test]
fn a_nak_in_bound_is_none() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let request = bench.request();
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Renewed);
    bench.answer(nak(&request));
    bench.answer(ack(&request));
    bench.state(State::Bound);
    bench.silent();
    assert_eq!(bench.client.progress().ignored().other_exchange, 2);
}

#[test]
fn after_a_suspend_the_clock_decides() {
    for (slept, state) in [(0.6, State::Renewing), (0.9, State::Rebinding), (1.1, State::Selecting)]
    {
        let mut bench = Bench::bound();
        bench.now = at(f64::from(LEASE) * slept);
        bench.run(|client, now| client.handle_timeout(now));
        bench.state(state);
        assert_eq!(bench.client.lease().is_some(), slept < 1.0);
        bench.sent();
        bench.client.poll_transmit();
    }
}

#[test]
fn an_infinite_lease_rests_for_ever_but_can_be_asked_about() {
    let mut bench = Bench::bound_by(|answer| {
        answer.lease(u32::MAX).set(code::RENEWAL_TIME, &100u32.to_be_bytes())
    });
    let lease = bench.client.lease().unwrap();
    assert_eq!(lease.expires_at, Instant::NEVER);
    assert_eq!(lease.renew_at, Instant::NEVER);
    assert_eq!(bench.client.poll_timeout(), None);
    bench.run(|client, now| client.renew(now));
    bench.request();
    bench.until(1000.0);
    bench.state(State::Bound);
    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn tiny_leases_live() {
    for seconds in [1, 2, 5, 10, 30, 60, 120] {
        let mut bench = Bench::bound_by(|answer| answer.lease(seconds));
        for _ in 0..50 {
            bench.next_deadline();
            bench.state(State::Renewing);
            let request = bench.request();
            let waited = request.at.saturating_since(bench.client.lease().unwrap().start);
            assert!(waited.as_secs_f64() >= f64::from(seconds) * 0.47);
            bench.answer(ack(&request).lease(seconds));
            assert_eq!(bench.event(), Event::Renewed);
        }
    }
}

#[test]
fn a_lease_of_two_minutes_does_not_hang_on_one_packet() {
    let mut bench = Bench::bound_by(|answer| answer.lease(120));
    bench.until(119.0);
    let sent = bench.all_sent();
    let to_all =
        |sent: &Sent| sent.to_mac == MacAddr::BROADCAST && matches!(sent.what, What::Dhcp { .. });
    let rebinds = sent.iter().filter(|sent| to_all(sent)).count();
    assert!((2..=4).contains(&rebinds), "{sent:?}");
    assert!(sent.len() < 30, "{}", sent.len());
}

#[test]
fn the_caller_can_renew_early_and_silence_does_no_harm() {
    let mut bench = Bench::bound();
    bench.until(10.0);
    bench.run(|client, now| client.renew(now));
    bench.state(State::Renewing);
    let first = bench.request();
    assert_eq!(first.at, at(10.0));
    bench.until(600.0);
    bench.state(State::Bound);
    assert_eq!(bench.client.listening(), Listening::default());
    let tries: Vec<_> = bench.all_sent();
    assert_eq!(tries.len(), 4 * 3, "four more tries, each asked for the server three times");
    // T1 comes as before.
    bench.until(t1(&bench));
    let request = bench.request();
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Renewed);
}

#[test]
fn t1_takes_an_early_renewal_over() {
    let mut bench = Bench::bound();
    let t1 = t1(&bench);
    bench.until(t1 - 2.0);
    bench.run(|client, now| client.renew(now));
    bench.request();
    bench.until(t1 + 1.0);
    let regular = bench.request();
    assert_eq!(bench.seconds(regular.at), t1);
    bench.until(t1 + 500.0);
    bench.silent();
    bench.state(State::Renewing);
}

#[test]
fn renew_while_rebinding_asks_all_again() {
    let mut bench = Bench::bound();
    bench.until(t2(&bench) + 1.0);
    bench.all_sent();
    bench.run(|client, now| client.renew(now));
    let request = bench.request();
    assert_eq!(request.to, Ipv4Addr::BROADCAST);
    bench.state(State::Rebinding);
}

#[test]
fn a_new_host_name_reaches_the_server_at_once() {
    let mut bench = Bench::bound();
    bench.until(1.0);
    bench.run(|client, now| client.set_host_name(Some("web"), now));
    let request = bench.request();
    assert_eq!(request.at, at(1.0));
    assert_eq!(request.message.options.host_name().as_deref(), Some("web"));
    // dnsmasq sends the name back.
    bench.answer(ack(&request).set(code::HOST_NAME, b"web"));
    assert_eq!(bench.event(), Event::Renewed);
    for name in [Some("web"), Some("web")] {
        bench.run(|client, now| client.set_host_name(name, now));
        bench.silent();
    }
    bench.run(|client, now| client.set_host_name(Some(""), now));
    assert_eq!(bench.request().message.options.host_name(), None);
}

#[test]
fn a_host_name_set_before_the_lease_costs_nothing() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    bench.run(|client, now| client.set_host_name(Some("web"), now));
    let discover = bench.discover();
    assert_eq!(discover.message.options.host_name(), None);
    bench.silent();
    bench.answer(offer(&discover));
    assert_eq!(bench.request().message.options.host_name().as_deref(), Some("web"));
}

#[test]
fn a_daemon_that_restarts_goes_on_where_the_lease_stands() {
    let lease = Bench::bound().client.lease().unwrap().clone();
    let text = serde_json::to_string(&lease).unwrap();
    let stored: dhcp::v4::Lease = serde_json::from_str(&text).unwrap();
    assert_eq!(stored, lease);
    let end = f64::from(LEASE);

    let resumed = |seconds: f64, seed| {
        let mut bench = Bench::of(Client::resume(plain(), lease.clone(), seed, at(seconds)));
        bench.now = at(seconds);
        bench
    };

    let mut early = resumed(10.0, 1);
    early.state(State::Bound);
    early.silent();
    assert_eq!(early.client.poll_timeout(), Some(lease.renew_at));
    early.next_deadline();
    assert_eq!(early.request().to_mac, SERVER_MAC);

    let mut moments = std::collections::HashSet::new();
    for seed in 0..20 {
        let mut renewing = resumed(end * 0.6, seed);
        renewing.until(end * 0.6 + 10.0);
        renewing.state(State::Renewing);
        moments.insert(renewing.request().at);

        let mut rebinding = resumed(end * 0.9, seed);
        rebinding.until(end * 0.9 + 10.0);
        rebinding.state(State::Rebinding);
        assert_eq!(rebinding.request().to, Ipv4Addr::BROADCAST);
        rebinding.silent();
    }
    assert!(moments.len() > 15, "a restarted daemon does not renew all at once");

    let mut over = resumed(end + 1.0, 1);
    assert_eq!(over.event(), Event::Lost { old: Box::new(lease.clone()), why: Loss::Expired });
    assert_eq!(over.discover().message.options.requested_address(), Some(ADDRESS));
    over.state(State::Selecting);
}
