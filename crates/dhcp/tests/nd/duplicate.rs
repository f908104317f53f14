//! Duplicate address detection (RFC 4862 §5.4, RFC 4429, RFC 7527, RFC 7217) and defence.

use std::net::Ipv6Addr;

use dhcp::nd::{Event, Host};
use wire::mld::Membership;
use wire::nd::{self, Message, NdOption};

use super::bench::*;
use super::lan::*;

#[test]
fn an_address_is_asked_for_twice_from_nowhere_with_a_nonce() {
    let mut bench = Bench::started();
    let sent = bench.sent.clone();
    assert_eq!(bench.probes(), [(at(0.0), LINK_LOCAL)]);
    let probe = sent.iter().find_map(|sent| match &sent.what {
        What::Nd(Message::NeighbourSolicitation { .. }, options) => Some((sent, options)),
        _ => None,
    });
    let (probe, options) = probe.unwrap();
    assert_eq!((probe.from, probe.to), (Ipv6Addr::UNSPECIFIED, nd::solicited_node(LINK_LOCAL)));
    assert!(matches!(&options[..], [NdOption::Nonce(nonce)] if nonce.len() == 6));
    bench.until(60.0);
    assert_eq!(bench.probes(), [(at(1.0), LINK_LOCAL)]);
}

#[test]
fn the_group_is_joined_before_the_question() {
    let bench = Bench::started();
    let place = |wanted: fn(&What) -> bool| bench.sent.iter().position(|sent| wanted(&sent.what));
    let joined = place(|what| matches!(what, What::Report(Membership::Joined, _)));
    let asked = place(|what| matches!(what, What::Nd(Message::NeighbourSolicitation { .. }, _)));
    assert!(joined.unwrap() < asked.unwrap());
    assert_eq!(bench.sent[joined.unwrap()].from, LINK_LOCAL);
    let What::Report(_, groups) = &bench.sent[joined.unwrap()].what else { unreachable!() };
    assert_eq!(*groups, [nd::solicited_node(LINK_LOCAL)]);
}

#[test]
fn addresses_given_to_all_are_not_checked_by_all_at_once() {
    let starts: Vec<_> = (0..20)
        .map(|seed| {
            let mut bench = Bench::of(Host::new(config(), seed));
            bench.run(|host, now| host.start(None, now));
            bench.host.rest();
            bench.until(10.0);
            bench.sent.clear();
            bench.hear(&router().prefix(7200, 3600).frame());
            assert_eq!(bench.addresses(), [ADDRESS], "it is used at once");
            bench.until(12.9);
            let probes = bench.probes();
            assert_eq!(probes.len(), 2);
            probes[0].0.saturating_since(at(10.0)).as_secs_f64()
        })
        .collect();
    assert!(starts.iter().all(|start| *start < 1.0));
    assert!(starts.iter().any(|start| *start < 0.5) && starts.iter().any(|start| *start > 0.5));
}

#[test]
fn an_eui_64_that_is_anothers_is_given_up() {
    let mut bench = Bench::started();
    bench.hear(&router().prefix(7200, 3600).frame());
    bench.events.clear();
    bench.sent.clear();
    bench.hear(&claim(OTHER_MAC, ADDRESS));
    let given_up = true;
    let event = Event::Duplicate { address: ADDRESS, holder: OTHER_MAC, given_up };
    assert_eq!(bench.events, [event]);
    assert!(bench.addresses().is_empty());
    assert_eq!(bench.reports(), [], "the link-local address is in the same group");
    // The next advertisement does not bring it back.
    bench.hear(&router().prefix(7200, 3600).frame());
    assert!(bench.addresses().is_empty());
    let last = bench.host.progress().last_duplicate.clone().unwrap();
    assert_eq!((last.address, last.holder), (ADDRESS, OTHER_MAC));
}

#[test]
fn a_stable_identifier_is_followed_by_three_others() {
    let mut bench = Bench::with(stable());
    bench.hear(&router().prefix(7200, 3600).frame());
    let mut seen = vec![];
    for attempt in 0..4 {
        let [address] = bench.addresses()[..] else { panic!("{attempt}") };
        assert!(!seen.contains(&address));
        seen.push(address);
        bench.events.clear();
        bench.sent.clear();
        bench.hear(&probe(OTHER_MAC, address, Some([9; 6])));
        let given_up = attempt == 3;
        let event = Event::Duplicate { address, holder: OTHER_MAC, given_up };
        assert_eq!(bench.events, [event]);
        assert_eq!(bench.probes().len(), usize::from(!given_up), "the next one is checked too");
    }
    assert!(bench.addresses().is_empty());
    assert_eq!(bench.host.progress().duplicates, 4);
}

#[test]
fn the_link_local_address_is_made_anew_as_well() {
    let mut bench = Bench::with(stable());
    let first = bench.host.link_local().unwrap();
    bench.hear(&claim(OTHER_MAC, first));
    let second = bench.host.link_local().unwrap();
    assert_ne!(first, second);
    // After a boot that one is taken at once.
    let learned = bench.host.learned().clone();
    let mut bench = Bench::of(Host::new(stable(), 1));
    bench.run(|host, now| host.start(Some(&learned), now));
    assert_eq!(bench.host.link_local(), Some(second));
    let mut bench = Bench::started();
    bench.hear(&claim(OTHER_MAC, LINK_LOCAL));
    assert_eq!(bench.host.link_local(), None);
    bench.hear(&router().prefix(7200, 3600).frame());
    assert!(bench.addresses().is_empty());
}

#[test]
fn what_was_anothers_before_the_boot_is_not_tried_first() {
    let mut bench = Bench::with(stable());
    bench.hear(&router().prefix(7200, 3600).frame());
    bench.hear(&claim(OTHER_MAC, bench.addresses()[0]));
    let (second, learned) = (bench.addresses(), bench.host.learned().clone());
    let mut bench = Bench::of(Host::new(stable(), 1));
    bench.run(|host, now| host.start(Some(&learned), now));
    bench.hear(&router().prefix(7200, 3600).frame());
    assert_eq!(bench.addresses(), second);
}

/// Of an address made of the MAC there is no second: after a boot it is checked again, and not given up for ever.
#[test]
fn what_was_anothers_before_the_boot_is_tried_again_where_there_is_no_other() {
    let mut bench = Bench::started();
    bench.hear(&router().prefix(7200, 3600).frame());
    bench.hear(&claim(OTHER_MAC, bench.addresses()[0]));
    bench.hear(&claim(OTHER_MAC, LINK_LOCAL));
    assert_eq!(bench.host.link_local(), None);
    let learned = bench.host.learned().clone();
    let mut bench = Bench::of(Host::new(config(), 1));
    bench.run(|host, now| host.start(Some(&learned), now));
    assert_eq!(bench.host.link_local(), Some(LINK_LOCAL));
    bench.hear(&router().prefix(7200, 3600).frame());
    assert_eq!(bench.addresses().len(), 1);
}

#[test]
fn our_own_packets_are_nobody_elses() {
    let mut bench = Bench::started();
    let nonce = bench.sent.iter().find_map(|sent| match &sent.what {
        What::Nd(Message::NeighbourSolicitation { .. }, options) => match &options[..] {
            [NdOption::Nonce(nonce)] => Some(<[u8; 6]>::try_from(&nonce[..]).unwrap()),
            _ => None,
        },
        _ => None,
    });
    bench.events.clear();
    for frame in [
        // From a loop, as it was sent (RFC 7527 section 4), and with the MAC of what looped it.
        probe(MAC, LINK_LOCAL, nonce),
        probe(OTHER_MAC, LINK_LOCAL, nonce),
        // The container's kernel checks and defends the address itself.
        probe(MAC, LINK_LOCAL, Some([1; 6])),
        claim(MAC, LINK_LOCAL),
    ] {
        bench.hear(&frame);
        assert_eq!(bench.events, []);
    }
    bench.hear(&probe(OTHER_MAC, LINK_LOCAL, None));
    assert_eq!(bench.events.len(), 1, "without a nonce it can be told by the MAC alone");
}

#[test]
fn resolving_an_address_that_is_checked_is_no_conflict() {
    let mut bench = Bench::started();
    bench.events.clear();
    bench.hear(&solicitation(OTHER_MAC, OTHER, LINK_LOCAL));
    assert_eq!(bench.events, []);
}

#[test]
fn a_checked_address_is_told_to_routers() {
    let mut bench = Bench::started();
    bench.hear(&router().prefix(7200, 3600).frame());
    bench.sent.clear();
    bench.until(10.0);
    let told = bench.advertisements();
    assert_eq!(told.len(), 1, "the link-local address concerns no router");
    let (advertisement, to, _) = told[0];
    assert_eq!((advertisement.target, to), (ADDRESS, nd::ALL_ROUTERS));
    assert!(advertisement.replaces && !advertisement.solicited && !advertisement.router);
}

#[test]
fn a_checked_address_is_defended_once_in_ten_seconds_and_kept() {
    let mut bench = Bench::told(config(), &router().prefix(7200, 3600));
    bench.until(20.0);
    for (seconds, defended) in [(20.0, true), (25.0, false), (29.9, false), (30.0, true)] {
        bench.until(seconds);
        bench.sent.clear();
        bench.hear(&claim(OTHER_MAC, ADDRESS));
        let told = bench.advertisements();
        assert_eq!(told.len(), usize::from(defended), "{seconds}");
        if defended {
            assert_eq!((told[0].0.target, told[0].1), (ADDRESS, nd::ALL_NODES));
            assert!(told[0].0.replaces);
        }
        assert_eq!(bench.addresses(), [ADDRESS]);
        assert_eq!(bench.events, []);
    }
    assert_eq!(bench.host.progress().duplicates, 4);
}

#[test]
fn leased_addresses_are_checked_and_reported() {
    let leased = ip("2001:db8::50");
    let mut bench = Bench::told(config(), &router());
    bench.run(|host, now| host.set_leased(&[leased], now));
    assert_eq!(bench.probes(), [(at(10.0), leased)]);
    bench.hear(&claim(OTHER_MAC, leased));
    let event = Event::Duplicate { address: leased, holder: OTHER_MAC, given_up: true };
    assert_eq!(bench.events, [event]);
    assert!(bench.host.neighbours().all(|neighbour| neighbour.address != leased));

    // One that goes is not asked for any more.
    bench.run(|host, now| host.set_leased(&[leased], now));
    bench.sent.clear();
    bench.run(|host, now| host.set_leased(&[], now));
    assert_eq!(bench.reports(), [(Membership::Left, vec![nd::solicited_node(leased)])]);
    bench.until(100.0);
    assert_eq!(bench.probes(), []);
}

#[test]
fn without_a_check_nothing_is_asked_and_nothing_given_up() {
    let mut bench = Bench::with(unchecked());
    bench.hear(&router().prefix(7200, 3600).frame());
    bench.events.clear();
    let joined = bench.reports();
    assert_eq!(joined.len(), 2);
    bench.hear(&claim(OTHER_MAC, ADDRESS));
    bench.hear(&probe(OTHER_MAC, LINK_LOCAL, None));
    bench.until(100.0);
    bench.silent();
    assert_eq!(bench.events, []);
    assert_eq!(bench.addresses(), [ADDRESS]);
    assert_eq!(bench.host.neighbours().count(), 0);
}
