//! `landfall events`: what happens, as it happens.

use std::path::{Path, PathBuf};

use super::table::plain;
use super::{EXIT_CODES, Failure, print_on};
use crate::admin::client;
use crate::engine::events::{Event, Kind};

/// Follow what happens to containers' addresses
///
/// A line for each network and endpoint that is made or removed, and for all that becomes of
/// leases, until the daemon ends or Ctrl-C. Whoever reads too slowly is told how much was missed.
///
/// Example: landfall events --json | jq -r 'select(.event == "lease_changed")'
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// Print each event as the line of JSON that the daemon sends; docs/events.md has the fields
    #[arg(long)]
    json: bool,

    /// The daemon's admin socket [default: looked for where the service and the plugins have it]
    #[arg(long, env = "LANDFALL_ADMIN_SOCKET", value_name = "PATH")]
    admin_socket: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let named = args.admin_socket.as_deref().filter(|path| !path.as_os_str().is_empty());
    runtime.block_on(async {
        let mut lines = client::follow("/v1/events", named, Path::new("/"))
            .await
            .map_err(|error| Failure::NotReachable(error.to_string()))?;
        while let Some(line) = lines.next().await {
            let line = String::from_utf8_lossy(&line).into_owned();
            let text = if args.json { line + "\n" } else { for_people(&line) };
            if !print_on(&text)? {
                // Nobody reads any more.
                return Ok(());
            }
        }
        Err(Failure::NotReachable("the daemon has ended".to_owned()))
    })
}

/// An event as a line with its time; one that only a newer daemon knows as it came.
fn for_people(line: &str) -> String {
    match serde_json::from_str::<Event>(line) {
        Ok(event) if event.event == Kind::Following => String::new(),
        Ok(event) => format!("{:.0} {}\n", event.time, plain(&event.to_string()).trim_end()),
        Err(_) => plain(line) + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_for_people() {
        let of = |rest: &str| {
            let time = "\"time\": \"2026-11-22T08:00:00.123456789Z\"";
            for_people(&format!("{{{time}, {rest}}}"))
        };
        assert_eq!(of("\"event\": \"following\""), "");
        let changed = "\"event\": \"lease_changed\", \"host_name\": \"we\\u001bb\", \"address\": \"192.0.2.6/24\", \
            \"mac\": \"02:00:00:00:00:42\", \"server\": \"192.0.2.1\", \
            \"changes\": [{\"what\": \"router\", \"before\": null, \"now\": \"192.0.2.1\"}]";
        assert_eq!(
            of(changed),
            "2026-11-22T08:00:00Z lease changed      we?b                 192.0.2.6/24 MAC 02:00:00:00:00:42 \
             server 192.0.2.1: router none -> 192.0.2.1\n"
        );
        let missed = of("\"event\": \"missed\", \"missed\": 7");
        assert!(missed.ends_with(": 7 events, as they were not read in time\n"), "{missed}");
        // Of a newer daemon.
        let unknown = of("\"event\": \"of_tomorrow\"");
        assert!(unknown.contains("of_tomorrow"), "{unknown}");
    }
}
