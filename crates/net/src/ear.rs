//! What a container is sent, heard on the host's end of its veth: DHCP replies and ARP answers, and
//! the same of IPv6: DHCPv6 replies, and advertisements of routers and neighbours.
//!
//! Sockets for that are opened and closed for each exchange of each container. The kernel checks
//! and translates a filter whenever it is attached, which takes longer than all the rest of making
//! such a socket. So this one is a program that is loaded once, and the sockets share it.

use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use socket2::Socket;

use crate::bpf::Program;
use crate::bpf::extended::{Instruction, R0, R1, R6, Size, Test};
use crate::bpf::system_call::{Loaded, load_socket_filter};
use crate::dhcp_reply::{Ways, dhcp_replies};
use crate::ipv6_control::{self, ETHERTYPE_IPV6};
use crate::{Filter, PacketSocket, Result, Sees};

impl PacketSocket {
    /// Opens a socket on a link in the namespace of the calling thread that hears what leaves by
    /// it, to whichever MAC address: whole UDP datagrams to port 68, as [`Filter::dhcp4_replies`],
    /// and ARP replies; UDP to port 546, and router and neighbour advertisements, as
    /// [`Filter::ipv6_control`].
    ///
    /// Where no BPF program can be loaded (without CAP_BPF or CAP_SYS_ADMIN, or without
    /// CONFIG_BPF_SYSCALL) it costs more, and passes what comes in, all other ARP and neighbour
    /// solicitations as well.
    ///
    /// # Errors
    /// As [`PacketSocket::open`].
    pub fn open_ear(ifindex: u32) -> Result<Self> {
        Self::open_with(ifindex, Sees::IncomingAndOutgoing, attach)
    }
}

fn attach(socket: &Socket) -> io::Result<()> {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    if LOADED.get().is_none() {
        match load_socket_filter("landfall_ear", &program()) {
            // Another thread may have been faster: theirs is the same.
            Ok(loaded) => drop(LOADED.set(loaded)),
            Err(error) => tracing::debug!(%error, "a classic filter for an ear"),
        }
    }
    match LOADED.get() {
        Some(loaded) => Ok(loaded.attach(socket.as_fd())?),
        None => socket.attach_filter(&Filter::ear().instructions()),
    }
}

// Offsets in the context (`struct __sk_buff`).
const PACKET_TYPE: i16 = 4;

// Offsets in the frame.
const ARP_OPERATION: i32 = 14 + 6;

const OUTGOING: i32 = libc::PACKET_OUTGOING as i32;
const REPLY: i32 = 2;

/// Returns how much of the frame passes.
fn program() -> Vec<Instruction> {
    let mut p = Program::new();
    let [arp, other, pass, drop] = std::array::from_fn(|_| p.label());
    p.copy(R6, R1);
    p.load(Size::Word, R0, R6, PACKET_TYPE);
    p.jump_if(R0, Test::NotEqual, OUTGOING, drop);
    dhcp_replies(&mut p, Ways { arp, other, pass, drop });

    p.place(other);
    p.jump_if(R0, Test::NotEqual, ETHERTYPE_IPV6, drop);
    let ways = ipv6_control::Ways { solicitation: drop, advertisement: pass, pass, drop };
    ipv6_control::ipv6_control(&mut p, ways);

    p.place(arp);
    p.frame(Size::Half, ARP_OPERATION);
    p.jump_if(R0, Test::NotEqual, REPLY, drop);
    p.place(pass);
    p.exit(-1);
    p.place(drop);
    p.exit(0);
    p.finish()
}
