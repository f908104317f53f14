//! Keeping a lease: RENEWING, REBINDING, expiry (RFC 2131 §4.4.5).

use std::net::Ipv4Addr;
use std::time::Duration;

use wire::MacAddr;

use super::backoff::{Backoff, retry};
use super::client::Client;
use super::lease::Lease;
use super::next_hop::{Resolve, Unicast};
use super::phase::{Exchange, Phase, Rebinding, Renewing, Retransmission, Upkeep};
use super::progress::bump;
use super::request::Intent;
use super::{Event, Loss, OnLoss};
use crate::Instant;

/// Attempts of a renewal before T1 that the caller asked for: at 0, 4, 12, 28 and 60 s.
const EARLY_REQUESTS: u8 = 5;
/// Leases that are overdue when the daemon starts are renewed within this time, not all at once.
const OVERDUE_SPREAD: Duration = Duration::from_secs(10);

impl Client {
    /// Renews the lease now, before T1. Without an answer within about two minutes the lease is as
    /// if nothing had been asked. In REBINDING any server is asked now. Without a lease nothing
    /// happens, nor before T1 with [`Config::apart`](super::Config::apart).
    pub fn renew(&mut self, now: Instant) {
        let Phase::Leased { lease, upkeep } = &self.phase else { return };
        if self.config.apart && now < lease.renew_at {
            return;
        }
        if now >= lease.renew_at {
            match upkeep {
                Upkeep::Idle => self.keep_timeout(now),
                Upkeep::Renewing(_) => self.begin_renewing(now, false),
                Upkeep::Rebinding(_) => self.rebind(now),
                Upkeep::Confirming(confirming) => {
                    let patient = confirming.patient;
                    self.begin_confirming(now, now, patient);
                }
            }
        } else if let Upkeep::Confirming(confirming) = upkeep {
            let patient = confirming.patient;
            self.begin_confirming(now, now, patient);
        } else {
            self.begin_renewing(now, true);
        }
    }

    /// Puts off what is overdue when a lease is taken up again: thousands may be, all at once.
    pub(crate) fn take_up(&mut self, now: Instant) {
        let Phase::Leased { lease, .. } = &mut self.phase else { return };
        if now >= lease.expires_at {
            return self.expire(now);
        }
        let end = if now < lease.rebind_at { lease.rebind_at } else { lease.expires_at };
        let spread = (end.saturating_since(now) / 8).min(OVERDUE_SPREAD);
        let soon = now + spread.mul_f64(self.rng.f64());
        if lease.rebind_at <= now {
            lease.rebind_at = soon;
        }
        if lease.renew_at <= now {
            lease.renew_at = soon;
        }
    }

    /// Does what is due for the lease.
    pub(crate) fn keep_timeout(&mut self, now: Instant) {
        let apart = self.config.apart;
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        if now >= lease.expires_at {
            self.expire(now);
        } else if let Upkeep::Confirming(confirming) = upkeep
            && !(confirming.patient && now >= lease.renew_at)
        {
            self.confirm_timeout(now);
        } else if now >= if apart { lease.renew_at } else { lease.rebind_at } {
            match upkeep {
                Upkeep::Rebinding(rebinding) if now < rebinding.retry_at => {}
                _ => self.rebind(now),
            }
        } else {
            match upkeep {
                Upkeep::Renewing(renewing) => {
                    let Renewing { retry_at, resolve, early, .. } = renewing.as_ref();
                    if early.is_some() && now >= lease.renew_at {
                        // T1 comes while an early renewal is tried: it is the regular one now.
                        self.begin_renewing(now, false);
                    } else if now >= *retry_at {
                        self.retry_renewal(now);
                    } else if resolve.is_some_and(|resolve| now >= resolve.again_at) {
                        self.resolve_further(now);
                    }
                }
                Upkeep::Idle | Upkeep::Confirming(_) if now >= lease.renew_at => {
                    self.begin_renewing(now, false);
                }
                _ => {}
            }
        }
    }

    /// The lease is over: its address is given up, or kept in use while a server is looked for.
    fn expire(&mut self, now: Instant) {
        self.wanted = self.lease().map(|lease| lease.address);
        if let Phase::Leased { lease, .. } = std::mem::replace(&mut self.phase, Phase::Stopped) {
            self.kept = Some(Box::new(lease));
        }
        self.kept_timeout(now);
        self.discover(now, now);
    }

    /// The end of a lease that is in use beside the phase.
    pub(crate) fn kept_timeout(&mut self, now: Instant) {
        if now < self.kept_deadline() {
            return;
        }
        match self.config.on_loss {
            OnLoss::Drop => {
                if let Some(old) = self.kept.take() {
                    self.emit(Event::Lost { old, why: Loss::Expired });
                }
            }
            OnLoss::Keep => {
                self.overdue = true;
                self.emit(Event::Overdue);
            }
        }
    }

    /// When that is.
    pub(crate) fn kept_deadline(&self) -> Instant {
        let kept = self.kept.as_ref().filter(|_| !self.overdue);
        kept.map_or(Instant::NEVER, |kept| kept.expires_at)
    }

    /// A lease that was to be replaced goes on, without another attempt at once: it would bring
    /// the same.
    pub(crate) fn go_on_with(&mut self, lease: Lease, now: Instant) {
        let exchange = Exchange::new(&mut self.rng, now, now);
        let upkeep = if now >= lease.rebind_at {
            let retry_at = retry(now, lease.expires_at, lease.lifetime());
            Upkeep::Rebinding(Box::new(Rebinding { exchange, retry_at }))
        } else if now >= lease.renew_at {
            let retry_at = retry(now, lease.rebind_at, lease.lifetime());
            let renewing = Renewing { exchange, retry_at, resolve: None, early: None };
            Upkeep::Renewing(Box::new(renewing))
        } else {
            Upkeep::Idle
        };
        self.wanted = Some(lease.address);
        self.check = None;
        self.phase = Phase::Leased { lease, upkeep };
    }

    /// Enters RENEWING, or begins it anew.
    fn begin_renewing(&mut self, now: Instant, early: bool) {
        let exchange = Exchange::new(&mut self.rng, now, now);
        let early = early.then(|| Retransmission::new(Backoff::standard(), now));
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        let known = lease.next_hop;
        let renewing = Renewing { exchange, retry_at: now, resolve: None, early };
        *upkeep = Upkeep::Renewing(Box::new(renewing));
        self.schedule_retry(now);
        match known {
            Some(mac) => self.request_renewal(mac, now),
            None => self.resolve_anew(now),
        }
    }

    /// The same again: an answer did not come, so the way to the server is looked for anew.
    fn retry_renewal(&mut self, now: Instant) {
        if let Phase::Leased { upkeep, .. } = &mut self.phase
            && let Upkeep::Renewing(renewing) = upkeep
            && renewing.early.is_some_and(|early| early.sent >= EARLY_REQUESTS)
        {
            *upkeep = Upkeep::Idle;
            return;
        }
        self.schedule_retry(now);
        self.resolve_anew(now);
    }

    fn schedule_retry(&mut self, now: Instant) {
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        let Upkeep::Renewing(renewing) = upkeep else { return };
        renewing.retry_at = match &mut renewing.early {
            Some(early) => {
                early.step(now, &mut self.rng);
                early.at
            }
            None => retry(now, lease.rebind_at, lease.lifetime()),
        };
    }

    fn resolve_anew(&mut self, now: Instant) {
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        let Upkeep::Renewing(renewing) = upkeep else { return };
        renewing.resolve = Some(Resolve::new(lease.hop_to_server(), now));
        self.resolve_further(now);
    }

    fn resolve_further(&mut self, now: Instant) {
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        let Upkeep::Renewing(renewing) = upkeep else { return };
        let Some(asking) = &mut renewing.resolve else { return };
        let (target, address) = (asking.target, lease.address);
        if asking.step(now) {
            self.ask_who_has(target, address);
        } else {
            // Nobody answered. The next attempt asks again, and at T2 all are asked by broadcast.
            renewing.resolve = None;
        }
    }

    /// The next hop's MAC is known: sends what waited for it.
    pub(crate) fn resolved(&mut self, mac: MacAddr, now: Instant) {
        match &mut self.phase {
            Phase::Leased { upkeep: Upkeep::Renewing(renewing), .. } => {
                renewing.resolve = None;
                self.request_renewal(mac, now);
            }
            Phase::Releasing { .. } => self.finish_release(mac),
            _ => {}
        }
    }

    /// RENEWING: the REQUEST to the server of the lease.
    fn request_renewal(&mut self, mac: MacAddr, now: Instant) {
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        let Upkeep::Renewing(renewing) = upkeep else { return };
        let exchange = &mut renewing.exchange;
        // A transaction of its own: the lease counts from the REQUEST that was answered.
        *exchange = Exchange::new(&mut self.rng, exchange.began, now);
        let Unicast { address, server, .. } = Unicast::of(lease);
        let header = (exchange.xid, exchange.secs(now));
        self.send(Intent::Extend { address }, header, address, (mac, server));
    }

    /// REBINDING: the REQUEST to all servers.
    fn rebind(&mut self, now: Instant) {
        let began = self.phase.exchange().map_or(now, |exchange| exchange.began);
        let exchange = Exchange::new(&mut self.rng, began, now);
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        let retry_at = retry(now, lease.expires_at, lease.lifetime());
        *upkeep = Upkeep::Rebinding(Box::new(Rebinding { exchange, retry_at }));
        let address = lease.address;
        let header = (exchange.xid, exchange.secs(now));
        let everyone = (MacAddr::BROADCAST, Ipv4Addr::BROADCAST);
        let (intent, source) = if self.config.apart {
            (Intent::Reboot { address }, Ipv4Addr::UNSPECIFIED)
        } else {
            (Intent::Extend { address }, address)
        };
        self.send(intent, header, source, everyone);
    }

    pub(crate) fn ask_who_has(&mut self, target: Ipv4Addr, address: Ipv4Addr) {
        bump(&mut self.progress.resolutions);
        let request = wire::arp::Arp::request(self.config.link_mac(), address, target);
        self.transmit(request.emit(MacAddr::BROADCAST));
    }
}
