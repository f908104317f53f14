//! One endpoint's IPv6: router discovery, SLAAC and DHCPv6 under one roof.
//!
//! A [`Client`] is driven like a [`v4::Client`](crate::v4::Client), see the
//! [crate's documentation](crate). It asks for routers, takes what they advertise, makes addresses
//! (RFC 4862), speaks DHCPv6 where the routers say so (RFC 8415), checks that nobody else has its
//! addresses, and answers for them as long as no container does.
//!
//! | file | its job |
//! |---|---|
//! | [`client`](Client) | commands, what comes in, what goes out |
//! | `configuration` | what the container is to have |
//! | `assemble` | the configuration from what routers and servers said |
//! | `ready` | when the first answer stands |
//! | `stateful` | when DHCPv6 is spoken, and what becomes of its lease |
//! | `saved` | what outlives the process |
//!
//! # When is it ready?
//!
//! [`Event::Ready`] comes once after a start: when what the routers promise is there, or when
//! nobody has said anything for [`Config::patience`]. An exchange with a server that is under way
//! may take up to 2 s longer. What comes later comes as [`Event::Changed`].

mod assemble;
mod client;
mod configuration;
mod ready;
mod saved;
mod stateful;

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::MacAddr;
use wire::dhcp6::Duid;

use crate::Classes;

pub use crate::nd::{DuplicateCheck, InterfaceId, Neighbour};
pub use crate::v4::OnLoss;
pub use client::{Client, Progress};
pub use configuration::{Address, Configuration, Delegated, OnLink, Origin, Route, Router};
pub use saved::Saved;
pub use wire::nd::Preference;

/// A router answers within half a second (RFC 4861 §6.2.6), most of them much sooner.
const ROUTERS_FIRST: Duration = Duration::from_millis(250);

/// Who an endpoint is and how it is to come by its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The Ethernet source of every frame, unless it is not on the wire (`link`), and what identifiers are made from.
    pub mac: MacAddr,
    /// The MAC of the link that it shares with other clients, as ipvlan has them: the Ethernet source then, and the link-layer
    /// address that neighbours are told. Only addresses and transactions tell it from those, so each needs `mac`, `duid` and `iaid` of
    /// its own.
    pub link: Option<MacAddr>,
    /// Where addresses come from.
    pub mode: Mode,
    /// How the lower half of SLAAC and link-local addresses is made.
    pub interface_id: InterfaceId,
    /// The DHCP unique identifier (RFC 8415 §11).
    pub duid: Box<[u8]>,
    /// The identifier of the identity associations, of addresses as of prefixes (RFC 8415 §12).
    pub iaid: u32,
    /// The host name for the client FQDN option (RFC 4704); an empty one counts as none.
    pub host_name: Option<Box<str>>,
    /// The classes for a DHCPv6 server, shared by the clients of a network.
    pub classes: Arc<Classes>,
    /// The address to ask a DHCPv6 server for. It is free to give another.
    pub requested_address: Option<Ipv6Addr>,
    /// Asks for a prefix of this length as well (RFC 8415 §6.3). No router announces prefix
    /// delegation, so a server is asked whatever they say; in [`Mode::Auto`] as soon as one says something, and for
    /// nothing else where the M flag is not set.
    pub prefix: Option<u8>,
    /// [`Event::Ready`] comes after this at the latest when neither a router nor a server says
    /// anything. Half of it, 250 ms at most, is given to the routers before a server is asked unbidden.
    pub patience: Duration,
    /// Whether it is checked that nobody else has an address.
    pub duplicate_check: DuplicateCheck,
    /// What becomes of leased addresses when their time is over and no server has answered. `Keep`: they stay
    /// in use without an end until there is a lease again, another machine is found with one, or all is
    /// given back. What routers said, and prefixes that were delegated, end with their lifetimes all the
    /// same: nobody would route to them.
    pub on_loss: OnLoss,
    /// The MTU of the link: what a router may lower, and never raise.
    pub link_mtu: u16,
}

impl Config {
    /// An endpoint that is known by its MAC alone: its DUID is the MAC (DUID-LL, RFC 8415 §11.4),
    /// its IAID the MAC's last four bytes, and its interface identifier the modified EUI-64.
    pub fn new(mac: MacAddr) -> Config {
        let [_, _, c, d, e, f] = mac.0;
        Config {
            mac,
            link: None,
            mode: Mode::default(),
            interface_id: InterfaceId::Eui64,
            duid: Box::from(&*Duid::link_layer(mac)),
            iaid: u32::from_be_bytes([c, d, e, f]),
            host_name: None,
            classes: Arc::default(),
            requested_address: None,
            prefix: None,
            patience: Duration::from_millis(500),
            duplicate_check: DuplicateCheck::default(),
            on_loss: OnLoss::default(),
            link_mtu: 1500,
        }
    }
}

impl Config {
    /// The MAC that it is known by on the wire.
    pub fn link_mac(&self) -> MacAddr {
        self.link.unwrap_or(self.mac)
    }

    /// How long routers are waited for before more is done.
    pub(crate) fn routers_first(&self) -> Duration {
        (self.patience / 2).min(ROUTERS_FIRST)
    }
}

/// Where addresses come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// From wherever the routers say: SLAAC for prefixes that are autonomous, DHCPv6 where the M
    /// flag is set, DHCPv6's other configuration where the O flag is. Where no router says
    /// anything a DHCPv6 server is asked as well (RFC 4862 §5.5.2).
    #[default]
    Auto,
    /// From the routers' prefixes alone. A server is asked for DNS at most, where the O or M flag
    /// is set.
    Slaac,
    /// From a DHCPv6 server alone, asked at once. Routers are still heard for routes.
    Dhcp,
}

/// What became of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The first answer stands, with an address or without: [`Client::configuration`] has what
    /// there is. It comes exactly once after [`Client::start`] or [`Client::reboot`].
    Ready,
    /// The same configuration with new times: tell the kernel.
    Renewed,
    /// The configuration differs from what was told before: configure the difference.
    Changed {
        /// What was valid until now.
        old: Box<Configuration>,
    },
    /// Another machine has an address that was in use or about to be. It is not in the
    /// configuration any more (a [`Event::Changed`] of its own tells), and a server that gave it was
    /// told. `given_up`: there will be none in its place for that prefix.
    Duplicate {
        /// The address.
        address: Ipv6Addr,
        /// The other machine's MAC.
        holder: MacAddr,
        /// No other address takes its place: an EUI-64 identifier is the only one its MAC makes,
        /// and three others of the stable kind had a holder each.
        given_up: bool,
    },
    /// The answer to [`Client::release`]: nothing more is to come, and what had to be sent has been
    /// handed out.
    Released,
}

/// Where the client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Does nothing: before [`Client::start`], after [`Client::release`].
    Stopped,
    /// Asks for routers, and nobody has answered yet.
    Soliciting,
    /// Asks a DHCPv6 server for what it has not yet got.
    Requesting,
    /// Has what it was told there is, and listens to routers.
    Configured,
    /// Nobody has told it anything; it goes on asking.
    Alone,
    /// Gives its lease back.
    Releasing,
}

impl State {
    /// All there are.
    pub const ALL: [State; 6] = [
        State::Stopped,
        State::Soliciting,
        State::Requesting,
        State::Configured,
        State::Alone,
        State::Releasing,
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Stopped => "STOPPED",
            State::Soliciting => "SOLICITING",
            State::Requesting => "REQUESTING",
            State::Configured => "CONFIGURED",
            State::Alone => "ALONE",
            State::Releasing => "RELEASING",
        })
    }
}

/// What the socket must pass to the client just now, beside what concerns
/// [`Client::neighbours`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listening {
    /// Router advertisements, to all nodes or to the client's link-local address.
    pub routers: bool,
    /// UDP datagrams to port 546 of an address of the client's ([`Client::is_ours`]).
    pub dhcp: bool,
}
