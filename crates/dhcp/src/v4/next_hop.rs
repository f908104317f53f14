//! Whose MAC a unicast goes to.
//!
//! The client has no neighbour table: its address is, or will be, in a container, and what it asks
//! is asked on the segment. So it asks by itself, with the container's MAC and the leased address as
//! the sender, and learns from the answer what is true at that moment. Nothing is kept: a relay's
//! backup or a replaced card has another MAC next time.

use std::net::Ipv4Addr;
use std::time::Duration;

use wire::MacAddr;
use wire::arp::Arp;

use super::lease::Lease;
use crate::Instant;

/// ARP requests before the next hop counts as unreachable.
const TRIES: u8 = 3;
/// Time between two of them; RFC 1122 §2.3.2.1 allows one a second.
const INTERVAL: Duration = Duration::from_secs(1);

/// Both ends of a unicast to a server, and the way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unicast {
    /// The client's address, which is the IP source.
    pub(crate) address: Ipv4Addr,
    /// The server identifier, which is the IP destination.
    pub(crate) server: Ipv4Addr,
    /// The MAC if it is known from the server's own frame.
    pub(crate) next_hop: Option<MacAddr>,
    /// Whom to ask for it otherwise.
    pub(crate) hop: Ipv4Addr,
}

impl Unicast {
    /// From the holder of a lease to its server.
    pub(crate) fn of(lease: &Lease) -> Unicast {
        Unicast {
            address: lease.address,
            server: lease.server,
            next_hop: lease.next_hop,
            hop: lease.hop_to_server(),
        }
    }
}

/// An ARP exchange under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolve {
    /// Whose MAC is asked for.
    pub(crate) target: Ipv4Addr,
    /// When to ask again, or to give up.
    pub(crate) again_at: Instant,
    sent: u8,
}

impl Resolve {
    /// With the first request due at once.
    pub(crate) fn new(target: Ipv4Addr, now: Instant) -> Resolve {
        Resolve { target, again_at: now, sent: 0 }
    }

    /// Counts a request that is due: `false` when there were enough without an answer.
    pub(crate) fn step(&mut self, now: Instant) -> bool {
        if self.sent == TRIES {
            return false;
        }
        self.sent += 1;
        self.again_at = now + INTERVAL;
        true
    }

    /// The MAC, if `arp` tells it. Requests tell the sender's MAC as well as replies (RFC 826).
    pub(crate) fn answer(&self, arp: &Arp) -> Option<MacAddr> {
        (arp.sender_ip == self.target && arp.sender_mac.is_unicast()).then_some(arp.sender_mac)
    }
}
