//! The client: commands, what comes in, what goes out.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use fastrand::Rng;
use wire::MacAddr;
use wire::dhcp4::port;
use wire::frame::{self, Frame, Payload, Udp4};

use super::arp::Announcement;
use super::backoff::Backoff;
use super::lease::Lease;
use super::phase::{Phase, Upkeep};
use super::progress::{Progress, Reason, bump};
use super::reply::{Expected, Reply};
use super::request::{Intent, client_id};
use super::{Config, Event, Listening, State};
use crate::Instant;

/// One endpoint's DHCPv4 client. How to drive it is told in the [crate's documentation](crate).
#[derive(Debug)]
pub struct Client {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) phase: Phase,
    pub(crate) announcement: Announcement,
    /// Whether the client answers ARP for its address.
    pub(crate) held: bool,
    /// Whether somebody waits for the first lease.
    pub(crate) eager: bool,
    /// DHCPNAKs since the last DHCPACK.
    pub(crate) naks: u32,
    /// The address to ask for in DISCOVER.
    pub(crate) wanted: Option<Ipv4Addr>,
    pub(crate) progress: Progress,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// Commands.
impl Client {
    /// A client that does nothing yet. `seed` is all the randomness it will ever have.
    pub fn new(config: Config, seed: u64) -> Client {
        Client {
            wanted: config.requested_address,
            config,
            rng: Rng::with_seed(seed),
            phase: Phase::Stopped,
            announcement: Announcement::Done,
            held: false,
            eager: false,
            naks: 0,
            progress: Progress::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A client that goes on with a lease after a restart of the daemon, within one boot: in BOUND,
    /// RENEWING or REBINDING, as the lease's times say. If the lease is over, it begins with
    /// [`Event::Lost`] and INIT. There is no [`Event::Bound`] for a lease that was there before.
    ///
    /// What is overdue is sent within 10 s (or an eighth of the time that is left), at a random
    /// moment: a daemon that was away takes up thousands of leases at once.
    pub fn resume(config: Config, lease: Lease, seed: u64, now: Instant) -> Client {
        let mut client = Client::new(config, seed);
        client.phase = Phase::Leased { lease, upkeep: Upkeep::Idle };
        client.take_up(now);
        client
    }

    /// A client that had `address` before the machine booted (or the network was away) and asks
    /// whether it is still right (INIT-REBOOT, RFC 2131 §3.2 and §4.4.2). A NAK or silence leads to
    /// INIT, with `address` as a wish.
    pub fn reboot(config: Config, address: Ipv4Addr, seed: u64, now: Instant) -> Client {
        let mut client = Client::new(config, seed);
        client.eager = true;
        client.verify(address, now);
        client
    }

    /// Looks for a lease: the first DISCOVER is sent at once, the next ones after about 1, 3 and
    /// 7 s, then at RFC 2131's pace. Does nothing unless the client is stopped.
    pub fn start(&mut self, now: Instant) {
        if let Phase::Stopped = self.phase {
            self.eager = true;
            self.naks = 0;
            self.discover(now, now);
        }
    }

    /// Sets the host name for option 12 (`None` or an empty one: no option). If there is a lease
    /// and the name is another than before, the server is told at once by a renewal.
    pub fn set_host_name(&mut self, name: Option<&str>, now: Instant) {
        let name = name.filter(|name| !name.is_empty());
        if self.config.host_name.as_deref().filter(|name| !name.is_empty()) != name {
            self.config.host_name = name.map(Into::into);
            self.renew(now);
        }
    }

    /// While `held`, the client answers ARP requests for its leased address: as long as no container
    /// holds it, nobody else would, and servers that ask before they answer (dnsmasq) could not
    /// renew the lease.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }
}

/// What comes in.
impl Client {
    /// Takes a frame of the segment. Whatever is not for this client is dropped.
    pub fn handle_frame(&mut self, frame: &Frame<'_>, now: Instant) {
        match &frame.payload {
            Payload::Arp(arp) => {
                self.hold_place(arp);
                if let Some(resolve) = self.phase.resolve()
                    && let Some(mac) = resolve.answer(arp)
                {
                    self.resolved(mac, now);
                }
            }
            Payload::Udp4(datagram) if datagram.destination.port() == port::CLIENT => {
                if let Err(reason) = self.handle_datagram(frame.source, datagram, now) {
                    self.progress.ignored.count(reason);
                }
            }
            Payload::Udp4(_) => {}
        }
    }

    fn handle_datagram(
        &mut self,
        source: MacAddr,
        datagram: &Udp4<'_>,
        now: Instant,
    ) -> Result<(), Reason> {
        let expected = Expected {
            mac: self.config.mac,
            xid: self.phase.exchange().map(|exchange| exchange.xid),
            client_id: &client_id(&self.config),
        };
        match Reply::parse(source, datagram, &expected)? {
            Reply::Offer(grant) => self.offered(grant, now),
            Reply::Ack(grant) => self.acknowledged(grant, now),
            Reply::Nak(refusal) => self.refused(refusal, now),
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.announcement_timeout(now);
        match &self.phase {
            Phase::Stopped => {}
            Phase::Init { .. }
            | Phase::Selecting { .. }
            | Phase::Requesting { .. }
            | Phase::Rebooting { .. } => self.acquire_timeout(now),
            Phase::Leased { .. } => self.keep_timeout(now),
            Phase::Releasing { .. } => self.release_timeout(now),
        }
    }
}

/// What goes out.
impl Client {
    /// The next frame to send, from the Ethernet header on.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        pop(&mut self.transmits)
    }

    /// The next thing that happened to the lease.
    pub fn poll_event(&mut self) -> Option<Event> {
        pop(&mut self.events)
    }

    /// When to call [`Client::handle_timeout`] next; `None`: not before something else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.phase.deadline(), self.announcement.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn transmit(&mut self, frame: Vec<u8>) {
        self.transmits.push_back(frame);
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Sends a DHCP message from `source` to the server or to all, and counts it.
    pub(crate) fn send(
        &mut self,
        intent: Intent,
        (xid, secs): (u32, u16),
        source: Ipv4Addr,
        (mac, destination): (MacAddr, Ipv4Addr),
    ) {
        match intent {
            Intent::Discover { .. } => bump(&mut self.progress.discovers),
            Intent::Select { .. } | Intent::Reboot { .. } | Intent::Extend { .. } => {
                bump(&mut self.progress.requests);
            }
            Intent::Release { .. } => {}
        }
        let payload = intent.encode(&self.config, xid, secs);
        let frame = frame::udp4(
            self.config.mac,
            mac,
            SocketAddrV4::new(source, port::CLIENT),
            SocketAddrV4::new(destination, port::SERVER),
            &payload,
        );
        self.transmit(frame);
    }
}

/// Getters.
impl Client {
    /// What the socket must pass just now.
    pub fn listening(&self) -> Listening {
        Listening {
            dhcp: self.phase.exchange().is_some(),
            arp: self.phase.resolve().is_some() || (self.held && self.lease().is_some()),
        }
    }

    /// The lease that may be used, if there is one.
    pub fn lease(&self) -> Option<&Lease> {
        self.phase.lease()
    }

    /// The state.
    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// What has been sent and heard so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What the client was made with, and the host name that was set since.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The pace for an exchange that begins now.
    pub(crate) fn pace(&self) -> Backoff {
        if self.eager { Backoff::eager() } else { Backoff::standard() }
    }
}

/// Takes the first; an emptied queue gives its memory back, because thousands of clients are idle.
fn pop<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let first = queue.pop_front();
    if queue.is_empty() {
        *queue = VecDeque::new();
    }
    first
}
