//! The states of the client, each with exactly the data it needs.

use std::net::Ipv4Addr;

use fastrand::Rng;

use super::State;
use super::backoff::Backoff;
use super::lease::Lease;
use super::next_hop::{Resolve, Unicast};
use crate::Instant;

/// One request and its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    /// The transaction: an answer with another one is not ours.
    pub(crate) xid: u32,
    /// When the acquisition or renewal began; `secs` counts from here.
    pub(crate) began: Instant,
    /// When the REQUEST was sent that is waiting for its ACK. A lease counts from here.
    pub(crate) asked: Instant,
}

impl Exchange {
    pub(crate) fn new(rng: &mut Rng, began: Instant, now: Instant) -> Exchange {
        Exchange { xid: rng.u32(..), began, asked: now }
    }

    /// The header field `secs`.
    pub(crate) fn secs(&self, now: Instant) -> u16 {
        u16::try_from(now.saturating_since(self.began).as_secs()).unwrap_or(u16::MAX)
    }
}

/// Transmissions of one message until something answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retransmission {
    pub(crate) backoff: Backoff,
    /// When the next one is due.
    pub(crate) at: Instant,
    /// How many there were.
    pub(crate) sent: u8,
}

impl Retransmission {
    /// With the first transmission due at once.
    pub(crate) fn new(backoff: Backoff, now: Instant) -> Retransmission {
        Retransmission { backoff, at: now, sent: 0 }
    }

    /// Counts a transmission and sets the time of the next.
    pub(crate) fn step(&mut self, now: Instant, rng: &mut Rng) {
        self.at = now + self.backoff.step(rng);
        self.sent = self.sent.saturating_add(1);
    }
}

/// Where the client stands.
#[derive(Debug)]
pub(crate) enum Phase {
    Stopped,
    /// Waits before DISCOVER.
    Init {
        until: Instant,
        /// Since when it has been looking for a lease.
        began: Instant,
    },
    Selecting {
        exchange: Exchange,
        timer: Retransmission,
        /// `secs` of the last DISCOVER, which the REQUEST must repeat (RFC 2131 §4.4.1).
        secs: u16,
    },
    Requesting {
        exchange: Exchange,
        timer: Retransmission,
        secs: u16,
        offer: Unicast,
    },
    Rebooting {
        exchange: Exchange,
        timer: Retransmission,
        address: Ipv4Addr,
    },
    Leased {
        lease: Lease,
        upkeep: Upkeep,
    },
    Releasing {
        unicast: Unicast,
        resolve: Resolve,
    },
}

/// What is being done to keep a lease.
#[derive(Debug)]
pub(crate) enum Upkeep {
    /// BOUND: nothing.
    Idle,
    /// RENEWING: unicast to the server.
    Renewing {
        exchange: Exchange,
        /// When to try again.
        retry_at: Instant,
        /// While the server's or the router's MAC is being asked for. The REQUEST follows.
        resolve: Option<Resolve>,
        /// Set for a renewal before T1 that the caller asked for. It is tried a few times; then
        /// the lease waits for T1 as if nothing had been asked.
        early: Option<Retransmission>,
    },
    /// REBINDING: broadcast to any server.
    Rebinding { exchange: Exchange, retry_at: Instant },
}

impl Phase {
    pub(crate) fn state(&self) -> State {
        match self {
            Phase::Stopped => State::Stopped,
            Phase::Init { .. } => State::Init,
            Phase::Selecting { .. } => State::Selecting,
            Phase::Requesting { .. } => State::Requesting,
            Phase::Rebooting { .. } => State::Rebooting,
            Phase::Leased { upkeep: Upkeep::Idle, .. } => State::Bound,
            Phase::Leased { upkeep: Upkeep::Renewing { .. }, .. } => State::Renewing,
            Phase::Leased { upkeep: Upkeep::Rebinding { .. }, .. } => State::Rebinding,
            Phase::Releasing { .. } => State::Releasing,
        }
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let at = match self {
            Phase::Stopped => return None,
            Phase::Init { until, .. } => *until,
            Phase::Selecting { timer, .. }
            | Phase::Requesting { timer, .. }
            | Phase::Rebooting { timer, .. } => timer.at,
            Phase::Leased { lease, upkeep } => upkeep.deadline(lease),
            Phase::Releasing { resolve, .. } => resolve.again_at,
        };
        (at != Instant::NEVER).then_some(at)
    }

    /// The exchange whose answer is waited for.
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        match self {
            Phase::Selecting { exchange, .. }
            | Phase::Requesting { exchange, .. }
            | Phase::Rebooting { exchange, .. }
            | Phase::Leased {
                upkeep: Upkeep::Renewing { exchange, .. } | Upkeep::Rebinding { exchange, .. },
                ..
            } => Some(exchange),
            Phase::Stopped
            | Phase::Init { .. }
            | Phase::Leased { upkeep: Upkeep::Idle, .. }
            | Phase::Releasing { .. } => None,
        }
    }

    pub(crate) fn lease(&self) -> Option<&Lease> {
        match self {
            Phase::Leased { lease, .. } => Some(lease),
            _ => None,
        }
    }

    /// The ARP exchange for the next hop of a unicast, while there is one.
    pub(crate) fn resolve(&self) -> Option<&Resolve> {
        match self {
            Phase::Leased { upkeep: Upkeep::Renewing { resolve, .. }, .. } => resolve.as_ref(),
            Phase::Releasing { resolve, .. } => Some(resolve),
            _ => None,
        }
    }
}

impl Upkeep {
    fn deadline(&self, lease: &Lease) -> Instant {
        match self {
            Upkeep::Idle => lease.renew_at,
            Upkeep::Renewing { retry_at, resolve, early, .. } => {
                let resolve_at = resolve.as_ref().map_or(Instant::NEVER, |r| r.again_at);
                let regular_at = if early.is_some() { lease.renew_at } else { Instant::NEVER };
                (*retry_at).min(resolve_at).min(regular_at).min(lease.rebind_at)
            }
            Upkeep::Rebinding { retry_at, .. } => (*retry_at).min(lease.expires_at),
        }
    }
}
