//! The command line.

mod doctor;
#[cfg(test)]
mod documents;
mod events;
mod humane;
mod lease;
mod logging;
mod network;
mod serve;
mod socket;
mod status;
mod table;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Put Docker containers on the LAN, each with its own address from the LAN's DHCP server.
///
/// `landfall serve` is the network driver, as a service or as Docker's managed plugin. The other
/// commands ask the running daemon; `landfall doctor` looks at the host as well.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed; the reason is on standard error
  2  wrong usage
  3  no daemon can be reached";

#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Status(status::Args),
    Lease(lease::Args),
    Events(events::Args),
    Doctor(doctor::Args),
    Network(network::Args),
    /// Print this binary's version
    ///
    /// Example: landfall version
    #[command(after_help = EXIT_CODES)]
    Version,
}

/// Why a command failed.
enum Failure {
    /// It was tried, and did not work.
    Failed(String),
    /// There is no daemon to ask.
    NotReachable(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Failed(error.to_string())
    }
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Status(args) => status::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Lease(args) => lease::run(&args),
        Command::Doctor(args) => return doctor::run(args),
        Command::Network(args) => network::run(args),
        Command::Version => print(&format!("landfall {}\n", env!("CARGO_PKG_VERSION"))),
    };
    let (code, reason) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Failed(reason)) => (1, reason),
        Err(Failure::NotReachable(reason)) => (3, reason),
    };
    // Nobody is left to be told if even this fails.
    let _ = writeln!(io::stderr(), "landfall: {reason}");
    ExitCode::from(code)
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
/// Says whether anybody reads still.
fn print_on(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Failed(format!("cannot write to standard output: {error}"))),
    }
}

/// The same for what is all there is to print.
fn print(text: &str) -> Result<(), Failure> {
    print_on(text).map(drop)
}
