//! One DHCPDISCOVER on a bridge, through a port like the daemon's, and who answers; what is asked of IPv6 at the
//! same time is in `probe6`.
//!
//! No REQUEST follows, so no lease comes of it. The port's inner end stands in a namespace without
//! a name: when this process ends, however it does, the kernel removes both.

use std::time::Duration;

use net::{BridgePort, Filter, Link, LinkWatch, Netlink, Netns, PacketSocket, Peer, PortState};
use net::{Sees, Veth};
use wire::MacAddr;

use super::probe6::{self, Heard6};
use crate::upstream::{self, Foreign, Offer, offers};

/// How long the kernel may take to put a new port into operation, without spanning tree.
const OPENING: Duration = Duration::from_secs(2);

/// More servers than a LAN has.
const MOST_OFFERS: usize = 16;

/// What came back on a bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// The offers, each server's first.
    pub(super) offers: Vec<Offer>,
    /// The port's state, if it was not forwarding when the question went out.
    pub(super) held_back: Option<PortState>,
    /// The same was asked past the host's firewall, and answered or not.
    pub(super) past_firewall: Option<bool>,
    /// The same was asked in the bridge's own name, and answered.
    pub(super) foreign: Option<Foreign>,
    /// What routers and DHCPv6 servers said meanwhile.
    pub(super) ipv6: Heard6,
}

/// Asks on a bridge and listens for `wait`; without `ipv4` for no DHCPv4 server. In case of silence asks again on the bridge
/// device itself: with `firewall` the same, as its firewall for forwarded frames does not see what the host sends there; and
/// in the bridge's own name. `ports`: those of the bridge.
///
/// # Errors
/// When the kernel refuses the port.
pub(super) async fn ask(
    host: &Netlink,
    bridge: &Link,
    wait: Duration,
    ports: &[u32],
    (ipv4, firewall): (bool, bool),
) -> net::Result<Heard> {
    let [a, b, c, d, e] = random();
    let mac = MacAddr([0x02, a, b, c, d, e]);
    let home = Netns::create()?;
    // A port that sends a few multicast packets of its own is no reason not to ask.
    let _ = net::sysctl::disable_ipv6_of_new_links(&home);
    let (outer, inner) = host.create_veth(&veth(bridge, &home)).await?;
    let heard = through_port(host, bridge, &home, (outer, inner), (mac, ipv4), wait).await;
    // At once, rather than with the namespace a little later.
    let removed = host.delete_link(outer).await;
    let mut heard = heard?;
    removed?;
    if heard.offers.is_empty() && ipv4 {
        if firewall {
            let answered = upstream::past_firewall(bridge.index, mac, wait).await?;
            heard.past_firewall = Some(answered);
        }
        if heard.past_firewall != Some(true) {
            heard.foreign = upstream::judge(host, bridge, ports, mac, wait).await;
        }
    }
    Ok(heard)
}

/// Nobody learns anything of this pair, and its name tells the daemon that it leads nowhere.
fn veth(bridge: &Link, home: &Netns) -> Veth {
    let [a, b, c, d, e] = random();
    let name = format!("lfp-{a:02x}{b:02x}{c:02x}{d:02x}");
    Veth {
        name: name.clone(),
        mac: MacAddr([0xfe, a, b, c, d, e]),
        mtu: bridge.mtu,
        master: Some(bridge.index),
        up: true,
        peer: Peer {
            name,
            mac: None,
            mtu: Some(bridge.mtu),
            netns: Some(home.clone()),
            up: true,
            arp: false,
        },
    }
}

async fn through_port(
    host: &Netlink,
    bridge: &Link,
    home: &Netns,
    (outer, inner): (u32, u32),
    (mac, ipv4): (MacAddr, bool),
    wait: Duration,
) -> net::Result<Heard> {
    // With snooping, neighbours' questions go to those who listen to all multicast.
    let multicast_router = Some(2);
    let settings = BridgePort { learning: Some(false), multicast_router, ..BridgePort::default() };
    host.set_bridge_port(outer, settings).await?;
    let socket = PacketSocket::open_in(home, inner, &Filter::dhcp4_replies(), Sees::Incoming)?;
    let patience = OPENING + super::bridge::settling(bridge);
    let forwarding = wait_until_forwarding(host, home, outer, inner);
    let held_back = match tokio::time::timeout(patience, forwarding).await {
        Ok(done) => done.map(|()| None)?,
        Err(_) => host.link_by_index(outer).await?.and_then(|link| link.port_state),
    };
    let control = PacketSocket::open_in(home, inner, &Filter::ipv6_control(), Sees::Incoming)?;
    let xid = u32::from_be_bytes(random()) & 0xff_ffff;
    let ipv6 = probe6::exchange(&control, mac, xid, wait);
    let offers = async {
        match ipv4 {
            true => offers(&socket, (mac, None), MOST_OFFERS, wait).await,
            false => Ok(Vec::new()),
        }
    };
    let (offers, ipv6) = tokio::try_join!(offers, ipv6)?;
    Ok(Heard { offers, held_back, ipv6, ..Heard::default() })
}

/// What is sent before both ends are in operation, the kernel drops.
async fn wait_until_forwarding(
    host: &Netlink,
    home: &Netns,
    outer: u32,
    inner: u32,
) -> net::Result<()> {
    // Before the first look, so that no change is missed.
    let (mut here, mut at_home) = (LinkWatch::here()?, LinkWatch::in_netns(home)?);
    let inside = Netlink::in_netns(home)?;
    loop {
        let (out, inn) = (host.link_by_index(outer).await?, inside.link_by_index(inner).await?);
        let forwards = out.is_some_and(|link| link.port_state == Some(PortState::Forwarding));
        if forwards && inn.is_some_and(|link| link.operational) {
            return Ok(());
        }
        tokio::select! {
            change = here.next() => change?,
            change = at_home.next() => change?,
        };
    }
}

/// Bytes that nobody else has. Without randomness in the kernel (none in practice) zeros do.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}
