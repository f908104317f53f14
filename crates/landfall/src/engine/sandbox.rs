//! What Landfall changes inside a container: its leased address and the routes of its lease.
//!
//! The namespace is entered only for that, never to talk DHCP, and nothing of it is held open in
//! between.

use std::net::Ipv4Addr;
use std::path::Path;

use dhcp::v4::Lease;
use ipnet::{IpNet, Ipv4Net};
use net::{Lifetime, Link, Netlink, Netns, Route};

use super::guest::INIT;
use super::ids::EndpointId;
use super::{container_link, with_prefix};
use crate::store::NetworkRecord;

/// An endpoint's interface in a container.
pub(super) struct Sandbox {
    pub(super) links: Netlink,
    pub(super) netns: Netns,
    /// The interface's index there.
    pub(super) ifindex: u32,
    /// The interface's name there.
    pub(super) interface: String,
    /// Its MTU.
    pub(super) mtu: u32,
}

/// By what an endpoint's interface is known in a sandbox, where its name is the engine's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inside {
    /// It is the other end of the veth of which the host has the end with this index.
    PeerOf(u32),
    /// It is the child with this alias, of a parent elsewhere. Its MAC may be others' as well, and become another.
    Child(String),
}

impl Inside {
    /// A child of a parent.
    pub(super) fn child(id: &EndpointId) -> Inside {
        Inside::Child(container_link(id))
    }

    pub(super) fn is(&self, link: &Link) -> bool {
        let kind = link.kind.as_deref();
        link.peer_netnsid.is_some()
            && match self {
                Inside::PeerOf(end) => kind == Some("veth") && link.peer_index == Some(*end),
                Inside::Child(alias) => {
                    matches!(kind, Some("macvlan" | "ipvlan"))
                        && link.alias.as_deref() == Some(alias)
                }
            }
    }
}

/// What an interface had of a lease, and what else the kernel dropped together with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Configured {
    /// The leased address.
    pub(super) address: Option<Ipv4Net>,
    /// The lease's routes, the default one included.
    pub(super) routes: Vec<(Ipv4Net, Option<Ipv4Addr>)>,
    /// Routes that are not the lease's and that went with its address.
    pub(super) others: Vec<Route>,
    /// Whether the container's default route went with it.
    pub(super) had_default: bool,
}

impl NetworkRecord {
    /// The default router of a container of the network that has that lease.
    pub(super) fn gateway(&self, lease: &Lease) -> Option<Ipv4Addr> {
        if self.internal { None } else { self.options.applied.gateway(lease) }
    }

    /// What a lease puts on an interface of the network's.
    pub(super) fn configured(&self, lease: &Lease) -> Configured {
        let routes = if self.internal { Vec::new() } else { lease.routes() };
        let routes = routes.into_iter().filter_map(|route| {
            Some((Ipv4Net::new(route.destination, route.prefix_len).ok()?.trunc(), route.via))
        });
        let routes = routes.filter(|(to, _)| self.options.applied.admits((*to).into()));
        let default = self.gateway(lease).map(|via| (Ipv4Net::default(), Some(via)));
        Configured {
            address: Some(with_prefix(lease)),
            // The default route last: its router may be reached through one of the others.
            routes: routes.chain(default).collect(),
            others: Vec::new(),
            had_default: false,
        }
    }
}

impl Sandbox {
    /// Enters the network namespace at `path` and finds an endpoint's interface there; none if it is not
    /// there (any more).
    pub(super) async fn open(path: &Path, inside: &Inside) -> net::Result<Option<Sandbox>> {
        let netns = open_netns(path)?;
        let links = Netlink::in_netns(&netns)?;
        let found = links.links().await?.into_iter().find(|link| inside.is(link));
        Ok(found.map(|link| {
            let Link { index: ifindex, name: interface, mtu, .. } = link;
            Sandbox { ifindex, interface, mtu, links, netns }
        }))
    }

    /// Changes the interface from what an earlier lease put on it to what this one, `new`, does.
    ///
    /// Routes that are not the lease's (the host's, copied at the start, and those that somebody
    /// made in the container) are put back where the kernel drops them with the old address.
    pub(super) async fn change(
        &self,
        old: &Configured,
        (new, lease): (&Configured, &Lease),
    ) -> net::Result<()> {
        if old == new {
            return self.put_address(lease).await;
        }
        let before = self.routes().await?;
        if old.address != new.address
            && let Some(address) = old.address
        {
            // Before the new one is there: in one subnet the new one would be the old one's
            // secondary address and go with it.
            self.delete_address(address).await?;
        }
        self.put_address(lease).await?;
        let anybodys_default = self.links.routes_v4().await?.iter().any(is_default);
        // Or was, before the last lease ended: another interface has only stood in for it.
        let our_default = old.had_default || before.iter().any(is_default);
        for (destination, via) in &new.routes {
            let default = destination.prefix_len() == 0;
            // Which interface has the default route is Docker's choice among a container's
            // networks: another's is left alone.
            if !default || our_default || !anybodys_default {
                self.links.replace_route(&self.route(*destination, *via)).await?;
            }
        }
        let replaced = |to: &Ipv4Net| new.routes.iter().any(|(other, _)| other == to);
        let gone = old.routes.iter().filter(|(destination, _)| !replaced(destination));
        self.delete_routes(&before, gone).await?;
        let others = before.iter().chain(&old.others).filter(|route| {
            let of_old = old.routes.contains(&(route.destination, route.gateway));
            let of_new =
                new.routes.iter().any(|(destination, _)| *destination == route.destination);
            !of_old && !of_new
        });
        for route in others {
            // A route through a router of the old subnet has no place in the new one.
            if let Err(error) = self.links.replace_route(route).await {
                tracing::warn!(%error, interface = self.interface, "route not kept");
            }
        }
        Ok(())
    }

    /// Takes away what a lease put on the interface: it has ended. What else went with it is for
    /// [`Sandbox::change`], when there is a lease again.
    pub(super) async fn withdraw(&self, old: &Configured) -> net::Result<Configured> {
        let before = self.routes().await?;
        let had_default = before.iter().any(is_default);
        self.delete_routes(&before, old.routes.iter()).await?;
        if let Some(address) = old.address {
            self.delete_address(address).await?;
        }
        let after = self.routes().await?;
        let mut others = before;
        others.retain(|route| {
            !after.contains(route) && !old.routes.contains(&(route.destination, route.gateway))
        });
        Ok(Configured { others, had_default, ..Configured::default() })
    }

    /// Deletes those of a lease's routes that are `there`, whoever made them: the first lease's are Docker's.
    async fn delete_routes<'a>(
        &self,
        there: &[Route],
        gone: impl Iterator<Item = &'a (Ipv4Net, Option<Ipv4Addr>)>,
    ) -> net::Result<()> {
        let gone: Vec<_> = gone.collect();
        for route in there.iter().filter(|r| gone.contains(&&(r.destination, r.gateway))) {
            gone_is_fine(self.links.delete_route(route).await)?;
        }
        Ok(())
    }

    /// Removes the default route through this interface.
    pub(super) async fn remove_default_route(&self) -> net::Result<()> {
        for route in self.routes().await?.iter().filter(|route| is_default(route)) {
            gone_is_fine(self.links.delete_route(route).await)?;
        }
        Ok(())
    }

    async fn put_address(&self, lease: &Lease) -> net::Result<()> {
        let address = with_prefix(lease);
        let broadcast = (lease.prefix_len < 31).then(|| address.broadcast());
        let lifetime = lifetime(lease);
        self.links.replace_address(self.ifindex, address.into(), lifetime, broadcast).await
    }

    async fn delete_address(&self, address: Ipv4Net) -> net::Result<()> {
        gone_is_fine(self.links.delete_address(self.ifindex, IpNet::V4(address)).await)
    }

    /// The routes through this interface that the kernel did not make itself.
    async fn routes(&self) -> net::Result<Vec<Route>> {
        let mut routes = self.links.routes_v4().await?;
        routes.retain(|route| {
            route.ifindex == Some(self.ifindex) && route.protocol != net::route::protocol::KERNEL
        });
        Ok(routes)
    }

    fn route(&self, destination: Ipv4Net, via: Option<Ipv4Addr>) -> Route {
        match via {
            Some(via) => Route::via(destination, via, self.ifindex),
            None => Route::on_link(destination, self.ifindex),
        }
    }
}

/// What prolongs the leased address of the interface with that index in the namespace at `path` by
/// the times of its lease; everything else stays as it is.
///
/// All that most renewals ever change in a container, so it is done in one short visit.
pub(super) fn prolongation(
    path: &Path,
    ifindex: u32,
    lease: &Lease,
) -> net::Result<net::Prolongation> {
    let address = IpNet::V4(with_prefix(lease));
    Ok(net::Prolongation { netns: open_netns(path)?, ifindex, address, lifetime: lifetime(lease) })
}

/// Opens a sandbox's network namespace by the path that the engine named.
///
/// Inside a managed plugin the engine's mounts are not there under that path, but the host's
/// first process sees them.
pub(super) fn open_netns(path: &Path) -> net::Result<Netns> {
    match Netns::open(path) {
        Err(error) if error.is_not_found() => match Netns::open_as_seen_by(INIT, path) {
            Err(there) if there.is_not_found() => Err(error),
            seen_by_init => seen_by_init,
        },
        opened => opened,
    }
}

fn is_default(route: &Route) -> bool {
    route.destination.prefix_len() == 0
}

/// What was to be removed and is not there is removed.
pub(super) fn gone_is_fine(result: net::Result<()>) -> net::Result<()> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        result => result,
    }
}

/// What is left of a lease: rounded up, so that the kernel, which is there for the day on which
/// Landfall is not, never ends an address before its lease. One that is over is only ever used
/// where the address is kept beyond its lease, until a server says otherwise.
fn lifetime(lease: &Lease) -> Lifetime {
    let seconds = left(lease.expires_at);
    Lifetime { valid: seconds, preferred: seconds }
}

/// Seconds until then, rounded up; none for what does not end, or is over.
pub(super) fn left(until: dhcp::Instant) -> Option<u32> {
    let left = until.since_boot().saturating_sub(net::boot_now());
    if until == dhcp::Instant::NEVER || left.is_zero() {
        return None;
    }
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    Some(u32::try_from(seconds).unwrap_or(u32::MAX - 1))
}
