//! What goes wrong in a lab, said so that a failed test explains itself.

use std::process::{ExitStatus, Output};
use std::time::Duration;
use std::{io, result};

/// A result of the lab.
pub type Result<T> = result::Result<T, Error>;

/// A failure of the lab (not of what is tested in it).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A command could be run and said no.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// Its stderr, then its stdout.
        output: String,
    },
    /// The kernel or the file system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system answered.
        source: io::Error,
    },
    /// Something awaited did not come.
    #[error("{what}: not seen within {after:?}. {seen}")]
    TimedOut {
        /// What was awaited.
        what: String,
        /// How long.
        after: Duration,
        /// What was seen instead.
        seen: String,
    },
    /// A program that should run has ended.
    #[error("{what} ended ({status}). Its last lines:\n{log}")]
    Ended {
        /// Which program.
        what: String,
        /// How it ended.
        status: String,
        /// The tail of its output.
        log: String,
    },
    /// This machine or these settings do not allow it; says what to do.
    #[error("{0}")]
    Unfit(String),
}

impl Error {
    /// An error of the system, with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The same for calls through `nix`.
    pub(crate) fn sys(what: impl Into<String>) -> impl FnOnce(nix::Error) -> Self {
        let what = what.into();
        move |errno| Self::Io { what, source: errno.into() }
    }
}

/// The standard output of a command that succeeded; else the whole story.
pub(crate) fn success(argv: &[&str], output: Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [&output.stderr[..], &output.stdout[..]]
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned())
        .join("\n");
    Err(Error::Command {
        command: argv.join(" "),
        status: output.status,
        output: said.trim().to_owned(),
    })
}
