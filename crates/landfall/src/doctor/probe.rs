//! One DHCPDISCOVER on a bridge, through a port like the daemon's, and who answers; what is asked of IPv6 at the
//! same time is in `probe6`.
//!
//! No REQUEST follows, so no lease comes of it. The port's inner end stands in a namespace without
//! a name: when this process ends, however it does, the kernel removes both.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use net::{BridgePort, Filter, Link, LinkWatch, Netlink, Netns, PacketSocket, Peer, PortState};
use net::{Sees, Veth};
use wire::MacAddr;
use wire::dhcp4::{Message, MessageType, Op, Options, code, port};
use wire::frame::{Frame, Payload, udp4};

use super::probe6::{self, Heard6};

/// How long the kernel may take to put a new port into operation, without spanning tree.
const OPENING: Duration = Duration::from_secs(2);

/// More servers than a LAN has.
const MOST_OFFERS: usize = 16;

/// A server's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// The server (option 54), or who sent the offer if it does not say.
    pub(super) server: Ipv4Addr,
    /// The Ethernet source: the server, or the relay or router on the way from it.
    pub(super) mac: MacAddr,
    pub(super) address: Ipv4Addr,
    /// Length of the subnet's prefix.
    pub(super) prefix: Option<u8>,
    pub(super) router: Option<Ipv4Addr>,
    /// In seconds; 0xffffffff for ever.
    pub(super) lease: Option<u32>,
}

/// What came back on a bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// The offers, each server's first.
    pub(super) offers: Vec<Offer>,
    /// The port's state, if it was not forwarding when the question went out.
    pub(super) held_back: Option<PortState>,
    /// The same was asked past the host's firewall, and answered or not.
    pub(super) past_firewall: Option<bool>,
    /// What routers and DHCPv6 servers said meanwhile.
    pub(super) ipv6: Heard6,
}

/// Asks on a bridge and listens for `wait`; without `ipv4` for no DHCPv4 server. With `firewall` and in case of silence,
/// asks again on the bridge device itself: what the host sends there, its firewall for forwarded frames does not see.
///
/// # Errors
/// When the kernel refuses the port.
pub(super) async fn ask(
    host: &Netlink,
    bridge: &Link,
    wait: Duration,
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
    if heard.offers.is_empty() && ipv4 && firewall {
        let socket = PacketSocket::open(bridge.index, &Filter::dhcp4_replies(), Sees::Incoming)?;
        heard.past_firewall = Some(!exchange(&socket, mac, wait).await?.is_empty());
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
    let offers = async { if ipv4 { exchange(&socket, mac, wait).await } else { Ok(Vec::new()) } };
    let (offers, ipv6) = tokio::try_join!(offers, ipv6)?;
    Ok(Heard { offers, held_back, past_firewall: None, ipv6 })
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

/// Sends a DISCOVER and collects offers for as long as `wait`.
async fn exchange(socket: &PacketSocket, mac: MacAddr, wait: Duration) -> net::Result<Vec<Offer>> {
    let xid = u32::from_be_bytes(random());
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port::CLIENT);
    let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, port::SERVER);
    socket.send(&udp4(mac, MacAddr::BROADCAST, from, to, &discover(xid, mac).emit()))?;
    let mut offers: Vec<Offer> = Vec::new();
    let listen = async {
        let mut buffer = vec![0; 2048];
        loop {
            let received = socket.recv(&mut buffer).await?;
            let bytes = buffer.get(..received.len).unwrap_or_default();
            let offer = Frame::parse(bytes, received.checksum)
                .ok()
                .and_then(|frame| offer(&frame, xid, mac));
            let Some(offer) = offer else { continue };
            let same = |known: &Offer| (known.server, known.mac) == (offer.server, offer.mac);
            if !offers.iter().any(same) && offers.len() < MOST_OFFERS {
                offers.push(offer);
            }
        }
    };
    match tokio::time::timeout(wait, listen).await {
        Ok(failed) => failed,
        Err(_) => Ok(offers),
    }
}

fn discover(xid: u32, mac: MacAddr) -> Message {
    let wanted = [code::SUBNET_MASK, code::ROUTER, code::LEASE_TIME, code::SERVER_ID];
    let mut options = Options::default();
    options.set(code::MESSAGE_TYPE, &[MessageType::Discover as u8]);
    options.set(code::PARAMETER_REQUEST_LIST, &wanted);
    Message { broadcast: true, ..Message::new(Op::BootRequest, xid, mac, options) }
}

/// The offer in a frame, if it answers the question.
fn offer(frame: &Frame<'_>, xid: u32, mac: MacAddr) -> Option<Offer> {
    let Payload::Udp4(datagram) = &frame.payload else { return None };
    let message = Message::parse(datagram.payload).ok()?;
    let ours = (message.op, message.xid, message.chaddr) == (Op::BootReply, xid, mac);
    if !ours || message.message_type() != Some(MessageType::Offer) {
        return None;
    }
    Some(Offer {
        server: message.options.server_id().unwrap_or(*datagram.source.ip()),
        mac: frame.source,
        address: message.yiaddr,
        prefix: message.options.prefix_len(),
        router: message.options.routers().first().copied(),
        lease: message.options.lease_time(),
    })
}

/// Bytes that nobody else has. Without randomness in the kernel (none in practice) zeros do.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}

/// An offer for tests.
#[cfg(test)]
pub(super) fn sample() -> Offer {
    Offer {
        server: [10, 77, 0, 1].into(),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        address: [10, 77, 1, 5].into(),
        prefix: Some(16),
        router: Some([10, 77, 0, 1].into()),
        lease: Some(3600),
    }
}

#[cfg(test)]
mod tests {
    use wire::frame::Checksum;

    use super::*;

    const CLIENT: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const SERVER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    fn reply(change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut options = Options::default();
        options.set(code::MESSAGE_TYPE, &[MessageType::Offer as u8]);
        options.set(code::SUBNET_MASK, &[255, 255, 255, 0]);
        options.set(code::LEASE_TIME, &3600_u32.to_be_bytes());
        let mut message = Message::new(Op::BootReply, 7, CLIENT, options);
        message.yiaddr = Ipv4Addr::new(192, 0, 2, 20);
        change(&mut message);
        let from = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), port::SERVER);
        let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, port::CLIENT);
        udp4(SERVER, MacAddr::BROADCAST, from, to, &message.emit())
    }

    fn read(bytes: &[u8]) -> Option<Offer> {
        offer(&Frame::parse(bytes, Checksum::Verify).unwrap(), 7, CLIENT)
    }

    #[test]
    fn an_offer_is_read_whole() {
        let wanted = Offer {
            server: Ipv4Addr::new(192, 0, 2, 1),
            mac: SERVER,
            address: Ipv4Addr::new(192, 0, 2, 20),
            prefix: Some(24),
            router: None,
            lease: Some(3600),
        };
        assert_eq!(read(&reply(|_| {})), Some(wanted.clone()));
        let router = Ipv4Addr::new(192, 0, 2, 254);
        let told = reply(|message| {
            message.options.set(code::SERVER_ID, &[10, 0, 0, 1]);
            message.options.set(code::ROUTER, &router.octets());
        });
        let told_wanted =
            Offer { server: Ipv4Addr::new(10, 0, 0, 1), router: Some(router), ..wanted };
        assert_eq!(read(&told), Some(told_wanted));
    }

    #[test]
    fn what_answers_another_question_is_no_offer() {
        assert_eq!(read(&reply(|message| message.xid = 8)), None);
        assert_eq!(read(&reply(|message| message.chaddr = SERVER)), None);
        assert_eq!(read(&reply(|message| message.op = Op::BootRequest)), None);
        let ack = [MessageType::Ack as u8];
        assert_eq!(read(&reply(|message| message.options.set(code::MESSAGE_TYPE, &ack))), None);
    }
}
