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
const UDP: u32 = 17;
const DHCP_CLIENT_PORT: u32 = 68;

// Offsets in the frame.
const ETHERTYPE: u32 = 12;
const IP: u32 = 14;
const IP_FRAGMENT: u32 = IP + 6;
const IP_PROTOCOL: u32 = IP + 9;
/// Behind the variable header length, which is in X.
const UDP_DESTINATION_PORT: u32 = IP + 2;

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

    fn dhcp4_reply_or_arp(&mut self) {
        self.load(HALF, ETHERTYPE);
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
            // Programs here are a few dozen instructions; a jump reaches 255.
            let distance = u8::try_from(end - position - 1).unwrap_or(u8::MAX);
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

#[cfg(test)]
mod tests;
