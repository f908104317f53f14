//! The client: commands, what comes in, what goes out.

use std::collections::VecDeque;
use std::net::Ipv6Addr;

use fastrand::Rng;
use wire::MacAddr;
use wire::dhcp6::KeptOptions;
use wire::frame::{Frame, Payload};

use super::ready::Waiting;
use super::saved::Saved;
use super::{Config, Configuration, Event, Listening, Mode, Neighbour, State};
use crate::v6::{self, Information};
use crate::{Instant, nd};

/// One endpoint's IPv6 client. How to drive it is told in the [crate's documentation](crate).
#[derive(Debug)]
pub struct Client {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) phase: Phase,
    pub(crate) host: nd::Host,
    /// Made when a server is first asked.
    pub(crate) server: Option<Box<v6::Client>>,
    /// What a server said without a lease before the daemon was started anew.
    pub(crate) information: Option<Box<Information>>,
    /// Addresses of a lease that is over, which stay in use ([`Config::on_loss`]).
    pub(crate) kept: Vec<Ipv6Addr>,
    /// From before the machine booted, until a router says something or nobody does.
    pub(crate) remembered: Option<Box<Saved>>,
    /// What the container has.
    pub(crate) told: Box<Configuration>,
    /// When half of the shortest time in it is over.
    pub(crate) retell_at: Instant,
    /// Whether there are newer times.
    pub(crate) untold: bool,
    /// Whether a server is asked because no router spoke.
    pub(crate) asked_unbidden: bool,
    /// Whether a server has said something that may be news for the container.
    pub(crate) dirty: bool,
    /// What waits to be fetched, if anything does.
    outbox: Option<Box<Outbox>>,
}

/// Where the client stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    Stopped,
    /// The first answer does not stand yet.
    Starting(Waiting),
    /// The container was told something.
    Told,
    Releasing,
}

/// Boxed, because thousands of clients are idle.
#[derive(Debug, Default)]
struct Outbox {
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// What has been sent and heard so far.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Of routers and neighbours.
    pub host: &'a nd::Progress,
    /// Of DHCPv6 servers, if any was asked.
    pub server: Option<&'a v6::Progress>,
}

/// Commands.
impl Client {
    /// A client that does nothing yet. `seed` is all the randomness it will ever have.
    pub fn new(config: Config, seed: u64) -> Client {
        let mut rng = Rng::with_seed(seed);
        let host = nd::Config {
            mac: config.mac,
            link: config.link,
            interface_id: config.interface_id.clone(),
            autonomous: config.mode != Mode::Dhcp,
            duplicate_check: config.duplicate_check,
            link_mtu: config.link_mtu,
            patience: config.routers_first(),
        };
        Client {
            host: nd::Host::new(host, rng.u64(..)),
            config,
            rng,
            phase: Phase::Stopped,
            server: None,
            information: None,
            kept: Vec::new(),
            remembered: None,
            told: Box::default(),
            retell_at: Instant::NEVER,
            untold: false,
            asked_unbidden: false,
            dirty: false,
            outbox: None,
        }
    }

    /// Looks for routers and servers. Does nothing unless the client is stopped.
    pub fn start(&mut self, now: Instant) {
        if let Phase::Stopped = self.phase {
            self.begin(None, now);
        }
    }

    /// Asks at `at` whether all is still right: after the link was away, its bridge made anew, or
    /// the machine asleep. All of it stays in use meanwhile. If a router answers, what routers said
    /// before and do not say again within 4 s is over. Addresses are checked anew. A client that is
    /// stopped or releasing stays so.
    pub fn confirm(&mut self, at: Instant, now: Instant) {
        if let Phase::Starting(_) | Phase::Told = self.phase {
            self.host.confirm(at, now);
            if let Some(server) = &mut self.server {
                server.confirm(at, now);
            }
            self.follow(now);
        }
    }

    /// Asks routers and the server of the lease now.
    pub fn renew(&mut self, now: Instant) {
        if let Phase::Starting(_) | Phase::Told = self.phase {
            self.host.solicit(now);
            self.host.handle_timeout(now);
            if let Some(server) = &mut self.server {
                server.renew(now);
            }
            self.follow(now);
        }
    }

    /// While `held`, the client answers neighbour solicitations for all its addresses: as long as
    /// no container has them, nobody else would.
    pub fn hold(&mut self, held: bool) {
        self.host.hold(held);
    }

    /// Announces all addresses by unsolicited advertisements (RFC 4861 §7.2.6): call it when the container has them. Twice, 1 s
    /// apart, and the second time when all are checked: until then they replace nothing in others' caches (RFC 4429 §3.3).
    /// The second time is told by the next [`Client::handle_timeout`], for which [`Client::poll_timeout`] asks at once.
    pub fn announce(&mut self) {
        self.host.announce();
    }

    /// Sets the MAC of the link that it shares with others ([`Config::link`]): all that is said from here on bears it. If it is
    /// another than before, the neighbours are told ([`Client::announce`]).
    pub fn set_link(&mut self, link: MacAddr) {
        self.config.link = Some(link);
        self.host.set_link(link);
    }

    /// Sets the host name that a server is told (`None` or an empty one: none). If there is a lease
    /// and the name is another than before, it is told at once.
    pub fn set_host_name(&mut self, name: Option<&str>, now: Instant) {
        let name = name.filter(|name| !name.is_empty());
        self.config.host_name = name.map(Into::into);
        if let Some(server) = &mut self.server {
            server.set_host_name(name, now);
            self.follow(now);
        }
    }

    /// The same with advertisements to all that were heard on the link before, each with its time: what
    /// they say need not be waited for, as routers may take half a second to answer, or three (RFC 4861
    /// §6.2.6). They are asked all the same, and what they say now counts.
    pub fn start_knowing<'a>(
        &mut self,
        heard: impl IntoIterator<Item = (Instant, Frame<'a>)>,
        now: Instant,
    ) {
        if let Phase::Stopped = self.phase {
            self.begin(None, now);
            for (at, frame) in heard {
                if let Payload::Nd(nd) = &frame.payload {
                    self.host.handle(frame.source, nd, at.min(now));
                }
            }
            // What has ended since.
            self.handle_timeout(now);
        }
    }

    pub(crate) fn begin(&mut self, remembered: Option<Saved>, now: Instant) {
        self.phase = Phase::Starting(Waiting { began: now, heard_at: None });
        self.asked_unbidden = false;
        self.host.start(remembered.as_ref().map(|saved| &saved.learned), now);
        self.remembered = remembered.map(Box::new);
        let lease = self.remembered.as_ref().and_then(|saved| saved.lease.clone());
        if let Some(lease) = lease {
            self.reboot_lease(lease, now);
        }
        self.follow(now);
    }

    /// Goes on with what is in use.
    pub(crate) fn go_on(&mut self, now: Instant) {
        self.phase = Phase::Told;
        self.was_told(now);
        self.dirty = true;
        self.follow(now);
    }
}

/// What comes in.
impl Client {
    /// Takes a frame of the segment. Whatever is not for this client is dropped.
    pub fn handle_frame(&mut self, frame: &Frame<'_>, now: Instant) {
        if let Phase::Stopped = self.phase {
            return;
        }
        match &frame.payload {
            Payload::Nd(nd) => self.host.handle(frame.source, nd, now),
            Payload::Udp6(datagram) => self.handle_datagram(datagram, now),
            Payload::Arp(_) | Payload::Udp4(_) => return,
        }
        self.follow(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Stopped = self.phase {
            return;
        }
        self.host.handle_timeout(now);
        if let Some(server) = &mut self.server {
            server.handle_timeout(now);
        }
        self.follow(now);
    }

    /// After each thing that happened: what follows from it.
    pub(crate) fn follow(&mut self, now: Instant) {
        while let Some(event) = self.host.poll_event() {
            match event {
                nd::Event::Advertised => {
                    if let Phase::Starting(waiting) = &mut self.phase {
                        waiting.heard_at.get_or_insert(now);
                    }
                }
                nd::Event::Duplicate { address, holder, given_up } => {
                    self.duplicate((address, holder), given_up, now);
                }
            }
        }
        self.consult(now);
        self.register(now);
        self.follow_server(now);
        // Both are looked at, whatever the other says.
        let changed = self.host.take_changed() | std::mem::take(&mut self.dirty);
        match self.phase {
            Phase::Starting(_) => self.settle_start(now),
            Phase::Told if changed || (self.untold && now >= self.retell_at) => self.tell(now),
            Phase::Told | Phase::Stopped | Phase::Releasing => {}
        }
    }
}

/// What goes out.
impl Client {
    /// The next frame to send, from the Ethernet header on.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        // First what has switches let through the answer to what comes then.
        if let Some(frame) = self.host.poll_transmit() {
            return Some(frame);
        }
        let frame = self.outbox.as_mut()?.transmits.pop_front();
        self.drop_empty_outbox();
        frame
    }

    /// The next thing that happened to the configuration.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.outbox.as_mut()?.events.pop_front();
        self.drop_empty_outbox();
        event
    }

    /// When to call [`Client::handle_timeout`] next; `None`: not before something else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = match &self.phase {
            Phase::Stopped => return None,
            Phase::Starting(waiting) => {
                let ask_at = if self.asked_unbidden || waiting.heard_at.is_some() {
                    Instant::NEVER
                } else {
                    waiting.ask_at(&self.config)
                };
                ask_at.min(self.ready_at(waiting))
            }
            Phase::Told if self.untold => self.retell_at,
            Phase::Told | Phase::Releasing => Instant::NEVER,
        };
        let server = self.server.as_ref().and_then(|server| server.poll_timeout());
        let at = [self.host.poll_timeout(), server].into_iter().flatten().fold(own, Instant::min);
        (at != Instant::NEVER).then_some(at)
    }

    pub(crate) fn transmit_all(&mut self, frames: Vec<Vec<u8>>) {
        if !frames.is_empty() {
            self.outbox.get_or_insert_default().transmits.extend(frames);
        }
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.outbox.get_or_insert_default().events.push_back(event);
    }

    fn drop_empty_outbox(&mut self) {
        self.outbox.take_if(|outbox| outbox.transmits.is_empty() && outbox.events.is_empty());
    }
}

/// Getters.
impl Client {
    /// What the socket must pass just now.
    pub fn listening(&self) -> Listening {
        Listening {
            routers: matches!(self.phase, Phase::Starting(_) | Phase::Told),
            dhcp: self.server.as_ref().is_some_and(|server| server.listening()),
        }
    }

    /// Whose neighbour discovery concerns the client just now.
    pub fn neighbours(&self) -> impl Iterator<Item = Neighbour> + '_ {
        self.host.neighbours()
    }

    /// The link-local address that the client speaks from.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.host.link_local()
    }

    /// Whether an address is one that the client speaks from, or has.
    pub fn is_ours(&self, address: Ipv6Addr) -> bool {
        self.host.is_ours(address)
    }

    /// What the container is to have, as the last event said. Its times may be behind what routers
    /// said since by less than half of themselves.
    pub fn configuration(&self) -> &Configuration {
        &self.told
    }

    /// The lease of a DHCPv6 server, if there is one.
    pub fn lease(&self) -> Option<&v6::Lease> {
        self.server.as_ref().and_then(|server| server.lease())
    }

    /// Where the client stands.
    pub fn state(&self) -> State {
        let leased = self.lease().is_some();
        match &self.phase {
            Phase::Stopped => State::Stopped,
            Phase::Releasing => State::Releasing,
            _ if self.wants_lease() && !leased => State::Requesting,
            Phase::Starting(waiting) if waiting.heard_at.is_none() => State::Soliciting,
            Phase::Told if !leased && self.host.learned().is_empty() => State::Alone,
            Phase::Starting(_) | Phase::Told => State::Configured,
        }
    }

    /// What has been sent and heard so far.
    pub fn progress(&self) -> Progress<'_> {
        let server = self.server.as_ref().map(|server| server.progress());
        Progress { host: self.host.progress(), server }
    }

    /// What the DHCPv6 server's last Reply said beside addresses, prefixes and DNS.
    pub fn server_options(&self) -> Option<&KeptOptions> {
        let lease = self.lease().map(|lease| &lease.options);
        lease.or_else(|| self.information().map(|information| &information.options))
    }

    /// What the client was made with, and the host name that was set since.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What a server said without a lease.
    pub(crate) fn information(&self) -> Option<&Information> {
        let server = self.server.as_ref().and_then(|server| server.information());
        server.or(self.information.as_deref())
    }
}
