//! Why there is no lease: what was seen, turned into what to do.

use std::fmt;
use std::time::Duration;

use dhcp::v4::Progress;
use ipnet::Ipv4Net;
use net::{Filter, Link, Netlink, PacketSocket, PortState, Sees};
use std::net::Ipv4Addr;
use wire::MacAddr;

use super::ids::{EndpointId, NetworkId};
use crate::segments::{Access, is_own_link};
use crate::upstream::{self, Foreign};

/// How long the server may take to answer the question that is asked past the firewall.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// A start that ended without a lease: where, what was seen, and what stands in the way.
#[derive(Debug)]
pub(crate) struct NoLease {
    pub(super) network: NetworkId,
    /// None where the network itself was to be made.
    pub(super) endpoint: Option<EndpointId>,
    pub(super) bridge: String,
    pub(super) mac: MacAddr,
    pub(super) access: Access,
    pub(super) patience: Duration,
    /// The only address that would have done.
    pub(super) required: Option<Ipv4Addr>,
    pub(super) progress: Progress,
    pub(super) obstacle: Option<Obstacle>,
}

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

impl fmt::Display for NoLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, bridge, mac, progress, access, .. } = self;
        let vlan = match access {
            Access::Bridge(Some(vlan)) => format!(" in VLAN {vlan}"),
            _ => String::new(),
        };
        let endpoint =
            self.endpoint.as_ref().map(|id| format!(", endpoint {id}")).unwrap_or_default();
        let patience = self.patience.as_secs_f64();
        if progress.offers == 0 {
            write!(f, "no DHCP server answered on {bridge}{vlan} within {patience}s")?;
            write!(f, " (network {network}{endpoint}): ")?;
            if progress.discovers + progress.requests == 0 {
                return write!(
                    f,
                    "other containers that came back with it asked first, and had no answer. Look for the server; \
                     start it again"
                );
            }
            write!(f, "{} DISCOVERs sent from {mac}", progress.discovers)?;
            match progress.ignored().total() {
                0 => write!(f, ", nothing heard. ")?,
                n => write!(f, ", {n} replies heard that no client may take. ")?,
            }
        } else if let (Some(required), Some(offered), None) =
            (self.required, progress.last_offer, progress.last_conflict)
            && offered.address != required
        {
            let (server, address) = (offered.server, offered.address);
            write!(
                f,
                "the DHCP server {server} on {bridge} offered {address} and not {required}, which"
            )?;
            write!(f, " `ip={required}` asks for (network {network}{endpoint}, MAC {mac})")?;
            let subnet =
                Ipv4Net::new(address, offered.prefix_len).unwrap_or(address.into()).trunc();
            if !subnet.contains(&required) {
                return write!(
                    f,
                    ". It is not of the LAN's subnet {subnet}: write an address of that which the server may give \
                     out, or leave `ip` out"
                );
            }
            return write!(
                f,
                ". Another client may have it, or the server may not give it out: look into its leases and its \
                 pool, reserve it there for this container, or leave `ip` out"
            );
        } else if let Some(nak) = progress.last_nak.as_ref() {
            write!(f, "the DHCP server {} on {bridge} refused (NAK)", nak.server)?;
            write!(f, " (network {network}{endpoint}, MAC {mac})")?;
            if let Some(message) = &nak.message {
                write!(f, ": {message:?}")?;
            }
            return write!(f, ". Look into the server's log and its pool");
        } else if let Some(conflict) = progress.last_conflict {
            let (address, holder) = (conflict.address, conflict.holder);
            write!(f, "the DHCP servers on {bridge} give addresses that are in use")?;
            write!(f, " (network {network}{endpoint}, MAC {mac}): ")?;
            write!(f, "{} declined within {patience}s, at last {address}", progress.declines)?;
            return write!(
                f,
                ", which the machine with the MAC {holder} answers for. Give that one a reservation \
                 or an address outside the pool; `-o conflict_check=off` takes addresses unseen"
            );
        } else {
            write!(f, "a DHCP server on {bridge} offered an address but did not acknowledge it")?;
            write!(f, " within {patience}s (network {network}{endpoint}, MAC {mac}): ")?;
            write!(f, "{} OFFERs, {} REQUESTs. ", progress.offers, progress.requests)?;
            return write!(
                f,
                "Its pool may be exhausted or another server may be in its way: look into its log"
            );
        }
        match &self.obstacle {
            Some(Obstacle::NotForwarding(state)) => write!(
                f,
                "Landfall's port on {bridge} is {state:?} and not forwarding yet, which takes up \
                 to 30 s with spanning tree: try again, or `ip link set {bridge} type bridge \
                 stp_state 0` or `forward_delay 200`"
            ),
            Some(Obstacle::NoUplink) => write!(
                f,
                "{bridge} has no port that leads to a LAN: `ip link set eth0 master {bridge}` \
                 with the name of your network card"
            ),
            Some(Obstacle::UplinkDown(ports)) => write!(
                f,
                "The ports that lead to the LAN ({ports}) are down or without carrier: look at \
                 the cable and `ip -br link show master {bridge}`"
            ),
            Some(Obstacle::NotInVlan(vlan)) => write!(
                f,
                "No port of {bridge} that leads to the LAN is in VLAN {vlan}: `bridge vlan add dev eth0 vid {vlan}` \
                 with the name of your network card (`bridge vlan show` lists them)"
            ),
            Some(Obstacle::Firewall) => write!(
                f,
                "The host's firewall drops bridged frames: net.bridge.bridge-nf-call-iptables \
                 is 1 and the FORWARD chain lets nothing through, while a server does answer \
                 past it. Let them pass with `iptables -I FORWARD -i {bridge} -o {bridge} -j \
                 ACCEPT`, or `sysctl net.bridge.bridge-nf-call-iptables=0`"
            ),
            Some(Obstacle::Foreign(foreign)) => {
                write!(f, "But {}: {}", foreign.seen(bridge), foreign.advice())
            }
            Some(Obstacle::ParentDown) => write!(
                f,
                "{bridge} has no carrier: look at the cable and `ip -br link show {bridge}`"
            ),
            None if self.access == Access::Parent => write!(
                f,
                "Is {bridge} connected to the LAN? No server answers its own MAC either. A server on this host itself is out of \
                 reach of macvlan children: use a bridge (`-o bridge=`). A slow server needs `-o lease_timeout=25s`"
            ),
            None if self.access == Access::ParentAlone => write!(
                f,
                "Is {bridge} connected to the LAN? The server must not tell its clients apart by MAC alone, as all \
                 have that of {bridge}, nor be on this host: use a bridge for that (`-o bridge=`). A slow server \
                 needs `-o lease_timeout=25s`"
            ),
            None => write!(
                f,
                "Is {bridge} connected to the LAN (`ip link show master {bridge}`)? A slow \
                 server needs `-o lease_timeout=25s`; more than that needs `docker plugin \
                 enable --timeout 90` as well (the engine gives up after 30s)"
            ),
        }
    }
}

impl std::error::Error for NoLease {}

/// Looks for what explains the silence on a bridge or a parent.
///
/// `landfall_port` is the index of Landfall's own port, or of the parent.
pub(super) async fn find_obstacle(
    host: &Netlink,
    (bridge, access): (&str, Access),
    landfall_port: u32,
    mac: MacAddr,
) -> Option<Obstacle> {
    let links = host.links().await.ok()?;
    let bridge = links.iter().find(|link| link.name == bridge)?;
    if bridge.index == landfall_port {
        // A parent, whose children no firewall of the host's sees.
        return match access {
            _ if !bridge.carrier => Some(Obstacle::ParentDown),
            Access::ParentAlone => None,
            Access::Parent | Access::Bridge(_) => foreign(host, bridge, &[bridge.index], mac).await,
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
    if net::sysctl::bridge_nf_call_iptables().unwrap_or(false)
        && answers_past_firewall(bridge.index, mac).await
    {
        return Some(Obstacle::Firewall);
    }
    let uplinks = elsewhere.iter().filter(|link| link.carrier).map(|link| link.index);
    foreign(host, bridge, &uplinks.collect::<Vec<_>>(), mac).await
}

async fn foreign(host: &Netlink, link: &Link, ports: &[u32], mac: MacAddr) -> Option<Obstacle> {
    upstream::judge(host, link, ports, mac).await.map(Obstacle::Foreign)
}

/// Asks for an address on the bridge device itself: what the host sends there is not forwarded,
/// so a firewall for forwarded frames does not see it. An answer means that the LAN is fine.
async fn answers_past_firewall(bridge: u32, mac: MacAddr) -> bool {
    let Ok(socket) = PacketSocket::open(bridge, &Filter::dhcp4_replies(), Sees::Incoming) else {
        return false;
    };
    let asked = upstream::offers(&socket, (mac, None), 1, PROBE_PATIENCE).await;
    asked.is_ok_and(|offers| !offers.is_empty())
}
