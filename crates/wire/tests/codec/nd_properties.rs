//! Whatever is said in neighbour discovery comes back, and whatever comes in does no harm.

use std::net::{Ipv6Addr, SocketAddrV6};

use proptest::prelude::*;
use wire::MacAddr;
use wire::frame::{Checksum, Frame, Payload, Udp6, udp6};
use wire::nd::{
    self, DnsServers, Message, NdOption, NeighbourAdvertisement, Preference, PrefixInformation,
    RouteInformation, RouterAdvertisement, SearchDomains,
};

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

fn address() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}

fn unicast() -> impl Strategy<Value = Ipv6Addr> {
    address().prop_filter("a group", |address| !address.is_multicast())
}

fn link_local() -> impl Strategy<Value = Ipv6Addr> {
    any::<u64>().prop_map(|low| Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(low)))
}

fn preference() -> impl Strategy<Value = Preference> {
    prop_oneof![Just(Preference::Low), Just(Preference::Medium), Just(Preference::High)]
}

fn option() -> impl Strategy<Value = NdOption> {
    let domain =
        prop::collection::vec("[a-z0-9_-]{1,63}", 1..4).prop_map(|labels| labels.join("."));
    prop_oneof![
        mac().prop_map(NdOption::SourceMac),
        mac().prop_map(NdOption::TargetMac),
        any::<u32>().prop_map(NdOption::Mtu),
        prop_oneof![Just(6), Just(14)]
            .prop_flat_map(|length: usize| prop::collection::vec(any::<u8>(), length))
            .prop_map(|nonce| NdOption::Nonce(nonce.into())),
        (address(), 0..=128u8, any::<[bool; 2]>(), any::<[u32; 2]>()).prop_map(
            |(prefix, length, [on_link, autonomous], [valid, preferred])| {
                NdOption::Prefix(PrefixInformation {
                    prefix,
                    length,
                    on_link,
                    autonomous,
                    valid,
                    preferred,
                })
            }
        ),
        (address(), 0..=128u8, preference(), any::<u32>()).prop_map(
            |(prefix, length, preference, lifetime)| {
                // What is behind the length in whole options is not sent.
                let sent = u128::MAX.checked_shl(128 - 64 * u32::from(length).div_ceil(64));
                let prefix = Ipv6Addr::from_bits(prefix.to_bits() & sent.unwrap_or(0));
                NdOption::Route(RouteInformation { prefix, length, preference, lifetime })
            }
        ),
        (any::<u32>(), prop::collection::vec(address(), 1..6)).prop_map(|(lifetime, servers)| {
            NdOption::DnsServers(DnsServers { lifetime, servers })
        }),
        (any::<u32>(), prop::collection::vec(domain, 0..3)).prop_map(|(lifetime, domains)| {
            NdOption::SearchDomains(SearchDomains { lifetime, domains })
        }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        Just(Message::RouterSolicitation),
        (any::<u8>(), any::<[bool; 2]>(), preference(), any::<u16>(), any::<[u32; 2]>()).prop_map(
            |(hop_limit, [managed, other], preference, lifetime, [reachable, retransmit])| {
                Message::RouterAdvertisement(RouterAdvertisement {
                    hop_limit,
                    managed,
                    other,
                    preference,
                    lifetime,
                    reachable,
                    retransmit,
                })
            }
        ),
        unicast().prop_map(|target| Message::NeighbourSolicitation { target }),
        (unicast(), any::<[bool; 2]>()).prop_map(|(target, [router, replaces])| {
            Message::NeighbourAdvertisement(NeighbourAdvertisement {
                target,
                router,
                solicited: false,
                replaces,
            })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn messages_come_back_as_they_were(
        mac in mac(), source in link_local(), message in message(),
        options in prop::collection::vec(option(), 0..8)
    ) {
        let bytes = nd::emit(mac, source, nd::ALL_NODES, &message, &options);
        let frame = Frame::parse(&bytes, Checksum::Verify).unwrap();
        prop_assert_eq!(frame.source, mac);
        let Payload::Nd(heard) = frame.payload else { panic!() };
        prop_assert_eq!((heard.source, heard.destination), (source, nd::ALL_NODES));
        prop_assert_eq!(heard.message, message);
        prop_assert_eq!(heard.options.iter().collect::<Vec<_>>(), options);
    }

    #[test]
    fn datagrams_come_back_as_they_were(
        macs in (mac(), mac()), addresses in (address(), address()), ports in any::<(u16, u16)>(),
        payload in prop::collection::vec(any::<u8>(), 0..1453)
    ) {
        let from = SocketAddrV6::new(addresses.0, ports.0, 0, 0);
        let to = SocketAddrV6::new(addresses.1, ports.1, 0, 0);
        let bytes = udp6(macs.0, macs.1, from, to, &payload);
        let udp = Udp6 { source: from, destination: to, payload: &payload };
        let (source, destination) = macs;
        let frame = Frame { source, destination, payload: Payload::Udp6(udp) };
        prop_assert_eq!(Frame::parse(&bytes, Checksum::Verify), Ok(frame));
    }

    /// Every bit of addresses and message is under the checksum.
    #[test]
    fn one_wrong_bit_is_noticed(
        message in message(), options in prop::collection::vec(option(), 0..4),
        place in any::<prop::sample::Index>(), bit in 0..8u8
    ) {
        let mut bytes = nd::emit(
            MacAddr([2, 0, 0, 0, 0, 1]), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), nd::ALL_NODES,
            &message, &options,
        );
        // Behind Ethernet's header and the IPv6 header's first eight bytes, without the padding.
        let end = 54 + usize::from(u16::from_be_bytes([bytes[18], bytes[19]]));
        let place = 22 + place.index(end - 22);
        bytes[place] ^= 1 << bit;
        prop_assert!(Frame::parse(&bytes, Checksum::Verify).is_err());
    }

    #[test]
    fn whatever_comes_in_is_read_or_refused(
        kind in 133..=136u8, body in prop::collection::vec(any::<u8>(), 0..600),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        message in message(), options in prop::collection::vec(option(), 0..8)
    ) {
        let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let mut bytes = nd::emit(MacAddr::ZERO, source, nd::ALL_NODES, &message, &options);
        let mut random = bytes[..54].to_vec();
        random.extend([kind, 0, 0, 0]);
        random.extend(&body);
        let length = u16::try_from(random.len() - 54).unwrap();
        random[18..20].copy_from_slice(&length.to_be_bytes());
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        for bytes in [bytes, random] {
            if let Ok(Frame { payload: Payload::Nd(nd), .. }) = Frame::parse(&bytes, Checksum::Partial) {
                // No more than a frame can hold.
                prop_assert!(nd.options.iter().count() <= bytes.len() / 8);
                let _ = (nd.options.source_mac(), nd.options.target_mac(), nd.options.nonce());
            }
        }
    }
}
