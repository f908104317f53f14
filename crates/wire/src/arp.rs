//! ARP for IPv4 over Ethernet (RFC 826), with the words of RFC 5227.

use std::net::Ipv4Addr;

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol};

use crate::frame::{ETHERNET_HEADER, ethernet};
use crate::{Error, MacAddr};

/// Bytes of an ARP packet for IPv4 over Ethernet.
const LENGTH: usize = 28;

/// What an ARP packet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Asks who has [`Arp::target_ip`].
    Request,
    /// Answers.
    Reply,
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// Request or reply.
    pub operation: Operation,
    /// Who sends it.
    pub sender_mac: MacAddr,
    /// The sender's address, `0.0.0.0` in a probe (RFC 5227 §1.1).
    pub sender_ip: Ipv4Addr,
    /// Who is meant, [`MacAddr::ZERO`] in a request.
    pub target_mac: MacAddr,
    /// The address asked for.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    /// Asks, as the holder of `sender_ip`, who has `target_ip`.
    pub fn request(sender_mac: MacAddr, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Arp {
        Arp {
            operation: Operation::Request,
            sender_mac,
            sender_ip,
            target_mac: MacAddr::ZERO,
            target_ip,
        }
    }

    /// Asks whether anybody has `ip`, without filling anybody's cache (RFC 5227 §2.1.1).
    pub fn probe(mac: MacAddr, ip: Ipv4Addr) -> Arp {
        Arp::request(mac, Ipv4Addr::UNSPECIFIED, ip)
    }

    /// Tells everybody that `ip` is at `mac` from now on (RFC 5227 §2.3).
    pub fn announcement(mac: MacAddr, ip: Ipv4Addr) -> Arp {
        Arp::request(mac, ip, ip)
    }

    /// The answer to this request: the address asked for is at `mac`.
    pub fn reply_to(&self, mac: MacAddr) -> Arp {
        Arp {
            operation: Operation::Reply,
            sender_mac: mac,
            sender_ip: self.target_ip,
            target_mac: self.sender_mac,
            target_ip: self.sender_ip,
        }
    }

    /// Whether the sender speaks of its own address to all (RFC 5227 §1.1 calls such a request an
    /// announcement); a reply of this form counts as well.
    pub fn is_gratuitous(&self) -> bool {
        self.sender_ip == self.target_ip && !self.sender_ip.is_unspecified()
    }

    /// Whether the sender asks for an address that it does not have yet (RFC 5227 §1.1).
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::Request && self.sender_ip.is_unspecified()
    }

    /// The whole Ethernet frame, from [`sender_mac`](Arp::sender_mac), padded to 60 bytes.
    pub fn emit(&self, destination: MacAddr) -> Vec<u8> {
        let repr = ArpRepr::EthernetIpv4 {
            operation: match self.operation {
                Operation::Request => ArpOperation::Request,
                Operation::Reply => ArpOperation::Reply,
            },
            source_hardware_addr: EthernetAddress(self.sender_mac.0),
            source_protocol_addr: self.sender_ip,
            target_hardware_addr: EthernetAddress(self.target_mac.0),
            target_protocol_addr: self.target_ip,
        };
        let mut frame = ethernet(self.sender_mac, destination, EthernetProtocol::Arp, LENGTH);
        if let Some(packet) = frame.get_mut(ETHERNET_HEADER..) {
            repr.emit(&mut ArpPacket::new_unchecked(packet));
        }
        frame
    }

    /// Reads what follows the Ethernet header.
    pub(crate) fn parse(packet: &[u8]) -> Result<Arp, Error> {
        let truncated =
            || Error::Truncated { what: "ARP packet", need: LENGTH, have: packet.len() };
        let packet = ArpPacket::new_checked(packet).map_err(|_| truncated())?;
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr,
            source_protocol_addr,
            target_hardware_addr,
            target_protocol_addr,
        } = ArpRepr::parse(&packet).map_err(|_| Error::ArpKind)?
        else {
            return Err(Error::ArpKind);
        };
        Ok(Arp {
            operation: match operation {
                ArpOperation::Request => Operation::Request,
                ArpOperation::Reply => Operation::Reply,
                ArpOperation::Unknown(other) => return Err(Error::ArpOperation(other)),
            },
            sender_mac: MacAddr(source_hardware_addr.0),
            sender_ip: source_protocol_addr,
            target_mac: MacAddr(target_hardware_addr.0),
            target_ip: target_protocol_addr,
        })
    }
}
