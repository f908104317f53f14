//! A client and the container it speaks for.

use std::net::Ipv6Addr;

use dhcp::Instant;
use dhcp::ipv6::{Address, Client, Delegated, Event, Saved, State};
use wire::MacAddr;
use wire::dhcp6::port;
use wire::frame::{Frame, Payload};
use wire::nd::{self, Message, Nd, NdOption, NeighbourAdvertisement};

use super::rules::Rules;
use super::sent::Sent;

/// A container on the LAN with its client.
#[derive(Debug)]
pub struct Endpoint {
    /// The client.
    pub client: Client,
    /// The addresses that the container has.
    pub configured: Vec<Address>,
    /// The prefixes that are routed to it.
    pub delegated: Vec<Delegated>,
    /// Whether the container is up and its kernel answers neighbours. Until then, the client does.
    pub up: bool,
    /// What the store has: what there was to be saved after the last event.
    pub saved: Option<Saved>,
    /// Whether that is from before the machine booted.
    booted: bool,
    /// What has happened so far.
    pub history: History,
    /// When the timer of the client goes off.
    pub(crate) armed: Option<Instant>,
    /// Whose neighbour discovery reaches it.
    pub(crate) hears: Vec<Ipv6Addr>,
    rules: Rules,
}

/// What a client has told by its events, counted, and what it has sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Times it was ready.
    pub ready: u32,
    /// New times of the same configuration.
    pub renewed: u32,
    /// Other configurations.
    pub changed: u32,
    /// Addresses that another machine had.
    pub duplicates: u32,
    /// Releases done.
    pub released: u32,
    /// Frames.
    pub sent: Sent,
}

impl Endpoint {
    /// A container that is not up yet, with a client that is new at `now` and speaks for it.
    pub fn new(mut client: Client, now: Instant) -> Endpoint {
        client.hold(true);
        Endpoint {
            client,
            configured: Vec::new(),
            delegated: Vec::new(),
            up: false,
            saved: None,
            booted: false,
            history: History::default(),
            armed: None,
            hears: Vec::new(),
            rules: Rules::new(now),
        }
    }

    /// The MAC that it has on the wire.
    pub fn mac(&self) -> MacAddr {
        self.client.config().link_mac()
    }

    /// Whether the container has `address`.
    pub fn has(&self, address: Ipv6Addr) -> bool {
        self.configured.iter().any(|configured| configured.address == address)
    }

    /// A command follows: what it costs is allowed.
    pub fn command(&mut self) {
        self.rules.command();
    }

    /// Commands come in no order that a daemon would give them in: nothing must be told in time any more, while all that
    /// must not be told still must not.
    pub fn forgive(&mut self) {
        self.rules.forgive();
    }

    /// The link may be another one, which is asked about at `at`: whether a server there wants to know
    /// of addresses has to be found out anew.
    pub fn moves(&mut self, at: Instant) {
        // Who gives back what it has is not asked to look round.
        if !matches!(self.client.state(), State::Stopped | State::Releasing) {
            self.rules.moves(at);
        }
    }

    /// The daemon is gone without warning and another one starts, with what the store has.
    /// [`Endpoint::step`] must follow.
    pub fn restart(&mut self, seed: u64, now: Instant) {
        if self.booted {
            return self.reboot(seed, now);
        }
        let config = self.client.config().clone();
        self.rules.command();
        let offered = self.saved.as_ref().is_some_and(|saved| saved.registers);
        self.rules.restarts(offered, now);
        self.rules.rests();
        match self.saved.clone() {
            Some(saved) => self.client = Client::resume(config, saved, seed, now),
            None if self.client.state() == State::Stopped => {}
            None => self.start_anew(Client::new(config, seed), now),
        }
        self.client.hold(!self.up);
    }

    /// The machine boots: the container is gone, and what the store has is not.
    /// [`Endpoint::step`] must follow.
    pub fn reboot(&mut self, seed: u64, now: Instant) {
        let config = self.client.config().clone();
        self.rules.command();
        self.rules.moves(now);
        self.rules.rests();
        self.up = false;
        self.clear();
        match self.saved.clone() {
            Some(saved) => {
                self.booted = true;
                self.client = Client::reboot(config, saved, seed, now);
                self.rules.begins(now);
            }
            None if self.client.state() == State::Stopped => {}
            None => self.start_anew(Client::new(config, seed), now),
        }
        self.client.hold(true);
    }

    fn start_anew(&mut self, client: Client, now: Instant) {
        self.client = client;
        self.client.hold(true);
        self.up = false;
        self.clear();
        self.client.start(now);
        self.rules.begins(now);
    }

    /// The container has nothing any more.
    fn clear(&mut self) {
        self.configured.clear();
        self.delegated.clear();
    }

    /// Does to the container what the event asks for. When it is ready it comes up.
    fn apply(&mut self, event: &Event, now: Instant) -> Result<(), String> {
        self.rules.event(event, now)?;
        // Until then the daemon takes it for one that is being made, whatever else it is told.
        self.booted &= !matches!(event, Event::Ready | Event::Released);
        match event {
            Event::Ready => {
                self.history.ready += 1;
                self.up = true;
                self.client.hold(false);
            }
            Event::Renewed => self.history.renewed += 1,
            Event::Changed { .. } => self.history.changed += 1,
            Event::Duplicate { .. } => self.history.duplicates += 1,
            Event::Released => self.history.released += 1,
        }
        let before = std::mem::take(&mut self.configured);
        let told = self.client.configuration();
        self.configured.clone_from(&told.addresses);
        self.delegated.clone_from(&told.delegated);
        self.saved = match event {
            Event::Released => None,
            _ => Some(self.client.saved()),
        };
        let added = |now: &&Address| !before.iter().any(|old| old.address == now.address);
        if self.configured.iter().any(|address| added(&address)) || *event == Event::Ready {
            self.rules.announces(self.configured.len());
            self.client.announce();
        }
        Ok(())
    }

    /// One step of the client by the contract of its run loop: what it does, then all frames and
    /// events it has for it. Returns the frames.
    ///
    /// # Errors
    ///
    /// Something breaks the rules.
    pub fn step(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Client),
    ) -> Result<Vec<Vec<u8>>, String> {
        self.rules.step(now);
        let stopped = self.client.state() == State::Stopped;
        act(&mut self.client);
        match self.client.state() {
            State::Stopped | State::Releasing => {
                self.rules.rests();
                self.clear();
                (self.saved, self.booted) = (None, false);
            }
            _ if stopped => self.rules.begins(now),
            _ => {}
        }
        let mut frames = Vec::new();
        loop {
            if let Some(frame) = self.client.poll_transmit() {
                let kind = self.rules.sent(&self.client, &frame, now)?;
                self.history.sent.count(kind);
                frames.push(frame);
            } else if let Some(event) = self.client.poll_event() {
                self.apply(&event, now)?;
            } else {
                break;
            }
        }
        self.rules.check(&self.client, (&self.configured, &self.delegated), now)?;
        Ok(frames)
    }

    /// The same for a frame that comes in.
    ///
    /// # Errors
    ///
    /// Something breaks the rules.
    pub fn hear(&mut self, frame: &Frame<'_>, now: Instant) -> Result<Vec<Vec<u8>>, String> {
        self.rules.heard(&self.client, frame, now);
        self.step(now, |client| client.handle_frame(frame, now))
    }

    /// Whether a frame passes the filter that the client asks for.
    pub fn listens_to(&self, frame: &Frame<'_>) -> bool {
        match &frame.payload {
            Payload::Nd(nd) => match nd.message {
                Message::RouterSolicitation => false,
                Message::RouterAdvertisement(_) => self.client.listening().routers,
                Message::NeighbourSolicitation { target } => {
                    let mut neighbours = self.client.neighbours();
                    neighbours.any(|one| one.address == target && (one.held || one.probing))
                }
                Message::NeighbourAdvertisement(said) => {
                    self.client.neighbours().any(|one| one.address == said.target)
                }
            },
            Payload::Udp6(datagram) => {
                datagram.destination.port() == port::CLIENT && self.client.listening().dhcp
            }
            Payload::Arp(_) | Payload::Udp4(_) => false,
        }
    }

    /// Whose neighbour discovery concerns the client or the container now.
    pub(crate) fn neighbours(&self) -> Vec<Ipv6Addr> {
        let clients = self.client.neighbours().map(|neighbour| neighbour.address);
        let mut all: Vec<_> = clients.chain(self.kernels()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The addresses that the container's kernel answers for.
    fn kernels(&self) -> impl Iterator<Item = Ipv6Addr> {
        let configured = self.configured.iter().map(|address| address.address);
        let all = self.client.configuration().link_local.into_iter().chain(configured);
        all.filter(|_| self.up)
    }

    /// What the container's kernel answers to a neighbour's solicitation (RFC 4861 §7.2.4).
    pub(crate) fn kernel_reply(&self, mac: MacAddr, nd: &Nd<'_>) -> Option<Vec<u8>> {
        let Message::NeighbourSolicitation { target } = nd.message else { return None };
        if mac == self.mac() || !self.kernels().any(|ours| ours == target) {
            return None;
        }
        let solicited = !nd.source.is_unspecified();
        let (mac, to) = match solicited {
            true => (nd.options.source_mac().unwrap_or(mac), nd.source),
            false => (MacAddr::of_group(nd::ALL_NODES), nd::ALL_NODES),
        };
        let said = NeighbourAdvertisement { target, router: false, solicited, replaces: true };
        let message = Message::NeighbourAdvertisement(said);
        let options = [NdOption::TargetMac(self.mac())];
        Some(nd::emit_to((self.mac(), mac), (target, to), &message, &options))
    }
}
