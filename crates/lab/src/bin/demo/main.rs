//! `make demo`: containers that get their addresses from a LAN's DHCP server, step by step, each step with a line that says
//! what it shows.
//!
//! | file | is |
//! |---|---|
//! | `main` | starts the demo as a process of its own, and cleans up whichever way that ends |
//! | `story` | the steps |
//! | `host` | the Docker host of the demo: one of the lab, or this machine |
//! | `transcript` | how it looks |

mod host;
mod story;
mod transcript;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::{env, error};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg};
use nix::unistd::Pid;

use crate::host::Where;

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

/// The first word of the process that does the steps; the second says where.
const STEPS: &str = "--steps";

/// What a shell says of a program that ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    let done = match (words.next().as_deref(), words.next().as_deref().and_then(Where::of)) {
        (None, None) => supervise(),
        (Some(STEPS), Some(place)) => steps(place).map(|()| ExitCode::SUCCESS),
        _ => Err("usage: demo (without arguments)".into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("demo: {error}");
        ExitCode::FAILURE
    })
}

/// Has another process do the steps and removes what it leaves, whether it ends well, fails, or is ended by Ctrl-C.
fn supervise() -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err("makes network namespaces and so needs root: run `make demo` with sudo".into());
    }
    let place = Where::find();
    // Of a demo that was killed together with this supervisor.
    host::clean_up(place);

    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(env::current_exe()?)
        .args([STEPS, place.word()])
        .stdin(Stdio::null())
        // Ctrl-C comes to this process alone: in the other's group, it would reach the engine and the containers too.
        .process_group(0)
        .spawn()?;
    let group = Pid::from_raw(child.id().cast_signed());
    let ended = loop {
        if signals.wait()? != Signal::SIGCHLD {
            killpg(group, Signal::SIGKILL)?;
            child.wait()?;
            break None;
        }
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
    };
    host::clean_up(place);
    match ended {
        Some(status) if status.success() => Ok(ExitCode::SUCCESS),
        Some(status) => {
            eprintln!("demo: failed ({}); everything it made is removed", told(status));
            Ok(ExitCode::FAILURE)
        }
        None => {
            eprintln!("\ndemo: interrupted; everything it made is removed");
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

fn told(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("status {code}"))
}

fn steps(place: Where) -> Result<()> {
    // Those that the supervisor waits for are not blocked here. The other one would stop a process that writes to the
    // terminal from behind, where the terminal is set so.
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTTOU);
    mask.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    story::tell(place)
}
