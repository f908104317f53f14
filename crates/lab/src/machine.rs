//! A pretended machine: own mount, pid, uts and ipc namespaces on an overlay over a Debian root, in a network namespace
//! that is given.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::cgroup::Cgroup;
use crate::error::success;
use crate::log::Log;
use crate::process::Launch;
use crate::{Error, Namespace, Process, Result};

/// What the first process of a machine does.
const SCRIPT: &str = include_str!("machine.sh");

/// A process 1 that only holds the namespaces.
const HOLD: &str = "hold";
/// How long systemd has until it answers.
const SYSTEMD: Duration = Duration::from_secs(30);

/// What a program in a machine finds in its environment; nothing of ours.
const ENVIRONMENT: [&str; 3] = [
    "HOME=/root",
    "LANG=C.UTF-8",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
];

/// A running machine. Dropping it kills all that runs in it; its file system is in memory and goes with it.
#[derive(Debug)]
pub struct Machine {
    name: String,
    /// `unshare`, whose child is process 1 of the machine. Dropped before the cgroup, which must be empty by then.
    init: Process,
    cgroup: Option<Cgroup>,
}

impl Machine {
    /// A machine that can run ordinary programs, on `root` (see [`crate::Roots`]), in the network namespace `net`.
    pub fn start(name: &str, root: &Path, net: &Namespace) -> Result<Self> {
        Self::start_with_folders(name, root, net, &[])
    }

    /// One that sees folders of this machine (the first of each pair) at a path of its own (the second).
    pub(crate) fn start_with_folders(
        name: &str,
        root: &Path,
        net: &Namespace,
        folders: &[(PathBuf, String)],
    ) -> Result<Self> {
        Self::boot(name, root, net, None, HOLD, folders)
    }

    /// The same, which also has cgroups of its own and so can run containers.
    pub(crate) fn start_with_cgroups(
        name: &str,
        root: &Path,
        net: &Namespace,
        folders: &[(PathBuf, String)],
    ) -> Result<Self> {
        Self::boot(name, root, net, Some(Cgroup::new()), HOLD, folders)
    }

    /// One whose process 1 is systemd, on a root that has it (`forky`, `bookworm-systemd`), with all units that are enabled there: an engine
    /// among them. Its cgroups are those of version 2, with the controllers that are free.
    pub fn start_with_systemd(name: &str, root: &Path, net: &Namespace) -> Result<Self> {
        let machine = Self::boot(name, root, net, Some(Cgroup::new()), "systemd", &[])?;
        let until = Instant::now() + SYSTEMD;
        // Its socket is there before long, and no event tells.
        while !machine.path("/run/systemd/private").exists() {
            if machine.init.status().is_some() || Instant::now() > until {
                return Err(machine.init.ended());
            }
            thread::sleep(Duration::from_millis(20));
        }
        machine.ok(&["systemctl", "is-system-running", "--wait"])?;
        Ok(machine)
    }

    fn boot(
        name: &str,
        root: &Path,
        net: &Namespace,
        cgroup: Option<Cgroup>,
        init: &str,
        folders: &[(PathBuf, String)],
    ) -> Result<Self> {
        let mountpoint = root.with_file_name("mnt");
        let mut argv: Vec<String> =
            vec!["nsenter".into(), format!("--net={}", net.path().display()), "unshare".into()];
        argv.extend(["--mount", "--pid", "--uts", "--ipc"].map(String::from));
        argv.extend(["--fork", "--kill-child", "--propagation", "private"].map(String::from));
        argv.extend(["bash", "-c", SCRIPT, "machine"].map(String::from));
        argv.extend([root.display().to_string(), mountpoint.display().to_string()]);
        argv.push(name.to_owned());
        argv.push(cgroup.as_ref().map(|c| c.name().to_owned()).unwrap_or_default());
        argv.push(init.to_owned());
        for (folder, inside) in folders {
            argv.extend([folder.display().to_string(), inside.clone()]);
        }
        let log = Log::new(format!("the machine {name}"));
        let launch = Launch { argv, forks: true };
        let init = Process::launch(&format!("the machine {name}"), &launch, &log)?;
        Ok(Self { name: name.to_owned(), init, cgroup })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process 1, as this process sees it: `/proc/PID/root` is the machine's file system, `/proc/PID/ns` its namespaces.
    pub fn pid(&self) -> u32 {
        self.init.pid()
    }

    /// Where the machine's file `inside` (an absolute path) is seen from here. An absolute symbolic link on the way
    /// (`/var/run`) would lead out of the machine: say `/run`.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.pid())).join(inside.trim_start_matches('/'))
    }

    /// Writes a file, with its folders.
    pub fn write(&self, inside: &str, content: &str) -> Result<()> {
        let path = self.path(inside);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, content))
            .map_err(Error::io(format!("writing {inside} in the machine {}", self.name)))
    }

    /// Reads a file.
    pub fn read(&self, inside: &str) -> Result<String> {
        fs::read_to_string(self.path(inside))
            .map_err(Error::io(format!("reading {inside} in the machine {}", self.name)))
    }

    /// Copies a file of this machine into that one, with its mode.
    pub fn copy_in(&self, from: &Path, inside: &str) -> Result<()> {
        let to = self.path(inside);
        to.parent()
            .map_or(Ok(()), fs::create_dir_all)
            // A program that runs from the old file keeps it.
            .and_then(|()| if to.exists() { fs::remove_file(&to) } else { Ok(()) })
            .and_then(|()| fs::copy(from, &to).map(drop))
            .map_err(Error::io(format!(
                "copying {} to {inside} in the machine {}",
                from.display(),
                self.name
            )))
    }

    /// Gives `net` a name inside: bound to `/run/docker/netns/KEY` it is what an engine calls a sandbox.
    pub fn bind(&self, net: &Namespace, inside: &str) -> Result<()> {
        // The descriptor comes in as standard input: its path out here means nothing inside.
        const SCRIPT: &str = "mkdir -p \"${1%/*}\"; : >>\"$1\"; \
            exec mount --no-canonicalize --bind /proc/self/fd/0 \"$1\"";
        let doing = || format!("binding {inside} in the machine {}", self.name);
        let argv = self.command(&[], ["sh", "-euc", SCRIPT, "sh", inside].into_iter());
        let (program, args) = argv.split_first().ok_or_else(|| self.no_command())?;
        let input = net.file().try_clone().map_err(Error::io(doing()))?;
        let output =
            Command::new(program).args(args).stdin(input).output().map_err(Error::io(doing()))?;
        success(&["mount", "--bind", inside], output).map(drop)
    }

    /// Takes the name away that [`Self::bind`] gave.
    pub fn unbind(&self, inside: &str) -> Result<()> {
        self.ok(&["umount", "--lazy", inside])?;
        self.ok(&["rm", inside]).map(drop)
    }

    /// Runs a program inside and waits for it.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        let command = self.command(&[], argv.iter().copied());
        let (program, args) = command.split_first().ok_or_else(|| self.no_command())?;
        Command::new(program).args(args).stdin(Stdio::null()).output().map_err(Error::io(format!(
            "running `{}` in {}",
            argv.join(" "),
            self.name
        )))
    }

    /// As [`Self::run`]; a status other than 0 is an error, else its standard output.
    pub fn ok(&self, argv: &[&str]) -> Result<String> {
        success(argv, self.run(argv)?)
    }

    /// Starts a program inside that runs on, with `env` (`NAME=value`) and its output in `log`.
    pub fn spawn(
        &self,
        name: &str,
        env: &[&str],
        argv: &[&str],
        log: &Arc<Log>,
    ) -> Result<Process> {
        Process::launch(name, &self.launch(env, argv), log)
    }

    /// How to start a program inside that runs on.
    pub(crate) fn launch(&self, env: &[&str], argv: &[&str]) -> Launch {
        // Inside, a shell joins the machine's cgroups before it becomes the program.
        const WRAPPER: &str = "while read -r procs; do echo 0 >\"$procs\"; done </run/lab-cgroups; \
            echo lab: started; exec \"$@\"";
        let words = ["sh", "-c", WRAPPER, "sh"].into_iter().chain(argv.iter().copied());
        Launch { argv: self.command(env, words), forks: true }
    }

    /// Kills everything in it. The same happens when this value is dropped.
    pub(crate) fn kill(&self) -> Result<()> {
        self.init.kill9()
    }

    fn command<'a>(&self, env: &[&'a str], argv: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut command = vec!["nsenter".to_owned(), "-t".into(), self.pid().to_string()];
        command.extend(["-m", "-p", "-u", "-i", "-n", "-r", "-w"].map(String::from));
        command.extend(self.cgroup.as_ref().map(|_| "-C".to_owned()));
        command.extend(["env", "-i"].into_iter().chain(ENVIRONMENT).map(String::from));
        command.extend(env.iter().copied().chain(argv).map(String::from));
        command
    }

    fn no_command(&self) -> Error {
        Error::Unfit(format!("an empty command line for the machine {}", self.name))
    }
}
