//! What options say, for people.

use serde_json::{Value, json};
use wire::dhcp4;
use wire::dhcp6;

fn said(code: u8, data: &[u8]) -> Value {
    serde_json::to_value(dhcp4::option_value(code, data)).unwrap()
}

fn said6(code: u16, data: &[u8]) -> Value {
    serde_json::to_value(dhcp6::option_value(code, data)).unwrap()
}

#[test]
fn values_of_dhcpv4_options() {
    for (code, data, value) in [
        (1, &[255, 255, 255, 0][..], json!("255.255.255.0")),
        (2, &[0xff, 0xff, 0xf1, 0xf0], json!(-3600)),
        (7, &[192, 0, 2, 1, 192, 0, 2, 2], json!(["192.0.2.1", "192.0.2.2"])),
        (19, &[1], json!(true)),
        (23, &[64], json!(64)),
        (25, &[5, 220, 2, 64], json!(["1500", "576"])),
        (26, &[5, 220], json!(1500)),
        (33, &[10, 1, 0, 0, 192, 0, 2, 1], json!(["10.1.0.0 192.0.2.1"])),
        (66, b"tftp.example\0", json!("tftp.example")),
        (100, b"CET-1CEST,M3.5.0,M10.5.0/3", json!("CET-1CEST,M3.5.0,M10.5.0/3")),
        (101, b"Europe/Berlin", json!("Europe/Berlin")),
        (119, b"\x03lan\x00", json!(["lan"])),
        (
            121,
            &[8, 10, 192, 0, 2, 1, 0, 0, 0, 0, 0],
            json!(["10.0.0.0/8 via 192.0.2.1", "0.0.0.0/0"]),
        ),
        (252, b"http://wpad/wpad.dat\n", json!("http://wpad/wpad.dat")),
    ] {
        assert_eq!(said(code, data), value, "option {code}");
        assert!(dhcp4::option_name(code).is_some(), "option {code}");
    }
}

#[test]
fn what_is_not_laid_out_so_says_nothing() {
    for (code, data) in [
        (1, &[255, 255, 255][..]),
        (6, &[1, 2, 3, 4, 5]),
        (6, &[]),
        (19, &[2]),
        (26, &[1, 2, 3]),
        (66, b"\x1b[2J"),
        (66, b""),
        (121, &[33, 1]),
        // A vendor's own.
        (43, &[1, 2, 3]),
        (224, &[1]),
    ] {
        assert_eq!(said(code, data), Value::Null, "option {code}");
    }
    assert_eq!((dhcp4::option_name(224), dhcp4::option_name(0)), (None, None));
}

#[test]
fn values_of_dhcpv6_options() {
    let loopback = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(said6(31, &loopback), json!(["::1"]));
    assert_eq!(said6(24, b"\x03lan\x00"), json!(["lan"]));
    assert_eq!(said6(42, b"Europe/Berlin"), json!("Europe/Berlin"));
    assert_eq!(said6(82, &[0, 0, 14, 16]), json!(3600));
    // RFC 5908: an address, and a name.
    let ntp = [&[0, 1, 0, 16][..], &loopback, &[0, 3, 0, 5], b"\x03ntp\x00"].concat();
    assert_eq!(said6(56, &ntp), json!(["::1", "ntp"]));
    assert_eq!(said6(56, &[0, 9, 0, 0]), Value::Null);
    assert_eq!(said6(31, &loopback[1..]), Value::Null);
}
