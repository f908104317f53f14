//! A DHCP server: what it answers, and how it misbehaves.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::Config;
use fastrand::Rng;
use wire::MacAddr;
use wire::arp::{Arp, Operation};
use wire::dhcp4::{Message, MessageType, Op, code, port};
use wire::frame::{self, Frame, Payload, Udp4};

use crate::byzantine::{Byzantine, Lie};
use crate::database::Database;

/// For how long a declined address is given to nobody.
const DECLINED_KEPT: Duration = Duration::from_secs(3600);

/// What a server grants.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The addresses it gives out.
    pub pool: RangeInclusive<Ipv4Addr>,
    /// The mask (option 1).
    pub mask: Ipv4Addr,
    /// The router (option 3).
    pub router: Option<Ipv4Addr>,
    /// The lease time in seconds (option 51); `u32::MAX` is for ever.
    pub lease_time: u32,
    /// T1 and T2 in seconds (options 58 and 59).
    pub timers: Option<(u32, u32)>,
    /// Further options.
    pub options: Vec<(u8, Vec<u8>)>,
}

/// Where a server stands, as seen from the LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// On the LAN, with its identifier as its address there.
    OnLink,
    /// Behind a relay that is the LAN's router as well, with this address.
    Behind(Ipv4Addr),
}

/// What a server says to a client that renews, rebinds or verifies a lease it knows nothing of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// DHCPNAK: the server is authoritative.
    Refused,
    /// Nothing: somebody else may know it.
    Ignored,
    /// If the address is free: have it.
    Adopted,
}

/// A server, as a station on the LAN. All fields may be changed while it runs.
#[derive(Debug, Clone)]
pub struct Server {
    /// The MAC of its card, or of the relay's.
    pub mac: MacAddr,
    /// Option 54, and the server's address.
    pub identifier: Ipv4Addr,
    /// Where it stands.
    pub position: Position,
    /// What it grants.
    pub terms: Terms,
    /// What it remembers.
    pub database: Database,
    /// What it does with those it does not know.
    pub unknown: Unknown,
    /// It takes this long for each answer.
    pub delay: Duration,
    /// It takes this long before it offers an address that is not the client's already: it asks by
    /// ICMP whether somebody has it (RFC 2131 §3.1, step 2).
    pub ping_check: Duration,
    /// It hears, and says nothing.
    pub silent: bool,
    /// It refuses every REQUEST.
    pub refuses: bool,
    /// It offers, and never answers a REQUEST.
    pub offers_only: bool,
    /// It answers to the client's MAC even where broadcast is asked for (RFC 2131 §4.1).
    pub ignores_broadcast: bool,
    /// It leaves option 54 out.
    pub anonymous: bool,
    /// It gives another address at each renewal.
    pub moves_clients: bool,
    /// It gives this address to everybody.
    pub gives_to_all: Option<Ipv4Addr>,
    /// It grants what it would offer to those who take it at once (option 80, RFC 4039).
    pub rapid_commit: bool,
    /// It would have those who ask for it do without IPv4 for so many seconds (option 108, RFC 8925).
    pub prefers_ipv6: Option<u32>,
    /// It has no address for them either: what it offers is 0.0.0.0.
    pub spares_addresses: bool,
    /// It asks by ARP for a client that has an address before it answers, as dnsmasq's host does.
    pub asks_arp: bool,
    /// What it makes of its replies, if it is hostile. What clients have from then on is not their
    /// fault.
    pub byzantine: Option<Byzantine>,
    /// Releases that freed an address, and releases that did not.
    pub releases: (u32, u32),
    /// Declines that set an address apart, and declines that did not.
    pub declines: (u32, u32),
    heard: [u32; 9],
    honest: bool,
    forged: bool,
    waiting: Vec<Waiting>,
}

/// An answer that waits until ARP says where it goes.
#[derive(Debug, Clone)]
struct Waiting {
    address: Ipv4Addr,
    message: Message,
}

impl Server {
    /// What most homes have: 192.168.1.1 is router and server, leases of an hour, an authoritative
    /// server, and 200 addresses.
    pub fn home_router() -> Server {
        let router = Ipv4Addr::new(192, 168, 1, 1);
        Server {
            mac: MacAddr([0x02, 0xff, 0, 0, 0, 1]),
            identifier: router,
            position: Position::OnLink,
            terms: Terms {
                pool: Ipv4Addr::new(192, 168, 1, 50)..=Ipv4Addr::new(192, 168, 1, 249),
                mask: Ipv4Addr::new(255, 255, 255, 0),
                router: Some(router),
                lease_time: 3600,
                timers: None,
                options: Vec::new(),
            },
            database: Database::default(),
            unknown: Unknown::Refused,
            delay: Duration::from_millis(1),
            ping_check: Duration::ZERO,
            silent: false,
            refuses: false,
            offers_only: false,
            ignores_broadcast: false,
            anonymous: false,
            moves_clients: false,
            gives_to_all: None,
            rapid_commit: false,
            prefers_ipv6: None,
            spares_addresses: false,
            asks_arp: false,
            byzantine: None,
            releases: (0, 0),
            declines: (0, 0),
            heard: [0; 9],
            honest: true,
            forged: false,
            waiting: Vec::new(),
        }
    }

    /// A server for a large LAN: 10.0.0.1, 10.0.0.0/16, room for 60,000.
    pub fn campus() -> Server {
        let home = Server::home_router();
        let router = Ipv4Addr::new(10, 0, 0, 1);
        Server {
            identifier: router,
            terms: Terms {
                pool: Ipv4Addr::new(10, 0, 1, 1)..=Ipv4Addr::new(10, 0, 234, 255),
                mask: Ipv4Addr::new(255, 255, 0, 0),
                router: Some(router),
                ..home.terms
            },
            ..home
        }
    }

    /// Another server for the home router's LAN, 192.168.1.2, with 47 addresses of its own.
    pub fn second() -> Server {
        let home = Server::home_router();
        Server {
            mac: MacAddr([0x02, 0xff, 0, 0, 0, 2]),
            identifier: Ipv4Addr::new(192, 168, 1, 2),
            terms: Terms {
                pool: Ipv4Addr::new(192, 168, 1, 3)..=Ipv4Addr::new(192, 168, 1, 49),
                ..home.terms
            },
            ..home
        }
    }

    /// A server far away, 203.0.113.5, behind the relay 192.168.1.1.
    pub fn remote() -> Server {
        let home = Server::home_router();
        Server {
            identifier: Ipv4Addr::new(203, 0, 113, 5),
            position: Position::Behind(home.identifier),
            delay: Duration::from_millis(30),
            ..home
        }
    }

    /// The server forgets all leases, as one does that keeps them in memory and restarts. What two
    /// clients have from then on is not the clients' fault.
    pub fn forget(&mut self) {
        self.database.clear();
        self.honest = false;
    }

    /// Whether the server never gave one address to two clients, as far as it is up to the server.
    pub fn is_honest(&self) -> bool {
        self.honest && !self.forges()
    }

    /// Whether it has ever been hostile.
    pub fn forges(&self) -> bool {
        self.forged || self.byzantine.is_some()
    }

    /// Whether what happens with this server just now counts as a fault.
    pub fn misbehaves(&self) -> bool {
        let slow = self.delay.max(self.ping_check) >= Duration::from_secs(1);
        let broken = self.silent || self.refuses || self.offers_only || self.anonymous;
        let lying = self.moves_clients || self.gives_to_all.is_some() || self.byzantine.is_some();
        slow || broken || lying || self.terms.lease_time == 0
    }

    /// How many messages of a type it has heard.
    pub fn heard(&self, kind: MessageType) -> u32 {
        self.heard[usize::from(u8::from(kind))]
    }

    /// What the server knows a client by.
    pub fn client_of(&self, config: &Config) -> Vec<u8> {
        match &config.client_id {
            Some(id) => id.to_vec(),
            None => [&[1][..], &config.mac.0].concat(),
        }
    }

    /// The address it answers ARP for on the LAN.
    fn link_address(&self) -> Ipv4Addr {
        match self.position {
            Position::OnLink => self.identifier,
            Position::Behind(relay) => relay,
        }
    }

    /// Takes a frame; returns the frames that answer it, each with the time that it takes.
    pub(crate) fn handle(
        &mut self,
        frame: &Frame<'_>,
        now: Instant,
        rng: &mut Rng,
    ) -> Vec<(Duration, Vec<u8>)> {
        if self.silent {
            return Vec::new();
        }
        match &frame.payload {
            Payload::Arp(arp) => {
                self.handle_arp(arp).into_iter().map(|frame| (self.delay, frame)).collect()
            }
            Payload::Udp4(datagram) if datagram.destination.port() == port::SERVER => {
                self.handle_datagram(datagram, now, rng)
            }
            Payload::Udp4(_) | Payload::Udp6(_) | Payload::Nd(_) => Vec::new(),
        }
    }

    fn handle_arp(&mut self, arp: &Arp) -> Vec<Vec<u8>> {
        match arp.operation {
            Operation::Request if arp.target_ip == self.link_address() => {
                vec![arp.reply_to(self.mac).emit(arp.sender_mac)]
            }
            Operation::Request => Vec::new(),
            Operation::Reply => {
                let (answered, waiting) = std::mem::take(&mut self.waiting)
                    .into_iter()
                    .partition(|waiting| waiting.address == arp.sender_ip);
                self.waiting = waiting;
                let send = |Waiting { message, .. }: &Waiting| {
                    self.send(message, arp.sender_mac, &message.emit())
                };
                answered.iter().map(send).collect()
            }
        }
    }

    fn handle_datagram(
        &mut self,
        datagram: &Udp4<'_>,
        now: Instant,
        rng: &mut Rng,
    ) -> Vec<(Duration, Vec<u8>)> {
        let to = *datagram.destination.ip();
        if to != Ipv4Addr::BROADCAST && to != self.identifier {
            return Vec::new();
        }
        let Ok(message) = Message::parse(datagram.payload) else { return Vec::new() };
        if message.op != Op::BootRequest {
            return Vec::new();
        }
        let Some(answer) = self.answer(&message, *datagram.source.ip(), now) else {
            return Vec::new();
        };
        // RFC 2131 §4.1: to the address if there is one, else by broadcast if asked for, else to
        // the MAC, which needs no ARP.
        if self.asks_arp && !message.ciaddr.is_unspecified() {
            let question = Arp::request(self.mac, self.link_address(), message.ciaddr);
            self.waiting.push(Waiting { address: message.ciaddr, message: answer });
            return vec![(self.delay, question.emit(MacAddr::BROADCAST))];
        }
        let kind = answer.message_type();
        let broadcast = message.broadcast && !self.ignores_broadcast;
        let to = if broadcast || kind == Some(MessageType::Nak) {
            MacAddr::BROADCAST
        } else {
            message.chaddr
        };
        let checked = kind == Some(MessageType::Offer)
            && self.database.granted_until(&self.identity(&message), answer.yiaddr).is_none();
        let delay = if checked { self.delay + self.ping_check } else { self.delay };
        let said = match &mut self.byzantine {
            Some(byzantine) => {
                self.forged = true;
                byzantine.hear(&message);
                byzantine.spoil(&answer, to, rng)
            }
            None => vec![Lie { to, payload: answer.emit() }],
        };
        said.iter().map(|said| (delay, self.send(&answer, said.to, &said.payload))).collect()
    }

    /// What the server knows the sender of a message by.
    fn identity(&self, message: &Message) -> Vec<u8> {
        match message.options.client_id() {
            Some(id) => id.to_vec(),
            None => [&[1][..], &message.chaddr.0].concat(),
        }
    }

    fn answer(&mut self, message: &Message, source: Ipv4Addr, now: Instant) -> Option<Message> {
        let kind = message.message_type()?;
        self.heard[usize::from(u8::from(kind))] += 1;
        let client = self.identity(message);
        match kind {
            MessageType::Discover => self.offer(&client, message, now),
            MessageType::Request => self.decide(&client, message, now),
            MessageType::Release => {
                self.release(&client, message, source, now);
                None
            }
            MessageType::Decline => {
                self.decline(&client, message, now);
                None
            }
            _ => None,
        }
    }

    fn offer(&mut self, client: &[u8], message: &Message, now: Instant) -> Option<Message> {
        if self.spares_addresses && self.preference(message).is_some() {
            return Some(self.grant(message, MessageType::Offer, Ipv4Addr::UNSPECIFIED));
        }
        if let Some(address) = self.gives_to_all {
            self.honest = false;
            return Some(self.grant(message, MessageType::Offer, address));
        }
        let wanted = message.options.requested_address();
        let address = self.database.choose(client, wanted, &self.terms.pool, now)?;
        if self.rapid_commit
            && message.options.get(code::RAPID_COMMIT).is_some()
            && let Some(lifetime) = self.lifetime()
            && self.database.grant(client, address, now, now + lifetime)
        {
            let mut ack = self.grant(message, MessageType::Ack, address);
            ack.options.set(code::RAPID_COMMIT, &[]);
            return Some(ack);
        }
        self.database.offer(client, address, now);
        Some(self.grant(message, MessageType::Offer, address))
    }

    /// How long it grants; none: a lease of no time.
    fn lifetime(&self) -> Option<Duration> {
        match self.terms.lease_time {
            u32::MAX => Some(Duration::MAX),
            0 => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        }
    }

    /// RFC 2131 §4.3.2.
    fn decide(&mut self, client: &[u8], message: &Message, now: Instant) -> Option<Message> {
        let selecting = message.options.server_id();
        if selecting.is_some_and(|server| server != self.identifier) {
            return None;
        }
        if self.offers_only {
            return None;
        }
        if self.refuses {
            return Some(self.refusal(message, "I refuse everything"));
        }
        let address = if message.ciaddr.is_unspecified() {
            message.options.requested_address()?
        } else {
            message.ciaddr
        };
        if self.gives_to_all == Some(address) {
            self.honest = false;
            return Some(self.grant(message, MessageType::Ack, address));
        }
        let known = self.database.of_client(client);
        if known.is_none() && selecting.is_none() {
            match self.unknown {
                Unknown::Refused => return Some(self.refusal(message, "unknown lease")),
                Unknown::Ignored => return None,
                Unknown::Adopted => {}
            }
        }
        let mut granted = address;
        if self.moves_clients && !message.ciaddr.is_unspecified() {
            // Somebody nobody is, so that the address is another one.
            granted = self.database.choose(b"", None, &self.terms.pool, now)?;
        } else if known.is_some_and(|known| known != address) {
            return Some(self.refusal(message, "wrong address"));
        }
        let lifetime = self.lifetime().unwrap_or_else(|| {
            // Nobody can tell how long that is: until the lease that there is ends, or not at all.
            self.honest = false;
            Duration::ZERO
        });
        let in_pool = self.terms.pool.contains(&granted);
        if in_pool && self.database.grant(client, granted, now, now + lifetime) {
            Some(self.grant(message, MessageType::Ack, granted))
        } else {
            Some(self.refusal(message, "address not available"))
        }
    }

    /// RFC 2131 §4.3.4. One that is malformed is dropped, as real servers do.
    fn release(&mut self, client: &[u8], message: &Message, source: Ipv4Addr, now: Instant) {
        let ours = message.options.server_id() == Some(self.identifier);
        let freed =
            ours && source == message.ciaddr && self.database.release(client, message.ciaddr, now);
        let (good, bad) = &mut self.releases;
        *(if freed { good } else { bad }) += 1;
    }

    /// RFC 2131 §4.3.3: an address that somebody else has is not given out for a while.
    fn decline(&mut self, client: &[u8], message: &Message, now: Instant) {
        let ours = message.options.server_id() == Some(self.identifier);
        let address = message.options.requested_address();
        let declined = ours
            && message.ciaddr.is_unspecified()
            && address
                .is_some_and(|address| self.database.decline(client, address, now + DECLINED_KEPT));
        let (good, bad) = &mut self.declines;
        *(if declined { good } else { bad }) += 1;
    }

    fn reply(&self, message: &Message, kind: MessageType) -> Message {
        let mut reply =
            Message::new(Op::BootReply, message.xid, message.chaddr, Default::default());
        reply.broadcast = message.broadcast;
        if let Position::Behind(relay) = self.position {
            reply.giaddr = relay;
        }
        reply.options.set(code::MESSAGE_TYPE, &[kind.into()]);
        if !self.anonymous {
            reply.options.set(code::SERVER_ID, &self.identifier.octets());
        }
        reply
    }

    fn refusal(&self, message: &Message, why: &str) -> Message {
        let mut reply = self.reply(message, MessageType::Nak);
        reply.options.set(code::MESSAGE, why.as_bytes());
        reply
    }

    fn grant(&self, message: &Message, kind: MessageType, address: Ipv4Addr) -> Message {
        let mut reply = self.reply(message, kind);
        reply.ciaddr = message.ciaddr;
        reply.yiaddr = address;
        // BOOTP's next server is somebody else, and never answers.
        reply.siaddr = Ipv4Addr::new(198, 51, 100, 66);
        let options = &mut reply.options;
        options.set(code::SUBNET_MASK, &self.terms.mask.octets());
        if let Some(router) = self.terms.router {
            options.set(code::ROUTER, &router.octets());
        }
        options.set(code::LEASE_TIME, &self.terms.lease_time.to_be_bytes());
        if let Some((t1, t2)) = self.terms.timers {
            options.set(code::RENEWAL_TIME, &t1.to_be_bytes());
            options.set(code::REBINDING_TIME, &t2.to_be_bytes());
        }
        if let Some(wait) = self.preference(message) {
            options.set(code::IPV6_ONLY_PREFERRED, &wait.to_be_bytes());
        }
        for (code, data) in &self.terms.options {
            options.set(*code, data);
        }
        reply
    }

    /// For how long it would have the sender of a message do without, if that was asked for.
    fn preference(&self, message: &Message) -> Option<u32> {
        let asked = message.options.parameter_request_list();
        self.prefers_ipv6.filter(|_| asked.contains(&code::IPV6_ONLY_PREFERRED))
    }

    /// The frame for an answer, with what is said in it. A relay passes on what has `giaddr` under its own address; what
    /// answers a unicast is routed and keeps the server's.
    fn send(&self, message: &Message, to: MacAddr, payload: &[u8]) -> Vec<u8> {
        let relayed = message.ciaddr.is_unspecified();
        let source = if relayed { self.link_address() } else { self.identifier };
        let destination = if to == MacAddr::BROADCAST {
            Ipv4Addr::BROADCAST
        } else if message.ciaddr.is_unspecified() {
            message.yiaddr
        } else {
            message.ciaddr
        };
        frame::udp4(
            self.mac,
            to,
            SocketAddrV4::new(source, port::SERVER),
            SocketAddrV4::new(destination, port::CLIENT),
            payload,
        )
    }
}
