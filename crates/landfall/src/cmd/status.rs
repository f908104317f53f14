//! `landfall status`: what the daemon does right now.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{EXIT_CODES, Failure, print, table, watch};
use crate::admin::client::{self, Answer};
use crate::engine::api::{StateStatus, Status};

/// Show the containers on the LAN, their addresses and leases
///
/// The daemon is found by itself, be it a service or a managed plugin. A container shows under
/// its host name and its id once these are known, before that as the endpoint that it is to
/// Docker.
///
/// Example: landfall status --json | jq -r '.endpoints[].address'
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// The daemon's admin socket [default: looked for where the service and the plugins have it]
    #[arg(long, env = "LANDFALL_ADMIN_SOCKET", value_name = "PATH")]
    admin_socket: Option<PathBuf>,

    /// Print the daemon's answer as JSON; docs/status-schema.md has its fields
    #[arg(long)]
    json: bool,

    /// Show the table anew whenever something happens, and every five seconds, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,

    /// Print the rows of the table only
    #[arg(long, conflicts_with = "json")]
    no_headers: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Set but empty is what a setting looks like that nobody made.
    let named = args.admin_socket.as_deref().filter(|path| !path.as_os_str().is_empty());
    if args.watch {
        return runtime.block_on(watch::watch(named, !args.no_headers));
    }
    let answer = runtime.block_on(ask(named))?;
    for other in &answer.others {
        eprintln!(
            "landfall: this is the daemon on {}; another answers on {other} (--admin-socket)",
            answer.socket.display(),
            other = other.display(),
        );
    }
    if args.json {
        return print(&String::from_utf8_lossy(&answer.document));
    }
    let status = read(&answer)?;
    for trouble in troubles(&status.state) {
        eprintln!("landfall: {trouble}");
    }
    print(&shown(&status, !args.no_headers))
}

/// The daemon's answer.
pub(super) async fn ask(named: Option<&Path>) -> Result<Answer, Failure> {
    let answer = client::status(named, Path::new("/")).await;
    answer.map_err(|error| Failure::NotReachable(error.to_string()))
}

/// What it says.
pub(super) fn read(answer: &Answer) -> Result<Status, Failure> {
    serde_json::from_slice(&answer.document).map_err(|error| {
        Failure::Failed(format!(
            "the daemon on {} answers what this version of the command does not understand \
             ({error}); its own `landfall status`, or --json, does",
            answer.socket.display()
        ))
    })
}

/// The table, as wide as the terminal.
pub(super) fn shown(status: &Status, headers: bool) -> String {
    // Text for a pipe, a file or a script is as wide as it must be.
    let width = (io::stdout().is_terminal() && headers)
        .then(terminal_size::terminal_size)
        .flatten()
        .map(|(terminal_size::Width(columns), _)| columns);
    table::render(status, Timestamp::now(), width, headers)
}

/// What is wrong with the state folder, a line each.
fn troubles(state: &StateStatus) -> Vec<String> {
    let StateStatus { fault, waiting, unreadable, set_aside } = state;
    let fault = fault.as_ref().map(|fault| {
        format!("{fault}; {waiting} networks and endpoints have changes that are in memory only")
    });
    let unreadable = (*unreadable > 0).then(|| {
        format!("{unreadable} records cannot be read and are left alone: the log names them")
    });
    let set_aside =
        set_aside.as_ref().map(|path| format!("the state was damaged and is kept as {path}"));
    [fault, unreadable, set_aside].into_iter().flatten().collect()
}
