//! A client on the bench: virtual time, what it sent, and answers made from what it asked.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use dhcp::v4::{Client, Config, ConflictCheck, Event, State};
use dhcp::{Classes, Instant};
use wire::MacAddr;
use wire::arp::{Arp, Operation};
use wire::dhcp4::{Message, MessageType, Op, code, port};
use wire::frame::{Checksum, Frame, Payload, udp4};

pub(crate) const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x42]);
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 50);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(crate) const SERVER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const ROUTER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// Another machine on the LAN.
pub(crate) const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x99]);
/// Another address that a server may give.
pub(crate) const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 51);
/// What the servers here grant unless a test says otherwise.
pub(crate) const LEASE: u32 = 7200;

/// A frame the client sent, read back.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) to_mac: MacAddr,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Arp(Arp),
    Dhcp { from: SocketAddrV4, to: SocketAddrV4, message: Message },
}

/// A DHCP message the client sent, with the way it went.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    pub(crate) to_mac: MacAddr,
    pub(crate) from: Ipv4Addr,
    pub(crate) to: Ipv4Addr,
    pub(crate) message: Message,
}

pub(crate) struct Bench {
    pub(crate) client: Client,
    /// The only one that may be on the wire.
    pub(crate) mac: MacAddr,
    pub(crate) now: Instant,
    sent: VecDeque<Sent>,
    events: VecDeque<Event>,
}

/// A client that is known by [`MAC`], for tests of the DHCP exchange alone: it checks no address.
pub(crate) fn plain() -> Config {
    Config { conflict_check: ConflictCheck::Off, ..Config::new(MAC) }
}

/// The same, with a check of the address.
pub(crate) fn checking(conflict_check: ConflictCheck) -> Config {
    Config { conflict_check, ..Config::new(MAC) }
}

/// A vendor class and a user class.
pub(crate) fn classes(vendor: &str, user: &str) -> Arc<Classes> {
    Arc::new(Classes { vendor: vendor.into(), user: user.into() })
}

/// What [`OTHER`] answers to a probe for [`ADDRESS`].
pub(crate) fn occupied() -> Arp {
    Arp::probe(MAC, ADDRESS).reply_to(OTHER)
}

/// A client with this check that was started, its DISCOVER not looked at yet.
pub(crate) fn started(conflict_check: ConflictCheck) -> Bench {
    let mut bench = Bench::with(checking(conflict_check));
    bench.run(|client, now| client.start(now));
    bench
}

/// So many seconds on the bench's clock.
pub(crate) fn at(seconds: f64) -> Instant {
    Instant::from_boot(Duration::from_secs_f64(1000.0 + seconds))
}

impl Bench {
    /// A [`plain`] client, stopped.
    pub(crate) fn new() -> Bench {
        Bench::with(plain())
    }

    pub(crate) fn with(config: Config) -> Bench {
        Bench::of(Client::new(config, 1))
    }

    pub(crate) fn of(client: Client) -> Bench {
        Bench::at(client, at(0.0))
    }

    /// A client that was made at `now`.
    pub(crate) fn at(client: Client, now: Instant) -> Bench {
        let (sent, events) = (VecDeque::new(), VecDeque::new());
        let mut bench = Bench { client, mac: MAC, now, sent, events };
        bench.drain();
        bench
    }

    /// A client in BOUND since second 0, with a lease of [`LEASE`] seconds from [`SERVER`].
    pub(crate) fn bound() -> Bench {
        Bench::bound_by(|ack| ack)
    }

    /// The same with an OFFER and an ACK that `edit` has changed.
    pub(crate) fn bound_by(edit: impl Fn(Answer) -> Answer) -> Bench {
        let mut bench = Bench::new();
        bench.bind(edit);
        bench
    }

    pub(crate) fn bind(&mut self, edit: impl Fn(Answer) -> Answer) {
        self.run(|client, now| client.start(now));
        let discover = self.discover();
        self.answer(edit(offer(&discover)));
        let request = self.request();
        self.answer(edit(ack(&request)));
        assert_eq!(self.event(), Event::Bound);
        self.silent();
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

    /// Lets time pass to the next deadline.
    pub(crate) fn next_deadline(&mut self) {
        let due = self.client.poll_timeout().expect("something is due some time");
        self.now = self.now.max(due);
        self.run(Client::handle_timeout);
    }

    pub(crate) fn hear(&mut self, frame: &[u8]) {
        let frame = Frame::parse(frame, Checksum::Verify).expect("the bench sends whole frames");
        self.client.handle_frame(&frame, self.now);
        self.drain();
    }

    pub(crate) fn answer(&mut self, answer: Answer) {
        self.hear(&answer.frame());
    }

    fn drain(&mut self) {
        while let Some(bytes) = self.client.poll_transmit() {
            let frame = Frame::parse(&bytes, Checksum::Verify).expect("frames are whole");
            assert_eq!(frame.source, self.mac, "the Ethernet source is the client's MAC");
            let what = match frame.payload {
                Payload::Arp(arp) => {
                    assert_eq!(arp.sender_mac, self.mac);
                    What::Arp(arp)
                }
                Payload::Udp4(datagram) => {
                    let message = Message::parse(datagram.payload).expect("messages are whole");
                    assert_eq!(message.chaddr, self.mac, "chaddr is the Ethernet source");
                    assert_eq!(message.op, Op::BootRequest);
                    assert_eq!(datagram.source.port(), port::CLIENT);
                    assert_eq!(datagram.destination.port(), port::SERVER);
                    What::Dhcp { from: datagram.source, to: datagram.destination, message }
                }
                Payload::Udp6(_) | Payload::Nd(_) => panic!("IPv6 of a DHCPv4 client"),
            };
            self.sent.push_back(Sent { at: self.now, to_mac: frame.destination, what });
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push_back(event);
        }
    }

    /// The next frame sent, if there is one.
    pub(crate) fn try_sent(&mut self) -> Option<Sent> {
        self.sent.pop_front()
    }

    /// The next frame sent.
    pub(crate) fn sent(&mut self) -> Sent {
        self.sent.pop_front().expect("the client sent something")
    }

    /// The next frame sent, which must be a DHCP message of this type.
    pub(crate) fn asked(&mut self, kind: MessageType) -> Asked {
        let Sent { at, to_mac, what } = self.sent();
        let What::Dhcp { from, to, message } = what else { panic!("{kind}, not {what:?}") };
        assert_eq!(message.message_type(), Some(kind));
        Asked { at, to_mac, from: *from.ip(), to: *to.ip(), message }
    }

    pub(crate) fn discover(&mut self) -> Asked {
        self.asked(MessageType::Discover)
    }

    pub(crate) fn request(&mut self) -> Asked {
        self.asked(MessageType::Request)
    }

    /// The next frame sent, which must be an ARP probe for `address`.
    #[track_caller]
    pub(crate) fn probe(&mut self, address: Ipv4Addr) -> Sent {
        let sent = self.sent();
        let What::Arp(arp) = &sent.what else { panic!("a probe, not {:?}", sent.what) };
        assert_eq!((*arp, sent.to_mac), (Arp::probe(MAC, address), MacAddr::BROADCAST));
        sent
    }

    /// A DHCPDISCOVER and the answers to it and to what follows, up to the ACK.
    pub(crate) fn exchange(&mut self) -> Asked {
        let discover = self.discover();
        self.answer(offer(&discover));
        let request = self.request();
        self.answer(ack(&request));
        request
    }

    /// A client whose check is over, and which a renewal moves to [`OTHER_ADDRESS`]; and when that
    /// was asked for.
    pub(crate) fn moved(conflict_check: ConflictCheck) -> (Bench, f64) {
        let mut bench = started(conflict_check);
        bench.exchange();
        bench.until(60.0);
        bench.all_sent();
        assert_eq!(bench.event(), Event::Bound);
        bench.next_deadline();
        let request = bench.request();
        bench.answer(ack(&request).address(OTHER_ADDRESS));
        let asked = bench.seconds(request.at);
        (bench, asked)
    }

    /// The next frame sent, which must be a DHCPDECLINE.
    pub(crate) fn declined(&mut self) -> Asked {
        let decline = self.asked(MessageType::Decline);
        assert_eq!(decline.to_mac, MacAddr::BROADCAST);
        assert_eq!((decline.from, decline.to), (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
        decline
    }

    /// Somebody's ARP is heard.
    pub(crate) fn hear_arp(&mut self, arp: Arp) {
        self.hear(&arp.emit(MacAddr::BROADCAST));
    }

    pub(crate) fn arp(&mut self) -> (Arp, MacAddr) {
        let sent = self.sent();
        let What::Arp(arp) = sent.what else { panic!("ARP, not {:?}", sent.what) };
        (arp, sent.to_mac)
    }

    /// The next ARP, which must be the client's question for `target`, and its answer from `mac`.
    pub(crate) fn resolve(&mut self, target: Ipv4Addr, mac: MacAddr) {
        let (arp, to_mac) = self.arp();
        assert_eq!(arp.operation, Operation::Request);
        assert_eq!((arp.target_ip, to_mac), (target, MacAddr::BROADCAST));
        self.hear(&arp.reply_to(mac).emit(MAC));
    }

    /// All that was sent and not looked at.
    pub(crate) fn all_sent(&mut self) -> Vec<Sent> {
        self.sent.drain(..).collect()
    }

    pub(crate) fn event(&mut self) -> Event {
        self.events.pop_front().expect("something happened")
    }

    /// Nothing more was sent, nothing more happened.
    #[track_caller]
    pub(crate) fn silent(&self) {
        assert!(self.sent.is_empty(), "sent: {:?}", self.sent);
        assert!(self.events.is_empty(), "events: {:?}", self.events);
    }

    #[track_caller]
    pub(crate) fn state(&self, state: State) {
        assert_eq!(self.client.state(), state);
    }

    pub(crate) fn seconds(&self, instant: Instant) -> f64 {
        instant.saturating_since(at(0.0)).as_secs_f64()
    }
}

/// A server's message and the frame around it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) message: Message,
    pub(crate) from_mac: MacAddr,
    pub(crate) from_ip: Ipv4Addr,
}

impl Answer {
    pub(crate) fn to(asked: &Asked, kind: MessageType) -> Answer {
        let Message { xid, chaddr, .. } = asked.message;
        let mut message = Message::new(Op::BootReply, xid, chaddr, Default::default());
        message.options.set(code::MESSAGE_TYPE, &[kind.into()]);
        message.options.set(code::SERVER_ID, &SERVER.octets());
        Answer { message, from_mac: SERVER_MAC, from_ip: SERVER }
    }

    pub(crate) fn set(mut self, code: u8, data: &[u8]) -> Answer {
        self.message.options.set(code, data);
        self
    }

    pub(crate) fn without(mut self, code: u8) -> Answer {
        self.message.options.remove(code);
        self
    }

    pub(crate) fn address(mut self, address: Ipv4Addr) -> Answer {
        self.message.yiaddr = address;
        self
    }

    pub(crate) fn mask(self, mask: [u8; 4]) -> Answer {
        self.set(code::SUBNET_MASK, &mask)
    }

    pub(crate) fn server(self, server: Ipv4Addr) -> Answer {
        self.set(code::SERVER_ID, &server.octets())
    }

    pub(crate) fn from(mut self, mac: MacAddr, ip: Ipv4Addr) -> Answer {
        (self.from_mac, self.from_ip) = (mac, ip);
        self
    }

    /// Lease time, T1 and T2.
    pub(crate) fn lease(self, seconds: u32) -> Answer {
        self.set(code::LEASE_TIME, &seconds.to_be_bytes())
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        udp4(
            self.from_mac,
            MAC,
            SocketAddrV4::new(self.from_ip, port::SERVER),
            SocketAddrV4::new(self.message.yiaddr, port::CLIENT),
            &self.message.emit(),
        )
    }
}

fn grant(asked: &Asked, kind: MessageType) -> Answer {
    Answer::to(asked, kind)
        .address(ADDRESS)
        .mask([255, 255, 255, 0])
        .set(code::ROUTER, &ROUTER.octets())
        .lease(LEASE)
}

pub(crate) fn offer(asked: &Asked) -> Answer {
    grant(asked, MessageType::Offer)
}

pub(crate) fn ack(asked: &Asked) -> Answer {
    grant(asked, MessageType::Ack)
}

pub(crate) fn nak(asked: &Asked) -> Answer {
    Answer::to(asked, MessageType::Nak)
}
