//! From nothing to a lease: INIT, SELECTING, REQUESTING and REBOOTING.

use std::net::Ipv4Addr;

use wire::MacAddr;

use super::backoff::{Backoff, after_nak};
use super::client::Client;
use super::lease::Grant;
use super::next_hop::Unicast;
use super::phase::{Exchange, Phase, Retransmission, Upkeep};
use super::progress::{Offered, Reason, Refusal, bump};
use super::request::Intent;
use super::{Event, Loss};
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
        self.phase = Phase::Selecting {
            exchange: Exchange::new(&mut self.rng, began, now),
            timer: Retransmission::new(self.pace(), now),
            secs: 0,
        };
        self.acquire_timeout(now);
    }

    /// INIT-REBOOT: asks whether `address` is still right.
    pub(crate) fn verify(&mut self, address: Ipv4Addr, now: Instant) {
        self.wanted = Some(address);
        self.phase = Phase::Rebooting {
            exchange: Exchange::new(&mut self.rng, now, now),
            timer: Retransmission::new(Backoff::eager(), now),
            address,
        };
        self.acquire_timeout(now);
    }

    /// Sends what is due, or gives up.
    pub(crate) fn acquire_timeout(&mut self, now: Instant) {
        let requests = if self.eager { EAGER_REQUESTS } else { REQUESTS };
        let wanted = self.wanted;
        let (intent, xid, secs) = match &mut self.phase {
            Phase::Init { until, began } => {
                let began = *began;
                if now >= *until {
                    self.discover(now, began);
                }
                return;
            }
            Phase::Selecting { exchange, timer, secs } if now >= timer.at => {
                timer.step(now, &mut self.rng);
                *secs = exchange.secs(now);
                (Intent::Discover { wanted }, exchange.xid, *secs)
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
            Phase::Rebooting { exchange, timer, address } if now >= timer.at => {
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
    }

    /// A DHCPOFFER. The first one that is valid is taken.
    pub(crate) fn offered(&mut self, grant: Grant, now: Instant) -> Result<(), Reason> {
        let (mut exchange, secs) = match &self.phase {
            Phase::Selecting { exchange, secs, .. } => (*exchange, *secs),
            // A second server's, or a second copy.
            Phase::Requesting { .. } => {
                bump(&mut self.progress.offers);
                return Ok(());
            }
            _ => return Err(Reason::Unexpected),
        };
        bump(&mut self.progress.offers);
        self.progress.last_offer = Some(Offered { server: grant.server, address: grant.address });
        exchange.asked = now;
        let offer = Unicast::of(&grant.into_lease(now, &mut self.rng));
        self.phase = Phase::Requesting {
            exchange,
            timer: Retransmission::new(self.pace(), now),
            secs,
            offer,
        };
        self.acquire_timeout(now);
        Ok(())
    }

    /// A DHCPACK: there is a lease now, or the one there is goes on.
    pub(crate) fn acknowledged(&mut self, grant: Grant, now: Instant) -> Result<(), Reason> {
        let asked = match &self.phase {
            Phase::Requesting { offer, .. } if offer.server != grant.server => {
                return Err(Reason::OtherServer);
            }
            Phase::Requesting { exchange, .. }
            | Phase::Rebooting { exchange, .. }
            | Phase::Leased {
                upkeep: Upkeep::Renewing { exchange, .. } | Upkeep::Rebinding { exchange, .. },
                ..
            } => exchange.asked,
            _ => return Err(Reason::Unexpected),
        };
        let lease = grant.into_lease(asked, &mut self.rng);
        if lease.expires_at <= now {
            return Err(Reason::BadLeaseTime);
        }
        // A new address is to be probed here before it becomes a lease (RFC 5227 §2.1), and
        // declined if somebody answers (RFC 2131 §3.1, step 5).
        bump(&mut self.progress.acks);
        self.naks = 0;
        self.eager = false;
        self.wanted = Some(lease.address);
        let phase = Phase::Leased { lease, upkeep: Upkeep::Idle };
        let event = match (std::mem::replace(&mut self.phase, phase), self.lease()) {
            (Phase::Leased { lease: old, .. }, Some(new)) if old.same_configuration(new) => {
                Event::Renewed
            }
            (Phase::Leased { lease: old, .. }, _) => Event::Changed { old: Box::new(old) },
            _ => Event::Bound,
        };
        self.emit(event);
        Ok(())
    }

    /// A DHCPNAK: what was asked for is refused, and a lease that there was is lost.
    pub(crate) fn refused(&mut self, refusal: Refusal, now: Instant) -> Result<(), Reason> {
        match &self.phase {
            Phase::Requesting { offer, .. } if offer.server != refusal.server => {
                return Err(Reason::OtherServer);
            }
            // Any server may say that a client is on the wrong network (RFC 2131 §4.3.2).
            Phase::Requesting { .. }
            | Phase::Rebooting { .. }
            | Phase::Leased {
                upkeep: Upkeep::Renewing { .. } | Upkeep::Rebinding { .. }, ..
            } => {}
            _ => return Err(Reason::Unexpected),
        }
        bump(&mut self.progress.naks);
        bump(&mut self.naks);
        self.eager = false;
        let message = refusal.message.clone();
        self.progress.last_nak = Some(refusal.clone());
        let began = self.phase.exchange().map_or(now, |exchange| exchange.began);
        let why = Loss::Nak { server: refusal.server, message };
        let began = if self.lose(why) { now } else { began };

        // What has just been refused is not asked for again.
        self.wanted = self.config.requested_address;
        let delay = after_nak(self.naks, &mut self.rng);
        if delay.is_zero() {
            self.discover(now, began);
        } else {
            self.phase = Phase::Init { until: now + delay, began };
        }
        Ok(())
    }

    /// Gives the lease up, if there is one, and says why.
    pub(crate) fn lose(&mut self, why: Loss) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Leased { lease, .. } => {
                self.emit(Event::Lost { old: Box::new(lease), why });
                true
            }
            _ => false,
        }
    }
}
