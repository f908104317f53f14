//! Addresses that endpoints made themselves, told to servers that want to know (RFC 9686).

use dhcp::ipv6::{Client, Origin};
use sim::Conditions;
use sim::v6::{Kind, Lan, Router, RouterId, Server, ServerId};
use wire::MacAddr;
use wire::dhcp6::MessageType;
use wire::nd::{self, Message, NdOption, NeighbourAdvertisement};

use crate::lans::*;

/// A fleet in a LAN with SLAAC and a server for the rest, which wants to know of addresses or does
/// not.
fn informed(seed: u64, size: usize, wants: bool) -> (Lan, RouterId, ServerId) {
    let mut lan = Lan::new(seed);
    let mut router = Router::home();
    router.header.other = true;
    let router = lan.add_router(router);
    let server = lan.add_server(Server::new());
    lan.server_mut(server).registers = wants;
    let fleet = lan.add_fleet(size);
    lan.start(fleet, MINUTE);
    (lan, router, server)
}

/// How many addresses made of prefixes the server does not know of.
fn unknown(lan: &Lan, id: ServerId) -> usize {
    let registry = &lan.server(id).registry;
    let unknown = lan.endpoints().iter().flat_map(|endpoint| {
        let client = &endpoint.client.config().duid;
        let made = endpoint.configured.iter().filter(|one| one.origin == Origin::Slaac);
        made.filter(|one| !registry.knows(client, one.address, lan.now()))
    });
    unknown.count()
}

#[test]
fn a_server_that_wants_it_knows_each_address_for_as_long_as_it_is_in_use() {
    sim::seeds("registrations", 0..2, |seed| {
        let (mut lan, _, id) = informed(seed, 20, true);
        lan.run_for(MINUTE + 5 * SECOND);
        assert_eq!((count(&lan, Origin::Slaac), unknown(&lan, id)), (20, 0));
        assert_eq!(sent(&lan, Kind::Registration), 20);
        for _ in 0..240 {
            lan.run_for(HOUR);
            assert_eq!((lan.server(id).registry.len(lan.now()), unknown(&lan, id)), (20, 0));
        }
        // Every four hours, a tenth more or less.
        let told = sent(&lan, Kind::Registration);
        assert!((20 * 54..=20 * 68).contains(&told), "{told}");
    });
}

#[test]
fn nobody_is_told_who_does_not_want_to_know() {
    let (mut lan, _, id) = informed(1, 20, false);
    lan.run_for(48 * HOUR);
    (0..20).for_each(|number| lan.restart(number));
    lan.run_for(HOUR);
    assert_eq!(sent(&lan, Kind::Registration), 0);
    // As soon as it does, within a day (RFC 8415 §7.6: IRT_DEFAULT).
    lan.server_mut(id).registers = true;
    lan.run_for(25 * HOUR);
    assert_eq!(unknown(&lan, id), 0);
}

#[test]
fn what_is_leased_is_not_told_and_what_is_made_beside_it_is() {
    let mut lan = Lan::new(1);
    let mut router = Router::home();
    router.header.managed = true;
    let router = lan.add_router(router);
    let id = lan.add_server(Server::new());
    lan.server_mut(id).registers = true;
    lan.add_fleet(20);
    lan.start(0..20, MINUTE);
    lan.run_for(2 * MINUTE);
    assert_eq!((count(&lan, Origin::Slaac), count(&lan, Origin::Dhcp)), (20, 20));
    assert_eq!((lan.server(id).registry.len(lan.now()), unknown(&lan, id)), (20, 0));
    // Addresses of prefixes that come later are told when they come.
    lan.router_mut(router).options.push(Router::prefix(prefix(2), 86_400, 14_400));
    lan.advertise(router);
    lan.run_for(MINUTE);
    assert_eq!((lan.server(id).registry.len(lan.now()), unknown(&lan, id)), (40, 0));
    assert_eq!(sent(&lan, Kind::Registration), 40);
}

#[test]
fn who_is_not_answered_tells_three_times_and_then_in_its_time() {
    let (mut lan, _, id) = informed(1, 10, true);
    lan.run_for(MINUTE + 5 * SECOND);
    assert_eq!(sent(&lan, Kind::Registration), 10);
    // RFC 9686 §4.4: that the option is missing once is no reason to stop.
    lan.server_mut(id).registers = false;
    lan.run_for(48 * HOUR);
    let told = sent(&lan, Kind::Registration) - 10;
    assert!((10 * 3 * 10..=10 * 3 * 14).contains(&told), "{told}");
}

#[test]
fn a_server_that_forgets_knows_all_again_within_hours() {
    let (mut lan, _, id) = informed(1, 10, true);
    lan.run_for(2 * MINUTE);
    lan.server_mut(id).forget();
    assert_eq!(unknown(&lan, id), 10);
    lan.run_for(4 * HOUR + HOUR / 2);
    assert_eq!(unknown(&lan, id), 0);
}

#[test]
fn an_awful_lan_does_not_keep_servers_from_knowing() {
    sim::seeds("registrations in an awful LAN", 0..3, |seed| {
        let (mut lan, _, id) = informed(seed, 20, true);
        lan.conditions = Conditions::awful();
        lan.run_for(5 * HOUR);
        for _ in 0..12 {
            lan.run_for(HOUR);
            assert!(unknown(&lan, id) <= 2, "{} of 20", unknown(&lan, id));
        }
    });
}

#[test]
fn daemons_that_start_anew_and_machines_that_boot_tell_again() {
    sim::seeds("registrations after restarts", 0..2, |seed| {
        let (mut lan, _, id) = informed(seed, 20, true);
        lan.run_for(2 * MINUTE);
        for boots in [false, true] {
            for _ in 0..5 {
                lan.server_mut(id).forget();
                let before = sent(&lan, Kind::Registration);
                (0..20).for_each(|n| if boots { lan.reboot(n) } else { lan.restart(n) });
                // The link may be another after a boot.
                lan.run_for(12 * SECOND);
                assert_eq!(unknown(&lan, id), 0, "boots: {boots}");
                assert_eq!(sent(&lan, Kind::Registration) - before, 20, "boots: {boots}");
            }
        }
    });
}

#[test]
fn on_another_link_it_is_found_out_anew_whether_somebody_wants_to_know() {
    let (mut lan, router, id) = informed(1, 20, true);
    lan.run_for(2 * MINUTE);
    let before = sent(&lan, Kind::Registration);
    lan.server_mut(id).registers = false;
    (0..20).for_each(|number| lan.confirm(number, SECOND));
    lan.run_for(24 * HOUR);
    assert_eq!(sent(&lan, Kind::Registration), before);
    // And once more, to a link with another prefix whose server does.
    lan.server_mut(id).registers = true;
    lan.router_mut(router).options[1] = Router::prefix(prefix(2), 86_400, 14_400);
    (0..20).for_each(|number| lan.confirm(number, SECOND));
    lan.run_for(31 * MINUTE);
    assert_eq!((count(&lan, Origin::Slaac), unknown(&lan, id)), (20, 0));
}

#[test]
fn who_has_a_lease_as_well_finds_it_out_in_seconds() {
    sim::seeds("registrations beside leases", 0..2, |seed| {
        let (mut lan, router, id) = managed(seed, Server::new(), 20);
        lan.router_mut(router).options = Router::home().options;
        lan.run_for(2 * MINUTE);
        assert_eq!((count(&lan, Origin::Slaac), count(&lan, Origin::Dhcp)), (20, 20));
        lan.server_mut(id).registers = true;
        for boots in [false, true] {
            lan.server_mut(id).registry = Default::default();
            (0..20).for_each(|n| if boots { lan.reboot(n) } else { lan.confirm(n, SECOND) });
            lan.run_for(20 * SECOND);
            assert_eq!((lan.server(id).registry.len(lan.now()), unknown(&lan, id)), (20, 0));
        }
        assert_eq!((sent(&lan, Kind::Renew), sent(&lan, Kind::Confirm)), (40, 40));
    });
}

#[test]
fn an_address_that_is_given_up_is_told_of_and_one_that_ends_is_not() {
    let (mut lan, router, id) = informed(1, 10, true);
    lan.run_for(2 * MINUTE);
    lan.router_mut(router).options[1] = Router::prefix(prefix(2), 7200, 3600);
    lan.advertise(router);
    lan.run_for(MINUTE);
    assert_eq!(lan.server(id).registry.len(lan.now()), 20);
    // Nobody prolongs what is left of the first one, which lasts for a day.
    let before = lan.server(id).heard(MessageType::AddrRegInform);
    lan.run_for(30 * HOUR);
    assert_eq!((count(&lan, Origin::Slaac), lan.server(id).registry.len(lan.now())), (10, 10));
    // The other one is prolonged every 80 % of two hours.
    let told = lan.server(id).heard(MessageType::AddrRegInform) - before;
    assert!((10 * 16..=10 * 21).contains(&told), "{told}");
}

#[test]
fn who_stops_says_nothing_more() {
    let (mut lan, router, _) = informed(1, 10, true);
    lan.run_for(2 * MINUTE);
    (0..10).for_each(|number| lan.command(number, Client::release));
    let before = sent(&lan, Kind::Registration);
    for _ in 0..20 {
        lan.advertise(router);
        lan.run_for(HOUR);
    }
    assert_eq!(sent(&lan, Kind::Registration), before);
}

#[test]
fn nothing_is_told_of_an_address_that_another_machine_has() {
    let (mut lan, _, id) = informed(1, 10, true);
    // Before it is known, and afterwards: who claims all of them wins the second time.
    for claims in 1..4 {
        lan.run_for(MINUTE + 10 * SECOND);
        for address in addresses(&lan).concat() {
            let said = NeighbourAdvertisement {
                target: address,
                router: false,
                solicited: false,
                replaces: true,
            };
            let mac = MacAddr([0x02, 0xfd, 0, 0, 0, 1]);
            let options = [NdOption::TargetMac(mac)];
            for _ in 0..claims {
                let message = Message::NeighbourAdvertisement(said);
                lan.say(nd::emit(mac, address, nd::ALL_NODES, &message, &options));
            }
        }
    }
    lan.run_for(MINUTE);
    assert_eq!(unknown(&lan, id), 0);
}

#[test]
fn sixteen_addresses_are_told_of_at_a_limited_rate() {
    let (mut lan, router, id) = informed(1, 5, true);
    lan.run_for(2 * MINUTE);
    for round in 0..60u16 {
        let router = lan.router_mut(router);
        router.options.truncate(2);
        for number in 0..15 {
            let times = (200 + u32::from(round) * 30, 100);
            router.options.push(Router::prefix(prefix(2 + number), times.0, times.1));
        }
        let all = router.advertisement();
        lan.say(all);
        lan.run_for(20 * SECOND);
    }
    assert_eq!((count(&lan, Origin::Slaac), unknown(&lan, id)), (80, 0));
    let told = sent(&lan, Kind::Registration);
    assert!((80..=5 * 16 * 20).contains(&told), "{told}");
}
