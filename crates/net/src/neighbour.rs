//! Forwarding entries of bridges, and the neighbour (ARP, ND) tables.

use std::net::IpAddr;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use wire::MacAddr;

use crate::{Netlink, Result};

/// How a bridge came by a forwarding entry, and how it loses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FdbKind {
    /// Learnt, or set as if learnt: moves to where the address is next seen, and ages.
    Dynamic,
    /// Set by hand: moves to where the address is next seen, and does not age.
    Static,
    /// The address of the port itself: frames to it go to the host.
    Local,
}

/// A forwarding entry of a bridge: which port leads to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FdbEntry {
    /// The address.
    pub mac: MacAddr,
    /// The port.
    pub ifindex: u32,
    /// The VLAN it counts in, where the bridge filters VLANs.
    pub vlan: Option<u16>,
    /// How it came about.
    pub kind: FdbKind,
}

/// An entry of the neighbour table: which MAC address has an IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The link it is on.
    pub ifindex: u32,
    /// The IP address.
    pub address: IpAddr,
    /// Its MAC address; `None` while it is asked for, or when nobody answered.
    pub mac: Option<MacAddr>,
    /// The MAC address was confirmed or used lately, and nothing has spoken against it.
    pub valid: bool,
}

impl Netlink {
    /// Sets the forwarding entry for an address to a bridge port, in the place of any other:
    /// `bridge fdb replace MAC dev PORT master dynamic` (or `static`).
    ///
    /// A dynamic entry moves to the port behind which the address next speaks, and ages
    /// (300 seconds, unless the bridge is set otherwise).
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] when there is no such link; EOPNOTSUPP or EINVAL when it is
    /// no bridge port.
    pub async fn fdb_replace(&self, mac: MacAddr, port: u32, kind: FdbKind) -> Result<()> {
        let mut message = fdb_message(mac, port);
        message.header.state = match kind {
            FdbKind::Dynamic => NeighbourState::Reachable,
            FdbKind::Static => NeighbourState::Noarp,
            FdbKind::Local => NeighbourState::Permanent,
        };
        self.change(
            RouteNetlinkMessage::NewNeighbour(message),
            NLM_F_CREATE | NLM_F_REPLACE,
            &format!("point the bridge's forwarding entry for {mac} to link {port}"),
        )
        .await
    }

    /// Removes the forwarding entry for an address from a bridge port.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] when there is no such entry on that port.
    pub async fn fdb_delete(&self, mac: MacAddr, port: u32) -> Result<()> {
        self.change(
            RouteNetlinkMessage::DelNeighbour(fdb_message(mac, port)),
            0,
            &format!("remove the bridge's forwarding entry for {mac} from link {port}"),
        )
        .await
    }

    /// The forwarding entries of a bridge, those of the bridge device itself included.
    ///
    /// # Errors
    /// When the kernel cannot be asked; [`crate::Error::is_not_found`] when there is no such link.
    pub async fn fdb(&self, bridge: u32) -> Result<Vec<FdbEntry>> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.attributes.push(NeighbourAttribute::Controller(bridge));
        self.dump(
            RouteNetlinkMessage::GetNeighbour(message),
            &format!("list forwarding entries of bridge {bridge}"),
            |message| match message {
                RouteNetlinkMessage::NewNeighbour(message) => FdbEntry::read(message, bridge),
                _ => None,
            },
        )
        .await
    }

    /// The neighbours known on a link, IPv4 and IPv6.
    ///
    /// # Errors
    /// When the kernel cannot be asked; [`crate::Error::is_not_found`] when there is no such link.
    pub async fn neighbours(&self, ifindex: u32) -> Result<Vec<Neighbour>> {
        let mut message = NeighbourMessage::default();
        message.attributes.push(NeighbourAttribute::IfIndex(ifindex));
        self.dump(
            RouteNetlinkMessage::GetNeighbour(message),
            &format!("list neighbours on link {ifindex}"),
            |message| match message {
                RouteNetlinkMessage::NewNeighbour(message) => {
                    Neighbour::read(message).filter(|found| found.ifindex == ifindex)
                }
                _ => None,
            },
        )
        .await
    }
}

fn fdb_message(mac: MacAddr, port: u32) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = port;
    message.header.flags = NeighbourFlags::Controller;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
    message
}

impl FdbEntry {
    fn read(message: NeighbourMessage, bridge: u32) -> Option<Self> {
        let mut mac = None;
        let mut vlan = None;
        let mut of_bridge = message.header.ifindex == bridge;
        for attribute in message.attributes {
            match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    mac = <[u8; 6]>::try_from(bytes).ok().map(MacAddr);
                }
                NeighbourAttribute::Vlan(id) => vlan = Some(id),
                NeighbourAttribute::Controller(index) => of_bridge |= index == bridge,
                _ => {}
            }
        }
        let kind = match message.header.state {
            NeighbourState::Permanent => FdbKind::Local,
            NeighbourState::Noarp => FdbKind::Static,
            _ => FdbKind::Dynamic,
        };
        let ifindex = message.header.ifindex;
        mac.filter(|_| of_bridge).map(|mac| Self { mac, ifindex, vlan, kind })
    }
}

impl Neighbour {
    fn read(message: NeighbourMessage) -> Option<Self> {
        let mut address = None;
        let mut mac = None;
        for attribute in message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => {
                    address = Some(IpAddr::V4(ip));
                }
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => {
                    address = Some(IpAddr::V6(ip));
                }
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    mac = <[u8; 6]>::try_from(bytes).ok().map(MacAddr);
                }
                _ => {}
            }
        }
        let valid = !matches!(
            message.header.state,
            NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::None
        );
        address.map(|address| Self { ifindex: message.header.ifindex, address, mac, valid })
    }
}
