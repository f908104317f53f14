//! Multicast listener reports (MLDv2, RFC 3810 §5.2): so that switches which look at them pass on
//! what is sent to a group.

use std::net::Ipv6Addr;

use smoltcp::wire::Icmpv6Packet;

use crate::MacAddr;
use crate::frame::{self, Header};

/// All MLDv2-capable routers (RFC 3810 §5.2.14).
pub const ALL_MLD_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// Next header: hop-by-hop options.
const HOP_BY_HOP: u8 = 0;
const ICMP: u8 = 58;
/// ICMPv6 type of an MLDv2 report.
const REPORT: u8 = 143;
/// The header that every MLD message has: a router alert for MLD (RFC 2711), padded to 8 bytes.
const ROUTER_ALERT: [u8; 8] = [ICMP, 0, 5, 2, 0, 0, 1, 0];

/// Groups in one report: what fits Ethernet's MTU, and more than an endpoint has addresses.
const MOST_GROUPS: usize = 64;

/// What is said of a group (RFC 3810 §5.2.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// It is listened to, as before.
    Current,
    /// It is listened to from now on.
    Joined,
    /// It is not listened to any more.
    Left,
}

/// The whole Ethernet frame of a report from `mac` about `groups`. `source` is a link-local address
/// or `::` (RFC 3590 §4).
pub fn report(
    mac: MacAddr,
    source: Ipv6Addr,
    membership: Membership,
    groups: &[Ipv6Addr],
) -> Vec<u8> {
    let groups = groups.get(..MOST_GROUPS).unwrap_or(groups);
    let kind = match membership {
        Membership::Current => 2, // MODE_IS_EXCLUDE, of nobody
        Membership::Joined => 4,  // CHANGE_TO_EXCLUDE_MODE
        Membership::Left => 3,    // CHANGE_TO_INCLUDE_MODE
    };
    let mut body = vec![REPORT, 0, 0, 0, 0, 0];
    body.extend((groups.len() as u16).to_be_bytes());
    for group in groups {
        body.extend([kind, 0, 0, 0]);
        body.extend(group.octets());
    }
    let destination = ALL_MLD_ROUTERS;
    let header = Header { source, destination, next_header: HOP_BY_HOP, hop_limit: 1 };
    let macs = (mac, MacAddr::of_group(destination));
    frame::packet(macs, &header, ROUTER_ALERT.len() + body.len(), |place| {
        let Some((options, message)) = place.split_first_chunk_mut() else { return };
        *options = ROUTER_ALERT;
        message.copy_from_slice(&body);
        Icmpv6Packet::new_unchecked(message).fill_checksum(&source, &destination);
    })
}
