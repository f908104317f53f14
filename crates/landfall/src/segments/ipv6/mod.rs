//! IPv6 on a segment: drives the endpoints' IPv6 clients over a socket of their own on the port.
//!
//! Only segments with a network that wants IPv6 have one. It works as the segment does for DHCPv4:
//! one socket, one timer, one task; each mutation of a client is followed by [`Ipv6::settle`].

mod advertised;
mod driver;
mod neighbours;

use std::collections::{HashMap, VecDeque};
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{Client, Config, Configuration, Event, Neighbour, Saved};
use net::{BootTimer, Netns};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use wire::MacAddr;
use wire::dhcp6::KeptOptions;

use self::advertised::Advertised;
use self::neighbours::Hearing;
use super::Live;
use super::ear::Ear;
use super::line::Line;
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
            if let Some(link) = self.shared_mac {
                entry.client.set_link(link);
            }
            state.clients.entry(mac).or_insert(entry);
            self.settle(&mut state, mac);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
