//! Keeping a lease: Renew, Rebind, the end (RFC 8415 §18.2.4, §18.2.5, §18.2.10.1).

use std::time::Duration;

use wire::dhcp6::{Duid, MessageType, StatusCode};

use super::client::{Client, refusal};
use super::exchange::{Exchange, Pace, after_conflict, first_delay};
use super::grant::Grant;
use super::lease::Lease;
use super::phase::{About, Asking, Phase, Upkeep};
use super::progress::{Reason, Refusal, bump};
use super::reply::Answer;
use super::request::{Held, Question};
use super::{Event, Loss};
use crate::Instant;

/// Leases that are overdue when the daemon starts are renewed within this time, not all at once.
const OVERDUE_SPREAD: Duration = Duration::from_secs(10);

impl Client {
    /// Renews the lease now, before T1. Without an answer to five attempts the lease is as if
    /// nothing had been asked. From T1 on the regular exchange begins anew. Without a lease nothing
    /// happens.
    pub fn renew(&mut self, now: Instant) {
        let Phase::Leased { lease, upkeep } = &self.phase else { return };
        let early = now < lease.t1_at;
        match upkeep {
            Upkeep::Asking(asking) => match asking.about {
                About::Confirm => self.begin(About::Confirm, now, now),
                About::Rebind => self.begin(About::Rebind, now, now),
                About::Renew { .. } => self.begin(About::Renew { early }, now, now),
                // It is over in seconds, and brings the same.
                About::Request { .. } | About::Decline { .. } => {}
            },
            Upkeep::Idle if early => self.begin(About::Renew { early }, now, now),
            Upkeep::Idle => self.keep_timeout(now),
        }
    }

    /// Puts off what is overdue when a lease is taken up again: thousands may be, all at once.
    pub(crate) fn take_up(&mut self, now: Instant) {
        self.expire(now);
        let Phase::Leased { lease, .. } = &mut self.phase else { return };
        let end = if now < lease.t2_at { lease.t2_at } else { lease.next_end() };
        let spread = (end.saturating_since(now) / 8).min(OVERDUE_SPREAD);
        let soon = now + spread.mul_f64(self.rng.f64());
        if lease.t2_at <= now {
            lease.t2_at = soon;
        }
        if lease.t1_at <= now {
            lease.t1_at = soon;
        }
    }

    /// Begins to ask, first at `at`.
    pub(crate) fn begin(&mut self, about: About, at: Instant, now: Instant) {
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        let pace = match about {
            About::Renew { early: true } => Pace::renew_early(lease.lifetime()),
            About::Renew { early: false } | About::Rebind => Pace::keep(lease.lifetime()),
            About::Confirm => Pace::confirm(),
            About::Request { .. } => Pace::request(false),
            About::Decline { .. } => Pace::DECLINE,
        };
        let exchange = Exchange::new(&mut self.rng, pace, at);
        *upkeep = Upkeep::Asking(Box::new(Asking { exchange, about }));
        self.keep_timeout(now);
    }

    /// Does what is due for the lease.
    pub(crate) fn keep_timeout(&mut self, now: Instant) {
        self.expire(now);
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        if let Upkeep::Asking(asking) = upkeep {
            let ended = now >= asking.exchange.at && asking.exchange.is_over(now);
            if ended && matches!(asking.about, About::Decline { .. }) {
                return self.declined(now);
            }
            if ended || now >= asking.about.gives_way_at(lease) {
                *upkeep = Upkeep::Idle;
            }
        }
        match upkeep {
            Upkeep::Asking(asking) if now >= asking.exchange.at => {
                asking.exchange.step(now, &mut self.rng);
                self.ask(now);
            }
            Upkeep::Asking(_) => {}
            Upkeep::Idle if now >= lease.t2_at => self.begin(About::Rebind, now, now),
            Upkeep::Idle if now >= lease.t1_at => {
                self.begin(About::Renew { early: false }, now, now);
            }
            Upkeep::Idle => {}
        }
    }

    /// Sends the question that is due.
    fn ask(&mut self, now: Instant) {
        let Phase::Leased { lease, upkeep: Upkeep::Asking(asking) } = &self.phase else { return };
        let mut held = Held::of(lease);
        let (kind, server) = match &asking.about {
            About::Renew { .. } => (MessageType::Renew, Some(lease.server.clone())),
            About::Rebind => (MessageType::Rebind, None),
            About::Confirm if lease.prefixes.is_empty() => (MessageType::Confirm, None),
            // A Confirm says nothing of prefixes (RFC 8415 §18.2.12).
            About::Confirm => (MessageType::Rebind, None),
            About::Request { server } => (MessageType::Request, Some(server.clone())),
            About::Decline { addresses } => {
                held = Held { addresses: addresses.clone(), prefixes: Vec::new() };
                (MessageType::Decline, Some(lease.server.clone()))
            }
        };
        let (xid, elapsed) = (asking.exchange.xid, asking.exchange.elapsed(now));
        let server = server.as_deref();
        self.send(&Question { kind, xid, elapsed, server, contents: held.contents() });
    }

    /// Gives up what is over, or all when nothing is left. If there are no addresses any more beside prefixes, or no
    /// prefixes beside addresses, the server is asked for them anew.
    fn expire(&mut self, now: Instant) {
        let Phase::Leased { lease, upkeep } = &mut self.phase else { return };
        if now < lease.next_end() {
            return;
        }
        let rest = lease.clone().at(now);
        if rest.is_empty() {
            self.lose(Loss::Expired);
            self.solicit_soon(now);
        } else {
            let old = Box::new(std::mem::replace(lease, rest));
            // T1 is of what is left, and may be far away.
            let idle = matches!(upkeep, Upkeep::Idle) && now < lease.t1_at;
            let lacks =
                (self.config.address && lease.addresses.is_empty() && !old.addresses.is_empty())
                    || (self.config.prefix.is_some()
                        && lease.prefixes.is_empty()
                        && !old.prefixes.is_empty());
            self.emit(Event::Changed { old });
            if idle && lacks {
                let at = now + first_delay(&mut self.rng);
                self.begin(About::Renew { early: true }, at, now);
            }
        }
    }

    /// Gives the lease up, if there is one, and says why.
    pub(crate) fn lose(&mut self, why: Loss) {
        if let Phase::Leased { lease, .. } = std::mem::replace(&mut self.phase, Phase::Stopped) {
            self.emit(Event::Lost { old: Box::new(lease), why });
        }
    }

    /// A Reply about the lease.
    pub(crate) fn kept(&mut self, answer: &Answer<'_>, now: Instant) -> Result<(), Reason> {
        let Phase::Leased { lease, upkeep: Upkeep::Asking(asking) } = &mut self.phase else {
            return Err(Reason::Unexpected);
        };
        let meant = match &asking.about {
            About::Renew { .. } | About::Decline { .. } => Some(&lease.server),
            About::Request { server } => Some(server),
            About::Rebind | About::Confirm => None,
        };
        if meant.is_some_and(|server| **server != *answer.server) {
            return Err(Reason::OtherServer);
        }
        let (about, asked) = (asking.about.clone(), asking.exchange.asked);
        let confirmed = about == About::Confirm && lease.prefixes.is_empty();
        match about {
            // Whatever it says, it was heard (RFC 8415 §18.2.10.3).
            About::Decline { .. } => {
                self.declined(now);
                Ok(())
            }
            _ if confirmed => self.confirmed(answer, now),
            _ => self.extended(&about, answer, asked, now),
        }
    }

    /// A Reply to Renew, Rebind or Request: the lease goes on, is another, or is lost.
    fn extended(
        &mut self,
        about: &About,
        answer: &Answer<'_>,
        asked: Instant,
        now: Instant,
    ) -> Result<(), Reason> {
        if let Some(refused) = refusal(answer) {
            self.note_refusal(refused.clone());
            // Others are asked again, as if nothing had come.
            if refused.status == StatusCode::NotOnLink {
                self.refused(refused, now);
            }
            return Ok(());
        }
        let grant = Grant::read(answer.options, &self.config, &mut self.progress);
        if !grant.present() {
            return Err(Reason::NoAssociation);
        }
        let Phase::Leased { lease, .. } = &self.phase else { return Err(Reason::Unexpected) };
        let anew = matches!(about, About::Request { .. });
        if grant.no_binding() && !anew {
            return self.bind_anew(grant, answer, asked, now);
        }
        if anew && !grant.gives() {
            let (status, message) = grant.status.unwrap_or((StatusCode::Success, None));
            let server = Duid::new(answer.server).ok_or(Reason::NoServer)?;
            let refused = Refusal { server, status, message };
            self.note_refusal(refused.clone());
            self.refused(refused, now);
            return Ok(());
        }
        if grant.addresses.granted.is_empty() && grant.prefixes.granted.is_empty() {
            // Neither prolonged nor taken back: it is asked again in its time.
            return Err(self.gives_nothing(answer, None, grant));
        }
        // What was not known any more does not go on beside what was given anew.
        let old = lease.clone();
        let mut base = old.clone();
        if anew && grant.addresses.present {
            base.addresses.clear();
        }
        if anew && grant.prefixes.present {
            base.prefixes.clear();
        }
        match grant.into_lease(answer.server, Some(&base), (asked, now), &mut self.rng) {
            Some(new) => {
                let lacks = (self.config.address && new.addresses.is_empty())
                    || (self.config.prefix.is_some() && new.prefixes.is_empty());
                self.go_on(old, new, now);
                // A server need not give anew by Rebind what has ended (RFC 8415 §18.3.5), and is now known by name.
                if *about == About::Rebind && lacks {
                    let at = now + first_delay(&mut self.rng);
                    self.begin(About::Renew { early: true }, at, now);
                }
            }
            None => {
                bump(&mut self.progress.replies);
                self.lose(Loss::Withdrawn);
                self.start_over(now);
            }
        }
        Ok(())
    }

    /// The lease goes on as `new`.
    fn go_on(&mut self, old: Lease, new: Lease, now: Instant) {
        bump(&mut self.progress.replies);
        self.refusals = 0;
        if !old.addresses.is_empty() {
            self.conflicts = 0;
        }
        self.wanted = new.addresses.first().map(|leased| leased.address).or(self.wanted);
        let same = old.same_configuration(&new);
        self.phase = Phase::Leased { lease: new, upkeep: Upkeep::Idle };
        self.emit(if same { Event::Renewed } else { Event::Changed { old: Box::new(old) } });
        self.keep_timeout(now);
    }

    /// The server does not know the lease, or a part of it: it is asked to give it anew (RFC 8415
    /// §18.2.10.1). Until it answers, the lease stays in use.
    fn bind_anew(
        &mut self,
        grant: Grant,
        answer: &Answer<'_>,
        asked: Instant,
        now: Instant,
    ) -> Result<(), Reason> {
        let server = Duid::new(answer.server).ok_or(Reason::NoServer)?;
        let (status, message) = grant.status.clone().unwrap_or((StatusCode::NoBinding, None));
        self.note_refusal(Refusal { server: server.clone(), status, message });
        if grant.gives() {
            // The rest of it is prolonged.
            let Phase::Leased { lease, .. } = &self.phase else { return Err(Reason::Unexpected) };
            let old = lease.clone();
            let new = grant.into_lease(answer.server, Some(&old), (asked, now), &mut self.rng);
            if let Some(new) = new {
                self.go_on(old, new, now);
            }
        }
        self.begin(About::Request { server }, now, now);
        Ok(())
    }

    /// The lease is lost because a server says so.
    pub(crate) fn refused(&mut self, refusal: Refusal, now: Instant) {
        self.lose(Loss::Refused(Box::new(refusal)));
        // What has just been refused is not asked for again.
        self.wanted = self.config.requested_address;
        self.start_over(now);
    }

    /// What was in use by another machine is declined. If no address is left beside the prefixes, the
    /// server is asked for one without waiting for T1.
    fn declined(&mut self, now: Instant) {
        self.rest(now);
        let Phase::Leased { lease, upkeep: Upkeep::Idle } = &self.phase else { return };
        if self.config.address && lease.addresses.is_empty() {
            let early = now < lease.t1_at;
            let delay = after_conflict(self.conflicts, &mut self.rng);
            self.begin(About::Renew { early }, now + delay, now);
        }
    }

    /// Nothing more is asked just now.
    pub(crate) fn rest(&mut self, now: Instant) {
        let Phase::Leased { upkeep, .. } = &mut self.phase else { return };
        *upkeep = Upkeep::Idle;
        self.keep_timeout(now);
    }
}
