//! Why there is no lease: what was seen, turned into what to do.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp::v4::Progress;
use ipnet::Ipv4Net;
use wire::MacAddr;

use super::ids::{EndpointId, NetworkId};
use super::obstacle::Obstacle;
use crate::segments::Access;

/// A start that ended without a lease: where, what was seen, and what stands in the way.
#[derive(Debug)]
pub(crate) struct NoLease {
    pub(super) network: NetworkId,
    /// None where the network itself was to be made.
    pub(super) endpoint: Option<EndpointId>,
    pub(super) bridge: String,
    pub(super) mac: MacAddr,
    pub(super) access: Access,
    /// Whether no other container may be on the parent.
    pub(super) is_only_one: bool,
    pub(super) patience: Duration,
    /// The only address that would have done.
    pub(super) required: Option<Ipv4Addr>,
    pub(super) progress: Progress,
    pub(super) obstacle: Option<Obstacle>,
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
            Some(obstacle) => f.write_str(&obstacle.told(bridge)),
            None if self.access == Access::Parent => write!(
                f,
                "Is {bridge} connected to the LAN? There is no sign that one MAC only is let pass there. A server on this host itself is out of \
                 reach of macvlan children: use a bridge (`-o bridge=`). A slow server needs `-o lease_timeout=25s`"
            ),
            None if self.access == Access::ParentAlone && self.is_only_one => write!(
                f,
                "Is {bridge} connected to the LAN? A server on this host itself is out of reach there: use a bridge \
                 (`-o bridge=`). A slow server needs `-o lease_timeout=25s`"
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
