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
use super::ids::EndpointId;
use super::options::InterfaceIdKind;
use super::sandbox::Sandbox;
use super::status::wall_clock;
use super::worker::Joined;
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
        let Some(Joined { path, inside, segment, mac, network, .. }) = self.joined(id) else {
            return;
        };
        let applied = async {
            match Sandbox::open(&path, &inside).await? {
                Some(sandbox) => {
                    self.apply_ipv6(&sandbox, &segment, (mac, &network), old, false).await
                }
                None => Ok(()),
            }
        };
        if let Err(error) = applied.await {
            tracing::error!(
                endpoint = %id, %mac, %error, "the container does not have what its IPv6 says"
            );
        }
        if let Event::Changed { .. } = event {
            self.propagate_dns(id);
            segment.announce(mac);
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

    /// Gives the container what its client says now. `first`: its link has just come up.
    pub(super) async fn apply_ipv6(
        &self,
        sandbox: &Sandbox,
        segment: &Segment,
        (mac, network): (MacAddr, &NetworkRecord),
        old: &Configuration,
        first: bool,
    ) -> net::Result<()> {
        match wanted(segment, mac, network) {
            Some(new) => sandbox.change_ipv6(old, &new, first).await,
            None => Ok(()),
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

/// The address to tell the runtime of: a leased one, as the LAN's administrator knows it, before one that
/// was made here.
pub(super) fn to_tell(configuration: &Configuration) -> Option<Ipv6Net> {
    let leased_first = |origin| match origin {
        Origin::Dhcp => 0,
        Origin::Slaac => 1,
    };
    let address = configuration.addresses.iter().min_by_key(|a| leased_first(a.origin))?;
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
    if network.internal {
        wanted.routes.clear();
    }
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
