//! Advertisements that mean no good.

use std::net::Ipv6Addr;

use dhcp::nd::Learned;
use wire::MacAddr;
use wire::nd::{DnsServers, NdOption, PrefixInformation, SearchDomains};

use super::bench::*;
use super::lan::*;

#[test]
fn a_flood_of_anything_pushes_out_nothing() {
    let mut bench = Bench::started();
    let honest = router().prefix(7200, 3600).route("fd00:1::", 48, 7200);
    bench.hear(&honest.dns("2001:db8:1::53", 7200).search("lan", 7200).frame());
    bench.host.rest();
    for number in 0..=255 {
        bench.until(f64::from(number) / 5.0 + 1.0);
        let mut flood = router().number(number);
        for n in 0..=255u16 {
            let prefix = Ipv6Addr::new(0x2001, 0xdb8, 0xf000 | n, number.into(), 0, 0, 0, 0);
            flood = flood
                .option(autonomous(prefix, u32::MAX, u32::MAX))
                .route(&format!("fd00:{n:x}:{number:x}::"), 48, u32::MAX)
                .dns(&format!("2001:db8:53::{n:x}"), u32::MAX)
                .search(&format!("d{n}-{number}"), u32::MAX);
        }
        bench.hear(&flood.frame());
    }
    let learned = bench.host.learned();
    assert_eq!(learned.routers.iter().count(), Learned::ROUTERS);
    assert_eq!(learned.on_link.iter().count(), Learned::PREFIXES);
    assert_eq!(learned.addresses.iter().count(), Learned::PREFIXES);
    assert_eq!(learned.routes.iter().count(), Learned::ROUTES);
    assert_eq!(learned.dns.iter().count(), Learned::DNS);
    assert_eq!(learned.search.iter().count(), Learned::DNS);
    assert_eq!(
        (8, 16, 32, 8),
        (Learned::ROUTERS, Learned::PREFIXES, Learned::ROUTES, Learned::DNS)
    );
    assert_eq!(learned.routers.iter().next().unwrap().what.address, ROUTER);
    assert_eq!(learned.made().next(), Some(ADDRESS));
    assert_eq!(learned.dns.iter().next().unwrap().what, ip("2001:db8:1::53"));
    assert_eq!(&*learned.search.iter().next().unwrap().what, "lan");
}

#[test]
fn what_was_said_once_to_be_so_for_ever_is_in_nobodys_way_for_ever() {
    let mut bench = Bench::started();
    let mut flood = router().number(9);
    for n in 0..64u16 {
        let prefix = Ipv6Addr::new(0x2001, 0xdb8, 0xf000 | n, 0, 0, 0, 0, 0);
        flood = flood
            .option(autonomous(prefix, u32::MAX, u32::MAX))
            .route(&format!("fd00:{n:x}::"), 48, u32::MAX)
            .dns(&format!("2001:db8:53::{n:x}"), u32::MAX)
            .search(&format!("d{n}"), u32::MAX);
    }
    bench.hear(&flood.frame());
    for number in 10..20 {
        // Routers without an end.
        bench.until(f64::from(number) - 9.0);
        bench.hear(&router().number(number).route("::", 0, u32::MAX).frame());
    }
    bench.host.rest();
    let honest = router().prefix(7200, 3600).route("fd01::", 48, 7200);
    let honest = honest.dns("2001:db8:1::53", 7200).search("lan", 7200).frame();
    let taken = |bench: &Bench| {
        let learned = bench.host.learned();
        [
            learned.made().any(|address| address == ADDRESS),
            learned.on_link.iter().any(|entry| entry.what.address == PREFIX),
            learned.routers.iter().any(|entry| entry.what.address == ROUTER),
            learned.routes.iter().any(|entry| entry.what.router == ROUTER),
            learned.dns.iter().any(|entry| entry.what == ip("2001:db8:1::53")),
            learned.search.iter().any(|entry| &*entry.what == "lan"),
        ]
    };
    bench.until(1799.0);
    bench.hear(&honest);
    assert_eq!(taken(&bench), [false; 6]);
    bench.reports();
    bench.until(1820.0);
    bench.hear(&honest);
    assert_eq!(taken(&bench), [true; 6]);
    // One has made room for it, and is not answered for any more.
    let addresses = bench.addresses();
    assert_eq!(addresses.len(), Learned::PREFIXES);
    assert_eq!(addresses[0], ip("2001:db8:f001::ff:fe00:42"));
    assert!(bench.host.neighbours().all(|one| one.address != ip("2001:db8:f000::ff:fe00:42")));
    // Who goes on talking stays.
    bench.until(3000.0);
    bench.hear(&honest);
    bench.until(4000.0);
    bench.hear(&flood.frame());
    assert_eq!(taken(&bench), [true; 6]);
}

#[test]
fn ten_advertisements_a_second_are_read() {
    let mut bench = Bench::started();
    for number in 0..100 {
        bench.hear(&router().number(number).lifetime(0).frame());
    }
    assert_eq!(bench.host.progress().advertisements, 10);
    assert_eq!(bench.host.progress().ignored, 90);
    assert_eq!(bench.events.len(), 10);
    bench.until(1.0);
    bench.hear(&router().frame());
    assert_eq!(bench.host.progress().advertisements, 11);
}

#[test]
fn nobody_is_a_router_at_our_address_or_with_our_mac() {
    let mut bench = Bench::started();
    let mut ours = router();
    ours.source = LINK_LOCAL;
    bench.hear(&ours.frame());
    let mut ours = router();
    ours.mac = MAC;
    bench.hear(&ours.frame());
    let mut ours = router();
    ours.options = vec![NdOption::SourceMac(MAC)];
    bench.hear(&ours.frame());
    let mut nobody = router();
    nobody.options = vec![NdOption::SourceMac(MacAddr([0xff; 6]))];
    bench.hear(&nobody.frame());
    assert!(bench.host.learned().is_empty());
    assert_eq!(bench.events, []);
}

#[test]
fn routes_into_the_link_are_not_taken() {
    let mut bench = Bench::started();
    let said = router()
        .prefix(7200, 3600)
        // The link itself, half of it, a neighbour, ourselves.
        .route("2001:db8:1::", 64, 7200)
        .route("2001:db8:1::", 65, 7200)
        .route("2001:db8:1::99", 128, 7200)
        .route("2001:db8:1:0:0:ff:fe00:42", 128, 7200)
        // No place that packets go to.
        .route("fe80::", 10, 7200)
        .route("fe80::1", 128, 7200)
        .route("ff00::", 8, 7200)
        .route("::1", 128, 7200)
        // What contains one of those is none either.
        .route("8000::", 1, 7200);
    bench.hear(&said.frame());
    assert!(bench.host.learned().routes.is_empty());
    // What contains the link is fine: the link itself is more specific.
    bench.hear(&router().route("2001:db8::", 32, 7200).frame());
    assert_eq!(bench.host.learned().routes.iter().count(), 1);

    // Our own address, when the link is not known to be one.
    let mut bench = Bench::told(config(), &router());
    bench.run(|host, now| host.set_leased(&[ip("2001:db8:9::50")], now));
    bench.hear(&router().route("2001:db8:9::40", 122, 7200).frame());
    assert!(bench.host.learned().routes.is_empty());
}

/// Half of the Internet is no LAN; a translator's prefix is no loopback.
#[test]
fn what_is_too_wide_to_be_a_link_is_none_and_what_is_translated_is_elsewhere() {
    let mut bench = Bench::started();
    let wide = |length| {
        NdOption::Prefix(PrefixInformation {
            prefix: ip("2000::"),
            length,
            on_link: true,
            autonomous: false,
            valid: u32::MAX,
            preferred: u32::MAX,
        })
    };
    bench.hear(&router().option(wide(3)).option(wide(31)).frame());
    assert!(bench.host.learned().on_link.is_empty());
    bench.hear(&router().option(wide(32)).frame());
    assert_eq!(bench.host.learned().on_link.iter().count(), 1);
    bench.hear(&router().route("64:ff9b::", 96, 7200).route("64:ff9b:1::", 48, 7200).frame());
    assert_eq!(bench.host.learned().routes.iter().count(), 2);
    bench.hear(&router().route("64::", 16, 7200).frame());
    assert_eq!(bench.host.learned().routes.iter().count(), 2);
}

#[test]
fn many_in_one_option_are_as_bounded_as_many_options() {
    let mut bench = Bench::started();
    let servers = (1..60).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)).collect();
    let domains = (0..60).map(|n| format!("d{n}")).collect();
    let said = router()
        .option(NdOption::DnsServers(DnsServers { lifetime: 600, servers }))
        .option(NdOption::SearchDomains(SearchDomains { lifetime: 600, domains }));
    bench.hear(&said.frame());
    assert_eq!(bench.host.learned().dns.iter().count(), Learned::DNS);
    assert_eq!(bench.host.learned().search.iter().count(), Learned::DNS);
}

#[test]
fn a_neighbour_that_always_has_the_address_is_answered_a_few_times() {
    let mut bench = Bench::with(stable());
    bench.hear(&router().prefix(7200, 3600).frame());
    bench.sent.clear();
    for _ in 0..100 {
        for address in bench.addresses() {
            bench.hear(&claim(OTHER_MAC, address));
        }
        if let Some(address) = bench.host.link_local() {
            bench.hear(&claim(OTHER_MAC, address));
        }
    }
    assert!(bench.sent.len() <= 30, "{} frames", bench.sent.len());
    assert_eq!(bench.host.link_local(), None);
}

#[test]
fn a_default_router_is_read_behind_any_number_of_strangers() {
    let mut bench = Bench::started();
    bench.hear(&router().lifetime(600).frame());
    for second in 1..4u8 {
        bench.until(second.into());
        for number in 0..100 {
            bench.hear(&router().number(number).lifetime(0).frame());
        }
        let lifetime = 600 + u16::from(second);
        bench.hear(&router().lifetime(lifetime).frame());
        let until = bench.host.learned().routers.iter().next().unwrap().until;
        assert_eq!(until, at(f64::from(second) + f64::from(lifetime)));
        // Once in a second: it counts as a stranger then.
        bench.hear(&router().lifetime(9).frame());
        assert_eq!(bench.host.learned().routers.iter().next().unwrap().until, until);
    }
    assert_eq!(bench.host.progress().advertisements, 1 + 3 * 11);
}

#[test]
fn sixteen_addresses_are_made_in_a_minute() {
    let mut bench = Bench::started();
    bench.host.rest();
    let mut made = 0;
    for second in 0..120u16 {
        bench.until(second.into());
        let mut said = router();
        for n in 0..8 {
            let prefix = Ipv6Addr::new(0x2001, 0xdb8, second, n, 0, 0, 0, 0);
            said = said.option(autonomous(prefix, 1, 1));
        }
        bench.hear(&said.frame());
        made += bench.addresses().len();
        assert!(made <= if second < 60 { 16 } else { 32 }, "{made} in {second} s");
    }
    assert_eq!(made, 32);
    // The link's own prefixes are as they were said all the while.
    assert_eq!(bench.host.learned().on_link.iter().count(), 8);
}
