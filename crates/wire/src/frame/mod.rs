//! Ethernet frames, as far as a DHCP client listens and talks.

pub(crate) mod ipv6;
mod udp4;
mod udp6;

use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol};

use crate::arp::Arp;
use crate::nd::Nd;
use crate::{Error, MacAddr};

pub(crate) use ipv6::{Header, Ipv6, packet};
pub(crate) use udp4::{IPV4_HEADER, UDP_LONGEST};
pub use udp4::{Udp4, udp4};
pub use udp6::{Udp6, udp6};

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_HEADER: usize = 14;
/// The shortest frame without its check sequence (IEEE 802.3: 64 with it).
const ETHERNET_SHORTEST: usize = 60;
/// Bytes of a UDP header.
pub(crate) const UDP_HEADER: usize = 8;

/// EtherTypes of VLAN tags: 802.1Q, 802.1ad, and what switches used before 802.1ad.
const VLAN_TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

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
    /// A whole UDP datagram over IPv6, directly behind its header.
    Udp6(Udp6<'a>),
    /// Neighbour discovery for IPv6, valid by RFC 4861.
    Nd(Nd<'a>),
}

impl<'a> Frame<'a> {
    /// Reads an Ethernet II frame. Bytes behind the packet's own length are padding.
    ///
    /// # Errors
    ///
    /// None of what a [`Payload`] can be, or damaged.
    pub fn parse(bytes: &'a [u8], checksum: Checksum) -> Result<Frame<'a>, Error> {
        let frame = EthernetFrame::new_checked(bytes).map_err(|_| Error::Truncated {
            what: "Ethernet header",
            need: ETHERNET_HEADER,
            have: bytes.len(),
        })?;
        let payload = match frame.ethertype() {
            EthernetProtocol::Arp => Payload::Arp(Arp::parse(frame.payload())?),
            EthernetProtocol::Ipv4 => Payload::Udp4(Udp4::parse(frame.payload(), checksum)?),
            EthernetProtocol::Ipv6 => {
                let packet = Ipv6::parse(frame.payload())?;
                match packet.next_header {
                    ipv6::UDP => Payload::Udp6(Udp6::parse(&packet, checksum)?),
                    ipv6::ICMP => Payload::Nd(Nd::parse(&packet, checksum)?),
                    ipv6::FRAGMENT => return Err(Error::Fragment),
                    other => return Err(Error::NextHeader(other)),
                }
            }
            other if VLAN_TAGS.contains(&other.into()) => return Err(Error::Vlan(other.into())),
            other => return Err(Error::EtherType(other.into())),
        };
        Ok(Frame {
            source: MacAddr(frame.src_addr().0),
            destination: MacAddr(frame.dst_addr().0),
            payload,
        })
    }
}

/// A frame with its Ethernet header and zeros for a payload of `length` bytes, padded to Ethernet's
/// shortest.
pub(crate) fn ethernet(
    source: MacAddr,
    destination: MacAddr,
    kind: EthernetProtocol,
    length: usize,
) -> Vec<u8> {
    let mut bytes = vec![0; (ETHERNET_HEADER + length).max(ETHERNET_SHORTEST)];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_src_addr(EthernetAddress(source.0));
    frame.set_dst_addr(EthernetAddress(destination.0));
    frame.set_ethertype(kind);
    bytes
}
