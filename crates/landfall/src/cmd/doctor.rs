//! `landfall doctor`: what faults come from, and what to do.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{Failure, print};
use crate::doctor::{self, Scope};

const EXIT_CODES: &str = "\
Exit codes:
  0  nothing worse than a note
  1  warnings
  2  errors, or wrong usage
  3  the checks could not be made; the reason is on standard error";

/// Check what faults come from, and say what to do
///
/// Looks at the daemon, Docker, privileges, the state folder, the kernel, the clock and the
/// addresses in containers; then, on each bridge, at the uplink, the host's firewall, who serves
/// DHCP and DHCPv6 and who routes IPv6. For that it asks once for an offer, takes none, and leaves
/// nothing behind. It takes as long as --wait says, and under spanning tree as much longer as a
/// new port is silent.
///
/// A line for each finding: ok, note, warning or error; the check; what was looked at; what was
/// seen; what to do.
///
/// Example: landfall doctor br0
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// The bridges to look at [default: those of the daemon's networks, else all that lead to a
    /// LAN]
    #[arg(value_name = "BRIDGE")]
    bridges: Vec<String>,

    /// Print the findings as JSON; docs/doctor.md has the fields
    #[arg(long)]
    json: bool,

    /// Seconds that DHCP servers have for their answer; some first ping an address, for three
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=60)
    )]
    wait: u64,

    /// Do not ask for DHCP servers: nothing is sent
    #[arg(long, conflicts_with = "wait")]
    no_probe: bool,

    /// The daemon's admin socket [default: looked for where the service and the plugins have it]
    #[arg(long, env = "LANDFALL_ADMIN_SOCKET", value_name = "PATH")]
    admin_socket: Option<PathBuf>,

    /// The daemon's plugin socket; a managed plugin's is known
    #[arg(
        long,
        env = "LANDFALL_PLUGIN_SOCKET",
        value_name = "PATH",
        default_value = "/run/docker/plugins/landfall.sock"
    )]
    plugin_socket: PathBuf,

    /// The daemon's state folder [default: the running daemon's, else /var/lib/landfall]
    #[arg(long, env = "LANDFALL_STATE_DIR", value_name = "PATH")]
    state_dir: Option<PathBuf>,
}

/// The command has exit codes of its own, since findings are no failures.
pub(super) fn run(args: Args) -> ExitCode {
    match report(args) {
        Ok(status) => ExitCode::from(status),
        Err(Failure::Failed(reason) | Failure::NotReachable(reason)) => {
            // Nobody is left to be told if even this fails.
            let _ = writeln!(io::stderr(), "landfall: {reason}");
            ExitCode::from(3)
        }
    }
}

fn report(args: Args) -> Result<u8, Failure> {
    // Set but empty is what a setting looks like that nobody made.
    let set = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
    let scope = Scope {
        bridges: args.bridges,
        probe: (!args.no_probe).then_some(Duration::from_secs(args.wait)),
        admin_socket: set(args.admin_socket),
        plugin_socket: args.plugin_socket,
        state_dir: set(args.state_dir),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime
        .block_on(doctor::examine(&scope))
        .map_err(|error| Failure::Failed(error.to_string()))?;
    if args.json {
        print(&report.json().map_err(|error| Failure::Failed(error.to_string()))?)?;
    } else {
        print(&report.text())?;
    }
    Ok(report.exit_status())
}
