//! The port: Landfall's own link on a bridge, and what is the same on a parent (`parent`).
//!
//! A veth whose outer end is a bridge port that learns nothing, and whose inner end holds the
//! packet socket in a namespace of Landfall's own, where nobody answers ARP for the host.

use std::path::PathBuf;
use std::time::Duration;

use net::{BridgePort, Link, LinkWatch, Netlink, Netns, Peer, PortState, Veth};
use wire::MacAddr;

use super::hearing::Hearing;
use super::line::Line;

/// Why there is no port on a bridge or a parent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    /// No link has that name.
    #[error(
        "there is no interface {0} on this host: make the bridge first (`ip link add {0} type bridge`), or name another with `-o bridge=`; `ip -br link show type bridge` lists those there are"
    )]
    Missing(String),
    /// The link is something else.
    #[error(
        "{name} is not a bridge but {kind}: Landfall needs a bridge that {name} is a port of (`ip link add br0 type bridge; ip link set {name} master br0`)"
    )]
    NotABridge {
        /// The link.
        name: String,
        /// What it is.
        kind: String,
    },
    /// The bridge is switched off.
    #[error("bridge {0} is down: `ip link set {0} up`")]
    Down(String),
    /// No link has the name of the parent.
    #[error(
        "there is no interface {0} on this host: name the network card that is connected to the LAN with `-o parent=` (`ip -br link` lists those there are)"
    )]
    NoParent(String),
    /// The link cannot be a parent.
    #[error("{name} {why}, so it cannot be a parent: {instead}")]
    Unfit {
        /// The link.
        name: String,
        /// What of it.
        why: String,
        /// What to write instead.
        instead: String,
    },
    /// The bridge does not keep VLANs apart.
    #[error(
        "bridge {bridge} does not keep VLANs apart, so there is no VLAN {id} on it: `ip link set {bridge} type bridge vlan_filtering 1` if its ports are members of VLANs (`bridge vlan show`), or leave out `vlan` and name a bridge or a parent that is in VLAN {id}, as in `-o mode=macvlan -o parent=eth0.{id}`"
    )]
    NotFiltering {
        /// The bridge.
        bridge: String,
        /// The VLAN.
        id: u16,
    },
    /// No VLAN has that number.
    #[error(
        "there is no interface {interface} on this host, and none of a VLAN {id} can be made: a VLAN has a number from 1 to 4094, as in `-o parent=eth0.30`"
    )]
    NoSuchVlan {
        /// As it was written.
        interface: String,
        /// The number in it.
        id: String,
    },
    /// The kernel makes no interfaces of VLANs, or not on that link.
    #[error(
        "the interface {interface} cannot be made: the kernel has no VLANs (`modprobe 8021q`), or {lower} takes none"
    )]
    NoVlans {
        /// The interface.
        interface: String,
        /// What it would stand on.
        lower: String,
    },
    /// The parent is switched off.
    #[error("parent {0} is down: `ip link set {0} up`")]
    ParentDown(String),
    /// Something else takes what comes in at the parent.
    #[error(
        "{0} is in use by something that admits no child of this kind beside it: a network card has macvlan children, or one in the mode passthru, or ipvlan children. Remove those that are there (Docker's networks with the drivers ipvlan and macvlan, networks with another `mode`; `ip -d link`), or name another interface with `-o parent=`"
    )]
    Taken(String),
    /// There is no room for another port.
    #[error(
        "bridge {0} has all of the {most} ports that the kernel allows, and Landfall needs one of its own: remove containers that are on it, or name another with `-o bridge=` (`ip link show master {0}` lists the ports)",
        most = net::MOST_BRIDGE_PORTS
    )]
    Full(String),
    /// The kernel refused.
    #[error("cannot put Landfall's port on {interface}: {source}")]
    Kernel {
        /// The bridge or the parent.
        interface: String,
        /// What the kernel said.
        source: net::Error,
    },
}

/// A port, open for frames.
pub(super) struct Port {
    /// The link in the host's namespace with which it comes and goes: the outer end, on a bridge; or the
    /// parent itself.
    pub(super) seen: u32,
    /// Landfall's child of the parent, in its own namespace.
    pub(super) own_child: Option<u32>,
    /// The parent's MAC, where the endpoints have it.
    pub(super) shared_mac: Option<MacAddr>,
    /// Reads and writes there.
    pub(super) line: Line,
    /// What it hears.
    pub(super) hearing: Hearing,
}

/// Multicast router port, permanently (`MDB_RTR_TYPE_PERM`): with snooping on, neighbour
/// solicitations reach the port only so.
const MULTICAST_ROUTER: u8 = 2;

/// How long the kernel may take to put a new port into operation.
pub(super) const OPENING: Duration = Duration::from_secs(2);

/// Landfall's own network namespace: named, so that it outlives this process and a port that has
/// passed through the spanning tree's delay need not do so again.
pub(super) fn home(instance: &str) -> Result<Netns, net::Error> {
    let path = PathBuf::from(format!("/run/netns/landfall-{instance}"));
    let (home, created) = Netns::open_or_create_persistent(&path)?;
    tracing::debug!(path = %path.display(), created, "namespace of the ports");
    if let Err(error) = net::sysctl::disable_ipv6_of_new_links(&home) {
        // The LAN hears a few multicast packets more: no reason to serve nobody.
        tracing::warn!(%error, "the ports will speak IPv6 by themselves");
    }
    Ok(home)
}

/// The name of a port: of the daemon with that instance, on the bridge or parent with that index; on a bridge that keeps VLANs
/// apart, in one of them. Both are then in hexadecimal, as a name has 15 bytes.
pub(super) fn name(instance: &str, interface: u32, vlan: Option<u16>) -> String {
    match vlan {
        None => format!("{}{interface}", prefixes(instance)[0]),
        Some(vlan) => format!("{}{vlan:03x}{interface:x}", prefixes(instance)[1]),
    }
}

/// Whether a link is a port of the daemon with that instance.
pub(super) fn is_port(name: &str, instance: &str) -> bool {
    prefixes(instance).iter().any(|prefix| name.starts_with(prefix))
}

fn prefixes(instance: &str) -> [String; 2] {
    [format!("lfp-{instance}-"), format!("lfv{instance}")]
}

/// Whether it is the name of a link that a daemon made on a bridge: for an endpoint, or a port. It leads to no LAN.
pub(crate) fn is_own_link(name: &str) -> bool {
    let hex = |text: &str| text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.starts_with("lf-") || name.starts_with("lfp-") || name.strip_prefix("lfv").is_some_and(hex)
}

/// Finds a bridge, of which a VLAN may be wanted.
pub(super) async fn find_bridge(
    host: &Netlink,
    name: &str,
    vlan: Option<u16>,
) -> Result<Link, PortError> {
    let kernel = |source| PortError::Kernel { interface: name.to_owned(), source };
    let link = host.link(name).await.map_err(kernel)?;
    let link = link.ok_or_else(|| PortError::Missing(name.to_owned()))?;
    if link.kind.as_deref() != Some("bridge") {
        let kind = match link.kind {
            Some(kind) => format!("of the kind {kind}"),
            None => "a plain interface".to_owned(),
        };
        return Err(PortError::NotABridge { name: link.name, kind });
    }
    if let Some(id) = vlan
        && !link.bridge.as_ref().is_some_and(|bridge| bridge.vlan_filtering)
    {
        return Err(PortError::NotFiltering { bridge: link.name, id });
    }
    Ok(link)
}

/// Adopts the port of an earlier run, or makes one.
pub(super) async fn open(
    host: &Netlink,
    home: &Netns,
    home_links: &Netlink,
    instance: &str,
    (bridge, vlan): (&Link, Option<u16>),
) -> Result<Port, PortError> {
    let kernel = |source| PortError::Kernel { interface: bridge.name.clone(), source };
    let name = name(instance, bridge.index, vlan);
    let (outer, inner) = match adopt(host, home_links, &name, bridge).await.map_err(kernel)? {
        Some(ends) => ends,
        None => make(host, home, instance, &name, (bridge, vlan)).await.map_err(|source| {
            if source.is_bridge_full() {
                PortError::Full(bridge.name.clone())
            } else {
                kernel(source)
            }
        })?,
    };
    let settings = BridgePort {
        learning: Some(false),
        multicast_router: Some(MULTICAST_ROUTER),
        ..BridgePort::default()
    };
    host.set_bridge_port(outer, settings).await.map_err(kernel)?;
    enter_vlan(host, outer, bridge, vlan).await.map_err(kernel)?;
    host.set_up(outer).await.map_err(kernel)?;
    if bridge.up {
        // On one that is down no port forwards.
        wait_until_open(host, home, home_links, outer, inner).await.map_err(kernel)?;
    }
    let line = Line::at_port(home, inner).map_err(kernel)?;
    let hearing = Hearing::of(line.hears(), &bridge.name).map_err(kernel)?;
    if let Some(link) = host.link_by_index(outer).await.map_err(kernel)?
        && link.port_state.is_some_and(|state| state != PortState::Forwarding)
    {
        tracing::warn!(
            bridge = bridge.name, port = name, state = ?link.port_state,
            "the port is not forwarding yet: spanning tree is on, which takes up to 30 s once"
        );
    }
    Ok(Port { seen: outer, own_child: None, shared_mac: None, line, hearing })
}

/// Makes a port of a bridge a member of the VLAN, if one is wanted, and of no other.
pub(crate) async fn enter_vlan(
    host: &Netlink,
    port: u32,
    bridge: &Link,
    vlan: Option<u16>,
) -> net::Result<()> {
    let Some(vlan) = vlan else { return Ok(()) };
    // That of which the kernel makes new ports members.
    let default = bridge.bridge.as_ref().map_or(0, |bridge| bridge.default_pvid);
    host.set_port_vlan(port, vlan, default).await
}

async fn adopt(
    host: &Netlink,
    home_links: &Netlink,
    name: &str,
    bridge: &Link,
) -> Result<Option<(u32, u32)>, net::Error> {
    let (Some(outer), inner) = (host.link(name).await?, home_links.link(name).await?) else {
        return Ok(None);
    };
    match inner {
        Some(inner) if outer.master == Some(bridge.index) && outer.mtu == bridge.mtu => {
            home_links.set_up(inner.index).await?;
            Ok(Some((outer.index, inner.index)))
        }
        // Half a port, or one of a bridge that was deleted and whose index is in use again.
        _ => {
            host.delete_link(outer.index).await?;
            Ok(None)
        }
    }
}

async fn make(
    host: &Netlink,
    home: &Netns,
    instance: &str,
    name: &str,
    (bridge, vlan): (&Link, Option<u16>),
) -> Result<(u32, u32), net::Error> {
    host.create_veth(&Veth {
        name: name.to_owned(),
        mac: port_mac(instance, bridge.index, vlan),
        mtu: bridge.mtu,
        master: Some(bridge.index),
        up: true,
        peer: Peer {
            name: name.to_owned(),
            mac: None,
            mtu: Some(bridge.mtu),
            netns: Some(home.clone()),
            up: true,
            arp: false,
        },
    })
    .await
}

/// Waits until frames pass between the port's ends and the bridge. The kernel takes note of a new
/// link's carrier some milliseconds late and silently drops what is sent before: without this, the
/// first DISCOVER after the port was made is lost, and costs its sender a second.
async fn wait_until_open(
    host: &Netlink,
    home: &Netns,
    home_links: &Netlink,
    outer: u32,
    inner: u32,
) -> Result<(), net::Error> {
    // Before the first look, so that no change is missed.
    let (mut here, mut at_home) = (LinkWatch::here()?, LinkWatch::in_netns(home)?);
    let open = async {
        loop {
            let (outer, inner) =
                (host.link_by_index(outer).await?, home_links.link_by_index(inner).await?);
            // Under spanning tree it is not disabled any more, and forwards much later.
            if outer.is_none_or(|link| link.port_state != Some(PortState::Disabled))
                && inner.is_none_or(|link| link.operational)
            {
                return Ok(());
            }
            tokio::select! {
                change = here.next() => change?,
                change = at_home.next() => change?,
            };
        }
    };
    tokio::time::timeout(OPENING, open).await.unwrap_or_else(|_| {
        tracing::warn!(port = outer, "the port is not in operation after {OPENING:?}");
        Ok(())
    })
}

/// `fe:` is the highest locally administered unicast prefix: a bridge without a MAC of its own
/// takes the lowest of its ports', so ours never becomes the bridge's.
fn port_mac(instance: &str, bridge: u32, vlan: Option<u16>) -> MacAddr {
    let [a, b] = u16::from_str_radix(instance, 16).unwrap_or_default().to_be_bytes();
    let [_, c, d, e] = (bridge ^ (u32::from(vlan.unwrap_or(0)) << 12)).to_be_bytes();
    MacAddr([0xfe, a, b, c, d, e])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_from_others_by_name() {
        assert_eq!(name("4f2a", 3, None), "lfp-4f2a-3");
        assert_eq!(name("4f2a", 3, Some(30)), "lfv4f2a01e3");
        assert_eq!(name("4f2a", 0xf_ffff, Some(4094)), "lfv4f2affefffff");
        for port in [name("4f2a", 3, None), name("4f2a", 3, Some(30))] {
            assert!(port.len() <= 15 && is_port(&port, "4f2a") && is_own_link(&port), "{port}");
            assert!(!is_port(&port, "4f2b"), "{port}");
        }
        assert!(is_own_link("lf-0123456789ab"));
        assert!(!is_own_link("lfvirtual0") && !is_own_link("eth0"));
    }
}
