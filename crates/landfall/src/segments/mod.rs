//! Segments: each bridge that a network uses, the port through which Landfall speaks on it, and
//! the DHCP clients of all endpoints there.

mod acquire;
mod advertised;
mod clients;
mod drive;
mod driver;
mod ear;
mod hearing;
mod ipv6;
mod neighbours;
mod pace;
mod port;
mod schedule;
mod segment;
mod wake;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use net::{BootTimer, Link, Netlink, Netns};
use tokio::sync::{Mutex, mpsc};

pub(crate) use acquire::{AcquireError, Begin, Start};
pub(crate) use ipv6::{Ipv6, Ipv6Event};
pub(crate) use port::PortError;
pub(crate) use segment::Segment;

use crate::engine::api::Ipv6Counters;
use crate::engine::ids::EndpointId;

/// Something happened to an endpoint's lease.
#[derive(Debug)]
pub(crate) struct LeaseEvent {
    /// Whose.
    pub(crate) endpoint: EndpointId,
    /// What.
    pub(crate) event: dhcp::v4::Event,
}

/// All segments of this daemon.
pub(crate) struct Segments {
    /// The host's links.
    host: Netlink,
    /// Landfall's own namespace, where the inner ends of the ports stand.
    home: Netns,
    home_links: Netlink,
    instance: String,
    events: mpsc::UnboundedSender<LeaseEvent>,
    ipv6_events: mpsc::UnboundedSender<Ipv6Event>,
    ipv6_counters: Arc<std::sync::Mutex<Ipv6Counters>>,
    open: Mutex<HashMap<u32, Arc<Segment>>>,
}

impl Segments {
    /// Prepares the namespace of the ports; `instance` keeps the links of several daemons apart.
    pub(crate) fn new(
        host: Netlink,
        instance: &str,
        events: mpsc::UnboundedSender<LeaseEvent>,
        ipv6_events: mpsc::UnboundedSender<Ipv6Event>,
    ) -> Result<Segments, net::Error> {
        let home = port::home(instance)?;
        let home_links = Netlink::in_netns(&home)?;
        Ok(Segments {
            host,
            home,
            home_links,
            instance: instance.to_owned(),
            events,
            ipv6_events,
            ipv6_counters: Arc::default(),
            open: Mutex::default(),
        })
    }

    /// The segment behind the bridge of that name, and the bridge as it is now, which is up.
    pub(crate) async fn get(&self, bridge: &str) -> Result<(Arc<Segment>, Link), PortError> {
        let (segment, bridge) = self.get_as_it_is(bridge).await?;
        if !bridge.up {
            return Err(PortError::Down(bridge.name));
        }
        Ok((segment, bridge))
    }

    /// The same whether the bridge is up or down: leases that there are go on once it is up. The
    /// port is made when it is first asked for.
    pub(crate) async fn get_as_it_is(
        &self,
        bridge: &str,
    ) -> Result<(Arc<Segment>, Link), PortError> {
        let bridge = port::find_bridge(&self.host, bridge).await?;
        // One lock for all: a port is made once per bridge and boot.
        let mut open = self.open.lock().await;
        if let Some(segment) = open.get(&bridge.index) {
            return Ok((segment.clone(), bridge));
        }
        let port =
            port::open(&self.host, &self.home, &self.home_links, &self.instance, &bridge).await?;
        let timer = BootTimer::new()
            .map_err(|source| PortError::Kernel { bridge: bridge.name.clone(), source })?;
        let segment = Segment::start(&bridge, port, self.host.clone(), self.events.clone(), timer);
        open.insert(bridge.index, segment.clone());
        Ok((segment, bridge))
    }

    /// The IPv6 side of a segment, which is made when it is first asked for.
    pub(crate) fn ipv6_of(&self, segment: &Arc<Segment>) -> Result<Arc<Ipv6>, net::Error> {
        if let Some(ipv6) = segment.ipv6() {
            return Ok(ipv6.clone());
        }
        let inner = segment.socket.ifindex();
        let (events, counters) = (self.ipv6_events.clone(), self.ipv6_counters.clone());
        let made = Ipv6::start(segment, &self.home, inner, events, counters)?;
        let first = segment.ipv6.get_or_init(|| made.clone());
        if !Arc::ptr_eq(first, &made) {
            made.stop();
        }
        Ok(first.clone())
    }

    /// What was said, heard and found of IPv6 on all segments so far.
    pub(crate) fn ipv6_counters(&self) -> Ipv6Counters {
        *self.ipv6_counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment of a bridge that was made again, or whose port has gone: with a new port, and
    /// the clients of the old one. As it is, if its port is there after all.
    pub(crate) async fn reopen(&self, bridge: &str) -> Result<(Arc<Segment>, Link), PortError> {
        let now = port::find_bridge(&self.host, bridge).await?;
        let old: Vec<Arc<Segment>> = {
            let mut open = self.open.lock().await;
            // One that was opened meanwhile, by whoever was first to need it, is empty yet.
            let whole = match open.get(&now.index) {
                Some(segment) => port::is_there(&self.host, segment.port(), &now).await?,
                None => false,
            };
            let here: Vec<u32> = open
                .iter()
                .filter(|(index, segment)| {
                    segment.bridge() == bridge && !(whole && **index == now.index)
                })
                .map(|(index, _)| *index)
                .collect();
            here.iter().filter_map(|index| open.remove(index)).collect()
        };
        let opened = self.get_as_it_is(bridge).await;
        match &opened {
            Ok((segment, _)) => {
                for old in old {
                    old.stop();
                    segment.adopt(old.give_up_clients());
                    if let Some(before) = old.ipv6() {
                        match self.ipv6_of(segment) {
                            Ok(ipv6) => ipv6.adopt(before.give_up_clients()),
                            Err(error) => {
                                tracing::error!(%error, bridge, "endpoints are without IPv6");
                            }
                        }
                    }
                    // It outlives a bridge that is deleted, as a port of none.
                    if old.port() != segment.port()
                        && let Err(error) = self.host.delete_link(old.port()).await
                        && !error.is_not_found()
                    {
                        tracing::warn!(%error, bridge, "the old port stays behind");
                    }
                }
            }
            // They go on waiting for a bridge.
            Err(_) => {
                let mut open = self.open.lock().await;
                open.extend(old.into_iter().map(|segment| (segment.index(), segment)));
            }
        }
        opened
    }

    /// Removes ports of this daemon on bridges that no network uses: an earlier run died before it
    /// removed them.
    pub(crate) async fn remove_strays(&self, links: &[Link]) {
        let ours = port::name(&self.instance, "");
        let used: Vec<u32> = self.open.lock().await.values().map(|s| s.port()).collect();
        for link in links.iter().filter(|l| l.name.starts_with(&ours) && !used.contains(&l.index)) {
            tracing::info!(port = link.name, "the port of no network: removed");
            if let Err(error) = self.host.delete_link(link.index).await {
                tracing::warn!(%error, port = link.name, "the port stays behind");
            }
        }
    }

    /// The bridge of that name, which is up; without a port of ours.
    pub(crate) async fn bridge(&self, name: &str) -> Result<Link, PortError> {
        let bridge = port::find_bridge(&self.host, name).await?;
        if bridge.up { Ok(bridge) } else { Err(PortError::Down(bridge.name)) }
    }

    /// Stops the segment of a bridge that no network uses any more and removes its port, once
    /// the leases that are being given back there are given back: if it is still `unused` then.
    pub(crate) async fn close(&self, bridge: &str, unused: impl Fn() -> bool) {
        // Several where a bridge of that name was deleted and made anew meanwhile.
        let here: Vec<(u32, Arc<Segment>)> = {
            let open = self.open.lock().await;
            let here = open.iter().filter(|(_, segment)| segment.bridge() == bridge);
            here.map(|(index, segment)| (*index, segment.clone())).collect()
        };
        for (index, segment) in here {
            segment.all_released().await;
            let mut open = self.open.lock().await;
            if !unused() {
                return;
            }
            open.remove(&index);
            segment.stop();
            if let Err(error) = self.host.delete_link(segment.port()).await
                && !error.is_not_found()
            {
                tracing::warn!(%error, bridge, "the port stays behind");
            }
        }
    }
}
