//! The daemon under test: `landfall serve`, in an engine's machine or alone in a network namespace.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::log::Log;
use crate::process::Launch;
use crate::{Answer, Error, Machine, Namespace, Process, Result, Roots, post};

/// How long the daemon has until it answers.
const START: Duration = Duration::from_secs(10);

/// A `landfall serve`, with its sockets and its state where they are by default, in a [`Machine`]. Dropping it kills it
/// with `SIGKILL`.
#[derive(Debug)]
pub struct Landfall {
    argv: Vec<String>,
    launch: Launch,
    process: Process,
    plugin_socket: PathBuf,
    admin_socket: PathBuf,
    log: Arc<Log>,
    machine: Option<Machine>,
}

impl Landfall {
    /// Starts `binary serve ARGS…` without an engine, in a machine of its own whose network is `net`; `env`:
    /// `NAME=value`. Waits until the plugin socket answers.
    ///
    /// The caller plays the engine: [`Self::call`], and [`Machine::bind`] of a [`Namespace`] to a SandboxKey.
    pub fn spawn_in(net: &Namespace, binary: &Path, args: &[&str], env: &[&str]) -> Result<Self> {
        Self::spawn_with_folders(net, binary, args, env, &[])
    }

    /// The same with folders of this machine (the first of each pair) at a path in the daemon's (the second): what measures
    /// durable writes wants `/var/lib/landfall` on a disk.
    pub fn spawn_with_folders(
        net: &Namespace,
        binary: &Path,
        args: &[&str],
        env: &[&str],
        folders: &[(PathBuf, String)],
    ) -> Result<Self> {
        let machine = Machine::start_with_folders("dockerhost", &Roots::lan()?, net, folders)?;
        let mut landfall = Self::spawn_beside(&machine, binary, args, env)?;
        landfall.machine = Some(machine);
        Ok(landfall)
    }

    /// The same in a machine that is there; see [`crate::Engine::spawn_landfall`].
    pub fn spawn_beside(
        machine: &Machine,
        binary: &Path,
        args: &[&str],
        env: &[&str],
    ) -> Result<Self> {
        const INSIDE: &str = "/usr/local/bin/landfall";
        machine.copy_in(binary, INSIDE)?;
        let argv: Vec<&str> = [INSIDE, "serve"].iter().chain(args).copied().collect();
        let launch = machine.launch(env, &argv);
        let log = Log::new("landfall");
        let process = Process::launch("landfall", &launch, &log)?;
        let landfall = Self {
            argv: argv.into_iter().map(str::to_owned).collect(),
            launch,
            process,
            plugin_socket: machine.path("/run/docker/plugins/landfall.sock"),
            admin_socket: machine.path("/run/landfall/admin.sock"),
            log,
            machine: None,
        };
        landfall.wait_for_answer()?;
        Ok(landfall)
    }

    /// The machine that was made for it, if there is no engine.
    pub fn machine(&self) -> Option<&Machine> {
        self.machine.as_ref()
    }

    /// Its process id, as this process sees it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it writes, over all its runs.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// The socket that engines call, as seen from here.
    pub fn plugin_socket(&self) -> &Path {
        &self.plugin_socket
    }

    /// The socket for `landfall status`, as seen from here.
    pub fn admin_socket(&self) -> &Path {
        &self.admin_socket
    }

    /// Calls it as an engine does: `call("NetworkDriver.CreateNetwork", "{…}")`. Thirty seconds, as engines wait.
    pub fn call(&self, method: &str, body: &str) -> Result<Answer> {
        post(&self.plugin_socket, method, body, Duration::from_secs(30))
    }

    /// `SIGTERM`, and the status it ended with.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.stop()
    }

    /// `SIGKILL`, and waits until it is gone.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9()
    }

    /// The environment (`NAME=value`) of its next runs, in the place of the one it was started with. Only where it has a
    /// machine of its own.
    pub fn set_env(&mut self, env: &[&str]) {
        if let Some(machine) = &self.machine {
            let argv: Vec<&str> = self.argv.iter().map(String::as_str).collect();
            self.launch = machine.launch(env, &argv);
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.process.status().is_none()
    }

    /// Starts it again, after stopping it if it runs, and waits until the plugin socket answers.
    pub fn restart(&mut self) -> Result<()> {
        if self.process.status().is_none() {
            self.process.stop()?;
        }
        self.process = Process::launch("landfall", &self.launch, &self.log)?;
        self.wait_for_answer()
    }

    fn wait_for_answer(&self) -> Result<()> {
        let until = Instant::now() + START;
        loop {
            let answer = post(&self.plugin_socket, "Plugin.Activate", "", START);
            match answer {
                Ok(Answer { status: 200, .. }) => return Ok(()),
                _ if self.process.status().is_some() => return Err(self.process.ended()),
                _ if Instant::now() >= until => {
                    return Err(Error::TimedOut {
                        what: "an answer of landfall to Plugin.Activate".into(),
                        after: START,
                        seen: format!("Seen: {answer:?}. Its last lines:\n{}", self.log.tail(25)),
                    });
                }
                // No event tells that a socket has come to listen.
                _ => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

/// The daemon's binary: `$LANDFALL_BIN`, else the `landfall` that cargo put beside this program.
pub fn landfall_binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("LANDFALL_BIN") {
        return Ok(path.into());
    }
    let me = env::current_exe().map_err(Error::io("finding the path of this program"))?;
    // target/PROFILE/program, or target/PROFILE/deps/test
    let candidates = me.ancestors().skip(1).take(2).map(|folder| folder.join("landfall"));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Error::Unfit(format!(
            "no landfall binary beside {}: `cargo build -p landfall`, or set LANDFALL_BIN",
            me.display()
        ))
    })
}
