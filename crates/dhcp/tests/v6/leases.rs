//! What a Reply makes of a lease: lifetimes, T1 and T2, what is left out.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::v6::{Client, Event, Lease};
use wire::dhcp6::{INFINITY, StatusCode, code};

use super::bench::*;

/// T1 and T2 of a lease in seconds, as if without fuzz.
fn timers(lease: &Lease) -> (f64, f64) {
    let seconds = |at: dhcp::Instant| at.saturating_since(lease.start).as_secs_f64();
    (seconds(lease.t1_at), seconds(lease.t2_at))
}

#[test]
fn t1_and_t2_are_the_servers_or_the_rfcs_and_always_in_order() {
    // T1, T2, preferred, valid; what becomes of T1 and T2.
    let table = [
        (2000, 3200, 4000, 7200, 2000.0, 3200.0),
        (0, 0, 4000, 7200, 2000.0, 3200.0),
        (0, 3000, 4000, 7200, 2000.0, 3000.0),
        (0, 1000, 4000, 7200, 625.0, 1000.0),
        (1000, 0, 4000, 7200, 1000.0, 3200.0),
        (1000, 1000, 4000, 7200, 1000.0, 1000.0),
        // Beyond the end there is nothing to prolong.
        (7200, 9000, 4000, 7200, 2000.0, 3200.0),
        (3000, 7200, 4000, 7200, 3000.0, 3200.0),
        (INFINITY, INFINITY, 4000, 7200, 2000.0, 3200.0),
        // Deprecated from the start.
        (0, 0, 0, 7200, 3600.0, 5760.0),
        // A preferred lifetime of a moment is no reason to hurry.
        (0, 0, 1, 7200, 10.0, 16.0),
        (0, 0, 1, INFINITY, 10.0, 16.0),
        (0, 0, 1, 2, 1.0, 1.6),
        (0, 0, 1, 1, 0.5, 0.8),
    ];
    for (t1, t2, preferred, valid, expected_t1, expected_t2) in table {
        for seed in 0..20 {
            let mut bench = Bench::of(Client::new(plain(), seed));
            bench.run(|client, now| client.start(now));
            bench.bind(|answer| answer.times(t1, t2, preferred, valid));
            let lease = bench.client.lease().unwrap();
            let (got_t1, got_t2) = timers(lease);
            let what = format!("{:?}: {got_t1} {got_t2}", (t1, t2, preferred, valid));
            assert!((expected_t1 * 0.95 - 1e-6..=expected_t1 + 1e-6).contains(&got_t1), "{what}");
            assert!((expected_t2 * 0.95 - 1e-6..=expected_t2 + 1e-6).contains(&got_t2), "{what}");
            assert!(lease.t1_at <= lease.t2_at && lease.t2_at < lease.expires_at(), "{what}");
        }
    }
}

#[test]
fn infinite_times_end_never() {
    for (t1, t2) in [(0, 0), (INFINITY, INFINITY)] {
        let bench = Bench::bound_by(|answer| answer.times(t1, t2, INFINITY, INFINITY));
        assert_eq!(bench.client.poll_timeout(), None);
    }
    // But where the server sets times, they are kept.
    let bench = Bench::bound_by(|answer| answer.times(1000, 2000, INFINITY, INFINITY));
    let (t1, t2) = timers(bench.client.lease().unwrap());
    assert!((950.0..=1000.0).contains(&t1) && (1900.0..=2000.0).contains(&t2));
}

#[test]
fn endpoints_that_start_together_renew_apart() {
    let t1s: std::collections::HashSet<_> = (0..50)
        .map(|seed| {
            let mut bench = Bench::of(Client::new(plain(), seed));
            bench.run(|client, now| client.start(now));
            bench.bind(|answer| answer);
            bench.client.lease().unwrap().t1_at
        })
        .collect();
    assert!(t1s.len() > 45);
}

#[test]
fn the_shortest_times_of_all_associations_count() {
    let mut bench = Bench::started(with_prefix());
    bench.bind(|answer| {
        answer.na(|ia| (ia.t1, ia.t2) = (1500, 3000)).pd(|ia| (ia.t1, ia.t2) = (1000, 2500))
    });
    let (t1, t2) = timers(bench.client.lease().unwrap());
    assert!((950.0..=1000.0).contains(&t1) && (2375.0..=2500.0).contains(&t2), "{t1} {t2}");
}

/// Kea 2.2 sends a preferred lifetime beyond the valid one, again and again: a client that throws
/// the association away, as RFC 8415 §21.6 has it, would solicit for ever.
#[test]
fn a_preferred_lifetime_beyond_the_valid_one_is_cut_there() {
    let bench = Bench::bound_by(|answer| answer.times(1000, 2000, 4500, 4000));
    let lease = bench.client.lease().unwrap();
    let [leased] = lease.addresses[..] else { panic!("{lease:?}") };
    assert_eq!(leased.preferred_until, leased.valid_until);
    assert_eq!(leased.valid_until, lease.start + Duration::from_secs(4000));
    assert_eq!(bench.client.progress().capped, 1);

    let mut bench = Bench::started(with_prefix());
    bench.bind(|answer| answer.pd(|ia| ia.contents[0].2 = INFINITY));
    let lease = bench.client.lease().unwrap();
    assert_eq!(lease.prefixes[0].preferred_until, lease.prefixes[0].valid_until);
    assert_eq!(bench.client.progress().capped, 1);
}

#[test]
fn an_association_with_t1_beyond_t2_is_not_there() {
    let mut bench = Bench::started(plain());
    let solicit = bench.all_sent().pop().unwrap();
    bench.answer(advertise(&solicit).times(2001, 2000, PREFERRED, VALID));
    bench.silent();
    let ignored = bench.client.progress().ignored;
    assert_eq!((ignored.bad_times, ignored.no_association), (1, 1));
    // The other association of the message counts.
    let mut bench = Bench::started(with_prefix());
    bench.bind(|answer| answer.na(|ia| (ia.t1, ia.t2) = (2001, 2000)));
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.addresses.len(), lease.prefixes.len()), (0, 1));
}

#[test]
fn addresses_that_no_host_can_have_are_left_out() {
    for bad in ["::", "::1", "ff02::1", "fe80::5", "::ffff:192.0.2.1"] {
        let bad: Ipv6Addr = bad.parse().unwrap();
        let bench = Bench::bound_by(|answer| {
            answer.na(|ia| ia.contents.insert(0, (bad, 128, PREFERRED, VALID)))
        });
        assert_eq!(bench.address(), ADDRESS);
        assert_eq!(bench.client.progress().ignored.bad_address, 1, "{bad}");
    }
    let mut bench = Bench::started(with_prefix());
    bench.bind(|answer| {
        answer.pd(|ia| {
            ia.contents.insert(0, (Ipv6Addr::UNSPECIFIED, 0, PREFERRED, VALID));
            ia.contents.insert(0, ("ff00::".parse().unwrap(), 56, PREFERRED, VALID));
        })
    });
    assert_eq!(bench.client.lease().unwrap().prefixes.len(), 1);
    // Nor short ones that hold what no site has, or more than any has: the Internet would be discarded.
    for (bad, length) in [
        ("8000::", 1),
        ("fe00::", 7),
        ("f000::", 4),
        ("fe80::", 9),
        ("::", 3),
        ("2000::", 3),
        ("2001::", 16),
        ("fc00::", 7),
        ("2001:db8::", 31),
    ] {
        let mut bench = Bench::started(with_prefix());
        let bad: Ipv6Addr = bad.parse().unwrap();
        bench.bind(|answer| answer.pd(|ia| ia.contents.insert(0, (bad, length, PREFERRED, VALID))));
        assert_eq!(bench.client.lease().unwrap().prefixes.len(), 1, "{bad}/{length}");
        assert!(bench.client.progress().ignored.bad_address > 0);
    }
    let mut bench = Bench::started(with_prefix());
    let wide = "2001:db8::".parse().unwrap();
    bench.bind(|answer| answer.pd(|ia| ia.contents = vec![(wide, 32, PREFERRED, VALID)]));
    assert_eq!(bench.client.lease().unwrap().prefixes[0].length, 32);
}

#[test]
fn several_addresses_of_one_association_are_all_used() {
    let bench =
        Bench::bound_by(|answer| answer.na(|ia| ia.contents.push((OTHER_ADDRESS, 128, 100, 200))));
    let lease = bench.client.lease().unwrap();
    assert_eq!(lease.addresses.len(), 2);
    assert_eq!(lease.addresses[1].valid_until, lease.start + Duration::from_secs(200));
    assert_eq!(lease.expires_at(), lease.start + Duration::from_secs(VALID.into()));
    // The first to end decides when the client renews, if the server leaves it to the client.
    let bench = Bench::bound_by(|answer| {
        answer.na(|ia| {
            ia.contents.push((OTHER_ADDRESS, 128, 100, 200));
            (ia.t1, ia.t2) = (0, 0);
        })
    });
    assert!(timers(bench.client.lease().unwrap()).0 <= 50.0);
}

#[test]
fn an_address_that_comes_twice_is_one() {
    let bench = Bench::bound_by(|answer| answer.na(|ia| ia.contents.push((ADDRESS, 128, 1, 2))));
    assert_eq!(bench.client.lease().unwrap().addresses.len(), 1);
    assert_eq!(bench.client.lease().unwrap().lifetime_of(0), u64::from(VALID));
}

/// The valid lifetime of an address of a lease, in seconds.
trait Lifetime {
    fn lifetime_of(&self, number: usize) -> u64;
}

impl Lifetime for Lease {
    fn lifetime_of(&self, number: usize) -> u64 {
        self.addresses[number].valid_until.saturating_since(self.start).as_secs()
    }
}

#[test]
fn a_server_cannot_fill_the_memory() {
    let many = |ia: &mut Filled| {
        let base = ADDRESS.to_bits();
        ia.contents = (0..1500u128)
            .map(|n| (Ipv6Addr::from_bits(base + (n << 64)), 64, PREFERRED, VALID))
            .collect();
    };
    let names = b"\x01a\x00".repeat(1000);
    let mut bench = Bench::started(with_prefix());
    bench.bind(|answer| {
        answer
            .na(many)
            .pd(|ia| many(ia))
            .set(code::DNS_SERVERS, &DNS.octets().repeat(1000))
            .set(code::DOMAIN_LIST, &names)
    });
    for round in 0..20 {
        let lease = bench.client.lease().unwrap();
        assert_eq!((lease.addresses.len(), lease.prefixes.len()), (Lease::MOST, Lease::MOST));
        assert!(lease.dns.len() <= 8 && lease.search.len() <= 32);
        bench.next_deadline();
        let renew = bench.all_sent().pop().unwrap();
        assert!(renew.payload.len() < 1200, "it fits a packet");
        let shift = |ia: &mut Filled| {
            many(ia);
            let moved = (round + 1) << 100;
            for (address, ..) in &mut ia.contents {
                *address = Ipv6Addr::from_bits(address.to_bits() ^ moved);
            }
        };
        bench.answer(reply(&renew).na(shift).pd(shift));
        assert!(matches!(bench.event(), Event::Changed { .. }), "what was given last counts");
    }
}

#[test]
fn an_address_with_a_status_of_its_own_is_not_given() {
    use wire::dhcp6::{Builder, Ia, IaAddress, MessageType};
    let mut bench = Bench::started(plain());
    let solicit = bench.asked(MessageType::Solicit);
    bench.answer(advertise(&solicit));
    let request = bench.asked(MessageType::Request);
    let payload = Builder::new(MessageType::Reply, request.message().xid)
        .option(code::CLIENT_ID, &duid())
        .option(code::SERVER_ID, &server())
        .nest(code::IA_NA, &Ia::header(IAID, 0, 0), |ia| {
            let status = u16::from(StatusCode::NoAddrsAvail).to_be_bytes();
            ia.nest(code::IA_ADDRESS, &IaAddress::header(ADDRESS, 100, 200), |address| {
                address.option(code::STATUS_CODE, &status)
            })
            .option(code::IA_ADDRESS, &IaAddress::header(OTHER_ADDRESS, 100, 200))
        })
        .finish();
    bench.hear(&payload);
    assert_eq!(bench.address(), OTHER_ADDRESS);
}

#[test]
fn what_is_over_on_arrival_is_no_lease() {
    let mut bench = Bench::started(plain());
    let solicit = bench.all_sent().pop().unwrap();
    bench.answer(advertise(&solicit));
    let request = bench.all_sent().pop().unwrap();
    bench.now = at(0.9);
    bench.answer(reply(&request).times(0, 0, 0, 0));
    assert_eq!(bench.client.lease(), None);
    assert_eq!(bench.client.progress().refusals, 1);
}
