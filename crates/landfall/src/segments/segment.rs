//! One segment: the DHCP clients of its endpoints, and what the engine may ask of them.
//!
//! All clients of a segment share one socket, one timer and one task. Each mutation of a client
//! is followed by [`Segment::settle`], which opens the ears it needs, sends what it has to say,
//! passes on what happened to it, and notes when it must be woken. An idle lease is an entry in
//! two maps and an address in the kernel's table of what the port hears.

use std::collections::hash_map::Entry::Vacant;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{Client, Lease, State as State4};
use net::{BootTimer, FdbKind, Link, Netlink};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;
use wire::MacAddr;

use super::acquire::AcquireError;
use super::clients::{Entry, State, Waiting};
use super::hearing::Wants;
use super::ipv6::Ipv6;
use super::line::Line;
use super::pace::Pace;
use super::port::Port;
use super::schedule::Schedule;
use super::{LeaseEvent, Live};
use crate::engine::api::Ipv4Counters;
use crate::engine::ids::EndpointId;

/// After a boot all containers come back at once, and a server's queue is short.
const REBOOTS_AT_ONCE: usize = 16;

/// How long leases may take on their way back before the port goes: three seconds of asking for the
/// server, and their places in the row.
const RELEASING: Duration = Duration::from_secs(5);

/// A bridge or a parent on which Landfall speaks for its endpoints.
pub(crate) struct Segment {
    /// Its name, and its index when the port was made.
    pub(super) interface: String,
    index: u32,
    /// The index of the link with which the port comes and goes: its outer end, or the parent.
    port: u32,
    /// Landfall's own child of a parent; none on a bridge.
    own_child: Option<u32>,
    /// The MAC that all its clients have on the wire; none: each has its own.
    pub(super) shared_mac: Option<MacAddr>,
    pub(super) host: Netlink,
    pub(super) me: Weak<Segment>,
    pub(super) line: Line,
    pub(super) timer: BootTimer,
    pub(super) events: mpsc::UnboundedSender<LeaseEvent>,
    /// Of all segments together.
    pub(super) counters: Arc<Mutex<Ipv4Counters>>,
    /// Leases on their way back.
    releasing: TaskTracker,
    /// How many may ask at a time whether their lease of an earlier boot is still right.
    pub(super) reboots: Semaphore,
    /// Its IPv6 side, once a network wants it.
    pub(super) ipv6: OnceLock<Arc<Ipv6>>,
    state: Mutex<State>,
}

/// The clients of a segment, on their way to another.
pub(super) struct Clients(Vec<(MacAddr, Box<Entry>)>);

/// How a client stands.
pub(crate) struct View {
    /// Its lease.
    pub(crate) lease: Option<Lease>,
    /// Its state by the RFC's name.
    pub(crate) state: String,
    /// Replies that it did not use.
    pub(crate) ignored: dhcp::v4::Ignored,
    /// When it looks for one again, if it goes without because the LAN would have it so (RFC 8925).
    pub(crate) without_until: Option<Instant>,
}

impl Segment {
    pub(super) fn start(
        interface: &Link,
        port: Port,
        host: Netlink,
        events: mpsc::UnboundedSender<LeaseEvent>,
        counters: Arc<Mutex<Ipv4Counters>>,
        timer: BootTimer,
    ) -> Arc<Segment> {
        let segment = Arc::new_cyclic(|me| Segment {
            interface: interface.name.clone(),
            index: interface.index,
            port: port.seen,
            own_child: port.own_child,
            shared_mac: port.shared_mac,
            host,
            me: me.clone(),
            line: port.line,
            timer,
            events,
            counters,
            releasing: TaskTracker::new(),
            reboots: Semaphore::new(REBOOTS_AT_ONCE),
            ipv6: OnceLock::new(),
            state: Mutex::new(State {
                clients: HashMap::new(),
                timers: Schedule::default(),
                hearing: port.hearing,
                said: VecDeque::new(),
                driver: None,
                pace: Pace::default(),
                silent: false,
            }),
        });
        let driver = tokio::spawn(segment.clone().drive()).abort_handle();
        segment.lock().driver = Some(driver);
        segment
    }

    /// Whether it is reached by a bridge: a parent is seen itself.
    pub(super) fn is_on_bridge(&self) -> bool {
        self.port != self.index
    }

    /// The name of the bridge or the parent.
    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }

    /// The index that it had when the port was made.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// The index of the link with which the port comes and goes: its outer end, or the parent.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Landfall's own child of a parent, by its index in Landfall's own namespace; none on a bridge.
    pub(super) fn own_child(&self) -> Option<u32> {
        self.own_child
    }

    /// Ends the driver; leases stay with the server.
    pub(super) fn stop(&self) {
        if let Some(driver) = self.lock().driver.take() {
            driver.abort();
        }
        if let Some(ipv6) = self.ipv6() {
            ipv6.stop();
        }
    }

    /// Its IPv6 side, if a network there wants it.
    pub(crate) fn ipv6(&self) -> Option<&Arc<Ipv6>> {
        self.ipv6.get()
    }

    /// Whether a server has told the client of that MAC anything about a lease since it was made: what was known before
    /// counts no more.
    pub(crate) fn is_answered(&self, mac: MacAddr) -> bool {
        self.progress(mac).is_some_and(|progress| progress.acks > 0 || progress.naks > 0)
    }

    /// Forgets the client of an endpoint that is made once more, without a word to its server.
    pub(crate) fn forget(&self, owner: &EndpointId, mac: MacAddr) {
        self.forget_ipv4(owner, mac);
        if let Some(ipv6) = self.ipv6() {
            ipv6.forget(owner, mac);
        }
    }

    /// The same, and gives back what it has of IPv6.
    pub(crate) async fn give_back_ipv6_alone(&self, owner: &EndpointId, mac: MacAddr) {
        self.forget_ipv4(owner, mac);
        if let Some(ipv6) = self.ipv6() {
            ipv6.release(owner, mac).await;
        }
    }

    fn forget_ipv4(&self, owner: &EndpointId, mac: MacAddr) {
        let mut state = self.lock();
        if state.clients.get(&mac).is_some_and(|entry| entry.owner == *owner) {
            self.remove(&mut state, mac);
            self.arm(&mut state);
        }
    }

    /// Whether a server has offered the client of that MAC anything since it was made.
    pub(crate) fn is_offered(&self, mac: MacAddr) -> bool {
        self.progress(mac).is_some_and(|progress| progress.offers > 0)
    }

    /// What that client has sent and heard so far.
    pub(crate) fn progress(&self, mac: MacAddr) -> Option<dhcp::v4::Progress> {
        Some(self.lock().clients.get(&mac)?.client.progress().clone())
    }

    /// Has the client of that MAC ask its server to prolong its lease. Returns [`Self::acks`] of before.
    pub(crate) fn renew(&self, mac: MacAddr) -> u32 {
        let before = self.acks(mac);
        self.with(mac, |client, now| client.renew(now));
        before
    }

    /// How often a server has granted or prolonged the lease of that MAC since its client was made.
    pub(crate) fn acks(&self, mac: MacAddr) -> u32 {
        self.progress(mac).map_or(0, |progress| progress.acks)
    }

    /// Takes the clients away from a segment that was stopped.
    pub(super) fn give_up_clients(&self) -> Clients {
        let mut state = self.lock();
        state.timers.clear();
        state.clients.keys().copied().collect::<Vec<_>>().into_iter().for_each(|mac| {
            state.hear(mac, Wants::default());
        });
        Clients(state.clients.drain().collect())
    }

    /// Goes on with the clients of a segment whose port has gone.
    pub(super) fn adopt(&self, Clients(clients): Clients) {
        let mut state = self.lock();
        for (mac, mut entry) in clients {
            entry.ear = None;
            entry.wake = Instant::NEVER;
            if let Some(link) = self.shared_mac {
                entry.client.set_link(link);
            }
            if let Vacant(place) = state.clients.entry(mac) {
                place.insert(entry);
                self.line.admit(mac, true);
            }
            self.settle(&mut state, mac);
        }
    }

    /// Has a client ask at that time whether its lease is still right.
    pub(crate) fn confirm(&self, mac: MacAddr, at: Instant) {
        self.with(mac, |client, now| client.confirm(at, now));
        if let Some(ipv6) = self.ipv6() {
            ipv6.forget_routers();
            ipv6.with(mac, |client, now| client.confirm(at, now));
        }
    }

    /// The endpoint's link is up in its sandbox: unicast frames go there from now on.
    pub(crate) async fn link_up(&self, mac: MacAddr, live: Live) {
        if let Live::Veth(link) = live {
            // Before anything is announced, so that answers to the announcement go there as well.
            self.point(mac, link).await;
        }
        if let Some(ipv6) = self.ipv6() {
            ipv6.link_up(mac, live);
        }
        let mut state = self.lock();
        if let Some(entry) = state.clients.get_mut(&mac) {
            entry.link = live.ear();
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
            entry.ear = None;
        }
        self.hold(mac).await;
        if let Some(ipv6) = self.ipv6() {
            ipv6.link_down(mac);
        }
    }

    /// Tells the client the host name that it sends from now on.
    pub(crate) fn set_host_name(&self, mac: MacAddr, name: &str) {
        self.with(mac, |client, now| client.set_host_name(Some(name), now));
        if let Some(ipv6) = self.ipv6() {
            ipv6.with(mac, |client, now| client.set_host_name(Some(name), now));
        }
    }

    /// Announces the client's addresses: gratuitous ARP, unsolicited neighbour advertisements.
    pub(crate) fn announce(&self, mac: MacAddr) {
        self.with(mac, |client, _| client.announce());
        if let Some(ipv6) = self.ipv6() {
            ipv6.with(mac, |client, _| client.announce());
        }
    }

    /// Gives the lease of an endpoint back and forgets its client. The receiver resolves when the
    /// RELEASE is out: at once, unless the way to the server must be asked for first or many are
    /// on their way there.
    ///
    /// The MAC alone does not tell whose client it is: an endpoint that was refused because of
    /// its MAC must not end the lease of the one that holds it.
    pub(crate) async fn release(&self, owner: &EndpointId, mac: MacAddr) -> oneshot::Receiver<()> {
        let (released, receiver) = oneshot::channel();
        let (mut done, mut leased) = (Some(released), None);
        if let Some(entry) = self.lock().clients.get_mut(&mac).filter(|e| e.owner == *owner) {
            leased = Some(entry.client.lease().is_some());
            // Where there is nothing else to give back, IPv6 is what is waited for.
            let done = done.take_if(|_| !goes_without(&entry.client));
            entry.waiting =
                Some(Waiting::Released { _done: done, _on_its_way: self.releasing.token() });
            entry.link = None;
            entry.ear = None;
        }
        if let Some(ipv6) = self.ipv6().cloned() {
            let owner = owner.clone();
            self.releasing.spawn(async move {
                ipv6.release(&owner, mac).await;
                drop(done);
            });
        }
        let Some(leased) = leased else { return receiver };
        self.hold(mac).await;
        // Only now, since the kernel lets those who wait for it go all together.
        let wait = if leased { self.lock().pace.wait(now()) } else { Duration::ZERO };
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
        // Its endpoint may be made once more by now, and have another client.
        let releasing = |entry: &&mut Box<Entry>| {
            entry.owner == *owner && matches!(entry.waiting, Some(Waiting::Released { .. }))
        };
        let Some(entry) = state.clients.get_mut(&mac).filter(releasing) else { return };
        entry.client.release(now());
        self.settle(&mut state, mac);
        // One that never began has nothing to give back, and no event tells of its end.
        if state.clients.get(&mac).is_some_and(|e| e.client.state() == State4::Stopped) {
            self.remove(&mut state, mac);
        }
    }

    /// Waits until no lease is on its way back to a server, for as long as that may take.
    pub(super) async fn all_released(&self) {
        self.releasing.close();
        if tokio::time::timeout(RELEASING, self.releasing.wait()).await.is_err() {
            tracing::warn!(interface = self.interface, "leases are left to expire at their server");
        }
    }

    /// How the client of that MAC stands.
    pub(crate) fn view(&self, mac: MacAddr) -> Option<View> {
        let state = self.lock();
        let client = &state.clients.get(&mac)?.client;
        Some(View {
            lease: client.lease().cloned(),
            state: client.state().to_string(),
            ignored: client.progress().ignored(),
            without_until: client.poll_timeout().filter(|_| client.state() == State4::V6OnlyWait),
        })
    }

    pub(super) fn insert(
        &self,
        owner: &EndpointId,
        client: Client,
        live: Option<Live>,
        waiting: Option<Waiting>,
    ) -> Result<(), AcquireError> {
        let mac = client.config().mac;
        let mut state = self.lock();
        if let Some(other) = state.clients.get(&mac) {
            // A lease that is only waiting for its RELEASE to go out gives way.
            if !matches!(other.waiting, Some(Waiting::Released { .. })) {
                return Err(AcquireError::MacInUse(other.owner.clone()));
            }
            self.remove(&mut state, mac);
        }
        self.line.admit(mac, true);
        let entry = Entry {
            owner: owner.clone(),
            client,
            wake: Instant::NEVER,
            link: live.and_then(Live::ear),
            ear: None,
            wants: Wants::default(),
            waiting,
        };
        state.clients.insert(mac, Box::new(entry));
        Ok(())
    }

    /// The port holds the endpoint's place: frames for its MAC come to the port, which answers
    /// ARP for its address.
    pub(super) async fn hold(&self, mac: MacAddr) {
        if self.is_on_bridge() {
            self.point(mac, self.port).await;
        }
        self.with(mac, |client, _| client.hold(true));
    }

    /// Takes a client out.
    pub(super) fn remove(&self, state: &mut State, mac: MacAddr) {
        if state.remove(mac) {
            self.line.admit(mac, false);
        }
    }

    /// Points the bridge's forwarding entry for a MAC to one of its ports.
    async fn point(&self, mac: MacAddr, port: u32) {
        if let Err(error) = self.host.fdb_replace(mac, port, FdbKind::Dynamic).await {
            // The bridge learns by itself sooner or later; only the first answers are at stake.
            tracing::debug!(%error, interface = self.interface, %mac, "forwarding entry not set");
        }
    }

    pub(super) fn with(&self, mac: MacAddr, act: impl FnOnce(&mut Client, Instant)) {
        let mut state = self.lock();
        if let Some(entry) = state.clients.get_mut(&mac) {
            act(&mut entry.client, now());
            self.settle(&mut state, mac);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a client neither has a lease nor looks for one.
pub(super) fn goes_without(client: &Client) -> bool {
    matches!(client.state(), State4::Stopped | State4::V6OnlyWait)
}

pub(super) fn now() -> Instant {
    Instant::from_boot(net::boot_now())
}

/// Randomness for a client's transaction identifiers and jitter.
pub(super) fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        // No entropy device at all: the clock tells two clients apart well enough.
        Err(_) => net::boot_now().as_nanos() as u64,
    }
}
