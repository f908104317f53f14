//! A site with everything that a container on the LAN needs.

use std::net::Ipv4Addr;

use lab::{
    DhcpServer, Dnsmasq, Engine, EngineOptions, EngineVersion, Lan, LanOptions, Landfall,
    ServerOptions, landfall_binary,
};
use serde_json::Value;

/// A LAN with a Docker host on it, a DHCP server beside it, and Landfall running.
pub(crate) struct Site<S = Dnsmasq> {
    // Dropped in this order: the engine goes before the network that it stands in.
    pub(crate) landfall: Landfall,
    pub(crate) engine: Engine,
    pub(crate) server: S,
    pub(crate) lan: Lan,
}

impl Site {
    /// With dnsmasq in the router.
    pub(crate) fn new(options: ServerOptions) -> Site {
        let lan = Lan::new(LanOptions::default()).unwrap();
        let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
        Site::on(lan, server)
    }
}

impl<S: DhcpServer> Site<S> {
    /// On a LAN that has its server already.
    pub(crate) fn on(lan: Lan, server: S) -> Site<S> {
        let version = EngineVersion::from_env().unwrap();
        let engine = Engine::start(version, &lan, EngineOptions::default()).unwrap();
        let landfall =
            engine.spawn_landfall(&landfall_binary().unwrap(), &[], &["LOG_LEVEL=debug"]).unwrap();
        Site { landfall, engine, server, lan }
    }

    /// `docker ARGS…`, which must succeed.
    pub(crate) fn docker(&self, args: &[&str]) -> String {
        self.engine.docker_ok(args).unwrap_or_else(|error| {
            panic!("{error}\nThe daemon's last lines:\n{}", self.landfall.log().tail(25))
        })
    }

    /// `docker ARGS…`, which must fail: what it wrote to stderr.
    pub(crate) fn docker_fails(&self, args: &[&str]) -> String {
        let output = self.engine.docker(args).unwrap();
        assert!(!output.status.success(), "docker {args:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Creates the network `lan` on the bridge, with further `-o` options.
    pub(crate) fn network(&self, name: &str, options: &[&str]) {
        let bridge = format!("bridge={}", self.lan.bridge());
        let mut args = vec!["network", "create", "-d", "landfall", "--ipam-driver", "null"];
        for option in [bridge.as_str()].iter().chain(options) {
            args.extend(["-o", option]);
        }
        args.push(name);
        self.docker(&args);
    }

    /// Runs a busybox that stays, with further options of `docker run`.
    pub(crate) fn run(&self, name: &str, options: &[&str]) {
        let mut args = vec!["run", "-d", "--name", name];
        args.extend(options);
        args.extend(["busybox", "sleep", "infinity"]);
        self.docker(&args);
    }

    /// The address that Docker shows for a container on a network.
    pub(crate) fn address(&self, container: &str, network: &str) -> Ipv4Addr {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
        let shown = self.docker(&["inspect", "-f", &format, container]);
        shown.parse().unwrap_or_else(|_| panic!("docker inspect shows {shown:?}"))
    }

    /// The MAC that Docker shows for a container on a network.
    pub(crate) fn mac(&self, container: &str, network: &str) -> String {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").MacAddress}}}}");
        self.docker(&["inspect", "-f", &format, container])
    }

    /// `landfall status --json`, as run beside the engine.
    pub(crate) fn status(&self) -> Value {
        let output = self.engine.machine().ok(&["/lab/landfall", "status", "--json"]).unwrap();
        serde_json::from_str(&output).unwrap()
    }
}
