//! Neighbour discovery: messages by hand, the validity rules of RFC 4861, and MLD reports.

use std::net::Ipv6Addr;

use wire::frame::{Checksum, Frame, Payload};
use wire::mld::{self, Membership};
use wire::nd::{
    self, DnsServers, Message, Nd, NdOption, NeighbourAdvertisement, Preference, PrefixInformation,
    RouteInformation, RouterAdvertisement, SearchDomains,
};
use wire::{Error, MacAddr};

const MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x42]);
const ROUTER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);
const ICMP: usize = 54;

pub(crate) fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// A frame from `source` to `destination` with this ICMPv6 message, its checksum made here.
fn frame(source: &str, destination: &str, hop_limit: u8, body: &[u8]) -> Vec<u8> {
    let (source, destination) = (ip(source), ip(destination));
    let mut bytes = [&MacAddr::of_group(destination).0[..], &ROUTER_MAC.0, &[0x86, 0xdd]].concat();
    bytes.extend([0x60, 0, 0, 0, 0, u8::try_from(body.len()).unwrap(), 58, hop_limit]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend(body);
    fix_checksum(&mut bytes);
    bytes
}

/// RFC 8200 section 8.1, apart from the code under test.
fn fix_checksum(bytes: &mut [u8]) {
    bytes[ICMP + 2..ICMP + 4].fill(0);
    let length = u32::from(u16::from_be_bytes([bytes[18], bytes[19]]));
    let words = bytes[22..ICMP + length as usize].chunks(2);
    let sum: u32 =
        words.map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |b| u32::from(*b))).sum();
    let mut sum = sum + length + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[ICMP + 2..ICMP + 4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

fn verdict(bytes: &[u8]) -> Result<(), Error> {
    Frame::parse(bytes, Checksum::Verify).map(|_| ())
}

fn read(bytes: &[u8]) -> Nd<'_> {
    match Frame::parse(bytes, Checksum::Verify).unwrap().payload {
        Payload::Nd(nd) => nd,
        other => panic!("{other:?}"),
    }
}

/// What a home router says (RFC 4861 §4.2 and §4.6, RFC 4191 §2, RFC 8106 §5).
const ADVERTISEMENT: &[u8] = &[
    134, 0, 0, 0, 64, 0xc8, 0x07, 0x08, 0, 0, 0x75, 0x30, 0, 0, 3, 0xe8, // fixed
    1, 1, 0x02, 0, 0, 0, 0, 0x01, // source link-layer address
    5, 1, 0, 0, 0, 0, 0x05, 0xd4, // MTU
    3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0, // prefix
    0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
    24, 2, 48, 0x18, 0, 0, 0x0e, 0x10, 0xfd, 0, 0, 1, 0, 2, 0, 0, // route
    25, 3, 0, 0, 0, 0, 0x04, 0xb0, 0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0x53, // DNS servers
    31, 2, 0, 0, 0, 0, 0x04, 0xb0, 3, b'l', b'a', b'n', 0, 0, 0, 0, // domains
];

#[test]
fn an_advertisement_by_hand() {
    let bytes = frame("fe80::1", "ff02::1", 255, ADVERTISEMENT);
    let heard = read(&bytes);
    assert_eq!((heard.source, heard.destination), (ip("fe80::1"), nd::ALL_NODES));
    let message = Message::RouterAdvertisement(RouterAdvertisement {
        hop_limit: 64,
        managed: true,
        other: true,
        preference: Preference::High,
        lifetime: 1800,
        reachable: 30_000,
        retransmit: 1000,
    });
    assert_eq!(heard.message, message);
    let options = [
        NdOption::SourceMac(ROUTER_MAC),
        NdOption::Mtu(1492),
        NdOption::Prefix(PrefixInformation {
            prefix: ip("2001:db8:1::"),
            length: 64,
            on_link: true,
            autonomous: true,
            valid: 86_400,
            preferred: 14_400,
        }),
        NdOption::Route(RouteInformation {
            prefix: ip("fd00:1:2::"),
            length: 48,
            preference: Preference::Low,
            lifetime: 3600,
        }),
        NdOption::DnsServers(DnsServers { lifetime: 1200, servers: vec![ip("2001:db8:1::53")] }),
        NdOption::SearchDomains(SearchDomains { lifetime: 1200, domains: vec!["lan".into()] }),
    ];
    assert!(heard.options.iter().eq(options.clone()), "{:?}", heard.options);
    assert_eq!(heard.options.source_mac(), Some(ROUTER_MAC));
    assert_eq!(nd::emit(ROUTER_MAC, ip("fe80::1"), nd::ALL_NODES, &message, &options), bytes);
}

#[test]
fn the_other_messages_by_hand() {
    let target = ip("2001:db8::1:42");
    let probe = NdOption::Nonce([1, 2, 3, 4, 5, 6].into());
    let mut body = vec![135, 0, 0, 0, 0, 0, 0, 0];
    body.extend(target.octets());
    body.extend([14, 1, 1, 2, 3, 4, 5, 6]);
    let group = nd::solicited_node(target);
    assert_eq!(group, ip("ff02::1:ff01:42"));
    let solicitation = Message::NeighbourSolicitation { target };
    let bytes = frame("::", "ff02::1:ff01:42", 255, &body);
    let heard = read(&bytes);
    assert_eq!(heard.message, solicitation);
    assert_eq!(heard.options.nonce(), Some(&[1, 2, 3, 4, 5, 6][..]));
    assert_eq!(nd::emit(ROUTER_MAC, Ipv6Addr::UNSPECIFIED, group, &solicitation, &[probe]), bytes);

    let mut body = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    body.extend(target.octets());
    body.extend([2, 1, 0x02, 0, 0, 0, 0, 0x01]);
    let advertisement = Message::NeighbourAdvertisement(NeighbourAdvertisement {
        target,
        router: false,
        solicited: false,
        replaces: true,
    });
    let bytes = frame("2001:db8::1:42", "ff02::1", 255, &body);
    let heard = read(&bytes);
    assert_eq!(heard.message, advertisement);
    assert_eq!(heard.options.target_mac(), Some(ROUTER_MAC));
    let options = [NdOption::TargetMac(ROUTER_MAC)];
    assert_eq!(nd::emit(ROUTER_MAC, target, nd::ALL_NODES, &advertisement, &options), bytes);

    let bytes = frame("::", "ff02::2", 255, &[133, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(&bytes).message, Message::RouterSolicitation);
    let ask = Message::RouterSolicitation;
    assert_eq!(nd::emit(ROUTER_MAC, Ipv6Addr::UNSPECIFIED, nd::ALL_ROUTERS, &ask, &[]), bytes);
}

/// Solicitation and advertisement for `2001:db8::42`, with these flags and options.
fn neighbour(kind: u8, flags: u8, options: &[u8]) -> Vec<u8> {
    let mut body = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    body.extend(ip("2001:db8::42").octets());
    body.extend(options);
    body
}

#[test]
fn what_a_router_has_passed_on_is_refused() {
    for body in [&[133, 0, 0, 0, 0, 0, 0, 0], ADVERTISEMENT, &neighbour(136, 0, &[])] {
        let bytes = frame("fe80::1", "ff02::1", 254, body);
        assert_eq!(verdict(&bytes), Err(Error::NdInvalid("hop limit below 255")));
    }
}

#[test]
fn damage_is_noticed() {
    let mut bytes = frame("fe80::1", "ff02::1", 255, ADVERTISEMENT);
    bytes[ICMP + 5] ^= 1;
    assert_eq!(verdict(&bytes), Err(Error::IcmpChecksum));
    assert!(Frame::parse(&bytes, Checksum::Partial).is_ok());
}

#[test]
fn the_code_is_zero() {
    for body in [ADVERTISEMENT, &[133, 0, 0, 0, 0, 0, 0, 0][..], &neighbour(135, 0, &[])] {
        let mut body = body.to_vec();
        body[1] = 1;
        let verdict = verdict(&frame("fe80::1", "ff02::1", 255, &body));
        assert_eq!(verdict, Err(Error::NdInvalid("code other than 0")));
    }
}

#[test]
fn messages_have_their_length() {
    for (body, least) in [
        (ADVERTISEMENT, 16),
        (&[133, 0, 0, 0, 0, 0, 0, 0][..], 8),
        (&neighbour(135, 0, &[])[..], 24),
        (&neighbour(136, 0, &[])[..], 24),
    ] {
        for length in 4..least {
            let bytes = frame("fe80::1", "ff02::1", 255, &body[..length]);
            assert!(matches!(verdict(&bytes), Err(Error::Truncated { .. })), "{length}");
        }
        assert_eq!(verdict(&frame("fe80::1", "ff02::1", 255, &body[..least])), Ok(()));
    }
}

#[test]
fn an_option_of_no_length_makes_the_message_invalid() {
    for options in [&[200, 0, 0, 0, 0, 0, 0, 0][..], &[1, 1, 2, 0, 0, 0, 0, 1, 200, 0][..]] {
        let bytes = frame("fe80::1", "ff02::1", 255, &neighbour(136, 0, options));
        assert_eq!(verdict(&bytes), Err(Error::NdInvalid("option of length 0")));
    }
    for options in [&[200][..], &[200, 2, 0, 0, 0, 0, 0, 0]] {
        let bytes = frame("fe80::1", "ff02::1", 255, &neighbour(136, 0, options));
        assert!(matches!(verdict(&bytes), Err(Error::Truncated { what: "option", .. })));
    }
}

#[test]
fn a_router_speaks_from_its_link_local_address() {
    for source in ["2001:db8::1", "::", "::1"] {
        let verdict = verdict(&frame(source, "ff02::1", 255, ADVERTISEMENT));
        assert_eq!(verdict, Err(Error::NdInvalid("router's address is not link-local")));
    }
}

#[test]
fn a_node_without_an_address_has_no_link_layer_address_either() {
    let mac = [1, 1, 2, 0, 0, 0, 0, 1];
    let body = [&[133, 0, 0, 0, 0, 0, 0, 0][..], &mac].concat();
    let error = Err(Error::NdInvalid("source link-layer address of a node without an address"));
    assert_eq!(verdict(&frame("::", "ff02::2", 255, &body)), error);
    assert_eq!(verdict(&frame("fe80::1", "ff02::2", 255, &body)), Ok(()));
    let body = neighbour(135, 0, &mac);
    assert_eq!(verdict(&frame("::", "ff02::1:ff00:42", 255, &body)), error);
    assert_eq!(verdict(&frame("fe80::1", "ff02::1:ff00:42", 255, &body)), Ok(()));
}

#[test]
fn targets_and_destinations_are_what_they_can_be() {
    let mut body = neighbour(135, 0, &[]);
    let probe = frame("::", "ff02::1", 255, &body);
    assert_eq!(verdict(&probe), Err(Error::NdInvalid("not to the solicited node's group")));
    let answer = frame("fe80::1", "ff02::1", 255, &neighbour(136, 0x40, &[]));
    assert_eq!(verdict(&answer), Err(Error::NdInvalid("answer to nobody")));
    body[8] = 0xff;
    let group = frame("fe80::1", "ff02::1:ff00:42", 255, &body);
    assert_eq!(verdict(&group), Err(Error::NdInvalid("target is a group")));
    body[0] = 136;
    let group = frame("fe80::1", "ff02::1", 255, &body);
    assert_eq!(verdict(&group), Err(Error::NdInvalid("target is a group")));
    let group = frame("ff02::1", "ff02::1", 255, &neighbour(136, 0, &[]));
    assert_eq!(verdict(&group), Err(Error::NdInvalid("source is a group")));
}

#[test]
fn other_icmp_is_not_read() {
    for kind in [1, 128, 129, 132, 137, 143] {
        let bytes = frame("fe80::1", "ff02::1", 255, &neighbour(kind, 0, &[]));
        assert_eq!(verdict(&bytes), Err(Error::IcmpType(kind)));
    }
}

#[test]
fn options_of_a_wrong_length_harm_no_other() {
    let mut options = vec![];
    // A MAC, an MTU, a prefix, servers, and a route whose prefix is cut short.
    options.extend([1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    options.extend([5, 2, 0, 0, 0, 0, 5, 0xdc, 0, 0, 0, 0, 0, 0, 0, 0]);
    options.extend([3, 1, 64, 0xc0, 0, 0, 0, 0]);
    options.extend([25, 1, 0, 0, 0, 0, 0, 1]);
    options.extend([25, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    options.extend([24, 1, 1, 0, 0, 0, 0, 1]);
    options.extend([24, 2, 65, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    // A kind that nobody knows, and a reserved preference (RFC 4191 section 2.3).
    options.extend([200, 1, 0, 0, 0, 0, 0, 0]);
    options.extend([24, 1, 0, 0x10, 0, 0, 0, 1]);
    options.extend([5, 1, 0, 0, 0, 0, 5, 0]);
    let body = [&ADVERTISEMENT[..16], &options].concat();
    let bytes = frame("fe80::1", "ff02::1", 255, &body);
    let heard = read(&bytes);
    assert_eq!(heard.options.iter().collect::<Vec<_>>(), [NdOption::Mtu(1280)]);
    assert_eq!(heard.options.source_mac(), None);
}

#[test]
fn the_reserved_preference_of_a_router_is_medium() {
    let mut body = ADVERTISEMENT.to_vec();
    body[5] = 0x10;
    let bytes = frame("fe80::1", "ff02::1", 255, &body);
    let Message::RouterAdvertisement(advertisement) = read(&bytes).message else { panic!() };
    assert_eq!(advertisement.preference, Preference::Medium);
    assert!(Preference::Low < Preference::Medium && Preference::Medium < Preference::High);
}

#[test]
fn a_report_by_hand() {
    let bytes = mld::report(MAC, ip("fe80::42"), Membership::Joined, &[ip("ff02::1:ff00:42")]);
    let mut expected = vec![0x33, 0x33, 0, 0, 0, 0x16, 2, 0, 0, 0, 0, 0x42, 0x86, 0xdd];
    expected.extend([0x60, 0, 0, 0, 0, 36, 0, 1]);
    expected.extend(ip("fe80::42").octets());
    expected.extend(ip("ff02::16").octets());
    expected.extend([58, 0, 5, 2, 0, 0, 1, 0]);
    let report = expected.len();
    expected.extend([143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0]);
    expected.extend(ip("ff02::1:ff00:42").octets());
    // The checksum covers the report and the pseudo header, whose next header is ICMPv6's.
    let sum: u32 = expected[22..54]
        .chunks(2)
        .chain(expected[report..].chunks(2))
        .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]))
        .sum();
    let mut sum = sum + 28 + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    expected[report + 2..report + 4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    assert_eq!(bytes, expected);
    for (membership, kind) in [(Membership::Current, 2), (Membership::Left, 3)] {
        let other = mld::report(MAC, ip("fe80::42"), membership, &[ip("ff02::1:ff00:42")]);
        assert_eq!((other.len(), other[report + 8]), (expected.len(), kind));
    }
}

#[test]
fn a_report_fits_the_mtu_whatever_is_asked_for() {
    let groups = vec![nd::ALL_NODES; 1000];
    assert!(mld::report(MAC, ip("::"), Membership::Joined, &groups).len() <= 1514);
}

#[test]
fn what_is_longer_than_an_option_is_left_out() {
    let long = [
        NdOption::DnsServers(DnsServers { lifetime: 1, servers: vec![ip("2001:db8::1"); 200] }),
        NdOption::SearchDomains(SearchDomains { lifetime: 1, domains: vec!["d".repeat(60); 100] }),
        NdOption::Nonce(vec![7; 3000].into()),
        NdOption::Mtu(1400),
    ];
    let message = Message::RouterAdvertisement(RouterAdvertisement::default());
    let bytes = nd::emit(MAC, ip("fe80::1"), nd::ALL_NODES, &message, &long);
    let heard: Vec<_> = read(&bytes).options.iter().collect();
    assert_eq!(heard.len(), 4);
    assert!(matches!(&heard[0], NdOption::DnsServers(dns) if dns.servers.len() == 127));
    assert!(matches!(&heard[1], NdOption::SearchDomains(search) if search.domains.len() == 32));
    assert_eq!(heard[3], NdOption::Mtu(1400));
}
