//! One endpoint as a host on its link: router discovery, addresses made from prefixes, and
//! neighbour discovery for them (RFC 4861, RFC 4862).
//!
//! | file | its job |
//! |---|---|
//! | [`host`](Host) | commands, what comes in, what goes out |
//! | `solicit` | when to ask for routers (RFC 7559) |
//! | `learn` | taking in what a router advertises: the one place that says no |
//! | [`learned`](Learned) | what is known of the link, with its bounds |
//! | `list` | things that are so until a moment |
//! | `lifetime` | lifetimes, and the rule of the two hours |
//! | `interface_id` | the lower half of an address (RFC 4291, RFC 7217) |
//! | `duplicate` | nobody else has an address (RFC 4862 §5.4, RFC 4429, RFC 7527) |
//! | `answer` | answers, announcements, reports to multicast routers |
//! | `progress` | counters for error messages |
//!
//! # Choices within the RFCs
//!
//! - **Eager start**: the second router solicitation comes 20 ms after the first and the third a quarter
//!   of a second, not 4 s, because somebody waits. Later ones keep RFC 7559's pace.
//! - **Addresses are used at once** (RFC 4429) and checked in the background.
//! - **First come, first kept**: when a list is full, what is new is ignored. A flood of prefixes does
//!   not push out the router that was there before it. What nobody has said for half an hour makes room, so that
//!   what a flood said to be so for ever is not in the way for ever.
//! - **A bound on what strangers cost**: ten advertisements are read in a second, and one of each default
//!   router whatever others say; sixteen addresses are made in a minute. When the last router is over,
//!   routers are asked for within a second, and 4 s after they were asked for before.
//! - **A hop limit below 32** is not taken (CVE-2015-2922), nor an MTU above the link's.
//! - **Routes into the link itself** are not taken: they would lead traffic between neighbours
//!   through whoever advertises them.

mod answer;
mod duplicate;
mod host;
mod interface_id;
mod learn;
mod learned;
mod lifetime;
mod list;
mod progress;
mod solicit;

use std::net::Ipv6Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::MacAddr;

pub use host::Host;
pub use interface_id::InterfaceId;
pub use learned::{DefaultRouter, Learned, Made, Prefix, RouteVia};
pub use list::{Entry, List};
pub use progress::{Duplicate, Progress};

/// Who a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What interface identifiers are made of, and the Ethernet source of every frame, unless it is not on the wire (`link`).
    pub mac: MacAddr,
    /// The MAC of the link that it shares with other hosts, as ipvlan has them: the Ethernet source, and what neighbours are told.
    /// Only its addresses tell it from those, so `interface_id` must be another than [`InterfaceId::Eui64`] of the shared MAC.
    pub link: Option<MacAddr>,
    /// How the lower half of addresses is made.
    pub interface_id: InterfaceId,
    /// Whether addresses are made from autonomous prefixes.
    pub autonomous: bool,
    /// Whether addresses are checked.
    pub duplicate_check: DuplicateCheck,
    /// The MTU of the link.
    pub link_mtu: u16,
    /// The pause between the first two router solicitations.
    pub patience: Duration,
}

impl Config {
    /// The MAC that it is known by on the wire.
    pub(crate) fn link_mac(&self) -> MacAddr {
        self.link.unwrap_or(self.mac)
    }
}

/// Whether it is checked that nobody else has an address (RFC 4862 §5.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateCheck {
    /// An address is usable at once (RFC 4429), and is asked for in the background. If another
    /// machine has it, it is given up.
    #[default]
    Optimistic,
    /// None, and no defence either.
    Off,
}

/// What happened on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A router has said something; [`Host::learned`] has it.
    Advertised,
    /// Another machine has an address of ours, which is given up.
    Duplicate {
        /// The address.
        address: Ipv6Addr,
        /// The other machine's MAC.
        holder: MacAddr,
        /// Whether no other was made in its place.
        given_up: bool,
    },
}

/// An address whose neighbour discovery concerns a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbour {
    /// The target of the solicitations and advertisements that matter.
    pub address: Ipv6Addr,
    /// Solicitations matter: they are answered, as no container does.
    pub held: bool,
    /// The address is being checked: another machine's solicitation from `::` matters too.
    pub probing: bool,
}
