//! Who a new endpoint is: the container it is for, its MAC, and the lease with which it goes on, if there is one.

use std::net::Ipv4Addr;

use dhcp::ipv6::Saved;
use wire::MacAddr;

use super::api::{Attachment, Container};
use super::asked::Asked;
use super::create::{busy, random_mac};
use super::ids::EndpointId;
use super::options::Options;
use super::reboot::Remembered;
use super::stable_mac::mac_of;
use super::{Endpoint, Engine, Error, State, ipv6};
use crate::fault::point;
use crate::segments::Begin;
use crate::store::{NetworkRecord, Phase};

/// Where an endpoint's MAC comes from.
pub(super) enum Origin {
    /// It was made just now: nobody has ever seen it.
    Fresh,
    /// The user gave it, it belongs to the container's name, or it was made for this endpoint before. With the address that the
    /// name had last, if that is known.
    Known(Option<Ipv4Addr>),
    /// The endpoint with this identifier had it, and its lease is held.
    Held(EndpointId),
    /// It was made in advance, with the lease of the endpoint with this identifier.
    Spare(EndpointId),
    /// The endpoint with this identifier was there only for its lease, which was asked for ahead.
    Leased(EndpointId),
    /// It had a lease before the machine booted.
    Remembered(Remembered),
}

impl Origin {
    /// The endpoint whose lease goes on.
    pub(super) fn lease_of(&self) -> Option<&EndpointId> {
        match self {
            Origin::Held(from) | Origin::Spare(from) | Origin::Leased(from) => Some(from),
            Origin::Fresh | Origin::Known(_) | Origin::Remembered(_) => None,
        }
    }

    /// What the DHCP client begins with.
    pub(super) fn begin(&self) -> Begin {
        match self {
            Origin::Fresh => Begin::Fresh,
            Origin::Known(wish) => Begin::Known(*wish),
            Origin::Held(_) | Origin::Spare(_) | Origin::Leased(_) => Begin::Known(None),
            Origin::Remembered(Remembered::Valid(lease)) => Begin::With(lease.clone()),
            Origin::Remembered(Remembered::Unsure(lease)) => Begin::Asking(lease.address),
        }
    }
}

/// An endpoint that is to be made.
pub(super) enum Entered {
    /// It is entered in the state, as one that is being made.
    New {
        mac: MacAddr,
        origin: Origin,
        /// Its IPv6 of an earlier boot.
        before: Option<Box<Saved>>,
    },
    /// It was made before.
    Before(Attachment),
}

impl Engine {
    /// Enters a new endpoint. `ahead`: the one that was there for its lease; `name`: the container's, where the
    /// runtime itself tells it.
    pub(super) async fn enter(
        &self,
        asked: &Asked<'_>,
        ahead: Option<EndpointId>,
        name: Option<&str>,
    ) -> Result<Entered, Error> {
        let Asked { network, new, .. } = *asked;
        if name.is_some() || !new.candidates.is_empty() {
            // What may be needed below is not read, or made, while the state is locked.
            self.0.secret.get();
        }
        let random = random_mac()?;
        self.undone(&new.id).await;
        self.make_way(asked).await;
        let mut before = None;
        let (mac, origin) = {
            let mut state = self.lock();
            let again = state.take_unfinished(&new.id);
            if let Some(made) = state.made_before(network, &new.id)? {
                return Ok(Entered::Before(made));
            }
            let (container, returning) = state.meant_by(asked);
            let name = container.map(|container| &*container.name).or(name);
            let returning = match (ahead, container, name) {
                (Some(ahead), ..) => Some(ahead),
                (None, None, Some(name)) if new.mac.is_none() => {
                    returning.or_else(|| state.held_by_name(&network.id, name))
                }
                _ => returning,
            };
            let segment = network.options.segment_name();
            let called = asked.options.identity.as_deref().or(name);
            let had = called.and_then(|called| state.known(&segment, called)).cloned();
            let given = had.as_ref().map(|had| had.mac);
            // Unless somebody else has it: who had this name before and has another now.
            let own = name
                .map(|name| given.unwrap_or_else(|| self.mac_of_name(network, name)))
                .filter(|mac| !state.is_taken(*mac, &network.options));
            let is_new = returning.is_none() && new.mac.or(again).or(given).is_none();
            let asks = asked.options.ip.is_some() || asked.options.client_id.is_some();
            let in_stock = (is_new && !asks).then(|| state.spare(&network.id)).flatten();
            let returning = returning.or(in_stock);
            let known = new.mac.or(again).or(own);
            let mac = known.unwrap_or(random);
            let had = had.filter(|had| had.mac == mac);
            let mut endpoint = Endpoint::new(network.clone(), Phase::Creating, mac);
            endpoint.options = asked.options.clone();
            endpoint.name = name.map(Into::into);
            endpoint.had6 = had.as_ref().and_then(|had| had.address6);
            if let Some(in_use) = state.client_id_in_use(&new.id, &endpoint, returning.as_ref()) {
                return Err(in_use);
            }
            let earlier = returning.and_then(|from| Some((from.clone(), state.claim(&from)?)));
            if let Some(Container { id, host_name, .. }) = container {
                endpoint.container = Some(id.clone());
                endpoint.host_name = host_name.clone();
            }
            let origin = match earlier {
                None if known.is_some() => Origin::Known(had.as_ref().and_then(|had| had.address)),
                None => Origin::Fresh,
                Some((from, earlier)) => {
                    if container.is_none() {
                        endpoint.container = earlier.container.clone();
                        endpoint.name = endpoint.name.or(earlier.name.clone());
                        endpoint.host_name = earlier.host_name.clone();
                    }
                    let origin;
                    (origin, before) = self.go_on_with(&mut endpoint, from, earlier);
                    origin
                }
            };
            let mac = endpoint.mac;
            if let Some(called) = called
                && (matches!(origin, Origin::Spare(_)) || given == Some(mac))
            {
                let kept = state.give(&segment, called, mac);
                kept.into_iter().for_each(|change| self.0.store.commit_later(change));
            }
            state.endpoints.insert(new.id.clone(), Box::new(endpoint));
            state.count_stock(&network.id);
            (mac, origin)
        };
        Ok(Entered::New { mac, origin, before: before.map(Box::new) })
    }

    /// Hands an earlier endpoint's lease over to a new one, or what is known of it of an earlier boot; the earlier one is no
    /// more. Its IPv6 of that boot comes beside it.
    fn go_on_with(
        &self,
        endpoint: &mut Endpoint,
        from: EndpointId,
        mut earlier: Endpoint,
    ) -> (Origin, Option<Saved>) {
        let (spare, leased_ahead) = (earlier.spare, earlier.phase == Phase::Leased);
        endpoint.claimed = !(leased_ahead || spare) || earlier.claimed;
        endpoint.mac = earlier.mac;
        endpoint.segment = earlier.segment.take();
        endpoint.remembered = earlier.remembered.take();
        endpoint.remembered6 = earlier.remembered6.take();
        self.forget_claimed(from.clone(), earlier);
        point("claim: taken");
        let clock_is_set = net::wall_clock_is_set();
        let of_ipv6 = endpoint.remembered6.as_deref();
        let before = of_ipv6.and_then(|stored| ipv6::of_earlier_boot(stored, clock_is_set));
        let origin = match &endpoint.remembered {
            Some(stored) => Origin::Remembered(Remembered::of(stored, clock_is_set)),
            None if of_ipv6.is_some() => Origin::Known(None),
            None if spare => Origin::Spare(from),
            None if leased_ahead => Origin::Leased(from),
            None => Origin::Held(from),
        };
        (origin, before)
    }

    /// The MAC that belongs to a name on a network's segment.
    pub(super) fn mac_of_name(&self, network: &NetworkRecord, name: &str) -> MacAddr {
        mac_of(self.0.secret.get(), &network.options, name)
    }
}

impl State {
    /// What was told of an endpoint that was made before; an error if it cannot be made now.
    fn made_before(
        &self,
        network: &NetworkRecord,
        id: &EndpointId,
    ) -> Result<Option<Attachment>, Error> {
        if let Some(known) = self.endpoints.get(id) {
            match known.phase {
                Phase::Created | Phase::Joined(_) => {
                    return Ok(Some(Attachment {
                        mac: (!network.options.mode.has_parents_mac()).then_some(known.mac),
                        address: known.told,
                        address6: known.told6,
                    }));
                }
                Phase::Held(_) => {}
                Phase::Creating | Phase::Leased | Phase::Releasing => {
                    return Err(busy(network, id));
                }
            }
        }
        match self.unreadable_endpoints.get(id) {
            Some(why) => Err(Error::UnreadableEndpoint { endpoint: id.clone(), why: why.clone() }),
            None => Ok(None),
        }
    }

    /// Whether an endpoint on the segment of a network with those options has this MAC.
    fn is_taken(&self, mac: MacAddr, on: &Options) -> bool {
        self.endpoints.values().any(|e| e.mac == mac && e.network.options.shares_segment(on))
    }
}
