//! Holding a place, giving back, and going on after a restart and after a boot.

use dhcp::Instant;
use dhcp::ipv6::{Client, Config, Configuration, Event, Listening, OnLoss, Saved, State};
use wire::dhcp6::{Builder, Message, MessageType, code};
use wire::nd::{self, Message as NdMessage};

use super::bench::*;
use super::lan::*;

/// A client with an address of each kind, at second 10.
fn both() -> Bench {
    let mut bench = Bench::started();
    bench.advertise(&router().managed().prefix(7200, 3600));
    bench.lease();
    bench.ready();
    bench.until(10.0);
    bench.sent.clear();
    bench
}

#[test]
fn while_held_all_addresses_are_answered_for() {
    let mut bench = both();
    for held in [true, false] {
        bench.run(|client, _| client.hold(held));
        bench.sent.clear();
        for target in [LINK_LOCAL, ADDRESS, LEASED] {
            bench.hear(&solicitation(OTHER_MAC, OTHER, target));
            assert_eq!(bench.nd().len(), usize::from(held), "{target}");
        }
        let neighbours: Vec<_> = bench
            .client
            .neighbours()
            .map(|neighbour| (neighbour.address, neighbour.held))
            .collect();
        assert_eq!(neighbours, [(LINK_LOCAL, held), (ADDRESS, held), (LEASED, held)]);
    }
}

#[test]
fn an_announcement_is_of_all_addresses_and_twice() {
    let mut bench = both();
    bench.run(|client, _| client.announce());
    bench.until(20.0);
    let sent = bench.nd();
    assert_eq!(sent.len(), 6);
    assert!(sent.iter().all(|sent| sent.to == nd::ALL_NODES));
    assert!(sent[..3].iter().all(|sent| sent.at == at(10.0)));
    assert!(sent[3..].iter().all(|sent| sent.at == at(11.0)));
}

#[test]
fn the_socket_passes_what_is_needed_and_no_more() {
    let mut bench = Bench::of(Client::new(Config::new(MAC), 1));
    assert_eq!(bench.client.listening(), Listening::default());
    bench.run(|client, now| client.start(now));
    assert_eq!(bench.client.listening(), Listening { routers: true, dhcp: false });
    bench.advertise(&router().managed());
    assert_eq!(bench.client.listening(), Listening { routers: true, dhcp: true });
    bench.lease();
    assert_eq!(bench.client.listening(), Listening { routers: true, dhcp: false });
}

#[test]
fn a_lease_is_given_back_and_then_nothing_is_left() {
    let mut bench = both();
    bench.run(|client, now| client.release(now));
    bench.quiet();
    bench.state(State::Releasing);
    assert_eq!(bench.client.configuration(), &Configuration::default());
    let release = bench.asked(MessageType::Release);
    // Until a server has heard it, its answer must find the way.
    bench.run(|client, _| client.hold(true));
    bench.hear(&solicitation(SERVER_MAC, SERVER, LINK_LOCAL));
    assert!(bench.nd().iter().any(|sent| sent.to == SERVER));
    bench.reply(MessageType::Reply, &release);
    assert_eq!(bench.event(), Event::Released);
    bench.quiet();
    bench.state(State::Stopped);
    assert_eq!(bench.client.poll_timeout(), None);
    assert_eq!(bench.client.configuration(), &Configuration::default());
    assert_eq!(bench.client.listening(), Listening::default());
    bench.sent.clear();
    bench.advertise(&router().prefix(7200, 3600));
    bench.hear(&solicitation(OTHER_MAC, OTHER, LINK_LOCAL));
    assert!(bench.sent.is_empty());
    // And once more.
    bench.run(|client, now| client.start(now));
    bench.advertise(&router().prefix(7200, 3600));
    bench.ready();
    assert_eq!(bench.addresses(), [ADDRESS]);
}

#[test]
fn without_a_lease_it_is_over_at_once() {
    let mut bench = Bench::addressed(&router().prefix(7200, 3600));
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.event(), Event::Released);
    bench.run(|client, now| client.release(now));
    bench.quiet();

    let mut bench = Bench::started();
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.event(), Event::Released);
    bench.until(100.0);
    bench.quiet();
}

#[test]
fn a_silent_server_does_not_hold_up_a_release_for_ever() {
    let mut bench = both();
    bench.run(|client, now| client.release(now));
    bench.until(30.0);
    assert_eq!(bench.event(), Event::Released);
    bench.state(State::Stopped);
}

/// What the store gives back.
fn stored(saved: &Saved) -> Saved {
    serde_json::from_str(&serde_json::to_string(saved).unwrap()).unwrap()
}

#[test]
fn a_restarted_daemon_goes_on_where_it_was() {
    let before = both();
    let saved = stored(&before.client.saved());
    assert_eq!(saved, before.client.saved());
    let mut bench = Bench::of(Client::resume(Config::new(MAC), saved, 2, at(20.0)));
    bench.now = at(20.0);
    bench.quiet();
    bench.state(State::Configured);
    assert_eq!(bench.client.configuration(), before.client.configuration());
    assert!(bench.sent.is_empty(), "{:?}", bench.sent);
    // Routers are asked at a random moment, and addresses not checked again.
    bench.until(31.0);
    let nd = bench.nd();
    let asks = |sent: &Sent| matches!(sent.what, What::Nd(NdMessage::RouterSolicitation, _));
    assert!(!nd.is_empty() && nd.iter().all(asks), "{nd:?}");
    assert!(nd[0].at > at(20.0) && nd[0].at < at(30.0));
    bench.advertise(&router().managed().prefix(7200, 3600));
    bench.quiet();
    bench.until(1900.0);
    bench.events.clear();
    bench.asked(MessageType::Renew);
}

/// No router, and a server that is not there yet: after a restart of the daemon it is asked for on.
#[test]
fn a_restarted_daemon_goes_on_asking_unbidden() {
    let mut before = Bench::started();
    before.until(5.0);
    before.ready();
    let saved = stored(&before.client.saved());
    let mut bench = Bench::of(Client::resume(Config::new(MAC), saved, 2, at(20.0)));
    bench.now = at(20.0);
    bench.until(40.0);
    bench.asked(MessageType::Solicit);
    bench.lease();
    bench.changed();
    assert_eq!(bench.addresses(), [LEASED]);
}

#[test]
fn what_ended_while_the_daemon_was_away_is_told() {
    let before = both();
    let saved = before.client.saved();
    let mut bench = Bench::of(Client::resume(Config::new(MAC), saved, 2, at(2000.0)));
    bench.now = at(2000.0);
    let Event::Changed { old } = bench.event() else { panic!() };
    assert_eq!(&*old, before.client.configuration());
    assert_eq!(bench.client.configuration().routers, []);
    assert_eq!(bench.addresses(), [ADDRESS, LEASED]);
    bench.quiet();

    let saved = before.client.saved();
    let mut bench = Bench::of(Client::resume(Config::new(MAC), saved, 2, at(8000.0)));
    bench.changed();
    assert!(bench.addresses().is_empty());
}

#[test]
fn after_a_boot_a_server_confirms_the_lease() {
    let saved = both().client.saved();
    let mut bench = Bench::of(Client::reboot(Config::new(MAC), stored(&saved), 2, at(0.0)));
    bench.quiet();
    assert_eq!(bench.client.saved(), saved, "until there is something better");
    let confirm = bench.asked(MessageType::Confirm);
    bench.advertise(&router().managed().prefix(7200, 3600));
    let question = Message::parse(&confirm).unwrap();
    let yes = Builder::new(MessageType::Reply, question.xid)
        .option(code::CLIENT_ID, question.options.client_id().unwrap())
        .option(code::SERVER_ID, &SERVER_DUID)
        .option(code::STATUS_CODE, &[0, 0])
        .finish();
    bench.answer(&yes);
    bench.ready();
    assert_eq!(bench.addresses(), [ADDRESS, LEASED]);
}

#[test]
fn a_confirmed_lease_that_ends_is_told_although_no_router_knows_of_leases() {
    let mut bench = Bench::started();
    bench.until(0.25);
    bench.lease();
    bench.until(0.5);
    bench.ready();
    let saved = bench.client.saved();
    let mut bench = Bench::of(Client::reboot(Config::new(MAC), saved, 2, at(0.0)));
    bench.until(2.5);
    bench.ready();
    bench.advertise(&router().lifetime(9000));
    bench.changed();
    assert_eq!(bench.addresses(), [LEASED]);
    bench.until(8000.0);
    bench.changed();
    assert!(bench.addresses().is_empty());
}

#[test]
fn after_a_boot_silence_leaves_all_as_it_was() {
    let before = both();
    let saved = before.client.saved();
    let mut bench = Bench::of(Client::reboot(Config::new(MAC), saved, 2, at(0.0)));
    bench.until(2.6);
    bench.ready();
    assert_eq!(bench.addresses(), [ADDRESS, LEASED]);
    assert_eq!(bench.client.configuration().routers, before.client.configuration().routers);
}

#[test]
fn after_a_boot_routers_say_anew_what_is_so() {
    let saved = Bench::addressed(&router().prefix(7200, 3600)).client.saved();
    let mut bench = Bench::of(Client::reboot(Config::new(MAC), saved.clone(), 2, at(0.0)));
    let other = ip("2001:db8:2::");
    bench.advertise(&router().number(2).option(autonomous(other, 7200, 3600)));
    bench.ready();
    assert_eq!(bench.addresses(), [ip("2001:db8:2::ff:fe00:42")]);
    assert_eq!(bench.client.configuration().routers.len(), 1);

    // What has ended meanwhile does not come back.
    let past = saved.translate(|instant| instant - std::time::Duration::from_secs(7300));
    let mut bench = Bench::of(Client::reboot(Config::new(MAC), past, 2, at(0.0)));
    bench.until(0.5);
    bench.ready();
    assert!(bench.addresses().is_empty());
}

#[test]
fn times_are_translated_all_of_them() {
    let mut bench = Bench::with(Config { prefix: Some(56), ..Config::new(MAC) });
    let route = router().managed().prefix(u32::MAX, 3600).route("fd00::", 16, 600);
    bench.advertise(&route.dns("2001:db8::53", 700).search("lan", 800));
    bench.lease();
    bench.ready();
    let saved = bench.client.saved();
    let hour = std::time::Duration::from_secs(3600);
    let there = saved.clone().translate(|instant| instant + hour);
    assert_ne!(there, saved);
    assert_eq!(there.configuration.addresses[0].valid_until, dhcp::Instant::NEVER);
    assert_eq!(there.configuration.addresses[1].valid_until, at(3600.0 + 7200.0));
    assert_eq!(there.lease.as_ref().unwrap().prefixes[0].valid_until, at(3600.0 + 7200.0));
    assert_eq!(there.translate(|instant| instant - hour), saved);
}

#[test]
fn frames_for_others_are_left_alone() {
    let mut bench = both();
    let before = bench.client.progress().server.unwrap().ignored;
    // A DHCPv6 answer to another address, and to another port.
    let question = [2, 1, 2, 3];
    let socket = |address: &str, port| std::net::SocketAddrV6::new(ip(address), port, 0, 0);
    for to in [socket("fe80::7", 546), socket("fe80::ff:fe00:42", 547)] {
        let from = socket("fe80::2", 547);
        bench.hear(&wire::frame::udp6(SERVER_MAC, MAC, from, to, &question));
    }
    assert_eq!(bench.client.progress().server.unwrap().ignored, before);
    let from = socket("fe80::2", 547);
    let to = socket("fe80::ff:fe00:42", 546);
    bench.hear(&wire::frame::udp6(SERVER_MAC, MAC, from, to, &question));
    assert_ne!(bench.client.progress().server.unwrap().ignored, before);
    bench.quiet();
}

/// The container's kernel has an address deprecated by then.
#[test]
fn a_preferred_lifetime_that_was_over_is_told_anew_at_once() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed());
    bench.lease();
    bench.ready();
    bench.until(f64::from(PREFERRED) + 60.0);
    bench.events.clear();
    // The container was told something since.
    bench.advertise(&router().managed().mtu(1400));
    bench.changed();
    let mut last = None;
    while let Some(sent) = bench.sent.pop_front() {
        if let What::Dhcp(payload) = sent.what {
            last = Some(payload);
        }
    }
    // In time for the last question.
    bench.reply(MessageType::Reply, &last.unwrap());
    assert_eq!(bench.event(), Event::Renewed);
    let preferred_until = bench.client.configuration().addresses[0].preferred_until;
    assert!(preferred_until > bench.now, "{preferred_until:?}");
}

/// As with IPv4 (`OnLoss::Keep`): silence takes nothing away.
#[test]
fn where_it_is_wanted_an_address_that_nobody_prolongs_stays() {
    let keeping = || Config { on_loss: OnLoss::Keep, ..Config::new(MAC) };
    let overdue = || {
        let mut bench = Bench::with(keeping());
        bench.advertise(&router().managed().prefix(7200, 3600));
        bench.lease();
        bench.ready();
        bench.until(f64::from(VALID) - 1.0);
        assert_eq!(bench.addresses(), [ADDRESS, LEASED]);
        bench.events.clear();
        bench.until(f64::from(VALID) + 1.0);
        assert_eq!(bench.addresses(), [LEASED], "and what a router said ends");
        let kept = bench.client.configuration().addresses[0];
        assert_eq!((kept.valid_until, kept.preferred_until), (Instant::NEVER, Instant::NEVER));
        bench.state(State::Requesting);
        bench.sent.clear();
        bench
    };
    // It is looked after, and asked for.
    let mut bench = overdue();
    bench.run(|client, _| client.hold(true));
    bench.hear(&solicitation(OTHER_MAC, OTHER, LEASED));
    assert!(!bench.nd().is_empty());
    bench.until(f64::from(VALID) + 10.0);
    let solicit = bench.asked(MessageType::Solicit);
    let asked = Message::parse(&solicit).unwrap();
    let wanted = asked.options.ia_na().flat_map(|ia| ia.options.addresses()).next();
    assert_eq!(wanted.map(|wanted| wanted.address), Some(LEASED));
    // The next run of the daemon goes on with it.
    let saved = bench.client.saved();
    let resumed = Bench::of(Client::resume(keeping(), saved, 2, bench.now));
    assert_eq!(resumed.addresses(), [LEASED]);
    assert!(resumed.client.neighbours().any(|neighbour| neighbour.address == LEASED));
    // A lease has an end again.
    bench.until(f64::from(VALID) + 60.0);
    bench.lease();
    assert_eq!(bench.addresses(), [LEASED]);
    assert_ne!(bench.client.configuration().addresses[0].valid_until, Instant::NEVER);

    // Given back, it is gone; and so it is where another machine has it.
    let mut bench = overdue();
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.client.configuration(), &Configuration::default());
    // What answers the last Solicit would be given back as well.
    bench.until(f64::from(VALID) + 3.0);
    assert_eq!(bench.events.pop_back(), Some(Event::Released));
    bench.run(|client, now| client.start(now));
    bench.advertise(&router().prefix(7200, 3600));
    assert_eq!(bench.addresses(), [ADDRESS]);
    let mut bench = overdue();
    bench.run(|client, now| client.confirm(now, now));
    bench.hear(&claim(OTHER_MAC, LEASED));
    assert!(bench.addresses().is_empty());
}
