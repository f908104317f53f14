//! Giving leases back, and refusing addresses that are in use (RFC 8415 §18.2.7, §18.2.8).

use std::net::Ipv6Addr;
use std::time::Duration;

use wire::dhcp6::{Duid, MessageType};

use super::client::Client;
use super::exchange::{Exchange, Pace, after_conflict};
use super::grant::Grant;
use super::phase::{About, Parting, Phase, Upkeep};
use super::progress::Reason;
use super::reply::Answer;
use super::request::{Held, Question};
use super::{Event, Loss};
use crate::Instant;

/// How long the answer to a Solicit that asked for a lease at once may take until it is not waited for any more.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

impl Client {
    /// Gives the lease back and stops. The addresses must not be in use any more.
    /// [`Event::Released`] says that a server has heard it, or that all was tried: four Releases in
    /// 15 s. A client that is stopped stays so, without an event.
    ///
    /// In REQUESTING the server may have granted already what is on its way: that is given back
    /// too, and so is a lease that was there before the machine booted. So may it have in SOLICITING
    /// with Rapid Commit, and there only its Reply tells what: it is waited for until a second after
    /// the Solicit. Where there is nothing to give back, the event comes at once.
    pub fn release(&mut self, now: Instant) {
        let given = match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Stopped => return,
            phase @ (Phase::Releasing(_) | Phase::Withdrawing(_)) => {
                self.phase = phase;
                return;
            }
            Phase::Soliciting(soliciting)
                if self.config.rapid_commit
                    && soliciting.exchange.sent > 0
                    && now < soliciting.exchange.asked + ON_ITS_WAY =>
            {
                let mut exchange = soliciting.exchange;
                exchange.at = exchange.asked + ON_ITS_WAY;
                self.phase = Phase::Withdrawing(Box::new(exchange));
                return;
            }
            Phase::Leased { lease, .. } => Some((lease.server.clone(), Held::of(&lease.at(now)))),
            Phase::Rebooting(rebooting) => {
                let lease = rebooting.lease;
                Some((lease.server.clone(), Held::of(&lease.at(now))))
            }
            Phase::Requesting(requesting) => Some((requesting.offer.server, requesting.offer.held)),
            Phase::Init { .. }
            | Phase::Soliciting(_)
            | Phase::Declining(_)
            | Phase::Informing(_)
            | Phase::Informed { .. } => None,
        };
        match given.filter(|(_, held)| !held.is_empty()) {
            Some((server, held)) => self.give_back(server, held, now),
            None => self.emit(Event::Released),
        }
    }

    fn give_back(&mut self, server: Duid, held: Held, now: Instant) {
        let exchange = Exchange::new(&mut self.rng, Pace::RELEASE, now);
        self.phase = Phase::Releasing(Box::new(Parting { exchange, server, held }));
        self.part_timeout(now);
    }

    /// A Reply to the Solicit of a client that has stopped looking.
    pub(crate) fn granted_late(&mut self, answer: &Answer<'_>, now: Instant) -> Result<(), Reason> {
        let grant = Grant::read(answer.options, &self.config, &mut self.progress);
        if !(answer.options.rapid_commit() && grant.gives()) {
            return Err(Reason::Unexpected);
        }
        let server = Duid::new(answer.server).ok_or(Reason::NoServer)?;
        self.give_back(server, grant.held(), now);
        Ok(())
    }

    /// None came.
    pub(crate) fn withdraw_timeout(&mut self, now: Instant) {
        if self.phase.deadline() <= now {
            self.phase = Phase::Stopped;
            self.emit(Event::Released);
        }
    }

    /// Another machine has `address`: it is refused, and another is looked for: by Solicit, or by an
    /// early Renew if prefixes are left of the lease. Does nothing unless `address` is in the lease.
    ///
    /// A second refusal in a row costs 1 s before that, each further one 10 s, from the tenth on a
    /// minute.
    pub fn decline(&mut self, address: Ipv6Addr, now: Instant) {
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        if !lease.addresses.iter().any(|leased| leased.address == address) {
            return;
        }
        let mut addresses = vec![address];
        if let Upkeep::Asking(asking) = upkeep
            && let About::Decline { addresses: before } = &asking.about
        {
            addresses.extend(before);
        }
        self.conflicts = self.conflicts.saturating_add(1);
        self.wanted = None;
        if lease.addresses.len() + lease.prefixes.len() > 1 {
            let old = Box::new(lease.clone());
            lease.addresses.retain(|leased| leased.address != address);
            self.emit(Event::Changed { old });
            return self.begin(About::Decline { addresses }, now, now);
        }
        let server = lease.server.clone();
        self.lose(Loss::Conflict { address });
        let exchange = Exchange::new(&mut self.rng, Pace::DECLINE, now);
        let held = Held { addresses, prefixes: Vec::new() };
        self.phase = Phase::Declining(Box::new(Parting { exchange, server, held }));
        self.part_timeout(now);
    }

    /// Sends the Release or Decline that is due, or gives up.
    pub(crate) fn part_timeout(&mut self, now: Instant) {
        let (Phase::Declining(parting) | Phase::Releasing(parting)) = &mut self.phase else {
            return;
        };
        if now < parting.exchange.at {
            return;
        }
        if parting.exchange.is_over(now) {
            return self.part(now);
        }
        parting.exchange.step(now, &mut self.rng);
        let (exchange, server) = (parting.exchange, parting.server.clone());
        let held = parting.held.clone();
        let declines = matches!(self.phase, Phase::Declining(_));
        self.send(&Question {
            kind: if declines { MessageType::Decline } else { MessageType::Release },
            xid: exchange.xid,
            elapsed: exchange.elapsed(now),
            server: Some(&server),
            contents: held.contents(),
        });
    }

    /// A Reply to it: whatever it says, it was heard (RFC 8415 §18.2.10.2, §18.2.10.3).
    pub(crate) fn parted(&mut self, answer: &Answer<'_>, now: Instant) -> Result<(), Reason> {
        let (Phase::Declining(parting) | Phase::Releasing(parting)) = &self.phase else {
            return Err(Reason::Unexpected);
        };
        if *parting.server != *answer.server {
            return Err(Reason::OtherServer);
        }
        self.part(now);
        Ok(())
    }

    fn part(&mut self, now: Instant) {
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Declining(_) => {
                // Somebody may still wait for the first address that can be used.
                self.eager = true;
                let delay = after_conflict(self.conflicts, &mut self.rng);
                self.phase = Phase::Init { until: now + delay };
                self.acquire_timeout(now);
            }
            Phase::Releasing(_) => self.emit(Event::Released),
            other => self.phase = other,
        }
    }
}
