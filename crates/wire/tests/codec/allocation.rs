//! Memory is bounded by what came in.

use std::hint::black_box;
use std::net::SocketAddrV4;

use allocation_counter::{AllocationInfo, measure};
use wire::dhcp4::{Message, Op, Options, code};
use wire::frame::{Checksum, Frame, udp4};

use crate::common::{MAC, option, options, reply};

fn of<T>(run: impl FnOnce() -> T) -> AllocationInfo {
    measure(|| {
        black_box(run());
    })
}

#[test]
fn decoding_a_frame_allocates_nothing() {
    let any = SocketAddrV4::new([192, 168, 0, 1].into(), 67);
    let datagram = udp4(MAC, MAC, any, any, &reply(&[53, 1, 5, 255]));
    let used = of(|| Frame::parse(&datagram, Checksum::Verify).map(|frame| frame.source));
    assert_eq!(used.count_total, 0);
}

/// One allocation, and none of what was not sent: three bytes for each different option and its
/// data, where the message had two.
#[test]
fn decoding_a_message_allocates_once_and_no_more_than_came() {
    let hostile: [Vec<u8>; 5] = [
        (1..=254).flat_map(|code| [code, 0]).collect(),
        (0..500).flat_map(|_| [119, 1, 0xc0]).collect(),
        [[77, 255].as_slice(), &[1; 255]].concat().repeat(5),
        (0..700).flat_map(|n| [1 + (n % 200) as u8, 0]).collect(),
        vec![121; 1400],
    ];
    for bytes in hostile {
        let payload = reply(&bytes);
        let used = of(|| Message::parse(&payload));
        assert_eq!(used.count_total, 1);
        assert!(used.bytes_total as usize <= bytes.len() + 254, "{} bytes", used.bytes_total);
    }
    assert_eq!(of(|| Message::parse(&reply(&[])[..239]).err()).bytes_current, 0);
}

/// An idle lease keeps its options: no slack behind them.
#[test]
fn options_take_what_they_hold() {
    let wire =
        b"\x35\x01\x05\x36\x04\xc0\xa8\x00\x01\x33\x04\x00\x00\x0e\x10\x03\x04\xc0\xa8\x00\x01\xff";
    assert_eq!(size_of::<Options>(), size_of::<&[u8]>());
    let kept = options(wire);
    let used = of(|| std::mem::forget(kept.clone()));
    assert_eq!(used.bytes_current, (4 * 3 + 1 + 3 * 4) as i64);
    let used = of(|| {
        let mut options = Options::default();
        options.set(code::SERVER_ID, &[192, 168, 0, 1]);
        options.set(code::LEASE_TIME, &[0, 0, 0, 1]);
        options.set(code::SERVER_ID, &[192, 168, 0, 2]);
        options.remove(code::LEASE_TIME);
        std::mem::forget(options);
    });
    assert_eq!(used.bytes_current, 3 + 4);
}

#[test]
fn readers_allocate_no_more_than_they_are_given() {
    // 253 characters in the first name, and then as many pointers to it as there is room for.
    let mut names = [[63; 64].as_slice(), &[63; 64], &[63; 64], &[61; 62]].concat();
    for byte in &mut names {
        if *byte == 63 || *byte == 61 {
            *byte = b'a';
        }
    }
    (names[0], names[64], names[128], names[192]) = (63, 63, 63, 61);
    names.push(0);
    names.extend([0xc0, 0x00].repeat(30_000));
    let list = option(code::DOMAIN_SEARCH, &names);
    assert_eq!(list.search_list().len(), 32);
    let used = of(|| list.search_list());
    assert!(used.bytes_max < 32 * 600, "{} bytes at once", used.bytes_max);

    let routes = option(code::CLASSLESS_ROUTES, &[0; 60_000]);
    assert_eq!(routes.classless_routes().unwrap().len(), 12_000);
    let used = of(|| routes.classless_routes());
    assert!(used.bytes_max < 4 * 60_000, "{} bytes at once", used.bytes_max);

    let routers = option(code::ROUTER, &[1; 60_000]);
    let used = of(|| routers.routers());
    assert!(used.bytes_max < 3 * 60_000, "{} bytes at once", used.bytes_max);

    let text = option(code::MESSAGE, &[b'x'; 60_000]);
    assert!(of(|| text.message()).bytes_max <= 512);
    let name = option(code::HOST_NAME, &[b'x'; 60_000]);
    assert_eq!(of(|| name.host_name()).bytes_max, 0);
}

#[test]
fn encoding_allocates_once() {
    let message = Message::new(Op::BootRequest, 1, MAC, option(code::VENDOR_CLASS, &[1; 700]));
    assert_eq!(of(|| message.emit()).count_total, 1);
    let message = Message::new(Op::BootRequest, 1, MAC, option(code::VENDOR_CLASS, &[1; 60_000]));
    let used = of(|| message.emit());
    assert_eq!(used.count_total, 1);
    assert!(used.bytes_max <= 1472);
}
