//! Addresses that neighbour discovery goes to.

use std::net::Ipv6Addr;

/// All nodes of the link (RFC 4291 §2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers of the link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// `ff02::1:ff00:0/104`.
const SOLICITED_NODE: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;

/// The group to which solicitations for `address` go (RFC 4291 §2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(SOLICITED_NODE | (address.to_bits() & 0xff_ffff))
}

/// Whether it is the group of some address.
pub(super) fn is_solicited_node(group: Ipv6Addr) -> bool {
    group.to_bits() & !0xff_ffff == SOLICITED_NODE
}
