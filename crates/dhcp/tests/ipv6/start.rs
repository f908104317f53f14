//! The first answer: who is asked, what is waited for, and for how long.

use dhcp::ipv6::{Client, Config, Event, Mode, Origin, Router, State};
use std::net::Ipv6Addr;
use std::time::Duration;
use wire::dhcp6::{Builder, Message, MessageType, code};
use wire::frame::{Checksum, Frame};
use wire::nd::{ALL_ROUTERS, Message as NdMessage, Preference};

use super::bench::*;
use super::lan::*;

#[test]
fn a_router_with_a_prefix_is_all_it_takes() {
    let mut bench = Bench::started();
    bench.state(State::Soliciting);
    let first = bench.nd().remove(0);
    assert!(
        matches!(first.what, What::Nd(NdMessage::RouterSolicitation, ref options) if options.is_empty())
    );
    assert_eq!((first.from, first.to, first.at), (Ipv6Addr::UNSPECIFIED, ALL_ROUTERS, at(0.0)));
    assert!(bench.client.listening().routers);

    bench.until(0.002);
    let advertisement = router().prefix(7200, 3600).dns("2001:db8:1::53", 1200).search("lan", 1200);
    bench.advertise(&advertisement.mtu(1400));
    bench.ready();
    bench.state(State::Configured);
    let configuration = bench.client.configuration().clone();
    assert_eq!(configuration.link_local, Some(LINK_LOCAL));
    let [address] = configuration.addresses[..] else { panic!("{configuration:?}") };
    assert_eq!(
        (address.address, address.prefix_len, address.origin),
        (ADDRESS, 128, Origin::Slaac)
    );
    assert_eq!((address.preferred_until, address.valid_until), (at(3600.002), at(7200.002)));
    let medium = Preference::Medium;
    let until = at(1800.002);
    let expected = Router { address: ROUTER, mac: ROUTER_MAC, preference: medium, until };
    assert_eq!(configuration.routers, [expected]);
    let [on_link] = configuration.on_link[..] else { panic!() };
    assert_eq!((on_link.prefix, on_link.length, on_link.until), (PREFIX, 64, at(7200.002)));
    assert_eq!((configuration.mtu, configuration.hop_limit), (Some(1400), Some(64)));
    assert_eq!(configuration.dns, [ip("2001:db8:1::53")]);
    assert_eq!(configuration.search, ["lan".into()]);
    // No server was asked, and none will be.
    assert!(!bench.client.listening().dhcp && bench.client.progress().server.is_none());
    bench.until(60.0);
    assert_eq!(bench.try_asked(MessageType::Solicit), None);
    assert_eq!(bench.client.progress().host.solicitations, 1);
}

#[test]
fn what_the_segment_has_heard_before_need_not_be_waited_for() {
    let bytes = router().prefix(7200, 3600).frame();
    let known = |seconds| (at(seconds), Frame::parse(&bytes, Checksum::Verify).unwrap());
    let mut bench = Bench::of(Client::new(Config::new(MAC), 1));
    bench.until(600.0);
    bench.run(|client, now| client.start_knowing([known(100.0)], now));
    bench.ready();
    assert_eq!(bench.now, at(600.0));
    let [address] = bench.client.configuration().addresses[..] else { panic!() };
    // As old as it is.
    let times = (address.preferred_until, address.valid_until);
    assert_eq!((address.address, times), (ADDRESS, (at(3700.0), at(7300.0))));
    // Routers are asked all the same.
    assert_eq!(bench.client.progress().host.solicitations, 1);

    // One that has ended says nothing any more.
    let mut bench = Bench::of(Client::new(Config::new(MAC), 1));
    bench.until(8000.0);
    bench.run(|client, now| client.start_knowing([known(100.0)], now));
    assert!(bench.client.configuration().addresses.is_empty());
    bench.until(8000.6);
    assert!(bench.addresses().is_empty());
}

#[test]
fn a_managed_network_is_waited_for() {
    let mut bench = Bench::started();
    bench.until(0.001);
    bench.advertise(&router().managed());
    bench.quiet();
    bench.state(State::Requesting);
    bench.until(0.003);
    bench.lease();
    bench.ready();
    let configuration = bench.client.configuration().clone();
    let [address] = configuration.addresses[..] else { panic!("{configuration:?}") };
    assert_eq!((address.address, address.prefix_len, address.origin), (LEASED, 128, Origin::Dhcp));
    assert_eq!(configuration.dns, [DNS]);
    // No router said that anything is on the link (RFC 5942 section 4).
    assert_eq!(configuration.on_link, []);
    assert_eq!(bench.client.lease().unwrap().addresses[0].address, LEASED);
    assert_eq!(bench.now, at(0.003));
}

#[test]
fn a_promised_lease_is_waited_for_two_seconds_longer() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed());
    bench.until(2.499);
    bench.quiet();
    bench.until(2.5);
    bench.ready();
    assert!(bench.addresses().is_empty());
    assert_eq!(bench.client.configuration().routers.len(), 1);
    // The server comes late, and is welcome.
    bench.sent.clear();
    bench.until(8.0);
    bench.lease();
    bench.changed();
    assert_eq!(bench.addresses(), [LEASED]);
}

#[test]
fn with_an_address_at_hand_a_lease_has_a_third_of_a_second() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed().prefix(7200, 3600));
    bench.until(0.1);
    bench.quiet();
    bench.lease();
    bench.ready();
    assert_eq!(bench.addresses(), [ADDRESS, LEASED]);

    let mut bench = Bench::started();
    bench.advertise(&router().managed().prefix(7200, 3600));
    bench.until(0.299);
    bench.quiet();
    bench.until(0.3);
    bench.ready();
    assert_eq!(bench.addresses(), [ADDRESS]);
}

#[test]
fn other_configuration_is_asked_for_without_a_lease() {
    let mut bench = Bench::started();
    bench.advertise(&router().other().prefix(7200, 3600));
    bench.quiet();
    let question = bench.asked(MessageType::InformationRequest);
    bench.reply(MessageType::Reply, &question);
    bench.ready();
    assert_eq!(bench.addresses(), [ADDRESS]);
    assert_eq!(bench.client.configuration().dns, [DNS]);

    // It is not worth more than a third of a second.
    let mut bench = Bench::started();
    bench.advertise(&router().other().prefix(7200, 3600));
    bench.until(0.299);
    bench.quiet();
    bench.until(0.3);
    bench.ready();
    // Where the router tells of DNS itself it is not waited for at all.
    let mut bench = Bench::started();
    bench.advertise(&router().other().prefix(7200, 3600).dns("2001:db8:1::53", 600));
    bench.ready();
}

#[test]
fn where_nobody_answers_it_is_known_in_half_a_second() {
    let mut bench = Bench::started();
    bench.until(0.25);
    let solicitations: Vec<_> = bench
        .sent
        .iter()
        .filter(|sent| matches!(sent.what, What::Nd(NdMessage::RouterSolicitation, _)))
        .map(|sent| sent.at)
        .collect();
    assert_eq!(solicitations, [at(0.0), at(0.02), at(0.25)]);
    // A server is asked as well.
    bench.asked(MessageType::Solicit);
    bench.until(0.499);
    bench.quiet();
    bench.until(0.5);
    bench.ready();
    bench.state(State::Requesting);
    assert_eq!(bench.client.configuration().link_local, Some(LINK_LOCAL));
    assert!(bench.addresses().is_empty());

    // A router that comes late.
    bench.until(30.0);
    bench.quiet();
    bench.advertise(&router().prefix(7200, 3600));
    bench.changed();
    assert_eq!(bench.addresses(), [ADDRESS]);
    // It knows nothing of leases, so that servers are not asked any more.
    bench.sent.clear();
    bench.until(7000.0);
    assert_eq!(bench.try_asked(MessageType::Solicit), None);
}

#[test]
fn a_server_without_routers_is_enough_for_an_address() {
    let mut bench = Bench::started();
    bench.until(0.25);
    bench.lease();
    // Routers have the time that is left.
    bench.quiet();
    bench.until(0.5);
    bench.ready();
    assert_eq!(bench.addresses(), [LEASED]);
}

#[test]
fn a_server_that_has_begun_to_answer_is_not_cut_short() {
    let mut bench = Bench::started();
    bench.until(0.25);
    let solicit = bench.asked(MessageType::Solicit);
    bench.until(0.499);
    bench.reply(MessageType::Advertise, &solicit);
    bench.until(1.0);
    bench.quiet();
    let request = bench.asked(MessageType::Request);
    bench.reply(MessageType::Reply, &request);
    bench.ready();
    assert_eq!(bench.addresses(), [LEASED]);

    let mut bench = Bench::started();
    bench.until(0.25);
    let solicit = bench.asked(MessageType::Solicit);
    bench.reply(MessageType::Advertise, &solicit);
    bench.until(2.499);
    bench.quiet();
    bench.until(2.5);
    bench.ready();
}

#[test]
fn a_server_that_refuses_is_not_waited_for() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed());
    let solicit = bench.asked(MessageType::Solicit);
    let question = Message::parse(&solicit).unwrap();
    let refusal = Builder::new(MessageType::Advertise, question.xid)
        .option(code::CLIENT_ID, question.options.client_id().unwrap())
        .option(code::SERVER_ID, &SERVER_DUID)
        .option(code::STATUS_CODE, &[0, 2])
        .finish();
    bench.answer(&refusal);
    bench.until(0.499);
    bench.quiet();
    bench.until(0.5);
    bench.ready();
}

#[test]
fn a_router_without_a_prefix_does_not_end_the_wait_for_another() {
    let mut bench = Bench::started();
    bench.advertise(&router());
    bench.until(0.1);
    bench.quiet();
    bench.advertise(&router().number(2).prefix(7200, 3600));
    bench.ready();
    assert_eq!(bench.client.configuration().routers.len(), 2);

    let mut bench = Bench::started();
    bench.advertise(&router());
    bench.until(0.5);
    bench.ready();
    bench.state(State::Configured);
    assert!(bench.client.progress().server.is_none());
}

#[test]
fn slaac_mode_leases_nothing() {
    let mut bench = Bench::with(mode(Mode::Slaac));
    bench.advertise(&router().managed().prefix(7200, 3600).dns("2001:db8:1::53", 600));
    bench.ready();
    assert_eq!(bench.addresses(), [ADDRESS]);
    bench.asked(MessageType::InformationRequest);

    let mut bench = Bench::with(mode(Mode::Slaac));
    bench.until(10.0);
    bench.ready();
    assert_eq!(bench.try_asked(MessageType::Solicit), None);
    bench.state(State::Alone);
}

#[test]
fn dhcp_mode_asks_at_once_and_makes_no_address() {
    let mut bench = Bench::with(mode(Mode::Dhcp));
    bench.lease();
    bench.quiet();
    bench.advertise(&router().prefix(7200, 3600));
    bench.ready();
    assert_eq!(bench.addresses(), [LEASED]);
    // The prefix is on the link all the same.
    assert_eq!(bench.client.configuration().on_link.len(), 1);
}

#[test]
fn a_prefix_is_asked_for_whatever_routers_say() {
    let mut bench = Bench::with(Config { prefix: Some(56), ..mode(Mode::Slaac) });
    let solicit = bench.asked(MessageType::Solicit);
    assert_eq!(Message::parse(&solicit).unwrap().options.ia_na().count(), 0);
    bench.advertise(&router().prefix(7200, 3600));
    bench.reply(MessageType::Advertise, &solicit);
    let request = bench.asked(MessageType::Request);
    bench.quiet();
    bench.reply(MessageType::Reply, &request);
    bench.ready();
    let [delegated] = bench.client.configuration().delegated[..] else { panic!() };
    assert_eq!((delegated.prefix, delegated.length), (DELEGATED, 56));
    assert_eq!(bench.addresses(), [ADDRESS]);
}

#[test]
fn patience_is_configurable() {
    let patience = Duration::from_secs(2);
    let mut bench = Bench::with(Config { patience, ..Config::new(MAC) });
    // However long it is, a server is asked soon.
    bench.until(0.249);
    assert_eq!(bench.try_asked(MessageType::Solicit), None);
    bench.until(0.25);
    bench.asked(MessageType::Solicit);
    bench.until(1.999);
    bench.quiet();
    bench.until(2.0);
    bench.ready();
}

#[test]
fn ready_comes_once_and_start_does_nothing_twice() {
    let mut bench = Bench::addressed(&router().prefix(7200, 3600));
    bench.run(|client, now| client.start(now));
    bench.until(100.0);
    bench.quiet();
    assert_eq!(bench.client.progress().host.solicitations, 1);
}

#[test]
fn a_link_local_address_that_is_anothers_ends_it_all() {
    let mut bench = Bench::started();
    bench.hear(&claim(OTHER_MAC, LINK_LOCAL));
    let given_up = true;
    let event = Event::Duplicate { address: LINK_LOCAL, holder: OTHER_MAC, given_up };
    assert_eq!(bench.event(), event);
    bench.ready();
    assert_eq!(bench.client.configuration(), &Default::default());
    bench.advertise(&router().prefix(7200, 3600));
    bench.quiet();
}

/// The associations that a DHCPv6 message has: of addresses, of prefixes.
fn associations(payload: &[u8]) -> (bool, bool) {
    let options = Message::parse(payload).unwrap().options;
    (options.ia_na().next().is_some(), options.ia_pd().next().is_some())
}

#[test]
fn a_prefix_is_asked_for_alone_where_the_router_speaks_of_no_addresses() {
    let delegating = || Config { prefix: Some(56), ..Config::new(MAC) };
    for (managed, expected) in [(false, (false, true)), (true, (true, true))] {
        let mut bench = Bench::with(delegating());
        assert_eq!(bench.try_asked(MessageType::Solicit), None, "first the routers");
        let said = router().prefix(7200, 3600);
        bench.advertise(&if managed { said.managed() } else { said });
        let solicit = bench.asked(MessageType::Solicit);
        assert_eq!(associations(&solicit), expected);
        bench.reply(MessageType::Advertise, &solicit);
        let request = bench.asked(MessageType::Request);
        assert_eq!(associations(&request), expected);
        bench.reply(MessageType::Reply, &request);
        bench.ready();
        assert_eq!(bench.client.configuration().delegated.len(), 1);
        assert_eq!(bench.addresses().contains(&LEASED), managed);
        // It is asked for as it is: at T1, and after a restart of the daemon.
        let saved = bench.client.saved();
        bench.until(1801.0);
        assert_eq!(associations(&bench.asked(MessageType::Renew)), expected);
        let mut bench = Bench::of(Client::resume(delegating(), saved, 2, at(100.0)));
        bench.now = at(100.0);
        bench.until(1801.0);
        assert_eq!(associations(&bench.asked(MessageType::Renew)), expected);
    }
}

#[test]
fn who_has_a_prefix_alone_asks_for_an_address_when_the_router_speaks_of_them() {
    let mut bench = Bench::with(Config { prefix: Some(56), ..Config::new(MAC) });
    bench.advertise(&router().prefix(7200, 3600));
    bench.lease();
    bench.ready();
    bench.until(100.0);
    bench.sent.clear();
    bench.advertise(&router().managed().prefix(7200, 3600));
    let renew = bench.asked(MessageType::Renew);
    assert_eq!(associations(&renew), (true, true));
    bench.reply(MessageType::Reply, &renew);
    bench.changed();
    assert!(bench.addresses().contains(&LEASED));
}

#[test]
fn without_a_router_a_prefix_is_asked_for_together_with_an_address() {
    let mut bench = Bench::with(Config { prefix: Some(56), ..Config::new(MAC) });
    bench.until(0.3);
    assert_eq!(associations(&bench.asked(MessageType::Solicit)), (true, true));
    // One is heard at last.
    bench.advertise(&router().prefix(7200, 3600));
    bench.until(5.0);
    assert_eq!(associations(&bench.asked(MessageType::Solicit)), (false, true));
}
