//! Docker: an engine that is new enough, and the managed plugin, if that is how Landfall runs.
//!
//! Doctor may ask Docker's API; the daemon's handlers never do.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::http;
use super::plugin::Plugin;
use super::report::{Finding, check};

/// The oldest engine that Landfall is tested with.
const OLDEST: (u32, u32) = (20, 10);

/// `GET /version`, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
    #[serde(default)]
    arch: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
}

/// `GET /info`, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    docker_root_dir: PathBuf,
}

/// A plugin of ours, and what its program is made for.
type Installed = (Plugin, Option<&'static str>);

/// Asks the engine on `socket`; nothing where there is none. `daemon`: a daemon answers.
pub(super) async fn examine(socket: &Path, daemon: bool) -> Vec<Finding> {
    if !socket.exists() {
        return Vec::new();
    }
    let subject = socket.display().to_string();
    match ask(socket).await {
        Ok((version, plugins)) => judge(&subject, &version, &plugins, daemon),
        Err(error) => {
            vec![
                Finding::note(
                    check::DOCKER,
                    subject,
                    format!("the engine does not answer as it should: {error}"),
                )
                .advise("`systemctl status docker`"),
            ]
        }
    }
}

async fn ask(socket: &Path) -> io::Result<(Version, Vec<Installed>)> {
    let version = http::get(socket, "/version").await?;
    // Not every engine has managed plugins; one without has none of ours.
    let mut plugins: Vec<Plugin> = http::get(socket, "/plugins").await.unwrap_or_default();
    plugins.retain(Plugin::is_landfall);
    let mut installed = Vec::new();
    if !plugins.is_empty() {
        let info = http::get::<Info>(socket, "/info").await;
        let folder = info.map_or_else(|_| "/var/lib/docker".into(), |info| info.docker_root_dir);
        let made_for = |plugin: Plugin| {
            let program = plugin.architecture(&folder);
            (plugin, program)
        };
        installed.extend(plugins.into_iter().map(made_for));
    }
    Ok((version, installed))
}

fn judge(subject: &str, version: &Version, plugins: &[Installed], daemon: bool) -> Vec<Finding> {
    let engine = &version.version;
    let is_docker = version.components.first().is_none_or(|first| first.name == "Engine");
    let mut findings = vec![if !is_docker {
        let name = version.components.first().map_or("another engine", |first| &first.name);
        Finding::warning(check::DOCKER, subject, format!("{name} {engine} answers, not Docker"))
            .advise("Landfall is a driver for Docker Engine: containers of another do not reach it")
    } else if major_minor(engine).is_some_and(|found| found < OLDEST) {
        Finding::error(check::DOCKER, subject, format!("Docker Engine {engine} is too old"))
            .advise(format!("Landfall needs {}.{} or later", OLDEST.0, OLDEST.1))
    } else {
        Finding::ok(check::DOCKER, subject, format!("Docker Engine {engine}"))
    }];
    let of_plugin = |(plugin, program): &Installed| plugin.judge(daemon, *program, &version.arch);
    findings.extend(plugins.iter().map(of_plugin));
    findings
}

/// `20.10` of `20.10.24+dfsg1`; `None` for what is no number, as a build from a branch.
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::net::UnixListener;

    use super::super::report::Report;
    use super::*;

    const PLUGINS: &str = r#"[
      {"Id": "1", "Name": "landfall:latest", "Enabled": false, "Settings": {},
       "Config": {"Interface": {"Types": ["docker.networkdriver/1.0"], "Socket": "landfall.sock"},
                  "PidHost": true, "Network": {"Type": "host"}, "PropagatedMount": "/var/lib/landfall",
                  "Linux": {"Capabilities": ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]}}},
      {"Id": "2", "Name": "other:1", "Enabled": false,
       "Config": {"Interface": {"Types": ["docker.volumedriver/1.0"], "Socket": "other.sock"}}}
    ]"#;

    async fn said(version: &'static str, plugins: &'static str, daemon: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let router = Router::new()
            .route("/version", get(async move || version))
            .route("/plugins", get(async move || plugins));
        let served =
            tokio::spawn(axum::serve(UnixListener::bind(&path).unwrap(), router).into_future());
        let findings = examine(&path, daemon).await;
        served.abort();
        Report::new(findings).text().replace(path.to_str().unwrap(), "docker.sock")
    }

    #[tokio::test]
    async fn an_engine_and_its_plugin() {
        let engine = r#"{"Version": "20.10.24+dfsg1", "ApiVersion": "1.41", "Arch": "amd64",
            "Components": [{"Name": "Engine"}, {"Name": "containerd"}]}"#;
        let mut all = said(engine, PLUGINS, false).await;
        all += &said(engine, PLUGINS, true).await;
        let enabled: &str = Box::leak(PLUGINS.replacen("false", "true", 1).into());
        all += &said(engine, enabled, true).await;
        all += &said(engine, enabled, false).await;
        insta::assert_snapshot!(all);
    }

    #[tokio::test]
    async fn engines_that_do_not_do() {
        let mut all = said(r#"{"Version": "19.03.15", "ApiVersion": "1.40"}"#, "[]", false).await;
        let podman = r#"{"Version": "4.3.1", "Components": [{"Name": "Podman Engine"}]}"#;
        all += &said(podman, "Not Found", false).await;
        all += &said("no JSON", "[]", false).await;
        insta::assert_snapshot!(all);
    }

    #[tokio::test]
    async fn without_an_engine_nothing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(examine(&folder.path().join("docker.sock"), false).await, []);
    }

    #[test]
    fn versions() {
        assert_eq!(major_minor("28.5.2"), Some((28, 5)));
        assert_eq!(major_minor("library-import"), None);
    }
}
