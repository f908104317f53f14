//! IPv6 on a segment: drives the endpoints' IPv6 clients over a socket of their own on the port.
//!
//! Only segments with a network that wants IPv6 have one. It works as the segment does for DHCPv4:
//! one socket, one timer, one task; each mutation of a client is followed by [`Ipv6::settle`].

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{Client, Config, Configuration, Event, Neighbour, Saved};
use net::{BootTimer, Netns};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use wire::MacAddr;
use wire::dhcp6::{KeptOptions, port};
use wire::frame::{Checksum, Frame, Payload};
use wire::nd::Message;

use super::Live;
use super::advertised::Advertised;
use super::drive::drive;
use super::ear::Ear;
use super::line::Line;
use super::neighbours::Hearing;
use super::schedule::Schedule;
use super::segment::{Segment, now, seed};
use crate::engine::api::Ipv6Counters;
use crate::engine::counters::ignored6;
use crate::engine::ids::EndpointId;

/// How long a lease may take on its way back.
const RELEASING: Duration = Duration::from_secs(2);

/// Something happened to an endpoint's IPv6.
#[derive(Debug)]
pub(crate) struct Ipv6Event {
    /// Whose.
    pub(crate) endpoint: EndpointId,
    /// What.
    pub(crate) event: Event,
}

/// How a client stands.
pub(crate) struct View {
    /// What the container is to have.
    pub(crate) configuration: Configuration,
    /// Its state.
    pub(crate) state: String,
    /// The DUID of its DHCPv6 server, if it has a lease.
    pub(crate) server: Option<String>,
    /// What it did not use of what servers said.
    pub(crate) ignored: dhcp::v6::Ignored,
}

/// The IPv6 side of a segment.
pub(crate) struct Ipv6 {
    interface: String,
    /// The MAC that all its clients have on the wire; none: each has its own.
    shared_mac: Option<MacAddr>,
    line: Line,
    timer: BootTimer,
    events: mpsc::UnboundedSender<Ipv6Event>,
    /// Of all segments together.
    counters: Arc<Mutex<Ipv6Counters>>,
    segment: Weak<Segment>,
    state: Mutex<State>,
}

struct State {
    clients: HashMap<MacAddr, Box<Entry>>,
    timers: Schedule,
    hearing: Hearing,
    /// What clients have said and their siblings have not heard yet.
    said: VecDeque<(MacAddr, Vec<u8>)>,
    driver: Option<AbortHandle>,
    /// What routers have last told all: the next client need not wait until they say it again.
    advertised: Advertised,
}

struct Entry {
    owner: EndpointId,
    client: Client,
    /// When the client wants to be woken, as noted in [`State::timers`].
    wake: Instant,
    /// The host's end of the endpoint's veth, while a sandbox has the other end up.
    link: Option<u32>,
    /// Reads at `link` while an exchange is under way.
    ear: Option<Ear>,
    /// What the port hears for it.
    neighbours: Vec<Ipv6Addr>,
    waiting: Option<Waiting>,
}

/// Somebody waits for something of a client.
enum Waiting {
    Ready(oneshot::Sender<()>),
    Released(oneshot::Sender<()>),
}

/// The clients of a segment, on their way to another.
pub(super) struct Clients(Vec<(MacAddr, Box<Entry>)>);

impl Ipv6 {
    /// Opens a second line at the segment's port, of which what is Landfall's own stands in `home`.
    pub(super) fn start(
        segment: &Arc<Segment>,
        home: &Netns,
        events: mpsc::UnboundedSender<Ipv6Event>,
        counters: Arc<Mutex<Ipv6Counters>>,
    ) -> net::Result<Arc<Ipv6>> {
        let line = segment.line.another(home, segment.is_on_bridge())?;
        let hearing = Hearing::of(line.hears(), segment.interface())?;
        let ipv6 = Arc::new(Ipv6 {
            interface: segment.interface().to_owned(),
            shared_mac: segment.shared_mac,
            line,
            timer: BootTimer::new()?,
            events,
            counters,
            segment: Arc::downgrade(segment),
            state: Mutex::new(State {
                clients: HashMap::new(),
                timers: Schedule::default(),
                hearing,
                said: VecDeque::new(),
                driver: None,
                advertised: Advertised::default(),
            }),
        });
        let driver = tokio::spawn(ipv6.clone().drive()).abort_handle();
        ipv6.lock().driver = Some(driver);
        Ok(ipv6)
    }

    /// Ends the driver; leases stay with the server.
    pub(super) fn stop(&self) {
        if let Some(driver) = self.lock().driver.take() {
            driver.abort();
        }
    }

    /// Obtains what the LAN has for a new endpoint; waits for the first answer, which may be that
    /// there is nothing. `before`: what it had before the machine booted, its times in this boot's.
    ///
    /// Dropping the future leaves the client at work: whoever drops it calls [`Self::release`].
    pub(crate) async fn acquire(
        &self,
        owner: &EndpointId,
        config: Config,
        before: Option<Saved>,
    ) -> Configuration {
        let config = self.on_this_link(config);
        let mac = config.mac;
        let (ready, told) = oneshot::channel();
        {
            // What routers say meanwhile is for it as well.
            let mut state = self.lock();
            let client = match before {
                Some(saved) => Client::reboot(config, saved, seed(), now()),
                None => {
                    let mut client = Client::new(config, seed());
                    client.start_knowing(state.advertised.frames(now()), now());
                    client
                }
            };
            self.insert(&mut state, owner, client, None, Some(Waiting::Ready(ready)));
        }
        // Whoever takes the client away tells nothing: then there is nothing.
        let _ = told.await;
        self.view(mac).map(|view| view.configuration).unwrap_or_default()
    }

    /// Goes on with what an earlier run of the daemon had, or begins to look for it; events tell what becomes of it. `live`:
    /// its link, if a sandbox has it up.
    pub(crate) fn resume(
        &self,
        owner: &EndpointId,
        config: Config,
        saved: Option<Saved>,
        live: Option<Live>,
    ) {
        let config = self.on_this_link(config);
        let client = match saved {
            Some(saved) => Client::resume(config, saved, seed(), now()),
            None => {
                let mut client = Client::new(config, seed());
                client.start(now());
                client
            }
        };
        self.insert(&mut self.lock(), owner, client, live, None);
    }

    /// Where all have the parent's MAC, so has this one.
    fn on_this_link(&self, config: Config) -> Config {
        Config { link: self.shared_mac, ..config }
    }

    fn insert(
        &self,
        state: &mut State,
        owner: &EndpointId,
        mut client: Client,
        live: Option<Live>,
        waiting: Option<Waiting>,
    ) {
        client.hold(live.is_none());
        let mac = client.config().mac;
        // The DHCPv4 side says whose MAC it is.
        state.remove(mac);
        let entry = Entry {
            owner: owner.clone(),
            client,
            wake: Instant::NEVER,
            link: live.and_then(Live::ear),
            ear: None,
            neighbours: Vec::new(),
            waiting,
        };
        state.clients.insert(mac, Box::new(entry));
        self.settle(state, mac);
    }

    /// Hands a client over to another endpoint; its configuration, if it was there.
    pub(super) fn take_over(
        &self,
        from: &EndpointId,
        to: &EndpointId,
        mac: MacAddr,
        host_name: Option<&str>,
    ) {
        let mut state = self.lock();
        let Some(entry) = state.clients.get_mut(&mac).filter(|entry| entry.owner == *from) else {
            return;
        };
        entry.owner = to.clone();
        if host_name.is_some() {
            entry.client.set_host_name(host_name, now());
        }
        self.settle(&mut state, mac);
    }

    /// Forgets a client without a word to anybody.
    pub(super) fn forget(&self, owner: &EndpointId, mac: MacAddr) {
        let mut state = self.lock();
        if state.clients.get(&mac).is_some_and(|entry| entry.owner == *owner) {
            state.remove(mac);
            self.arm(&mut state);
        }
    }

    /// The endpoint's link is up in its sandbox: its kernel answers for its addresses from now on.
    pub(super) fn link_up(&self, mac: MacAddr, live: Live) {
        let mut state = self.lock();
        if let Some(entry) = state.clients.get_mut(&mac) {
            entry.link = live.ear();
            entry.client.hold(false);
            self.settle(&mut state, mac);
        }
    }

    /// The endpoint's link is not up in a sandbox any more: the port holds its place.
    pub(super) fn link_down(&self, mac: MacAddr) {
        let mut state = self.lock();
        if let Some(entry) = state.clients.get_mut(&mac) {
            entry.link = None;
            entry.ear = None;
            entry.client.hold(true);
            self.settle(&mut state, mac);
        }
    }

    /// Does something with a client.
    pub(super) fn with(&self, mac: MacAddr, act: impl FnOnce(&mut Client, Instant)) {
        let mut state = self.lock();
        if let Some(entry) = state.clients.get_mut(&mac) {
            act(&mut entry.client, now());
            self.settle(&mut state, mac);
        }
    }

    /// Gives what an endpoint has back and forgets its client; ends when that is out, or after a while.
    pub(super) async fn release(&self, owner: &EndpointId, mac: MacAddr) {
        let (released, told) = oneshot::channel();
        {
            let mut state = self.lock();
            let Some(entry) = state.clients.get_mut(&mac).filter(|entry| entry.owner == *owner)
            else {
                return;
            };
            entry.waiting = Some(Waiting::Released(released));
            entry.link = None;
            entry.ear = None;
            entry.client.hold(true);
            entry.client.release(now());
            self.settle(&mut state, mac);
        }
        if tokio::time::timeout(RELEASING, told).await.is_err() {
            self.forget(owner, mac);
        }
    }

    /// What routers told those who start later is not true any more, maybe: the link was away.
    pub(super) fn forget_routers(&self) {
        self.lock().advertised.forget();
    }

    /// How the client of that MAC stands.
    pub(crate) fn view(&self, mac: MacAddr) -> Option<View> {
        let state = self.lock();
        let client = &state.clients.get(&mac)?.client;
        Some(View {
            configuration: client.configuration().clone(),
            state: client.state().to_string(),
            server: client.lease().map(|lease| lease.server.to_string()),
            ignored: ignored6(client),
        })
    }

    /// What its DHCPv6 server's last Reply said beside addresses, prefixes and DNS.
    pub(crate) fn server_options(&self, mac: MacAddr) -> Option<KeptOptions> {
        self.lock().clients.get(&mac)?.client.server_options().cloned()
    }

    /// What is to be stored of it.
    pub(crate) fn saved(&self, mac: MacAddr) -> Option<Saved> {
        Some(self.lock().clients.get(&mac)?.client.saved())
    }

    /// Takes the clients away from a segment that was stopped.
    pub(super) fn give_up_clients(&self) -> Clients {
        let mut state = self.lock();
        state.timers.clear();
        Clients(state.clients.drain().collect())
    }

    /// Goes on with the clients of a segment whose port has gone.
    pub(super) fn adopt(&self, Clients(clients): Clients) {
        let mut state = self.lock();
        for (mac, mut entry) in clients {
            entry.ear = None;
            entry.wake = Instant::NEVER;
            entry.neighbours.clear();
            state.clients.entry(mac).or_insert(entry);
            self.settle(&mut state, mac);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What moves it.
impl Ipv6 {
    /// Follows up on a mutation of a client.
    fn settle(&self, state: &mut State, mac: MacAddr) {
        self.follow(state, mac);
        self.arm(state);
    }

    /// The same without the timer.
    fn follow(&self, state: &mut State, mac: MacAddr) {
        let Some(entry) = state.clients.get_mut(&mac) else { return };
        // Ears before mouth: the answer may be there before `send` returns.
        let listening = entry.client.listening().dhcp;
        Ear::follow(&mut entry.ear, entry.link.filter(|_| listening), &self.segment, mac);
        state.hear(mac);
        let Some(entry) = state.clients.get_mut(&mac) else { return };
        while let Some(frame) = entry.client.poll_transmit() {
            if let Err(error) = self.line.send(&frame) {
                // Lost on our side is lost like anywhere else: it is sent again in its time.
                tracing::warn!(%error, interface = self.interface, %mac, "frame not sent");
            }
            state.said.push_back((mac, frame));
        }
        let mut ended = false;
        while let Some(event) = entry.client.poll_event() {
            ended |= matches!(event, Event::Released);
            self.count(|counters| counters.count_event(&event));
            self.report(entry, event);
        }
        let wake = entry.client.poll_timeout().unwrap_or(Instant::NEVER);
        if ended {
            state.remove(mac);
        } else {
            state.timers.change(mac, &mut entry.wake, wake);
        }
    }

    fn report(&self, entry: &mut Entry, event: Event) {
        match (&event, entry.waiting.take()) {
            (Event::Ready, Some(Waiting::Ready(ready))) => {
                // Whoever gave up has released it.
                if ready.send(()).is_ok() {
                    return;
                }
            }
            (Event::Released, Some(Waiting::Released(released))) => {
                let _ = released.send(());
                return;
            }
            (Event::Ready, _) => {}
            (_, waiting) => entry.waiting = waiting,
        }
        // The engine ends before its segments only when the process ends.
        let _ = self.events.send(Ipv6Event { endpoint: entry.owner.clone(), event });
    }

    /// Sets the timer to what is due next, and repeats what was said.
    fn arm(&self, state: &mut State) {
        self.repeat(state);
        let due = state.advertised.due();
        state.timers.arm(&self.timer, &self.interface, due);
    }

    async fn drive(self: Arc<Self>) {
        let frame = |bytes: &[u8], checksum| self.handle_frame(bytes, checksum);
        drive(&self.interface, self.line.hears(), &self.timer, frame, || self.handle_timeouts())
            .await;
    }

    fn handle_timeouts(&self) {
        let now = now();
        let mut state = self.lock();
        while let Some(mac) = state.timers.pop_due(now) {
            if let Some(entry) = state.clients.get_mut(&mac) {
                entry.wake = Instant::NEVER;
                entry.client.handle_timeout(now);
                self.follow(&mut state, mac);
            }
        }
        while let Some((bytes, checksum)) = state.advertised.take_due(now) {
            if let Ok(frame) = Frame::parse(&bytes, checksum) {
                self.count(|counters| counters.router_advertisements_ignored -= 1);
                self.deliver(&mut state, &frame, None);
            }
        }
        self.arm(&mut state);
    }

    /// Hands a frame to the clients that it is for.
    pub(super) fn handle_frame(&self, bytes: &[u8], checksum: Checksum) {
        let frame = match Frame::parse(bytes, checksum) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::trace!(%error, interface = self.interface, "frame ignored");
                return;
            }
        };
        let mut state = self.lock();
        if self.is_news(&mut state, &frame, bytes, checksum) {
            self.deliver(&mut state, &frame, None);
        }
        self.arm(&mut state);
    }

    /// Counts what came in, and says whether any client is to hear it.
    fn is_news(
        &self,
        state: &mut State,
        frame: &Frame<'_>,
        bytes: &[u8],
        checksum: Checksum,
    ) -> bool {
        match &frame.payload {
            Payload::Nd(nd) if matches!(nd.message, Message::RouterAdvertisement(_)) => {
                let to_all = nd.destination.is_multicast();
                let news = !to_all || state.advertised.hear(nd.source, (bytes, checksum), now());
                self.count(|counters| {
                    counters.router_advertisements += 1;
                    counters.router_advertisements_ignored += u64::from(!news);
                });
                news
            }
            Payload::Udp6(datagram) => {
                let to = *datagram.destination.ip();
                let meant = self.meant_by(&state.clients, frame, to);
                if meant.iter().any(|mac| state.clients.contains_key(mac)) {
                    self.count(|counters| counters.count_message(datagram.payload));
                }
                true
            }
            _ => true,
        }
    }

    fn count(&self, count: impl FnOnce(&mut Ipv6Counters)) {
        count(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn deliver(&self, state: &mut State, frame: &Frame<'_>, sender: Option<MacAddr>) {
        let concerned: BTreeSet<MacAddr> = match &frame.payload {
            Payload::Udp6(datagram) if datagram.destination.port() == port::CLIENT => {
                self.meant_by(&state.clients, frame, *datagram.destination.ip())
            }
            Payload::Nd(nd) => match nd.message {
                Message::RouterAdvertisement(_) if frame.destination.is_unicast() => {
                    self.meant_by(&state.clients, frame, nd.destination)
                }
                Message::RouterAdvertisement(_) => state.clients.keys().copied().collect(),
                Message::NeighbourSolicitation { target } => state.hearing.concerned_by(target),
                Message::NeighbourAdvertisement(nd) => state.hearing.concerned_by(nd.target),
                Message::RouterSolicitation => BTreeSet::new(),
            },
            Payload::Udp6(_) | Payload::Udp4(_) | Payload::Arp(_) => BTreeSet::new(),
        };
        for mac in concerned.into_iter().filter(|mac| Some(*mac) != sender) {
            if let Some(entry) = state.clients.get_mut(&mac) {
                let before = ignored6(&entry.client);
                entry.client.handle_frame(frame, now());
                if let Payload::Udp6(_) = frame.payload {
                    self.count_ignored(mac, entry, before);
                }
                self.follow(state, mac);
            }
        }
    }

    /// The client that a frame to one machine is for: that with its MAC; where all have one, those of which `address` is.
    fn meant_by(
        &self,
        clients: &HashMap<MacAddr, Box<Entry>>,
        frame: &Frame<'_>,
        address: Ipv6Addr,
    ) -> BTreeSet<MacAddr> {
        if self.shared_mac != Some(frame.destination) {
            return [frame.destination].into();
        }
        let meant = clients.iter().filter(|(_, entry)| entry.client.is_ours(address));
        meant.map(|(mac, _)| *mac).collect()
    }

    /// Counts what a client has not used of a message, and says so.
    fn count_ignored(&self, mac: MacAddr, entry: &Entry, before: dhcp::v6::Ignored) {
        let after = ignored6(&entry.client);
        self.count(|counters| counters.ignored.add(before, after));
        let reasons = before.by_reason().into_iter().zip(after.by_reason());
        for (_, (reason, _)) in reasons.filter(|(before, after)| before.1 < after.1) {
            let (endpoint, interface) = (&entry.owner, &self.interface);
            tracing::debug!(%endpoint, %mac, interface, reason, "DHCPv6 message ignored");
        }
    }

    /// The port does not hear what it says itself: what one client says to its neighbours is handed
    /// to those of its siblings that it concerns.
    fn repeat(&self, state: &mut State) {
        while let Some((sender, bytes)) = state.said.pop_front() {
            let Ok(frame) = Frame::parse(&bytes, Checksum::Verify) else { continue };
            match &frame.payload {
                Payload::Nd(nd) => {
                    let asks = matches!(nd.message, Message::RouterSolicitation);
                    self.count(|counters| counters.router_solicitations += u64::from(asks));
                    self.deliver(state, &frame, Some(sender));
                }
                Payload::Udp6(datagram) => {
                    self.count(|counters| counters.count_message(datagram.payload));
                }
                Payload::Arp(_) | Payload::Udp4(_) => {}
            }
        }
    }
}

impl State {
    fn remove(&mut self, mac: MacAddr) {
        if let Some(entry) = self.clients.remove(&mac) {
            self.timers.forget(mac, entry.wake);
            self.hearing.update(mac, &entry.neighbours, &[]);
        }
    }

    /// Has the port hear what that client wants now.
    fn hear(&mut self, mac: MacAddr) {
        let Some(entry) = self.clients.get_mut(&mac) else { return };
        let wanted: Vec<Ipv6Addr> =
            entry.client.neighbours().map(|Neighbour { address, .. }| address).collect();
        if wanted != entry.neighbours {
            let old = std::mem::replace(&mut entry.neighbours, wanted);
            self.hearing.update(mac, &old, &entry.neighbours);
        }
    }
}
