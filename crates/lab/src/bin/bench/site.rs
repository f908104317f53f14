//! One LAN with dnsmasq in the router, an engine on the Docker host, and Landfall beside it with its state on a disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, thread};

use lab::{
    DhcpServer, Dnsmasq, Engine, EngineOptions, EngineVersion, Lan, LanOptions, Landfall,
    ServerOptions, landfall_binary,
};

use crate::Result;

/// Docker's name of the network on Landfall.
pub(crate) const LANDFALL: &str = "lan";
/// Docker's name of a network on its own bridge.
pub(crate) const BRIDGE: &str = "own";
/// Docker's names of networks of macvlan children: Landfall's, and its own driver's.
pub(crate) const MACVLAN: &str = "lan-macvlan";
pub(crate) const OWN_MACVLAN: &str = "own-macvlan";
/// Docker's name of a network on Landfall that has its addresses from Landfall as well.
pub(crate) const IPAM: &str = "lan-ipam";
/// The parent of both, a card that is connected to the LAN.
const PARENT: &str = "card";

/// Where the daemon keeps its state.
const STATE: &str = "/var/lib/landfall";

/// The LAN and all on it.
pub(crate) struct Site {
    // Dropped in this order: the engine goes before the network that it stands in.
    pub(crate) landfall: Landfall,
    pub(crate) engine: Engine,
    pub(crate) server: Dnsmasq,
    pub(crate) lan: Lan,
    /// The folder beside that of the daemon's state.
    pub(crate) beside_state: PathBuf,
}

impl Site {
    /// Makes it, with a network of each kind; `state` is emptied first.
    pub(crate) fn new(state: &Path) -> Result<Self> {
        Self::on(LanOptions::default(), state, |lan| {
            Ok(Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default())?)
        })
    }

    /// The same on a LAN of another kind.
    pub(crate) fn on(
        lan: LanOptions,
        state: &Path,
        serve: impl FnOnce(&Lan) -> Result<Dnsmasq>,
    ) -> Result<Self> {
        let lan = Lan::new(lan)?;
        let server = serve(&lan)?;
        let options = EngineOptions { folders: state_folder(state)?, ..EngineOptions::default() };
        let engine = Engine::start(EngineVersion::from_env()?, &lan, options)?;
        let landfall = engine.spawn_landfall(&landfall_binary()?, &[], &[])?;
        let beside_state = state.parent().unwrap_or(Path::new(".")).to_owned();
        let site = Self { landfall, engine, server, lan, beside_state };
        site.landfall_network(LANDFALL, &[])?;
        site.engine.docker_ok(&["network", "create", BRIDGE])?;
        Ok(site)
    }

    /// Makes a network on Landfall, with further options.
    pub(crate) fn landfall_network(&self, name: &str, options: &[&str]) -> Result<()> {
        let bridge = format!("bridge={}", self.lan.bridge());
        let mut words = vec!["network", "create", "-d", "landfall", "--ipam-driver", "null"];
        // What removals cost is to be seen at once, and not a minute later.
        for option in [bridge.as_str(), "release_delay=0"].iter().chain(options) {
            words.extend(["-o", option]);
        }
        words.push(name);
        self.engine.docker_ok(&words)?;
        Ok(())
    }

    /// Makes a network of macvlan children on Landfall, and one on Docker's own driver, which has a part of the LAN's subnet
    /// for itself.
    pub(crate) fn macvlan_networks(&self) -> Result<()> {
        self.lan.host_ns().ip_batch(&format!(
            "link add wire type veth peer name {PARENT}\nlink set wire master {} up\nlink set {PARENT} up\n",
            self.lan.bridge()
        ))?;
        let parent = format!("parent={PARENT}");
        let create = |words: &[&str]| {
            self.engine.docker_ok(&[&["network", "create", "-o", &parent], words].concat())
        };
        let ours = ["-o", "mode=macvlan", "-o", "release_delay=0", "--ipam-driver", "null"];
        create(&[&["-d", "landfall"], &ours[..], &[MACVLAN]].concat())?;
        let subnet = ["--subnet", "10.77.0.0/16", "--ip-range", "10.77.200.0/24"];
        let gateway = format!("--gateway={}", Lan::ROUTER);
        create(&[&["-d", "macvlan"], &subnet[..], &[&gateway, OWN_MACVLAN]].concat())?;
        Ok(())
    }

    /// Makes a network on Landfall with Landfall as IPAM driver.
    pub(crate) fn ipam_network(&self) -> Result<()> {
        let bridge = format!("bridge={}", self.lan.bridge());
        let ipam = ["--ipam-driver", "landfall", "--ipam-opt", &bridge];
        let own = ["-o", &bridge, "-o", "release_delay=0", IPAM];
        self.engine
            .docker_ok(&[&["network", "create", "-d", "landfall"][..], &ipam, &own].concat())?;
        Ok(())
    }

    /// `20.10.24+dfsg1`.
    pub(crate) fn engine_version(&self) -> Result<String> {
        Ok(self.engine.docker_ok(&["version", "--format", "{{.Server.Version}}"])?)
    }

    /// Runs a container that ends at once, and waits for its end.
    pub(crate) fn run_once(&self, network: &str) -> Result<()> {
        self.engine.docker_ok(&["run", "--rm", "--network", network, "busybox", "true"])?;
        Ok(())
    }

    /// The MACs that have a lease in the server's table.
    pub(crate) fn leases(&self) -> Result<BTreeSet<String>> {
        Ok(self.server.leases()?.into_iter().map(|lease| lease.mac).collect())
    }

    /// The links of the Docker host.
    pub(crate) fn links(&self) -> Result<BTreeSet<String>> {
        let links = self.lan.host_ns().ok(&["ip", "-o", "link"])?;
        let names = links.lines().filter_map(|line| line.split([':', '@']).nth(1));
        Ok(names.map(|name| name.trim().to_owned()).collect())
    }
}

/// An empty folder for the daemon's state, and where the daemon sees it.
pub(crate) fn state_folder(state: &Path) -> Result<Vec<(PathBuf, String)>> {
    if state.exists() {
        fs::remove_dir_all(state)?;
    }
    fs::create_dir_all(state)?;
    Ok(vec![(state.canonicalize()?, STATE.to_owned())])
}

/// Does something for each number below `count`, `width` of them at a time.
pub(crate) fn in_parallel<T: Send>(
    count: usize,
    width: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if n >= count {
                return done;
            }
            done.push(work(n));
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..width.min(count)).map(|_| scope.spawn(take)).collect();
        let panicked = || vec![Err("a thread of the benchmark panicked".into())];
        threads.into_iter().flat_map(|t| t.join().unwrap_or_else(|_| panicked())).collect()
    })
}
