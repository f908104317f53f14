//! What is kept, as it lies in the store: JSON with a version, one record a network, endpoint or name.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use dhcp::Instant;
use dhcp::ipv6::Saved;
use dhcp::v4::Lease;
use ipnet::{Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wire::MacAddr;

use crate::engine::endpoint_options::EndpointOptions;
use crate::engine::ids::{EndpointId, NetworkId};
use crate::engine::options::{Options, is_default};

/// A network: Docker tells of it once and never again (engine-side: there is no call that lists
/// a driver's networks), so everything of it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NetworkRecord {
    /// Docker's identifier.
    pub(crate) id: NetworkId,
    /// The options as parsed.
    pub(crate) options: Options,
    /// `--internal`: no gateway is given to containers.
    pub(crate) internal: bool,
    /// The subnet of the addresses that Docker asks for before it makes endpoints; none: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<Ipv4Net>,
    /// Whether another driver makes its links. Such a network stands for its pool and is never stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) apart: bool,
}

/// How far an endpoint has come. Written before the step that it names is taken, so that a
/// daemon that died in the middle knows what there may be to undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Its link is being made and its lease asked for.
    Creating,
    /// It has a lease that Docker has asked for ahead, and no link yet.
    Leased,
    /// It has a link and a lease; no sandbox holds the link yet.
    Created,
    /// It was handed to the sandbox whose network namespace has this path.
    Joined(PathBuf),
    /// Its container has ended. Its lease is held until then, should the container come back.
    Held(Instant),
    /// Its lease is being released.
    Releasing,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndpointRecord {
    /// Docker's identifier.
    pub(crate) id: EndpointId,
    /// Its network.
    pub(crate) network: NetworkId,
    /// How far it has come.
    pub(crate) phase: Phase,
    /// Its MAC.
    pub(crate) mac: MacAddr,
    /// What its user asked for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) options: EndpointOptions,
    /// The address that Docker was told and goes on to show.
    pub(crate) told: Option<Ipv4Net>,
    /// The router that Docker was told and will try to remove.
    pub(crate) told_gateway: Option<Ipv4Addr>,
    /// Its lease.
    pub(crate) lease: Option<StoredLease>,
    /// The host name that its DHCP client sends.
    pub(crate) host_name: Option<Box<str>>,
    /// Docker's identifier of its container.
    pub(crate) container: Option<Box<str>>,
    /// The container's name.
    #[serde(default)]
    pub(crate) name: Option<Box<str>>,
    /// Whether the container was seen in the sandbox, and not only taken for the one that starts.
    #[serde(default = "seen")]
    pub(crate) confirmed: bool,
    /// Whether it has gone on with the lease of an earlier endpoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) claimed: bool,
    /// Whether it was made in advance, for a container that is yet to come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) spare: bool,
    /// The IPv6 address that Docker was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) told6: Option<Ipv6Net>,
    /// Whether Docker has chosen it for its container's default route.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) way_out: bool,
    /// Its IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6: Option<Box<StoredIpv6>>,
}

/// What a container's name had, and has again: the MAC that it was given out of those in stock, or its own; the addresses that
/// it gave back last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NameRecord {
    /// The segment and the name, as [`NameRecord::key`] joins them.
    pub(crate) key: Box<str>,
    /// The MAC.
    pub(crate) mac: MacAddr,
    /// The address, which it would like to have again: not every server remembers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<Ipv4Addr>,
    /// The one that a DHCPv6 server gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address6: Option<Ipv6Addr>,
    /// When it was last asked for.
    pub(crate) used: Timestamp,
}

impl NameRecord {
    /// What a name on a segment is kept under.
    pub(crate) fn key(segment: &str, name: &str) -> Box<str> {
        // No interface's name has a slash in it, nor has a VLAN's number.
        format!("{segment}/{name}").into()
    }
}

/// Records of version 1 have nothing else.
fn seen() -> bool {
    true
}

/// An endpoint's IPv6, with what it takes to read its times in another process or after a reboot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredIpv6 {
    /// All of it; its instants count from the boot named below.
    pub(crate) saved: Saved,
    /// `/proc/sys/kernel/random/boot_id` of the boot in which it was written.
    pub(crate) boot_id: Box<str>,
    /// When it was written, by that boot's clock.
    pub(crate) at: Instant,
    /// And by the wall clock.
    pub(crate) written: Timestamp,
}

/// A lease, with what it takes to read its times in another process or after a reboot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredLease {
    /// The lease; its instants count from the boot named below.
    pub(crate) lease: Lease,
    /// `/proc/sys/kernel/random/boot_id` of the boot in which it was written.
    pub(crate) boot_id: Box<str>,
    /// Wall-clock time at which the lease began.
    pub(crate) obtained: Timestamp,
}
