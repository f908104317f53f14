//! LANs, their machines and what befalls them, each drawn from one seed: whatever comes together, the
//! rules hold at each step, and when all is well again, all have an address.

use std::cell::RefCell;
use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::ipv6::{Client, Config, DuplicateCheck, InterfaceId, Mode, State};
use fastrand::Rng;
use sim::v6::{Fault, KINDS, Lan, Router, RouterId, Sent, Server, ServerId, Terms};
use sim::{Conditions, Host};
use wire::MacAddr;
use wire::dhcp6::StatusCode;
use wire::nd::NdOption;

use crate::lans::*;

const WORLDS: u64 = 10;
/// Within this time all have an address after all is well again: SOL_MAX_RT and a tenth of it, where no
/// server could say another one, and an exchange.
const HEALED: Duration = Duration::from_secs(4020);

struct World {
    lan: Lan,
    rng: Rng,
    routers: Vec<(RouterId, Router)>,
    servers: Vec<(ServerId, Terms)>,
    /// The valid lifetime in seconds.
    valid: u32,
    /// Whether the routers say that there is a server.
    managed: bool,
}

fn choose<T: Clone>(rng: &mut Rng, among: &[T]) -> T {
    among[rng.usize(..among.len())].clone()
}

/// Nobody waits for longer than a minute, as the servers say (RFC 8415 §21.24).
fn terms(good: Terms, valid: u32) -> Terms {
    let of_prefixes = Some((valid / 2, valid / 3 * 4));
    Terms { preferred: valid / 4 * 3, valid, of_prefixes, max_rt: Some(60), ..good }
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let mut lan = Lan::new(rng.u64(..));
        let valid = choose(&mut rng, &[60, 120, 600, 3600]);
        let managed = rng.u8(..3) > 0;

        let mut first = if managed { Router::managed() } else { Router::home() };
        first.interval = Duration::from_secs(30);
        first.header.lifetime = 90;
        first.header.other = rng.bool();
        if !managed || rng.u8(..3) == 0 {
            first.options.retain(|option| !matches!(option, NdOption::Prefix(_)));
            first.options.push(Router::prefix(prefix(1), valid, valid / 4 * 3));
        }
        let mut second = Router::other(2);
        second.header.managed = managed;
        second.interval = Duration::from_secs(30);
        let mut routers = vec![(lan.add_router(first.clone()), first)];
        if rng.bool() {
            routers.push((lan.add_router(second.clone()), second));
        }
        let mut servers = Vec::new();
        for mut server in [Server::new(), Server::second()] {
            server.terms = terms(server.terms, valid);
            server.rapid_commit = servers.is_empty() && rng.u8(..3) == 0;
            (server.registers, server.sole) = (rng.u8(..3) > 0, rng.bool());
            let terms = server.terms.clone();
            servers.push((lan.add_server(server), terms));
        }
        let size = rng.usize(6..20);
        for number in 0..size {
            lan.add_endpoint(config(number, managed, &mut rng));
        }
        lan.start(0..size, choose(&mut rng, &[Duration::ZERO, 10 * SECOND]));
        World { lan, rng, routers, servers, valid, managed }
    }

    /// Good times and bad ones in turn.
    fn live(mut self) -> World {
        self.heal();
        for _ in 0..self.rng.u8(3..6) {
            self.suffer();
            self.heal();
            self.lan.run_for(SECOND * self.valid * 20);
            self.assert_addressed();
        }
        self
    }

    /// Some faults at once, and commands meanwhile.
    fn suffer(&mut self) {
        for _ in 0..self.rng.u8(1..4) {
            self.strike();
        }
        let lifetime = SECOND * self.valid;
        let end = self.lan.now() + lifetime.mul_f64(1.0 + 5.0 * self.rng.f64());
        while self.lan.now() < end {
            let longest = choose(&mut self.rng, &[SECOND, 10 * SECOND, lifetime / 5]);
            self.lan.run_for(longest.mul_f64(self.rng.f64()));
            self.act();
        }
    }

    fn strike(&mut self) {
        let rng = &mut self.rng;
        let (router, _) = choose(rng, &self.routers);
        let (server, good) = choose(rng, &self.servers);
        let valid = self.valid;
        let any = *good.pool.start();
        match rng.u8(..13) {
            0 => self.lan.conditions = Conditions::awful(),
            1 => self.lan.conditions = Conditions::cut(),
            2 => {
                let delay = (SECOND / 100, SECOND.mul_f64(2.0 * rng.f64()));
                self.lan.conditions = Conditions { delay, ..Conditions::good() };
            }
            3 => self.lan.router_mut(router).silent = true,
            4 => {
                let said = self.lan.router_mut(router);
                said.header.lifetime = choose(rng, &[0, 1, 5, u16::MAX]);
                said.header.managed ^= rng.bool();
                said.header.other ^= rng.bool();
                let times = choose(rng, &[(0, 0), (1, 1), (valid, valid + 1), (7200, 0)]);
                said.options.push(Router::prefix(prefix(rng.u16(1..4)), times.0, times.1));
                self.lan.advertise(router);
            }
            5 => self.lan.server_mut(server).forget(),
            6 => self.lan.server_mut(server).delay = SECOND.mul_f64(1.0 + 3.0 * rng.f64()),
            7 => {
                let times = [
                    (0, 0, 0, 0),
                    (valid, valid, valid, 1),
                    (u32::MAX, valid, 0, 0),
                    (valid, u32::MAX, 0, 0),
                    (valid / 2, valid, 1, 2),
                    (valid / 10, valid / 5, 0, 0),
                    (0, valid, u32::MAX, u32::MAX),
                ];
                let (preferred, valid, t1, t2) = choose(rng, &times);
                let terms = &mut self.lan.server_mut(server).terms;
                if rng.bool() {
                    (terms.preferred, terms.valid) = (preferred, valid);
                }
                if rng.bool() {
                    terms.of_prefixes = Some((preferred, valid));
                }
                terms.timers = (t1, t2);
            }
            8 => {
                // No addresses any more, or no prefixes, or others.
                let terms = &mut self.lan.server_mut(server).terms;
                match rng.u8(..4) {
                    0 => terms.pool = nothing(&terms.pool),
                    1 => terms.sites = nothing(&terms.sites),
                    2 => terms.lengths = 60..=60,
                    _ => {
                        terms.sites =
                            good.sites.start().plus(0x2000)..=good.sites.end().plus(0x2000)
                    }
                }
            }
            _ => {
                let faults = [
                    Fault::Silent,
                    Fault::AdvertisesOnly,
                    Fault::Status(StatusCode::UnspecFail),
                    Fault::Status(StatusCode::NotOnLink),
                    Fault::NoBinding,
                    Fault::OtherTransaction,
                    Fault::OtherClient,
                    Fault::OtherServer,
                    Fault::Moves,
                    Fault::GivesToAll(any),
                    Fault::Flood,
                    Fault::Garbles,
                    Fault::Repeats,
                ];
                self.lan.server_mut(server).fault = Some(choose(rng, &faults));
            }
        }
    }

    /// Something happens to one endpoint.
    fn act(&mut self) {
        let lan = &mut self.lan;
        let number = self.rng.usize(..lan.endpoints().len());
        match self.rng.u8(..9) {
            0 => lan.restart(number),
            1 => lan.reboot(number),
            2 => lan.command(number, Client::release),
            3 | 4 => lan.command(number, Client::start),
            5 => lan.command(number, Client::renew),
            6 => {
                let later = SECOND.mul_f64(5.0 * self.rng.f64());
                lan.confirm(number, later);
            }
            7 => lan.command(number, |client, now| client.set_host_name(Some("web"), now)),
            _ if lan.endpoints()[number].history.ready > 0 => {
                let up = lan.endpoints()[number].up;
                lan.set_up(number, !up);
            }
            _ => {}
        }
    }

    /// All is well again: after a while all have an address.
    fn heal(&mut self) {
        self.lan.conditions = Conditions::good();
        for (id, terms) in &self.servers {
            let server = self.lan.server_mut(*id);
            server.terms = terms.clone();
            (server.fault, server.delay) = (None, SECOND / 1000);
        }
        for (id, good) in &self.routers {
            let router = self.lan.router_mut(*id);
            (router.header, router.options) = (good.header, good.options.clone());
            router.silent = false;
            self.lan.advertise(*id);
        }
        // Who is giving back its lease is through with it soon.
        self.lan.run_for(20 * SECOND);
        for number in 0..self.lan.endpoints().len() {
            self.lan.command(number, Client::start);
        }
        let end = self.lan.now() + HEALED;
        while self.missing().is_some() && self.lan.now() < end {
            self.lan.run_for(SECOND);
        }
        self.assert_addressed();
    }

    /// An endpoint without an address, or without the prefix that it asks for.
    fn missing(&self) -> Option<usize> {
        self.lan.endpoints().iter().position(|endpoint| {
            let waits = endpoint.client.config().prefix.is_some() && endpoint.delegated.is_empty();
            endpoint.configured.is_empty() || waits
        })
    }

    fn assert_addressed(&self) {
        if let Some(number) = self.missing() {
            let client = &self.lan.endpoints()[number].client;
            panic!(
                "at {:?} endpoint {number} is {}, {:?}, {:?}, with {:?}, where the routers say managed: \
                 {}; {:?}\n{}",
                self.lan.now(),
                client.state(),
                client.config().mode,
                client.config().prefix,
                client.configuration(),
                self.managed,
                client.progress(),
                self.lan.trace(),
            );
        }
    }
}

fn config(number: usize, managed: bool, rng: &mut Rng) -> Config {
    let [.., a, b] = number.to_be_bytes();
    let mac = MacAddr([2, 0, 0, 0, a, b]);
    let stable = InterfaceId::Stable { secret: [7; 16], network: b"lan"[..].into() };
    let other = if managed { Mode::Dhcp } else { Mode::Slaac };
    Config {
        mode: choose(rng, &[Mode::Auto, Mode::Auto, other]),
        interface_id: choose(rng, &[InterfaceId::Eui64, stable]),
        prefix: rng.bool().then(|| choose(rng, &[0, 48, 56, 60, 64])),
        host_name: rng.bool().then(|| format!("host-{number}").into()),
        duplicate_check: match rng.u8(..8) {
            0 => DuplicateCheck::Off,
            _ => DuplicateCheck::Optimistic,
        },
        requested_address: (rng.u8(..4) == 0)
            .then(|| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 1, 0x700 + number as u16)),
        ..Config::new(mac)
    }
}

#[test]
fn whatever_happens_all_have_an_address_when_it_is_over() {
    let sum = RefCell::new((Sent::default(), Duration::ZERO, 0));
    let all = sim::seeds("IPv6 worlds", 0..WORLDS, |seed| {
        let lived = World::new(seed).live();
        let mut sum = sum.borrow_mut();
        sum.0.add(&lived.lan.sent());
        let size = u32::try_from(lived.lan.endpoints().len()).expect("a few");
        sum.1 += lived.lan.now().since_boot() * size;
        sum.2 += lived.lan.in_state(State::Configured);
    });
    let (sent, lived, configured) = sum.into_inner();
    println!("{lived:?} of endpoints, {configured} configured, {sent:?}");
    if all {
        for kind in KINDS {
            assert!(sent.of(kind) > 10, "{kind:?}: {sent:?}");
        }
    }
}
