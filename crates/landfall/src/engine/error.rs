//! Why the engine refuses, in words that say what to do.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use wire::MacAddr;

use super::conflict::Conflict;
use super::diagnose::NoLease;
use super::ids::{EndpointId, NetworkId};
use super::options::InvalidOption;
pub(super) use super::pool_error::PoolError;
use crate::segments::PortError;
use crate::store::{self, Unreadable};

/// What went wrong, on which network, endpoint and interface, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The network was made with another state directory, or never.
    #[error(
        "network {0} is not known to Landfall: its state is not here any more. Remove the network (`docker network rm`) and create it again"
    )]
    UnknownNetwork(NetworkId),
    /// The network's record is there and cannot be read.
    #[error("the record of network {network} cannot be read, and was left as it is: {why}. {}", remedy(.why))]
    UnreadableNetwork {
        /// Of the call.
        network: NetworkId,
        /// What is wrong with it.
        why: Unreadable,
    },
    /// The same of an endpoint.
    #[error(
        "the record of endpoint {endpoint} cannot be read, and was left as it is: {why}. Stop the container and start it again: it gets a new endpoint"
    )]
    UnreadableEndpoint {
        /// Of the call.
        endpoint: EndpointId,
        /// What is wrong with it.
        why: Unreadable,
    },
    /// The endpoint was never made, or is gone.
    #[error(
        "endpoint {endpoint} of network {network} is not known to Landfall: start the container again"
    )]
    UnknownEndpoint {
        /// Of the call.
        network: NetworkId,
        /// Of the call.
        endpoint: EndpointId,
    },
    /// Another network has this identifier.
    #[error(
        "there is a network {0} with other options already: remove it (`docker network rm`) and create it again"
    )]
    NetworkExists(NetworkId),
    /// An option cannot be taken.
    #[error(transparent)]
    Option(#[from] InvalidOption),
    /// The same of an endpoint's.
    #[error("network {network}, endpoint {endpoint}: {source}")]
    EndpointOption {
        /// The network.
        network: NetworkId,
        /// The endpoint that was refused.
        endpoint: EndpointId,
        /// What is wrong with it.
        source: InvalidOption,
    },
    /// Docker's own address pools would be used on the LAN.
    #[error(
        "Landfall's addresses come from the LAN's DHCP server, so Docker must not give out any: create the network with the null IPAM driver: `docker network create -d landfall --ipam-driver null {uplink} NAME` (`-d landfall:latest` where Landfall is a managed plugin)"
    )]
    WrongIpam {
        /// The options that name the bridge or the parent.
        uplink: String,
    },
    /// An address that is none of the LAN's.
    #[error(
        "Docker's IPAM driver has given endpoint {endpoint} of network {network} the address {address}, but here addresses come from the LAN's DHCP server: make the network with `--ipam-driver null` or Landfall's own"
    )]
    AddressFromElsewhere {
        /// The network.
        network: NetworkId,
        /// The endpoint.
        endpoint: EndpointId,
        /// The address that was given.
        address: Ipv4Net,
    },
    /// Another address was asked for ahead than the endpoint wants.
    #[error(
        "network {network}, endpoint {endpoint}: Docker has asked for {told} already, and the driver option asks for {}: write `--ip` in its place (up to engine 29.0 that needs a network with `--subnet`)",
        wanted.map(|ip| format!("ip={ip}")).unwrap_or_default()
    )]
    AskedAhead {
        /// The network.
        network: NetworkId,
        /// The endpoint.
        endpoint: EndpointId,
        /// The driver option.
        wanted: Option<Ipv4Addr>,
        /// What Docker was told.
        told: Ipv4Addr,
    },
    /// Addresses that a runtime asks for ahead.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// No start without IPv6, and there is none.
    #[error(
        "network {network}, endpoint {endpoint}: no IPv6 address is to be had on {bridge} within {within}s \
         (MAC {mac}): no router advertises a prefix, and no DHCPv6 server leases an address. Is {bridge} \
         connected to the LAN (`ip link show master {bridge}`)? {}",
        if *ipv4 {
            "Without `-o ipv6_required=true` containers start all the same"
        } else {
            "The network has IPv6 only (`ipv4=false`); with `-o no_server=wait` containers start all the \
             same, and get an address once there is one"
        }
    )]
    NoIpv6 {
        /// The network.
        network: NetworkId,
        /// The endpoint.
        endpoint: EndpointId,
        /// The bridge.
        bridge: String,
        /// The MAC that asked.
        mac: MacAddr,
        /// How long it was asked for, in seconds.
        within: f64,
        /// Whether the network has IPv4.
        ipv4: bool,
    },
    /// Another network of this host would fight with the bridge's.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// No port on the bridge.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The MAC is taken.
    #[error(
        "network {network}, endpoint {endpoint}: MAC {mac} is in use on {bridge} by {holder}: give each container one of its own, or none"
    )]
    MacInUse {
        /// The network.
        network: NetworkId,
        /// The endpoint that was refused.
        endpoint: EndpointId,
        /// The MAC asked for.
        mac: MacAddr,
        /// Where.
        bridge: String,
        /// Who holds it, for people.
        holder: String,
    },
    /// The client identifier is taken.
    #[error(
        "network {network}, endpoint {endpoint}: client_id {client_id:?} is in use on {bridge} by {holder}: to a DHCP server both would be one client, with one address. Give each container one of its own (`driver-opt=client_id=…`), or none"
    )]
    ClientIdInUse {
        /// The network.
        network: NetworkId,
        /// The endpoint that was refused.
        endpoint: EndpointId,
        /// Its identifier.
        client_id: String,
        /// Where.
        bridge: String,
        /// Who holds it, for people.
        holder: String,
    },
    /// A MAC was asked for where all have the parent's.
    #[error(
        "network {network}, endpoint {endpoint}: no MAC of its own ({mac}) is to be had where containers have the parent's (mode=ipvlan, macvlan_mode=passthru): leave out `--mac-address`; servers know such a container by its client identifier (`driver-opt=client_id=…`)"
    )]
    ParentsMac {
        /// The network.
        network: NetworkId,
        /// The endpoint that was refused.
        endpoint: EndpointId,
        /// The MAC asked for.
        mac: MacAddr,
    },
    /// A second endpoint where there can be one only.
    #[error(
        "network {network}, endpoint {endpoint}: {parent} is in use by {holder}, and with macvlan_mode=passthru there is one container on it: stop that one, or use a network with another mode"
    )]
    OnlyOne {
        /// The network.
        network: NetworkId,
        /// The endpoint that was refused.
        endpoint: EndpointId,
        /// The parent.
        parent: String,
        /// Who has it, for people.
        holder: String,
    },
    /// Another child of the parent has the MAC.
    #[error(
        "network {network}, endpoint {endpoint}: MAC {mac} is in use on {parent} by another macvlan child, in whichever namespace it is: a container that has not ended yet, or one of another driver's network. Stop that one, or give this one another MAC"
    )]
    MacHeld {
        /// The network.
        network: NetworkId,
        /// The endpoint that was refused.
        endpoint: EndpointId,
        /// Where.
        parent: String,
        /// The MAC.
        mac: MacAddr,
    },
    /// The kernel gives the bridge no more ports.
    #[error(
        "network {network}, endpoint {endpoint}: bridge {bridge} has all of the {most} ports that the kernel allows: remove containers that are on it, or make the network on a second bridge that leads to the same LAN (`ip link show master {bridge}` lists the ports)",
        most = net::MOST_BRIDGE_PORTS
    )]
    BridgeFull {
        /// The network.
        network: NetworkId,
        /// The endpoint that has no place.
        endpoint: EndpointId,
        /// The bridge.
        bridge: String,
    },
    /// A MAC that no station can have.
    #[error(
        "network {network}, endpoint {endpoint}: {mac} cannot be a container's MAC: it is a group address or all zero; the first byte must be even"
    )]
    BadMac {
        /// The network.
        network: NetworkId,
        /// The endpoint that was refused.
        endpoint: EndpointId,
        /// The MAC asked for.
        mac: MacAddr,
    },
    /// The server gave no lease.
    #[error(transparent)]
    NoLease(Box<NoLease>),
    /// The router that the network's user wants is not one for this lease.
    #[error(
        "network {network}, endpoint {endpoint}: gateway={gateway} cannot be its default router: the server {server} leased it {address} on {bridge}. Name the address of a router in that subnet, other than the container's own, or leave `gateway` out to use the router that the server names"
    )]
    Gateway {
        /// The network.
        network: NetworkId,
        /// The endpoint that was refused.
        endpoint: EndpointId,
        /// The router of the option.
        gateway: Ipv4Addr,
        /// The DHCP server.
        server: Ipv4Addr,
        /// What it leased.
        address: Ipv4Net,
        /// Where.
        bridge: String,
    },
    /// The lease ended between the calls of one start.
    #[error(
        "network {network}, endpoint {endpoint} on {bridge} has lost its lease: start the container again"
    )]
    LeaseLost {
        /// The network.
        network: NetworkId,
        /// The endpoint.
        endpoint: EndpointId,
        /// Where.
        bridge: String,
    },
    /// Its segment was stopped while a server was asked.
    #[error("network {0}: its bridge or parent went away while a DHCP server was asked: try again")]
    Abandoned(NetworkId),
    /// The endpoint is being made or removed by another call.
    #[error(
        "network {network}, endpoint {endpoint}: another call is making or removing it just now: try again"
    )]
    Busy {
        /// The network.
        network: NetworkId,
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// The sandbox of a rootless engine is out of reach.
    #[error(
        "the engine is rootless ({0}): its containers live in network namespaces that only its own user's namespace reaches, and the LAN is not one of them. Use a root engine"
    )]
    Rootless(String),
    /// Two networks of one container lead to the same addresses.
    #[error(
        "network {network}, endpoint {endpoint}: {bridge} leads to {subnet}, and the container is on {there} already: it could not tell which of the two leads where. Connect it to one of both networks; two LANs that are not one and the same need subnets of their own, which is for their routers to change"
    )]
    Overlap {
        /// Of the call.
        network: NetworkId,
        /// Of the call.
        endpoint: EndpointId,
        /// The bridge or parent.
        bridge: String,
        /// Of its lease.
        subnet: Ipv4Net,
        /// What there is, by which interface and network.
        there: String,
    },
    /// The path does not name a network namespace.
    #[error(
        "network {network}, endpoint {endpoint}: {} cannot be the path of a network namespace: it must be absolute, without `..`. Landfall serves Docker Engine 20.10 and newer",
        sandbox.display()
    )]
    Sandbox {
        /// The network.
        network: NetworkId,
        /// The endpoint.
        endpoint: EndpointId,
        /// What the engine named.
        sandbox: PathBuf,
    },
    /// The kernel refused.
    #[error("network {network}, endpoint {endpoint}: {source}. {DOCTOR}")]
    Kernel {
        /// The network.
        network: NetworkId,
        /// The endpoint.
        endpoint: EndpointId,
        /// What was tried, and what the kernel said.
        source: net::Error,
    },
    /// The kernel refused something that concerns no endpoint.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// What concerns no endpoint in particular has failed for this one.
    #[error("network {network}, endpoint {endpoint}: {source}. {DOCTOR}")]
    For {
        /// The network.
        network: NetworkId,
        /// The endpoint.
        endpoint: EndpointId,
        /// What was tried, and what was seen.
        source: Box<Error>,
    },
    /// The same for a network.
    #[error("network {network} on {interface}: {source}. {DOCTOR}")]
    ForNetwork {
        /// The network.
        network: NetworkId,
        /// Its bridge or parent.
        interface: String,
        /// What was tried, and what was seen.
        source: Box<Error>,
    },
    /// The kernel gives no random bytes for a MAC.
    #[error("no random bytes for a MAC: {0}")]
    NoRandomness(String),
    /// The state could not be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What helps when the host does not do what it should.
const DOCTOR: &str = "`landfall doctor` looks for what is wrong with this host";

impl Error {
    /// Whether it is about the host, and does not say for whom that mattered.
    fn is_of_the_host(&self) -> bool {
        matches!(self, Error::Net(_) | Error::Store(_) | Error::NoRandomness(_))
    }

    /// Says for whom it matters, if it does not yet.
    pub(super) fn of(self, network: &NetworkId, endpoint: &EndpointId) -> Error {
        if !self.is_of_the_host() {
            return self;
        }
        let (network, endpoint) = (network.clone(), endpoint.clone());
        Error::For { network, endpoint, source: Box::new(self) }
    }

    /// The same for a network.
    pub(super) fn of_network(self, network: &NetworkId, interface: &str) -> Error {
        if !self.is_of_the_host() {
            return self;
        }
        let (network, interface) = (network.clone(), interface.to_owned());
        Error::ForNetwork { network, interface, source: Box::new(self) }
    }
}

/// What helps when a record cannot be read.
fn remedy(why: &Unreadable) -> &'static str {
    match why {
        Unreadable::Newer(_) => {
            "Install that version of Landfall again, or remove the network (`docker network rm`) and \
             create it again"
        }
        Unreadable::Damaged(_) => "Remove the network (`docker network rm`) and create it again",
    }
}
