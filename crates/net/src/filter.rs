//! Classic BPF programs that decide which frames reach a packet socket.
//!
//! They run for each frame on the link before anything is copied or anybody is woken. They see
//! the frame from its Ethernet header on. They only spare work: what comes through is parsed and
//! checked again.
//!
//! Frames of a VLAN are not of this segment, and the kernel has taken their tag out of the bytes
//! by the time a filter runs (it is metadata then). Priority tags (VLAN 0, IEEE 802.1Q §9.6) are
//! let through: some switches put them on everything.

use socket2::SockFilter;

const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_ARP: u32 = 0x0806;
const ETHERTYPE_IPV6: u32 = 0x86dd;
const UDP: u32 = 17;
const ICMPV6: u32 = 58;
const DHCP_CLIENT_PORT: u32 = 68;
const DHCPV6_CLIENT_PORT: u32 = 546;
/// No router has passed it on (RFC 4861 §6.1, §7.1).
const FROM_THIS_LINK: u32 = 255;
const ROUTER_ADVERTISEMENT: u32 = 134;
const NEIGHBOUR_SOLICITATION: u32 = 135;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;

// Offsets in the frame.
const ETHERTYPE: u32 = 12;
const IP: u32 = 14;
const IP_FRAGMENT: u32 = IP + 6;
const IP_PROTOCOL: u32 = IP + 9;
/// Behind the variable header length, which is in X.
const UDP_DESTINATION_PORT: u32 = IP + 2;
const IPV6_NEXT_HEADER: u32 = IP + 6;
const IPV6_HOP_LIMIT: u32 = IP + 7;
const BEHIND_IPV6: u32 = IP + 40;
const UDP6_DESTINATION_PORT: u32 = BEHIND_IPV6 + 2;
const ICMPV6_TYPE: u32 = BEHIND_IPV6;

/// More fragments, or an offset (RFC 791 §3.1); not "don't fragment".
const FRAGMENT_BITS: u32 = 0x3fff;
const VLAN_ID_BITS: u32 = 0x0fff;

/// A filter program for a [`crate::PacketSocket`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    program: Vec<Instruction>,
}

/// One instruction of classic BPF (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    k: u32,
}

impl Filter {
    /// Lets nothing through.
    pub fn nothing() -> Self {
        Self { program: vec![statement(RETURN, 0)] }
    }

    /// What a DHCPv4 server sends to a client: IPv4, whole, UDP to port 68. To whichever MAC and
    /// IP address.
    pub fn dhcp4_replies() -> Self {
        let mut program = Program::default();
        program.untagged();
        program.load(HALF, ETHERTYPE);
        program.unless_equal(ETHERTYPE_IPV4, Verdict::Drop);
        program.dhcp4_reply();
        program.finish()
    }

    /// [`Filter::dhcp4_replies`], and every ARP packet.
    pub fn dhcp4_replies_and_arp() -> Self {
        let mut program = Program::default();
        program.untagged();
        program.load(HALF, ETHERTYPE);
        program.dhcp4_reply_or_arp();
        program.finish()
    }

    /// What servers, routers and neighbours say of IPv6, without extension headers: UDP to port
    /// 546, a DHCPv6 client's; ICMPv6 router advertisements, neighbour solicitations and neighbour
    /// advertisements with hop limit 255. To whichever MAC and IP address.
    pub fn ipv6_control() -> Self {
        let mut program = Program::default();
        program.untagged();
        program.load(HALF, ETHERTYPE);
        program.unless_equal(ETHERTYPE_IPV6, Verdict::Drop);
        program.ipv6_control();
        program.finish()
    }

    /// [`Filter::dhcp4_replies_and_arp`] and [`Filter::ipv6_control`].
    pub(crate) fn ear() -> Self {
        let mut program = Program::default();
        program.untagged();
        program.load(HALF, ETHERTYPE);
        let ipv4 = program.jump_unless_equal(ETHERTYPE_IPV6);
        program.ipv6_control();
        program.code.push(statement(RETURN, u32::MAX));
        program.land(ipv4);
        program.dhcp4_reply_or_arp();
        program.finish()
    }

    /// The program as the kernel takes it.
    pub(crate) fn instructions(&self) -> Vec<SockFilter> {
        self.program.iter().map(|i| SockFilter::new(i.code, i.if_true, i.if_false, i.k)).collect()
    }
}

const fn code(bits: u32) -> u16 {
    bits as u16
}

const WORD: u16 = code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS);
const HALF: u16 = code(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS);
const BYTE: u16 = code(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS);
const HALF_BEHIND_X: u16 = code(libc::BPF_LD | libc::BPF_H | libc::BPF_IND);
/// X = 4 × the low four bits of the byte: what an IPv4 header's first byte says of its length.
const X_IP_HEADER_LENGTH: u16 = code(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH);
const AND: u16 = code(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K);
const JUMP_IF_EQUAL: u16 = code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
const JUMP_IF_BITS: u16 = code(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K);
const RETURN: u16 = code(libc::BPF_RET | libc::BPF_K);

/// Metadata of the frame, read as if it stood at an offset below zero.
const VLAN_TAG: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_VLAN_TAG).cast_unsigned();
const VLAN_TAG_PRESENT: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_VLAN_TAG_PRESENT).cast_unsigned();

const fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, k }
}

/// Where a test that decides leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accept,
    Drop,
}

/// A program in the making: straight-line code with tests that end it early.
#[derive(Debug, Default)]
struct Program {
    code: Vec<Instruction>,
    /// Jumps to be pointed at the end, by position.
    early: Vec<(usize, Branch, Verdict)>,
}

#[derive(Debug, Clone, Copy)]
enum Branch {
    IfTrue,
    IfFalse,
}

impl Program {
    fn load(&mut self, code: u16, k: u32) {
        self.code.push(statement(code, k));
    }

    fn end_early(&mut self, test: Instruction, branch: Branch, verdict: Verdict) {
        self.early.push((self.code.len(), branch, verdict));
        self.code.push(test);
    }

    fn unless_equal(&mut self, value: u32, verdict: Verdict) {
        self.end_early(statement(JUMP_IF_EQUAL, value), Branch::IfFalse, verdict);
    }

    fn if_equal(&mut self, value: u32, verdict: Verdict) {
        self.end_early(statement(JUMP_IF_EQUAL, value), Branch::IfTrue, verdict);
    }

    fn if_bits(&mut self, bits: u32, verdict: Verdict) {
        self.end_early(statement(JUMP_IF_BITS, bits), Branch::IfTrue, verdict);
    }

    /// Goes on for frames without a VLAN tag or with one that names no VLAN.
    fn untagged(&mut self) {
        self.load(WORD, VLAN_TAG_PRESENT);
        // Some kernels leave an old tag in place when they clear the flag.
        self.code.push(Instruction { code: JUMP_IF_EQUAL, if_true: 3, if_false: 0, k: 0 });
        self.load(WORD, VLAN_TAG);
        self.load(AND, VLAN_ID_BITS);
        self.unless_equal(0, Verdict::Drop);
    }

    /// Goes on if equal. The other way leads to where it [lands](Self::land).
    fn jump_unless_equal(&mut self, value: u32) -> usize {
        self.code.push(statement(JUMP_IF_EQUAL, value));
        self.code.len() - 1
    }

    /// A jump leads here.
    fn land(&mut self, position: usize) {
        let distance = distance(position, self.code.len());
        if let Some(instruction) = self.code.get_mut(position) {
            instruction.if_false = distance;
        }
    }

    /// Accepts if equal, and drops otherwise.
    fn decide_equal(&mut self, value: u32) {
        self.early.push((self.code.len(), Branch::IfTrue, Verdict::Accept));
        self.unless_equal(value, Verdict::Drop);
    }

    /// Goes on for ARP and whole UDP datagrams to port 68; the ethertype is in A.
    fn dhcp4_reply_or_arp(&mut self) {
        self.if_equal(ETHERTYPE_ARP, Verdict::Accept);
        self.unless_equal(ETHERTYPE_IPV4, Verdict::Drop);
        self.dhcp4_reply();
    }

    /// Goes on for whole UDP datagrams to port 68, in a frame that is IPv4.
    fn dhcp4_reply(&mut self) {
        self.load(BYTE, IP_PROTOCOL);
        self.unless_equal(UDP, Verdict::Drop);
        self.load(HALF, IP_FRAGMENT);
        self.if_bits(FRAGMENT_BITS, Verdict::Drop);
        self.load(X_IP_HEADER_LENGTH, IP);
        self.load(HALF_BEHIND_X, UDP_DESTINATION_PORT);
        self.unless_equal(DHCP_CLIENT_PORT, Verdict::Drop);
    }

    /// Goes on for what servers, routers and neighbours say, in a frame that is IPv6.
    fn ipv6_control(&mut self) {
        self.load(BYTE, IPV6_NEXT_HEADER);
        let icmpv6 = self.jump_unless_equal(UDP);
        self.load(HALF, UDP6_DESTINATION_PORT);
        self.decide_equal(DHCPV6_CLIENT_PORT);
        self.land(icmpv6);
        self.unless_equal(ICMPV6, Verdict::Drop);
        self.load(BYTE, IPV6_HOP_LIMIT);
        self.unless_equal(FROM_THIS_LINK, Verdict::Drop);
        self.load(BYTE, ICMPV6_TYPE);
        self.if_equal(ROUTER_ADVERTISEMENT, Verdict::Accept);
        self.if_equal(NEIGHBOUR_SOLICITATION, Verdict::Accept);
        self.unless_equal(NEIGHBOUR_ADVERTISEMENT, Verdict::Drop);
    }

    /// Adds the two ends and points the early jumps at them.
    fn finish(mut self) -> Filter {
        let accept = self.code.len();
        self.code.push(statement(RETURN, u32::MAX));
        self.code.push(statement(RETURN, 0));
        for (position, branch, verdict) in self.early {
            let end = match verdict {
                Verdict::Accept => accept,
                Verdict::Drop => accept + 1,
            };
            let distance = distance(position, end);
            if let Some(instruction) = self.code.get_mut(position) {
                match branch {
                    Branch::IfTrue => instruction.if_true = distance,
                    Branch::IfFalse => instruction.if_false = distance,
                }
            }
        }
        Filter { program: self.code }
    }
}

/// How far a jump leads. Programs here are a few dozen instructions; it reaches 255.
fn distance(from: usize, to: usize) -> u8 {
    u8::try_from(to - from - 1).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests;
