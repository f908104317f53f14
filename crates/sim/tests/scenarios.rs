//! Life on a LAN: each test is a story about servers and links, told for several seeds.

use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{Config, ConflictCheck, State};
use sim::{Command, Conditions, Lan, Server, ServerId, Unknown};
use wire::MacAddr;
use wire::dhcp4::{MessageType, code};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// After everything works again the slowest client asks within RFC 2131's 64 s ± 1.
const HEALED: Duration = Duration::from_secs(70);

fn lan(seed: u64, server: Server, size: usize) -> (Lan, ServerId) {
    let mut lan = Lan::new(seed);
    let server = lan.add_server(server);
    let fleet = lan.add_fleet(size);
    lan.start(fleet, 10 * SECOND);
    (lan, server)
}

fn short(lease_time: u32, mut server: Server) -> Server {
    server.terms.lease_time = lease_time;
    server
}

fn heard(lan: &Lan, server: ServerId, kind: MessageType) -> u32 {
    lan.server(server).heard(kind)
}

fn lost(lan: &Lan) -> u32 {
    lan.endpoints().iter().map(|endpoint| endpoint.history.lost).sum()
}

#[test]
fn a_thousand_endpoints_keep_their_leases_for_half_a_day() {
    let (mut lan, server) = lan(1, Server::campus(), 1000);
    lan.run_for(11 * SECOND);
    assert_eq!(lan.bound(), 1000);
    lan.run_for(12 * HOUR);
    assert_eq!(lan.in_state(State::Bound), 1000);
    assert_eq!(lost(&lan), 0);
    assert_eq!(heard(&lan, server, MessageType::Discover), 1000, "one DISCOVER for each start");
    // Leases of an hour, renewed after 28.5 to 30 minutes: 24 or 25 times, and once taken.
    let requests = heard(&lan, server, MessageType::Request);
    assert!((25_000..26_500).contains(&requests), "{requests}");
    assert_eq!(lan.server(server).database.granted(lan.now()), 1000);
}

#[test]
fn a_fleet_that_starts_at_once_does_not_renew_at_once() {
    let mut lan = Lan::new(1);
    let server = lan.add_server(Server::campus());
    let fleet = lan.add_fleet(500);
    lan.start(fleet, Duration::ZERO);
    lan.run_for(SECOND);
    assert_eq!(lan.bound(), 500);
    let mut fullest = 0;
    for _ in 0..600 {
        let before = heard(&lan, server, MessageType::Request);
        lan.run_for(5 * SECOND);
        fullest = fullest.max(heard(&lan, server, MessageType::Request) - before);
    }
    assert!(fullest < 100, "{fullest} renewals within 5 s");
}

#[test]
fn an_awful_lan_heals() {
    sim::seeds("an awful LAN", 0..8, |seed| {
        let (mut lan, server) = lan(seed, short(600, Server::home_router()), 40);
        lan.conditions = Conditions::awful();
        lan.run_for(2 * HOUR);
        // Each renewal has several tries: hardly anybody is without an address at any moment.
        assert!(lan.bound() >= 36, "{lan:?}");
        lan.conditions = Conditions::good();
        lan.run_for(HEALED);
        assert_eq!(lan.bound(), 40);
        lan.run_for(HOUR);
        assert_eq!(lan.in_state(State::Bound), 40);
        assert_eq!(lan.server(server).database.granted(lan.now()), 40);
    });
}

#[test]
fn a_lan_that_is_cut_again_and_again_heals() {
    sim::seeds("a LAN cut again and again", 0..5, |seed| {
        let (mut lan, _) = lan(seed, short(300, Server::home_router()), 30);
        lan.run_for(MINUTE);
        for round in 1..12u32 {
            lan.conditions = Conditions::cut();
            lan.run_for(MINUTE * round);
            lan.conditions = Conditions::good();
            lan.run_for(HEALED);
            assert_eq!(lan.bound(), 30, "after {round} minutes");
        }
    });
}

#[test]
fn a_silent_server_costs_the_leases_only_when_they_end() {
    sim::seeds("a silent server", 0..3, |seed| {
        let (mut lan, server) = lan(seed, Server::home_router(), 50);
        lan.run_for(MINUTE);
        lan.server_mut(server).silent = true;
        lan.run_for(29 * MINUTE);
        assert_eq!(lan.bound(), 50);
        lan.run_for(3 * HOUR);
        assert_eq!((lan.bound(), lost(&lan)), (0, 50));
        assert_eq!(lan.in_state(State::Selecting), 50);
        lan.server_mut(server).silent = false;
        lan.run_for(HEALED);
        assert_eq!(lan.bound(), 50);
    });
}

#[test]
fn a_server_that_was_away_is_found_again_before_a_lease_is_lost() {
    sim::seeds("a server away for a while", 0..5, |seed| {
        let (mut lan, server) = lan(seed, Server::home_router(), 50);
        lan.run_for(MINUTE);
        lan.server_mut(server).silent = true;
        lan.run_for(50 * MINUTE);
        lan.server_mut(server).silent = false;
        lan.run_for(3 * HOUR);
        assert_eq!((lan.in_state(State::Bound), lost(&lan)), (50, 0));
    });
}

#[test]
fn a_server_that_refuses_everything_is_not_stormed() {
    sim::seeds("a refusing server", 0..2, |seed| {
        let (mut lan, server) = lan(seed, Server::home_router(), 20);
        lan.server_mut(server).refuses = true;
        lan.run_for(HOUR);
        assert_eq!(lan.bound(), 0);
        let requests = heard(&lan, server, MessageType::Request);
        // One a minute, and a few more in the beginning.
        assert!((20 * 50..20 * 75).contains(&requests), "{requests}");
        lan.server_mut(server).refuses = false;
        lan.run_for(HEALED);
        assert_eq!(lan.bound(), 20);
    });
}

#[test]
fn a_forgetful_server_gives_new_leases_at_once() {
    for unknown in [Unknown::Refused, Unknown::Adopted, Unknown::Ignored] {
        sim::seeds("a forgetful server", 0..5, |seed| {
            // It offers addresses that others still use; what probing makes of that is told in
            // `conflicts.rs`.
            let mut lan = Lan::new(seed);
            let server = lan.add_server(Server::home_router());
            let unchecked = |config| Config { conflict_check: ConflictCheck::Off, ..config };
            let fleet = lan.add_fleet_of(40, unchecked);
            lan.start(fleet, 10 * SECOND);
            lan.server_mut(server).unknown = unknown;
            lan.run_for(MINUTE);
            lan.server_mut(server).forget();
            for _ in 0..120 {
                lan.run_for(MINUTE);
                assert!(lan.bound() >= 39, "{unknown:?}: nobody is without for long");
            }
            assert_eq!(lan.in_state(State::Bound), 40);
            let once = if unknown == Unknown::Adopted { 0 } else { 40 };
            assert_eq!(lost(&lan), once, "{unknown:?}");
        });
    }
}

#[test]
fn of_two_servers_one_may_die() {
    sim::seeds("two servers", 0..5, |seed| {
        let (mut lan, first) = lan(seed, Server::home_router(), 30);
        lan.server_mut(first).unknown = Unknown::Ignored;
        let second = lan.add_server(Server::second());
        lan.server_mut(second).unknown = Unknown::Ignored;
        lan.run_for(2 * HOUR);
        assert_eq!((lan.bound(), lost(&lan)), (30, 0));
        let granted = |lan: &Lan, id| lan.server(id).database.granted(lan.now());
        assert_eq!(granted(&lan, first) + granted(&lan, second), 30);
        lan.server_mut(first).silent = true;
        lan.run_for(HOUR + HEALED);
        assert_eq!(lan.bound(), 30);
        assert_eq!(granted(&lan, second), 30);
    });
}

#[test]
fn what_the_server_changes_reaches_the_endpoints_by_the_next_renewal() {
    sim::seeds("a changing server", 0..5, |seed| {
        let (mut lan, server) = lan(seed, Server::home_router(), 20);
        lan.run_for(MINUTE);
        let changed =
            |lan: &Lan| lan.endpoints().iter().map(|e| e.history.changed).collect::<Vec<_>>();
        let router = std::net::Ipv4Addr::new(192, 168, 1, 254);
        lan.server_mut(server).terms.router = Some(router);
        lan.run_for(31 * MINUTE);
        assert_eq!(changed(&lan), [1; 20]);
        let new_router = |e: &sim::Endpoint| e.client.lease().unwrap().gateway() == Some(router);
        assert!(lan.endpoints().iter().all(new_router));

        lan.server_mut(server).terms.mask = std::net::Ipv4Addr::new(255, 255, 0, 0);
        lan.run_for(31 * MINUTE);
        assert_eq!(changed(&lan), [2; 20]);

        lan.server_mut(server).terms.options = vec![(code::DNS_SERVER, vec![192, 168, 1, 53])];
        lan.run_for(31 * MINUTE);
        assert_eq!(changed(&lan), [3; 20]);

        lan.server_mut(server).moves_clients = true;
        let before: Vec<_> = lan.endpoints().iter().map(|e| e.configured).collect();
        lan.run_for(31 * MINUTE);
        lan.server_mut(server).moves_clients = false;
        for (endpoint, before) in lan.endpoints().iter().zip(before) {
            assert!(endpoint.configured.is_some() && endpoint.configured != before);
        }
        lan.run_for(2 * HOUR);
        assert_eq!((lan.in_state(State::Bound), lost(&lan)), (20, 0));
    });
}

#[test]
fn a_network_that_is_renumbered_takes_everybody_along() {
    sim::seeds("renumbering", 0..5, |seed| {
        let (mut lan, server) = lan(seed, Server::home_router(), 20);
        lan.run_for(MINUTE);
        let terms = Server::campus().terms;
        lan.server_mut(server).terms = terms.clone();
        lan.run_for(32 * MINUTE);
        for endpoint in lan.endpoints() {
            assert!(terms.pool.contains(&endpoint.configured.unwrap()));
            assert_eq!((endpoint.history.lost, endpoint.history.bound), (1, 2));
        }
    });
}

#[test]
fn short_leases_are_kept() {
    for lease_time in [1, 2, 5, 10, 30, 60, 120] {
        sim::seeds("short leases", 0..1, |seed| {
            let (mut lan, _) = lan(seed, short(lease_time, Server::home_router()), 10);
            lan.run_for(10 * MINUTE);
            assert_eq!((lan.bound(), lost(&lan)), (10, 0), "{lease_time} s");
        });
    }
}

#[test]
fn infinite_leases_cost_no_traffic() {
    let (mut lan, server) = lan(1, short(u32::MAX, Server::home_router()), 10);
    lan.run_for(1000 * HOUR);
    assert_eq!(lan.bound(), 10);
    assert_eq!(heard(&lan, server, MessageType::Request), 10);
}

#[test]
fn what_cannot_be_a_lease_is_never_one() {
    for (what, spoil) in [
        ("lease time 0", (|server| server.terms.lease_time = 0) as fn(&mut Server)),
        ("no server identifier", |server| server.anonymous = true),
    ] {
        let (mut lan, server) = lan(1, Server::home_router(), 5);
        spoil(lan.server_mut(server));
        lan.run_for(HOUR);
        assert_eq!(lan.bound(), 0, "{what}");
        assert_eq!(heard(&lan, server, MessageType::Request), 0, "{what}");
        let ignored = |e: &sim::Endpoint| e.client.progress().ignored().total();
        assert!(lan.endpoints().iter().all(|e| ignored(e) > 50), "{what}");
    }
    // In a renewal the lease that there is goes on to its own end.
    let (mut lan, server) = lan(1, Server::home_router(), 5);
    lan.run_for(MINUTE);
    lan.server_mut(server).terms.lease_time = 0;
    lan.run_for(50 * MINUTE);
    assert_eq!((lan.bound(), lost(&lan)), (5, 0));
}

#[test]
fn a_relay_is_no_hindrance() {
    sim::seeds("a relay", 0..5, |seed| {
        let (mut lan, server) = lan(seed, Server::remote(), 20);
        lan.run_for(5 * HOUR);
        assert_eq!((lan.in_state(State::Bound), lost(&lan)), (20, 0));
        assert_eq!(heard(&lan, server, MessageType::Discover), 20);
        for number in 0..20 {
            lan.command(number, Command::Release);
        }
        lan.run_for(SECOND);
        assert_eq!(lan.server(server).releases, (20, 0));
        assert_eq!(lan.server(server).database.granted(lan.now()), 0);
    });
}

#[test]
fn a_new_card_of_the_server_is_found() {
    for server in [Server::home_router(), Server::remote()] {
        let (mut lan, id) = lan(1, server, 20);
        lan.run_for(MINUTE);
        lan.replace_card(id, MacAddr([2, 0xff, 0, 0, 0, 9]));
        lan.run_for(2 * HOUR);
        assert_eq!((lan.in_state(State::Bound), lost(&lan)), (20, 0));
        let rebinds = lan.endpoints().iter().filter(|e| e.client.progress().resolutions == 0);
        assert_eq!(rebinds.count(), 0, "each found it by ARP");
    }
}

#[test]
fn a_slow_server_is_waited_for() {
    sim::seeds("a slow server", 0..5, |seed| {
        let (mut lan, server) = lan(seed, Server::home_router(), 20);
        lan.server_mut(server).delay = 3 * SECOND;
        lan.run_for(30 * SECOND);
        assert_eq!(lan.bound(), 20);
        lan.run_for(2 * HOUR);
        assert_eq!((lan.bound(), lost(&lan)), (20, 0));
    });
}

#[test]
fn nothing_is_left_at_the_server() {
    sim::seeds("releases", 0..10, |seed| {
        let (mut lan, server) = lan(seed, Server::home_router(), 100);
        // Some in the middle of their first exchange, some long after it.
        for number in 0..100u32 {
            let time = Duration::from_millis(u64::from(number) * 100 + seed % 5);
            let index = usize::try_from(number).unwrap();
            lan.after(time, move |lan| lan.command(index, Command::Release));
        }
        lan.run_for(MINUTE);
        assert_eq!(lan.in_state(State::Stopped), 100);
        assert_eq!(lan.server(server).database.granted(lan.now()), 0);
        assert_eq!(lan.server(server).releases.1, 0, "no RELEASE was malformed or in vain");
    });
}

#[test]
fn a_daemon_that_restarts_loses_no_lease_and_asks_for_none() {
    sim::seeds("restarts", 0..5, |seed| {
        let (mut lan, server) = lan(seed, Server::home_router(), 100);
        for restart in 1..20u32 {
            lan.after(17 * MINUTE * restart, |lan| {
                (0..100).for_each(|number| lan.restart(number));
            });
        }
        lan.run_for(6 * HOUR);
        assert_eq!((lan.in_state(State::Bound), lost(&lan)), (100, 0));
        assert_eq!(heard(&lan, server, MessageType::Discover), 100);
    });
}

#[test]
fn a_lease_is_kept_for_a_container_that_is_down_even_if_the_server_asks_by_arp() {
    sim::seeds("leases kept warm", 0..5, |seed| {
        let (mut lan, server) = lan(seed, Server::home_router(), 20);
        lan.server_mut(server).asks_arp = true;
        lan.run_for(MINUTE);
        for number in 0..10 {
            lan.set_up(number, false);
        }
        lan.run_for(5 * HOUR);
        assert_eq!((lan.in_state(State::Bound), lost(&lan)), (20, 0));
        let renewed = |e: &sim::Endpoint| e.history.renewed >= 9;
        assert!(lan.endpoints().iter().all(renewed));
    });
}

#[test]
fn an_exhausted_pool_serves_the_rest_as_soon_as_there_is_room() {
    sim::seeds("an exhausted pool", 0..5, |seed| {
        let (mut lan, _) = lan(seed, Server::second(), 60);
        lan.run_for(10 * MINUTE);
        assert_eq!(lan.bound(), 47);
        for number in 0..60 {
            if lan.endpoints()[number].configured.is_some() && number % 2 == 0 {
                lan.command(number, Command::Release);
            }
        }
        lan.run_for(2 * HEALED);
        assert_eq!(lan.in_state(State::Stopped) + lan.bound(), 60);
    });
}

#[test]
fn a_run_can_be_repeated() {
    let story = |seed| {
        let (mut lan, _) = lan(seed, short(120, Server::home_router()), 30);
        lan.conditions = Conditions::awful();
        lan.run_for(HOUR);
        let all = lan.endpoints().iter();
        all.map(|e| (e.history.clone(), e.client.lease().cloned())).collect::<Vec<_>>()
    };
    assert_eq!(story(5), story(5));
    assert_ne!(story(5), story(6));
}

#[test]
#[should_panic(expected = "from nobody")]
fn the_watch_notices() {
    let (mut lan, server) = lan(1, Server::home_router(), 1);
    lan.run_for(MINUTE);
    // The server's identifier is another now; what the clients have is from nobody.
    lan.server_mut(server).identifier = std::net::Ipv4Addr::new(192, 168, 1, 3);
    lan.run_for(HOUR);
    assert!(lan.now() > Instant::BOOT);
}
