//! Keeping the lease of a container that has ended, should it come back.
//!
//! An endpoint lives as long as one run of its container: `docker restart` ends it and makes another.
//! So the lease outlives the endpoint for a while (`release_delay`): the port answers for the
//! address, renewals go on, and the container that comes back goes on with MAC and lease as if
//! nothing had been. Whether it is the same container must be sure: by a MAC that the user gave,
//! or as the only one that can be meant.

use std::time::Duration;

use dhcp::Instant;
use tokio::time::sleep;
use wire::MacAddr;

use super::api::Container;
use super::ids::{EndpointId, NetworkId};
use super::reboot::Remembered;
use super::{Endpoint, Engine, Error, State};
use crate::fault::point;
use crate::segments::Segment;
use crate::store::{Change, NetworkRecord, Phase};

impl Engine {
    /// The endpoint's container has ended: its lease is held for as long as its network says, or
    /// given back at once.
    pub(super) async fn ended(&self, id: &EndpointId) {
        self.ended_if(id, |_| true).await;
    }

    /// The same if the endpoint is as it was when that was decided.
    pub(super) async fn ended_if(&self, id: &EndpointId, is_so: impl Fn(&Endpoint) -> bool) {
        if self.lock().endpoints.get(id).is_some_and(|endpoint| endpoint.remembered.is_some()) {
            return self.wait_again(id).await;
        }
        let held = {
            let mut state = self.lock();
            let Some(endpoint) = state.endpoints.get_mut(id).filter(|e| is_so(e)) else { return };
            let delay = endpoint.network.options.release_delay;
            match endpoint.phase {
                Phase::Held(_) | Phase::Releasing => return,
                _ if delay.is_zero() || endpoint.lease().is_none() => None,
                _ => {
                    endpoint.phase = Phase::Held(now() + delay);
                    endpoint.confirmed = true;
                    if let Some(pending) = endpoint.pending.take() {
                        pending.abort();
                    }
                    endpoint.segment.clone().map(|segment| (segment, endpoint.mac, delay))
                }
            }
        };
        let Some((segment, mac, delay)) = held else {
            self.release_if(id, is_so).await;
            return;
        };
        point("hold: known");
        if let Err(error) = self.keep(id).await {
            // After a crash the endpoint counts as one that died, and is held again.
            tracing::error!(endpoint = %id, %error, "that it is held is not on the disk");
        }
        point("hold: recorded");
        segment.link_down(mac).await;
        point("hold: place taken");
        self.hold_for(id, delay);
    }

    /// A container that had a lease before the machine booted has not got it again: it is waited for
    /// once more.
    async fn wait_again(&self, id: &EndpointId) {
        let (client, until) = {
            let mut state = self.lock();
            let Some(endpoint) = state.endpoints.get_mut(id) else { return };
            let Some(stored) = &endpoint.remembered else { return };
            let until = Remembered::of(stored, net::wall_clock_is_set()).until(now());
            endpoint.phase = Phase::Held(until);
            (endpoint.segment.take().map(|segment| (segment, endpoint.mac)), until)
        };
        if let Some((segment, mac)) = client {
            drop(segment.release(id, mac).await);
        }
        self.keep_later(id);
        self.hold_for(id, until.saturating_since(now()));
    }

    /// Gives a held lease back after that time.
    pub(super) fn hold_for(&self, id: &EndpointId, delay: Duration) {
        let (engine, held) = (self.clone(), id.clone());
        let timer = tokio::spawn(async move {
            sleep(delay).await;
            // In a task of its own, which nobody who claims the lease can abort halfway.
            engine.0.unfinished.spawn(engine.clone().give_up(held));
        });
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.pending = Some(timer.abort_handle());
        }
    }

    /// Gives a lease back that waits for nobody any more, unless somebody goes on with it.
    pub(super) async fn give_up(self, id: EndpointId) {
        self.give_up_if(id, Endpoint::is_nobodys).await;
    }

    /// Gives back the lease on the segment that has been held for longest. Says whether there
    /// was one.
    pub(super) fn make_room(&self, segment: &Segment) -> bool {
        let oldest = {
            let state = self.lock();
            let held = state.endpoints.iter().filter_map(|(id, endpoint)| match endpoint.phase {
                Phase::Held(until) if endpoint.is_on(segment) => Some((until, id.clone())),
                _ => None,
            });
            held.min()
        };
        let Some((_, id)) = oldest else { return false };
        tracing::info!(endpoint = %id, bridge = segment.bridge(), "held no longer: room is needed");
        self.0.unfinished.spawn(self.clone().give_up(id));
        true
    }

    /// Gives back all leases of a network that are held, or were never made use of.
    pub(super) async fn give_up_all(&self, network: &NetworkId) {
        let held: Vec<EndpointId> = {
            let state = self.lock();
            let held =
                state.endpoints.iter().filter(|(_, e)| e.is_nobodys() && e.network.id == *network);
            held.map(|(id, _)| id.clone()).collect()
        };
        for id in held {
            self.clone().give_up(id).await;
        }
    }

    /// Takes the link of an endpoint away.
    pub(super) async fn delete_link(&self, id: &EndpointId) -> Result<(), Error> {
        let (network, making) = {
            let mut state = self.lock();
            let Some(endpoint) = state.endpoints.get_mut(id) else { return Ok(()) };
            let link = std::mem::take(&mut endpoint.host_link);
            endpoint.carrier = false;
            let found = (endpoint.network.id.clone(), endpoint.making.take());
            state.by_link.remove(&link);
            found
        };
        if let Some(making) = making {
            let _ = making.await;
        }
        // By name: a link may be made whose index we were not told any more.
        let name = super::host_link(id);
        let deleted = self.0.host.delete_link_named(&name).await;
        deleted.map(drop).map_err(|source| Error::Kernel { network, endpoint: id.clone(), source })
    }

    /// Forgets an endpoint whose lease has gone over to another, and removes its link if it still
    /// has one. Durable together with what is committed next.
    pub(super) fn forget_claimed(&self, id: EndpointId, endpoint: Endpoint) {
        if let Some(pending) = endpoint.pending {
            pending.abort();
        }
        self.0.store.commit_later(Change::DeleteEndpoint(id.clone()));
        if endpoint.host_link != 0 {
            let host = self.0.host.clone();
            self.0.unfinished.spawn(async move {
                if let Err(error) = host.delete_link_named(&super::host_link(&id)).await {
                    tracing::warn!(endpoint = %id, %error, "the link of the earlier run is left");
                }
            });
        }
    }
}

impl State {
    /// The one of the candidates that has no endpoint on the network yet; none if there are several.
    pub(super) fn sole_candidate<'a>(
        &self,
        network: &NetworkId,
        candidates: &'a [Container],
    ) -> Option<&'a Container> {
        let alive = |container: &Container| {
            self.endpoints.values().any(|endpoint| {
                endpoint.network.id == *network
                    && endpoint.container.as_deref() == Some(&*container.id)
                    && !matches!(endpoint.phase, Phase::Held(_) | Phase::Releasing)
            })
        };
        let mut possible = candidates.iter().filter(|container| !alive(container));
        possible.next().filter(|_| possible.next().is_none())
    }

    /// Takes out the held endpoint with whose lease a new one goes on: itself, if an earlier run
    /// died when it had claimed the lease already; the one with the MAC that the user gave; else
    /// that of the container.
    pub(super) fn claim(
        &mut self,
        network: &NetworkRecord,
        new: &EndpointId,
        mac: Option<MacAddr>,
        container: Option<&Container>,
    ) -> Option<(EndpointId, Endpoint)> {
        let by_mac = |e: &Endpoint| {
            // A server knows a client by its MAC, whatever network Docker says it is on.
            mac == Some(e.mac) && e.network.options.bridge == network.options.bridge
        };
        let by_id = |e: &Endpoint| {
            e.network.id == network.id
                && e.container.is_some()
                && e.container.as_deref() == container.map(|c| &*c.id)
        };
        // Removed and made again under its name.
        let by_name = |e: &Endpoint| {
            e.network.id == network.id
                && e.name.is_some()
                && e.name.as_deref() == container.map(|c| &*c.name)
        };
        let find = |fits: &dyn Fn(&Endpoint) -> bool| {
            let mut all = self.endpoints.iter();
            all.find(|(_, e)| e.is_held() && fits(e)).map(|(id, _)| id.clone())
        };
        let id = match mac {
            _ if self.endpoints.get(new).is_some_and(|e| e.is_held()) => Some(new.clone()),
            Some(_) => find(&by_mac),
            None => find(&by_id).or_else(|| find(&by_name)),
        }?;
        let endpoint = self.endpoints.remove(&id)?;
        self.by_link.remove(&endpoint.host_link);
        Some((id, *endpoint))
    }
}

impl Endpoint {
    /// Whether its container has ended and its lease waits for it.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held(_))
    }

    fn is_nobodys(&self) -> bool {
        self.is_held() || self.unfinished
    }

    fn is_on(&self, segment: &Segment) -> bool {
        self.segment.as_ref().is_some_and(|own| std::ptr::eq(&**own, segment))
    }
}

pub(super) fn now() -> Instant {
    Instant::from_boot(net::boot_now())
}
