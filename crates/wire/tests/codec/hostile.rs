//! What nobody sends by accident, and some of what somebody does.

use std::net::Ipv4Addr;

use wire::Error;
use wire::dhcp4::{Message, MessageType, Op, Options, code};

use crate::common::{COOKIE, FILE, MAC, SNAME, option, options, reply};
use crate::readers::read_all;

#[test]
fn short_messages_are_refused() {
    let whole = reply(&[53, 1, 5, 255]);
    for length in 0..240 {
        let error = Message::parse(&whole[..length]).unwrap_err();
        assert_eq!(error, Error::Truncated { what: "DHCP message", need: 240, have: length });
    }
    assert!(Message::parse(&whole[..240]).unwrap().options.is_empty());
}

#[test]
fn messages_longer_than_a_datagram_are_refused() {
    let mut bytes = reply(&[]);
    bytes.resize(65_507, 0);
    assert!(Message::parse(&bytes).is_ok());
    bytes.push(0);
    assert_eq!(Message::parse(&bytes), Err(Error::DhcpLength(65_508)));
}

#[test]
fn other_hardware_is_refused() {
    for (htype, hlen) in [(1, 255), (1, 16), (1, 17), (1, 0), (1, 5), (6, 6), (32, 0)] {
        let mut bytes = reply(&[255]);
        (bytes[1], bytes[2]) = (htype, hlen);
        assert_eq!(Message::parse(&bytes), Err(Error::DhcpHardware { htype, hlen }));
    }
}

#[test]
fn other_ops_and_plain_bootp_are_refused() {
    let mut bytes = reply(&[255]);
    bytes[0] = 3;
    assert_eq!(Message::parse(&bytes), Err(Error::DhcpOp(3)));
    bytes[0] = 2;
    bytes[COOKIE] = 0;
    assert_eq!(Message::parse(&bytes), Err(Error::DhcpCookie(0x0082_5363)));
}

#[test]
fn an_overload_inside_an_overloaded_field_says_nothing() {
    let mut bytes = reply(b"\x34\x01\x01\xff");
    bytes[FILE..FILE + 9].copy_from_slice(b"\x34\x01\x03\x0c\x03web\xff");
    bytes[SNAME..SNAME + 6].copy_from_slice(b"\x0f\x03lan\xff");
    let options = Message::parse(&bytes).unwrap().options;
    assert_eq!(options.host_name().as_deref(), Some("web"));
    assert_eq!(options.domain_name(), None);
}

#[test]
fn fields_that_are_not_overloaded_are_not_options() {
    let mut bytes = reply(b"\x35\x01\x05\xff");
    bytes[FILE..FILE + 6].copy_from_slice(b"\x0c\x03web\xff");
    bytes[SNAME..SNAME + 6].copy_from_slice(b"\x0f\x03lan\xff");
    let read = Message::parse(&bytes).unwrap().options;
    assert_eq!(read, option(53, &[5]));
}

#[test]
fn a_malformed_overload_says_nothing() {
    for overload in [&b"\x34\x00"[..], b"\x34\x02\x03\x03", b"\x34\x01\xff"] {
        let mut bytes = reply(&[overload, b"\x35\x01\x05\xff"].concat());
        bytes[FILE..FILE + 6].copy_from_slice(b"\x0c\x03web\xff");
        assert_eq!(Message::parse(&bytes).unwrap().options, option(53, &[5]), "{overload:?}");
    }
}

#[test]
fn a_host_name_that_is_no_text_hides_nothing() {
    let options = options(b"\x0c\x02\xff\xfe\x33\x04\x00\x00\x0e\x10\x36\x04\xc0\xa8\x00\x01\xff");
    assert_eq!(options.host_name(), None);
    assert_eq!(options.get(code::HOST_NAME), Some(&[0xff, 0xfe][..]));
    assert_eq!(options.lease_time(), Some(3600));
    assert_eq!(options.server_id(), Some(Ipv4Addr::new(192, 168, 0, 1)));
}

#[test]
fn address_lists_of_odd_length_are_missing() {
    for length in [1, 2, 3, 5, 7, 9] {
        assert_eq!(option(code::ROUTER, &vec![1; length]).routers(), [] as [Ipv4Addr; 0]);
        assert_eq!(option(code::DNS_SERVER, &vec![1; length]).dns_servers(), [] as [Ipv4Addr; 0]);
        assert_eq!(option(code::NTP_SERVER, &vec![1; length]).ntp_servers(), [] as [Ipv4Addr; 0]);
    }
}

#[test]
fn what_is_no_hosts_address_is_left_out_of_lists() {
    let dns = |address: [u8; 4]| {
        option(code::DNS_SERVER, &[address, [192, 168, 0, 1]].concat()).dns_servers()
    };
    for address in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 251], [255, 255, 255, 255]] {
        assert_eq!(dns(address), [Ipv4Addr::new(192, 168, 0, 1)], "{address:?}");
        assert_eq!(option(code::SERVER_ID, &address).server_id(), None, "{address:?}");
    }
}

#[test]
fn masks_that_are_none() {
    for mask in [[0, 0, 0, 0], [255, 0, 255, 0], [0, 255, 255, 255], [255, 255, 255, 253]] {
        assert_eq!(option(code::SUBNET_MASK, &mask).prefix_len(), None, "{mask:?}");
    }
    for prefix_len in 1..=32 {
        let mask = (u32::MAX << (32 - prefix_len)).to_be_bytes();
        assert_eq!(option(code::SUBNET_MASK, &mask).prefix_len(), Some(prefix_len as u8));
    }
}

/// Joined, an option of fixed length that came twice is twice as long.
#[test]
fn an_option_of_fixed_length_may_come_twice() {
    let options = options(
        b"\x35\x01\x05\x33\x04\x00\x00\x0e\x10\x35\x01\x05\x33\x04\x00\x00\x0e\x10\
          \x36\x04\xc0\xa8\x00\x01\x36\x04\xc0\xa8\x00\x01\xff",
    );
    assert_eq!(options.message_type(), Some(MessageType::Ack));
    assert_eq!(options.lease_time(), Some(3600));
    assert_eq!(options.server_id(), Some(Ipv4Addr::new(192, 168, 0, 1)));
}

#[test]
fn fixed_lengths_are_insisted_on() {
    for length in [0, 1, 2, 3, 5, 6, 7] {
        let of = |code| option(code, &vec![1; length]);
        assert_eq!(of(code::LEASE_TIME).lease_time(), None);
        assert_eq!(of(code::SERVER_ID).server_id(), None);
        assert_eq!(of(code::SUBNET_MASK).subnet_mask(), None);
    }
    assert_eq!(option(code::MESSAGE_TYPE, &[]).message_type(), None);
    assert_eq!(option(code::MESSAGE_TYPE, &[0]).message_type(), None);
    assert_eq!(option(code::MESSAGE_TYPE, &[9]).message_type(), None);
    assert_eq!(option(code::INTERFACE_MTU, &67_u16.to_be_bytes()).mtu(), None);
    assert_eq!(option(code::INTERFACE_MTU, &68_u16.to_be_bytes()).mtu(), Some(68));
    assert_eq!(option(code::MAX_MESSAGE_SIZE, &575_u16.to_be_bytes()).max_message_size(), None);
    assert_eq!(option(code::CLIENT_ID, &[0]).client_id(), None);
}

#[test]
fn the_end_may_be_missing_and_the_last_option_cut_off() {
    assert_eq!(options(b"\x35\x01\x05"), option(53, &[5]), "no End");
    assert_eq!(options(b"\x35\x01\x05\x33"), option(53, &[5]), "no length");
    assert_eq!(options(b"\x35\x01\x05\x33\x04\x00\x00\x0e"), option(53, &[5]), "no fourth byte");
    assert_eq!(options(b"\x00\x00\x35\x01\x05\x00\xff\x33\x04\x00\x00\x0e\x10"), option(53, &[5]));

    // The same in an overloaded field: the other fields are whole.
    let mut bytes = reply(b"\x34\x01\x03\x35\x01\x05\xff");
    bytes[SNAME..SNAME + 5].copy_from_slice(b"\x0c\x03web");
    bytes[FILE..FILE + 2].copy_from_slice(&[15, 200]);
    let options = Message::parse(&bytes).unwrap().options;
    assert_eq!(options.host_name().as_deref(), Some("web"));
    assert_eq!(options.domain_name(), None);
}

#[test]
fn the_shortest_and_the_longest_option() {
    assert_eq!(options(&[80, 0, 255]).get(80), Some(&[][..]));
    let longest = [&[77, 255][..], &[9; 255], &[255]].concat();
    assert_eq!(options(&longest).get(77), Some(&[9; 255][..]));
}

#[test]
fn names_that_could_do_harm_are_none() {
    for name in [
        &b""[..],
        b".",
        b"..",
        b"a..b",
        b".a",
        b"a b",
        b"a\nnameserver 6.6.6.6",
        b"a\0b",
        b"a/b",
        b"$(reboot)",
        b"\xc3\xa9",
        b"a;b",
        &[b'a'; 64],
        &[b'a'; 255],
    ] {
        assert_eq!(option(code::HOST_NAME, name).host_name(), None, "{name:?}");
        assert_eq!(option(code::DOMAIN_NAME, name).domain_name(), None, "{name:?}");
    }
    let longest = [[b'a'; 63].as_slice(), &[b'b'; 63], &[b'c'; 63], &[b'd'; 61]].join(&b'.');
    assert_eq!(option(code::DOMAIN_NAME, &longest).domain_name().unwrap().len(), 253);
    let longer = [longest, vec![b'd']].concat();
    assert_eq!(option(code::DOMAIN_NAME, &longer).domain_name(), None);
    for name in ["web", "Web-1", "_srv.example", "web\0\0", "1.lan"] {
        let read = option(code::HOST_NAME, name.as_bytes()).host_name();
        assert_eq!(read.as_deref(), Some(name.trim_end_matches('\0')), "{name:?}");
    }
}

#[test]
fn messages_are_fit_for_a_log() {
    let message = |data: &[u8]| option(code::MESSAGE, data).message();
    assert_eq!(message(b"no free leases\0").as_deref(), Some("no free leases"));
    assert_eq!(message(b"a\r\nb\x1b[2J\xe2\x80\xae").as_deref(), Some("a??b?[2J???"));
    assert_eq!(message(b"\0\0"), None);
    assert_eq!(message(&[b'x'; 1000]).map(|text| text.len()), Some(255));
}

#[test]
fn search_lists_that_lead_nowhere() {
    let list = |data: &[u8]| option(code::DOMAIN_SEARCH, data).search_list();
    let nothing: [&str; 0] = [];
    for broken in [
        &b"\xc0\x00"[..],            // to itself
        b"\x01a\xc0\x00",            // to its own name
        b"\x01a\xc0\x02",            // to the pointer
        b"\x01a\xc0\x20",            // beyond the end
        b"\x01a\x00\xc0\x03",        // to itself behind a name
        b"\x01a\x00\x01b\xc0\x05",   // forwards
        b"\x02\xc0\x01\x00\xc0\x01", // into a label that is a pointer to itself
        b"\x01a\xc0",                // half a pointer
        b"\x05a",                    // label beyond the end
        b"\x01a",                    // no root
        b"\x40a\x00",                // reserved length bits
        b"\x80a\x00",                // reserved length bits
        &[&[63; 64][..], &[63; 64], &[63; 64], &[63; 64], b"\0\x01d\0"].concat(), // 255 characters
    ] {
        assert_eq!(list(broken), nothing, "{broken:?}");
    }
    assert_eq!(list(b"\x00"), nothing, "the root alone");
    assert_eq!(list(b"\x01a\x00\x03b c\x00\x03x.y\x00\x02\xff\xfe\x00\x01d\x00"), ["a", "d"]);
    // From one pointer to another, each further back.
    assert_eq!(list(b"\x01a\x00\x01b\xc0\x00\x01c\xc0\x03"), ["a", "b.a", "c.b.a"]);
}

/// Each pointer leads to the pointer before it, so name n takes n steps.
#[test]
fn pointers_to_pointers_end() {
    let mut data = b"\x01a\x00".to_vec();
    for target in (1..8000_u16).map(|n| if n == 1 { 0 } else { 2 * n - 1 }) {
        data.extend((target | 0xc000).to_be_bytes());
    }
    let names = option(code::DOMAIN_SEARCH, &data).search_list();
    assert_eq!(names.len(), 32);
    assert!(names.iter().all(|name| name == "a"));
}

#[test]
fn routes_that_are_cut_off_are_missing() {
    let whole = [24, 10, 0, 1, 192, 0, 2, 1, 0, 192, 0, 2, 1];
    for length in 0..whole.len() {
        let routes = option(code::CLASSLESS_ROUTES, &whole[..length]).classless_routes();
        assert_eq!(routes.is_some(), length == 8, "{length} bytes");
    }
    assert_eq!(option(121, &whole).classless_routes().unwrap().len(), 2);
    assert_eq!(option(121, &[33, 1, 2, 3, 4, 5, 192, 0, 2, 1]).classless_routes(), None);
    assert_eq!(option(121, &[255; 300]).classless_routes(), None);
}

#[test]
fn a_datagram_full_of_pieces() {
    let mut bytes = reply(&[]);
    while bytes.len() < 65_505 {
        bytes.extend([254 - (bytes.len() % 250) as u8, 1, 0]);
    }
    let options = Message::parse(&bytes).unwrap().options;
    let joined: usize = options.iter().map(|(_, data)| data.len()).sum();
    assert!(joined > 20_000, "{joined}");
    read_all(&options);
}

#[test]
fn options_of_a_message_are_the_callers_to_set() {
    let mut options = option(code::HOST_NAME, b"web");
    let before = options.clone();
    for layout in [code::PAD, code::END, code::OVERLOAD] {
        options.set(layout, &[1]);
    }
    options.set(code::HOST_NAME, &vec![b'a'; 65_536]);
    options.remove(code::ROUTER);
    assert_eq!(options, before);
    options.set(code::HOST_NAME, b"db");
    assert_eq!(options.host_name().as_deref(), Some("db"));
    options.remove(code::HOST_NAME);
    assert_eq!(options, Options::default());
}

#[test]
fn what_does_not_fit_the_mtu_is_left_out_whole() {
    let mut options = option(code::MESSAGE_TYPE, &[1]);
    options.set(code::HOST_NAME, &[b'h'; 1300]);
    options.set(code::DOMAIN_NAME, b"lan");
    let emitted = Message::new(Op::BootRequest, 1, MAC, options.clone()).emit();
    options.remove(code::HOST_NAME);
    assert_eq!(Message::parse(&emitted).unwrap().options, options);
}

/// Behind the message type there is room for 1228 bytes and End. A host name of so many bytes takes
/// ten more, for five pieces; an empty option takes two.
#[test]
fn a_message_may_fill_the_mtu() {
    for (length, host_name, empty, emitted) in [
        (1215, true, true, 1471),
        (1216, true, true, 1472),
        (1217, true, false, 1471),
        (1218, true, false, 1472),
        (1219, false, true, 300),
    ] {
        let mut options = option(code::MESSAGE_TYPE, &[1]);
        options.set(code::HOST_NAME, &vec![b'h'; length]);
        options.set(80, &[]);
        let bytes = Message::new(Op::BootRequest, 1, MAC, options).emit();
        let read = Message::parse(&bytes).unwrap().options;
        assert_eq!(bytes.len(), emitted, "{length}");
        assert_eq!(read.get(code::HOST_NAME).is_some(), host_name, "{length}");
        assert_eq!(read.get(80).is_some(), empty, "{length}");
    }
}
