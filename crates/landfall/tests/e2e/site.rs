//! A site with everything that a container on the LAN needs.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use lab::{
    Capture, DhcpServer, DhcpSummary, Dnsmasq, Engine, EngineOptions, EngineVersion, Frame, Lan,
    LanOptions, Landfall, Lease, Log, Message, Namespace, Place, ServerOptions, landfall_binary,
};
use serde_json::Value;

/// How long anything that is due now may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Option 53 of a client's messages.
pub(crate) const DISCOVER: u8 = 1;
pub(crate) const REQUEST: u8 = 3;
pub(crate) const RELEASE: u8 = 7;

/// A LAN with a Docker host on it, a DHCP server beside it, and Landfall running.
pub(crate) struct Site<S = Dnsmasq> {
    // Dropped in this order: the engine goes before the network that it stands in.
    /// None before it is started, and where Landfall is a managed plugin.
    pub(crate) landfall: Option<Landfall>,
    pub(crate) engine: Engine,
    pub(crate) server: S,
    pub(crate) lan: Lan,
}

/// What an interface in a container has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) mac: String,
    pub(crate) mtu: u64,
    /// The IPv4 addresses with their prefixes.
    pub(crate) addresses: Vec<String>,
    /// The seconds that the first of them has to live.
    pub(crate) lives: u64,
}

/// An endpoint as `docker inspect` shows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) mac: String,
    pub(crate) gateway: String,
}

impl Site {
    /// With dnsmasq in the router.
    pub(crate) fn new(options: ServerOptions) -> Site {
        let (lan, server) = lan_with_dnsmasq(options);
        Site::on(lan, server, &[])
    }
}

/// A LAN as it is by default, with dnsmasq in the router.
pub(crate) fn lan_with_dnsmasq(options: ServerOptions) -> (Lan, Dnsmasq) {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    (lan, server)
}

impl<S: DhcpServer> Site<S> {
    /// On a LAN that has its server already; `dockerd`: further options of dockerd.
    pub(crate) fn on(lan: Lan, server: S, dockerd: &[&str]) -> Site<S> {
        let mut site = Site::without_landfall(lan, server, dockerd, &[]);
        let binary = landfall_binary().unwrap();
        site.landfall =
            Some(site.engine.spawn_landfall(&binary, &[], &["LOG_LEVEL=debug"]).unwrap());
        site
    }

    /// The same, without Landfall; `folders`: those of [`EngineOptions`].
    pub(crate) fn without_landfall(
        lan: Lan,
        server: S,
        dockerd: &[&str],
        folders: &[(PathBuf, String)],
    ) -> Site<S> {
        let version = EngineVersion::from_env().unwrap();
        let dockerd = dockerd.iter().map(|&word| word.to_owned()).collect();
        let options = EngineOptions { dockerd, folders: folders.to_vec() };
        let engine = Engine::start(version, &lan, options).unwrap();
        Site { landfall: None, engine, server, lan }
    }

    /// Where Landfall's lines are: a plugin's are among dockerd's.
    pub(crate) fn log(&self) -> &Arc<Log> {
        self.landfall.as_ref().map_or(self.engine.log(), Landfall::log)
    }

    /// The daemon, where it is a service.
    pub(crate) fn landfall(&mut self) -> &mut Landfall {
        self.landfall.as_mut().unwrap()
    }

    /// `docker ARGS…`, which must succeed.
    pub(crate) fn docker(&self, args: &[&str]) -> String {
        self.engine.docker_ok(args).unwrap_or_else(|error| panic!("{error}"))
    }

    /// `docker ARGS…`, which must fail: what it wrote to stderr.
    pub(crate) fn docker_fails(&self, args: &[&str]) -> String {
        let output = self.engine.docker(args).unwrap();
        assert!(!output.status.success(), "docker {args:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The arguments that create a network on the bridge, with further `-o` options. Without one for
    /// it leases are given back at once.
    pub(crate) fn network_args(&self, name: &str, options: &[&str]) -> Vec<String> {
        let bridge = format!("bridge={}", self.lan.bridge());
        let mut ours = vec![bridge.as_str()];
        if !options.iter().any(|option| option.starts_with("release_delay=")) {
            ours.push("release_delay=0");
        }
        network_args("landfall", name, ours.iter().chain(options))
    }

    /// Creates a network on the bridge, with further `-o` options.
    pub(crate) fn network(&self, name: &str, options: &[&str]) {
        let args = self.network_args(name, options);
        self.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Runs a BusyBox that stays until it is stopped, and then ends at once; with further options of `docker run`.
    pub(crate) fn run(&self, name: &str, options: &[&str]) {
        self.docker(&run_args(name, options));
    }

    /// What `docker inspect` shows of a container.
    pub(crate) fn inspect(&self, container: &str, format: &str) -> String {
        self.docker(&["inspect", "-f", format, container])
    }

    /// What `docker inspect` shows of a container on a network.
    pub(crate) fn shown(&self, container: &str, network: &str) -> Shown {
        let networks = self.inspect(container, "{{json .NetworkSettings.Networks}}");
        let networks: Value = serde_json::from_str(&networks).unwrap();
        let at = &networks[network];
        let text = |key: &str| at[key].as_str().unwrap_or_else(|| panic!("{key}: {networks}"));
        Shown {
            address: text("IPAddress").parse().unwrap_or_else(|_| panic!("no address: {networks}")),
            prefix: at["IPPrefixLen"].as_u64().unwrap().try_into().unwrap(),
            mac: text("MacAddress").into(),
            gateway: text("Gateway").into(),
        }
    }

    /// The address that `docker inspect` shows for a container on a network.
    pub(crate) fn address(&self, container: &str, network: &str) -> Ipv4Addr {
        self.shown(container, network).address
    }

    /// The network namespace of a running container.
    pub(crate) fn sandbox(&self, container: &str) -> Namespace {
        let key = self.inspect(container, "{{.NetworkSettings.SandboxKey}}");
        // `/var/run` is a link to `/run`.
        let path = self.engine.run(key.strip_prefix("/var/run/").unwrap());
        Namespace::open(container, &path).unwrap()
    }

    /// The links of the Docker host, by name.
    pub(crate) fn host_links(&self) -> BTreeSet<String> {
        let links = ip_json(self.lan.host_ns(), &["link"]);
        links.iter().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
    }

    /// MAC and MTU of the bridge.
    pub(crate) fn bridge(&self) -> (String, u64) {
        let link = &ip_json(self.lan.host_ns(), &["link", "show", "dev", self.lan.bridge()])[0];
        (link["address"].as_str().unwrap().into(), link["mtu"].as_u64().unwrap())
    }

    /// The lease of a MAC in the server's table, once it is there and has a name.
    pub(crate) fn named_lease(&self, mac: &str, name: &str) -> Lease {
        let wanted = |lease: &&Lease| lease.mac == mac && lease.name.as_deref() == Some(name);
        let what = format!("a lease of {mac} with the name {name}");
        let leases = self.server.wait_leases(&what, SOON, &|all| all.iter().any(|l| wanted(&l)));
        leases.unwrap().iter().find(wanted).unwrap().clone()
    }

    /// Waits until the server has no lease.
    pub(crate) fn no_lease_is_left(&self) {
        self.server.wait_leases("no lease", SOON, &|leases| leases.is_empty()).unwrap();
    }

    /// Asserts that the server's log tells of so many messages of a kind from a MAC, and waits for them: what it writes
    /// comes here a little later.
    pub(crate) fn logged(&self, message: Message, mac: &str, times: usize) {
        let so_far = || self.server.logged(message, mac).len();
        until(&format!("{times} {message:?} of {mac}"), SOON, || (so_far() >= times).then_some(()));
        assert_eq!(so_far(), times, "{message:?} of {mac}");
    }

    /// Asserts that the laptop reaches an address.
    pub(crate) fn reached(&self, address: Ipv4Addr) {
        let answered = self.lan.ping(Place::Laptop, address).unwrap();
        assert!(answered, "{address} does not answer the laptop");
    }

    /// `landfall ARGS…` on the Docker host: what it prints.
    pub(crate) fn landfall_says(&self, args: &[&str]) -> String {
        let argv: Vec<&str> = ["/usr/local/bin/landfall"].iter().chain(args).copied().collect();
        self.engine.machine().ok(&argv).unwrap()
    }

    /// `landfall status --json`.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.landfall_says(&["status", "--json"])).unwrap()
    }

    /// The endpoints in it.
    pub(crate) fn endpoints(&self) -> Vec<Value> {
        self.status()["endpoints"].as_array().unwrap().clone()
    }

    /// Waits until so many leases are taken in advance: MAC and address, with its prefix, of each.
    pub(crate) fn stock(&self, full: usize) -> Vec<(String, String)> {
        let text = |value: &Value| Some(value.as_str()?.to_owned());
        until("a full stock", SOON, || {
            let all = self.endpoints();
            let spares = all.iter().filter(|endpoint| endpoint["spare"] == true);
            let leased = spares.filter_map(|e| Some((text(&e["mac"])?, text(&e["address"])?)));
            Some(leased.collect::<Vec<_>>()).filter(|stock| stock.len() == full)
        })
    }
}

impl<S> Drop for Site<S> {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.landfall.as_ref().map_or(self.engine.log(), Landfall::log);
            eprintln!("The daemon's last lines:\n{}", log.tail(40));
        }
    }
}

/// The arguments that create a network with the null IPAM driver.
pub(crate) fn network_args<'a>(
    driver: &str,
    name: &str,
    options: impl Iterator<Item = &'a &'a str>,
) -> Vec<String> {
    let mut args = vec!["network", "create", "-d", driver, "--ipam-driver", "null"];
    for option in options {
        args.extend(["-o", option]);
    }
    args.push(name);
    args.into_iter().map(String::from).collect()
}

/// The arguments that run a BusyBox which stays until it is stopped, and then ends at once.
pub(crate) fn run_args<'a>(name: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    // As process 1 `sleep` does not hear SIGTERM, and Docker would wait ten seconds.
    let mut args = vec!["run", "-d", "--stop-signal", "KILL", "--name", name];
    args.extend(options);
    args.extend(["busybox", "sleep", "infinity"]);
    args
}

/// `ip -json ARGS…` in a namespace.
pub(crate) fn ip_json(net: &Namespace, args: &[&str]) -> Vec<Value> {
    let argv: Vec<&str> = ["ip", "-4", "-json"].iter().chain(args).copied().collect();
    let output = net.ok(&argv).unwrap();
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// What an interface in a namespace has.
pub(crate) fn inside(net: &Namespace, interface: &str) -> Inside {
    // A link without an address of the family is an empty object.
    let links = ip_json(net, &["address", "show", "dev", interface]);
    let info = links.iter().find(|link| link["ifname"] == interface);
    let link = &ip_json(net, &["link", "show", "dev", interface])[0];
    let of_link = info.map(|link| link["addr_info"].as_array().unwrap().clone());
    let of_link = of_link.unwrap_or_default();
    let address = |a: &Value| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"]);
    Inside {
        mac: link["address"].as_str().unwrap().into(),
        mtu: link["mtu"].as_u64().unwrap(),
        addresses: of_link.iter().map(address).collect(),
        lives: of_link.first().map_or(0, |a| a["valid_life_time"].as_u64().unwrap()),
    }
}

/// The default routes in a namespace: gateway and interface.
pub(crate) fn default_routes(net: &Namespace) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let routes = ip_json(net, &["route", "show", "default"]);
    routes.iter().map(|route| (text(&route["gateway"]), text(&route["dev"]))).collect()
}

/// Asks until there is an answer: for what no event tells of.
pub(crate) fn until<T>(what: &str, timeout: Duration, ask: impl Fn() -> Option<T>) -> T {
    let give_up = Instant::now() + timeout;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < give_up, "{what}: not so within {timeout:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// All DHCP messages about a MAC that a capture has seen, and when.
pub(crate) fn messages(capture: &Capture, mac: &str) -> Vec<(SystemTime, DhcpSummary)> {
    capture.pick(|frame| frame.dhcp().filter(|m| m.mac == mac).map(|m| (frame.at, m)))
}

/// How many of a kind there are among them.
pub(crate) fn count(capture: &Capture, mac: &str, kind: u8) -> usize {
    messages(capture, mac).iter().filter(|(_, message)| message.kind == kind).count()
}

/// When the last REQUEST of a MAC was, and the how manieth.
pub(crate) fn last_request(capture: &Capture, mac: &str) -> (SystemTime, usize) {
    let requests: Vec<_> =
        messages(capture, mac).into_iter().filter(|(_, m)| m.kind == REQUEST).collect();
    (requests.last().unwrap().0, requests.len())
}

/// Asserts that T1 (in seconds) after the last REQUEST of a MAC comes the next, and returns it.
pub(crate) fn next_renewal(capture: &Capture, mac: &str, t1: u32) -> DhcpSummary {
    let (last, sent) = last_request(capture, mac);
    renewal_after(capture, mac, t1, last, sent)
}

/// Asserts that T1 (in seconds) after the REQUEST that was sent at `last`, as the `sent`th, comes the next; returns it.
pub(crate) fn renewal_after(
    capture: &Capture,
    mac: &str,
    t1: u32,
    last: SystemTime,
    sent: usize,
) -> DhcpSummary {
    renewal_once_back(capture, mac, t1, (last, sent), last)
}

/// The same where nobody was there to send it before `back`: if it was due by then, it comes now.
pub(crate) fn renewal_once_back(
    capture: &Capture,
    mac: &str,
    t1: u32,
    (last, sent): (SystemTime, usize),
    back: SystemTime,
) -> DhcpSummary {
    let due = last + Duration::from_secs(t1.into());
    let (at, renewal) = nth(capture, mac, REQUEST, sent + 1, Duration::from_secs(t1.into()) + SOON);
    let after = at.duration_since(last).unwrap();
    assert!(at > due - Duration::from_millis(500), "renewed after {after:?}, not {t1} s");
    assert!(at < due.max(back) + Duration::from_secs(1), "renewed after {after:?}, not {t1} s");
    renewal
}

/// Waits for the `nth` (from 1) message of a kind about a MAC.
pub(crate) fn nth(
    capture: &Capture,
    mac: &str,
    kind: u8,
    nth: usize,
    timeout: Duration,
) -> (SystemTime, DhcpSummary) {
    // Each frame is asked about once, in order.
    let seen = Cell::new(0);
    let wanted = |frame: &Frame| {
        let fits = frame.dhcp().is_some_and(|m| m.mac == mac && m.kind == kind);
        seen.set(seen.get() + usize::from(fits));
        fits && seen.get() == nth
    };
    let what = format!("message {nth} of kind {kind} about {mac}");
    let frame = capture.wait_for(&what, timeout, wanted).unwrap();
    (frame.at, frame.dhcp().unwrap())
}
