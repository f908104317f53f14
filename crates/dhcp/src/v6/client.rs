//! The client: commands, what comes in, what goes out.

use std::collections::VecDeque;
use std::net::Ipv6Addr;

use fastrand::Rng;
use wire::dhcp6::{Duid, MessageType, Options, SERVERS, StatusCode};

use super::inform::Information;
use super::lease::Lease;
use super::phase::{Phase, Upkeep};
use super::progress::{Progress, Reason, Refusal, bump};
use super::register::Registrations;
use super::reply::{self, Answer};
use super::request::Question;
use super::{Config, Event, State, Transmit};
use crate::Instant;

/// SOL_MAX_RT and INF_MAX_RT in seconds until a server says otherwise (RFC 8415 §7.6).
const MAX_RT: u32 = 3600;

/// One endpoint's DHCPv6 client. How to drive it is told in the [crate's documentation](crate) and
/// in the [module's](super).
#[derive(Debug)]
pub struct Client {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) phase: Phase,
    /// Whether somebody waits for the first lease.
    pub(crate) eager: bool,
    /// Exchanges in a row that brought nothing.
    pub(crate) refusals: u32,
    /// Addresses in a row that were in use.
    pub(crate) conflicts: u8,
    /// The address to ask for in Solicit.
    pub(crate) wanted: Option<Ipv6Addr>,
    /// SOL_MAX_RT in seconds.
    pub(crate) sol_max_rt: u32,
    /// INF_MAX_RT in seconds.
    pub(crate) inf_max_rt: u32,
    pub(crate) information: Option<Box<Information>>,
    pub(crate) registrations: Option<Box<Registrations>>,
    /// Whether a server of this link was asked if it wants to know of addresses that it did not lease.
    pub(crate) asked_to_register: bool,
    pub(crate) progress: Progress,
    /// What waits to be fetched, if anything does.
    outbox: Option<Box<Outbox>>,
}

/// Boxed, because thousands of clients are idle.
#[derive(Debug, Default)]
struct Outbox {
    transmits: VecDeque<Transmit>,
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
            eager: false,
            refusals: 0,
            conflicts: 0,
            sol_max_rt: MAX_RT,
            inf_max_rt: MAX_RT,
            information: None,
            registrations: None,
            asked_to_register: true,
            progress: Progress::default(),
            outbox: None,
        }
    }

    /// A client that goes on with a lease after a restart of the daemon, within one boot: in BOUND,
    /// RENEWING or REBINDING, as the lease's times say. If the lease is over, it begins with
    /// [`Event::Lost`] and Solicit; if a part of it is, with [`Event::Changed`]. There is no
    /// [`Event::Bound`] for a lease that was there before.
    ///
    /// What is overdue is sent within 10 s (or an eighth of the time that is left), at a random
    /// moment: a daemon that was away takes up thousands of leases at once.
    pub fn resume(config: Config, lease: Lease, seed: u64, now: Instant) -> Client {
        let mut client = Client::new(config, seed);
        client.phase = Phase::Leased { lease, upkeep: Upkeep::Idle };
        client.take_up(now);
        client
    }

    /// Looks for a lease: the first Solicit is sent at once, the next ones after about 1, 3, 7 s and
    /// so on. Does nothing unless the client is stopped, or has only asked for information.
    pub fn start(&mut self, now: Instant) {
        if let Phase::Stopped | Phase::Informing(_) | Phase::Informed { .. } = self.phase {
            self.eager = true;
            self.refusals = 0;
            self.conflicts = 0;
            self.solicit(now, now);
        }
    }

    /// Whether an address is to be asked for, beside prefixes or alone, from now on. A lease that lacks one is
    /// asked for it by an early Renew; what is leased or on its way is not given up for it.
    pub fn want_address(&mut self, wanted: bool, now: Instant) {
        let on_its_way = match &self.phase {
            Phase::Leased { lease, upkeep } => {
                !lease.addresses.is_empty() || matches!(upkeep, Upkeep::Asking(_))
            }
            Phase::Soliciting(soliciting) => soliciting.best.is_some(),
            Phase::Requesting(_) | Phase::Rebooting(_) | Phase::Declining(_) => true,
            _ => false,
        };
        if self.config.address == wanted || (!wanted && on_its_way) {
            return;
        }
        self.config.address = wanted;
        if wanted && self.lease().is_some_and(|lease| lease.addresses.is_empty()) {
            self.renew(now);
        }
    }

    /// Sets the host name for option 39 (`None` or an empty one: no option). If there is a lease and
    /// the name is another than before, the server is told at once by a renewal.
    pub fn set_host_name(&mut self, name: Option<&str>, now: Instant) {
        let name = name.filter(|name| !name.is_empty());
        if self.config.host_name.as_deref().filter(|name| !name.is_empty()) != name {
            self.config.host_name = name.map(Into::into);
            self.renew(now);
        }
    }
}

/// What comes in.
impl Client {
    /// Takes the payload of a UDP datagram to port 546, and the address it came from. Whatever is
    /// not for this client is dropped.
    pub fn handle_message(&mut self, source: Ipv6Addr, payload: &[u8], now: Instant) {
        if let Err(reason) = self.take_message(source, payload, now) {
            self.progress.ignored.count(reason);
        }
    }

    fn take_message(
        &mut self,
        source: Ipv6Addr,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), Reason> {
        let message = reply::message(source, payload)?;
        if message.kind == MessageType::AddrRegReply {
            return self.registered(message);
        }
        let xid = self.phase.asked().map(|exchange| exchange.xid);
        let answer = reply::answer(source, message, xid, &self.config.duid)?;
        self.take_limits(answer.options);
        self.asked_to_register |= self.phase.asks_for_options();
        if answer.options.addr_reg_enable() {
            self.begin_registering(now);
        }
        match (answer.kind, &self.phase) {
            (MessageType::Advertise, Phase::Soliciting(_)) => self.advertised(&answer, now),
            (MessageType::Reply, Phase::Soliciting(_) | Phase::Requesting(_)) => {
                self.granted(&answer, now)
            }
            (MessageType::Reply, Phase::Rebooting(_)) => self.rebooted(&answer, now),
            (MessageType::Reply, Phase::Leased { .. }) => self.kept(&answer, now),
            (MessageType::Reply, Phase::Declining(_) | Phase::Releasing(_)) => {
                self.parted(&answer, now)
            }
            (MessageType::Reply, Phase::Withdrawing(_)) => self.granted_late(&answer, now),
            (MessageType::Reply, Phase::Informing(_)) => self.informed(&answer, now),
            _ => Err(Reason::Unexpected),
        }
    }

    /// Any server may set how often those without an answer ask (RFC 8415 §18.2.9 and §18.2.10).
    fn take_limits(&mut self, options: Options<'_>) {
        if let Some(seconds) = options.sol_max_rt() {
            self.sol_max_rt = seconds;
            if let Phase::Soliciting(soliciting) = &mut self.phase {
                soliciting.exchange.limit(seconds);
            }
        }
        if let Some(seconds) = options.inf_max_rt() {
            self.inf_max_rt = seconds;
            if let Phase::Informing(exchange) = &mut self.phase {
                exchange.limit(seconds);
            }
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.register_timeout(now);
        match &self.phase {
            Phase::Stopped => {}
            Phase::Init { .. } | Phase::Soliciting(_) | Phase::Requesting(_) => {
                self.acquire_timeout(now);
            }
            Phase::Rebooting(_) => self.reboot_timeout(now),
            Phase::Leased { .. } => self.keep_timeout(now),
            Phase::Declining(_) | Phase::Releasing(_) => self.part_timeout(now),
            Phase::Withdrawing(_) => self.withdraw_timeout(now),
            Phase::Informing(_) | Phase::Informed { .. } => self.inform_timeout(now),
        }
    }
}

/// What goes out.
impl Client {
    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let outbox = self.outbox.as_mut()?;
        let transmit = outbox.transmits.pop_front();
        self.drop_empty_outbox();
        transmit
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        let outbox = self.outbox.as_mut()?;
        let event = outbox.events.pop_front();
        self.drop_empty_outbox();
        event
    }

    /// When to call [`Client::handle_timeout`] next; `None`: not before something else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let at = self.phase.deadline().min(self.register_deadline());
        (at != Instant::NEVER).then_some(at)
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.outbox.get_or_insert_default().events.push_back(event);
    }

    fn drop_empty_outbox(&mut self) {
        self.outbox.take_if(|outbox| outbox.transmits.is_empty() && outbox.events.is_empty());
    }

    /// Sends a message to all servers and relays, and counts it.
    pub(crate) fn send(&mut self, question: &Question<'_>) {
        let progress = &mut self.progress;
        bump(match question.kind {
            MessageType::Solicit => &mut progress.solicits,
            MessageType::Confirm => &mut progress.confirms,
            MessageType::Renew => &mut progress.renews,
            MessageType::Rebind => &mut progress.rebinds,
            MessageType::Release => &mut progress.releases,
            MessageType::Decline => &mut progress.declines,
            MessageType::InformationRequest => &mut progress.information_requests,
            _ => &mut progress.requests,
        });
        let payload = question.encode(&self.config);
        self.transmit(Transmit { source: None, destination: SERVERS, payload });
    }

    pub(crate) fn transmit(&mut self, transmit: Transmit) {
        self.outbox.get_or_insert_default().transmits.push_back(transmit);
    }

    /// Remembers and counts a refusal.
    pub(crate) fn note_refusal(&mut self, refusal: Refusal) {
        bump(&mut self.progress.refusals);
        self.progress.last_refusal = Some(Box::new(refusal));
    }
}

/// Getters.
impl Client {
    /// Whether UDP datagrams to port 546 are to be handed in just now.
    pub fn listening(&self) -> bool {
        self.phase.asked().is_some() || self.is_registering()
    }

    /// The lease whose addresses and prefixes may be used, if there is one.
    pub fn lease(&self) -> Option<&Lease> {
        self.phase.lease()
    }

    /// What a server said without a lease, if it was asked ([`Client::inform`]).
    pub fn information(&self) -> Option<&Information> {
        self.information.as_deref()
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
}

/// A status of an answer that is no success.
pub(crate) fn refusal(answer: &Answer<'_>) -> Option<Refusal> {
    let status = answer.options.status();
    if status.code == StatusCode::Success {
        return None;
    }
    let server = Duid::new(answer.server)?;
    Some(Refusal { server, status: status.code, message: status.message() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wire::MacAddr;
    use wire::dhcp6::{Builder, Ia, IaAddress, Message, code};

    use super::*;

    const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x50);

    /// Answers what the client has sent.
    fn answer(client: &mut Client, kind: MessageType, now: Instant) {
        let sent = std::iter::from_fn(|| client.poll_transmit()).last().unwrap();
        let asked = Message::parse(&sent.payload).unwrap();
        let payload = Builder::new(kind, asked.xid)
            .option(code::CLIENT_ID, asked.options.client_id().unwrap())
            .option(code::SERVER_ID, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 2])
            .nest(code::IA_NA, &Ia::header(1, 0, 0), |ia| {
                ia.option(code::IA_ADDRESS, &IaAddress::header(ADDRESS, 4000, 7200))
            })
            .option(code::DNS_SERVERS, &[SOURCE.octets(), ADDRESS.octets()].concat())
            .option(code::DOMAIN_LIST, b"\x04home\x04arpa\0")
            .finish();
        client.handle_message(SOURCE, &payload, now);
    }

    #[test]
    fn an_idle_lease_owns_little_and_nothing_that_is_not_idle() {
        let now = Instant::from_boot(Duration::from_secs(1000));
        let duid = Duid::link_layer(MacAddr([2, 0, 0, 0, 0, 0x42]));
        let config = Config { host_name: Some("web-1".into()), ..Config::new(duid, 1) };
        let mut client = Client::new(config, 7);
        client.start(now);
        answer(&mut client, MessageType::Advertise, now);
        answer(&mut client, MessageType::Reply, now);
        while client.poll_event().is_some() {}
        assert_eq!(client.state(), State::Bound);
        assert!(matches!(client.phase, Phase::Leased { upkeep: Upkeep::Idle, .. }));
        assert!(client.outbox.is_none() && client.registrations.is_none());
        assert!(client.information.is_none());

        let lease = client.lease().unwrap();
        let offer = client.progress.last_offer.as_ref().unwrap();
        let names: usize = lease.search.iter().map(|name| size_of_val(name) + name.len()).sum();
        let owned = client.config.duid.len()
            + client.config.host_name.as_ref().map_or(0, |name| name.len())
            + lease.server.len()
            + size_of_val(&lease.addresses[..])
            + size_of_val(&lease.prefixes[..])
            + size_of_val(&lease.dns[..])
            + names
            + size_of_val(&**offer)
            + offer.server.len();
        assert_eq!(lease.addresses.capacity(), lease.addresses.len());
        assert_eq!(lease.dns.capacity(), lease.dns.len());
        let all = size_of::<Client>() + owned;
        assert!(all < 900, "{} and {owned} bytes", size_of::<Client>());
    }
}
