//! The lease of an endpoint that is being made: taken over from an earlier run of its container, or asked for, with what
//! becomes of a start that gets none.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use dhcp::v4::{Config, Lease, Progress};
use tokio::sync::{mpsc, watch};
use wire::MacAddr;

use super::asked::only_others_offered;
use super::create::busy;
use super::diagnose::NoLease;
use super::enter::Origin;
use super::ids::EndpointId;
use super::obstacle::find_obstacle;
use super::options::NoServer;
use super::reboot::Remembered;
use super::{Engine, Error};
use crate::fault::point;
use crate::segments::{AcquireError, Segment, Start};
use crate::store::{NetworkRecord, Phase};

/// After this time a server is not slow, but has nothing to offer, or is dead: dnsmasq looks for three seconds whether
/// somebody has the address.
const SLOW: Duration = Duration::from_millis(3800);
/// And then so long for the server to show that it lives: until shortly before the fourth DISCOVER, at 7 s less the jitter
/// of all pauses.
const LIVENESS: Duration = Duration::from_millis(1300);

/// The leases that an endpoint is granted while it is made, as its [`Start`] brings them.
pub(super) struct Grants {
    is_recorded: watch::Sender<bool>,
    granted: mpsc::UnboundedReceiver<Lease>,
}

impl Grants {
    /// Those of an endpoint that is not on the disk yet.
    pub(super) fn awaited() -> (Start, Grants) {
        let (is_recorded, recorded) = watch::channel(false);
        let (tell, granted) = mpsc::unbounded_channel();
        (Start { recorded, granted: tell }, Grants { is_recorded, granted })
    }
}

impl Engine {
    /// Makes an endpoint durable before anything of it is made, makes what is its own, and, where a lease is `all` that it
    /// gets, makes each durable that it is granted, while its address is still being checked. The address of the last of them.
    pub(super) async fn keep_with(
        &self,
        id: &EndpointId,
        mut grants: Grants,
        own: impl Future<Output = Result<(), Error>>,
        all: bool,
    ) -> Result<Option<Ipv4Addr>, Error> {
        self.keep(id).await?;
        point("create: recorded");
        grants.is_recorded.send_replace(true);
        own.await?;
        let mut noted = None;
        while let Some(lease) = grants.granted.recv().await {
            if all {
                self.keep_granted(id, &lease).await?;
                noted = Some(lease.address);
            }
        }
        Ok(noted)
    }

    /// The lease of a new endpoint: taken over, or asked for; none where it does without.
    pub(super) async fn lease(
        &self,
        network: &NetworkRecord,
        segment: &Arc<Segment>,
        id: &EndpointId,
        mac: MacAddr,
        origin: &Origin,
        start: Start,
    ) -> Result<Option<Lease>, Error> {
        let patience = network.options.lease_timeout;
        let Some(config) = self.lock().endpoints.get(id).map(|e| self.client_config(e)) else {
            return Err(busy(network, id));
        };
        if let Some(from) = origin.lease_of()
            && start.recorded().await.is_ok()
            && let Ok(lease) = segment.take_over(from, id, mac, config.host_name.as_deref())
        {
            point("claim: lease taken over");
            tracing::info!(endpoint = %id, earlier = %from, %mac, "goes on with its lease");
            return Ok(lease);
        }
        let required = config.requested_address;
        let acquire = async || {
            let (config, start) = (config.clone(), start.clone());
            if !network.options.ipv4 {
                return segment.enter(id, config, None).await.map(|()| None);
            }
            tokio::select! {
                acquired = segment.acquire(id, config, origin.begin(), patience, start) => acquired,
                never = self.make_room_for(segment, mac) => match never {},
                refused = only_others_offered(segment, mac, required) => refused,
            }
        };
        let mut acquired = acquire().await;
        if let Err(AcquireError::MacInUse(holder)) = &acquired
            && self.is_releasing(holder)
        {
            // It was held for this container until a moment ago.
            self.undone(holder).await;
            acquired = acquire().await;
        }
        match acquired {
            Ok(lease) => Ok(lease),
            Err(AcquireError::MacInUse(holder)) => Err(Error::MacInUse {
                network: network.id.clone(),
                endpoint: id.clone(),
                mac,
                bridge: segment.interface().to_owned(),
                holder: self.who_is(&holder),
            }),
            Err(AcquireError::Abandoned) => Err(busy(network, id)),
            Err(AcquireError::TimedOut(progress)) if progress.offers == 0 && progress.naks == 0 => {
                self.without_server(network, segment, id, config, origin, progress).await
            }
            Err(AcquireError::TimedOut(progress)) => {
                Err(self.no_lease(network, segment, Some(id), mac, progress).await)
            }
        }
    }

    fn is_releasing(&self, id: &EndpointId) -> bool {
        self.lock().endpoints.get(id).is_some_and(|endpoint| endpoint.phase == Phase::Releasing)
    }

    /// What becomes of a container for which no server has a word.
    async fn without_server(
        &self,
        network: &NetworkRecord,
        segment: &Segment,
        id: &EndpointId,
        config: Config,
        origin: &Origin,
        progress: Progress,
    ) -> Result<Option<Lease>, Error> {
        match (network.options.no_server, origin) {
            (NoServer::Wait, _) => Ok(None),
            // Unless it was seen in use by another machine.
            (NoServer::Last, Origin::Remembered(Remembered::Unsure(last)))
                if progress.last_conflict.is_none_or(|found| found.address != last.address) =>
            {
                tracing::warn!(
                    endpoint = %id, mac = %config.mac, address = %last.address,
                    "no DHCP server answers: goes on with its last address"
                );
                segment.assume(id, config, last.clone());
                Ok(Some(last.clone()))
            }
            _ => Err(self.no_lease(network, segment, Some(id), config.mac, progress).await),
        }
    }

    pub(super) async fn no_lease(
        &self,
        network: &NetworkRecord,
        segment: &Segment,
        id: Option<&EndpointId>,
        mac: MacAddr,
        progress: Progress,
    ) -> Error {
        let required = id.and_then(|id| self.lock().endpoints.get(id)?.options.ip);
        Error::NoLease(Box::new(NoLease {
            network: network.id.clone(),
            endpoint: id.cloned(),
            bridge: segment.interface().to_owned(),
            mac,
            access: network.options.access(),
            is_only_one: network.options.mode.admits_one(),
            patience: network.options.lease_timeout,
            required,
            obstacle: match progress.offers {
                0 => {
                    let at = (segment.interface(), network.options.access());
                    let silent = network.options.lease_timeout;
                    find_obstacle(&self.0.host, at, segment.port(), mac, silent).await
                }
                _ => None,
            },
            progress,
        }))
    }

    /// If no server offers anything, its pool may be empty: the lease that has been held for longest is given back
    /// before the last DISCOVER goes out. Unless nobody prolongs that one either: the server is dead then, and who it is
    /// held for may need it.
    async fn make_room_for(&self, segment: &Segment, mac: MacAddr) -> Infallible {
        tokio::time::sleep(SLOW).await;
        if !segment.is_offered(mac)
            && let Some((id, held)) = self.held_longest(segment)
        {
            let before = segment.renew(held);
            tokio::time::sleep(LIVENESS).await;
            if !segment.is_offered(mac) && segment.acks(held) > before {
                tracing::info!(endpoint = %id, bridge = segment.interface(), "held no longer: room is needed");
                self.0.unfinished.spawn(self.clone().give_up(id));
            }
        }
        std::future::pending().await
    }
}
