//! The layouts of the RFCs, byte by byte.

use std::net::Ipv6Addr;

use wire::dhcp6::{
    Builder, Fqdn, INFINITY, Ia, IaAddress, IaPrefix, Message, MessageType, Options, StatusCode,
    code,
};

use crate::common::{KINDS, option, reply};

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

#[test]
fn rfc8415_8_the_header_is_a_type_and_24_bits_of_transaction() {
    for kind in KINDS {
        let payload = Builder::new(kind, 0xff12_3456).option(code::RAPID_COMMIT, &[]).finish();
        assert_eq!(payload, [u8::from(kind), 0x12, 0x34, 0x56, 0, 14, 0, 0]);
        let message = Message::parse(&payload).unwrap();
        assert_eq!((message.kind, message.xid), (kind, 0x12_3456));
        assert!(message.options.rapid_commit());
    }
}

#[test]
fn rfc8415_21_4_an_association_and_its_addresses() {
    let first = b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\x0f\xa0\0\0\x1c\x20";
    let second = b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff";
    let status = option(13, b"\0\x04elsewhere");
    let inner = [option(5, first), option(5, &[&second[..], &status].concat())].concat();
    let head = b"\0\0\0\x2a\0\0\x07\xd0\0\0\x0c\x80";
    let payload = reply(&option(3, &[&head[..], &inner].concat()));
    let options = Message::parse(&payload).unwrap().options;
    let ia = options.ia_na().next().unwrap();
    assert_eq!((ia.iaid, ia.t1, ia.t2), (42, 2000, 3200));
    let addresses: Vec<_> = ia.options.addresses().collect();
    assert_eq!(addresses[0].address, address("2001:db8::1"));
    assert_eq!((addresses[0].preferred, addresses[0].valid), (4000, 7200));
    assert_eq!(addresses[0].options.status().code, StatusCode::Success);
    assert_eq!((addresses[1].preferred, addresses[1].valid), (INFINITY, INFINITY));
    let status = addresses[1].options.status();
    assert_eq!(status.code, StatusCode::NotOnLink);
    assert_eq!(status.message().as_deref(), Some("elsewhere"));
    assert_eq!(ia.options.status().code, StatusCode::Success);
    // And written, it is the same.
    let written = Builder::new(MessageType::Reply, 0x12_3456)
        .nest(code::IA_NA, &Ia::header(42, 2000, 3200), |ia| {
            ia.option(code::IA_ADDRESS, &IaAddress::header(address("2001:db8::1"), 4000, 7200))
                .nest(
                    code::IA_ADDRESS,
                    &IaAddress::header(address("2001:db8::2"), INFINITY, INFINITY),
                    |address| address.option(code::STATUS_CODE, b"\0\x04elsewhere"),
                )
        })
        .finish();
    assert_eq!(written, payload);
}

#[test]
fn rfc8415_21_5_temporary_associations_have_no_t1() {
    let first = b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\x02";
    let payload = reply(&option(4, &[b"\0\0\0\x2a", &option(5, first)[..]].concat()));
    let options = Message::parse(&payload).unwrap().options;
    let ia = options.ia_ta().next().unwrap();
    assert_eq!((ia.iaid, ia.t1, ia.t2), (42, 0, 0));
    assert_eq!(ia.options.addresses().next().unwrap().valid, 2);
    assert_eq!(options.ia_na().count(), 0);
}

#[test]
fn rfc8415_21_21_prefixes() {
    let data = b"\0\0\x0f\xa0\0\0\x1c\x20\x38\x20\x01\x0d\xb8\0\x77\x01\xff\0\0\0\0\0\0\0\x01";
    let inner = option(26, data);
    let payload = reply(&option(25, &[b"\0\0\0\x2a\0\0\0\0\0\0\0\0", &inner[..]].concat()));
    let options = Message::parse(&payload).unwrap().options;
    let ia = options.ia_pd().next().unwrap();
    let prefix = ia.options.prefixes().next().unwrap();
    // Bits behind the length are nobody's.
    assert_eq!((prefix.prefix, prefix.length), (address("2001:db8:77:100::"), 56));
    assert_eq!((prefix.preferred, prefix.valid), (4000, 7200));
    let header = IaPrefix::header(address("2001:db8:77:1ff::1"), 56, 4000, 7200);
    assert_eq!(header[..], data[..]);
    for length in [0, 1, 64, 127, 128, 129, 255] {
        let data = IaPrefix::header(Ipv6Addr::from_bits(u128::MAX), length, 0, 0);
        let bytes = option(26, &data);
        let read = Options::new(&bytes).prefixes().next();
        assert_eq!(read.map(|prefix| prefix.length), (length <= 128).then_some(length));
        let ones = read.map(|prefix| prefix.prefix.to_bits().leading_ones());
        assert_eq!(ones, (length <= 128).then_some(length.into()));
    }
}

#[test]
fn rfc8415_21_the_other_options() {
    let bytes = [
        option(6, b"\0\x17\0\x18\0\x52"),
        option(7, &[255]),
        option(8, b"\x01\x02"),
        option(13, b"\0\x02no address"),
        option(15, b"\0\x03abc\0\x01d"),
        option(16, b"\0\0\x01\x37\0\x03one\0\x03two"),
        option(20, b""),
        option(32, b"\0\x01\x51\x80"),
        option(82, b"\0\0\0\x3c"),
        option(83, b"\0\x01\x51\x80"),
        option(148, b""),
    ]
    .concat();
    let options = Options::new(&bytes);
    assert!(options.is_whole());
    assert_eq!(options.option_request().collect::<Vec<_>>(), [23, 24, 82]);
    assert_eq!(options.preference(), 255);
    assert_eq!(options.elapsed_time(), Some(0x0102));
    assert_eq!(options.status().code, StatusCode::NoAddrsAvail);
    assert_eq!(options.user_class().collect::<Vec<_>>(), [&b"abc"[..], b"d"]);
    let class = options.vendor_classes().next().unwrap();
    assert_eq!(class.enterprise, 311);
    assert_eq!(class.classes().collect::<Vec<_>>(), [b"one", b"two"]);
    assert!(options.reconfigure_accept() && options.addr_reg_enable());
    assert!(!options.rapid_commit());
    assert_eq!(options.information_refresh_time(), Some(86_400));
    assert_eq!((options.sol_max_rt(), options.inf_max_rt()), (Some(60), Some(86_400)));
    // What there is not.
    let none = Options::default();
    assert!(none.is_empty() && none.is_whole());
    assert_eq!((none.preference(), none.elapsed_time()), (0, None));
    assert_eq!(none.status().code, StatusCode::Success);
    assert_eq!((none.sol_max_rt(), none.information_refresh_time()), (None, None));
}

#[test]
fn rfc3646_name_servers_and_domains() {
    let servers = ["2001:db8::53", "fe80::53"].map(address);
    let data: Vec<u8> = servers.iter().flat_map(Ipv6Addr::octets).collect();
    let bytes = [option(23, &data), option(24, b"\x03lan\0\x04home\x04arpa\0")].concat();
    let options = Options::new(&bytes);
    assert_eq!(options.dns_servers().collect::<Vec<_>>(), servers);
    assert_eq!(options.domain_list(), ["lan", "home.arpa"]);
}

#[test]
fn rfc4704_names_are_qualified_or_to_be_completed() {
    for (data, name) in [
        (&b"\x01\x03web"[..], Some("web")),
        (b"\x01\x03web\x03lan\x00", Some("web.lan")),
        (b"\x01", None),
        (b"\x01\x00", None),
        (b"\x01\x03w b", None),
    ] {
        let bytes = option(39, data);
        let fqdn = Options::new(&bytes).client_fqdn().unwrap();
        assert_eq!(fqdn.name.as_deref(), name);
        assert!(fqdn.server_updates && !fqdn.overridden && !fqdn.no_updates);
    }
    let bytes = option(39, b"\x06\x03web");
    let fqdn = Options::new(&bytes).client_fqdn().unwrap();
    assert!(!fqdn.server_updates && fqdn.overridden && fqdn.no_updates);
    for (data, why) in [(&b""[..], "no flags"), (b"\x01\x04web", "cut off"), (b"\x01\xc0\0", "")] {
        let bytes = option(39, data);
        assert_eq!(Options::new(&bytes).client_fqdn(), None, "{why}");
    }
    assert_eq!(Fqdn::wish("web").as_deref(), Some(&b"\x01\x03web"[..]));
    assert_eq!(Fqdn::wish("web.lan").as_deref(), Some(&b"\x01\x03web\x03lan\0"[..]));
    for wrong in ["", ".", "a..b", "w b", &"x".repeat(64), &"a.".repeat(128)] {
        assert_eq!(Fqdn::wish(wrong), None, "{wrong}");
    }
}

#[test]
fn rfc9686_an_address_outside_of_an_association() {
    let header = IaAddress::header(address("2001:db8::1"), 1, 2);
    let payload =
        Builder::new(MessageType::AddrRegInform, 1).option(code::IA_ADDRESS, &header).finish();
    assert_eq!(payload[..8], [36, 0, 0, 1, 0, 5, 0, 24]);
    let options = Message::parse(&payload).unwrap().options;
    assert_eq!(options.addresses().next().unwrap().address, address("2001:db8::1"));
}

#[test]
fn statuses_have_the_numbers_of_the_rfc() {
    let names = [
        "Success",
        "UnspecFail",
        "NoAddrsAvail",
        "NoBinding",
        "NotOnLink",
        "UseMulticast",
        "NoPrefixAvail",
    ];
    for (number, name) in (0u16..).zip(names) {
        assert_eq!(StatusCode::from(number).to_string(), name);
    }
    for number in 0..=u16::MAX {
        assert_eq!(u16::from(StatusCode::from(number)), number);
    }
}
