//! UDP over IPv4.

use std::net::SocketAddrV4;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use super::{Checksum, ETHERNET_HEADER, UDP_HEADER, ethernet};
use crate::{Error, MacAddr};

/// Bytes of an IPv4 header without options.
pub(crate) const IPV4_HEADER: usize = 20;
/// The most a UDP datagram over IPv4 can carry.
pub(crate) const UDP_LONGEST: usize = 65_535 - IPV4_HEADER - UDP_HEADER;
/// Hops a packet of ours may take (RFC 1700's default).
const TTL: u8 = 64;

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

impl<'a> Udp4<'a> {
    /// Reads what follows the Ethernet header.
    pub(super) fn parse(bytes: &'a [u8], checksum: Checksum) -> Result<Udp4<'a>, Error> {
        let Some((header, _)) = bytes.split_first_chunk::<IPV4_HEADER>() else {
            let (need, have) = (IPV4_HEADER, bytes.len());
            return Err(Error::Truncated { what: "IPv4 header", need, have });
        };
        let header = Ipv4Packet::new_unchecked(header);
        if header.version() != 4 {
            return Err(Error::IpVersion(header.version()));
        }
        let packet = Ipv4Packet::new_checked(bytes).map_err(|_| Error::IpLength {
            header: header.header_len(),
            total: header.total_len(),
            received: bytes.len(),
        })?;
        if !packet.verify_checksum() {
            return Err(Error::IpChecksum);
        }
        if packet.more_frags() || packet.frag_offset() != 0 {
            return Err(Error::Fragment);
        }
        if packet.next_header() != IpProtocol::Udp {
            return Err(Error::NotUdp(packet.next_header().into()));
        }

        let (source, destination) = (packet.src_addr(), packet.dst_addr());
        let received = packet.payload().len();
        if received < UDP_HEADER {
            return Err(Error::Truncated { what: "UDP header", need: UDP_HEADER, have: received });
        }
        let udp = UdpPacket::new_unchecked(packet.payload());
        udp.check_len().map_err(|_| Error::UdpLength { length: udp.len(), received })?;
        if checksum == Checksum::Verify
            && !udp.verify_checksum(&IpAddress::Ipv4(source), &IpAddress::Ipv4(destination))
        {
            return Err(Error::UdpChecksum);
        }
        Ok(Udp4 {
            source: SocketAddrV4::new(source, udp.src_port()),
            destination: SocketAddrV4::new(destination, udp.dst_port()),
            payload: udp.payload(),
        })
    }
}

/// The whole Ethernet frame of a UDP datagram over IPv4, checksums filled in, at least 60 bytes.
///
/// Don't Fragment is set: with it the identification may stay 0 (RFC 6864 §4.1), so no counter has
/// to be kept apart from the one of the container's kernel, which speaks from the same address; and
/// a DHCP message that needs fragments would be lost at relays, at servers that read raw frames, and
/// at [`Frame::parse`].
///
/// A payload above 65,507 bytes is cut there, because no datagram holds more. Whether it fits the
/// MTU is the caller's to know.
pub fn udp4(
    source: MacAddr,
    destination: MacAddr,
    from: SocketAddrV4,
    to: SocketAddrV4,
    payload: &[u8],
) -> Vec<u8> {
    let payload = payload.get(..UDP_LONGEST).unwrap_or(payload);
    let udp = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let ip = Ipv4Repr {
        src_addr: *from.ip(),
        dst_addr: *to.ip(),
        next_header: IpProtocol::Udp,
        payload_len: UDP_HEADER + payload.len(),
        hop_limit: TTL,
    };
    let checksums = ChecksumCapabilities::default();

    let length = IPV4_HEADER + UDP_HEADER + payload.len();
    let mut frame = ethernet(source, destination, EthernetProtocol::Ipv4, length);
    if let Some(packet) = frame.get_mut(ETHERNET_HEADER..ETHERNET_HEADER + length) {
        let mut packet = Ipv4Packet::new_unchecked(packet);
        ip.emit(&mut packet, &checksums);
        udp.emit(
            &mut UdpPacket::new_unchecked(packet.payload_mut()),
            &IpAddress::Ipv4(ip.src_addr),
            &IpAddress::Ipv4(ip.dst_addr),
            payload.len(),
            |place| place.copy_from_slice(payload),
            &checksums,
        );
    }
    frame
}
