//! An engine that takes a container through its life, whatever becomes of the daemon.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use lab::{Answer, DhcpServer, Dnsmasq, Lan, LanOptions, Mode6, Namespace, Process, ServerOptions};
use nix::libc::O_NONBLOCK;
use serde_json::{Value, json};

use crate::site::{SOON, Site, endpoint_argument, eventually, id, ip_json, same};

/// T1 of the server, in seconds: renewals come while one waits for them. dnsmasq takes 1 and 2 for nonsense.
const T1: u32 = 3;

/// A LAN with dnsmasq, and the daemon with fault points.
pub(crate) struct Crashing {
    pub(crate) site: Site,
    pub(crate) server: Dnsmasq,
    env: Vec<String>,
    /// Whether the daemon was started again after its death.
    revived: bool,
}

/// A point at which the daemon will wait.
pub(crate) struct Halt(PathBuf);

/// The daemon waits at a point until this is dropped; later it passes there.
pub(crate) struct Halted(#[expect(dead_code, reason = "it is open")] File);

/// A container as an engine knows it that went through CreateEndpoint and Join.
pub(crate) struct Guest {
    name: String,
    ns: Namespace,
    key: String,
    /// What is known of it after CreateEndpoint: MAC and address with its prefix length.
    mac: String,
    address: String,
    process: Option<Process>,
}

impl Crashing {
    /// Endpoints that nobody joins are given up after `patience`, in milliseconds.
    pub(crate) fn new(patience: u32) -> Crashing {
        Crashing::on(LanOptions::default(), options(), patience)
    }

    /// The same on a LAN whose router advertises itself, makes addresses and leases them.
    pub(crate) fn with_ipv6(patience: u32) -> Crashing {
        let lan = LanOptions { ipv6: true, ..LanOptions::default() };
        let options = ServerOptions { ipv6: Some(Mode6::Both), ..options() };
        Crashing::on(lan, options, patience)
    }

    fn on(lan: LanOptions, options: ServerOptions, patience: u32) -> Crashing {
        let lan = Lan::new(lan).unwrap();
        let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
        let env = vec!["LOG_LEVEL=debug".to_owned(), format!("LANDFALL_PATIENCE={patience}")];
        let words: Vec<&str> = env.iter().map(String::as_str).collect();
        let binary = Path::new(env!("CARGO_BIN_EXE_landfall"));
        let site = Site::with(lan, binary, &words);
        Crashing { site, server, env, revived: false }
    }

    /// From the next start on the daemon dies at that point.
    pub(crate) fn arm(&mut self, point: &str) {
        self.restart_with(&format!("LANDFALL_FAULT={point}"));
    }

    /// From the next start on the daemon waits when it comes to that point.
    pub(crate) fn halt(&mut self, point: &str) -> Halt {
        const FIFO: &str = "/run/halt";
        self.site.machine().ok(&["mkfifo", FIFO]).unwrap();
        self.restart_with(&format!("LANDFALL_HALT={point}={FIFO}"));
        Halt(self.site.machine().path(FIFO))
    }

    fn restart_with(&mut self, word: &str) {
        let env = self.env.iter().map(String::as_str).chain([word]);
        self.site.landfall.set_env(&env.collect::<Vec<_>>());
        self.site.landfall.restart().unwrap();
    }

    /// The machine boots while the daemon runs, and the daemon with it.
    pub(crate) fn boot(&mut self) {
        self.site.boot(true);
    }

    /// Starts the daemon again, without a point at which it dies.
    pub(crate) fn revive(&mut self) {
        let env: Vec<&str> = self.env.iter().map(String::as_str).collect();
        self.site.landfall.set_env(&env);
        self.site.landfall.restart().unwrap();
        self.revived = true;
    }

    /// From now on the server names another router.
    pub(crate) fn change_router(&mut self) {
        let changed = ServerOptions { router: Some(Lan::LAPTOP), ..options() };
        self.server.reconfigure("eth0", changed).unwrap();
    }

    /// Waits for the daemon's death at that point, if it has not come yet, and revives it.
    pub(crate) fn outlive(&mut self, point: &str) {
        if self.revived {
            return;
        }
        self.dies_at(point);
        self.revive();
    }

    /// Waits for the daemon's death at that point: a broken connection may be there before its last words.
    pub(crate) fn dies_at(&self, point: &str) {
        let log = self.site.landfall.log();
        log.wait_for(&format!("fault point: {point}"), SOON).unwrap_or_else(|error| {
            panic!("{error}\n{}\n{}", log.tail(60), self.server.log().tail(60))
        });
        self.wait_for_end();
    }

    /// Waits until the daemon that was killed is gone.
    pub(crate) fn wait_for_end(&self) {
        eventually("its end", SOON, || same(self.site.landfall.is_running(), &false));
    }

    /// A line to the daemon for another thread.
    pub(crate) fn line(&self) -> Line {
        let host = self.site.host();
        Line {
            socket: self.site.landfall.plugin_socket().to_owned(),
            host: Namespace::open("dockerhost", host.path()).unwrap(),
        }
    }

    /// Whether the daemon has died at that point.
    pub(crate) fn died_at(&self, point: &str) -> bool {
        !self.site.landfall.log().grep(&format!("fault point: {point}")).is_empty()
    }

    /// One call; `None` if the daemon died of it.
    pub(crate) fn once(&self, method: &str, argument: &Value) -> Option<Result<Value, String>> {
        let method = format!("NetworkDriver.{method}");
        let answer = self.site.landfall.call(&method, &argument.to_string()).ok()?;
        Some(refusal(&answer))
    }

    /// As an engine calls: once more when the connection broke.
    pub(crate) fn call(&mut self, method: &str, argument: &Value) -> Value {
        let answer = self.once(method, argument).unwrap_or_else(|| {
            self.revive();
            self.once(method, argument).expect("no second fault")
        });
        answer.unwrap_or_else(|refusal| {
            panic!("{method}: {refusal}\n{}", self.site.landfall.log().tail(40))
        })
    }

    /// CreateNetwork.
    pub(crate) fn network(&mut self, release_delay: &str) {
        self.network_with(&[("release_delay", release_delay)]);
    }

    /// The same with options.
    pub(crate) fn network_with(&mut self, options: &[(&str, &str)]) {
        let argument = self.site.network_argument("lan", options);
        self.call("CreateNetwork", &argument);
    }

    /// CreateEndpoint and Join, the link in the sandbox and a process there.
    pub(crate) fn start(&mut self, name: &str, mac: &str) -> Guest {
        let answer = self.call("CreateEndpoint", &endpoint_argument("lan", name, mac));
        let mut guest = Guest::new(&self.site, name, mac, &answer);
        self.call("Join", &guest.join_argument());
        guest.move_in(self.site.host());
        guest.inhabit(&self.site);
        guest
    }

    /// Leave, the link moved back, DeleteEndpoint.
    pub(crate) fn stop(&mut self, mut guest: Guest) {
        let argument = json!({ "NetworkID": id("lan"), "EndpointID": id(&guest.name) });
        guest.leave_alone();
        self.call("Leave", &argument);
        guest.move_out(self.site.host());
        self.call("DeleteEndpoint", &argument);
        guest.unbind(&self.site);
    }

    /// The server, the daemon, the kernel and the container say the same of a container that lives.
    pub(crate) fn agree_on(&self, guest: &Guest) {
        eventually("all agree", SOON, || {
            let shown = self.site.shown(&guest.name);
            same(shown["address"].clone(), &json!(guest.address))?;
            same(shown["state"].clone(), &json!("BOUND"))?;
            let lease = (guest.mac.clone(), guest.address.split('/').next().unwrap().to_owned());
            let leases = self.leases();
            if !leases.contains(&lease) {
                return Err(format!("{lease:?} not among {leases:?}"));
            }
            let links = ip_json(&guest.ns, &["-4", "addr", "show", "dev", "eth0"]);
            let info = &links[0]["addr_info"][0];
            same(
                format!("{}/{}", info["local"].as_str().unwrap_or("no"), info["prefixlen"]),
                &guest.address,
            )?;
            let left = info["valid_life_time"].as_u64().unwrap_or(u64::MAX);
            if left > 120 {
                return Err(format!("the address lives for {left} s"));
            }
            same(guest.ns.ping(Lan::ROUTER).unwrap(), &true)
        });
    }

    /// Nothing of any endpoint is left: not at the server, not in the kernel, not in the daemon.
    pub(crate) fn nothing_is_left(&self) {
        eventually("nothing is left", SOON * 2, || {
            let leases = self.leases();
            if let Some((mac, ip)) = leases.first() {
                let log = self.site.landfall.log();
                let (ours, theirs) =
                    (log.grep(mac).join("\n"), self.server.log().grep(mac).join("\n"));
                return Err(format!("{ip} is leased to {mac}\n{ours}\n{theirs}"));
            }
            same(self.site.endpoint_links(), &vec![])?;
            same(self.site.status()["endpoints"].clone(), &json!([]))
        });
    }

    /// The end of the network, and of all that was.
    pub(crate) fn end(mut self) {
        self.nothing_is_left();
        self.call("DeleteNetwork", &json!({ "NetworkID": id("lan") }));
        eventually("the port is gone", SOON, || {
            same(self.site.links(), &["br0", "laptop", "lo", "router"].map(String::from).to_vec())
        });
        assert_eq!(self.site.stop_and_read_store(), (vec![], vec![]));
    }

    fn leases(&self) -> BTreeSet<(String, String)> {
        let leases = self.server.leases().unwrap();
        leases.into_iter().map(|lease| (lease.mac, lease.ip.to_string())).collect()
    }
}

fn options() -> ServerOptions {
    ServerOptions { lease: 120, renew: Some(T1), ..ServerOptions::default() }
}

impl Halt {
    /// Waits until the daemon is there.
    pub(crate) fn met(self) -> Halted {
        let Halt(fifo) = self;
        let file = open_fifo(&fifo);
        fs::remove_file(&fifo).unwrap();
        Halted(file)
    }
}

/// Waits until the daemon reads from that FIFO.
pub(crate) fn open_fifo(path: &Path) -> File {
    let open = || OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path);
    // Without a reader there is an error, and no event when one comes.
    eventually("a reader", SOON, || open().map_err(|error| format!("{}: {error}", path.display())))
}

impl Guest {
    /// With a sandbox of its own; `mac` and `answer`: what CreateEndpoint was asked and answered.
    pub(crate) fn new(site: &Site, name: &str, mac: &str, answer: &Value) -> Guest {
        let text = |key: &str| answer["Interface"][key].as_str().unwrap_or_default().to_owned();
        let ns = Namespace::new(&id(name)[..12]).unwrap();
        let key = format!("/run/docker/netns/{}", &id(name)[..12]);
        site.machine().bind(&ns, &key).unwrap();
        Guest {
            name: name.to_owned(),
            ns,
            key,
            mac: format!("{mac}{}", text("MacAddress")),
            address: text("Address"),
            process: None,
        }
    }

    pub(crate) fn join_argument(&self) -> Value {
        json!({ "NetworkID": id("lan"), "EndpointID": id(&self.name), "SandboxKey": self.key })
    }

    fn link(&self) -> String {
        format!("lc-{}", &id(&self.name)[..12])
    }

    /// The link moves in, as engines do that.
    pub(crate) fn move_in(&self, host: &Namespace) {
        let (link, sandbox) = (self.link(), self.ns.path().display().to_string());
        host.ip_batch(&format!("link set {link} netns {sandbox}\n")).unwrap();
        let lines = format!(
            "link set {link} down\nlink set {link} name eth0\nlink set eth0 address {}\n\
             addr add {} dev eth0\nlink set eth0 up\nroute add default via {}\n",
            self.mac,
            self.address,
            Lan::ROUTER
        );
        self.ns.ip_batch(&lines).unwrap();
    }

    /// And out again; one that is not there needs no moving.
    pub(crate) fn move_out(&self, host: &Namespace) {
        let (link, host) = (self.link(), host.path().display().to_string());
        let _gone = self.ns.ip_batch(&format!(
            "link set eth0 down\nlink set eth0 name {link}\nlink set {link} netns {host}\n"
        ));
    }

    /// A process lives in the sandbox.
    pub(crate) fn inhabit(&mut self, site: &Site) {
        self.process = Some(crate::container::inhabit(site, &self.ns, &self.key));
    }

    /// None does any more.
    pub(crate) fn leave_alone(&mut self) {
        drop(self.process.take());
    }

    pub(crate) fn reaches_the_router(&self) {
        eventually("the router reached", SOON, || same(self.ns.ping(Lan::ROUTER).unwrap(), &true));
    }

    /// The sandbox's name goes.
    pub(crate) fn unbind(&self, site: &Site) {
        site.machine().unbind(&self.key).unwrap();
    }
}

/// A line to the daemon that outlives it.
pub(crate) struct Line {
    socket: PathBuf,
    host: Namespace,
}

impl Line {
    /// Calls until there is an answer; `Err` is the daemon's refusal.
    pub(crate) fn call(&self, method: &str, argument: &Value) -> Result<Value, String> {
        eventually(method, SOON * 3, || {
            let method = format!("NetworkDriver.{method}");
            let answer = lab::post(&self.socket, &method, &argument.to_string(), SOON * 3);
            answer.map(|answer| refusal(&answer)).map_err(|error| error.to_string())
        })
    }

    /// The Docker host's network.
    pub(crate) fn host(&self) -> &Namespace {
        &self.host
    }
}

fn refusal(Answer { status, body, .. }: &Answer) -> Result<Value, String> {
    let body: Value = serde_json::from_str(body).unwrap();
    match body.get("Err").and_then(Value::as_str) {
        Some(refusal) => Err(refusal.to_owned()),
        None => {
            assert_eq!(*status, 200, "{body}");
            Ok(body)
        }
    }
}
