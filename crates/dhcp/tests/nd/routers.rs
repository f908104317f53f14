//! Asking for routers, and what they say of the link.

use std::net::Ipv6Addr;

use dhcp::nd::{Event, Host, Prefix};
use wire::nd::{NdOption, Preference, PrefixInformation};

use super::bench::*;
use super::lan::*;

#[test]
fn solicitations_keep_the_pace_of_rfc_7559() {
    let mut bench = Bench::started();
    bench.until(7200.0);
    let sent = bench.router_solicitations();
    assert!(sent.iter().all(|(_, from, mac)| from.is_unspecified() && !mac));
    let pauses: Vec<f64> =
        sent.windows(2).map(|two| two[1].0.saturating_since(two[0].0).as_secs_f64()).collect();
    assert_eq!(sent[0].0, at(0.0));
    assert_eq!(pauses[..2], [0.02, 0.23], "while somebody waits");
    let mut expected = 4.0;
    for pause in &pauses[2..] {
        assert!((0.9..=1.1).contains(&(pause / expected)), "{pause} s, not {expected}");
        expected = f64::min(expected * 2.0, 3600.0);
    }
    assert!(pauses.len() >= 10);
}

#[test]
fn a_default_router_ends_the_asking_and_another_does_not() {
    let mut bench = Bench::started();
    bench.hear(&router().lifetime(0).prefix(7200, 3600).frame());
    assert_eq!(bench.events, [Event::Advertised]);
    bench.until(1.0);
    assert_eq!(bench.router_solicitations().len(), 3);
    bench.hear(&router().frame());
    bench.until(1700.0);
    assert_eq!(bench.router_solicitations(), []);
    assert!(!bench.host.is_soliciting());
}

#[test]
fn while_the_place_is_held_a_later_question_asks_for_an_answer_of_its_own() {
    let mut bench = Bench::of(Host::new(config(), 1));
    bench.run(|host, now| {
        host.hold(true);
        host.start(None, now);
    });
    bench.until(60.0);
    let sent = bench.router_solicitations();
    assert_eq!(sent[0], (at(0.0), Ipv6Addr::UNSPECIFIED, false));
    // RFC 4429 section 3.2: without a MAC as long as the address is being checked.
    assert_eq!(sent[1], (at(0.02), LINK_LOCAL, false));
    assert_eq!(sent[2], (at(0.25), LINK_LOCAL, false));
    assert!(sent.len() > 4);
    assert!(sent[3..].iter().all(|(_, from, mac)| *from == LINK_LOCAL && *mac));
}

#[test]
fn a_router_is_one_for_its_lifetime_and_missed_after_it() {
    let mut bench = Bench::started();
    bench.hear(&router().lifetime(600).frame());
    bench.until(599.0);
    assert_eq!(bench.host.learned().routers.iter().count(), 1);
    bench.sent.clear();
    bench.until(600.0);
    assert!(bench.host.learned().routers.is_empty());
    // Each host on the link misses it in this moment.
    bench.silent();
    bench.until(601.0);
    assert_eq!(bench.router_solicitations().len(), 1);

    // Zero: it is none from now on (RFC 4861 section 6.3.4).
    let mut bench = Bench::told(config(), &router());
    bench.hear(&router().lifetime(0).frame());
    assert!(bench.host.learned().routers.is_empty());
}

#[test]
fn routers_have_a_preference_and_the_last_word_counts() {
    let mut bench = Bench::started();
    bench.hear(&router().frame());
    bench.hear(&router().preference(Preference::High).lifetime(900).frame());
    bench.hear(&router().number(2).preference(Preference::Low).frame());
    let routers: Vec<_> = bench
        .host
        .learned()
        .routers
        .iter()
        .map(|entry| (entry.what.address, entry.what.preference, entry.until))
        .collect();
    let second = ip("fe80::1:2");
    assert_eq!(
        routers,
        [(ROUTER, Preference::High, at(900.0)), (second, Preference::Low, at(1800.0))]
    );
}

#[test]
fn a_route_to_everywhere_is_the_default_router() {
    let mut bench = Bench::started();
    bench.hear(&router().lifetime(0).route("::", 0, 600).frame());
    let routers: Vec<_> = bench.host.learned().routers.iter().collect();
    assert_eq!((routers.len(), routers[0].until), (1, at(600.0)));
    assert!(bench.host.learned().routes.is_empty());
}

#[test]
fn routes_live_as_long_as_they_are_said_to() {
    let mut bench = Bench::started();
    bench.hear(&router().route("fd00:1::77", 48, 600).route("fd00:2::", 48, u32::MAX).frame());
    let routes = |bench: &Bench| -> Vec<_> {
        let routes = bench.host.learned().routes.iter();
        routes.map(|entry| (entry.what.destination, entry.what.router)).collect()
    };
    let first = Prefix { address: ip("fd00:1::"), length: 48 };
    let second = Prefix { address: ip("fd00:2::"), length: 48 };
    assert_eq!(routes(&bench), [(first, ROUTER), (second, ROUTER)]);
    bench.until(600.0);
    assert_eq!(routes(&bench), [(second, ROUTER)]);
    bench.hear(&router().route("fd00:2::", 48, 0).frame());
    assert_eq!(routes(&bench), []);
}

#[test]
fn what_is_on_the_link_is_on_it_until_it_is_taken_back() {
    let on_link = |valid| {
        NdOption::Prefix(PrefixInformation {
            prefix: ip("2001:db8:7::1"),
            length: 80,
            on_link: true,
            autonomous: false,
            valid,
            preferred: 0,
        })
    };
    let mut bench = Bench::started();
    bench.hear(&router().option(on_link(600)).frame());
    let prefix = Prefix { address: ip("2001:db8:7::"), length: 80 };
    assert!(bench.host.learned().on_link.iter().map(|entry| entry.what).eq([prefix]));
    assert!(bench.addresses().is_empty());
    // Without the flag nothing is said about it (RFC 4861 section 6.3.4).
    let silent = PrefixInformation {
        prefix: ip("2001:db8:7::"),
        length: 80,
        on_link: false,
        autonomous: false,
        valid: 0,
        preferred: 0,
    };
    bench.hear(&router().option(NdOption::Prefix(silent)).frame());
    assert_eq!(bench.host.learned().on_link.iter().count(), 1);
    // There is no rule of two hours here.
    bench.hear(&router().option(on_link(0)).frame());
    assert!(bench.host.learned().on_link.is_empty());

    bench.hear(&router().option(on_link(600)).frame());
    bench.until(600.0);
    assert!(bench.host.learned().on_link.is_empty());
}

#[test]
fn an_mtu_is_taken_between_ipv6s_least_and_the_links() {
    let mut bench = Bench::started();
    for (said, taken) in [(1280, Some(1280)), (1500, Some(1500)), (1279, Some(1500))] {
        bench.hear(&router().mtu(said).frame());
        assert_eq!(bench.host.learned().mtu, taken, "{said}");
    }
    bench.until(2.0);
    for said in [1501, 0, 65_535, 65_536 + 1300, u32::MAX] {
        bench.hear(&router().mtu(said).frame());
        assert_eq!(bench.host.learned().mtu, Some(1500), "{said}");
    }
}

#[test]
fn a_hop_limit_is_taken_unless_it_is_none_or_a_trap() {
    let mut bench = Bench::started();
    for (said, taken) in [(0, None), (1, None), (31, None), (32, Some(32)), (255, Some(255))] {
        bench.hear(&router().hop_limit(said).frame());
        assert_eq!(bench.host.learned().hop_limit, taken, "{said}");
    }
    bench.until(2.0);
    // Zero: no opinion, and what was said before stays.
    bench.hear(&router().hop_limit(0).frame());
    assert_eq!(bench.host.learned().hop_limit, Some(255));
}

#[test]
fn dns_has_its_lifetime() {
    let mut bench = Bench::started();
    let both = |lifetime| router().dns("2001:db8::53", lifetime).search("lan", lifetime).frame();
    bench.hear(&both(600));
    bench.until(599.0);
    assert!(bench.host.learned().dns.iter().map(|entry| entry.what).eq([ip("2001:db8::53")]));
    assert!(bench.host.learned().search.iter().map(|entry| &*entry.what).eq(["lan"]));
    bench.until(600.0);
    assert!(bench.host.learned().dns.is_empty() && bench.host.learned().search.is_empty());
    bench.hear(&both(u32::MAX));
    // RFC 8106 section 5.1: zero takes it back.
    bench.hear(&both(0));
    assert!(bench.host.learned().dns.is_empty() && bench.host.learned().search.is_empty());
    // A link-local server is one; a group, loopback and nothing are none.
    for none in ["ff02::fb", "::1", "::", "::ffff:192.0.2.1"] {
        bench.hear(&router().dns(none, 600).frame());
    }
    bench.hear(&router().dns("fe80::1", 600).frame());
    assert!(bench.host.learned().dns.iter().map(|entry| entry.what).eq([ROUTER]));
}

#[test]
fn flags_are_the_last_routers_once_nobody_waits() {
    let mut bench = Bench::started();
    bench.hear(&router().managed().other().frame());
    // Of several answers to the first question none takes a promise back.
    bench.hear(&router().number(2).frame());
    assert!(bench.host.learned().managed && bench.host.learned().other);
    bench.host.rest();
    bench.hear(&router().other().frame());
    assert!(!bench.host.learned().managed && bench.host.learned().other);
}

#[test]
fn after_the_link_was_away_what_is_not_said_again_is_over() {
    let first = router().prefix(7200, 3600).dns("2001:db8::53", 7200).route("fd00:1::", 48, 7200);
    let mut bench = Bench::told(config(), &first);
    bench.run(|host, now| host.confirm(at(11.0), now));
    bench.until(11.0);
    let asked = bench.sent.clone();
    assert_eq!(bench.router_solicitations().len(), 1);
    bench.sent = asked;
    // Both addresses are checked again.
    let targets: Vec<_> = bench.probes().into_iter().map(|(_, target)| target).collect();
    assert_eq!(targets, [LINK_LOCAL, ADDRESS]);
    bench.until(12.0);
    let other = ip("2001:db8:2::");
    bench.hear(&router().number(2).option(autonomous(other, 7200, 3600)).frame());
    bench.until(14.999);
    assert_eq!(bench.addresses().len(), 2);
    bench.until(15.0);
    assert_eq!(bench.addresses(), [ip("2001:db8:2::ff:fe00:42")]);
    let learned = bench.host.learned();
    assert!(learned.routers.iter().map(|entry| entry.what.address).eq([ip("fe80::1:2")]));
    assert!(learned.dns.is_empty() && learned.routes.is_empty());
    assert_eq!(learned.on_link.iter().count(), 1);

    // The same router again, and nobody at all.
    for answers in [true, false] {
        let mut bench = Bench::told(config(), &first);
        bench.run(|host, now| host.confirm(now, now));
        if answers {
            bench.hear(&first.frame());
        }
        let before = bench.host.learned().clone();
        bench.until(20.0);
        assert_eq!(bench.addresses(), [ADDRESS]);
        let learned = bench.host.learned();
        assert!(
            learned
                .routers
                .iter()
                .map(|entry| entry.until)
                .eq(before.routers.iter().map(|entry| entry.until))
        );
        assert!(!learned.dns.is_empty() && !learned.routes.is_empty());
    }
}

/// What has no end of its own is over with those who said it.
#[test]
fn mtu_and_hop_limit_are_those_of_the_link_that_there_is() {
    let first = router().prefix(7200, 3600).mtu(1400).hop_limit(100);
    const FIRST: (Option<u16>, Option<u8>) = (Some(1400), Some(100));
    let of = |bench: &Bench| {
        let learned = bench.host.learned();
        (learned.mtu, learned.hop_limit)
    };
    let silent = router().number(2).hop_limit(0).frame();
    for (answer, after) in [
        // Another router, which does not speak of them; the same one; nobody.
        (Some(silent.clone()), (None, None)),
        (Some(router().number(2).hop_limit(0).mtu(1300).frame()), (Some(1300), None)),
        (Some(router().number(2).hop_limit(90).frame()), (None, Some(90))),
        (Some(first.frame()), (Some(1400), Some(100))),
        (None, (Some(1400), Some(100))),
    ] {
        let mut bench = Bench::told(config(), &first);
        bench.run(|host, now| host.confirm(now, now));
        bench.until(11.0);
        answer.iter().for_each(|answer| bench.hear(answer));
        bench.until(13.999);
        assert!(of(&bench).0.is_some() && of(&bench).1.is_some());
        bench.host.take_changed();
        bench.until(14.0);
        assert_eq!((of(&bench), bench.host.take_changed()), (after, after != FIRST));
        bench.until(60.0);
        assert_eq!(of(&bench), after);
    }
    // After a restart of the daemon, and where nobody answered in time after one of the machine.
    let learned = Bench::told(config(), &first).host.learned().clone();
    let host = Host::resume(config(), learned.clone(), Vec::new(), 3, at(20.0));
    let mut recalled = Bench::started();
    recalled.run(|host, now| host.recall(learned, now));
    for mut bench in [Bench::of(host), recalled] {
        bench.now = at(20.0);
        while bench.router_solicitations().is_empty() {
            bench.now = bench.host.poll_timeout().unwrap();
            bench.run(Host::handle_timeout);
        }
        assert_eq!(of(&bench), FIRST);
        bench.hear(&silent);
        bench.until(bench.now.saturating_since(at(0.0)).as_secs_f64() + 4.0);
        assert_eq!((of(&bench), bench.addresses()), ((None, None), vec![ADDRESS]));
    }
}

#[test]
fn of_another_link_s_flags_nothing_is_left_while_somebody_waits() {
    let mut bench = Bench::started();
    bench.hear(&router().managed().other().frame());
    bench.hear(&router().number(2).frame());
    assert!(bench.host.learned().managed && bench.host.learned().other);
    bench.run(|host, now| host.confirm(now, now));
    bench.hear(&router().number(3).frame());
    assert!(!bench.host.learned().managed && !bench.host.learned().other);
}

#[test]
fn a_restarted_daemon_asks_within_ten_seconds_and_checks_nothing() {
    let before = Bench::told(config(), &router().prefix(7200, 3600));
    let learned = before.host.learned().clone();
    let leased = vec![ip("2001:db8::50")];
    let mut bench = Bench::of(Host::resume(config(), learned, leased, 3, at(20.0)));
    bench.now = at(20.0);
    bench.silent();
    assert_eq!(bench.host.link_local(), Some(LINK_LOCAL));
    assert_eq!(bench.addresses(), [ADDRESS]);
    bench.until(30.0);
    assert!(!bench.sent.is_empty());
    assert!(
        bench
            .sent
            .iter()
            .all(|sent| matches!(sent.what, What::Nd(wire::nd::Message::RouterSolicitation, _)))
    );
}

#[test]
fn a_router_that_comes_and_goes_is_asked_for_every_four_seconds_at_most() {
    let mut asked = Vec::new();
    let mut bench = Bench::told(config(), &router().lifetime(1));
    for seconds in 10..70 {
        bench.until(f64::from(seconds));
        bench.hear(&router().lifetime(1).frame());
        bench.until(f64::from(seconds) + 0.999);
        asked.extend(bench.router_solicitations().into_iter().map(|(at, ..)| at));
    }
    // Each advertisement answers before the next one is due.
    bench.hear(&router().lifetime(1).frame());
    for _ in 0..20 {
        bench.until(bench.now.saturating_since(at(0.0)).as_secs_f64() + 2.5);
        bench.hear(&router().lifetime(1).frame());
        asked.extend(bench.router_solicitations().into_iter().map(|(at, ..)| at));
    }
    let pauses = asked.windows(2).map(|pair| pair[1].saturating_since(pair[0]).as_secs_f64());
    assert!(asked.len() >= 5 && pauses.min_by(f64::total_cmp).unwrap() >= 4.0, "{asked:?}");
}
