//! A Docker Engine on the Docker host of a [`Lan`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use crate::error::success;
use crate::log::Log;
use crate::{Error, Lan, Landfall, Machine, Process, Result, Roots};

/// How long dockerd has to come up, on a busy machine.
const START: Duration = Duration::from_secs(90);
/// The image that tests run: all of BusyBox.
const IMAGE: &str = "busybox:latest";

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineVersion {
    /// 20.10.24, Debian bookworm.
    V20,
    /// 26.1.5, Debian trixie.
    V26,
    /// 28.5.2, Debian forky.
    V28,
}

impl EngineVersion {
    /// What `$LANDFALL_ENGINE` says: `20`, `26` or `28`; without it 20, the one of Debian 12.
    pub fn from_env() -> Result<Self> {
        match env::var("LANDFALL_ENGINE").as_deref() {
            Err(_) | Ok("" | "20") => Ok(Self::V20),
            Ok("26") => Ok(Self::V26),
            Ok("28") => Ok(Self::V28),
            Ok(other) => Err(Error::Unfit(format!(
                "LANDFALL_ENGINE is '{other}': 20, 26 or 28, the engines of Debian bookworm, trixie and forky"
            ))),
        }
    }

    /// The root that it is in, made if it is missing.
    pub fn root(self) -> Result<PathBuf> {
        match self {
            Self::V20 => Roots::of("bookworm"),
            Self::V26 => Roots::of("trixie"),
            Self::V28 => Roots::of("forky"),
        }
    }
}

/// How an [`Engine`] is made.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Options of dockerd, such as `--live-restore`.
    pub dockerd: Vec<String>,
    /// Folders of this machine (the first of each pair) and where the engine's machine sees them. All else there is in
    /// memory: what measures durable writes wants `/var/lib/landfall` on a disk.
    pub folders: Vec<(PathBuf, String)>,
}

/// A running engine: dockerd in a [`Machine`] of its own, with the Lan's Docker host as its network. Dropping it kills
/// all that runs in it, containers included; its images and containers are in memory and go with it.
#[derive(Debug)]
pub struct Engine {
    dockerd: Process,
    machine: Machine,
    log: Arc<Log>,
    version: EngineVersion,
    options: EngineOptions,
}

impl Engine {
    /// Starts an engine that has the image `busybox`, and waits until it answers.
    pub fn start(version: EngineVersion, lan: &Lan, options: EngineOptions) -> Result<Self> {
        let machine = machine(version, lan, &options)?;
        let log = Log::new("dockerd");
        let dockerd = dockerd(&machine, &options.dockerd, &log)?;
        let engine = Self { dockerd, machine, log, version, options };
        engine.docker_ok(&["import", "/lab/busybox.tar", IMAGE])?;
        Ok(engine)
    }

    /// Runs `docker ARGS…` inside and waits for it.
    pub fn docker(&self, args: &[&str]) -> Result<Output> {
        self.machine.run(&docker(args))
    }

    /// As [`Self::docker`]; a status other than 0 is an error, else its standard output without the last line's end.
    pub fn docker_ok(&self, args: &[&str]) -> Result<String> {
        let argv = docker(args);
        success(&argv, self.machine.run(&argv)?).map(|out| out.trim_end().to_owned())
    }

    /// The machine it runs in: to run programs there, to find its files from here.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What dockerd writes, over all its runs; a managed plugin's output is in it.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Where the machine's file below `/run` is seen from here: `run("docker/plugins/landfall.sock")`.
    pub fn run(&self, file: &str) -> PathBuf {
        self.machine.path("/run").join(file)
    }

    /// Stops dockerd and starts it with these options; containers go on if it ran with `--live-restore`.
    pub fn restart_dockerd(&mut self, options: &[&str]) -> Result<()> {
        self.dockerd.stop()?;
        let options: Vec<String> = options.iter().map(|&word| word.to_owned()).collect();
        self.dockerd = dockerd(&self.machine, &options, &self.log)?;
        Ok(())
    }

    /// Kills dockerd with SIGKILL, which leaves its containers running, and starts it with these options.
    pub fn kill_dockerd(&mut self, options: &[&str]) -> Result<()> {
        self.dockerd.kill9()?;
        let options: Vec<String> = options.iter().map(|&word| word.to_owned()).collect();
        self.dockerd = dockerd(&self.machine, &options, &self.log)?;
        Ok(())
    }

    /// Cuts the power of the engine's machine and boots it again on the same LAN: with the folders of its options as they were,
    /// nothing else on its disk or in its kernel but the LAN's bridge, and another `boot_id`. `before` is started before
    /// dockerd.
    pub fn reboot<T>(
        &mut self,
        lan: &Lan,
        before: impl FnOnce(&Machine) -> Result<T>,
    ) -> Result<T> {
        const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
        self.machine.kill()?;
        self.machine = machine(self.version, lan, &self.options)?;
        let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid")
            .map_err(Error::io("reading a random identifier"))?;
        self.machine.write("/run/boot_id", &uuid)?;
        self.machine.ok(&["mount", "--bind", "/run/boot_id", BOOT_ID])?;
        let started = before(&self.machine)?;
        self.dockerd = dockerd(&self.machine, &self.options.dockerd, &self.log)?;
        Ok(started)
    }

    /// Runs `binary serve ARGS…` beside the engine, as the host service: on `/run/docker/plugins/landfall.sock`, which
    /// makes it the driver `landfall`. `env`: `NAME=value`. Waits until it answers.
    pub fn spawn_landfall(&self, binary: &Path, args: &[&str], env: &[&str]) -> Result<Landfall> {
        Landfall::spawn_beside(&self.machine, binary, args, env)
    }

    /// Creates and enables the managed plugin `landfall` from a folder with `config.json` and `rootfs`, after `docker
    /// plugin set` of each of `settings` (`LOG_LEVEL=debug`).
    pub fn install_plugin(&self, folder: &Path, settings: &[&str]) -> Result<()> {
        const INSIDE: &str = "/tmp/plugin";
        let target = self.machine.path(INSIDE);
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .args([folder, target.as_path()])
            .output()
            .map_err(Error::io("running cp"))?;
        success(&["cp", "-a", &folder.display().to_string(), INSIDE], copied)?;
        self.docker_ok(&["plugin", "create", "landfall", INSIDE])?;
        fs::remove_dir_all(target).map_err(Error::io(format!("removing {INSIDE}")))?;
        if !settings.is_empty() {
            let argv: Vec<&str> =
                ["plugin", "set", "landfall"].iter().chain(settings).copied().collect();
            self.docker_ok(&argv)?;
        }
        self.docker_ok(&["plugin", "enable", "landfall"]).map(drop)
    }

    /// The address that a container has on a network, and the host name of all: what `docker inspect` shows.
    pub fn addresses(&self, container: &str) -> Result<BTreeMap<String, String>> {
        const FORMAT: &str =
            "{{range $name, $at := .NetworkSettings.Networks}}{{$name}} {{$at.IPAddress}}\n{{end}}";
        let out = self.docker_ok(&["inspect", "-f", FORMAT, container])?;
        let pairs = out.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.map(|(name, ip)| (name.to_owned(), ip.to_owned())).collect())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // First the whole machine: dockerd alone would try to end its containers in good order.
        let _ = self.machine.kill();
    }
}

fn docker<'a>(args: &[&'a str]) -> Vec<&'a str> {
    ["docker"].iter().chain(args).copied().collect()
}

fn machine(version: EngineVersion, lan: &Lan, options: &EngineOptions) -> Result<Machine> {
    Machine::start_with_cgroups("dockerhost", &version.root()?, lan.host_ns(), &options.folders)
}

fn dockerd(machine: &Machine, options: &[String], log: &Arc<Log>) -> Result<Process> {
    let mark = log.mark();
    let mut argv = vec!["dockerd", "--host", "unix:///run/docker.sock"];
    argv.extend(["--pidfile", "/run/docker.pid"]);
    argv.extend(options.iter().map(String::as_str));
    let process = machine.spawn("dockerd", &[], &argv, log)?;
    process.wait_ready(mark, "API listen on /run/docker.sock", START)?;
    Ok(process)
}
