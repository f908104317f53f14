//! What happens to endpoints, for whoever follows it: `landfall events`, and the audit log of networks that have one.
//!
//! Nobody is waited for. What is told goes into one bounded row from which each reader takes at its own pace; one that is
//! too slow is told how many it has missed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dhcp::v4::{Event as Lease4, Loss};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use wire::MacAddr;

use super::changes::{Change, listed};
use super::ids::{EndpointId, NetworkId};
use super::{Endpoint, Engine, with_prefix};
use crate::store::NetworkRecord;

/// How many events a reader may be behind.
const ROOM: usize = 512;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The first line: from here on all is told.
    Following,
    /// This reader was too slow for so many events.
    Missed,
    NetworkMade,
    NetworkRemoved,
    EndpointMade,
    EndpointFailed,
    EndpointRemoved,
    /// Its link is up in its container.
    LinkUp,
    /// A lease where there was none.
    LeaseGranted,
    /// It went over to a container that came back.
    LeaseHandedOver,
    LeaseRenewed,
    LeaseChanged,
    LeaseExpired,
    /// It is over, and its address stays in use.
    LeaseOverdue,
    LeaseRefused,
    LeaseInConflict,
    /// Its container has ended; it waits for it to come back.
    LeaseHeld,
    LeaseReleased,
    #[serde(rename = "ipv6_changed")]
    Ipv6Changed,
    #[serde(rename = "ipv6_duplicate")]
    Ipv6Duplicate,
}

impl Kind {
    /// All there are.
    #[cfg(test)]
    pub(crate) const ALL: [Kind; 20] = [
        Kind::Following,
        Kind::Missed,
        Kind::NetworkMade,
        Kind::NetworkRemoved,
        Kind::EndpointMade,
        Kind::EndpointFailed,
        Kind::EndpointRemoved,
        Kind::LinkUp,
        Kind::LeaseGranted,
        Kind::LeaseHandedOver,
        Kind::LeaseRenewed,
        Kind::LeaseChanged,
        Kind::LeaseExpired,
        Kind::LeaseOverdue,
        Kind::LeaseRefused,
        Kind::LeaseInConflict,
        Kind::LeaseHeld,
        Kind::LeaseReleased,
        Kind::Ipv6Changed,
        Kind::Ipv6Duplicate,
    ];
}

/// An event, as `landfall events --json` prints it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    /// When it happened.
    pub(crate) time: Timestamp,
    /// What.
    pub(crate) event: Kind,
    /// Docker's identifier of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<NetworkId>,
    /// Docker's identifier of the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<EndpointId>,
    /// The container's name, identifier and host name, as far as they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host_name: Option<Box<str>>,
    /// The endpoint's MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<MacAddr>,
    /// The address that it is about: the leased one, with its prefix, or one of IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// The DHCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<Ipv4Addr>,
    /// The machine that has the address as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holder: Option<MacAddr>,
    /// What is another than before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
    /// In whose words it was refused, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// How many events there were that are not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missed: Option<u64>,
}

impl Event {
    pub(crate) fn of(event: Kind) -> Event {
        Event {
            time: Timestamp::now(),
            event,
            network: None,
            endpoint: None,
            name: None,
            container: None,
            host_name: None,
            mac: None,
            address: None,
            server: None,
            holder: None,
            changes: Vec::new(),
            reason: None,
            missed: None,
        }
    }

    fn of_endpoint(event: Kind, id: &EndpointId, endpoint: &Endpoint) -> Event {
        let lease = endpoint.lease();
        Event {
            network: Some(endpoint.network.id.clone()),
            endpoint: Some(id.clone()),
            name: endpoint.name.clone(),
            container: endpoint.container.clone(),
            host_name: endpoint.host_name.clone(),
            mac: Some(endpoint.mac),
            address: lease.as_ref().map(|lease| with_prefix(lease).to_string()),
            server: lease.map(|lease| lease.server),
            ..Event::of(event)
        }
    }
}

impl fmt::Display for Kind {
    /// For people: `lease renewed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = serde_json::to_value(self).unwrap_or_default();
        f.pad(&name.as_str().unwrap_or_default().replace('_', " "))
    }
}

impl fmt::Display for Event {
    /// A line for people, without its time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = [&self.name, &self.host_name, &self.container].into_iter().flatten().next();
        let who = who.map(|who| who.chars().take(40).collect::<String>());
        let of = |id: &str| id.chars().take(12).collect::<String>();
        let who = who.or_else(|| self.endpoint.as_ref().map(|id| of(id.as_str())));
        let who = who.or_else(|| self.network.as_ref().map(|id| of(id.as_str())));
        write!(f, "{:18} {:20}", self.event, who.unwrap_or_default())?;
        if let Some(address) = &self.address {
            write!(f, " {address}")?;
        }
        if let Some(mac) = &self.mac {
            write!(f, " MAC {mac}")?;
        }
        if let Some(server) = &self.server {
            write!(f, " server {server}")?;
        }
        if let Some(holder) = &self.holder {
            write!(f, " held by {holder}")?;
        }
        if !self.changes.is_empty() {
            write!(f, ": {}", listed(&self.changes))?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        if let Some(missed) = self.missed {
            write!(f, ": {missed} events, as they were not read in time")?;
        }
        Ok(())
    }
}

/// The row of those who follow.
pub(crate) struct Events(broadcast::Sender<Arc<Event>>);

impl Default for Events {
    fn default() -> Events {
        Events(broadcast::channel(ROOM).0)
    }
}

/// One who follows.
pub(crate) struct Follower(broadcast::Receiver<Arc<Event>>);

impl Follower {
    /// The next event, or that some were missed; `None` when the daemon ends.
    pub(crate) async fn next(&mut self) -> Option<Arc<Event>> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                Some(Arc::new(Event { missed: Some(missed), ..Event::of(Kind::Missed) }))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Events {
    /// One more who follows.
    pub(crate) fn follow(&self) -> Follower {
        Follower(self.0.subscribe())
    }

    /// Whether anybody follows.
    fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Tells those who follow.
    pub(crate) fn tell(&self, event: Event) {
        // Nobody may follow by now.
        let _ = self.0.send(Arc::new(event));
    }
}

impl Engine {
    /// Everything that happens from now on.
    pub(crate) fn follow(&self) -> Follower {
        self.0.events.follow()
    }

    /// Tells of something that happened to an endpoint.
    pub(super) fn happened(&self, id: &EndpointId, kind: Kind) {
        self.happened_with(id, kind, |_| {});
    }

    /// The same with more to say; `more` is not asked if nobody would hear it.
    pub(super) fn happened_with(&self, id: &EndpointId, kind: Kind, more: impl FnOnce(&mut Event)) {
        let (network, mut event) = {
            let state = self.lock();
            let Some(endpoint) = state.endpoints.get(id) else { return };
            if !self.is_heard(&endpoint.network) {
                return;
            }
            (endpoint.network.clone(), Event::of_endpoint(kind, id, endpoint))
        };
        more(&mut event);
        self.tell_of(&network, event);
    }

    /// Tells of an endpoint that is no more, or of what became of a network.
    pub(super) fn happened_on(
        &self,
        network: &NetworkRecord,
        kind: Kind,
        more: impl FnOnce(&mut Event),
    ) {
        if self.is_heard(network) {
            let mut event = Event { network: Some(network.id.clone()), ..Event::of(kind) };
            more(&mut event);
            self.tell_of(network, event);
        }
    }

    /// Whether anybody would hear of what happens on a network.
    fn is_heard(&self, network: &NetworkRecord) -> bool {
        network.options.audit_log || self.0.events.is_heard()
    }

    fn tell_of(&self, network: &NetworkRecord, event: Event) {
        if network.options.audit_log {
            match serde_json::to_string(&event) {
                Ok(line) => self.0.audit.write(line),
                Err(error) => tracing::error!(%error, ?event, "not in the audit log"),
            }
        }
        self.0.events.tell(event);
    }

    /// Tells what a DHCPv4 client has told of its lease.
    pub(super) fn lease_happened(&self, id: &EndpointId, what: &Lease4) {
        let kind = match what {
            Lease4::Bound => Kind::LeaseGranted,
            Lease4::Renewed => Kind::LeaseRenewed,
            Lease4::Changed { .. } => Kind::LeaseChanged,
            Lease4::Overdue => Kind::LeaseOverdue,
            Lease4::Lost { why: Loss::Expired, .. } => Kind::LeaseExpired,
            Lease4::Lost { why: Loss::Nak { .. }, .. } => Kind::LeaseRefused,
            Lease4::Lost { why: Loss::Conflict { .. }, .. } => Kind::LeaseInConflict,
            Lease4::Released | Lease4::Ipv6Only => return,
        };
        self.happened_with(id, kind, |event| match what {
            Lease4::Changed { old } => event.changes = self.changes_of(id, old),
            Lease4::Lost { old, why } => {
                event.address = Some(with_prefix(old).to_string());
                event.server = Some(old.server);
                match why {
                    Loss::Nak { server, message } => {
                        event.server = Some(*server);
                        event.reason = message.as_deref().map(Into::into);
                    }
                    Loss::Conflict { holder } => event.holder = Some(*holder),
                    Loss::Expired => {}
                }
            }
            _ => {}
        });
    }

    /// Tells of an address that another machine has.
    pub(super) fn duplicate_happened(&self, id: &EndpointId, address: IpAddr, holder: MacAddr) {
        self.happened_with(id, Kind::Ipv6Duplicate, |event| {
            event.address = Some(address.to_string());
            event.holder = Some(holder);
            event.server = None;
        });
    }
}
