//! Stations, frames between them, and time.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{Client, Config, State};
use fastrand::Rng;
use wire::MacAddr;
use wire::dhcp4::port;
use wire::frame::{Checksum, Frame, Payload};

use crate::endpoint::Endpoint;
use crate::link::Conditions;
use crate::queue::Queue;
use crate::server::Server;
use crate::trace::Trace;
use crate::watch::Watch;

/// One layer-2 segment with all that is on it.
pub struct Lan {
    /// What happens to frames from now on.
    pub conditions: Conditions,
    /// What is looked at.
    pub watch: Watch,
    seed: u64,
    rng: Rng,
    now: Instant,
    queue: Queue<Happening>,
    stations: HashMap<MacAddr, Station>,
    endpoints: Vec<Endpoint>,
    servers: Vec<Server>,
    trace: Trace,
    last_arrival: HashMap<(Station, Station), Instant>,
}

/// Names a server of a [`Lan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerId(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Station {
    Endpoint(usize),
    Server(usize),
}

enum Happening {
    Arrival { at: Station, frame: Rc<[u8]> },
    Departure { from: Station, frame: Rc<[u8]> },
    Timer { endpoint: usize },
    Script(Box<dyn FnOnce(&mut Lan)>),
}

/// Building.
impl Lan {
    /// An empty LAN under good conditions, a thousand seconds after boot.
    pub fn new(seed: u64) -> Lan {
        Lan {
            conditions: Conditions::good(),
            watch: Watch::new(),
            seed,
            rng: Rng::with_seed(seed),
            now: Instant::from_boot(Duration::from_secs(1000)),
            queue: Queue::new(),
            stations: HashMap::new(),
            endpoints: Vec::new(),
            servers: Vec::new(),
            trace: Trace::default(),
            last_arrival: HashMap::new(),
        }
    }

    /// Adds a server.
    pub fn add_server(&mut self, server: Server) -> ServerId {
        let number = self.servers.len();
        self.stations.insert(server.mac, Station::Server(number));
        self.servers.push(server);
        ServerId(number)
    }

    /// Adds an endpoint with its own configuration; its number is returned.
    pub fn add_endpoint(&mut self, config: Config) -> usize {
        let number = self.endpoints.len();
        self.stations.insert(config.mac, Station::Endpoint(number));
        let client = Client::new(config, self.rng.u64(..));
        self.endpoints.push(Endpoint::new(client));
        number
    }

    /// Adds many endpoints that differ by their MACs; their numbers are returned.
    pub fn add_fleet(&mut self, size: usize) -> Range<usize> {
        let first = self.endpoints.len();
        for number in first..first + size {
            let [.., a, b, c] = number.to_be_bytes();
            self.add_endpoint(Config::new(MacAddr([2, 0, 0, a, b, c])));
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
                lan.command(number, |client, now| client.start(now));
            });
        }
    }

    /// Gives a command to a client.
    pub fn command(&mut self, endpoint: usize, act: impl FnOnce(&mut Client, Instant)) {
        self.step(endpoint, act);
    }

    /// The daemon of an endpoint starts anew, with the lease that its store has.
    pub fn restart(&mut self, endpoint: usize) {
        let seed = self.rng.u64(..);
        let now = self.now;
        let place = &mut self.endpoints[endpoint];
        let config = place.client.config().clone();
        let started = match place.client.lease().cloned() {
            Some(lease) => Client::resume(config, lease, seed, now),
            None => {
                let mut client = Client::new(config, seed);
                client.start(now);
                client
            }
        };
        place.client = started;
        place.client.hold(!place.up);
        self.step(endpoint, |_, _| {});
    }

    /// Stops or starts the container of an endpoint; its lease lives on.
    pub fn set_up(&mut self, endpoint: usize, up: bool) {
        self.endpoints[endpoint].up = up;
        self.step(endpoint, |client, _| client.hold(!up));
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
            match happening {
                Happening::Arrival { at: Station::Endpoint(number), frame } => {
                    self.arrive(number, &frame);
                }
                Happening::Arrival { at: Station::Server(number), frame } => {
                    let frame =
                        Frame::parse(&frame, Checksum::Verify).expect("stations send whole frames");
                    let answers = self.servers[number].handle(&frame, self.now);
                    let ready = self.now + self.servers[number].delay;
                    for answer in answers {
                        let from = Station::Server(number);
                        self.queue.push(ready, Happening::Departure { from, frame: answer.into() });
                    }
                }
                Happening::Departure { from, frame } => self.send(from, frame),
                Happening::Timer { endpoint } => {
                    // Only the timer that was set last goes off.
                    if self.endpoints[endpoint].armed == Some(at) {
                        self.endpoints[endpoint].armed = None;
                        self.step(endpoint, |client, now| client.handle_timeout(now));
                    }
                }
                Happening::Script(what) => what(self),
            }
        }
        self.now = end;
    }

    /// A frame reaches an endpoint: the container's kernel and, if it listens, the client.
    fn arrive(&mut self, number: usize, bytes: &[u8]) {
        let frame = Frame::parse(bytes, Checksum::Verify).expect("stations send whole frames");
        let endpoint = &self.endpoints[number];
        let listening = endpoint.client.listening();
        let (passed, reply) = match &frame.payload {
            Payload::Arp(arp) => (listening.arp, endpoint.kernel_reply(arp)),
            Payload::Udp4(_) => (listening.dhcp, None),
        };
        if let Some(reply) = reply {
            self.send(Station::Endpoint(number), reply.into());
        }
        if passed {
            self.step(number, |client, now| client.handle_frame(&frame, now));
        }
    }

    /// One step of a client by the contract of its run loop, under the eyes of the watch.
    fn step(&mut self, number: usize, act: impl FnOnce(&mut Client, Instant)) {
        let now = self.now;
        let before = self.endpoints[number].configured;
        act(&mut self.endpoints[number].client, now);
        loop {
            if let Some(frame) = self.endpoints[number].client.poll_transmit() {
                self.endpoints[number].history.frames += 1;
                let endpoint = &self.endpoints[number];
                let verdict = self.watch.check_frame(endpoint, before, &frame, now);
                self.send(Station::Endpoint(number), frame.into());
                self.judge(number, verdict);
            } else if let Some(event) = self.endpoints[number].client.poll_event() {
                self.endpoints[number].apply(&event, now);
            } else {
                break;
            }
        }
        let endpoint = &mut self.endpoints[number];
        if let State::Releasing = endpoint.client.state() {
            endpoint.configured = None;
        }
        let due = endpoint.client.poll_timeout();
        if due != endpoint.armed {
            endpoint.armed = due.map(|at| at.max(now));
            if let Some(at) = endpoint.armed {
                self.queue.push(at, Happening::Timer { endpoint: number });
            }
        }
        let verdict = self.watch.check(&self.endpoints[number], &self.servers, now);
        self.judge(number, verdict);
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
        for number in 0..self.endpoints.len() {
            let endpoint = &self.endpoints[number];
            let passed = match &parsed.payload {
                Payload::Arp(arp) => {
                    endpoint.configured == Some(arp.target_ip) || endpoint.client.listening().arp
                }
                Payload::Udp4(datagram) => {
                    datagram.destination.port() == port::CLIENT && endpoint.client.listening().dhcp
                }
            };
            if passed {
                self.deliver(from, Station::Endpoint(number), &frame);
            }
        }
    }

    /// What one station sends to another arrives in order, unless the conditions say otherwise.
    fn deliver(&mut self, from: Station, at: Station, frame: &Rc<[u8]>) {
        if from == at {
            return;
        }
        for delivery in self.conditions.deliveries(&mut self.rng) {
            let mut arrival = self.now + delivery.delay;
            let last = self.last_arrival.entry((from, at)).or_insert(arrival);
            if delivery.overtaken {
                arrival = arrival + self.conditions.held_back;
            } else {
                *last = arrival.max(*last);
                arrival = *last;
            }
            let frame = Rc::clone(frame);
            self.queue.push(arrival, Happening::Arrival { at, frame });
        }
    }

    fn judge(&self, number: usize, verdict: Result<(), String>) {
        if let Err(wrong) = verdict {
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
