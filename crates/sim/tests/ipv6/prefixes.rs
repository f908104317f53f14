//! Prefixes that servers delegate (RFC 8415 §6.3), with addresses and without.

use std::collections::HashSet;

use dhcp::ipv6::{Client, Config, Mode, Origin, State};
use sim::Conditions;
use sim::v6::{Fault, Kind, Lan, Router, Server, Site};
use wire::dhcp6::{MessageType, StatusCode};

use crate::lans::*;

/// How many different sites there are prefixes of.
fn sites(lan: &Lan) -> usize {
    let all = prefixes(lan).concat();
    all.iter().map(|(prefix, _)| Site::of(*prefix)).collect::<HashSet<_>>().len()
}

/// A good server with such lifetimes of prefixes, and these T1 and T2.
fn lasting(of_prefixes: (u32, u32), timers: (u32, u32)) -> Server {
    let mut server = Server::new();
    (server.terms.of_prefixes, server.terms.timers) = (Some(of_prefixes), timers);
    server
}

/// A server that delegates prefixes and has no addresses.
fn without_addresses() -> Server {
    let mut server = Server::new();
    server.terms.pool = nothing(&server.terms.pool);
    server
}

#[test]
fn prefixes_are_renewed_for_weeks_and_given_back() {
    sim::seeds("prefixes", 0..1, |seed| {
        let (mut lan, _, id) = delegating(seed, Server::new(), 20, 60);
        lan.run_for(MINUTE + SECOND);
        assert_eq!((count(&lan, Origin::Dhcp), lan.delegated(), sites(&lan)), (20, 20, 20));
        let before = (addresses(&lan), prefixes(&lan));
        lan.run_for(500 * HOUR);
        assert_eq!((addresses(&lan), prefixes(&lan)), before);
        assert_eq!(lan.server(id).delegated.granted(lan.now()), 20);
        assert_eq!((sent(&lan, Kind::Solicit), sent(&lan, Kind::Rebind)), (20, 0));
        assert_eq!(sent(&lan, Kind::Request), 20);
        (0..20).for_each(|number| lan.command(number, Client::release));
        lan.run_for(MINUTE);
        assert_eq!((lan.in_state(State::Stopped), lan.delegated()), (20, 0));
        assert_eq!(lan.server(id).releases, (40, 0));
        assert_eq!(lan.server(id).delegated.granted(lan.now()), 0);
    });
}

#[test]
fn a_server_gives_the_length_that_is_wished_for_or_another() {
    for (wish, given) in [(56, 56), (60, 60), (64, 64), (0, 56), (48, 56), (128, 64), (255, 56)] {
        let (mut lan, _, id) = delegating(1, Server::new(), 4, wish);
        lan.run_for(2 * MINUTE);
        assert!(prefixes(&lan).concat().iter().all(|(_, length)| *length == given), "{wish}");
        assert_eq!(lan.delegated(), 4, "{wish}");
        // From now on all are as long as this one: the same in other pieces.
        lan.server_mut(id).terms.lengths = 62..=62;
        lan.run_for(HOUR);
        assert!(prefixes(&lan).iter().all(|all| matches!(all[..], [(_, 62)])), "{wish}");
    }
}

#[test]
fn a_server_without_addresses_delegates_all_the_same() {
    for managed in [false, true] {
        let mut lan = Lan::new(1);
        let mut router = Router::home();
        router.header.managed = managed;
        lan.add_router(router);
        let id = lan.add_server(without_addresses());
        let modes = [Mode::Auto, Mode::Slaac, Mode::Dhcp];
        for mode in modes {
            lan.add_fleet_of(5, |config| Config { prefix: Some(56), mode, ..config });
        }
        lan.start(0..15, MINUTE);
        lan.run_for(MINUTE + SECOND);
        assert_eq!((lan.delegated(), count(&lan, Origin::Dhcp)), (15, 0));
        assert_eq!(count(&lan, Origin::Slaac), 10);
        let before = prefixes(&lan);
        lan.run_for(240 * HOUR);
        assert_eq!(prefixes(&lan), before);
        assert_eq!((sent(&lan, Kind::Solicit), sent(&lan, Kind::Request)), (15, 15));
        // From now on there are addresses as well: who asks for them gets them at T1, and where the routers speak
        // of none only those do that ask no router.
        lan.server_mut(id).terms = Server::new().terms;
        lan.run_for(HOUR);
        assert_eq!(count(&lan, Origin::Dhcp), if managed { 10 } else { 5 });
        assert_eq!(prefixes(&lan), before);
    }
}

#[test]
fn who_gets_no_prefix_asks_for_it_at_each_renewal() {
    let mut server = Server::new();
    let sites = server.terms.sites.clone();
    server.terms.sites = nothing(&sites);
    let (mut lan, _, id) = delegating(1, server, 10, 56);
    lan.run_for(24 * HOUR);
    assert_eq!((count(&lan, Origin::Dhcp), lan.delegated()), (10, 0));
    assert_eq!((sent(&lan, Kind::Solicit), sent(&lan, Kind::Request)), (10, 10));
    assert!(sent(&lan, Kind::Renew) < 10 * 60, "{}", sent(&lan, Kind::Renew));
    // Three are enough for three.
    let three = *sites.start()..=sim::Host::plus(*sites.start(), 2);
    lan.server_mut(id).terms.sites = three;
    lan.run_for(HOUR);
    assert_eq!(lan.delegated(), 3);
    let happy = lan.endpoints().iter().position(|one| !one.delegated.is_empty());
    lan.command(happy.expect("three of them"), Client::release);
    lan.run_for(HOUR);
    assert_eq!(lan.delegated(), 3);
    lan.server_mut(id).terms.sites = sites;
    lan.run_for(HOUR);
    assert_eq!(lan.delegated(), 9);
}

#[test]
fn prefixes_that_take_the_place_of_others_are_followed() {
    for moves in [false, true] {
        let (mut lan, _, id) = delegating(1, Server::new(), 20, 56);
        lan.run_for(2 * MINUTE);
        let before = (addresses(&lan), prefixes(&lan));
        let server = lan.server_mut(id);
        match moves {
            true => server.fault = Some(Fault::Moves),
            false => server.terms.sites = Server::second().terms.sites,
        }
        for _ in 0..32 {
            lan.run_for(MINUTE);
            assert!(lan.endpoints().iter().all(|one| one.delegated.len() == 1));
        }
        for (now, before) in prefixes(&lan).iter().zip(&before.1) {
            assert_ne!(now, before, "the server took it back");
        }
        assert_eq!(addresses(&lan) != before.0, moves);
        assert_eq!((sites(&lan), sent(&lan, Kind::Solicit)), (20, 20));
        assert!(lan.endpoints().iter().all(|one| one.history.changed == 1));
    }
}

#[test]
fn a_silent_server_costs_the_prefixes_when_they_end_and_gives_the_same_again() {
    sim::seeds("a silent server of prefixes", 0..3, |seed| {
        // The prefixes end before the addresses do.
        let (mut lan, _, id) = delegating(seed, lasting((1200, 1800), (0, 0)), 20, 56);
        lan.run_for(2 * MINUTE);
        let before = (addresses(&lan), prefixes(&lan));
        lan.server_mut(id).fault = Some(Fault::Silent);
        lan.run_for(10 * MINUTE);
        assert_eq!((addresses(&lan), prefixes(&lan)), before);
        lan.run_for(25 * MINUTE);
        assert_eq!((addresses(&lan), lan.delegated()), (before.0.clone(), 0));
        lan.run_for(2 * HOUR);
        assert_eq!((lan.addressed(), lan.in_state(State::Requesting)), (0, 20));
        lan.server_mut(id).fault = None;
        lan.run_for(HOUR + 30 * MINUTE);
        assert_eq!((addresses(&lan), prefixes(&lan)), before);
    });
}

#[test]
fn a_prefix_that_ended_comes_back_beside_the_address_that_did_not() {
    // The next question is a Rebind. A server that is not the only one may not answer it as far as the
    // prefix goes, which it is then asked for by name.
    for (sole, minutes) in [(true, 11), (false, 11)] {
        let (mut lan, _, id) = delegating(1, lasting((60, 90), (0, 0)), 10, 56);
        lan.server_mut(id).sole = sole;
        lan.run_for(2 * MINUTE);
        let before = (addresses(&lan), prefixes(&lan));
        lan.server_mut(id).fault = Some(Fault::Silent);
        lan.run_for(2 * MINUTE);
        assert_eq!((addresses(&lan), lan.delegated()), (before.0.clone(), 0));
        lan.server_mut(id).fault = None;
        lan.run_for(MINUTE * minutes);
        assert_eq!((addresses(&lan), prefixes(&lan)), before, "{minutes} minutes");
    }
}

#[test]
fn an_awful_lan_keeps_the_prefixes_it_gives() {
    sim::seeds("an awful LAN with prefixes", 0..3, |seed| {
        let (mut lan, _, id) = delegating(seed, lasting((600, 900), (0, 0)), 20, 56);
        lan.conditions = Conditions::awful();
        lan.run_for(10 * MINUTE);
        for _ in 0..12 {
            lan.run_for(HOUR);
            assert!(lan.delegated() >= 18, "{lan:?}");
        }
        lan.conditions = Conditions::good();
        // T1 of the addresses: until then who lost its prefix may be without one.
        lan.run_for(31 * MINUTE);
        assert_eq!((lan.delegated(), sites(&lan)), (20, 20));
        (0..20).for_each(|number| lan.command(number, Client::release));
        lan.run_for(HOUR);
        assert_eq!(lan.server(id).delegated.granted(lan.now()), 0);
    });
}

#[test]
fn a_server_that_forgets_gives_everybody_a_prefix_again() {
    sim::seeds("a server that forgets prefixes", 0..3, |seed| {
        for sole in [false, true] {
            let (mut lan, _, id) = delegating(seed, Server::new(), 30, 56);
            lan.server_mut(id).sole = sole;
            lan.run_for(2 * MINUTE);
            for _ in 0..4 {
                lan.server_mut(id).forget();
                for _ in 0..12 {
                    lan.run_for(10 * MINUTE);
                    assert_eq!((lan.delegated(), lan.addressed()), (30, 30));
                }
            }
            assert_eq!((sites(&lan), sent(&lan, Kind::Solicit)), (30, 30));
        }
    });
}

#[test]
fn a_prefix_that_all_were_given_is_one_endpoints_when_the_server_is_sane_again() {
    let (mut lan, _, id) = delegating(1, Server::new(), 10, 56);
    let address = *Server::new().terms.pool.start();
    lan.server_mut(id).fault = Some(Fault::GivesToAll(address));
    lan.run_for(10 * MINUTE);
    // Nobody can find out that others have it too.
    assert_eq!((lan.delegated(), sites(&lan)), (10, 1));
    lan.server_mut(id).fault = None;
    lan.run_for(HOUR);
    assert_eq!((lan.delegated(), sites(&lan), count(&lan, Origin::Dhcp)), (10, 10, 10));
}

#[test]
fn an_address_that_is_declined_beside_a_prefix_is_replaced_at_once() {
    let (mut lan, _, id) = delegating(1, Server::new(), 20, 56);
    lan.run_for(2 * MINUTE);
    let server = lan.server_mut(id);
    let delegated = server.delegated.clone();
    server.forget();
    server.delegated = delegated;
    let late = lan.add_fleet_of(20, |config| Config { prefix: Some(56), ..config });
    lan.start(late, MINUTE);
    lan.run_for(2 * MINUTE);
    assert!(lan.server(id).declines.0 > 0);
    assert_eq!((count(&lan, Origin::Dhcp), lan.delegated(), sites(&lan)), (40, 40, 40));
}

#[test]
fn what_is_no_answer_delegates_nothing_and_ends_nothing() {
    for fault in [
        Fault::AdvertisesOnly,
        Fault::NoBinding,
        Fault::OtherTransaction,
        Fault::OtherClient,
        Fault::OtherServer,
        Fault::Status(StatusCode::UnspecFail),
        Fault::Status(StatusCode::NoPrefixAvail),
        Fault::Status(StatusCode::Other(999)),
    ] {
        let (mut lan, _, id) = delegating(1, without_addresses(), 5, 56);
        lan.server_mut(id).fault = Some(fault);
        lan.run_for(6 * HOUR);
        assert_eq!(lan.delegated(), 0, "{fault:?}");
        let asked = sent(&lan, Kind::Solicit) + sent(&lan, Kind::Request);
        assert!(asked < 5 * 6 * 60 * 6, "{fault:?}: {asked}");
        lan.server_mut(id).fault = None;
        lan.run_for(3 * HOUR);
        assert_eq!(lan.delegated(), 5, "{fault:?}");
        let before = prefixes(&lan);
        lan.server_mut(id).fault = Some(fault);
        lan.run_for(HOUR);
        if fault != Fault::NoBinding {
            assert_eq!(prefixes(&lan), before, "{fault:?}");
        }
        lan.server_mut(id).fault = None;
        lan.run_for(HOUR);
        assert_eq!(lan.delegated(), 5, "{fault:?}");
    }
}

#[test]
fn of_what_is_said_twice_the_first_counts() {
    let (mut lan, _, id) = delegating(1, Server::new(), 5, 56);
    lan.server_mut(id).fault = Some(Fault::Repeats);
    lan.run_for(24 * HOUR);
    for endpoint in lan.endpoints() {
        let [one] = endpoint.delegated[..] else { panic!("{:?}", endpoint.delegated) };
        assert!(one.valid_until > lan.now() + HOUR, "{one:?}");
        assert_eq!(endpoint.configured.len(), 1);
    }
    assert_eq!(sent(&lan, Kind::Solicit), 5);
}

#[test]
fn lifetimes_and_times_of_any_kind_are_kept_or_refused() {
    const EVER: u32 = u32::MAX;
    // Preferred, valid, T1, T2, and whether there is a prefix then.
    for (preferred, valid, t1, t2, delegated) in [
        (0, 0, 0, 0, false),
        (EVER, EVER, 0, 0, true),
        (3600, 7200, EVER, EVER, true),
        // T1 beyond T2: as if the association were not there.
        (3600, 7200, 3000, 2000, false),
        (7200, 3600, 0, 0, true),
        (0, 3600, 0, 0, true),
        (3600, 7200, 1, 2, true),
        (3600, 7200, 7200, 7200, true),
        (3600, 7200, 0, 5, true),
        (5, 10, 0, 0, true),
    ] {
        for alone in [false, true] {
            let what = format!("{preferred} {valid} {t1} {t2}, alone: {alone}");
            let mut server = lasting((preferred, valid), (t1, t2));
            if alone {
                server.terms.pool = nothing(&server.terms.pool);
            }
            let (mut lan, _, _) = delegating(1, server, 4, 56);
            lan.run_for(MINUTE + 10 * SECOND);
            let mut least = 4;
            for _ in 0..100 {
                lan.run_for(7 * SECOND);
                least = least.min(lan.delegated());
            }
            lan.run_for(HOUR / 2);
            assert_eq!(lan.delegated(), if delegated { 4 } else { 0 }, "{what}");
            assert!(!delegated || least == 4, "{what}: {least}");
            if !delegated {
                let asked = sent(&lan, Kind::Solicit) + sent(&lan, Kind::Renew);
                assert!(asked < 4 * 60, "{what}: {asked}");
            }
        }
    }
}

#[test]
fn a_daemon_that_is_killed_goes_on_with_its_prefixes() {
    sim::seeds("restarts with prefixes", 0..3, |seed| {
        let (mut lan, _, _) = delegating(seed, Server::new(), 30, 56);
        lan.run_for(2 * MINUTE);
        let before = (addresses(&lan), prefixes(&lan));
        for round in 1..40u32 {
            lan.after(17 * MINUTE * round, |lan| (0..30).for_each(|n| lan.restart(n)));
        }
        lan.run_for(12 * HOUR);
        assert_eq!((addresses(&lan), prefixes(&lan)), before);
        assert_eq!((sent(&lan, Kind::Solicit), sent(&lan, Kind::Request)), (30, 30));
        assert_eq!(sent(&lan, Kind::Rebind), 0);
    });
}

/// RFC 8415 §18.2.12: a Confirm says nothing of prefixes.
#[test]
fn a_machine_that_boots_has_its_prefixes_rebound() {
    sim::seeds("reboots with prefixes", 0..3, |seed| {
        let (mut lan, _, id) = delegating(seed, Server::new(), 30, 56);
        lan.run_for(2 * MINUTE);
        let before = (addresses(&lan), prefixes(&lan));
        for round in 1..10 {
            (0..30).for_each(|number| lan.reboot(number));
            assert_eq!(lan.delegated(), 0);
            lan.run_for(3 * SECOND);
            assert_eq!((addresses(&lan), prefixes(&lan)), before);
            assert_eq!(sent(&lan, Kind::Rebind), 30 * round);
            lan.run_for(10 * MINUTE);
        }
        assert_eq!((sent(&lan, Kind::Confirm), sent(&lan, Kind::Solicit)), (0, 30));
        // A link that was away is asked about in the same way.
        (0..30).for_each(|number| lan.confirm(number, SECOND / 10 * number as u32));
        lan.run_for(10 * SECOND);
        assert_eq!(lan.server(id).heard(MessageType::Rebind), 300);
        assert_eq!((addresses(&lan), prefixes(&lan)), before);
    });
}

#[test]
fn a_machine_that_boots_where_nobody_answers_has_its_prefixes_until_their_end() {
    let (mut lan, _, id) = delegating(1, Server::new(), 10, 56);
    lan.run_for(2 * MINUTE);
    let before = prefixes(&lan);
    lan.server_mut(id).fault = Some(Fault::Silent);
    (0..10).for_each(|number| lan.reboot(number));
    lan.run_for(3 * SECOND);
    assert_eq!(prefixes(&lan), before);
    // At 0, 1, 3 and 7 s, and at the end of T2.
    lan.run_for(MINUTE);
    assert!(sent(&lan, Kind::Rebind) <= 10 * 5, "{}", sent(&lan, Kind::Rebind));
    lan.run_for(3 * HOUR);
    assert_eq!(lan.delegated(), 0);
}

#[test]
fn a_machine_that_boots_where_its_prefix_is_not_known_gets_another_at_once() {
    // The addresses are known, or are not either.
    for forgets_all in [false, true] {
        let (mut lan, _, id) = delegating(1, Server::new(), 10, 56);
        lan.server_mut(id).sole = true;
        lan.run_for(2 * MINUTE);
        let before = addresses(&lan);
        let server = lan.server_mut(id);
        let known = server.database.clone();
        server.forget();
        if !forgets_all {
            server.database = known;
        }
        server.terms.sites = Server::second().terms.sites;
        (0..10).for_each(|number| lan.reboot(number));
        lan.run_for(10 * SECOND);
        let new = Server::second().terms.sites;
        for all in prefixes(&lan) {
            let [(prefix, _)] = all[..] else { panic!("{all:?}, forgets all: {forgets_all}") };
            assert!(new.contains(&Site::of(prefix)), "{prefix}, forgets all: {forgets_all}");
        }
        assert_eq!(addresses(&lan), before);
    }
}

#[test]
fn a_server_that_gives_all_that_is_asked_for_is_taken_before_one_that_gives_a_part() {
    sim::seeds("a part, or all", 0..3, |seed| {
        for lacks_addresses in [false, true] {
            let mut partial = Server::second();
            match lacks_addresses {
                true => partial.terms.pool = nothing(&partial.terms.pool),
                false => partial.terms.sites = nothing(&partial.terms.sites),
            }
            let (mut lan, _, id) = delegating(seed, Server::new(), 20, 56);
            lan.server_mut(id).delay = SECOND / 20;
            lan.add_server(partial);
            lan.run_for(2 * MINUTE);
            assert_eq!((count(&lan, Origin::Dhcp), lan.delegated()), (20, 20));
        }
    });
}
