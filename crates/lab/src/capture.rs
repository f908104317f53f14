//! What passes an interface: a packet socket in its namespace.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
    recvmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeSpec, TimeVal, TimeValLike};

use crate::{Error, Frame, Namespace, Result};

/// `PACKET_OUTGOING` of linux/if_packet.h.
const OUTGOING: u8 = 4;

/// A capture in progress; it ends with this value.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    frames: Mutex<Vec<Frame>>,
    news: Condvar,
    stop: AtomicBool,
}

impl Capture {
    /// Captures all frames, in and out, of `interface` in `net` from now on.
    pub fn start(net: &Namespace, interface: &str) -> Result<Self> {
        let what = || format!("capturing on {interface} in {}", net.name());
        let (fd, index) = net.enter(|| open(interface))?.map_err(Error::sys(what()))?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let reader = thread::Builder::new()
            .name("lab-capture".into())
            .spawn(move || read(&fd, index, &theirs))
            .map_err(Error::io(what()))?;
        Ok(Self { shared, reader: Some(reader) })
    }

    /// All frames so far, in the order the kernel saw them.
    pub fn frames(&self) -> Vec<Frame> {
        self.shared.lock().clone()
    }

    /// How many frames there are: a mark for [`Self::wait_after`].
    pub fn mark(&self) -> usize {
        self.shared.lock().len()
    }

    /// What `pick` makes of the frames that it wants, such as `Frame::dhcp`.
    pub fn pick<T>(&self, pick: impl Fn(&Frame) -> Option<T>) -> Vec<T> {
        self.shared.lock().iter().filter_map(pick).collect()
    }

    /// The first frame, old or new, that `wanted` accepts; `what` names it in the error.
    pub fn wait_for(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Frame) -> bool,
    ) -> Result<Frame> {
        self.wait_after(0, what, timeout, wanted)
    }

    /// The same among the frames from `mark` on.
    pub fn wait_after(
        &self,
        mark: usize,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Frame) -> bool,
    ) -> Result<Frame> {
        let until = Instant::now() + timeout;
        let mut frames = self.shared.lock();
        let mut read = mark;
        loop {
            if let Some(frame) = frames.iter().skip(read).find(|frame| wanted(frame)) {
                return Ok(frame.clone());
            }
            read = frames.len().max(mark);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let dhcp: Vec<_> = frames.iter().skip(mark).filter_map(Frame::dhcp).collect();
                let dhcp6: Vec<_> = frames.iter().skip(mark).filter_map(Frame::dhcp6).collect();
                return Err(Error::TimedOut {
                    what: format!("{what} among the captured frames"),
                    after: timeout,
                    seen: format!(
                        "{} frames; DHCP: {dhcp:#?}; DHCPv6: {dhcp6:#?}",
                        frames.len() - mark.min(frames.len())
                    ),
                });
            }
            let woken = self.shared.news.wait_timeout(frames, left);
            frames = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Frame>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(interface: &str) -> nix::Result<(OwnedFd, usize)> {
    let index = if_nametoindex(interface)?;
    let fd =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&fd, sockopt::RcvBufForce, &(16 << 20))?;
    setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
    // So that the reader looks now and then whether it shall end.
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50))?;
    Ok((fd, usize::try_from(index).unwrap_or(usize::MAX)))
}

fn read(fd: &OwnedFd, index: usize, shared: &Shared) {
    let mut buffer = vec![0_u8; 1 << 16];
    let mut control = nix::cmsg_space!(TimeSpec);
    while !shared.stop.load(Ordering::Relaxed) {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::empty();
        let frame = match recvmsg::<LinkAddr>(fd.as_raw_fd(), &mut parts, Some(&mut control), flags)
        {
            Ok(message) => {
                let address = message.address;
                if address.is_none_or(|a| a.ifindex() != index) {
                    continue; // the socket hears all interfaces of the namespace
                }
                let stamp = message.cmsgs().into_iter().flatten().find_map(|c| match c {
                    ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                    _ => None,
                });
                let at = stamp.map_or_else(SystemTime::now, |at| SystemTime::UNIX_EPOCH + at);
                let outgoing = address.is_some_and(|a| a.pkttype() == OUTGOING);
                Some((at, outgoing, message.bytes))
            }
            Err(nix::Error::EAGAIN | nix::Error::EINTR | nix::Error::ENETDOWN) => None,
            Err(_) => return,
        };
        if let Some((at, outgoing, length)) = frame {
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            shared.lock().push(Frame { at, outgoing, bytes });
            shared.news.notify_all();
        }
    }
}
