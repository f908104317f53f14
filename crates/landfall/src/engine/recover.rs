//! Going on where an earlier run stopped.

use std::collections::HashMap;
use std::sync::Arc;

use net::Link;

use super::ids::NetworkId;
use super::{Endpoint, Engine, Error, host_link};
use crate::segments::AcquireError;
use crate::store::{Change, EndpointRecord, Loaded, NetworkRecord, Phase};

impl Engine {
    /// Adopts what is alive, and finishes or undoes what an earlier run left halfway.
    pub(super) async fn recover(&self, loaded: Loaded) -> Result<(), Error> {
        let networks: HashMap<NetworkId, Arc<NetworkRecord>> =
            loaded.networks.into_iter().map(|n| (n.id.clone(), Arc::new(n))).collect();
        self.lock().networks = networks.clone();
        for network in networks.values() {
            // Ports are made before they are needed, as when a network is made.
            if let Err(error) = self.0.segments.get_as_it_is(&network.options.bridge).await {
                tracing::warn!(network = %network.id, %error, "no port yet");
            }
        }
        let links = self.0.host.links().await?;
        let links: HashMap<&str, &Link> = links.iter().map(|l| (l.name.as_str(), l)).collect();
        for record in loaded.endpoints {
            let link = links.get(host_link(&record.id).as_str()).copied();
            match networks.get(&record.network) {
                Some(network) => self.adopt(record, network, link).await,
                None => {
                    tracing::warn!(endpoint = %record.id, "of no network we know: forgotten");
                    self.0.store.commit_later(Change::DeleteEndpoint(record.id));
                }
            }
        }
        Ok(())
    }

    async fn adopt(
        &self,
        record: EndpointRecord,
        network: &Arc<NetworkRecord>,
        link: Option<&Link>,
    ) {
        let EndpointRecord { id, phase, mac, lease, .. } = record;
        let this_boot = lease.as_ref().is_none_or(|lease| lease.boot_id == self.0.boot_id);
        if !this_boot {
            // The kernel is empty and the engine starts its containers as new endpoints.
            tracing::info!(endpoint = %id, "of an earlier boot: forgotten");
            self.0.store.commit_later(Change::DeleteEndpoint(id));
            return;
        }
        let mut endpoint = Endpoint::new(network.clone(), phase.clone(), mac);
        endpoint.told = record.told;
        endpoint.told_gateway = record.told_gateway;
        endpoint.host_name = record.host_name.clone();
        endpoint.container = record.container;
        endpoint.host_link = link.map_or(0, |link| link.index);
        let segment = match self.0.segments.get_as_it_is(&network.options.bridge).await {
            Ok((segment, _)) => Some(segment),
            Err(error) => {
                tracing::error!(endpoint = %id, %error, "its lease cannot be renewed");
                None
            }
        };
        endpoint.segment = segment.clone();
        let dead = match phase {
            Phase::Creating | Phase::Releasing => true,
            Phase::Created | Phase::Joined(_) => link.is_none(),
        };
        if dead {
            // Released below, whatever it has.
            endpoint.phase = Phase::Created;
        }
        {
            let mut state = self.lock();
            if let Some(link) = link {
                state.by_link.insert(link.index, id.clone());
            }
            state.endpoints.insert(id.clone(), Box::new(endpoint));
        }
        if let (Some(segment), Some(lease)) = (&segment, lease) {
            let live = link.filter(|link| link.carrier && !dead).map(|link| link.index);
            let config = self.client_config(mac, record.host_name);
            if let Err(AcquireError::MacInUse(holder)) =
                segment.resume(&id, config, lease.lease, live).await
            {
                tracing::error!(endpoint = %id, %mac, %holder, "two endpoints with one MAC");
            }
        }
        if dead {
            tracing::info!(endpoint = %id, %mac, "not finished or not alive: undone");
            if let Err(error) = self.remove(&id).await {
                tracing::error!(endpoint = %id, %error, "not removed");
            }
        } else if let Some(link) = link {
            self.link_changed(link.index, link.carrier);
        }
    }
}
