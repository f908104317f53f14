//! What a front door may ask of the engine, and what it gets back.
//!
//! Nothing here is Docker's: another front door (CNI, netavark) asks with the same values.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use wire::MacAddr;

use super::ids::{EndpointId, NetworkId};

/// A network to make.
#[derive(Debug, Clone)]
pub struct NewNetwork {
    /// Its identifier.
    pub id: NetworkId,
    /// The user's options (`-o key=value`) and whatever the front door's own runtime added.
    pub options: BTreeMap<String, String>,
    /// Whether the addresses come from the LAN's DHCP server: false when the runtime means to
    /// give out addresses itself, which is refused.
    pub addresses_from_lan: bool,
    /// Whether the runtime asked for IPv6.
    pub ipv6: bool,
    /// Whether the network must not reach beyond its subnet (`--internal`): no gateway then.
    pub internal: bool,
}

/// An endpoint to make.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// The network it belongs to.
    pub network: NetworkId,
    /// Its identifier.
    pub id: EndpointId,
    /// The MAC that the user gave; none: Landfall makes one.
    pub mac: Option<MacAddr>,
}

/// What a new endpoint got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its MAC: the one asked for, if one was.
    pub mac: MacAddr,
    /// Its leased address with the length of the subnet's prefix.
    pub address: Ipv4Net,
}

/// An endpoint to hand over to a sandbox.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// The network.
    pub network: NetworkId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The path of the sandbox's network namespace; it may not exist yet.
    pub sandbox: PathBuf,
}

/// What the runtime does with the endpoint's link in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The link to move, as it is named in the host's namespace.
    pub link: String,
    /// What its name in the sandbox begins with; the runtime adds a number.
    pub prefix: String,
    /// The default router.
    pub gateway: Option<Ipv4Addr>,
    /// Routes other than the default one, in the order in which they must be made.
    pub routes: Vec<StaticRoute>,
}

/// A route for the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticRoute {
    /// Where to.
    pub destination: Ipv4Net,
    /// Through which router; none: on the link itself.
    pub via: Option<Ipv4Addr>,
}

/// What `landfall status` shows. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// Of the daemon.
    pub version: String,
    /// Tells this daemon's links from another's on the same host: four hexadecimal digits.
    pub instance: String,
    /// Seconds since the daemon began to serve.
    pub uptime_seconds: u64,
    /// All networks.
    pub networks: Vec<NetworkStatus>,
    /// All endpoints.
    pub endpoints: Vec<EndpointStatus>,
}

/// A network as `landfall status` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Docker's identifier.
    pub id: NetworkId,
    /// The bridge.
    pub bridge: String,
    /// How many endpoints it has.
    pub endpoints: usize,
}

/// An endpoint as `landfall status` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// Docker's identifier of the endpoint.
    pub id: EndpointId,
    /// Docker's identifier of the network.
    pub network: NetworkId,
    /// Docker's identifier of the container, once known.
    pub container: Option<String>,
    /// The host name in the container, once known.
    pub host_name: Option<String>,
    /// The bridge.
    pub bridge: String,
    /// The host's end of the endpoint's veth.
    pub host_interface: String,
    /// The interface's name in the container, once it is there.
    pub interface: Option<String>,
    /// The endpoint's MAC.
    pub mac: MacAddr,
    /// The leased address with its prefix.
    pub address: Option<Ipv4Net>,
    /// The default router in force.
    pub gateway: Option<Ipv4Addr>,
    /// The DHCP server (option 54).
    pub server: Option<Ipv4Addr>,
    /// The state of its DHCP client, by the names of RFC 2131 figure 5.
    pub state: String,
    /// When the lease is next renewed; none: never.
    pub renews_at: Option<jiff::Timestamp>,
    /// When the lease ends; none: never.
    pub expires_at: Option<jiff::Timestamp>,
    /// The address that Docker was told at the start and still shows, where it is another by now.
    pub docker_shows: Option<Ipv4Net>,
}
