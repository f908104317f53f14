//! A lease that ends in silence, and an address that stays: [`OnLoss::Keep`].

use dhcp::v4::{Client, Config, Defence, Event, Loss, OnLoss, State};
use wire::arp::Arp;
use wire::dhcp4::code;

use super::bench::*;

const END: f64 = LEASE as f64;

fn config(defence: Defence) -> Config {
    Config { on_loss: OnLoss::Keep, defence, ..Config::new(MAC) }
}

/// Just past the end of its lease, the first DISCOVER sent and returned.
fn overdue(defence: Defence) -> (Bench, Asked) {
    let mut bench = Bench::with(config(defence));
    bench.run(|client, now| client.start(now));
    bench.exchange();
    bench.until(END - 0.001);
    bench.all_sent();
    assert_eq!(bench.event(), Event::Bound);
    bench.silent();
    bench.until(END);
    assert_eq!(bench.event(), Event::Overdue);
    let discover = bench.discover();
    bench.silent();
    (bench, discover)
}

#[test]
fn the_address_stays_and_a_server_is_looked_for() {
    let (mut bench, discover) = overdue(Defence::Always);
    assert_eq!(discover.message.options.requested_address(), Some(ADDRESS));
    assert!(discover.from.is_unspecified() && discover.message.ciaddr.is_unspecified());
    bench.state(State::Selecting);
    assert!(bench.client.is_overdue());
    assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
    assert_eq!(bench.client.listening().conflicts, Some(ADDRESS));
    // For days, at the RFC's pace, without another word.
    bench.until(END + 86_400.0);
    let sent = bench.all_sent().len();
    assert!((1300..1450).contains(&sent), "{sent}");
    bench.silent();
    assert!(bench.client.is_overdue());
}

#[test]
fn the_same_address_again_is_a_renewal_without_a_probe() {
    let (mut bench, discover) = overdue(Defence::Always);
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.silent();
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Renewed);
    bench.silent();
    bench.state(State::Bound);
    assert!(!bench.client.is_overdue());
    let expires_at = bench.seconds(bench.client.lease().unwrap().expires_at);
    assert_eq!(expires_at, 2.0 * END);
    // And again at the next end.
    bench.until(2.0 * END);
    assert_eq!(bench.event(), Event::Overdue);
}

#[test]
fn other_options_or_another_address_are_a_change() {
    let (mut bench, discover) = overdue(Defence::Always);
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(ack(&request).set(code::ROUTER, &[192, 0, 2, 77]));
    let Event::Changed { old } = bench.event() else { panic!("not changed") };
    assert_eq!(old.gateway(), Some(ROUTER));

    let (mut bench, discover) = overdue(Defence::Always);
    bench.answer(offer(&discover).address(OTHER_ADDRESS));
    let request = bench.request();
    bench.probe(OTHER_ADDRESS);
    bench.answer(ack(&request).address(OTHER_ADDRESS));
    // The old one is used until the new one is known to be free.
    assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
    bench.until(END + 0.003);
    let Event::Changed { old } = bench.event() else { panic!("not changed") };
    assert_eq!(old.address, ADDRESS);
    assert_eq!(bench.client.lease().unwrap().address, OTHER_ADDRESS);
    assert!(!bench.client.is_overdue());
}

#[test]
fn a_new_address_that_is_anothers_is_declined_and_the_old_one_stays() {
    let (mut bench, discover) = overdue(Defence::Always);
    bench.answer(offer(&discover).address(OTHER_ADDRESS));
    let request = bench.request();
    bench.probe(OTHER_ADDRESS);
    bench.answer(ack(&request).address(OTHER_ADDRESS));
    bench.hear_arp(Arp::announcement(OTHER, OTHER_ADDRESS));
    let decline = bench.declined();
    assert_eq!(decline.message.options.requested_address(), Some(OTHER_ADDRESS));
    assert!(bench.client.is_overdue());
    bench.state(State::Init);
    bench.next_deadline();
    assert_eq!(bench.discover().message.options.requested_address(), Some(ADDRESS));
    bench.silent();
}

#[test]
fn an_offer_of_another_address_and_an_ack_for_the_old_one_end_the_check_of_the_other() {
    let (mut bench, discover) = overdue(Defence::Always);
    bench.answer(offer(&discover).address(OTHER_ADDRESS));
    let request = bench.request();
    bench.probe(OTHER_ADDRESS);
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Renewed);
    assert!(!bench.client.is_probing());
    assert_eq!(bench.client.listening().conflicts, Some(ADDRESS));
    bench.until(END + 10.0);
    bench.silent();
}

#[test]
fn a_nak_is_no_silence() {
    // In time: the lease is lost as ever.
    let mut bench = Bench::with(config(Defence::Always));
    bench.run(|client, now| client.start(now));
    bench.exchange();
    bench.until(60.0);
    bench.all_sent();
    bench.event();
    bench.next_deadline();
    let request = bench.request();
    bench.answer(nak(&request));
    assert!(matches!(bench.event(), Event::Lost { why: Loss::Nak { .. }, .. }));
    assert_eq!(bench.client.lease(), None);

    // After the end as well.
    let (mut bench, discover) = overdue(Defence::Always);
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(nak(&request));
    let Event::Lost { old, why: Loss::Nak { .. } } = bench.event() else { panic!("not lost") };
    assert_eq!(old.address, ADDRESS);
    assert_eq!(bench.client.lease(), None);
    assert!(!bench.client.is_overdue());
    bench.discover();
    bench.silent();
}

#[test]
fn an_overdue_address_is_defended() {
    let (mut bench, _) = overdue(Defence::Always);
    for _ in 0..3 {
        bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
        assert_eq!(bench.arp().0, Arp::announcement(MAC, ADDRESS));
        bench.silent();
        bench.until(bench.seconds(bench.now) + 10.0);
        bench.all_sent();
    }
    assert!(bench.client.is_overdue());
    // And its place is held, for a server that asks before it answers.
    bench.run(|client, _| client.hold(true));
    bench.hear_arp(Arp::request(SERVER_MAC, SERVER, ADDRESS));
    assert_eq!(bench.arp().0.sender_ip, ADDRESS);
}

#[test]
fn defended_once_an_overdue_address_is_given_up_at_the_second_conflict() {
    let conflict = |bench: &mut Bench| {
        bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
        assert_eq!(bench.arp().0, Arp::announcement(MAC, ADDRESS));
        bench.until(END + 0.2);
        bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
        let Event::Lost { old, why } = bench.event() else { panic!("not lost") };
        assert_eq!((old.address, why), (ADDRESS, Loss::Conflict { holder: OTHER }));
        assert_eq!(bench.client.lease(), None);
        assert!(!bench.client.is_overdue());
        bench.silent();
    };
    // No lease, nothing to decline. The search goes on, for another one.
    let (mut bench, discover) = overdue(Defence::Once);
    conflict(&mut bench);
    bench.answer(offer(&discover));
    bench.state(State::Selecting);
    assert_eq!(bench.client.progress().ignored().declined_address, 1);
    bench.next_deadline();
    assert_eq!(bench.discover().message.options.requested_address(), None);

    // In the moment in which the same address is granted anew it is declined.
    let (mut bench, discover) = overdue(Defence::Once);
    bench.answer(offer(&discover));
    let request = bench.request();
    conflict(&mut bench);
    bench.answer(ack(&request));
    bench.declined();
    assert_eq!(bench.client.lease(), None);
    bench.state(State::Init);
    bench.silent();
}

#[test]
fn there_is_nothing_to_give_back() {
    let (mut bench, _) = overdue(Defence::Always);
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.event(), Event::Released);
    bench.silent();
    assert_eq!(bench.client.lease(), None);
    assert!(!bench.client.is_overdue());
    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn a_daemon_that_restarts_keeps_an_overdue_address_too() {
    let (bench, _) = overdue(Defence::Always);
    let lease = bench.client.lease().unwrap().clone();
    let now = at(END + 100.0);
    let client = Client::resume(config(Defence::Always), lease.clone(), 3, now);
    let mut bench = Bench::at(client, now);
    assert_eq!(bench.event(), Event::Overdue);
    assert_eq!(bench.client.lease(), Some(&lease));
    assert_eq!(bench.discover().message.options.requested_address(), Some(ADDRESS));
    bench.silent();
}

#[test]
fn an_announcement_of_an_overdue_address_goes_out() {
    let (mut bench, _) = overdue(Defence::Always);
    bench.run(|client, _| client.announce());
    assert_eq!(bench.arp().0, Arp::announcement(MAC, ADDRESS));
}

#[test]
fn a_confirmation_of_an_overdue_address_begins_the_search_anew() {
    let (mut bench, _) = overdue(Defence::Always);
    bench.until(END + 100.0);
    bench.all_sent();
    bench.run(|client, now| client.confirm(now, now));
    assert_eq!(bench.discover().message.options.requested_address(), Some(ADDRESS));
    assert!(bench.client.is_overdue());
}
