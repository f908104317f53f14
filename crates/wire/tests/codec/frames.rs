//! Ethernet, ARP, IPv4 and UDP: one frame of each by hand, and what is wrong with others.

use std::net::{Ipv4Addr, SocketAddrV4};

use wire::arp::{Arp, Operation};
use wire::frame::{Checksum, Frame, Payload, Udp4, udp4};
use wire::{Error, MacAddr};

const ROUTER: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);
const MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x42]);
const ROUTER_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
const IP: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 42);

/// From the router to the client: "hello!" from port 67 to port 68. The checksums were computed
/// apart from this code (RFC 1071).
const DATAGRAM: [u8; 60] = [
    0x02, 0, 0, 0, 0, 0x42, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
    0x45, 0, 0, 34, 0, 0, 0x40, 0, 64, 17, 0xb9, 0x4f, 192, 168, 0, 1, 192, 168, 0,
    42, // IPv4
    0, 67, 0, 68, 0, 14, 0x39, 0xdc, b'h', b'e', b'l', b'l', b'o', b'!', // UDP
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // padding
];
const IPV4: usize = 14;
const UDP: usize = 34;

fn datagram(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Payload<'_> {
    Payload::Udp4(Udp4 {
        source: SocketAddrV4::new(source, 67),
        destination: SocketAddrV4::new(destination, 68),
        payload,
    })
}

/// [`DATAGRAM`] with some bytes replaced and the IPv4 header checksum made right again.
fn altered(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = DATAGRAM.to_vec();
    for (place, value) in changes {
        bytes[*place] = *value;
    }
    fix_header_checksum(&mut bytes);
    bytes
}

fn fix_header_checksum(bytes: &mut [u8]) {
    let header = IPV4..(IPV4 + 4 * usize::from(bytes[IPV4] & 15)).min(bytes.len());
    bytes[IPV4 + 10..IPV4 + 12].fill(0);
    let sum: u32 = bytes[header]
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    bytes[IPV4 + 10..IPV4 + 12].copy_from_slice(&checksum.to_be_bytes());
}

fn verdict(bytes: &[u8]) -> Result<(), Error> {
    Frame::parse(bytes, Checksum::Verify).map(|_| ())
}

#[test]
fn a_datagram_by_hand() {
    let frame =
        Frame { source: ROUTER, destination: MAC, payload: datagram(ROUTER_IP, IP, b"hello!") };
    assert_eq!(Frame::parse(&DATAGRAM, Checksum::Verify), Ok(frame));

    let (from, to) = (SocketAddrV4::new(ROUTER_IP, 67), SocketAddrV4::new(IP, 68));
    assert_eq!(udp4(ROUTER, MAC, from, to, b"hello!"), DATAGRAM);
}

#[test]
fn a_datagram_is_no_longer_than_one_can_be() {
    let (from, to) = (SocketAddrV4::new(ROUTER_IP, 67), SocketAddrV4::new(IP, 68));
    let bytes = udp4(ROUTER, MAC, from, to, &vec![1; 70_000]);
    let frame = Frame::parse(&bytes, Checksum::Verify).unwrap();
    assert_eq!(frame.payload, datagram(ROUTER_IP, IP, &vec![1; 65_507]));
}

#[test]
fn short_frames_are_refused() {
    for length in 0..48 {
        let error = verdict(&DATAGRAM[..length]).unwrap_err();
        let expected = match length {
            0..14 => Error::Truncated { what: "Ethernet header", need: 14, have: length },
            14..34 => Error::Truncated { what: "IPv4 header", need: 20, have: length - 14 },
            _ => Error::IpLength { header: 20, total: 34, received: length - 14 },
        };
        assert_eq!(error, expected);
    }
    assert_eq!(verdict(&DATAGRAM[..48]), Ok(()));
}

#[test]
fn frames_of_other_kinds_are_refused() {
    let of = |kind: u16| {
        let [high, low] = kind.to_be_bytes();
        verdict(&altered(&[(12, high), (13, low)]))
    };
    for tag in [0x8100, 0x88a8, 0x9100] {
        assert_eq!(of(tag), Err(Error::Vlan(tag)));
    }
    for other in [0x88cc, 0x0000, 0x0040, 0x05dc, 0xffff] {
        assert_eq!(of(other), Err(Error::EtherType(other)));
    }
}

#[test]
fn ipv4_headers_that_lie() {
    for (ihl, header) in [(0, 0), (4, 16), (9, 36), (15, 60)] {
        let error = Error::IpLength { header, total: 34, received: 46 };
        assert_eq!(verdict(&altered(&[(IPV4, 0x40 | ihl)])), Err(error), "IHL {ihl}");
    }
    assert_eq!(verdict(&altered(&[(IPV4, 0x65)])), Err(Error::IpVersion(6)));
    for total in [0, 19, 47, 255] {
        let error = Error::IpLength { header: 20, total: total.into(), received: 46 };
        assert_eq!(verdict(&altered(&[(IPV4 + 3, total)])), Err(error), "total length {total}");
    }
    assert_eq!(verdict(&altered(&[(IPV4 + 6, 0x20)])), Err(Error::Fragment), "first of some");
    assert_eq!(verdict(&altered(&[(IPV4 + 7, 0x01)])), Err(Error::Fragment), "one behind");
    assert_eq!(verdict(&altered(&[(IPV4 + 9, 6)])), Err(Error::NotUdp(6)));

    let mut damaged = DATAGRAM;
    damaged[IPV4 + 8] ^= 1;
    assert_eq!(verdict(&damaged), Err(Error::IpChecksum));
    let partial = Frame::parse(&damaged, Checksum::Partial);
    assert_eq!(partial, Err(Error::IpChecksum), "only UDP's checksum is ever left to a card");
}

#[test]
fn ipv4_options_are_skipped() {
    let mut bytes = DATAGRAM.to_vec();
    bytes.splice(UDP..UDP, [1, 1, 1, 0]);
    (bytes[IPV4], bytes[IPV4 + 3]) = (0x46, 38);
    fix_header_checksum(&mut bytes);
    let frame = Frame::parse(&bytes, Checksum::Verify).unwrap();
    assert_eq!(frame.payload, datagram(ROUTER_IP, IP, b"hello!"));
}

#[test]
fn udp_lengths_that_lie() {
    for length in [0, 7, 15, 255] {
        let error = Error::UdpLength { length: length.into(), received: 14 };
        assert_eq!(verdict(&altered(&[(UDP + 5, length)])), Err(error), "length {length}");
    }
    let error = Error::Truncated { what: "UDP header", need: 8, have: 7 };
    assert_eq!(verdict(&altered(&[(IPV4 + 3, 27)])), Err(error));

    // Shorter than the IPv4 packet: what follows is not the datagram's.
    let bytes = altered(&[(UDP + 5, 13), (UDP + 6, 0), (UDP + 7, 0)]);
    let frame = Frame::parse(&bytes, Checksum::Verify).unwrap();
    assert_eq!(frame.payload, datagram(ROUTER_IP, IP, b"hello"));
}

#[test]
fn udp_checksums() {
    let wrong = altered(&[(UDP + 7, 0)]);
    assert_eq!(verdict(&wrong), Err(Error::UdpChecksum));
    assert!(Frame::parse(&wrong, Checksum::Partial).is_ok(), "not filled in yet");
    assert_eq!(verdict(&altered(&[(UDP + 6, 0), (UDP + 7, 0)])), Ok(()), "sent without one");

    // A sum that comes out as zero is sent as 0xffff, because zero says "none" (RFC 768).
    let (from, to) = (SocketAddrV4::new(ROUTER_IP, 67), SocketAddrV4::new(IP, 68));
    let zero = udp4(ROUTER, MAC, from, to, &[0, 0]);
    let payload = &zero[UDP + 6..UDP + 8];
    let all_ones = udp4(ROUTER, MAC, from, to, payload);
    assert_eq!(all_ones[UDP + 6..UDP + 8], [0xff, 0xff]);
    assert_eq!(verdict(&all_ones), Ok(()));
}

#[test]
fn arp_by_hand() {
    let request = Arp::request(MAC, IP, ROUTER_IP);
    let mut expected = vec![0xff; 6];
    expected.extend(MAC.0);
    expected.extend([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    expected.extend(MAC.0);
    expected.extend([192, 168, 0, 42, 0, 0, 0, 0, 0, 0, 192, 168, 0, 1]);
    expected.resize(60, 0);
    assert_eq!(request.emit(MacAddr::BROADCAST), expected);

    for length in 14..42 {
        let error = Error::Truncated { what: "ARP packet", need: 28, have: length - 14 };
        assert_eq!(verdict(&expected[..length]), Err(error));
    }
    for (place, error) in [
        (14, Error::ArpKind),              // hardware type 0x0101
        (16, Error::ArpKind),              // protocol type 0x0900
        (18, Error::ArpKind),              // hardware length 7
        (19, Error::ArpKind),              // protocol length 5
        (20, Error::ArpOperation(0x0101)), // operation
    ] {
        let mut bytes = expected.clone();
        bytes[place] += 1;
        assert_eq!(verdict(&bytes), Err(error), "byte {place}");
    }
    let mut bytes = expected;
    (bytes[18], bytes[19]) = (255, 255);
    let error = Error::Truncated { what: "ARP packet", need: 28, have: 46 };
    assert_eq!(verdict(&bytes), Err(error), "longer addresses than there are bytes");
}

#[test]
fn arp_of_each_purpose() {
    let probe = Arp::probe(MAC, IP);
    assert_eq!((probe.sender_ip, probe.target_ip), (Ipv4Addr::UNSPECIFIED, IP));
    assert_eq!(probe.target_mac, MacAddr::ZERO);
    assert_eq!(probe.operation, Operation::Request);
    assert!(!probe.is_gratuitous());
    assert!(probe.is_probe());

    let announcement = Arp::announcement(MAC, IP);
    assert_eq!((announcement.sender_ip, announcement.target_ip), (IP, IP));
    assert_eq!(announcement.operation, Operation::Request);
    assert!(announcement.is_gratuitous());
    assert!(!announcement.is_probe());

    let request = Arp::request(MAC, IP, ROUTER_IP);
    assert!(!request.is_gratuitous());
    assert!(!request.is_probe());
    assert!(!probe.reply_to(ROUTER).reply_to(MAC).is_probe(), "a reply is none");
    let reply = request.reply_to(ROUTER);
    assert_eq!(
        reply,
        Arp {
            operation: Operation::Reply,
            sender_mac: ROUTER,
            sender_ip: ROUTER_IP,
            target_mac: MAC,
            target_ip: IP,
        }
    );
    assert_eq!(probe.reply_to(ROUTER).target_ip, Ipv4Addr::UNSPECIFIED);
    assert!(!Arp::probe(MAC, Ipv4Addr::UNSPECIFIED).is_gratuitous());
}

#[test]
fn hardware_addresses() {
    assert_eq!("02:00:00:00:00:42".parse(), Ok(MAC));
    assert_eq!("02-00-00-00-00-42".parse(), Ok(MAC));
    for wrong in ["", "02:00:00:00:00", "02:00:00:00:00:42:00", "2:0:0:0:0:42", "02:00:00:00:00:+2"]
    {
        assert!(wrong.parse::<MacAddr>().is_err(), "{wrong}");
    }
    assert!(MAC.is_unicast());
    assert!(!MacAddr::BROADCAST.is_unicast() && !MacAddr::ZERO.is_unicast());
    assert!(!MacAddr([0x01, 0, 0x5e, 0, 0, 1]).is_unicast(), "multicast");
}

#[test]
fn each_reason_is_a_label_of_its_own() {
    let errors = [
        Error::Truncated { what: "x", need: 1, have: 0 },
        Error::Vlan(0),
        Error::EtherType(0),
        Error::ArpKind,
        Error::ArpOperation(0),
        Error::IpVersion(0),
        Error::IpLength { header: 0, total: 0, received: 0 },
        Error::IpChecksum,
        Error::Fragment,
        Error::Ip6Length { length: 0, received: 0 },
        Error::NextHeader(0),
        Error::IcmpChecksum,
        Error::IcmpType(0),
        Error::NdInvalid(""),
        Error::NotUdp(0),
        Error::UdpLength { length: 0, received: 0 },
        Error::UdpChecksum,
        Error::DhcpLength(0),
        Error::DhcpOp(0),
        Error::DhcpHardware { htype: 0, hlen: 0 },
        Error::DhcpCookie(0),
        Error::DhcpMessageType(0),
    ];
    let labels: std::collections::BTreeSet<_> = errors.iter().map(Error::reason).collect();
    assert_eq!(labels.len(), errors.len());
    assert!(labels.iter().all(|label| {
        label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    }));
}
