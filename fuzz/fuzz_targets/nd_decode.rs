//! Any ICMPv6 message: decoded, each option read, and what is written of it read once more.
//!
//! The frame around it is made here, so that the fuzzer spends its bytes on the message. smoltcp
//! takes every checksum for right when it is fuzzed.

#![no_main]

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use wire::MacAddr;
use wire::frame::{Checksum, Frame, Payload};
use wire::nd;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x42]);

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (unspecified, solicited, body) = input;
    let Ok(length) = u16::try_from(body.len()) else { return };
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x42);
    let source = if unspecified { Ipv6Addr::UNSPECIFIED } else { link_local };
    let group = if solicited { nd::solicited_node(link_local) } else { nd::ALL_NODES };
    let mut bytes = [&[0x33, 0x33, 0, 0, 0, 1][..], &MAC.0, &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
    bytes.extend(length.to_be_bytes());
    bytes.extend([58, 255]);
    bytes.extend(source.octets());
    bytes.extend(group.octets());
    bytes.extend(body);

    let Ok(frame) = Frame::parse(&bytes, Checksum::Verify) else { return };
    let Payload::Nd(heard) = frame.payload else { return };
    let options: Vec<_> = heard.options.iter().collect();
    assert!(options.len() <= body.len() / 8);
    let again = nd::emit(MAC, source, group, &heard.message, &options);
    let frame = Frame::parse(&again, Checksum::Verify).expect("what is written is valid");
    let Payload::Nd(again) = frame.payload else { panic!("not read as it was written") };
    assert_eq!(again.message, heard.message);
    // A prefix may have come with more bytes than its length needs, a search list with padding.
    assert_eq!(again.options.iter().count(), options.len());
});
