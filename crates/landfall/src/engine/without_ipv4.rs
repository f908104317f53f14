//! Endpoints that have IPv6 only: their network has no IPv4.
//!
//! The DHCPv4 side of their segment knows them all the same, with a client that is stopped: it says whose a MAC is and
//! where frames for it go.

use std::sync::Arc;

use dhcp::v4::Config;

use super::ids::EndpointId;
use super::{Endpoint, Engine};
use crate::segments::{AcquireError, Segment};
use crate::store::{EndpointRecord, NetworkRecord, StoredLease};

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
        live: Option<u32>,
    ) -> Result<(), AcquireError> {
        match stored {
            Some(stored) => segment.resume(id, config, stored.lease, live).await,
            None if !network.options.ipv4 => segment.enter(id, config, live).await,
            // Lost, or not there yet, and looked for.
            None if live.is_some() => segment.seek(id, config, live).await,
            None => Ok(()),
        }
    }
}

impl Endpoint {
    /// Whether it is as it should be without an IPv4 lease.
    pub(super) fn goes_without_ipv4(&self) -> bool {
        !self.network.options.ipv4
    }

    /// Whether it has what a container that comes back would want again.
    pub(super) fn is_worth_holding(&self) -> bool {
        self.lease().is_some() || (self.goes_without_ipv4() && self.has_ipv6_address())
    }

    fn has_ipv6_address(&self) -> bool {
        let view = self.segment.as_ref().and_then(|segment| segment.ipv6()?.view(self.mac));
        view.is_some_and(|view| !view.configuration.addresses.is_empty())
    }

    /// Whether it is of an earlier boot, or of a time with a bridge, and waits for its container.
    pub(super) fn is_remembered(&self) -> bool {
        self.remembered.is_some() || self.remembered6.is_some()
    }
}

impl EndpointRecord {
    /// The boot in which what it has was written; none if it has nothing.
    pub(super) fn boot_id(&self) -> Option<&str> {
        let of_ipv6 = || self.ipv6.as_ref().map(|stored| &*stored.boot_id);
        self.lease.as_ref().map(|stored| &*stored.boot_id).or_else(of_ipv6)
    }
}
