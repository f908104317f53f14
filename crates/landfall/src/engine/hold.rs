//! Keeping the lease of a container that has ended, should it come back.
//!
//! An endpoint lives as long as one run of its container: `docker restart` ends it and makes another.
//! So the lease outlives the endpoint for a while (`release_delay`): the port answers for the
//! address, renewals go on, and the container that comes back goes on with MAC and lease as if
//! nothing had been. Whether it is the same container must be sure: by a MAC that the user gave,
//! or as the only one that can be meant.

use std::time::Duration;

use dhcp::Instant;
use futures_util::future::join_all;
use tokio::time::sleep;
use wire::MacAddr;

use super::api::Container;
use super::events::Kind;
use super::ids::{EndpointId, NetworkId};
use super::{Endpoint, Engine, Error, State};
use crate::fault::point;
use crate::segments::Segment;
use crate::store::{Change, NetworkRecord, Phase};

impl Engine {
    /// The endpoint's container has ended: its lease is held for as long as its network says, or
    /// given back at once.
    pub(super) async fn ended(&self, id: &EndpointId) {
        self.ended_if(id, |_| true).await;
    }

    /// The same if the endpoint is as it was when that was decided.
    pub(super) async fn ended_if(&self, id: &EndpointId, is_so: impl Fn(&Endpoint) -> bool) {
        if self.lock().endpoints.get(id).is_some_and(|endpoint| endpoint.is_remembered()) {
            return self.wait_again(id).await;
        }
        let held = {
            let mut state = self.lock();
            let Some(endpoint) = state.endpoints.get_mut(id).filter(|e| is_so(e)) else { return };
            let delay = endpoint.network.options.release_delay;
            match endpoint.phase {
                Phase::Held(_) | Phase::Releasing => return,
                _ if delay.is_zero() || !endpoint.is_worth_holding() => None,
                _ => {
                    endpoint.phase = Phase::Held(now() + delay);
                    endpoint.confirmed = true;
                    if let Some(pending) = endpoint.pending.take() {
                        pending.abort();
                    }
                    endpoint.segment.clone().map(|segment| (segment, endpoint.mac, delay))
                }
            }
        };
        let Some((segment, mac, delay)) = held else {
            self.release_if(id, is_so).await;
            return;
        };
        point("hold: known");
        if let Err(error) = self.keep(id).await {
            // After a crash the endpoint counts as one that died, and is held again.
            tracing::error!(endpoint = %id, %error, "that it is held is not on the disk");
        }
        point("hold: recorded");
        segment.link_down(mac).await;
        point("hold: place taken");
        self.happened(id, Kind::LeaseHeld);
        self.hold_for(id, delay);
    }

    /// A container that had a lease before the machine booted has not got it again: it is waited for
    /// once more.
    async fn wait_again(&self, id: &EndpointId) {
        let (client, answered, had_ipv6, until) = {
            let mut state = self.lock();
            let Some(endpoint) = state.endpoints.get_mut(id) else { return };
            let answered = endpoint.segment.as_ref().is_some_and(|s| s.is_answered(endpoint.mac));
            if answered && let Some(stored) = &mut endpoint.remembered {
                // Given back below, or refused: only the address is worth asking for.
                stored.lease.expires_at = stored.lease.start;
            }
            let until = endpoint.remembered_until();
            endpoint.phase = Phase::Held(until);
            let client = endpoint.segment.take().map(|segment| (segment, endpoint.mac));
            (client, answered, endpoint.remembered6.is_some(), until)
        };
        match client {
            Some((segment, mac)) if answered => drop(segment.release(id, mac).await),
            // Nobody has said that the lease is not right any more. One of IPv6 may be new.
            Some((segment, mac)) if had_ipv6 => segment.forget(id, mac),
            Some((segment, mac)) => segment.give_back_ipv6_alone(id, mac).await,
            None => {}
        }
        self.keep_later(id);
        self.hold_for(id, until.saturating_since(now()));
    }

    /// Gives a held lease back after that time; [`Duration::MAX`]: never.
    pub(super) fn hold_for(&self, id: &EndpointId, delay: Duration) {
        if delay == Duration::MAX {
            return;
        }
        let (engine, held) = (self.clone(), id.clone());
        let timer = tokio::spawn(async move {
            sleep(delay).await;
            // In a task of its own, which nobody who claims the lease can abort halfway.
            engine.0.unfinished.spawn(engine.clone().give_up(held));
        });
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.pending = Some(timer.abort_handle());
        }
    }

    /// Gives a lease back that waits for nobody any more, unless somebody goes on with it.
    pub(super) async fn give_up(self, id: EndpointId) {
        self.give_up_if(id, Endpoint::is_nobodys).await;
    }

    /// The endpoint on the segment whose lease has been held for longest, and its MAC; before all others one that
    /// waits for no container in particular.
    pub(super) fn held_longest(&self, segment: &Segment) -> Option<(EndpointId, MacAddr)> {
        let state = self.lock();
        let held = state.endpoints.iter().filter_map(|(id, endpoint)| match endpoint.phase {
            Phase::Held(until) if endpoint.is_on(segment) => {
                Some((!endpoint.spare, until, id, endpoint.mac))
            }
            _ => None,
        });
        held.min().map(|(.., id, mac)| (id.clone(), mac))
    }

    /// Ends all endpoints of a network that is no more. An engine removes none that is in use: these are
    /// held, were never made use of, or their end went unheard.
    pub(super) async fn end_all(&self, network: &NetworkId) {
        let all: Vec<EndpointId> = {
            let state = self.lock();
            let all = state.endpoints.iter().filter(|(_, e)| e.network.id == *network);
            all.map(|(id, _)| id.clone()).collect()
        };
        // Side by side: each waits for the disk.
        join_all(all.iter().map(async |id| {
            self.revive(id).await;
            if let Err(error) = self.remove(id).await {
                tracing::error!(endpoint = %id, %error, "something of an endpoint is left");
            }
        }))
        .await;
    }

    /// Takes the link of an endpoint away.
    pub(super) async fn delete_link(&self, id: &EndpointId) -> Result<(), Error> {
        let (network, making) = {
            let mut state = self.lock();
            let Some(endpoint) = state.endpoints.get_mut(id) else { return Ok(()) };
            let link = std::mem::take(&mut endpoint.host_link);
            endpoint.carrier = false;
            let found = (endpoint.network.clone(), endpoint.making.take());
            state.by_link.remove(&link);
            found
        };
        if let Some(making) = making {
            let _ = making.await;
        }
        // By name: a link may be made whose index we were not told any more.
        let deleted = self.delete_own_link(network.options.mode, id).await;
        deleted.map_err(|source| Error::Kernel {
            network: network.id.clone(),
            endpoint: id.clone(),
            source,
        })
    }

    /// Forgets an endpoint whose lease has gone over to another, and removes its link if it still
    /// has one. Durable together with what is committed next.
    pub(super) fn forget_claimed(&self, id: EndpointId, endpoint: Endpoint) {
        if let Some(pending) = endpoint.pending {
            pending.abort();
        }
        self.0.store.commit_later(Change::DeleteEndpoint(id.clone()));
        if endpoint.host_link != 0 {
            let (engine, mode) = (self.clone(), endpoint.network.options.mode);
            self.0.unfinished.spawn(async move {
                if let Err(error) = engine.delete_own_link(mode, &id).await {
                    tracing::warn!(endpoint = %id, %error, "the link of the earlier run is left");
                }
            });
        }
    }
}

impl State {
    /// The one of the candidates that has no endpoint on the network yet; none if there are several.
    pub(super) fn sole_candidate<'a>(
        &self,
        network: &NetworkId,
        candidates: &'a [Container],
    ) -> Option<&'a Container> {
        let mut possible = None;
        for container in candidates {
            let mut there = self.endpoints.values().filter(|endpoint| {
                endpoint.network.id == *network
                    && endpoint.container.as_deref() == Some(&*container.id)
                    && !matches!(endpoint.phase, Phase::Held(_) | Phase::Releasing)
            });
            match there.next() {
                None if possible.replace(container).is_some() => return None,
                None => {}
                // Seen in its sandbox, and up in it: the call is not for this one.
                Some(endpoint) if endpoint.confirmed && endpoint.carrier => {}
                // It may be left of an engine that died, and the call be for a new start of it.
                Some(_) => return None,
            }
        }
        possible
    }

    /// Takes out the endpoint that [`State::returning`] finds.
    pub(super) fn claim(&mut self, id: &EndpointId) -> Option<Endpoint> {
        let endpoint = self.endpoints.remove(id)?;
        self.by_link.remove(&endpoint.host_link);
        Some(*endpoint)
    }

    /// The held endpoint with whose lease a new one goes on: itself, if an earlier run
    /// died when it had claimed the lease already; the one with the MAC that the user gave; else
    /// that of the container. An engine that died before it joined what it had made has left it with
    /// the MAC, and starts the same container again: that is sure if no other can be meant, or if the
    /// daemon died with it.
    pub(super) fn returning(
        &self,
        network: &NetworkRecord,
        new: &EndpointId,
        mac: Option<MacAddr>,
        container: Option<&Container>,
        candidates: &[Container],
    ) -> Option<EndpointId> {
        let by_mac = |e: &Endpoint| {
            // A server knows a client by its MAC, whatever network Docker says it is on.
            mac == Some(e.mac) && e.network.options.shares_segment(&network.options)
        };
        let by_id = |e: &Endpoint| {
            e.network.id == network.id
                && e.container.is_some()
                && e.container.as_deref() == container.map(|c| &*c.id)
        };
        // Removed and made again under its name. Who only has another name now has his lease still.
        let by_name = |e: &Endpoint| {
            let of_that_name = container.filter(|c| e.name.as_deref() == Some(&*c.name));
            let gone = |c: &Container| e.container.as_ref().is_none_or(|id| !c.others.contains(id));
            e.network.id == network.id && of_that_name.is_some_and(gone)
        };
        // Of several it is the last: those of an earlier boot are the oldest.
        let find = |fits: &dyn Fn(&Endpoint) -> bool| {
            let held = self.endpoints.iter().filter_map(|(id, e)| match e.phase {
                Phase::Held(until) if fits(e) => Some((!e.is_remembered(), until, id)),
                _ => None,
            });
            held.max().map(|(.., id)| id.clone())
        };
        match mac {
            _ if self.endpoints.get(new).is_some_and(|e| e.is_held()) => Some(new.clone()),
            Some(_) => find(&by_mac).or_else(|| {
                let only = match candidates {
                    [only] => Some(&*only.id),
                    _ => None,
                };
                let left = |e: &Endpoint| {
                    let same = only.is_some() && e.container.as_deref() == only;
                    e.phase == Phase::Created && (e.recovered || same)
                };
                let mut all = self.endpoints.iter();
                all.find(|(_, e)| left(e) && by_mac(e)).map(|(id, _)| id.clone())
            }),
            None => find(&by_id).or_else(|| find(&by_name)),
        }
    }
}

impl State {
    /// The endpoint that was held last for a container of that name.
    pub(super) fn held_by_name(&self, network: &NetworkId, name: &str) -> Option<EndpointId> {
        let held = self.endpoints.iter().filter_map(|(id, endpoint)| match endpoint.phase {
            Phase::Held(until) if endpoint.network.id == *network => {
                let named = endpoint.name.as_deref() == Some(name);
                named.then(|| (!endpoint.is_remembered(), until, id))
            }
            _ => None,
        });
        held.max().map(|(.., id)| id.clone())
    }
}

impl Endpoint {
    /// Whether its container has ended and its lease waits for it.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held(_))
    }

    pub(super) fn is_nobodys(&self) -> bool {
        self.is_held() || self.unfinished
    }

    fn is_on(&self, segment: &Segment) -> bool {
        self.segment.as_ref().is_some_and(|own| std::ptr::eq(&**own, segment))
    }
}

pub(super) fn now() -> Instant {
    Instant::from_boot(net::boot_now())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::super::options::Options;
    use super::super::reboot::tests::stored;
    use super::*;

    fn candidate(id: &str) -> Container {
        Container {
            id: id.into(),
            name: id.into(),
            host_name: None,
            others: Arc::default(),
            mac: None,
            address: None,
            options: BTreeMap::new(),
        }
    }

    /// A network with an endpoint of the container `a`, in that phase.
    fn state(phase: Phase, confirmed: bool, carrier: bool) -> State {
        let options = BTreeMap::from([("bridge".to_owned(), "br0".to_owned())]);
        let network = Arc::new(NetworkRecord {
            id: NetworkId::new("lan").unwrap(),
            options: Options::parse(&options).unwrap(),
            internal: false,
            pool: None,
            apart: false,
        });
        let mut endpoint = Endpoint::new(network, phase, MacAddr([2, 0, 0, 0, 0, 1]));
        endpoint.container = Some("a".into());
        (endpoint.confirmed, endpoint.carrier) = (confirmed, carrier);
        let mut state = State::default();
        state.endpoints.insert(EndpointId::new("e").unwrap(), Box::new(endpoint));
        state
    }

    fn sole(state: &State, candidates: &[&str]) -> Option<String> {
        let candidates: Vec<Container> = candidates.iter().map(|id| candidate(id)).collect();
        let lan = NetworkId::new("lan").unwrap();
        state.sole_candidate(&lan, &candidates).map(|found| found.id.to_string())
    }

    /// Which of the held endpoints, by their numbers, a container goes on with.
    fn claimed(held: &[(u64, &str, &str, bool)], who: &Container) -> Option<usize> {
        let mut state = state(Phase::Creating, false, false);
        let network = state.endpoints.values().next().unwrap().network.clone();
        let name = |number: usize| EndpointId::new(&format!("e{number}")).unwrap();
        for (number, (until, id, named, remembered)) in held.iter().enumerate() {
            let until = Instant::from_boot(Duration::from_secs(*until));
            let mac = MacAddr([2, 0, 0, 0, 1, number as u8]);
            let mut endpoint = Endpoint::new(network.clone(), Phase::Held(until), mac);
            (endpoint.container, endpoint.name) = (Some((*id).into()), Some((*named).into()));
            endpoint.remembered = remembered.then(|| Box::new(stored(None)));
            state.endpoints.insert(name(number), Box::new(endpoint));
        }
        let new = EndpointId::new("new").unwrap();
        let found = state.returning(&network, &new, None, Some(who), &[])?;
        (0..held.len()).find(|number| name(*number) == found)
    }

    #[test]
    fn of_several_leases_a_container_goes_on_with_its_last() {
        let who = candidate("a");
        assert_eq!(claimed(&[(70, "a", "a", false), (90, "a", "a", false)], &who), Some(1));
        assert_eq!(claimed(&[(90, "a", "a", false), (70, "a", "a", false)], &who), Some(0));
        // What is left of an earlier boot is held for longer, and older.
        assert_eq!(claimed(&[(9000, "a", "a", true), (70, "a", "a", false)], &who), Some(1));
        assert_eq!(claimed(&[(9000, "a", "a", true)], &who), Some(0));
        assert_eq!(claimed(&[(90, "b", "b", false)], &who), None);
    }

    #[test]
    fn a_name_tells_only_of_a_container_that_is_no_more() {
        let held = [(90, "older", "web", false)];
        let web = Container { name: "web".into(), ..candidate("newer") };
        assert_eq!(claimed(&held, &web), Some(0), "removed, and made again");
        // It was renamed, and another has its name now.
        let others = Arc::new(["older", "newer"].map(Into::into).into());
        assert_eq!(claimed(&held, &Container { others, ..web }), None);
    }

    #[test]
    fn an_only_candidate_is_taken_and_several_are_not() {
        let state = State::default();
        assert_eq!(sole(&state, &[]), None);
        assert_eq!(sole(&state, &["b"]).as_deref(), Some("b"));
        assert_eq!(sole(&state, &["b", "c"]), None);
    }

    #[test]
    fn one_that_has_started_is_not_meant() {
        let state = state(Phase::Joined(PathBuf::from("/run/netns/a")), true, true);
        assert_eq!(sole(&state, &["a", "b"]).as_deref(), Some("b"));
        assert_eq!(sole(&state, &["a"]), None);
    }

    #[test]
    fn what_an_engine_that_died_has_left_leaves_it_open_who_is_meant() {
        let joined = || Phase::Joined(PathBuf::from("/run/netns/a"));
        for (phase, confirmed, carrier) in [
            (Phase::Creating, false, false),
            (Phase::Created, false, false),
            (joined(), false, true),
            (joined(), true, false),
        ] {
            let state = state(phase.clone(), confirmed, carrier);
            assert_eq!(sole(&state, &["a", "b"]), None, "{phase:?}");
        }
    }

    #[test]
    fn one_whose_lease_is_held_may_come_back() {
        let state = state(Phase::Held(Instant::NEVER), true, false);
        assert_eq!(sole(&state, &["a"]).as_deref(), Some("a"));
    }
}
