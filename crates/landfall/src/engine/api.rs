//! What a front door may ask of the engine, and what it gets back.
//!
//! Nothing here is Docker's: another front door (CNI, netavark) asks with the same values.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use wire::MacAddr;

use super::ids::{EndpointId, NetworkId};
use super::pool::PoolId;

/// A network to make.
#[derive(Debug, Clone)]
pub(crate) struct NewNetwork {
    /// Its identifier.
    pub(crate) id: NetworkId,
    /// The user's options (`-o key=value`) and whatever the front door's own runtime added.
    pub(crate) options: BTreeMap<String, String>,
    /// Whether the addresses come from the LAN's DHCP server: false when the runtime means to
    /// give out addresses itself, which is refused.
    pub(crate) addresses_from_lan: bool,
    /// The subnet that Landfall told the runtime of ([`Engine::request_pool`](super::Engine::request_pool)), if the runtime asks for each address before it makes
    /// its endpoint; none: addresses come with endpoints.
    pub(crate) pool: Option<Ipv4Net>,
    /// Whether the runtime wants IPv4 there.
    pub(crate) ipv4: bool,
    /// Whether it wants IPv6.
    pub(crate) ipv6: bool,
    /// Whether the network must not reach beyond its subnet (`--internal`): no gateway then.
    pub(crate) internal: bool,
}

/// An endpoint to make.
#[derive(Debug, Clone)]
pub(crate) struct NewEndpoint {
    /// The network it belongs to.
    pub(crate) network: NetworkId,
    /// Its identifier.
    pub(crate) id: EndpointId,
    /// The MAC that the user gave; none: Landfall makes one.
    pub(crate) mac: Option<MacAddr>,
    /// The user's options for it.
    pub(crate) options: BTreeMap<String, String>,
    /// The address that the runtime was given for it before, with its prefix.
    pub(crate) address: Option<Ipv4Net>,
    /// What its interface is to be called in the sandbox.
    pub(crate) interface: Option<String>,
    /// The containers that it may be for. Several are as good as none.
    pub(crate) candidates: Vec<Container>,
}

/// A container, as its runtime knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its identifier, for as long as it exists.
    pub(crate) id: Box<str>,
    /// The identifiers of all containers that the runtime keeps, whether they run or not.
    pub(crate) others: Arc<HashSet<Box<str>>>,
    /// Its name, which another may have after it.
    pub(crate) name: Box<str>,
    /// The host name that it will have; none: the host's.
    pub(crate) host_name: Option<Box<str>>,
    /// The MAC that its user gave it on the network.
    pub(crate) mac: Option<MacAddr>,
    /// The address that its user gave it there.
    pub(crate) address: Option<Ipv4Addr>,
    /// The user's options for it there.
    pub(crate) options: BTreeMap<String, String>,
}

/// What a runtime wants to know before it makes a network: from where its addresses come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PoolRequest {
    /// The user's options for the pool, which name the segment.
    pub(crate) options: BTreeMap<String, String>,
    /// The subnet that the user expects there, as it was written; empty: the one that there is.
    pub(crate) subnet: String,
    /// The part of it that the user would have addresses from; empty: all of it.
    pub(crate) range: String,
    /// Whether it is to be one of IPv6.
    pub(crate) ipv6: bool,
}

/// The addresses of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pool {
    /// Which.
    pub(crate) id: PoolId,
    /// The router that the DHCP server names.
    pub(crate) gateway: Option<Ipv4Addr>,
}

/// An address that a runtime wants before the endpoint exists that will have it.
#[derive(Debug, Clone)]
pub(crate) struct AddressRequest {
    /// Of which segment.
    pub(crate) pool: PoolId,
    /// This and no other.
    pub(crate) address: Option<Ipv4Addr>,
    /// It is for the network's gateway and not for an endpoint.
    pub(crate) gateway: bool,
    /// The name of the endpoint's container, where the runtime tells it.
    pub(crate) name: Option<Box<str>>,
    /// The containers that it may be for, by the network of the pool that they are on.
    pub(crate) candidates: Vec<(NetworkId, Vec<Container>)>,
}

/// What a new endpoint got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// Its MAC: the one asked for, if one was. None: its link has its parent's, and no other can be set.
    pub(crate) mac: Option<MacAddr>,
    /// Its leased address with the length of the subnet's prefix. None: no server answers, and its
    /// network is told not to wait for one; or it has IPv6 only.
    pub(crate) address: Option<Ipv4Net>,
    /// One of its IPv6 addresses, if it has any: the leased one first.
    pub(crate) address6: Option<Ipv6Net>,
}

/// An endpoint to hand over to a sandbox.
#[derive(Debug, Clone)]
pub(crate) struct JoinRequest {
    /// The network.
    pub(crate) network: NetworkId,
    /// The endpoint.
    pub(crate) endpoint: EndpointId,
    /// The path of the sandbox's network namespace; it may not exist yet.
    pub(crate) sandbox: PathBuf,
}

/// What the runtime does with the endpoint's link in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    /// The link to move, as it is named in the host's namespace.
    pub(crate) link: String,
    /// What its name in the sandbox begins with; the runtime adds a number.
    pub(crate) prefix: String,
    /// The name that it is to have there, where the runtime lets that be chosen.
    pub(crate) name: Option<String>,
    /// The default router.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Routes other than the default one, in the order in which they must be made.
    pub(crate) routes: Vec<StaticRoute>,
}

/// A route for the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StaticRoute {
    /// Where to.
    pub(crate) destination: Ipv4Net,
    /// Through which router; none: on the link itself.
    pub(crate) via: Option<Ipv4Addr>,
}

/// What `landfall status` shows. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Of the daemon.
    pub(crate) version: String,
    /// Tells this daemon's links from another's on the same host: four hexadecimal digits.
    pub(crate) instance: String,
    /// Seconds since the daemon began to serve.
    pub(crate) uptime_seconds: u64,
    /// What has become of leases in that time.
    #[serde(default)]
    pub(crate) leases: Counters,
    /// What was said and heard of DHCPv4 in that time.
    #[serde(default)]
    pub(crate) ipv4_counters: Ipv4Counters,
    /// What was said and heard of IPv6 in that time.
    #[serde(default)]
    pub(crate) ipv6_counters: Ipv6Counters,
    /// How what must outlive the daemon fares.
    #[serde(default)]
    pub(crate) state: StateStatus,
    /// All networks.
    pub(crate) networks: Vec<NetworkStatus>,
    /// All endpoints.
    pub(crate) endpoints: Vec<EndpointStatus>,
}

/// How the daemon fares, in short: the answer to `Plugin.Health`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Health {
    /// Whether it can do all that it is there for: what changes can be written down, and all that was written can be read.
    pub(crate) healthy: bool,
    /// As [`Status::instance`].
    pub(crate) instance_id: String,
    /// Seconds since the daemon began to serve.
    pub(crate) uptime_seconds: u64,
    /// Of the daemon.
    pub(crate) version: String,
    /// How many networks there are.
    pub(crate) networks: usize,
    /// How many endpoints.
    pub(crate) endpoints: usize,
    /// As in [`Status`].
    pub(crate) state: StateStatus,
    /// As in [`Status`].
    pub(crate) leases: Counters,
    /// As in [`Status`].
    pub(crate) ipv4_counters: Ipv4Counters,
    /// As in [`Status`].
    pub(crate) ipv6_counters: Ipv6Counters,
}

/// What has become of leases since the daemon began to serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// New ones: a container's first, and each after one was lost.
    pub(crate) granted: u64,
    /// Handed to a container that came back.
    pub(crate) handed_over: u64,
    /// Prolonged, and nothing else changed.
    pub(crate) renewed: u64,
    /// Gone on with another address or other options.
    pub(crate) changed: u64,
    /// Over, and no server had prolonged them.
    pub(crate) expired: u64,
    /// The same, and the address stays in use (`on_lease_loss=keep`).
    pub(crate) overdue: u64,
    /// Refused by their server (DHCPNAK).
    pub(crate) refused: u64,
    /// Given up, as another machine has the address.
    pub(crate) in_conflict: u64,
    /// Given back, or their RELEASE is on its way.
    pub(crate) released: u64,
}

/// What was said and heard of DHCPv4 since the daemon began to serve, for all endpoints together: the messages by their names, sent
/// or received as is their nature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ipv4Counters {
    pub(crate) discovers: u64,
    pub(crate) offers: u64,
    pub(crate) requests: u64,
    pub(crate) acks: u64,
    pub(crate) naks: u64,
    pub(crate) declines: u64,
    pub(crate) releases: u64,
    /// Replies that were none, or not to be used, by reason.
    pub(crate) ignored: dhcp::v4::Ignored,
}

/// What was said, heard and found of IPv6 since the daemon began to serve, for all endpoints together: the messages of
/// router discovery and of DHCPv6 by their names, sent or received as is their nature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ipv6Counters {
    pub(crate) router_solicitations: u64,
    pub(crate) router_advertisements: u64,
    /// Of these: more than a router has to say, and handed on to no endpoint.
    pub(crate) router_advertisements_ignored: u64,
    pub(crate) solicits: u64,
    pub(crate) advertises: u64,
    pub(crate) requests: u64,
    pub(crate) confirms: u64,
    pub(crate) renews: u64,
    pub(crate) rebinds: u64,
    pub(crate) replies: u64,
    pub(crate) releases: u64,
    pub(crate) declines: u64,
    pub(crate) information_requests: u64,
    /// Addresses that were made here, told to a server that wants to know of them (RFC 9686).
    pub(crate) registrations: u64,
    /// Configurations that became another while in use.
    pub(crate) configurations_changed: u64,
    /// Addresses found with another machine.
    pub(crate) duplicates: u64,
    /// Messages of DHCPv6, or parts of them, that were not used, by reason.
    #[serde(default)]
    pub(crate) ignored: dhcp::v6::Ignored,
}

/// The state folder as `landfall status` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateStatus {
    /// Why nothing can be written at the moment; none: everything is on the disk.
    pub(crate) fault: Option<String>,
    /// How many networks and endpoints have changes in memory only, because of that.
    pub(crate) waiting: usize,
    /// How many records are there that cannot be read, and are left alone.
    pub(crate) unreadable: usize,
    /// The damaged file that this daemon has found and kept, if it has.
    pub(crate) set_aside: Option<String>,
}

/// A network as `landfall status` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NetworkStatus {
    /// Docker's identifier.
    pub(crate) id: NetworkId,
    /// The bridge, or the parent.
    pub(crate) bridge: String,
    /// The VLAN of the bridge that its containers are in; none: none was named.
    #[serde(default)]
    pub(crate) vlan: Option<u16>,
    /// How its containers reach the LAN there: `bridge` or `macvlan`. Earlier daemons say nothing of it.
    #[serde(default)]
    pub(crate) mode: String,
    /// How many endpoints it has.
    pub(crate) endpoints: usize,
    /// Where IPv6 addresses come from there; none: from nowhere.
    #[serde(default)]
    pub(crate) ipv6: Option<dhcp::ipv6::Mode>,
    /// Whether its containers have IPv4.
    #[serde(default = "super::options::with_ipv4")]
    pub(crate) ipv4: bool,
}

/// The state of an endpoint whose network has no IPv4.
pub(crate) const OFF: &str = "OFF";
/// The state of an endpoint without a client.
pub(crate) const NONE: &str = "NONE";
/// What people see instead of the state of an endpoint whose lease waits for its container.
pub(crate) const HELD: &str = "HELD";
/// The same of one whose lease waits for a container that is yet to come.
pub(crate) const WARM: &str = "WARM";

/// An endpoint as `landfall status` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EndpointStatus {
    /// Docker's identifier of the endpoint.
    pub(crate) id: EndpointId,
    /// Docker's identifier of the network.
    pub(crate) network: NetworkId,
    /// Docker's identifier of the container, once known.
    pub(crate) container: Option<String>,
    /// The host name in the container, once known.
    pub(crate) host_name: Option<String>,
    /// The bridge.
    pub(crate) bridge: String,
    /// The host's end of the endpoint's veth.
    pub(crate) host_interface: String,
    /// The interface's name in the container, once it is there.
    pub(crate) interface: Option<String>,
    /// The endpoint's MAC.
    pub(crate) mac: MacAddr,
    /// The leased address with its prefix.
    pub(crate) address: Option<Ipv4Net>,
    /// The default router in force.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// The DHCP server (option 54).
    pub(crate) server: Option<Ipv4Addr>,
    /// The DNS servers that it names (option 6), best first.
    #[serde(default)]
    pub(crate) dns: Vec<Ipv4Addr>,
    /// The domain that it names (option 15).
    #[serde(default)]
    pub(crate) domain: Option<String>,
    /// The domains to search that it names (option 119).
    #[serde(default)]
    pub(crate) search: Vec<String>,
    /// The state of its DHCP client, by the names of RFC 2131 figure 5.
    pub(crate) state: String,
    /// When the lease is next renewed; none: never. Without one: when it is asked for again, where the LAN would have the
    /// endpoint do without (RFC 8925).
    pub(crate) renews_at: Option<jiff::Timestamp>,
    /// When the lease ends; none: never.
    pub(crate) expires_at: Option<jiff::Timestamp>,
    /// Its container has ended, and its lease is held until then; none: its container lives.
    #[serde(default)]
    pub(crate) held_until: Option<jiff::Timestamp>,
    /// Its lease was taken in advance (`warm`), and no container has it yet.
    #[serde(default)]
    pub(crate) spare: bool,
    /// The address that Docker was told at the start and still shows, where it is another by now.
    pub(crate) docker_shows: Option<Ipv4Net>,
    /// Replies of DHCPv4 that were none, or not to be used, since its client was made, by reason.
    #[serde(default)]
    pub(crate) ignored: dhcp::v4::Ignored,
    /// Its IPv6; none: its network does not want any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6: Option<Ipv6Status>,
}

/// An endpoint's IPv6 as `landfall status` shows it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Ipv6Status {
    /// Where its client stands.
    pub(crate) state: String,
    /// Its link-local address.
    pub(crate) link_local: Option<Ipv6Addr>,
    /// Its addresses.
    pub(crate) addresses: Vec<Ipv6AddressStatus>,
    /// The default routers, the most preferred first.
    pub(crate) routers: Vec<Ipv6Addr>,
    /// Prefixes that were delegated to it.
    pub(crate) prefixes: Vec<Ipv6Net>,
    /// DNS servers that routers and the DHCPv6 server name.
    pub(crate) dns: Vec<Ipv6Addr>,
    /// Domains to search that they name.
    #[serde(default)]
    pub(crate) search: Vec<String>,
    /// The DUID of the DHCPv6 server that leased something, in hexadecimal.
    pub(crate) server: Option<String>,
    /// The address that Docker was told at the start and still shows, where it has gone by now.
    pub(crate) docker_shows: Option<Ipv6Net>,
    /// Messages of DHCPv6, or parts of them, that were not used since a server was first asked, by reason.
    #[serde(default)]
    pub(crate) ignored: dhcp::v6::Ignored,
}

/// An endpoint with all that the last replies of its DHCP servers said, as `landfall lease show` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LeaseDetails {
    /// The container's name, if it is known.
    pub(crate) name: Option<String>,
    /// What `landfall status` shows of it.
    pub(crate) endpoint: EndpointStatus,
    /// For how many seconds the DHCPv4 lease was granted; none: for ever, or there is no lease.
    pub(crate) lease_seconds: Option<u64>,
    /// All options of the last DHCPACK that are not in fields (1, 51, 54, 58, 59) and do not only concern the message (50, 53,
    /// 56, 61, 82), by code.
    pub(crate) options: Vec<ReplyOption>,
    /// All options of the last DHCPv6 Reply that are not in fields and do not only concern the message.
    pub(crate) ipv6_options: Vec<ReplyOption>,
}

/// An option as a server sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplyOption {
    /// Its code.
    pub(crate) code: u16,
    /// What the registries call it; none: it is a site's own, or hardly ever seen.
    pub(crate) name: Option<String>,
    /// What it says; none: it is not known how to read it.
    pub(crate) value: Option<wire::Value>,
    /// Its data in hexadecimal digits.
    pub(crate) data: String,
}

/// An IPv6 address as `landfall status` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ipv6AddressStatus {
    /// The address.
    pub(crate) address: Ipv6Addr,
    /// `slaac` or `dhcp`.
    pub(crate) origin: dhcp::ipv6::Origin,
    /// Until when it is used for new connections; none: for ever.
    pub(crate) preferred_until: Option<jiff::Timestamp>,
    /// Until when it may be used; none: for ever.
    pub(crate) valid_until: Option<jiff::Timestamp>,
}
