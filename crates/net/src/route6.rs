//! IPv6 routes.
//!
//! What they are known by differs from IPv4. To one destination there may be several of the same
//! metric, which the kernel balances between: one that is added without `NLM_F_EXCL` joins the
//! others. One that is set with `NLM_F_REPLACE` takes the place of the first of the same metric,
//! whatever its gateway, and with it goes all balancing. So a route is known by destination and
//! metric here, and whoever has two routers to one destination gives each a metric of its own.
//!
//! The kernel itself, where it hears router advertisements (`accept_ra`), gives all default routers
//! the metric 1024 and tells them apart by gateway; it may have two of the same metric since they
//! are marked as learnt, which netlink cannot do. Among routes of one metric it takes the one of the
//! highest preference whose gateway has not failed to answer; when all of a metric have failed, it
//! looks at the next metric. So with a metric for each router their order is that of the metrics,
//! which must follow the preferences, and a dead router is passed over all the same (seen). The
//! preference is set on the route for those who look.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RoutePreference,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::route::{MAIN_TABLE, protocol, scope};
use crate::{Netlink, Result, RouteKind};

/// The metric of a route to which nobody gave one, and of all default routers that the kernel
/// hears of itself (`IP6_RT_PRIO_USER`).
pub const DEFAULT_METRIC: u32 = 1024;

/// Which of the routes to a destination of one metric is taken first (RFC 4191 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum RoutePreference6 {
    /// Only where there is no other.
    Low,
    /// The default.
    #[default]
    Medium,
    /// Before others.
    High,
}

/// An IPv6 route of the main table. A route with several next hops is read as one `Route6` for
/// each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route6 {
    /// Where to; `::/0` is the default route.
    pub destination: Ipv6Net,
    /// The next hop; `None` when the destination is on the link.
    pub gateway: Option<Ipv6Addr>,
    /// The link; `None` for a route that sends nothing on, which the kernel shows on `lo`.
    pub ifindex: Option<u32>,
    /// The source address for packets of this host that take the route.
    pub source: Option<Ipv6Addr>,
    /// The gateway is on the link though no route says so (`onlink`). Link-local ones always are.
    pub onlink: bool,
    /// Among routes to the same destination the lowest metric wins. 0 is [`DEFAULT_METRIC`].
    pub metric: u32,
    /// Among routes of the same metric the highest preference wins.
    pub preference: RoutePreference6,
    /// Who made it: see [`protocol`].
    pub protocol: u8,
    /// Seconds until it is not taken any more; `None` for never. One with 0 is over at once.
    ///
    /// Read, it is rounded up, at most 248 days, and 0 for one that is over: the kernel removes it
    /// within half a minute or so, and to add another in its place fails until then, while to
    /// replace it does not. In the hundredth of a second about its end it reads as `None`.
    pub lifetime: Option<u32>,
    /// The longest packet (bytes) that takes it; `None` for what the link allows.
    pub mtu: Option<u32>,
    /// The hop limit of packets that take it; `None` for that of the link.
    pub hop_limit: Option<u32>,
    /// What it does.
    pub kind: RouteKind,
}

impl Route6 {
    /// A route to what is on the link itself, as a router advertises it.
    pub fn on_link(destination: Ipv6Net, ifindex: u32, metric: u32) -> Self {
        Self {
            destination: destination.trunc(),
            gateway: None,
            ifindex: Some(ifindex),
            source: None,
            onlink: false,
            metric,
            preference: RoutePreference6::Medium,
            protocol: protocol::ROUTER_ADVERTISEMENT,
            lifetime: None,
            mtu: None,
            hop_limit: None,
            kind: RouteKind::Unicast,
        }
    }

    /// What discards what nobody here has of a prefix that was delegated, and says so to its sender: after all other
    /// routes there, as its metric is the highest. The kernel drops what lifetime it is given (seen on 6.18).
    pub fn unreachable(destination: Ipv6Net) -> Self {
        Self {
            ifindex: None,
            protocol: protocol::DHCP,
            kind: RouteKind::Unreachable,
            ..Self::on_link(destination, 0, u32::MAX)
        }
    }

    /// A route through a gateway, as a router advertises it.
    pub fn via(destination: Ipv6Net, gateway: Ipv6Addr, ifindex: u32, metric: u32) -> Self {
        Self { gateway: Some(gateway), ..Self::on_link(destination, ifindex, metric) }
    }
}

impl std::fmt::Display for Route6 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(ifindex) = self.ifindex {
            write!(f, " on link {ifindex}")?;
        }
        write!(f, " with metric {}", self.metric)
    }
}

impl Netlink {
    /// The IPv6 routes of the main table.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn routes_v6(&self) -> Result<Vec<Route6>> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet6;
        message.attributes.push(RouteAttribute::Table(MAIN_TABLE));
        let found = self
            .dump(RouteNetlinkMessage::GetRoute(message), "list IPv6 routes", |message| {
                match message {
                    RouteNetlinkMessage::NewRoute(message) => Some(read(message)),
                    _ => None,
                }
            })
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Adds a route.
    ///
    /// # Errors
    /// [`crate::Error::is_exists`] when there is one to the same destination with the same metric,
    /// by whichever gateway; EHOSTUNREACH when the gateway is not on a link; ENETDOWN when the link
    /// is down; [`crate::Error::is_denied`] when IPv6 is off there; [`crate::Error::is_not_found`]
    /// when there is no such link; EINVAL for a link-local gateway without a link.
    pub async fn add_route_v6(&self, route: &Route6) -> Result<()> {
        let message = RouteNetlinkMessage::NewRoute(route.message());
        self.change(message, NLM_F_CREATE | NLM_F_EXCL, &format!("add route {route}")).await
    }

    /// Adds a route in the place of the one to the same destination with the same metric. Its
    /// lifetime runs from now on. The kernel forgets what it had learnt about destinations behind
    /// it, such as smaller MTUs on the way: where nothing but the lifetime changes, there is
    /// [`Netlink::prolong_route_v6`].
    ///
    /// # Errors
    /// As [`Netlink::add_route_v6`], EEXIST excepted.
    pub async fn replace_route_v6(&self, route: &Route6) -> Result<()> {
        let message = RouteNetlinkMessage::NewRoute(route.message());
        self.change(message, NLM_F_CREATE | NLM_F_REPLACE, &format!("set route {route}")).await
    }

    /// Gives a route that is there another lifetime, which runs from now on, or none, and leaves all
    /// else of it as it is. It must be the only one to its destination with its metric, and by the
    /// same gateway and link: by another it would be added beside it. One that is not there is added.
    /// One that has no end keeps none.
    ///
    /// # Errors
    /// As [`Netlink::add_route_v6`], EEXIST excepted.
    pub async fn prolong_route_v6(&self, route: &Route6) -> Result<()> {
        let message = RouteNetlinkMessage::NewRoute(route.message());
        prolonged(self.change(message, NLM_F_CREATE, &format!("prolong route {route}")).await)
    }

    /// Removes a route, known by destination, metric, gateway, link and protocol.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] when there is none like it.
    pub async fn delete_route_v6(&self, route: &Route6) -> Result<()> {
        let message = RouteNetlinkMessage::DelRoute(route.message());
        self.change(message, 0, &format!("delete route {route}")).await
    }
}

impl Route6 {
    pub(crate) fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = AddressFamily::Inet6;
        header.destination_prefix_length = self.destination.prefix_len();
        header.protocol = self.protocol.into();
        header.scope = scope::UNIVERSE.into(); // IPv6 knows no other
        header.kind = self.kind.into();
        if self.onlink {
            header.flags =
                RouteFlags::from_bits_retain(u32::from(RouteNextHopFlags::Onlink.bits()));
        }
        let to = RouteAddress::Inet6;
        let attributes = &mut message.attributes;
        if self.destination.prefix_len() > 0 {
            attributes.push(RouteAttribute::Destination(to(self.destination.network())));
        }
        attributes.push(RouteAttribute::Table(MAIN_TABLE));
        attributes.extend(self.ifindex.map(RouteAttribute::Oif));
        attributes.extend(self.gateway.map(|gateway| RouteAttribute::Gateway(to(gateway))));
        attributes.extend(self.source.map(|source| RouteAttribute::PrefSource(to(source))));
        attributes.push(RouteAttribute::Priority(self.metric));
        attributes.push(RouteAttribute::Preference(self.preference.into()));
        attributes.extend(self.lifetime.map(RouteAttribute::Expires));
        let metrics: Vec<_> = self
            .mtu
            .map(RouteMetric::Mtu)
            .into_iter()
            .chain(self.hop_limit.map(RouteMetric::Hoplimit))
            .collect();
        if !metrics.is_empty() {
            attributes.push(RouteAttribute::Metrics(metrics));
        }
        message
    }
}

/// Added where it was, a route is refused, but its lifetime is that of the request from then on.
pub(crate) fn prolonged(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_exists() => Ok(()),
        result => result,
    }
}

impl From<RoutePreference6> for RoutePreference {
    fn from(preference: RoutePreference6) -> Self {
        match preference {
            RoutePreference6::Low => Self::Low,
            RoutePreference6::Medium => Self::Medium,
            RoutePreference6::High => Self::High,
        }
    }
}

impl From<RoutePreference> for RoutePreference6 {
    fn from(preference: RoutePreference) -> Self {
        match preference {
            RoutePreference::Low => Self::Low,
            RoutePreference::High => Self::High,
            _ => Self::Medium,
        }
    }
}

/// The unit of the times that the kernel reports (`USER_HZ`): the same on all that Linux runs on
/// but Alpha.
const TICKS_PER_SECOND: u32 = 100;

fn read(message: RouteMessage) -> Vec<Route6> {
    let header = &message.header;
    let onlink = u32::from(RouteNextHopFlags::Onlink.bits());
    let mut address = Ipv6Addr::UNSPECIFIED;
    let mut hops = Vec::new();
    let mut table = header.table.into();
    let mut route = Route6 {
        destination: Ipv6Net::default(),
        gateway: None,
        ifindex: None,
        source: None,
        onlink: header.flags.bits() & onlink != 0,
        metric: DEFAULT_METRIC,
        preference: RoutePreference6::Medium,
        protocol: header.protocol.into(),
        lifetime: None,
        mtu: None,
        hop_limit: None,
        kind: header.kind.into(),
    };
    let prefix_len = header.destination_prefix_length;
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet6(network)) => address = network,
            RouteAttribute::Gateway(RouteAddress::Inet6(gateway)) => route.gateway = Some(gateway),
            RouteAttribute::Oif(index) => route.ifindex = Some(index),
            RouteAttribute::PrefSource(RouteAddress::Inet6(source)) => route.source = Some(source),
            RouteAttribute::Priority(metric) => route.metric = metric,
            RouteAttribute::Preference(preference) => route.preference = preference.into(),
            RouteAttribute::Table(number) => table = number,
            RouteAttribute::MultiPath(next_hops) => hops = next_hops,
            // 0 is for one that has no end, and below 0 what one that is over is past it.
            RouteAttribute::CacheInfo(times) if times.expires != 0 => {
                let ticks = u32::try_from(times.expires.cast_signed()).unwrap_or(0);
                route.lifetime = Some(ticks.div_ceil(TICKS_PER_SECOND));
            }
            RouteAttribute::Metrics(metrics) => {
                for metric in metrics {
                    match metric {
                        RouteMetric::Mtu(mtu) => route.mtu = Some(mtu),
                        RouteMetric::Hoplimit(limit) => route.hop_limit = Some(limit),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let Ok(destination) = Ipv6Net::new(address, prefix_len) else { return Vec::new() };
    if table != MAIN_TABLE {
        return Vec::new();
    }
    route.destination = destination;
    if hops.is_empty() {
        vec![route]
    } else {
        hops.into_iter().map(|hop| with_next_hop(&route, hop)).collect()
    }
}

fn with_next_hop(route: &Route6, hop: RouteNextHop) -> Route6 {
    let gateway = hop.attributes.into_iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet6(address)) => Some(address),
        _ => None,
    });
    let onlink = hop.flags.contains(RouteNextHopFlags::Onlink);
    Route6 { gateway, ifindex: Some(hop.interface_index), onlink, ..route.clone() }
}
