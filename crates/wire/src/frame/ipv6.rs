//! The IPv6 header (RFC 8200 §3), and extension headers as far as they are known: not at all.

use std::net::Ipv6Addr;

use smoltcp::wire::{EthernetProtocol, Ipv6Packet, Ipv6Repr};

use super::{ETHERNET_HEADER, ethernet};
use crate::{Error, MacAddr};

/// Bytes of an IPv6 header.
const IPV6_HEADER: usize = 40;
/// Next header: UDP.
pub(crate) const UDP: u8 = 17;
/// Next header: a fragment. Neighbour discovery must not come in any (RFC 6980 §5).
pub(crate) const FRAGMENT: u8 = 44;
/// Next header: ICMPv6.
pub(crate) const ICMP: u8 = 58;

/// An IPv6 packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ipv6<'a> {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) next_header: u8,
    pub(crate) hop_limit: u8,
    /// What follows the header, as long as the header says.
    pub(crate) payload: &'a [u8],
}

/// What is to be said in the header of a packet of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) next_header: u8,
    pub(crate) hop_limit: u8,
}

impl<'a> Ipv6<'a> {
    /// Reads what follows the Ethernet header.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Ipv6<'a>, Error> {
        let received = bytes.len();
        let Some((header, rest)) = bytes.split_first_chunk::<IPV6_HEADER>() else {
            return Err(Error::Truncated {
                what: "IPv6 header",
                need: IPV6_HEADER,
                have: received,
            });
        };
        let header = Ipv6Packet::new_unchecked(header);
        if header.version() != 6 {
            return Err(Error::IpVersion(header.version()));
        }
        let length = header.payload_len();
        let payload = rest.get(..length.into()).ok_or(Error::Ip6Length { length, received })?;
        Ok(Ipv6 {
            source: header.src_addr(),
            destination: header.dst_addr(),
            next_header: header.next_header().into(),
            hop_limit: header.hop_limit(),
            payload,
        })
    }
}

/// The whole Ethernet frame of a packet with `length` bytes of payload, which `fill` writes.
pub(crate) fn packet(
    (source, destination): (MacAddr, MacAddr),
    header: &Header,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    let whole = IPV6_HEADER + length;
    let mut frame = ethernet(source, destination, EthernetProtocol::Ipv6, whole);
    if let Some(bytes) = frame.get_mut(ETHERNET_HEADER..ETHERNET_HEADER + whole) {
        let repr = Ipv6Repr {
            src_addr: header.source,
            dst_addr: header.destination,
            next_header: header.next_header.into(),
            payload_len: length,
            hop_limit: header.hop_limit,
        };
        let mut packet = Ipv6Packet::new_unchecked(bytes);
        repr.emit(&mut packet);
        fill(packet.payload_mut());
    }
    frame
}
