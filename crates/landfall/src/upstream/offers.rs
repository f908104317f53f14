//! One DHCPDISCOVER on a link, and who answers. No REQUEST follows, so no lease comes of it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use net::{Filter, PacketSocket, Sees};
use wire::MacAddr;
use wire::dhcp4::{Message, MessageType, Op, Options, code, port};
use wire::frame::{Frame, Payload, udp4};

/// A server's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The server (option 54), or who sent the offer if it does not say.
    pub(crate) server: Ipv4Addr,
    /// The Ethernet source: the server, or the relay or router on the way from it.
    pub(crate) mac: MacAddr,
    pub(crate) address: Ipv4Addr,
    /// Length of the subnet's prefix.
    pub(crate) prefix: Option<u8>,
    pub(crate) router: Option<Ipv4Addr>,
    /// In seconds; 0xffffffff for ever.
    pub(crate) lease: Option<u32>,
}

/// Sends a DISCOVER from `mac` and collects offers, each server's first, until there are `most` or `wait` is over. Who has
/// another lease by that MAC says by `client_id` that it is another client (option 61); none: known by its MAC alone.
pub(crate) async fn offers(
    socket: &PacketSocket,
    (mac, client_id): (MacAddr, Option<&[u8]>),
    most: usize,
    wait: Duration,
) -> net::Result<Vec<Offer>> {
    let mut xid = [0; 4];
    // Without randomness in the kernel (none in practice) zeros do.
    let _ = getrandom::fill(&mut xid);
    let xid = u32::from_be_bytes(xid);
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port::CLIENT);
    let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, port::SERVER);
    socket.send(&udp4(mac, MacAddr::BROADCAST, from, to, &discover(xid, mac, client_id).emit()))?;
    let mut offers: Vec<Offer> = Vec::new();
    let listen = async {
        let mut buffer = vec![0; 2048];
        while offers.len() < most {
            let received = socket.recv(&mut buffer).await?;
            let bytes = buffer.get(..received.len).unwrap_or_default();
            let offer = Frame::parse(bytes, received.checksum)
                .ok()
                .and_then(|frame| offer(&frame, xid, mac));
            let Some(offer) = offer else { continue };
            let same = |known: &Offer| (known.server, known.mac) == (offer.server, offer.mac);
            if !offers.iter().any(same) {
                offers.push(offer);
            }
        }
        Ok(())
    };
    match tokio::time::timeout(wait, listen).await {
        Ok(listened) => listened.map(|()| offers),
        Err(_) => Ok(offers),
    }
}

/// Whether a server answers what is asked on the bridge device itself: what the host sends there is not forwarded, so a firewall
/// for forwarded frames does not see it. An answer means that the LAN is fine.
pub(crate) async fn past_firewall(bridge: u32, mac: MacAddr, wait: Duration) -> net::Result<bool> {
    let socket = PacketSocket::open(bridge, &Filter::dhcp4_replies(), Sees::Incoming)?;
    Ok(!offers(&socket, (mac, None), 1, wait).await?.is_empty())
}

fn discover(xid: u32, mac: MacAddr, client_id: Option<&[u8]>) -> Message {
    let wanted = [code::SUBNET_MASK, code::ROUTER, code::LEASE_TIME, code::SERVER_ID];
    let mut options = Options::default();
    options.set(code::MESSAGE_TYPE, &[MessageType::Discover as u8]);
    options.set(code::PARAMETER_REQUEST_LIST, &wanted);
    if let Some(id) = client_id {
        options.set(code::CLIENT_ID, id);
    }
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

/// An offer for tests.
#[cfg(test)]
pub(crate) fn sample() -> Offer {
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
