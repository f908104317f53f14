//! A DHCPv6 server: what it answers, and how it misbehaves.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::ops::RangeInclusive;
use std::time::Duration;

use dhcp::Instant;
use fastrand::Rng;
use wire::MacAddr;
use wire::dhcp6::{
    Builder, Duid, INFINITY, Ia, IaAddress, Message, MessageType, SERVERS, StatusCode, code, port,
};
use wire::frame::{Frame, Payload, Udp6, udp6};

use crate::byzantine::damage;
use crate::database::Database;

/// For how long a declined address is given to nobody.
const DECLINED_KEPT: Duration = Duration::from_secs(3600);
/// Advertises in a flood.
const FLOOD: u32 = 200;

/// What a server grants.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The addresses it gives out. Those of the link are those of the same 64 bits.
    pub pool: RangeInclusive<Ipv6Addr>,
    /// Lifetimes in seconds; `u32::MAX` is for ever.
    pub preferred: u32,
    /// The valid one. The server does not check that it is the longer one.
    pub valid: u32,
    /// T1 and T2 in seconds; 0 leaves them to the client.
    pub timers: (u32, u32),
    /// Name servers (option 23).
    pub dns: Vec<Ipv6Addr>,
    /// SOL_MAX_RT and INF_MAX_RT in seconds (options 82 and 83).
    pub max_rt: Option<u32>,
}

/// What is wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It hears, and says nothing.
    Silent,
    /// It advertises, and answers nothing else.
    AdvertisesOnly,
    /// Each Reply has this status instead of a lease.
    Status(StatusCode),
    /// It knows no lease: NoBinding to each Renew, Rebind and Request.
    NoBinding,
    /// Each answer has another transaction.
    OtherTransaction,
    /// Each answer is to another client's DUID.
    OtherClient,
    /// Each Reply is of another server's DUID.
    OtherServer,
    /// It gives another address at each Renew and takes the old one back.
    Moves,
    /// It gives this address to everybody.
    GivesToAll(Ipv6Addr),
    /// It advertises two hundred times, each time another address and as another server.
    Flood,
    /// Some bytes of each answer are set otherwise, or its end is missing.
    Garbles,
}

/// A server, as a station on the LAN. All fields may be changed while it runs.
#[derive(Debug, Clone)]
pub struct Server {
    /// The MAC of its card.
    pub mac: MacAddr,
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// What clients know it by.
    pub duid: Duid,
    /// What it grants.
    pub terms: Terms,
    /// What it remembers: addresses by the client's DUID.
    pub database: Database<Ipv6Addr>,
    /// Its preference (option 7), if it says one.
    pub preference: Option<u8>,
    /// Whether two messages may do instead of four.
    pub rapid_commit: bool,
    /// It takes this long for each answer.
    pub delay: Duration,
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// Releases that freed an address, and releases that did not.
    pub releases: (u32, u32),
    /// Declines that set an address apart, and declines that did not.
    pub declines: (u32, u32),
    heard: [u32; 14],
    honest: bool,
}

/// What there is to say of an association: an address with its lifetimes, or a status.
#[derive(Debug, Clone, Copy)]
enum Says {
    Grants(Ipv6Addr, u32, u32),
    Refuses(StatusCode),
}

impl Server {
    /// 2001:db8:1::1:0 and the 65,535 behind it, for two hours.
    pub fn new() -> Server {
        let mac = MacAddr([0x02, 0xff, 0, 0, 0, 6]);
        let host = |number| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 1, number);
        Server {
            mac,
            address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 6, 6),
            duid: Duid::link_layer(mac),
            terms: Terms {
                pool: host(0)..=host(u16::MAX),
                preferred: 3600,
                valid: 7200,
                timers: (0, 0),
                dns: vec![Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x53)],
                max_rt: None,
            },
            database: Database::default(),
            preference: None,
            rapid_commit: false,
            delay: Duration::from_millis(1),
            fault: None,
            releases: (0, 0),
            declines: (0, 0),
            heard: [0; 14],
            honest: true,
        }
    }

    /// Another one for the same link, 2001:db8:1::2:0 and the 65,535 behind it.
    pub fn second() -> Server {
        let first = Server::new();
        let mac = MacAddr([0x02, 0xff, 0, 0, 0, 7]);
        let host = |number| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 2, number);
        Server {
            mac,
            address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 6, 7),
            duid: Duid::link_layer(mac),
            terms: Terms { pool: host(0)..=host(u16::MAX), ..first.terms },
            ..first
        }
    }

    /// The server forgets all leases, as one does that keeps them in memory and restarts. What two
    /// clients have from then on is not the clients' fault.
    pub fn forget(&mut self) {
        self.database.clear();
        self.honest = false;
    }

    /// Whether the server never gave one address to two clients.
    pub fn is_honest(&self) -> bool {
        self.honest && !matches!(self.fault, Some(Fault::GivesToAll(_) | Fault::Garbles))
    }

    /// How many messages of a type it has heard.
    pub fn heard(&self, kind: MessageType) -> u32 {
        self.heard.get(usize::from(u8::from(kind))).copied().unwrap_or(0)
    }

    /// Takes a frame; returns the frames that answer it.
    pub(crate) fn handle(
        &mut self,
        frame: &Frame<'_>,
        now: Instant,
        rng: &mut Rng,
    ) -> Vec<Vec<u8>> {
        self.honest = self.is_honest();
        let Payload::Udp6(datagram) = &frame.payload else { return Vec::new() };
        if self.fault == Some(Fault::Silent) || datagram.destination.port() != port::SERVER {
            return Vec::new();
        }
        assert_eq!(*datagram.destination.ip(), SERVERS, "clients speak to all servers");
        let Ok(message) = Message::parse(datagram.payload) else { return Vec::new() };
        if let Some(count) = self.heard.get_mut(usize::from(u8::from(message.kind))) {
            *count += 1;
        }
        let answers = self.answers(&message, now, rng);
        answers.iter().map(|payload| self.frame(frame.source, datagram, payload)).collect()
    }

    fn frame(&self, to: MacAddr, datagram: &Udp6<'_>, payload: &[u8]) -> Vec<u8> {
        let from = SocketAddrV6::new(self.address, port::SERVER, 0, 0);
        let client = SocketAddrV6::new(*datagram.source.ip(), port::CLIENT, 0, 0);
        udp6(self.mac, to, from, client, payload)
    }

    /// The payloads that answer a message.
    fn answers(&mut self, message: &Message<'_>, now: Instant, rng: &mut Rng) -> Vec<Vec<u8>> {
        let Some(client) = message.options.client_id() else { return Vec::new() };
        let server = message.options.server_id();
        if server.is_some_and(|server| *server != *self.duid) {
            return Vec::new();
        }
        let held = message.options.ia_na().flat_map(|ia| ia.options.addresses());
        let held: Vec<_> = held.map(|address| address.address).collect();
        let only_advertises = self.fault == Some(Fault::AdvertisesOnly);
        if only_advertises && message.kind != MessageType::Solicit {
            return Vec::new();
        }
        let reply = |says: &[Says]| Some((MessageType::Reply, says.to_vec()));
        let answer = match message.kind {
            MessageType::Solicit if self.fault == Some(Fault::Flood) => {
                return self.flood(message);
            }
            MessageType::Solicit => Some(self.solicited(client, message, &held, now)),
            MessageType::Request => {
                let says = self.requested(client, &held, now);
                reply(&[says])
            }
            MessageType::Renew | MessageType::Rebind => {
                let says = self.renewed(client, message.kind, &held, now);
                says.and_then(|says| reply(&says))
            }
            MessageType::Confirm if self.is_on_link(&held) => reply(&[]),
            MessageType::Confirm => return vec![self.status(message, StatusCode::NotOnLink)],
            MessageType::Release => {
                for address in held {
                    let freed = self.database.release(client, address, now);
                    if freed { self.releases.0 += 1 } else { self.releases.1 += 1 }
                }
                reply(&[])
            }
            MessageType::Decline => {
                for address in held {
                    let apart = self.database.decline(client, address, now + DECLINED_KEPT);
                    if apart { self.declines.0 += 1 } else { self.declines.1 += 1 }
                }
                reply(&[])
            }
            MessageType::InformationRequest => reply(&[]),
            _ => None,
        };
        let Some((kind, says)) = answer else { return Vec::new() };
        if let (Some(Fault::Status(status)), MessageType::Reply) = (self.fault, kind) {
            return vec![self.status(message, status)];
        }
        let payload = self.encode(message, kind, &self.duid, &says);
        let garbles = self.fault == Some(Fault::Garbles);
        vec![if garbles { damage(payload, rng) } else { payload }]
    }

    fn solicited(
        &mut self,
        client: &[u8],
        message: &Message<'_>,
        held: &[Ipv6Addr],
        now: Instant,
    ) -> (MessageType, Vec<Says>) {
        if self.rapid_commit && message.options.rapid_commit() && self.fault.is_none() {
            let wanted = self.choose(client, held.first().copied(), now);
            let held = wanted.map_or_else(Vec::new, |address| vec![address]);
            return (MessageType::Reply, vec![self.requested(client, &held, now)]);
        }
        let Some(address) = self.choose(client, held.first().copied(), now) else {
            return (MessageType::Advertise, vec![Says::Refuses(StatusCode::NoAddrsAvail)]);
        };
        if !matches!(self.fault, Some(Fault::GivesToAll(_))) {
            self.database.offer(client, address, now);
        }
        (MessageType::Advertise, vec![self.lease(address)])
    }

    /// An address for a client, if there is one.
    fn choose(
        &mut self,
        client: &[u8],
        wanted: Option<Ipv6Addr>,
        now: Instant,
    ) -> Option<Ipv6Addr> {
        match self.fault {
            Some(Fault::GivesToAll(address)) => Some(address),
            _ => self.database.choose(client, wanted, &self.terms.pool, now),
        }
    }

    fn requested(&mut self, client: &[u8], held: &[Ipv6Addr], now: Instant) -> Says {
        if self.fault == Some(Fault::NoBinding) {
            return Says::Refuses(StatusCode::NoBinding);
        }
        if !self.is_on_link(held) {
            return Says::Refuses(StatusCode::NotOnLink);
        }
        let wanted = held.first().copied();
        match self.choose(client, wanted, now) {
            Some(address) => self.grant(client, address, now),
            None => Says::Refuses(StatusCode::NoAddrsAvail),
        }
    }

    /// RFC 8415 §18.3.4, §18.3.5. To a Rebind of what it does not know it says nothing: another
    /// server may.
    fn renewed(
        &mut self,
        client: &[u8],
        kind: MessageType,
        held: &[Ipv6Addr],
        now: Instant,
    ) -> Option<Vec<Says>> {
        if self.fault == Some(Fault::NoBinding) {
            return Some(vec![Says::Refuses(StatusCode::NoBinding)]);
        }
        let known = self.database.of_client(client);
        let known = known.filter(|known| held.contains(known));
        match (known, self.fault) {
            (_, Some(Fault::GivesToAll(address))) => Some(vec![self.grant(client, address, now)]),
            (Some(known), Some(Fault::Moves)) => {
                // Somebody nobody is, so that the address is another one.
                let other = self.database.choose(b"", None, &self.terms.pool, now)?;
                Some(vec![Says::Grants(known, 0, 0), self.grant(client, other, now)])
            }
            // Other addresses that the client names are not its own any more.
            (Some(known), _) => {
                let others = held.iter().filter(|other| **other != known);
                let taken_back = others.map(|other| Says::Grants(*other, 0, 0));
                let mut says: Vec<_> = taken_back.collect();
                says.push(self.grant(client, known, now));
                Some(says)
            }
            (None, _) if kind == MessageType::Renew => {
                Some(vec![Says::Refuses(StatusCode::NoBinding)])
            }
            (None, _) => None,
        }
    }

    fn grant(&mut self, client: &[u8], address: Ipv6Addr, now: Instant) -> Says {
        let lifetime = match self.terms.valid {
            INFINITY => Duration::MAX,
            seconds => Duration::from_secs(seconds.into()),
        };
        if matches!(self.fault, Some(Fault::GivesToAll(_))) {
            return self.lease(address);
        }
        let in_pool = self.terms.pool.contains(&address);
        if in_pool && self.database.grant(client, address, now, now + lifetime) {
            self.lease(address)
        } else {
            Says::Refuses(StatusCode::NoAddrsAvail)
        }
    }

    fn lease(&self, address: Ipv6Addr) -> Says {
        Says::Grants(address, self.terms.preferred, self.terms.valid)
    }

    fn is_on_link(&self, addresses: &[Ipv6Addr]) -> bool {
        let link = |address: &Ipv6Addr| address.to_bits() >> 64;
        addresses.iter().all(|address| link(address) == link(self.terms.pool.start()))
    }

    /// The same offer from ever other servers.
    fn flood(&mut self, message: &Message<'_>) -> Vec<Vec<u8>> {
        let advertise = |number: u32| {
            let [.., a, b] = number.to_be_bytes();
            let duid = Duid::link_layer(MacAddr([0x02, 0xff, 1, 0, a, b]));
            let address =
                Ipv6Addr::from_bits(self.terms.pool.start().to_bits() + u128::from(number));
            self.encode(message, MessageType::Advertise, &duid, &[self.lease(address)])
        };
        (0..FLOOD).map(advertise).collect()
    }

    fn status(&self, message: &Message<'_>, status: StatusCode) -> Vec<u8> {
        self.begin(message, MessageType::Reply, &self.duid)
            .option(code::STATUS_CODE, &u16::from(status).to_be_bytes())
            .finish()
    }

    fn begin(&self, message: &Message<'_>, kind: MessageType, duid: &Duid) -> Builder {
        let xid = match self.fault {
            Some(Fault::OtherTransaction) => message.xid ^ 1,
            _ => message.xid,
        };
        let other = Duid::uuid([7; 16]);
        let client = match self.fault {
            Some(Fault::OtherClient) => &other[..],
            _ => message.options.client_id().unwrap_or_default(),
        };
        let server = match self.fault {
            Some(Fault::OtherServer) if kind == MessageType::Reply => &other[..],
            _ => &duid[..],
        };
        Builder::new(kind, xid).option(code::CLIENT_ID, client).option(code::SERVER_ID, server)
    }

    fn encode(
        &self,
        message: &Message<'_>,
        kind: MessageType,
        duid: &Duid,
        says: &[Says],
    ) -> Vec<u8> {
        let mut answer = self.begin(message, kind, duid);
        if let Some(preference) = self.preference {
            answer = answer.option(code::PREFERENCE, &[preference]);
        }
        if kind == MessageType::Reply && message.kind == MessageType::Solicit {
            answer = answer.option(code::RAPID_COMMIT, &[]);
        }
        if let Some(ia) = message.options.ia_na().next().filter(|_| !says.is_empty()) {
            let (t1, t2) = self.terms.timers;
            answer = answer.nest(code::IA_NA, &Ia::header(ia.iaid, t1, t2), |ia| {
                says.iter().fold(ia, |ia, says| match *says {
                    Says::Grants(address, preferred, valid) => {
                        ia.option(code::IA_ADDRESS, &IaAddress::header(address, preferred, valid))
                    }
                    Says::Refuses(status) => {
                        ia.option(code::STATUS_CODE, &u16::from(status).to_be_bytes())
                    }
                })
            });
        }
        if let Some(seconds) = self.terms.max_rt {
            for code in [code::SOL_MAX_RT, code::INF_MAX_RT] {
                answer = answer.option(code, &seconds.to_be_bytes());
            }
        }
        let dns: Vec<u8> = self.terms.dns.iter().flat_map(Ipv6Addr::octets).collect();
        answer.option(code::DNS_SERVERS, &dns).finish()
    }
}

impl Default for Server {
    fn default() -> Server {
        Server::new()
    }
}
