//! Whether another network of this host would fight with the bridge's.
//!
//! docker-net-dhcp asks Docker and refuses any second network on a bridge, which is a false alarm
//! more often than not. What breaks in truth is one subnet behind two bridges of the same host:
//! the kernel's routes send the answers the wrong way. The kernel's own links, addresses and
//! routes tell that, for Docker's networks as for libvirt's or Podman's.

use ipnet::{IpNet, Ipv4Net};
use net::{Address, Link};

/// The reason to refuse a bridge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Conflict {
    /// Docker gives out addresses on that bridge itself.
    #[error(
        "{0} is a bridge that Docker made for a network of its own, where no LAN's DHCP server answers: name the bridge that is connected to the LAN, or pass `-o ignore_conflicts=true`"
    )]
    DockersBridge(String),
    /// Two bridges of one host have overlapping subnets.
    #[error(
        "bridge {other} of this host has {other_subnet}, which overlaps with {subnet} of {bridge}: the host cannot tell the two apart. Give the network behind {other} another subnet, or pass `-o ignore_conflicts=true`"
    )]
    Overlap {
        /// The bridge asked for.
        bridge: String,
        /// Its subnet.
        subnet: Ipv4Net,
        /// The other bridge.
        other: String,
        /// Its subnet.
        other_subnet: Ipv4Net,
    },
}

/// Looks for what would fight with `bridge`.
pub(super) fn check(bridge: &Link, links: &[Link], addresses: &[Address]) -> Result<(), Conflict> {
    if is_dockers(&bridge.name) {
        return Err(Conflict::DockersBridge(bridge.name.clone()));
    }
    let subnets = |index| {
        addresses.iter().filter(move |a| a.ifindex == index).filter_map(|a| match a.address {
            IpNet::V4(net) => Some(net.trunc()),
            IpNet::V6(_) => None,
        })
    };
    let others = links
        .iter()
        .filter(|link| link.kind.as_deref() == Some("bridge") && link.index != bridge.index);
    for other in others {
        for subnet in subnets(bridge.index) {
            for other_subnet in subnets(other.index) {
                if subnet.contains(&other_subnet) || other_subnet.contains(&subnet) {
                    return Err(Conflict::Overlap {
                        bridge: bridge.name.clone(),
                        subnet,
                        other: other.name.clone(),
                        other_subnet,
                    });
                }
            }
        }
    }
    Ok(())
}

/// Docker names its bridges `docker0`, `docker_gwbridge` and `br-` with twelve hexadecimal digits
/// of the network's identifier.
fn is_dockers(name: &str) -> bool {
    let generated = name.strip_prefix("br-").is_some_and(|id| {
        id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    });
    generated || name == "docker0" || name == "docker_gwbridge"
}
