//! Frames that real servers sent through a veth: dnsmasq 2.90 (a UDP socket, so the checksum is left
//! to a card that is not there) and Kea 2.2.0 (a raw socket, unicast to the client's MAC although
//! the broadcast flag is set). Client 02:00:00:00:00:42, host name "web", server 10.99.0.1.

use std::net::Ipv4Addr;

use wire::Error;
use wire::MacAddr;
use wire::dhcp4::{ClasslessRoute, Message, MessageType, Op};
use wire::frame::{Checksum, Frame, Payload};

use crate::common::MAC;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// What the server said, and to which MAC.
fn heard(frame: &[u8], checksum: Checksum) -> Result<(MacAddr, Message), Error> {
    let frame = Frame::parse(frame, checksum)?;
    let Payload::Udp4(udp) = frame.payload else { panic!("{:?}", frame.payload) };
    assert_eq!(udp.source.to_string(), "10.99.0.1:67");
    assert_eq!(udp.destination.to_string(), "255.255.255.255:68");
    let message = Message::parse(udp.payload)?;
    assert_eq!((message.op, message.xid, message.chaddr), (Op::BootReply, 0x1234_5678, MAC));
    assert!(message.broadcast);
    assert_eq!(message.options.server_id(), Some(SERVER));
    Ok((frame.destination, message))
}

/// Both servers had the same options to give.
fn assert_is_the_lease(message: &Message) {
    let options = &message.options;
    assert_eq!(options.message_type(), Some(MessageType::Ack));
    assert_eq!(options.lease_time(), Some(3600));
    assert_eq!(options.renewal_time(), Some(1800));
    assert_eq!(options.rebinding_time(), Some(3150));
    assert_eq!(options.prefix_len(), Some(24));
    assert_eq!(options.routers(), [SERVER]);
    assert_eq!(options.dns_servers(), [SERVER, Ipv4Addr::new(10, 99, 0, 2)]);
    assert_eq!(options.ntp_servers(), [SERVER]);
    assert_eq!(options.mtu(), Some(1400));
    assert_eq!(options.host_name().as_deref(), Some("web"));
    assert_eq!(options.domain_name().as_deref(), Some("lan.example"));
    assert_eq!(options.search_list(), ["eng.lan.example", "lan.example"]);
    let route = |destination: [u8; 4], prefix_len, last| ClasslessRoute {
        destination: destination.into(),
        prefix_len,
        gateway: Ipv4Addr::new(10, 99, 0, last),
    };
    assert_eq!(
        options.classless_routes(),
        Some(vec![route([0, 0, 0, 0], 0, 1), route([10, 50, 0, 0], 16, 9)])
    );
}

#[test]
fn an_ack_of_dnsmasq() {
    let frame = bytes(include_str!("captured/dnsmasq-2.90-ack.hex"));
    assert_eq!(heard(&frame, Checksum::Verify), Err(Error::UdpChecksum));
    let (destination, message) = heard(&frame, Checksum::Partial).unwrap();
    assert_eq!(destination, MacAddr::BROADCAST);
    assert_eq!(message.yiaddr, Ipv4Addr::new(10, 99, 0, 78));
    assert_eq!(message.siaddr, SERVER);
    assert_is_the_lease(&message);
}

#[test]
fn a_nak_of_dnsmasq() {
    let frame = bytes(include_str!("captured/dnsmasq-2.90-nak.hex"));
    let (_, message) = heard(&frame, Checksum::Partial).unwrap();
    assert_eq!(message.message_type(), Some(MessageType::Nak));
    assert_eq!(message.yiaddr, Ipv4Addr::UNSPECIFIED);
    assert_eq!(message.options.message().as_deref(), Some("wrong network"));
}

#[test]
fn an_ack_of_kea() {
    let frame = bytes(include_str!("captured/kea-2.2.0-ack.hex"));
    let (destination, message) = heard(&frame, Checksum::Verify).unwrap();
    assert_eq!(destination, MAC);
    assert_eq!(message.yiaddr, Ipv4Addr::new(10, 99, 0, 50));
    assert_is_the_lease(&message);
}
