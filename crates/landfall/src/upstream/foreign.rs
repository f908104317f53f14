//! Whether the way to the LAN lets other MACs than the host's own pass.
//!
//! Access points, clouds, hypervisors and switches with port security drop what comes from other MACs. What a container says
//! is lost there as on a LAN without a server; what tells the two apart is that the host's own MAC has an answer.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::future::select_ok;
use net::{Filter, Link, Membership, Netlink, PacketSocket, Sees};
use wire::MacAddr;
use wire::arp::{Arp, Operation};
use wire::frame::{Frame, Payload};

use super::offers::{Offer, offers};

/// How long the server may take to answer the host's own MAC, where the host's router tells that the LAN is there.
const OFFER_PATIENCE: Duration = Duration::from_secs(1);
/// How long neighbours may take to answer ARP; it is asked a second time after half of it.
const ARP_PATIENCE: Duration = Duration::from_millis(500);
/// The type of a client identifier that is no hardware address (RFC 2132 §9.14).
const OPAQUE: u8 = 0;

/// How the LAN treats a MAC whose DISCOVERs have no answer, while the host's own (`own`) has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// A neighbour answers the host's own MAC by ARP, and not the other.
    Dropped { own: MacAddr, neighbour: Ipv4Addr },
    /// Neighbours answer both by ARP, and the DHCP server the host's own alone.
    Unserved { own: MacAddr, server: Ipv4Addr },
    /// The DHCP server answers the host's own MAC alone, and no neighbour tells why.
    Unclear { own: MacAddr, server: Ipv4Addr },
}

impl Foreign {
    /// What was seen on `link`, a bridge or a parent.
    pub(crate) fn seen(&self, link: &str) -> String {
        match self {
            Foreign::Dropped { own, neighbour } => format!(
                "{neighbour} answers {link}'s own MAC {own} by ARP and no other: what {link} is connected to lets one MAC \
                 only pass"
            ),
            Foreign::Unserved { own, server } => format!(
                "the DHCP server {server} answers {link}'s own MAC {own} and no other, while neighbours answer others by \
                 ARP: it serves only clients that it knows, or has no address free"
            ),
            Foreign::Unclear { own, server } => format!(
                "the DHCP server {server} answers {link}'s own MAC {own} and no other: what {link} is connected to lets \
                 one MAC only pass, or the server serves only clients that it knows"
            ),
        }
    }

    /// What to do about it.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Foreign::Dropped { .. } => {
                "allow more there (a switch's port security; VMware's forged transmits and promiscuous mode); where \
                 that cannot be, as at an access point or in a cloud, neither a bridge nor macvlan helps, but \
                 `-o mode=ipvlan -o parent=eth0` with the name of your network card, where all have its MAC"
            }
            Foreign::Unserved { .. } => {
                "enter the container's MAC there, which its name, `identity` or `--mac-address` keeps the same, or give it \
                 more addresses"
            }
            Foreign::Unclear { .. } => {
                "allow more there (a switch's port security; VMware's forged transmits and promiscuous mode), or enter \
                 the container's MAC in the server; with `-o mode=ipvlan -o parent=eth0` and the name of your network \
                 card all have its MAC, and none needs either"
            }
        }
    }
}

/// Asks in the name of `link`, a bridge or a parent, what has no answer in the name of `mac`; none: none answers the host's own either.
/// `ports`: all ports of the bridge, or the parent. `patience`: how long a server may take that is
/// all there is to ask; some look for three seconds whether an address is free.
pub(crate) async fn judge(
    host: &Netlink,
    link: &Link,
    ports: &[u32],
    mac: MacAddr,
    patience: Duration,
) -> Option<Foreign> {
    if link.bridge.as_ref().is_some_and(|bridge| bridge.vlan_filtering) {
        // A VLAN's tag is on what comes in by a port and not on what comes to the bridge: the two cannot be compared.
        return None;
    }
    let own = link.mac?;
    let filter = Filter::dhcp4_replies_and_arp();
    let here = PacketSocket::open(link.index, &filter, Sees::Incoming).ok()?;
    // What is for the other MAC does not come to the bridge itself, nor through a card's filter. Who cannot be heard is not silent.
    let heard_at = ports.iter().map(|port| {
        let socket = PacketSocket::open(*port, &filter, Sees::Incoming)?;
        socket.add_membership(Membership::Unicast(mac))?;
        Ok(socket)
    });
    let heard_at = heard_at.collect::<net::Result<Vec<PacketSocket>>>().ok()?;
    if heard_at.is_empty() {
        return None;
    }
    let answered = async |neighbours: &BTreeSet<Ipv4Addr>| {
        tokio::join!(
            answered(&here, std::slice::from_ref(&here), own, neighbours),
            answered(&here, &heard_at, mac, neighbours),
        )
    };
    let routers = routers(host, link).await;
    let told = answered(&routers).await;
    tracing::debug!(interface = link.name, ?routers, %own, own_by = ?told.0, %mac, by = ?told.1, "ARP probes answered");
    let passes = match told {
        (Some(neighbour), None) => return Some(Foreign::Dropped { own, neighbour }),
        (_, of_other) => of_other.is_some(),
    };
    let patience = if routers.is_empty() { patience } else { OFFER_PATIENCE.min(patience) };
    let Offer { server, router, .. } = first_offer(&here, own, patience).await?;
    if passes {
        return Some(Foreign::Unserved { own, server });
    }
    Some(match answered(&[server].into_iter().chain(router).collect()).await {
        (_, Some(_)) => Foreign::Unserved { own, server },
        (Some(neighbour), None) => Foreign::Dropped { own, neighbour },
        (None, None) => Foreign::Unclear { own, server },
    })
}

/// Those by which the host itself reaches others through that link.
async fn routers(host: &Netlink, link: &Link) -> BTreeSet<Ipv4Addr> {
    let routes = host.routes_v4().await.unwrap_or_default().into_iter();
    routes
        .filter(|route| route.ifindex == Some(link.index))
        .filter_map(|route| route.gateway)
        .collect()
}

/// As another client than the host itself, whose lease that MAC may have.
async fn first_offer(socket: &PacketSocket, own: MacAddr, patience: Duration) -> Option<Offer> {
    let client_id = [&[OPAQUE], &b"landfall"[..], &own.0].concat();
    let offers = offers(socket, (own, Some(&client_id)), 1, patience).await;
    offers.ok()?.into_iter().next()
}

/// The first of the neighbours that answers an ARP probe of that MAC.
async fn answered(
    socket: &PacketSocket,
    heard_at: &[PacketSocket],
    mac: MacAddr,
    neighbours: &BTreeSet<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    if neighbours.is_empty() {
        return None;
    }
    let answers = heard_at.iter().map(|heard_at| Box::pin(answer(heard_at, mac, neighbours)));
    let mut answers = select_ok(answers.collect::<Vec<_>>());
    for _ in 0..2 {
        for neighbour in neighbours {
            // What does not go out has no answer.
            let _ = socket.send(&Arp::probe(mac, *neighbour).emit(MacAddr::BROADCAST));
        }
        if let Ok(answer) = tokio::time::timeout(ARP_PATIENCE / 2, &mut answers).await {
            return answer.ok().map(|(neighbour, _)| neighbour);
        }
    }
    None
}

async fn answer(
    socket: &PacketSocket,
    mac: MacAddr,
    neighbours: &BTreeSet<Ipv4Addr>,
) -> net::Result<Ipv4Addr> {
    let mut buffer = [0; 2048];
    loop {
        let received = socket.recv(&mut buffer).await?;
        let Some(bytes) = buffer.get(..received.len) else { continue };
        if let Ok(Frame { payload: Payload::Arp(arp), .. }) = Frame::parse(bytes, received.checksum)
            && arp.operation == Operation::Reply
            && arp.target_mac == mac
            && neighbours.contains(&arp.sender_ip)
        {
            return Ok(arp.sender_ip);
        }
    }
}
