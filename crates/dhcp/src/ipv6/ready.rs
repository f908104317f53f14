//! When the first answer stands.

use std::time::Duration;

use super::client::{Client, Phase};
use super::{Config, Event, Mode};
use crate::Instant;

/// How much longer than [`Config::patience`](super::Config::patience) an exchange with a server
/// may take that somebody has begun to answer, or that a router promised an answer of.
const EXCHANGE: Duration = Duration::from_secs(2);
/// How long what is not needed for a connection, a second address or DNS, is waited for.
const GRACE: Duration = Duration::from_millis(300);

/// Somebody waits for the first answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// Since when.
    pub(crate) began: Instant,
    /// When a router was heard first.
    pub(crate) heard_at: Option<Instant>,
}

/// What was promised and is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Nothing,
    /// Any address at all.
    Address,
    /// What a server says without a lease.
    Information,
    /// A lease.
    Lease,
}

impl Waiting {
    /// When a server is asked unbidden.
    pub(crate) fn ask_at(&self, config: &Config) -> Instant {
        self.began + config.routers_first()
    }
}

impl Client {
    /// Whether the first answer stands at `now`, and if so, says it.
    pub(crate) fn settle_start(&mut self, now: Instant) {
        let Phase::Starting(waiting) = self.phase else { return };
        if self.ready_at(&waiting) > now {
            return;
        }
        if !self.host.is_heard()
            && let Some(remembered) = self.remembered.take()
        {
            self.host.recall(remembered.learned, now);
            self.information = self.information.take().or(remembered.information.map(Box::new));
        }
        self.remembered = None;
        self.host.rest();
        self.phase = Phase::Told;
        *self.told = self.assemble();
        self.was_told(now);
        self.emit(Event::Ready);
    }

    /// When the first answer stands, as far as it is known now.
    pub(crate) fn ready_at(&self, waiting: &Waiting) -> Instant {
        if self.host.link_local().is_none() {
            return Instant::BOOT;
        }
        let patience = waiting.began + self.config.patience;
        let Some(heard_at) = waiting.heard_at else {
            // Nothing is promised; but who has begun to answer is not cut short.
            let answering = self.missing() == Missing::Lease && self.is_answering();
            return if answering { patience + EXCHANGE } else { patience };
        };
        let addressed = self.host.learned().made().next().is_some();
        match self.missing() {
            Missing::Nothing => Instant::BOOT,
            Missing::Address => patience,
            Missing::Information => heard_at + GRACE,
            Missing::Lease if addressed => heard_at + GRACE,
            Missing::Lease if self.host.learned().managed || self.is_answering() => {
                patience + EXCHANGE
            }
            Missing::Lease => patience,
        }
    }

    fn missing(&self) -> Missing {
        let learned = self.host.learned();
        let server = self.server.as_deref();
        let leased = server.is_some_and(|server| server.lease().is_some());
        let refused = server.is_some_and(|server| server.progress().refusals > 0);
        let addressed = leased || learned.made().next().is_some();
        if self.wants_lease() && !leased && !refused {
            Missing::Lease
        } else if !addressed {
            Missing::Address
        } else if self.config.mode != Mode::Dhcp
            && learned.other
            && !leased
            && learned.dns.is_empty()
            && self.information().is_none()
        {
            Missing::Information
        } else {
            Missing::Nothing
        }
    }

    /// Whether a server has said something, or is asked about a lease that it gave.
    fn is_answering(&self) -> bool {
        use crate::v6::State;
        self.server.as_ref().is_some_and(|server| {
            server.progress().advertises > 0
                || matches!(server.state(), State::Requesting | State::Rebooting)
        })
    }
}
