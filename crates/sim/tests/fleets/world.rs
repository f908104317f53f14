//! A LAN, its machines and what befalls them, all drawn from one seed.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use dhcp::v4::{Config, ConflictCheck, Defence, OnLoss, State};
use fastrand::Rng;
use sim::{
    Byzantine, Command, Conditions, Endpoint, Lan, Server, ServerId, Squatter, SquatterId, Terms,
    Unknown,
};
use wire::MacAddr;
use wire::dhcp4::code;

use crate::mischief;

const SECOND: Duration = Duration::from_secs(1);
/// Within this time all have an address after all is well again: the longest pause of RFC 2131
/// §4.1, 65 s, and RFC 5227's check, 7 s; both after the last that a slow server had to say, 5 s.
const HEALED: Duration = Duration::from_secs(80);
/// The same where a server may give out what others have: who gets such an address declines it and
/// asks again, nine times at RFC 2131's pace of 10 s, then once a minute (RFC 5227 §2.1.1).
const HEALED_WITH_CONFLICTS: Duration = Duration::from_secs(600);

pub(crate) struct World {
    pub(crate) lan: Lan,
    /// The longest time that healing took.
    pub(crate) slowest: Duration,
    rng: Rng,
    servers: Vec<(ServerId, Terms)>,
    squatter: SquatterId,
    /// The lease time in seconds.
    lease_time: u32,
    /// Whether addresses may be given out that others have.
    conflicts: bool,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy)]
enum Fault {
    BadLink,
    Cut,
    SlowLink,
    Forgets,
    Renumbers,
    Refuses,
    Silent,
    OffersOnly,
    Anonymous,
    IgnoresBroadcast,
    MovesClients,
    GivesToAll,
    Slow,
    PingChecks,
    LeaseTime,
    Timers,
    Changes,
    Byzantine,
    Squatted,
    NewCard,
    PrefersIpv6,
}

const FAULTS: [Fault; 21] = [
    Fault::BadLink,
    Fault::Cut,
    Fault::SlowLink,
    Fault::Forgets,
    Fault::Renumbers,
    Fault::Refuses,
    Fault::Silent,
    Fault::OffersOnly,
    Fault::Anonymous,
    Fault::IgnoresBroadcast,
    Fault::MovesClients,
    Fault::GivesToAll,
    Fault::Slow,
    Fault::PingChecks,
    Fault::LeaseTime,
    Fault::Timers,
    Fault::Changes,
    Fault::Byzantine,
    Fault::Squatted,
    Fault::NewCard,
    Fault::PrefersIpv6,
];

fn choose<T: Clone>(rng: &mut Rng, among: &[T]) -> T {
    among[rng.usize(..among.len())].clone()
}

/// Room for a thousand, so that what is declined does not run out.
fn pool(network: u8) -> RangeInclusive<Ipv4Addr> {
    Ipv4Addr::new(192, 168, network, 0)..=Ipv4Addr::new(192, 168, network + 3, 255)
}

/// Good terms.
fn terms(network: u8, lease_time: u32) -> Terms {
    Terms {
        pool: pool(network),
        mask: Ipv4Addr::new(255, 255, 0, 0),
        lease_time,
        ..Server::home_router().terms
    }
}

impl World {
    /// Servers and clients, started.
    pub(crate) fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let mut lan = Lan::new(rng.u64(..));
        let lease_time = choose(&mut rng, &[30, 30, 60, 120, 300, 3600]);
        let unknown = choose(&mut rng, &[Unknown::Refused, Unknown::Ignored, Unknown::Adopted]);

        let mut first = if rng.u8(..4) == 0 { Server::remote() } else { Server::home_router() };
        first.asks_arp = rng.u8(..4) == 0;
        first.unknown = unknown;
        first.rapid_commit = seed.is_multiple_of(2);
        first.terms = terms(2, lease_time);
        let mut servers = vec![(lan.add_server(first.clone()), first.terms)];
        if rng.u8(..3) == 0 {
            let mut second = Server::second();
            second.terms = terms(6, lease_time);
            second.rapid_commit = seed.is_multiple_of(4);
            // What one grants the other does not know.
            second.unknown = Unknown::Ignored;
            servers.push((lan.add_server(second.clone()), second.terms));
            lan.server_mut(servers[0].0).unknown = Unknown::Ignored;
        }
        let squatter = lan.add_squatter(Squatter::new(MacAddr([2, 0xfe, 0, 0, 0, 1]), []));

        let size = rng.usize(8..32);
        for number in 0..size {
            lan.add_endpoint(config(number, &mut rng));
        }
        lan.start(0..size, choose(&mut rng, &[Duration::ZERO, 10 * SECOND]));
        if rng.u8(..3) == 0 {
            lan.let_talk(choose(&mut rng, &[20 * SECOND, 60 * SECOND]));
        }
        let slowest = Duration::ZERO;
        World { lan, slowest, rng, servers, squatter, lease_time, conflicts: false }
    }

    /// Good times and bad ones in turn.
    pub(crate) fn live(mut self) -> World {
        self.heal();
        for _ in 0..self.rng.u8(3..6) {
            self.suffer();
            self.heal();
            let calm = SECOND * self.lease_time * self.rng.u32(20..44);
            self.lan.run_for(calm);
            self.assert_bound();
        }
        self
    }

    /// Some faults at once, and commands meanwhile.
    fn suffer(&mut self) {
        self.lan.unfiltered = self.rng.u8(..4) == 0;
        for _ in 0..self.rng.u8(1..4) {
            let fault = choose(&mut self.rng, &FAULTS);
            self.strike(fault);
        }
        let lifetime = SECOND * self.lease_time;
        let end = self.lan.now() + lifetime.mul_f64(4.0 + 12.0 * self.rng.f64());
        while self.lan.now() < end {
            let longest = choose(&mut self.rng, &[SECOND / 100, SECOND, lifetime / 10]);
            self.lan.run_for(longest.mul_f64(self.rng.f64()));
            mischief::act(&mut self.lan, &mut self.rng);
        }
    }

    fn strike(&mut self, fault: Fault) {
        let rng = &mut self.rng;
        let (id, _) = choose(rng, &self.servers);
        let lease_time = self.lease_time;
        let now = self.lan.now();
        let server = self.lan.server_mut(id);
        match fault {
            Fault::BadLink => self.lan.conditions = Conditions::awful(),
            Fault::Cut => self.lan.conditions = Conditions::cut(),
            Fault::SlowLink => {
                let delay = (SECOND / 100, SECOND.mul_f64(2.0 * rng.f64()));
                self.lan.conditions = Conditions { delay, ..Conditions::good() };
            }
            Fault::Forgets => {
                server.forget();
                self.conflicts = true;
            }
            Fault::Renumbers => {
                let place = self.servers.iter().position(|(other, _)| *other == id);
                let (_, good) = &mut self.servers[place.expect("it is one of them")];
                let network = 10 + 8 * rng.u8(..20) + 4 * u8::from(place == Some(1));
                server.terms = terms(network, lease_time);
                *good = server.terms.clone();
            }
            Fault::Refuses => server.refuses = true,
            Fault::Silent => server.silent = true,
            Fault::OffersOnly => server.offers_only = true,
            Fault::Anonymous => server.anonymous = true,
            Fault::IgnoresBroadcast => server.ignores_broadcast = true,
            Fault::MovesClients => server.moves_clients = true,
            Fault::GivesToAll => {
                server.gives_to_all = Some(*server.terms.pool.start());
                self.conflicts = true;
            }
            Fault::Slow => {
                server.delay = SECOND.mul_f64(1.0 + 4.0 * rng.f64());
                server.refuses |= rng.bool();
            }
            Fault::PingChecks => server.ping_check = 3 * SECOND,
            Fault::LeaseTime => {
                let times = [0, lease_time / 30, 2 * lease_time, u32::MAX];
                server.terms.lease_time = choose(rng, &times);
            }
            Fault::Timers => {
                let (soon, late) = (lease_time / 15, lease_time / 10 * 9);
                let times =
                    [(late, soon), (0, 0), (soon, soon + 1), (late, late), (u32::MAX, soon)];
                server.terms.timers = Some(choose(rng, &times));
            }
            Fault::Changes => {
                server.terms.router = choose(rng, &[None, Some(Ipv4Addr::new(192, 168, 1, 254))]);
                server.terms.mask = Ipv4Addr::new(255, 255, choose(rng, &[0, 128, 240]), 0);
                server.terms.options = vec![(code::DNS_SERVER, vec![192, 168, 1, rng.u8(1..)])];
            }
            Fault::Byzantine => {
                server.byzantine = Some(Byzantine::new(choose(rng, &[0.1, 0.5, 0.9])));
                self.conflicts = true;
            }
            Fault::Squatted => {
                let number = rng.usize(..self.lan.endpoints().len());
                if let Some(address) = self.lan.endpoints()[number].configured {
                    self.lan.squat(self.squatter, address);
                }
                self.conflicts = true;
            }
            Fault::NewCard => {
                let [.., a] = now.saturating_since(dhcp::Instant::BOOT).as_secs().to_be_bytes();
                let place = u8::from(id != self.servers[0].0);
                self.lan.replace_card(id, MacAddr([2, 0xff, place, 0, 1, a]));
            }
            Fault::PrefersIpv6 => {
                server.prefers_ipv6 = Some(choose(rng, &[0, 1800, u32::MAX]));
                server.spares_addresses = rng.bool();
            }
        }
    }

    /// All is well again: after a while all have an address.
    fn heal(&mut self) {
        self.lan.unfiltered = false;
        self.lan.conditions = Conditions::good();
        for (id, terms) in &self.servers {
            let server = self.lan.server_mut(*id);
            server.terms = terms.clone();
            server.refuses = false;
            server.silent = false;
            server.offers_only = false;
            server.anonymous = false;
            server.ignores_broadcast = false;
            server.moves_clients = false;
            server.gives_to_all = None;
            server.delay = SECOND / 1000;
            server.ping_check = Duration::ZERO;
            server.byzantine = None;
            server.prefers_ipv6 = None;
        }
        // Who is giving back its lease is through with it soon.
        self.lan.run_for(4 * SECOND);
        for number in 0..self.lan.endpoints().len() {
            // The place is held again for those that are down, and only for them.
            let up = self.lan.endpoints()[number].up;
            self.lan.set_up(number, up);
            self.lan.command(number, Command::Start);
        }
        let bound = if self.conflicts { HEALED_WITH_CONFLICTS } else { HEALED };
        let began = self.lan.now();
        let passed = |lan: &Lan| lan.now().saturating_since(began);
        while !self.lan.endpoints().iter().all(has_lease) && passed(&self.lan) < bound {
            // There is no IPv6 here: who did without is told so.
            for number in 0..self.lan.endpoints().len() {
                if self.lan.endpoints()[number].client.state() == State::V6OnlyWait {
                    self.lan.command(number, Command::Insist);
                }
            }
            self.lan.run_for(SECOND);
        }
        self.assert_bound();
        self.slowest = self.slowest.max(passed(&self.lan));
    }

    fn assert_bound(&self) {
        for (number, endpoint) in self.lan.endpoints().iter().enumerate() {
            assert!(
                has_lease(endpoint),
                "at {:?} endpoint {number} is in {} with {:?}: {:?}\n{}",
                self.lan.now(),
                endpoint.client.state(),
                endpoint.client.lease(),
                endpoint.client.progress(),
                self.lan.trace(),
            );
        }
    }
}

/// Whether it has an address, and is entitled to it.
fn has_lease(endpoint: &Endpoint) -> bool {
    endpoint.configured.is_some() && !endpoint.client.is_overdue()
}

fn config(number: usize, rng: &mut Rng) -> Config {
    let [.., a, b] = number.to_be_bytes();
    let mac = MacAddr([2, 0, 0, 0, a, b]);
    let checks =
        [ConflictCheck::Fast, ConflictCheck::Fast, ConflictCheck::Full, ConflictCheck::Off];
    Config {
        host_name: rng.bool().then(|| format!("host-{number}").into()),
        client_id: (rng.u8(..3) == 0).then(|| [&[0][..], b"fleet", &mac.0].concat().into()),
        broadcast: rng.bool(),
        ipv6_only: rng.bool(),
        rapid_commit: number.is_multiple_of(2),
        conflict_check: choose(rng, &checks),
        defence: choose(rng, &[Defence::Once, Defence::Always]),
        on_loss: choose(rng, &[OnLoss::Drop, OnLoss::Keep]),
        ..Config::new(mac)
    }
}
