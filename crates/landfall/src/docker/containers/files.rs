//! An engine's files: `containers/<id>/config.v2.json` and `hostconfig.json` below its data folder,
//! as the engines 20.10 to 28.5 write them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wire::MacAddr;

use super::fingerprint::{Fingerprint, parse_port};
use super::of_the_user;
use crate::engine::api::Container;
use crate::engine::ids::NetworkId;

/// A container's file with its state. A file longer than this is not read.
const CONFIG: &str = "config.v2.json";
const HOST_CONFIG: &str = "hostconfig.json";
const LONGEST: u64 = 4 << 20;

/// What was read, for the next time: an engine writes a file anew, under its name, when something
/// of it changes.
#[derive(Default)]
pub(super) struct Files {
    containers: HashMap<String, Known>,
}

/// A container as its files tell.
pub(super) struct Known {
    seen: [Version; 2],
    config: Config,
    host: HostConfig,
}

/// Tells a file from the one that stood there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(rename = "ID")]
    id: Box<str>,
    /// With a slash in front.
    name: Box<str>,
    state: State,
    /// What the user asked for; the outer file has all the rest.
    config: Asked,
    network_settings: NetworkSettings,
    /// The storage driver.
    #[serde(default)]
    driver: Box<str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    /// Between its end and the next start by its restart policy; counts as running meanwhile.
    restarting: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    #[serde(default)]
    hostname: Box<str>,
    #[serde(default)]
    exposed_ports: Option<BTreeMap<Box<str>, serde::de::IgnoredAny>>,
    /// `--mac-address`, up to engine 24.
    #[serde(default)]
    mac_address: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    /// By the network's name, or as the user called it.
    #[serde(default)]
    networks: Option<BTreeMap<Box<str>, Attached>>,
}

/// A network that a container is on.
#[derive(Deserialize)]
pub(super) struct Attached {
    /// Empty before the first start.
    #[serde(rename = "NetworkID", default)]
    network: Box<str>,
    /// `--mac-address`, from engine 25 on.
    #[serde(rename = "DesiredMacAddress", default)]
    mac: Option<Box<str>>,
    /// `--ip`.
    #[serde(rename = "IPAMConfig", default)]
    addresses: Option<Addresses>,
    /// What its user asks of the driver.
    #[serde(rename = "DriverOpts", default)]
    options: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Addresses {
    #[serde(rename = "IPv4Address", default)]
    ipv4: Box<str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    port_bindings: Option<BTreeMap<Box<str>, Option<Vec<Binding>>>>,
    #[serde(default)]
    dns: Option<Vec<String>>,
    #[serde(rename = "UTSMode", default)]
    uts_mode: Box<str>,
    #[serde(default)]
    publish_all_ports: bool,
}

#[derive(Deserialize)]
struct Binding {
    #[serde(rename = "HostPort", default)]
    host: Box<str>,
}

impl Files {
    /// Reads what has changed since the last time.
    pub(super) fn read(&mut self, data: &Path) {
        let mut there = HashSet::new();
        for entry in fs::read_dir(data.join("containers")).into_iter().flatten().flatten() {
            let Ok(id) = entry.file_name().into_string() else { continue };
            let folder = entry.path();
            let versions = [CONFIG, HOST_CONFIG].map(|name| version(&folder.join(name)));
            let [Some(config), Some(host)] = versions else { continue };
            let seen = [config, host];
            if self.containers.get(&id).is_none_or(|known| known.seen != seen) {
                let known = parse(&folder.join(CONFIG))
                    .zip(parse(&folder.join(HOST_CONFIG)))
                    .map(|(config, host)| Known { seen, config, host });
                match known {
                    Some(known) => self.containers.insert(id.clone(), known),
                    None => self.containers.remove(&id),
                };
            }
            there.insert(id);
        }
        self.containers.retain(|id, _| there.contains(id));
    }

    /// The identifiers of all containers.
    pub(super) fn ids(&self) -> HashSet<Box<str>> {
        self.containers.keys().map(|id| id.as_str().into()).collect()
    }

    /// The containers that are not running, name the network and do not contradict the
    /// fingerprint, if there is one; with what their users want of them there.
    pub(super) fn candidates<'a>(
        &'a self,
        network: &NetworkId,
        fingerprint: Option<&'a Fingerprint>,
    ) -> impl Iterator<Item = (&'a Known, &'a Attached)> {
        let network = network.as_str().to_owned();
        let name = self.name_of(&network).map(str::to_owned);
        self.containers.values().filter_map(move |known| {
            let attached = known.named(&network, name.as_deref())?;
            let fits = fingerprint.is_none_or(|fingerprint| known.fits(fingerprint));
            (known.is_down() && fits).then_some((known, attached))
        })
    }

    /// A network's name: the engine does not tell it to drivers.
    fn name_of(&self, network: &str) -> Option<&str> {
        let attached = self.containers.values().flat_map(Known::networks);
        attached.filter(|(_, at)| &*at.network == network).map(|(name, _)| &**name).next()
    }
}

impl Known {
    /// It, among the others that there are.
    pub(super) fn container(
        &self,
        attached: &Attached,
        others: Arc<HashSet<Box<str>>>,
    ) -> Container {
        let Config { id, name, config, .. } = &self.config;
        let named = !config.hostname.is_empty() && &*self.host.uts_mode != "host";
        Container {
            id: id.clone(),
            others,
            name: name.trim_start_matches('/').into(),
            host_name: named.then(|| config.hostname.clone()),
            mac: given(&attached.mac).or_else(|| given(&config.mac_address)),
            address: attached.addresses.as_ref().and_then(|given| given.ipv4.parse().ok()),
            options: of_the_user(attached.options.iter().flatten()),
        }
    }

    /// Whether the container's root file system is mounted, as it is from before its first endpoint
    /// is made until after the last is gone.
    pub(super) fn is_mounted(&self, data: &Path) -> bool {
        let Config { id, driver, .. } = &self.config;
        let layers = data.join("image").join(&**driver).join("layerdb/mounts").join(&**id);
        let layer = fs::read_to_string(layers.join("mount-id")).ok();
        let place = match layer {
            Some(layer) => data.join(&**driver).join(layer.trim()).join("merged"),
            // With containerd's image store the driver is one of its snapshotters.
            None => data.join("rootfs").join(&**driver).join(&**id),
        };
        is_mountpoint(&place)
    }

    fn networks(&self) -> impl Iterator<Item = (&Box<str>, &Attached)> {
        self.config.network_settings.networks.iter().flatten()
    }

    fn is_down(&self) -> bool {
        !self.config.state.running || self.config.state.restarting
    }

    /// What may mean this network, among those that the container is on.
    fn named(&self, network: &str, name: Option<&str>) -> Option<&Attached> {
        let named = self.networks().find(|(called, at)| {
            *at.network == *network
                || Some(&***called) == name
                // Called by the beginning of its identifier; or nobody knows its name.
                || at.network.is_empty() && (name.is_none() || network.starts_with(&***called))
        });
        named.map(|(_, at)| at)
    }

    /// Whether nothing of the fingerprint speaks against the container. What cannot be compared
    /// does not speak against it.
    fn fits(&self, fingerprint: &Fingerprint) -> bool {
        let bindings = || self.host.port_bindings.iter().flatten();
        let exposed: Option<_> = (self.config.config.exposed_ports.iter().flatten())
            .map(|(port, _)| port)
            .chain(bindings().map(|(port, _)| port))
            .map(|port| parse_port(port))
            .collect();
        let published: Option<_> = bindings()
            .flat_map(|(port, hosts)| hosts.iter().flatten().map(move |host| (port, host)))
            .map(|(port, Binding { host })| {
                let host = if host.is_empty() { Some(0) } else { host.parse().ok() };
                Some((parse_port(port)?, host?))
            })
            .collect();
        let dns = self.host.dns.as_deref().unwrap_or_default();
        exposed.is_none_or(|exposed| fingerprint.exposed == exposed)
            && (self.host.publish_all_ports
                || published.is_none_or(|published| fingerprint.published == published))
            // Without servers of its own the container has those of the daemon.
            && (dns.is_empty() || fingerprint.dns == dns)
    }
}

/// The MAC that a user gave, if one did.
fn given(mac: &Option<Box<str>>) -> Option<MacAddr> {
    mac.as_ref()?.parse().ok()
}

fn version(file: &Path) -> Option<Version> {
    let meta = fs::metadata(file).ok().filter(|meta| meta.is_file() && meta.len() <= LONGEST)?;
    let modified = (meta.mtime(), meta.mtime_nsec());
    Some(Version { inode: meta.ino(), size: meta.len(), modified })
}

fn parse<T: DeserializeOwned>(file: &Path) -> Option<T> {
    let text = fs::read(file).ok()?;
    serde_json::from_slice(&text)
        .inspect_err(|error| tracing::debug!(file = %file.display(), %error, "not read"))
        .ok()
}

/// Something is mounted there: it lies on another device than the folder above.
fn is_mountpoint(place: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().as_ref().map(Metadata::dev);
    let above = place.parent().and_then(device);
    device(place).is_some_and(|at| above.is_some_and(|above| at != above))
}

#[cfg(test)]
mod tests;
