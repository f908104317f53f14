//! A captured frame, and the little that tests ask of one.
//!
//! Read here by hand and not with the project's own codec: what checks the codec's work must not share its mistakes.

use std::net::Ipv4Addr;
use std::time::SystemTime;

/// A frame as it passed an interface.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When the kernel saw it.
    pub at: SystemTime,
    /// Whether the interface sent it (else it received it).
    pub outgoing: bool,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

/// A DHCPv4 message in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhcpSummary {
    /// Option 53: 1 DISCOVER, 2 OFFER, 3 REQUEST, 4 DECLINE, 5 ACK, 6 NAK, 7 RELEASE, 8 INFORM.
    pub kind: u8,
    /// Transaction.
    pub xid: u32,
    /// `chaddr`, `02:00:00:00:00:42`.
    pub mac: String,
    /// The Ethernet source.
    pub source: String,
    /// The Ethernet destination.
    pub destination: String,
    /// Source address of the IP packet.
    pub from: Ipv4Addr,
    /// Destination address of the IP packet.
    pub to: Ipv4Addr,
    /// The client's address, when it has one.
    pub ciaddr: Ipv4Addr,
    /// The address that the server gives.
    pub yiaddr: Ipv4Addr,
    /// The broadcast flag.
    pub broadcast: bool,
    /// Option 12.
    pub host_name: Option<String>,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Sender's hardware address.
    pub sender_mac: String,
    /// Sender's protocol address; 0.0.0.0 in a probe.
    pub sender: Ipv4Addr,
    /// Target's protocol address.
    pub target: Ipv4Addr,
}

impl Frame {
    /// The Ethernet source.
    pub fn source(&self) -> Option<String> {
        self.bytes.get(6..12).map(mac)
    }

    /// The DHCPv4 message in it, if it is one.
    pub fn dhcp(&self) -> Option<DhcpSummary> {
        let ip = self.payload([0x08, 0x00])?;
        let header = usize::from(ip.first()? & 0x0f) * 4;
        if *ip.get(9)? != 17 {
            return None; // not UDP
        }
        let udp = ip.get(header..)?;
        let ports = [u16_at(udp, 0)?, u16_at(udp, 2)?];
        if !ports.iter().all(|port| [67, 68].contains(port)) {
            return None;
        }
        let dhcp = udp.get(8..)?;
        let options = dhcp.get(240..)?;
        Some(DhcpSummary {
            kind: *dhcp_option(options, 53)?.first()?,
            xid: u32::from_be_bytes(dhcp.get(4..8)?.try_into().ok()?),
            mac: mac(dhcp.get(28..34)?),
            source: self.source()?,
            destination: mac(self.bytes.get(..6)?),
            from: ip_at(ip, 12)?,
            to: ip_at(ip, 16)?,
            ciaddr: ip_at(dhcp, 12)?,
            yiaddr: ip_at(dhcp, 16)?,
            broadcast: dhcp.get(10)? & 0x80 != 0,
            host_name: dhcp_option(options, 12)
                .map(|name| String::from_utf8_lossy(name).into_owned()),
            requested: dhcp_option(options, 50).and_then(|ip| ip_at(ip, 0)),
        })
    }

    /// The ARP packet in it, if it is one.
    pub fn arp(&self) -> Option<Arp> {
        let arp = self.payload([0x08, 0x06])?;
        Some(Arp {
            operation: u16_at(arp, 6)?,
            sender_mac: mac(arp.get(8..14)?),
            sender: ip_at(arp, 14)?,
            target: ip_at(arp, 24)?,
        })
    }

    /// What follows the Ethernet header, if it is of this kind.
    pub(crate) fn payload(&self, ethertype: [u8; 2]) -> Option<&[u8]> {
        (self.bytes.get(12..14)? == ethertype).then(|| self.bytes.get(14..))?
    }
}

/// The value of a DHCP option, in the options that follow the magic cookie (RFC 2132 §2).
pub fn dhcp_option(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        let (code, rest) = options.split_first()?;
        options = match code {
            0 => rest,
            255 => return None,
            _ => {
                let (length, rest) = rest.split_first()?;
                let value = rest.get(..usize::from(*length))?;
                if *code == wanted {
                    return Some(value);
                }
                rest.get(value.len()..)?
            }
        }
    }
}

pub(crate) fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn ip_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(octets.into())
}
