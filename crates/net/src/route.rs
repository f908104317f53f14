//! IPv4 routes.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags,
    RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::{Netlink, Result};

/// The routing table that is looked at by default (`RT_TABLE_MAIN`).
pub const MAIN_TABLE: u32 = 254;

/// `RTPROT_*`: who made a route.
pub mod protocol {
    /// The kernel, for an address it was given.
    pub const KERNEL: u8 = 2;
    /// Someone while the machine started, or `ip route` without saying.
    pub const BOOT: u8 = 3;
    /// The administrator.
    pub const STATIC: u8 = 4;
    /// Somebody who heard a router advertise it.
    pub const ROUTER_ADVERTISEMENT: u8 = 9;
    /// A DHCP client.
    pub const DHCP: u8 = 16;
}

/// `RT_SCOPE_*`: how far away a route's destination is.
pub mod scope {
    /// Behind a gateway.
    pub const UNIVERSE: u8 = 0;
    /// On the link.
    pub const LINK: u8 = 253;
    /// On this host.
    pub const HOST: u8 = 254;
}

/// What a route does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// Sends it on.
    Unicast,
    /// Drops it silently.
    Blackhole,
    /// Answers "host unreachable".
    Unreachable,
    /// Answers "administratively prohibited".
    Prohibit,
    /// Anything else, by its `RTN_*` number.
    Other(u8),
}

impl From<RouteType> for RouteKind {
    fn from(kind: RouteType) -> Self {
        match kind {
            RouteType::Unicast => Self::Unicast,
            RouteType::BlackHole => Self::Blackhole,
            RouteType::Unreachable => Self::Unreachable,
            RouteType::Prohibit => Self::Prohibit,
            other => Self::Other(other.into()),
        }
    }
}

impl From<RouteKind> for RouteType {
    fn from(kind: RouteKind) -> Self {
        match kind {
            RouteKind::Unicast => Self::Unicast,
            RouteKind::Blackhole => Self::BlackHole,
            RouteKind::Unreachable => Self::Unreachable,
            RouteKind::Prohibit => Self::Prohibit,
            RouteKind::Other(raw) => raw.into(),
        }
    }
}

/// An IPv4 route. A route with several next hops is read as one `Route` for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to; `0.0.0.0/0` is the default route.
    pub destination: Ipv4Net,
    /// The next hop; `None` when the destination is on the link.
    pub gateway: Option<Ipv4Addr>,
    /// The link; `None` for a route that sends nothing on.
    pub ifindex: Option<u32>,
    /// The source address for packets of this host that take the route.
    pub source: Option<Ipv4Addr>,
    /// The gateway is on the link though no route says so (`onlink`).
    pub onlink: bool,
    /// How far away the destination is: see [`scope`].
    pub scope: u8,
    /// Who made it: see [`protocol`].
    pub protocol: u8,
    /// Among routes to the same destination the lowest metric wins; `None` is 0.
    pub metric: Option<u32>,
    /// The routing table, usually [`MAIN_TABLE`].
    pub table: u32,
    /// What it does.
    pub kind: RouteKind,
}

impl Route {
    /// A route to what is on the link itself, as a DHCP client makes it.
    pub fn on_link(destination: Ipv4Net, ifindex: u32) -> Self {
        Self {
            destination: destination.trunc(),
            gateway: None,
            ifindex: Some(ifindex),
            source: None,
            onlink: false,
            scope: scope::LINK,
            protocol: protocol::DHCP,
            metric: None,
            table: MAIN_TABLE,
            kind: RouteKind::Unicast,
        }
    }

    /// A route through a gateway, as a DHCP client makes it.
    pub fn via(destination: Ipv4Net, gateway: Ipv4Addr, ifindex: u32) -> Self {
        Self {
            gateway: Some(gateway),
            scope: scope::UNIVERSE,
            ..Self::on_link(destination, ifindex)
        }
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(ifindex) = self.ifindex {
            write!(f, " on link {ifindex}")?;
        }
        Ok(())
    }
}

impl Netlink {
    /// The IPv4 routes of the main table. Those by way of an IPv6 gateway (`via inet6`) are left
    /// out.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn routes_v4(&self) -> Result<Vec<Route>> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.attributes.push(RouteAttribute::Table(MAIN_TABLE));
        let found = self
            .dump(RouteNetlinkMessage::GetRoute(message), "list IPv4 routes", |message| {
                match message {
                    RouteNetlinkMessage::NewRoute(message) => Some(read(message)),
                    _ => None,
                }
            })
            .await?;
        Ok(found.into_iter().flatten().filter(|route| route.table == MAIN_TABLE).collect())
    }

    /// Adds a route.
    ///
    /// # Errors
    /// [`crate::Error::is_exists`] when there is one to the same destination with the same metric;
    /// ENETUNREACH when the gateway is not on a link; ENETDOWN when the link is down.
    pub async fn add_route(&self, route: &Route) -> Result<()> {
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        let message = RouteNetlinkMessage::NewRoute(route.message());
        self.change(message, flags, &format!("add route {route}")).await
    }

    /// Adds a route in the place of the one to the same destination with the same metric.
    ///
    /// # Errors
    /// As [`Netlink::add_route`], EEXIST excepted.
    pub async fn replace_route(&self, route: &Route) -> Result<()> {
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        let message = RouteNetlinkMessage::NewRoute(route.message());
        self.change(message, flags, &format!("set route {route}")).await
    }

    /// Removes a route.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] when there is none like it.
    pub async fn delete_route(&self, route: &Route) -> Result<()> {
        let message = RouteNetlinkMessage::DelRoute(route.message());
        self.change(message, 0, &format!("delete route {route}")).await
    }
}

impl Route {
    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = AddressFamily::Inet;
        header.destination_prefix_length = self.destination.prefix_len();
        header.protocol = self.protocol.into();
        header.scope = self.scope.into();
        header.kind = self.kind.into();
        if self.onlink {
            header.flags =
                RouteFlags::from_bits_retain(u32::from(RouteNextHopFlags::Onlink.bits()));
        }
        let attributes = &mut message.attributes;
        if self.destination.prefix_len() > 0 {
            let network = self.destination.network();
            attributes.push(RouteAttribute::Destination(RouteAddress::Inet(network)));
        }
        attributes.push(RouteAttribute::Table(self.table));
        attributes.extend(self.ifindex.map(RouteAttribute::Oif));
        attributes.extend(self.gateway.map(|to| RouteAttribute::Gateway(RouteAddress::Inet(to))));
        attributes
            .extend(self.source.map(|from| RouteAttribute::PrefSource(RouteAddress::Inet(from))));
        attributes.extend(self.metric.map(RouteAttribute::Priority));
        message
    }
}

/// The route or, if it has several next hops, routes that a message describes.
fn read(message: RouteMessage) -> Vec<Route> {
    let header = &message.header;
    let onlink = u32::from(RouteNextHopFlags::Onlink.bits());
    let mut address = Ipv4Addr::UNSPECIFIED;
    let mut hops = Vec::new();
    let mut route = Route {
        destination: Ipv4Net::default(),
        gateway: None,
        ifindex: None,
        source: None,
        onlink: header.flags.bits() & onlink != 0,
        scope: header.scope.into(),
        protocol: header.protocol.into(),
        metric: None,
        table: header.table.into(),
        kind: header.kind.into(),
    };
    let prefix_len = header.destination_prefix_length;
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(network)) => address = network,
            RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => route.gateway = Some(gateway),
            RouteAttribute::Oif(index) => route.ifindex = Some(index),
            RouteAttribute::PrefSource(RouteAddress::Inet(source)) => route.source = Some(source),
            RouteAttribute::Priority(metric) => route.metric = Some(metric),
            RouteAttribute::Table(table) => route.table = table,
            RouteAttribute::MultiPath(next_hops) => hops = next_hops,
            RouteAttribute::Via(_) => return Vec::new(),
            _ => {}
        }
    }
    let Ok(destination) = Ipv4Net::new(address, prefix_len) else { return Vec::new() };
    route.destination = destination;
    if hops.is_empty() {
        vec![route]
    } else {
        hops.into_iter().filter_map(|hop| with_next_hop(&route, hop)).collect()
    }
}

fn with_next_hop(route: &Route, hop: RouteNextHop) -> Option<Route> {
    let mut gateway = None;
    for attribute in hop.attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(address),
            RouteAttribute::Via(_) => return None,
            _ => {}
        }
    }
    let onlink = hop.flags.contains(RouteNextHopFlags::Onlink);
    Some(Route { gateway, ifindex: Some(hop.interface_index), onlink, ..route.clone() })
}
