//! Making an endpoint: its link on the segment and its lease, side by side.

use std::sync::Arc;

use net::{Link, Peer, Veth};
use tokio::sync::oneshot;
use wire::MacAddr;

use super::api::{Attachment, NewEndpoint};
use super::diagnose::{NoLease, find_obstacle};
use super::ids::EndpointId;
use super::{Endpoint, Engine, Error, container_link, host_link, with_prefix};
use crate::segments::{AcquireError, Segment};
use crate::store::{NetworkRecord, Phase};

impl Engine {
    /// Makes an endpoint: its link on the segment and its lease.
    ///
    /// Fails after the network's `lease_timeout`. Whether it fails or its future is dropped
    /// because the caller hung up: everything is undone. The same endpoint again gets the same
    /// answer, since an engine repeats a request whose answer it did not get.
    pub(crate) async fn create_endpoint(&self, new: NewEndpoint) -> Result<Attachment, Error> {
        let network = self.network(&new.network)?;
        if let Some(mac) = new.mac.filter(|mac| !mac.is_unicast()) {
            return Err(Error::BadMac { endpoint: new.id, mac });
        }
        let (mac, fresh) = match new.mac {
            Some(mac) => (mac, false),
            None => (random_mac()?, true),
        };
        {
            let mut state = self.lock();
            if let Some(known) = state.endpoints.get(&new.id) {
                return match (&known.phase, known.told) {
                    (Phase::Created | Phase::Joined(_), Some(address)) => {
                        Ok(Attachment { mac: known.mac, address })
                    }
                    _ => Err(Error::Busy(new.id)),
                };
            }
            let endpoint = Endpoint::new(network.clone(), Phase::Creating, mac);
            state.endpoints.insert(new.id.clone(), Box::new(endpoint));
        }
        let undo = Undo { engine: self, id: Some(&new.id) };
        match self.make(&network, &new.id, mac, fresh).await {
            Ok(attachment) => {
                undo.not_needed();
                Ok(attachment)
            }
            Err(error) => {
                undo.now().await;
                Err(error)
            }
        }
    }

    async fn make(
        &self,
        network: &NetworkRecord,
        id: &EndpointId,
        mac: MacAddr,
        fresh: bool,
    ) -> Result<Attachment, Error> {
        let (segment, bridge) = self.0.segments.get(&network.options.bridge).await?;
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.segment = Some(segment.clone());
        }
        // What will be made is on the disk before it is made.
        self.keep(id).await?;
        let (lease, ()) = tokio::try_join!(
            self.lease(network, &segment, id, mac, fresh),
            self.make_link(network, &bridge, id, mac)
        )?;
        let address = with_prefix(&lease);
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.told = Some(address);
            endpoint.phase = Phase::Created;
        }
        self.keep(id).await?;
        tracing::info!(
            network = %network.id, endpoint = %id, bridge = bridge.name, %mac, %address,
            server = %lease.server, "endpoint made"
        );
        Ok(Attachment { mac, address })
    }

    async fn lease(
        &self,
        network: &NetworkRecord,
        segment: &Arc<Segment>,
        id: &EndpointId,
        mac: MacAddr,
        fresh: bool,
    ) -> Result<dhcp::v4::Lease, Error> {
        let patience = network.options.lease_timeout;
        let config = self.client_config(mac, None);
        match segment.acquire(id, config, fresh, patience).await {
            Ok(lease) => Ok(lease),
            Err(AcquireError::MacInUse(holder)) => Err(Error::MacInUse {
                endpoint: id.clone(),
                mac,
                bridge: segment.bridge().to_owned(),
                holder: self.who_is(&holder),
            }),
            Err(AcquireError::Abandoned) => Err(Error::Busy(id.clone())),
            Err(AcquireError::TimedOut(progress)) => Err(Error::NoLease(Box::new(NoLease {
                network: network.id.clone(),
                endpoint: id.clone(),
                bridge: segment.bridge().to_owned(),
                mac,
                patience,
                obstacle: match progress.offers {
                    0 => find_obstacle(&self.0.host, segment.bridge(), segment.port(), mac).await,
                    _ => None,
                },
                progress,
            }))),
        }
    }

    async fn make_link(
        &self,
        network: &NetworkRecord,
        bridge: &Link,
        id: &EndpointId,
        mac: MacAddr,
    ) -> Result<(), Error> {
        let veth = Veth {
            name: host_link(id),
            mac: host_link_mac(mac),
            mtu: bridge.mtu,
            master: Some(bridge.index),
            up: true,
            peer: Peer {
                name: container_link(id),
                mac: Some(mac),
                mtu: Some(bridge.mtu),
                netns: None,
                up: false,
                arp: true,
            },
        };
        let (ended, making) = oneshot::channel();
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.making = Some(making);
        }
        let (engine, network, id) = (self.clone(), network.id.clone(), id.clone());
        // To its end, since only what is there can be removed.
        self.to_its_end(async move {
            let _ended = ended;
            let made = engine.0.host.create_veth(&veth).await;
            let (outer, _) =
                made.map_err(|source| Error::Kernel { network, endpoint: id.clone(), source })?;
            let mut state = engine.lock();
            if let Some(endpoint) = state.endpoints.get_mut(&id) {
                endpoint.host_link = outer;
                endpoint.making = None;
                state.by_link.insert(outer, id);
            }
            Ok(())
        })
        .await
    }

    /// Names an endpoint for people.
    fn who_is(&self, id: &EndpointId) -> String {
        let state = self.lock();
        let endpoint = state.endpoints.get(id);
        match endpoint.map(|e| (e.host_name.as_deref(), e.container.as_deref())) {
            Some((Some(name), Some(container))) => {
                format!("container {} ({name})", container.get(..12).unwrap_or(container))
            }
            Some((Some(name), None)) => format!("container {name} (endpoint {id})"),
            _ => format!("endpoint {id}"),
        }
    }
}

/// Undoes an endpoint that is not finished, whichever way its making ends.
struct Undo<'a> {
    engine: &'a Engine,
    id: Option<&'a EndpointId>,
}

impl Undo<'_> {
    fn not_needed(mut self) {
        self.id = None;
    }

    async fn now(mut self) {
        if let Some(id) = self.id.take() {
            self.engine.to_its_end(remove(self.engine.clone(), id.clone())).await;
        }
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            tracing::info!(endpoint = %id, "the caller hung up: the endpoint is undone");
            self.engine.0.unfinished.spawn(remove(self.engine.clone(), id.clone()));
        }
    }
}

async fn remove(engine: Engine, id: EndpointId) {
    if let Err(error) = engine.remove(&id).await {
        tracing::error!(endpoint = %id, %error, "something of an unfinished endpoint is left");
    }
}

/// A MAC for a container whose user gave none: locally administered, unicast, random.
fn random_mac() -> Result<MacAddr, Error> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|e| Error::NoRandomness(e.to_string()))?;
    let [first, ..] = &mut bytes;
    *first = 0x02;
    Ok(MacAddr(bytes))
}

/// The MAC of the host's end: `fe:` with the rest of the container's, so that a bridge without a
/// MAC of its own never takes it and a person sees what belongs together.
fn host_link_mac(MacAddr([_, b, c, d, e, f]): MacAddr) -> MacAddr {
    MacAddr([0xfe, b, c, d, e, f])
}
