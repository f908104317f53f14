//! Ethernet frames, as far as a DHCP client listens and talks.

use std::net::SocketAddrV4;

use crate::MacAddr;
use crate::arp::Arp;

/// Whether the UDP checksum of a received frame is worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// The frame came over a wire: a wrong checksum is a damaged frame.
    Verify,
    /// The kernel says it is not filled in (`TP_STATUS_CSUMNOTREADY`: sender on the same host).
    Partial,
}

/// One received Ethernet frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Ethernet source.
    pub source: MacAddr,
    /// Ethernet destination.
    pub destination: MacAddr,
    /// What it carries.
    pub payload: Payload<'a>,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// ARP for IPv4.
    Arp(Arp),
    /// A whole (unfragmented) UDP datagram over IPv4.
    Udp4(Udp4<'a>),
}

/// A UDP datagram over IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Udp4<'a> {
    /// Source address and port.
    pub source: SocketAddrV4,
    /// Destination address and port.
    pub destination: SocketAddrV4,
    /// What follows the UDP header.
    pub payload: &'a [u8],
}
