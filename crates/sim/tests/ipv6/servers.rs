//! DHCPv6 servers, good and bad.

use dhcp::Instant;
use dhcp::ipv6::{Client, Config, InterfaceId, Origin, State};
use sim::Conditions;
use sim::v6::{Fault, Kind, Lan, Router, Server, Terms};
use wire::MacAddr;
use wire::dhcp6::{MessageType, StatusCode};

use crate::lans::*;

/// A good server with these lifetimes.
fn lasting(preferred: u32, valid: u32) -> Server {
    with_lifetimes(Server::new(), preferred, valid)
}

fn with_lifetimes(mut server: Server, preferred: u32, valid: u32) -> Server {
    server.terms = Terms { preferred, valid, ..server.terms };
    server
}

/// The lease an endpoint has ends with its release.
fn release_all(lan: &mut Lan) {
    for number in 0..lan.endpoints().len() {
        lan.command(number, Client::release);
    }
}

#[test]
fn leases_are_renewed_for_weeks_and_given_back() {
    sim::seeds("leases", 0..1, |seed| {
        let (mut lan, _, id) = managed(seed, Server::new(), 20);
        lan.run_for(MINUTE + SECOND);
        assert_eq!(count(&lan, Origin::Dhcp), 20);
        let before = addresses(&lan);
        lan.run_for(1000 * HOUR);
        assert_eq!(addresses(&lan), before);
        assert_eq!(lan.server(id).database.granted(lan.now()), 20);
        assert_eq!((sent(&lan, Kind::Solicit), sent(&lan, Kind::Rebind)), (20, 0));
        release_all(&mut lan);
        lan.run_for(MINUTE);
        assert_eq!((lan.in_state(State::Stopped), lan.addressed()), (20, 0));
        assert_eq!(lan.server(id).releases, (20, 0));
        assert_eq!(lan.server(id).database.granted(lan.now()), 0);
    });
}

/// All have one MAC on the wire, as ipvlan's children do.
#[test]
fn leases_of_those_who_share_a_mac() {
    sim::seeds("one MAC", 0..3, |seed| {
        let mut lan = Lan::new(seed);
        let mut router = Router::managed();
        router.options = Router::home().options;
        lan.add_router(router);
        let id = lan.add_server(Server::new());
        let interface_id = InterfaceId::Stable { secret: [7; 16], network: b"lan"[..].into() };
        let fleet = lan.add_fleet_of(20, |config| Config {
            link: Some(MacAddr([2, 0, 0, 0xff, 0, 1])),
            interface_id: interface_id.clone(),
            ..config
        });
        lan.conditions = Conditions::awful();
        lan.start(fleet, MINUTE);
        lan.run_for(10 * MINUTE);
        lan.conditions = Conditions::good();
        lan.run_for(10 * MINUTE);
        assert_eq!((count(&lan, Origin::Dhcp), count(&lan, Origin::Slaac)), (20, 20));
        let before = addresses(&lan);
        (0..20).for_each(|number| lan.restart(number));
        lan.run_for(100 * HOUR);
        assert_eq!(addresses(&lan), before);
        assert_eq!((lan.server(id).database.granted(lan.now()), lan.shares()), (20, 0));
        let duplicates = lan.endpoints().iter().map(|endpoint| endpoint.history.duplicates);
        assert_eq!(duplicates.sum::<u32>(), 0);
        release_all(&mut lan);
        lan.run_for(MINUTE);
        assert_eq!(lan.server(id).database.granted(lan.now()), 0);
    });
}

#[test]
fn two_messages_do_instead_of_four_where_the_server_likes() {
    let (mut lan, _, id) = managed(1, Server::new(), 20);
    lan.server_mut(id).rapid_commit = true;
    lan.run_for(2 * MINUTE);
    assert_eq!(count(&lan, Origin::Dhcp), 20);
    assert_eq!(lan.server(id).heard(MessageType::Request), 0);
}

#[test]
fn nobody_is_heard_but_a_server() {
    sim::seeds("no router", 0..3, |seed| {
        let mut lan = Lan::new(seed);
        lan.add_server(Server::new());
        let fleet = lan.add_fleet(20);
        lan.start(fleet, SECOND);
        lan.run_for(3 * SECOND);
        assert_eq!(count(&lan, Origin::Dhcp), 20);
    });
}

#[test]
fn an_awful_lan_keeps_the_leases_it_gives() {
    sim::seeds("an awful LAN with leases", 0..4, |seed| {
        let (mut lan, _, id) = managed(seed, lasting(600, 900), 20);
        lan.conditions = Conditions::awful();
        lan.run_for(10 * MINUTE);
        for _ in 0..12 {
            lan.run_for(HOUR);
            assert!(count(&lan, Origin::Dhcp) >= 18, "{lan:?}");
        }
        lan.conditions = Conditions::good();
        lan.run_for(10 * MINUTE);
        assert_eq!(count(&lan, Origin::Dhcp), 20);
        release_all(&mut lan);
        lan.run_for(HOUR);
        assert_eq!(lan.server(id).database.granted(lan.now()), 0);
    });
}

#[test]
fn a_silent_server_costs_the_leases_when_they_end_and_gives_the_same_again() {
    sim::seeds("a silent server", 0..3, |seed| {
        let (mut lan, _, id) = managed(seed, Server::new(), 50);
        lan.run_for(2 * MINUTE);
        let before = addresses(&lan);
        lan.server_mut(id).fault = Some(Fault::Silent);
        lan.run_for(HOUR);
        assert_eq!(addresses(&lan), before);
        lan.run_for(2 * HOUR);
        assert_eq!((lan.addressed(), lan.in_state(State::Requesting)), (0, 50));
        lan.server_mut(id).fault = None;
        // As late as half of the time that there was silence, and a tenth.
        lan.run_for(HOUR + 30 * MINUTE);
        assert_eq!(addresses(&lan), before);
    });
}

#[test]
fn of_two_servers_one_may_die() {
    sim::seeds("two servers", 0..3, |seed| {
        let (mut lan, _, first) = managed(seed, lasting(600, 900), 30);
        let second = lan.add_server(with_lifetimes(Server::second(), 600, 900));
        lan.run_for(HOUR);
        let granted = |lan: &Lan, id| lan.server(id).database.granted(lan.now());
        assert_eq!(count(&lan, Origin::Dhcp), 30);
        assert_eq!(granted(&lan, first) + granted(&lan, second), 30);
        lan.server_mut(first).fault = Some(Fault::Silent);
        lan.run_for(20 * MINUTE);
        assert_eq!(count(&lan, Origin::Dhcp), 30);
        assert_eq!(granted(&lan, second), 30);
    });
}

#[test]
fn a_server_that_forgets_gives_everybody_another_lease_and_nobody_a_neighbours() {
    sim::seeds("a server that forgets", 0..5, |seed| {
        let (mut lan, _, id) = managed(seed, Server::new(), 40);
        lan.run_for(2 * MINUTE);
        for _ in 0..4 {
            lan.server_mut(id).forget();
            for _ in 0..12 {
                lan.run_for(10 * MINUTE);
                assert_eq!(count(&lan, Origin::Dhcp), 40);
            }
        }
        // It was asked for the same by each, and nobody was without one meanwhile.
        assert_eq!(sent(&lan, Kind::Solicit), 40);
        assert_eq!(lan.server(id).declines, (0, 0));
    });
}

#[test]
fn newcomers_at_a_server_that_forgets_decline_what_others_have() {
    sim::seeds("newcomers", 0..5, |seed| {
        let (mut lan, _, id) = managed(seed, Server::new(), 20);
        lan.run_for(2 * MINUTE);
        lan.server_mut(id).forget();
        let fleet = lan.add_fleet(20);
        lan.start(fleet, MINUTE);
        lan.run_for(10 * MINUTE);
        assert!(lan.shares() > 0 && lan.server(id).declines.0 > 0);
        assert_eq!(count(&lan, Origin::Dhcp), 40);
        let mut all = addresses(&lan).concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 40);
    });
}

#[test]
fn a_server_that_gives_one_address_to_all_is_declined_at_a_limited_rate() {
    let (mut lan, _, id) = managed(1, Server::new(), 10);
    let address = *Server::new().terms.pool.start();
    lan.server_mut(id).fault = Some(Fault::GivesToAll(address));
    lan.run_for(HOUR);
    assert_eq!(count(&lan, Origin::Dhcp), 1);
    let declines = sent(&lan, Kind::Decline);
    // Nine within a minute and a half, then one a minute.
    assert!((9 * 50..9 * 80).contains(&declines), "{declines}");
    lan.server_mut(id).fault = None;
    lan.run_for(2 * MINUTE);
    assert_eq!(count(&lan, Origin::Dhcp), 10);
}

#[test]
fn an_address_that_changes_in_a_renewal_is_followed() {
    let (mut lan, _, id) = managed(1, Server::new(), 20);
    lan.run_for(2 * MINUTE);
    let before = addresses(&lan);
    lan.server_mut(id).fault = Some(Fault::Moves);
    lan.run_for(32 * MINUTE);
    lan.server_mut(id).fault = None;
    for (endpoint, before) in lan.endpoints().iter().zip(before) {
        assert_eq!(endpoint.configured.len(), 1);
        assert!(!endpoint.has(before[0]));
        assert_eq!(endpoint.history.changed, 1);
    }
    let now = addresses(&lan);
    lan.run_for(24 * HOUR);
    assert_eq!((addresses(&lan), sent(&lan, Kind::Solicit)), (now, 20));
}

#[test]
fn what_is_no_answer_gives_nothing_and_ends_nothing() {
    for fault in [
        Fault::AdvertisesOnly,
        Fault::NoBinding,
        Fault::OtherTransaction,
        Fault::OtherClient,
        Fault::OtherServer,
        Fault::Status(StatusCode::UnspecFail),
        Fault::Status(StatusCode::NoAddrsAvail),
        Fault::Status(StatusCode::UseMulticast),
        Fault::Status(StatusCode::Other(999)),
    ] {
        let (mut lan, _, id) = managed(1, Server::new(), 5);
        lan.server_mut(id).fault = Some(fault);
        lan.run_for(6 * HOUR);
        assert_eq!(lan.addressed(), 0, "{fault:?}");
        let asked = lan.sent().of(Kind::Solicit) + lan.sent().of(Kind::Request);
        // A Request goes out ten times in two and a half minutes, and then a Solicit.
        assert!(asked < 5 * 6 * 60 * 6, "{fault:?}: {asked}");
        lan.server_mut(id).fault = None;
        lan.run_for(3 * HOUR);
        assert_eq!(count(&lan, Origin::Dhcp), 5, "{fault:?}");

        // In a renewal the lease that there is goes on until its end at least.
        let (mut lan, _, id) = managed(1, Server::new(), 5);
        lan.run_for(2 * MINUTE);
        let before = addresses(&lan);
        lan.server_mut(id).fault = Some(fault);
        lan.run_for(HOUR);
        if fault != Fault::NoBinding {
            assert_eq!(addresses(&lan), before, "{fault:?}");
        }
        lan.server_mut(id).fault = None;
        lan.run_for(HOUR);
        assert_eq!(count(&lan, Origin::Dhcp), 5, "{fault:?}");
    }
}

#[test]
fn a_link_that_is_another_one_is_left() {
    let (mut lan, _, id) = managed(1, Server::new(), 5);
    lan.run_for(2 * MINUTE);
    lan.server_mut(id).fault = Some(Fault::Status(StatusCode::NotOnLink));
    lan.run_for(40 * MINUTE);
    assert_eq!(lan.addressed(), 0, "all were refused at T1");
    let requests = lan.server(id).heard(MessageType::Request);
    assert!(requests < 5 * 30, "{requests}");
    lan.server_mut(id).fault = None;
    lan.run_for(2 * MINUTE);
    assert_eq!(count(&lan, Origin::Dhcp), 5);
}

#[test]
fn lifetimes_of_any_kind_are_kept_or_refused() {
    const EVER: u32 = u32::MAX;
    // Preferred, valid, T1, T2, and whether there is a lease then.
    for (preferred, valid, t1, t2, leased) in [
        (0, 0, 0, 0, false),
        (EVER, EVER, 0, 0, true),
        (EVER, EVER, EVER, EVER, true),
        (3600, 7200, EVER, EVER, true),
        // T1 beyond T2: as if the association were not there.
        (3600, 7200, 3000, 2000, false),
        // Kea 2.2: beyond the valid one.
        (7200, 3600, 0, 0, true),
        (EVER, 3600, 0, 0, true),
        (0, 3600, 0, 0, true),
        (3600, 7200, 1, 2, true),
        (3600, 7200, 7200, 7200, true),
        (3600, 7200, 0, 5, true),
        (5, 10, 0, 0, true),
        (1, 1, 0, 0, true),
    ] {
        let what = format!("{preferred} {valid} {t1} {t2}");
        let mut server = lasting(preferred, valid);
        server.terms.timers = (t1, t2);
        let (mut lan, _, _) = managed(1, server, 4);
        lan.run_for(MINUTE + 10 * SECOND);
        let mut least = 4;
        for _ in 0..100 {
            lan.run_for(7 * SECOND);
            least = least.min(count(&lan, Origin::Dhcp));
        }
        lan.run_for(HOUR / 2);
        assert_eq!(lan.addressed(), if leased { 4 } else { 0 }, "{what}");
        // One second is over before it can be renewed when a packet takes its time.
        assert!(!leased || least == 4 || valid == 1, "{what}: {least}");
        let never = lan.endpoints().iter().flat_map(|e| &e.configured);
        let never = never.filter(|address| address.valid_until == Instant::NEVER).count();
        assert_eq!(never, if valid == EVER { 4 } else { 0 }, "{what}");
        if valid == EVER {
            assert_eq!(sent(&lan, Kind::Renew), 0, "{what}");
        }
        if !leased {
            // A Solicit and what follows it once a minute.
            let solicits = sent(&lan, Kind::Solicit);
            assert!(solicits < 4 * 60, "{what}: {solicits}");
        }
    }
}

#[test]
fn of_a_flood_of_advertises_one_is_taken() {
    let (mut lan, _, id) = managed(1, Server::new(), 10);
    lan.server_mut(id).fault = Some(Fault::Flood);
    let honest = lan.add_server(Server::second());
    lan.server_mut(honest).preference = Some(255);
    lan.run_for(10 * MINUTE);
    // Requests to those who never were there, then to the one that is.
    let requests = sent(&lan, Kind::Request);
    assert!(requests < 10 * 40, "{requests}");
    assert_eq!(count(&lan, Origin::Dhcp), 10);
    assert_eq!(lan.server(honest).database.granted(lan.now()), 10);
}

#[test]
fn a_slow_server_is_waited_for() {
    sim::seeds("a slow server", 0..3, |seed| {
        let (mut lan, _, id) = managed(seed, Server::new(), 20);
        lan.server_mut(id).delay = 3 * SECOND;
        lan.run_for(2 * MINUTE);
        assert_eq!(count(&lan, Origin::Dhcp), 20);
        lan.run_for(24 * HOUR);
        assert_eq!((lan.addressed(), sent(&lan, Kind::Rebind)), (20, 0));
    });
}

#[test]
fn a_lease_beside_an_address_of_a_prefix() {
    let mut lan = Lan::new(1);
    let mut router = Router::home();
    (router.header.managed, router.header.other) = (true, true);
    lan.add_router(router);
    lan.add_server(Server::new());
    let fleet = lan.add_fleet(20);
    lan.start(fleet, MINUTE);
    lan.run_for(24 * HOUR);
    assert_eq!((count(&lan, Origin::Slaac), count(&lan, Origin::Dhcp)), (20, 20));
    assert_eq!(sent(&lan, Kind::InformationRequest), 0);
}
