//! Whatever happens in whatever order: the host's promises hold.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::nd::{Config, DuplicateCheck, Host, Learned};
use proptest::prelude::*;
use wire::nd::{Message, NdOption, Preference, PrefixInformation, RouteInformation};

use super::bench::*;
use super::lan::*;

/// Something that happens to a host.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    Start,
    Stop,
    Announce,
    Hold(bool),
    Confirm(Duration),
    Solicit,
    Leased(Vec<u8>),
    /// The daemon starts anew.
    Resume,
    /// The clock goes to the next deadline.
    Due,
    /// The clock goes on by itself, and `handle_timeout` is called, due or not.
    Passes(Duration),
    Advertisement(Box<Advertisement>),
    /// A neighbour says or asks something about one of the host's addresses.
    Neighbour {
        about: prop::sample::Index,
        says: u8,
    },
}

pub(crate) fn seconds() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(u32::MAX), 0..10u32, 0..20_000u32, any::<u32>()]
}

fn prefix() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![
        4 => (0..20u16).prop_map(|n| Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, 0)),
        1 => any::<u128>().prop_map(Ipv6Addr::from_bits),
    ]
}

pub(crate) fn advertisement() -> impl Strategy<Value = Box<Advertisement>> {
    let length = || prop_oneof![4 => Just(64u8), 1 => 0..=128u8];
    let option = prop_oneof![
        4 => (prefix(), length(), any::<[bool; 2]>(), seconds(), seconds()).prop_map(
            |(prefix, length, [on_link, autonomous], valid, preferred)| {
                NdOption::Prefix(PrefixInformation {
                    prefix, length, on_link, autonomous, valid, preferred,
                })
            }
        ),
        1 => (prefix(), 0..=128u8, seconds()).prop_map(|(prefix, length, lifetime)| {
            NdOption::Route(RouteInformation {
                prefix, length, preference: Preference::Medium, lifetime,
            })
        }),
        1 => any::<u32>().prop_map(NdOption::Mtu),
        1 => (prefix(), seconds()).prop_map(|(server, lifetime)| {
            router().dns(&server.to_string(), lifetime).options.pop().unwrap()
        }),
        1 => ("[a-z]{1,8}", seconds()).prop_map(|(domain, lifetime)| {
            router().search(&domain, lifetime).options.pop().unwrap()
        }),
    ];
    let options = prop::collection::vec(option, 0..6);
    (0..12u8, any::<u16>(), any::<u8>(), any::<[bool; 2]>(), options).prop_map(
        |(number, lifetime, hops, [managed, other], options)| {
            let mut said = router().number(number).lifetime(lifetime).hop_limit(hops);
            said.header.managed = managed;
            said.header.other = other;
            said.options.extend(options);
            Box::new(said)
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => Just(Happening::Start),
        1 => Just(Happening::Stop),
        1 => Just(Happening::Announce),
        1 => any::<bool>().prop_map(Happening::Hold),
        1 => (0..20_000u64).prop_map(|ms| Happening::Confirm(Duration::from_millis(ms))),
        1 => Just(Happening::Solicit),
        1 => prop::collection::vec(any::<u8>(), 0..4).prop_map(Happening::Leased),
        1 => Just(Happening::Resume),
        12 => Just(Happening::Due),
        3 => (0..20_000_000u64).prop_map(|ms| Happening::Passes(Duration::from_millis(ms))),
        3 => (0..3_000u64).prop_map(|ms| Happening::Passes(Duration::from_millis(ms))),
        10 => advertisement().prop_map(Happening::Advertisement),
        4 => (any::<prop::sample::Index>(), 0..6u8)
            .prop_map(|(about, says)| Happening::Neighbour { about, says }),
    ]
}

/// What a neighbour says or asks about `address`.
pub(crate) fn neighbour(address: Ipv6Addr, says: u8) -> Vec<u8> {
    match says {
        0 => claim(OTHER_MAC, address),
        1 => probe(OTHER_MAC, address, None),
        2 => probe(OTHER_MAC, address, Some([3; 6])),
        3 => solicitation(OTHER_MAC, address, address),
        4 => claim(MAC, address),
        _ => solicitation(OTHER_MAC, OTHER, address),
    }
}

fn happen(bench: &mut Bench, happening: Happening) {
    match happening {
        Happening::Start => {
            if bench.host.link_local().is_none() {
                bench.run(|host, now| host.start(None, now));
            }
        }
        Happening::Stop => bench.run(|host, _| host.stop()),
        Happening::Announce => bench.run(|host, _| host.announce()),
        Happening::Hold(held) => bench.run(|host, _| host.hold(held)),
        Happening::Confirm(delay) => bench.run(|host, now| host.confirm(now + delay, now)),
        Happening::Solicit => bench.run(|host, now| host.solicit(now)),
        Happening::Leased(numbers) => {
            let leased: Vec<_> =
                numbers.into_iter().map(|n| ip(&format!("2001:db8::{n:x}"))).collect();
            bench.run(|host, now| host.set_leased(&leased, now));
        }
        Happening::Resume => {
            let (learned, now) = (bench.host.learned().clone(), bench.now);
            let json = serde_json::to_string(&learned).unwrap();
            assert_eq!(serde_json::from_str::<Learned>(&json).unwrap(), learned);
            bench.run(|host, _| *host = Host::resume(stable(), learned, Vec::new(), 5, now));
        }
        Happening::Due => {
            if let Some(due) = bench.host.poll_timeout() {
                bench.now = bench.now.max(due);
                bench.run(Host::handle_timeout);
            }
        }
        Happening::Passes(time) => {
            bench.now = bench.now + time;
            bench.run(Host::handle_timeout);
        }
        Happening::Advertisement(said) => bench.hear(&said.frame()),
        Happening::Neighbour { about, says } => {
            let all: Vec<_> = bench.host.neighbours().map(|n| n.address).collect();
            if !all.is_empty() {
                bench.hear(&neighbour(all[about.index(all.len())], says));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn promises_hold(
        happenings in prop::collection::vec(happening(), 1..80), seed in any::<u64>(),
        checks in prop::bool::weighted(0.8), eui in any::<bool>()
    ) {
        let duplicate_check =
            if checks { DuplicateCheck::Optimistic } else { DuplicateCheck::Off };
        let base = if eui { config() } else { stable() };
        let mut bench = Bench::of(Host::new(Config { duplicate_check, ..base }, seed));
        for happening in happenings {
            let timed = matches!(happening, Happening::Due | Happening::Passes(_));
            bench.sent.clear();
            bench.events.clear();
            happen(&mut bench, happening);
            let learned = bench.host.learned();
            prop_assert!(learned.routers.iter().count() <= Learned::ROUTERS);
            prop_assert!(learned.on_link.iter().count() <= Learned::PREFIXES);
            prop_assert!(learned.addresses.iter().count() <= Learned::PREFIXES);
            prop_assert!(learned.routes.iter().count() <= Learned::ROUTES);
            prop_assert!(learned.dns.iter().count() <= Learned::DNS);
            prop_assert!(learned.search.iter().count() <= Learned::DNS);
            prop_assert!(learned.mtu.is_none_or(|mtu| (1280..=1500).contains(&mtu)));
            // Each address: a report, a probe with another, an announcement twice over.
            let addresses = 2 + Learned::PREFIXES + 4;
            prop_assert!(bench.sent.len() <= 4 * addresses, "{} at once", bench.sent.len());
            // No host says what routers say.
            let routers = |sent: &Sent| {
                matches!(sent.what, What::Nd(Message::RouterAdvertisement(_), _))
            };
            prop_assert!(!bench.sent.iter().any(routers));
            for address in learned.made() {
                let prefix = Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
                prop_assert!(!address.is_multicast() && !address.is_unicast_link_local());
                prop_assert!(learned.addresses.iter().any(|entry| entry.what.prefix == prefix));
            }
            if timed {
                prop_assert!(bench.host.poll_timeout().is_none_or(|next| next > bench.now));
                prop_assert!(learned.addresses.iter().all(|entry| entry.until > bench.now));
                prop_assert!(learned.routers.iter().all(|entry| entry.until > bench.now));
            }
        }
    }

    /// A day on a link where nobody says anything costs a host a few packets.
    #[test]
    fn an_idle_day_is_quiet(seed in any::<u64>()) {
        let mut bench = Bench::of(Host::new(config(), seed));
        bench.run(|host, now| host.start(None, now));
        bench.hear(&router().lifetime(9000).prefix(u32::MAX, u32::MAX).frame());
        bench.until(8000.0);
        let sent = bench.sent.len();
        prop_assert!(sent <= 12, "{} packets", sent);
    }
}
