//! Routers that mean no good.

use std::net::Ipv6Addr;

use dhcp::ipv6::{Origin, Saved};
use sim::v6::{Kind, Lan, Router, Server};
use wire::MacAddr;
use wire::nd::{
    self, DnsServers, Message, NdOption, Preference, PrefixInformation, RouteInformation,
    SearchDomains,
};

use crate::lans::*;

/// A router that does not belong to the LAN, and says that it is one for half an hour.
fn rogue(number: u16) -> Router {
    let [a, b] = number.to_be_bytes();
    let mac = MacAddr([0x02, 0xfd, 0, 0, a, b]);
    let mut rogue = Router::other(9);
    (rogue.mac, rogue.options) = (mac, vec![NdOption::SourceMac(mac)]);
    rogue.address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0xbad, 0, 0, number);
    rogue
}

/// One that says as much of everything as goes into a frame, and each time something else.
fn greedy(number: u16) -> Router {
    let mut router = rogue(number);
    router.header.lifetime = u16::MAX;
    router.header.preference = Preference::High;
    for part in 0..10u16 {
        let high = 0xf000 | part;
        let network = Ipv6Addr::new(0x2001, 0xdb8, high, number, 0, 0, 0, 0);
        router.options.push(Router::prefix(network, u32::MAX, u32::MAX));
        router.options.push(NdOption::Route(RouteInformation {
            prefix: Ipv6Addr::new(0xfd00, high, number, 0, 0, 0, 0, 0),
            length: 64,
            preference: Preference::High,
            lifetime: u32::MAX,
        }));
        router.options.push(NdOption::DnsServers(DnsServers {
            lifetime: u32::MAX,
            servers: vec![Ipv6Addr::new(0x2001, 0xdb8, 0x53, number, 0, 0, 0, part)],
        }));
        router.options.push(NdOption::SearchDomains(SearchDomains {
            lifetime: u32::MAX,
            domains: vec![format!("d{part}-{number}")],
        }));
    }
    router
}

/// `rate` advertisements in a second, for `seconds`, ever from another router.
fn flood(lan: &mut Lan, seconds: u32, rate: u32, say: impl Fn(u16) -> Router + 'static + Copy) {
    for second in 0..seconds {
        for number in 0..rate {
            let router = (second * rate + number) as u16;
            lan.after(SECOND * second + SECOND / rate * number, move |lan| {
                lan.say(say(router).advertisement());
            });
        }
    }
    lan.run_for(SECOND * seconds);
}

fn size(saved: &Saved) -> usize {
    let Saved { configuration: c, learned: l, .. } = saved;
    let told = c.addresses.len() + c.routers.len() + c.routes.len() + c.on_link.len() + c.dns.len();
    told + c.search.len()
        + l.routers.iter().count()
        + l.on_link.iter().count()
        + l.addresses.iter().count()
        + l.routes.iter().count()
        + l.dns.iter().count()
        + l.search.iter().count()
}

#[test]
fn ten_thousand_advertisements_a_second_push_nothing_out_and_provoke_little() {
    let (mut lan, _) = slaac(1, 3);
    lan.run_for(2 * MINUTE);
    let before = addresses(&lan);
    let frames = lan.sent().total();
    flood(&mut lan, 1, 10_000, greedy);
    lan.run_for(MINUTE);
    for (endpoint, before) in lan.endpoints().iter().zip(&before) {
        assert!(endpoint.has(before[0]));
        assert!(endpoint.configured.len() <= 16);
        assert!(size(endpoint.saved.as_ref().expect("it has something")) <= 2 * 88);
        assert_eq!(endpoint.client.configuration().routers.len(), 8);
    }
    let frames = lan.sent().total() - frames;
    // Two checks, two reports and two announcements for each of fifteen addresses, and each
    // announcement is one of all there are.
    assert!(frames <= 3 * 600, "{frames}");
}

#[test]
fn an_honest_router_is_heard_through_a_flood() {
    let mut lan = Lan::new(1);
    // What it says ends within the flood.
    let mut router = Router::home();
    router.options[1] = Router::prefix(prefix(1), 60, 30);
    router.header.lifetime = 60;
    router.interval = 20 * SECOND;
    lan.add_router(router);
    lan.add_fleet(2);
    lan.start(0..2, SECOND);
    lan.run_for(2 * MINUTE);
    let before = addresses(&lan);
    flood(&mut lan, 150, 100, greedy);
    for (endpoint, before) in lan.endpoints().iter().zip(&before) {
        assert!(endpoint.has(before[0]), "{:?}", endpoint.configured);
        let routers = &endpoint.client.configuration().routers;
        assert!(routers.iter().any(|router| router.address == Router::home().address));
    }
}

#[test]
fn addresses_that_come_and_go_are_made_at_a_limited_rate() {
    let (mut lan, _) = slaac(1, 5);
    lan.run_for(2 * MINUTE);
    let frames = lan.sent();
    // Sixteen prefixes a second, each for a second.
    flood(&mut lan, 120, 2, |number| {
        let mut router = rogue(number);
        router.header.lifetime = 0;
        for part in 0..16 {
            let network = Ipv6Addr::new(0x2001, 0xdb8, 0xf000 | part, number, 0, 0, 0, 0);
            router.options.push(Router::prefix(network, 1, 1));
        }
        router
    });
    let made = lan.sent().of(Kind::NeighbourSolicitation) - frames.of(Kind::NeighbourSolicitation);
    assert!(made <= 5 * 2 * 16 * 3, "{made} checks in two minutes");
    assert_eq!(lan.addressed(), 5);
}

#[test]
fn who_takes_everything_back_takes_no_address() {
    sim::seeds("lifetimes of zero", 0..1, |seed| {
        let (mut lan, _) = slaac(seed, 20);
        lan.run_for(10 * MINUTE);
        let before = addresses(&lan);
        // For a day: the router itself says now and then that they last.
        for _ in 0..24 * 60 {
            let mut router = rogue(1);
            router.header.lifetime = 0;
            router.options.push(Router::prefix(prefix(1), 0, 0));
            lan.say(router.advertisement());
            lan.run_for(MINUTE);
            assert_eq!(addresses(&lan), before);
        }
        // RFC 4862 §5.5.3(e): two hours are left, whoever says what.
        for endpoint in lan.endpoints() {
            let left = endpoint.configured[0].valid_until.saturating_since(lan.now());
            assert!(left > HOUR, "{left:?}");
        }
        // And the router is not taken back by another one.
        assert!(lan.endpoints().iter().all(|e| e.client.configuration().routers.len() == 1));
    });
}

#[test]
fn a_preferred_lifetime_beyond_the_valid_one_makes_no_address_and_changes_none() {
    let (mut lan, _) = slaac(1, 5);
    lan.run_for(2 * MINUTE);
    let learned = |lan: &Lan| -> Vec<_> {
        let all = lan.endpoints().iter();
        all.map(|e| e.client.saved().learned.addresses).collect()
    };
    let before = learned(&lan);
    let mut router = rogue(1);
    router.options.push(Router::prefix(prefix(1), 7200, 7201));
    router.options.push(Router::prefix(prefix(2), 3600, u32::MAX));
    lan.say(router.advertisement());
    lan.run_for(SECOND);
    assert_eq!(learned(&lan), before);
}

#[test]
fn what_cannot_be_on_the_link_is_not() {
    let (mut lan, _) = slaac(1, 5);
    lan.run_for(2 * MINUTE);
    let before = lan.endpoints()[0].client.configuration().on_link.clone();
    let mut router = rogue(1);
    for (network, length) in [
        ("::", 0),
        ("::", 1),
        ("8000::", 1),
        ("::1", 128),
        ("::ffff:192.0.2.0", 120),
        ("fe80::", 10),
        ("fe80::", 64),
        ("f000::", 4),
        ("ff02::", 16),
        ("ff02::1", 128),
    ] {
        router.options.push(NdOption::Prefix(PrefixInformation {
            prefix: network.parse().expect("an address"),
            length,
            on_link: true,
            autonomous: true,
            valid: u32::MAX,
            preferred: u32::MAX,
        }));
    }
    lan.say(router.advertisement());
    lan.run_for(MINUTE);
    for endpoint in lan.endpoints() {
        assert_eq!(endpoint.client.configuration().on_link.len(), before.len());
        assert_eq!(endpoint.configured.len(), 1);
    }
}

/// A router's advertisement with a byte set otherwise and the checksum put right.
fn edited(router: &Router, edit: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    const ICMP: usize = 14 + 40;
    let mut frame = router.advertisement();
    edit(&mut frame);
    let length = (frame.len() - ICMP) as u16;
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    frame[ICMP + 2..ICMP + 4].copy_from_slice(&[0, 0]);
    let pseudo = [&frame[22..54], &[0, 0], &length.to_be_bytes(), &[0, 0, 0, 58]].concat();
    let words = pseudo.chunks(2).chain(frame[ICMP..].chunks(2));
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = words.map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[ICMP + 2..ICMP + 4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    frame
}

#[test]
fn what_is_no_advertisement_of_a_neighbour_is_nothing() {
    const HOP_LIMIT: usize = 14 + 7;
    const NEXT_HEADER: usize = 14 + 6;
    const CODE: usize = 14 + 40 + 1;
    const OPTIONS: usize = 14 + 40 + 16;
    let mut said = rogue(1);
    said.options.push(Router::prefix(prefix(7), 7200, 3600));
    let mut global = said.clone();
    global.address = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    let mut nobody = said.clone();
    nobody.address = Ipv6Addr::UNSPECIFIED;
    let frames = [
        ("sound", said.advertisement()),
        ("edited soundly", edited(&said, |_| {})),
        ("hop limit 254", edited(&said, |frame| frame[HOP_LIMIT] = 254)),
        ("hop limit 0", edited(&said, |frame| frame[HOP_LIMIT] = 0)),
        ("code 1", edited(&said, |frame| frame[CODE] = 1)),
        ("a global source", global.advertisement()),
        ("no source", nobody.advertisement()),
        ("an option of no length", edited(&said, |frame| frame[OPTIONS + 1] = 0)),
        ("an option cut off", edited(&said, |frame| frame.truncate(frame.len() - 8))),
        ("a fragment", edited(&said, |frame| frame[NEXT_HEADER] = 44)),
        ("a wrong checksum", {
            let mut frame = said.advertisement();
            frame[CODE + 1] ^= 1;
            frame
        }),
    ];
    for (what, frame) in frames {
        let (mut lan, _) = slaac(1, 2);
        lan.run_for(2 * MINUTE);
        lan.say(frame);
        lan.run_for(MINUTE);
        let made = count(&lan, Origin::Slaac);
        let expected = if what.ends_with("sound") || what.ends_with("soundly") { 4 } else { 2 };
        assert_eq!(made, expected, "{what}");
    }
}

#[test]
fn a_rogue_does_not_end_a_lease() {
    let (mut lan, _, id) = managed(1, Server::new(), 10);
    lan.run_for(2 * MINUTE);
    let before = addresses(&lan);
    for _ in 0..24 * 60 {
        // Of the honest router too, as far as it can be said in its name.
        let mut router = Router::managed();
        router.header.managed = false;
        router.header.lifetime = 0;
        lan.say(router.advertisement());
        lan.run_for(MINUTE);
    }
    assert_eq!(addresses(&lan), before);
    assert_eq!(lan.server(id).database.granted(lan.now()), 10);
}

#[test]
fn a_neighbour_that_claims_every_address_is_answered_at_a_limited_rate() {
    let (mut lan, _) = slaac(1, 10);
    lan.run_for(2 * MINUTE);
    let before = lan.sent().total();
    let mac = MacAddr([0x02, 0xfd, 0, 0, 0, 1]);
    for _ in 0..60 {
        for address in addresses(&lan).concat() {
            let said = nd::NeighbourAdvertisement {
                target: address,
                router: false,
                solicited: false,
                replaces: true,
            };
            let message = Message::NeighbourAdvertisement(said);
            let options = [NdOption::TargetMac(mac)];
            lan.say(nd::emit(mac, address, nd::ALL_NODES, &message, &options));
        }
        lan.run_for(SECOND);
    }
    let frames = lan.sent().total() - before;
    // RFC 5227's pace: a defence in ten seconds.
    assert!((50..=70).contains(&frames), "{frames}");
    assert_eq!(lan.addressed(), 10);
}
