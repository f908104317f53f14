//! What a port on a segment hears of IPv6: DHCPv6 replies, router advertisements, and neighbour
//! discovery about the addresses in a table.
//!
//! Neighbour solicitations go to multicast groups that many addresses share, and a port that gets
//! all multicast is given those of the whole LAN. As with ARP ([`crate::port_table`]), a program
//! that is attached once looks up in the kernel whether one matters.

use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::bpf::Program;
use crate::bpf::extended::{Instruction, R0, R1, R6, R10, Size, Test};
use crate::bpf::system_call::{Loaded, Table, lacking, load_socket_filter};
use crate::ipv6_control::{ETHERTYPE_IPV6, TARGET_LOW, Ways, ipv6_control};
use crate::segment_frame::segment_frame;
use crate::{Error, PacketSocket, Result};

/// A table of IPv6 addresses, by their last 32 bits, and the program that lets through to a
/// [`PacketSocket`] what concerns them; see [`PacketSocket::set_neighbour_table`].
///
/// What passes, untagged or with a tag that names no VLAN, and without extension headers:
///
/// - UDP to port 546, a DHCPv6 client's;
/// - ICMPv6 router advertisements with hop limit 255;
/// - ICMPv6 neighbour solicitations and advertisements with hop limit 255 whose target address
///   ends with 32 bits that are in the table.
///
/// Addresses that happen to end alike wake the reader for one another, and no more: whoever reads
/// looks at the whole target. An entry is there or not; who watches two addresses that end alike,
/// as a link-local and a global one made from the same MAC do, counts them.
///
/// A change counts from the next frame on. Any thread may make it; it costs one system call of
/// about two microseconds. The empty table takes 16 bytes of kernel memory for each address it
/// has room for, an entry about 70 more.
#[derive(Debug)]
pub struct NeighbourTable {
    table: Table,
    program: Loaded,
    capacity: u32,
}

impl NeighbourTable {
    /// Makes an empty table with room for that many endings of addresses, at least one.
    ///
    /// # Errors
    /// As [`crate::PortTable::new`]. [`crate::Filter::ipv6_control`] then does in its place: it
    /// lets all neighbour solicitations and advertisements through.
    pub fn new(capacity: u32) -> Result<Self> {
        let fail = |e: Errno| {
            let needs = lacking(e);
            Error::os(
                format!("make a BPF filter with a table of {capacity} IPv6 addresses{needs}"),
                e,
            )
        };
        let table = Table::new("landfall_nd", capacity).map_err(fail)?;
        let program = load_socket_filter("landfall_nd", &program(table.fd())).map_err(fail)?;
        Ok(Self { table, program, capacity })
    }

    /// Neighbour discovery about addresses that end with these 32 bits is to be heard: the last
    /// four bytes in network byte order, [`std::net::Ipv6Addr::to_bits`] cut off. Again does
    /// nothing.
    ///
    /// # Errors
    /// E2BIG when the table is full; ENOMEM.
    pub fn set(&self, low32: u32) -> Result<()> {
        self.table.set(low32, 0).map_err(|e| {
            let tried = format!(
                "watch IPv6 addresses that end with {low32:08x} in a table of {}",
                self.capacity
            );
            Error::os(tried, e)
        })
    }

    /// Nothing more is to be heard about such addresses. An ending that is not in the table is
    /// fine.
    ///
    /// # Errors
    /// None in practice.
    pub fn remove(&self, low32: u32) -> Result<()> {
        match self.table.remove(low32) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => {
                let tried = format!("watch IPv6 addresses that end with {low32:08x} no more");
                Err(Error::os(tried, e))
            }
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
    pub fn set_neighbour_table(&self, table: &NeighbourTable) -> Result<()> {
        table.program.attach(self.as_fd()).map_err(|e| {
            let tried =
                format!("attach the BPF filter with a table for IPv6 on link {}", self.ifindex());
            Error::os(tried, e)
        })
    }
}

/// Where the table's key is on the stack.
const KEY: i16 = -4;

/// The program over the table with that descriptor. It returns how much of the frame passes.
fn program(table: i32) -> Vec<Instruction> {
    let mut p = Program::new();
    let [about, pass, drop] = std::array::from_fn(|_| p.label());
    p.copy(R6, R1);
    segment_frame(&mut p, drop);
    p.jump_if(R0, Test::NotEqual, ETHERTYPE_IPV6, drop);
    ipv6_control(&mut p, Ways { solicitation: about, advertisement: about, pass, drop });

    p.place(about);
    p.frame(Size::Word, TARGET_LOW);
    p.store(Size::Word, R10, KEY, R0);
    p.look_up(table, KEY);
    p.jump_if(R0, Test::Equal, 0, drop);
    p.place(pass);
    p.exit(-1);
    p.place(drop);
    p.exit(0);
    p.finish()
}
