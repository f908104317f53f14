//! Answering for addresses that no container has, announcing them, and keeping their groups.

use std::net::Ipv6Addr;

use dhcp::nd::{Host, Neighbour};
use wire::MacAddr;
use wire::mld::Membership;
use wire::nd;

use super::bench::*;
use super::lan::*;

/// A host that holds the place of its addresses, all of them checked.
fn held() -> Bench {
    let mut bench = Bench::told(config(), &router().prefix(7200, 3600));
    bench.run(|host, _| host.hold(true));
    bench.sent.clear();
    bench
}

#[test]
fn while_held_each_address_is_answered_for() {
    let mut bench = held();
    let leased = ip("2001:db8::50");
    bench.run(|host, now| host.set_leased(&[leased], now));
    bench.until(13.0);
    bench.sent.clear();
    for target in [LINK_LOCAL, ADDRESS, leased] {
        bench.hear(&solicitation(OTHER_MAC, OTHER, target));
        let answers = bench.advertisements();
        assert_eq!(answers.len(), 1, "{target}");
        let (advertisement, to, to_mac) = answers[0];
        assert_eq!((advertisement.target, to, to_mac), (target, OTHER, OTHER_MAC));
        assert!(advertisement.solicited && advertisement.replaces && !advertisement.router);
    }
    bench.hear(&solicitation(OTHER_MAC, OTHER, ip("2001:db8::51")));
    bench.silent();
}

#[test]
fn a_probe_from_nowhere_is_answered_to_all() {
    let mut bench = held();
    bench.hear(&probe(OTHER_MAC, ADDRESS, Some([1; 6])));
    let answers = bench.advertisements();
    assert_eq!(answers.len(), 1);
    let (advertisement, to, _) = answers[0];
    assert_eq!((advertisement.target, to), (ADDRESS, nd::ALL_NODES));
    assert!(!advertisement.solicited && advertisement.replaces);
}

#[test]
fn an_address_that_is_being_checked_replaces_nothing() {
    let mut bench = Bench::started();
    bench.run(|host, _| host.hold(true));
    bench.sent.clear();
    bench.hear(&solicitation(OTHER_MAC, OTHER, LINK_LOCAL));
    let answers = bench.advertisements();
    assert_eq!(answers.len(), 1);
    assert!(answers[0].0.solicited && !answers[0].0.replaces);
    bench.until(3.0);
    bench.hear(&solicitation(OTHER_MAC, OTHER, LINK_LOCAL));
    assert!(bench.advertisements()[0].0.replaces);
}

#[test]
fn nobody_is_answered_who_need_not_be() {
    let mut bench = held();
    for frame in [
        // From ourselves, from one of our addresses, from no station.
        solicitation(MAC, LINK_LOCAL, ADDRESS),
        solicitation(OTHER_MAC, ADDRESS, LINK_LOCAL),
        solicitation(MacAddr([3, 0, 0, 0, 0, 1]), OTHER, ADDRESS),
    ] {
        bench.hear(&frame);
        bench.silent();
    }
    bench.run(|host, _| host.hold(false));
    bench.hear(&solicitation(OTHER_MAC, OTHER, ADDRESS));
    bench.silent();
}

#[test]
fn all_addresses_are_announced_twice_a_second_apart() {
    let mut bench = Bench::told(config(), &router().prefix(7200, 3600));
    bench.run(|host, _| host.announce());
    let first = bench.advertisements();
    let targets: Vec<_> = first.iter().map(|(a, to, _)| (a.target, *to)).collect();
    assert_eq!(targets, [(LINK_LOCAL, nd::ALL_NODES), (ADDRESS, nd::ALL_NODES)]);
    assert!(first.iter().all(|(a, ..)| a.replaces && !a.solicited));
    bench.until(10.999);
    bench.silent();
    bench.until(11.0);
    assert_eq!(bench.advertisements(), first);
    bench.until(1000.0);
    bench.silent();
}

/// RFC 4429 §3.3: what is being checked replaces nothing in others' caches, so it must be told once more.
#[test]
fn the_second_time_is_after_the_check() {
    let mut bench = Bench::told(config(), &router().prefix(7200, 3600));
    let new = ip("2001:db8::50");
    bench.run(|host, now| host.set_leased(&[new], now));
    bench.run(|host, _| host.announce());
    let replaces = |bench: &mut Bench| -> Vec<bool> {
        let all = bench.advertisements().into_iter();
        all.filter(|(said, to, _)| said.target == new && *to == nd::ALL_NODES)
            .map(|(said, ..)| said.replaces)
            .collect()
    };
    assert_eq!(replaces(&mut bench), [false]);
    bench.until(30.0);
    assert_eq!(replaces(&mut bench), [true]);
}

/// Found by `dhcp::ipv6::properties`: what is put off is due later, and not overdue when the check ends by a word of the server's.
#[test]
fn a_check_that_ends_early_leaves_nothing_overdue() {
    let mut bench = Bench::told(config(), &router().prefix(7200, 3600));
    bench.run(|host, now| host.set_leased(&[ip("2001:db8::50")], now));
    bench.run(|host, _| host.announce());
    bench.until(11.05);
    bench.run(|host, now| host.set_leased(&[], now));
    assert!(bench.host.poll_timeout().unwrap() > bench.now);
}

#[test]
fn what_is_not_there_is_not_announced() {
    let mut bench = Bench::of(Host::new(config(), 1));
    bench.run(|host, _| host.announce());
    bench.silent();
    assert_eq!(bench.host.poll_timeout(), None);
}

#[test]
fn groups_are_reported_as_long_as_the_place_is_held() {
    let mut bench = Bench::told(config(), &router().prefix(u32::MAX, u32::MAX));
    bench.run(|host, now| host.set_leased(&[ip("2001:db8::50")], now));
    bench.until(13.0);
    bench.sent.clear();
    bench.run(|host, _| host.hold(true));
    let groups = vec![ip("ff02::1:ff00:42"), ip("ff02::1:ff00:50")];
    assert_eq!(bench.reports(), [(Membership::Current, groups.clone())]);
    bench.until(13.0 + 240.0);
    let again = (Membership::Current, groups);
    assert_eq!(bench.reports(), [again.clone(), again]);
    bench.run(|host, _| host.hold(false));
    bench.until(1000.0);
    bench.silent();

    // Held before there is anything to report.
    let mut bench = Bench::of(Host::new(config(), 1));
    bench.run(|host, now| {
        host.hold(true);
        host.start(None, now);
    });
    bench.until(119.0);
    bench.sent.clear();
    bench.until(121.0);
    assert_eq!(bench.reports(), [(Membership::Current, vec![ip("ff02::1:ff00:42")])]);
}

#[test]
fn a_host_that_stops_leaves_its_groups_and_is_silent() {
    let mut bench = held();
    bench.run(|host, _| host.stop());
    assert_eq!(bench.reports(), [(Membership::Left, vec![ip("ff02::1:ff00:42")])]);
    assert_eq!(bench.host.poll_timeout(), None);
    bench.hear(&solicitation(OTHER_MAC, OTHER, ADDRESS));
    bench.hear(&router().prefix(7200, 3600).frame());
    bench.silent();
    assert_eq!(bench.host.link_local(), None);
}

#[test]
fn what_the_socket_must_pass_is_said() {
    let mut bench = Bench::started();
    let neighbour = |address: Ipv6Addr, held, probing| Neighbour { address, held, probing };
    assert!(bench.host.neighbours().eq([neighbour(LINK_LOCAL, false, true)]));
    bench.hear(&router().prefix(7200, 3600).frame());
    bench.run(|host, _| host.hold(true));
    let all = [neighbour(LINK_LOCAL, true, true), neighbour(ADDRESS, true, true)];
    assert!(bench.host.neighbours().eq(all));
    bench.until(10.0);
    let all = [neighbour(LINK_LOCAL, true, false), neighbour(ADDRESS, true, false)];
    assert!(bench.host.neighbours().eq(all));
    bench.run(|host, _| host.hold(false));
    let all = [neighbour(LINK_LOCAL, false, false), neighbour(ADDRESS, false, false)];
    assert!(bench.host.neighbours().eq(all));
}
