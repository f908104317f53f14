//! `landfall network create`: the right `docker network create`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Subcommand;

use super::{EXIT_CODES, Failure, print};
use crate::admin::client;
use crate::engine::options::{Options, name};
use crate::engine::pool;
use crate::engine::pool_error::PoolError;

/// The driver's name where the daemon is a service.
const SERVICE: &str = "landfall";
/// Below it each plugin has a folder with its sockets.
const PLUGINS: &str = "/run/docker/plugins";

/// Make Docker networks whose containers are on the LAN
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Network,
}

#[derive(Subcommand)]
enum Network {
    Create(Create),
}

/// Create a Docker network whose containers are on the LAN
///
/// Checks the options and runs `docker network create` with what Landfall needs: the driver by the name that this
/// host's Docker knows it by, be it a service or a managed plugin, and the null IPAM driver or, with `--ipam`, Landfall's.
///
/// Example: landfall network create lan --bridge br0 -o release_delay=5m
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
struct Create {
    /// The network's name
    name: String,

    /// The bridge that is connected to the LAN
    #[arg(long, value_name = "LINK", required_unless_present = "parent")]
    bridge: Option<String>,

    /// The network card that is connected to the LAN, for `mode=macvlan` and `ipvlan`
    #[arg(long, value_name = "LINK", conflicts_with = "bridge")]
    parent: Option<String>,

    /// A further option of Landfall's, as the README lists them; may be given several times
    #[arg(short = 'o', long = "opt", value_name = "NAME=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,

    /// Have Docker ask Landfall for addresses as well (its IPAM driver): `docker network inspect` shows the LAN's subnet and
    /// router, and `docker run --ip` works (up to Engine 29.0 where `--subnet` follows after `--`)
    #[arg(long)]
    ipam: bool,

    /// Print the command instead of running it
    #[arg(long)]
    print: bool,

    /// The driver's name [default: that of the daemon which answers]
    #[arg(long, value_name = "NAME")]
    driver: Option<String>,

    /// The daemon's admin socket [default: looked for where the service and the plugins have it]
    #[arg(long, env = "LANDFALL_ADMIN_SOCKET", value_name = "PATH")]
    admin_socket: Option<PathBuf>,

    /// Further words for `docker network create`, after `--`: --internal, --label, …
    #[arg(last = true, value_name = "DOCKER'S")]
    docker: Vec<String>,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Network::Create(create) = args.command;
    let options = create.all_options()?;
    let driver = match &create.driver {
        Some(driver) => driver.clone(),
        None => find_driver(create.admin_socket.as_deref())?,
    };
    let words = create.command(&driver, &options);
    if create.print {
        let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
        return print(&format!("{}\n", quoted.join(" ")));
    }
    let Some((program, rest)) = words.split_first() else { return Ok(()) };
    // Its own words and its status are what there is to say.
    let status = Command::new(program).args(rest).status().map_err(|error| {
        Failure::Failed(format!(
            "cannot run `{program}` ({error}): is Docker's command line installed? `--print` shows what would be run"
        ))
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Failed(format!("docker network create: {status}")))
    }
}

impl Create {
    /// All of the network's options, which Landfall would take.
    fn all_options(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut all = Vec::new();
        let mut add = |name: &str, value: &str| all.push((name.to_owned(), value.to_owned()));
        if let Some(bridge) = &self.bridge {
            add(name::BRIDGE, bridge);
        }
        if let Some(parent) = &self.parent {
            if !self.options.iter().any(|(given, _)| given == name::MODE) {
                add(name::MODE, "macvlan");
            }
            add(name::PARENT, parent);
        }
        all.extend(self.options.iter().cloned());
        let map: BTreeMap<String, String> = all.iter().cloned().collect();
        if map.len() < all.len() {
            return Err(Failure::Failed(
                "an option is given twice: leave out one of the two".into(),
            ));
        }
        let refused = |error: &dyn std::error::Error| Failure::Failed(error.to_string());
        let options = Options::parse(&map).map_err(|error| refused(&error))?;
        match PoolError::contradiction(&options).filter(|_| self.ipam) {
            Some(error) => Err(refused(&error)),
            None => Ok(all),
        }
    }

    fn command(&self, driver: &str, options: &[(String, String)]) -> Vec<String> {
        let ipam = if self.ipam { driver } else { "null" };
        let mut words: Vec<String> =
            ["docker", "network", "create", "-d", driver, "--ipam-driver", ipam]
                .map(str::to_owned)
                .into();
        // Docker tells IPAM drivers nothing of `-o`.
        for (name, value) in options.iter().filter(|(name, _)| self.ipam && pool::is_of_both(name))
        {
            words.extend(["--ipam-opt".to_owned(), format!("{name}={value}")]);
        }
        for (name, value) in options {
            words.extend(["-o".to_owned(), format!("{name}={value}")]);
        }
        words.extend(self.docker.iter().cloned());
        words.push(self.name.clone());
        words
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or("it must be NAME=VALUE, as in `release_delay=5m`")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The name by which Docker knows the driver of the daemon that answers.
fn find_driver(named: Option<&Path>) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let named = named.filter(|path| !path.as_os_str().is_empty());
    let answer = runtime.block_on(client::status(named, Path::new("/"))).map_err(|error| {
        Failure::NotReachable(format!("{error}. `--driver` names the driver without a daemon"))
    })?;
    let below = answer.socket.strip_prefix(PLUGINS).ok().and_then(Path::parent);
    let Some(plugin) = below.filter(|id| !id.as_os_str().is_empty()) else {
        return Ok(SERVICE.to_owned());
    };
    let asked = Command::new("docker")
        .args(["plugin", "inspect", "-f", "{{.Name}}"])
        .arg(plugin)
        .output()
        .map_err(|error| {
            Failure::Failed(format!("cannot run `docker` ({error}): `--driver` names the driver"))
        })?;
    let name = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    if !asked.status.success() || name.is_empty() {
        let why = String::from_utf8_lossy(&asked.stderr);
        return Err(Failure::Failed(format!(
            "docker does not tell the name of plugin {}: {}. `--driver` names the driver",
            plugin.display(),
            why.trim()
        )));
    }
    Ok(name)
}

/// A word as a shell takes it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn create(words: &[&str]) -> Result<Vec<String>, String> {
        let words = ["landfall", "create"].iter().chain(words);
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let Network::Create(create) = line.args.command;
        let refused = |failure| match failure {
            Failure::Failed(reason) | Failure::NotReachable(reason) => reason,
        };
        Ok(create.command("landfall:latest", &create.all_options().map_err(refused)?))
    }

    #[test]
    fn it_writes_what_docker_needs() {
        let all = "lan --bridge br0 -o release_delay=5m --opt ipv6=auto -- --internal --label a=b";
        let words: Vec<&str> = all.split(' ').collect();
        assert_eq!(
            create(&words).unwrap().join(" "),
            "docker network create -d landfall:latest --ipam-driver null -o bridge=br0 \
             -o release_delay=5m -o ipv6=auto --internal --label a=b lan"
        );
        assert_eq!(
            create(&["lan", "--parent", "eth0", "-o", "macvlan_mode=vepa"]).unwrap().join(" "),
            "docker network create -d landfall:latest --ipam-driver null -o mode=macvlan \
             -o parent=eth0 -o macvlan_mode=vepa lan"
        );
        let all =
            "lan --ipam --parent eth0 -o vlan=30 -o release_delay=5m -- --subnet 10.30.0.0/16";
        let words: Vec<&str> = all.split(' ').collect();
        assert_eq!(
            create(&words).unwrap().join(" "),
            "docker network create -d landfall:latest --ipam-driver landfall:latest \
             --ipam-opt mode=macvlan --ipam-opt parent=eth0 --ipam-opt vlan=30 \
             -o mode=macvlan -o parent=eth0 -o vlan=30 -o release_delay=5m --subnet 10.30.0.0/16 lan"
        );
    }

    #[test]
    fn what_landfall_would_not_take_is_refused_at_once() {
        for (words, reason) in [
            (
                &["lan", "--bridge", "br0", "-o", "lease_timout=9s"][..],
                "did you mean \"lease_timeout\"",
            ),
            (&["lan", "--bridge", "br0", "-o", "lease_timeout=9"], "a time such as 10s"),
            (&["lan", "--bridge", "br0", "-o", "ipv6"], "it must be NAME=VALUE"),
            (&["lan", "--bridge", "br0", "-o", "bridge=br1"], "given twice"),
            (&["lan", "--bridge", "br0", "--parent", "eth0"], "cannot be used with"),
            (&["lan"], "--bridge"),
            (&["lan", "--ipam", "--bridge", "br0", "-o", "no_server=wait"], "no_server=wait"),
            (
                &["lan", "--ipam", "--bridge", "br0", "-o", "ipv6=slaac", "-o", "ipv4=false"],
                "ipv4=false",
            ),
        ] {
            let refusal = create(words).unwrap_err();
            assert!(refusal.contains(reason), "{words:?}: {refusal}");
        }
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for (word, quoted) in [
            ("br0", "br0"),
            ("a b", "'a b'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quote(word), quoted);
        }
    }
}
