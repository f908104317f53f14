//! A client on the bench: virtual time, what it sent, and a server that answers it.

use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{Client, Config, Event, Mode, State};
use wire::MacAddr;
use wire::dhcp6::{Builder, Ia, IaAddress, IaPrefix, Message, MessageType, SERVERS, code, port};
use wire::frame::{Checksum, Frame, Payload, udp6};
use wire::nd::{Message as NdMessage, NdOption};

use super::lan::{Advertisement, LINK_LOCAL, MAC};

/// What a server leases.
pub(crate) const LEASED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x50);
pub(crate) const DELEGATED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0);
pub(crate) const SERVER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const SERVER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub(crate) const SERVER_DUID: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 2];
pub(crate) const DNS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x53);
/// Lifetimes of what is leased.
pub(crate) const PREFERRED: u32 = 3600;
pub(crate) const VALID: u32 = 7200;

/// A frame the client sent, read back.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) to_mac: MacAddr,
    pub(crate) from: Ipv6Addr,
    pub(crate) to: Ipv6Addr,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Nd(NdMessage, Vec<NdOption>),
    Dhcp(Vec<u8>),
    Report,
}

pub(crate) struct Bench {
    pub(crate) client: Client,
    /// The only one that may be on the wire.
    pub(crate) mac: MacAddr,
    pub(crate) now: Instant,
    pub(crate) sent: VecDeque<Sent>,
    pub(crate) events: VecDeque<Event>,
}

/// So many seconds on the bench's clock.
pub(crate) fn at(seconds: f64) -> Instant {
    Instant::from_boot(Duration::from_secs_f64(1000.0 + seconds))
}

pub(crate) fn mode(mode: Mode) -> Config {
    Config { mode, ..Config::new(MAC) }
}

impl Bench {
    /// A client in [`Mode::Auto`] that was just started.
    pub(crate) fn started() -> Bench {
        Bench::with(Config::new(MAC))
    }

    /// A client that was just started.
    pub(crate) fn with(config: Config) -> Bench {
        let mut bench = Bench::of(Client::new(config, 1));
        bench.run(|client, now| client.start(now));
        bench
    }

    pub(crate) fn of(client: Client) -> Bench {
        let (sent, events) = (VecDeque::new(), VecDeque::new());
        let mut bench = Bench { client, mac: MAC, now: at(0.0), sent, events };
        bench.drain();
        bench
    }

    /// A client that has an address of a router's prefix since second 0.
    pub(crate) fn addressed(advertisement: &Advertisement) -> Bench {
        let mut bench = Bench::started();
        bench.hear(&advertisement.frame());
        bench.ready();
        bench.sent.clear();
        bench
    }

    /// Gives a command or an input and drains the outputs, as the contract says.
    pub(crate) fn run(&mut self, act: impl FnOnce(&mut Client, Instant)) {
        act(&mut self.client, self.now);
        self.drain();
    }

    /// Lets time pass up to `seconds`, with a `handle_timeout` at each deadline.
    pub(crate) fn until(&mut self, seconds: f64) {
        let end = at(seconds);
        assert!(end >= self.now, "the bench's clock is at {:?} already", self.now);
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.run(Client::handle_timeout);
            assert!(self.client.poll_timeout().is_none_or(|next| next > self.now), "busy");
        }
        self.now = end;
    }

    pub(crate) fn hear(&mut self, frame: &[u8]) {
        let frame = Frame::parse(frame, Checksum::Verify).expect("the bench sends whole frames");
        self.client.handle_frame(&frame, self.now);
        self.drain();
    }

    pub(crate) fn advertise(&mut self, advertisement: &Advertisement) {
        self.hear(&advertisement.frame());
    }

    fn drain(&mut self) {
        while let Some(bytes) = self.client.poll_transmit() {
            self.sent.push_back(read(self.now, self.mac, &bytes));
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push_back(event);
        }
    }

    pub(crate) fn event(&mut self) -> Event {
        self.events.pop_front().expect("something happened")
    }

    /// The only event is that the first answer stands.
    pub(crate) fn ready(&mut self) {
        assert_eq!(self.event(), Event::Ready);
        self.quiet();
    }

    /// The only event is that the configuration is another.
    pub(crate) fn changed(&mut self) {
        assert!(matches!(self.event(), Event::Changed { .. }));
        self.quiet();
    }

    /// Nothing has happened.
    pub(crate) fn quiet(&mut self) {
        assert_eq!(self.events, []);
    }

    pub(crate) fn state(&self, state: State) {
        assert_eq!(self.client.state(), state);
    }

    /// The addresses of the container.
    pub(crate) fn addresses(&self) -> Vec<Ipv6Addr> {
        self.client.configuration().addresses.iter().map(|address| address.address).collect()
    }

    /// The next DHCPv6 message sent, which must be of this kind.
    pub(crate) fn asked(&mut self, kind: MessageType) -> Vec<u8> {
        self.try_asked(kind).unwrap_or_else(|| panic!("no {kind:?} was sent"))
    }

    pub(crate) fn try_asked(&mut self, kind: MessageType) -> Option<Vec<u8>> {
        while let Some(sent) = self.sent.pop_front() {
            if let What::Dhcp(payload) = sent.what {
                assert_eq!((sent.from, sent.to), (LINK_LOCAL, SERVERS));
                assert_eq!(sent.to_mac, MacAddr::of_group(SERVERS));
                assert_eq!(Message::parse(&payload).unwrap().kind, kind);
                return Some(payload);
            }
        }
        None
    }

    /// Neighbour discovery that was sent since, with its time; the rest is dropped.
    pub(crate) fn nd(&mut self) -> Vec<Sent> {
        self.sent.drain(..).filter(|sent| matches!(sent.what, What::Nd(..))).collect()
    }

    /// Answers the Solicit, the Request and what else asks for [`LEASED`].
    pub(crate) fn lease(&mut self) {
        let mut solicit = self.asked(MessageType::Solicit);
        while let Some(again) = self.try_asked(MessageType::Solicit) {
            solicit = again;
        }
        self.reply(MessageType::Advertise, &solicit);
        let request = self.asked(MessageType::Request);
        self.reply(MessageType::Reply, &request);
    }

    /// A server's answer to `question`, granting what it asks for.
    pub(crate) fn reply(&mut self, kind: MessageType, question: &[u8]) {
        self.reply_with(kind, question, (LEASED, PREFERRED, VALID));
    }

    pub(crate) fn reply_with(
        &mut self,
        kind: MessageType,
        question: &[u8],
        (address, preferred, valid): (Ipv6Addr, u32, u32),
    ) {
        let question = Message::parse(question).unwrap();
        let mut message = Builder::new(kind, question.xid)
            .option(code::CLIENT_ID, question.options.client_id().unwrap())
            .option(code::SERVER_ID, &SERVER_DUID);
        if let Some(ia) = question.options.ia_na().next() {
            let header = Ia::header(ia.iaid, 0, 0);
            message = message.nest(code::IA_NA, &header, |inner| {
                inner.option(code::IA_ADDRESS, &IaAddress::header(address, preferred, valid))
            });
        }
        if let Some(ia) = question.options.ia_pd().next() {
            let header = Ia::header(ia.iaid, 0, 0);
            message = message.nest(code::IA_PD, &header, |inner| {
                inner.option(code::IA_PREFIX, &IaPrefix::header(DELEGATED, 56, preferred, valid))
            });
        }
        self.answer(&message.option(code::DNS_SERVERS, &DNS.octets()).finish());
    }

    pub(crate) fn answer(&mut self, payload: &[u8]) {
        let from = SocketAddrV6::new(SERVER, port::SERVER, 0, 0);
        let to = SocketAddrV6::new(LINK_LOCAL, port::CLIENT, 0, 0);
        self.hear(&udp6(SERVER_MAC, MAC, from, to, payload));
    }
}

/// Reads a frame that a client has sent, whose MAC on the wire is `mac`.
pub(crate) fn read(at: Instant, mac: MacAddr, bytes: &[u8]) -> Sent {
    const ROUTER_ALERT: u8 = 0;
    if bytes.get(12..14) == Some(&[0x86, 0xdd]) && bytes.get(20) == Some(&ROUTER_ALERT) {
        assert_eq!((bytes[21], bytes[62]), (1, 143), "a report to multicast routers");
        let address = |at: usize| {
            let octets: [u8; 16] = bytes[at..at + 16].try_into().unwrap();
            Ipv6Addr::from(octets)
        };
        let to_mac = MacAddr(bytes[..6].try_into().unwrap());
        assert_eq!(bytes[6..12], mac.0);
        return Sent { at, to_mac, from: address(22), to: address(38), what: What::Report };
    }
    let frame = Frame::parse(bytes, Checksum::Verify).expect("frames are whole");
    assert_eq!(frame.source, mac, "the Ethernet source is the client's MAC");
    let to_mac = frame.destination;
    match frame.payload {
        Payload::Nd(nd) => Sent {
            at,
            to_mac,
            from: nd.source,
            to: nd.destination,
            what: What::Nd(nd.message, nd.options.iter().collect()),
        },
        Payload::Udp6(datagram) => {
            assert_eq!((datagram.source.port(), datagram.destination.port()), (546, 547));
            Sent {
                at,
                to_mac,
                from: *datagram.source.ip(),
                to: *datagram.destination.ip(),
                what: What::Dhcp(datagram.payload.to_vec()),
            }
        }
        Payload::Arp(_) | Payload::Udp4(_) => panic!("IPv4 of an IPv6 client"),
    }
}
