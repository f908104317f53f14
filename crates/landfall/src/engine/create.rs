//! Making an endpoint: its link on the segment and its lease, side by side.

use std::sync::Arc;

use dhcp::ipv6::Saved;
use ipnet::{Ipv4Net, Ipv6Net};
use net::{Link, Peer, Veth};
use tokio::sync::oneshot;
use wire::MacAddr;

use super::api::{Attachment, NewEndpoint};
use super::asked::Asked;
use super::endpoint_options::{EndpointOptions, IDENTITY};
use super::enter::{Entered, Origin};
use super::events::Kind;
use super::ids::EndpointId;
use super::lease::Grants;
use super::mode::Mode;
use super::options::invalid;
use super::{Engine, Error, State, container_link, host_link, ipv6, with_prefix};
use crate::fault::point;
use crate::segments::{PortError, Start, enter_vlan};
use crate::store::{NetworkRecord, Phase};

impl Engine {
    /// Makes an endpoint: its link on the segment and its lease.
    ///
    /// Fails after the network's `lease_timeout`. Whether it fails or its future is dropped
    /// because the caller hung up: everything is undone. The same endpoint again gets the same
    /// answer, since an engine repeats a request whose answer it did not get.
    pub(crate) async fn create_endpoint(&self, new: NewEndpoint) -> Result<Attachment, Error> {
        let (network, id) = (self.network(&new.network)?, new.id.clone());
        let (told, mac) = (new.address, new.mac);
        let entered = self.endpoint_entered(&network, new).await;
        let entered = entered.map_err(|error| self.not_made(&network, (&id, mac), error))?;
        let (mac, origin, before) = match entered {
            Entered::New { mac, origin, before } => (mac, origin, before.map(|saved| *saved)),
            Entered::Before(attachment) => return Ok(attachment),
        };
        let made = self.make(&network, &id, mac, (&origin, before));
        let attachment = self.undone_unless(&network, (&id, mac), made).await?;
        if let Some(told) = told
            && attachment.address.map(|leased| leased.addr()) != Some(told.addr())
        {
            // It was lost in between.
            self.to_its_end(undo(self.clone(), id.clone())).await;
            let bridge = network.options.interface.clone();
            let lost =
                Error::LeaseLost { network: network.id.clone(), endpoint: id.clone(), bridge };
            return Err(self.not_made(&network, (&id, Some(mac)), lost));
        }
        self.await_join(&id);
        Ok(attachment)
    }

    /// The endpoint is known from here on, unless something of it cannot be.
    async fn endpoint_entered(
        &self,
        network: &Arc<NetworkRecord>,
        mut new: NewEndpoint,
    ) -> Result<Entered, Error> {
        if let Some(mac) = new.mac.filter(|_| network.options.mode.has_parents_mac()) {
            return Err(Error::ParentsMac { network: new.network, endpoint: new.id, mac });
        }
        if let Some(mac) = new.mac.filter(|mac| !mac.is_unicast()) {
            return Err(Error::BadMac { network: new.network, endpoint: new.id, mac });
        }
        let mut options =
            EndpointOptions::parse(&new.options, new.interface.as_deref(), network.options.ipv4)
                .map_err(|source| Error::EndpointOption {
                    network: new.network.clone(),
                    endpoint: new.id.clone(),
                    source,
                })?;
        if let Some(name) = options.identity.as_deref() {
            if new.mac.is_some() {
                let reason = "the container has a MAC of its own as well (`--mac-address`): leave out one of the two";
                return Err(Error::EndpointOption {
                    network: new.network,
                    endpoint: new.id,
                    source: invalid(IDENTITY, name, reason),
                });
            }
            let its_own = !network.options.mode.admits_one();
            new.mac = its_own.then(|| self.mac_of_name(network, name));
        }
        if let Some(told) = new.address.filter(|_| network.pool.is_none()) {
            return Err(Error::AddressFromElsewhere {
                network: new.network,
                endpoint: new.id,
                address: told,
            });
        }
        let ahead = self.leased_ahead(network, &new, &mut options).await?;
        new.mac = self.only_mac(network, &new.id, ahead.as_ref()).await?.or(new.mac);
        let asked = Asked { network, new: &new, options: &options };
        self.enter(&asked, ahead, None).await
    }

    /// Tells that an endpoint could not be made, and why in the words that its runtime gets.
    fn not_made(
        &self,
        network: &NetworkRecord,
        (id, mac): (&EndpointId, Option<MacAddr>),
        error: Error,
    ) -> Error {
        let error = error.of(&network.id, id);
        self.happened_on(network, Kind::EndpointFailed, |event| {
            (event.endpoint, event.mac) = (Some(id.clone()), mac);
            event.reason = Some(error.to_string());
        });
        error
    }

    /// The MAC of an endpoint that must be the only one on its parent, whose MAC it is; none: each has one of its own.
    /// `ahead`: the endpoint that was there for its lease.
    pub(super) async fn only_mac(
        &self,
        network: &NetworkRecord,
        id: &EndpointId,
        ahead: Option<&EndpointId>,
    ) -> Result<Option<MacAddr>, Error> {
        let options = &network.options;
        if !options.mode.admits_one() {
            return Ok(None);
        }
        let (_, parent) = self.0.segments.get(&options.interface, options.access()).await?;
        match self.lock().only_one(network, id, ahead) {
            None => Ok(parent.mac),
            Some(holder) => Err(Error::OnlyOne {
                network: network.id.clone(),
                endpoint: id.clone(),
                parent: parent.name,
                holder,
            }),
        }
    }

    /// Awaits what is being made for an endpoint, and undoes it if that fails or its caller hangs up.
    pub(super) async fn undone_unless<T>(
        &self,
        network: &NetworkRecord,
        (id, mac): (&EndpointId, MacAddr),
        made: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let undo = Undo::of(self, id);
        match made.await {
            Ok(made) => {
                undo.not_needed();
                Ok(made)
            }
            Err(error) => {
                undo.now().await;
                Err(self.not_made(network, (id, Some(mac)), error))
            }
        }
    }

    async fn make(
        &self,
        network: &NetworkRecord,
        id: &EndpointId,
        mac: MacAddr,
        (origin, before): (&Origin, Option<Saved>),
    ) -> Result<Attachment, Error> {
        let options = &network.options;
        let (segment, bridge) = self.0.segments.get(&options.interface, options.access()).await?;
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.segment = Some(segment.clone());
        }
        point("create: known");
        let (start, grants) = Grants::awaited();
        let link = async {
            // No other link ever had the MAC.
            let fresh = matches!(origin, Origin::Fresh | Origin::Spare(_));
            self.make_link(network, &bridge, (id, mac), fresh).await
        };
        // With IPv6 there is more to come, and what is written down counts as whole.
        let prepare = self.keep_with(id, grants, link, network.options.ipv6.is_none());
        // One that is held comes with its lease.
        let held = origin.lease_of().is_some();
        let ask =
            |before, start| self.ask_for_ipv6(network, &segment, bridge.mtu, id, before, start);
        let side_by_side = {
            let start = Start::after(&start);
            async { if held { Ok(None) } else { ask(before, start).await } }
        };
        let lease = self.lease(network, &segment, id, mac, origin, start);
        let (mut lease, noted, mut ipv6) = tokio::try_join!(lease, prepare, side_by_side)?;
        if held {
            let taken_over = segment.ipv6().and_then(|ipv6| ipv6.view(mac));
            ipv6 = match taken_over {
                Some(view) => Some(view.configuration),
                None => ask(None, Start::recorded_before()).await?,
            };
        }
        if let Some(lease) = &lease
            && let Some(gateway) = network.options.applied.out_of_reach(lease)
        {
            return Err(Error::Gateway {
                network: network.id.clone(),
                endpoint: id.clone(),
                gateway,
                server: lease.server,
                address: with_prefix(lease),
                bridge: bridge.name,
            });
        }
        let address6 = ipv6.as_ref().and_then(|ipv6| ipv6::to_tell(ipv6, super::hold::now()));
        if let Some(options) = &network.options.ipv6
            && options.required
            && address6.is_none()
        {
            return Err(Error::NoIpv6 {
                network: network.id.clone(),
                endpoint: id.clone(),
                bridge: bridge.name,
                mac,
                within: network.options.lease_timeout.as_secs_f64(),
                ipv4: network.options.ipv4,
            });
        }
        if lease.is_none() && address6.is_none() {
            lease = self.lease_after_all(network, &segment, (id, mac)).await?;
        }
        self.count_start(lease.is_some(), origin);
        point("create: granted");
        let address = lease.as_ref().map(with_prefix);
        if !self.is_made(id, address, address6) {
            // Deleted meanwhile, by a call that could not know of these.
            drop(segment.release(id, mac).await);
            let _ = self.delete_own_link(network.options.mode, id).await;
            return Err(busy(network, id));
        }
        if noted.is_none() || noted != lease.as_ref().map(|lease| lease.address) {
            self.keep(id).await?;
        }
        point("create: lease recorded");
        match &lease {
            Some(lease) => tracing::info!(
                network = %network.id, endpoint = %id, bridge = bridge.name, %mac,
                address = %with_prefix(lease), server = %lease.server, "endpoint made"
            ),
            None if address6.is_some() => tracing::info!(
                network = %network.id, endpoint = %id, bridge = bridge.name, %mac,
                address = ?address6, "endpoint made, with IPv6 only"
            ),
            None => tracing::warn!(
                network = %network.id, endpoint = %id, bridge = bridge.name, %mac,
                "endpoint made without an address: nobody gives it one yet"
            ),
        }
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.made = true;
        }
        self.happened(id, Kind::EndpointMade);
        match (&lease, origin) {
            (None, _) => {}
            // That was told when it was asked for.
            (_, Origin::Leased(_)) => {}
            (_, Origin::Held(_) | Origin::Spare(_)) => self.happened(id, Kind::LeaseHandedOver),
            _ => self.happened(id, Kind::LeaseGranted),
        }
        let mac = (!network.options.mode.has_parents_mac()).then_some(mac);
        Ok(Attachment { mac, address, address6 })
    }

    /// Notes what an endpoint got; says whether it is still there.
    fn is_made(
        &self,
        id: &EndpointId,
        address: Option<Ipv4Net>,
        address6: Option<Ipv6Net>,
    ) -> bool {
        let mut state = self.lock();
        let endpoint = state.endpoints.get_mut(id).filter(|e| e.phase == Phase::Creating);
        let Some(endpoint) = endpoint else { return false };
        endpoint.told = address;
        endpoint.told6 = address6;
        endpoint.phase = Phase::Created;
        endpoint.remembered = None;
        endpoint.remembered6 = None;
        true
    }

    pub(super) fn count_start(&self, leased: bool, origin: &Origin) {
        let counters = &mut self.lock().counters;
        match origin {
            _ if !leased => {}
            Origin::Leased(_) => {}
            Origin::Held(_) | Origin::Spare(_) => counters.handed_over += 1,
            _ => counters.granted += 1,
        }
    }

    async fn make_link(
        &self,
        network: &NetworkRecord,
        bridge: &Link,
        (id, mac): (&EndpointId, MacAddr),
        fresh: bool,
    ) -> Result<(), Error> {
        let veth = Veth {
            name: host_link(id),
            mac: host_link_mac(mac),
            mtu: bridge.mtu,
            master: Some(bridge.index),
            up: true,
            peer: Peer {
                name: container_link(id),
                mac: Some(mac),
                mtu: Some(bridge.mtu),
                netns: None,
                up: false,
                arp: true,
            },
        };
        let (ended, making) = oneshot::channel();
        match self.lock().endpoints.get_mut(id) {
            Some(endpoint) => endpoint.making = Some(making),
            // Deleted meanwhile: nobody would remove what is made now.
            None => return Err(busy(network, id)),
        }
        let guarded = network.options.dhcp_guard;
        let (mode, vlan, parent) = (network.options.mode, network.options.vlan, bridge.clone());
        let tried_for = (!fresh).then_some(network.options.lease_timeout);
        let (engine, network, id) = (self.clone(), network.id.clone(), id.clone());
        let bridge = bridge.name.clone();
        // To its end, since only what is there can be removed.
        self.to_its_end(async move {
            let _ended = ended;
            point("create: link to be made");
            let made = match mode {
                Mode::Bridge => engine.0.host.create_veth(&veth).await.map(|(outer, _)| outer),
                Mode::Macvlan(_) | Mode::Ipvlan => {
                    engine.make_child((&id, mac), (parent.index, mode), tried_for).await
                }
            };
            let kernel =
                |source| Error::Kernel { network: network.clone(), endpoint: id.clone(), source };
            let made = match made {
                Ok(made) => made,
                // EINVAL: a child in another mode.
                Err(source)
                    if mode.has_parents_mac() && (source.is_busy() || source.is_invalid()) =>
                {
                    return Err(PortError::Taken(bridge).into());
                }
                Err(source) if mode != Mode::Bridge && source.is_busy() => {
                    return Err(Error::MacHeld { network, endpoint: id, parent: bridge, mac });
                }
                Err(source) if source.is_bridge_full() => {
                    return Err(Error::BridgeFull { network, endpoint: id, bridge });
                }
                Err(source) => return Err(kernel(source)),
            };
            point("create: link made");
            {
                let mut state = engine.lock();
                if let Some(endpoint) = state.endpoints.get_mut(&id) {
                    endpoint.host_link = made;
                    endpoint.making = None;
                    state.by_link.insert(made, id.clone());
                }
            }
            enter_vlan(&engine.0.host, made, &parent, vlan).await.map_err(&kernel)?;
            if guarded {
                engine.0.host.guard_dhcp(made).await.map_err(&kernel)?;
            }
            Ok(())
        })
        .await
    }

    /// Names an endpoint for people.
    pub(super) fn who_is(&self, id: &EndpointId) -> String {
        self.lock().who_is(id)
    }
}

impl State {
    /// Who else has the parent of a network that admits one endpoint; who is only held for gives way.
    fn only_one(
        &self,
        network: &NetworkRecord,
        id: &EndpointId,
        ahead: Option<&EndpointId>,
    ) -> Option<String> {
        let others = self.endpoints.iter().filter(|(other, endpoint)| {
            ![Some(id), ahead].contains(&Some(*other))
                && !endpoint.is_nobodys()
                && endpoint.phase != Phase::Releasing
                && endpoint.network.options.shares_segment(&network.options)
        });
        others.map(|(other, _)| self.who_is(other)).next()
    }

    /// Names an endpoint for people.
    pub(super) fn who_is(&self, id: &EndpointId) -> String {
        let endpoint = self.endpoints.get(id);
        match endpoint.map(|e| (e.host_name.as_deref(), e.container.as_deref())) {
            Some((Some(name), Some(container))) => {
                format!("container {} ({name})", container.get(..12).unwrap_or(container))
            }
            Some((Some(name), None)) => format!("container {name} (endpoint {id})"),
            _ => format!("endpoint {id}"),
        }
    }
}

/// Undoes an endpoint that is not finished, whichever way its making ends.
pub(super) struct Undo<'a> {
    engine: &'a Engine,
    id: Option<&'a EndpointId>,
}

impl<'a> Undo<'a> {
    pub(super) fn of(engine: &'a Engine, id: &'a EndpointId) -> Undo<'a> {
        Undo { engine, id: Some(id) }
    }

    pub(super) fn not_needed(mut self) {
        self.id = None;
    }

    pub(super) async fn now(mut self) {
        if let Some(id) = self.id.take() {
            self.engine.to_its_end(undo(self.engine.clone(), id.clone())).await;
        }
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            tracing::info!(endpoint = %id, "nobody waits for it any more: the endpoint is undone");
            self.engine.0.unfinished.spawn(undo(self.engine.clone(), id.clone()));
        }
    }
}

pub(super) async fn undo(engine: Engine, id: EndpointId) {
    if let Err(error) = engine.undo(&id).await {
        tracing::error!(endpoint = %id, %error, "something of an unfinished endpoint is left");
    }
}

/// That another call has the endpoint just now.
pub(super) fn busy(network: &NetworkRecord, endpoint: &EndpointId) -> Error {
    Error::Busy { network: network.id.clone(), endpoint: endpoint.clone() }
}

/// A MAC for a container whose user gave none: locally administered, unicast, random.
pub(super) fn random_mac() -> Result<MacAddr, Error> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|e| Error::NoRandomness(e.to_string()))?;
    let [first, ..] = &mut bytes;
    *first = 0x02;
    Ok(MacAddr(bytes))
}

/// The MAC of the host's end: `fe:` with the rest of the container's, so that a bridge without a
/// MAC of its own never takes it and a person sees what belongs together.
fn host_link_mac(MacAddr([_, b, c, d, e, f]): MacAddr) -> MacAddr {
    MacAddr([0xfe, b, c, d, e, f])
}
