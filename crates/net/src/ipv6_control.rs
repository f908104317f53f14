//! What the programs of a port and of an endpoint's link have in common of IPv6: what DHCPv6
//! servers, routers and neighbours say.
//!
//! None of it has extension headers: none is needed, and in front of neighbour discovery those
//! that could hide something are forbidden (RFC 6980 §5).

use crate::bpf::extended::{Instruction, R0, Size, Test};
use crate::bpf::{Label, Program};

// Offsets in the frame.
const IPV6: i32 = 14;
const NEXT_HEADER: i32 = IPV6 + 6;
const HOP_LIMIT: i32 = IPV6 + 7;
const UDP_DESTINATION_PORT: i32 = IPV6 + 40 + 2;
const ICMPV6_TYPE: i32 = IPV6 + 40;
/// The last four bytes of what a solicitation or advertisement is about (RFC 4861 §4.3, §4.4).
pub(crate) const TARGET_LOW: i32 = ICMPV6_TYPE + 8 + 12;

pub(crate) const ETHERTYPE_IPV6: i32 = 0x86dd;
const UDP: i32 = 17;
const ICMPV6: i32 = 58;
const DHCPV6_CLIENT_PORT: i32 = 546;
/// No router has passed it on (RFC 4861 §6.1, §7.1).
const FROM_THIS_LINK: i32 = 255;
const ROUTER_ADVERTISEMENT: i32 = 134;
const NEIGHBOUR_SOLICITATION: i32 = 135;
const NEIGHBOUR_ADVERTISEMENT: i32 = 136;

/// Where a program goes on.
pub(crate) struct Ways {
    /// With neighbour solicitations.
    pub(crate) solicitation: Label,
    /// With neighbour advertisements.
    pub(crate) advertisement: Label,
    /// With UDP to a DHCPv6 client's port, and router advertisements.
    pub(crate) pass: Label,
    /// With all else.
    pub(crate) drop: Label,
}

/// Sorts a frame that is IPv6 by [`Ways`]. The context is in R6.
pub(crate) fn ipv6_control(p: &mut Program<Instruction>, ways: Ways) {
    let Ways { solicitation, advertisement, pass, drop } = ways;
    let icmpv6 = p.label();
    p.frame(Size::Byte, NEXT_HEADER);
    p.jump_if(R0, Test::Equal, ICMPV6, icmpv6);
    p.jump_if(R0, Test::NotEqual, UDP, drop);
    p.frame(Size::Half, UDP_DESTINATION_PORT);
    p.jump_if(R0, Test::Equal, DHCPV6_CLIENT_PORT, pass);
    p.exit(0);
    p.place(icmpv6);
    p.frame(Size::Byte, HOP_LIMIT);
    p.jump_if(R0, Test::NotEqual, FROM_THIS_LINK, drop);
    p.frame(Size::Byte, ICMPV6_TYPE);
    p.jump_if(R0, Test::Equal, ROUTER_ADVERTISEMENT, pass);
    p.jump_if(R0, Test::Equal, NEIGHBOUR_SOLICITATION, solicitation);
    p.jump_if(R0, Test::Equal, NEIGHBOUR_ADVERTISEMENT, advertisement);
    p.exit(0);
}
