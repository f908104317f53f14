//! Landfall as a managed plugin: whether it is enabled and, where nothing answers, what keeps it from it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::report::{Finding, check};

/// What the plugin cannot do without, of what its config.json asks for.
const CAPABILITIES: [&str; 3] = ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"];

/// One of `GET /plugins`, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Plugin {
    id: String,
    name: String,
    enabled: bool,
    config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    interface: Interface,
    #[serde(default)]
    network: Network,
    #[serde(default)]
    pid_host: bool,
    #[serde(default)]
    linux: Linux,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Interface {
    socket: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    r#type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Linux {
    capabilities: Option<Vec<String>>,
}

impl Plugin {
    /// Whether it is one of ours.
    pub(super) fn is_landfall(&self) -> bool {
        self.config.interface.socket == "landfall.sock"
    }

    /// What its program is made for, as Docker calls it, if that can be seen in the engine's folder.
    pub(super) fn architecture(&self, engine: &Path) -> Option<&'static str> {
        architecture(&engine.join("plugins").join(&self.id).join("rootfs/landfall"))
    }

    /// What config.json should have and has not.
    fn lacks(&self) -> Vec<&str> {
        let Config { network, pid_host, linux, .. } = &self.config;
        let given = linux.capabilities.as_deref().unwrap_or_default();
        let missing = CAPABILITIES.into_iter().filter(|name| !given.iter().any(|it| it == name));
        let host = (network.r#type != "host").then_some("the host's network");
        let pids = (!pid_host).then_some("the host's process ids");
        missing.chain(host).chain(pids).collect()
    }

    /// `daemon`: one answers; `program`: what the plugin's is made for; `machine`: what runs here.
    pub(super) fn judge(&self, daemon: bool, program: Option<&str>, machine: &str) -> Finding {
        let Plugin { name, enabled, .. } = self;
        match (enabled, daemon) {
            (true, true) => {
                return Finding::ok(check::DOCKER, name, "the managed plugin is enabled");
            }
            (false, true) => {
                let seen = "the managed plugin is disabled; a daemon answers without it";
                return Finding::note(check::DOCKER, name, seen);
            }
            _ => {}
        }
        if let Some(program) = program.filter(|program| !runs_on(program, machine)) {
            let seen =
                format!("the managed plugin is for {program}, and this machine is {machine}");
            return Finding::error(check::DOCKER, name, seen).advise(format!(
                "`docker plugin disable -f {name}; docker plugin upgrade --skip-remote-check {name} IMAGE` \
                 with an image for {machine}; what it knows stays"
            ));
        }
        let lacks = self.lacks();
        if !lacks.is_empty() {
            let seen =
                format!("the managed plugin's config.json does not give it {}", lacks.join(", "));
            return Finding::error(check::DOCKER, name, seen)
                .advise("create it from packaging/plugin/config.json as it is");
        }
        if *enabled {
            let seen = "the managed plugin is enabled, but no daemon answers";
            Finding::warning(check::DOCKER, name, seen).advise(format!(
                "`journalctl -u docker` has its log; `docker plugin disable -f {name}; docker \
                 plugin enable {name}` starts it again"
            ))
        } else {
            let seen = "the managed plugin is installed but disabled, by somebody or by Docker, as it did not start";
            Finding::error(check::DOCKER, name, seen).advise(format!(
                "`docker plugin enable {name}`; if it fails, `journalctl -u docker` has what the plugin said last"
            ))
        }
    }
}

/// Whether a machine runs programs for another.
fn runs_on(program: &str, machine: &str) -> bool {
    program == machine || [("386", "amd64"), ("arm", "arm64")].contains(&(program, machine))
}

/// What a program is made for, by the header that all begin with (elf(5)): `e_machine`, of those that Landfall is made for.
fn architecture(program: &Path) -> Option<&'static str> {
    let mut header = [0; 20];
    File::open(program).ok()?.read_exact(&mut header).ok()?;
    let (magic, machine) = (header.first_chunk::<4>()?, header.last_chunk::<2>()?);
    if magic != b"\x7fELF" {
        return None;
    }
    match u16::from_le_bytes(*machine) {
        3 => Some("386"),
        40 => Some("arm"),
        62 => Some("amd64"),
        183 => Some("arm64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    fn plugin(config: &str, enabled: bool) -> Plugin {
        let text = format!(
            r#"{{"Id": "1", "Name": "landfall:latest", "Enabled": {enabled}, "Config": {{
                "Interface": {{"Socket": "landfall.sock"}}, {config}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_is_said_of_a_plugin() {
        let whole = r#""PidHost": true, "Network": {"Type": "host"}, "Linux":
            {"Capabilities": ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]}"#;
        let less = r#""Network": {"Type": "bridge"}, "Linux": {"Capabilities": ["CAP_NET_ADMIN"]}"#;
        let none = r#""Linux": {"Capabilities": null}"#;
        let mut findings = Vec::new();
        for enabled in [true, false] {
            findings.push(plugin(whole, enabled).judge(true, Some("amd64"), "amd64"));
            findings.push(plugin(whole, enabled).judge(false, Some("amd64"), "amd64"));
        }
        findings.push(plugin(whole, false).judge(false, Some("386"), "amd64"));
        findings.push(plugin(whole, false).judge(false, None, "amd64"));
        findings.push(plugin(whole, false).judge(false, Some("arm64"), "amd64"));
        findings.push(plugin(less, false).judge(false, Some("amd64"), "amd64"));
        findings.push(plugin(none, true).judge(false, Some("amd64"), "amd64"));
        insta::assert_snapshot!(Report::new(findings).text());
    }

    #[test]
    fn what_programs_are_made_for() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = plugin("\"PidHost\": true", true);
        let rootfs = folder.path().join("plugins/1/rootfs");
        std::fs::create_dir_all(&rootfs).unwrap();
        let of = |header: &[u8]| {
            std::fs::write(rootfs.join("landfall"), header).unwrap();
            plugin.architecture(folder.path())
        };
        let program = |machine: u8| [&b"\x7fELF"[..], &[0; 14], &[machine, 0], b"more"].concat();
        for (machine, name) in [(3, "386"), (40, "arm"), (62, "amd64"), (183, "arm64")] {
            assert_eq!(of(&program(machine)), Some(name));
        }
        assert_eq!(of(&program(8)), None, "MIPS");
        assert_eq!(of(b"#!/bin/sh\necho it is a script\n"), None);
        assert_eq!(of(b"\x7fELF"), None);
        assert_eq!(plugin.architecture(Path::new("/nonexistent")), None);
    }
}
