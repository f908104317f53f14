//! What becomes of the configuration: new times, other contents, the end.

use dhcp::ipv6::{Event, Origin, State};
use wire::dhcp6::MessageType;
use wire::nd::{Message as NdMessage, NdOption, Preference, RouteInformation};

use super::bench::*;
use super::lan::*;

#[test]
fn new_times_are_told_when_half_of_the_old_ones_is_over() {
    let said = router().prefix(7200, 3600);
    let mut bench = Bench::addressed(&said);
    // The router's half hour is the shortest. It says the same every 200 s.
    for seconds in [200, 400, 600, 800] {
        bench.until(f64::from(seconds));
        bench.advertise(&said);
        bench.quiet();
    }
    assert_eq!(bench.client.configuration().routers[0].until, at(1800.0));
    bench.until(899.0);
    bench.quiet();
    // With nothing more to be heard, what was heard last is told.
    bench.until(900.0);
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(bench.client.configuration().routers[0].until, at(2600.0));
    bench.until(1700.0);
    bench.quiet();
    // Half of it is over: the next advertisement is told at once.
    bench.until(1800.0);
    bench.advertise(&said);
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(bench.client.configuration().routers[0].until, at(3600.0));
    bench.quiet();
}

#[test]
fn shorter_times_are_told_at_once_but_not_for_a_rounded_second() {
    let mut bench = Bench::addressed(&router().prefix(7200, 3600));
    // A lifetime that is counted down in real time.
    bench.until(10.5);
    bench.advertise(&router().lifetime(1789).prefix(7189, 3589));
    bench.quiet();
    bench.advertise(&router().lifetime(600).prefix(7189, 3589));
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(bench.client.configuration().routers[0].until, at(610.5));
    // Deprecated.
    bench.advertise(&router().lifetime(600).prefix(7189, 0));
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(bench.client.configuration().addresses[0].preferred_until, at(10.5));
    bench.quiet();
}

#[test]
fn what_comes_to_have_an_end_has_changed() {
    let forever = router().prefix(u32::MAX, u32::MAX).route("2001:db8:9::", 48, u32::MAX);
    let mut bench = Bench::addressed(&forever);
    let before = bench.client.configuration().clone();
    bench.until(10.0);
    let routed = router().prefix(7200, 7200).route("2001:db8:9::", 48, u32::MAX);
    bench.advertise(&routed);
    assert_eq!(bench.event(), Event::Changed { old: Box::new(before) });
    let before = bench.client.configuration().clone();
    bench.advertise(&router().prefix(7200, 7200).route("2001:db8:9::", 48, 1800));
    assert_eq!(bench.event(), Event::Changed { old: Box::new(before) });
    let before = bench.client.configuration().clone();
    bench.advertise(&forever);
    assert_eq!(bench.event(), Event::Changed { old: Box::new(before) });
}

#[test]
fn what_was_valid_until_now_is_told_with_the_change() {
    let said = router().prefix(7200, 3600);
    let mut bench = Bench::addressed(&said);
    let before = bench.client.configuration().clone();
    bench.until(10.0);
    bench.advertise(&said.clone().mtu(1400));
    assert_eq!(bench.event(), Event::Changed { old: Box::new(before) });
    assert_eq!(bench.client.configuration().mtu, Some(1400));
    for said in [
        said.clone().mtu(1300),
        said.clone().mtu(1300).dns("2001:db8:1::53", 7200),
        said.clone().mtu(1300).search("lan", 7200),
        said.clone().route("fd00::", 16, 7200),
        said.clone().hop_limit(255),
        said.clone().hop_limit(255).preference(Preference::High),
        said.clone().hop_limit(255).preference(Preference::High).number(2),
    ] {
        // Ten are read in a second.
        bench.until(bench.now.saturating_since(at(0.0)).as_secs_f64() + 1.0);
        bench.advertise(&said);
        bench.changed();
        bench.advertise(&said);
        bench.quiet();
    }
    // The most preferred first.
    bench.advertise(&router().hop_limit(255).preference(Preference::Low));
    bench.changed();
    let routers: Vec<_> =
        bench.client.configuration().routers.iter().map(|router| router.address).collect();
    assert_eq!(routers, [ip("fe80::1:2"), ROUTER]);
}

#[test]
fn what_is_over_goes_by_itself() {
    let said = router().lifetime(600).prefix(7200, 3600).dns("2001:db8:1::53", 1200);
    let mut bench = Bench::addressed(&said);
    for (seconds, routers, dns, addresses) in
        [(600.0, 0, 1, 1), (1200.0, 0, 0, 1), (7200.0, 0, 0, 0)]
    {
        bench.until(seconds - 0.001);
        bench.quiet();
        bench.until(seconds);
        bench.changed();
        let configuration = bench.client.configuration();
        let counts =
            (configuration.routers.len(), configuration.dns.len(), configuration.addresses.len());
        assert_eq!(counts, (routers, dns, addresses));
    }
    assert_eq!(bench.client.configuration().on_link, []);
    bench.state(State::Alone);
}

#[test]
fn a_managed_flag_that_vanishes_drops_no_lease() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed());
    bench.lease();
    bench.ready();
    bench.until(10.0);
    bench.advertise(&router());
    bench.quiet();
    assert_eq!(bench.addresses(), [LEASED]);
    // It is renewed as before.
    bench.sent.clear();
    bench.until(1900.0);
    bench.asked(MessageType::Renew);
}

#[test]
fn a_managed_flag_that_comes_later_leads_to_a_lease() {
    let mut bench = Bench::addressed(&router().prefix(7200, 3600));
    bench.until(100.0);
    bench.advertise(&router().managed().prefix(7200, 3600));
    bench.quiet();
    bench.state(State::Requesting);
    bench.lease();
    bench.changed();
    assert_eq!(bench.addresses(), [ADDRESS, LEASED]);
    bench.state(State::Configured);
}

#[test]
fn a_renewed_lease_is_told_and_one_that_ends_goes() {
    let mut bench = Bench::started();
    bench.advertise(&router().lifetime(9000).managed());
    bench.lease();
    bench.ready();
    bench.sent.clear();
    bench.until(1900.0);
    let renew = bench.asked(MessageType::Renew);
    bench.reply(MessageType::Reply, &renew);
    assert_eq!(bench.event(), Event::Renewed);
    assert!(bench.client.configuration().addresses[0].valid_until >= at(1800.0 + 7200.0));
    // The router goes on, the server does not.
    for seconds in [3000, 5000, 7000] {
        bench.until(f64::from(seconds));
        bench.advertise(&router().lifetime(9000).managed());
    }
    bench.events.retain(|event| *event != Event::Renewed);
    bench.quiet();
    bench.until(9300.0);
    bench.changed();
    assert!(bench.addresses().is_empty());
    bench.state(State::Requesting);
}

#[test]
fn a_leased_address_that_is_anothers_is_declined() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed());
    bench.lease();
    bench.ready();
    bench.hear(&claim(OTHER_MAC, LEASED));
    let given_up = true;
    let event = Event::Duplicate { address: LEASED, holder: OTHER_MAC, given_up };
    assert_eq!(bench.event(), event);
    bench.changed();
    assert!(bench.addresses().is_empty());
    bench.asked(MessageType::Decline);
}

#[test]
fn a_duplicate_before_the_first_answer_is_waited_out() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed());
    let solicit = bench.asked(MessageType::Solicit);
    bench.reply(MessageType::Advertise, &solicit);
    let request = bench.asked(MessageType::Request);
    // A router's answer would make it ready: it is not heard to have a prefix yet.
    bench.reply(MessageType::Reply, &request);
    bench.ready();
    assert_eq!(bench.addresses(), [LEASED]);
    assert_eq!(bench.client.configuration().addresses[0].origin, Origin::Dhcp);
}

#[test]
fn an_address_made_of_a_prefix_that_is_anothers_goes() {
    let mut bench = Bench::addressed(&router().prefix(7200, 3600));
    bench.hear(&claim(OTHER_MAC, ADDRESS));
    assert!(matches!(bench.event(), Event::Duplicate { address: ADDRESS, given_up: true, .. }));
    bench.changed();
    assert!(bench.addresses().is_empty());
}

#[test]
fn after_the_link_was_away_routers_and_servers_are_asked() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed());
    bench.lease();
    bench.ready();
    bench.until(10.0);
    bench.sent.clear();
    bench.run(|client, now| client.confirm(at(12.0), now));
    bench.until(11.9);
    assert_eq!(bench.nd().len(), 0);
    bench.until(12.0);
    let asked = bench
        .sent
        .iter()
        .any(|sent| matches!(sent.what, What::Nd(NdMessage::RouterSolicitation, _)));
    assert!(asked);
    bench.asked(MessageType::Confirm);
    assert_eq!(bench.addresses(), [LEASED]);

    // Another network.
    let other = ip("2001:db8:2::");
    bench.advertise(&router().number(2).option(autonomous(other, 7200, 3600)));
    bench.changed();
    bench.until(16.0);
    bench.changed();
    let routers: Vec<_> =
        bench.client.configuration().routers.iter().map(|router| router.address).collect();
    assert_eq!(routers, [ip("fe80::1:2")]);
}

#[test]
fn a_renewal_asks_all() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed());
    bench.lease();
    bench.ready();
    bench.until(10.0);
    bench.sent.clear();
    bench.run(|client, now| client.renew(now));
    assert!(
        bench
            .sent
            .iter()
            .any(|sent| { matches!(sent.what, What::Nd(NdMessage::RouterSolicitation, _)) })
    );
    bench.asked(MessageType::Renew);
}

#[test]
fn a_host_name_is_told_at_once() {
    let mut bench = Bench::started();
    bench.run(|client, now| client.set_host_name(Some("web"), now));
    bench.advertise(&router().managed());
    bench.lease();
    bench.ready();
    bench.run(|client, now| client.set_host_name(Some("web"), now));
    assert_eq!(bench.try_asked(MessageType::Renew), None);
    bench.run(|client, now| client.set_host_name(Some("mail"), now));
    bench.asked(MessageType::Renew);
    assert_eq!(bench.client.config().host_name.as_deref(), Some("mail"));
}

#[test]
fn an_address_that_is_preferred_again_is_told_at_once() {
    let mut bench = Bench::addressed(&router().prefix(86_400, 14_400));
    bench.until(10.0);
    // As routers do that have just booted.
    bench.advertise(&router().prefix(86_400, 0));
    assert_eq!(bench.event(), Event::Renewed);
    bench.until(20.0);
    bench.advertise(&router().prefix(86_400, 14_400));
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(bench.client.configuration().addresses[0].preferred_until, at(14_420.0));
    bench.quiet();
}

#[test]
fn a_server_that_no_router_speaks_of_any_more_is_asked_nine_times() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed());
    bench.lease();
    bench.ready();
    for seconds in (0..10_000).step_by(600) {
        bench.until(f64::from(seconds));
        bench.advertise(&router());
    }
    // The lease is over since second 7200.
    assert_eq!(bench.addresses(), [] as [std::net::Ipv6Addr; 0]);
    let solicits = bench.client.progress().server.map(|server| server.solicits);
    assert_eq!(solicits, None, "nobody is asked any more");
    let questions = bench.sent.drain(..).filter(|sent| {
        matches!(&sent.what, What::Dhcp(payload)
            if wire::dhcp6::Message::parse(payload).unwrap().kind == MessageType::Solicit)
    });
    assert_eq!(questions.count(), 9);
    bench.advertise(&router().managed());
    bench.lease();
    assert_eq!(bench.addresses(), [LEASED]);
}

/// Two routers to one destination: the container's kernel takes the first, so that is the preferred one, whoever spoke first.
#[test]
fn routes_are_in_the_order_of_their_preference() {
    let mut bench = Bench::addressed(&router().prefix(7200, 3600));
    let says = |number, preference| {
        let route = RouteInformation {
            prefix: ip("2001:db8:77::"),
            length: 48,
            preference,
            lifetime: 7200,
        };
        router().number(number).lifetime(0).option(NdOption::Route(route))
    };
    for (number, preference) in
        [(1, Preference::Low), (2, Preference::High), (3, Preference::Medium)]
    {
        bench.advertise(&says(number, preference));
    }
    let order: Vec<Preference> =
        bench.client.configuration().routes.iter().map(|route| route.preference).collect();
    assert_eq!(order, [Preference::High, Preference::Medium, Preference::Low]);
}

/// A route is said before what it leads to is known to be on the link.
#[test]
fn a_route_into_what_has_come_to_be_the_link_is_not_made_and_can_be_taken_back() {
    let elsewhere = autonomous(ip("2001:db8:2::"), 7200, 3600);
    let mut bench = Bench::started();
    bench.advertise(&router().option(elsewhere));
    bench.ready();
    bench.advertise(&router().route("2001:db8:1::", 65, 7200));
    assert_eq!(bench.client.configuration().routes.len(), 1);
    bench.advertise(&router().prefix(7200, 3600));
    assert_eq!(bench.client.configuration().routes, []);
    bench.advertise(&router().route("2001:db8:1::", 65, 0));
    bench.advertise(&router().prefix(0, 0));
    assert_eq!(bench.client.configuration().routes, []);
}
