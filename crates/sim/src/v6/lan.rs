//! Stations, frames between them, and time.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{Client, Config, State};
use fastrand::Rng;
use wire::MacAddr;
use wire::dhcp6::SERVERS;
use wire::frame::{Checksum, Frame, Payload};
use wire::nd::{self, Message};

use super::endpoint::Endpoint;
use super::router::{Answer, Router};
use super::sent::Sent;
use super::server::Server;
use super::watch::Watch;
use crate::link::{Conditions, Ways};
use crate::queue::Queue;
use crate::trace::Trace;

/// One layer-2 segment with all that is on it.
pub struct Lan {
    /// What happens to frames from now on.
    pub conditions: Conditions,
    watch: Watch,
    seed: u64,
    rng: Rng,
    now: Instant,
    queue: Queue<Happening>,
    /// By MAC, which endpoints may share.
    stations: HashMap<MacAddr, Vec<Station>>,
    endpoints: Vec<Endpoint>,
    routers: Vec<Router>,
    servers: Vec<Server>,
    /// Who hears neighbour discovery about an address: endpoints by number.
    hearers: HashMap<Ipv6Addr, Vec<usize>>,
    trace: Trace,
    ways: Ways<Station>,
    /// An answer may be one to a question that was asked so much earlier than the last one.
    slack: Duration,
}

/// Names a router of a [`Lan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterId(usize);

/// Names a server of a [`Lan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerId(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Station {
    Endpoint(usize),
    Router(usize),
    Server(usize),
    /// A machine that only talks.
    Stranger,
}

enum Happening {
    Arrival {
        at: Station,
        frame: Rc<[u8]>,
    },
    Departure {
        from: Station,
        frame: Rc<[u8]>,
    },
    Timer {
        endpoint: usize,
    },
    /// A router advertises to all: because it was asked, or because its interval is over.
    Advertise {
        router: usize,
        asked: bool,
    },
    Script(Box<dyn FnOnce(&mut Lan)>),
}

/// Building.
impl Lan {
    /// An empty LAN under good conditions, a thousand seconds after boot.
    pub fn new(seed: u64) -> Lan {
        Lan {
            conditions: Conditions::good(),
            watch: Watch::default(),
            seed,
            rng: Rng::with_seed(seed),
            now: Instant::from_boot(Duration::from_secs(1000)),
            queue: Queue::new(),
            stations: HashMap::new(),
            endpoints: Vec::new(),
            routers: Vec::new(),
            servers: Vec::new(),
            hearers: HashMap::new(),
            trace: Trace::default(),
            ways: Ways::new(),
            slack: Duration::ZERO,
        }
    }

    /// Adds a router. Its first advertisement that nobody asks for comes after one of its intervals.
    pub fn add_router(&mut self, router: Router) -> RouterId {
        let number = self.routers.len();
        self.stations.insert(router.mac, vec![Station::Router(number)]);
        let first = self.now + router.pause(&mut self.rng);
        self.routers.push(router);
        self.queue.push(first, Happening::Advertise { router: number, asked: false });
        RouterId(number)
    }

    /// Adds a server.
    pub fn add_server(&mut self, server: Server) -> ServerId {
        let number = self.servers.len();
        self.stations.insert(server.mac, vec![Station::Server(number)]);
        self.servers.push(server);
        ServerId(number)
    }

    /// Adds an endpoint with its own configuration; its number is returned.
    pub fn add_endpoint(&mut self, config: Config) -> usize {
        let number = self.endpoints.len();
        self.stations.entry(config.link_mac()).or_default().push(Station::Endpoint(number));
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

    /// A router, to be changed.
    pub fn router_mut(&mut self, id: RouterId) -> &mut Router {
        &mut self.routers[id.0]
    }

    /// A server.
    pub fn server(&self, id: ServerId) -> &Server {
        &self.servers[id.0]
    }

    /// A server, to be changed.
    pub fn server_mut(&mut self, id: ServerId) -> &mut Server {
        &mut self.servers[id.0]
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
    pub fn addressed(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| !endpoint.configured.is_empty()).count()
    }

    /// How many endpoints have a prefix.
    pub fn delegated(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| !endpoint.delegated.is_empty()).count()
    }

    /// How many endpoints are in `state`.
    pub fn in_state(&self, state: State) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.client.state() == state).count()
    }

    /// What all endpoints have sent.
    pub fn sent(&self) -> Sent {
        let mut all = Sent::default();
        self.endpoints.iter().for_each(|endpoint| all.add(&endpoint.history.sent));
        all
    }
}

/// Doing.
impl Lan {
    /// Starts endpoints, spread evenly over `time`.
    pub fn start(&mut self, endpoints: Range<usize>, time: Duration) {
        let size = u32::try_from(endpoints.len().max(1)).expect("fleets are smaller");
        for (place, number) in (0u32..).zip(endpoints) {
            self.after(time * place / size, move |lan| lan.command(number, Client::start));
        }
    }

    /// Gives a command to a client.
    pub fn command(&mut self, endpoint: usize, command: impl FnOnce(&mut Client, Instant)) {
        self.endpoints[endpoint].command();
        self.step(endpoint, command);
    }

    /// The link of an endpoint was away: after that time all is asked anew.
    pub fn confirm(&mut self, endpoint: usize, later: Duration) {
        self.endpoints[endpoint].moves(self.now + later);
        self.command(endpoint, |client, now| client.confirm(now + later, now));
    }

    /// The daemon of an endpoint is killed and starts anew.
    pub fn restart(&mut self, endpoint: usize) {
        let seed = self.rng.u64(..);
        self.endpoints[endpoint].restart(seed, self.now);
        self.step(endpoint, |_, _| {});
    }

    /// The machine of an endpoint boots: its container is gone, and what was stored is not.
    pub fn reboot(&mut self, endpoint: usize) {
        let seed = self.rng.u64(..);
        self.endpoints[endpoint].reboot(seed, self.now);
        self.step(endpoint, |_, _| {});
    }

    /// Stops or starts the container of an endpoint; its client goes on.
    pub fn set_up(&mut self, endpoint: usize, up: bool) {
        self.endpoints[endpoint].up = up;
        self.command(endpoint, |client, _| client.hold(!up));
    }

    /// A router advertises to all what it says now.
    pub fn advertise(&mut self, id: RouterId) {
        self.queue.push(self.now, Happening::Advertise { router: id.0, asked: true });
    }

    /// A frame comes from a machine that is not known. It goes where its MAC says.
    pub fn say(&mut self, frame: Vec<u8>) {
        let from = Station::Stranger;
        self.queue.push(self.now, Happening::Departure { from, frame: frame.into() });
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
            self.look_at_the_lan();
            match happening {
                Happening::Arrival { at: Station::Endpoint(number), frame } => {
                    self.arrive(number, &frame);
                }
                Happening::Arrival { at: Station::Router(number), frame } => {
                    self.ask_router(number, &frame);
                }
                Happening::Arrival { at: Station::Server(number), frame } => {
                    let frame =
                        Frame::parse(&frame, Checksum::Verify).expect("stations send whole frames");
                    let delay = self.servers[number].delay;
                    for answer in self.servers[number].handle(&frame, self.now, &mut self.rng) {
                        let from = Station::Server(number);
                        let departure = Happening::Departure { from, frame: answer.into() };
                        self.queue.push(self.now + delay, departure);
                    }
                }
                Happening::Arrival { at: Station::Stranger, .. } => {}
                Happening::Departure { from, frame } => self.send(from, frame),
                Happening::Timer { endpoint } => {
                    // Only the timer that was set last goes off.
                    if self.endpoints[endpoint].armed == Some(at) {
                        self.endpoints[endpoint].armed = None;
                        self.step(endpoint, |client, now| {
                            client.handle_timeout(now);
                            let next = client.poll_timeout();
                            assert!(next.is_none_or(|next| next > now), "{endpoint} is busy");
                        });
                    }
                }
                Happening::Advertise { router, asked } => self.router_speaks(router, asked),
                Happening::Script(what) => what(self),
            }
        }
        self.now = end;
    }

    fn look_at_the_lan(&mut self) {
        if self.conditions.are_bad() {
            self.watch.nobody_hears();
        }
        let way = self.conditions.delay.1 + self.conditions.held_back;
        let slowest = self.servers.iter().map(|server| server.delay).max().unwrap_or_default();
        if self.conditions.are_bad() || slowest > Duration::from_millis(10) {
            self.slack = self.slack.max(slowest + 2 * way);
        }
    }

    fn ask_router(&mut self, number: usize, frame: &[u8]) {
        let frame = Frame::parse(frame, Checksum::Verify).expect("stations send whole frames");
        let Payload::Nd(nd) = &frame.payload else { return };
        let router = &mut self.routers[number];
        match router.hear((frame.source, nd), self.now, &mut self.rng) {
            None => {}
            Some(Answer::ToAll(at)) => {
                self.queue.push(at, Happening::Advertise { router: number, asked: true });
            }
            Some(Answer::To(mac, address, at)) => {
                let frame = router.advertisement_to(mac, address).into();
                let from = Station::Router(number);
                self.queue.push(at, Happening::Departure { from, frame });
            }
        }
    }

    fn router_speaks(&mut self, number: usize, asked: bool) {
        let now = self.now;
        let router = &mut self.routers[number];
        if !asked {
            let next = now + router.pause(&mut self.rng);
            self.queue.push(next, Happening::Advertise { router: number, asked });
        }
        if !router.silent {
            router.spoke(now);
            let frame = router.advertisement().into();
            self.send(Station::Router(number), frame);
        }
    }

    /// A frame reaches an endpoint: the container's kernel and, if it listens, the client.
    fn arrive(&mut self, number: usize, bytes: &[u8]) {
        // What is no frame is dropped by the socket.
        let Ok(frame) = Frame::parse(bytes, Checksum::Verify) else { return };
        let endpoint = &mut self.endpoints[number];
        let reply = match &frame.payload {
            Payload::Nd(nd) => endpoint.kernel_reply(frame.source, nd),
            Payload::Udp6(_) | Payload::Arp(_) | Payload::Udp4(_) => None,
        };
        if endpoint.listens_to(&frame) {
            let heard = endpoint.hear(&frame, self.now);
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
    fn done(&mut self, number: usize, done: Result<Vec<Vec<u8>>, String>) {
        let frames = done.unwrap_or_else(|wrong| self.fail(number, &wrong));
        self.update_hearers(number);
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
        let times = (now, self.slack);
        if let Err(wrong) = self.watch.check(number, &self.endpoints, &self.servers, times) {
            self.fail(number, &wrong);
        }
    }

    fn update_hearers(&mut self, number: usize) {
        let new = self.endpoints[number].neighbours();
        if new == self.endpoints[number].hears {
            return;
        }
        for gone in std::mem::replace(&mut self.endpoints[number].hears, new.clone()) {
            if let Some(hearers) = self.hearers.get_mut(&gone) {
                hearers.retain(|other| *other != number);
                if hearers.is_empty() {
                    self.hearers.remove(&gone);
                }
            }
        }
        for address in new {
            self.hearers.entry(address).or_default().push(number);
        }
    }

    /// Sends a frame to the station it is for, or to those of its group that would not filter it out.
    fn send(&mut self, from: Station, frame: Rc<[u8]>) {
        self.trace.record(self.now, &frame);
        let to = MacAddr(*frame.first_chunk().expect("stations send whole frames"));
        if to.is_unicast() {
            match self.stations.get(&to).cloned().unwrap_or_default()[..] {
                [station] => self.deliver(from, station, &frame),
                // Those that share a MAC are found by what is theirs.
                ref sharing => sharing.iter().for_each(|station| {
                    if self.is_meant(*station, &frame) {
                        self.deliver(from, *station, &frame);
                    }
                }),
            }
        } else if to == MacAddr::of_group(nd::ALL_ROUTERS) {
            (0..self.routers.len()).for_each(|n| self.deliver(from, Station::Router(n), &frame));
        } else if to == MacAddr::of_group(SERVERS) {
            (0..self.servers.len()).for_each(|n| self.deliver(from, Station::Server(n), &frame));
        } else if let Some(target) = target(&frame) {
            for number in self.hearers.get(&target).cloned().unwrap_or_default() {
                self.deliver(from, Station::Endpoint(number), &frame);
            }
        } else if to == MacAddr::of_group(nd::ALL_NODES) {
            (0..self.endpoints.len())
                .for_each(|n| self.deliver(from, Station::Endpoint(n), &frame));
        }
    }

    /// Whether a frame is sent to an address of an endpoint's.
    fn is_meant(&self, station: Station, frame: &[u8]) -> bool {
        let Station::Endpoint(number) = station else { return false };
        let to = match Frame::parse(frame, Checksum::Verify).map(|frame| frame.payload) {
            Ok(Payload::Udp6(datagram)) => *datagram.destination.ip(),
            Ok(Payload::Nd(nd)) => nd.destination,
            _ => return false,
        };
        self.endpoints[number].client.is_ours(to)
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

/// The address that a frame of neighbour discovery is about.
fn target(frame: &[u8]) -> Option<Ipv6Addr> {
    match Frame::parse(frame, Checksum::Verify).ok()?.payload {
        Payload::Nd(nd) => match nd.message {
            Message::NeighbourSolicitation { target } => Some(target),
            Message::NeighbourAdvertisement(said) => Some(said.target),
            Message::RouterSolicitation | Message::RouterAdvertisement(_) => None,
        },
        Payload::Udp6(_) | Payload::Arp(_) | Payload::Udp4(_) => None,
    }
}

impl fmt::Debug for Lan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lan")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .field("endpoints", &self.endpoints.len())
            .field("addressed", &self.addressed())
            .field("routers", &self.routers.len())
            .field("servers", &self.servers.len())
            .finish_non_exhaustive()
    }
}
