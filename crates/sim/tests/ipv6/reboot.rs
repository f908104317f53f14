//! Daemons that are killed and machines that boot.

use dhcp::ipv6::{Origin, State};
use sim::v6::{Kind, Server};

use crate::lans::*;

#[test]
fn a_daemon_that_is_killed_goes_on_with_what_it_had() {
    sim::seeds("restarts", 0..3, |seed| {
        let (mut lan, _, _) = managed(seed, Server::new(), 50);
        lan.run_for(2 * MINUTE);
        let before = addresses(&lan);
        for round in 1..40u32 {
            lan.after(17 * MINUTE * round, |lan| (0..50).for_each(|n| lan.restart(n)));
        }
        lan.run_for(12 * HOUR);
        assert_eq!(addresses(&lan), before);
        // No other lease was looked for, and nothing that was known was asked anew.
        assert_eq!((sent(&lan, Kind::Solicit), sent(&lan, Kind::Request)), (50, 50));
        assert_eq!(sent(&lan, Kind::Confirm), 0);
        assert!(lan.endpoints().iter().all(|e| e.history.ready == 1));
    });
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_of_the_start_begins_anew() {
    sim::seeds("restarts at the start", 0..5, |seed| {
        let (mut lan, _, id) = managed(seed, Server::new(), 60);
        for number in 0..60u32 {
            // From the first solicitation to the end of the checks.
            let moment = MINUTE / 60 * number + SECOND / 20 * number;
            lan.after(moment, move |lan| lan.restart(number as usize));
        }
        lan.run_for(2 * MINUTE);
        assert_eq!((lan.in_state(State::Configured), count(&lan, Origin::Dhcp)), (60, 60));
        assert_eq!(lan.server(id).database.granted(lan.now()), 60);
    });
}

#[test]
fn a_machine_that_boots_has_its_lease_confirmed() {
    sim::seeds("reboots", 0..3, |seed| {
        let (mut lan, _, id) = managed(seed, Server::new(), 50);
        lan.run_for(2 * MINUTE);
        let before = addresses(&lan);
        for round in 1..10 {
            (0..50).for_each(|number| lan.reboot(number));
            assert_eq!(lan.addressed(), 0);
            lan.run_for(3 * SECOND);
            assert_eq!(addresses(&lan), before);
            assert_eq!(sent(&lan, Kind::Confirm), 50 * round);
            lan.run_for(10 * MINUTE);
        }
        assert_eq!((sent(&lan, Kind::Solicit), sent(&lan, Kind::Request)), (50, 50));
        assert_eq!(lan.server(id).database.granted(lan.now()), 50);
    });
}

#[test]
fn a_machine_that_boots_has_the_same_addresses_of_prefixes() {
    sim::seeds("reboots with SLAAC", 0..3, |seed| {
        let (mut lan, _) = slaac(seed, 50);
        lan.run_for(2 * MINUTE);
        let before = addresses(&lan);
        for _ in 0..10 {
            (0..50).for_each(|number| lan.reboot(number));
            lan.run_for(4 * SECOND);
            assert_eq!(addresses(&lan), before);
        }
    });
}

#[test]
fn a_machine_that_boots_where_nobody_answers_has_what_it_had_until_its_end() {
    let (mut lan, router, id) = managed(1, Server::new(), 10);
    lan.run_for(2 * MINUTE);
    let before = addresses(&lan);
    lan.router_mut(router).silent = true;
    lan.server_mut(id).fault = Some(sim::v6::Fault::Silent);
    (0..10).for_each(|number| lan.reboot(number));
    lan.run_for(3 * SECOND);
    assert_eq!(addresses(&lan), before);
    lan.run_for(3 * HOUR);
    assert_eq!(lan.addressed(), 0);
}

#[test]
fn a_machine_that_boots_on_another_link_takes_what_there_is() {
    let (mut lan, _, id) = managed(1, Server::new(), 20);
    lan.run_for(2 * MINUTE);
    let other = std::net::Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 1, 0);
    let server = lan.server_mut(id);
    server.forget();
    server.terms.pool = other..=std::net::Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 1, 0xffff);
    (0..20).for_each(|number| lan.reboot(number));
    lan.run_for(10 * SECOND);
    assert_eq!(count(&lan, Origin::Dhcp), 20);
    assert!(addresses(&lan).concat().iter().all(|address| address.segments()[2] == 2));
}
