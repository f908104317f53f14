//! The examples that the RFCs give themselves, and the layout of RFC 2131.

use std::net::Ipv4Addr;

use wire::dhcp4::{ClasslessRoute, Message, MessageType, Op, Options, code};

use crate::common::{COOKIE, FILE, MAC, OPTIONS, SNAME, option, options, reply};

const BOOT_FILE: u8 = 67;

/// RFC 3396 §8: the boot file name "/diskless/foo" whole, in two pieces, and with another option
/// between the pieces.
#[test]
fn rfc3396_pieces_are_joined() {
    for wire in [
        &b"\x43\x0d/diskless/foo\xff"[..],
        b"\x43\x07/diskle\x43\x06ss/foo\xff",
        b"\x43\x07/diskle\x0c\x04node\x43\x06ss/foo\xff",
    ] {
        assert_eq!(options(wire).get(BOOT_FILE), Some(&b"/diskless/foo"[..]));
    }
}

/// RFC 3396 §5: a piece that did not fit continues in `file`, then in `sname`, though `sname` comes
/// first in the message.
#[test]
fn rfc3396_order_of_overloaded_fields() {
    let mut bytes = reply(b"\x34\x01\x03\x43\x03/di\xff");
    bytes[FILE..FILE + 8].copy_from_slice(b"\x43\x05skles\xff");
    bytes[SNAME..SNAME + 8].copy_from_slice(b"\x43\x05s/foo\xff");
    let options = Message::parse(&bytes).unwrap().options;
    assert_eq!(options.get(BOOT_FILE), Some(&b"/diskless/foo"[..]));
    assert_eq!(options.get(code::OVERLOAD), None, "what it said is done");
}

/// RFC 2132 §9.3: 1 is `file`, 2 is `sname`, 3 is both.
#[test]
fn rfc2132_overload_says_which_field() {
    for (value, file, sname) in
        [(0, false, false), (1, true, false), (2, false, true), (3, true, true), (4, false, false)]
    {
        let mut bytes = reply(&[52, 1, value, 255]);
        bytes[FILE..FILE + 6].copy_from_slice(b"\x0c\x03web\xff");
        bytes[SNAME..SNAME + 6].copy_from_slice(b"\x0f\x03lan\xff");
        let options = Message::parse(&bytes).unwrap().options;
        assert_eq!(options.host_name().is_some(), file, "value {value}");
        assert_eq!(options.domain_name().is_some(), sname, "value {value}");
    }
}

/// RFC 3397 §3: "eng.apple.com." and "marketing.apple.com.", in three pieces, the second name
/// compressed by a pointer to offset 4 of the joined option.
#[test]
fn rfc3397_search_list() {
    let options =
        options(b"\x77\x09\x03eng\x05appl\x77\x09e\x03com\x00\x09ma\x77\x09rketing\xc0\x04\xff");
    assert_eq!(options.search_list(), ["eng.apple.com", "marketing.apple.com"]);
}

/// RFC 3442, the table of destination descriptors.
#[test]
fn rfc3442_destination_descriptors() {
    let table: [(&[u8], [u8; 4], u8); 7] = [
        (&[0], [0, 0, 0, 0], 0),
        (&[8, 10], [10, 0, 0, 0], 8),
        (&[24, 10, 0, 0], [10, 0, 0, 0], 24),
        (&[16, 10, 17], [10, 17, 0, 0], 16),
        (&[24, 10, 27, 129], [10, 27, 129, 0], 24),
        (&[25, 10, 229, 0, 128], [10, 229, 0, 128], 25),
        (&[32, 10, 198, 122, 47], [10, 198, 122, 47], 32),
    ];
    let mut all = Vec::new();
    let mut expected = Vec::new();
    for (descriptor, destination, prefix_len) in table {
        let gateway = Ipv4Addr::new(192, 0, 2, 1);
        let route = ClasslessRoute { destination: destination.into(), prefix_len, gateway };
        let data = [descriptor, &gateway.octets()].concat();
        assert_eq!(option(121, &data).classless_routes(), Some(vec![route]));
        all.extend(data);
        expected.push(route);
    }
    assert_eq!(option(121, &all).classless_routes(), Some(expected), "all in one option");
}

/// RFC 3442: of 129.210.177.132 with a mask of 255.255.255.128, 129.210.177.128 is installed.
#[test]
fn rfc3442_host_bits_are_zeroed() {
    let routes = option(121, &[25, 129, 210, 177, 132, 0, 0, 0, 0]).classless_routes().unwrap();
    assert_eq!(routes[0].destination, Ipv4Addr::new(129, 210, 177, 128));
    assert_eq!(routes[0].gateway, Ipv4Addr::UNSPECIFIED, "on the link");
}

#[test]
fn microsofts_routes_count_when_the_standard_ones_do_not() {
    let lan = |third| [&[24, 10, 0, third][..], &[192, 0, 2, 1]].concat();
    let third = |options: &Options| Some(options.classless_routes()?[0].destination.octets()[2]);

    let mut both = option(121, &lan(1));
    both.set(249, &lan(2));
    assert_eq!(third(&both), Some(1));
    both.set(121, &[33]);
    assert_eq!(third(&both), Some(2));
    both.remove(249);
    assert_eq!(third(&both), None);
}

/// Every field of RFC 2131 §2 at its place.
#[test]
fn rfc2131_layout() {
    let mut options = option(code::LEASE_TIME, &3600_u32.to_be_bytes());
    options.set(code::MESSAGE_TYPE, &[MessageType::Ack.into()]);
    options.set(code::SUBNET_MASK, &[255, 255, 255, 0]);
    let message = Message {
        secs: 0x0102,
        broadcast: true,
        ciaddr: [10, 0, 0, 1].into(),
        yiaddr: [10, 0, 0, 2].into(),
        siaddr: [10, 0, 0, 3].into(),
        giaddr: [10, 0, 0, 4].into(),
        ..Message::new(Op::BootReply, 0xdead_beef, MAC, options)
    };

    let mut expected = vec![2, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0x01, 0x02, 0x80, 0x00];
    for host in 1..=4 {
        expected.extend([10, 0, 0, host]);
    }
    expected.extend(MAC.0);
    expected.resize(COOKIE, 0);
    expected.extend([99, 130, 83, 99]);
    assert_eq!(expected.len(), OPTIONS);
    expected.extend([53, 1, 5, 1, 4, 255, 255, 255, 0, 51, 4, 0, 0, 0x0e, 0x10, 255]);
    expected.resize(300, 0);

    assert_eq!(message.emit(), expected);
    assert_eq!(Message::parse(&expected), Ok(message));
}

/// RFC 2131 §2: a request leaves `hops`, the reserved flags and the fields of servers zero; §4.1: the
/// last option is End, and nothing but Pad follows.
#[test]
fn rfc2131_requests_leave_the_rest_zero() {
    for (broadcast, flags) in [(false, [0, 0]), (true, [0x80, 0])] {
        let options = option(code::MESSAGE_TYPE, &[MessageType::Discover.into()]);
        let request = Message { broadcast, ..Message::new(Op::BootRequest, 7, MAC, options) };
        let bytes = request.emit();
        assert_eq!(bytes[..4], [1, 1, 6, 0], "Ethernet, no hops");
        assert_eq!(bytes[10..12], flags);
        assert!(bytes[12..28].iter().all(|byte| *byte == 0), "addresses");
        assert!(bytes[34..COOKIE].iter().all(|byte| *byte == 0), "chaddr's rest, sname, file");
        assert_eq!(bytes[OPTIONS..OPTIONS + 4], [53, 1, 1, 255]);
        assert!(bytes[OPTIONS + 4..].iter().all(|byte| *byte == 0));
    }
}

/// RFC 2131 §2: an options field of 312 bytes is read to its end, and so is one that fills Ethernet.
#[test]
fn rfc2131_long_options_fields_are_read_to_their_end() {
    for length in [312, 1472 - OPTIONS] {
        let mut field = vec![code::PAD; length];
        field[..3].copy_from_slice(&[code::MESSAGE_TYPE, 1, 5]);
        field[length - 6..].copy_from_slice(b"\x0c\x03web\xff");
        let options = options(&field);
        assert_eq!(options.message_type(), Some(MessageType::Ack), "{length}");
        assert_eq!(options.host_name().as_deref(), Some("web"), "{length}");
    }
}

/// RFC 3442, "Requirements to Avoid Sizing Constraints": more routes than one option holds; the
/// pieces end within a route.
#[test]
fn rfc3442_routes_come_in_pieces() {
    let all: Vec<u8> =
        (0..=99).flat_map(|n| [&[24, 10, 0, n][..], &[192, 0, 2, 1]].concat()).collect();
    let field: Vec<u8> = all
        .chunks(255)
        .flat_map(|piece| [&[code::CLASSLESS_ROUTES, piece.len() as u8], piece].concat())
        .collect();
    let routes = options(&field).classless_routes().unwrap();
    assert_eq!(routes.len(), 100);
    for (n, route) in (0..=99).zip(&routes) {
        let gateway = Ipv4Addr::new(192, 0, 2, 1);
        let destination = Ipv4Addr::new(10, 0, n, 0);
        assert_eq!(*route, ClasslessRoute { destination, prefix_len: 24, gateway });
    }
}

/// RFC 3396 §6: 300 bytes become 255 and 45 behind each other.
#[test]
fn long_options_are_split() {
    let data = [7; 300];
    let emitted = Message::new(Op::BootRequest, 1, MAC, option(BOOT_FILE, &data)).emit();
    assert_eq!(emitted[OPTIONS..OPTIONS + 2], [67, 255]);
    assert_eq!(emitted[OPTIONS + 257..OPTIONS + 259], [67, 45]);
    assert_eq!(emitted[OPTIONS + 304..], [255]);
    assert_eq!(Message::parse(&emitted).unwrap().options.get(BOOT_FILE), Some(&data[..]));
}

#[test]
fn options_of_each_kind() {
    let options = options(
        b"\x01\x04\xff\xff\xfe\x00\x03\x08\xc0\xa8\x00\x01\xc0\xa8\x00\x02\x06\x04\xc0\xa8\x00\x03\
          \x0c\x04web\x00\x0f\x09lan.home.\x1a\x02\x05\x78\x1c\x04\xc0\xa8\x01\xff\x2a\x04\xc0\xa8\x00\x04\
          \x32\x04\xc0\xa8\x00\x2a\x33\x04\x00\x00\x0e\x10\x35\x01\x05\x36\x04\xc0\xa8\x00\x01\
          \x37\x02\x01\x03\x38\x07pool\x1b[1\x39\x02\x05\xdc\x3a\x04\x00\x00\x07\x08\x3b\x04\x00\x00\x0c\x4e\
          \x3d\x07\x01\x02\x00\x00\x00\x00\x42\x6c\x04\x00\x00\x07\x08\xff",
    );
    let lan = |host| Ipv4Addr::new(192, 168, 0, host);
    assert_eq!(options.subnet_mask(), Some(Ipv4Addr::new(255, 255, 254, 0)));
    assert_eq!(options.prefix_len(), Some(23));
    assert_eq!(options.routers(), [lan(1), lan(2)]);
    assert_eq!(options.dns_servers(), [lan(3)]);
    assert_eq!(options.ntp_servers(), [lan(4)]);
    assert_eq!(options.host_name().as_deref(), Some("web"));
    assert_eq!(options.domain_name().as_deref(), Some("lan.home"));
    assert_eq!(options.mtu(), Some(1400));
    assert_eq!(options.broadcast_address(), Some(Ipv4Addr::new(192, 168, 1, 255)));
    assert_eq!(options.requested_address(), Some(lan(42)));
    assert_eq!(options.lease_time(), Some(3600));
    assert_eq!(options.renewal_time(), Some(1800));
    assert_eq!(options.rebinding_time(), Some(3150));
    assert_eq!(options.message_type(), Some(MessageType::Ack));
    assert_eq!(options.server_id(), Some(lan(1)));
    assert_eq!(options.parameter_request_list(), [1, 3]);
    assert_eq!(options.message().as_deref(), Some("pool?[1"));
    assert_eq!(options.max_message_size(), Some(1500));
    assert_eq!(options.client_id(), Some(&[1, 2, 0, 0, 0, 0, 0x42][..]));
    assert_eq!(options.ipv6_only_preferred(), Some(1800));
}

#[test]
fn options_read_like_a_map() {
    let mut options = option(code::SERVER_ID, &[192, 168, 0, 1]);
    options.set(80, &[]);
    let text = r#"{"54":"c0a80001","80":""}"#;
    assert_eq!(serde_json::to_string(&options).unwrap(), text);
    assert_eq!(serde_json::from_str::<Options>(text).unwrap(), options);
    assert_eq!(format!("{options:?}"), "{54: c0a80001, 80: }");

    for (wrong, part) in [
        (r#"{"0":""}"#, "no DHCP option code"),
        (r#"{"52":"01"}"#, "no DHCP option code"),
        (r#"{"256":""}"#, "no DHCP option code"),
        (r#"{"54":"c0a"}"#, "not hexadecimal"),
        (r#"{"54":"+1"}"#, "not hexadecimal"),
        (r#"{"54":"é"}"#, "not hexadecimal"),
        (r#"[]"#, "a map"),
    ] {
        let error = serde_json::from_str::<Options>(wrong).unwrap_err().to_string();
        assert!(error.contains(part), "{wrong}: {error}");
    }
}
