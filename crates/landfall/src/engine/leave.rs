//! Taking an endpoint back: the lease is released, and nothing is left.

use std::path::{Path, PathBuf};

use net::process;
use tokio::sync::oneshot::error::TryRecvError;

use super::events::Kind;
use super::ids::{EndpointId, NetworkId};
use super::sandbox::{Inside, Sandbox, open_netns};
use super::{Endpoint, Engine, Error, container_link, host_link};
use crate::fault::point;
use crate::store::{Change, Phase};

impl Engine {
    /// The sandbox gives the link back: its lease is held for a while, or released. What is not
    /// known is no error: engines leave what they only half remember, too.
    pub(crate) async fn leave(&self, _network: &NetworkId, id: &EndpointId) -> Result<(), Error> {
        let (engine, id) = (self.clone(), id.clone());
        self.to_its_end(async move {
            let sandbox = engine.sandbox_of(&id);
            engine.restore_gateway(&id).await;
            engine.withdraw_prefixes(&id).await;
            let dns_of = engine.guest_with_dns(&id);
            engine.ended(&id).await;
            if let Some(path) = sandbox {
                let unfinished = engine.0.unfinished.clone();
                unfinished.spawn(async move {
                    engine.remove_from_the_dead(&id, &path).await;
                    if let Some(guest) = dns_of {
                        engine.withdraw_dns(&path, guest).await;
                    }
                });
            }
        })
        .await;
        Ok(())
    }

    fn sandbox_of(&self, id: &EndpointId) -> Option<PathBuf> {
        match &self.lock().endpoints.get(id)?.phase {
            Phase::Joined(path) => Some(path.clone()),
            _ => None,
        }
    }

    /// Removes the link of a container that has ended, while the engine goes on with its own part:
    /// it would set the link down and move it back to the host first, each of which waits for
    /// the kernel's grace periods, only to have it removed then. It takes a link that is not there
    /// any more for moved. In a container that lives on it would keep count of it, so there
    /// the link stays until [`Engine::delete_endpoint`].
    async fn remove_from_the_dead(&self, id: &EndpointId, sandbox: &Path) {
        let Ok(inode) = open_netns(sandbox).and_then(|netns| netns.inode()) else { return };
        let guest = self.lock().endpoints.get(id).and_then(|endpoint| endpoint.guest);
        let inhabited = match guest {
            Some(pid) => process::is_in_netns(pid, inode),
            // To look at every process of the host takes milliseconds.
            None => {
                let look = move || process::in_netns(inode).is_some();
                tokio::task::spawn_blocking(look).await.unwrap_or(true)
            }
        };
        if inhabited {
            return;
        }
        let (inside, mode) = {
            let mut state = self.lock();
            let Some(endpoint) = state.endpoints.get(id) else { return };
            let (link, inside) = (endpoint.host_link, endpoint.inside(id));
            let mode = endpoint.network.options.mode;
            // So that its end is no news.
            state.by_link.remove(&link);
            (inside, mode)
        };
        let removed = match inside {
            Inside::Child(_) => self.delete_child(sandbox, &inside).await,
            Inside::PeerOf(_) => self.delete_own_link(mode, id).await,
        };
        if let Err(error) = removed {
            tracing::debug!(endpoint = %id, %error, "the link is left for DeleteEndpoint");
        }
    }

    /// Removes an endpoint and all that belongs to it, but for a lease that is held; one that is
    /// not known is no error.
    pub(crate) async fn delete_endpoint(
        &self,
        _network: &NetworkId,
        id: &EndpointId,
    ) -> Result<(), Error> {
        let (engine, id) = (self.clone(), id.clone());
        self.to_its_end(async move { engine.undo(&id).await }).await
    }

    /// Ends an endpoint that nobody left. One that never came as far as a sandbox has nothing that
    /// could come back, unless it came back itself.
    pub(super) async fn undo(&self, id: &EndpointId) -> Result<(), Error> {
        let again = {
            let state = self.lock();
            state.endpoints.get(id).map(|endpoint| match endpoint.phase {
                Phase::Held(_) | Phase::Joined(_) => true,
                Phase::Creating | Phase::Leased | Phase::Created => endpoint.claimed,
                Phase::Releasing => false,
            })
        };
        let Some(again) = again else { return self.forget_unreadable(id).await };
        if again {
            self.ended(id).await;
        }
        if again && self.lock().endpoints.get(id).is_some_and(|endpoint| endpoint.is_held()) {
            return self.delete_link(id).await;
        }
        self.remove(id).await
    }

    /// Ends an endpoint whose record cannot be read: its lease is not known.
    async fn forget_unreadable(&self, id: &EndpointId) -> Result<(), Error> {
        if self.lock().unreadable_endpoints.remove(id).is_none() {
            return Ok(());
        }
        // Of whichever kind it is.
        for link in [host_link(id), container_link(id)] {
            if let Err(error) = self.0.host.delete_link_named(&link).await {
                tracing::debug!(endpoint = %id, %error, "its link is left, or gone already");
            }
        }
        Ok(self.0.store.commit(Change::DeleteEndpoint(id.clone())).await?)
    }

    /// Releases an endpoint's lease, if it has one still.
    pub(super) async fn release(&self, id: &EndpointId) {
        self.release_if(id, |_| true).await;
    }

    /// The same if the endpoint is as it was when that was decided: it may have another life by now.
    /// Says whether it was.
    pub(super) async fn release_if(
        &self,
        id: &EndpointId,
        is_so: impl Fn(&Endpoint) -> bool,
    ) -> bool {
        // Not read while the state is locked.
        self.0.secret.get();
        let (segment, mac, leased) = {
            let mut state = self.lock();
            match state.endpoints.get(id).filter(|e| is_so(e)) {
                None => return false,
                Some(endpoint) if endpoint.phase == Phase::Releasing => return true,
                Some(_) => self.remember_addresses(&mut state, id),
            }
            let Some(endpoint) = state.endpoints.get_mut(id) else { return false };
            let spare_of = (endpoint.spare && endpoint.is_held()).then(|| endpoint.network.clone());
            endpoint.phase = Phase::Releasing;
            if let Some(pending) = endpoint.pending.take() {
                pending.abort();
            }
            let segment = endpoint.segment.clone();
            let (leased, mac) = (endpoint.lease().is_some(), endpoint.mac);
            state.counters.released += u64::from(leased);
            if let Some(network) = spare_of {
                state.spare_lost(&network.id);
            }
            let Some(segment) = segment else { return true };
            (segment, mac, leased)
        };
        if leased {
            tracing::info!(endpoint = %id, %mac, "its lease is given back");
            self.happened(id, Kind::LeaseReleased);
        }
        point("leave: known");
        if let Err(error) = self.keep(id).await {
            // The RELEASE goes out all the same: a lease too few in the store is found out at
            // the next start, a lease too many at the server is not.
            tracing::error!(endpoint = %id, %error, "the release is not on the disk");
        }
        point("leave: recorded");
        let released = segment.release(id, mac).await;
        point("leave: given back");
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.released = Some(released);
        }
        true
    }

    /// Removes an endpoint that nobody wants any more, if it still `is_so`: a task of its own, which
    /// is not aborted together with the timer that began it.
    pub(super) async fn give_up_if(self, id: EndpointId, is_so: impl Fn(&Endpoint) -> bool) {
        if self.release_if(&id, is_so).await
            && let Err(error) = self.remove(&id).await
        {
            tracing::error!(endpoint = %id, %error, "something of an endpoint is left");
        }
    }

    /// Removes an endpoint, however far it has come.
    pub(super) async fn remove(&self, id: &EndpointId) -> Result<(), Error> {
        self.release(id).await;
        self.delete_link(id).await?;
        point("delete: link removed");
        let Some(endpoint) = self.lock().endpoints.remove(id) else { return Ok(()) };
        self.0.removed.notify_waiters();
        tracing::info!(
            network = %endpoint.network.id, endpoint = %id, mac = %endpoint.mac, "endpoint removed"
        );
        if endpoint.made {
            self.happened_on(&endpoint.network, Kind::EndpointRemoved, |event| {
                (event.endpoint, event.mac) = (Some(id.clone()), Some(endpoint.mac));
                (event.name, event.host_name) = (endpoint.name.clone(), endpoint.host_name.clone());
                event.container = endpoint.container.clone();
            });
        }
        let forget = Change::DeleteEndpoint(id.clone());
        if let Some(mut released) = endpoint.released
            && matches!(released.try_recv(), Err(TryRecvError::Empty))
        {
            // The way to the server is still being asked for: the record goes when the RELEASE is
            // out, so that a crash in between does not lose it.
            let store = self.0.store.clone();
            self.0.unfinished.spawn(async move {
                let _ = released.await;
                store.commit_later(forget);
            });
            return Ok(());
        }
        self.0.store.commit(forget).await?;
        point("delete: forgotten");
        Ok(())
    }

    /// Removes our default route from the sandbox when it is another than Docker was told of:
    /// Docker removes only its own, and the next one would not find the place free.
    async fn restore_gateway(&self, id: &EndpointId) {
        let (path, inside) = {
            let state = self.lock();
            let Some(endpoint) = state.endpoints.get(id) else { return };
            let Phase::Joined(path) = &endpoint.phase else { return };
            let gateway = endpoint.lease().and_then(|lease| endpoint.network.gateway(&lease));
            if gateway == endpoint.told_gateway {
                return;
            }
            (path.clone(), endpoint.inside(id))
        };
        let removed = async {
            match Sandbox::open(&path, &inside).await? {
                Some(sandbox) => sandbox.remove_default_route().await,
                None => Ok(()),
            }
        };
        if let Err(error) = removed.await {
            tracing::debug!(endpoint = %id, %error, "default route not removed");
        }
    }
}
