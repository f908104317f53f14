//! What faults come from: one file of checks for each place where they arise.
//!
//! Each has a part that looks (files, the kernel, the LAN) and a pure one that judges what was
//! seen; the judgements are [`Report`]'s lines. Nothing is changed, but for a port on each bridge
//! that ends with this process.

mod addresses;
mod bridge;
mod clock;
mod daemon;
mod docker;
mod firewall;
mod http;
mod ipv6;
mod kernel;
mod parent;
mod plugin;
mod privileges;
mod probe;
mod probe6;
mod report;
mod server;
mod state;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use net::{Link, Netlink};

use firewall::Rules;
use privileges::Rights;
use report::{Finding, check};

pub(crate) use report::Report;

/// What is to be looked at.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The bridges; none: those of the daemon's networks, or else all that lead to a LAN.
    pub(crate) bridges: Vec<String>,
    /// How long DHCP servers have for an answer; `None` to ask none.
    pub(crate) probe: Option<Duration>,
    /// The daemon's admin socket, if it is not where it is looked for.
    pub(crate) admin_socket: Option<PathBuf>,
    /// The daemon's plugin socket.
    pub(crate) plugin_socket: PathBuf,
    /// The daemon's state folder; `None`: the running daemon's, or the default one.
    pub(crate) state_dir: Option<PathBuf>,
}

/// Runs all checks. Takes as long as the servers have for an answer, and on a bridge with
/// spanning tree as much more as a new port is silent.
///
/// # Errors
/// When the kernel does not tell which links there are.
pub(crate) async fn examine(scope: &Scope) -> net::Result<Report> {
    let host = Netlink::here()?;
    let (daemon, mut findings) = daemon::find(scope.admin_socket.as_deref()).await;
    let runs = daemon.is_some();
    let pid = daemon.as_ref().and_then(|daemon| daemon.pid);
    findings.extend(
        daemon::sockets(daemon.as_ref(), scope.admin_socket.as_deref(), &scope.plugin_socket).await,
    );
    findings.extend(docker::examine(Path::new("/run/docker.sock"), runs).await);

    let own = Rights::of("self");
    let may = own.is_none_or(Rights::suffice);
    findings.push(privileges::judge_own(own));
    findings.extend(pid.map(|pid| privileges::judge_daemon(pid, Rights::of(&pid.to_string()))));
    let folder = scope.state_dir.clone().or_else(|| pid.map(state::folder_of));
    findings.extend(state::examine(folder.as_deref(), runs));
    findings.extend(kernel::examine(may).await);
    findings.push(clock::examine());

    let wants = daemon.as_ref().map(|daemon| daemon.ipv6_bridges.clone()).unwrap_or_default();
    findings.push(ipv6::examine_kernel(!wants.is_empty()));
    let links = host.links().await?;
    if let Some(daemon) = daemon.as_ref().filter(|_| may) {
        findings.extend(addresses::examine(&links, &daemon.endpoints).await);
    }
    let (of_networks, parents, without_ipv4) = daemon
        .map(|daemon| (daemon.bridges, daemon.parents, daemon.without_ipv4))
        .unwrap_or_default();
    let no_parent = parents.is_empty();
    findings.extend(parents.iter().map(|name| parent::judge(&links, name)));
    let named = [scope.bridges.clone(), of_networks];
    let bridges = named.into_iter().find(|names| !names.is_empty());
    let elsewhere = || if no_parent { bridge::leading_elsewhere(&links) } else { Vec::new() };
    let bridges = bridges.unwrap_or_else(elsewhere);
    if bridges.is_empty() && no_parent {
        findings.push(no_bridge());
    }
    let wait = scope.probe.filter(|_| may);
    let of_bridges = bridges.iter().map(|name| {
        let wants = Wants { ipv4: !without_ipv4.contains(name), ipv6: wants.contains(name) };
        examine_bridge(&host, &links, name, wants, wait)
    });
    findings.extend(join_all(of_bridges).await.into_iter().flatten());
    Ok(Report::new(findings))
}

fn no_bridge() -> Finding {
    Finding::warning(check::BRIDGE, "this host", "there is no bridge that leads to a LAN").advise(
        "`ip link add br0 type bridge; ip link set br0 up`, then make your network card a port of \
         it, in the host's own network configuration",
    )
}

/// What a bridge's networks want; without any, IPv4.
#[derive(Debug, Clone, Copy)]
struct Wants {
    ipv4: bool,
    ipv6: bool,
}

async fn examine_bridge(
    host: &Netlink,
    links: &[Link],
    name: &str,
    wants: Wants,
    wait: Option<Duration>,
) -> Vec<Finding> {
    let bridge = match bridge::find(links, name) {
        Ok(bridge) => bridge,
        Err(finding) => return vec![finding],
    };
    let rules = if firewall::sees(bridge) { Some(Rules::read().await) } else { None };
    let ports: Vec<&Link> = links.iter().filter(|p| p.master == Some(bridge.index)).collect();
    let all: Vec<u32> = ports.iter().map(|port| port.index).collect();
    // A bridge without any port would take carrier and MAC from ours, and there is nobody to ask.
    let probed = match wait.filter(|_| !ports.is_empty()) {
        Some(wait) => {
            let asks = (wants.ipv4, rules.is_some());
            Some((wait, probe::ask(host, bridge, wait, &all, asks).await))
        }
        None => None,
    };
    let heard = probed.as_ref().and_then(|(_, result)| result.as_ref().ok());
    let heard = heard.filter(|_| wants.ipv4);
    let answered = heard.is_some_and(|heard| !heard.offers.is_empty());
    let mut findings = bridge::judge(bridge, links, bridge::Sysfs::of(bridge), answered);
    findings.push(firewall::judge(bridge, rules.as_ref(), heard));
    match &probed {
        Some((wait, Ok(heard))) => {
            findings.push(if wants.ipv4 {
                server::judge(name, heard, *wait)
            } else {
                let seen = "no DHCPv4 server was asked: its networks have no IPv4 (`ipv4=false`)";
                Finding::note(check::DHCP_SERVER, name, seen)
            });
            findings.extend(ipv6::judge(name, &heard.ipv6, wants.ipv6, *wait));
        }
        Some((_, Err(error))) => {
            let seen = format!("could not be asked: {error}");
            findings.push(
                Finding::error(check::DHCP_SERVER, name, seen)
                    .advise("the daemon's own port would fail likewise: see what the kernel says"),
            );
        }
        None => {}
    }
    findings
}
