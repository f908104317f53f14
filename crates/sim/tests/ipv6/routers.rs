//! What routers say, change and take back.

use dhcp::ipv6::{Client, Origin, State};
use sim::Conditions;
use sim::v6::{Kind, Lan, Router};
use wire::dhcp6::MessageType;
use wire::nd::{NdOption, RouterAdvertisement};

use crate::lans::*;

#[test]
fn a_fleet_has_its_addresses_within_a_second_and_keeps_them_for_weeks() {
    sim::seeds("SLAAC", 0..1, |seed| {
        let (mut lan, _) = slaac(seed, 20);
        lan.run_for(MINUTE + SECOND);
        assert_eq!(count(&lan, Origin::Slaac), 20);
        let before = addresses(&lan);
        lan.run_for(1000 * HOUR);
        assert_eq!(addresses(&lan), before);
        for endpoint in lan.endpoints() {
            assert_eq!(endpoint.history.ready, 1);
            // A router may take half a second, and nobody waits for longer.
            assert!(endpoint.history.changed <= 1);
        }
        // While nothing changes nobody says anything.
        assert!(sent(&lan, Kind::Solicit) <= 20);
        assert_eq!(sent(&lan, Kind::NeighbourSolicitation), 80);
        assert!(sent(&lan, Kind::RouterSolicitation) <= 60);
    });
}

#[test]
fn a_prefix_that_takes_the_place_of_another_is_followed() {
    sim::seeds("renumbering", 0..3, |seed| {
        let (mut lan, id) = slaac(seed, 30);
        lan.run_for(2 * MINUTE);
        let router = lan.router_mut(id);
        // RFC 4862 §5.5.3: the old one may not end sooner than in two hours.
        router.options.push(Router::prefix(prefix(1), 0, 0));
        router.options.push(Router::prefix(prefix(2), 86_400, 14_400));
        router.options.retain(|option| *option != Router::prefix(prefix(1), 86_400, 14_400));
        lan.advertise(id);
        lan.run_for(10 * SECOND);
        assert_eq!(count(&lan, Origin::Slaac), 60);
        for endpoint in lan.endpoints() {
            let old = endpoint.configured[0];
            assert!(old.preferred_until <= lan.now() && old.valid_until > lan.now() + HOUR);
        }
        lan.run_for(2 * HOUR);
        assert_eq!(count(&lan, Origin::Slaac), 30);
        let new = |address: &std::net::Ipv6Addr| address.segments()[2] == 2;
        assert!(addresses(&lan).concat().iter().all(new));
    });
}

#[test]
fn a_router_that_goes_is_missed_and_one_that_comes_back_is_found() {
    sim::seeds("a router that goes", 0..3, |seed| {
        let (mut lan, id) = slaac(seed, 30);
        lan.run_for(2 * MINUTE);
        lan.router_mut(id).silent = true;
        lan.run_for(HOUR);
        let routed = |lan: &Lan| {
            let all = lan.endpoints().iter();
            all.filter(|e| !e.client.configuration().routers.is_empty()).count()
        };
        assert_eq!((routed(&lan), count(&lan, Origin::Slaac)), (0, 30));
        lan.run_for(24 * HOUR);
        assert_eq!((lan.addressed(), lan.in_state(State::Alone)), (0, 30));
        lan.router_mut(id).silent = false;
        // RFC 7559: nobody pauses for longer than an hour and a tenth, and the router says so itself.
        lan.run_for(10 * MINUTE);
        assert_eq!((routed(&lan), count(&lan, Origin::Slaac)), (30, 30));
    });
}

#[test]
fn flags_are_followed_both_ways() {
    sim::seeds("flags", 0..3, |seed| {
        let (mut lan, id) = slaac(seed, 20);
        lan.run_for(2 * MINUTE);
        let server = lan.add_server(sim::v6::Server::new());
        let flags = |other, managed| {
            move |header: RouterAdvertisement| RouterAdvertisement { other, managed, ..header }
        };
        let say = |lan: &mut Lan, change: &dyn Fn(RouterAdvertisement) -> RouterAdvertisement| {
            let router = lan.router_mut(id);
            router.header = change(router.header);
            lan.advertise(id);
            lan.run_for(MINUTE);
        };
        say(&mut lan, &flags(true, false));
        assert_eq!(sent(&lan, Kind::InformationRequest), 20);
        assert_eq!(count(&lan, Origin::Dhcp), 0);
        say(&mut lan, &flags(true, true));
        assert_eq!((count(&lan, Origin::Dhcp), count(&lan, Origin::Slaac)), (20, 20));
        // A lease that there is is kept.
        say(&mut lan, &flags(false, false));
        lan.run_for(10 * HOUR);
        assert_eq!((count(&lan, Origin::Dhcp), count(&lan, Origin::Slaac)), (20, 20));
        assert_eq!(lan.server(server).heard(MessageType::Solicit), 20);
    });
}

#[test]
fn a_lan_without_dhcpv6_any_more_is_asked_for_it_no_more() {
    let (mut lan, id, server) = managed(1, sim::v6::Server::new(), 10);
    lan.run_for(2 * MINUTE);
    assert_eq!(count(&lan, Origin::Dhcp), 10);
    // The LAN goes over to SLAAC: its server is switched off.
    lan.server_mut(server).fault = Some(sim::v6::Fault::Silent);
    let router = lan.router_mut(id);
    (router.header, router.options) = (Router::home().header, Router::home().options);
    lan.advertise(id);
    lan.run_for(3 * HOUR);
    assert_eq!((count(&lan, Origin::Dhcp), count(&lan, Origin::Slaac)), (0, 10));
    assert!(sent(&lan, Kind::Solicit) <= 10 * 13);
    let before = sent(&lan, Kind::Solicit);
    lan.run_for(100 * HOUR);
    assert_eq!(sent(&lan, Kind::Solicit), before);
}

#[test]
fn an_awful_lan_leaves_nobody_without_an_address() {
    sim::seeds("an awful LAN", 0..4, |seed| {
        let (mut lan, id) = slaac(seed, 40);
        lan.router_mut(id).options[1] = Router::prefix(prefix(1), 3600, 1800);
        lan.conditions = Conditions::awful();
        lan.run_for(MINUTE);
        for _ in 0..48 {
            lan.run_for(HOUR / 2);
            assert!(lan.addressed() >= 38, "{lan:?}");
        }
        lan.conditions = Conditions::good();
        lan.run_for(20 * MINUTE);
        assert_eq!(count(&lan, Origin::Slaac), 40);
    });
}

#[test]
fn a_container_that_comes_late_is_spoken_for() {
    let (mut lan, _) = slaac(1, 2);
    lan.run_for(2 * MINUTE);
    lan.set_up(0, false);
    let asked = lan.endpoints()[0].configured[0].address;
    let before = lan.endpoints()[0].history.sent.of(Kind::NeighbourAdvertisement);
    let solicitation = wire::nd::Message::NeighbourSolicitation { target: asked };
    let (mac, source) = (wire::MacAddr([2, 0xfd, 0, 0, 0, 1]), "fe80::99".parse().unwrap());
    let group = wire::nd::solicited_node(asked);
    let options = [NdOption::SourceMac(mac)];
    lan.say(wire::nd::emit(mac, source, group, &solicitation, &options));
    lan.run_for(SECOND);
    let after = lan.endpoints()[0].history.sent.of(Kind::NeighbourAdvertisement);
    assert_eq!(after, before + 1);
}

#[test]
fn what_is_released_is_released_at_once_where_nothing_is_leased() {
    let (mut lan, _) = slaac(1, 10);
    lan.run_for(2 * MINUTE);
    for number in 0..10 {
        lan.command(number, Client::release);
        assert_eq!(lan.endpoints()[number].history.released, 1);
    }
    assert_eq!((lan.addressed(), lan.in_state(State::Stopped)), (0, 10));
    let before = lan.sent().total();
    lan.run_for(24 * HOUR);
    assert_eq!(lan.sent().total(), before);
}
