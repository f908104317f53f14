//! What happens by itself: links that come up or go, leases that change.
//!
//! One task does it all, in the order in which it happens, so that nobody else touches a sandbox
//! at the same time.

use std::path::PathBuf;
use std::sync::Arc;

use dhcp::v4::{Event, Lease, Loss};
use net::{LinkChange, LinkWatch};
use tokio::sync::mpsc::UnboundedReceiver;
use wire::MacAddr;

use super::ids::EndpointId;
use super::sandbox::{Configured, Sandbox};
use super::{Engine, guest, sandbox, with_prefix};
use crate::segments::{LeaseEvent, Segment};
use crate::store::Phase;

/// Something about an endpoint's link.
#[derive(Debug)]
pub(super) enum LinkNews {
    /// It is up in its sandbox.
    Up(EndpointId),
    /// It is not up in a sandbox any more.
    Down(EndpointId),
    /// It is gone, though nobody asked us to remove it.
    Gone(EndpointId),
}

/// Turns the kernel's link messages into work.
pub(super) async fn watch_links(engine: Engine, mut watch: LinkWatch) {
    loop {
        match watch.next().await {
            Ok(LinkChange::Changed(link)) => engine.link_changed(link.index, link.carrier),
            Ok(LinkChange::PortState { .. }) => {}
            Ok(LinkChange::Removed { index, .. }) => engine.link_removed(index),
            Ok(LinkChange::Resync) => match engine.0.host.links().await {
                Ok(links) => engine.compare_links(&links),
                Err(error) => tracing::error!(%error, "links cannot be read"),
            },
            Err(error) => {
                tracing::error!(%error, "links cannot be watched any more");
                return;
            }
        }
    }
}

/// Does the work as it comes in, and follows the leases.
pub(super) async fn work(
    engine: Engine,
    mut queue: UnboundedReceiver<LinkNews>,
    mut leases: UnboundedReceiver<LeaseEvent>,
) {
    loop {
        tokio::select! {
            Some(news) = queue.recv() => match news {
                LinkNews::Up(id) => engine.link_up(&id).await,
                LinkNews::Down(id) => engine.link_down(&id).await,
                LinkNews::Gone(id) => engine.link_gone(&id).await,
            },
            Some(LeaseEvent { endpoint, event }) = leases.recv() => {
                engine.lease_event(&endpoint, event).await;
            }
            else => return,
        }
    }
}

/// What is needed to work in a sandbox.
struct Joined {
    segment: Arc<Segment>,
    mac: MacAddr,
    path: PathBuf,
    host_link: u32,
    /// The index of the interface in the sandbox, if it was seen there.
    ifindex: Option<u32>,
}

impl Engine {
    pub(super) fn link_changed(&self, index: u32, carrier: bool) {
        let mut state = self.lock();
        let Some(id) = state.by_link.get(&index).cloned() else { return };
        let Some(endpoint) = state.endpoints.get_mut(&id) else { return };
        if endpoint.carrier != carrier {
            endpoint.carrier = carrier;
            self.tell(if carrier { LinkNews::Up(id) } else { LinkNews::Down(id) });
        }
    }

    fn link_removed(&self, index: u32) {
        if let Some(id) = self.lock().by_link.remove(&index) {
            self.tell(LinkNews::Gone(id));
        }
    }

    /// After link messages were lost: what they would have told.
    fn compare_links(&self, links: &[net::Link]) {
        let known: Vec<u32> = self.lock().by_link.keys().copied().collect();
        for index in known {
            match links.iter().find(|link| link.index == index) {
                Some(link) => self.link_changed(index, link.carrier),
                None => self.link_removed(index),
            }
        }
    }

    fn tell(&self, news: LinkNews) {
        // The worker ends with the process.
        let _ = self.0.news.send(news);
    }

    /// The sandbox that holds the endpoint's link, once that is up in it: before, there is nothing
    /// in it to change, and up to Engine 27 its namespace does not even exist.
    fn joined(&self, id: &EndpointId) -> Option<Joined> {
        let state = self.lock();
        let endpoint = state.endpoints.get(id).filter(|endpoint| endpoint.carrier)?;
        let Phase::Joined(path) = &endpoint.phase else { return None };
        Some(Joined {
            segment: endpoint.segment.clone()?,
            mac: endpoint.mac,
            path: path.clone(),
            host_link: endpoint.host_link,
            ifindex: endpoint.interface.as_ref().map(|(index, _)| *index),
        })
    }

    fn segment_of(&self, id: &EndpointId) -> Option<(Arc<Segment>, MacAddr)> {
        let state = self.lock();
        let endpoint = state.endpoints.get(id)?;
        Some((endpoint.segment.clone()?, endpoint.mac))
    }

    /// The link is up in its sandbox: from now on unicast frames go there, the address lives as
    /// long as its lease, and the server learns the container's name.
    async fn link_up(&self, id: &EndpointId) {
        let Some(Joined { segment, mac, path, host_link, .. }) = self.joined(id) else { return };
        segment.link_up(mac, host_link).await;
        let told = self.lock().endpoints.get(id).and_then(|endpoint| endpoint.told);
        let configured = async {
            let Some(sandbox) = Sandbox::open(&path, host_link).await? else { return Ok(None) };
            if let Some(lease) = segment.view(mac).and_then(|view| view.lease) {
                let old = if told == Some(with_prefix(&lease)) {
                    Configured::of(&lease)
                } else {
                    // The lease has changed since Docker was told of it.
                    Configured { address: told, ..Configured::default() }
                };
                sandbox.change(&old, &lease).await?;
            }
            net::Result::Ok(Some((sandbox.ifindex, sandbox.interface.into())))
        };
        match configured.await {
            Ok(interface) => {
                if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
                    endpoint.interface = interface;
                }
            }
            Err(error) => tracing::warn!(endpoint = %id, %error, "the sandbox is out of reach"),
        }
        segment.announce(mac);
        if self.lock().endpoints.get(id).is_some_and(|endpoint| endpoint.container.is_some()) {
            // Known from before the daemon's restart, and the DHCP client sends the name.
            return;
        }
        let inquiry = tokio::spawn(inquire(self.clone(), id.clone(), path));
        if let Some(endpoint) = self.lock().endpoints.get_mut(id)
            && let Some(earlier) = endpoint.inquiry.replace(inquiry.abort_handle())
        {
            earlier.abort();
        }
    }

    async fn link_down(&self, id: &EndpointId) {
        let Some((segment, mac)) = self.segment_of(id) else { return };
        segment.link_down(mac).await;
    }

    /// The sandbox went away with our link in it and the engine said nothing: the endpoint ends.
    async fn link_gone(&self, id: &EndpointId) {
        tracing::warn!(endpoint = %id, "the link is gone: the lease is released");
        if let Err(error) = self.remove(id).await {
            tracing::error!(endpoint = %id, %error, "not removed");
        }
    }

    async fn lease_event(&self, id: &EndpointId, event: Event) {
        let Some((segment, mac)) = self.segment_of(id) else { return };
        self.keep_later(id);
        let lease = segment.view(mac).and_then(|view| view.lease);
        match (&event, &lease) {
            (Event::Renewed, Some(lease)) => {
                tracing::debug!(endpoint = %id, %mac, address = %lease.address, "lease renewed");
            }
            (Event::Bound, Some(lease)) => {
                let (address, server) = (with_prefix(lease), lease.server);
                tracing::info!(endpoint = %id, %mac, %address, %server, "a lease again");
            }
            (Event::Changed { old }, Some(lease)) => {
                let (before, address) = (with_prefix(old), with_prefix(lease));
                let server = lease.server;
                if before == address {
                    // Servers give back the host name that they were told, for one.
                    tracing::info!(
                        endpoint = %id, %mac, %address, %server, "options of the lease changed"
                    );
                } else {
                    tracing::info!(
                        endpoint = %id, %mac, %before, %address, %server, "address changed"
                    );
                }
            }
            (Event::Lost { old, why }, _) => {
                let address = old.address;
                match why {
                    Loss::Expired => {
                        tracing::warn!(endpoint = %id, %mac, %address, "lease expired");
                    }
                    Loss::Nak { server, message } => tracing::warn!(
                        endpoint = %id, %mac, %address, %server, ?message, "lease refused (NAK)"
                    ),
                }
            }
            _ => {}
        }
        let applied = async {
            let Some(Joined { path, host_link, ifindex, .. }) = self.joined(id) else {
                return Ok(());
            };
            if let (Event::Renewed, Some(lease), Some(ifindex)) = (&event, &lease, ifindex) {
                match sandbox::prolong(&path, ifindex, lease) {
                    // Not where it was seen last: looked for below.
                    Err(error) if error.is_not_found() => {}
                    prolonged => return prolonged,
                }
            }
            let Some(sandbox) = Sandbox::open(&path, host_link).await? else { return Ok(()) };
            self.apply(id, &sandbox, &event, lease.as_ref()).await?;
            net::Result::Ok(())
        };
        if let Err(error) = applied.await {
            tracing::error!(
                endpoint = %id, %mac, %error,
                "the container does not have what its lease says"
            );
        }
        let new_address = match &event {
            Event::Bound => true,
            Event::Changed { old } => lease.is_some_and(|lease| lease.address != old.address),
            _ => false,
        };
        if new_address {
            segment.announce(mac);
        }
    }

    /// Notes what an endpoint's interface has lost with its lease; what was noted until now.
    fn withdrawn(&self, id: &EndpointId, now: Option<Box<Configured>>) -> Box<Configured> {
        let mut state = self.lock();
        let endpoint = state.endpoints.get_mut(id);
        endpoint.and_then(|e| std::mem::replace(&mut e.withdrawn, now)).unwrap_or_default()
    }

    async fn apply(
        &self,
        id: &EndpointId,
        sandbox: &Sandbox,
        event: &Event,
        lease: Option<&Lease>,
    ) -> net::Result<()> {
        match (event, lease) {
            (Event::Renewed, Some(lease)) => sandbox.change(&Configured::of(lease), lease).await,
            (Event::Changed { old }, Some(lease)) => {
                sandbox.change(&Configured::of(old), lease).await
            }
            (Event::Bound, Some(lease)) => {
                let withdrawn = self.withdrawn(id, None);
                sandbox.change(&withdrawn, lease).await
            }
            (Event::Lost { old, .. }, _) => {
                let withdrawn = sandbox.withdraw(old).await?;
                self.withdrawn(id, Some(Box::new(withdrawn)));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Learns who lives in the sandbox, and has the DHCP client tell the server.
async fn inquire(engine: Engine, id: EndpointId, path: PathBuf) {
    let found = match guest::find(&path).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(endpoint = %id, %error, "the container's host name is not known");
            return;
        }
    };
    let Some(Joined { segment, mac, .. }) = engine.joined(&id) else { return };
    if let Some(endpoint) = engine.lock().endpoints.get_mut(&id) {
        endpoint.host_name = found.host_name.as_deref().map(Into::into);
        endpoint.container = found.container.as_deref().map(Into::into);
    }
    engine.keep_later(&id);
    if let Some(name) = &found.host_name {
        segment.set_host_name(mac, name);
    }
}
