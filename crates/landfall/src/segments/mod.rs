//! Segments: each bridge or parent that a network uses, the port through which Landfall speaks on it, and
//! the DHCP clients of all endpoints there.

mod acquire;
mod clients;
mod drive;
mod driver;
mod ear;
mod hearing;
mod ipv6;
mod line;
mod pace;
mod parent;
mod port;
mod schedule;
mod segment;
mod vlan;
mod wake;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use net::{BootTimer, Link, Netlink, Netns};
use tokio::sync::{Mutex, mpsc};

pub(crate) use acquire::{AcquireError, Begin, Start};
pub(crate) use ipv6::{Ipv6, Ipv6Event};
pub(crate) use port::{PortError, enter_vlan, is_own_link};
pub(crate) use segment::Segment;

use crate::engine::api::{Ipv4Counters, Ipv6Counters};
use crate::engine::ids::EndpointId;

/// What kind of link a segment is reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    /// A bridge, with a port for each endpoint: all in one of the VLANs that it keeps apart, if it does.
    Bridge(Option<u16>),
    /// A parent, with a macvlan child for each endpoint.
    Parent,
    /// A parent that admits no child of Landfall's own, whose MAC the endpoints have.
    ParentAlone,
}

/// An endpoint's link that is up in a sandbox, as far as it matters for what the port hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Live {
    /// A veth, by its host's end: what is sent to its MAC goes there and not to the port.
    Veth(u32),
    /// A child of the parent, where everything passes.
    Child,
}

impl Live {
    /// Where else than at the port its frames are to be heard.
    fn ear(self) -> Option<u32> {
        match self {
            Live::Veth(link) => Some(link),
            Live::Child => None,
        }
    }
}

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
    ipv4_counters: Arc<std::sync::Mutex<Ipv4Counters>>,
    ipv6_counters: Arc<std::sync::Mutex<Ipv6Counters>>,
    /// By the index of the bridge or parent, of which a bridge can have several.
    open: Mutex<HashMap<(u32, Access), Arc<Segment>>>,
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
            ipv4_counters: Arc::default(),
            ipv6_counters: Arc::default(),
            open: Mutex::default(),
        })
    }

    /// The segment behind the bridge or parent of that name, and that link as it is now, which is up.
    pub(crate) async fn get(
        &self,
        name: &str,
        access: Access,
    ) -> Result<(Arc<Segment>, Link), PortError> {
        let (segment, link) = self.get_as_it_is(name, access).await?;
        self.is_up(&link, access).await?;
        Ok((segment, link))
    }

    /// The same whether it is up or down: leases that there are go on once it is up. The port is made
    /// when it is first asked for.
    pub(crate) async fn get_as_it_is(
        &self,
        name: &str,
        access: Access,
    ) -> Result<(Arc<Segment>, Link), PortError> {
        // One lock for all: a port is made once per interface and boot.
        let mut open = self.open.lock().await;
        let link = self.find(name, access).await?;
        if let Some(segment) = open.get(&(link.index, access)) {
            return Ok((segment.clone(), link));
        }
        let (host, home, home_links) = (&self.host, &self.home, &self.home_links);
        let port = match access {
            Access::Bridge(vlan) => {
                port::open(host, home, home_links, &self.instance, (&link, vlan)).await?
            }
            Access::Parent => parent::open(home, home_links, host, &self.instance, &link).await?,
            Access::ParentAlone => parent::open_alone(&link)?,
        };
        let timer = BootTimer::new()
            .map_err(|source| PortError::Kernel { interface: link.name.clone(), source })?;
        let (host, events) = (self.host.clone(), self.events.clone());
        let segment = Segment::start(&link, port, host, events, self.ipv4_counters.clone(), timer);
        open.insert((link.index, access), segment.clone());
        Ok((segment, link))
    }

    async fn find(&self, name: &str, access: Access) -> Result<Link, PortError> {
        match access {
            Access::Bridge(vlan) => port::find_bridge(&self.host, name, vlan).await,
            Access::Parent | Access::ParentAlone => self.parent(name, access).await,
        }
    }

    /// Landfall's own namespace, and its links.
    pub(crate) fn home(&self) -> (&Netns, &Netlink) {
        (&self.home, &self.home_links)
    }

    /// The IPv6 side of a segment, which is made when it is first asked for.
    pub(crate) fn ipv6_of(&self, segment: &Arc<Segment>) -> Result<Arc<Ipv6>, net::Error> {
        if let Some(ipv6) = segment.ipv6() {
            return Ok(ipv6.clone());
        }
        let (events, counters) = (self.ipv6_events.clone(), self.ipv6_counters.clone());
        let made = Ipv6::start(segment, &self.home, events, counters)?;
        let first = segment.ipv6.get_or_init(|| made.clone());
        if !Arc::ptr_eq(first, &made) {
            made.stop();
        }
        Ok(first.clone())
    }

    /// What was said and heard of DHCPv4 on all segments so far.
    pub(crate) fn ipv4_counters(&self) -> Ipv4Counters {
        *self.ipv4_counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was said, heard and found of IPv6 on all segments so far.
    pub(crate) fn ipv6_counters(&self) -> Ipv6Counters {
        *self.ipv6_counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment of a bridge or parent that was made again, whose port has gone, or whose MAC, if endpoints share it, is
    /// another: with a new port, and the clients of the old one. As it is, if its port is there after all.
    pub(crate) async fn reopen(
        &self,
        name: &str,
        access: Access,
    ) -> Result<(Arc<Segment>, Link), PortError> {
        let old: Vec<((u32, Access), Arc<Segment>)> = {
            let mut open = self.open.lock().await;
            let now = self.find(name, access).await?;
            // One that was opened meanwhile, by whoever was first to need it, is empty yet.
            let whole = match open.get(&(now.index, access)) {
                Some(segment) => self
                    .is_whole(segment, &now)
                    .await
                    .map_err(|source| PortError::Kernel { interface: name.to_owned(), source })?,
                None => false,
            };
            let here = open.extract_if(|(index, of), segment| {
                segment.interface() == name && *of == access && !(whole && *index == now.index)
            });
            here.collect()
        };
        let opened = self.get_as_it_is(name, access).await;
        match &opened {
            Ok((segment, _)) => {
                for (_, old) in old {
                    old.stop();
                    segment.adopt(old.give_up_clients());
                    if let Some(before) = old.ipv6() {
                        match self.ipv6_of(segment) {
                            Ok(ipv6) => ipv6.adopt(before.give_up_clients()),
                            Err(error) => {
                                tracing::error!(%error, interface = name, "endpoints are without IPv6");
                            }
                        }
                    }
                    // A port outlives a bridge that is deleted, as a port of none.
                    if old.port() != segment.port() {
                        self.remove_port(&old).await;
                    }
                }
            }
            // They go on waiting for a bridge.
            Err(_) => {
                let mut open = self.open.lock().await;
                open.extend(old);
            }
        }
        opened
    }

    /// Whether a segment has its port, on its bridge or parent as that is now.
    async fn is_whole(&self, segment: &Segment, now: &Link) -> net::Result<bool> {
        match segment.own_child() {
            Some(child) => {
                let child = self.home_links.link_by_index(child).await?;
                Ok(child.is_some_and(|child| child.peer_index == Some(now.index)))
            }
            // What is said there bears the MAC that the parent had when it was opened.
            None if !segment.is_on_bridge() => {
                Ok(segment.index() == now.index && segment.shared_mac == now.mac)
            }
            None => {
                let outer = self.host.link_by_index(segment.port()).await?;
                Ok(outer.is_some_and(|outer| outer.master == Some(now.index)))
            }
        }
    }

    /// Removes what is Landfall's own of a segment's port: never the parent.
    async fn remove_port(&self, segment: &Segment) {
        let removed = match segment.own_child() {
            Some(child) => self.home_links.delete_link(child).await,
            None if !segment.is_on_bridge() => Ok(()),
            None => self.host.delete_link(segment.port()).await,
        };
        if let Err(error) = removed
            && !error.is_not_found()
        {
            tracing::warn!(%error, interface = segment.interface(), "the port stays behind");
        }
    }

    /// Fails where the kernel lets a parent have no ipvlan child.
    pub(crate) async fn admits_ipvlan(&self, parent: &Link) -> Result<(), PortError> {
        // By one at a time: it takes a link, which has one name for each parent.
        let _turn = self.open.lock().await;
        parent::admits_ipvlan(&self.host, &self.instance, parent).await
    }

    /// Removes ports of this daemon where no network uses them, and interfaces of VLANs: an earlier run died before it
    /// removed them. `used`: whether a network names that bridge or parent.
    pub(crate) async fn remove_strays(&self, links: &[Link], used: impl Fn(&str) -> bool) {
        let at_home = self.home_links.links().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "whether there are ports of no network is not known");
            Vec::new()
        });
        let (ports, children): (Vec<u32>, Vec<u32>) = {
            let open = self.open.lock().await;
            let all = || open.values();
            let children = all().filter_map(|segment| segment.own_child()).collect();
            (all().map(|segment| segment.port()).collect(), children)
        };
        // At home the inner ends of ports on bridges have such names too, and go with their outer ends.
        let strays =
            links.iter().filter(|link| !ports.contains(&link.index)).map(|l| (&self.host, l));
        let of_parents =
            at_home.iter().filter(|link| parent::is_child(link) || vlan::is_vlan(link));
        let of_parents = of_parents.filter(|link| !children.contains(&link.index));
        let strays = strays.chain(of_parents.map(|link| (&self.home_links, link)));
        let strays = strays.filter(|(_, link)| port::is_port(&link.name, &self.instance));
        let vlans = self.stray_vlans(links, used).map(|link| (&self.host, link));
        for (place, link) in strays.chain(vlans) {
            tracing::info!(port = link.name, "the port of no network: removed");
            if let Err(error) = place.delete_link(link.index).await {
                tracing::warn!(%error, port = link.name, "the port stays behind");
            }
        }
    }

    /// The bridge or parent of that name, which is up; without a port of ours. None: it is to be made when it is needed.
    pub(crate) async fn look_for(
        &self,
        name: &str,
        access: Access,
    ) -> Result<Option<Link>, PortError> {
        let link = match access {
            Access::Bridge(vlan) => Some(port::find_bridge(&self.host, name, vlan).await?),
            Access::Parent | Access::ParentAlone => self.look_for_parent(name, access).await?,
        };
        if let Some(link) = &link {
            self.is_up(link, access).await?;
        }
        Ok(link)
    }

    async fn is_up(&self, link: &Link, access: Access) -> Result<(), PortError> {
        if link.up {
            return Ok(());
        }
        Err(match access {
            Access::Bridge(_) => PortError::Down(link.name.clone()),
            Access::Parent | Access::ParentAlone => {
                PortError::ParentDown(self.lowest_down(link).await)
            }
        })
    }

    /// Stops the segment of a bridge or parent that no network uses any more and removes its port, once
    /// the leases that are being given back there are given back: if it is still `unused` then.
    pub(crate) async fn close(&self, name: &str, access: Access, unused: impl Fn() -> bool) {
        // Several where a bridge of that name was deleted and made anew meanwhile.
        let here: Vec<((u32, Access), Arc<Segment>)> = {
            let open = self.open.lock().await;
            let here = open
                .iter()
                .filter(|((_, of), segment)| segment.interface() == name && *of == access);
            here.map(|(key, segment)| (*key, segment.clone())).collect()
        };
        for (key, segment) in here {
            segment.all_released().await;
            let mut open = self.open.lock().await;
            if !unused() {
                return;
            }
            open.remove(&key);
            segment.stop();
            self.remove_port(&segment).await;
        }
        if !matches!(access, Access::Bridge(_)) {
            // Nobody else needs it meanwhile.
            let open = self.open.lock().await;
            if unused() && !open.values().any(|segment| segment.interface() == name) {
                self.remove_vlan(name).await;
            }
        }
    }
}
