//! Endpoints that came to nothing: an earlier run of the daemon died while it made them, or whoever
//! wanted them never came back.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use wire::MacAddr;

use super::create::undo;
use super::ids::EndpointId;
use super::{Endpoint, Engine, State};
use crate::fault;
use crate::segments::{Begin, Start};
use crate::store::Phase;

/// Between CreateEndpoint and Join an engine only writes down what it was answered. When it died
/// meanwhile it has not, and never asks for the endpoint again, nor has it deleted.
const JOINED_WITHIN: Duration = Duration::from_secs(120);
/// What an endpoint that is being removed waits for: the disk, and the kernel.
const UNDONE_WITHIN: Duration = Duration::from_secs(5);

/// IPv6's least (RFC 8200 §5): for a client that is only there to give back.
const LEAST_MTU: u32 = 1280;

impl Engine {
    /// Waits while an endpoint is being undone: whoever repeats a call that broke comes early.
    pub(super) async fn undone(&self, id: &EndpointId) {
        let until = Instant::now() + UNDONE_WITHIN;
        loop {
            let mut removed = pin!(self.0.removed.notified());
            // Before the look, so that no removal is missed.
            removed.as_mut().enable();
            let phase = self.lock().endpoints.get(id).map(|endpoint| endpoint.phase.clone());
            if phase != Some(Phase::Releasing) || timeout_at(until, removed).await.is_err() {
                return;
            }
        }
    }

    /// Undoes an endpoint that is made and that nobody joins.
    pub(super) fn await_join(&self, id: &EndpointId) {
        let (engine, waiting) = (self.clone(), id.clone());
        let timer = async move {
            sleep(fault::patience(JOINED_WITHIN)).await;
            // In a task of its own, which is not aborted with this one.
            engine.0.unfinished.spawn(engine.clone().never_joined(waiting));
        };
        if let Some(endpoint) = self.lock().endpoints.get_mut(id).filter(|e| e.waits_for_join()) {
            endpoint.pending = Some(tokio::spawn(timer).abort_handle());
        }
    }

    /// Ends an endpoint whose link is back with us, though nobody left it: its container ended while no
    /// daemon ran. Or its engine has just been told of the link and moves it in a moment.
    pub(super) fn await_sandbox(&self, id: &EndpointId, host_link: u32) {
        let (engine, ended) = (self.clone(), id.clone());
        let timer = tokio::spawn(async move {
            sleep(fault::patience(JOINED_WITHIN)).await;
            let link = engine.0.host.link_by_index(host_link).await;
            if matches!(link, Ok(Some(link)) if link.peer_netnsid.is_none()) {
                tracing::warn!(endpoint = %ended, "its container has ended unheard");
                engine.0.unfinished.spawn(undo(engine.clone(), ended));
            }
        });
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.pending = Some(timer.abort_handle());
        }
    }

    async fn never_joined(self, id: EndpointId) {
        tracing::warn!(endpoint = %id, "made and never joined: undone");
        if self.lock().endpoints.get(&id).is_some_and(|endpoint| endpoint.claimed) {
            // What it came back for waits again.
            self.ended_if(&id, Endpoint::waits_for_join).await;
            let phase = self.lock().endpoints.get(&id).map(|endpoint| endpoint.phase.clone());
            let left = match phase {
                Some(Phase::Held(_)) => self.delete_link(&id).await,
                Some(Phase::Releasing) => self.remove(&id).await,
                _ => Ok(()),
            };
            if let Err(error) = left {
                tracing::error!(endpoint = %id, %error, "something of an endpoint is left");
            }
        } else {
            self.give_up_if(id, Endpoint::waits_for_join).await;
        }
    }

    /// An earlier run died while it made this endpoint, and its server may have granted a lease that
    /// nobody wrote down. Whoever has one is granted the same again: so the client asks for it, only
    /// to give it back.
    pub(super) fn reclaim(&self, id: &EndpointId) {
        let mut state = self.lock();
        let Some(endpoint) = state.endpoints.get_mut(id) else { return };
        let Some(segment) = endpoint.segment.clone() else { return };
        tracing::info!(endpoint = %id, mac = %endpoint.mac, "not finished: undone");
        let (config, network) = (self.client_config(endpoint), endpoint.network.clone());
        let (engine, id, patience) = (self.clone(), id.clone(), network.options.lease_timeout);
        let reclaim = tokio::spawn(async move {
            // Without an answer there is nothing that could be given back.
            let start = Start::recorded_before();
            let leased = async {
                if network.options.ipv4 {
                    let start = start.clone();
                    segment
                        .acquire(&id, config, Begin::Known(None), patience, start)
                        .await
                        .map(drop)
                } else {
                    segment.enter(&id, config, None).await
                }
            };
            let of_ipv6 =
                engine.ask_for_ipv6(&network, &segment, LEAST_MTU, &id, None, start.clone());
            let _ = tokio::join!(leased, of_ipv6);
            engine.0.unfinished.spawn(engine.clone().give_up_if(id, |e| e.unfinished));
        });
        endpoint.pending = Some(reclaim.abort_handle());
    }
}

impl Endpoint {
    fn waits_for_join(&self) -> bool {
        matches!(self.phase, Phase::Leased | Phase::Created)
    }
}

impl State {
    /// Takes out an endpoint that an earlier run did not finish, since its engine asks for it once
    /// more; what is left of it is the MAC that it had.
    pub(super) fn take_unfinished(&mut self, id: &EndpointId) -> Option<MacAddr> {
        self.endpoints.get(id).filter(|e| e.unfinished && e.phase == Phase::Creating)?;
        let endpoint = self.endpoints.remove(id)?;
        if let Some(pending) = endpoint.pending {
            pending.abort();
        }
        if let Some(segment) = endpoint.segment {
            segment.forget(id, endpoint.mac);
        }
        Some(endpoint.mac)
    }
}
