//! Nobody floods the LAN, whatever happens to all at once.

use std::time::Duration;

use dhcp::ipv6::Origin;
use sim::v6::{Fault, Kind, Lan, Router, Server};
use wire::nd::RouterAdvertisement;

use crate::lans::*;

/// The most frames that all endpoints send within `window`, during `time`.
fn fullest(lan: &mut Lan, time: Duration, window: Duration, of: impl Fn(&Lan) -> u32) -> u32 {
    let mut fullest = 0;
    let end = lan.now() + time;
    while lan.now() < end {
        let before = of(lan);
        lan.run_for(window);
        fullest = fullest.max(of(lan) - before);
    }
    fullest
}

fn all(lan: &Lan) -> u32 {
    lan.sent().total()
}

#[test]
fn where_nobody_answers_each_asks_once_an_hour() {
    let mut lan = Lan::new(1);
    lan.add_fleet(50);
    lan.start(0..50, Duration::ZERO);
    lan.run_for(24 * HOUR);
    let solicits = sent(&lan, Kind::Solicit);
    // RFC 8415 §15: 1, 2, 4 … 2,048 s, then SOL_MAX_RT.
    assert!((50 * 30..50 * 40).contains(&solicits), "{solicits}");
    let routers = sent(&lan, Kind::RouterSolicitation);
    assert!((50 * 30..50 * 40).contains(&routers), "{routers}");
    let day = all(&lan);
    let window = fullest(&mut lan, 24 * HOUR, SECOND, all);
    assert!(all(&lan) - day <= 50 * 2 * 27, "{} in a day", all(&lan) - day);
    // A tenth of randomness, a dozen times over, has spread them.
    assert!(window <= 10, "{window} within a second");
}

#[test]
fn a_server_may_have_those_wait_longer_whom_it_gives_nothing() {
    let mut server = Server::new();
    server.terms.max_rt = Some(86_400);
    server.terms.pool = *server.terms.pool.start()..=*server.terms.pool.start();
    let (mut lan, _, _) = managed(1, server, 11);
    lan.run_for(48 * HOUR);
    assert_eq!(count(&lan, Origin::Dhcp), 1);
    let before = sent(&lan, Kind::Solicit);
    lan.run_for(240 * HOUR);
    let solicits = sent(&lan, Kind::Solicit) - before;
    assert!((80..=120).contains(&solicits), "{solicits} in ten days");
}

#[test]
fn daemons_that_all_restart_at_once_ask_within_ten_seconds_and_not_in_one() {
    sim::seeds("all restart", 0..3, |seed| {
        let (mut lan, _, _) = managed(seed, Server::new(), 200);
        lan.run_for(10 * MINUTE);
        (0..200).for_each(|number| lan.restart(number));
        let routers = |lan: &Lan| sent(lan, Kind::RouterSolicitation);
        let before = all(&lan);
        let most = fullest(&mut lan, MINUTE, SECOND, routers);
        assert!(most <= 60, "{most} within a second");
        // A solicitation each at most, and nothing else.
        assert!(all(&lan) - before <= 200);
        // All of them were away until behind T1.
        let (mut lan, _, id) = managed(seed, Server::new(), 200);
        lan.run_for(2 * MINUTE);
        lan.server_mut(id).fault = Some(Fault::Silent);
        lan.run_for(30 * MINUTE);
        lan.server_mut(id).fault = None;
        (0..200).for_each(|number| lan.restart(number));
        let renews = |lan: &Lan| sent(lan, Kind::Renew);
        let most = fullest(&mut lan, MINUTE, SECOND, renews);
        assert!(most <= 60, "{most} renewals within a second");
    });
}

#[test]
fn leases_that_began_together_are_renewed_apart() {
    let mut lan = Lan::new(1);
    lan.add_router(Router::managed());
    lan.add_server(Server::new());
    lan.add_fleet(500);
    lan.start(0..500, Duration::ZERO);
    lan.run_for(MINUTE);
    assert_eq!(count(&lan, Origin::Dhcp), 500);
    let renews = |lan: &Lan| sent(lan, Kind::Renew);
    let most = fullest(&mut lan, HOUR, 5 * SECOND, renews);
    assert!(most < 100, "{most} renewals within 5 s");
}

#[test]
fn a_router_that_falls_silent_is_not_asked_for_by_all_at_once() {
    let (mut lan, id) = slaac(1, 200);
    lan.run_for(2 * MINUTE);
    lan.advertise(id);
    lan.run_for(SECOND);
    lan.router_mut(id).silent = true;
    let routers = |lan: &Lan| sent(lan, Kind::RouterSolicitation);
    let most = fullest(&mut lan, HOUR, SECOND / 20, routers);
    assert!(most <= 30, "{most} solicitations within 50 ms");
}

#[test]
fn a_router_that_comes_and_goes_each_second_is_asked_for_every_four() {
    let (mut lan, id) = slaac(1, 20);
    lan.run_for(2 * MINUTE);
    lan.router_mut(id).header.lifetime = 1;
    let before = sent(&lan, Kind::RouterSolicitation);
    for _ in 0..600 {
        lan.advertise(id);
        lan.run_for(2 * SECOND);
    }
    let solicitations = sent(&lan, Kind::RouterSolicitation) - before;
    assert!(solicitations <= 20 * 1200 / 4, "{solicitations}");
}

#[test]
fn flags_that_flap_are_no_reason_to_hurry() {
    let (mut lan, id) = slaac(1, 20);
    lan.run_for(2 * MINUTE);
    let before = all(&lan);
    for round in 0..6000 {
        let router = lan.router_mut(id);
        let flag = round % 2 == 0;
        router.header = RouterAdvertisement { managed: flag, other: flag, ..router.header };
        lan.advertise(id);
        lan.run_for(SECOND / 10);
    }
    let frames = all(&lan) - before;
    assert!(frames <= 20 * 60, "{frames} in ten minutes");
}
