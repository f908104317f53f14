//! `landfall serve`: the daemon.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{EXIT_CODES, Failure, logging, socket};
use crate::docker::containers::Containers;
use crate::engine::Engine;
use crate::{admin, docker};

/// Run the daemon: the network driver that Docker calls
///
/// It answers Docker on the plugin socket and `landfall status` on the admin socket, keeps what
/// must outlive it in the state folder, and ends on SIGTERM or SIGINT. The leases of running
/// containers go on at the next start. A socket that systemd listens on already (landfall.socket)
/// is taken over, so that calls wait while the daemon starts again.
///
/// Example: landfall serve --state-dir /srv/landfall
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// Where Docker finds the driver; the file's name is the driver's name
    #[arg(
        long,
        env = "LANDFALL_PLUGIN_SOCKET",
        value_name = "PATH",
        default_value = "/run/docker/plugins/landfall.sock"
    )]
    plugin_socket: PathBuf,

    /// Where the other commands find the daemon
    #[arg(
        long,
        env = "LANDFALL_ADMIN_SOCKET",
        value_name = "PATH",
        default_value = "/run/landfall/admin.sock"
    )]
    admin_socket: PathBuf,

    /// The folder for networks and leases
    #[arg(
        long,
        env = "LANDFALL_STATE_DIR",
        value_name = "PATH",
        default_value = "/var/lib/landfall"
    )]
    state_dir: PathBuf,

    /// Answer Prometheus on this TCP address too; a port alone is one of 127.0.0.1. Without it only
    /// the admin socket has /metrics
    #[arg(
        long,
        env = "LANDFALL_METRICS_LISTEN",
        value_name = "[ADDRESS:]PORT",
        default_value = "",
        hide_default_value = true
    )]
    metrics_listen: Listen,

    /// What to log: error, warn, info, debug or trace, or `info,landfall::docker=debug` and the
    /// like
    #[arg(long, env = "LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    log_level: logging::Filter,
}

/// Where to answer over TCP; none: nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listen(Option<SocketAddr>);

/// The text is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address to listen on: give a port (of 127.0.0.1), or an address and a port, such as \
     192.168.7.2:9100 or [::1]:9100"
)]
struct InvalidAddress(String);

impl FromStr for Listen {
    type Err = InvalidAddress;

    /// Empty text is what a plugin setting looks like that nobody set.
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if text.is_empty() {
            return Ok(Listen(None));
        }
        let port = text.strip_prefix(':').unwrap_or(text);
        let local = port.parse().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let address = local.or_else(|_| text.parse()).map_err(|_| InvalidAddress(text.to_owned()));
        address.map(|address| Listen(Some(address)))
    }
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    logging::start(args.log_level.clone()).map_err(Failure::Failed)?;
    // Before there is another thread: each has its own rights.
    give_up_privileges();
    // Two workers: while one waits for the disk the other answers. Everything else is asleep.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    let done = runtime.block_on(daemon(args));
    // What still runs on blocking threads must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Keeps the rights that links and namespaces take, and no others. A kernel that cannot do that is no
/// reason not to serve.
fn give_up_privileges() {
    use net::privileges::{NEEDED, keep_capabilities, refuse_system_calls};
    for result in [keep_capabilities(&NEEDED), refuse_system_calls()] {
        if let Err(error) = result {
            warn!(%error, "runs with more rights than it needs");
        }
    }
}

async fn daemon(args: Args) -> Result<(), Failure> {
    // As pid 1 in a plugin a signal without a handler is ignored, and Docker waits ten seconds.
    let mut asked_to_stop = StopSignals::listen()?;

    // Bound before anything is recovered: Docker takes a plugin that does not listen at once for
    // broken. Calls wait in the sockets until recovery is done.
    let failed = |error: socket::Error| Failure::Failed(error.to_string());
    let mut inherited = net::inherited::unix_listeners();
    let mut listen = |path| socket::take_or_bind(path, &mut inherited).map_err(failed);
    let (plugin_listener, plugin_file) = listen(&args.plugin_socket)?;
    let (admin_listener, admin_file) = listen(&args.admin_socket)?;
    socket::all_taken(&inherited).map_err(failed)?;

    let metrics = match args.metrics_listen.0 {
        Some(address) => Some(admin::Address::bind(address).await),
        None => None,
    };

    // A mistake on the command line, and not a disk that may come back.
    if std::fs::metadata(&args.state_dir).is_ok_and(|found| !found.is_dir()) {
        let path = args.state_dir.display();
        return Err(Failure::Failed(format!("{path} is no folder: name another by --state-dir")));
    }
    let engine = tokio::select! {
        engine = Engine::open(&args.state_dir) => {
            engine.map_err(|error| Failure::Failed(error.to_string()))?
        }
        () = asked_to_stop.any() => return Ok(()),
    };

    info!(
        version = env!("CARGO_PKG_VERSION"),
        plugin_socket = %args.plugin_socket.display(),
        admin_socket = %args.admin_socket.display(),
        state_dir = %args.state_dir.display(),
        "serving"
    );
    tell_systemd(sd_notify::NotifyState::Ready);

    let stop = CancellationToken::new();
    tokio::join!(
        docker::serve(plugin_listener, engine.clone(), Containers::of_this_host(), stop.clone()),
        admin::serve(admin_listener, engine.clone(), stop.clone()),
        async {
            if let Some(address) = metrics {
                admin::serve_metrics(address, engine.clone(), stop.clone()).await;
            }
        },
        async {
            asked_to_stop.any().await;
            info!("stopping");
            tell_systemd(sd_notify::NotifyState::Stopping);
            drop((plugin_file, admin_file));
            stop.cancel();
        }
    );
    engine.shutdown().await;
    info!("stopped");
    Ok(())
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))
        };
        Ok(StopSignals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Until the next of either.
    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn tell_systemd(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!("cannot tell systemd: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Result<Option<String>, String> {
        let parsed = text.parse::<Listen>().map_err(|error| error.to_string())?;
        Ok(parsed.0.map(|address| address.to_string()))
    }

    #[test]
    fn a_port_alone_is_local() {
        let local = Ok(Some("127.0.0.1:9100".to_owned()));
        assert_eq!(listen(""), Ok(None));
        assert_eq!((listen("9100"), listen(":9100")), (local.clone(), local));
        for address in ["0.0.0.0:9100", "192.168.7.2:1", "[::1]:9100"] {
            assert_eq!(listen(address), Ok(Some(address.to_owned())));
        }
        for wrong in ["localhost:9100", "::1:9100:", "65536", "127.0.0.1", " "] {
            assert!(listen(wrong).unwrap_err().contains("is no address"), "{wrong}");
        }
    }
}
