//! The states of the client, each with exactly the data it needs.

use std::net::Ipv4Addr;

use fastrand::Rng;

use super::State;
use super::backoff::Backoff;
use super::lease::{Grant, Lease};
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
        /// Whether a lease was asked for at once (RFC 4039), so that an ACK may come.
        rapid: bool,
        /// The first valid offer, while none may be taken.
        offer: Option<Box<Grant>>,
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
        /// The lease of an earlier time, if it is to be used when nobody answers.
        remembered: Option<Box<Remembered>>,
    },
    /// A lease that may be used as soon as the check of its address says so.
    Probing {
        lease: Lease,
        then: Then,
    },
    Leased {
        lease: Lease,
        upkeep: Upkeep,
    },
    Releasing {
        unicast: Unicast,
        resolve: Resolve,
    },
    /// A lease may have been granted at once, in answer to a DISCOVER: its ACK is waited for, to give it back.
    Withdrawing {
        exchange: Exchange,
        until: Instant,
    },
    /// Does without IPv4.
    V6OnlyWait {
        until: Instant,
    },
}

/// A lease that was there before the machine booted.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub(crate) lease: Lease,
    /// Until then an answer is waited for.
    pub(crate) silent_at: Instant,
}

/// What follows when a lease whose address was checked is taken into use.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then {
    /// BOUND.
    Rest,
    /// A renewal: the host name has changed since the server was asked.
    Renew,
    /// The lease is a remembered one, and this question about it has no answer yet.
    Confirm(Exchange),
}

/// What is being done to keep a lease. Boxed, because thousands of leases are idle.
#[derive(Debug)]
pub(crate) enum Upkeep {
    /// BOUND: nothing.
    Idle,
    /// RENEWING: unicast to the server.
    Renewing(Box<Renewing>),
    /// REBINDING: broadcast to any server.
    Rebinding(Box<Rebinding>),
    /// INIT-REBOOT with the lease in use: broadcast to any server.
    Confirming(Box<Confirming>),
}

#[derive(Debug)]
pub(crate) struct Renewing {
    pub(crate) exchange: Exchange,
    /// When to try again.
    pub(crate) retry_at: Instant,
    /// While the server's or the router's MAC is being asked for. The REQUEST follows.
    pub(crate) resolve: Option<Resolve>,
    /// Set for a renewal before T1 that the caller asked for. It is tried a few times; then
    /// the lease waits for T1 as if nothing had been asked.
    pub(crate) early: Option<Retransmission>,
}

#[derive(Debug)]
pub(crate) struct Rebinding {
    pub(crate) exchange: Exchange,
    pub(crate) retry_at: Instant,
}

#[derive(Debug)]
pub(crate) struct Confirming {
    pub(crate) exchange: Exchange,
    pub(crate) timer: Retransmission,
    /// Asks until T1, and not only a few times.
    pub(crate) patient: bool,
}

impl Phase {
    pub(crate) fn state(&self) -> State {
        match self {
            Phase::Stopped => State::Stopped,
            Phase::Init { .. } => State::Init,
            Phase::Selecting { .. } => State::Selecting,
            Phase::Requesting { .. } => State::Requesting,
            Phase::Rebooting { .. } => State::Rebooting,
            Phase::Probing { .. } => State::Probing,
            Phase::Leased { upkeep: Upkeep::Idle, .. } => State::Bound,
            Phase::Leased { upkeep: Upkeep::Renewing(_), .. } => State::Renewing,
            Phase::Leased { upkeep: Upkeep::Rebinding(_), .. } => State::Rebinding,
            Phase::Leased { upkeep: Upkeep::Confirming(_), .. } => State::Confirming,
            Phase::Releasing { .. } | Phase::Withdrawing { .. } => State::Releasing,
            Phase::V6OnlyWait { .. } => State::V6OnlyWait,
        }
    }

    /// When something is due, by the phase alone: PROBING waits for the check.
    pub(crate) fn deadline(&self) -> Instant {
        match self {
            Phase::Stopped | Phase::Probing { .. } => Instant::NEVER,
            Phase::Init { until, .. }
            | Phase::Withdrawing { until, .. }
            | Phase::V6OnlyWait { until } => *until,
            Phase::Selecting { timer, .. } | Phase::Requesting { timer, .. } => timer.at,
            Phase::Rebooting { timer, remembered, .. } => match remembered {
                Some(remembered) => timer.at.min(remembered.silent_at),
                None => timer.at,
            },
            Phase::Leased { lease, upkeep } => upkeep.deadline(lease),
            Phase::Releasing { resolve, .. } => resolve.again_at,
        }
    }

    /// The exchange whose answer is waited for.
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        match self {
            Phase::Selecting { exchange, .. }
            | Phase::Requesting { exchange, .. }
            | Phase::Withdrawing { exchange, .. } => Some(exchange),
            // Before its time has come nothing was asked.
            Phase::Rebooting { exchange, timer, .. } => (timer.sent > 0).then_some(exchange),
            Phase::Probing { then, .. } => match then {
                Then::Confirm(exchange) => Some(exchange),
                Then::Rest | Then::Renew => None,
            },
            Phase::Leased { upkeep, .. } => match upkeep {
                Upkeep::Idle => None,
                Upkeep::Renewing(renewing) => Some(&renewing.exchange),
                Upkeep::Rebinding(rebinding) => Some(&rebinding.exchange),
                Upkeep::Confirming(confirming) => {
                    (confirming.timer.sent > 0).then_some(&confirming.exchange)
                }
            },
            Phase::Stopped
            | Phase::Init { .. }
            | Phase::Releasing { .. }
            | Phase::V6OnlyWait { .. } => None,
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
            Phase::Leased { upkeep: Upkeep::Renewing(renewing), .. } => renewing.resolve.as_ref(),
            Phase::Releasing { resolve, .. } => Some(resolve),
            _ => None,
        }
    }
}

impl Upkeep {
    fn deadline(&self, lease: &Lease) -> Instant {
        match self {
            Upkeep::Idle => lease.renew_at,
            Upkeep::Renewing(renewing) => {
                let Renewing { retry_at, resolve, early, .. } = renewing.as_ref();
                let resolve_at = resolve.as_ref().map_or(Instant::NEVER, |r| r.again_at);
                let regular_at = if early.is_some() { lease.renew_at } else { Instant::NEVER };
                (*retry_at).min(resolve_at).min(regular_at).min(lease.rebind_at)
            }
            Upkeep::Rebinding(rebinding) => rebinding.retry_at.min(lease.expires_at),
            Upkeep::Confirming(confirming) => {
                let end = if confirming.patient { lease.renew_at } else { lease.expires_at };
                confirming.timer.at.min(end)
            }
        }
    }
}
