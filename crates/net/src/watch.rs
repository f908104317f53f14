//! Link changes as they happen.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;

use crate::async_fd::Readable;
use crate::{Error, Link, Netns, PortState, Result};

/// `RTMGRP_LINK`, the group as a bit.
const LINK_GROUP: u32 = 1;

/// Room for some thousand notices, so that the start of many containers at once is no overrun.
const QUEUE_BYTES: usize = 4 << 20;

/// What happened to a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// It is new, or something of it is.
    Changed(Link),
    /// A bridge port came into another spanning-tree state.
    PortState {
        /// The port.
        index: u32,
        /// Its bridge.
        master: Option<u32>,
        /// The state now.
        state: PortState,
    },
    /// It was removed, or moved to another namespace.
    Removed {
        /// The index it had.
        index: u32,
        /// The name it had.
        name: String,
    },
    /// Notices were lost: whatever is believed about links must be asked for again.
    Resync,
}

/// Tells of every link change in one network namespace.
#[derive(Debug)]
pub struct LinkWatch {
    socket: Readable,
    seen: VecDeque<LinkChange>,
    buffer: Vec<u8>,
}

impl LinkWatch {
    /// Watches the links in the namespace of the calling thread, from now on.
    ///
    /// # Errors
    /// When no runtime is entered, or no socket is to be had.
    pub fn here() -> Result<Self> {
        let tried = "watch links";
        let fd = subscribed().map_err(|e| Error::os(tried, e))?;
        let socket = Readable::new(fd).map_err(|e| Error::os(tried, e))?;
        // The kernel sends no notice larger than 32 KiB.
        Ok(Self { socket, seen: VecDeque::new(), buffer: vec![0; 32 << 10] })
    }

    /// Watches the links of another network namespace.
    ///
    /// # Errors
    /// As [`LinkWatch::here`] and [`Netns::run`].
    pub fn in_netns(netns: &Netns) -> Result<Self> {
        netns.run(Self::here)?
    }

    /// Waits for the next change. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the socket fails, which nothing is known to cause.
    pub async fn next(&mut self) -> Result<LinkChange> {
        loop {
            if let Some(change) = self.seen.pop_front() {
                return Ok(change);
            }
            let mut ready =
                self.socket.ready().await.map_err(|e| Error::os("wait for link changes", e))?;
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(len) => {
                    let datagram = self.buffer.get(..len).unwrap_or_default();
                    messages(datagram).for_each(|message| self.seen.extend(read(message)));
                }
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => {
                    self.discard();
                    return Ok(LinkChange::Resync);
                }
                Err(e) => return Err(Error::os("read link changes", e)),
            }
        }
    }
}

impl LinkWatch {
    /// Empties the queue. Once it has overflowed the kernel drops all further notices, without
    /// another error, until it was empty: what happens after the caller has asked for everything
    /// again would be missed.
    fn discard(&mut self) {
        self.seen.clear();
        let fd = self.socket.as_raw_fd();
        while !matches!(
            recv(fd, &mut self.buffer, MsgFlags::MSG_DONTWAIT),
            Err(error) if error != Errno::ENOBUFS && error != Errno::EINTR
        ) {}
    }
}

fn subscribed() -> nix::Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    // Beyond the limit for everybody, which needs CAP_NET_ADMIN; a smaller queue works too.
    if let Err(error) = setsockopt(&fd, sockopt::RcvBufForce, &QUEUE_BYTES) {
        tracing::debug!(%error, "link changes get a receive queue of the default size");
    }
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, LINK_GROUP))?;
    Ok(fd)
}

/// Cuts a datagram into its netlink messages, headers included.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*datagram.first_chunk()?)).ok()?;
        let message = datagram.get(..length).filter(|_| length >= 16)?;
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// What one notice says; `None` when it is nothing of ours.
fn read(message: &[u8]) -> Option<LinkChange> {
    const FAMILY: usize = 16; // first field after the netlink header
    if message.get(FAMILY).copied() == Some(libc::AF_BRIDGE as u8) {
        return read_port(message);
    }
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message).map(|m| m.payload) {
        Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message))) => {
            Some(LinkChange::Changed(message.into()))
        }
        Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message))) => {
            let link = Link::from(message);
            Some(LinkChange::Removed { index: link.index, name: link.name })
        }
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(%error, "a link notice that cannot be read");
            Some(LinkChange::Resync)
        }
    }
}

/// A bridge's own notice about a port. Only the state is of interest: everything else comes in an
/// ordinary notice as well, above all that a port has left its bridge, which here looks like the
/// removal of the link.
fn read_port(message: &[u8]) -> Option<LinkChange> {
    const RTM_NEWLINK: [u8; 2] = libc::RTM_NEWLINK.to_ne_bytes();
    const IFLA_BRPORT_STATE: u16 = 1;
    if message.get(4..6)? != RTM_NEWLINK {
        return None;
    }
    let index = u32::from_ne_bytes(*message.get(20..)?.first_chunk()?);
    let mut master = None;
    let mut state = None;
    for (kind, value) in attributes(message.get(32..)?) {
        match kind {
            libc::IFLA_MASTER => master = value.first_chunk().map(|raw| u32::from_ne_bytes(*raw)),
            libc::IFLA_PROTINFO => {
                state = attributes(value)
                    .find(|(kind, _)| *kind == IFLA_BRPORT_STATE)
                    .and_then(|(_, value)| PortState::from_raw(*value.first()?));
            }
            _ => {}
        }
    }
    Some(LinkChange::PortState { index, master, state: state? })
}

/// The attributes (type without flag bits, value) in a buffer, up to the first broken one.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const TYPE_MASK: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let &[len_low, len_high, kind_low, kind_high, ..] = rest else { return None };
        let length = usize::from(u16::from_ne_bytes([len_low, len_high]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([kind_low, kind_high]) & TYPE_MASK, value))
    })
}
