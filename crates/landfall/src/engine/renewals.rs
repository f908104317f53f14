//! What was renewed: nothing changes but times, in the store and in the container.
//!
//! Renewals come in crowds (a router's advertisement renews all containers of a LAN at once), and the sandboxes of
//! all that have come are visited in one go.

use dhcp::{ipv6, v4};

use super::Engine;
use super::ids::EndpointId;
use super::ipv6::wanted;
use super::sandbox::prolongation;
use super::sandbox_ipv6::{metric, prolongation6};
use super::worker::Joined;
use crate::fault::point;
use crate::segments::{Ipv6Event, LeaseEvent};

/// Endpoints, and what to prolong in the sandbox of each.
type Renewed<P> = Vec<(EndpointId, P)>;

impl Engine {
    /// Follows what happened to leases, in the order in which it happened.
    pub(super) async fn lease_events(&self, events: &mut Vec<LeaseEvent>) {
        let mut renewed = Renewed::new();
        for LeaseEvent { endpoint, event } in events.drain(..) {
            if let v4::Event::Renewed = event
                && let Some(prolongation) = self.renewed(&endpoint)
            {
                renewed.push((endpoint, prolongation));
            } else {
                self.prolong(&mut renewed).await;
                self.lease_event(&endpoint, event).await;
            }
        }
        self.prolong(&mut renewed).await;
    }

    /// The same for what happened to their IPv6.
    pub(super) async fn ipv6_events(&self, events: Vec<Ipv6Event>) {
        let mut renewed = Renewed::new();
        for Ipv6Event { endpoint, event } in events {
            if let ipv6::Event::Renewed = event
                && let Some(prolongation) = self.renewed6(&endpoint)
            {
                renewed.push((endpoint, prolongation));
            } else {
                self.prolong6(&mut renewed).await;
                self.ipv6_event(&endpoint, event).await;
            }
        }
        self.prolong6(&mut renewed).await;
    }

    /// Keeps the new times, and tells what to prolong in the sandbox; `None` if it is not known
    /// where the interface is there.
    fn renewed(&self, id: &EndpointId) -> Option<net::Prolongation> {
        let Joined { segment, mac, path, interface, .. } = self.joined(id)?;
        let lease = segment.view(mac)?.lease?;
        let prolongation = prolongation(&path, interface?.0, &lease).ok()?;
        tracing::debug!(endpoint = %id, %mac, address = %lease.address, "lease renewed");
        point("renew: acknowledged");
        self.lock().count(&v4::Event::Renewed);
        self.lease_happened(id, &v4::Event::Renewed);
        self.keep_later(id);
        point("renew: kept");
        Some(prolongation)
    }

    fn renewed6(&self, id: &EndpointId) -> Option<net::Prolongation6> {
        let Joined { segment, mac, network, path, interface, way_out, .. } = self.joined(id)?;
        let (ifindex, interface) = interface?;
        let wanted = wanted(&segment, mac, &network)?;
        let metric = metric(ifindex, &interface, way_out);
        let prolongation = prolongation6(&path, (ifindex, metric), &wanted).ok()?;
        tracing::debug!(endpoint = %id, %mac, "IPv6 renewed");
        self.keep_later(id);
        Some(prolongation)
    }

    async fn prolong(&self, renewed: &mut Renewed<net::Prolongation>) {
        if renewed.is_empty() {
            return;
        }
        let (ids, wanted): (Vec<_>, Vec<_>) = renewed.drain(..).unzip();
        let results = net::address::prolong_addresses(wanted).await;
        point("renew: applied");
        for id in not_found(ids, results) {
            self.lease_event(&id, v4::Event::Renewed).await;
        }
    }

    async fn prolong6(&self, renewed: &mut Renewed<net::Prolongation6>) {
        if renewed.is_empty() {
            return;
        }
        let (ids, wanted): (Vec<_>, Vec<_>) = renewed.drain(..).unzip();
        for id in not_found(ids, net::prolong_ipv6(wanted).await) {
            self.ipv6_event(&id, ipv6::Event::Renewed).await;
        }
    }
}

/// Whose interface was not where it was seen last, and is to be looked for.
fn not_found(
    ids: Vec<EndpointId>,
    results: net::Result<Vec<net::Result<()>>>,
) -> impl Iterator<Item = EndpointId> {
    let results = results.unwrap_or_else(|error| {
        tracing::error!(%error, "the containers do not have what was renewed");
        Vec::new()
    });
    ids.into_iter().zip(results).filter_map(|(id, result)| match result {
        Ok(()) => None,
        Err(error) if error.is_not_found() => Some(id),
        Err(error) => {
            tracing::error!(endpoint = %id, %error, "the container does not have what was renewed");
            None
        }
    })
}
