//! The daemon: whether it answers, is of this version, and can be reached by those who must.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use serde::Deserialize;
use tokio::net::UnixStream;

use super::addresses::Told;
use super::report::{Finding, check};
use super::state;
use crate::admin::client;
use crate::engine::api::StateStatus;
use crate::engine::mode::{IPVLAN, MACVLAN};
use crate::engine::options::with_ipv4;

/// A daemon that answers.
#[derive(Debug)]
pub(super) struct Daemon {
    /// Its admin socket.
    pub(super) socket: PathBuf,
    /// Its process, if it can be seen from here.
    pub(super) pid: Option<i32>,
    /// The bridges of its networks, each once.
    pub(super) bridges: Vec<String>,
    /// The parents of its other networks.
    pub(super) parents: Vec<String>,
    /// The bridges of networks that want IPv6.
    pub(super) ipv6_bridges: Vec<String>,
    /// Those on which no network has IPv4.
    pub(super) without_ipv4: Vec<String>,
    /// The endpoints that are in a container.
    pub(super) endpoints: Vec<Told>,
}

/// What doctor reads of the status: little, so that it understands other versions'.
#[derive(Debug, Deserialize)]
struct Status {
    version: String,
    networks: Vec<Network>,
    /// Earlier versions say nothing of it.
    #[serde(default)]
    state: StateStatus,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Network {
    bridge: String,
    #[serde(default)]
    mode: String,
    #[serde(default = "with_ipv4")]
    ipv4: bool,
    ipv6: Option<String>,
}

impl Network {
    fn is_on_parent(&self) -> bool {
        [MACVLAN, IPVLAN].contains(&&*self.mode)
    }
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    id: String,
    host_name: Option<String>,
    host_interface: String,
    /// Its interface's name in its container, once it is there.
    interface: Option<String>,
    held_until: Option<String>,
    address: Option<Ipv4Net>,
    ipv6: Option<Ipv6>,
}

#[derive(Debug, Deserialize)]
struct Ipv6 {
    link_local: Option<Ipv6Addr>,
    addresses: Vec<Ipv6Address>,
}

#[derive(Debug, Deserialize)]
struct Ipv6Address {
    address: Ipv6Addr,
}

impl Endpoint {
    /// What to look for, if it is in a container.
    fn told(self) -> Option<Told> {
        self.interface.filter(|_| self.held_until.is_none())?;
        let short = self.id.get(..12).unwrap_or(&self.id);
        let name = self.host_name.unwrap_or_else(|| format!("endpoint {short}"));
        let of_ipv6 = |ipv6: Ipv6| {
            let global = ipv6.addresses.into_iter().map(|of| of.address);
            ipv6.link_local.into_iter().chain(global).map(IpAddr::V6)
        };
        let ipv4 = self.address.map(|net| IpAddr::V4(net.addr()));
        let addresses = ipv4.into_iter().chain(self.ipv6.into_iter().flat_map(of_ipv6)).collect();
        Some(Told { name, host_link: self.host_interface, addresses })
    }
}

/// Asks the daemon on `named`, or the one that is found.
pub(super) async fn find(named: Option<&Path>) -> (Option<Daemon>, Vec<Finding>) {
    let answer = match client::status(named, Path::new("/")).await {
        Ok(answer) => answer,
        Err(error) => return (None, vec![no_daemon(&error.to_string())]),
    };
    let socket = answer.socket;
    let status: Option<Status> = serde_json::from_slice(&answer.document).ok();
    let mut findings = vec![judge(&socket, status.as_ref())];
    findings.extend(answer.others.iter().map(|other| {
        Finding::note(check::DAEMON, other.display().to_string(), "another daemon answers here")
            .advise(format!("look at it with `--admin-socket {}`", other.display()))
    }));
    findings.extend(status.iter().flat_map(|status| state::judge_told(&status.state)));
    let (networks, endpoints) =
        status.map(|status| (status.networks, status.endpoints)).unwrap_or_default();
    let bridges = |wanted: fn(&&Network) -> bool| -> Vec<String> {
        let of_wanted = networks.iter().filter(wanted).map(|network| network.bridge.clone());
        of_wanted.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let parents = bridges(|network| network.is_on_parent());
    let ipv6_bridges = bridges(|network| network.ipv6.is_some());
    let bridges = bridges(|network| !network.is_on_parent());
    let mut without_ipv4 = bridges.clone();
    without_ipv4.retain(|bridge| !networks.iter().any(|n| n.bridge == *bridge && n.ipv4));
    let endpoints = endpoints.into_iter().filter_map(Endpoint::told).collect();
    let pid = pid(&socket).await;
    let daemon = Daemon { socket, pid, bridges, parents, without_ipv4, ipv6_bridges, endpoints };
    (Some(daemon), findings)
}

/// `error` is what `landfall status` says: where it looked, what it found, and what to do, each
/// on a line.
fn no_daemon(error: &str) -> Finding {
    let mut lines = error.lines().map(str::trim);
    let what = lines.next().unwrap_or_default();
    let mut places: Vec<&str> = lines.collect();
    let advice = places.pop().unwrap_or_default();
    Finding::warning(check::DAEMON, "this host", format!("{what} {}", places.join(", ")))
        .advise(advice)
}

fn judge(socket: &Path, status: Option<&Status>) -> Finding {
    let (subject, ours) = (socket.display().to_string(), env!("CARGO_PKG_VERSION"));
    match status {
        Some(Status { version, networks, .. }) if version == ours => {
            let seen = format!("version {version} answers; networks: {}", networks.len());
            Finding::ok(check::DAEMON, subject, seen)
        }
        Some(Status { version, .. }) => {
            let seen = format!("version {version} answers, and this program is {ours}");
            Finding::warning(check::DAEMON, subject, seen).advise(
                "after an update, `systemctl restart landfall` or `docker plugin upgrade`; \
                 containers keep their addresses",
            )
        }
        None => {
            let seen = format!("answers what version {ours} does not understand");
            Finding::warning(check::DAEMON, subject, seen)
                .advise("run the `landfall doctor` of the daemon's own version")
        }
    }
}

/// The process that listens, in our pid namespace.
async fn pid(socket: &Path) -> Option<i32> {
    let stream = UnixStream::connect(socket).await.ok()?;
    stream.peer_cred().ok()?.pid().filter(|pid| *pid > 0)
}

/// What there is at a socket's path.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Nothing,
    NoSocket,
    Socket {
        mode: u32,
        owner: u32,
        /// Somebody listens.
        alive: bool,
    },
}

/// Looks at the sockets of the daemon, or at those where it would be.
pub(super) async fn sockets(
    daemon: Option<&Daemon>,
    admin: Option<&Path>,
    plugin: &Path,
) -> Vec<Finding> {
    let admin = match (daemon, admin) {
        (Some(daemon), _) => daemon.socket.clone(),
        (None, Some(named)) => named.to_owned(),
        (None, None) => PathBuf::from("/run/landfall/admin.sock"),
    };
    // A managed plugin's sockets are side by side, in a folder of its own.
    let beside = admin.with_file_name("landfall.sock");
    let in_plugin = admin.starts_with("/run/docker/plugins");
    let plugin = if in_plugin { beside.as_path() } else { plugin };
    let mut findings = Vec::new();
    for (path, callers) in [(plugin, "Docker"), (admin.as_path(), "`landfall status`")] {
        match look(path).await {
            Ok(place) => findings.extend(judge_place(path, callers, &place, daemon.is_some())),
            Err(error) => findings.push(Finding::note(
                check::SOCKET,
                path.display().to_string(),
                format!("cannot be looked at: {error}"),
            )),
        }
    }
    findings
}

async fn look(path: &Path) -> io::Result<Place> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::Nothing),
        other => other?,
    };
    if !metadata.file_type().is_socket() {
        return Ok(Place::NoSocket);
    }
    let alive = match UnixStream::connect(path).await {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::ConnectionRefused,
    };
    Ok(Place::Socket { mode: metadata.mode() & 0o777, owner: metadata.uid(), alive })
}

fn judge_place(path: &Path, callers: &str, place: &Place, daemon: bool) -> Option<Finding> {
    let path = path.display().to_string();
    Some(match *place {
        // That no daemon answers has been said.
        Place::Nothing if !daemon => return None,
        Place::Nothing => Finding::error(
            check::SOCKET,
            path,
            format!("not there, so {callers} cannot reach the daemon that runs"),
        )
        .advise("`systemctl restart landfall`, or give its --plugin-socket to doctor as well"),
        Place::NoSocket => Finding::error(check::SOCKET, &path, "is there and is no socket")
            .advise(format!("look what it is; `rm {path}` and start the daemon")),
        Place::Socket { alive: false, .. } => {
            Finding::error(check::SOCKET, path, "nobody listens: its daemon has been killed")
                .advise("start it: `systemctl start landfall`, or `docker plugin enable PLUGIN`")
        }
        Place::Socket { mode, owner, .. } if mode & 0o077 != 0 || owner != 0 => Finding::warning(
            check::SOCKET,
            &path,
            format!("mode {mode:04o}, owner {owner}: others than root may command the daemon"),
        )
        .advise(format!("`chown root {path}; chmod 600 {path}`")),
        Place::Socket { .. } => {
            Finding::ok(check::SOCKET, path, format!("{callers} reaches the daemon; only root may"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    #[test]
    fn what_is_said_of_a_daemon() {
        let socket = Path::new("/run/landfall/admin.sock");
        let status = |version: &str| Status {
            version: version.to_owned(),
            networks: vec![],
            state: StateStatus::default(),
            endpoints: vec![],
        };
        let (same, other) = (status(env!("CARGO_PKG_VERSION")), status("0.0.9"));
        let findings = vec![
            judge(socket, Some(&same)),
            judge(socket, Some(&other)),
            judge(socket, None),
            no_daemon("no daemon; looked at\n  /a: nothing\n  /b: stale\nStart it."),
        ];
        let text = Report::new(findings).text().replace(env!("CARGO_PKG_VERSION"), "OURS");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_is_said_of_a_socket() {
        let socket = |mode, owner, alive| Place::Socket { mode, owner, alive };
        let places = [
            Place::Nothing,
            Place::NoSocket,
            socket(0o600, 0, false),
            socket(0o666, 0, true),
            socket(0o600, 1000, true),
            socket(0o600, 0, true),
        ];
        let path = Path::new("/run/docker/plugins/landfall.sock");
        let judge = |place, daemon| judge_place(path, "Docker", place, daemon);
        let findings = places.iter().filter_map(|place| judge(place, true)).collect();
        insta::assert_snapshot!(Report::new(findings).text());
        assert_eq!(judge(&Place::Nothing, false), None);
    }

    #[tokio::test]
    async fn what_there_is_at_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        assert_eq!(look(&path).await.unwrap(), Place::Nothing);
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let alive = look(&path).await.unwrap();
        assert!(matches!(alive, Place::Socket { alive: true, .. }), "{alive:?}");
        assert_eq!(pid(&path).await, Some(std::process::id().cast_signed()));
        drop(listener);
        let dead = look(&path).await.unwrap();
        assert!(matches!(dead, Place::Socket { alive: false, .. }), "{dead:?}");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(look(&path).await.unwrap(), Place::NoSocket);
    }
}
