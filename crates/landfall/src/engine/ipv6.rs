//! An endpoint's IPv6: asked for beside its lease, kept with it, followed in its container.
//!
//! Who does what: Landfall's client on the segment asks routers and servers, makes the addresses, checks
//! them and announces them. The kernel in the container is told the outcome, addresses and routes with
//! their lifetimes, and listens to no router itself.

use std::sync::Arc;
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{Address, Config, Configuration, Event, InterfaceId, Origin, Saved};
use ipnet::Ipv6Net;
use jiff::Timestamp;
use wire::MacAddr;

use super::api::{Ipv6AddressStatus, Ipv6Status, NONE};
use super::hold::now;
use super::ids::{EndpointId, NetworkId};
use super::options::InterfaceIdKind;
use super::sandbox::Sandbox;
use super::status::wall_clock;
use super::worker::{Joined, LinkNews};
use super::{Endpoint, Engine, Error};
use crate::segments::{Live, Segment, Start};
use crate::store::{NetworkRecord, StoredIpv6};

/// How long a start waits for IPv6 on a LAN that may have none.
const PATIENCE: Duration = Duration::from_millis(500);

impl Engine {
    /// Who the IPv6 client of an endpoint is; none: its network does not want any.
    pub(super) fn ipv6_config(&self, endpoint: &Endpoint, mtu: u32) -> Option<Config> {
        let network = &endpoint.network;
        let options = network.options.ipv6.as_ref()?;
        Some(Config {
            mode: options.mode,
            interface_id: match options.address {
                InterfaceIdKind::Eui64 => InterfaceId::Eui64,
                InterfaceIdKind::Stable => InterfaceId::Stable {
                    secret: self.0.secret.get(),
                    network: network.options.segment_name().into_bytes().into(),
                },
            },
            host_name: endpoint.name_to_tell().map(Into::into),
            classes: self.classes(&network.options.identity),
            requested_address: endpoint.had6,
            prefix: options.prefix,
            on_loss: network.options.on_lease_loss,
            link_mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            patience: if options.required { network.options.lease_timeout } else { PATIENCE },
            ..Config::new(endpoint.mac)
        })
    }

    /// Asks the LAN for a new endpoint's IPv6, and waits for the first answer. `before`: what it had
    /// before the machine booted.
    pub(super) async fn ask_for_ipv6(
        &self,
        network: &NetworkRecord,
        segment: &Arc<Segment>,
        mtu: u32,
        id: &EndpointId,
        before: Option<Saved>,
        start: Start,
    ) -> Result<Option<Configuration>, Error> {
        let config = self.lock().endpoints.get(id).and_then(|e| self.ipv6_config(e, mtu));
        let Some(mut config) = config else { return Ok(None) };
        if before.as_ref().and_then(Saved::valid_until).is_some_and(|until| until > now()) {
            // As for a lease of DHCPv4.
            config.patience = config.patience.min(dhcp::REBOOT_SILENCE);
        }
        let opened = self.0.segments.ipv6_of(segment);
        let ipv6 = opened.map_err(|source| Error::Kernel {
            network: network.id.clone(),
            endpoint: id.clone(),
            source,
        })?;
        if start.recorded().await.is_err() {
            return Ok(None);
        }
        Ok(Some(ipv6.acquire(id, config, before).await))
    }

    /// Goes on with an endpoint's IPv6 in the same boot, or begins to look for it; does nothing without a `config`.
    pub(super) fn resume_ipv6(
        &self,
        segment: &Arc<Segment>,
        id: &EndpointId,
        config: Option<Config>,
        stored: Option<Box<StoredIpv6>>,
        live: Option<Live>,
    ) {
        let Some(config) = config else { return };
        let mac = config.mac;
        // Times of an earlier boot mean nothing in this one.
        let stored = stored.filter(|stored| stored.boot_id == self.0.boot_id);
        match self.0.segments.ipv6_of(segment) {
            Ok(ipv6) => {
                ipv6.resume(id, config, stored.map(|stored| stored.saved), live);
            }
            Err(error) => tracing::error!(endpoint = %id, %mac, %error, "it is without IPv6"),
        }
    }

    /// What is to be stored of an endpoint's IPv6.
    pub(super) fn ipv6_to_store(&self, endpoint: &Endpoint) -> Option<Box<StoredIpv6>> {
        endpoint.network.options.ipv6.as_ref()?;
        let segment = endpoint.segment.as_ref();
        let saved = segment.and_then(|segment| segment.ipv6()?.saved(endpoint.mac));
        match saved {
            Some(saved) => Some(Box::new(StoredIpv6 {
                saved,
                boot_id: self.0.boot_id.clone(),
                at: now(),
                written: Timestamp::now(),
            })),
            None => endpoint.remembered6.clone(),
        }
    }

    /// Follows what happened to an endpoint's IPv6.
    ///
    /// What is not a renewal that went as expected: that is in `renewals`.
    pub(super) async fn ipv6_event(&self, id: &EndpointId, event: Event) {
        if let Event::Changed { old } = &event {
            self.log_change6(id, old);
        }
        self.keep_later(id);
        let old = match &event {
            Event::Changed { old } => {
                self.see_to_an_address(id);
                old
            }
            Event::Ready | Event::Renewed => &Box::default(),
            Event::Duplicate { .. } | Event::Released => return,
        };
        let Some(Joined { segment, mac, .. }) = self.joined(id) else { return };
        self.follow_ipv6(id, Some(old)).await;
        if let Event::Changed { .. } = event {
            self.propagate_dns(id);
            segment.announce(mac);
        }
    }

    /// Docker has chosen an endpoint for the default route of its container, or has not any more: the one of IPv4 it sets
    /// itself.
    pub(crate) fn choose_way_out(&self, _network: &NetworkId, id: &EndpointId, chosen: bool) {
        let changed = {
            let mut state = self.lock();
            let endpoint = state.endpoints.get_mut(id);
            endpoint.is_some_and(|endpoint| {
                std::mem::replace(&mut endpoint.way_out, chosen) != chosen
                    && endpoint.network.options.ipv6.is_some()
            })
        };
        if changed {
            self.keep_later(id);
            self.tell(LinkNews::WayOut(id.clone()));
        }
    }

    /// Has the container prefer its IPv6 routes there, or not any more.
    pub(super) async fn way_out_changed(&self, id: &EndpointId) {
        self.follow_ipv6(id, None).await;
    }

    /// Gives the container what its client says now, in the place of `old`, or of the same.
    async fn follow_ipv6(&self, id: &EndpointId, old: Option<&Configuration>) {
        let Some(joined) = self.joined(id) else { return };
        let applied = async {
            let Some(new) = wanted(&joined.segment, joined.mac, &joined.network) else {
                return Ok(());
            };
            match Sandbox::open(&joined.path, &joined.inside).await? {
                Some(sandbox) => {
                    sandbox.change_ipv6(old.unwrap_or(&new), &new, joined.way_out, false).await
                }
                None => Ok(()),
            }
        };
        let applied: net::Result<()> = applied.await;
        if let Err(error) = applied {
            tracing::error!(
                endpoint = %id, mac = %joined.mac, %error, "the container does not have what its IPv6 says"
            );
        }
    }

    /// Takes the routes of an endpoint's delegated prefixes out of its sandbox, which may live on without it.
    pub(super) async fn withdraw_prefixes(&self, id: &EndpointId) {
        let Some(Joined { path, inside, segment, mac, .. }) = self.joined(id) else { return };
        let view = segment.ipv6().and_then(|ipv6| ipv6.view(mac));
        let Some(view) = view.filter(|view| !view.configuration.delegated.is_empty()) else {
            return;
        };
        let withdrawn = async {
            match Sandbox::open(&path, &inside).await? {
                Some(sandbox) => sandbox.withdraw_prefixes(&view.configuration.delegated).await,
                None => Ok(()),
            }
        };
        if let Err(error) = withdrawn.await {
            tracing::debug!(endpoint = %id, %error, "routes of delegated prefixes are left");
        }
    }
}

impl Endpoint {
    /// Its IPv6, for people.
    pub(super) fn ipv6_status(&self) -> Option<Ipv6Status> {
        self.network.options.ipv6.as_ref()?;
        let view = self.segment.as_ref().and_then(|segment| segment.ipv6()?.view(self.mac));
        let Some(view) = view else {
            return Some(Ipv6Status { state: NONE.into(), ..Ipv6Status::default() });
        };
        let due = |at: Instant| (at != Instant::NEVER).then(|| wall_clock(at));
        let Configuration { link_local, addresses, routers, delegated, dns, search, .. } =
            view.configuration;
        let told = self.told6.filter(|told| !addresses.iter().any(|a| a.address == told.addr()));
        Some(Ipv6Status {
            state: view.state,
            link_local,
            addresses: addresses
                .iter()
                .map(|address| Ipv6AddressStatus {
                    address: address.address,
                    origin: address.origin,
                    preferred_until: due(address.preferred_until),
                    valid_until: due(address.valid_until),
                })
                .collect(),
            routers: routers.iter().map(|router| router.address).collect(),
            prefixes: delegated
                .iter()
                .filter_map(|d| Ipv6Net::new(d.prefix, d.length).ok())
                .collect(),
            dns,
            search: search.into_iter().map(Into::into).collect(),
            server: view.server,
            docker_shows: told,
            ignored: view.ignored,
        })
    }
}

/// The address to tell the runtime of at `now`: one that is preferred before one that is deprecated, and a leased one,
/// as the LAN's administrator knows it, before one that was made here.
pub(super) fn to_tell(configuration: &Configuration, now: Instant) -> Option<Ipv6Net> {
    let rank = |a: &&Address| (a.preferred_until <= now, a.origin == Origin::Slaac);
    let address = configuration.addresses.iter().min_by_key(rank)?;
    Ipv6Net::new(address.address, address.prefix_len).ok()
}

/// What a container of the network is to have now; none without a client. With an internal one, as with IPv4, nothing
/// beyond the link.
pub(super) fn wanted(
    segment: &Segment,
    mac: MacAddr,
    network: &NetworkRecord,
) -> Option<Configuration> {
    let mut wanted = segment.ipv6()?.view(mac)?.configuration;
    wanted.routes.retain(|route| {
        let to = Ipv6Net::new(route.destination, route.length);
        !network.internal && to.is_ok_and(|to| network.options.applied.admits(to.into()))
    });
    if network.internal || !network.options.applied.has_default_route() {
        wanted.routers.clear();
    }
    Some(wanted)
}

/// What the runtime has put on the interface.
pub(super) fn as_told(address: Option<Ipv6Net>) -> Configuration {
    let address = address.map(|address| Address {
        address: address.addr(),
        prefix_len: address.prefix_len(),
        origin: Origin::Dhcp,
        preferred_until: Instant::NEVER,
        valid_until: Instant::NEVER,
    });
    Configuration { addresses: address.into_iter().collect(), ..Configuration::default() }
}

/// What was stored in an earlier boot, in this boot's times; none if nobody can tell how long ago that was.
pub(super) fn of_earlier_boot(stored: &StoredIpv6, clock_is_set: bool) -> Option<Saved> {
    let age = Timestamp::now().duration_since(stored.written);
    let age = Duration::try_from(age).ok().filter(|_| clock_is_set)?;
    let (at, now) = (stored.at, now());
    Some(stored.saved.clone().translate(|then| {
        // As far from now as it was from then, less the time that has passed.
        let ahead = then.saturating_since(at);
        if ahead >= age { now + (ahead - age) } else { now - (age - ahead) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preferred_address_is_told_of_and_a_leased_one_first() {
        let now = Instant::from_boot(Duration::from_secs(100));
        let later = now + Duration::from_secs(10);
        let address = |last: u16, origin, preferred_until| Address {
            address: [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into(),
            prefix_len: 128,
            origin,
            preferred_until,
            valid_until: Instant::NEVER,
        };
        for (addresses, told) in [
            (vec![address(1, Origin::Slaac, later), address(2, Origin::Dhcp, later)], Some(2)),
            (vec![address(1, Origin::Slaac, later), address(2, Origin::Dhcp, now)], Some(1)),
            (vec![address(1, Origin::Slaac, now), address(2, Origin::Slaac, later)], Some(2)),
            (vec![address(1, Origin::Slaac, now), address(2, Origin::Dhcp, now)], Some(2)),
            (vec![], None),
        ] {
            let configuration = Configuration { addresses, ..Configuration::default() };
            let said = to_tell(&configuration, now);
            assert_eq!(said.map(|said| said.addr().segments()[7]), told, "{configuration:?}");
        }
    }
}
