//! The configuration from what routers and servers said, and what it differs in from the one that
//! was told.

use std::time::Duration;

use super::client::Client;
use super::stateful::usable;
use super::{Address, Configuration, Delegated, Event, OnLink, Origin, Route, Router};
use crate::Instant;
use crate::nd::{DefaultRouter, Entry, Prefix, RouteVia};
use crate::v6::LeasedPrefix;

/// A time that comes this much earlier than it was told is the rounding of lifetimes that are
/// counted down in whole seconds.
const ROUNDING: Duration = Duration::from_secs(2);

impl Client {
    /// What the container is to have.
    pub(crate) fn assemble(&self) -> Configuration {
        let Some(link_local) = self.host.link_local() else { return Configuration::default() };
        let learned = self.host.learned();
        let mut configuration = Configuration {
            link_local: Some(link_local),
            mtu: learned.mtu,
            hop_limit: learned.hop_limit,
            dns: learned.dns.iter().map(|entry| entry.what).collect(),
            search: learned.search.iter().map(|entry| entry.what.clone()).collect(),
            routers: learned.routers.iter().map(Router::from).collect(),
            on_link: learned.on_link.iter().map(OnLink::from).collect(),
            routes: learned.routes_elsewhere().map(Route::from).collect(),
            ..Configuration::default()
        };
        // The first counts, in the container's kernel as well (RFC 4191 §3.2).
        configuration.routers.sort_by_key(|router| std::cmp::Reverse(router.preference));
        configuration.routes.sort_by_key(|route| std::cmp::Reverse(route.preference));
        for entry in learned.addresses.iter() {
            configuration.addresses.extend(entry.what.address.map(|address| Address {
                address,
                prefix_len: 128,
                origin: Origin::Slaac,
                preferred_until: entry.what.preferred_until.min(entry.until),
                valid_until: entry.until,
            }));
        }
        self.add_leased(&mut configuration);
        // It is kept, in thousands of clients.
        configuration.addresses.shrink_to_fit();
        configuration.dns.shrink_to_fit();
        configuration.search.shrink_to_fit();
        configuration
    }

    fn add_leased(&self, configuration: &mut Configuration) {
        configuration.addresses.extend(self.kept.iter().map(|address| Address {
            address: *address,
            prefix_len: 128,
            origin: Origin::Dhcp,
            preferred_until: Instant::NEVER,
            valid_until: Instant::NEVER,
        }));
        let lease = self.server.as_ref().and_then(|server| server.lease());
        if let Some(lease) = lease {
            for leased in usable(lease) {
                if !configuration.addresses.iter().any(|other| other.address == leased.address) {
                    configuration.addresses.push(Address {
                        address: leased.address,
                        prefix_len: 128,
                        origin: Origin::Dhcp,
                        preferred_until: leased.preferred_until,
                        valid_until: leased.valid_until,
                    });
                }
            }
            configuration.delegated = lease.prefixes.iter().map(Delegated::from).collect();
        }
        let (dns, search) = match (lease, self.information()) {
            (Some(lease), _) => (&lease.dns[..], &lease.search[..]),
            (None, Some(information)) => (&information.dns[..], &information.search[..]),
            (None, None) => return,
        };
        for server in dns {
            if !configuration.dns.contains(server) {
                configuration.dns.push(*server);
            }
        }
        for domain in search {
            if !configuration.search.contains(domain) {
                configuration.search.push(domain.clone());
            }
        }
    }

    /// Tells what has changed since the last time it was told. New times of the same things are
    /// told when half of the old ones is over, so that not each advertisement of a router is felt
    /// in each container; those that are shorter, and those of what was over, at once.
    pub(crate) fn tell(&mut self, now: Instant) {
        let new = self.assemble();
        if !self.told.is_same(&new) {
            let old = std::mem::replace(&mut *self.told, new);
            self.was_told(now);
            let told = &self.told.addresses;
            let is_gone = |before: &&Address| {
                let still = |now: &Address| now.address == before.address;
                before.origin == Origin::Slaac && !told.iter().any(still)
            };
            let gone: Vec<_> = old.addresses.iter().filter(is_gone).map(|a| a.address).collect();
            self.unregister(&gone, now);
            self.emit(Event::Changed { old: Box::new(old) });
        } else if self.told.times().eq(new.times()) {
            self.untold = false;
        } else if now >= self.retell_at
            || self.told.outlives(&new)
            || self.told.is_revived_by(&new, now)
        {
            *self.told = new;
            self.was_told(now);
            self.emit(Event::Renewed);
        } else {
            self.untold = true;
        }
    }

    /// The container knows all there is.
    pub(crate) fn was_told(&mut self, now: Instant) {
        self.untold = false;
        let next = self.told.times().filter(|at| *at > now).min().unwrap_or(Instant::NEVER);
        self.retell_at = now + next.saturating_since(now) / 2;
    }
}

impl From<&Entry<DefaultRouter>> for Router {
    fn from(entry: &Entry<DefaultRouter>) -> Router {
        let DefaultRouter { address, mac, preference } = entry.what;
        Router { address, mac, preference, until: entry.until }
    }
}

impl From<&Entry<Prefix>> for OnLink {
    fn from(entry: &Entry<Prefix>) -> OnLink {
        let Prefix { address, length } = entry.what;
        OnLink { prefix: address, length, until: entry.until }
    }
}

impl From<&Entry<RouteVia>> for Route {
    fn from(entry: &Entry<RouteVia>) -> Route {
        let RouteVia { destination: Prefix { address, length }, router, preference } = entry.what;
        Route { destination: address, length, router, preference, until: entry.until }
    }
}

impl From<&LeasedPrefix> for Delegated {
    fn from(leased: &LeasedPrefix) -> Delegated {
        let LeasedPrefix { prefix, length, preferred_until, valid_until } = *leased;
        Delegated { prefix, length, preferred_until, valid_until }
    }
}

impl Configuration {
    /// Whether both are the same but for their times, and the MACs of routers. A route that comes to have an
    /// end, or none, is another one: no kernel turns the one into the other in passing.
    pub fn is_same(&self, other: &Configuration) -> bool {
        fn addresses(of: &Configuration) -> impl Iterator<Item = impl PartialEq> {
            of.addresses.iter().map(|address| (address.address, address.origin))
        }
        fn routers(of: &Configuration) -> impl Iterator<Item = impl PartialEq> {
            of.routers.iter().map(|router| (router.address, router.preference))
        }
        fn on_link(of: &Configuration) -> impl Iterator<Item = impl PartialEq> {
            let key = |on: &OnLink| (on.prefix, on.length, on.until == Instant::NEVER);
            of.on_link.iter().map(key)
        }
        fn routes(of: &Configuration) -> impl Iterator<Item = impl PartialEq> {
            let key = |r: &Route| {
                (r.destination, r.length, r.router, r.preference, r.until == Instant::NEVER)
            };
            of.routes.iter().map(key)
        }
        fn delegated(of: &Configuration) -> impl Iterator<Item = impl PartialEq> {
            of.delegated.iter().map(|delegated| (delegated.prefix, delegated.length))
        }
        self.link_local == other.link_local
            && addresses(self).eq(addresses(other))
            && routers(self).eq(routers(other))
            && on_link(self).eq(on_link(other))
            && routes(self).eq(routes(other))
            && delegated(self).eq(delegated(other))
            && (self.mtu, self.hop_limit) == (other.mtu, other.hop_limit)
            && (&self.dns, &self.search) == (&other.dns, &other.search)
    }

    /// All its times, in an order that depends on the rest alone.
    fn times(&self) -> impl Iterator<Item = Instant> + '_ {
        let addresses = self.addresses.iter().flat_map(|a| [a.preferred_until, a.valid_until]);
        let delegated = self.delegated.iter().flat_map(|d| [d.preferred_until, d.valid_until]);
        addresses
            .chain(delegated)
            .chain(self.routers.iter().map(|router| router.until))
            .chain(self.on_link.iter().map(|on_link| on_link.until))
            .chain(self.routes.iter().map(|route| route.until))
    }

    /// Whether something in it would be used for longer than `other`, the same configuration, says.
    fn outlives(&self, other: &Configuration) -> bool {
        self.times().zip(other.times()).any(|(ours, theirs)| ours > theirs + ROUNDING)
    }

    /// Whether something in it that is over goes on by `other`, the same configuration: an address
    /// that was deprecated is preferred again.
    fn is_revived_by(&self, other: &Configuration, now: Instant) -> bool {
        self.times().zip(other.times()).any(|(ours, theirs)| ours <= now && theirs > now)
    }

    /// Puts each moment through `clock`.
    pub(crate) fn translate(&mut self, clock: &impl Fn(Instant) -> Instant) {
        for address in &mut self.addresses {
            address.preferred_until = clock(address.preferred_until);
            address.valid_until = clock(address.valid_until);
        }
        for delegated in &mut self.delegated {
            delegated.preferred_until = clock(delegated.preferred_until);
            delegated.valid_until = clock(delegated.valid_until);
        }
        self.routers.iter_mut().for_each(|router| router.until = clock(router.until));
        self.on_link.iter_mut().for_each(|on_link| on_link.until = clock(on_link.until));
        self.routes.iter_mut().for_each(|route| route.until = clock(route.until));
    }
}
