//! INIT-REBOOT with a lease in hand: is it still right? (RFC 2131 §3.2, §3.7 and §4.4.2)
//!
//! After a boot of the machine a remembered lease is not in use until a server or its silence says
//! that it may be. When the link was away, or the machine asleep, the lease stays in use while the
//! servers are asked.

use std::net::Ipv4Addr;

use wire::MacAddr;

use super::Config;
use super::backoff::Backoff;
use super::client::Client;
use super::lease::Lease;
use super::phase::{Confirming, Exchange, Phase, Remembered, Retransmission, Then, Upkeep};
use super::request::Intent;
use crate::{Instant, REBOOT_SILENCE};

/// REQUESTs that ask about a lease in use: at 0, 1 and 3 s, given up at 7 s.
const CONFIRM_REQUESTS: u8 = 3;

impl Client {
    /// A client that had `lease` before the machine booted, with its times in those of this boot,
    /// and asks whether it is still right (INIT-REBOOT).
    ///
    /// An ACK leads to [`Event::Bound`](super::Event::Bound), a NAK to INIT. After 2 s of silence the
    /// lease is used all the same, as RFC 2131 §3.2 allows for the rest of its time:
    /// [`Event::Bound`](super::Event::Bound) comes, and the servers are asked on, at RFC 2131's pace,
    /// until T1 or an answer. An ACK is then a renewal, a NAK a loss. A lease that is over already
    /// is as an address whose lease is not known, see [`Client::reboot`].
    pub fn reboot_with_lease(config: Config, lease: Lease, seed: u64, now: Instant) -> Client {
        if lease.expires_at <= now {
            return Client::reboot(config, lease.address, seed, now);
        }
        let mut client = Client::new(config, seed);
        client.eager = true;
        client.verify_lease(lease, now, now);
        client
    }

    /// Asks at `at` whether the lease is still right, by INIT-REBOOT: after the link was away, its
    /// bridge made anew, or the machine asleep. The lease stays in use meanwhile. An ACK is a
    /// renewal, a NAK a loss; after 7 s of silence the client is where the lease's times say. The
    /// address is probed anew (RFC 5227 §2.1), and a conflict ends the lease.
    ///
    /// Without a lease the search for one begins anew at `at`. The caller spreads `at` where many
    /// clients are concerned. A client that is stopped or releasing stays so.
    pub fn confirm(&mut self, at: Instant, now: Instant) {
        let at = at.max(now);
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            phase @ (Phase::Stopped | Phase::Releasing { .. } | Phase::Withdrawing { .. }) => {
                self.phase = phase;
            }
            phase @ Phase::Leased { .. } => {
                self.phase = phase;
                self.begin_confirming(at, now, false);
            }
            Phase::Probing { lease, .. } => {
                self.check = None;
                match self.kept.take_if(|_| !self.overdue) {
                    Some(kept) => {
                        self.phase = Phase::Leased { lease: *kept, upkeep: Upkeep::Idle };
                        self.begin_confirming(at, now, false);
                    }
                    None => self.verify_lease(lease, at, now),
                }
            }
            Phase::Rebooting { address, remembered, .. } => {
                self.check = None;
                match remembered {
                    Some(remembered) => self.verify_lease(remembered.lease, at, now),
                    None => self.verify(address, None, at, now),
                }
            }
            // A pause that conflicts made necessary is kept (RFC 5227 §2.1.1).
            Phase::Init { until, began } if self.in_conflict() => {
                self.phase = Phase::Init { until: until.max(at), began };
            }
            // Another network may be of another mind (RFC 8925 §3.2).
            Phase::Init { .. }
            | Phase::Selecting { .. }
            | Phase::Requesting { .. }
            | Phase::V6OnlyWait { .. } => {
                self.check = None;
                self.phase = Phase::Init { until: at, began: at };
                self.acquire_timeout(now);
            }
        }
    }

    fn verify_lease(&mut self, lease: Lease, at: Instant, now: Instant) {
        let address = lease.address;
        let remembered = Box::new(Remembered { lease, silent_at: at + REBOOT_SILENCE });
        self.verify(address, Some(remembered), at, now);
    }

    /// INIT-REBOOT, and nobody answers: the remembered lease is used.
    pub(crate) fn recall(&mut self, now: Instant) {
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Rebooting { exchange, remembered: Some(remembered), .. }
                if remembered.lease.expires_at > now =>
            {
                self.take(remembered.lease, Then::Confirm(exchange), now);
            }
            _ => self.discover(now, now),
        }
    }

    /// Asks on about a remembered lease that is in use without an answer.
    pub(crate) fn confirm_behind(&mut self, exchange: Exchange, now: Instant) {
        let mut timer = Retransmission::new(Backoff::standard(), now);
        timer.step(now, &mut self.rng);
        let Phase::Leased { upkeep, .. } = &mut self.phase else { return };
        *upkeep = Upkeep::Confirming(Box::new(Confirming { exchange, timer, patient: true }));
        // T1 or T2 may have passed.
        self.keep_timeout(now);
    }

    pub(crate) fn begin_confirming(&mut self, at: Instant, now: Instant, patient: bool) {
        let exchange = Exchange::new(&mut self.rng, at, at);
        let timer = Retransmission::new(Backoff::eager(), at);
        let Phase::Leased { upkeep, .. } = &mut self.phase else { return };
        *upkeep = Upkeep::Confirming(Box::new(Confirming { exchange, timer, patient }));
        self.keep_timeout(now);
    }

    /// Asks, or gives it up.
    pub(crate) fn confirm_timeout(&mut self, now: Instant) {
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        let Upkeep::Confirming(confirming) = upkeep else { return };
        let Confirming { exchange, timer, patient } = confirming.as_mut();
        if now < timer.at {
            return;
        }
        if timer.sent >= CONFIRM_REQUESTS && !*patient {
            *upkeep = Upkeep::Idle;
            return self.keep_timeout(now);
        }
        let first = timer.sent == 0;
        if first {
            // The time for it may have come late.
            (exchange.began, exchange.asked) = (now, now);
        } else if *patient {
            // A transaction of its own: hours may have passed since the last one, and the lease
            // counts from the REQUEST that was answered.
            *exchange = Exchange::new(&mut self.rng, exchange.began, now);
        }
        timer.step(now, &mut self.rng);
        let (address, header) = (lease.address, (exchange.xid, exchange.secs(now)));
        let everyone = (MacAddr::BROADCAST, Ipv4Addr::BROADCAST);
        self.send(Intent::Reboot { address }, header, Ipv4Addr::UNSPECIFIED, everyone);
        if first {
            // The segment may be another one now, with another machine that has the address.
            self.check = None;
            self.check_address(address, now);
        }
    }
}
