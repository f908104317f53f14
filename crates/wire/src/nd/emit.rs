//! Messages as frames.

use std::net::Ipv6Addr;

use smoltcp::wire::Icmpv6Packet;

use super::message::{
    HOP_LIMIT, MANAGED, Message, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, OTHER, OVERRIDE,
    ROUTER, ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION, SOLICITED,
};
use super::options::NdOption;
use crate::MacAddr;
use crate::frame::{self, Header, ipv6};

/// The whole Ethernet frame of a message to a group, from `mac`.
pub fn emit(
    mac: MacAddr,
    source: Ipv6Addr,
    group: Ipv6Addr,
    message: &Message,
    options: &[NdOption],
) -> Vec<u8> {
    emit_to((mac, MacAddr::of_group(group)), (source, group), message, options)
}

/// The whole Ethernet frame of a message from one MAC and address to another.
pub fn emit_to(
    macs: (MacAddr, MacAddr),
    (source, destination): (Ipv6Addr, Ipv6Addr),
    message: &Message,
    options: &[NdOption],
) -> Vec<u8> {
    let mut body = message.fixed();
    for option in options {
        option.write(&mut body);
    }
    icmp(
        macs,
        &Header { source, destination, next_header: ipv6::ICMP, hop_limit: HOP_LIMIT },
        &body,
    )
}

/// An ICMPv6 message, its checksum filled in.
fn icmp(macs: (MacAddr, MacAddr), header: &Header, body: &[u8]) -> Vec<u8> {
    frame::packet(macs, header, body.len(), |place| {
        place.copy_from_slice(body);
        let mut packet = Icmpv6Packet::new_unchecked(place);
        packet.fill_checksum(&header.source, &header.destination);
    })
}

impl Message {
    /// Type, code, room for the checksum, and what follows up to the options.
    fn fixed(&self) -> Vec<u8> {
        match self {
            Message::RouterSolicitation => vec![ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0],
            Message::RouterAdvertisement(advertisement) => {
                let managed = if advertisement.managed { MANAGED } else { 0 };
                let other = if advertisement.other { OTHER } else { 0 };
                let flags = managed | other | advertisement.preference.flags();
                let mut out = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, advertisement.hop_limit, flags];
                out.extend(advertisement.lifetime.to_be_bytes());
                out.extend(advertisement.reachable.to_be_bytes());
                out.extend(advertisement.retransmit.to_be_bytes());
                out
            }
            Message::NeighbourSolicitation { target } => {
                let mut out = vec![NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
                out.extend(target.octets());
                out
            }
            Message::NeighbourAdvertisement(advertisement) => {
                let router = if advertisement.router { ROUTER } else { 0 };
                let solicited = if advertisement.solicited { SOLICITED } else { 0 };
                let replaces = if advertisement.replaces { OVERRIDE } else { 0 };
                let flags = router | solicited | replaces;
                let mut out = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
                out.extend(advertisement.target.octets());
                out
            }
        }
    }
}
