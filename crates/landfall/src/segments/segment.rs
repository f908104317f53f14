//! One segment: the DHCP clients of its endpoints, and what the engine may ask of them.
//!
//! All clients of a segment share one socket, one timer and one task. Each mutation of a client
//! is followed by [`Segment::settle`], which opens the ears it needs, sends what it has to say,
//! passes on what happened to it, and notes when it must be woken. An idle lease is an entry in
//! two maps and an address in the kernel's table of what the port hears.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{Client, Config, Lease, OnLoss, Progress, State as State4};
use net::{BootTimer, FdbKind, Link, Netlink, PacketSocket};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;
use wire::MacAddr;

use super::LeaseEvent;
use super::clients::{Entry, Starting, State, Waiting};
use super::hearing::Wants;
use super::ipv6::Ipv6;
use super::pace::Pace;
use super::port::Port;
use super::schedule::Schedule;
use crate::engine::ids::EndpointId;

/// After a boot all containers come back at once, and a server's queue is short.
const REBOOTS_AT_ONCE: usize = 16;

/// How long leases may take on their way back before the port goes: three seconds of asking for the
/// server, and their places in the row.
const RELEASING: Duration = Duration::from_secs(5);

/// A bridge on which Landfall speaks for its endpoints.
pub(crate) struct Segment {
    /// The bridge's name, and its index when the port was made.
    pub(super) bridge: String,
    index: u32,
    /// The index of the port's outer end.
    port: u32,
    pub(super) host: Netlink,
    pub(super) me: Weak<Segment>,
    pub(super) socket: PacketSocket,
    pub(super) timer: BootTimer,
    pub(super) events: mpsc::UnboundedSender<LeaseEvent>,
    /// Leases on their way back.
    releasing: TaskTracker,
    /// How many may ask at a time whether their lease of an earlier boot is still right.
    reboots: Semaphore,
    /// Its IPv6 side, once a network wants it.
    pub(super) ipv6: OnceLock<Arc<Ipv6>>,
    state: Mutex<State>,
}

/// The clients of a segment, on their way to another.
pub(super) struct Clients(Vec<(MacAddr, Box<Entry>)>);

/// What a new client knows.
#[derive(Debug, Clone)]
pub(crate) enum Begin {
    /// Nothing, and its MAC was made just now: nobody has ever seen it.
    Fresh,
    /// Nothing.
    Known,
    /// The lease that it had before the machine booted, which goes on.
    With(Lease),
    /// The address that it had before the machine booted, and not whether its lease goes on.
    Asking(Ipv4Addr),
}

/// How an acquisition and the store keep step.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// Whether the endpoint is on the disk.
    pub(crate) recorded: watch::Receiver<bool>,
    /// Takes each lease that a server grants, while its address is still being checked: it can be
    /// written down meanwhile.
    pub(crate) granted: mpsc::UnboundedSender<Lease>,
}

impl Start {
    /// That of an endpoint that is on the disk already.
    pub(crate) fn recorded_before() -> Start {
        Start { recorded: watch::channel(true).1, granted: mpsc::unbounded_channel().0 }
    }

    /// That of somebody who waits for the same record and has nothing to have noted.
    pub(crate) fn after(other: &Start) -> Start {
        Start { recorded: other.recorded.clone(), granted: mpsc::unbounded_channel().0 }
    }

    /// Waits until the endpoint is on the disk; fails if it will never be.
    pub(crate) async fn recorded(&self) -> Result<(), AcquireError> {
        let mut recorded = self.recorded.clone();
        recorded.wait_for(|done| *done).await.map(drop).map_err(|_| AcquireError::Abandoned)
    }
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
    /// When it looks for one again, if it goes without because the LAN would have it so (RFC 8925).
    pub(crate) without_until: Option<Instant>,
}

impl Segment {
    pub(super) fn start(
        bridge: &Link,
        port: Port,
        host: Netlink,
        events: mpsc::UnboundedSender<LeaseEvent>,
        timer: BootTimer,
    ) -> Arc<Segment> {
        let segment = Arc::new_cyclic(|me| Segment {
            bridge: bridge.name.clone(),
            index: bridge.index,
            port: port.outer,
            host,
            me: me.clone(),
            socket: port.socket,
            timer,
            events,
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
            }),
        });
        let driver = tokio::spawn(segment.clone().drive()).abort_handle();
        segment.lock().driver = Some(driver);
        segment
    }

    /// The bridge's name.
    pub(crate) fn bridge(&self) -> &str {
        &self.bridge
    }

    /// The index that the bridge had when the port was made.
    pub(crate) fn index(&self) -> u32 {
        self.index
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
        if let Some(ipv6) = self.ipv6() {
            ipv6.stop();
        }
    }

    /// Its IPv6 side, if a network there wants it.
    pub(crate) fn ipv6(&self) -> Option<&Arc<Ipv6>> {
        self.ipv6.get()
    }

    /// Obtains a lease for a new endpoint; none: the LAN would have it do without IPv4 (RFC 8925).
    ///
    /// It asks at once, and takes no lease before the endpoint is on the disk: whoever died in between
    /// would not know of it.
    ///
    /// Dropping the future leaves the client at work: whoever drops it calls [`Self::release`].
    pub(crate) async fn acquire(
        &self,
        owner: &EndpointId,
        config: Config,
        begin: Begin,
        patience: Duration,
        start: Start,
    ) -> Result<Option<Lease>, AcquireError> {
        let (mac, until) = (config.mac, tokio::time::Instant::now() + patience);
        let fresh = matches!(begin, Begin::Fresh);
        let _turn = match begin {
            Begin::With(_) | Begin::Asking(_) => {
                // It asks for its lease with its first word.
                start.recorded().await?;
                let turn = tokio::time::timeout_at(until, self.reboots.acquire()).await;
                Some(turn.map_err(|_| AcquireError::TimedOut(Progress::default()))?)
            }
            Begin::Fresh | Begin::Known => None,
        };
        let (bound, lease) = oneshot::channel();
        let waiting = Starting { bound, granted: start.granted.clone(), told: None };
        let waiting = Some(Waiting::Bound(Box::new(waiting)));
        self.insert(owner, Client::new(config.clone(), seed()), None, waiting)?;
        if !fresh {
            // The MAC may have been seen elsewhere, and replies to it would go there.
            self.hold(mac).await;
        }
        self.with(mac, |client, now| match begin {
            Begin::Fresh | Begin::Known => client.start_asking(now),
            Begin::With(lease) => *client = Client::reboot_with_lease(config, lease, seed(), now),
            Begin::Asking(address) => *client = Client::reboot(config, address, seed(), now),
        });
        if fresh {
            // The kernel may be busy with other links, and the server need not wait for that.
            self.hold(mac).await;
        } else {
            self.with(mac, |client, _| client.hold(true));
        }
        start.recorded().await?;
        self.with(mac, |client, now| client.request(now));
        self.wait_for(mac, lease, until).await
    }

    /// Has a client that does without IPv4 ask for it all the same, and waits for its lease.
    pub(crate) async fn insist(
        &self,
        mac: MacAddr,
        patience: Duration,
    ) -> Result<Option<Lease>, AcquireError> {
        let until = tokio::time::Instant::now() + patience;
        let (bound, lease) = oneshot::channel();
        let granted = mpsc::unbounded_channel().0;
        if let Some(entry) = self.lock().clients.get_mut(&mac) {
            let waiting = Starting { bound, granted, told: None };
            entry.waiting = Some(Waiting::Bound(Box::new(waiting)));
        }
        self.ask_again(mac);
        self.wait_for(mac, lease, until).await
    }

    /// The same without waiting: [`Event::Bound`] tells of it. Does nothing to a client that has a lease or looks for one.
    pub(crate) fn ask_again(&self, mac: MacAddr) {
        self.with(mac, |client, now| client.insist(now));
    }

    /// Waits for what a client is told in answer.
    async fn wait_for(
        &self,
        mac: MacAddr,
        lease: oneshot::Receiver<Option<Lease>>,
        until: tokio::time::Instant,
    ) -> Result<Option<Lease>, AcquireError> {
        match tokio::time::timeout_at(until, lease).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(_)) => Err(AcquireError::Abandoned),
            Err(_) => match self.lock().clients.get_mut(&mac) {
                Some(entry) => {
                    // From now on it is an event like any other.
                    entry.waiting.take_if(|waiting| matches!(waiting, Waiting::Bound(_)));
                    Err(AcquireError::TimedOut(entry.client.progress().clone()))
                }
                None => Err(AcquireError::Abandoned),
            },
        }
    }

    /// Lets a client that got no lease go on with its last one, although nobody has confirmed it: its
    /// address is in use until a server says otherwise.
    pub(crate) fn assume(&self, owner: &EndpointId, config: Config, mut last: Lease) {
        let (mac, now) = (config.mac, now());
        let config = Config { on_loss: OnLoss::Keep, ..config };
        last.expires_at = now;
        let mut state = self.lock();
        if let Some(entry) = state.clients.get_mut(&mac).filter(|entry| entry.owner == *owner) {
            entry.client = Client::resume(config, last, seed(), now);
            entry.client.hold(true);
            self.settle(&mut state, mac);
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

    /// Takes up an endpoint that has no IPv4: nothing is asked for. `link` as for [`Self::resume`].
    pub(crate) async fn enter(
        &self,
        owner: &EndpointId,
        config: Config,
        link: Option<u32>,
    ) -> Result<(), AcquireError> {
        let mac = config.mac;
        self.insert(owner, Client::new(config, seed()), link, None)?;
        if link.is_none() {
            self.hold(mac).await;
        }
        Ok(())
    }

    /// Looks for a lease for an endpoint that lives without one; [`Event::Bound`] tells of it. `link` as
    /// for [`Self::resume`].
    pub(crate) async fn seek(
        &self,
        owner: &EndpointId,
        config: Config,
        link: Option<u32>,
    ) -> Result<(), AcquireError> {
        let mac = config.mac;
        self.enter(owner, config, link).await?;
        self.with(mac, |client, now| client.start(now));
        Ok(())
    }

    /// Whether a server has told the client of that MAC anything about a lease: what was known before
    /// counts no more.
    pub(crate) fn is_answered(&self, mac: MacAddr) -> bool {
        self.lock().clients.get(&mac).is_some_and(|entry| {
            let progress = entry.client.progress();
            entry.client.lease().is_some() || progress.acks > 0 || progress.naks > 0
        })
    }

    /// Hands a client over to another endpoint, with the lease that it has; none: it goes without IPv4.
    ///
    /// # Errors
    /// When the client is not `from`'s, or has no lease just now and should: then it is forgotten. What
    /// `from` has of IPv6 is handed over all the same.
    pub(crate) fn take_over(
        &self,
        from: &EndpointId,
        to: &EndpointId,
        mac: MacAddr,
        host_name: Option<&str>,
    ) -> Result<Option<Lease>, AcquireError> {
        if let Some(ipv6) = self.ipv6() {
            ipv6.take_over(from, to, mac, host_name);
        }
        let mut state = self.lock();
        let entry = state.clients.get_mut(&mac).filter(|entry| entry.owner == *from);
        let Some(entry) = entry.filter(|entry| entry.waiting.is_none()) else {
            return Err(AcquireError::Abandoned);
        };
        let lease = entry.client.lease().cloned();
        if lease.is_none() && !goes_without(&entry.client) {
            state.remove(mac);
            return Err(AcquireError::Abandoned);
        }
        entry.owner = to.clone();
        if host_name.is_some() {
            entry.client.set_host_name(host_name, now());
        }
        self.settle(&mut state, mac);
        Ok(lease)
    }

    /// Forgets the client of an endpoint that is made once more, without a word to its server.
    pub(crate) fn forget(&self, owner: &EndpointId, mac: MacAddr) {
        let mut state = self.lock();
        if state.clients.get(&mac).is_some_and(|entry| entry.owner == *owner) {
            state.remove(mac);
            self.arm(&mut state);
        }
        drop(state);
        if let Some(ipv6) = self.ipv6() {
            ipv6.forget(owner, mac);
        }
    }

    /// Whether a server has offered the client of that MAC anything since it was made.
    pub(crate) fn is_offered(&self, mac: MacAddr) -> bool {
        self.lock().clients.get(&mac).is_some_and(|entry| entry.client.progress().offers > 0)
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
            state.clients.entry(mac).or_insert(entry);
            self.settle(&mut state, mac);
        }
    }

    /// Has a client ask at that time whether its lease is still right.
    pub(crate) fn confirm(&self, mac: MacAddr, at: Instant) {
        self.with(mac, |client, now| client.confirm(at, now));
        if let Some(ipv6) = self.ipv6() {
            ipv6.with(mac, |client, now| client.confirm(at, now));
        }
    }

    /// The endpoint's link is up in its sandbox: unicast frames go there from now on.
    pub(crate) async fn link_up(&self, mac: MacAddr, link: u32) {
        // Before anything is announced, so that answers to the announcement go there as well.
        self.point(mac, link).await;
        if let Some(ipv6) = self.ipv6() {
            ipv6.link_up(mac, link);
        }
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
        Some(View {
            lease: client.lease().cloned(),
            state: client.state().to_string(),
            without_until: client.poll_timeout().filter(|_| client.state() == State4::V6OnlyWait),
        })
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
        let entry = Entry {
            owner: owner.clone(),
            client,
            wake: Instant::NEVER,
            link,
            ear: None,
            wants: Wants::default(),
            waiting,
        };
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

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a client neither has a lease nor looks for one.
fn goes_without(client: &Client) -> bool {
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
