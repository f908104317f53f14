//! Any sequence of commands, frames and time, into a client of all of IPv6: it keeps the rules of the
//! simulator, and what it has learnt stays within its bounds.
//!
//! A frame is what a router, a server or a neighbour would say, and then spoilt in some places. smoltcp
//! takes every checksum for right when it is fuzzed, so that what is spoilt is read.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use dhcp::Instant;
use dhcp::ipv6::{Client, Config, DuplicateCheck, InterfaceId, Mode};
use dhcp::nd::Learned;
use sim::v6::{Endpoint, Router};
use wire::MacAddr;
use wire::dhcp6::{Builder, Duid, Ia, IaAddress, IaPrefix, Message, MessageType, code, port};
use wire::frame::{Checksum, Frame, Payload, udp6};
use wire::nd::{
    self, DnsServers, Message as NdMessage, NdOption, NeighbourAdvertisement, Preference,
    PrefixInformation, RouteInformation, SearchDomains,
};

use crate::clock::Clock;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const SERVER_MAC: MacAddr = MacAddr([2, 0xff, 0, 0, 0, 1]);
const SERVER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const OTHER_MAC: MacAddr = MacAddr([2, 0xfe, 0, 0, 0, 1]);

#[derive(Debug, Arbitrary)]
struct Life {
    mode: u8,
    stable: bool,
    unchecked: bool,
    prefix: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Start,
    Release,
    Renew,
    Confirm(u8),
    Up(bool),
    Announce,
    Name(bool),
    Restart,
    Reboot,
    Router(Said),
    /// An answer to the last message.
    Answer(Answer),
    Neighbour {
        about: u8,
        says: u8,
    },
    /// So many milliseconds pass, with all that is due in them.
    Pass(u16),
    /// The same in seconds.
    PassLong(u16),
    /// The clock jumps: the machine slept.
    Sleep(u16),
    /// The timer goes off too early.
    Early,
}

/// An advertisement of a router.
#[derive(Debug, Arbitrary)]
struct Said {
    router: u8,
    lifetime: u16,
    hop_limit: u8,
    managed: bool,
    other: bool,
    options: Vec<Opt>,
    edits: Vec<(u16, u8)>,
}

#[derive(Debug, Arbitrary)]
enum Opt {
    Prefix { network: u8, length: u8, on_link: bool, autonomous: bool, valid: u32, preferred: u32 },
    Route { network: u8, length: u8, lifetime: u32 },
    Dns(u8, u32),
    Search(u8, u32),
    Mtu(u16),
}

#[derive(Debug, Arbitrary)]
struct Answer {
    kind: u8,
    server: bool,
    t1: u32,
    t2: u32,
    addresses: Vec<(u8, u32, u32)>,
    prefixes: Vec<(u8, u8, u32, u32)>,
    status: Option<u8>,
    registers: bool,
    edits: Vec<(u16, u8)>,
}

/// The networks that there are, so that they meet.
fn network(choice: u8) -> Ipv6Addr {
    match choice % 32 {
        30 => Ipv6Addr::UNSPECIFIED,
        31 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
        number => Ipv6Addr::new(0x2001, 0xdb8, number.into(), 0, 0, 0, 0, 0),
    }
}

fn option(said: &Opt) -> NdOption {
    match *said {
        Opt::Prefix { network: choice, length, on_link, autonomous, valid, preferred } => {
            // Mostly of 64 bits, and mostly of lifetimes that make an address.
            let length = if length < 200 { 64 } else { length % 129 };
            let valid = if preferred % 8 == 0 { valid } else { valid.max(preferred) };
            let prefix = network(choice);
            let said = PrefixInformation { prefix, length, on_link, autonomous, valid, preferred };
            NdOption::Prefix(said)
        }
        Opt::Route { network: choice, length, lifetime } => NdOption::Route(RouteInformation {
            prefix: network(choice),
            length: length % 129,
            preference: Preference::Medium,
            lifetime,
        }),
        Opt::Dns(choice, lifetime) => {
            let servers = vec![network(choice)];
            NdOption::DnsServers(DnsServers { lifetime, servers })
        }
        Opt::Search(choice, lifetime) => {
            let domains = vec![format!("d{choice}")];
            NdOption::SearchDomains(SearchDomains { lifetime, domains })
        }
        Opt::Mtu(mtu) => NdOption::Mtu(mtu.into()),
    }
}

struct World {
    endpoint: Endpoint,
    now: Instant,
    /// Randomness for the next client.
    seed: u64,
    /// The last message to servers.
    asked: Vec<u8>,
}

impl Clock for World {
    fn now(&mut self) -> &mut Instant {
        &mut self.now
    }

    fn due(&self) -> Option<Instant> {
        self.endpoint.client.poll_timeout()
    }

    fn ring(&mut self) {
        self.wake();
    }
}

impl World {
    fn take(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Start => self.command(|client| client.start(now)),
            Step::Release => self.command(|client| client.release(now)),
            Step::Renew => self.command(|client| client.renew(now)),
            Step::Confirm(later) => {
                let at = now + Duration::from_millis(40) * later.into();
                self.endpoint.moves(at);
                self.command(|client| client.confirm(at, now));
            }
            Step::Up(up) if self.endpoint.history.ready > 0 => {
                self.endpoint.up = up;
                self.command(|client| client.hold(!up));
            }
            Step::Up(_) => {}
            Step::Announce => self.command(Client::announce),
            Step::Name(name) => {
                self.command(|client| client.set_host_name(name.then_some("web"), now));
            }
            Step::Restart => {
                self.seed += 1;
                self.endpoint.restart(self.seed, now);
                self.step(|_| {});
            }
            Step::Reboot => {
                self.seed += 1;
                self.endpoint.reboot(self.seed, now);
                self.step(|_| {});
            }
            Step::Router(said) => self.hear(advertisement(&said)),
            Step::Answer(answer) => {
                if let Some(frame) = self.answer(answer) {
                    self.hear(frame);
                }
            }
            Step::Neighbour { about, says } => {
                if let Some(frame) = self.neighbour(about, says) {
                    self.hear(frame);
                }
            }
            Step::Pass(time) => self.pass(Duration::from_millis(time.into())),
            Step::PassLong(time) => self.pass(Duration::from_secs(time.into())),
            Step::Sleep(time) => {
                self.now = now + Duration::from_secs(time.into());
                self.wake();
            }
            Step::Early => self.wake(),
        }
        let learned = self.endpoint.client.saved().learned;
        assert!(learned.routers.iter().len() <= Learned::ROUTERS);
        assert!(learned.addresses.iter().len() <= Learned::PREFIXES);
        assert!(learned.on_link.iter().len() <= Learned::PREFIXES);
        assert!(learned.routes.iter().len() <= Learned::ROUTES);
        assert!(learned.dns.iter().len() <= Learned::DNS);
        assert!(learned.search.iter().len() <= Learned::DNS);
    }

    fn wake(&mut self) {
        let now = self.now;
        self.step(|client| {
            client.handle_timeout(now);
            assert!(client.poll_timeout().is_none_or(|next| next > now), "busy");
        });
    }

    fn command(&mut self, act: impl FnOnce(&mut Client)) {
        self.endpoint.command();
        self.step(act);
    }

    fn step(&mut self, act: impl FnOnce(&mut Client)) {
        let done = self.endpoint.step(self.now, act);
        self.done(done);
    }

    fn hear(&mut self, frame: Vec<u8>) {
        let Ok(frame) = Frame::parse(&frame, Checksum::Verify) else { return };
        if self.endpoint.listens_to(&frame) {
            let done = self.endpoint.hear(&frame, self.now);
            self.done(done);
        }
    }

    fn done(&mut self, done: Result<Vec<Vec<u8>>, String>) {
        for frame in done.unwrap_or_else(|wrong| panic!("the client {wrong}")) {
            if let Ok(Frame { payload: Payload::Udp6(datagram), .. }) =
                Frame::parse(&frame, Checksum::Verify)
            {
                self.asked = datagram.payload.to_vec();
            }
        }
    }

    fn answer(&self, answer: Answer) -> Option<Vec<u8>> {
        let asked = Message::parse(&self.asked).ok()?;
        // Mostly what fits to the question.
        let kind = match (answer.kind % 8, asked.kind) {
            (0, _) => MessageType::Advertise,
            (1, _) => MessageType::Reply,
            (2, _) | (_, MessageType::AddrRegInform) => MessageType::AddrRegReply,
            (_, MessageType::Solicit) => MessageType::Advertise,
            _ => MessageType::Reply,
        };
        let status = |inner: Builder| match answer.status {
            Some(status) => inner.option(code::STATUS_CODE, &[0, status % 8]),
            None => inner,
        };
        let config = self.endpoint.client.config();
        let header = Ia::header(config.iaid, answer.t1, answer.t2);
        let server = Duid::link_layer(if answer.server { SERVER_MAC } else { OTHER_MAC });
        let host = |choice: u8| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 1, (choice % 4).into());
        let mut message = Builder::new(kind, asked.xid)
            .option(code::CLIENT_ID, &config.duid)
            .option(code::SERVER_ID, &server)
            .nest(code::IA_NA, &header, |ia| {
                status(answer.addresses.iter().take(12).fold(ia, |ia, (choice, p, v)| {
                    ia.option(code::IA_ADDRESS, &IaAddress::header(host(*choice), *p, *v))
                }))
            });
        if config.prefix.is_some() {
            message = message.nest(code::IA_PD, &header, |ia| {
                answer.prefixes.iter().take(12).fold(ia, |ia, (choice, length, p, v)| {
                    let data = IaPrefix::header(network(*choice), *length, *p, *v);
                    ia.option(code::IA_PREFIX, &data)
                })
            });
        }
        if answer.registers {
            message = message.option(code::ADDR_REG_ENABLE, &[]);
        }
        let mut payload = message.finish();
        spoil(&mut payload, &answer.edits);
        let to = SocketAddrV6::new(self.endpoint.client.link_local()?, port::CLIENT, 0, 0);
        let from = SocketAddrV6::new(SERVER, port::SERVER, 0, 0);
        Some(udp6(SERVER_MAC, MAC, from, to, &payload))
    }

    /// Something about one of the client's addresses.
    fn neighbour(&self, about: u8, says: u8) -> Option<Vec<u8>> {
        let all: Vec<_> = self.endpoint.client.neighbours().map(|one| one.address).collect();
        let target = *all.get(usize::from(about) % all.len().max(1))?;
        let group = nd::solicited_node(target);
        let solicitation = NdMessage::NeighbourSolicitation { target };
        let mac = [NdOption::SourceMac(OTHER_MAC)];
        Some(match says % 4 {
            0 => nd::emit(OTHER_MAC, SERVER, group, &solicitation, &mac),
            1 => nd::emit(OTHER_MAC, Ipv6Addr::UNSPECIFIED, group, &solicitation, &[]),
            2 => {
                let nonce = [NdOption::Nonce([says; 6].into())];
                nd::emit(OTHER_MAC, Ipv6Addr::UNSPECIFIED, group, &solicitation, &nonce)
            }
            _ => {
                let (router, solicited, replaces) = (false, false, true);
                let said = NeighbourAdvertisement { target, router, solicited, replaces };
                let options = [NdOption::TargetMac(OTHER_MAC)];
                let message = NdMessage::NeighbourAdvertisement(said);
                nd::emit(OTHER_MAC, target, nd::ALL_NODES, &message, &options)
            }
        })
    }
}

fn advertisement(said: &Said) -> Vec<u8> {
    let mut router = Router::other(said.router % 12 + 2);
    router.header.lifetime = said.lifetime;
    router.header.hop_limit = said.hop_limit;
    (router.header.managed, router.header.other) = (said.managed, said.other);
    router.options.extend(said.options.iter().take(30).map(option));
    let mut frame = router.advertisement();
    spoil(&mut frame, &said.edits);
    frame
}

fn spoil(bytes: &mut [u8], edits: &[(u16, u8)]) {
    for (place, value) in edits {
        let place = usize::from(*place) % bytes.len();
        bytes[place] = *value;
    }
}

/// Whether these bytes are something to look at; if they are, what [the module](self) says holds.
pub fn run(bytes: &[u8]) -> bool {
    let Ok(mut life) = Life::arbitrary_take_rest(Unstructured::new(bytes)) else { return false };
    let something = !life.steps.is_empty();
    let stable = InterfaceId::Stable { secret: [7; 16], network: b"lan"[..].into() };
    let config = Config {
        mode: [Mode::Auto, Mode::Slaac, Mode::Dhcp][usize::from(life.mode % 3)],
        interface_id: if life.stable { stable } else { InterfaceId::Eui64 },
        duplicate_check: match life.unchecked {
            true => DuplicateCheck::Off,
            false => DuplicateCheck::Optimistic,
        },
        prefix: life.prefix.then_some(56),
        ..Config::new(MAC)
    };
    let now = Instant::from_boot(Duration::from_secs(1000));
    let mut endpoint = Endpoint::new(Client::new(config, 1), now);
    endpoint.forgive();
    let mut world = World { endpoint, now, seed: 1, asked: Vec::new() };
    for step in life.steps.drain(..).take(200) {
        world.take(step);
    }
    something
}
