//! A program that runs while the test does other things, and ends with it at the latest.

use std::fs;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::log::Log;
use crate::{Error, Result, spawner};

/// How long a program that was asked to end has for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a program's output may stay open after its end: its children can hold it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long one has to be started: with the machine's processors busy, a while.
const START: Duration = Duration::from_secs(60);

/// A running program. Dropping it kills it with `SIGKILL`.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Pid,
    payload: Pid,
    end: Arc<End>,
    log: Arc<Log>,
}

/// How a child ended, once it has.
#[derive(Debug, Default)]
struct End {
    status: Mutex<Option<ExitStatus>>,
    news: Condvar,
}

/// How to start a program, the first time and again.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// The command line.
    pub(crate) argv: Vec<String>,
    /// Whether the first process forks the one that becomes the program, as `nsenter` does into a pid namespace. The
    /// program's first line must then be [`Launch::STARTED`].
    pub(crate) forks: bool,
}

impl Launch {
    /// What a forking launcher's child says before it becomes the program.
    pub(crate) const STARTED: &str = "lab: started";
}

impl Process {
    /// Starts a program, with its output going to `log`.
    pub(crate) fn launch(name: &str, launch: &Launch, log: &Arc<Log>) -> Result<Self> {
        let mark = log.mark();
        let mut process = Self::spawn(name, &launch.argv, log)?;
        if launch.forks {
            process.wait_ready(mark, Launch::STARTED, START)?;
            process.follow_fork();
        }
        Ok(process)
    }

    fn spawn(name: &str, argv: &[String], log: &Arc<Log>) -> Result<Self> {
        let starting = || format!("starting `{}`", argv.join(" "));
        let (reader, writer) = std::io::pipe().map_err(Error::io(starting()))?;
        let errors = writer.try_clone().map_err(Error::io(starting()))?;
        let mut words = spawner::DIE_WITH_US.iter().copied().chain(argv.iter().map(String::as_str));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).stdin(Stdio::null()).stdout(writer).stderr(errors);
        log.collect(reader)?;
        let mut child = spawner::spawn(command).map_err(Error::io(starting()))?;

        let pid = Pid::from_raw(child.id().cast_signed());
        let end = Arc::new(End::default());
        let ended = Arc::clone(&end);
        let wait = move || {
            // Seen first, reaped under the lock: whoever holds the lock and finds no status may signal the pid.
            let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            let mut status = ended.status.lock().unwrap_or_else(PoisonError::into_inner);
            *status = child.wait().ok();
            ended.news.notify_all();
        };
        thread::Builder::new()
            .name("lab-wait".into())
            .spawn(wait)
            .map_err(Error::io(format!("starting the thread that waits for {name}")))?;
        Ok(Self { name: name.to_owned(), child: pid, payload: pid, end, log: Arc::clone(log) })
    }

    /// Takes the child's only child for the program to signal and to measure: `nsenter` forks into a pid namespace.
    /// One that has ended by now has no such child: its end is for those to see who wait for the program.
    fn follow_fork(&mut self) {
        let path = format!("/proc/{0}/task/{0}/children", self.child);
        let children = fs::read_to_string(&path).unwrap_or_default();
        let first = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        self.payload = first.map_or(self.child, Pid::from_raw);
    }

    /// Its process id, as this process sees it.
    pub fn pid(&self) -> u32 {
        self.payload.as_raw().cast_unsigned()
    }

    /// Its output.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Sends a signal. One that has ended already is no error.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let status = self.end.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_some() {
            return Ok(());
        }
        match kill(self.payload, signal) {
            Ok(()) | Err(nix::Error::ESRCH) => Ok(()),
            Err(errno) => Err(Error::sys(format!("sending {signal} to {}", self.name))(errno)),
        }
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<ExitStatus> {
        *self.end.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its end, and until its last words are in the log.
    pub fn wait(&self, timeout: Duration) -> Result<ExitStatus> {
        let status = self.wait_end(timeout)?;
        self.log.settle(LAST_WORDS);
        Ok(status)
    }

    fn wait_end(&self, timeout: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + timeout;
        let mut status = self.end.status.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(status) = *status {
                return Ok(status);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TimedOut {
                    what: format!("the end of {}", self.name),
                    after: timeout,
                    seen: format!("Its last lines:\n{}", self.log.tail(25)),
                });
            }
            let woken = self.end.news.wait_timeout(status, left);
            status = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// `SIGTERM`, and the status it ended with.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(PATIENCE)
    }

    /// `SIGKILL`, and waits until it is gone.
    pub fn kill9(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.wait_end(PATIENCE).map(drop)
    }

    /// The error for one that should run and does not.
    pub(crate) fn ended(&self) -> Error {
        self.log.settle(LAST_WORDS);
        Error::Ended {
            what: self.name.clone(),
            status: self.status().map_or_else(|| "still ending".into(), |s| s.to_string()),
            log: self.log.tail(25),
        }
    }

    /// Waits for a line from `mark` on that contains `needle`; an error at once when the program ends before it.
    pub(crate) fn wait_ready(&self, mark: usize, needle: &str, timeout: Duration) -> Result<()> {
        let until = Instant::now() + timeout;
        let step = Duration::from_millis(50);
        let what = format!("a line with '{needle}'");
        // In steps only to notice a program that ended: a line is noticed when it comes.
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(step);
            match self.log.wait_after(mark, &what, |line| line.contains(needle), left) {
                Ok(_) => return Ok(()),
                Err(error) if self.status().is_none() && Instant::now() >= until => {
                    return Err(error);
                }
                Err(_) if self.status().is_some() => return Err(self.ended()),
                Err(_) => {}
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A failure has no one to go to here; the process ends with this one in any case.
        let _ = self.kill9();
    }
}
