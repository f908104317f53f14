//! The Docker host of the demo: a pretended one in the lab, or this machine if a Docker Engine answers here.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Engine, EngineOptions, EngineVersion, Lan, LanOptions, Namespace, Roots};

use crate::Result;

/// Which Docker host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// A namespace of the lab, with an engine from Debian's packages.
    Lab,
    /// This machine, with its own engine.
    Here,
}

/// What the demo makes on the machine's own engine: names that nobody else uses. In the lab the names are short.
const BRIDGE: &str = "lfdemo0";
const PLUGIN: &str = "landfall-demo:latest";
const PREFIX: &str = "landfall-demo-";
const IMAGE: &str = "landfall-demo-busybox:latest";
/// The file that tells the demo's plugin from one that was made from the same build: engines refuse the same content twice.
const MARK: &str = "rootfs/demo";

/// The demo's own folder on this machine.
const SCRATCH: &str = "/run/landfall-demo";
/// How long what was killed may take to die, on a busy machine.
const KILLED: Duration = Duration::from_secs(10);

/// Accepts the frames that pass between the ports of the demo's bridge, where the firewall sees them.
const RULE: [&str; 7] = ["FORWARD", "-i", BRIDGE, "-o", BRIDGE, "-j", "ACCEPT"];

impl Where {
    /// Here, if a Docker Engine of this machine answers.
    pub(crate) fn find() -> Self {
        // One at the end of a TCP or SSH connection has no bridge of this machine.
        let remote = std::env::var("DOCKER_HOST").is_ok_and(|host| !host.starts_with("unix://"));
        let answers = !remote && docker(&["version", "--format", "{{.Server.Version}}"]).is_ok();
        // A rootless one is in a network namespace of its own.
        let security = docker(&["info", "--format", "{{.SecurityOptions}}"]);
        let answers = answers && security.is_ok_and(|options| !options.contains("rootless"));
        if answers { Self::Here } else { Self::Lab }
    }

    /// The word for it on a command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Lab => "lab",
            Self::Here => "here",
        }
    }

    /// What the word means.
    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Lab, Self::Here].into_iter().find(|place| place.word() == word)
    }
}

/// The LAN of the demo, with a Docker host on it.
pub(crate) struct Host {
    // Dropped in this order: the engine goes before the network that it stands in.
    engine: Option<Engine>,
    lan: Lan,
    /// What was done to this machine's firewall.
    rule: Option<String>,
}

impl Host {
    /// Makes the LAN: the Docker host with its bridge, router and laptop. No engine yet.
    pub(crate) fn new(place: Where) -> Result<Self> {
        let mut rule = None;
        let lan = match place {
            Where::Lab => Lan::new(LanOptions::default())?,
            Where::Here => {
                let here = Namespace::open("this machine", Path::new("/proc/self/ns/net"))?;
                let options = LanOptions { bridge: BRIDGE.into(), ..LanOptions::default() };
                let lan = Lan::on(here, "lfdemo-", options)?;
                // Where br_netfilter is loaded, the LAN's frames pass the firewall, whose policy Docker sets to DROP.
                if firewalled() {
                    let argv = [&["iptables", "-w", "-I"][..], &RULE[..]].concat();
                    run(&argv)?;
                    rule = Some(argv.join(" "));
                }
                lan
            }
        };
        Ok(Self { engine: None, lan, rule })
    }

    /// The LAN.
    pub(crate) fn lan(&self) -> &Lan {
        &self.lan
    }

    /// What was done to this machine's firewall so that it lets the LAN's frames pass.
    pub(crate) fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// What the Docker host is called in the transcript.
    pub(crate) fn name(place: Where) -> &'static str {
        match place {
            Where::Lab => "dockerhost",
            Where::Here => "thismachine",
        }
    }

    /// In the lab, starts Debian's engine; here, brings the image for the containers. Says what was done.
    pub(crate) fn start_engine(&mut self, place: Where) -> Result<String> {
        match place {
            Where::Lab => {
                let options = EngineOptions::default();
                self.engine = Some(Engine::start(EngineVersion::from_env()?, &self.lan, options)?);
                Ok("from Debian's packages, in the lab, since none answers on this machine".into())
            }
            Where::Here => {
                let archive = Roots::lan()?.join("lab/busybox.tar");
                docker(&["import", &archive.display().to_string(), IMAGE])?;
                Ok("this machine's own".to_owned())
            }
        }
    }

    /// Runs `docker ARGS…`: its standard output without the last line's end.
    pub(crate) fn docker(&self, args: &[&str]) -> Result<String> {
        match &self.engine {
            Some(engine) => Ok(engine.docker_ok(args)?),
            None => docker(args),
        }
    }

    /// Runs a program on the Docker host.
    pub(crate) fn run(&self, argv: &[&str]) -> Result<String> {
        match &self.engine {
            Some(engine) => Ok(engine.machine().ok(argv)?),
            None => run(argv),
        }
    }

    /// Brings the plugin's folder to where `docker plugin create` will find it.
    pub(crate) fn bring_plugin(&self, folder: &Path) -> Result<String> {
        if !folder.join("config.json").is_file() {
            return Err(format!("{} is no plugin: `make plugin` makes it", folder.display()).into());
        }
        let (seen, inside) = match &self.engine {
            Some(engine) => (engine.machine().path("/tmp/plugin"), "/tmp/plugin".to_owned()),
            None => {
                let copy = Path::new(SCRATCH).join("plugin");
                (copy.clone(), copy.display().to_string())
            }
        };
        if let Some(parent) = seen.parent() {
            fs::create_dir_all(parent)?;
        }
        run(&["cp", "-a", &folder.display().to_string(), &seen.display().to_string()])?;
        fs::write(seen.join(MARK), "The plugin of `make demo`.\n")?;
        Ok(inside)
    }

    /// The commands by which someone who has only the plugin gets `landfall`, and then `landfall status`.
    pub(crate) fn status_commands(&self) -> Result<Vec<String>> {
        if self.engine.is_some() {
            return Ok(vec![
                "install /var/lib/docker/plugins/$(docker plugin inspect -f '{{.Id}}' landfall)/rootfs/landfall /usr/local/bin/".into(),
                "landfall status".into(),
            ]);
        }
        // Here, another plugin of Landfall's may stand beside this one, and no folder of the machine's is touched.
        let root = self.docker(&["info", "-f", "{{.DockerRootDir}}"])?;
        let id = self.docker(&["plugin", "inspect", "-f", "{{.Id}}", PLUGIN])?;

        let socket = format!("/run/docker/plugins/{id}/landfall-admin.sock");
        Ok(vec![
            format!("install {root}/plugins/{id}/rootfs/landfall {SCRATCH}/"),
            format!("{SCRATCH}/landfall status --admin-socket {socket}"),
        ])
    }

    /// The name of the plugin, and so of the driver.
    pub(crate) fn plugin(&self) -> &'static str {
        if self.engine.is_some() { "landfall:latest" } else { PLUGIN }
    }

    /// The image that containers run.
    pub(crate) fn image(&self) -> &'static str {
        if self.engine.is_some() { "busybox" } else { IMAGE }
    }

    /// The name of a container or of the network.
    pub(crate) fn named(&self, name: &str) -> String {
        if self.engine.is_some() { name.to_owned() } else { format!("{PREFIX}{name}") }
    }

    /// The ports of the bridge.
    pub(crate) fn ports(&self) -> Result<String> {
        Ok(self.lan.host_ns().ok(&["ip", "-br", "link", "show", "master", self.lan.bridge()])?)
    }

    /// Whether the laptop reaches an address.
    pub(crate) fn laptop_reaches(&self, ip: Ipv4Addr) -> Result<String> {
        let ping = ["ping", "-n", "-c", "1", "-W", "3", &ip.to_string()];
        Ok(self.lan.laptop_ns().ok(&ping)?)
    }
}

/// Whether this machine's firewall sees bridged frames.
fn firewalled() -> bool {
    let called = fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables");
    called.is_ok_and(|value| value.trim() != "0")
}

/// Removes all that a demo makes outside of itself. What is not there is no error.
pub(crate) fn clean_up(place: Where) {
    let until = Instant::now() + KILLED;
    // No event tells that what was killed is dead.
    while !lab::cleanup_stale() && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    if place == Where::Lab {
        return;
    }
    // An engine that was at work for the demo finishes that first.
    while !clean_up_engine() && Instant::now() < until {
        thread::sleep(Duration::from_millis(200));
    }
    let _ = docker(&["plugin", "rm", "-f", PLUGIN]);
    let _ = fs::remove_dir_all(SCRATCH);
    let _ = docker(&["rmi", IMAGE]);
    let _ = run(&[&["iptables", "-w", "-D"][..], &RULE[..]].concat());
    let _ = run(&["ip", "link", "delete", BRIDGE]);
}

/// Removes containers and network from this machine's engine. Whether none is left.
fn clean_up_engine() -> bool {
    let containers = format!("name=^/?{PREFIX}");
    let containers = || docker(&["ps", "-aq", "--filter", &containers]).unwrap_or_default();
    let network = format!("{PREFIX}lan");
    for container in containers().lines() {
        let _ = docker(&["rm", "-f", container]);
    }
    let _ = docker(&["network", "rm", &network]);
    containers().is_empty() && docker(&["network", "inspect", &network]).is_err()
}

fn docker(args: &[&str]) -> Result<String> {
    let argv: Vec<&str> = ["docker"].iter().chain(args).copied().collect();
    run(&argv).map(|out| out.trim_end().to_owned())
}

/// Runs a program of this machine.
fn run(argv: &[&str]) -> Result<String> {
    let (program, args) = argv.split_first().ok_or("an empty command line")?;
    let command = argv.join(" ");
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("running `{command}`: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{command}` failed ({}): {}", output.status, said.trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
