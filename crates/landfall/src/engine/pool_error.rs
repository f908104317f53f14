//! Why there are no addresses for a runtime that asks for them ahead.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use wire::MacAddr;

use super::obstacle::Obstacle;
use super::options::{NoServer, Options};
use super::pool::{InvalidPool, PoolId};
use crate::segments::PortError;

/// Which addresses were asked for, what there is, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    /// The options of the pool.
    #[error(transparent)]
    Invalid(#[from] InvalidPool),
    /// A pool of IPv6.
    #[error(
        "Landfall's IPAM driver gives out IPv4 addresses only; IPv6 comes from the LAN's routers and DHCPv6 servers when a container starts: write `-o ipv6=auto` in the place of `--ipv6`"
    )]
    Ipv6,
    /// A part of a subnet.
    #[error(
        "--ip-range {range} cannot be had on {interface}: which addresses containers get is the DHCP server's choice. Leave it out, and set the range in the server"
    )]
    Range {
        /// The bridge or parent.
        interface: String,
        /// As it was written.
        range: String,
    },
    /// Nobody says what is there.
    #[error(
        "no DHCP server answered on {interface} within {within}s, so that its subnet is not known: {discovers} DISCOVERs sent from {mac}. {}",
        match obstacle {
            Some(obstacle) => obstacle.told(interface),
            None => format!("Is {interface} connected to the LAN{}? A slow server needs `--ipam-opt lease_timeout=25s`; `landfall doctor` looks for what is wrong with this host", if *is_bridge { format!(" (`ip link show master {interface}`)") } else { String::new() }),
        }
    )]
    NoServer {
        /// The bridge or parent.
        interface: String,
        /// Which of the two it is.
        is_bridge: bool,
        /// How long it was asked for, in seconds.
        within: f64,
        /// How often.
        discovers: u32,
        /// By whom.
        mac: MacAddr,
        /// What stands in the way.
        obstacle: Option<Obstacle>,
    },
    /// There is no such bridge or parent.
    #[error(
        "{0}. What is written as `-o` is to be written as `--ipam-opt` as well, in the same words; for networks of Docker's own drivers `--ipam-opt parent=` alone, with `--ipam-opt ipvlan_mode=l2` for ipvlan"
    )]
    NoPort(#[source] PortError),
    /// The bridge or parent went away.
    #[error("{0} went away while its DHCP server was asked: try again")]
    Abandoned(String),
    /// The user names a subnet that is not there.
    #[error(
        "--subnet {subnet} fits no segment: the DHCP server {server} on {interface} gives out addresses of {there}. Write `--subnet {there}`, or leave it out"
    )]
    NoSuchSubnet {
        /// As it was written.
        subnet: String,
        /// The bridge or parent.
        interface: String,
        /// The server.
        server: Ipv4Addr,
        /// What it gives out.
        there: Ipv4Net,
    },
    /// The pool and the network are on different segments.
    #[error(
        "the network is on {interface}, and its pool {subnet} is not: write `--ipam-opt` as `-o`, for the same bridge or parent, and the same `vlan`"
    )]
    OtherSegment {
        /// The pool.
        subnet: Ipv4Net,
        /// The network's bridge or parent.
        interface: String,
    },
    /// An option of the network that cannot be had with a pool.
    #[error(
        "option {0} cannot be had with Landfall as IPAM driver, which takes an IPv4 lease before a container is made: leave it out, or write `--ipam-driver null`"
    )]
    Contradiction(&'static str),
    /// The network's user names a router.
    #[error(
        "--gateway{} cannot be had on {}: containers get the router that the DHCP server names{}. Leave it out; `-o gateway=ADDRESS` gives them another",
        asked.map(|router| format!(" {router}")).unwrap_or_default(),
        pool.interface,
        router.map(|router| format!(", {router}")).unwrap_or_default()
    )]
    Gateway {
        /// Of which segment.
        pool: PoolId,
        /// As it was written.
        asked: Option<Ipv4Addr>,
        /// What the server names.
        router: Option<Ipv4Addr>,
    },
    /// The address is not of the pool.
    #[error("{address} is not in the subnet {} of {}: leave `--ip` out, or ask for an address in it", pool.subnet, pool.interface)]
    Outside {
        /// What was asked for.
        address: Ipv4Addr,
        /// Of which pool.
        pool: PoolId,
    },
    /// A pool that no network of Landfall's has.
    #[error(
        "no network of Landfall's has its addresses from the pool {0}: its state is not here any more, or another driver makes its links. Remove it (`docker network rm`) and create it again, with `--ipam-opt parent={interface}` for one of Docker's own drivers (for ipvlan with `--ipam-opt ipvlan_mode=l2` as well)",
        interface = .0.interface
    )]
    NoNetwork(PoolId),
}

impl PoolError {
    /// Why a network with these options can have no pool, which takes an IPv4 lease for each endpoint before it is made.
    pub(crate) fn contradiction(options: &Options) -> Option<PoolError> {
        match options {
            Options { ipv4: false, .. } => Some(PoolError::Contradiction("ipv4=false")),
            Options { no_server: NoServer::Wait, .. } => {
                Some(PoolError::Contradiction("no_server=wait"))
            }
            _ => None,
        }
    }
}
