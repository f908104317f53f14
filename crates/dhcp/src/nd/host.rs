//! The host: commands, what comes in, what goes out.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use fastrand::Rng;
use wire::MacAddr;
use wire::mld::Membership;
use wire::nd::{self, Message, Nd, NdOption};

use super::answer::Again;
use super::duplicate::{Check, IDGEN_RETRIES};
use super::learn::Rate;
use super::learned::Learned;
use super::progress::{Progress, bump};
use super::solicit::Soliciting;
use super::{Config, Event, InterfaceId, Neighbour};
use crate::Instant;

/// For how long after a confirmation what was known before may be said again: an answer to all may
/// be held back for 3 s, and half a second more (RFC 4861 §6.2.6).
const CONFIRMATION: Duration = Duration::from_secs(4);
/// MAX_RTR_SOLICITATION_DELAY and RTR_SOLICITATION_INTERVAL (RFC 4861 §10).
const MAX_DELAY: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(4);
/// The prefix of link-local addresses (RFC 4291 §2.5.6).
pub(crate) const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// One endpoint as a host on its link. It is driven like the [clients](crate).
#[derive(Debug)]
pub struct Host {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    /// `None` before the start, and when another machine has each that could be.
    pub(crate) link_local: Option<Ipv6Addr>,
    pub(crate) learned: Learned,
    /// By prefix, identifiers that were another machine's before the machine booted.
    pub(crate) attempts: Box<[(Ipv6Addr, u8)]>,
    /// Addresses that a server gave.
    pub(crate) leased: Vec<Ipv6Addr>,
    pub(crate) checking: Vec<Check>,
    /// While routers are asked for.
    pub(crate) soliciting: Option<Box<Soliciting>>,
    /// Until then what is doubted may be said again.
    confirming: Option<Instant>,
    /// What has no end was said on what may have been another link, and has not been said again.
    pub(crate) doubts: Doubts,
    /// When routers were last asked for.
    solicited_at: Instant,
    /// Advertisements.
    pub(crate) rate: Rate,
    /// Addresses that were made.
    pub(crate) births: Rate,
    pub(crate) announcement: Again,
    pub(crate) reporting: Again,
    /// When an address was defended.
    pub(crate) defended: Option<Instant>,
    /// Whether solicitations are answered.
    pub(crate) held: bool,
    /// Whether somebody waits for the first answer.
    pub(crate) eager: bool,
    /// Whether a router has been heard since it was last asked for.
    pub(crate) heard: bool,
    /// Whether anything may be another since [`Host::take_changed`].
    pub(crate) changed: bool,
    pub(crate) progress: Progress,
    outbox: Option<Box<Outbox>>,
}

/// What is doubted of what has no end of its own, and so no entry in a list.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Doubts {
    pub(crate) mtu: bool,
    pub(crate) hop_limit: bool,
}

impl Doubts {
    const ALL: Doubts = Doubts { mtu: true, hop_limit: true };
}

/// Boxed, because thousands of hosts are idle.
#[derive(Debug, Default)]
struct Outbox {
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// Commands.
impl Host {
    /// A host that does nothing yet. `seed` is all the randomness it will ever have.
    pub fn new(config: Config, seed: u64) -> Host {
        Host {
            config,
            rng: Rng::with_seed(seed),
            link_local: None,
            learned: Learned::default(),
            attempts: Box::default(),
            leased: Vec::new(),
            checking: Vec::new(),
            soliciting: None,
            confirming: None,
            doubts: Doubts::default(),
            solicited_at: Instant::BOOT,
            rate: Rate::new(),
            births: Rate::new(),
            announcement: Again::Done,
            reporting: Again::Done,
            defended: None,
            held: false,
            eager: false,
            heard: false,
            changed: false,
            progress: Progress::default(),
            outbox: None,
        }
    }

    /// A host that goes on after a restart of the daemon, within one boot, with what it had learnt
    /// and what a server had leased. Its addresses are not checked again; routers are asked within
    /// 10 s, at a random moment.
    pub fn resume(
        config: Config,
        learned: Learned,
        leased: Vec<Ipv6Addr>,
        seed: u64,
        now: Instant,
    ) -> Host {
        let mut host = Host::new(config, seed);
        host.learned = learned;
        host.leased = leased;
        host.learned.doubt(false);
        host.learned.expire(now);
        host.make_link_local();
        let delay = Duration::from_secs(10).mul_f64(host.rng.f64());
        host.solicit(now + delay);
        host.doubt_the_endless(now + delay);
        host
    }

    /// Takes a link-local address and asks for routers: at once, and if none answers after 20 ms and
    /// after [`Config::patience`] again, then at RFC 7559's pace. `before`: what was known before the
    /// machine booted. Of that only counts which identifiers were another machine's (RFC 7217 §6).
    pub fn start(&mut self, before: Option<&Learned>, now: Instant) {
        self.eager = true;
        self.heard = false;
        self.changed = true;
        if let Some(before) = before {
            // After all of them had a holder it begins anew; so does who has but one to try.
            let others = !matches!(self.config.interface_id, InterfaceId::Eui64);
            let usable = |attempt: u8| others && (1..=IDGEN_RETRIES).contains(&attempt);
            self.learned.attempt = Some(before.attempt).filter(|a| usable(*a)).unwrap_or(0);
            let made = before.addresses.iter().map(|entry| entry.what);
            self.attempts = made
                .filter(|made| usable(made.attempt))
                .map(|made| (made.prefix, made.attempt))
                .collect();
        }
        self.make_link_local();
        // First of all, as somebody waits for the answer.
        self.soliciting = Some(Box::new(Soliciting::new(now, Some(self.config.patience))));
        self.solicit_timeout(now);
        if let Some(address) = self.link_local {
            self.begin_use(address, now, now);
        }
    }

    /// Asks for routers anew at `at`.
    pub fn solicit(&mut self, at: Instant) {
        self.soliciting = Some(Box::new(Soliciting::new(at, None)));
    }

    /// Asks at `at` whether what was learnt is still right, after the link was away. If a router
    /// answers, what is not said again within 4 s is over. All addresses are checked again.
    pub fn confirm(&mut self, at: Instant, now: Instant) {
        let at = at.max(now);
        self.heard = false;
        self.learned.doubt(true);
        self.solicit(at);
        self.doubt_the_endless(at);
        let addresses: Vec<_> = self.addresses().collect();
        for address in addresses {
            self.check(address, at, now);
        }
    }

    /// From `at` on it is asked whether what was said without an end, the MTU and the hop limit, is still so.
    fn doubt_the_endless(&mut self, at: Instant) {
        self.doubts = Doubts::ALL;
        self.confirming = Some(at + CONFIRMATION);
    }

    /// Somebody waits no more.
    pub fn rest(&mut self) {
        self.eager = false;
    }

    /// Takes up what was learnt before the machine booted, as no router says anything else.
    pub fn recall(&mut self, mut learned: Learned, now: Instant) {
        learned.attempt = self.learned.attempt;
        learned.doubt(false);
        learned.expire(now);
        if let id @ InterfaceId::Eui64 = &self.config.interface_id {
            // What another machine had is checked again.
            for entry in learned.addresses.iter_mut() {
                let address = id.address(self.config.mac, entry.what.prefix, 0);
                (entry.what.address, entry.what.attempt) = (address, 0);
            }
        }
        self.learned = learned;
        self.doubt_the_endless(now);
        self.changed = true;
        let addresses: Vec<_> = self.learned.made().collect();
        for address in addresses {
            self.begin_use(address, now, now);
        }
    }

    /// The addresses that a server has given: new ones are checked, and answered for while held.
    pub fn set_leased(&mut self, leased: &[Ipv6Addr], now: Instant) {
        let gone: Vec<_> = self.leased.iter().copied().filter(|a| !leased.contains(a)).collect();
        let new: Vec<_> = leased.iter().copied().filter(|a| !self.is_ours(*a)).collect();
        if !gone.is_empty() {
            self.checking.retain(|check| !gone.contains(&check.address));
            self.leased.retain(|address| leased.contains(address));
            self.report(Membership::Left, &gone);
        }
        for address in new {
            self.leased.push(address);
            self.begin_use(address, now, now);
        }
        self.leased.shrink_to_fit();
    }

    /// Stops, and leaves its groups.
    pub fn stop(&mut self) {
        let addresses: Vec<_> = self.addresses().collect();
        self.link_local = None;
        self.learned = Learned::default();
        self.attempts = Box::default();
        self.leased = Vec::new();
        self.checking = Vec::new();
        self.soliciting = None;
        self.confirming = None;
        self.announcement = Again::Done;
        self.reporting = Again::Done;
        self.changed = true;
        self.report(Membership::Left, &addresses);
    }

    fn make_link_local(&mut self) {
        let (Config { interface_id, mac, .. }, attempt) = (&self.config, self.learned.attempt);
        let address = interface_id.address(*mac, LINK_LOCAL, attempt);
        self.link_local = address.filter(|_| attempt <= IDGEN_RETRIES);
    }
}

/// What comes in.
impl Host {
    /// Takes a packet of neighbour discovery that came in a frame from `mac`.
    pub fn handle(&mut self, mac: MacAddr, nd: &Nd<'_>, now: Instant) {
        // What comes back to us from a loop, or from the container itself, is no news.
        if mac == self.config.link_mac() || self.link_local.is_none() {
            return;
        }
        match nd.message {
            Message::RouterSolicitation => {}
            Message::RouterAdvertisement(advertisement) => {
                self.advertised((mac, nd.source), &advertisement, &nd.options, now);
            }
            Message::NeighbourSolicitation { target } if self.is_ours(target) => {
                if nd.source.is_unspecified() && self.is_checked(target) {
                    return self.probed(target, nd.options.nonce(), mac, now);
                }
                let mac = nd.options.source_mac().unwrap_or(mac);
                self.answer(target, (mac, nd.source));
            }
            Message::NeighbourAdvertisement(advertisement)
                if self.is_ours(advertisement.target) =>
            {
                let holder = nd.options.target_mac().unwrap_or(mac);
                if holder != self.config.link_mac() && holder.is_unicast() {
                    self.claimed(advertisement.target, holder, now);
                }
            }
            Message::NeighbourSolicitation { .. } | Message::NeighbourAdvertisement(_) => {}
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.check_timeout(now);
        self.confirm_timeout(now);
        self.expire(now);
        self.solicit_timeout(now);
        self.repeat_timeout(now);
    }

    fn confirm_timeout(&mut self, now: Instant) {
        if let Some(at) = self.confirming
            && now >= at
        {
            self.confirming = None;
            let doubts = std::mem::take(&mut self.doubts);
            if self.heard {
                let before: Vec<_> = self.learned.made().collect();
                let learned = &mut self.learned;
                self.changed |= learned.drop_doubted()
                    | (doubts.mtu && learned.mtu.take().is_some())
                    | (doubts.hop_limit && learned.hop_limit.take().is_some());
                self.forget(&before);
            } else {
                self.learned.doubt(false);
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        if now < self.learned.next_end() {
            return;
        }
        let before: Vec<_> = self.learned.made().collect();
        let routed = !self.learned.routers.is_empty();
        if self.learned.expire(now) {
            self.changed = true;
            self.forget(&before);
        }
        // The last router has fallen silent.
        if routed && self.learned.routers.is_empty() && self.soliciting.is_none() {
            // Each host on the link has lost it in this moment; and it may come and go each second.
            let delay = MAX_DELAY.mul_f64(self.rng.f64());
            self.solicit((now + delay).max(self.solicited_at + INTERVAL));
        }
    }

    /// What is done about addresses that were there before and are not any more.
    pub(crate) fn forget(&mut self, before: &[Ipv6Addr]) {
        let gone: Vec<_> = before.iter().copied().filter(|a| !self.is_ours(*a)).collect();
        self.checking.retain(|check| !gone.contains(&check.address));
        self.report(Membership::Left, &gone);
    }

    /// RFC 4861 §6.3.7. The first solicitation comes from `::`: what answers it goes to all, and so
    /// comes to the port wherever the endpoint's MAC is. But routers may hold such answers back for
    /// 3 s (§6.2.6), so that a later one asks, while the port stands for the endpoint, for an answer
    /// of its own. RFC 4429 §3.2: without a MAC as long as the address is being checked.
    fn solicit_timeout(&mut self, now: Instant) {
        let Some(soliciting) = self.soliciting.as_mut().filter(|soliciting| now >= soliciting.at)
        else {
            return;
        };
        let first = soliciting.sent == 0;
        soliciting.step(now, &mut self.rng);
        self.solicited_at = now;
        let mac = self.config.link_mac();
        let source = self.link_local.filter(|_| self.held && !first);
        let known = source.is_some_and(|source| !self.is_checked(source));
        let options = if known { &[NdOption::SourceMac(mac)][..] } else { &[] };
        let source = source.unwrap_or(Ipv6Addr::UNSPECIFIED);
        bump(&mut self.progress.solicitations);
        let message = Message::RouterSolicitation;
        self.transmit(nd::emit(mac, source, nd::ALL_ROUTERS, &message, options));
    }
}

/// What goes out.
impl Host {
    /// The next frame to send, from the Ethernet header on.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let frame = self.outbox.as_mut()?.transmits.pop_front();
        self.drop_empty_outbox();
        frame
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.outbox.as_mut()?.events.pop_front();
        self.drop_empty_outbox();
        event
    }

    /// When to call [`Host::handle_timeout`] next; `None`: not before something else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let at = self
            .learned
            .next_end()
            .min(self.check_deadline())
            .min(self.soliciting.as_ref().map_or(Instant::NEVER, |soliciting| soliciting.at))
            .min(self.confirming.unwrap_or(Instant::NEVER))
            .min(self.announcement.deadline())
            .min(self.reporting.deadline());
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
}

/// Getters.
impl Host {
    /// What is known of the link.
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// The link-local address, if there is one that is not another machine's.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.link_local
    }

    /// Whether routers are being asked for.
    pub fn is_soliciting(&self) -> bool {
        self.soliciting.is_some()
    }

    /// Whether a router has been heard since it was last asked for.
    pub fn is_heard(&self) -> bool {
        self.heard
    }

    /// Whether [`Host::learned`] or the link-local address may be another than at the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What has been sent and heard so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whose neighbour discovery concerns the host just now.
    pub fn neighbours(&self) -> impl Iterator<Item = Neighbour> + '_ {
        let wanted = self.held || self.checks();
        self.addresses().filter(move |_| wanted).map(|address| Neighbour {
            address,
            held: self.held,
            probing: self.is_checked(address),
        })
    }

    /// All addresses in use.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        self.link_local.into_iter().chain(self.learned.made()).chain(self.leased.iter().copied())
    }

    pub(crate) fn is_ours(&self, address: Ipv6Addr) -> bool {
        self.addresses().any(|ours| ours == address)
    }
}
