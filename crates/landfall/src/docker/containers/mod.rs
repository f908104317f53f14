//! Which container an endpoint is for.
//!
//! An engine does not say it when it makes an endpoint (moby's remote driver API has no field for
//! it), may not be asked while it waits for us, and does not answer at all while it starts. But its
//! own files tell, next to what the call does carry: the containers that name the network
//! ([`files`]), which of them publish the ports of the call ([`Fingerprint`]), and which are being
//! started at this moment: the root file system of such a container is mounted already, and it
//! does not count as running yet (seen with the engines 20.10, 26.1 and 28.5).
//!
//! Whatever cannot be read means that nothing is known. Who is meant is not decided here: the
//! engine of Landfall takes a candidate only when it is the sole one.

mod files;
mod fingerprint;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::api::Container;
use crate::engine::ids::NetworkId;
use files::Files;
pub(super) use fingerprint::Fingerprint;

/// Where the host's files are: seen from the host itself, and from a managed plugin, which shares
/// the host's process identifiers.
const ROOTS: [&str; 2] = ["/", "/proc/1/root"];

/// The containers of the engine beside us.
#[derive(Clone)]
pub(crate) struct Containers(Arc<Inner>);

struct Inner {
    roots: Vec<PathBuf>,
    /// One look at a time: the second finds most of what the first has read.
    files: Mutex<Files>,
}

impl Containers {
    /// Those of the engine on this host.
    pub(crate) fn of_this_host() -> Containers {
        Containers::under(ROOTS.map(PathBuf::from).into())
    }

    /// Those of an engine whose host's root is seen at the first of these paths that has one.
    pub(crate) fn under(roots: Vec<PathBuf>) -> Containers {
        Containers(Arc::new(Inner { roots, files: Mutex::default() }))
    }

    /// The containers that are being started on a network with these ports. Reads files: takes
    /// some microseconds for each container of the host.
    pub(super) async fn starting(
        &self,
        network: &NetworkId,
        fingerprint: Fingerprint,
    ) -> Vec<Container> {
        let (inner, network) = (self.0.clone(), network.clone());
        let look = move || inner.starting(&network, Some(&fingerprint));
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// The same for each of these networks, whichever their ports are, if an address is asked for a container of
    /// that name, where the engine tells it, and the user wants it to have that address, or leaves that open.
    pub(super) async fn asking(
        &self,
        networks: Vec<NetworkId>,
        name: Option<Box<str>>,
        address: Option<Ipv4Addr>,
    ) -> Vec<(NetworkId, Vec<Container>)> {
        let inner = self.0.clone();
        let look = move || {
            let on = |network: NetworkId| {
                let mut found = inner.starting(&network, None);
                found.retain(|container| {
                    container.address == address
                        && name.as_ref().is_none_or(|name| container.name == *name)
                });
                (network, found)
            };
            networks.into_iter().map(on).collect()
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }
}

impl Inner {
    fn starting(&self, network: &NetworkId, fingerprint: Option<&Fingerprint>) -> Vec<Container> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(data) = self.roots.iter().find_map(|root| data_root(root)) else {
            return Vec::new();
        };
        files.read(&data);
        let all = Arc::new(files.ids());
        let candidates = files.candidates(network, fingerprint);
        let starting = candidates.filter(|(found, _)| found.is_mounted(&data));
        starting.map(|(found, attached)| found.container(attached, all.clone())).collect()
    }
}

/// Those of a container's driver options that its user wrote; others are the engine's.
fn of_the_user<'a>(
    options: impl Iterator<Item = (&'a String, &'a String)>,
) -> BTreeMap<String, String> {
    let own = options.filter(|(name, _)| !name.starts_with("com.docker."));
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The engine's data folder below the host's `root`, if it is there and has containers in it.
fn data_root(root: &Path) -> Option<PathBuf> {
    let told = told_on_command_line(root).or_else(|| told_in_configuration(root));
    let data = below(root, Path::new(told.as_deref().unwrap_or("/var/lib/docker")));
    data.join("containers").is_dir().then_some(data)
}

/// `--data-root` of the running dockerd.
fn told_on_command_line(root: &Path) -> Option<String> {
    let pid = std::fs::read_to_string(root.join("run/docker.pid")).ok()?;
    let pid: u32 = pid.trim().parse().ok()?;
    let command_line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    data_root_among(command_line.split('\0'))
}

fn data_root_among<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<String> {
    words.next().filter(|program| program.ends_with("dockerd"))?;
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some(("--data-root", value)) => return Some(value.to_owned()),
            None if word == "--data-root" => return words.next().map(str::to_owned),
            _ => {}
        }
    }
    None
}

/// `data-root` in `daemon.json`.
fn told_in_configuration(root: &Path) -> Option<String> {
    let text = std::fs::read(root.join("etc/docker/daemon.json")).ok()?;
    let configuration: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(configuration.get("data-root")?.as_str()?.to_owned())
}

/// An absolute path of the host as it is seen from here.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_root_is_what_dockerd_was_told() {
        let among = |line: &str| data_root_among(line.split(' '));
        assert_eq!(
            among("/usr/bin/dockerd --data-root /srv/d -H fd://").as_deref(),
            Some("/srv/d")
        );
        assert_eq!(among("dockerd -H fd:// --data-root=/srv/d").as_deref(), Some("/srv/d"));
        assert_eq!(among("dockerd -H fd://"), None);
        assert_eq!(among("dockerd --data-root"), None);
        // Another program under an old process identifier.
        assert_eq!(among("backup --data-root /srv/d"), None);
    }

    #[test]
    fn daemon_json_tells_too() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("srv/docker");
        assert_eq!(data_root(root.path()), None);
        std::fs::create_dir_all(root.path().join("etc/docker")).unwrap();
        let file = root.path().join("etc/docker/daemon.json");
        std::fs::write(&file, r#"{"data-root": "/srv/docker"}"#).unwrap();
        assert_eq!(data_root(root.path()), None, "not there");
        std::fs::create_dir_all(data.join("containers")).unwrap();
        assert_eq!(data_root(root.path()), Some(data));
        std::fs::write(&file, "{").unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/docker/containers")).unwrap();
        assert_eq!(data_root(root.path()), Some(root.path().join("var/lib/docker")));
    }
}
