//! Stations, frames between them, and time.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{Client, Config, State};
use fastrand::Rng;
use wire::MacAddr;
use wire::arp::Arp;
use wire::frame::{Checksum, Frame, Payload};

use crate::command::Command;
use crate::coverage::{Coverage, Input};
use crate::endpoint::Endpoint;
use crate::link::{Conditions, Ways};
use crate::queue::Queue;
use crate::server::Server;
use crate::squatter::Squatter;
use crate::trace::Trace;
use crate::watch::Watch;

/// One layer-2 segment with all that is on it.
pub struct Lan {
    /// What happens to frames from now on.
    pub conditions: Conditions,
    /// Clients hear everything, and not only what passes their filters: what was on its way while a
    /// filter was changed comes through.
    pub unfiltered: bool,
    watch: Watch,
    coverage: Coverage,
    exchanges: Exchanges,
    seed: u64,
    rng: Rng,
    now: Instant,
    queue: Queue<Happening>,
    stations: HashMap<MacAddr, Station>,
    endpoints: Vec<Endpoint>,
    servers: Vec<Server>,
    squatters: Vec<Squatter>,
    trace: Trace,
    ways: Ways<Station>,
    /// How often a container speaks, if they do by themselves.
    talk: Option<Duration>,
}

/// What was asked of servers. An exchange is a DHCPREQUEST with a transaction of its own, whether it
/// is answered or not; one that is sent again is the same exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exchanges {
    /// All.
    pub begun: u64,
    /// Those that began while the [conditions](Conditions::are_bad) were bad or a server
    /// [misbehaved](Server::misbehaves).
    pub under_faults: u64,
    /// DHCPACKs and DHCPNAKs that clients took.
    pub answered: u64,
}

impl std::ops::AddAssign for Exchanges {
    fn add_assign(&mut self, other: Exchanges) {
        self.begun += other.begun;
        self.under_faults += other.under_faults;
        self.answered += other.answered;
    }
}

/// Names a server of a [`Lan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerId(usize);

/// Names a squatter of a [`Lan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SquatterId(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Station {
    Endpoint(usize),
    Server(usize),
    Squatter(usize),
}

enum Happening {
    Arrival { at: Station, frame: Rc<[u8]> },
    Departure { from: Station, frame: Rc<[u8]> },
    Timer { endpoint: usize },
    Talk { endpoint: usize },
    Script(Box<dyn FnOnce(&mut Lan)>),
}

/// Building.
impl Lan {
    /// An empty LAN under good conditions, a thousand seconds after boot.
    pub fn new(seed: u64) -> Lan {
        Lan {
            conditions: Conditions::good(),
            unfiltered: false,
            watch: Watch::default(),
            coverage: Coverage::default(),
            exchanges: Exchanges::default(),
            seed,
            rng: Rng::with_seed(seed),
            now: Instant::from_boot(Duration::from_secs(1000)),
            queue: Queue::new(),
            stations: HashMap::new(),
            endpoints: Vec::new(),
            servers: Vec::new(),
            squatters: Vec::new(),
            trace: Trace::default(),
            ways: Ways::new(),
            talk: None,
        }
    }

    /// Adds a server.
    pub fn add_server(&mut self, server: Server) -> ServerId {
        let number = self.servers.len();
        self.stations.insert(server.mac, Station::Server(number));
        self.servers.push(server);
        ServerId(number)
    }

    /// Adds a machine with addresses that nobody gave it.
    pub fn add_squatter(&mut self, squatter: Squatter) -> SquatterId {
        let number = self.squatters.len();
        self.stations.insert(squatter.mac, Station::Squatter(number));
        self.squatters.push(squatter);
        SquatterId(number)
    }

    /// Adds an endpoint with its own configuration; its number is returned.
    pub fn add_endpoint(&mut self, config: Config) -> usize {
        let number = self.endpoints.len();
        self.stations.insert(config.mac, Station::Endpoint(number));
        let client = Client::new(config, self.rng.u64(..));
        self.endpoints.push(Endpoint::new(client, self.now));
        number
    }

    /// Adds many endpoints that differ by their MACs; their numbers are returned.
    pub fn add_fleet(&mut self, size: usize) -> Range<usize> {
        self.add_fleet_of(size, |config| config)
    }

    /// The same with a configuration that `edit` has changed.
    pub fn add_fleet_of(&mut self, size: usize, edit: impl Fn(Config) -> Config) -> Range<usize> {
        let first = self.endpoints.len();
        for number in first..first + size {
            let [.., a, b, c] = number.to_be_bytes();
            self.add_endpoint(edit(Config::new(MacAddr([2, 0, 0, a, b, c]))));
        }
        first..first + size
    }
}

/// Looking.
impl Lan {
    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// All endpoints.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// A server.
    pub fn server(&self, id: ServerId) -> &Server {
        &self.servers[id.0]
    }

    /// A server, to be changed. Its MAC is changed by [`Lan::replace_card`].
    pub fn server_mut(&mut self, id: ServerId) -> &mut Server {
        &mut self.servers[id.0]
    }

    /// A squatter.
    pub fn squatter(&self, id: SquatterId) -> &Squatter {
        &self.squatters[id.0]
    }

    /// The exchanges so far.
    pub fn exchanges(&self) -> Exchanges {
        self.exchanges
    }

    /// Which input came in which state so far.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// How often two endpoints had one address for a while.
    pub fn shares(&self) -> u32 {
        self.watch.shares()
    }

    /// The last frames, for a failure's report.
    pub fn trace(&self) -> impl fmt::Display {
        &self.trace
    }

    /// How many endpoints have an address.
    pub fn bound(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.configured.is_some()).count()
    }

    /// How many endpoints are in `state`.
    pub fn in_state(&self, state: State) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.client.state() == state).count()
    }
}

/// Doing.
impl Lan {
    /// Starts endpoints, spread evenly over `time`.
    pub fn start(&mut self, endpoints: Range<usize>, time: Duration) {
        let size = u32::try_from(endpoints.len().max(1)).expect("fleets are smaller");
        for (place, number) in (0u32..).zip(endpoints) {
            self.after(time * place / size, move |lan| {
                lan.command(number, Command::Start);
            });
        }
    }

    /// Gives a command to a client.
    pub fn command(&mut self, endpoint: usize, command: Command) {
        let place = &mut self.endpoints[endpoint];
        self.coverage.count(place.client.state(), command.input());
        place.command();
        self.step(endpoint, |client, now| command.give(client, now));
    }

    /// Wakes a client although nothing need be due.
    pub fn wake(&mut self, endpoint: usize) {
        let client = &self.endpoints[endpoint].client;
        if client.poll_timeout().is_none_or(|due| due > self.now) {
            self.coverage.count(client.state(), Input::Early);
        }
        self.step(endpoint, |client, now| client.handle_timeout(now));
    }

    /// A frame reaches an endpoint out of nowhere.
    pub fn inject(&mut self, endpoint: usize, frame: Vec<u8>) {
        let arrival = Happening::Arrival { at: Station::Endpoint(endpoint), frame: frame.into() };
        self.queue.push(self.now, arrival);
    }

    /// From now on each container that is up asks for its router by ARP once in `interval`, as
    /// kernels do that talk to it. Those that are silent do not notice that another has their address.
    pub fn let_talk(&mut self, interval: Duration) {
        self.talk = Some(interval);
        for endpoint in 0..self.endpoints.len() {
            let at = self.now + interval.mul_f64(self.rng.f64());
            self.queue.push(at, Happening::Talk { endpoint });
        }
    }

    /// The daemon of an endpoint starts anew, with the lease that its store has.
    pub fn restart(&mut self, endpoint: usize) {
        let seed = self.rng.u64(..);
        self.endpoints[endpoint].restart(seed, self.now);
        self.step(endpoint, |_, _| {});
    }

    /// The machine of an endpoint boots: its container is gone, and its lease remembered.
    pub fn reboot(&mut self, endpoint: usize) {
        let seed = self.rng.u64(..);
        self.endpoints[endpoint].reboot(seed, self.now);
        self.step(endpoint, |_, _| {});
    }

    /// A squatter takes an address and announces it once, as a machine does that has it from its
    /// own configuration.
    pub fn squat(&mut self, id: SquatterId, address: Ipv4Addr) {
        let squatter = &mut self.squatters[id.0];
        squatter.addresses.insert(address);
        let frame = Arp::announcement(squatter.mac, address).emit(MacAddr::BROADCAST);
        self.send(Station::Squatter(id.0), frame.into());
    }

    /// Stops or starts the container of an endpoint; its lease lives on.
    pub fn set_up(&mut self, endpoint: usize, up: bool) {
        self.endpoints[endpoint].up = up;
        self.command(endpoint, Command::Hold(!up));
    }

    /// A server, or a relay, gets a new card.
    pub fn replace_card(&mut self, id: ServerId, mac: MacAddr) {
        let station = self.stations.remove(&self.servers[id.0].mac).expect("it had a card");
        self.servers[id.0].mac = mac;
        self.stations.insert(mac, station);
    }

    /// Does something after some time.
    pub fn after(&mut self, time: Duration, what: impl FnOnce(&mut Lan) + 'static) {
        self.queue.push(self.now + time, Happening::Script(Box::new(what)));
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, happening)) = self.queue.pop(end) {
            self.now = at;
            if self.talk.is_none() || self.conditions.are_bad() {
                self.watch.nobody_hears(at);
            }
            match happening {
                Happening::Arrival { at: Station::Endpoint(number), frame } => {
                    self.arrive(number, &frame);
                }
                Happening::Arrival { at: Station::Server(number), frame } => {
                    let frame =
                        Frame::parse(&frame, Checksum::Verify).expect("stations send whole frames");
                    let answers = self.servers[number].handle(&frame, self.now, &mut self.rng);
                    for (delay, answer) in answers {
                        let from = Station::Server(number);
                        let departure = Happening::Departure { from, frame: answer.into() };
                        self.queue.push(self.now + delay, departure);
                    }
                }
                Happening::Arrival { at: Station::Squatter(number), frame } => {
                    let frame =
                        Frame::parse(&frame, Checksum::Verify).expect("stations send whole frames");
                    if let Payload::Arp(arp) = &frame.payload
                        && let Some(reply) = self.squatters[number].handle_arp(arp)
                    {
                        self.send(Station::Squatter(number), reply.into());
                    }
                }
                Happening::Departure { from, frame } => self.send(from, frame),
                Happening::Timer { endpoint } => {
                    // Only the timer that was set last goes off.
                    if self.endpoints[endpoint].armed == Some(at) {
                        let place = &mut self.endpoints[endpoint];
                        place.armed = None;
                        self.coverage.count(place.client.state(), Input::Timeout);
                        self.step(endpoint, |client, now| client.handle_timeout(now));
                    }
                }
                Happening::Talk { endpoint } => self.talk(endpoint),
                Happening::Script(what) => what(self),
            }
        }
        self.now = end;
    }

    /// A container asks for its router.
    fn talk(&mut self, number: usize) {
        let Some(interval) = self.talk else { return };
        let endpoint = &self.endpoints[number];
        let lease = endpoint.client.lease().filter(|_| endpoint.up);
        if let Some(lease) = lease
            && endpoint.configured == Some(lease.address)
            && let Some(router) = lease.gateway()
        {
            let question = Arp::request(endpoint.mac(), lease.address, router);
            self.send(Station::Endpoint(number), question.emit(MacAddr::BROADCAST).into());
        }
        self.queue.push(self.now + interval, Happening::Talk { endpoint: number });
    }

    /// A frame reaches an endpoint: the container's kernel and, if it listens, the client.
    fn arrive(&mut self, number: usize, bytes: &[u8]) {
        // What is no frame is dropped by the socket.
        let Ok(frame) = Frame::parse(bytes, Checksum::Verify) else { return };
        let endpoint = &mut self.endpoints[number];
        let reply = match &frame.payload {
            Payload::Arp(arp) => endpoint.kernel_reply(arp),
            Payload::Udp4(_) | Payload::Udp6(_) | Payload::Nd(_) => None,
        };
        if self.unfiltered || endpoint.listens_to(&frame) {
            let progress = endpoint.client.progress();
            let (state, answers) = (endpoint.client.state(), progress.acks + progress.naks);
            let heard = endpoint.hear(&frame, self.now);
            let progress = endpoint.client.progress();
            self.exchanges.answered += u64::from(progress.acks + progress.naks - answers);
            let heard = heard.map(|(frames, exchanges, input)| {
                self.coverage.count(state, input);
                (frames, exchanges)
            });
            self.done(number, heard);
        }
        if let Some(reply) = reply {
            self.send(Station::Endpoint(number), reply.into());
        }
    }

    /// One step of a client.
    fn step(&mut self, number: usize, act: impl FnOnce(&mut Client, Instant)) {
        let now = self.now;
        let done = self.endpoints[number].step(now, |client| act(client, now));
        self.done(number, done);
    }

    /// After a step: its frames go out, its timer is set, and the watch looks at what has come of it.
    fn done(&mut self, number: usize, done: Result<(Vec<Vec<u8>>, u32), String>) {
        let (frames, exchanges) = done.unwrap_or_else(|wrong| self.fail(number, &wrong));
        self.exchanges.begun += u64::from(exchanges);
        if exchanges > 0 && self.is_faulty() {
            self.exchanges.under_faults += u64::from(exchanges);
        }
        for frame in frames {
            self.send(Station::Endpoint(number), frame.into());
        }
        let now = self.now;
        let endpoint = &mut self.endpoints[number];
        let due = endpoint.client.poll_timeout();
        if due != endpoint.armed {
            endpoint.armed = due.map(|at| at.max(now));
            if let Some(at) = endpoint.armed {
                self.queue.push(at, Happening::Timer { endpoint: number });
            }
        }
        if let Err(wrong) = self.watch.check(number, &self.endpoints, &self.servers, now) {
            self.fail(number, &wrong);
        }
    }

    fn is_faulty(&self) -> bool {
        self.conditions.are_bad() || self.servers.iter().any(Server::misbehaves)
    }

    /// Sends a frame to the station it is for, or to all others that would not filter it out.
    fn send(&mut self, from: Station, frame: Rc<[u8]>) {
        self.trace.record(self.now, &frame);
        let to = MacAddr(*frame.first_chunk().expect("stations send whole frames"));
        if to != MacAddr::BROADCAST {
            if let Some(station) = self.stations.get(&to).copied() {
                self.deliver(from, station, &frame);
            }
            return;
        }
        let parsed = Frame::parse(&frame, Checksum::Verify).expect("stations send whole frames");
        for server in 0..self.servers.len() {
            self.deliver(from, Station::Server(server), &frame);
        }
        if let Payload::Arp(_) = &parsed.payload {
            for squatter in 0..self.squatters.len() {
                self.deliver(from, Station::Squatter(squatter), &frame);
            }
        }
        for number in 0..self.endpoints.len() {
            let endpoint = &self.endpoints[number];
            let asked = match &parsed.payload {
                Payload::Arp(arp) => endpoint.configured == Some(arp.target_ip),
                Payload::Udp4(_) | Payload::Udp6(_) | Payload::Nd(_) => false,
            };
            if asked || self.unfiltered || endpoint.listens_to(&parsed) {
                self.deliver(from, Station::Endpoint(number), &frame);
            }
        }
    }

    /// Sends a frame on its way to a station.
    fn deliver(&mut self, from: Station, at: Station, frame: &Rc<[u8]>) {
        if from == at {
            return;
        }
        for arrival in self.ways.arrivals((from, at), &self.conditions, self.now, &mut self.rng) {
            let frame = Rc::clone(frame);
            self.queue.push(arrival, Happening::Arrival { at, frame });
        }
    }

    fn fail(&self, number: usize, wrong: &str) -> ! {
        let endpoint = &self.endpoints[number];
        panic!(
            "endpoint {number} ({}, {}) {wrong}\nat {:?}, seed {}; the last frames:\n{}",
            endpoint.mac(),
            endpoint.client.state(),
            self.now,
            self.seed,
            self.trace,
        );
    }
}

impl fmt::Debug for Lan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lan")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .field("endpoints", &self.endpoints.len())
            .field("bound", &self.bound())
            .field("servers", &self.servers.len())
            .finish_non_exhaustive()
    }
}
