//! Thousands of endpoints on one daemon: real veths on real bridges, driven through its plugin socket, without an engine.
//!
//! A bridge holds 1,023 ports, so the endpoints stand on many, in turn. Sandboxes are real network and UTS namespaces with
//! a process in each. Several endpoints may share one, on interfaces of its own each: the daemon neither knows nor gains
//! by it, and ten thousand processes are more than a laptop has room for.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{Landfall, Log, Namespace, Prefix, Process, Radvd, RouterOptions, landfall_binary};
use serde_json::Value;

use crate::Result;
use crate::driver::{Driver, Endpoint, Joined, id};
use crate::server::{Server, Times};
use crate::site::{in_parallel, state_folder};
use crate::usage::Usage;

/// What the MACs of all endpoints begin with.
const OURS: [u8; 3] = [0x02, 0x4c, 0x46];
/// How many calls are under way at the same time.
const CALLERS: usize = 4;
/// How long endpoints may take until their names are at the server, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A Docker host with many bridges, a router on each, and the daemon.
pub(crate) struct Field {
    // The daemon goes first.
    landfall: Landfall,
    sandboxes: Vec<Sandbox>,
    driver: Driver,
    server: Server,
    _routers: Vec<Radvd>,
    host: Namespace,
    router: Namespace,
    bridges: u8,
    made: usize,
}

/// What holds a namespace: a process in it, as in a container.
struct Sandbox {
    net: Namespace,
    _process: Process,
}

/// Which of all endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bridge: u8,
    /// On that bridge.
    index: u16,
}

impl Place {
    /// That of the endpoint `n`, on so many bridges.
    fn new(n: usize, bridges: u8) -> Result<Self> {
        let bridge = u8::try_from(n % usize::from(bridges))?;
        Ok(Self { bridge, index: u16::try_from(n / usize::from(bridges))? })
    }

    /// That of a MAC, if it is of the field.
    pub(crate) fn of_mac(mac: [u8; 6]) -> Option<Self> {
        let [a, b, c, bridge, high, low] = mac;
        ([a, b, c] == OURS).then_some(Self { bridge, index: u16::from_be_bytes([high, low]) })
    }

    fn mac(self) -> String {
        let ([a, b, c], [high, low]) = (OURS, self.index.to_be_bytes());
        let bytes = [a, b, c, self.bridge, high, low];
        bytes.map(|byte| format!("{byte:02x}")).join(":")
    }

    /// 10.BRIDGE.1.1 and so on; the router is 10.BRIDGE.0.1.
    pub(crate) fn address(self) -> Ipv4Addr {
        let [high, low] = (self.index + 257).to_be_bytes();
        Ipv4Addr::new(10, self.bridge, high, low)
    }
}

/// The router on a bridge, which is also its DHCP server.
pub(crate) fn gateway(bridge: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, bridge, 0, 1)
}

fn router_mac(bridge: u8) -> String {
    format!("02:00:00:00:ff:{bridge:02x}")
}

fn network_id(bridge: u8) -> String {
    id(0xb0_0000 + usize::from(bridge))
}

impl Field {
    /// Makes the bridges with a network on each, and the daemon with its state in the folder `state`, which is emptied.
    pub(crate) fn new(bridges: u8, times: Times, state: &Path) -> Result<Self> {
        Self::of(bridges, times, state, false)
    }

    /// The same with `ipv6=slaac`, and routers that advertise a prefix without an end, twice an hour.
    pub(crate) fn dual(bridges: u8, times: Times, state: &Path) -> Result<Self> {
        Self::of(bridges, times, state, true)
    }

    fn of(bridges: u8, times: Times, state: &Path, dual: bool) -> Result<Self> {
        let (host, router) = (Namespace::new("host")?, Namespace::new("router")?);
        // What a LAN says by itself is not what is measured here.
        quiet(&host)?;
        if dual {
            router.sysctl("ipv6/conf/default/accept_dad", "0")?;
            router.sysctl("ipv6/conf/all/forwarding", "1")?;
        } else {
            quiet(&router)?;
        }
        let (mut on_host, mut on_router) = (String::new(), String::new());
        for n in 0..bridges {
            let (mac, inside) = (router_mac(n), router.path().display().to_string());
            on_host += &format!(
                "link add br{n} type bridge forward_delay 0\nlink set br{n} up\n\
                 link add r{n} type veth peer name eth{n} address {mac} netns {inside}\n\
                 link set r{n} master br{n} up\n"
            );
            on_router += &format!("addr add {}/16 dev eth{n}\nlink set eth{n} up\n", gateway(n));
        }
        host.ip_batch(&on_host)?;
        router.ip_batch(&on_router)?;
        let server = Server::start(&router, times)?;
        let advertise = |n| Ok(Radvd::start(&router, &format!("eth{n}"), &advertised())?);
        let routers: Vec<Radvd> =
            (0..if dual { bridges } else { 0 }).map(advertise).collect::<Result<_>>()?;
        let folders: Vec<(PathBuf, String)> = state_folder(state)?;
        let landfall =
            Landfall::spawn_with_folders(&host, &landfall_binary()?, &[], &[], &folders)?;
        let driver = Driver::new(landfall.plugin_socket());
        for n in 0..bridges {
            let options: &[_] = if dual { &[("ipv6", "slaac")] } else { &[] };
            driver.create_network(&network_id(n), &format!("br{n}"), options)?;
        }
        Ok(Self {
            landfall,
            sandboxes: Vec::new(),
            driver,
            server,
            _routers: routers,
            host,
            router,
            bridges,
            made: 0,
        })
    }

    /// Adds endpoints until there are `count`, so many to a sandbox, and waits until the server knows all their names:
    /// the last thing that happens to an endpoint by itself.
    pub(crate) fn grow(&mut self, count: usize, per_sandbox: usize) -> Result<()> {
        while self.made < count {
            let upto = count.min(self.made + per_sandbox);
            self.add_sandbox(self.made..upto)?;
            self.made = upto;
            let what = format!("the host names of {upto} endpoints at the server");
            let all = self.server.wait(&what, PATIENCE, |counts| counts.named() == upto);
            all.map_err(|error| format!("{error}; the daemon: {}", self.landfall.log().tail(10)))?;
        }
        Ok(())
    }

    /// What the daemon uses.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.landfall.pid())
    }

    /// Kills the daemon and starts it again. Says how long after its start it answers the engine, by when it has taken up
    /// all endpoints again: that it has is part of this.
    pub(crate) fn revive(&mut self) -> Result<Duration> {
        self.landfall.kill9()?;
        let began = Instant::now();
        self.landfall.restart()?;
        let took = began.elapsed();
        let machine = self.landfall.machine().ok_or("the daemon is in no machine of its own")?;
        let status = machine.ok(&["/usr/local/bin/landfall", "status", "--json"])?;
        let status: Value = serde_json::from_str(&status)?;
        let endpoints = status.get("endpoints").and_then(Value::as_array).ok_or("no endpoints")?;
        let whole = |e: &&Value| {
            let has = |key| e.get(key).is_some_and(|value| !value.is_null());
            has("address") && e.get("held_until").is_some_and(Value::is_null)
        };
        let adopted = endpoints.iter().filter(whole).count();
        if adopted != self.made {
            return Err(format!("{adopted} of {} endpoints were taken up again", self.made).into());
        }
        Ok(took)
    }

    /// The DHCP server.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    fn add_sandbox(&mut self, numbers: std::ops::Range<usize>) -> Result<()> {
        let key = format!("/run/docker/netns/{:012x}", numbers.start);
        let sandbox = self.sandbox(&key, &format!("c{}", numbers.start))?;
        // To Landfall each is a container of its own: one cannot be on one subnet twice.
        let of = |i: usize| format!("{key}-{i}");
        let links: String =
            (0..numbers.len()).map(|i| format!("ln -s {key} {}\n", of(i))).collect();
        let machine = self.landfall.machine().ok_or("the daemon is in no machine of its own")?;
        machine.ok(&["sh", "-euc", &links])?;
        let places: Vec<Place> =
            numbers.clone().map(|n| Place::new(n, self.bridges)).collect::<Result<_>>()?;
        // The replies of the server need no ARP, which would reach all ports of the bridge.
        let mut neighbours = String::new();
        for place in &places {
            let (ip, mac, bridge) = (place.address(), place.mac(), place.bridge);
            neighbours +=
                &format!("neigh replace {ip} lladdr {mac} dev eth{bridge} nud permanent\n");
        }
        self.router.ip_batch(&neighbours)?;

        let made =
            in_parallel(places.len(), CALLERS, |i| -> Result<(usize, Place, Endpoint, Joined)> {
                let place = places.get(i).copied().ok_or("no such endpoint")?;
                let endpoint_id = id(numbers.start + i);
                let network = network_id(place.bridge);
                let endpoint = self.driver.create_endpoint(&network, &endpoint_id, &place.mac())?;
                let joined = self.driver.join(&endpoint, &of(i))?;
                Ok((i, place, endpoint, joined))
            });
        let (mut moves, mut inside) = (String::new(), String::new());
        for made in made {
            let (i, place, endpoint, Joined { link, .. }) = made?;
            moves += &format!("link set {link} netns {}\n", sandbox.net.path().display());
            inside += &format!(
                "link set {link} name eth{i}\naddr add {} dev eth{i}\nlink set eth{i} up\n\
                 neigh replace {} lladdr {} dev eth{i} nud permanent\n",
                endpoint.address,
                gateway(place.bridge),
                router_mac(place.bridge)
            );
        }
        self.host.ip_batch(&moves)?;
        sandbox.net.ip_batch(&inside)?;
        self.sandboxes.push(sandbox);
        Ok(())
    }

    /// A process in namespaces of its own, with a host name, and the daemon's name for its network namespace.
    fn sandbox(&self, key: &str, host_name: &str) -> Result<Sandbox> {
        const GUEST: &str = "hostname \"$1\"; echo ready; exec sleep infinity";
        let machine = self.landfall.machine().ok_or("the daemon is in no machine of its own")?;
        let log = Log::new(host_name);
        let argv = ["unshare", "--net", "--uts", "sh", "-euc", GUEST, "sh", host_name];
        let process = machine.spawn(host_name, &[], &argv, &log)?;
        log.wait_for("ready", PATIENCE)?;
        let path = format!("/proc/{}/ns/net", process.pid());
        let net = Namespace::open(host_name, Path::new(&path))?;
        quiet(&net)?;
        // An interface answers for its own address, and not for those of the others beside it.
        net.sysctl("ipv4/conf/all/arp_ignore", "1")?;
        machine.bind(&net, key)?;
        Ok(Sandbox { net, _process: process })
    }
}

/// What changes nothing while anybody looks.
fn advertised() -> RouterOptions {
    let prefix = Prefix { preferred: u32::MAX, valid: u32::MAX, ..Prefix::default() };
    RouterOptions {
        lifetime: 9000,
        prefixes: vec![prefix],
        interval: 1800,
        ..RouterOptions::default()
    }
}

/// No IPv6 on links to come: nothing is sent that nobody asked for.
fn quiet(ns: &Namespace) -> Result<()> {
    for which in ["all", "default"] {
        ns.sysctl(&format!("ipv6/conf/{which}/disable_ipv6"), "1")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_tells_the_place_and_so_the_address() {
        let place = Place::new(9_999, 20).unwrap();
        assert_eq!((place.bridge, place.index), (19, 499));
        assert_eq!(place.mac(), "02:4c:46:13:01:f3");
        assert_eq!(Place::of_mac([0x02, 0x4c, 0x46, 0x13, 0x01, 0xf3]), Some(place));
        assert_eq!(place.address(), Ipv4Addr::new(10, 19, 2, 244));
        assert_eq!(Place::of_mac([0x02, 0, 0, 0, 0, 1]), None);
    }
}
