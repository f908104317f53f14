//! Router and neighbour solicitations and advertisements (RFC 4861 §4).

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};
use smoltcp::wire::Icmpv6Packet;

use super::address::is_solicited_node;
use super::options::Options;
use crate::Error;
use crate::frame::{Checksum, Ipv6};

/// What every packet of neighbour discovery has: no router has passed it on.
pub(super) const HOP_LIMIT: u8 = 255;

pub(super) const ROUTER_SOLICITATION: u8 = 133;
pub(super) const ROUTER_ADVERTISEMENT: u8 = 134;
pub(super) const NEIGHBOUR_SOLICITATION: u8 = 135;
pub(super) const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Flags of a router advertisement (RFC 4861 §4.2).
pub(super) const MANAGED: u8 = 0x80;
pub(super) const OTHER: u8 = 0x40;
/// Flags of a neighbour advertisement (§4.4).
pub(super) const ROUTER: u8 = 0x80;
pub(super) const SOLICITED: u8 = 0x40;
pub(super) const OVERRIDE: u8 = 0x20;

/// A valid packet of neighbour discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nd<'a> {
    /// IPv6 source, `::` of a node that has no address yet.
    pub source: Ipv6Addr,
    /// IPv6 destination.
    pub destination: Ipv6Addr,
    /// What it says.
    pub message: Message,
    /// And beside that.
    pub options: Options<'a>,
}

/// The fixed part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Asks for routers (RFC 4861 §4.1).
    RouterSolicitation,
    /// A router tells of itself and of the link.
    RouterAdvertisement(RouterAdvertisement),
    /// Asks who has an address (§4.3); from `::`, whether anybody has it.
    NeighbourSolicitation {
        /// The address, never a group's.
        target: Ipv6Addr,
    },
    /// Says who has an address.
    NeighbourAdvertisement(NeighbourAdvertisement),
}

/// A router tells of itself and of the link (RFC 4861 §4.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouterAdvertisement {
    /// The hop limit for outgoing packets, 0 for no opinion.
    pub hop_limit: u8,
    /// M: addresses are to be had by DHCPv6.
    pub managed: bool,
    /// O: other configuration is.
    pub other: bool,
    /// How much it wants to be the default router (RFC 4191 §2.2).
    pub preference: Preference,
    /// Seconds for which it is a default router; 0: it is none.
    pub lifetime: u16,
    /// Milliseconds for which a neighbour counts as reachable, 0 for no opinion.
    pub reachable: u32,
    /// Milliseconds between two solicitations, 0 for no opinion.
    pub retransmit: u32,
}

/// Somebody has an address (RFC 4861 §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourAdvertisement {
    /// The address, never a group's.
    pub target: Ipv6Addr,
    /// Whether the sender is a router.
    pub router: bool,
    /// Whether it answers a solicitation of the receiver's.
    pub solicited: bool,
    /// Whether it replaces what is known of the address.
    pub replaces: bool,
}

/// Which router, or which of two routes, to take first (RFC 4191 §2.1). In order: the most
/// preferred is the greatest.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    /// After others.
    Low,
    /// As routers that say nothing of it.
    #[default]
    Medium,
    /// Before others.
    High,
}

impl Preference {
    /// Reads the two bits in their place within a byte of flags; `None` for the reserved value.
    pub(super) fn of_flags(flags: u8) -> Option<Preference> {
        match flags >> 3 & 3 {
            0 => Some(Preference::Medium),
            1 => Some(Preference::High),
            3 => Some(Preference::Low),
            _ => None,
        }
    }

    /// The two bits in their place.
    pub(super) fn flags(self) -> u8 {
        match self {
            Preference::Low => 3 << 3,
            Preference::Medium => 0,
            Preference::High => 1 << 3,
        }
    }
}

impl<'a> Nd<'a> {
    /// Reads what follows the IPv6 header.
    pub(crate) fn parse(packet: &Ipv6<'a>, checksum: Checksum) -> Result<Nd<'a>, Error> {
        let Ipv6 { source, destination, hop_limit, payload, .. } = *packet;
        let Some(([kind, code, _, _], body)) = payload.split_first_chunk() else {
            let (need, have) = (4, payload.len());
            return Err(Error::Truncated { what: "ICMPv6 header", need, have });
        };
        if !(ROUTER_SOLICITATION..=NEIGHBOUR_ADVERTISEMENT).contains(kind) {
            return Err(Error::IcmpType(*kind));
        }
        if hop_limit != HOP_LIMIT {
            return Err(Error::NdInvalid("hop limit below 255"));
        }
        if checksum == Checksum::Verify
            && !Icmpv6Packet::new_unchecked(payload).verify_checksum(&source, &destination)
        {
            return Err(Error::IcmpChecksum);
        }
        if *code != 0 {
            return Err(Error::NdInvalid("code other than 0"));
        }
        let (message, options) = match *kind {
            ROUTER_SOLICITATION => {
                let (_, options) = split::<4>(body)?;
                (Message::RouterSolicitation, options)
            }
            ROUTER_ADVERTISEMENT => {
                let (fixed, options) = split::<12>(body)?;
                (Message::RouterAdvertisement(router_advertisement(fixed)), options)
            }
            NEIGHBOUR_SOLICITATION => {
                let (fixed, options) = split::<20>(body)?;
                let (_, target) = flags_and_target(fixed);
                (Message::NeighbourSolicitation { target }, options)
            }
            _ => {
                let (fixed, options) = split::<20>(body)?;
                let (flags, target) = flags_and_target(fixed);
                let advertisement = NeighbourAdvertisement {
                    target,
                    router: flags & ROUTER != 0,
                    solicited: flags & SOLICITED != 0,
                    replaces: flags & OVERRIDE != 0,
                };
                (Message::NeighbourAdvertisement(advertisement), options)
            }
        };
        let nd = Nd { source, destination, message, options: Options::parse(options)? };
        nd.check().map_err(Error::NdInvalid)?;
        Ok(nd)
    }

    /// What RFC 4861 asks of addresses (§6.1.1, §6.1.2, §7.1.1, §7.1.2).
    fn check(&self) -> Result<(), &'static str> {
        let unspecified = self.source.is_unspecified();
        if self.source.is_multicast() {
            return Err("source is a group");
        }
        match self.message {
            Message::RouterSolicitation => {
                if unspecified && self.options.source_mac().is_some() {
                    return Err("source link-layer address of a node without an address");
                }
            }
            Message::RouterAdvertisement(_) => {
                if !self.source.is_unicast_link_local() {
                    return Err("router's address is not link-local");
                }
            }
            Message::NeighbourSolicitation { target } => {
                if target.is_multicast() {
                    return Err("target is a group");
                }
                if unspecified && !is_solicited_node(self.destination) {
                    return Err("not to the solicited node's group");
                }
                if unspecified && self.options.source_mac().is_some() {
                    return Err("source link-layer address of a node without an address");
                }
            }
            Message::NeighbourAdvertisement(advertisement) => {
                if advertisement.target.is_multicast() {
                    return Err("target is a group");
                }
                if advertisement.solicited && self.destination.is_multicast() {
                    return Err("answer to nobody");
                }
            }
        }
        Ok(())
    }
}

fn split<const N: usize>(body: &[u8]) -> Result<(&[u8; N], &[u8]), Error> {
    body.split_first_chunk().ok_or(Error::Truncated {
        what: "neighbour discovery",
        need: 4 + N,
        have: 4 + body.len(),
    })
}

fn router_advertisement(fixed: &[u8; 12]) -> RouterAdvertisement {
    let [hop_limit, flags, l0, l1, a0, a1, a2, a3, b0, b1, b2, b3] = *fixed;
    RouterAdvertisement {
        hop_limit,
        managed: flags & MANAGED != 0,
        other: flags & OTHER != 0,
        // RFC 4191 §2.2: the reserved value is treated as medium.
        preference: Preference::of_flags(flags).unwrap_or_default(),
        lifetime: u16::from_be_bytes([l0, l1]),
        reachable: u32::from_be_bytes([a0, a1, a2, a3]),
        retransmit: u32::from_be_bytes([b0, b1, b2, b3]),
    }
}

fn flags_and_target(fixed: &[u8; 20]) -> (u8, Ipv6Addr) {
    let [flags, _, _, _, target @ ..] = *fixed;
    (flags, target.into())
}
