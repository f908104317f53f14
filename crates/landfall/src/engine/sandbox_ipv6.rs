//! What Landfall changes of IPv6 inside a container: addresses and routes with their lifetimes.
//!
//! The kernel there does no IPv6 configuration of its own (`accept_ra=0`): one who listens to routers
//! is enough, and Landfall's client is there before the container and after it.

use std::net::Ipv6Addr;
use std::path::Path;

use dhcp::Instant;
use dhcp::ipv6::{Address, Configuration, Delegated};
use ipnet::{IpNet, Ipv6Net};
use net::address::protocol::KERNEL_ROUTER_ADVERTISEMENT;
use net::route::protocol;
use net::route6::{DEFAULT_METRIC, Route6, RoutePreference6};
use net::sysctl::{AddressGeneration, Ipv6Settings, ipv6_of};
use net::{AddressFlags, Lifetime, Prolongation6};

use super::sandbox::{Sandbox, gone_is_fine, left, open_netns};

/// Addresses were checked on the segment, and what is on the link is told by routes of its own.
const FLAGS: AddressFlags = AddressFlags(AddressFlags::NO_DAD.0 | AddressFlags::NO_PREFIX_ROUTE.0);

/// The length of the prefix of link-local addresses (RFC 4291 §2.5.6).
const LINK_LOCAL_LENGTH: u8 = 64;
/// What the kernel has where nobody says anything (`IPV6_DEFAULT_HOPLIMIT`).
const HOP_LIMIT: u8 = 64;
/// More routes to one destination than a client heeds.
const ROUTES_EACH: u32 = 64;

impl Sandbox {
    /// Changes the interface from what an earlier configuration put on it to what this one does. `way_out`: Docker has
    /// chosen it for the container's default route. `first`: the interface has just come up, and may have what its kernel
    /// has made of it.
    pub(super) async fn change_ipv6(
        &self,
        old: &Configuration,
        new: &Configuration,
        way_out: bool,
        first: bool,
    ) -> net::Result<()> {
        self.settle_ipv6(old, new, first).await?;
        for address in &new.addresses {
            let (to, lifetime) = (net_of(address), lifetime(address));
            self.links.replace_address_v6(self.ifindex, to, lifetime, FLAGS).await?;
        }
        let gone = old
            .addresses
            .iter()
            .filter(|old| !new.addresses.iter().any(|a| a.address == old.address));
        for address in gone {
            let gone = self.links.delete_address(self.ifindex, net_of(address).into()).await;
            gone_is_fine(gone)?;
        }
        let metric = metric(self.ifindex, &self.interface, way_out);
        let wanted = routes_of(self.ifindex, metric, new);
        let there = self.links.routes_v6().await?;
        for route in &wanted {
            // What the kernel has learnt of a route goes with one that is replaced.
            let prolonged = there.iter().any(|there| {
                same(there, route)
                    && there.preference == route.preference
                    && there.lifetime.is_some() == route.lifetime.is_some()
            });
            if prolonged {
                self.links.prolong_route_v6(route).await?;
            } else {
                self.links.replace_route_v6(route).await?;
            }
        }
        // All of that protocol are ours, or the kernel made them before it was told not to.
        let stale = there.iter().filter(|route| {
            route.ifindex == Some(self.ifindex)
                && route.protocol == protocol::ROUTER_ADVERTISEMENT
                && !wanted.iter().any(|wanted| same(wanted, route))
        });
        for route in stale {
            gone_is_fine(self.links.delete_route_v6(route).await)?;
        }
        self.discard_unused(&old.delegated, &new.delegated).await
    }

    /// Discards what the container does not use of the prefixes that were delegated to it: whoever routes them to it would
    /// have it back from the container's default route, and so on (RFC 7084, WPD-5).
    async fn discard_unused(&self, old: &[Delegated], new: &[Delegated]) -> net::Result<()> {
        let gone = old.iter().filter(|old| {
            !new.iter().any(|new| (new.prefix, new.length) == (old.prefix, old.length))
        });
        for route in gone.filter_map(unreachable) {
            gone_is_fine(self.links.delete_route_v6(&route).await)?;
        }
        for route in new.iter().filter_map(unreachable) {
            self.links.replace_route_v6(&route).await?;
        }
        Ok(())
    }

    /// Takes away what does not go with the interface: the routes of delegated prefixes.
    pub(super) async fn withdraw_prefixes(&self, delegated: &[Delegated]) -> net::Result<()> {
        self.discard_unused(delegated, &[]).await
    }

    /// The link-local address and what else the kernel is told of the interface.
    async fn settle_ipv6(
        &self,
        old: &Configuration,
        new: &Configuration,
        first: bool,
    ) -> net::Result<()> {
        let changed = (old.mtu, old.hop_limit) != (new.mtu, new.hop_limit);
        if first || changed {
            let settings = Ipv6Settings {
                disable: Some(false),
                accept_ra: Some(0),
                autoconf: Some(false),
                use_tempaddr: Some(0),
                addr_gen_mode: Some(AddressGeneration::NoLinkLocal),
                // What nobody says any more is as it was before.
                hop_limit: new.hop_limit.or(old.hop_limit.map(|_| HOP_LIMIT)),
                mtu: new.mtu.or(old.mtu.map(|_| u16::MAX)).map(|mtu| self.mtu.min(mtu.into())),
                ..Ipv6Settings::default()
            };
            ipv6_of(&self.netns, &self.interface, settings).await?;
        }
        if !first && old.link_local == new.link_local {
            return Ok(());
        }
        for address in self.links.addresses(Some(self.ifindex)).await? {
            let IpNet::V6(net) = address.address else { continue };
            // The kernel made it before it was told not to, and still looks whether anybody has it: it would take the
            // client's own question for another machine's, and drop it.
            let of_router = address.protocol == KERNEL_ROUTER_ADVERTISEMENT
                || address.flags.contains(AddressFlags::TENTATIVE);
            if net.addr().is_unicast_link_local() || first && of_router {
                gone_is_fine(self.links.delete_address(self.ifindex, address.address).await)?;
            }
        }
        if let Some(address) = new.link_local {
            let (address, forever) = (own(address), Lifetime::FOREVER);
            let checked = AddressFlags::NO_DAD;
            self.links.replace_address_v6(self.ifindex, address, forever, checked).await?;
        }
        Ok(())
    }
}

/// What makes all that a configuration has put on the interface in the namespace at `path` last as long as it says now.
pub(super) fn prolongation6(
    path: &Path,
    (ifindex, metric): (u32, u32),
    configuration: &Configuration,
) -> net::Result<Prolongation6> {
    // Somebody there may have switched IPv6 off, and on again: then nothing of it is left.
    let link_local = configuration.link_local.map(own).into_iter();
    let link_local = link_local.map(|net| (net, Lifetime::FOREVER, AddressFlags::NO_DAD));
    let addresses = configuration.addresses.iter().map(|a| (net_of(a), lifetime(a), FLAGS));
    Ok(Prolongation6 {
        netns: open_netns(path)?,
        ifindex,
        addresses: link_local.chain(addresses).collect(),
        routes: routes_of(ifindex, metric, configuration),
    })
}

/// A link-local address with its prefix, which brings the route to its neighbours.
fn own(address: Ipv6Addr) -> Ipv6Net {
    Ipv6Net::new(address, LINK_LOCAL_LENGTH).unwrap_or_else(|_| address.into())
}

/// As many as have metrics of their own behind those of `eth0` to `eth255`.
const MOST_LINKS: u32 = 1 << 16;

/// The metric of the most preferred router. Each further one has the next, so that each of its routes
/// can be replaced and removed alone; and each interface of a container has its own: first the one that
/// Docker has chosen for the default route, then those that are numbered `eth`s in the order of their
/// numbers, others behind them.
pub(super) fn metric(ifindex: u32, interface: &str, way_out: bool) -> u32 {
    if way_out {
        return DEFAULT_METRIC - ROUTES_EACH;
    }
    let number = interface.strip_prefix("eth").and_then(|number| number.parse::<u8>().ok());
    // Numbers behind other words tell no two interfaces apart.
    let place = number.map_or(u32::from(u8::MAX) + ifindex % MOST_LINKS, u32::from);
    DEFAULT_METRIC + ROUTES_EACH * place
}

/// The routes of a configuration: what is on the link first, as routers are.
fn routes_of(ifindex: u32, metric: u32, configuration: &Configuration) -> Vec<Route6> {
    let Configuration { routers, on_link, routes, .. } = configuration;
    let route = |(address, length), via: Option<Ipv6Addr>, metric, until| {
        let destination = Ipv6Net::new(address, length).ok()?.trunc();
        let on_link = Route6::on_link(destination, ifindex, metric);
        Some(Route6 { gateway: via, lifetime: lasts(until), ..on_link })
    };
    let on_link = on_link
        .iter()
        .filter_map(|prefix| route((prefix.prefix, prefix.length), None, metric, prefix.until));
    let routes = (metric..).zip(routes).filter_map(|(metric, to)| {
        let preference = preference(to.preference);
        let route = route((to.destination, to.length), Some(to.router), metric, to.until)?;
        Some(Route6 { preference, ..route })
    });
    let routers = (metric..).zip(routers).filter_map(|(metric, router)| {
        let preference = preference(router.preference);
        let route = route((Ipv6Addr::UNSPECIFIED, 0), Some(router.address), metric, router.until)?;
        Some(Route6 { preference, ..route })
    });
    on_link.chain(routes).chain(routers).collect()
}

/// What discards a delegated prefix.
fn unreachable(delegated: &Delegated) -> Option<Route6> {
    Ipv6Net::new(delegated.prefix, delegated.length).ok().map(Route6::unreachable)
}

/// Whether it is the same route, however long it lasts.
fn same(one: &Route6, other: &Route6) -> bool {
    let key = |route: &Route6| (route.destination, route.gateway, route.metric, route.ifindex);
    key(one) == key(other)
}

fn net_of(address: &Address) -> Ipv6Net {
    Ipv6Net::new(address.address, address.prefix_len).unwrap_or_else(|_| address.address.into())
}

fn preference(preference: dhcp::ipv6::Preference) -> RoutePreference6 {
    match preference {
        dhcp::ipv6::Preference::Low => RoutePreference6::Low,
        dhcp::ipv6::Preference::Medium => RoutePreference6::Medium,
        dhcp::ipv6::Preference::High => RoutePreference6::High,
    }
}

fn lifetime(address: &Address) -> Lifetime {
    let valid = lasts(address.valid_until);
    let preferred = match address.preferred_until {
        Instant::NEVER => valid,
        // Deprecated, and not for ever. The clock has gone on since it was read for the other.
        until => Some(left(until).unwrap_or(0).min(valid.unwrap_or(u32::MAX))),
    };
    Lifetime { valid, preferred }
}

/// Seconds until then, rounded up; none for what does not end. What is over lasts another second, and not for ever.
fn lasts(until: Instant) -> Option<u32> {
    (until != Instant::NEVER).then(|| left(until).unwrap_or(1))
}
