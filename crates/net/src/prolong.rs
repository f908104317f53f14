//! IPv6 of many network namespaces made to last: a router's advertisement renews the addresses and
//! routes of all containers on a LAN at once, every few minutes.

use ipnet::Ipv6Net;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;

use crate::address::flagged;
use crate::netlink::change_waiting;
use crate::route6::prolonged;
use crate::visit::{Traveller, tour};
use crate::{AddressFlags, Lifetime, Netns, Result, Route6};

/// What is to last longer, or shorter, in another network namespace.
#[derive(Debug, Clone)]
pub struct Prolongation6 {
    /// Where.
    pub netns: Netns,
    /// The index there of the link with the addresses.
    pub ifindex: u32,
    /// The addresses, with what [`crate::Netlink::replace_address_v6`] takes: the flags that they
    /// were put there with have to be given again.
    pub addresses: Vec<(Ipv6Net, Lifetime, AddressFlags)>,
    /// The routes, see [`crate::Netlink::prolong_route_v6`].
    pub routes: Vec<Route6>,
}

/// Gives addresses and routes in other network namespaces new lifetimes, which run from now on, in
/// short visits one after the other instead of over a connection; one that is not there is put
/// there. A visit takes about 0.03 ms for each address and route. The results are in the order of
/// what was wanted; each ends with the first address or route that the kernel refused.
///
/// All is done to its end even if the future is dropped.
///
/// # Errors
/// When there is no thread to make the visits. Each one: as [`crate::Netlink::replace_address_v6`],
/// [`crate::Netlink::prolong_route_v6`] and [`Netns::run`].
pub async fn prolong_ipv6(wanted: Vec<Prolongation6>) -> Result<Vec<Result<()>>> {
    let prolong = |traveller: &Traveller, wanted: Prolongation6| {
        traveller.visit(&wanted.netns, || in_place(&wanted))?
    };
    tour(move |traveller| wanted.into_iter().map(|one| prolong(traveller, one)).collect()).await
}

/// The same in the namespace of the calling thread.
fn in_place(wanted: &Prolongation6) -> Result<()> {
    let Prolongation6 { netns, ifindex, addresses, routes } = wanted;
    for (address, lifetime, flags) in addresses {
        let message = flagged(*ifindex, *address, *lifetime, *flags);
        let message = RouteNetlinkMessage::NewAddress(message);
        let tried = || format!("put address {address} on link {ifindex} in {netns}");
        change_waiting(message, NLM_F_CREATE | NLM_F_REPLACE, tried)?;
    }
    for route in routes {
        let message = RouteNetlinkMessage::NewRoute(route.message());
        let tried = || format!("prolong route {route} in {netns}");
        prolonged(change_waiting(message, NLM_F_CREATE, tried))?;
    }
    Ok(())
}
