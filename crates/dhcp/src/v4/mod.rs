//! The DHCPv4 client (RFC 2131).
//!
//! | file | its job |
//! |---|---|
//! | [`client`](Client) | commands, what comes in, what goes out |
//! | `phase` | the states, each with exactly the data it needs |
//! | `acquire` | INIT, SELECTING, REQUESTING, REBOOTING |
//! | `keep` | BOUND, RENEWING, REBINDING, expiry |
//! | `release` | RELEASING |
//! | `lease` | what an ACK grants: address, times, routes |
//! | `reply` | is this message for us, and can it be trusted: one place that says no |
//! | `request` | which option goes into which message (RFC 2131 table 5) |
//! | `backoff` | when the next transmission is due (§4.1, §4.4.5) |
//! | `next_hop` | whose MAC a unicast goes to |
//! | `arp` | announcing an address and holding its place |
//! | `progress` | counters for error messages |
//!
//! # Choices within the RFC
//!
//! - **The first valid OFFER wins.** A container that starts waits for nothing else; where two
//!   servers answer, both are trusted (an unmanaged LAN cannot tell a rogue one anyway).
//! - **Eager start**: until the first lease DISCOVERs go out at 0, 1, 3 and 7 s and not at 0, 4 and
//!   12 s, because somebody waits with a time-out of some seconds. It is the only departure from
//!   §4.1's times.
//! - **A lease time of zero** (or none) is no lease: OFFERs and ACKs of that kind are ignored and
//!   counted. In a renewal the lease that is held runs on to its own end.
//! - **Short leases**: §4.4.5 waits at least 60 s between two attempts to renew, so that a lease of
//!   two minutes would hang on a single packet. Below 20 minutes the floor is a twentieth of the
//!   lease (at least 1 s).
//! - **NAK**: the first leads to a DISCOVER at once, further ones in a row after 1, 2, 4 … 64 s.

mod acquire;
mod arp;
mod backoff;
mod client;
mod keep;
mod lease;
mod next_hop;
mod phase;
mod progress;
mod release;
mod reply;
mod request;

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use wire::MacAddr;

pub use client::Client;
pub use lease::{Lease, Route};
pub use progress::{Ignored, Offered, Progress, Refusal};

/// Who a client is and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `chaddr` and the Ethernet source of every frame.
    pub mac: MacAddr,
    /// The host name for option 12; an empty one counts as none.
    pub host_name: Option<Box<str>>,
    /// The content of option 61: a type octet and the identifier (RFC 2132 §9.14). `None` stands
    /// for hardware type 1 and the MAC, which is what BusyBox `udhcpc` sends.
    pub client_id: Option<Box<[u8]>>,
    /// The vendor class (option 60); shared, because every client of a network has the same.
    pub vendor_class: Option<Arc<str>>,
    /// The address to ask for in DISCOVER (option 50). The server is free to offer another.
    pub requested_address: Option<Ipv4Addr>,
    /// Whether to ask for broadcast replies as long as the address is not configured (RFC 2131
    /// §4.1): needed where a unicast to the MAC does not come through.
    pub broadcast: bool,
}

impl Config {
    /// A client that is known by its MAC alone.
    pub fn new(mac: MacAddr) -> Config {
        Config {
            mac,
            host_name: None,
            client_id: None,
            vendor_class: None,
            requested_address: None,
            broadcast: false,
        }
    }
}

/// What became of the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// There is a lease where there was none: configure it.
    Bound,
    /// The same lease with new times.
    Renewed,
    /// The lease goes on with another address or other options: configure the difference.
    Changed {
        /// What was valid until now.
        old: Box<Lease>,
    },
    /// The address must not be used any longer. The client goes on from INIT by itself.
    Lost {
        /// What was valid until now.
        old: Box<Lease>,
        /// Why it is not any more.
        why: Loss,
    },
    /// The answer to [`Client::release`]: nothing more is to come, and what had to be sent has been
    /// handed out.
    Released,
}

/// Why a lease ended before its time, or at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The server refused to prolong it.
    Nak {
        /// The server identifier (option 54).
        server: Ipv4Addr,
        /// The server's reason (option 56).
        message: Option<Box<str>>,
    },
    /// No server prolonged it in time.
    Expired,
}

/// The client's state, by RFC 2131 figure 5 where it has a name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Does nothing: before [`Client::start`], after [`Client::release`].
    Stopped,
    /// Waits before it asks again, after NAKs in a row.
    Init,
    /// Sent DHCPDISCOVER, waits for an offer.
    Selecting,
    /// Sent DHCPREQUEST for an offer, waits for the DHCPACK.
    Requesting,
    /// Has a lease and nothing to do.
    Bound,
    /// Asks the server of the lease to prolong it (T1).
    Renewing,
    /// Asks any server to prolong the lease (T2).
    Rebinding,
    /// Asks whether an address of an earlier time is still right (INIT-REBOOT).
    Rebooting,
    /// Looks for the way to the server, to send the DHCPRELEASE.
    Releasing,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Stopped => "STOPPED",
            State::Init => "INIT",
            State::Selecting => "SELECTING",
            State::Requesting => "REQUESTING",
            State::Bound => "BOUND",
            State::Renewing => "RENEWING",
            State::Rebinding => "REBINDING",
            State::Rebooting => "REBOOTING",
            State::Releasing => "RELEASING",
        })
    }
}

/// What the socket must pass to the client just now. Nothing for an idle client in BOUND.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listening {
    /// UDP datagrams to port 68 whose `chaddr` is the client's MAC.
    pub dhcp: bool,
    /// ARP requests for the leased address, and ARP replies to the client's MAC.
    pub arp: bool,
}
