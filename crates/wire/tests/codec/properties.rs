//! What holds for all inputs.

use std::net::{Ipv4Addr, SocketAddrV4};

use proptest::prelude::*;
use wire::MacAddr;
use wire::arp::{Arp, Operation};
use wire::dhcp4::{Message, Options};
use wire::frame::{Checksum, Frame, Payload, Udp4, udp4};

use crate::common::{code, damage, fitting_options, message, option};
use crate::readers::read_all;

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

fn socket() -> impl Strategy<Value = SocketAddrV4> {
    any::<(Ipv4Addr, u16)>().prop_map(|(address, port)| SocketAddrV4::new(address, port))
}

fn arp() -> impl Strategy<Value = Arp> {
    let operation = prop_oneof![Just(Operation::Request), Just(Operation::Reply)];
    (operation, mac(), mac(), any::<[Ipv4Addr; 2]>()).prop_map(
        |(operation, sender_mac, target_mac, [sender_ip, target_ip])| Arp {
            operation,
            sender_mac,
            sender_ip,
            target_mac,
            target_ip,
        },
    )
}

fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..longest)
}

fn parse_frame(bytes: &[u8]) {
    for checksum in [Checksum::Verify, Checksum::Partial] {
        if let Ok(Frame { payload: Payload::Udp4(udp), .. }) = Frame::parse(bytes, checksum)
            && let Ok(message) = Message::parse(udp.payload)
        {
            read_all(&message.options);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn messages_come_back_as_they_were(message in message(fitting_options())) {
        let emitted = message.emit();
        prop_assert!((300..=1472).contains(&emitted.len()), "{} bytes", emitted.len());
        prop_assert_eq!(Message::parse(&emitted), Ok(message));
    }

    #[test]
    fn what_is_emitted_fits_the_mtu_and_is_whole(
        message in message(prop::collection::vec((code(), bytes(700)), 0..12).prop_map(|all| {
            let mut options = Options::default();
            all.iter().for_each(|(code, data)| options.set(*code, data));
            options
        }))
    ) {
        let emitted = message.emit();
        prop_assert!((300..=1472).contains(&emitted.len()), "{} bytes", emitted.len());
        let options = Message::parse(&emitted).unwrap().options;
        for (code, data) in options.iter() {
            prop_assert_eq!(message.options.get(code), Some(data));
        }
        prop_assert_eq!(options.message_type(), message.message_type());
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in bytes(1500)) {
        if let Ok(message) = Message::parse(&bytes) {
            read_all(&message.options);
        }
    }

    #[test]
    fn damaged_messages_are_messages_or_errors(
        message in message(fitting_options()), damage in damage()
    ) {
        if let Ok(message) = Message::parse(&damage.apply(message.emit())) {
            read_all(&message.options);
            // What was understood can be said again, unless it is too much.
            let again = Message::parse(&message.emit()).unwrap();
            for (code, data) in again.options.iter() {
                prop_assert_eq!(message.options.get(code), Some(data));
            }
        }
    }

    #[test]
    fn any_data_of_an_option_is_read(code in code(), data in bytes(600)) {
        read_all(&option(code, &data));
    }

    #[test]
    fn options_are_a_map_from_code_to_data(
        steps in prop::collection::vec((0..12_u8, prop::option::of(bytes(20))), 0..40)
    ) {
        let mut options = Options::default();
        let mut model = std::collections::BTreeMap::new();
        for (code, data) in &steps {
            match data {
                Some(data) => {
                    options.set(*code, data);
                    if *code != 0 {
                        model.insert(*code, data.as_slice());
                    }
                }
                None => {
                    options.remove(*code);
                    model.remove(code);
                }
            }
            prop_assert!(options.iter().eq(model.iter().map(|(code, data)| (*code, *data))));
            prop_assert_eq!(options.get(*code), model.get(code).copied());
            prop_assert_eq!(options.is_empty(), model.is_empty());
        }
        let text = serde_json::to_string(&options).unwrap();
        prop_assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), options);
    }

    #[test]
    fn arp_comes_back_as_it_was(arp in arp(), destination in mac()) {
        let bytes = arp.emit(destination);
        prop_assert_eq!(bytes.len(), 60);
        let frame = Frame { source: arp.sender_mac, destination, payload: Payload::Arp(arp) };
        prop_assert_eq!(Frame::parse(&bytes, Checksum::Verify), Ok(frame));
    }

    #[test]
    fn datagrams_come_back_as_they_were(
        source in mac(), destination in mac(), from in socket(), to in socket(),
        payload in bytes(1473)
    ) {
        let bytes = udp4(source, destination, from, to, &payload);
        prop_assert_eq!(bytes.len(), (42 + payload.len()).max(60));
        let udp = Udp4 { source: from, destination: to, payload: &payload };
        let frame = Frame { source, destination, payload: Payload::Udp4(udp) };
        prop_assert_eq!(Frame::parse(&bytes, Checksum::Verify), Ok(frame));
    }

    /// The checksums cover every bit behind the Ethernet header. Lengths are left alone here: a
    /// wrong one moves what is summed up.
    #[test]
    fn one_flipped_bit_of_a_datagram_is_seen(
        from in socket(), to in socket(), payload in bytes(400), bit in any::<prop::sample::Index>()
    ) {
        let bit = bit.index(8 * (28 + payload.len())) + 8 * 14;
        let mut bytes = udp4(MacAddr::ZERO, MacAddr::BROADCAST, from, to, &payload);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let is_length = matches!(bit / 8, 14 | 16 | 17 | 38 | 39);
        let without_checksum = bytes[40..42] == [0, 0];
        prop_assume!(!is_length && !without_checksum);
        prop_assert!(Frame::parse(&bytes, Checksum::Verify).is_err());
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in bytes(1514)) {
        parse_frame(&bytes);
    }

    #[test]
    fn damaged_frames_are_frames_or_errors(
        message in message(fitting_options()), arp in arp(), damage in damage()
    ) {
        let (from, to) = (SocketAddrV4::new(message.siaddr, 67), SocketAddrV4::new(message.yiaddr, 68));
        parse_frame(&damage.apply(udp4(message.chaddr, MacAddr::BROADCAST, from, to, &message.emit())));
        parse_frame(&damage.apply(arp.emit(MacAddr::BROADCAST)));
    }

    #[test]
    fn hardware_addresses_come_back_as_they_were(mac in mac()) {
        prop_assert_eq!(mac.to_string().parse(), Ok(mac));
    }

    #[test]
    fn any_text_is_a_hardware_address_or_an_error(text in ".{0,20}") {
        if let Ok(mac) = text.parse::<MacAddr>() {
            prop_assert_eq!(mac.to_string(), text.to_lowercase().replace('-', ":"));
        }
    }
}
