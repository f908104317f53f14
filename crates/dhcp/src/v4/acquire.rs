//! From nothing to a lease: INIT, SELECTING, REQUESTING and REBOOTING.

use std::net::Ipv4Addr;

use wire::MacAddr;

use super::backoff::{Backoff, after_nak};
use super::client::Client;
use super::lease::{Grant, Lease};
use super::next_hop::Unicast;
use super::phase::{Exchange, Phase, Remembered, Retransmission, Then, Upkeep};
use super::progress::{Offered, Reason, Refusal, bump};
use super::request::Intent;
use super::{ConflictCheck, Event, Loss};
use crate::Instant;

/// REQUESTs for one offer while somebody waits: the last one is given up after 7 s.
const EAGER_REQUESTS: u8 = 3;
/// The same otherwise: the last one is given up after 60 s, as RFC 2131 §3.1 suggests.
const REQUESTS: u8 = 4;
/// REQUESTs in INIT-REBOOT. A server that does not know the client is silent (RFC 2131 §4.3.2),
/// so silence is an answer.
const REBOOT_REQUESTS: u8 = 2;

impl Client {
    /// INIT: forgets what was and asks for offers. `began`: since when a lease is looked for.
    pub(crate) fn discover(&mut self, now: Instant, began: Instant) {
        self.check = None;
        self.phase = Phase::Selecting {
            exchange: Exchange::new(&mut self.rng, began, now),
            timer: Retransmission::new(self.pace(), now),
            secs: 0,
            rapid: false,
            offer: None,
        };
        self.acquire_timeout(now);
    }

    /// INIT-REBOOT: asks at `at` whether `address` is still right.
    pub(crate) fn verify(
        &mut self,
        address: Ipv4Addr,
        remembered: Option<Box<Remembered>>,
        at: Instant,
        now: Instant,
    ) {
        self.wanted = Some(address);
        self.phase = Phase::Rebooting {
            exchange: Exchange::new(&mut self.rng, at, at),
            timer: Retransmission::new(Backoff::eager(), at),
            address,
            remembered,
        };
        self.acquire_timeout(now);
    }

    /// Sends what is due, or gives up.
    pub(crate) fn acquire_timeout(&mut self, now: Instant) {
        let requests = if self.eager { EAGER_REQUESTS } else { REQUESTS };
        let wanted = self.wanted;
        let taken = self.noted_holder();
        let at_once = self.asks_for_rapid_commit();
        let (intent, xid, secs) = match &mut self.phase {
            Phase::Init { until, began } => {
                let began = *began;
                if now >= *until {
                    self.discover(now, began);
                }
                return;
            }
            Phase::V6OnlyWait { until } => {
                if now >= *until {
                    self.discover(now, now);
                }
                return;
            }
            Phase::Selecting { exchange, timer, secs, rapid, .. } if now >= timer.at => {
                timer.step(now, &mut self.rng);
                *secs = exchange.secs(now);
                if at_once {
                    exchange.begin_anew_if_old(&mut self.rng, now);
                    *rapid = true;
                }
                (Intent::Discover { wanted, rapid: at_once }, exchange.xid, *secs)
            }
            Phase::Requesting { timer, offer, .. }
                if now >= timer.at
                    && let Some(holder) = taken =>
            {
                // No ACK, but the server may have granted it.
                let (address, server) = (offer.address, offer.server);
                return self.yield_address(address, Some(server), holder, now);
            }
            Phase::Requesting { exchange, timer, secs, offer } if now >= timer.at => {
                if timer.sent >= requests {
                    let began = exchange.began;
                    self.eager = false;
                    return self.discover(now, began);
                }
                timer.step(now, &mut self.rng);
                (
                    Intent::Select { server: offer.server, address: offer.address },
                    exchange.xid,
                    *secs,
                )
            }
            Phase::Rebooting { timer, address, remembered, .. }
                if now >= timer.at
                    && let Some(holder) = taken =>
            {
                let server = remembered.as_ref().map(|remembered| remembered.lease.server);
                let address = *address;
                return self.yield_address(address, server, holder, now);
            }
            Phase::Rebooting { remembered: Some(remembered), .. }
                if now >= remembered.silent_at =>
            {
                return self.recall(now);
            }
            Phase::Rebooting { exchange, timer, address, .. } if now >= timer.at => {
                if timer.sent >= REBOOT_REQUESTS {
                    let began = exchange.began;
                    return self.discover(now, began);
                }
                timer.step(now, &mut self.rng);
                (Intent::Reboot { address: *address }, exchange.xid, exchange.secs(now))
            }
            _ => return,
        };
        let everyone = (MacAddr::BROADCAST, Ipv4Addr::BROADCAST);
        self.send(intent, (xid, secs), Ipv4Addr::UNSPECIFIED, everyone);
        if let Intent::Select { address, .. } | Intent::Reboot { address } = intent {
            self.check_with_request(address, now);
        }
    }

    /// A DHCPOFFER. The first one that is valid is taken.
    pub(crate) fn offered(&mut self, grant: Grant, now: Instant) -> Result<(), Reason> {
        match &self.phase {
            Phase::Selecting { .. } => {}
            // A second server's, or a second copy.
            Phase::Requesting { .. } => {
                bump(&mut self.progress.offers);
                return Ok(());
            }
            _ => return Err(Reason::Unexpected),
        }
        if self.declined_lately(grant.address, now) {
            return Err(Reason::DeclinedAddress);
        }
        bump(&mut self.progress.offers);
        if let Some(wait) = self.v6only_wait(&grant) {
            self.do_without(wait, now);
            return Ok(());
        }
        if self.will_not_do(grant.address) {
            self.note_offer(grant.server, grant.address, grant.prefix_len);
            return Ok(());
        }
        match &mut self.phase {
            Phase::Selecting { offer, .. } if self.patient => {
                offer.get_or_insert_with(|| Box::new(grant));
            }
            _ => self.take_offer(grant, now),
        }
        Ok(())
    }

    fn note_offer(&mut self, server: Ipv4Addr, address: Ipv4Addr, prefix_len: u8) {
        self.progress.last_offer = Some(Offered { server, address, prefix_len });
    }

    /// Asks for what was offered.
    pub(crate) fn take_offer(&mut self, grant: Grant, now: Instant) {
        let Phase::Selecting { exchange, secs, .. } = &self.phase else { return };
        let (mut exchange, secs) = (*exchange, *secs);
        self.note_offer(grant.server, grant.address, grant.prefix_len);
        exchange.asked = now;
        let offer = Unicast::of(&grant.into_lease(now, &mut self.rng));
        self.phase = Phase::Requesting {
            exchange,
            timer: Retransmission::new(self.pace(), now),
            secs,
            offer,
        };
        self.acquire_timeout(now);
    }

    /// A DHCPACK: there is a lease now, or the one there is goes on.
    pub(crate) fn acknowledged(&mut self, grant: Grant, now: Instant) -> Result<(), Reason> {
        let Exchange { asked, began, .. } = match self.committed_rapidly(&grant) {
            Some(exchange) => exchange,
            None => self.requested_of(grant.server)?,
        };
        let wait = self.v6only_wait(&grant);
        let lease = grant.into_lease(asked, &mut self.rng);
        if lease.expires_at <= now {
            return Err(Reason::BadLeaseTime);
        }
        bump(&mut self.progress.acks);
        if let Phase::Withdrawing { .. } = self.phase {
            self.release_by(Unicast::of(&lease), now);
            return Ok(());
        }
        if let Some(wait) = wait {
            self.give_back(&lease);
            self.do_without(wait, now);
            return Ok(());
        }
        if self.will_not_do(lease.address) {
            self.note_offer(lease.server, lease.address, lease.prefix_len);
            self.give_back(&lease);
            self.start_over(now, began);
            return Ok(());
        }
        self.wanted = Some(lease.address);
        self.take(lease, Then::Rest, now);
        Ok(())
    }

    /// Whether another address is demanded.
    fn will_not_do(&self, address: Ipv4Addr) -> bool {
        self.demanding && self.config.requested_address.is_some_and(|wanted| wanted != address)
    }

    /// Gives a lease back that was granted and is not taken into use. There is nothing to be asked for on the way:
    /// what a relay or router would have to forward is for its server to let expire.
    fn give_back(&mut self, lease: &Lease) {
        let Lease { address, server, .. } = *lease;
        let xid = self.rng.u32(..);
        let to: (MacAddr, Ipv4Addr) = (lease.next_hop.unwrap_or(MacAddr::BROADCAST), server);
        self.send(Intent::Release { server, address }, (xid, 0), address, to);
    }

    /// The exchange in which `server` may grant or refuse what was requested.
    fn requested_of(&self, server: Ipv4Addr) -> Result<Exchange, Reason> {
        match &self.phase {
            Phase::Selecting { .. } | Phase::Withdrawing { .. } => Err(Reason::Unexpected),
            Phase::Requesting { offer, .. } if offer.server != server => Err(Reason::OtherServer),
            // Elsewhere any server may answer (RFC 2131 §4.3.2).
            phase => phase.exchange().copied().ok_or(Reason::Unexpected),
        }
    }

    /// Takes a lease into use, its address checked before unless it is in use already (RFC 5227
    /// §2.1). If the lease there is has another address, it goes on until then.
    pub(crate) fn take(&mut self, lease: Lease, then: Then, now: Instant) {
        let used = self.lease().is_some_and(|used| used.address == lease.address);
        if used || self.config.conflict_check == ConflictCheck::Off {
            return self.bind(lease, then, now);
        }
        let phase = Phase::Probing { lease, then };
        if let Phase::Leased { lease: old, .. } = std::mem::replace(&mut self.phase, phase) {
            self.kept = Some(Box::new(old));
        }
        self.check_grant(now);
    }

    /// BOUND: the lease is in use from now on.
    pub(crate) fn bind(&mut self, lease: Lease, then: Then, now: Instant) {
        self.eager = false;
        self.demanding = false;
        self.refusals = 0;
        self.overdue = false;
        // The server may have granted another address than it offered.
        self.check.take_if(|check| check.address != lease.address);
        let kept = self.kept.take().map(|kept| *kept);
        let phase = Phase::Leased { lease, upkeep: Upkeep::Idle };
        let old = match std::mem::replace(&mut self.phase, phase) {
            Phase::Leased { lease, .. } => Some(lease),
            _ => kept,
        };
        let event = match (old, self.lease()) {
            (Some(old), Some(new)) if old.same_configuration(new) => Event::Renewed,
            (Some(old), _) => Event::Changed { old: Box::new(old) },
            (None, _) => Event::Bound,
        };
        self.emit(event);
        match then {
            Then::Rest => {}
            Then::Renew => self.renew(now),
            Then::Confirm(exchange) => self.confirm_behind(exchange, now),
        }
    }

    /// A DHCPNAK: what was asked for is refused, and a lease that there was is lost.
    pub(crate) fn refused(&mut self, refusal: Refusal, now: Instant) -> Result<(), Reason> {
        let began = self.requested_of(refusal.server)?.began;
        bump(&mut self.progress.naks);
        self.eager = false;
        let message = refusal.message.clone();
        self.progress.last_nak = Some(Box::new(refusal.clone()));
        let why = Loss::Nak { server: refusal.server, message };
        let began = if self.lose(why) { now } else { began };

        // What has just been refused is not asked for again.
        self.wanted = self.config.requested_address;
        self.start_over(now, began);
        Ok(())
    }

    /// INIT after an exchange that brought nothing: at once the first time, then ever later.
    pub(crate) fn start_over(&mut self, now: Instant, began: Instant) {
        bump(&mut self.refusals);
        let delay = after_nak(self.refusals, &mut self.rng);
        if delay.is_zero() {
            self.discover(now, began);
        } else {
            self.check = None;
            self.phase = Phase::Init { until: now + delay, began };
        }
    }

    /// Gives the lease up, if there is one, and says why.
    pub(crate) fn lose(&mut self, why: Loss) -> bool {
        let kept = self.kept.take();
        self.overdue = false;
        let old = match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Leased { lease, .. } => Some(Box::new(lease)),
            _ => kept,
        };
        let lost = old.is_some();
        if let Some(old) = old {
            self.emit(Event::Lost { old, why });
        }
        lost
    }
}
