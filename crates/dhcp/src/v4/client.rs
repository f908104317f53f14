//! The client: commands, what comes in, what goes out.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use fastrand::Rng;
use wire::MacAddr;
use wire::dhcp4::port;
use wire::frame::{self, Frame, Payload, Udp4};

use super::arp::Announcement;
use super::backoff::Backoff;
use super::conflict::{Check, Trouble};
use super::lease::{Grant, Lease};
use super::phase::{Phase, Then, Upkeep};
use super::progress::{Progress, Reason, bump};
use super::reply::{Expected, Reply};
use super::request::{Intent, client_id};
use super::{Config, ConflictCheck, Event, Listening, State};
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
    /// Whether an offer has to wait until it may be taken.
    pub(crate) patient: bool,
    /// DHCPNAKs since there was a lease, and grants that were over before they could be used.
    pub(crate) refusals: u32,
    /// The address to ask for in DISCOVER.
    pub(crate) wanted: Option<Ipv4Addr>,
    /// Whether no other address than the requested one will do, as long as there has been no lease.
    pub(crate) demanding: bool,
    /// A lease whose address is in use while the phase is about another: one that is over
    /// ([`OnLoss::Keep`](super::OnLoss::Keep)), or one that is replaced as soon as the new address is checked.
    pub(crate) kept: Option<Box<Lease>>,
    /// Whether the kept lease is over, and the caller knows.
    pub(crate) overdue: bool,
    /// While an address is being checked.
    pub(crate) check: Option<Box<Check>>,
    /// Since a conflict.
    pub(crate) trouble: Option<Box<Trouble>>,
    pub(crate) progress: Progress,
    /// What waits to be fetched, if anything does.
    outbox: Option<Box<Outbox>>,
}

/// Boxed, because thousands of clients are idle.
#[derive(Debug, Default)]
struct Outbox {
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
            patient: false,
            refusals: 0,
            demanding: false,
            kept: None,
            overdue: false,
            check: None,
            trouble: None,
            progress: Progress::default(),
            outbox: None,
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
        client.verify(address, None, now, now);
        client
    }

    /// Looks for a lease: the first DISCOVER is sent at once, the next ones after about 1, 3 and
    /// 7 s, then at RFC 2131's pace. Does nothing unless the client is stopped.
    pub fn start(&mut self, now: Instant) {
        if let Phase::Stopped = self.phase {
            self.eager = true;
            self.refusals = 0;
            self.discover(now, now);
        }
    }

    /// The same, but takes no offer before [`Client::request`]: what is granted should be known to the
    /// disk by then, and a server can be asked meanwhile. The first valid offer is kept until then.
    pub fn start_asking(&mut self, now: Instant) {
        self.patient = true;
        self.start(now);
    }

    /// Takes the offer that [`Client::start_asking`] has brought, or the first that it brings.
    pub fn request(&mut self, now: Instant) {
        self.patient = false;
        if let Phase::Selecting { offer, .. } = &mut self.phase
            && let Some(grant) = offer.take()
        {
            self.take_offer(*grant, now);
        }
    }

    /// Takes no other address than [`Config::requested_address`], if there is one, until there is a lease: another that
    /// is offered is only noted ([`Progress::last_offer`]), and one that is granted given back.
    pub fn demand(&mut self) {
        self.demanding = true;
    }

    /// Asks for `address` (option 50) where [`Config::requested_address`] says nothing, and takes another just as well. Before
    /// [`Client::start`].
    pub fn wish(&mut self, address: Ipv4Addr) {
        self.wanted = self.wanted.or(Some(address));
    }

    /// Sets the host name for option 12 or 81 (`None` or an empty one: no option). If there is a lease
    /// and the name is another than before, the server is told at once by a renewal.
    pub fn set_host_name(&mut self, name: Option<&str>, now: Instant) {
        let name = name.filter(|name| !name.is_empty());
        if self.config.host_name.as_deref().filter(|name| !name.is_empty()) != name {
            self.config.host_name = name.map(Into::into);
            match &mut self.phase {
                Phase::Probing { then: then @ Then::Rest, .. } => *then = Then::Renew,
                _ => self.renew(now),
            }
        }
    }

    /// Sets the MAC of the link that it shares with others ([`Config::link`]): all that is said from here on bears it. If it is
    /// another than before, the neighbours are told ([`Client::announce`]).
    pub fn set_link(&mut self, link: MacAddr) {
        if self.config.link.replace(link) != Some(link) {
            // What the link said under its new MAC before this was known is no conflict.
            self.forget_conflict_with(link);
            self.announce();
        }
    }

    /// While `held`, the client answers ARP requests for its leased address: as long as no container
    /// holds it, nobody else would, and servers that ask before they answer (dnsmasq) could not
    /// renew the lease.
    pub fn hold(&mut self, held: bool) {
        self.held = held && !self.config.apart;
    }
}

/// What comes in.
impl Client {
    /// Takes a frame of the segment. Whatever is not for this client is dropped.
    pub fn handle_frame(&mut self, frame: &Frame<'_>, now: Instant) {
        match &frame.payload {
            Payload::Arp(arp) => {
                self.watch_for_conflict(arp, now);
                self.hold_place(arp);
                if let Some(resolve) = self.phase.resolve()
                    && let Some(mac) = resolve.answer(arp)
                {
                    self.resolved(mac, now);
                }
            }
            Payload::Udp4(datagram) if datagram.destination.port() == port::CLIENT => {
                if let Err(reason) = self.handle_datagram(frame.source, datagram, now) {
                    self.progress.ignore(reason);
                }
            }
            Payload::Udp4(_) | Payload::Udp6(_) | Payload::Nd(_) => {}
        }
    }

    fn handle_datagram(
        &mut self,
        source: MacAddr,
        datagram: &Udp4<'_>,
        now: Instant,
    ) -> Result<(), Reason> {
        let expected = Expected {
            mac: self.config.link_mac(),
            xid: self.phase.exchange().map(|exchange| exchange.xid),
            client_id: &client_id(&self.config),
        };
        let reply = Reply::parse(source, datagram, &expected)?;
        if let Reply::Offer(Grant { bad_mask: true, .. })
        | Reply::Ack(Grant { bad_mask: true, .. }) = reply
        {
            self.progress.ignore(Reason::BadMask);
        }
        match reply {
            Reply::Offer(grant) => self.offered(grant, now),
            Reply::NoAddress(wait) => self.offered_no_address(wait, now),
            Reply::Ack(grant) => self.acknowledged(grant, now),
            Reply::Nak(refusal) => self.refused(refusal, now),
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.announcement_timeout(now);
        // First what may replace a lease, then the end of the one that is to be replaced.
        self.check_timeout(now);
        self.kept_timeout(now);
        match &self.phase {
            Phase::Stopped | Phase::Probing { .. } => {}
            Phase::Init { .. }
            | Phase::Selecting { .. }
            | Phase::Requesting { .. }
            | Phase::Rebooting { .. }
            | Phase::V6OnlyWait { .. } => self.acquire_timeout(now),
            Phase::Leased { .. } => self.keep_timeout(now),
            Phase::Releasing { .. } => self.release_timeout(now),
            Phase::Withdrawing { .. } => self.withdraw_timeout(now),
        }
    }
}

/// What goes out.
impl Client {
    /// The next frame to send, from the Ethernet header on.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let outbox = self.outbox.as_mut()?;
        let frame = outbox.transmits.pop_front();
        self.drop_empty_outbox();
        frame
    }

    /// The next thing that happened to the lease.
    pub fn poll_event(&mut self) -> Option<Event> {
        let outbox = self.outbox.as_mut()?;
        let event = outbox.events.pop_front();
        self.drop_empty_outbox();
        event
    }

    /// When to call [`Client::handle_timeout`] next; `None`: not before something else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let at = self
            .phase
            .deadline()
            .min(self.announcement.deadline())
            .min(self.check_deadline())
            .min(self.kept_deadline());
        (at != Instant::NEVER).then_some(at)
    }

    pub(crate) fn transmit(&mut self, frame: Vec<u8>) {
        self.outbox.get_or_insert_default().transmits.push_back(frame);
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.outbox.get_or_insert_default().events.push_back(event);
    }

    fn drop_empty_outbox(&mut self) {
        self.outbox.take_if(|outbox| outbox.transmits.is_empty() && outbox.events.is_empty());
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
            Intent::Decline { .. } => bump(&mut self.progress.declines),
            Intent::Release { .. } => bump(&mut self.progress.releases),
        }
        let payload = intent.encode(&self.config, xid, secs);
        let frame = frame::udp4(
            self.config.link_mac(),
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
    /// Whether it waits for the answer to that transaction.
    pub fn awaits(&self, xid: u32) -> bool {
        self.phase.exchange().is_some_and(|exchange| exchange.xid == xid)
    }

    /// What the socket must pass just now.
    pub fn listening(&self) -> Listening {
        let used = self.lease().map(|lease| lease.address);
        let checked = self.address_to_be_used();
        let watched = checked.or(used);
        Listening {
            dhcp: self.phase.exchange().is_some(),
            conflicts: watched.filter(|_| self.config.conflict_check != ConflictCheck::Off),
            requests: checked.or(used.filter(|_| self.held)),
            resolving: self.phase.resolve().map(|resolve| resolve.target),
        }
    }

    /// Whether an address is being probed, before it is used or in the background. What is heard
    /// in this time ends the lease; later on a conflict is met by defence first.
    pub fn is_probing(&self) -> bool {
        self.check.is_some()
    }

    /// The lease whose address may be used, if there is one. With [`OnLoss::Keep`](super::OnLoss::Keep)
    /// it may be over, see [`Client::is_overdue`].
    pub fn lease(&self) -> Option<&Lease> {
        self.phase.lease().or(self.kept.as_deref())
    }

    /// A lease that a server has granted and whose address is still being checked: written down
    /// meanwhile, it is not lost with the process. Only when [`Client::lease`] has it may it be used.
    pub fn granted(&self) -> Option<&Lease> {
        match &self.phase {
            Phase::Probing { lease, .. } => Some(lease),
            _ => None,
        }
    }

    /// What a server has offered and waits to be taken, see [`Client::start_asking`]: as the lease that it would be.
    pub fn offer(&self) -> Option<Lease> {
        match &self.phase {
            Phase::Selecting { exchange, offer: Some(grant), .. } => {
                Some(Grant::into_lease((**grant).clone(), exchange.asked, &mut self.rng.clone()))
            }
            _ => None,
        }
    }

    /// Whether the address is in use although its lease is over, see [`Event::Overdue`].
    pub fn is_overdue(&self) -> bool {
        self.overdue
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wire::dhcp4::{Message, MessageType, Op, code};
    use wire::frame::Checksum;

    use super::*;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x42]);
    const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    /// Answers the DHCP message among what the client has sent.
    fn answer(client: &mut Client, kind: MessageType, now: Instant) {
        let sent: Vec<_> = std::iter::from_fn(|| client.poll_transmit()).collect();
        let asked = sent.iter().find_map(|frame| {
            match Frame::parse(frame, Checksum::Verify).unwrap().payload {
                Payload::Udp4(datagram) => Message::parse(datagram.payload).ok(),
                _ => None,
            }
        });
        let mut message = Message::new(Op::BootReply, asked.unwrap().xid, MAC, Default::default());
        message.yiaddr = Ipv4Addr::new(192, 0, 2, 50);
        message.options.set(code::MESSAGE_TYPE, &[kind.into()]);
        message.options.set(code::SERVER_ID, &SERVER.octets());
        message.options.set(code::LEASE_TIME, &7200u32.to_be_bytes());
        let from = SocketAddrV4::new(SERVER, port::SERVER);
        let to = SocketAddrV4::new(message.yiaddr, port::CLIENT);
        let frame = frame::udp4(MacAddr([2, 0, 0, 0, 0, 2]), MAC, from, to, &message.emit());
        client.handle_frame(&Frame::parse(&frame, Checksum::Verify).unwrap(), now);
    }

    #[test]
    fn an_idle_lease_owns_no_memory_beside_its_configuration_and_options() {
        let mut now = Instant::from_boot(Duration::from_secs(1000));
        let mut client = Client::new(Config::new(MAC), 7);
        client.start(now);
        answer(&mut client, MessageType::Offer, now);
        answer(&mut client, MessageType::Ack, now);
        // The check with its three probes, and the two announcements.
        client.announce();
        while let Some(due) =
            client.poll_timeout().filter(|due| *due < now + Duration::from_secs(60))
        {
            now = now.max(due);
            client.handle_timeout(now);
            while client.poll_transmit().is_some() || client.poll_event().is_some() {}
        }
        assert_eq!(client.state(), State::Bound);
        assert!(matches!(client.phase, Phase::Leased { upkeep: Upkeep::Idle, .. }));
        assert!(client.outbox.is_none() && client.check.is_none());
        assert!(client.trouble.is_none() && client.kept.is_none());
    }
}
