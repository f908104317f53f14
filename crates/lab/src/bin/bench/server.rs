//! The DHCP server of the field: gives each MAC of the field its address at once, and counts.
//!
//! It speaks through an ordinary UDP socket, and unicasts: its kernel knows all neighbours beforehand, so that thousands of
//! endpoints on one bridge do not hear every reply.

use std::collections::HashSet;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lab::Namespace;
use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn,
    bind, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use lab::dhcp_option;

use crate::Result;
use crate::field::{Place, gateway};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Option 53.
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
/// Where `options` begins: the fixed part of BOOTP and the magic cookie (RFC 2131 §2).
const OPTIONS: usize = 240;
/// The least that a BOOTP message has (RFC 951).
const LEAST: usize = 300;

/// The times of its leases, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) lease: u32,
    pub(crate) renew: u32,
    pub(crate) rebind: u32,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    fd: OwnedFd,
    times: Times,
    counts: Mutex<Counts>,
    news: Condvar,
    stop: AtomicBool,
}

/// What it has done.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Leases prolonged for a client that has its address: RENEWING and REBINDING.
    pub(crate) renewals: usize,
    /// OFFERs: one for each DISCOVER.
    pub(crate) offers: usize,
    /// Who has told a host name.
    named: HashSet<[u8; 6]>,
}

impl Counts {
    /// How many clients have told a host name, which they know when their container runs.
    pub(crate) fn named(&self) -> usize {
        self.named.len()
    }
}

impl Server {
    /// Starts one that serves all interfaces of `net`.
    pub(crate) fn start(net: &Namespace, times: Times) -> Result<Self> {
        let fd = net.enter(open)??;
        let shared = Arc::new(Shared {
            fd,
            times,
            counts: Mutex::default(),
            news: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let reader = thread::Builder::new().name("server".into()).spawn(move || theirs.serve())?;
        Ok(Self { shared, reader: Some(reader) })
    }

    /// What `look` sees of the counts now.
    pub(crate) fn counts<T>(&self, look: impl Fn(&Counts) -> T) -> T {
        look(&self.shared.lock())
    }

    /// Waits until the counts are as wanted.
    pub(crate) fn wait(
        &self,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&Counts) -> bool,
    ) -> Result<()> {
        let until = Instant::now() + patience;
        let mut counts = self.shared.lock();
        while !wanted(&counts) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (renewals, named) = (counts.renewals, counts.named());
                let seen = format!("{renewals} renewals, {named} clients with a name");
                return Err(format!("{what}: not within {patience:?}; seen: {seen}").into());
            }
            let woken = self.shared.news.wait_timeout(counts, left);
            counts = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Shared {
    fn serve(&self) {
        let mut buffer = vec![0; 2048];
        while !self.stop.load(Ordering::Relaxed) {
            let Some((length, interface)) = self.receive(&mut buffer) else { continue };
            let request = buffer.get(..length).unwrap_or_default();
            if let Some(answer) = answer(request, self.times) {
                self.send(&answer, interface);
                let mut counts = self.lock();
                counts.renewals += usize::from(answer.kind == ACK && answer.renewal);
                counts.offers += usize::from(answer.kind == OFFER);
                counts.named.extend(answer.named);
                self.news.notify_all();
            }
        }
    }

    /// The length of the next message, and the interface that it came in by; none within the socket's time-out, so that
    /// the caller looks whether it shall end.
    fn receive(&self, buffer: &mut [u8]) -> Option<(usize, i32)> {
        let mut parts = [IoSliceMut::new(buffer)];
        let mut control = nix::cmsg_space!(in_pktinfo);
        let fd = self.fd.as_raw_fd();
        let message =
            recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut control), MsgFlags::empty()).ok()?;
        let interface = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_ifindex),
            _ => None,
        });
        Some((message.bytes, interface?))
    }

    fn send(&self, answer: &Answer, interface: i32) {
        let none = in_addr { s_addr: 0 };
        let info = in_pktinfo { ipi_ifindex: interface, ipi_spec_dst: none, ipi_addr: none };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let to = SockaddrIn::from(SocketAddrV4::new(answer.to, CLIENT_PORT));
        let parts = [IoSlice::new(&answer.message)];
        // Lost is lost: the client asks again.
        let _ = sendmsg(self.fd.as_raw_fd(), &parts, &control, MsgFlags::empty(), Some(&to));
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open() -> Result<OwnedFd> {
    let (family, kind) = (AddressFamily::Inet, SockType::Datagram);
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::Broadcast, &true)?;
    setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(&fd, sockopt::RcvBufForce, &(8 << 20))?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(200))?;
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVER_PORT);
    bind(fd.as_raw_fd(), &SockaddrIn::from(any))?;
    Ok(fd)
}

struct Answer {
    message: Vec<u8>,
    to: Ipv4Addr,
    kind: u8,
    /// Whether the client has its address.
    renewal: bool,
    /// The client, if it told a host name.
    named: Option<[u8; 6]>,
}

fn answer(request: &[u8], times: Times) -> Option<Answer> {
    let mac: [u8; 6] = request.get(28..34)?.try_into().ok()?;
    let place = Place::of_mac(mac)?;
    let options = request.get(OPTIONS..)?;
    let kind = match dhcp_option(options, 53)? {
        [DISCOVER] => OFFER,
        [REQUEST] => ACK,
        _ => return None,
    };
    let has_address = request.get(12..16)? != [0; 4]; // `ciaddr`
    let address = place.address();
    let server = gateway(place.bridge).octets();
    let mut message = request.get(..OPTIONS)?.to_vec();
    *message.first_mut()? = 2; // BOOTREPLY
    message.get_mut(16..20)?.copy_from_slice(&address.octets()); // `yiaddr`
    let mut put = |code: u8, value: &[u8]| {
        message.extend([code, u8::try_from(value.len()).unwrap_or(0)]);
        message.extend(value);
    };
    put(53, &[kind]);
    put(54, &server);
    put(1, &[255, 255, 0, 0]);
    put(3, &server);
    put(51, &times.lease.to_be_bytes());
    put(58, &times.renew.to_be_bytes());
    put(59, &times.rebind.to_be_bytes());
    message.push(255);
    message.resize(message.len().max(LEAST), 0);
    let named = dhcp_option(options, 12).map(|_| mac).filter(|_| kind == ACK);
    Some(Answer { message, to: address, kind, renewal: has_address, named })
}
