//! A new endpoint that asks for an address or a client identifier of its own: who has it, and what is offered
//! instead.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use dhcp::v4::Lease;
use tokio::time::sleep;
use wire::MacAddr;

use super::api::{Container, NewEndpoint};
use super::client::client_id;
use super::endpoint_options::EndpointOptions;
use super::ids::EndpointId;
use super::{Endpoint, Engine, Error, State};
use crate::segments::{AcquireError, Segment};
use crate::store::{NetworkRecord, Phase};

/// Pauses that end shortly before the second, third and fourth DISCOVER (at 1, 3 and 7 s).
const DISCOVER_PAUSES: [Duration; 3] =
    [Duration::from_millis(700), Duration::from_millis(1800), Duration::from_millis(3800)];

/// A new endpoint, before it is one.
pub(super) struct Asked<'a> {
    pub(super) network: &'a Arc<NetworkRecord>,
    pub(super) new: &'a NewEndpoint,
    pub(super) options: &'a EndpointOptions,
}

impl Engine {
    /// Gives back what is held and stands in the way of a new endpoint, so that the server may give it what it asks
    /// for.
    pub(super) async fn make_way(&self, asked: &Asked<'_>) {
        let in_the_way = self.lock().in_the_way(asked);
        for id in in_the_way {
            tracing::info!(endpoint = %id, "held no longer: {} asks for what it has, or for another", asked.new.id);
            self.to_its_end(self.clone().give_back_first(id, Endpoint::is_nobodys)).await;
        }
    }

    /// As [`Engine::give_up_if`], and waits until the RELEASE is out.
    pub(super) async fn give_back_first(self, id: EndpointId, is_so: impl Fn(&Endpoint) -> bool) {
        if !self.release_if(&id, is_so).await {
            return;
        }
        let released = self.lock().endpoints.get_mut(&id).and_then(|e| e.released.take());
        if let Some(released) = released {
            let _ = released.await;
        }
        if let Err(error) = self.remove(&id).await {
            tracing::error!(endpoint = %id, %error, "something of an endpoint is left");
        }
    }
}

impl State {
    /// The container that a new endpoint is for, if it is sure, and the endpoint with whose lease it goes on.
    pub(super) fn meant_by<'a>(
        &self,
        asked: &Asked<'a>,
    ) -> (Option<&'a Container>, Option<EndpointId>) {
        let NewEndpoint { id, mac, candidates, .. } = asked.new;
        let container = self.sole_candidate(&asked.network.id, candidates);
        (container, self.returning(asked.network, id, *mac, container, candidates))
    }

    /// What waits for nobody but its container and has the address or the identifier that a new endpoint asks for; and
    /// what that one would go on with, if it has others.
    fn in_the_way(&self, asked: &Asked<'_>) -> Vec<EndpointId> {
        let ip = asked.options.ip;
        let client_id = client_id(asked.network, asked.options);
        let (_, returning) = self.meant_by(asked);
        let in_the_way = self.endpoints.iter().filter(|(id, endpoint)| {
            let has_address = endpoint.kept_address() == ip;
            let has_client_id = endpoint.client_id() == client_id;
            endpoint.is_nobodys()
                && **id != asked.new.id
                && endpoint.network.options.shares_segment(&asked.network.options)
                && if returning.as_ref() == Some(id) {
                    !has_client_id || (ip.is_some() && !has_address)
                } else {
                    (ip.is_some() && has_address) || (client_id.is_some() && has_client_id)
                }
        });
        in_the_way.map(|(id, _)| id.clone()).collect()
    }

    /// Why an endpoint cannot be made, if another on its segment has its client identifier; one with whose lease it goes on
    /// has it rightly.
    pub(super) fn client_id_in_use(
        &self,
        id: &EndpointId,
        new: &Endpoint,
        returning: Option<&EndpointId>,
    ) -> Option<Error> {
        let client_id = new.client_id()?;
        let bridge = &new.network.options.interface;
        let (holder, _) = self.endpoints.iter().find(|(other, endpoint)| {
            ![Some(id), returning].contains(&Some(*other))
                && endpoint.phase != Phase::Releasing
                && endpoint.network.options.shares_segment(&new.network.options)
                && endpoint.client_id() == Some(client_id)
        })?;
        Some(Error::ClientIdInUse {
            network: new.network.id.clone(),
            endpoint: id.clone(),
            client_id: client_id.to_owned(),
            bridge: bridge.clone(),
            holder: self.who_is(holder),
        })
    }
}

impl Endpoint {
    /// The address of its lease, be it one of an earlier boot.
    fn kept_address(&self) -> Option<Ipv4Addr> {
        let remembered = || Some(self.remembered.as_ref()?.lease.address);
        self.lease().map(|lease| lease.address).or_else(remembered)
    }
}

/// Waits until servers have offered other addresses than the required one and nobody has offered that: shortly before
/// the second DISCOVER at the earliest, so that each has had its say.
pub(super) async fn only_others_offered(
    segment: &Segment,
    mac: MacAddr,
    required: Option<Ipv4Addr>,
) -> Result<Option<Lease>, AcquireError> {
    if let Some(required) = required {
        for pause in DISCOVER_PAUSES {
            sleep(pause).await;
            if let Some(progress) = segment.progress(mac)
                && progress.last_offer.is_some_and(|offered| offered.address != required)
            {
                return Err(AcquireError::TimedOut(progress));
            }
        }
    }
    std::future::pending().await
}
