//! UDP over IPv6.

use std::net::{Ipv6Addr, SocketAddrV6};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, UdpPacket, UdpRepr};

use super::{Checksum, Header, Ipv6, UDP_HEADER, ipv6, packet};
use crate::{Error, MacAddr};

/// The most a UDP datagram over IPv6 can carry (RFC 8200 §3).
const LONGEST: usize = 65_535 - UDP_HEADER;
/// Hops a packet of ours may take.
const HOP_LIMIT: u8 = 64;

/// A UDP datagram over IPv6. Scope and flow of the addresses are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Udp6<'a> {
    /// Source address and port.
    pub source: SocketAddrV6,
    /// Destination address and port.
    pub destination: SocketAddrV6,
    /// What follows the UDP header.
    pub payload: &'a [u8],
}

impl<'a> Udp6<'a> {
    /// Reads what follows the IPv6 header.
    pub(super) fn parse(packet: &Ipv6<'a>, checksum: Checksum) -> Result<Udp6<'a>, Error> {
        let received = packet.payload.len();
        if received < UDP_HEADER {
            return Err(Error::Truncated { what: "UDP header", need: UDP_HEADER, have: received });
        }
        let udp = UdpPacket::new_unchecked(packet.payload);
        udp.check_len().map_err(|_| Error::UdpLength { length: udp.len(), received })?;
        let (source, destination) = (packet.source, packet.destination);
        // Zero does not stand for "none" over IPv6 (RFC 8200 §8.1).
        if checksum == Checksum::Verify
            && (udp.checksum() == 0
                || !udp.verify_checksum(&IpAddress::Ipv6(source), &IpAddress::Ipv6(destination)))
        {
            return Err(Error::UdpChecksum);
        }
        Ok(Udp6 {
            source: socket(source, udp.src_port()),
            destination: socket(destination, udp.dst_port()),
            payload: udp.payload(),
        })
    }
}

/// The whole Ethernet frame of a UDP datagram over IPv6, with its checksum, at least 60 bytes.
///
/// A payload above 65,527 bytes is cut there, because no datagram holds more. Whether it fits the
/// MTU is the caller's to know.
pub fn udp6(
    source: MacAddr,
    destination: MacAddr,
    from: SocketAddrV6,
    to: SocketAddrV6,
    payload: &[u8],
) -> Vec<u8> {
    let payload = payload.get(..LONGEST).unwrap_or(payload);
    let header = Header {
        source: *from.ip(),
        destination: *to.ip(),
        next_header: ipv6::UDP,
        hop_limit: HOP_LIMIT,
    };
    packet((source, destination), &header, UDP_HEADER + payload.len(), |place| {
        UdpRepr { src_port: from.port(), dst_port: to.port() }.emit(
            &mut UdpPacket::new_unchecked(place),
            &IpAddress::Ipv6(header.source),
            &IpAddress::Ipv6(header.destination),
            payload.len(),
            |place| place.copy_from_slice(payload),
            &ChecksumCapabilities::default(),
        );
    })
}

fn socket(address: Ipv6Addr, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(address, port, 0, 0)
}
