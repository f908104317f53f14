//! Endpoints that have IPv6 only: their network has no IPv4, or their LAN would have them do without (RFC 8925).
//!
//! The DHCPv4 side of their segment knows them all the same, with a client that is stopped, or waits until it may ask
//! again: it says whose a MAC is and where frames for it go. No container is left without any address: where IPv6 does
//! not come, or goes, IPv4 is asked for whatever the LAN would have.

use std::sync::Arc;

use dhcp::v4::{Config, Lease};
use wire::MacAddr;

use super::create::busy;
use super::ids::EndpointId;
use super::options::NoServer;
use super::{Endpoint, Engine, Error};
use crate::segments::{AcquireError, Live, Segment};
use crate::store::{EndpointRecord, NetworkRecord, Phase, StoredLease};

impl Engine {
    /// Goes on with an endpoint's IPv4: its lease, or the search for one if it lives; or nothing, where its network has
    /// none. `live` as for [`Segment::resume`].
    pub(super) async fn resume_ipv4(
        &self,
        network: &NetworkRecord,
        segment: &Arc<Segment>,
        id: &EndpointId,
        config: Config,
        stored: Option<StoredLease>,
        live: Option<Live>,
    ) -> Result<(), AcquireError> {
        match stored {
            Some(stored) => segment.resume(id, config, stored.lease, live).await,
            None if !network.options.ipv4 => segment.enter(id, config, live).await,
            // Lost, or not there yet, and looked for.
            None if live.is_some() => segment.seek(id, config, live).await,
            None => Ok(()),
        }
    }

    /// The lease of a new endpoint that would do without IPv4, and has no IPv6 either; none: so it was meant to be.
    pub(super) async fn lease_after_all(
        &self,
        network: &NetworkRecord,
        segment: &Segment,
        (id, mac): (&EndpointId, MacAddr),
    ) -> Result<Option<Lease>, Error> {
        if segment.view(mac).and_then(|view| view.without_until).is_none() {
            return Ok(None);
        }
        tracing::info!(endpoint = %id, %mac, "no IPv6, so IPv4 is asked for whatever its server would have");
        match segment.insist(mac, network.options.lease_timeout).await {
            Ok(lease) => Ok(lease),
            Err(AcquireError::TimedOut(_)) if network.options.no_server == NoServer::Wait => {
                Ok(None)
            }
            Err(AcquireError::TimedOut(progress)) => {
                Err(self.no_lease(network, segment, Some(id), mac, progress).await)
            }
            Err(AcquireError::Abandoned | AcquireError::MacInUse(_)) => Err(busy(network, id)),
        }
    }

    /// Sees to it that an endpoint has an address, when its LAN would have it do without IPv4 or its IPv6 has changed.
    pub(super) fn see_to_an_address(&self, id: &EndpointId) {
        let without = {
            let state = self.lock();
            let endpoint = state.endpoints.get(id).filter(|e| !e.has_ipv6_address());
            let live = endpoint.filter(|e| !matches!(e.phase, Phase::Held(_) | Phase::Releasing));
            live.and_then(|e| Some((e.segment.clone()?, e.mac)))
        };
        if let Some((segment, mac)) = without {
            segment.ask_again(mac);
        }
    }
}

impl Endpoint {
    /// Whether it is as it should be without an IPv4 lease.
    pub(super) fn goes_without_ipv4(&self) -> bool {
        let waits = || self.segment.as_ref()?.view(self.mac)?.without_until;
        !self.network.options.ipv4 || waits().is_some()
    }

    /// Whether it has what a container that comes back would want again.
    pub(super) fn is_worth_holding(&self) -> bool {
        self.lease().is_some() || (self.goes_without_ipv4() && self.has_ipv6_address())
    }

    pub(super) fn has_ipv6_address(&self) -> bool {
        let view = self.segment.as_ref().and_then(|segment| segment.ipv6()?.view(self.mac));
        view.is_some_and(|view| !view.configuration.addresses.is_empty())
    }

    /// Whether it is of an earlier boot, or of a time with a bridge, and waits for its container.
    pub(super) fn is_remembered(&self) -> bool {
        self.remembered.is_some() || self.remembered6.is_some()
    }
}

impl EndpointRecord {
    /// Whether it has addresses of IPv6.
    pub(super) fn has_ipv6(&self) -> bool {
        let stored = self.ipv6.as_ref();
        stored.is_some_and(|stored| !stored.saved.configuration.addresses.is_empty())
    }

    /// The boot in which what it has was written; none if it has nothing.
    pub(super) fn boot_id(&self) -> Option<&str> {
        let of_ipv6 = || self.ipv6.as_ref().map(|stored| &*stored.boot_id);
        self.lease.as_ref().map(|stored| &*stored.boot_id).or_else(of_ipv6)
    }
}
