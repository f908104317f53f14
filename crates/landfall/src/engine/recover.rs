//! Going on where an earlier run stopped.

use std::collections::HashMap;
use std::sync::Arc;

use dhcp::v4::OnLoss;
use net::Link;

use super::hold::now;
use super::ids::NetworkId;
use super::options::NoServer;
use super::pool::PoolId;
use super::{Endpoint, Engine, Error};
use crate::segments::AcquireError;
use crate::store::{Change, EndpointRecord, Loaded, NetworkRecord, Phase, Unreadable};

impl Engine {
    /// Adopts what is alive, and finishes or undoes what an earlier run left halfway.
    pub(super) async fn recover(&self, loaded: Loaded) -> Result<(), Error> {
        let networks: HashMap<NetworkId, Arc<NetworkRecord>> =
            loaded.networks.into_iter().map(|n| (n.id.clone(), Arc::new(n))).collect();
        {
            let mut state = self.lock();
            state.networks = networks.clone();
            state.names = loaded.names.into_iter().map(|n| (n.key.clone(), n)).collect();
            state.unreadable_networks = loaded.unreadable_networks;
            state.unreadable_endpoints = loaded.unreadable_endpoints;
        }
        let apart = loaded.endpoints.iter().filter_map(|endpoint| {
            let network = PoolId::of_stand_in(&endpoint.network)?.stand_in()?;
            Some((network.id.clone(), Arc::new(network)))
        });
        let networks: HashMap<NetworkId, Arc<NetworkRecord>> =
            networks.into_iter().chain(apart).collect();
        for network in networks.values() {
            // Ports are made before they are needed, as when a network is made.
            let options = &network.options;
            let opened = self.0.segments.get_as_it_is(&options.interface, options.access()).await;
            if let Err(error) = opened {
                tracing::warn!(network = %network.id, %error, "no port yet");
            }
        }
        let links = self.0.host.links().await?;
        let used = |name: &str| networks.values().any(|other| other.options.interface == name);
        self.0.segments.remove_strays(&links, used).await;
        self.lock().look_at_bridges(&links);
        let all: HashMap<&str, &Link> = links.iter().map(|l| (l.name.as_str(), l)).collect();
        for record in loaded.endpoints {
            let network = networks.get(&record.network);
            let mode = network.map(|network| network.options.mode).unwrap_or_default();
            let link = self.find_link(&record, mode, &all).await;
            let link = link.as_ref();
            match network {
                // It may have been deleted long ago; one with a link was not.
                Some(_) if loaded.salvaged && link.is_none() => {
                    tracing::warn!(
                        endpoint = %record.id, mac = %record.mac,
                        "found in the damaged state, without a link: forgotten"
                    );
                    self.0.store.commit_later(Change::DeleteEndpoint(record.id));
                }
                Some(network) => self.adopt(record, network, link).await,
                None if self.lock().unreadable_networks.contains_key(&record.network) => {
                    tracing::error!(
                        endpoint = %record.id, network = %record.network, mac = %record.mac,
                        "its network's record cannot be read: left alone, and its lease is not renewed"
                    );
                    let of_network =
                        Unreadable::Damaged("its network's record cannot be read".into());
                    self.lock().unreadable_endpoints.insert(record.id, of_network);
                }
                None => {
                    tracing::warn!(endpoint = %record.id, "of no network we know: forgotten");
                    self.0.store.commit_later(Change::DeleteEndpoint(record.id));
                }
            }
        }
        // Those of other drivers' endpoints are known by these alone.
        self.lock().look_at_bridges(&links);
        networks.values().for_each(|network| self.stock_up(network));
        Ok(())
    }

    /// The kernel is empty, and the engine starts its containers as new endpoints: keeps what this
    /// one had for the container that comes back.
    fn remember(&self, record: &EndpointRecord, network: &Arc<NetworkRecord>) {
        let mut endpoint = Endpoint::new(network.clone(), record.phase.clone(), record.mac);
        endpoint.options = record.options.clone();
        endpoint.told = record.told;
        endpoint.host_name = record.host_name.clone();
        endpoint.container = record.container.clone();
        endpoint.name = record.name.clone();
        endpoint.confirmed = record.confirmed;
        endpoint.made = record.was_made();
        endpoint.spare = record.spare;
        endpoint.remembered = record.lease.clone().map(Box::new);
        endpoint.told6 = record.told6;
        endpoint.remembered6 = record.ipv6.clone();
        let until = endpoint.remembered_until();
        endpoint.phase = Phase::Held(until);
        let address = record.lease.as_ref().map(|stored| stored.lease.address);
        tracing::info!(
            endpoint = %record.id, mac = %record.mac, ?address, ipv6 = ?record.told6,
            "of an earlier boot: waits for its container"
        );
        self.lock().endpoints.insert(record.id.clone(), Box::new(endpoint));
        self.hold_for(&record.id, until.saturating_since(now()));
    }

    async fn adopt(
        &self,
        record: EndpointRecord,
        network: &Arc<NetworkRecord>,
        link: Option<&Link>,
    ) {
        let EndpointRecord { id, mut phase, mac, lease, .. } = record.clone();
        let made = record.was_made();
        if record.boot_id().is_some_and(|boot| *boot != *self.0.boot_id) {
            if link.is_some()
                && let Err(error) = self.delete_own_link(network.options.mode, &id).await
            {
                // Made for the container that came back, when this daemon's last run died.
                tracing::error!(endpoint = %id, %error, "its link is left");
            }
            if phase == Phase::Releasing {
                // Given back, or as good as that.
                self.0.store.commit_later(Change::DeleteEndpoint(id));
            } else {
                self.remember(&record, network);
            }
            return;
        }
        // What was written before there was a lease of its own has one only if it was held before.
        let was_held = phase != Phase::Creating || record.claimed || !network.options.ipv4;
        let has_something = lease.is_some() || (record.has_ipv6() && was_held);
        let mut endpoint = Endpoint::new(network.clone(), phase.clone(), mac);
        endpoint.options = record.options;
        endpoint.told = record.told;
        endpoint.told_gateway = record.told_gateway;
        endpoint.way_out = record.way_out;
        endpoint.told6 = record.told6;
        endpoint.host_name = record.host_name;
        endpoint.container = record.container;
        endpoint.name = record.name;
        endpoint.confirmed = record.confirmed;
        endpoint.claimed = record.claimed;
        endpoint.made = made;
        endpoint.spare = record.spare;
        endpoint.recovered = true;
        endpoint.host_link = link.map_or(0, |link| link.index);
        let mut bridge_mtu = 0;
        let options = &network.options;
        let opened = self.0.segments.get_as_it_is(&options.interface, options.access()).await;
        let segment = match opened {
            Ok((segment, bridge)) => {
                bridge_mtu = bridge.mtu;
                Some(segment)
            }
            Err(error) => {
                tracing::error!(endpoint = %id, %error, "its lease cannot be renewed");
                None
            }
        };
        endpoint.segment = segment.clone();
        let mut config = self.client_config(&endpoint);
        let config6 = self.ipv6_config(&endpoint, bridge_mtu);
        let release_delay = network.options.release_delay;
        let may_come_back = has_something && !release_delay.is_zero();
        endpoint.unfinished = phase == Phase::Creating && !has_something && segment.is_some();
        let unfinished = endpoint.unfinished;
        let (dead, held) = match phase {
            Phase::Held(until) => (until <= now(), Some(until)),
            Phase::Releasing => (true, None),
            Phase::Creating if may_come_back => (false, Some(now() + release_delay)),
            Phase::Creating => (!unfinished, None),
            Phase::Joined(_) if link.is_none() && may_come_back => {
                (false, Some(now() + release_delay))
            }
            Phase::Created if link.is_none() && may_come_back && record.claimed => {
                (false, Some(now() + release_delay))
            }
            Phase::Leased => (false, None),
            Phase::Created | Phase::Joined(_) => (link.is_none(), None),
        };
        if let Some(until) = held {
            phase = Phase::Held(until);
            endpoint.phase = phase.clone();
        } else if dead {
            // Released below, whatever it has.
            endpoint.phase = Phase::Created;
        }
        let live = link.filter(|link| link.carrier && !dead && held.is_none());
        let live = live.map(|_| endpoint.live());
        {
            let mut state = self.lock();
            if endpoint.host_link != 0 {
                state.by_link.insert(endpoint.host_link, id.clone());
            }
            state.endpoints.insert(id.clone(), Box::new(endpoint));
        }
        if segment.is_none()
            && let Some(endpoint) = self.lock().endpoints.get_mut(&id)
        {
            // Until there is a bridge.
            endpoint.remembered = lease.clone().map(Box::new);
            endpoint.remembered6 = record.ipv6.clone();
        }
        if let Some(segment) = &segment {
            if !unfinished {
                self.resume_ipv6(segment, &id, config6, record.ipv6, live);
            }
            if network.options.no_server == NoServer::Last
                && lease.as_ref().is_some_and(|stored| stored.lease.expires_at <= now())
            {
                // It was given this address without a server's word.
                config.on_loss = OnLoss::Keep;
            }
            let resumed = self.resume_ipv4(network, segment, &id, config, lease, live).await;
            if let Err(AcquireError::MacInUse(holder)) = resumed {
                tracing::error!(endpoint = %id, %mac, %holder, "two endpoints with one MAC");
            }
        }
        if unfinished {
            if let Err(error) = self.delete_link(&id).await {
                tracing::error!(endpoint = %id, %error, "the link of an unfinished endpoint is left");
            }
            self.reclaim(&id);
        } else if dead {
            tracing::info!(endpoint = %id, %mac, "not finished or not alive: undone");
            if let Err(error) = self.remove(&id).await {
                tracing::error!(endpoint = %id, %error, "not removed");
            }
        } else if let Some(until) = held {
            if let Err(error) = self.delete_link(&id).await {
                tracing::error!(endpoint = %id, %error, "the link of a held endpoint is left");
            }
            self.keep_later(&id);
            self.hold_for(&id, until.saturating_since(now()));
        } else if phase == Phase::Leased {
            if !network.apart {
                self.await_join(&id);
            }
        } else if let Some(link) = link {
            self.await_join(&id);
            if matches!(phase, Phase::Joined(_)) && link.peer_netnsid.is_none() {
                self.await_sandbox(&id, link.index);
            }
            if link.index == 0 {
                // A child, in its sandbox.
                self.child_moved(&id);
            } else {
                self.link_changed(link);
            }
        }
    }
}

impl EndpointRecord {
    /// Whether it was told that it was made.
    fn was_made(&self) -> bool {
        !self.spare && !matches!(self.phase, Phase::Creating | Phase::Leased)
    }
}
