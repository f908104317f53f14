//! From nothing to a lease: Solicit, Advertise, Request, Reply (RFC 8415 §18.2.1, §18.2.2).

use std::net::Ipv6Addr;
use std::time::Duration;

use wire::dhcp6::{Duid, MessageType, StatusCode};

use super::Event;
use super::client::{Client, refusal};
use super::exchange::{Exchange, Pace, after_refusal, first_delay};
use super::grant::Grant;
use super::lease::Lease;
use super::phase::{Offer, Phase, Requesting, Soliciting, Upkeep};
use super::progress::{Offered, Reason, Refusal, bump};
use super::reply::Answer;
use super::request::{Contents, Held, Question};
use crate::Instant;

/// The preference of a server that is to be taken at once (RFC 8415 §18.2.1).
const AT_ONCE: u8 = 255;
/// Solicits in a row that nobody has answered, at 0, 1, 3, 7, … 255 s, when the next one is due.
const IN_VAIN: u8 = 9;
/// While somebody waits, who offers a part of what is asked for is taken after this, if nobody has
/// offered all of it.
const PART_KEPT: Duration = Duration::from_millis(300);

impl Client {
    /// Forgets what was and asks for offers, first at `at`.
    pub(crate) fn solicit(&mut self, at: Instant, now: Instant) {
        let exchange = Exchange::new(&mut self.rng, Pace::solicit(self.sol_max_rt), at);
        self.phase = Phase::Soliciting(Box::new(Soliciting { exchange, best: None }));
        self.acquire_timeout(now);
    }

    /// Solicit, when nobody waits for it: within the next second (SOL_MAX_DELAY).
    pub(crate) fn solicit_soon(&mut self, now: Instant) {
        let at = now + first_delay(&mut self.rng);
        self.solicit(at, now);
    }

    /// Solicit after an exchange that brought nothing: at once the first time, then ever later.
    pub(crate) fn start_over(&mut self, now: Instant) {
        bump(&mut self.refusals);
        let delay = after_refusal(self.refusals, &mut self.rng);
        if delay.is_zero() {
            self.solicit(now, now);
        } else {
            self.phase = Phase::Init { until: now + delay };
        }
    }

    /// Whether nobody has answered Solicits for about nine minutes. What is not needed any more ends
    /// here and no sooner: routers may say one thing and then the other, ten times in a second, and each
    /// beginning is quick.
    pub(crate) fn asks_in_vain(&self) -> bool {
        matches!(&self.phase, Phase::Soliciting(soliciting) if soliciting.exchange.sent > IN_VAIN)
    }

    /// Sends what is due, or gives up.
    pub(crate) fn acquire_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Init { until } if now >= *until => self.solicit(now, now),
            Phase::Soliciting(soliciting) if now >= soliciting.exchange.at => {
                if let Some(best) = soliciting.best.take() {
                    return self.request(best, now);
                }
                soliciting.exchange.step(now, &mut self.rng);
                let exchange = soliciting.exchange;
                let wanted: Option<Ipv6Addr> = self.wanted.filter(|_| self.config.address);
                let hint = self.config.prefix.filter(|length| (1..=128).contains(length));
                let hint = hint.map(|length| (Ipv6Addr::UNSPECIFIED, length));
                self.send(&Question {
                    kind: MessageType::Solicit,
                    xid: exchange.xid,
                    elapsed: exchange.elapsed(now),
                    server: None,
                    contents: Contents { addresses: wanted.as_slice(), prefixes: hint.as_slice() },
                });
            }
            Phase::Requesting(requesting) if now >= requesting.exchange.at => {
                if requesting.exchange.is_over(now) {
                    self.eager = false;
                    return self.solicit(now, now);
                }
                requesting.exchange.step(now, &mut self.rng);
                let Requesting { exchange, offer } = requesting.as_ref();
                let (exchange, offer) = (*exchange, offer.clone());
                self.send(&Question {
                    kind: MessageType::Request,
                    xid: exchange.xid,
                    elapsed: exchange.elapsed(now),
                    server: Some(&offer.server),
                    contents: offer.held.contents(),
                });
            }
            _ => {}
        }
    }

    /// An Advertise. While somebody waits the first that gives all that is asked for is taken; else,
    /// for the time of the first wait, the best one.
    pub(crate) fn advertised(&mut self, answer: &Answer<'_>, now: Instant) -> Result<(), Reason> {
        let grant = Grant::read(answer.options, &self.config, &mut self.progress);
        let refused = refusal(answer);
        if refused.is_some() || !grant.gives() {
            // RFC 8415 §18.2.9: as if it had not come, but for the words in it.
            return Err(self.gives_nothing(answer, refused, grant));
        }
        let server = Duid::new(answer.server).ok_or(Reason::NoServer)?;
        let held = grant.held();
        bump(&mut self.progress.advertises);
        self.progress.last_offer = Some(Box::new(Offered {
            server: server.clone(),
            source: answer.source,
            address: held.addresses.first().copied(),
            prefix: held.prefixes.first().copied(),
        }));
        let preference = answer.options.preference();
        let offer = Offer { server, rank: (preference, grant.completeness()), held };
        let Phase::Soliciting(soliciting) = &mut self.phase else {
            return Err(Reason::Unexpected);
        };
        let asked = u8::from(self.config.address) + u8::from(self.config.prefix.is_some());
        let complete = offer.rank.1 == asked;
        let exchange = &mut soliciting.exchange;
        if (self.eager && complete) || preference == AT_ONCE || exchange.sent > 1 {
            self.request(offer, now);
            return Ok(());
        }
        if self.eager {
            exchange.at = exchange.at.min(now + PART_KEPT);
        }
        if soliciting.best.as_ref().is_none_or(|best| offer.rank > best.rank) {
            soliciting.best = Some(offer);
        }
        Ok(())
    }

    fn request(&mut self, offer: Offer, now: Instant) {
        let exchange = Exchange::new(&mut self.rng, Pace::request(self.eager), now);
        self.phase = Phase::Requesting(Box::new(Requesting { exchange, offer }));
        self.acquire_timeout(now);
    }

    /// A Reply to a Request, or to a Solicit with Rapid Commit.
    pub(crate) fn granted(&mut self, answer: &Answer<'_>, now: Instant) -> Result<(), Reason> {
        let asked = match &self.phase {
            Phase::Soliciting(_)
                if !(self.config.rapid_commit && answer.options.rapid_commit()) =>
            {
                return Err(Reason::Unexpected);
            }
            Phase::Requesting(requesting) if *requesting.offer.server != *answer.server => {
                return Err(Reason::OtherServer);
            }
            phase => phase.asked().ok_or(Reason::Unexpected)?.asked,
        };
        let solicited = matches!(self.phase, Phase::Soliciting(_));
        let grant = Grant::read(answer.options, &self.config, &mut self.progress);
        if let Some(refused) = refusal(answer) {
            let status = refused.status;
            self.note_refusal(refused);
            if !solicited && status == StatusCode::NotOnLink {
                // RFC 8415 §18.2.10.1: not with these addresses.
                self.wanted = None;
                self.start_over(now);
            }
            // Else it is asked again, as if nothing had come, for as long as the pace allows.
            return Ok(());
        }
        if !grant.gives() {
            let reason = self.gives_nothing(answer, None, grant);
            if !solicited {
                self.wanted = None;
                self.start_over(now);
            }
            return Err(reason);
        }
        let lease = grant.into_lease(answer.server, None, (asked, now), &mut self.rng);
        match lease {
            Some(lease) => self.bind(lease, now),
            // Over on arrival.
            None => self.start_over(now),
        }
        Ok(())
    }

    /// A lease is in use from now on, where there was none.
    pub(crate) fn bind(&mut self, lease: Lease, now: Instant) {
        bump(&mut self.progress.replies);
        self.take_into_use(lease, now);
    }

    /// The same, for whatever reason.
    pub(crate) fn take_into_use(&mut self, lease: Lease, now: Instant) {
        self.eager = false;
        self.refusals = 0;
        self.wanted = lease.addresses.first().map(|leased| leased.address).or(self.wanted);
        self.phase = Phase::Leased { lease, upkeep: Upkeep::Idle };
        self.emit(Event::Bound);
        self.keep_timeout(now);
    }

    /// Notes what a server says that gives nothing.
    pub(crate) fn gives_nothing(
        &mut self,
        answer: &Answer<'_>,
        refused: Option<Refusal>,
        grant: Grant,
    ) -> Reason {
        let present = grant.present();
        let refused = refused.or_else(|| {
            let (status, message) =
                grant.status.or(present.then_some((StatusCode::Success, None)))?;
            Some(Refusal { server: Duid::new(answer.server)?, status, message })
        });
        match refused {
            Some(refused) => {
                self.note_refusal(refused);
                Reason::Refused
            }
            None => Reason::NoAssociation,
        }
    }
}

impl Grant {
    /// What is to be asked for, of what is offered; or given back, of what is granted.
    pub(crate) fn held(&self) -> Held {
        let addresses = self.addresses.granted.iter().map(|granted| granted.address).collect();
        let prefixes = self.prefixes.granted.iter();
        Held { addresses, prefixes: prefixes.map(|one| (one.address, one.length)).collect() }
    }
}
