//! Addresses that two machines want, machines that boot, and leases that end in silence.

use std::cell::Cell;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp::v4::{Config, ConflictCheck, Defence, OnLoss, State};
use sim::{Command, Conditions, Lan, Server, ServerId, Squatter, SquatterId, Unknown};
use wire::MacAddr;
use wire::dhcp4::MessageType;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// After everything works again the slowest client asks within RFC 2131's 64 s ± 1.
const HEALED: Duration = Duration::from_secs(70);
const SQUATTER: MacAddr = MacAddr([2, 0xfe, 0, 0, 0, 1]);

fn pool(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 1, host)
}

fn lan_with(seed: u64, size: usize, edit: impl Fn(Config) -> Config) -> (Lan, ServerId) {
    let mut lan = Lan::new(seed);
    let server = lan.add_server(Server::home_router());
    let fleet = lan.add_fleet_of(size, edit);
    lan.start(fleet, 10 * SECOND);
    (lan, server)
}

fn lan(seed: u64, size: usize) -> (Lan, ServerId) {
    lan_with(seed, size, |config| config)
}

fn sum(lan: &Lan, count: impl Fn(&sim::Endpoint) -> u32) -> u32 {
    lan.endpoints().iter().map(count).sum()
}

fn lost(lan: &Lan) -> u32 {
    sum(lan, |endpoint| endpoint.history.lost)
}

fn declined(lan: &Lan, server: ServerId) -> u32 {
    let (good, bad) = lan.server(server).declines;
    assert_eq!(bad, 0, "no DECLINE was malformed or in vain");
    good
}

/// Nobody has an address of the squatter's, and no two have the same.
fn assert_apart(lan: &Lan, squatter: Option<SquatterId>) {
    let mut taken = squatter.map_or_else(HashSet::new, |id| {
        lan.squatter(id).addresses.iter().copied().collect::<HashSet<_>>()
    });
    for address in lan.endpoints().iter().filter_map(|endpoint| endpoint.configured) {
        assert!(taken.insert(address), "{address} has two holders: {lan:?}");
    }
}

#[test]
fn twins_that_a_bad_lan_let_pass_are_parted_by_their_defence() {
    let both = Cell::new(0);
    sim::seeds("twins in an awful LAN", 0..20, |seed| {
        let mut lan = Lan::new(seed);
        let mut byzantine = Server::home_router();
        byzantine.gives_to_all = Some(pool(77));
        byzantine.terms.lease_time = 600;
        lan.add_server(byzantine);
        let fleet = lan.add_fleet(2);
        lan.start(fleet, 20 * SECOND);
        lan.conditions = Conditions { loss: 0.5, ..Conditions::awful() };
        lan.run_for(5 * MINUTE);
        both.set(both.get() + u32::from(lan.bound() == 2));
        // The endpoints are silent by themselves: the first ARP is one for the way to the server,
        // when a renewal is lost.
        lan.conditions = Conditions { loss: 0.1, ..Conditions::good() };
        lan.run_for(5 * HOUR);
        assert!(lan.bound() <= 1, "{lan:?}");
    });
    assert!(both.get() > 0, "in no run had both the address");
}

#[test]
fn addresses_that_a_squatter_has_are_declined_and_others_taken() {
    for check in [ConflictCheck::Fast, ConflictCheck::Full] {
        sim::seeds("a squatter", 0..5, |seed| {
            let (mut lan, server) =
                lan_with(seed, 20, |config| Config { conflict_check: check, ..config });
            // Ten of the first twenty addresses of the pool.
            let squatter =
                lan.add_squatter(Squatter::new(SQUATTER, (0..10).map(|n| pool(50 + 2 * n))));
            lan.run_for(2 * MINUTE);
            assert_eq!(lan.bound(), 20);
            assert_apart(&lan, Some(squatter));
            assert_eq!(declined(&lan, server), 10);
            assert_eq!(lost(&lan), 0, "none of them was ever used");
            // And it stays so.
            lan.run_for(5 * HOUR);
            assert_eq!((lan.in_state(State::Bound), lost(&lan)), (20, 0));
            assert_apart(&lan, Some(squatter));
        });
    }
}

#[test]
fn in_a_slow_lan_the_background_finds_the_squatter() {
    sim::seeds("a squatter in a slow LAN", 0..8, |seed| {
        let (mut lan, server) = lan(seed, 20);
        let squatter = lan.add_squatter(Squatter::new(SQUATTER, (0..10).map(|n| pool(50 + n))));
        // No answer comes within the 2 ms.
        let delay = (Duration::from_millis(20), Duration::from_millis(200));
        lan.conditions = Conditions { delay, ..Conditions::good() };
        lan.run_for(10 * MINUTE);
        assert_eq!(lan.bound(), 20);
        assert_apart(&lan, Some(squatter));
        let conflicts = sum(&lan, |endpoint| endpoint.history.conflicts);
        assert!(conflicts > 0, "no address was in use, even for a moment");
        let declines = sum(&lan, |endpoint| endpoint.client.progress().declines);
        assert_eq!((declined(&lan, server), declines), (10, 10));
    });
}

#[test]
fn a_pool_that_is_all_squatted_is_asked_at_a_limited_rate() {
    sim::seeds("a squatted pool", 0..3, |seed| {
        let (mut lan, server) = lan(seed, 1);
        lan.add_squatter(Squatter::new(SQUATTER, (50..=249).map(pool)));
        lan.run_for(HOUR);
        assert_eq!((lan.bound(), lost(&lan)), (0, 0));
        let declines = declined(&lan, server);
        // RFC 5227 §2.1.1: ten, then one a minute.
        assert!((60..=70).contains(&declines), "{declines}");
    });
}

#[test]
fn of_two_that_are_given_one_address_the_later_declines() {
    sim::seeds("twins", 0..10, |seed| {
        let mut lan = Lan::new(seed);
        let mut byzantine = Server::home_router();
        byzantine.gives_to_all = Some(pool(77));
        let server = lan.add_server(byzantine);
        let fleet = lan.add_fleet(2);
        lan.start(fleet, 20 * SECOND);
        lan.run_for(HOUR);
        let first = &lan.endpoints()[0];
        assert_eq!((first.configured, first.history.lost), (Some(pool(77)), 0));
        let second = &lan.endpoints()[1];
        assert_eq!((second.configured, second.history.bound), (None, 0));
        let declines = lan.server(server).heard(MessageType::Decline);
        assert_eq!(second.client.progress().declines, declines);
        assert!((55..=75).contains(&declines), "no storm, and no end: {declines}");
        // The server comes to its senses.
        lan.server_mut(server).gives_to_all = None;
        lan.run_for(HEALED);
        assert_eq!(lan.bound(), 2);
        assert_apart(&lan, None);
    });
}

#[test]
fn of_many_that_are_given_one_address_at_once_never_two_use_it() {
    sim::seeds("many twins at once", 0..20, |seed| {
        let mut lan = Lan::new(seed);
        let mut byzantine = Server::home_router();
        byzantine.gives_to_all = Some(pool(77));
        let server = lan.add_server(byzantine);
        let fleet = lan.add_fleet(10);
        lan.start(fleet, Duration::ZERO);
        for _ in 0..600 {
            lan.run_for(SECOND);
            assert!(lan.bound() <= 1, "{lan:?}");
        }
        assert_eq!(lan.bound(), 1, "and one of them has it in the end");
        lan.server_mut(server).gives_to_all = None;
        lan.run_for(HEALED);
        assert_eq!(lan.bound(), 10);
    });
}

#[test]
fn a_server_that_forgets_gives_nobody_an_address_in_use() {
    for unknown in [Unknown::Refused, Unknown::Adopted, Unknown::Ignored] {
        sim::seeds("a forgetful server and probes", 0..5, |seed| {
            let (mut lan, server) = lan(seed, 20);
            lan.server_mut(server).unknown = unknown;
            lan.run_for(MINUTE);
            lan.server_mut(server).forget();
            for _ in 0..600 {
                lan.run_for(10 * SECOND);
                assert_apart(&lan, None);
            }
            // Who was refused first had to try the addresses of all others, at the RFC's pace.
            lan.run_for(HOUR);
            assert_eq!(lan.in_state(State::Bound), 20, "{unknown:?}");
        });
    }
}

#[test]
fn a_conflict_that_arises_later_is_met_by_defence_then_by_another_address() {
    sim::seeds("a late squatter", 0..10, |seed| {
        let (mut lan, server) = lan(seed, 10);
        let squatter = lan.add_squatter(Squatter::new(SQUATTER, []));
        lan.run_for(MINUTE);
        let address = lan.endpoints()[3].configured.unwrap();
        lan.squat(squatter, address);
        lan.run_for(11 * SECOND);
        let victim = &lan.endpoints()[3];
        assert_eq!((victim.configured, victim.history.lost), (Some(address), 0), "defended once");
        lan.squat(squatter, address);
        lan.run_for(2 * SECOND);
        lan.squat(squatter, address);
        lan.run_for(SECOND);
        let victim = &lan.endpoints()[3];
        assert_eq!((victim.configured, victim.history.conflicts), (None, 1));
        assert_eq!(declined(&lan, server), 1);
        lan.run_for(15 * SECOND);
        assert_eq!((lan.bound(), lost(&lan)), (10, 1));
        assert_apart(&lan, Some(squatter));
    });
}

#[test]
fn defended_always_an_address_is_kept_and_the_lan_not_flooded() {
    sim::seeds("a stubborn squatter", 0..5, |seed| {
        let (mut lan, server) =
            lan_with(seed, 5, |config| Config { defence: Defence::Always, ..config });
        let squatter = lan.add_squatter(Squatter::new(SQUATTER, []));
        lan.run_for(MINUTE);
        let address = lan.endpoints()[2].configured.unwrap();
        let before = lan.endpoints()[2].history.frames;
        for _ in 0..1200 {
            lan.squat(squatter, address);
            lan.run_for(SECOND / 2);
        }
        let victim = &lan.endpoints()[2];
        assert_eq!((victim.configured, victim.history.lost), (Some(address), 0));
        let announcements = victim.history.frames - before;
        assert!((56..=60).contains(&announcements), "one in ten seconds: {announcements}");
        assert_eq!(declined(&lan, server), 0);
    });
}

#[test]
fn a_fleet_that_boots_has_its_addresses_again_in_one_round_trip() {
    sim::seeds("a boot", 0..5, |seed| {
        let (mut lan, server) = lan(seed, 50);
        lan.run_for(MINUTE);
        let before: Vec<_> = lan.endpoints().iter().map(|e| e.configured).collect();
        (0..50).for_each(|number| lan.reboot(number));
        assert_eq!(lan.bound(), 0);
        lan.run_for(SECOND / 20);
        assert_eq!(lan.in_state(State::Bound), 50);
        let after: Vec<_> = lan.endpoints().iter().map(|e| e.configured).collect();
        assert_eq!(before, after);
        assert_eq!(lan.server(server).heard(MessageType::Discover), 50, "no second DISCOVER");
        lan.run_for(3 * HOUR);
        assert_eq!((lan.in_state(State::Bound), lost(&lan)), (50, 0));
    });
}

#[test]
fn a_fleet_that_boots_before_its_server_uses_its_leases_after_two_seconds() {
    for unknown in [None, Some(Unknown::Refused), Some(Unknown::Ignored)] {
        sim::seeds("a boot before the server's", 0..5, |seed| {
            let (mut lan, server) = lan(seed, 50);
            lan.run_for(MINUTE);
            lan.server_mut(server).silent = true;
            let before: Vec<_> = lan.endpoints().iter().map(|e| e.configured).collect();
            (0..50).for_each(|number| lan.reboot(number));
            lan.run_for(SECOND * 19 / 10);
            assert_eq!(lan.bound(), 0);
            lan.run_for(SECOND / 5);
            let after: Vec<_> = lan.endpoints().iter().map(|e| e.configured).collect();
            assert_eq!(before, after);
            lan.run_for(5 * MINUTE);
            assert_eq!(lan.in_state(State::Confirming), 50);
            assert_eq!(lost(&lan), 0);
            // The server comes back: with its memory, without it, or without it and shy.
            if let Some(unknown) = unknown {
                lan.server_mut(server).forget();
                lan.server_mut(server).unknown = unknown;
            }
            lan.server_mut(server).silent = false;
            lan.run_for(HEALED);
            assert_eq!(lan.bound(), 50);
            match unknown {
                None => {
                    assert_eq!((lan.in_state(State::Bound), lost(&lan)), (50, 0));
                    assert_eq!(lan.server(server).heard(MessageType::Discover), 50);
                }
                Some(Unknown::Refused) => {
                    assert_eq!((lan.in_state(State::Bound), lost(&lan)), (50, 50));
                }
                // Who is not known is not answered: the leases run on to their end.
                Some(_) => {
                    assert_eq!((lan.in_state(State::Confirming), lost(&lan)), (50, 0));
                    lan.run_for(HOUR);
                    assert_eq!((lan.bound(), lost(&lan)), (50, 50));
                }
            }
            assert_apart(&lan, None);
        });
    }
}

#[test]
fn a_link_that_was_away_costs_nothing_if_the_lan_is_the_same() {
    sim::seeds("a link away", 0..5, |seed| {
        let (mut lan, server) = lan(seed, 50);
        lan.run_for(MINUTE);
        lan.conditions = Conditions::cut();
        lan.run_for(MINUTE);
        lan.conditions = Conditions::good();
        for number in 0..50u32 {
            let spread = SECOND * number / 25;
            let index = usize::try_from(number).unwrap();
            lan.command(index, Command::Confirm(spread));
        }
        lan.run_for(3 * SECOND);
        assert_eq!((lan.in_state(State::Bound), lost(&lan)), (50, 0));
        assert_eq!(sum(&lan, |e| e.history.renewed), 50);
        assert_eq!(lan.server(server).heard(MessageType::Discover), 50);
    });
}

#[test]
fn a_link_that_comes_back_in_another_lan_brings_another_address() {
    sim::seeds("a link elsewhere", 0..5, |seed| {
        let (mut lan, server) = lan(seed, 20);
        lan.run_for(MINUTE);
        let terms = Server::campus().terms;
        lan.server_mut(server).terms = terms.clone();
        for number in 0..20 {
            lan.command(number, Command::Confirm(Duration::ZERO));
        }
        lan.run_for(SECOND);
        for endpoint in lan.endpoints() {
            assert!(terms.pool.contains(&endpoint.configured.unwrap()));
            assert_eq!((endpoint.history.lost, endpoint.history.bound), (1, 2));
        }
    });
}

#[test]
fn addresses_are_kept_over_a_server_that_is_away_for_longer_than_the_lease() {
    sim::seeds("kept addresses", 0..5, |seed| {
        let (mut lan, server) = lan_with(seed, 30, |config| Config {
            on_loss: OnLoss::Keep,
            defence: Defence::Always,
            ..config
        });
        lan.run_for(MINUTE);
        let before: Vec<_> = lan.endpoints().iter().map(|e| e.configured).collect();
        lan.server_mut(server).silent = true;
        lan.run_for(5 * HOUR);
        assert_eq!((lan.bound(), lost(&lan)), (30, 0));
        assert_eq!(sum(&lan, |e| e.history.overdue), 30);
        lan.server_mut(server).silent = false;
        // While they come back, others come that have no address yet.
        let newcomers = lan.add_fleet_of(10, |config| {
            let MacAddr([_, rest @ ..]) = config.mac;
            let [a, b, c, d, e] = rest;
            Config { mac: MacAddr([6, a, b, c, d, e]), ..config }
        });
        lan.start(newcomers, SECOND);
        lan.run_for(HEALED);
        assert_eq!((lan.in_state(State::Bound), lost(&lan)), (40, 0));
        let after: Vec<_> = lan.endpoints().iter().take(30).map(|e| e.configured).collect();
        assert_eq!(before, after);
        assert_eq!(sum(&lan, |e| e.history.changed), 0);
        assert_apart(&lan, None);
    });
}

#[test]
fn a_healthy_start_costs_three_milliseconds_and_two_probes_more() {
    let bound_after = |check| {
        let mut lan = Lan::new(1);
        lan.add_server(Server::home_router());
        let fleet = lan.add_fleet_of(1, |config| Config { conflict_check: check, ..config });
        lan.start(fleet, Duration::ZERO);
        let mut passed = Duration::ZERO;
        while lan.bound() == 0 {
            lan.run_for(Duration::from_micros(10));
            passed += Duration::from_micros(10);
        }
        lan.run_for(10 * SECOND);
        (passed, lan.endpoints()[0].client.progress().probes)
    };
    let (off, none) = bound_after(ConflictCheck::Off);
    let (fast, probes) = bound_after(ConflictCheck::Fast);
    assert_eq!((none, probes), (0, 3));
    assert!(fast - off <= Duration::from_millis(2), "{fast:?} and {off:?}");
}
