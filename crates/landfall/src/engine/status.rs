//! What people see.

use dhcp::Instant;
use jiff::{SignedDuration, Timestamp};

use super::api::{EndpointStatus, Health, NONE, NetworkStatus, OFF, StateStatus, Status};
use super::ids::{EndpointId, NetworkId};
use super::mode::Mode;
use super::{Endpoint, Engine, State, host_link, with_prefix};
use crate::store::Phase;

impl Engine {
    /// Everything that `landfall status` shows, by network and address.
    pub(crate) fn status(&self) -> Status {
        let Health { instance_id, uptime_seconds, version, state: stored, .. } = self.health();
        let state = self.lock();
        let mut networks: Vec<NetworkStatus> = state
            .networks
            .values()
            .map(|network| NetworkStatus {
                id: network.id.clone(),
                bridge: network.options.interface.clone(),
                vlan: network.options.vlan,
                mode: network.options.mode.name().to_owned(),
                endpoints: state.shown().filter(|(_, e)| e.network.id == network.id).count(),
                ipv6: network.options.ipv6.as_ref().map(|ipv6| ipv6.mode),
                ipv4: network.options.ipv4,
            })
            .collect();
        networks.sort_by(|a, b| a.id.cmp(&b.id));
        let mut endpoints: Vec<EndpointStatus> =
            state.shown().map(|(id, endpoint)| endpoint.status(id)).collect();
        endpoints.sort_by_key(|e| (e.bridge.clone(), e.address, e.id.clone()));
        Status {
            version,
            instance: instance_id,
            uptime_seconds,
            leases: state.counters,
            ipv4_counters: self.0.segments.ipv4_counters(),
            ipv6_counters: self.0.segments.ipv6_counters(),
            state: stored,
            networks,
            endpoints,
        }
    }

    /// The same without what there is of each network and endpoint.
    pub(crate) fn health(&self) -> Health {
        let store = self.0.store.health();
        let state = self.lock();
        let unreadable = state.unreadable_networks.len() + state.unreadable_endpoints.len();
        Health {
            healthy: store.fault.is_none() && unreadable == 0,
            instance_id: self.0.instance.clone(),
            uptime_seconds: net::boot_now().saturating_sub(self.0.started).as_secs(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            networks: state.networks.len(),
            endpoints: state.shown().count(),
            state: StateStatus {
                fault: store.fault,
                waiting: store.waiting,
                unreadable,
                set_aside: store.set_aside.map(|path| path.display().to_string()),
            },
            leases: state.counters,
            ipv4_counters: self.0.segments.ipv4_counters(),
            ipv6_counters: self.0.segments.ipv6_counters(),
        }
    }

    /// What is known of an endpoint, for people: key and value. Nothing for an unknown one.
    pub(crate) fn endpoint_info(
        &self,
        _network: &NetworkId,
        id: &EndpointId,
    ) -> Vec<(&'static str, String)> {
        let Some(status) = self.lock().endpoints.get(id).map(|e| e.status(id)) else {
            return Vec::new();
        };
        let mut info = vec![
            ("bridge", status.bridge),
            ("host_interface", status.host_interface),
            ("mac", status.mac.to_string()),
            ("state", status.state),
        ];
        info.extend(status.address.map(|a| ("address", a.to_string())));
        info.extend(status.gateway.map(|g| ("gateway", g.to_string())));
        info.extend(status.server.map(|s| ("dhcp_server", s.to_string())));
        for address in status.ipv6.into_iter().flat_map(|ipv6| ipv6.addresses) {
            info.push(("ipv6_address", address.address.to_string()));
        }
        info.extend(status.expires_at.map(|t| ("expires_at", t.to_string())));
        info
    }
}

impl State {
    /// All endpoints but those that are only there to be given back: they belong to nobody.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&EndpointId, &Endpoint)> {
        let all = self.endpoints.iter().map(|(id, endpoint)| (id, &**endpoint));
        all.filter(|(_, endpoint)| !endpoint.unfinished)
    }
}

impl Endpoint {
    pub(super) fn status(&self, id: &EndpointId) -> EndpointStatus {
        let view = self.segment.as_ref().and_then(|segment| segment.view(self.mac));
        let lease = view.as_ref().and_then(|view| view.lease.as_ref());
        let address = lease.map(with_prefix);
        let due = |at: Instant| (at != Instant::NEVER).then(|| wall_clock(at));
        // Where its container has ended, it has no interface, and Docker shows nothing of it.
        let lives = !self.is_held();
        EndpointStatus {
            id: id.clone(),
            network: self.network.id.clone(),
            container: self.container.as_deref().map(Into::into),
            host_name: self.host_name.as_deref().map(Into::into),
            bridge: self.network.options.interface.clone(),
            host_interface: match self.network.options.mode {
                Mode::Bridge => host_link(id),
                Mode::Macvlan(_) | Mode::Ipvlan => self.network.options.interface.clone(),
            },
            interface: self.interface.as_ref().filter(|_| lives).map(|(_, name)| name.to_string()),
            mac: self.mac,
            address,
            gateway: lease.and_then(|lease| self.network.gateway(lease)),
            server: lease.map(|lease| lease.server),
            dns: lease.map(|lease| lease.options.dns_servers()).unwrap_or_default(),
            domain: lease.and_then(|lease| lease.options.domain_name()),
            search: lease.map(|lease| lease.options.search_list()).unwrap_or_default(),
            state: match view.as_ref() {
                Some(_) if !self.network.options.ipv4 => OFF.to_owned(),
                Some(view) => view.state.clone(),
                None => NONE.to_owned(),
            },
            renews_at: match (lease, &view) {
                (Some(lease), _) => due(lease.renew_at),
                (None, Some(view)) => view.without_until.and_then(due),
                (None, None) => None,
            },
            expires_at: lease.and_then(|lease| due(lease.expires_at)),
            held_until: match self.phase {
                Phase::Held(until) => due(until),
                _ => None,
            },
            spare: self.spare && self.is_held() && !self.is_remembered(),
            docker_shows: self.told.filter(|told| lives && address != Some(*told)),
            ignored: view.map(|view| view.ignored).unwrap_or_default(),
            ipv6: self.ipv6_status(),
        }
    }
}

/// The wall-clock time of an instant that is counted from the boot.
pub(super) fn wall_clock(at: Instant) -> Timestamp {
    let offset =
        |d: std::time::Duration| SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX);
    let ahead = offset(at.since_boot()).saturating_sub(offset(net::boot_now()));
    Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
}
