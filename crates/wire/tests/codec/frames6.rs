//! IPv6 and UDP over it: one frame by hand, and what is wrong with others.

use std::net::{Ipv6Addr, SocketAddrV6};

use wire::frame::{Checksum, Frame, Payload, Udp6, udp6};
use wire::{Error, MacAddr};

const SERVER: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);
const MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x42]);

/// From `fe80::1` to `fe80::42`: "hi" from port 547 to port 546. The checksum was computed apart
/// from this code (RFC 8200 §8.1): fe80 + 1 + fe80 + 42 + 10 + 17 + 547 + 546 + 10 + "hi".
const DATAGRAM: [u8; 64] = [
    0x02, 0, 0, 0, 0, 0x42, 0x02, 0, 0, 0, 0, 0x01, 0x86, 0xdd, // Ethernet
    0x60, 0, 0, 0, 0, 10, 17, 64, // IPv6
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // from
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x42, // to
    0x02, 0x23, 0x02, 0x22, 0, 10, 0x95, 0xe7, b'h', b'i', // UDP
];
const IP: usize = 14;
const UDP: usize = 54;

fn altered(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = DATAGRAM.to_vec();
    for (place, value) in changes {
        bytes[*place] = *value;
    }
    bytes
}

fn verdict(bytes: &[u8]) -> Result<(), Error> {
    Frame::parse(bytes, Checksum::Verify).map(|_| ())
}

fn socket(address: &str, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(address.parse().unwrap(), port, 0, 0)
}

#[test]
fn a_datagram_by_hand() {
    let (from, to) = (socket("fe80::1", 547), socket("fe80::42", 546));
    let payload = Payload::Udp6(Udp6 { source: from, destination: to, payload: b"hi" });
    let frame = Frame { source: SERVER, destination: MAC, payload };
    assert_eq!(Frame::parse(&DATAGRAM, Checksum::Verify), Ok(frame));
    assert_eq!(udp6(SERVER, MAC, from, to, b"hi"), DATAGRAM);
}

#[test]
fn bytes_behind_the_packet_are_padding() {
    let mut bytes = DATAGRAM.to_vec();
    bytes.extend([0xaa; 20]);
    assert_eq!(Frame::parse(&bytes, Checksum::Verify), Frame::parse(&DATAGRAM, Checksum::Verify));
}

#[test]
fn what_is_cut_short_is_refused_at_every_length() {
    for length in 0..DATAGRAM.len() {
        assert!(verdict(&DATAGRAM[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn headers_that_lie() {
    assert_eq!(verdict(&altered(&[(IP, 0x45)])), Err(Error::IpVersion(4)));
    let error = Error::Ip6Length { length: 11, received: 50 };
    assert_eq!(verdict(&altered(&[(IP + 5, 11)])), Err(error));
    // A jumbogram is one of length 0 with an option (RFC 2675).
    let error = Error::Truncated { what: "UDP header", need: 8, have: 0 };
    assert_eq!(verdict(&altered(&[(IP + 5, 0)])), Err(error));
    for length in [0, 7, 11] {
        let error = Error::UdpLength { length, received: 10 };
        assert_eq!(verdict(&altered(&[(UDP + 5, length as u8)])), Err(error));
    }
}

#[test]
fn only_udp_and_neighbour_discovery_directly_behind_the_header() {
    assert_eq!(verdict(&altered(&[(IP + 6, 44)])), Err(Error::Fragment));
    for other in [0, 6, 43, 50, 59, 60, 255] {
        assert_eq!(verdict(&altered(&[(IP + 6, other)])), Err(Error::NextHeader(other)));
    }
}

#[test]
fn checksums_are_needed() {
    assert_eq!(verdict(&altered(&[(UDP + 9, b'o')])), Err(Error::UdpChecksum));
    // RFC 8200 section 8.1: a checksum of zero is none, and there must be one.
    let none = altered(&[(UDP + 6, 0), (UDP + 7, 0)]);
    assert_eq!(verdict(&none), Err(Error::UdpChecksum));
    // The kernel of the same host has not filled it in yet.
    assert!(Frame::parse(&none, Checksum::Partial).is_ok());
}

#[test]
fn a_group_has_its_mac() {
    let group: Ipv6Addr = "ff02::1:2".parse().unwrap();
    assert_eq!(MacAddr::of_group(group), MacAddr([0x33, 0x33, 0, 1, 0, 2]));
}
