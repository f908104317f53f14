//! What the programs of a port and of an endpoint's link have in common: DHCP replies pass.

use crate::bpf::extended::{Alu, Instruction, R0, R7, Size, Test};
use crate::bpf::{Label, Program};
use crate::segment_frame::segment_frame;

// Offsets in the frame.
const IP: i32 = 14;
const IP_FRAGMENT: i32 = IP + 6;
const IP_PROTOCOL: i32 = IP + 9;
/// Behind the variable header length.
const UDP_DESTINATION_PORT: i32 = IP + 2;

const ETHERTYPE_IPV4: i32 = 0x0800;
const ETHERTYPE_ARP: i32 = 0x0806;
const UDP: i32 = 17;
/// More fragments, or an offset (RFC 791 §3.1); not "don't fragment".
const FRAGMENT_BITS: i32 = 0x3fff;
const DHCP_CLIENT_PORT: i32 = 68;

/// Where a program goes on.
pub(crate) struct Ways {
    /// With ARP.
    pub(crate) arp: Label,
    /// With what is neither ARP nor IPv4; the ethertype is in R0.
    pub(crate) other: Label,
    /// With what the socket is to hear.
    pub(crate) pass: Label,
    /// With what it is not.
    pub(crate) drop: Label,
}

/// Sorts a frame, untagged or with a tag that names no VLAN, by [`Ways`]: unfragmented UDP to a DHCP
/// client's port passes. The context is in R6; R0 and R7 are used.
pub(crate) fn dhcp_replies(p: &mut Program<Instruction>, Ways { arp, other, pass, drop }: Ways) {
    segment_frame(p, drop);
    p.jump_if(R0, Test::Equal, ETHERTYPE_ARP, arp);
    p.jump_if(R0, Test::NotEqual, ETHERTYPE_IPV4, other);

    p.frame(Size::Byte, IP_PROTOCOL);
    p.jump_if(R0, Test::NotEqual, UDP, drop);
    p.frame(Size::Half, IP_FRAGMENT);
    p.jump_if(R0, Test::Bits, FRAGMENT_BITS, drop);
    p.frame(Size::Byte, IP);
    p.alu(R0, Alu::And, 0xf); // the header's length in words
    p.alu(R0, Alu::ShiftLeft, 2);
    p.copy(R7, R0);
    p.frame_behind(Size::Half, R7, UDP_DESTINATION_PORT);
    p.jump_if(R0, Test::Equal, DHCP_CLIENT_PORT, pass);
    p.exit(0);
}
