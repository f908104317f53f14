//! The states of the client, each with exactly the data it needs.

use std::net::Ipv6Addr;

use wire::dhcp6::Duid;

use super::State;
use super::exchange::Exchange;
use super::lease::Lease;
use super::request::Held;
use crate::Instant;

/// Where the client stands. What is not idle is boxed, because thousands of clients are.
#[derive(Debug)]
pub(crate) enum Phase {
    Stopped,
    /// Waits before it solicits.
    Init {
        until: Instant,
    },
    Soliciting(Box<Soliciting>),
    Requesting(Box<Requesting>),
    Rebooting(Box<Rebooting>),
    Leased {
        lease: Lease,
        upkeep: Upkeep,
    },
    /// Nothing is left but what is declined.
    Declining(Box<Parting>),
    Releasing(Box<Parting>),
    /// A lease may have been granted at once, in answer to a Solicit: its Reply is waited for, to give it back.
    Withdrawing(Box<Exchange>),
    /// Asks for information without leases.
    Informing(Box<Exchange>),
    /// Has it, or waits for the time to ask.
    Informed {
        refresh_at: Instant,
    },
}

#[derive(Debug)]
pub(crate) struct Soliciting {
    pub(crate) exchange: Exchange,
    /// The best of what was advertised while all servers are given time.
    pub(crate) best: Option<Offer>,
}

/// What an Advertise offers.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) server: Duid,
    /// More is better: the server's preference, then how much it gives of what is asked for.
    pub(crate) rank: (u8, u8),
    pub(crate) held: Held,
}

#[derive(Debug)]
pub(crate) struct Requesting {
    pub(crate) exchange: Exchange,
    pub(crate) offer: Offer,
}

/// A lease that was there before the machine booted, and is not in use yet.
#[derive(Debug)]
pub(crate) struct Rebooting {
    pub(crate) exchange: Exchange,
    pub(crate) lease: Lease,
    /// From then on it is used without an answer.
    pub(crate) silent_at: Instant,
}

/// What is given back to its server, or refused.
#[derive(Debug)]
pub(crate) struct Parting {
    pub(crate) exchange: Exchange,
    pub(crate) server: Duid,
    pub(crate) held: Held,
}

/// What is being done to keep a lease.
#[derive(Debug)]
pub(crate) enum Upkeep {
    Idle,
    Asking(Box<Asking>),
}

#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) exchange: Exchange,
    pub(crate) about: About,
}

/// What a client with a lease asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    /// Prolong it: the server of the lease. `early`: before T1, because the caller wants it.
    Renew { early: bool },
    /// Prolong it: any server.
    Rebind,
    /// Is it still right for this link? A Rebind if there are prefixes in it.
    Confirm,
    /// Give it anew: this server, which does not know it any more.
    Request { server: Duid },
    /// These addresses, which were of it, are in use.
    Decline { addresses: Vec<Ipv6Addr> },
}

impl Phase {
    pub(crate) fn state(&self) -> State {
        match self {
            Phase::Stopped => State::Stopped,
            Phase::Init { .. } => State::Init,
            Phase::Soliciting(_) => State::Soliciting,
            Phase::Requesting(_) => State::Requesting,
            Phase::Rebooting(_) => State::Rebooting,
            Phase::Leased { upkeep: Upkeep::Idle, .. } => State::Bound,
            Phase::Leased { upkeep: Upkeep::Asking(asking), .. } => match asking.about {
                About::Renew { .. } | About::Request { .. } => State::Renewing,
                About::Rebind => State::Rebinding,
                About::Confirm => State::Confirming,
                About::Decline { .. } => State::Bound,
            },
            Phase::Declining(_) => State::Declining,
            Phase::Releasing(_) | Phase::Withdrawing(_) => State::Releasing,
            Phase::Informing(_) => State::Informing,
            Phase::Informed { .. } => State::Informed,
        }
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Instant {
        match self {
            Phase::Stopped => Instant::NEVER,
            Phase::Init { until } => *until,
            Phase::Rebooting(rebooting) => rebooting.exchange.at.min(rebooting.silent_at),
            Phase::Leased { lease, upkeep } => upkeep.deadline(lease).min(lease.next_end()),
            Phase::Informed { refresh_at } => *refresh_at,
            other => other.exchange().map_or(Instant::NEVER, |exchange| exchange.at),
        }
    }

    /// The exchange that is under way or about to begin.
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        match self {
            Phase::Soliciting(soliciting) => Some(&soliciting.exchange),
            Phase::Requesting(requesting) => Some(&requesting.exchange),
            Phase::Rebooting(rebooting) => Some(&rebooting.exchange),
            Phase::Declining(parting) | Phase::Releasing(parting) => Some(&parting.exchange),
            Phase::Leased { upkeep: Upkeep::Asking(asking), .. } => Some(&asking.exchange),
            Phase::Withdrawing(exchange) | Phase::Informing(exchange) => Some(exchange),
            Phase::Stopped
            | Phase::Init { .. }
            | Phase::Leased { upkeep: Upkeep::Idle, .. }
            | Phase::Informed { .. } => None,
        }
    }

    /// The exchange whose answer is waited for: before its time has come nothing was asked.
    pub(crate) fn asked(&self) -> Option<&Exchange> {
        self.exchange().filter(|exchange| exchange.sent > 0)
    }

    /// Whether what is being asked has an option request: Confirm, Decline and Release have none.
    pub(crate) fn asks_for_options(&self) -> bool {
        match self {
            Phase::Soliciting(_) | Phase::Requesting(_) | Phase::Informing(_) => true,
            Phase::Rebooting(rebooting) => !rebooting.lease.prefixes.is_empty(),
            Phase::Leased { lease, upkeep: Upkeep::Asking(asking) } => match asking.about {
                About::Confirm => !lease.prefixes.is_empty(),
                About::Decline { .. } => false,
                About::Renew { .. } | About::Rebind | About::Request { .. } => true,
            },
            _ => false,
        }
    }

    pub(crate) fn lease(&self) -> Option<&Lease> {
        match self {
            Phase::Leased { lease, .. } => Some(lease),
            _ => None,
        }
    }
}

impl Upkeep {
    fn deadline(&self, lease: &Lease) -> Instant {
        match self {
            Upkeep::Idle => lease.t1_at.min(lease.t2_at),
            Upkeep::Asking(asking) => asking.exchange.at.min(asking.about.gives_way_at(lease)),
        }
    }
}

impl About {
    /// When something more urgent takes its place.
    pub(crate) fn gives_way_at(&self, lease: &Lease) -> Instant {
        match self {
            About::Renew { early: true } => lease.t1_at.min(lease.t2_at),
            About::Renew { early: false } => lease.t2_at,
            // These last seconds, or until there is nothing left.
            About::Rebind | About::Confirm | About::Request { .. } | About::Decline { .. } => {
                Instant::NEVER
            }
        }
    }
}
