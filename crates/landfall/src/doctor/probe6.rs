//! One router solicitation and one DHCPv6 Solicit on a bridge, and who answers. No Request follows, so no lease
//! comes of it.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use ipnet::Ipv6Net;
use net::PacketSocket;
use wire::MacAddr;
use wire::dhcp6::{Builder, Duid, Ia, Message, MessageType, SERVERS, StatusCode, code, port};
use wire::frame::{Frame, Payload, udp6};
use wire::nd::{self, Nd, NdOption, NeighbourAdvertisement};

/// More routers and servers than a LAN has.
const MOST: usize = 16;

/// A router that advertises itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Router {
    /// Its link-local address.
    pub(super) address: Ipv6Addr,
    pub(super) mac: MacAddr,
    /// Seconds for which it is a default router; 0: it is none.
    pub(super) lifetime: u16,
    /// M: addresses are leased by DHCPv6.
    pub(super) managed: bool,
    /// O: DHCPv6 has the rest.
    pub(super) other: bool,
    /// Its prefixes, and whether hosts make addresses of each (A).
    pub(super) prefixes: Vec<(Ipv6Net, bool)>,
}

/// A DHCPv6 server's Advertise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its DUID, in hexadecimal.
    pub(super) duid: String,
    pub(super) mac: MacAddr,
    /// What it offers; else why it offers nothing.
    pub(super) offer: Result<Ipv6Addr, StatusCode>,
}

/// What came back on a bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heard6 {
    /// The routers, each once, with what it said first.
    pub(super) routers: Vec<Router>,
    /// The servers, each once.
    pub(super) servers: Vec<Server>,
}

/// Asks both and listens for as long as `wait`. The socket hears what [`net::Filter::ipv6_control`] lets through.
pub(super) async fn exchange(
    socket: &PacketSocket,
    mac: MacAddr,
    xid: u32,
    wait: Duration,
) -> net::Result<Heard6> {
    let own = link_local(mac);
    // With our MAC in it, so that nobody must ask for it before an answer.
    let here = [NdOption::SourceMac(mac)];
    socket.send(&nd::emit(mac, own, nd::ALL_ROUTERS, &nd::Message::RouterSolicitation, &here))?;
    let (from, to) = (socket_address(own, port::CLIENT), socket_address(SERVERS, port::SERVER));
    socket.send(&udp6(mac, MacAddr::of_group(SERVERS), from, to, &solicit(xid, mac)))?;
    let mut heard = Heard6::default();
    let listen = async {
        let mut buffer = vec![0; 2048];
        loop {
            let received = socket.recv(&mut buffer).await?;
            let bytes = buffer.get(..received.len).unwrap_or_default();
            let Ok(frame) = Frame::parse(bytes, received.checksum) else { continue };
            if let Some(answer) = heard.take(&frame, (mac, own), xid) {
                socket.send(&answer)?;
            }
        }
    };
    match tokio::time::timeout(wait, listen).await {
        Ok(failed) => failed,
        Err(_) => Ok(heard),
    }
}

impl Heard6 {
    /// Takes what a frame says; what is to be answered, if it asks for us.
    fn take(
        &mut self,
        frame: &Frame<'_>,
        (mac, own): (MacAddr, Ipv6Addr),
        xid: u32,
    ) -> Option<Vec<u8>> {
        match &frame.payload {
            Payload::Nd(Nd {
                source,
                message: nd::Message::NeighbourSolicitation { target },
                ..
            }) if *target == own && !source.is_unspecified() => {
                let advertisement = nd::Message::NeighbourAdvertisement(NeighbourAdvertisement {
                    target: own,
                    router: false,
                    solicited: true,
                    replaces: true,
                });
                let here = [NdOption::TargetMac(mac)];
                let macs = (mac, frame.source);
                return Some(nd::emit_to(macs, (own, *source), &advertisement, &here));
            }
            Payload::Nd(nd) => {
                let known = self.routers.iter().any(|router| router.address == nd.source);
                let router = router(frame.source, nd).filter(|_| !known);
                self.routers.extend(router.filter(|_| self.routers.len() < MOST));
            }
            Payload::Udp6(datagram) if frame.destination == mac => {
                let server = server(frame.source, datagram.payload, xid);
                let is_new = |new: &Server| self.servers.iter().all(|old| old.duid != new.duid);
                let server = server.filter(|new| self.servers.len() < MOST && is_new(new));
                self.servers.extend(server);
            }
            Payload::Udp6(_) | Payload::Udp4(_) | Payload::Arp(_) => {}
        }
        None
    }
}

fn router(mac: MacAddr, nd: &Nd<'_>) -> Option<Router> {
    let nd::Message::RouterAdvertisement(said) = nd.message else { return None };
    let prefix = |option| match option {
        NdOption::Prefix(said) => {
            let prefix = Ipv6Net::new(said.prefix, said.length).ok()?.trunc();
            Some((prefix, said.autonomous && said.valid > 0))
        }
        _ => None,
    };
    Some(Router {
        address: nd.source,
        mac,
        lifetime: said.lifetime,
        managed: said.managed,
        other: said.other,
        prefixes: nd.options.iter().filter_map(prefix).take(MOST).collect(),
    })
}

fn server(mac: MacAddr, payload: &[u8], xid: u32) -> Option<Server> {
    let message = Message::parse(payload).ok()?;
    if (message.kind, message.xid) != (MessageType::Advertise, xid) {
        return None;
    }
    let duid = Duid::new(message.options.server_id()?)?.to_string();
    let associations = message.options.ia_na();
    let address = associations.clone().flat_map(|ia| ia.options.addresses()).next();
    let status = || {
        let within = associations.clone().map(|ia| ia.options.status().code);
        let all = within.chain([message.options.status().code]);
        all.into_iter().find(|code| *code != StatusCode::Success)
    };
    let offer = address.map(|leased| leased.address);
    let offer = offer.ok_or_else(|| status().unwrap_or(StatusCode::NoAddrsAvail));
    Some(Server { duid, mac, offer })
}

fn solicit(xid: u32, mac: MacAddr) -> Vec<u8> {
    Builder::new(MessageType::Solicit, xid)
        .option(code::CLIENT_ID, &Duid::link_layer(mac))
        .option(code::ELAPSED_TIME, &[0; 2])
        .option(code::IA_NA, &Ia::header(1, 0, 0))
        .finish()
}

/// The link-local address that a MAC makes.
fn link_local(mac: MacAddr) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(mac.eui64()))
}

fn socket_address(address: Ipv6Addr, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(address, port, 0, 0)
}
