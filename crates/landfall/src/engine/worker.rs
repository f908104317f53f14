//! What happens by itself: links that come up or go, leases that change.
//!
//! One task does it all, in the order in which it happens, so that nobody else touches a sandbox
//! at the same time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use dhcp::v4::{Event, Lease, Loss};
use net::{LinkChange, LinkWatch};
use tokio::sync::mpsc::UnboundedReceiver;
use wire::MacAddr;

use super::backlog::Backlog;
use super::bridges::BridgeNews;
use super::events::Kind;
use super::guest::{self, Guest};
use super::ids::EndpointId;
use super::sandbox::{Configured, Inside, Sandbox};
use super::{Engine, State, ipv6, with_prefix};
use crate::fault::point;
use crate::segments::{Ipv6Event, LeaseEvent, Live, Segment};
use crate::store::{NetworkRecord, Phase};

/// Something about an endpoint's link, or about a bridge.
#[derive(Debug)]
pub(super) enum LinkNews {
    /// It is up in its sandbox.
    Up(EndpointId),
    /// It is not up in a sandbox any more.
    Down(EndpointId),
    /// It is gone, though nobody asked us to remove it.
    Gone(EndpointId),
    /// It is Docker's choice for its container's default route, or is not any more.
    WayOut(EndpointId),
    /// It has left the host's namespace, for its sandbox.
    Moved(EndpointId),
    /// It is up on another bridge than its own, or on none.
    Astray(EndpointId),
    /// Something about the bridge of that name.
    Bridge(String, BridgeNews),
}

/// How many events of leases are followed before links have their turn.
const MOST_EVENTS: usize = 64;

/// Turns the kernel's link messages into work.
pub(super) async fn watch_links(engine: Engine, mut watch: LinkWatch) {
    loop {
        match watch.next().await {
            Ok(LinkChange::Changed(link)) => engine.link_changed(&link),
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

/// Has all leases confirmed when the machine wakes: their server has not slept, and the machine may
/// have been carried elsewhere.
pub(super) async fn watch_wakings(engine: Engine, mut wakings: net::Wakings) {
    loop {
        match wakings.next().await {
            Ok(slept) => {
                tracing::info!(?slept, "the machine woke");
                engine.confirm_everything();
            }
            Err(error) => {
                tracing::error!(%error, "wakings cannot be watched any more");
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
    mut ipv6: UnboundedReceiver<Ipv6Event>,
) {
    let mut events = Vec::new();
    let mut backlog = Backlog::default();
    loop {
        while let Ok(event) = ipv6.try_recv() {
            engine.note(&mut backlog, event);
        }
        tokio::select! {
            Some(news) = queue.recv() => match news {
                LinkNews::Up(id) => engine.link_up(&id).await,
                LinkNews::Down(id) => engine.link_down(&id).await,
                LinkNews::Gone(id) => engine.link_gone(&id).await,
                LinkNews::WayOut(id) => engine.way_out_changed(&id).await,
                LinkNews::Moved(id) => engine.child_moved(&id),
                LinkNews::Astray(id) => engine.put_link_back(&id).await,
                LinkNews::Bridge(bridge, BridgeNews::Made) => engine.put_back(&bridge).await,
                LinkNews::Bridge(bridge, BridgeNews::Back) => engine.confirm_all(&bridge),
            },
            1.. = leases.recv_many(&mut events, MOST_EVENTS) => {
                engine.lease_events(&mut events).await;
            }
            Some(event) = ipv6.recv() => engine.note(&mut backlog, event),
            () = std::future::ready(()), if !backlog.is_empty() => {
                engine.ipv6_events(backlog.take(MOST_EVENTS)).await;
            }
            else => return,
        }
    }
}

/// What is needed to work in a sandbox.
pub(super) struct Joined {
    pub(super) segment: Arc<Segment>,
    pub(super) mac: MacAddr,
    pub(super) network: Arc<NetworkRecord>,
    pub(super) path: PathBuf,
    /// By what its interface is known there.
    pub(super) inside: Inside,
    pub(super) live: Live,
    /// Whether Docker has chosen it for its container's default route.
    pub(super) way_out: bool,
    /// The index and the name of the interface in the sandbox, if it was seen there.
    pub(super) interface: Option<(u32, Box<str>)>,
}

impl Engine {
    pub(super) fn link_changed(&self, link: &net::Link) {
        let mut state = self.lock();
        if let Some((bridge, news)) = state.bridge_changed(link) {
            self.tell(LinkNews::Bridge(bridge, news));
        }
        let State { endpoints, by_link, .. } = &mut *state;
        let Some(id) = by_link.get(&link.index) else { return };
        let Some(endpoint) = endpoints.get_mut(id) else { return };
        if endpoint.is_child() {
            // It comes up where no notice tells of it.
            return;
        }
        if endpoint.carrier != link.carrier {
            endpoint.carrier = link.carrier;
            let id = id.clone();
            self.tell(if link.carrier { LinkNews::Up(id) } else { LinkNews::Down(id) });
        }
        if let Some(segment) = &endpoint.segment
            && link.master != Some(segment.index())
        {
            self.tell(LinkNews::Astray(id.clone()));
        }
    }

    /// Something has happened to an endpoint's IPv6, and is followed in its turn.
    fn note(&self, backlog: &mut Backlog, event: Ipv6Event) {
        if let dhcp::ipv6::Event::Duplicate { address, holder, .. } = &event.event {
            self.duplicate_happened(&event.endpoint, (*address).into(), *holder);
        }
        backlog.add(event);
    }

    fn link_removed(&self, index: u32) {
        let mut state = self.lock();
        state.bridges.removed(index);
        if let Some(id) = state.by_link.remove(&index) {
            let child = state.endpoints.get_mut(&id).filter(|endpoint| endpoint.is_child());
            let moved = child.is_some_and(|endpoint| {
                endpoint.host_link = 0;
                matches!(endpoint.phase, Phase::Joined(_))
            });
            self.tell(if moved { LinkNews::Moved(id) } else { LinkNews::Gone(id) });
        }
        for (id, endpoint) in &state.endpoints {
            // A parent takes its children with it, in whichever sandbox they are.
            if endpoint.is_child()
                && matches!(endpoint.phase, Phase::Joined(_))
                && endpoint.segment.as_ref().is_some_and(|segment| segment.port() == index)
            {
                self.tell(LinkNews::Gone(id.clone()));
            }
        }
        let segments = state.endpoints.values().filter_map(|endpoint| endpoint.segment.as_ref());
        if let Some(segment) = segments.into_iter().find(|segment| segment.port() == index) {
            self.tell(LinkNews::Bridge(segment.interface().to_owned(), BridgeNews::Made));
        }
    }

    /// After link messages were lost: what they would have told.
    fn compare_links(&self, links: &[net::Link]) {
        let known: Vec<u32> = {
            let state = self.lock();
            let bridges = state.bridges.indexes();
            let ports = state.endpoints.values().filter_map(|e| Some(e.segment.as_ref()?.port()));
            state.by_link.keys().copied().chain(bridges).chain(ports).collect()
        };
        let gone: BTreeSet<u32> = known
            .into_iter()
            .filter(|index| !links.iter().any(|link| link.index == *index))
            .collect();
        gone.into_iter().for_each(|index| self.link_removed(index));
        links.iter().for_each(|link| self.link_changed(link));
    }

    pub(super) fn tell(&self, news: LinkNews) {
        // The worker ends with the process.
        let _ = self.0.news.send(news);
    }

    /// The sandbox that holds the endpoint's link, once that is up in it: before, there is nothing
    /// in it to change, and up to Engine 27 its namespace does not even exist.
    pub(super) fn joined(&self, id: &EndpointId) -> Option<Joined> {
        let state = self.lock();
        let endpoint = state.endpoints.get(id).filter(|endpoint| endpoint.carrier)?;
        let Phase::Joined(path) = &endpoint.phase else { return None };
        Some(Joined {
            segment: endpoint.segment.clone()?,
            mac: endpoint.mac,
            network: endpoint.network.clone(),
            path: path.clone(),
            inside: endpoint.inside(id),
            live: endpoint.live(),
            way_out: endpoint.way_out,
            interface: endpoint.interface.clone(),
        })
    }

    pub(super) fn segment_of(&self, id: &EndpointId) -> Option<(Arc<Segment>, MacAddr)> {
        let state = self.lock();
        let endpoint = state.endpoints.get(id)?;
        Some((endpoint.segment.clone()?, endpoint.mac))
    }

    /// The link is up in its sandbox: from now on unicast frames go there, the address lives as
    /// long as its lease, and the server learns the container's name.
    async fn link_up(&self, id: &EndpointId) {
        let Some(joined) = self.joined(id) else { return };
        let Joined { segment, mac, network, path, inside, live, way_out, .. } = joined;
        point("join: link up");
        segment.link_up(mac, live).await;
        point("join: forwarded");
        let (told, told6) = {
            let state = self.lock();
            let endpoint = state.endpoints.get(id);
            (endpoint.and_then(|e| e.told), endpoint.and_then(|e| e.told6))
        };
        let told6 = ipv6::as_told(told6);
        let configured = async {
            let Some(mut sandbox) = Sandbox::open(&path, &inside).await? else { return Ok(None) };
            let of_told = Configured { address: told, ..Configured::default() };
            match segment.view(mac).map(|view| view.lease) {
                Some(Some(lease)) => {
                    let new = network.configured(&lease);
                    // Else the lease has changed since Docker was told of it.
                    let same = told == Some(with_prefix(&lease));
                    let old = if same { new.clone() } else { of_told };
                    sandbox.change(&old, (&new, &lease)).await?;
                    // What a router says follows with the rest of IPv6.
                    self.apply_mtu(&network, &mut sandbox, &lease, None).await?;
                }
                Some(None) if told.is_some() => {
                    // Lost since then, when there was nothing yet to take it from.
                    let withdrawn = sandbox.withdraw(&of_told).await?;
                    self.note_withdrawn(id, withdrawn);
                }
                _ => {}
            }
            if let Some(new) = ipv6::wanted(&segment, mac, &network) {
                sandbox.change_ipv6(&told6, &new, way_out, true).await?;
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
        point("join: configured");
        segment.announce(mac);
        point("join: announced");
        self.propagate_dns(id);
        if self.joined(id).is_some() {
            self.happened(id, Kind::LinkUp);
        }
        if self.lock().endpoints.get(id).is_some_and(|endpoint| endpoint.confirmed) {
            // Known from before the daemon's restart, and the DHCP client sends the name.
            return;
        }
        let mut state = self.lock();
        let Some(endpoint) = state.endpoints.get_mut(id) else { return };
        // Begun before the state is let go, so that its end finds its handle.
        let inquiry = tokio::spawn(self.clone().inquire(id.clone(), path));
        if let Some(earlier) = endpoint.pending.replace(inquiry.abort_handle()) {
            earlier.abort();
        }
    }

    async fn link_down(&self, id: &EndpointId) {
        let Some((segment, mac)) = self.segment_of(id) else { return };
        segment.link_down(mac).await;
    }

    /// The sandbox went away with our link in it and the engine said nothing: the container has
    /// ended.
    async fn link_gone(&self, id: &EndpointId) {
        tracing::warn!(endpoint = %id, "the link is gone");
        if let Err(error) = self.undo(id).await {
            tracing::error!(endpoint = %id, %error, "not removed");
        }
    }

    /// What is not a renewal that went as expected: that is in `renewals`.
    pub(super) async fn lease_event(&self, id: &EndpointId, event: Event) {
        let Some((segment, mac)) = self.segment_of(id) else { return };
        if event == Event::Ipv6Only {
            tracing::info!(endpoint = %id, %mac, "the DHCP server would have it do without IPv4 (option 108)");
            return self.see_to_an_address(id);
        }
        self.lock().count(&event);
        self.lease_happened(id, &event);
        // Nobody needs another lease then.
        let over = matches!(event, Event::Lost { .. })
            && self.lock().endpoints.get(id).is_some_and(|endpoint| endpoint.is_held());
        if !over {
            self.keep_later(id);
        }
        let lease = segment.view(mac).and_then(|view| view.lease);
        match (&event, &lease) {
            (Event::Renewed, Some(lease)) => {
                tracing::debug!(endpoint = %id, %mac, address = %lease.address, "lease renewed");
            }
            (Event::Bound, Some(lease)) => {
                let (address, server) = (with_prefix(lease), lease.server);
                tracing::info!(endpoint = %id, %mac, %address, %server, "a lease again");
            }
            (Event::Changed { old }, Some(lease)) => self.log_change(id, mac, (old, lease)),
            (Event::Overdue, Some(Lease { address, .. })) => tracing::warn!(
                endpoint = %id, %mac, %address, "lease expired; its address stays in use"
            ),
            (Event::Lost { old, why }, _) => {
                let address = old.address;
                match why {
                    Loss::Expired => {
                        tracing::warn!(endpoint = %id, %mac, %address, "lease expired");
                    }
                    Loss::Conflict { holder } => tracing::warn!(
                        endpoint = %id, %mac, %address, %holder, "address in use by another machine"
                    ),
                    Loss::Nak { server, message } => tracing::warn!(
                        endpoint = %id, %mac, %address, %server, ?message, "lease refused (NAK)"
                    ),
                }
            }
            _ => {}
        }
        if over {
            self.0.unfinished.spawn(self.clone().give_up(id.clone()));
            return;
        }
        let applied = async {
            let Some(Joined { network, path, inside, live, .. }) = self.joined(id) else {
                return Ok(());
            };
            let found = match Sandbox::open(&path, &inside).await {
                Err(error) if live == Live::Child && error.is_not_found() => None,
                opened => opened?,
            };
            let Some(mut sandbox) = found else {
                if live == Live::Child {
                    // No link of the host tells of its end.
                    self.tell(LinkNews::Gone(id.clone()));
                }
                return Ok(());
            };
            point("change: known");
            self.apply(id, &network, &sandbox, &event, lease.as_ref()).await?;
            if let Some(lease) = &lease {
                let of_ipv6 = ipv6::wanted(&segment, mac, &network).and_then(|wanted| wanted.mtu);
                self.apply_mtu(&network, &mut sandbox, lease, of_ipv6).await?;
            }
            point("change: applied");
            net::Result::Ok(())
        };
        if let Err(error) = applied.await {
            tracing::error!(
                endpoint = %id, %mac, %error,
                "the container does not have what its lease says"
            );
        }
        self.propagate_dns(id);
        let new_address = match &event {
            Event::Bound => true,
            Event::Changed { old } => lease.is_some_and(|lease| lease.address != old.address),
            _ => false,
        };
        if new_address {
            segment.announce(mac);
        }
    }

    /// Notes what an endpoint's interface has lost with its lease, beside what was noted since the last one.
    fn note_withdrawn(&self, id: &EndpointId, lost: Configured) {
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            let noted = endpoint.withdrawn.get_or_insert_default();
            noted.had_default |= lost.had_default;
            noted.others.extend(lost.others);
        }
    }

    /// What was noted, and is put back with the next lease.
    fn take_withdrawn(&self, id: &EndpointId) -> Configured {
        let noted = self.lock().endpoints.get_mut(id).and_then(|e| e.withdrawn.take());
        noted.map(|noted| *noted).unwrap_or_default()
    }

    async fn apply(
        &self,
        id: &EndpointId,
        network: &NetworkRecord,
        sandbox: &Sandbox,
        event: &Event,
        lease: Option<&Lease>,
    ) -> net::Result<()> {
        if let Event::Lost { old, .. } = event {
            let withdrawn = sandbox.withdraw(&network.configured(old)).await?;
            self.note_withdrawn(id, withdrawn);
            return Ok(());
        }
        let Some(lease) = lease else { return Ok(()) };
        let new = network.configured(lease);
        let old = match event {
            Event::Renewed | Event::Overdue => new.clone(),
            Event::Changed { old } => network.configured(old),
            Event::Bound => self.take_withdrawn(id),
            _ => return Ok(()),
        };
        if old != new
            && let Some(gateway) = network.options.applied.out_of_reach(lease)
        {
            let (address, instead) = (with_prefix(lease), network.gateway(lease));
            tracing::warn!(
                endpoint = %id, %gateway, %address, ?instead,
                "the network's gateway is no router for that address: the server's is used"
            );
        }
        sandbox.change(&old, (&new, lease)).await
    }

    /// Learns who lives in the sandbox, and has the DHCP client tell the server.
    async fn inquire(self, id: EndpointId, path: PathBuf) {
        match guest::find(&path).await {
            Ok(found) => self.learn(&id, found),
            Err(error) => {
                tracing::warn!(endpoint = %id, %error, "the container's host name is not known");
            }
        }
        // As long as there is a handle to it, a task that has ended takes up as much memory as one that runs.
        if let Some(endpoint) = self.lock().endpoints.get_mut(&id) {
            endpoint.pending.take_if(|pending| pending.id() == tokio::task::id());
        }
    }

    fn learn(&self, id: &EndpointId, found: Guest) {
        let Some(Joined { segment, mac, .. }) = self.joined(id) else { return };
        let mut name = None;
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.host_name = found.host_name.as_deref().map(Into::into);
            if endpoint.container.as_deref() != found.container.as_deref() {
                if endpoint.container.is_some() {
                    tracing::warn!(
                        endpoint = %id, taken_for = ?endpoint.container, is = ?found.container,
                        "another container than the one that was taken for it"
                    );
                }
                endpoint.container = found.container.as_deref().map(Into::into);
                endpoint.name = None;
            }
            endpoint.confirmed = found.container.is_some();
            // Any other process may end before its container does.
            endpoint.guest = found.pid.filter(|_| found.container.is_some());
            name = endpoint.name_to_tell().map(str::to_owned);
        }
        self.keep_later(id);
        point("join: guest known");
        if let Some(name) = name {
            segment.set_host_name(mac, &name);
        }
    }
}
