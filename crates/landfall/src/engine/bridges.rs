//! What happens to the bridges of networks while endpoints are on them: set down and up, deleted
//! and made again, cut off from the LAN and connected again. And to parents, which are their own uplinks.
//!
//! After any of it the LAN behind the bridge may be another one. So every lease is confirmed, by
//! asking whether it is still right (RFC 2131 §3.7), while its container goes on using it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use net::Link;
use wire::MacAddr;

use super::hold::now;
use super::ids::{EndpointId, NetworkId};
use super::options::Options;
use super::worker::LinkNews;
use super::{Endpoint, Engine, Error, State};
use crate::segments::{Access, Live, Segment, enter_vlan};
use crate::store::{NetworkRecord, Phase};

/// Leases that are confirmed in one second, at most; all of them within [`LONGEST_SPREAD`].
const CONFIRMED_A_SECOND: u32 = 50;
/// A lease that waits longer than this to be confirmed need not be.
const LONGEST_SPREAD: Duration = Duration::from_secs(20);

/// What the names of Landfall's own links begin with.
const OURS: &str = "lf";

/// The bridges of all networks, as they were seen last.
#[derive(Debug, Default)]
pub(super) struct Bridges {
    by_name: HashMap<String, Bridge>,
}

#[derive(Debug, Default)]
struct Bridge {
    /// 0 while it is not there.
    index: u32,
    up: bool,
    /// Its MAC, if containers share it.
    shared_mac: Option<MacAddr>,
    /// Its ports that may lead to the LAN, and whether they have a carrier.
    uplinks: HashMap<u32, Uplink>,
    /// Whether it had a real uplink since it was made: then nothing else leads to the LAN.
    wired: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Uplink {
    /// Real, and not one end of a container's or a virtual machine's link.
    real: bool,
    carrier: bool,
}

/// What a bridge's endpoints must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BridgeNews {
    /// It is there again, or for the first time, under an index that it did not have before, or a MAC that containers share.
    Made,
    /// It leads to the LAN again.
    Back,
}

impl Bridges {
    /// Takes note of a link, and tells what that means for which bridge. `used`: as what a network
    /// uses the link of that name; `ours`: whether the link is one of Landfall's own.
    pub(super) fn changed(
        &mut self,
        link: &Link,
        used: impl Fn(&str) -> Option<Access>,
        ours: bool,
    ) -> Option<(String, BridgeNews)> {
        let is_bridge = link.kind.as_deref() == Some("bridge");
        match used(&link.name) {
            Some(Access::Bridge(_)) if is_bridge => {
                return self.bridge_changed(link, link.up, None);
            }
            // It leads to the LAN by itself.
            Some(Access::Parent) if !is_bridge => {
                return self.bridge_changed(link, link.up && link.carrier, None);
            }
            Some(Access::ParentAlone) if !is_bridge => {
                return self.bridge_changed(link, link.up && link.carrier, link.mac);
            }
            _ if is_bridge => {
                self.by_name.remove(&link.name);
                return None;
            }
            _ => {}
        }
        if ours {
            return None;
        }
        let uplink = Uplink { real: is_real(link), carrier: link.carrier };
        let mut news = None;
        for (name, bridge) in &mut self.by_name {
            let led = bridge.leads_to_lan();
            if bridge.index != 0 && link.master == Some(bridge.index) {
                bridge.uplinks.insert(link.index, uplink);
                bridge.wired |= uplink.real;
            } else {
                bridge.uplinks.remove(&link.index);
            }
            if !led && bridge.leads_to_lan() {
                news = Some((name.clone(), BridgeNews::Back));
            }
        }
        news
    }

    fn bridge_changed(
        &mut self,
        link: &Link,
        up: bool,
        shared_mac: Option<MacAddr>,
    ) -> Option<(String, BridgeNews)> {
        let news = match self.by_name.get_mut(&link.name) {
            Some(known) if known.index == link.index => {
                let back = !known.up && up;
                known.up = up;
                let before = std::mem::replace(&mut known.shared_mac, shared_mac);
                match before.zip(shared_mac).is_some_and(|(before, now)| before != now) {
                    true => Some(BridgeNews::Made),
                    false => back.then_some(BridgeNews::Back),
                }
            }
            other => {
                let news = other.map(|_| BridgeNews::Made);
                let bridge = Bridge { index: link.index, up, shared_mac, ..Bridge::default() };
                self.by_name.insert(link.name.clone(), bridge);
                news
            }
        };
        news.map(|news| (link.name.clone(), news))
    }

    /// Whether it was taken note of, there or not.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Takes note of a bridge that a network uses and that is not there.
    pub(super) fn missing(&mut self, name: &str) {
        self.by_name.entry(name.to_owned()).or_default();
    }

    /// The bridges that are there.
    pub(super) fn indexes(&self) -> impl Iterator<Item = u32> {
        self.by_name.values().map(|bridge| bridge.index).filter(|index| *index != 0)
    }

    /// Takes note of a link that is gone.
    pub(super) fn removed(&mut self, index: u32) {
        for bridge in self.by_name.values_mut() {
            bridge.uplinks.remove(&index);
            if bridge.index == index {
                *bridge = Bridge::default();
            }
        }
    }
}

impl Bridge {
    /// Whether one of the uplinks has a carrier: of the real ones, if there ever were any.
    fn leads_to_lan(&self) -> bool {
        self.uplinks.values().any(|uplink| uplink.carrier && uplink.real >= self.wired)
    }
}

/// Whether a link may be a way to the LAN by itself: hardware, or what is made of hardware. One end
/// of a veth or a tap belongs to a container or a virtual machine more often than not.
fn is_real(link: &Link) -> bool {
    !matches!(link.kind.as_deref(), Some("veth" | "tun" | "dummy"))
}

/// The networks that use segments: Landfall's own, and those of which it knows no more than its endpoints there.
fn users<'a>(
    networks: &'a HashMap<NetworkId, Arc<NetworkRecord>>,
    endpoints: &'a HashMap<EndpointId, Box<Endpoint>>,
) -> impl Iterator<Item = &'a Options> {
    let apart =
        endpoints.values().map(|endpoint| &endpoint.network).filter(|network| network.apart);
    networks.values().chain(apart).map(|network| &network.options)
}

/// As what networks use the link of that name; none: none does.
fn access_of<'a>(mut users: impl Iterator<Item = &'a Options>, name: &str) -> Option<Access> {
    users.find(|options| options.interface == name).map(Options::access)
}

impl State {
    /// Takes note of a link.
    pub(super) fn bridge_changed(&mut self, link: &Link) -> Option<(String, BridgeNews)> {
        let State { networks, endpoints, by_link, bridges, .. } = self;
        let used = |name: &str| access_of(users(networks, endpoints), name);
        let ours = by_link.contains_key(&link.index) || link.name.starts_with(OURS);
        bridges.changed(link, used, ours)
    }

    /// Takes note of how the bridges of all networks are now: news only of those that were known.
    pub(super) fn look_at_bridges(&mut self, links: &[Link]) -> Vec<LinkNews> {
        let used = users(&self.networks, &self.endpoints);
        let used: Vec<String> = used.map(|options| options.interface.clone()).collect();
        let known: HashSet<String> = self.bridges.by_name.keys().cloned().collect();
        used.iter().for_each(|bridge| self.bridges.missing(bridge));
        let (bridges, others): (Vec<_>, Vec<_>) =
            links.iter().partition(|link| link.kind.as_deref() == Some("bridge"));
        // A port's bridge must be known.
        let news = bridges.into_iter().chain(others).filter_map(|link| self.bridge_changed(link));
        let of_known = news.filter(|(bridge, _)| known.contains(bridge));
        of_known.map(|(bridge, news)| LinkNews::Bridge(bridge, news)).collect()
    }
}

impl Engine {
    /// A bridge is there under another index than before, or its port has gone: everything that was
    /// on it is put back.
    pub(super) async fn put_back(&self, bridge: &str) {
        if let Err(error) = self.try_put_back(bridge).await {
            tracing::error!(bridge, %error, "endpoints are not back on their bridge");
        }
    }

    async fn try_put_back(&self, name: &str) -> Result<(), Error> {
        // Several on a bridge that keeps VLANs apart; none if its last network has just been removed.
        let all: HashSet<Access> = {
            let state = self.lock();
            let all = users(&state.networks, &state.endpoints);
            all.filter(|on| on.interface == name).map(Options::access).collect()
        };
        for access in all {
            self.try_put_segment_back(name, access).await?;
        }
        Ok(())
    }

    async fn try_put_segment_back(&self, name: &str, access: Access) -> Result<(), Error> {
        let (segment, bridge) = self.0.segments.reopen(name, access).await?;
        tracing::info!(
            bridge = name,
            index = bridge.index,
            "endpoints are put back on their bridge"
        );
        for (id, link) in self.endpoints_on(name, access) {
            self.lock().endpoints.get_mut(&id).map(|e| e.segment.replace(segment.clone()));
            if let Access::Bridge(vlan) = access
                && link != 0
                && let Err(error) = self.enslave(link, &bridge, vlan).await
            {
                tracing::error!(endpoint = %id, %error, "not put back on its bridge");
            }
            self.take_up(&id, &segment, &bridge).await;
        }
        if bridge.up {
            self.confirm_all(name);
        }
        Ok(())
    }

    async fn enslave(&self, link: u32, bridge: &Link, vlan: Option<u16>) -> net::Result<()> {
        self.0.host.set_mtu(link, bridge.mtu).await?;
        self.0.host.set_master(link, Some(bridge.index)).await?;
        enter_vlan(&self.0.host, link, bridge, vlan).await?;
        self.0.host.set_up(link).await
    }

    /// Points frames to where the endpoint is, and goes on with a lease that no client holds since
    /// the daemon started without the bridge.
    async fn take_up(&self, id: &EndpointId, segment: &Arc<Segment>, bridge: &Link) {
        let (mac, live, stored, stored6, config, config6, network) = {
            let mut state = self.lock();
            let Some(endpoint) = state.endpoints.get_mut(id) else { return };
            let live = (endpoint.carrier && !endpoint.is_held()).then(|| endpoint.live());
            let ours = |stored: &crate::store::StoredLease| stored.boot_id == self.0.boot_id;
            let stored = endpoint.remembered.take_if(|stored| ours(stored));
            let ours6 = |stored: &crate::store::StoredIpv6| stored.boot_id == self.0.boot_id;
            let stored6 = endpoint.remembered6.take_if(|stored| ours6(stored));
            let network = endpoint.network.clone();
            let config6 = self.ipv6_config(endpoint, bridge.mtu);
            (endpoint.mac, live, stored, stored6, self.client_config(endpoint), config6, network)
        };
        let known = segment.ipv6().is_some_and(|ipv6| ipv6.view(mac).is_some());
        if !known && (stored6.is_some() || live.is_some()) {
            self.resume_ipv6(segment, id, config6, stored6, live);
        }
        if stored.is_some() || segment.view(mac).is_none() {
            // The daemon started without the bridge.
            let stored = stored.map(|stored| *stored);
            let resumed = self.resume_ipv4(&network, segment, id, config, stored, live).await;
            if resumed.is_err() {
                tracing::error!(endpoint = %id, %mac, "two endpoints with one MAC");
            }
        } else {
            match live {
                Some(link) => segment.link_up(mac, link).await,
                None => segment.link_down(mac).await,
            }
        }
    }

    /// Has all leases on a bridge confirmed, not all at once.
    pub(super) fn confirm_all(&self, bridge: &str) {
        let clients: Vec<(Arc<Segment>, MacAddr)> = {
            let state = self.lock();
            let on_it = state.endpoints.values().filter(|e| e.network.options.interface == bridge);
            on_it.filter_map(|e| Some((e.segment.clone()?, e.mac))).collect()
        };
        tracing::info!(bridge, leases = clients.len(), "leases are confirmed");
        let (now, all) = (now(), u32::try_from(clients.len()).unwrap_or(u32::MAX));
        let spread = (Duration::from_secs(1) * all / CONFIRMED_A_SECOND).min(LONGEST_SPREAD);
        for (place, (segment, mac)) in (0u32..).zip(clients) {
            segment.confirm(mac, now + spread * place / all.max(1));
        }
    }

    /// The same on all bridges: the machine has slept.
    pub(super) fn confirm_everything(&self) {
        let mut bridges: Vec<String> = {
            let state = self.lock();
            let all = users(&state.networks, &state.endpoints);
            all.map(|options| options.interface.clone()).collect()
        };
        bridges.sort();
        bridges.dedup();
        bridges.iter().for_each(|bridge| self.confirm_all(bridge));
    }

    /// An endpoint's link has left its bridge, and nobody asked for that.
    pub(super) async fn put_link_back(&self, id: &EndpointId) {
        let (bridge, vlan, link, mac) = {
            let state = self.lock();
            let Some(endpoint) = state.endpoints.get(id) else { return };
            if endpoint.host_link == 0
                || matches!(endpoint.phase, Phase::Held(_) | Phase::Releasing)
            {
                return;
            }
            let options = &endpoint.network.options;
            (options.interface.clone(), options.vlan, endpoint.host_link, endpoint.mac)
        };
        let put = async {
            let (segment, bridge) =
                self.0.segments.get_as_it_is(&bridge, Access::Bridge(vlan)).await?;
            self.enslave(link, &bridge, vlan).await?;
            if self.lock().endpoints.get(id).is_some_and(|endpoint| endpoint.carrier) {
                segment.link_up(mac, Live::Veth(link)).await;
            }
            Ok::<_, Error>(())
        };
        match put.await {
            Ok(()) => tracing::warn!(endpoint = %id, bridge, "its link had left the bridge"),
            // Put back when there is a bridge again.
            Err(error) => tracing::debug!(endpoint = %id, %error, "its link is on no bridge"),
        }
    }

    fn endpoints_on(&self, bridge: &str, access: Access) -> Vec<(EndpointId, u32)> {
        let state = self.lock();
        let on_it = state.endpoints.iter().filter(|(_, endpoint)| {
            let options = &endpoint.network.options;
            options.interface == bridge && options.access() == access
        });
        on_it.map(|(id, endpoint)| (id.clone(), endpoint.host_link)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, kind: Option<&str>, master: Option<u32>, carrier: bool) -> Link {
        Link {
            index,
            name: if kind == Some("bridge") { "br0".into() } else { format!("l{index}") },
            kind: kind.map(Into::into),
            master,
            up: true,
            carrier,
            ..Link::default()
        }
    }

    /// A bridge that a network uses, with index 3.
    fn bridges() -> Bridges {
        let mut bridges = Bridges::default();
        assert_eq!(see(&mut bridges, link(3, Some("bridge"), None, true)), None, "the first look");
        bridges
    }

    fn see(bridges: &mut Bridges, link: Link) -> Option<BridgeNews> {
        let used = |name: &str| (name == "br0").then_some(Access::Bridge(None));
        let (name, news) = bridges.changed(&link, used, false)?;
        assert_eq!(name, "br0");
        Some(news)
    }

    #[test]
    fn a_bridge_that_comes_up_again() {
        let mut bridges = bridges();
        let down = Link { up: false, ..link(3, Some("bridge"), None, false) };
        assert_eq!(see(&mut bridges, down), None);
        assert_eq!(see(&mut bridges, link(3, Some("bridge"), None, true)), Some(BridgeNews::Back));
        assert_eq!(see(&mut bridges, link(3, Some("bridge"), None, true)), None);
    }

    #[test]
    fn a_bridge_that_is_made_again() {
        let mut bridges = bridges();
        bridges.removed(3);
        assert_eq!(see(&mut bridges, link(9, Some("bridge"), None, true)), Some(BridgeNews::Made));
        assert_eq!(see(&mut bridges, link(9, Some("bridge"), None, true)), None);
        // One that was not there when the daemon started.
        let mut bridges = Bridges::default();
        bridges.missing("br0");
        assert_eq!(see(&mut bridges, link(3, Some("bridge"), None, true)), Some(BridgeNews::Made));
    }

    #[test]
    fn the_mac_that_containers_share_is_another() {
        let mut bridges = Bridges::default();
        let mut see = |access, mac| {
            let link =
                Link { mac: Some(MacAddr([2, 0, 0, 0, 0, mac])), ..link(2, None, None, true) };
            bridges.changed(&link, |name| (name == "l2").then_some(access), false)
        };
        let made = Some(("l2".to_owned(), BridgeNews::Made));
        assert_eq!(see(Access::ParentAlone, 1), None, "the first look");
        assert_eq!(see(Access::ParentAlone, 1), None);
        assert_eq!(see(Access::ParentAlone, 2), made);
        assert_eq!(see(Access::ParentAlone, 2), None);
        // With MACs of their own they do not care.
        assert_eq!(see(Access::Parent, 3), None);
        assert_eq!(see(Access::ParentAlone, 4), None);
        assert_eq!(see(Access::ParentAlone, 5), made);
    }

    #[test]
    fn the_cable_is_pulled_and_plugged_in() {
        let mut bridges = bridges();
        assert_eq!(see(&mut bridges, link(2, None, Some(3), true)), Some(BridgeNews::Back));
        // A virtual machine starts and stops beside it.
        assert_eq!(see(&mut bridges, link(7, Some("tun"), Some(3), true)), None);
        assert_eq!(see(&mut bridges, link(7, Some("tun"), Some(3), false)), None);
        assert_eq!(see(&mut bridges, link(7, Some("tun"), Some(3), true)), None);
        assert_eq!(see(&mut bridges, link(2, None, Some(3), false)), None);
        assert_eq!(see(&mut bridges, link(2, None, Some(3), true)), Some(BridgeNews::Back));
        // The second of two uplinks changes nothing.
        assert_eq!(see(&mut bridges, link(4, Some("vlan"), Some(3), true)), None);
        assert_eq!(see(&mut bridges, link(2, None, Some(3), false)), None);
        assert_eq!(see(&mut bridges, link(2, None, None, true)), None, "taken off the bridge");
        bridges.removed(4);
        assert_eq!(see(&mut bridges, link(2, None, Some(3), true)), Some(BridgeNews::Back));
    }

    #[test]
    fn a_veth_is_the_uplink_where_there_is_nothing_else() {
        let mut bridges = bridges();
        assert_eq!(see(&mut bridges, link(7, Some("veth"), Some(3), true)), Some(BridgeNews::Back));
        assert_eq!(see(&mut bridges, link(7, Some("veth"), Some(3), false)), None);
        assert_eq!(see(&mut bridges, link(7, Some("veth"), Some(3), true)), Some(BridgeNews::Back));
        // Ours never is.
        let ours = link(8, Some("veth"), Some(3), true);
        bridges.removed(7);
        assert_eq!(bridges.changed(&ours, |_| Some(Access::Bridge(None)), true), None);
    }
}
