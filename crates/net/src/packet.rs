//! Raw Ethernet: `AF_PACKET` sockets with a filter (packet(7)).

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use socket2::{Domain, SockRef, Socket, Type};
use wire::MacAddr;
use wire::frame::Checksum;

use crate::async_fd::Readable;
use crate::closer::close_later;
use crate::{Error, Filter, Netns, Result};

/// Which frames of a link a socket is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Those that come in by the link.
    Incoming,
    /// Those that leave by it too: on the host's end of a container's veth these are what the
    /// container receives.
    IncomingAndOutgoing,
}

/// Which frames a network card lets in besides its own and broadcasts. Ends with the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// All of them (`PACKET_MR_PROMISC`).
    Promiscuous,
    /// All that is sent to groups (`PACKET_MR_ALLMULTI`).
    AllMulticast,
    /// Those to this address too (`PACKET_MR_UNICAST`).
    Unicast(MacAddr),
}

/// A received frame; its bytes are in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Length from the Ethernet header on, without a VLAN tag.
    pub len: usize,
    /// Whether transport checksums are filled in.
    pub checksum: Checksum,
    /// It was leaving by the link, not coming in.
    pub outgoing: bool,
}

/// A raw socket on one link. Frames begin with their Ethernet header.
#[derive(Debug)]
pub struct PacketSocket {
    socket: ManuallyDrop<Readable>,
    ifindex: u32,
}

impl PacketSocket {
    /// Opens a socket on a link in the namespace of the calling thread, registered with the
    /// current tokio runtime. No frame reaches it that has not passed the filter.
    ///
    /// On a link that is down this succeeds, and the first [`PacketSocket::recv`] tells.
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is no such link; EPERM without CAP_NET_RAW.
    pub fn open(ifindex: u32, filter: &Filter, sees: Sees) -> Result<Self> {
        Self::open_with(ifindex, sees, |socket| socket.attach_filter(&filter.instructions()))
    }

    /// The same with a filter that `attach` attaches.
    pub(crate) fn open_with(
        ifindex: u32,
        sees: Sees,
        attach: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> Result<Self> {
        let fail = |e| Error::os(format!("open a packet socket on link {ifindex}"), e);
        let socket = bound(ifindex, sees, attach).map_err(fail)?;
        let socket = Readable::new(socket.into()).map_err(fail)?;
        Ok(Self { socket: ManuallyDrop::new(socket), ifindex })
    }

    /// The same on a link of another network namespace.
    ///
    /// # Errors
    /// As [`PacketSocket::open`] and [`Netns::run`].
    pub fn open_in(netns: &Netns, ifindex: u32, filter: &Filter, sees: Sees) -> Result<Self> {
        netns.run(|| Self::open(ifindex, filter, sees))?
    }

    /// The link it is on.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Waits for the next frame. One that is longer than the buffer is cut off.
    ///
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`Error::is_down`], once each time the link goes down or is removed. A link that comes up
    /// again goes on being heard; one that was removed is not heard of again.
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<Received> {
        let fail = |e| Error::os(format!("receive on link {}", self.ifindex), e);
        loop {
            let mut ready = self.socket.ready().await.map_err(fail)?;
            match receive(self.socket.as_raw_fd(), buffer) {
                Ok(received) => return Ok(received),
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(fail(e.into())),
            }
        }
    }

    /// The next frame, if one has come; otherwise as [`PacketSocket::recv`].
    ///
    /// # Errors
    /// As [`PacketSocket::recv`].
    pub fn try_recv(&self, buffer: &mut [u8]) -> Result<Option<Received>> {
        match receive(self.socket.as_raw_fd(), buffer) {
            Ok(received) => Ok(Some(received)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(e) => {
                Err(Error::os(format!("receive on link {}", self.ifindex), io::Error::from(e)))
            }
        }
    }

    /// Sends a frame, Ethernet header included, without waiting.
    ///
    /// # Errors
    /// [`Error::is_full`] when a queue is full and the frame was dropped; [`Error::is_down`];
    /// [`Error::is_not_found`] when the link was removed; EMSGSIZE beyond the MTU.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        loop {
            match send(self.socket.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(e) => {
                    let tried = format!("send {} bytes on link {}", frame.len(), self.ifindex);
                    return Err(Error::os(tried, e));
                }
            }
        }
    }

    /// Puts another filter in the place of the present one. Frames that passed the old one and
    /// have not been received yet are still delivered.
    ///
    /// # Errors
    /// ENOMEM, where the administrator has set `net.core.optmem_max` very low.
    pub fn set_filter(&self, filter: &Filter) -> Result<()> {
        SockRef::from(self)
            .attach_filter(&filter.instructions())
            .map_err(|e| Error::os(format!("change the packet filter on link {}", self.ifindex), e))
    }

    /// Makes the network card let in more than is meant for it, until the socket is closed.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn add_membership(&self, membership: Membership) -> Result<()> {
        let fail = |e| Error::os(format!("add {membership:?} to link {}", self.ifindex), e);
        self.change_membership(libc::PACKET_ADD_MEMBERSHIP, membership).map_err(fail)
    }

    /// Takes back one [`PacketSocket::add_membership`]; it counts how often each was added. One that was
    /// not is fine.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn drop_membership(&self, membership: Membership) -> Result<()> {
        let fail = |e| Error::os(format!("take {membership:?} from link {}", self.ifindex), e);
        self.change_membership(libc::PACKET_DROP_MEMBERSHIP, membership).map_err(fail)
    }

    fn change_membership(&self, change: i32, membership: Membership) -> io::Result<()> {
        // SAFETY: an all-zero `packet_mreq` is valid, plain data.
        let mut request: libc::packet_mreq = unsafe { std::mem::zeroed() };
        request.mr_ifindex = self.ifindex.cast_signed();
        request.mr_type = match membership {
            Membership::Promiscuous => libc::PACKET_MR_PROMISC,
            Membership::AllMulticast => libc::PACKET_MR_ALLMULTI,
            Membership::Unicast(mac) => {
                request.mr_alen = 6;
                for (to, from) in request.mr_address.iter_mut().zip(mac.0) {
                    *to = from;
                }
                PACKET_MR_UNICAST
            }
        } as u16;
        set_option(self.socket.as_raw_fd(), change, &request)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is owned by `self`, which is borrowed as long as the result.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}

impl Drop for PacketSocket {
    fn drop(&mut self) {
        // SAFETY: `drop` runs once, and nothing uses the field after it.
        let socket = unsafe { ManuallyDrop::take(&mut self.socket) };
        close_later(socket.into_inner());
    }
}

const PACKET_MR_UNICAST: i32 = 3; // linux/if_packet.h; libc has it for some targets only

/// A filtered socket, bound last: made with a protocol it would hear everything before it has its
/// filter, and `bind` would wait 8 ms for an RCU grace period.
fn bound(
    ifindex: u32,
    sees: Sees,
    attach: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
    let fd = socket.as_raw_fd();
    set_option(fd, libc::PACKET_AUXDATA, &1_i32)?;
    if sees == Sees::Incoming {
        set_option(fd, libc::PACKET_IGNORE_OUTGOING, &1_i32)?;
    }
    attach(&socket)?;
    // SAFETY: an all-zero `sockaddr_ll` is valid, plain data.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = ifindex.cast_signed();
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` is a valid `sockaddr_ll` of that length and outlives the call.
    let result = unsafe { libc::bind(fd, (&raw const address).cast(), length) };
    Errno::result(result)?;
    Ok(socket)
}

/// Sets an option of level SOL_PACKET. `T` must be what the option takes.
fn set_option<T: Copy>(fd: RawFd, option: i32, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer is to `length` readable bytes that outlive the call.
    let result = unsafe {
        libc::setsockopt(fd, libc::SOL_PACKET, option, std::ptr::from_ref(value).cast(), length)
    };
    Errno::result(result)?;
    Ok(())
}

/// Room for one `tpacket_auxdata` control message, aligned for its header.
#[repr(C, align(8))]
struct Control([u8; 64]);

fn receive(fd: RawFd, buffer: &mut [u8]) -> nix::Result<Received> {
    let mut control = Control([0; 64]);
    // SAFETY: all-zero `sockaddr_ll` and `msghdr` are valid, plain data.
    let (mut address, mut message): (libc::sockaddr_ll, libc::msghdr) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    message.msg_name = (&raw mut address).cast();
    message.msg_namelen = size_of_val(&address) as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the message points to a frame buffer, an address and a control buffer of the given
    // lengths, all of which outlive the call.
    let length = unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT) };
    let length = Errno::result(length)?;
    Ok(Received {
        len: usize::try_from(length).unwrap_or(0),
        checksum: checksum(&message),
        outgoing: address.sll_pkttype == libc::PACKET_OUTGOING,
    })
}

/// What the kernel says of the checksum. A missing word means that it is there.
fn checksum(message: &libc::msghdr) -> Checksum {
    // SAFETY: the message was filled in by `recvmsg` and its control buffer is still there, so
    // the CMSG functions walk over valid, aligned headers within it. The data is read unaligned
    // and only when its header says that all of a `tpacket_auxdata` is there.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let wanted = libc::CMSG_LEN(size_of::<libc::tpacket_auxdata>() as u32) as usize;
            if (*header).cmsg_level == libc::SOL_PACKET
                && (*header).cmsg_type == libc::PACKET_AUXDATA
                && (*header).cmsg_len as usize >= wanted
            {
                let data: libc::tpacket_auxdata =
                    std::ptr::read_unaligned(libc::CMSG_DATA(header).cast());
                if data.tp_status & libc::TP_STATUS_CSUMNOTREADY != 0 {
                    return Checksum::Partial;
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    Checksum::Verify
}
