//! One segment: drives the DHCP clients of its endpoints over the port's packet socket.
//!
//! All clients of a segment share one socket, one timer and one task. Each mutation of a client
//! is followed by [`State::settle`], which opens the ears it needs, sends what it has to say,
//! passes on what happened to it, and notes when it must be woken. An idle lease is an entry in
//! two maps.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{Client, Config, Event, Lease, Listening, Progress};
use net::{BootTimer, FdbKind, Filter, Netlink, PacketSocket, Sees};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use wire::MacAddr;
use wire::arp::Operation;
use wire::dhcp4::port;
use wire::frame::{Checksum, Frame, Payload};

use super::LeaseEvent;
use super::pace::Pace;
use super::port::Port;
use crate::engine::ids::EndpointId;

/// A jumbo frame with its header: nothing longer comes out of a packet socket here.
const FRAME_BYTES: usize = 9216;
/// `chaddr` in a BOOTP message (RFC 951 §3).
const CHADDR: std::ops::Range<usize> = 28..34;

/// How long leases may take on their way back before the port goes: three seconds of asking for the
/// server, and their places in the row.
const RELEASING: Duration = Duration::from_secs(5);

/// A bridge on which Landfall speaks for its endpoints.
pub(crate) struct Segment {
    bridge: String,
    /// The index of the port's outer end.
    port: u32,
    host: Netlink,
    me: Weak<Segment>,
    socket: PacketSocket,
    timer: BootTimer,
    events: mpsc::UnboundedSender<LeaseEvent>,
    /// Leases on their way back.
    releasing: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Boxed, as the table has room for more than are in it.
    clients: HashMap<MacAddr, Box<Entry>>,
    timers: BTreeSet<(Instant, MacAddr)>,
    /// What the segment's timer is set to.
    armed: Option<Instant>,
    /// Clients that need to hear ARP at the port.
    arp: HashSet<MacAddr>,
    driver: Option<AbortHandle>,
    pace: Pace,
}

struct Entry {
    owner: EndpointId,
    client: Client,
    /// When the client wants to be woken, as noted in [`State::timers`].
    wake: Instant,
    /// The host's end of the endpoint's veth, while a sandbox has the other end up.
    link: Option<u32>,
    /// Reads at `link` while an exchange is under way.
    ear: Option<AbortHandle>,
    waiting: Option<Waiting>,
}

/// Somebody waits for something of a client.
enum Waiting {
    Bound(oneshot::Sender<Lease>),
    Released {
        done: oneshot::Sender<()>,
        /// What [`Segment::all_released`] waits for.
        _on_its_way: TaskTrackerToken,
    },
}

/// Why there is no lease.
#[derive(Debug)]
pub(crate) enum AcquireError {
    /// Another endpoint on the segment has this MAC.
    MacInUse(EndpointId),
    /// No lease came in time.
    TimedOut(Progress),
    /// The segment was stopped, or the endpoint removed, while this was waiting.
    Abandoned,
}

/// How a client stands.
pub(crate) struct View {
    /// Its lease.
    pub(crate) lease: Option<Lease>,
    /// Its state by the RFC's name.
    pub(crate) state: String,
}

impl Segment {
    pub(super) fn start(
        bridge: String,
        port: Port,
        host: Netlink,
        events: mpsc::UnboundedSender<LeaseEvent>,
        timer: BootTimer,
    ) -> Arc<Segment> {
        let segment = Arc::new_cyclic(|me| Segment {
            bridge,
            port: port.outer,
            host,
            me: me.clone(),
            socket: port.socket,
            timer,
            events,
            releasing: TaskTracker::new(),
            state: Mutex::default(),
        });
        let driver = tokio::spawn(segment.clone().drive()).abort_handle();
        segment.lock().driver = Some(driver);
        segment
    }

    /// The bridge's name.
    pub(crate) fn bridge(&self) -> &str {
        &self.bridge
    }

    /// The index of the port's outer end.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Ends the driver; leases stay with the server.
    pub(super) fn stop(&self) {
        if let Some(driver) = self.lock().driver.take() {
            driver.abort();
        }
    }

    /// Obtains a lease for a new endpoint. `fresh`: its MAC was made just now, so nobody has ever
    /// seen it.
    ///
    /// Dropping the future leaves the client at work: whoever drops it calls [`Self::release`].
    pub(crate) async fn acquire(
        &self,
        owner: &EndpointId,
        config: Config,
        fresh: bool,
        patience: Duration,
    ) -> Result<Lease, AcquireError> {
        let mac = config.mac;
        let (bound, lease) = oneshot::channel();
        self.insert(owner, Client::new(config, seed()), None, Some(Waiting::Bound(bound)))?;
        if !fresh {
            // The MAC may have been seen elsewhere, and replies to it would go there.
            self.hold(mac).await;
        }
        self.with(mac, |client, now| client.start(now));
        if fresh {
            // The kernel may be busy with other links, and the server need not wait for that.
            self.hold(mac).await;
        }
        match tokio::time::timeout(patience, lease).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(_)) => Err(AcquireError::Abandoned),
            Err(_) => match self.lock().clients.get(&mac) {
                Some(entry) => Err(AcquireError::TimedOut(entry.client.progress().clone())),
                None => Err(AcquireError::Abandoned),
            },
        }
    }

    /// Goes on with a lease of an earlier run of the daemon, in the same boot. `link`: the host's
    /// end of the endpoint's veth, if a sandbox has the other one up; its frames go on going there.
    pub(crate) async fn resume(
        &self,
        owner: &EndpointId,
        config: Config,
        lease: Lease,
        link: Option<u32>,
    ) -> Result<(), AcquireError> {
        let mac = config.mac;
        let client = Client::resume(config, lease, seed(), now());
        self.insert(owner, client, link, None)?;
        if link.is_none() {
            self.hold(mac).await;
        }
        self.settle(&mut self.lock(), mac);
        Ok(())
    }

    /// The endpoint's link is up in its sandbox: unicast frames go there from now on.
    pub(crate) async fn link_up(&self, mac: MacAddr, link: u32) {
        // Before anything is announced, so that answers to the announcement go there as well.
        self.point(mac, link).await;
        let mut state = self.lock();
        if let Some(entry) = state.clients.get_mut(&mac) {
            entry.link = Some(link);
            entry.client.hold(false);
            self.settle(&mut state, mac);
        }
    }

    /// The endpoint's link is not up in a sandbox any more: the port holds its place.
    pub(crate) async fn link_down(&self, mac: MacAddr) {
        {
            let mut state = self.lock();
            let Some(entry) = state.clients.get_mut(&mac) else { return };
            entry.link = None;
            if let Some(ear) = entry.ear.take() {
                ear.abort();
            }
        }
        self.hold(mac).await;
    }

    /// Tells the client the host name that it sends from now on.
    pub(crate) fn set_host_name(&self, mac: MacAddr, name: &str) {
        self.with(mac, |client, now| client.set_host_name(Some(name), now));
    }

    /// Sends gratuitous ARP for the client's address.
    pub(crate) fn announce(&self, mac: MacAddr) {
        self.with(mac, |client, _| client.announce());
    }

    /// Gives the lease of an endpoint back and forgets its client. The receiver resolves when the
    /// RELEASE is out: at once, unless the way to the server must be asked for first or many are
    /// on their way there.
    ///
    /// The MAC alone does not tell whose client it is: an endpoint that was refused because of
    /// its MAC must not end the lease of the one that holds it.
    pub(crate) async fn release(&self, owner: &EndpointId, mac: MacAddr) -> oneshot::Receiver<()> {
        let (released, receiver) = oneshot::channel();
        let wait = {
            let mut state = self.lock();
            let State { clients, pace, .. } = &mut *state;
            let Some(entry) = clients.get_mut(&mac).filter(|e| e.owner == *owner) else {
                return receiver;
            };
            entry.waiting =
                Some(Waiting::Released { done: released, _on_its_way: self.releasing.token() });
            entry.link = None;
            if let Some(ear) = entry.ear.take() {
                ear.abort();
            }
            entry.client.lease().map_or(Duration::ZERO, |_| pace.wait(now()))
        };
        self.hold(mac).await;
        match self.me.upgrade() {
            Some(segment) if !wait.is_zero() => {
                let owner = owner.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    segment.give_back(&owner, mac);
                });
            }
            _ => self.give_back(owner, mac),
        }
        receiver
    }

    fn give_back(&self, owner: &EndpointId, mac: MacAddr) {
        let mut state = self.lock();
        let entry = state.clients.get_mut(&mac).filter(|entry| entry.owner == *owner);
        let Some(entry) = entry else { return };
        entry.client.release(now());
        self.settle(&mut state, mac);
        // One that never began has nothing to give back, and no event tells of its end.
        if state.clients.get(&mac).is_some_and(|e| e.client.state() == dhcp::v4::State::Stopped) {
            state.remove(mac);
        }
    }

    /// Waits until no lease is on its way back to a server, for as long as that may take.
    pub(super) async fn all_released(&self) {
        self.releasing.close();
        if tokio::time::timeout(RELEASING, self.releasing.wait()).await.is_err() {
            tracing::warn!(bridge = self.bridge, "leases are left to expire at their server");
        }
    }

    /// How the client of that MAC stands.
    pub(crate) fn view(&self, mac: MacAddr) -> Option<View> {
        let state = self.lock();
        let client = &state.clients.get(&mac)?.client;
        Some(View { lease: client.lease().cloned(), state: client.state().to_string() })
    }

    fn insert(
        &self,
        owner: &EndpointId,
        client: Client,
        link: Option<u32>,
        waiting: Option<Waiting>,
    ) -> Result<(), AcquireError> {
        let mac = client.config().mac;
        let mut state = self.lock();
        if let Some(other) = state.clients.get(&mac) {
            // A lease that is only waiting for its RELEASE to go out gives way.
            if !matches!(other.waiting, Some(Waiting::Released { .. })) {
                return Err(AcquireError::MacInUse(other.owner.clone()));
            }
            state.remove(mac);
        }
        let entry =
            Entry { owner: owner.clone(), client, wake: Instant::NEVER, link, ear: None, waiting };
        state.clients.insert(mac, Box::new(entry));
        Ok(())
    }

    /// The port holds the endpoint's place: frames for its MAC come to the port, which answers
    /// ARP for its address.
    async fn hold(&self, mac: MacAddr) {
        self.point(mac, self.port).await;
        self.with(mac, |client, _| client.hold(true));
    }

    /// Points the bridge's forwarding entry for a MAC to one of its ports.
    async fn point(&self, mac: MacAddr, port: u32) {
        if let Err(error) = self.host.fdb_replace(mac, port, FdbKind::Dynamic).await {
            // The bridge learns by itself sooner or later; only the first answers are at stake.
            tracing::debug!(%error, bridge = self.bridge, %mac, "forwarding entry not set");
        }
    }

    fn with(&self, mac: MacAddr, act: impl FnOnce(&mut Client, Instant)) {
        let mut state = self.lock();
        if let Some(entry) = state.clients.get_mut(&mac) {
            act(&mut entry.client, now());
            self.settle(&mut state, mac);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows up on a mutation of a client.
    fn settle(&self, state: &mut State, mac: MacAddr) {
        let Some(entry) = state.clients.get_mut(&mac) else { return };
        let listening = entry.client.listening();
        // Ears before mouth: the answer may be there before `send` returns.
        self.listen_at_link(entry, listening, mac);
        let changed = if listening.arp { state.arp.insert(mac) } else { state.arp.remove(&mac) };
        if changed && state.arp.len() <= 1 {
            self.listen_at_port(!state.arp.is_empty());
        }
        while let Some(frame) = entry.client.poll_transmit() {
            if let Err(error) = self.socket.send(&frame) {
                // Lost on our side is lost like anywhere else: it is sent again in its time.
                tracing::warn!(%error, bridge = self.bridge, %mac, "frame not sent");
            }
        }
        let mut ended = false;
        while let Some(event) = entry.client.poll_event() {
            ended |= matches!(event, Event::Released);
            self.report(entry, event);
        }
        let wake = entry.client.poll_timeout().unwrap_or(Instant::NEVER);
        if ended {
            state.remove(mac);
        } else if wake != entry.wake {
            state.timers.remove(&(entry.wake, mac));
            entry.wake = wake;
            if wake != Instant::NEVER {
                state.timers.insert((wake, mac));
            }
        }
        let next = state.timers.first().map(|(at, _)| *at);
        if next != state.armed {
            state.armed = next;
            if let Err(error) = self.timer.set(next.map(Instant::since_boot)) {
                tracing::error!(%error, bridge = self.bridge, "timer not set");
            }
        }
    }

    fn report(&self, entry: &mut Entry, event: Event) {
        match (&event, entry.waiting.take()) {
            (Event::Bound, Some(Waiting::Bound(waiting))) => {
                if let Some(lease) = entry.client.lease() {
                    // Nobody there any more: whoever gave up releases the lease as well.
                    let _ = waiting.send(lease.clone());
                    return;
                }
            }
            (Event::Released, Some(Waiting::Released { done, .. })) => {
                let _ = done.send(());
                return;
            }
            (_, waiting) => entry.waiting = waiting,
        }
        // The engine ends before its segments only when the process ends.
        let _ = self.events.send(LeaseEvent { endpoint: entry.owner.clone(), event });
    }

    /// Reads at the endpoint's own link while an exchange is under way: what the server sends to
    /// the endpoint's MAC goes there, and never passes the port.
    fn listen_at_link(&self, entry: &mut Entry, listening: Listening, mac: MacAddr) {
        match (entry.link, &entry.ear, listening.dhcp || listening.arp) {
            (Some(link), None, true) => {
                let filter = Filter::dhcp4_replies_and_arp_for(mac);
                match PacketSocket::open(link, &filter, Sees::IncomingAndOutgoing) {
                    Ok(socket) => {
                        let segment = self.me.clone();
                        let ear = tokio::spawn(listen(segment, socket, mac));
                        entry.ear = Some(ear.abort_handle());
                    }
                    Err(error) => {
                        tracing::warn!(%error, bridge = self.bridge, %mac, "cannot listen");
                    }
                }
            }
            (_, Some(ear), false) => {
                ear.abort();
                entry.ear = None;
            }
            _ => {}
        }
    }

    fn listen_at_port(&self, arp: bool) {
        let filter = if arp { Filter::dhcp4_replies_and_arp() } else { Filter::dhcp4_replies() };
        if let Err(error) = self.socket.set_filter(&filter) {
            tracing::error!(%error, bridge = self.bridge, "filter of the port not set");
        }
    }

    async fn drive(self: Arc<Self>) {
        let mut buffer = vec![0; FRAME_BYTES];
        loop {
            tokio::select! {
                received = self.socket.recv(&mut buffer) => match received {
                    Ok(received) => {
                        if let Some(bytes) = buffer.get(..received.len) {
                            self.handle_frame(bytes, received.checksum);
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, bridge = self.bridge, "the port cannot be read");
                        return;
                    }
                },
                fired = self.timer.fired() => match fired {
                    Ok(()) => self.handle_timeouts(),
                    Err(error) => {
                        tracing::error!(%error, bridge = self.bridge, "no timer any more");
                        return;
                    }
                },
            }
        }
    }

    fn handle_timeouts(&self) {
        let now = now();
        let mut state = self.lock();
        while let Some(&(at, mac)) = state.timers.first()
            && at <= now
        {
            state.timers.pop_first();
            if let Some(entry) = state.clients.get_mut(&mac) {
                entry.wake = Instant::NEVER;
                entry.client.handle_timeout(now);
                self.settle(&mut state, mac);
            }
        }
    }

    /// Hands a frame to the client that it is for.
    fn handle_frame(&self, bytes: &[u8], checksum: Checksum) {
        let frame = match Frame::parse(bytes, checksum) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::trace!(%error, bridge = self.bridge, "frame ignored");
                return;
            }
        };
        let mut state = self.lock();
        let mac = match &frame.payload {
            Payload::Udp4(datagram) if datagram.destination.port() == port::CLIENT => {
                let chaddr = datagram.payload.get(CHADDR).and_then(|b| b.try_into().ok());
                chaddr.map(MacAddr)
            }
            Payload::Udp4(_) => None,
            Payload::Arp(arp) if arp.operation == Operation::Reply => Some(arp.target_mac),
            Payload::Arp(arp) => state.listener_for(arp.target_ip),
        };
        let Some(mac) = mac else { return };
        if let Some(entry) = state.clients.get_mut(&mac) {
            entry.client.handle_frame(&frame, now());
            self.settle(&mut state, mac);
        }
    }
}

impl State {
    fn remove(&mut self, mac: MacAddr) {
        if let Some(entry) = self.clients.remove(&mac) {
            self.timers.remove(&(entry.wake, mac));
            self.arp.remove(&mac);
            if let Some(ear) = entry.ear {
                ear.abort();
            }
        }
    }

    /// Which of the clients that listen to ARP has that address.
    fn listener_for(&self, address: Ipv4Addr) -> Option<MacAddr> {
        self.arp.iter().copied().find(|mac| {
            let lease = self.clients.get(mac).and_then(|entry| entry.client.lease());
            lease.is_some_and(|lease| lease.address == address)
        })
    }
}

/// Reads at an endpoint's own link until it is told to stop or the link is gone.
async fn listen(segment: Weak<Segment>, socket: PacketSocket, mac: MacAddr) {
    let mut buffer = vec![0; FRAME_BYTES];
    loop {
        let received = match socket.recv(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, %mac, "the endpoint's link cannot be read any more");
                return;
            }
        };
        let (Some(segment), Some(bytes)) = (segment.upgrade(), buffer.get(..received.len)) else {
            return;
        };
        // What goes out here goes to the endpoint. What comes in is the container's own word,
        // and a container does not tell us what its server says.
        if received.outgoing {
            segment.handle_frame(bytes, received.checksum);
        }
    }
}

fn now() -> Instant {
    Instant::from_boot(net::boot_now())
}

/// Randomness for a client's transaction identifiers and jitter.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        // No entropy device at all: the clock tells two clients apart well enough.
        Err(_) => net::boot_now().as_nanos() as u64,
    }
}
