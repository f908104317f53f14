//! What stands between a segment and its DHCP server.

use std::time::Duration;

use net::{Link, Netlink, PortState};
use wire::MacAddr;

use crate::segments::{Access, is_own_link};
use crate::upstream::{self, Foreign};

/// How long a server may take to answer what is asked past the firewall, or in the host's own name: it may look for three seconds
/// whether an address is free. And how long at least, however long it was silent before.
const PATIENCE: Duration = Duration::from_millis(3500);
const LEAST: Duration = Duration::from_secs(1);
/// Until when a cause must be found: engines give up after 30 s.
const ALL: Duration = Duration::from_secs(27);

/// What explains the silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Spanning tree holds Landfall's port back.
    NotForwarding(PortState),
    /// The bridge leads nowhere: it has no port but Landfall's and containers'.
    NoUplink,
    /// The parent is without carrier.
    ParentDown,
    /// All ports that lead elsewhere are without carrier.
    UplinkDown(String),
    /// Of the ports that lead elsewhere none is in the VLAN.
    NotInVlan(u16),
    /// The same question asked past the host's firewall is answered.
    Firewall,
    /// One asked in the name of the bridge or the parent itself is answered.
    Foreign(Foreign),
}

impl Obstacle {
    /// What it is and what to do about it; `bridge`: the name of the bridge or the parent.
    pub(super) fn told(&self, bridge: &str) -> String {
        match self {
            Obstacle::NotForwarding(state) => format!(
                "Landfall's port on {bridge} is {state:?} and not forwarding yet, which takes up \
                 to 30 s with spanning tree: try again, or `ip link set {bridge} type bridge \
                 stp_state 0` or `forward_delay 200`"
            ),
            Obstacle::NoUplink => format!(
                "{bridge} has no port that leads to a LAN: `ip link set eth0 master {bridge}` \
                 with the name of your network card"
            ),
            Obstacle::UplinkDown(ports) => format!(
                "The ports that lead to the LAN ({ports}) are down or without carrier: look at \
                 the cable and `ip -br link show master {bridge}`"
            ),
            Obstacle::NotInVlan(vlan) => format!(
                "No port of {bridge} that leads to the LAN is in VLAN {vlan}: `bridge vlan add dev eth0 vid {vlan}` \
                 with the name of your network card (`bridge vlan show` lists them)"
            ),
            Obstacle::Firewall => format!(
                "The host's firewall drops bridged frames: net.bridge.bridge-nf-call-iptables \
                 is 1 and the FORWARD chain lets nothing through, while a server does answer \
                 past it. Let them pass with `iptables -I FORWARD -i {bridge} -o {bridge} -j \
                 ACCEPT`, or `sysctl net.bridge.bridge-nf-call-iptables=0`"
            ),
            Obstacle::Foreign(foreign) => {
                format!("But {}: {}", foreign.seen(bridge), foreign.advice())
            }
            Obstacle::ParentDown => format!(
                "{bridge} has no carrier: look at the cable and `ip -br link show {bridge}`"
            ),
        }
    }
}

/// Looks for what explains the silence on a bridge or a parent.
///
/// `landfall_port` is the index of Landfall's own port, or of the parent; `silent`: for how long there was no answer to `mac`.
pub(super) async fn find_obstacle(
    host: &Netlink,
    (bridge, access): (&str, Access),
    landfall_port: u32,
    mac: MacAddr,
    silent: Duration,
) -> Option<Obstacle> {
    let links = host.links().await.ok()?;
    let left = ALL.saturating_sub(silent).clamp(LEAST, PATIENCE);
    let bridge = links.iter().find(|link| link.name == bridge)?;
    if bridge.index == landfall_port {
        // A parent, whose children no firewall of the host's sees.
        return match access {
            _ if !bridge.carrier => Some(Obstacle::ParentDown),
            Access::ParentAlone => None,
            Access::Parent | Access::Bridge(_) => {
                foreign(host, bridge, &[bridge.index], mac, left).await
            }
        };
    }
    let port = links.iter().find(|link| link.index == landfall_port)?;
    if let Some(state) = port.port_state.filter(|state| *state != PortState::Forwarding) {
        return Some(Obstacle::NotForwarding(state));
    }
    let elsewhere: Vec<&Link> = links
        .iter()
        .filter(|link| link.master == Some(bridge.index) && !is_own_link(&link.name))
        .collect();
    if elsewhere.is_empty() {
        return Some(Obstacle::NoUplink);
    }
    if elsewhere.iter().all(|link| !link.carrier) {
        let names: Vec<&str> = elsewhere.iter().map(|link| link.name.as_str()).collect();
        return Some(Obstacle::UplinkDown(names.join(", ")));
    }
    if let Access::Bridge(Some(vlan)) = access {
        // What the host itself sends on the bridge is in another VLAN.
        let members = host.port_vlans().await.ok()?;
        let leads = elsewhere.iter().any(|link| members.contains(&(link.index, vlan)));
        return (!leads).then_some(Obstacle::NotInVlan(vlan));
    }
    let ports = links.iter().filter(|link| link.master == Some(bridge.index));
    let ports: Vec<u32> = ports.map(|link| link.index).collect();
    let filtered = net::sysctl::bridge_nf_call_iptables().unwrap_or(false);
    let (past_firewall, foreign) = tokio::join!(
        async {
            filtered && upstream::past_firewall(bridge.index, mac, left).await.unwrap_or(false)
        },
        foreign(host, bridge, &ports, mac, left),
    );
    if past_firewall { Some(Obstacle::Firewall) } else { foreign }
}

async fn foreign(
    host: &Netlink,
    link: &Link,
    ports: &[u32],
    mac: MacAddr,
    patience: Duration,
) -> Option<Obstacle> {
    upstream::judge(host, link, ports, mac, patience).await.map(Obstacle::Foreign)
}
