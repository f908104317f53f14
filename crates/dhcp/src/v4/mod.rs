//! The DHCPv4 client (RFC 2131).
//!
//! | file | its job |
//! |---|---|
//! | [`client`](Client) | commands, what comes in, what goes out |
//! | `phase` | the states, each with exactly the data it needs |
//! | `acquire` | INIT, SELECTING, REQUESTING, REBOOTING |
//! | `keep` | BOUND, RENEWING, REBINDING, expiry |
//! | `confirm` | INIT-REBOOT with a lease in hand |
//! | `conflict` | nobody else has the address: probing, DHCPDECLINE, defence (RFC 5227) |
//! | `release` | RELEASING |
//! | `rapid_commit` | a lease of two messages (RFC 4039) |
//! | `ipv6_only` | doing without IPv4 (RFC 8925) |
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
//! - **NAK**: the first leads to a DISCOVER at once, further ones in a row after 1, 2, 4 … 64 s. A grant
//!   that is over before its address is checked counts as one.
//! - **Address conflict detection** (RFC 5227) costs a healthy start nothing that can be felt: see
//!   [`ConflictCheck::Fast`].
//! - **Conflicts**: the RFC's pause of 10 s before the next DISCOVER (§3.1, step 5) is left out after
//!   the first conflict and is 1 s after the second, as long as somebody waits for the first lease.
//!   An OFFER of an address that was declined less than 10 s ago is ignored.
//! - **Rapid Commit** (RFC 4039) is asked for only where the caller says so, and never together with
//!   [`Client::start_asking`] or [`Client::demand`]. An OFFER is answered as ever, whichever comes first.
//! - **Option 108** (RFC 8925) ends the search for a lease in OFFERs, and in ACKs before there is a lease in use, which is
//!   then given back. A lease in use goes on, whatever its server says of the option.

mod acquire;
mod arp;
mod backoff;
mod client;
mod confirm;
mod conflict;
mod ipv6_only;
mod keep;
mod lease;
mod next_hop;
mod phase;
mod progress;
mod rapid_commit;
mod release;
mod reply;
mod request;

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::MacAddr;

use crate::Classes;

pub use client::Client;
pub use lease::{Lease, Route};
pub use progress::{Conflict, Ignored, Offered, Progress, Refusal};

/// Who a client is and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The client's MAC: `chaddr` and the Ethernet source of every frame, unless it has none on the wire (`link`).
    pub mac: MacAddr,
    /// The MAC of the link that it shares with other clients, as ipvlan has them: `chaddr` and the Ethernet source then. Only
    /// `client_id` and its transactions tell it from those, so each needs a `client_id` of its own.
    pub link: Option<MacAddr>,
    /// The host name for option 12; an empty one counts as none.
    pub host_name: Option<Box<str>>,
    /// The content of option 61: a type octet and the identifier (RFC 2132 §9.14). `None`, or what
    /// is too short, stands for hardware type 1 and the MAC, which is what BusyBox `udhcpc` sends.
    pub client_id: Option<Box<[u8]>>,
    /// The classes (options 60 and 77); shared, because every client of a network has the same.
    pub classes: Arc<Classes>,
    /// Whether the host name goes out as one that the server is to tell the DNS (option 81, RFC 4702), in the
    /// place of option 12. A name that cannot be in the DNS stays in option 12.
    pub register_dns: bool,
    /// The address to ask for in DISCOVER (option 50). The server is free to offer another, see
    /// [`Client::demand`].
    pub requested_address: Option<Ipv4Addr>,
    /// Whether to ask for broadcast replies as long as the address is not configured (RFC 2131
    /// §4.1): needed where a unicast to the MAC does not come through.
    pub broadcast: bool,
    /// Whether the address is used under another MAC than [`Config::mac`], by a link that the caller has no part in: it is
    /// not held, and answers that are sent to it go there. So from T1 on the servers are asked as in INIT-REBOOT, by
    /// broadcast from no address. Wants [`Config::broadcast`] and [`ConflictCheck::Off`].
    pub apart: bool,
    /// How an address is checked before and after it is taken into use.
    pub conflict_check: ConflictCheck,
    /// What to do when another machine uses the address later on.
    pub defence: Defence,
    /// What to do when the lease ends because no server answers.
    pub on_loss: OnLoss,
    /// Whether the endpoint can do without IPv4, so that servers are asked whether it should (option 108, RFC 8925).
    pub ipv6_only: bool,
    /// Whether servers may grant a lease in answer to a DISCOVER (option 80, RFC 4039). Each server that does so commits
    /// an address, and only one is taken: for LANs with one server.
    pub rapid_commit: bool,
}

/// How a new address is checked for other users (RFC 5227 §2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictCheck {
    /// The first ARP probe goes out together with the DHCPREQUEST, and [`Event::Bound`] comes 2 ms
    /// after it at the earliest: on a LAN a machine that has the address answers within that time
    /// (RFC 5227 §2.2 foresees shorter times for such links). Two more probes follow in the
    /// background, 1 to 2 s apart; what is heard until 2 s after the last one ends the lease.
    #[default]
    Fast,
    /// The times of RFC 5227 §2.1.1 between the ACK and [`Event::Bound`]: three probes, 4 to 7 s. A
    /// lease shorter than that is never used.
    Full,
    /// None, and no defence either.
    Off,
}

/// What to do when another machine uses the address of a lease (RFC 5227 §2.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Defence {
    /// Announce the address once. If that does not help within 10 s, decline it and look for
    /// another: policy (b).
    #[default]
    Once,
    /// Announce it each time, at most once in 10 s, and never give it up: policy (c). What is found
    /// while the address is still being checked ends the lease all the same.
    Always,
}

/// What to do when the lease ends because no server answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLoss {
    /// The address must not be used any longer (RFC 2131 §4.4.5): [`Event::Lost`].
    #[default]
    Drop,
    /// The address stays in use: [`Event::Overdue`]. The client looks for a server from INIT, asks
    /// for the address it has, and defends it by ARP.
    ///
    /// That is a bet on silence alone: a server that is down gives the address to nobody, and one
    /// that comes back asks by ARP or ICMP before it gives it to somebody else. Where somebody has
    /// spoken there is nothing to bet on, so the address goes as with `Drop` after a DHCPNAK (the
    /// authority says that it is not ours, or not of this network) and after a conflict that
    /// [`Config::defence`] does not outlast (another machine has it).
    Keep,
}

impl Config {
    /// The MAC that it is known by on the wire.
    pub fn link_mac(&self) -> MacAddr {
        self.link.unwrap_or(self.mac)
    }

    /// A client that is known by its MAC alone.
    pub fn new(mac: MacAddr) -> Config {
        Config {
            mac,
            link: None,
            host_name: None,
            client_id: None,
            classes: Arc::default(),
            register_dns: false,
            requested_address: None,
            broadcast: false,
            apart: false,
            conflict_check: ConflictCheck::default(),
            defence: Defence::default(),
            on_loss: OnLoss::default(),
            ipv6_only: false,
            rapid_commit: false,
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
    /// The lease is over and its address stays in use ([`OnLoss::Keep`]). The client looks for a
    /// server; what it finds comes as [`Event::Renewed`] or [`Event::Changed`].
    Overdue,
    /// The address must not be used any longer. The client goes on from INIT by itself.
    Lost {
        /// What was valid until now.
        old: Box<Lease>,
        /// Why it is not any more.
        why: Loss,
    },
    /// The network would have the endpoint do without IPv4 (RFC 8925): nothing is asked for until V6ONLY_WAIT is over,
    /// unless [`Client::insist`] says so.
    Ipv6Only,
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
    /// Another machine uses the address.
    Conflict {
        /// That machine's MAC, as its ARP says.
        holder: MacAddr,
    },
}

/// The client's state, by RFC 2131 figure 5 where it has a name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Does nothing: before [`Client::start`], after [`Client::release`].
    Stopped,
    /// Waits before it asks again, after NAKs or conflicts in a row.
    Init,
    /// Sent DHCPDISCOVER, waits for an offer.
    Selecting,
    /// Sent DHCPREQUEST for an offer, waits for the DHCPACK.
    Requesting,
    /// Was granted a lease, and checks whether anybody else uses its address (RFC 2131 §3.1,
    /// step 5). If it is to replace another lease, that one is in use meanwhile.
    Probing,
    /// Has a lease and nothing to do.
    Bound,
    /// Asks the server of the lease to prolong it (T1).
    Renewing,
    /// Asks any server to prolong the lease (T2).
    Rebinding,
    /// Asks whether an address of an earlier time is still right (INIT-REBOOT).
    Rebooting,
    /// Asks whether the lease in use is still right (INIT-REBOOT with a lease in hand).
    Confirming,
    /// Looks for the way to the server, to send the DHCPRELEASE.
    Releasing,
    /// Does without IPv4 for a while, as a server would have it (RFC 8925).
    V6OnlyWait,
}

impl State {
    /// All there are.
    pub const ALL: [State; 12] = [
        State::Stopped,
        State::Init,
        State::Selecting,
        State::Requesting,
        State::Probing,
        State::Bound,
        State::Renewing,
        State::Rebinding,
        State::Rebooting,
        State::Confirming,
        State::Releasing,
        State::V6OnlyWait,
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Stopped => "STOPPED",
            State::Init => "INIT",
            State::Selecting => "SELECTING",
            State::Requesting => "REQUESTING",
            State::Probing => "PROBING",
            State::Bound => "BOUND",
            State::Renewing => "RENEWING",
            State::Rebinding => "REBINDING",
            State::Rebooting => "REBOOTING",
            State::Confirming => "CONFIRMING",
            State::Releasing => "RELEASING",
            State::V6OnlyWait => "V6ONLY_WAIT",
        })
    }
}

/// What the socket must pass to the client just now. For an idle client in BOUND only `conflicts`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listening {
    /// UDP datagrams to port 68 whose `chaddr` is the client's MAC.
    pub dhcp: bool,
    /// ARP packets, requests as well as replies, whose sender says that it has this address, from
    /// another MAC than the client's: set from the first probe to the end of the lease.
    pub conflicts: Option<Ipv4Addr>,
    /// ARP requests for this address, from another MAC than the client's: to be answered while the
    /// address is held, or to be known while it is checked (another machine's probe).
    pub requests: Option<Ipv4Addr>,
    /// ARP packets whose sender is this next hop.
    pub resolving: Option<Ipv4Addr>,
}
