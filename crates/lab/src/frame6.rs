//! The little that tests ask of a captured frame of IPv6. Read by hand, as [`Frame`]'s other readers are.

use std::net::Ipv6Addr;

use crate::Frame;
use crate::frame::{mac, u16_at};

/// Bytes of an IPv6 header.
const HEADER: usize = 40;
const HOP_BY_HOP: u8 = 0;
const UDP: u8 = 17;
const ICMP: u8 = 58;

/// A DHCPv6 message in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dhcp6Summary {
    /// 1 Solicit, 2 Advertise, 3 Request, 4 Confirm, 5 Renew, 6 Rebind, 7 Reply, 8 Release, 9 Decline, 11 Information-request,
    /// 36 ADDR-REG-INFORM.
    pub kind: u8,
    /// Transaction, of three bytes.
    pub xid: u32,
    /// The client's DUID, `00:03:00:01:…`; empty if it does not say.
    pub duid: String,
    /// The Ethernet source.
    pub source: String,
    /// The Ethernet destination.
    pub destination: String,
    /// Source address of the IP packet.
    pub from: Ipv6Addr,
    /// Destination address of the IP packet.
    pub to: Ipv6Addr,
    /// The addresses in its identity associations.
    pub addresses: Vec<Ipv6Addr>,
}

/// An ICMPv6 message in short: neighbour discovery, mostly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp6 {
    /// 133 router solicitation, 134 router advertisement, 135 neighbour solicitation, 136 neighbour advertisement, 143 report
    /// to multicast routers.
    pub kind: u8,
    /// The Ethernet source.
    pub source: String,
    /// Source address of the IP packet; `::` in a solicitation that looks for duplicates.
    pub from: Ipv6Addr,
    /// Destination address of the IP packet.
    pub to: Ipv6Addr,
    /// Whose neighbour is asked for or told of.
    pub target: Option<Ipv6Addr>,
}

impl Frame {
    /// The DHCPv6 message in it, if it is one, whatever the server's port.
    pub fn dhcp6(&self) -> Option<Dhcp6Summary> {
        let (from, to, udp) = self.ipv6(UDP)?;
        let message = udp.get(8..)?;
        let ports = [u16_at(udp, 0)?, u16_at(udp, 2)?];
        if !ports.contains(&546) && !ports.contains(&547) {
            return None;
        }
        let options = message.get(4..)?;
        let duid = option(options, 1).next().unwrap_or_default();
        let associations = option(options, 3).filter_map(|ia| ia.get(12..));
        let addresses = associations.flat_map(|options| option(options, 5));
        Some(Dhcp6Summary {
            kind: *message.first()?,
            xid: u32::from_be_bytes(message.get(..4)?.try_into().ok()?) & 0xff_ffff,
            duid: mac(duid),
            source: self.source()?,
            destination: mac(self.bytes.get(..6)?),
            from,
            to,
            addresses: addresses.filter_map(|address| ip_at(address, 0)).collect(),
        })
    }

    /// The ICMPv6 message in it, if it is one.
    pub fn icmp6(&self) -> Option<Icmp6> {
        let (from, to, icmp) = self.ipv6(ICMP)?;
        let kind = *icmp.first()?;
        let target = ip_at(icmp, 8).filter(|_| matches!(kind, 135 | 136));
        Some(Icmp6 { kind, source: self.source()?, from, to, target })
    }

    /// Source, destination and what follows the headers of a packet of this protocol.
    fn ipv6(&self, protocol: u8) -> Option<(Ipv6Addr, Ipv6Addr, &[u8])> {
        let packet = self.payload([0x86, 0xdd])?;
        let (mut next, mut rest) = (*packet.get(6)?, packet.get(HEADER..)?);
        // Before reports to multicast routers.
        if next == HOP_BY_HOP {
            let length = usize::from(*rest.get(1)?) * 8 + 8;
            (next, rest) = (*rest.first()?, rest.get(length..)?);
        }
        (next == protocol).then_some((ip_at(packet, 8)?, ip_at(packet, 24)?, rest))
    }
}

/// The values of the DHCPv6 options of this code.
fn option(mut options: &[u8], wanted: u16) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let (code, length) = (u16_at(options, 0)?, usize::from(u16_at(options, 2)?));
            let (value, rest) = options.get(4..)?.split_at_checked(length)?;
            options = rest;
            if code == wanted {
                return Some(value);
            }
        }
    })
}

fn ip_at(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(octets.into())
}
