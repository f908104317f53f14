//! What a port on a segment hears: DHCP replies, and ARP about the addresses in a table.
//!
//! A packet socket that is given all of a LAN's ARP wakes its process for each question that one
//! machine there asks another. Which of it matters changes whenever a lease comes or goes, and a
//! filter is compiled whenever it is attached. So the filter is a program that is attached once
//! and looks the addresses up in a table in the kernel, which is changed by single system calls
//! while the program runs.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use nix::errno::Errno;
use wire::MacAddr;

use crate::bpf::Program;
use crate::bpf::extended::{Alu, Instruction, R0, R1, R2, R6, R7, R10, Size, Test};
use crate::bpf::system_call::{Loaded, Table, lacking, load_socket_filter};
use crate::dhcp_reply::{Ways, dhcp_replies};
use crate::{Error, PacketSocket, Result};

/// What is to be heard about one IPv4 address.
///
/// Always: ARP packets of which it is the sender's address, from a MAC address that is not
/// [`Watch::mac`]: somebody else uses it (RFC 5227 §2.4, and §2.1.1 while it is probed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watch {
    /// The MAC address whose ARP packets (by their sender hardware address) are not news. With
    /// `None`, everybody's are.
    pub mac: Option<MacAddr>,
    /// The port answers for the address: requests and probes for it are heard, other than those
    /// from `mac`.
    pub held: bool,
    /// The address is being probed: others' probes for it are heard (RFC 5227 §2.1.1).
    pub probing: bool,
    /// The port asks who has the address: whoever sends from it is heard, `mac` too.
    pub asked: bool,
}

const HELD: i32 = 1;
const PROBING: i32 = 2;
const ASKED: i32 = 4;
/// In the table: flags in the upper 16 bits of an entry, the MAC address in the lower 48.
const MAC_BITS: i32 = 48;

impl Watch {
    fn entry(self) -> u64 {
        let flag = |set: bool, flag: i32| if set { u64::from(flag.cast_unsigned()) } else { 0 };
        let flags = flag(self.held, HELD) | flag(self.probing, PROBING) | flag(self.asked, ASKED);
        let mac = self.mac.unwrap_or(MacAddr::ZERO).0;
        mac.into_iter().fold(flags, |entry, byte| entry << 8 | u64::from(byte))
    }
}

/// A table of IPv4 addresses and the program that lets through to a [`PacketSocket`] what the
/// table asks for; see [`PacketSocket::set_port_table`].
///
/// What passes, untagged or with a tag that names no VLAN:
///
/// - what [`crate::Filter::dhcp4_replies`] lets through;
/// - ARP for IPv4 over Ethernet, as each [`Watch`] in the table says.
///
/// A change counts from the next frame on. Any thread may make it; it costs one system call of
/// about two microseconds. The empty table takes 16 bytes of kernel memory for each address it
/// has room for, an entry about 70 more.
#[derive(Debug)]
pub struct PortTable {
    table: Table,
    program: Loaded,
    capacity: u32,
}

impl PortTable {
    /// Makes an empty table with room for that many addresses, at least one.
    ///
    /// # Errors
    /// [`Error::is_denied`] without CAP_BPF or CAP_SYS_ADMIN, and on kernels before 5.11 when the
    /// table, its 16 bytes and an entry for each address, is beyond RLIMIT_MEMLOCK; ENOSYS without
    /// CONFIG_BPF_SYSCALL. [`crate::Filter::dhcp4_replies_and_arp`] then does in its place: it
    /// lets all ARP through.
    pub fn new(capacity: u32) -> Result<Self> {
        let fail = |e: Errno| {
            let needs = lacking(e);
            Error::os(format!("make a BPF filter with a table of {capacity} addresses{needs}"), e)
        };
        let table = Table::new("landfall_port", capacity).map_err(fail)?;
        let program = load_socket_filter("landfall_port", &program(table.fd())).map_err(fail)?;
        Ok(Self { table, program, capacity })
    }

    /// Sets what is to be heard about an address, in the place of what was set before.
    ///
    /// # Errors
    /// E2BIG when the table is full; ENOMEM.
    pub fn set(&self, address: Ipv4Addr, watch: Watch) -> Result<()> {
        self.table.set(address.into(), watch.entry()).map_err(|e| {
            Error::os(format!("watch {address} in a table of {} addresses", self.capacity), e)
        })
    }

    /// Nothing more is to be heard about an address. One that is not in the table is fine.
    ///
    /// # Errors
    /// None in practice.
    pub fn remove(&self, address: Ipv4Addr) -> Result<()> {
        match self.table.remove(address.into()) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(Error::os(format!("watch {address} no more"), e)),
        }
    }
}

impl PacketSocket {
    /// Lets through what the table asks for, now and whenever it is changed, in the place of the
    /// present filter. Frames that passed the old one and have not been received yet are still
    /// delivered. To hear nothing before that, open the socket with [`crate::Filter::nothing`].
    ///
    /// The socket keeps hearing what was asked for last when the table's handle is gone.
    ///
    /// # Errors
    /// ENOMEM, where the administrator has set `net.core.optmem_max` very low.
    pub fn set_port_table(&self, table: &PortTable) -> Result<()> {
        table.program.attach(self.as_fd()).map_err(|e| {
            Error::os(format!("attach the BPF filter with a table on link {}", self.ifindex()), e)
        })
    }
}

// Offsets in the frame.
const ARP: i32 = 14;
const ARP_LENGTHS: i32 = ARP + 4;
const ARP_OPERATION: i32 = ARP + 6;
const ARP_SENDER_MAC: i32 = ARP + 8;
const ARP_SENDER_IP: i32 = ARP + 14;
const ARP_TARGET_IP: i32 = ARP + 24;

/// Hardware type Ethernet, protocol type IPv4; then the lengths of their addresses (RFC 826).
const ETHERNET_IPV4: i32 = 0x0001_0800;
const SIX_AND_FOUR: i32 = 0x0604;
const REQUEST: i32 = 1;

// Offsets on the stack, where the table's keys must be.
const SENDER_IP: i16 = -4;
const TARGET_IP: i16 = -8;

/// The program over the table with that descriptor. It returns how much of the frame passes.
fn program(table: i32) -> Vec<Instruction> {
    let mut p = Program::new();
    let [arp, by_target, probed, pass, drop] = std::array::from_fn(|_| p.label());
    p.copy(R6, R1);

    dhcp_replies(&mut p, Ways { arp, other: drop, pass, drop });

    // The last field first: no verdict on a packet that ends early.
    p.place(arp);
    p.frame(Size::Word, ARP_TARGET_IP);
    p.store(Size::Word, R10, TARGET_IP, R0);
    p.frame(Size::Word, ARP);
    p.jump_if(R0, Test::NotEqual, ETHERNET_IPV4, drop);
    p.frame(Size::Half, ARP_LENGTHS);
    p.jump_if(R0, Test::NotEqual, SIX_AND_FOUR, drop);
    p.frame(Size::Word, ARP_SENDER_IP);
    p.store(Size::Word, R10, SENDER_IP, R0);
    p.frame(Size::Word, ARP_SENDER_MAC);
    p.copy(R7, R0);
    p.alu(R7, Alu::ShiftLeft, 16);
    p.frame(Size::Half, ARP_SENDER_MAC + 4);
    p.or(R7, R0);

    // Who speaks from the address of an entry?
    p.look_up(table, SENDER_IP);
    p.jump_if(R0, Test::Equal, 0, by_target);
    entry(&mut p);
    p.jump_if(R2, Test::Bits, ASKED, pass);
    p.jump_if_both(R1, Test::NotEqual, R7, pass);

    // Who asks for the address of an entry?
    p.place(by_target);
    p.frame(Size::Half, ARP_OPERATION);
    p.jump_if(R0, Test::NotEqual, REQUEST, drop);
    p.look_up(table, TARGET_IP);
    p.jump_if(R0, Test::Equal, 0, drop);
    entry(&mut p);
    p.jump_if_both(R1, Test::Equal, R7, drop);
    p.jump_if(R2, Test::Bits, HELD, pass);
    p.jump_if(R2, Test::Bits, PROBING, probed);
    p.exit(0);
    p.place(probed);
    p.load(Size::Word, R0, R10, SENDER_IP);
    p.jump_if(R0, Test::NotEqual, 0, drop); // no probe, but a question of somebody who has one

    p.place(pass);
    p.exit(-1);
    p.place(drop);
    p.exit(0);
    p.finish()
}

/// Splits the entry that R0 points to: R1 = the MAC address, R2 = the flags.
fn entry(p: &mut Program<Instruction>) {
    p.load(Size::Double, R1, R0, 0);
    p.copy(R2, R1);
    p.alu(R2, Alu::ShiftRight, MAC_BITS);
    p.alu(R1, Alu::ShiftLeft, 64 - MAC_BITS);
    p.alu(R1, Alu::ShiftRight, 64 - MAC_BITS);
}
