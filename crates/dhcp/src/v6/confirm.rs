//! Is the lease still right for this link? (RFC 8415 §18.2.3, §18.2.12)
//!
//! After a boot of the machine a remembered lease is not in use until a server or its silence says
//! that it may be. When the link was away, or the machine asleep, the lease stays in use while the
//! servers are asked.

use wire::dhcp6::{MessageType, StatusCode};

use super::Config;
use super::client::{Client, refusal};
use super::exchange::{Exchange, Pace};
use super::grant::Grant;
use super::lease::Lease;
use super::phase::{About, Asking, Phase, Rebooting, Upkeep};
use super::progress::{Reason, bump};
use super::reply::Answer;
use super::request::{Held, Question};
use crate::{Instant, REBOOT_SILENCE};

impl Client {
    /// A client that had `lease` before the machine booted, with its times in those of this boot,
    /// and asks whether it is still right: by Confirm, or by Rebind if there are prefixes in it.
    ///
    /// A Reply leads to [`Event::Bound`](super::Event::Bound) or to Solicit. After 2 s of silence the
    /// lease is used all the same, as RFC 8415 §18.2.3 allows for the rest of its time:
    /// [`Event::Bound`](super::Event::Bound) comes, and the servers are asked on for 8 s. A lease
    /// that is over already leads to a Solicit that asks for its address.
    pub fn reboot_with_lease(config: Config, lease: Lease, seed: u64, now: Instant) -> Client {
        let mut client = Client::new(config, seed);
        client.asked_to_register = false;
        let wanted = lease.addresses.first().map(|leased| leased.address);
        client.wanted = wanted.or(client.wanted);
        let lease = lease.at(now);
        client.eager = true;
        if lease.is_empty() {
            client.solicit(now, now);
        } else {
            client.verify(lease, now, now);
        }
        client
    }

    /// Asks at `at` whether the lease is still right: after the link was away, its bridge made anew,
    /// or the machine asleep. The lease stays in use meanwhile, and after 10 s of silence the client
    /// is where the lease's times say.
    ///
    /// Without a lease, what is looked for is looked for anew at `at`. The caller spreads `at` where
    /// many clients are concerned. A client that is stopped, releasing or declining stays so. Addresses
    /// that were [registered](Client::register) are forgotten: whether servers of this link want to know
    /// has to be found out anew, and the caller checks them before it names them again.
    pub fn confirm(&mut self, at: Instant, now: Instant) {
        let at = at.max(now);
        self.registrations = None;
        self.asked_to_register = false;
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            phase @ (Phase::Stopped
            | Phase::Releasing(_)
            | Phase::Withdrawing(_)
            | Phase::Declining(_)) => self.phase = phase,
            phase @ Phase::Leased { .. } => {
                self.phase = phase;
                self.begin(About::Confirm, at, now);
            }
            Phase::Rebooting(rebooting) => self.verify(rebooting.lease, at, now),
            // A pause that refusals or conflicts made necessary is kept.
            Phase::Init { until } => self.phase = Phase::Init { until: until.max(at) },
            Phase::Soliciting(_) | Phase::Requesting(_) => self.solicit(at, now),
            Phase::Informing(_) | Phase::Informed { .. } => {
                self.phase = Phase::Informed { refresh_at: at };
                self.inform_timeout(now);
            }
        }
    }

    fn verify(&mut self, lease: Lease, at: Instant, now: Instant) {
        let exchange = Exchange::new(&mut self.rng, Pace::confirm(), at);
        let silent_at = at + REBOOT_SILENCE;
        self.phase = Phase::Rebooting(Box::new(Rebooting { exchange, lease, silent_at }));
        self.reboot_timeout(now);
    }

    /// Asks about a remembered lease, or uses it without an answer.
    pub(crate) fn reboot_timeout(&mut self, now: Instant) {
        let Phase::Rebooting(rebooting) = &mut self.phase else { return };
        if now >= rebooting.silent_at {
            return self.recall(now);
        }
        if now < rebooting.exchange.at {
            return;
        }
        rebooting.exchange.step(now, &mut self.rng);
        let exchange = rebooting.exchange;
        let held = Held::of(&rebooting.lease);
        let confirms = held.prefixes.is_empty();
        self.send(&Question {
            kind: if confirms { MessageType::Confirm } else { MessageType::Rebind },
            xid: exchange.xid,
            elapsed: exchange.elapsed(now),
            server: None,
            contents: held.contents(),
        });
    }

    /// Nobody answers: the remembered lease is used, and asked about a little longer.
    fn recall(&mut self, now: Instant) {
        let Phase::Rebooting(rebooting) = std::mem::replace(&mut self.phase, Phase::Stopped) else {
            return;
        };
        let Rebooting { exchange, lease, .. } = *rebooting;
        let lease = lease.at(now);
        if lease.is_empty() {
            return self.solicit(now, now);
        }
        self.take_into_use(lease, now);
        // T1 or T2 may have passed: what was begun for them is more than a question.
        if let Phase::Leased { upkeep: upkeep @ Upkeep::Idle, .. } = &mut self.phase
            && exchange.sent > 0
        {
            *upkeep = Upkeep::Asking(Box::new(Asking { exchange, about: About::Confirm }));
            self.keep_timeout(now);
        }
    }

    /// A Reply about a remembered lease.
    pub(crate) fn rebooted(&mut self, answer: &Answer<'_>, now: Instant) -> Result<(), Reason> {
        let Phase::Rebooting(rebooting) = &self.phase else { return Err(Reason::Unexpected) };
        let (asked, lease) = (rebooting.exchange.asked, rebooting.lease.clone());
        if let Some(refused) = refusal(answer) {
            let wrong = refused.status == StatusCode::NotOnLink;
            self.note_refusal(refused);
            if wrong {
                self.wanted = self.config.requested_address;
                self.start_over(now);
            }
            return Ok(());
        }
        if lease.prefixes.is_empty() {
            let lease = lease.at(now);
            if lease.is_empty() {
                self.solicit(now, now);
            } else {
                self.bind(lease, now);
            }
            return Ok(());
        }
        let grant = Grant::read(answer.options, &self.config, &mut self.progress);
        if !grant.present() {
            return Err(Reason::NoAssociation);
        }
        if grant.addresses.granted.is_empty() && grant.prefixes.granted.is_empty() {
            let reason = self.gives_nothing(answer, None, grant);
            self.start_over(now);
            return Err(reason);
        }
        let unknown = grant.no_binding();
        match grant.into_lease(answer.server, Some(&lease), (asked, now), &mut self.rng) {
            Some(lease) => {
                let server = lease.server.clone();
                self.bind(lease, now);
                if unknown {
                    // What the server does not know it is asked to give anew (RFC 8415 §18.2.10.1).
                    self.begin(About::Request { server }, now, now);
                }
            }
            None => self.start_over(now),
        }
        Ok(())
    }

    /// A Reply to a Confirm with the lease in use.
    pub(crate) fn confirmed(&mut self, answer: &Answer<'_>, now: Instant) -> Result<(), Reason> {
        match refusal(answer) {
            Some(refused) => {
                self.note_refusal(refused.clone());
                if refused.status == StatusCode::NotOnLink {
                    self.refused(refused, now);
                }
            }
            None => {
                bump(&mut self.progress.replies);
                self.rest(now);
            }
        }
        Ok(())
    }
}
