//! A DHCPv6 server: what it answers, and how it misbehaves.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::ops::RangeInclusive;
use std::time::Duration;

use dhcp::Instant;
use fastrand::Rng;
use wire::MacAddr;
use wire::dhcp6::{
    Builder, Duid, IaAddress, Message, MessageType, SERVERS, StatusCode, code, port,
};
use wire::frame::{Frame, Payload, Udp6, udp6};

use super::answer::{Answer, addresses, cut, prefixes};
use super::association::{Association, Says, Wish};
use super::registry::Registry;
use super::site::Site;
use crate::byzantine::damage;
use crate::database::Database;

/// For how long a declined address is given to nobody.
const DECLINED_KEPT: Duration = Duration::from_secs(3600);
/// Advertises in a flood.
const FLOOD: u32 = 200;
/// Types of messages: ADDR-REG-INFORM is 36.
const TYPES: usize = 37;

/// What a server grants.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The addresses it gives out. Those of the link are those of the same 64 bits.
    pub pool: RangeInclusive<Ipv6Addr>,
    /// What it cuts the prefixes from that it delegates.
    pub sites: RangeInclusive<Site>,
    /// The lengths of prefixes that it gives: the one that a client asks for, or the nearest.
    pub lengths: RangeInclusive<u8>,
    /// Lifetimes in seconds; `u32::MAX` is for ever.
    pub preferred: u32,
    /// The valid one. The server does not check that it is the longer one.
    pub valid: u32,
    /// The same two of prefixes, if they have others.
    pub of_prefixes: Option<(u32, u32)>,
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
    /// It gives this address to everybody, and the first of its prefixes.
    GivesToAll(Ipv6Addr),
    /// It says everything twice in each answer, and of addresses and prefixes other lifetimes the second
    /// time.
    Repeats,
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
    /// The same of prefixes.
    pub delegated: Database<Site>,
    /// Whether it answers each Rebind; else not one of what it does not know, as another server may
    /// know it.
    pub sole: bool,
    /// Whether it wants to know of addresses that clients make themselves (RFC 9686).
    pub registers: bool,
    /// What it was told of them.
    pub registry: Registry,
    /// Its preference (option 7), if it says one.
    pub preference: Option<u8>,
    /// Whether two messages may do instead of four.
    pub rapid_commit: bool,
    /// It takes this long for each answer.
    pub delay: Duration,
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// Addresses and prefixes that releases freed, and those that they did not.
    pub releases: (u32, u32),
    /// Declines that set an address apart, and declines that did not.
    pub declines: (u32, u32),
    heard: [u32; TYPES],
    honest: bool,
}

impl Server {
    /// 2001:db8:1::1:0 and the 65,535 behind it, and prefixes of 2001:db8:8000:: to 2001:db8:8fff::,
    /// for two hours.
    pub fn new() -> Server {
        let mac = MacAddr([0x02, 0xff, 0, 0, 0, 6]);
        let host = |number| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 1, number);
        Server {
            mac,
            address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 6, 6),
            duid: Duid::link_layer(mac),
            terms: Terms {
                pool: host(0)..=host(u16::MAX),
                sites: site(0x8000)..=site(0x8fff),
                lengths: 56..=64,
                preferred: 3600,
                valid: 7200,
                of_prefixes: None,
                timers: (0, 0),
                dns: vec![Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x53)],
                max_rt: None,
            },
            database: Database::default(),
            delegated: Database::default(),
            sole: false,
            registers: false,
            registry: Registry::default(),
            preference: None,
            rapid_commit: false,
            delay: Duration::from_millis(1),
            fault: None,
            releases: (0, 0),
            declines: (0, 0),
            heard: [0; TYPES],
            honest: true,
        }
    }

    /// Another one for the same link, 2001:db8:1::2:0 and the 65,535 behind it, and prefixes of
    /// 2001:db8:9000:: to 2001:db8:9fff::.
    pub fn second() -> Server {
        let first = Server::new();
        let mac = MacAddr([0x02, 0xff, 0, 0, 0, 7]);
        let host = |number| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 2, number);
        Server {
            mac,
            address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 6, 7),
            duid: Duid::link_layer(mac),
            terms: Terms {
                pool: host(0)..=host(u16::MAX),
                sites: site(0x9000)..=site(0x9fff),
                ..first.terms
            },
            ..first
        }
    }

    /// The server forgets all leases, as one does that keeps them in memory and restarts. What two
    /// clients have from then on is not the clients' fault.
    pub fn forget(&mut self) {
        self.database.clear();
        self.delegated.clear();
        self.registry.clear();
        self.honest = false;
    }

    /// Whether the server never gave one address or prefix to two clients.
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
        let only_advertises = self.fault == Some(Fault::AdvertisesOnly);
        if only_advertises && message.kind != MessageType::Solicit {
            return Vec::new();
        }
        let reply = |answer| Some((MessageType::Reply, answer));
        let held = addresses(message);
        let rapid = self.rapid_commit && message.options.rapid_commit() && self.fault.is_none();
        let answer = match message.kind {
            MessageType::Solicit if self.fault == Some(Fault::Flood) => {
                return self.flood(message);
            }
            MessageType::Solicit if rapid => reply(self.consider(Wish::Request, message, now)),
            MessageType::Solicit => {
                Some((MessageType::Advertise, self.consider(Wish::Solicit, message, now)))
            }
            MessageType::Request => {
                let mut answer = self.consider(Wish::Request, message, now);
                if !self.is_on_link(&held) && self.fault != Some(Fault::NoBinding) {
                    answer.addresses = vec![Says::Refuses(StatusCode::NotOnLink)];
                }
                reply(answer)
            }
            MessageType::Renew => reply(self.consider(Wish::Renew, message, now)),
            MessageType::Rebind => {
                let answer = self.consider(Wish::Rebind, message, now);
                let says = !(answer.addresses.is_empty() && answer.prefixes.is_empty());
                says.then_some((MessageType::Reply, answer))
            }
            MessageType::Confirm if self.is_on_link(&held) => reply(Answer::default()),
            MessageType::Confirm => return vec![self.status(message, StatusCode::NotOnLink)],
            MessageType::Release => {
                let freed = held.iter().map(|one| self.database.release(client, *one, now));
                let sites = prefixes(message).map(|(prefix, _)| Site::of(prefix));
                let sites = sites.map(|site| self.delegated.release(client, site, now));
                for freed in freed.chain(sites) {
                    if freed { self.releases.0 += 1 } else { self.releases.1 += 1 }
                }
                reply(Answer::default())
            }
            MessageType::Decline => {
                for address in held {
                    let apart = self.database.decline(client, address, now + DECLINED_KEPT);
                    if apart { self.declines.0 += 1 } else { self.declines.1 += 1 }
                }
                reply(Answer::default())
            }
            MessageType::InformationRequest => reply(Answer::default()),
            MessageType::AddrRegInform if self.registers => {
                return self.note(client, message, now).into_iter().collect();
            }
            _ => None,
        };
        let Some((kind, answer)) = answer else { return Vec::new() };
        if let (Some(Fault::Status(status)), MessageType::Reply) = (self.fault, kind) {
            return vec![self.status(message, status)];
        }
        let payload = self.encode(message, kind, &self.duid, &answer);
        let garbles = self.fault == Some(Fault::Garbles);
        vec![if garbles { damage(payload, rng) } else { payload }]
    }

    /// What it says of the associations in a message.
    fn consider(&mut self, wish: Wish, message: &Message<'_>, now: Instant) -> Answer {
        let client = message.options.client_id().unwrap_or_default();
        let (fault, sole, terms) = (self.fault, self.sole, &self.terms);
        let lifetimes = (terms.preferred, terms.valid);
        let mut answer = Answer::default();
        if message.options.ia_na().next().is_some() {
            answer.addresses = Association {
                client,
                held: addresses(message),
                database: &mut self.database,
                pool: &terms.pool,
                lifetimes,
                none_left: StatusCode::NoAddrsAvail,
                fault,
                to_all: fault.and_then(|fault| match fault {
                    Fault::GivesToAll(address) => Some(address),
                    _ => None,
                }),
                sole,
                now,
            }
            .answer(wish);
        }
        if message.options.ia_pd().next().is_some() {
            let says = Association {
                client,
                held: prefixes(message).map(|(prefix, _)| Site::of(prefix)).collect(),
                database: &mut self.delegated,
                pool: &terms.sites,
                lifetimes: terms.of_prefixes.unwrap_or(lifetimes),
                none_left: StatusCode::NoPrefixAvail,
                fault,
                to_all: matches!(fault, Some(Fault::GivesToAll(_))).then_some(*terms.sites.start()),
                sole,
                now,
            }
            .answer(wish);
            answer.prefixes = cut(says, &terms.lengths, message);
        }
        answer
    }

    /// Takes note of an address that a client made itself (RFC 9686 §4.3).
    fn note(&mut self, client: &[u8], message: &Message<'_>, now: Instant) -> Option<Vec<u8>> {
        let told = message.options.addresses().next()?;
        self.registry.note(client, &told, now);
        let said = IaAddress::header(told.address, told.preferred, told.valid);
        let reply = self.begin(message, MessageType::AddrRegReply, &self.duid);
        Some(reply.option(code::IA_ADDRESS, &said).finish())
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
            let lease = Says::Grants(address, self.terms.preferred, self.terms.valid);
            let answer = Answer { addresses: vec![lease], prefixes: Vec::new() };
            self.encode(message, MessageType::Advertise, &duid, &answer)
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
        said: &Answer,
    ) -> Vec<u8> {
        let mut answer = self.begin(message, kind, duid);
        if let Some(preference) = self.preference {
            answer = answer.option(code::PREFERENCE, &[preference]);
        }
        if kind == MessageType::Reply && message.kind == MessageType::Solicit {
            answer = answer.option(code::RAPID_COMMIT, &[]);
        }
        answer = said.write(answer, message, self.terms.timers);
        if self.fault == Some(Fault::Repeats) {
            answer = said.halved().write(answer, message, self.terms.timers);
        }
        if self.registers && message.options.option_request().any(|c| c == code::ADDR_REG_ENABLE) {
            answer = answer.option(code::ADDR_REG_ENABLE, &[]);
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

/// A site of 2001:db8::/32.
fn site(number: u16) -> Site {
    Site::of(Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 0))
}

impl Default for Server {
    fn default() -> Server {
        Server::new()
    }
}
