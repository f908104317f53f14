//! Handing an endpoint over to a sandbox: which link, which routes.

use std::net::Ipv4Addr;
use std::path::{Component, Path};

use dhcp::v4::Lease;
use ipnet::Ipv4Net;
use net::Route;
use net::route::{protocol, scope};

use super::api::{JoinRequest, Joined, StaticRoute};
use super::create::busy;
use super::ids::EndpointId;
use super::options::NoServer;
use super::{Engine, Error, State, container_link, with_prefix};
use crate::fault::point;
use crate::store::Phase;

impl Engine {
    /// Hands an endpoint's link over to a sandbox, whose namespace may not exist yet.
    pub(crate) async fn join(&self, request: JoinRequest) -> Result<Joined, Error> {
        let (network, endpoint) = (request.network.clone(), request.endpoint.clone());
        self.joined_to(request).await.map_err(|error| error.of(&network, &endpoint))
    }

    async fn joined_to(&self, request: JoinRequest) -> Result<Joined, Error> {
        let JoinRequest { network, endpoint: id, sandbox } = request;
        let record = self.network(&network)?;
        let unknown = || Error::UnknownEndpoint { network: network.clone(), endpoint: id.clone() };
        if sandbox.starts_with("/run/user") {
            return Err(Error::Rootless(format!("its sandbox is {}", sandbox.display())));
        }
        if !is_plain(&sandbox) {
            return Err(Error::Sandbox { network, endpoint: id, sandbox });
        }
        let (lease, goes_without, options) = {
            let state = self.lock();
            let endpoint = state.endpoints.get(&id).ok_or_else(unknown)?;
            if !matches!(endpoint.phase, Phase::Created | Phase::Joined(_)) {
                return Err(busy(&record, &id));
            }
            (endpoint.lease(), endpoint.goes_without_ipv4(), endpoint.options.clone())
        };
        let bridge = &record.options.interface;
        if lease.is_none() && !goes_without && record.options.no_server != NoServer::Wait {
            return Err(Error::LeaseLost { network, endpoint: id, bridge: bridge.clone() });
        }
        if let Some(lease) = &lease
            && let Some(there) = self.lock().overlapping(&id, &sandbox, with_prefix(lease))
        {
            let (bridge, subnet) = (bridge.clone(), with_prefix(lease).trunc());
            return Err(Error::Overlap { network, endpoint: id, bridge, subnet, there });
        }
        let gateway = lease.as_ref().and_then(|lease| record.gateway(lease));
        let leased = lease.clone();
        let lease = lease.filter(|_| !record.internal);
        {
            let mut state = self.lock();
            let endpoint = state.endpoints.get_mut(&id).ok_or_else(unknown)?;
            endpoint.phase = Phase::Joined(sandbox);
            if let Some(pending) = endpoint.pending.take() {
                pending.abort();
            }
            // Another sandbox than before may have another guest.
            endpoint.confirmed = false;
            endpoint.guest = None;
            endpoint.way_out = false;
            endpoint.told_gateway = gateway;
        }
        point("join: known");
        // While the disk is at work.
        let routes = async {
            if let Some(lease) = &leased {
                self.apply_mtu_outside(&id, &record, lease).await?;
            }
            match lease {
                // Of another VLAN of the bridge than the host is in, the host's routes say nothing.
                Some(lease) if record.options.skip_routes || record.options.vlan.is_some() => {
                    Ok(routes(&lease, Vec::new()))
                }
                Some(lease) => Ok(routes(&lease, self.routes_beside(bridge, &lease).await?)),
                None => Ok(Vec::new()),
            }
        };
        let ((), mut routes) = tokio::try_join!(self.keep(&id), routes)?;
        routes.retain(|route| record.options.applied.admits(route.destination.into()));
        point("join: recorded");
        Ok(Joined {
            link: container_link(&id),
            prefix: options
                .interface_prefix()
                .unwrap_or(&record.options.interface_prefix)
                .to_owned(),
            name: options.interface.map(String::from),
            gateway,
            routes,
        })
    }

    /// The host's routes through a bridge that are of use beside it.
    async fn routes_beside(&self, bridge: &str, lease: &Lease) -> Result<Vec<StaticRoute>, Error> {
        let index = self.0.host.link(bridge).await?.map_or(0, |link| link.index);
        Ok(host_routes(&self.0.host.routes_v4().await?, index, lease))
    }
}

impl State {
    /// What another endpoint in a sandbox has of the addresses of a new one: its subnet, interface and network, for people.
    fn overlapping(&self, id: &EndpointId, sandbox: &Path, new: Ipv4Net) -> Option<String> {
        let new = new.trunc();
        self.endpoints.iter().find_map(|(other, endpoint)| {
            let here = matches!(&endpoint.phase, Phase::Joined(at) if at == sandbox);
            // Taken up after a restart, and its link is not there any more: it has left meanwhile.
            let has_left = endpoint.recovered && !endpoint.carrier && !endpoint.is_child();
            let counts = other != id && here && !has_left;
            let there = with_prefix(&endpoint.lease().filter(|_| counts)?).trunc();
            let overlaps = there.contains(&new) || new.contains(&there);
            let options = &endpoint.network.options;
            overlaps.then(|| {
                format!("{there} by {} (network {})", options.interface, endpoint.network.id)
            })
        })
    }
}

/// A path that says where it leads: absolute, without `..`.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
}

/// The server's routes, and those of the host behind them where the server has none to the same
/// place.
fn routes(lease: &Lease, copied: Vec<StaticRoute>) -> Vec<StaticRoute> {
    let mut routes: Vec<StaticRoute> = lease
        .routes()
        .into_iter()
        .filter_map(|route| {
            let destination = Ipv4Net::new(route.destination, route.prefix_len).ok()?;
            Some(StaticRoute { destination: destination.trunc(), via: route.via })
        })
        .collect();
    for route in copied {
        if !routes.iter().any(|known| known.destination == route.destination) {
            routes.push(route);
        }
    }
    routes
}

/// The routes of the host that lead out through the bridge and that a container beside it can use
/// as well.
///
/// Not: the kernel's own (the subnets of the bridge's addresses), the default route (the server
/// tells which router a container has), link-local ones, one that covers the leased address
/// (docker-net-dhcp's rule: it would fight with the subnet's own), and one through a router that
/// the container cannot reach directly, which the engine would fail on.
fn host_routes(routes: &[Route], bridge: u32, lease: &Lease) -> Vec<StaticRoute> {
    let subnet = with_prefix(lease).trunc();
    routes
        .iter()
        .filter(|route| route.ifindex == Some(bridge))
        .filter(|route| route.protocol != protocol::KERNEL)
        .filter(|route| matches!(route.scope, scope::UNIVERSE | scope::LINK))
        .filter(|route| route.destination.prefix_len() > 0)
        .filter(|route| !is_link_local(route.destination))
        .filter(|route| !route.destination.contains(&lease.address))
        .filter(|route| route.gateway.is_none_or(|via| subnet.contains(&via)))
        .map(|route| StaticRoute { destination: route.destination, via: route.gateway })
        .collect()
}

fn is_link_local(destination: Ipv4Net) -> bool {
    destination.network().is_link_local()
        || Ipv4Net::new(Ipv4Addr::new(169, 254, 0, 0), 16)
            .is_ok_and(|link_local| destination.contains(&link_local))
}
