//! What one client may do, judged by what it was told and by what it says. Neither routers nor servers
//! are believed.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{Address, Client, Delegated, Event, Origin, State};
use wire::dhcp6::{self, INFINITY, MessageType, SERVERS};
use wire::frame::{Checksum, Frame, Payload, Udp6};
use wire::nd::{Message, NdOption};

use super::registrations::Registrations;
use super::sent::{Kind, Purses};

const SECOND: Duration = Duration::from_secs(1);
/// Frames and events that one step may give: an advertisement may bring sixteen addresses, and a
/// report, two checks and a farewell each.
const OUTBOX: u32 = 100;
/// Questions that are remembered.
const REMEMBERED: usize = 32;
/// Promises beyond which those that are over are forgotten.
const MANY: usize = 4096;
/// Frames of each kind that a command may cost.
const COMMAND: u8 = 17;
/// When the first answer must stand: the patience, an exchange of 2 s, and the grace for what is not
/// needed.
const READY: Duration = Duration::from_millis(2800);
/// Most addresses: 16 of prefixes and 8 of a lease.
const ADDRESSES: usize = 24;
/// Most prefixes of a lease.
const PREFIXES: usize = 8;

/// What can be promised to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Promised {
    /// Addresses made of a prefix of 64 bits.
    Made(Ipv6Addr),
    Leased(Ipv6Addr),
    /// A prefix and its length.
    Delegated(Ipv6Addr, u8),
}

/// The rules for one client, with what they have to remember. What is returned is what is wrong.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Questions lately: the transaction, when it was asked last, and the server that was meant.
    asked: VecDeque<Question>,
    /// Until when something was promised at most, by any message.
    told: HashMap<Promised, Instant>,
    registrations: Registrations,
    /// How many promises there may be before those that are over are forgotten.
    room: usize,
    purses: Purses,
    frames: u32,
    events: u32,
    /// How often a lease makes the client ask, at most.
    period: Duration,
    /// When the first answer must stand.
    ready_by: Option<Instant>,
    looked: Instant,
    /// Whether what is to be told must be told in time.
    punctual: bool,
}

#[derive(Debug)]
struct Question {
    xid: u32,
    asked: Instant,
    server: Option<Box<[u8]>>,
    /// Whether a Reply has come, after which the client may not listen any more.
    replied: bool,
}

impl Rules {
    /// For a client that is new at `now`.
    pub(crate) fn new(now: Instant) -> Rules {
        Rules {
            asked: VecDeque::new(),
            told: HashMap::new(),
            registrations: Registrations::default(),
            room: MANY,
            purses: Purses::new(now),
            frames: 0,
            events: 0,
            period: Duration::MAX,
            ready_by: None,
            looked: now,
            punctual: true,
        }
    }

    /// From now on nothing must be told in time.
    pub(crate) fn forgive(&mut self) {
        self.punctual = false;
    }

    /// A command is given. What it costs is the caller's affair.
    pub(crate) fn command(&mut self) {
        for kind in super::KINDS {
            self.purses.credit(kind, COMMAND);
        }
    }

    /// The client is made anew and knows whether a server of the link wants to be told of addresses.
    pub(crate) fn restarts(&mut self, offered: bool, now: Instant) {
        self.registrations.restart(offered, now);
    }

    /// The link may be another one: from `at` on all is asked anew.
    pub(crate) fn moves(&mut self, at: Instant) {
        self.registrations.forget(at);
    }

    /// The client begins: its first answer must come.
    pub(crate) fn begins(&mut self, now: Instant) {
        self.ready_by = Some(now + READY);
        self.registrations.forget(now);
    }

    /// No first answer is to come any more, or it need not.
    pub(crate) fn rests(&mut self) {
        self.ready_by = None;
    }

    /// The addresses are announced.
    pub(crate) fn announces(&mut self, addresses: usize) {
        let frames = u8::try_from(2 * addresses + 2).unwrap_or(u8::MAX);
        self.purses.credit(Kind::NeighbourAdvertisement, frames);
    }

    /// Before each command or input.
    pub(crate) fn step(&mut self, now: Instant) {
        assert!(now >= self.looked, "time runs backwards");
        self.looked = now;
        (self.frames, self.events) = (0, 0);
    }

    /// A frame reaches the client, which may be what it was waiting for.
    pub(crate) fn heard(&mut self, client: &Client, frame: &Frame<'_>, now: Instant) {
        if self.told.len() > self.room {
            self.told.retain(|_, until| *until > now);
            self.room = MANY.max(2 * self.told.len());
        }
        match &frame.payload {
            Payload::Nd(nd) => match nd.message {
                Message::RouterAdvertisement(_) => {
                    for option in nd.options.iter() {
                        let NdOption::Prefix(said) = option else { continue };
                        if said.autonomous && said.length == 64 && said.preferred <= said.valid {
                            let made = Promised::Made(network(said.prefix));
                            self.promise(made, said.valid, now);
                            self.registrations.prolonged(network(said.prefix), said.valid);
                        }
                    }
                }
                // Each question is answered while the place is held.
                Message::NeighbourSolicitation { .. } => {
                    self.purses.credit(Kind::NeighbourAdvertisement, 1);
                }
                Message::RouterSolicitation | Message::NeighbourAdvertisement(_) => {}
            },
            Payload::Udp6(datagram) => self.heard_server(&client.config().duid, datagram),
            Payload::Arp(_) | Payload::Udp4(_) => {}
        }
    }

    fn heard_server(&mut self, duid: &[u8], datagram: &Udp6<'_>) {
        let Ok(message) = dhcp6::Message::parse(datagram.payload) else { return };
        if message.kind == MessageType::AddrRegReply {
            return self.registrations.answered(&message);
        }
        let (Some(client), Some(server)) =
            (message.options.client_id(), message.options.server_id())
        else {
            return;
        };
        if client != duid || !matches!(message.kind, MessageType::Advertise | MessageType::Reply) {
            return;
        }
        let last = self.asked.back().map(|last| last.xid);
        let asked = self.asked.iter_mut().find(|question| question.xid == message.xid);
        let Some(question) = asked else { return };
        if message.options.addr_reg_enable() {
            let waits = last == Some(message.xid) && !question.replied;
            self.registrations.offered(waits);
        }
        let others = question.server.as_deref().is_some_and(|meant| meant != server);
        if others || message.kind != MessageType::Reply {
            return;
        }
        question.replied = true;
        let asked = question.asked;
        for ia in message.options.ia_na() {
            for granted in ia.options.addresses() {
                self.promise(Promised::Leased(granted.address), granted.valid, asked);
                self.lasts((granted.preferred, granted.valid), (ia.t1, ia.t2));
            }
        }
        for ia in message.options.ia_pd() {
            for granted in ia.options.prefixes() {
                let prefix = Promised::Delegated(granted.prefix, granted.length);
                self.promise(prefix, granted.valid, asked);
                self.lasts((granted.preferred, granted.valid), (ia.t1, ia.t2));
            }
        }
    }

    /// A lease may last as long as that, or end with it.
    fn lasts(&mut self, (preferred, valid): (u32, u32), times: (u32, u32)) {
        let half = SECOND * valid.min(preferred).max(1) / 2;
        let t1 = match times {
            (0, 0) => half,
            (0, t2) => half.min(SECOND * t2 / 2),
            (t1, _) => SECOND * t1,
        };
        let floor = (SECOND * valid / 20).clamp(SECOND, SECOND * 10);
        // T1 comes up to 5 % earlier.
        let period = t1.min(floor).max(SECOND / 2).mul_f64(0.9);
        self.period = self.period.min(period);
    }

    fn promise(&mut self, what: Promised, seconds: u32, from: Instant) {
        let until = match seconds {
            INFINITY => Instant::NEVER,
            seconds => from + SECOND * seconds,
        };
        let told = self.told.entry(what).or_insert(until);
        *told = until.max(*told);
    }

    /// A frame of the client.
    ///
    /// # Errors
    ///
    /// It is none that this client may send, or too many.
    pub(crate) fn sent(
        &mut self,
        client: &Client,
        bytes: &[u8],
        now: Instant,
    ) -> Result<Kind, String> {
        self.frames += 1;
        if self.frames > OUTBOX {
            return Err("does not stop to send".into());
        }
        let kind = Kind::of(bytes).ok_or_else(|| format!("sends {bytes:02x?}"))?;
        if bytes.get(6..12) != Some(&client.config().link_mac().0) {
            return Err(format!("sends {kind:?} with another's MAC"));
        }
        self.purses.pay(kind, self.period, now)?;
        let Ok(Frame { payload: Payload::Udp6(datagram), .. }) =
            Frame::parse(bytes, Checksum::Verify)
        else {
            return Ok(kind);
        };
        let message = dhcp6::Message::parse(datagram.payload).map_err(|e| e.to_string())?;
        let source = *datagram.source.ip();
        if kind != Kind::Registration && !source.is_unicast_link_local() {
            return Err(format!("sends {kind:?} from {source}"));
        }
        if *datagram.destination.ip() != SERVERS {
            return Err(format!("sends {kind:?} to {}", datagram.destination));
        }
        if message.options.client_id() != Some(&client.config().duid) {
            return Err(format!("sends {kind:?} without its DUID"));
        }
        if kind == Kind::Registration {
            self.registrations.sent(client, source, &message, now)?;
            return Ok(kind);
        }
        self.asked.retain(|question| question.xid != message.xid);
        if self.asked.len() == REMEMBERED {
            self.asked.pop_front();
        }
        let server = message.options.server_id().map(Into::into);
        let question = Question { xid: message.xid, asked: now, server, replied: false };
        self.asked.push_back(question);
        Ok(kind)
    }

    /// An event of the client.
    ///
    /// # Errors
    ///
    /// It does not fit to those before, or there are too many.
    pub(crate) fn event(&mut self, event: &Event, now: Instant) -> Result<(), String> {
        self.events += 1;
        if self.events > OUTBOX {
            return Err("does not stop to tell".into());
        }
        if let Event::Duplicate { address, .. } = event {
            self.registrations.lost(*address, now)?;
        }
        match (event, self.ready_by) {
            (Event::Ready, None) => Err("is ready once more".into()),
            (Event::Ready, Some(_)) => {
                self.ready_by = None;
                Ok(())
            }
            (Event::Changed { .. } | Event::Renewed, Some(_)) => {
                Err(format!("says {event:?} before it is ready"))
            }
            _ => Ok(()),
        }
    }

    /// The client after a step, with all its frames and events fetched, and what its container has.
    ///
    /// # Errors
    ///
    /// It uses what it must not use, or will not wake up when it has to.
    pub(crate) fn check(
        &mut self,
        client: &Client,
        (configured, delegated): (&[Address], &[Delegated]),
        now: Instant,
    ) -> Result<(), String> {
        let due = client.poll_timeout().unwrap_or(Instant::NEVER);
        if self.ready_by.is_some_and(|by| now > by || due > by) {
            return Err("is not ready in time".into());
        }
        let state = client.state();
        let waits = matches!(state, State::Soliciting | State::Requesting | State::Releasing);
        if waits && due == Instant::NEVER && client.link_local().is_some() {
            return Err("waits without a timer".into());
        }
        let told = client.configuration();
        if told.addresses[..] != *configured {
            return Err(format!("has {configured:?} and says {:?}", told.addresses));
        }
        if told.link_local.is_none() && !configured.is_empty() {
            return Err(format!("has no link-local address, and {configured:?}"));
        }
        if configured.len() > ADDRESSES {
            return Err(format!("has {} addresses", configured.len()));
        }
        if told.delegated[..] != *delegated {
            return Err(format!("has {delegated:?} and says {:?}", told.delegated));
        }
        let asked = client.config().prefix.is_some();
        if delegated.len() > if asked { PREFIXES } else { 0 } {
            return Err(format!("has {} prefixes, asked for: {asked}", delegated.len()));
        }
        for address in configured {
            self.check_address(address, due, now)?;
        }
        for one in delegated {
            let what = Promised::Delegated(one.prefix, one.length);
            self.check_times(what, (one.preferred_until, one.valid_until), due, now)?;
        }
        let waits = self.ready_by.is_some();
        self.registrations.check(client, configured, (waits, self.punctual), now)
    }

    fn check_address(&self, address: &Address, due: Instant, now: Instant) -> Result<(), String> {
        let what = match address.origin {
            Origin::Slaac => Promised::Made(network(address.address)),
            Origin::Dhcp => Promised::Leased(address.address),
        };
        self.check_times(what, (address.preferred_until, address.valid_until), due, now)
    }

    fn check_times(
        &self,
        what: Promised,
        (preferred, valid): (Instant, Instant),
        due: Instant,
        now: Instant,
    ) -> Result<(), String> {
        if valid <= now {
            return Err(format!("uses {what:?}, which is over since {valid:?}"));
        }
        if due > valid {
            return Err(format!("will not wake up before {what:?} is over at {valid:?}"));
        }
        if preferred > valid {
            return Err(format!("prefers {what:?} for longer than it is valid: {preferred:?}"));
        }
        match self.told.get(&what) {
            Some(until) if *until >= valid => Ok(()),
            other => Err(format!("was promised {other:?} and uses {what:?} until {valid:?}")),
        }
    }
}

/// The first 64 bits.
pub(crate) fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)
}
