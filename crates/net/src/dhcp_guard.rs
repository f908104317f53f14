//! A container that plays DHCP server or router is not heard: a tc filter on the host's end of
//! its veth drops what it says as one.
//!
//! The filter is on our own link (`clsact`, direction ingress: what comes out of the container),
//! not in the host's firewall, and runs before a bridge gets the frame. It drops, untagged or
//! inside of up to two VLAN tags:
//!
//! - IPv4 UDP from port 67 or to port 68: what DHCP servers and relays send. A client accepts an
//!   offer from any port;
//! - IPv6 UDP from port 547 or to port 546 (RFC 8415 §7.2);
//! - ICMPv6 router advertisements and redirects (RFC 4861 §4.2, §4.5);
//! - of these and all that could be these, frames that end before it shows: a first fragment
//!   without the header in question, a chain of more than three IPv6 extension headers
//!   (RFC 7112, RFC 7113). Later fragments pass and come to nothing without the first.
//!
//! A container's own DISCOVERs, Solicits and router solicitations pass.
//!
//! The program is classic BPF, which needs CAP_NET_ADMIN and nothing else.

use std::collections::HashMap;

use nix::errno::Errno;
use rtnetlink::packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcMessage, TcOption, TcStats2,
};

use crate::bpf::classic::{
    A_FROM_X, ADD, ADD_X, AND, BYTE_BEHIND_X, CONSTANT, FROM_MEMORY, HALF, HALF_BEHIND_X,
    Instruction, JUMP_IF_BITS, JUMP_IF_EQUAL, LENGTH, RETURN, SHIFT_LEFT, SUBTRACT, SUBTRACT_X,
    TO_MEMORY, X, X_FROM_A,
};
use crate::bpf::{Label, Program};
use crate::{Error, Netlink, Result};

// linux/pkt_cls.h
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TC_ACT_SHOT: u32 = 2;
/// Other filters on the link have their say; without any, the frame passes.
const TC_ACT_UNSPEC: u32 = u32::MAX;

/// Before others' filters, which could let a frame pass for good.
const PRIORITY: u16 = 1;
/// Tells our filter from others of this priority: it takes the place of its like only.
const HANDLE: u32 = 0x4c46;

impl Netlink {
    /// Drops what comes in by a link from a DHCP server or router; see [`crate::dhcp_guard`].
    /// Meant for the host's end of a container's veth, before it is up. Again does nothing.
    ///
    /// It ends with the link.
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is no such link; EOPNOTSUPP when the kernel lacks
    /// CONFIG_NET_SCH_INGRESS or CONFIG_NET_CLS_BPF; [`Error::is_denied`] without CAP_NET_ADMIN.
    pub async fn guard_dhcp(&self, ifindex: u32) -> Result<()> {
        let tried = format!("drop DHCP server traffic from link {ifindex}");
        let mut qdisc = message(ifindex, TcHandle::CLSACT);
        qdisc.header.handle = TcHandle { major: TcHandle::CLSACT.major, minor: 0 };
        qdisc.attributes.push(TcAttribute::Kind("clsact".to_owned()));
        let made = self
            .change(
                RouteNetlinkMessage::NewQueueDiscipline(qdisc),
                NLM_F_CREATE | NLM_F_EXCL,
                &format!("{tried} (needs CONFIG_NET_SCH_INGRESS)"),
            )
            .await;
        match made {
            Err(e) if !e.is_exists() => return Err(lacking(e)),
            _ => {}
        }

        let ingress = TcHandle { major: TcHandle::CLSACT.major, minor: TcHandle::MIN_INGRESS };
        let mut filter = message(ifindex, ingress);
        filter.header.handle = HANDLE.into();
        filter.header.info =
            u32::from(PRIORITY) << 16 | u32::from((libc::ETH_P_ALL as u16).to_be());
        let program = program();
        let length = u16::try_from(program.len()).unwrap_or(u16::MAX);
        let program = program.into_iter().flat_map(Instruction::bytes).collect();
        filter.attributes.push(TcAttribute::Kind("bpf".to_owned()));
        filter.attributes.push(TcAttribute::Options(
            [
                TcFilterBpfOption::Other(DefaultNla::new(
                    TCA_BPF_OPS_LEN,
                    length.to_ne_bytes().to_vec(),
                )),
                TcFilterBpfOption::Other(DefaultNla::new(TCA_BPF_OPS, program)),
                TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
            ]
            .map(TcOption::Bpf)
            .to_vec(),
        ));
        self.change(
            RouteNetlinkMessage::NewTrafficFilter(filter),
            NLM_F_CREATE | NLM_F_REPLACE,
            &format!("{tried} (needs CONFIG_NET_CLS_BPF)"),
        )
        .await
        .map_err(lacking)
    }

    /// How many frames were dropped on each link that has a guard, by link index: the drops of its
    /// `clsact`, which are those of others' filters there too. The kernel counts in 32 bits.
    ///
    /// Links whose `clsact` is somebody else's are among them.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn guard_drops(&self) -> Result<HashMap<u32, u32>> {
        let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
        let drops = self.dump(request, "count what DHCP guards dropped", |answer| match answer {
            RouteNetlinkMessage::NewQueueDiscipline(qdisc)
                if qdisc.header.parent == TcHandle::CLSACT =>
            {
                Some((qdisc.header.index.cast_unsigned(), drops(&qdisc)?))
            }
            _ => None,
        });
        Ok(drops.await?.into_iter().collect())
    }
}

fn drops(qdisc: &TcMessage) -> Option<u32> {
    qdisc.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Stats2(stats) => stats.iter().find_map(|stats| match stats {
            TcStats2::Queue(queue) => Some(queue.drops),
            _ => None,
        }),
        _ => None,
    })
}

fn message(ifindex: u32, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::with_index(ifindex.cast_signed());
    message.header.parent = parent;
    message
}

/// The kernel calls a missing qdisc or classifier ENOENT, and a missing link ENODEV. Only the
/// latter is something that was not found.
fn lacking(error: Error) -> Error {
    match error {
        Error::Os { tried, detail, source }
            if source.raw_os_error() == Some(Errno::ENOENT as i32) =>
        {
            Error::Os { tried, detail, source: Errno::EOPNOTSUPP.into() }
        }
        other => other,
    }
}

// Offsets in the frame.
const ETHERTYPE: u32 = 12;
const ETHERNET_HEADER: u32 = 14;
// Behind X, which is where the header in question begins.
const TAGGED_ETHERTYPE: u32 = 2;
const SNAP_ETHERTYPE: u32 = 6;
const IPV4_FRAGMENT: u32 = 6;
const IPV4_PROTOCOL: u32 = 9;
const IPV6_NEXT_HEADER: u32 = 6;
const OPTIONS_LENGTH: u32 = 1;
const FRAGMENT_OFFSET: u32 = 2;
const UDP_SOURCE: u32 = 0;
const UDP_DESTINATION: u32 = 2;

const VLAN_HEADER: u32 = 4;
const IPV6_HEADER: u32 = 40;
/// The least length of all headers that may follow IP's.
const LEAST: u32 = 8;

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const VLAN_TAGS: [u32; 2] = [0x8100, 0x88a8];
/// The service access points of SNAP, which says an ethertype behind them (IEEE 802).
const SNAP: u32 = 0xaaaa;
/// No length of a frame has one of these bits, and all ethertypes in use have.
const NO_LENGTH: u32 = 0xf800;

const UDP: u32 = 17;
const ICMPV6: u32 = 58;
/// Hop-by-hop options, routing, destination options: a type, a length, and so on (RFC 8200 §4).
const OPTIONS: [u32; 3] = [0, 43, 60];
const FRAGMENT: u32 = 44;
const MOST_EXTENSIONS: usize = 3;

const ROUTER_ADVERTISEMENT: u32 = 134;
const REDIRECT: u32 = 137;

/// The word of the machine's memory that holds what type the header at X has.
const TYPE: u32 = 0;

/// Returns what tc is to do with a frame. A frame that ends before an unchecked load ends the
/// program with 0, `TC_ACT_OK`: it passes.
fn program() -> Vec<Instruction> {
    let mut p = Program::new();
    let [tag, untagged, ipv4, ipv6, udp4, udp6, icmpv6, pass, drop] =
        std::array::from_fn(|_| p.label());

    p.put(X, ETHERNET_HEADER);
    p.put(HALF, ETHERTYPE);
    // The outermost tag is not in the bytes any more: the kernel has taken it out.
    for ethertype in VLAN_TAGS {
        p.jump_if(JUMP_IF_EQUAL, ethertype, tag);
    }
    p.jump(untagged);
    p.place(tag);
    p.put(HALF_BEHIND_X, TAGGED_ETHERTYPE);
    p.put(X, ETHERNET_HEADER + VLAN_HEADER);
    p.place(untagged);
    p.jump_if(JUMP_IF_EQUAL, IPV4, ipv4);
    p.jump_if(JUMP_IF_EQUAL, IPV6, ipv6);
    // Kernels take off tag behind tag, and other systems take IP behind SNAP: what no container has to say is not looked
    // into (CVE-2021-27853 and those beside it).
    for ethertype in VLAN_TAGS {
        p.jump_if(JUMP_IF_EQUAL, ethertype, drop);
    }
    p.jump_if(JUMP_IF_BITS, NO_LENGTH, pass);
    p.put(HALF_BEHIND_X, 0);
    p.jump_unless(JUMP_IF_EQUAL, SNAP, pass);
    p.put(HALF_BEHIND_X, SNAP_ETHERTYPE);
    for ethertype in [IPV4, IPV6].into_iter().chain(VLAN_TAGS) {
        p.jump_if(JUMP_IF_EQUAL, ethertype, drop);
    }
    p.jump(pass);

    p.place(ipv4);
    p.put(BYTE_BEHIND_X, IPV4_PROTOCOL);
    p.jump_unless(JUMP_IF_EQUAL, UDP, pass);
    p.put(HALF_BEHIND_X, IPV4_FRAGMENT);
    p.jump_if(JUMP_IF_BITS, 0x1fff, pass); // a later fragment
    p.put(BYTE_BEHIND_X, 0);
    p.put(AND, 0xf);
    p.put(SHIFT_LEFT, 2);
    p.put(ADD_X, 0);
    p.put(X_FROM_A, 0);
    p.jump(udp4);

    p.place(ipv6);
    p.put(BYTE_BEHIND_X, IPV6_NEXT_HEADER);
    p.put(TO_MEMORY, TYPE);
    p.put(A_FROM_X, 0);
    p.put(ADD, IPV6_HEADER);
    p.put(X_FROM_A, 0);
    for _ in 0..MOST_EXTENSIONS {
        let [extension, options, next] = std::array::from_fn(|_| p.label());
        p.put(FROM_MEMORY, TYPE);
        p.jump_if(JUMP_IF_EQUAL, UDP, udp6);
        p.jump_if(JUMP_IF_EQUAL, ICMPV6, icmpv6);
        for header in OPTIONS {
            p.jump_if(JUMP_IF_EQUAL, header, extension);
        }
        p.jump_unless(JUMP_IF_EQUAL, FRAGMENT, pass);
        p.place(extension);
        whole_header(&mut p, drop);
        p.put(FROM_MEMORY, TYPE);
        p.jump_unless(JUMP_IF_EQUAL, FRAGMENT, options);
        p.put(HALF_BEHIND_X, FRAGMENT_OFFSET);
        p.jump_if(JUMP_IF_BITS, 0xfff8, pass); // a later fragment
        p.put(BYTE_BEHIND_X, 0);
        p.put(TO_MEMORY, TYPE);
        p.put(CONSTANT, LEAST);
        p.jump(next);
        p.place(options);
        p.put(BYTE_BEHIND_X, 0);
        p.put(TO_MEMORY, TYPE);
        p.put(BYTE_BEHIND_X, OPTIONS_LENGTH); // in units of 8 bytes, without the first
        p.put(ADD, 1);
        p.put(SHIFT_LEFT, 3);
        p.place(next);
        p.put(ADD_X, 0);
        p.put(X_FROM_A, 0);
    }
    p.put(FROM_MEMORY, TYPE);
    p.jump_if(JUMP_IF_EQUAL, UDP, udp6);
    p.jump_if(JUMP_IF_EQUAL, ICMPV6, icmpv6);
    for header in OPTIONS {
        p.jump_if(JUMP_IF_EQUAL, header, drop);
    }
    p.jump_if(JUMP_IF_EQUAL, FRAGMENT, drop);
    p.jump(pass);

    p.place(udp4);
    servers_port(&mut p, 67, 68, drop, pass);
    p.place(udp6);
    servers_port(&mut p, 547, 546, drop, pass);

    p.place(icmpv6);
    whole_header(&mut p, drop);
    p.put(BYTE_BEHIND_X, 0);
    p.jump_if(JUMP_IF_EQUAL, ROUTER_ADVERTISEMENT, drop);
    p.jump_if(JUMP_IF_EQUAL, REDIRECT, drop);

    p.place(pass);
    p.put(RETURN, TC_ACT_UNSPEC);
    p.place(drop);
    p.put(RETURN, TC_ACT_SHOT);
    p.finish()
}

/// Drops a frame that ends before a header at X can be whole. Spoils A.
fn whole_header(p: &mut Program<Instruction>, drop: Label) {
    p.put(LENGTH, 0);
    p.put(SUBTRACT_X, 0);
    p.put(SUBTRACT, LEAST);
    p.jump_if(JUMP_IF_BITS, 1 << 31, drop); // below zero
}

/// Decides about a UDP header at X by what only servers send.
fn servers_port(p: &mut Program<Instruction>, server: u32, client: u32, drop: Label, pass: Label) {
    whole_header(p, drop);
    p.put(HALF_BEHIND_X, UDP_SOURCE);
    p.jump_if(JUMP_IF_EQUAL, server, drop);
    p.put(HALF_BEHIND_X, UDP_DESTINATION);
    p.jump_if(JUMP_IF_EQUAL, client, drop);
    p.jump(pass);
}

#[cfg(test)]
mod tests;
