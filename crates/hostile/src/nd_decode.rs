//! Any ICMPv6 message: decoded, each option read, and what is written of it read once more.
//!
//! The frame around it is made here, and its checksum, so that only the message is left to chance.

use std::net::Ipv6Addr;

use arbitrary::{Arbitrary, Unstructured};
use wire::MacAddr;
use wire::frame::{Checksum, Frame, Payload};
use wire::nd;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x42]);

/// Where the message begins, behind the headers of Ethernet and IPv6.
const ICMP: usize = 14 + 40;

/// What belongs into the checksum of the message in this frame (RFC 4443 §2.3).
fn checksum(frame: &[u8]) -> [u8; 2] {
    // The addresses, and the next header's number and the length, as in the pseudo-header.
    let header = &frame[ICMP - 32..];
    let fixed = 58 + (frame.len() - ICMP) as u32;
    let words = header.chunks(2).map(|word| match *word {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    let sum = words.fold(u64::from(fixed), |sum, word| sum + u64::from(word));
    let folded = (0..4).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16));
    (!(folded as u16)).to_be_bytes()
}

/// Whether these bytes are something to look at; if they are, what [the module](self) says holds.
pub fn run(bytes: &[u8]) -> bool {
    let Ok(input) = <(bool, bool, &[u8])>::arbitrary_take_rest(Unstructured::new(bytes)) else {
        return false;
    };
    let (unspecified, solicited, body) = input;
    let Ok(length) = u16::try_from(body.len()) else { return false };
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x42);
    let source = if unspecified { Ipv6Addr::UNSPECIFIED } else { link_local };
    let group = if solicited { nd::solicited_node(link_local) } else { nd::ALL_NODES };
    let mut bytes = [&[0x33, 0x33, 0, 0, 0, 1][..], &MAC.0, &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
    bytes.extend(length.to_be_bytes());
    bytes.extend([58, 255]);
    bytes.extend(source.octets());
    bytes.extend(group.octets());
    bytes.extend(body);
    if let Some(field) = bytes.get_mut(ICMP + 2..ICMP + 4) {
        field.fill(0);
        let sum = checksum(&bytes);
        bytes[ICMP + 2..ICMP + 4].copy_from_slice(&sum);
    }

    let Ok(frame) = Frame::parse(&bytes, Checksum::Verify) else { return false };
    let Payload::Nd(heard) = frame.payload else { return false };
    let options: Vec<_> = heard.options.iter().collect();
    assert!(options.len() <= body.len() / 8);
    let again = nd::emit(MAC, source, group, &heard.message, &options);
    let frame = Frame::parse(&again, Checksum::Verify).expect("what is written is valid");
    let Payload::Nd(again) = frame.payload else { panic!("not read as it was written") };
    assert_eq!(again.message, heard.message);
    // A prefix may have come with more bytes than its length needs, a search list with padding.
    assert_eq!(again.options.iter().count(), options.len());
    true
}
