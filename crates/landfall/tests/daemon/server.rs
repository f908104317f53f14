//! A DHCP server that says what the test tells it.
//!
//! It speaks through an ordinary UDP socket in the namespace where it stands, as most servers do; ARP is the kernel's.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lab::{Lan, Namespace};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn, bind, recvmsg,
    sendmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use wire::MacAddr;
use wire::dhcp4::{Message, MessageType, Op, Options, code, port};

use crate::site::{SOON, eventually};

/// What came from a client.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// What it says.
    pub(crate) message: Message,
    /// What it is.
    pub(crate) kind: MessageType,
    /// Whom it was sent to: all, or the server alone.
    pub(crate) to: Ipv4Addr,
    /// When it came.
    pub(crate) at: Instant,
}

/// What goes to a client.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The UDP payload.
    pub(crate) payload: Vec<u8>,
    /// Where to.
    pub(crate) to: To,
}

/// How a reply goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum To {
    /// By broadcast.
    All,
    /// By unicast to the address that the client is about to get, which cannot answer ARP yet.
    New(Ipv4Addr, MacAddr),
    /// By unicast to an address that the client has: the kernel asks for it by ARP, as for any.
    Held(Ipv4Addr),
}

type Script = Box<dyn FnMut(&Request) -> Vec<Reply> + Send>;

/// A running server.
pub(crate) struct Server {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

struct Shared {
    fd: OwnedFd,
    /// The namespace, for commands.
    ns: PathBuf,
    interface: String,
    requests: Mutex<Vec<Request>>,
    news: Condvar,
    script: Mutex<Script>,
    stop: AtomicBool,
}

impl Server {
    /// Starts one in the LAN's router that gives `grant` to whoever asks.
    pub(crate) fn granting(lan: &Lan, grant: Grant) -> Server {
        Server::start(lan.router_ns(), "eth0", move |request| grant.answer(request))
    }

    /// Starts one on `interface` of `ns` that answers as `script` says.
    pub(crate) fn start(
        ns: &Namespace,
        interface: &str,
        script: impl FnMut(&Request) -> Vec<Reply> + Send + 'static,
    ) -> Server {
        let fd = ns.enter(|| open(interface)).unwrap().unwrap();
        let shared = Arc::new(Shared {
            fd,
            ns: ns.path().to_owned(),
            interface: interface.to_owned(),
            requests: Mutex::default(),
            news: Condvar::new(),
            script: Mutex::new(Box::new(script)),
            stop: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let reader = thread::spawn(move || theirs.serve());
        Server { shared, reader: Some(reader) }
    }

    /// Answers as `script` says from now on.
    pub(crate) fn behave(&self, script: impl FnMut(&Request) -> Vec<Reply> + Send + 'static) {
        *lock(&self.shared.script) = Box::new(script);
    }

    /// Gives `grant` to whoever asks from now on.
    pub(crate) fn grant(&self, grant: Grant) {
        self.behave(move |request| grant.answer(request));
    }

    /// Says something unasked.
    pub(crate) fn send(&self, reply: &Reply) {
        self.shared.send(reply);
    }

    /// All that came so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// How much has come so far: a mark for [`Self::wait_after`].
    pub(crate) fn mark(&self) -> usize {
        lock(&self.shared.requests).len()
    }

    /// How many messages of a kind have come so far.
    pub(crate) fn count(&self, kind: MessageType) -> usize {
        lock(&self.shared.requests).iter().filter(|request| request.kind == kind).count()
    }

    /// Waits for so many messages of a kind, of which there must then be no more.
    pub(crate) fn wait_count(&self, kind: MessageType, count: usize) {
        eventually(&format!("{count} of {kind}"), SOON, || {
            let seen = self.count(kind);
            if seen < count { Err(seen.to_string()) } else { Ok(()) }
        });
        assert_eq!(self.count(kind), count, "{kind}");
    }

    /// The first message of a kind, old or new.
    pub(crate) fn wait_for(&self, kind: MessageType, patience: Duration) -> Request {
        self.wait_after(0, &format!("a {kind}"), patience, |request| request.kind == kind)
    }

    /// The first message from `mark` on that `wanted` accepts.
    pub(crate) fn wait_after(
        &self,
        mark: usize,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&Request) -> bool,
    ) -> Request {
        let until = Instant::now() + patience;
        let mut requests = lock(&self.shared.requests);
        loop {
            if let Some(found) = requests.iter().skip(mark).find(|request| wanted(request)) {
                return found.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what} did not come within {patience:?}: {requests:#?}");
            let woken = self.shared.news.wait_timeout(requests, left);
            requests = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
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
        let mut buffer = vec![0_u8; 1 << 16];
        while !self.stop.load(Ordering::Relaxed) {
            let Some((length, to)) = self.receive(&mut buffer) else { continue };
            let Ok(message) = Message::parse(&buffer[..length]) else { continue };
            let Some(kind) = message.message_type() else { continue };
            let request = Request { message, kind, to, at: Instant::now() };
            // Before it is answered: what the daemon has heard the answer of has been counted.
            lock(&self.requests).push(request.clone());
            self.news.notify_all();
            let replies = lock(&self.script)(&request);
            for reply in &replies {
                self.send(reply);
            }
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> Option<(usize, Ipv4Addr)> {
        let mut parts = [IoSliceMut::new(buffer)];
        let mut control = nix::cmsg_space!(nix::libc::in_pktinfo);
        let (fd, flags) = (self.fd.as_raw_fd(), MsgFlags::empty());
        // Nothing within the socket's time-out: the caller looks whether it shall end.
        let message = recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut control), flags).ok()?;
        let to = message.cmsgs().unwrap().find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(Ipv4Addr::from_bits(u32::from_be(info.ipi_addr.s_addr)))
            }
            _ => None,
        });
        Some((message.bytes, to.unwrap()))
    }

    fn send(&self, reply: &Reply) {
        let to = match reply.to {
            To::All => Ipv4Addr::BROADCAST,
            To::Held(ip) => ip,
            To::New(ip, mac) => {
                let (net, ip_text) = (format!("--net={}", self.ns.display()), ip.to_string());
                let argv = ["ip", "neigh", "replace", &ip_text, "lladdr", &mac.to_string()];
                let status = Command::new("nsenter")
                    .arg(net)
                    .args(argv)
                    .args(["dev", &self.interface, "nud", "reachable"])
                    .status();
                assert!(status.unwrap().success());
                ip
            }
        };
        let to = SockaddrIn::from(SocketAddrV4::new(to, port::CLIENT));
        let parts = [IoSlice::new(&reply.payload)];
        // A host that does not answer ARP is one that does not hear: that is the test's affair.
        let _ = sendmsg(self.fd.as_raw_fd(), &parts, &[], MsgFlags::empty(), Some(&to));
    }
}

fn open(interface: &str) -> nix::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::Inet, SockType::Datagram);
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::BindToDevice, &interface.into())?;
    setsockopt(&fd, sockopt::Broadcast, &true)?;
    setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(20))?;
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port::SERVER);
    bind(fd.as_raw_fd(), &SockaddrIn::from(any))?;
    Ok(fd)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a server gives.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) address: Ipv4Addr,
    pub(crate) mask: Option<Ipv4Addr>,
    pub(crate) routers: Vec<Ipv4Addr>,
    /// Option 54.
    pub(crate) server: Option<Ipv4Addr>,
    /// In seconds, as are T1 and T2.
    pub(crate) lease: u32,
    pub(crate) t1: Option<u32>,
    pub(crate) t2: Option<u32>,
    /// Further options, by code.
    pub(crate) options: HashMap<u8, Vec<u8>>,
    /// Whether a client that has no address yet is answered by unicast.
    pub(crate) unicast: bool,
}

impl Grant {
    /// An address of the LAN for an hour, with its mask and router.
    pub(crate) fn new(address: [u8; 4]) -> Grant {
        Grant {
            address: address.into(),
            mask: Some(Ipv4Addr::new(255, 255, 0, 0)),
            routers: vec![Lan::ROUTER],
            server: Some(Lan::ROUTER),
            lease: 3600,
            t1: None,
            t2: None,
            options: HashMap::new(),
            unicast: false,
        }
    }

    /// The same with other times, in seconds.
    pub(crate) fn times(self, t1: u32, t2: u32, lease: u32) -> Grant {
        Grant { t1: Some(t1), t2: Some(t2), lease, ..self }
    }

    /// The same with one more option.
    pub(crate) fn option(mut self, code: u8, data: &[u8]) -> Grant {
        self.options.insert(code, data.to_vec());
        self
    }

    /// What an ordinary server answers.
    pub(crate) fn answer(&self, request: &Request) -> Vec<Reply> {
        match request.kind {
            MessageType::Discover => vec![self.reply(request, MessageType::Offer)],
            MessageType::Request => vec![self.reply(request, MessageType::Ack)],
            _ => Vec::new(),
        }
    }

    /// A reply of that kind, as a message.
    pub(crate) fn message(&self, request: &Request, kind: MessageType) -> Message {
        let mut options = Options::default();
        options.set(code::MESSAGE_TYPE, &[kind as u8]);
        let mut put = |code, data: Option<Vec<u8>>| {
            if let Some(data) = data {
                options.set(code, &data);
            }
        };
        let seconds = |value: u32| value.to_be_bytes().to_vec();
        put(code::SUBNET_MASK, self.mask.map(|mask| mask.octets().to_vec()));
        let routers: Vec<u8> = self.routers.iter().flat_map(Ipv4Addr::octets).collect();
        put(code::ROUTER, Some(routers).filter(|data| !data.is_empty()));
        put(code::SERVER_ID, self.server.map(|server| server.octets().to_vec()));
        put(code::LEASE_TIME, Some(seconds(self.lease)));
        put(code::RENEWAL_TIME, self.t1.map(seconds));
        put(code::REBINDING_TIME, self.t2.map(seconds));
        for (code, data) in &self.options {
            put(*code, Some(data.clone()));
        }
        let asked = &request.message;
        let mut message = Message::new(Op::BootReply, asked.xid, asked.chaddr, options);
        message.yiaddr = self.address;
        // BOOTP's next server is somebody else, and never answers.
        message.siaddr = Lan::LAPTOP;
        message.ciaddr = asked.ciaddr;
        message.broadcast = asked.broadcast;
        message
    }

    /// A reply of that kind.
    pub(crate) fn reply(&self, request: &Request, kind: MessageType) -> Reply {
        self.send(request, self.message(request, kind).emit())
    }

    /// A reply with a payload of the test's own.
    pub(crate) fn send(&self, request: &Request, payload: Vec<u8>) -> Reply {
        let asked = &request.message;
        let to = match (asked.ciaddr, self.unicast) {
            (Ipv4Addr::UNSPECIFIED, true) => To::New(self.address, asked.chaddr),
            (Ipv4Addr::UNSPECIFIED, false) => To::All,
            (held, _) => To::Held(held),
        };
        Reply { payload, to }
    }
}

/// A DHCPNAK, which goes to all (RFC 2131 §4.3.2).
pub(crate) fn nak(request: &Request, server: Ipv4Addr, words: &str) -> Reply {
    let mut options = Options::default();
    options.set(code::MESSAGE_TYPE, &[MessageType::Nak as u8]);
    options.set(code::SERVER_ID, &server.octets());
    options.set(code::MESSAGE, words.as_bytes());
    let asked = &request.message;
    let message = Message::new(Op::BootReply, asked.xid, asked.chaddr, options);
    Reply { payload: message.emit(), to: To::All }
}
