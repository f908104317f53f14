//! One rtnetlink connection and what every request on it has in common.
//!
//! The kernel carries out a request while it is being sent: the sending thread waits for the
//! kernel's global lock (RTNL), which others hold for tens of milliseconds while containers come
//! and go. So connections live on a thread of their own, not on the runtime of the caller.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use nix::errno::Errno;
use rtnetlink::packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, Socket, SocketAddr};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::netns::spawn_at_home;
use crate::{Error, Netns, Result};

/// How long one request may take. The kernel answers in micro- to milliseconds; this ends a
/// request whose answer could not be decoded, which is otherwise never heard of again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A dump that was disturbed by a change is asked for again, this often.
const DUMP_ATTEMPTS: usize = 5;

/// `NLM_F_DUMP_INTR`: the table changed while it was dumped, so entries may be missing.
const DUMP_DISTURBED: u16 = 0x10;

/// A connection to the kernel's tables of links, addresses, routes and neighbours in one network
/// namespace. Clones share the connection; it ends with the last of them.
///
/// Requests may be made from any task at once. A future that is dropped half-way leaves its
/// request with the kernel: it may still happen.
#[derive(Debug, Clone)]
pub struct Netlink {
    handle: rtnetlink::Handle,
    /// The kernel runs one dump at a time on a socket and answers EBUSY to a second one.
    dumps: Arc<Mutex<()>>,
    netns: Netns,
    /// For messages: where, if not in the caller's own namespace.
    place: Option<Arc<str>>,
}

impl Netlink {
    /// Connects in the network namespace of the calling thread.
    ///
    /// # Errors
    /// When no socket, or at the first time no thread, is to be had.
    pub fn here() -> Result<Self> {
        Self::connect(Netns::current()?, None)
    }

    /// Connects in another network namespace. Costs about 0.1 ms, in which the thread waits.
    ///
    /// # Errors
    /// As [`Netlink::here`] and [`Netns::run`].
    pub fn in_netns(netns: &Netns) -> Result<Self> {
        let place = netns.to_string().into();
        netns.run(|| Self::connect(netns.clone(), Some(place)))?
    }

    fn connect(netns: Netns, place: Option<Arc<str>>) -> Result<Self> {
        let fail = |e| Error::os("open a netlink socket", e);
        let runtime = runtime()?;
        let _entered = runtime.enter();
        let (mut connection, handle, _) =
            rtnetlink::new_connection_with_strict_check().map_err(fail)?;
        // Without these the end of the connection looks like a request that succeeded.
        connection.set_forward_ack(true);
        connection.set_forward_done(true);
        let socket = connection.socket_mut().socket_mut();
        socket.set_ext_ack(true).and_then(|()| socket.set_cap_ack(true)).map_err(fail)?;
        runtime.spawn(connection);
        Ok(Self { handle, dumps: Arc::default(), netns, place })
    }

    /// Asks for a change and waits for the acknowledgement.
    pub(crate) async fn change(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        tried: &str,
    ) -> Result<()> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        self.ask(request, tried, |_| ()).await.map(drop)
    }

    /// Asks for a change that keeps the kernel busy for long, on a thread and a socket of its own:
    /// others need not wait for it.
    pub(crate) async fn change_slowly(
        &self,
        message: RouteNetlinkMessage,
        tried: &str,
    ) -> Result<()> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        match self.netns.run_long(|| ask_waiting(request)).await? {
            Ok(error) if error.code.is_some() => Err(self.refused(tried, &error)),
            Ok(_) => Ok(()),
            Err(e) => Err(Error::os(self.placed(tried), e)),
        }
    }

    /// Asks for one object; `None` when there is none.
    pub(crate) async fn get(
        &self,
        message: RouteNetlinkMessage,
        tried: &str,
    ) -> Result<Option<RouteNetlinkMessage>> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST;
        let mut found = None;
        match self.ask(request, tried, |message| found = Some(message)).await {
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Ok(found),
        }
    }

    /// Asks for a whole table, translating each entry; those that `entry` does not want are left
    /// out.
    pub(crate) async fn dump<T>(
        &self,
        message: RouteNetlinkMessage,
        tried: &str,
        mut entry: impl FnMut(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let _turn = self.dumps.lock().await;
        let mut entries = Vec::new();
        for attempt in 1..=DUMP_ATTEMPTS {
            entries.clear();
            let disturbed =
                self.ask(request.clone(), tried, |message| entries.extend(entry(message))).await?;
            if !disturbed {
                break;
            }
            tracing::debug!(attempt, "{tried}: the table changed meanwhile");
        }
        Ok(entries)
    }

    /// Sends one request and hands over what comes back, until its end. Tells whether the kernel
    /// marked the answer as disturbed.
    async fn ask(
        &self,
        request: NetlinkMessage<RouteNetlinkMessage>,
        tried: &str,
        mut answer: impl FnMut(RouteNetlinkMessage),
    ) -> Result<bool> {
        let single = request.header.flags & (NLM_F_ACK | NLM_F_DUMP) == 0;
        let closed = || self.no_answer(tried, "the netlink connection has ended");
        let mut answers = self.handle.clone().request(request).map_err(|_| closed())?;
        let mut disturbed = false;
        loop {
            let message = timeout(PATIENCE, answers.next())
                .await
                .map_err(|_| self.no_answer(tried, "no readable answer from the kernel in 10s"))?
                .ok_or_else(closed)?;
            disturbed |= message.header.flags & DUMP_DISTURBED != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => {
                    answer(inner);
                    if single {
                        return Ok(disturbed);
                    }
                }
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(self.refused(tried, &error));
                }
                NetlinkPayload::Error(_) => return Ok(disturbed),
                NetlinkPayload::Done(done) if done.code < 0 => {
                    let source = io::Error::from_raw_os_error(-done.code);
                    return Err(Error::Os { tried: self.placed(tried), detail: None, source });
                }
                NetlinkPayload::Done(_) => return Ok(disturbed),
                NetlinkPayload::Overrun(_) => {
                    return Err(self.no_answer(tried, "the netlink receive queue overflowed"));
                }
                _ => {}
            }
        }
    }

    fn placed(&self, tried: &str) -> String {
        match &self.place {
            Some(place) => format!("{tried} in {place}"),
            None => tried.to_owned(),
        }
    }

    fn no_answer(&self, tried: &str, seen: &str) -> Error {
        Error::NoAnswer { tried: self.placed(tried), seen: seen.to_owned() }
    }

    fn refused(&self, tried: &str, error: &ErrorMessage) -> Error {
        refused(self.placed(tried), error)
    }
}

/// Asks for one change in the namespace of the calling thread, which waits for the answer, without
/// a connection.
pub(crate) fn change_waiting(
    message: RouteNetlinkMessage,
    flags: u16,
    tried: impl FnOnce() -> String,
) -> Result<()> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    match ask_waiting(request) {
        Ok(error) if error.code.is_some() => Err(refused(tried(), &error)),
        Ok(_) => Ok(()),
        Err(e) => Err(Error::os(tried(), e)),
    }
}

fn refused(tried: String, error: &ErrorMessage) -> Error {
    let source = Errno::from_raw(-error.raw_code()).into();
    Error::Os { tried, detail: explanation(error), source }
}

/// Sends a request from the calling thread and waits for the acknowledgement.
fn ask_waiting(mut request: NetlinkMessage<RouteNetlinkMessage>) -> io::Result<ErrorMessage> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_ext_ack(true)?;
    socket.set_cap_ack(true)?;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map(|m| m.payload) {
        Ok(NetlinkPayload::Error(error)) => Ok(error),
        // Not the message in words: those are large, for all that netlink knows (Cargo.toml).
        Ok(other) => {
            let kind = other.message_type();
            Err(io::Error::other(format!("the kernel answered with a message of type {kind}")))
        }
        Err(e) => Err(io::Error::other(format!("the kernel's answer cannot be read: {e}"))),
    }
}

/// The runtime that connections run on: one thread, which sleeps while nothing is asked.
fn runtime() -> Result<&'static Handle> {
    static RUNTIME: OnceLock<io::Result<Handle>> = OnceLock::new();
    let start = || {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let handle = runtime.handle().clone();
        spawn_at_home("netlink", move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(handle)
    };
    RUNTIME.get_or_init(start).as_ref().map_err(|e| {
        let source = io::Error::new(e.kind(), e.to_string());
        Error::os("start the netlink thread", source)
    })
}

/// The text that the kernel adds to some refusals (`NLMSGERR_ATTR_MSG`).
fn explanation(error: &ErrorMessage) -> Option<String> {
    const REQUEST_HEADER: usize = 16; // NETLINK_CAP_ACK leaves only the header of our request
    const NLMSGERR_ATTR_MSG: u16 = 1;
    let mut rest = error.header.get(REQUEST_HEADER..)?;
    while let &[len_low, len_high, kind_low, kind_high, ..] = rest {
        let len = usize::from(u16::from_ne_bytes([len_low, len_high]));
        let kind = u16::from_ne_bytes([kind_low, kind_high]);
        let value = rest.get(4..len)?;
        if kind == NLMSGERR_ATTR_MSG {
            let text = value.split(|byte| *byte == 0).next()?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
    None
}
