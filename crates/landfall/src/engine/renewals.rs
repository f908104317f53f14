//! Leases that were prolonged: nothing changes but their times, in the store and in the container.
//!
//! They come in crowds, and the sandboxes of all that have come are visited in one go.

use dhcp::v4::Event;

use super::ids::EndpointId;
use super::worker::Joined;
use super::{Engine, sandbox};
use crate::fault::point;
use crate::segments::LeaseEvent;

impl Engine {
    /// Follows what happened to leases, in the order in which it happened.
    pub(super) async fn lease_events(&self, events: &mut Vec<LeaseEvent>) {
        let mut renewed = Vec::new();
        for LeaseEvent { endpoint, event } in events.drain(..) {
            if let Event::Renewed = event
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

    /// Keeps the new times, and tells what to prolong in the sandbox; `None` if it is not known
    /// where the interface is there.
    fn renewed(&self, id: &EndpointId) -> Option<net::Prolongation> {
        let Joined { segment, mac, path, ifindex, .. } = self.joined(id)?;
        let lease = segment.view(mac)?.lease?;
        let prolongation = sandbox::prolongation(&path, ifindex?, &lease).ok()?;
        tracing::debug!(endpoint = %id, %mac, address = %lease.address, "lease renewed");
        point("renew: acknowledged");
        self.lock().count(&Event::Renewed);
        self.keep_later(id);
        point("renew: kept");
        Some(prolongation)
    }

    async fn prolong(&self, renewed: &mut Vec<(EndpointId, net::Prolongation)>) {
        if renewed.is_empty() {
            return;
        }
        let (ids, wanted): (Vec<_>, Vec<_>) = renewed.drain(..).unzip();
        let results = match net::address::prolong_addresses(wanted).await {
            Ok(results) => results,
            Err(error) => {
                tracing::error!(%error, "the containers do not have what their leases say");
                return;
            }
        };
        point("renew: applied");
        for (id, result) in ids.iter().zip(results) {
            match result {
                Ok(()) => {}
                // Not where it was seen last: looked for.
                Err(error) if error.is_not_found() => self.lease_event(id, Event::Renewed).await,
                Err(error) => tracing::error!(
                    endpoint = %id, %error, "the container does not have what its lease says"
                ),
            }
        }
    }
}
