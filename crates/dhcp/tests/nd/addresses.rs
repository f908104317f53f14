//! Addresses made from prefixes (RFC 4862 §5.5).

use dhcp::Instant;
use dhcp::nd::Config;
use wire::nd::{NdOption, PrefixInformation};

use super::bench::*;
use super::lan::*;

const HOUR: u32 = 3600;

#[test]
fn an_address_has_the_lifetimes_of_its_prefix() {
    let mut bench = Bench::started();
    bench.hear(&router().prefix(4 * HOUR, HOUR).frame());
    let (made, until) = bench.made();
    assert_eq!((made.address, made.prefix), (Some(ADDRESS), PREFIX));
    assert_eq!((made.preferred_until, until), (at(3600.0), at(14_400.0)));
    bench.until(14_399.0);
    assert_eq!(bench.addresses(), [ADDRESS]);
    bench.until(14_400.0);
    assert!(bench.addresses().is_empty());
}

#[test]
fn for_ever_is_for_ever() {
    let mut bench = Bench::started();
    bench.hear(&router().prefix(u32::MAX, u32::MAX).frame());
    let (made, until) = bench.made();
    assert_eq!((made.preferred_until, until), (Instant::NEVER, Instant::NEVER));
    // Not quite.
    let mut bench = Bench::started();
    bench.hear(&router().prefix(u32::MAX - 1, 0).frame());
    assert_eq!(bench.made().1, at(f64::from(u32::MAX - 1)));
}

#[test]
fn a_valid_lifetime_is_not_cut_below_two_hours() {
    let mut bench = Bench::started();
    bench.hear(&router().prefix(8 * HOUR, 4 * HOUR).frame());
    // Longer than two hours: as it is said.
    bench.hear(&router().prefix(3 * HOUR, HOUR).frame());
    assert_eq!(bench.made().1, at(3.0 * 3600.0));
    // Shorter: two hours are left. It is deprecated at once all the same.
    bench.hear(&router().prefix(0, 0).frame());
    let (made, until) = bench.made();
    assert_eq!((made.preferred_until, until), (at(0.0), at(2.0 * 3600.0)));
    // Less than two hours are left, and it is not cut at all.
    bench.until(600.0);
    bench.hear(&router().prefix(60, 60).frame());
    let (made, until) = bench.made();
    assert_eq!((made.preferred_until, until), (at(660.0), at(2.0 * 3600.0)));
    // But prolonged it is.
    bench.hear(&router().prefix(2 * HOUR, HOUR).frame());
    assert_eq!(bench.made().1, at(600.0 + 2.0 * 3600.0));
    bench.until(7799.0);
    assert_eq!(bench.addresses(), [ADDRESS]);
    bench.until(7800.0);
    assert!(bench.addresses().is_empty());
}

#[test]
fn a_preferred_lifetime_does_not_outlast_the_valid_one() {
    let mut bench = Bench::started();
    bench.hear(&router().prefix(HOUR, HOUR + 1).frame());
    assert!(bench.addresses().is_empty());
    // The rule of the two hours keeps valid what is not preferred any more.
    bench.hear(&router().prefix(HOUR, HOUR).frame());
    bench.until(1800.0);
    bench.hear(&router().prefix(u32::MAX - 1, u32::MAX).frame());
    assert_eq!(bench.made().1, at(3600.0));
}

#[test]
fn an_address_that_is_over_from_the_start_is_not_made() {
    let mut bench = Bench::started();
    bench.hear(&router().prefix(0, 0).frame());
    assert!(bench.addresses().is_empty() && bench.host.learned().on_link.is_empty());
}

#[test]
fn only_autonomous_prefixes_of_64_bits_make_addresses() {
    let info = |prefix: &str, length, autonomous| PrefixInformation {
        prefix: ip(prefix),
        length,
        on_link: true,
        autonomous,
        valid: HOUR,
        preferred: HOUR,
    };
    let mut bench = Bench::started();
    for (prefix, length, autonomous) in [
        ("2001:db8:1::", 64, false),
        ("2001:db8:2::", 63, true),
        ("2001:db8:3::", 65, true),
        ("2001:db8:4::", 128, true),
        ("2001:db8:5::", 0, true),
        ("fe80::", 64, true),
        ("ff0e::", 64, true),
        ("::", 64, true),
        ("::ffff:0:0", 64, true),
    ] {
        bench.hear(&router().option(NdOption::Prefix(info(prefix, length, autonomous))).frame());
        assert!(bench.addresses().is_empty(), "{prefix}/{length}");
    }
    let on_link: Vec<_> = bench.host.learned().on_link.iter().map(|e| e.what.length).collect();
    assert_eq!(on_link, [64, 63, 65, 128]);
}

#[test]
fn a_host_that_makes_no_addresses_makes_none() {
    let mut bench = Bench::with(Config { autonomous: false, ..config() });
    bench.hear(&router().prefix(HOUR, HOUR).frame());
    assert!(bench.addresses().is_empty());
    assert_eq!(bench.host.learned().on_link.iter().count(), 1);
}

#[test]
fn bits_behind_the_prefix_do_not_make_another_address() {
    let mut bench = Bench::started();
    bench.hear(&router().option(autonomous(ip("2001:db8:1::1"), HOUR, HOUR)).frame());
    bench.hear(&router().prefix(2 * HOUR, HOUR).frame());
    assert_eq!(bench.made().1, at(7200.0));
    assert_eq!(bench.addresses(), [ADDRESS]);
}

#[test]
fn stable_identifiers_are_the_same_after_a_restart_and_tell_nothing_of_the_mac() {
    let make = || {
        let mut bench = Bench::with(stable());
        bench.hear(&router().prefix(HOUR, HOUR).frame());
        bench.addresses()[0]
    };
    assert_eq!(make(), make());
    assert_ne!(make(), ADDRESS);
    assert_eq!(make().segments()[..4], PREFIX.segments()[..4]);
    let link_local = Bench::with(stable()).host.link_local().unwrap();
    assert!(link_local.is_unicast_link_local() && link_local != LINK_LOCAL);
}
