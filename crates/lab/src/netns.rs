//! Network namespaces without names: each lives as long as a file descriptor of this process.

use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{panic, process, thread};

use nix::sched::{CloneFlags, setns, unshare};

use crate::error::success;
use crate::{Error, Result};

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
    path: PathBuf,
}

impl Namespace {
    /// A new one, with only `lo`, up. `name` is for messages.
    pub fn new(name: &str) -> Result<Self> {
        let make = || -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET).map_err(Error::sys(format!(
                "making the network namespace {name} (is this process root?)"
            )))?;
            let file = File::open("/proc/thread-self/ns/net");
            file.map_err(Error::io(format!("opening the network namespace {name}")))
        };
        let file = on_own_thread(make)??;
        let path = path_of(&file);
        let ns = Self { name: name.to_owned(), file, path };
        ns.ok(&["ip", "link", "set", "lo", "up"])?;
        Ok(ns)
    }

    /// The one at `path`: `/proc/PID/ns/net`, or what Docker calls a SandboxKey.
    pub fn open(name: &str, path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(format!("opening {}", path.display())))?;
        let path = path_of(&file);
        Ok(Self { name: name.to_owned(), file, path })
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A path by which any process on this machine can enter it while this value lives: `nsenter --net=PATH`,
    /// `ip link set … netns PATH`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor that keeps it.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Runs `work` on a thread inside: sockets made there stay in this namespace, and so do the programs started.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_own_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)
                .map_err(Error::sys(format!("entering the network namespace {}", self.name)))?;
            Ok(work())
        })?
    }

    /// Runs a program of this machine inside and waits for it.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        self.feed(argv, "")
    }

    /// As [`Self::run`]; a status other than 0 is an error, else its standard output.
    pub fn ok(&self, argv: &[&str]) -> Result<String> {
        success(argv, self.run(argv)?)
    }

    /// Several `ip` commands in one process, one a line, without the word `ip`.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        let argv = ["ip", "-batch", "-"];
        success(&argv, self.feed(&argv, lines)?).map(drop)
    }

    /// Sets a variable below `/proc/sys/net`, with slashes: `ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{key}");
        self.enter(|| fs::write(&path, value))?
            .map_err(Error::io(format!("writing {value} to {path} in {}", self.name)))
    }

    /// Whether `ip` answers one of three pings of a second each.
    pub fn ping(&self, ip: Ipv4Addr) -> Result<bool> {
        self.is_answered(ip.into())
    }

    /// The same with IPv6.
    pub fn ping6(&self, ip: Ipv6Addr) -> Result<bool> {
        self.is_answered(ip.into())
    }

    fn is_answered(&self, ip: IpAddr) -> Result<bool> {
        let ip = ip.to_string();
        let output = self.run(&["ping", "-n", "-c", "1", "-w", "3", "-W", "1", &ip])?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false), // sent, nothing heard
            // 2: an error, such as "Network is unreachable"
            _ => success(&["ping", &ip], output).map(|_| false),
        }
    }

    fn feed(&self, argv: &[&str], input: &str) -> Result<Output> {
        let (program, args) =
            argv.split_first().ok_or_else(|| Error::Unfit("an empty command line".into()))?;
        self.enter(|| {
            let mut child = Command::new(program)
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                // One that ends without reading says why on stderr.
                let _ = stdin.write_all(input.as_bytes());
            }
            child.wait_with_output()
        })?
        .map_err(Error::io(format!("running `{}` in {}", argv.join(" "), self.name)))
    }
}

fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd()))
}

/// A thread that changes its namespace is never used again: it ends with `work`.
fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("lab-netns".into()).spawn_scoped(scope, work);
        let thread = thread.map_err(Error::io("starting a thread"))?;
        thread.join().or_else(|panicked| panic::resume_unwind(panicked))
    })
}
