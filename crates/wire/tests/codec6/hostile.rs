//! What nobody sends by accident, and some of what somebody does.

use wire::Error;
use wire::dhcp6::{Builder, Ia, Message, MessageType, Options, StatusCode, code};

use crate::common::{option, reply};
use crate::readers::read_all;

/// A Reply with everything in it.
fn rich() -> Vec<u8> {
    Builder::new(MessageType::Reply, 7)
        .option(code::CLIENT_ID, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1])
        .option(code::SERVER_ID, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 2])
        .nest(code::IA_NA, &Ia::header(1, 2, 3), |ia| {
            ia.nest(code::IA_ADDRESS, &[5; 24], |address| {
                address.option(code::STATUS_CODE, b"\0\x01why")
            })
        })
        .nest(code::IA_PD, &Ia::header(1, 2, 3), |ia| ia.option(code::IA_PREFIX, &[9; 25]))
        .option(code::DNS_SERVERS, &[0x20; 32])
        .option(code::DOMAIN_LIST, b"\x03lan\0\x04home\x04arpa\0")
        .option(code::CLIENT_FQDN, b"\x01\x03web")
        .option(code::STATUS_CODE, b"\0\0fine")
        .finish()
}

#[test]
fn every_truncation_is_read_as_far_as_it_goes() {
    let whole = rich();
    let all: Vec<_> = Message::parse(&whole).unwrap().options.iter().collect();
    for length in 0..whole.len() {
        let Ok(message) = Message::parse(&whole[..length]) else {
            assert!(length < 4);
            continue;
        };
        read_all(message.options);
        let read: Vec<_> = message.options.iter().collect();
        assert_eq!(read[..], all[..read.len()]);
        let end = 4 + read.iter().map(|(_, data)| 4 + data.len()).sum::<usize>();
        assert_eq!(message.options.is_whole(), end == length);
    }
}

#[test]
fn short_messages_are_refused() {
    for length in 0..4 {
        let error = Message::parse(&[7; 4][..length]).unwrap_err();
        assert_eq!(error, Error::Truncated { what: "DHCPv6 message", need: 4, have: length });
    }
}

#[test]
fn relays_messages_and_unknown_ones_are_refused() {
    for kind in 0..=255 {
        let known = matches!(kind, 1..=11 | 36 | 37);
        let bytes = [kind, 0, 0, 0];
        let read = Message::parse(&bytes);
        assert_eq!(read.is_ok(), known, "{kind}");
        if !known {
            assert_eq!(read, Err(Error::Dhcp6MessageType(kind)));
            assert_eq!(Error::Dhcp6MessageType(kind).reason(), "dhcp6_message_type");
        }
    }
}

#[test]
fn messages_longer_than_a_datagram_are_refused() {
    let mut bytes = reply(&[]);
    bytes.resize(65_527, 0);
    assert!(Message::parse(&bytes).is_ok());
    bytes.push(0);
    assert_eq!(Message::parse(&bytes), Err(Error::DhcpLength(65_528)));
}

#[test]
fn an_option_longer_than_the_message_ends_it_there() {
    let bytes = [option(7, &[9]), vec![0, 23, 0xff, 0xff, 1, 2, 3], option(14, &[])].concat();
    let options = Options::new(&bytes);
    assert_eq!(options.preference(), 9);
    assert_eq!(options.iter().count(), 1);
    assert!(!options.is_whole());
}

#[test]
fn an_inner_option_does_not_reach_out_of_the_outer_one() {
    // The address in it says that it is longer than the association.
    let mut data = Ia::header(1, 2, 3).to_vec();
    data.extend([0, 5, 0, 24, 1, 2, 3]);
    let bytes = [option(3, &data), option(7, &[9])].concat();
    let options = Options::new(&bytes);
    let ia = options.ia_na().next().unwrap();
    assert_eq!((ia.iaid, ia.options.addresses().count()), (1, 0));
    assert!(!ia.options.is_whole());
    assert_eq!(options.preference(), 9);
}

#[test]
fn malformed_options_are_missing_and_hide_no_other() {
    for (code, data) in [
        (code::CLIENT_ID, &[0, 3][..]),
        (code::CLIENT_ID, &[7; 131]),
        (code::IA_NA, &[1; 11]),
        (code::IA_TA, &[1; 3]),
        (code::IA_PD, &[1; 11]),
        (code::IA_ADDRESS, &[1; 23]),
        (code::IA_PREFIX, &[1; 24]),
        (code::PREFERENCE, &[1, 2]),
        (code::ELAPSED_TIME, &[1]),
        (code::STATUS_CODE, &[1]),
        (code::DNS_SERVERS, &[1; 17]),
        (code::DOMAIN_LIST, &[64; 70]),
        (code::DOMAIN_LIST, &[5, b'a']),
        (code::INFORMATION_REFRESH_TIME, &[1; 5]),
        (code::SOL_MAX_RT, &[0, 0, 0, 59]),
        (code::SOL_MAX_RT, &[0, 1, 0x51, 0x81]),
        (code::INF_MAX_RT, &[0; 4]),
        (code::VENDOR_CLASS, &[1; 3]),
        (code::USER_CLASS, &[0, 9, 1]),
        (code::CLIENT_FQDN, &[]),
    ] {
        let bytes = [option(code, data), option(code::SERVER_ID, &[0, 3, 1])].concat();
        let options = Options::new(&bytes);
        read_all(options);
        assert_eq!(options.client_id(), None);
        assert_eq!(options.server_id(), Some(&[0, 3, 1][..]));
        assert_eq!(options.ia_na().count() + options.ia_ta().count() + options.ia_pd().count(), 0);
        assert_eq!(options.addresses().count() + options.prefixes().count(), 0);
        assert_eq!((options.preference(), options.elapsed_time()), (0, None));
        assert_eq!(options.status().code, StatusCode::Success);
        assert_eq!((options.dns_servers().count(), options.domain_list().len()), (0, 0));
        assert_eq!((options.information_refresh_time(), options.client_fqdn()), (None, None));
        assert_eq!((options.sol_max_rt(), options.inf_max_rt()), (None, None));
        assert_eq!((options.vendor_classes().count(), options.user_class().count()), (0, 0));
        assert_eq!(options.get(code), Some(data), "the bytes stay within reach");
    }
}

#[test]
fn of_an_option_that_comes_twice_the_first_counts() {
    let bytes = [option(7, &[1]), option(7, &[2]), option(2, &[0, 3, 1]), option(2, &[0, 3, 2])];
    let bytes = bytes.concat();
    let options = Options::new(&bytes);
    assert_eq!(options.preference(), 1);
    assert_eq!(options.server_id(), Some(&[0, 3, 1][..]));
    assert_eq!(options.all(7).count(), 2);
}

#[test]
fn nesting_has_no_bottom_that_somebody_falls_to() {
    // Associations in associations: as deep as 64 KB allow.
    let mut data = Vec::new();
    while data.len() < 60_000 {
        data = option(3, &[&Ia::header(1, 2, 3)[..], &data].concat());
    }
    let payload = reply(&data);
    let options = Message::parse(&payload).unwrap().options;
    read_all(options);
    let mut depth = 0;
    let mut inner = options;
    while let Some(ia) = inner.ia_na().next() {
        depth += 1;
        inner = ia.options;
    }
    assert_eq!(depth, 60_000usize.div_ceil(16));
}

#[test]
fn thousands_of_options_are_read_in_proportion() {
    let payload = reply(&option(3, &[0; 12]).repeat(4000));
    let options = Message::parse(&payload).unwrap().options;
    assert_eq!((options.iter().count(), options.ia_na().count()), (4000, 4000));
    read_all(options);
    let payload = reply(&[0; 65_500]);
    read_all(Message::parse(&payload).unwrap().options);
}

#[test]
fn domains_are_bounded_and_never_compressed() {
    let bytes = option(24, &b"\x01a\0".repeat(1000));
    assert_eq!(Options::new(&bytes).domain_list().len(), 32);
    // RFC 8415 §10 has no pointers; and what is no name is left out.
    for (data, expected) in [
        (&b"\x03lan\0\xc0\0"[..], &[][..]),
        (b"\x03lan\0\x03a b\0\x01b\0", &["lan", "b"][..]),
        (b"\x03lan\0\0\x01b\0", &["lan", "b"][..]),
        (b"\x03lan", &["lan"]),
    ] {
        let bytes = option(24, data);
        assert_eq!(Options::new(&bytes).domain_list(), expected, "{data:?}");
    }
}

#[test]
fn what_is_no_hosts_address_is_left_out_of_name_servers() {
    for bad in ["::", "::1", "ff02::fb"] {
        let bad: std::net::Ipv6Addr = bad.parse().unwrap();
        let good: std::net::Ipv6Addr = "2001:db8::53".parse().unwrap();
        let bytes = option(23, &[bad.octets(), good.octets()].concat());
        assert_eq!(Options::new(&bytes).dns_servers().collect::<Vec<_>>(), [good]);
    }
}

#[test]
fn words_of_a_server_are_fit_for_a_log() {
    let bytes = option(13, &[&[0, 1][..], b"a\nb\x1b[31m\xff", &[b'x'; 400]].concat());
    let message = Options::new(&bytes).status().message().unwrap();
    assert!(message.starts_with("a?b?[31m?xxx"), "{message}");
    assert_eq!(message.len(), 255);
}

#[test]
fn what_does_not_fit_is_left_out_whole() {
    let message = Builder::new(MessageType::Reply, 1)
        .option(1000, &[1; 65_535])
        .option(1001, &[1; 65_535])
        .option(7, &[5]);
    let payload = message.finish();
    let options = Message::parse(&payload).unwrap().options;
    // One alone is longer than a datagram with its header.
    assert_eq!(options.iter().map(|(code, _)| code).collect::<Vec<_>>(), [7]);

    let payload = Builder::new(MessageType::Reply, 1)
        .nest(1000, &[], |inner| {
            (0..70).fold(inner, |inner, number| inner.option(number, &[3; 1000]))
        })
        .option(7, &[5])
        .finish();
    assert!(payload.len() <= 65_527);
    let options = Message::parse(&payload).unwrap().options;
    assert!(options.is_whole());
    assert_eq!(options.preference(), 5);
    let inner = Options::new(options.get(1000).unwrap());
    assert!(inner.is_whole());
    assert_eq!(inner.iter().count(), 65);
}
