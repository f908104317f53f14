//! The DHCPv6 client (RFC 8415).
//!
//! It works on the payloads of UDP datagrams: what frames them, and what answers neighbour
//! discovery for the endpoint's link-local address, is somebody else's.
//!
//! | file | its job |
//! |---|---|
//! | [`client`](Client) | commands, what comes in, what goes out |
//! | `phase` | the states, each with exactly the data it needs |
//! | `exchange` | when the next transmission is due (§15) |
//! | `acquire` | Solicit, Request |
//! | `keep` | Renew, Rebind, the end of a lease |
//! | `confirm` | Confirm, and Rebind in its place |
//! | `release` | Release, Decline |
//! | `inform` | Information-request |
//! | `register` | ADDR-REG-INFORM (RFC 9686) |
//! | `lease` | what a Reply grants: addresses, prefixes, times |
//! | `grant` | what an association of a message holds, checked |
//! | `reply` | is this message for us, and can it be trusted: one place that says no (§16) |
//! | `request` | which option goes into which message |
//! | `progress` | counters for error messages |
//!
//! It is driven as the [crate's documentation](crate) says, with
//! [`handle_message`](Client::handle_message) in the place of `handle_frame`.
//!
//! # Choices within the RFC
//!
//! - **Eager start**: while somebody waits for the first lease the first Solicit goes at once, and not
//!   within a second (SOL_MAX_DELAY), the first Advertise that gives all that is asked for is taken (the
//!   best one 0.3 s after the first that gives a part), and not the best of the first second, and a
//!   Request is repeated four times, not ten. A container's start waits for it. Where nobody waits all is
//!   as in §18.2.1.
//! - **Preferred lifetime beyond the valid one**: it is cut there and counted ([`Progress::capped`]).
//!   §21.6 has the address thrown away, but Kea 2.2 sends it so, and again each time: a client that
//!   heeds the RFC there solicits for ever.
//! - **Multicast only**: the option by which a server allows unicast is not asked for and not heeded.
//!   RFC 9915 has taken it out.
//! - **Short leases**: §7.6 waits 10 s before the second Renew or Rebind, so that a lease of half a
//!   minute would hang on a single packet. Below 200 s it is a twentieth of the lease (at least 1 s).
//! - **T1 and T2** come up to 5 % earlier, so that endpoints that started together do not renew
//!   together for ever. Where the server leaves them to the client they are half and four fifths of
//!   the shortest preferred lifetime, but not below 10 and 16 s if the lifetimes leave room for it.
//! - **Lifetimes** count from the last transmission of the question, not from its answer: on the safe
//!   side by a round trip.
//! - **Refusals** in a row lead to a Solicit at once, then after 1, 2, 4 … 64 s; conflicts
//!   ([`Client::decline`]) at once, after 1 s, then after 10 s each, from the tenth on after a minute.
//! - **A lease of an earlier boot** is used after 2 s of silence, not 10 (CNF_MAX_RD); the question goes
//!   on behind it.
//! - **At the end of the valid lifetime an address goes**, whoever is silent: there is nothing like
//!   [`v4::OnLoss::Keep`](crate::v4::OnLoss::Keep). The kernel takes it away at that moment anyway, and
//!   routers stop to send to a prefix that is over.
//! - **No reconfiguration**: the client never offers it, and drops what comes (§16.11).

mod acquire;
mod client;
mod confirm;
mod exchange;
mod grant;
mod inform;
mod keep;
mod lease;
mod phase;
mod progress;
mod register;
mod release;
mod reply;
mod request;

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

use wire::dhcp6::Duid;

use crate::Classes;

pub use client::Client;
pub use inform::Information;
pub use lease::{Lease, LeasedAddress, LeasedPrefix};
pub use progress::{Ignored, Offered, Progress, Refusal};

/// Who a client is and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The client's DUID, 3 to 130 bytes: see [`Duid`].
    pub duid: Box<[u8]>,
    /// The number of its identity associations: one for addresses, one for prefixes, both with
    /// this number.
    pub iaid: u32,
    /// Whether to ask for addresses (IA_NA).
    pub address: bool,
    /// The address to ask for. The server is free to give another.
    pub requested_address: Option<Ipv6Addr>,
    /// Whether to ask for prefixes (IA_PD), and of which length; 0 leaves it to the server, which is
    /// free to give another anyway.
    pub prefix: Option<u8>,
    /// The host name for option 39, an empty one counting as none. One without a dot is completed
    /// by the server, which is asked to tell the DNS (RFC 4704 §4.1: S).
    pub host_name: Option<Box<str>>,
    /// The classes (options 15 and 16); shared, because every client of a network has the same.
    pub classes: Arc<Classes>,
    /// Whether two messages may do instead of four (§18.2.1). Where several servers do so, all but
    /// one give an address that is used by nobody.
    pub rapid_commit: bool,
}

impl Config {
    /// A client that asks for addresses and is known by its DUID alone.
    pub fn new(duid: Duid, iaid: u32) -> Config {
        Config {
            duid: duid.into(),
            iaid,
            address: true,
            requested_address: None,
            prefix: None,
            host_name: None,
            classes: Arc::default(),
            rapid_commit: true,
        }
    }
}

/// A message to send, from port 546 to port 547.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The source address; `None` stands for the endpoint's link-local address.
    pub source: Option<Ipv6Addr>,
    /// The destination: always [`SERVERS`](wire::dhcp6::SERVERS). The option by which servers allow
    /// unicast is not asked for and not heeded (RFC 9915 has taken it out).
    pub destination: Ipv6Addr,
    /// The payload.
    pub payload: Vec<u8>,
}

/// What became of the lease, or of another thing that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// There is a lease where there was none: configure it.
    Bound,
    /// The same lease with new times.
    Renewed,
    /// The lease goes on with other addresses, prefixes or options: configure the difference.
    Changed {
        /// What was valid until now.
        old: Box<Lease>,
    },
    /// Nothing of the lease must be used any longer. The client looks for another by itself.
    Lost {
        /// What was valid until now.
        old: Box<Lease>,
        /// Why it is not any more.
        why: Loss,
    },
    /// [`Client::information`] is new.
    Informed,
    /// A server has taken note of an address that the endpoint made itself ([`Client::register`]). It
    /// says nothing of whether the address may be used.
    Registered {
        /// The address.
        address: Ipv6Addr,
    },
    /// The answer to [`Client::release`]: nothing more is to come.
    Released,
}

/// Why a lease ended before its time, or at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// No server prolonged it in time.
    Expired,
    /// A server set its lifetimes to zero.
    Withdrawn,
    /// A server refused it: it is not right for the link, or cannot be given anew.
    Refused(Box<Refusal>),
    /// Another machine uses its only address ([`Client::decline`]).
    Conflict {
        /// The address.
        address: Ipv6Addr,
    },
}

/// The client's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Does nothing: before [`Client::start`], after [`Client::release`].
    Stopped,
    /// Waits before it asks again, after refusals or conflicts in a row.
    Init,
    /// Sends Solicit, waits for an Advertise.
    Soliciting,
    /// Sends Request, waits for the Reply.
    Requesting,
    /// Asks whether a lease of an earlier time is still right.
    Rebooting,
    /// Has a lease and nothing to do but what concerns single addresses.
    Bound,
    /// Asks the server of the lease to prolong it (T1), or to give it anew.
    Renewing,
    /// Asks any server to prolong the lease (T2).
    Rebinding,
    /// Asks whether the lease in use is still right.
    Confirming,
    /// Refuses the only address, because it is in use.
    Declining,
    /// Gives the lease back.
    Releasing,
    /// Asks for information without leases.
    Informing,
    /// Has it.
    Informed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Stopped => "STOPPED",
            State::Init => "INIT",
            State::Soliciting => "SOLICITING",
            State::Requesting => "REQUESTING",
            State::Rebooting => "REBOOTING",
            State::Bound => "BOUND",
            State::Renewing => "RENEWING",
            State::Rebinding => "REBINDING",
            State::Confirming => "CONFIRMING",
            State::Declining => "DECLINING",
            State::Releasing => "RELEASING",
            State::Informing => "INFORMING",
            State::Informed => "INFORMED",
        })
    }
}
