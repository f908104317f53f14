//! Children that end with this process.
//!
//! `setpriv --pdeathsig KILL` makes the kernel kill a child when the *thread* that started it ends, so one thread,
//! which lives as long as the process, starts them all: a test may start a server on any thread of its own.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

type Job = (Command, Sender<io::Result<Child>>);

/// The words to put before a command line, so that what it starts is killed when this process ends.
pub(crate) const DIE_WITH_US: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

/// Starts `command` on the thread that lives as long as the process.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, inbox) = channel::<Job>();
        let body = move || {
            for (mut command, answer) in inbox {
                // The asker waits for the answer; were it gone, nobody would want the child either.
                if let Err(unwanted) = answer.send(command.spawn())
                    && let Ok(mut child) = unwanted.0
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        };
        // Without the thread `inbox` is dropped and every spawn below says so.
        let _ = thread::Builder::new().name("lab-spawner".into()).spawn(body);
        jobs
    });
    let gone = || io::Error::other("the lab's thread for starting programs could not be started");
    let (answer, outcome) = channel();
    spawner.send((command, answer)).map_err(|_| gone())?;
    outcome.recv().map_err(|_| gone())?
}
