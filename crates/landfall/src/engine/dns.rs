//! What the LAN says of DNS, in the containers of networks with `propagate_dns`.
//!
//! A container's `/etc/resolv.conf` is a file of Docker's that is mounted there. It is written in place, and only while
//! it is Docker's own or Landfall's: Docker leaves one alone that has changed, until the container starts again.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use net::{Rewritten, process, rewrite_mounted};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::applied::PropagateDns;
use super::guest::INIT;
use super::ids::EndpointId;
use super::resolv_conf::{Dns, Server, compose, dockers};
use super::sandbox::open_netns;
use super::{Endpoint, Engine};
use crate::store::Phase;

const PATH: &str = "/etc/resolv.conf";
/// How long the engine may take from a container's interface to its resolver, which it sets up when all its interfaces are there:
/// for each network it waits half a minute.
const PATIENCE: Duration = Duration::from_secs(40);
/// And how long until a file that is there is its own.
const STRANGER: Duration = Duration::from_secs(10);
/// No event tells of that: looked for at first after this time, and ever more seldom up to that.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

impl Engine {
    /// Has the container of an endpoint know the LAN's DNS as it is now, if its network is to propagate it. Does not
    /// wait for that.
    pub(super) fn propagate_dns(&self, id: &EndpointId) {
        let joined = {
            let state = self.lock();
            let endpoint = state.endpoints.get(id).filter(|endpoint| endpoint.propagates_dns());
            endpoint.and_then(|e| Some((e.sandbox()?.to_owned(), e.guest)))
        };
        let Some((sandbox, guest)) = joined else { return };
        let (engine, id) = (self.clone(), id.clone());
        tokio::spawn(async move {
            let begun = Instant::now();
            let mut strange: Option<Instant> = None;
            let [mut pause, longest] = LOOK_AGAIN;
            loop {
                let rewritten = engine.rewrite(&sandbox, guest).await;
                let may_change = match rewritten {
                    Ok(Rewritten::Absent) => {
                        strange = None;
                        begun.elapsed() < PATIENCE
                    }
                    Ok(Rewritten::Refused) => {
                        strange.get_or_insert_with(Instant::now).elapsed() < STRANGER
                    }
                    _ => false,
                };
                if may_change {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 9 / 8).min(longest);
                    continue;
                }
                match rewritten {
                    Ok(Rewritten::Changed) => {
                        tracing::info!(endpoint = %id, "the container's {PATH} has the LAN's DNS");
                    }
                    Ok(Rewritten::Same | Rewritten::Absent) => {}
                    Ok(Rewritten::Refused) => {
                        tracing::info!(endpoint = %id, "the container has a {PATH} of its own, which is left as it is");
                    }
                    Err(error) => {
                        tracing::warn!(endpoint = %id, %error, "the container does not have the LAN's DNS");
                    }
                }
                return;
            }
        });
    }

    /// The guest of an endpoint whose network propagates DNS, as far as it is known.
    pub(super) fn guest_with_dns(&self, id: &EndpointId) -> Option<Option<Pid>> {
        let state = self.lock();
        state.endpoints.get(id).filter(|e| e.propagates_dns()).map(|endpoint| endpoint.guest)
    }

    /// The same for the sandbox that an endpoint has left: what is left of the LAN's DNS there, or Docker's own.
    pub(super) async fn withdraw_dns(&self, sandbox: &Path, guest: Option<Pid>) {
        if let Err(error) = self.rewrite(sandbox, guest).await
            && !error.is_not_found()
        {
            tracing::warn!(sandbox = %sandbox.display(), %error, "{PATH} is left as it is");
        }
    }

    async fn rewrite(&self, sandbox: &Path, guest: Option<Pid>) -> net::Result<Rewritten> {
        // One after the other, so that what was known last is what is written last.
        let _turn = self.0.dns.lock().await;
        let (dns, sandbox) = (self.dns_in(sandbox), sandbox.to_owned());
        let rewritten = tokio::task::spawn_blocking(move || rewrite(&sandbox, guest, &dns)).await;
        rewritten.unwrap_or(Ok(Rewritten::Absent))
    }

    /// What the LANs of all networks say that a sandbox is on, in the order of its interfaces.
    fn dns_in(&self, sandbox: &Path) -> Dns {
        let state = self.lock();
        let here = state.endpoints.values().filter(|e| e.sandbox() == Some(sandbox));
        let mut here: Vec<&Endpoint> = here.map(|e| &**e).filter(|e| e.propagates_dns()).collect();
        here.sort_by_key(|e| e.interface.as_ref().map(|(index, name)| (name.clone(), *index)));
        let of = |endpoint: &&Endpoint| endpoint.network.options.applied.dns;
        let mut dns =
            Dns { behind: here.iter().all(|e| of(e) == PropagateDns::Fallback), ..Dns::default() };
        for (servers, search) in here.iter().map(|endpoint| endpoint.dns()) {
            dns.servers.extend(servers);
            dns.search.extend(search);
        }
        dns
    }
}

impl Endpoint {
    fn sandbox(&self) -> Option<&Path> {
        match &self.phase {
            Phase::Joined(path) => Some(path),
            _ => None,
        }
    }

    fn propagates_dns(&self) -> bool {
        self.network.options.applied.dns != PropagateDns::False
    }

    /// The DNS servers that its lease names and those of its IPv6, and the domains to search.
    fn dns(&self) -> (Vec<Server>, Vec<String>) {
        let interface = self.interface.as_ref().map(|(_, name)| &**name);
        let mut addresses: Vec<IpAddr> = Vec::new();
        let mut search = Vec::new();
        if let Some(lease) = self.lease() {
            addresses.extend(lease.options.dns_servers().into_iter().map(IpAddr::V4));
            search = lease.options.search_list();
            if search.is_empty() {
                search.extend(lease.options.domain_name());
            }
        }
        if let Some(view) = self.segment.as_ref().and_then(|s| s.ipv6()?.view(self.mac)) {
            addresses.extend(view.configuration.dns.into_iter().map(IpAddr::V6));
            search.extend(view.configuration.search.iter().map(ToString::to_string));
        }
        let servers = addresses.into_iter().filter_map(|address| Server::new(address, interface));
        (servers.collect(), search)
    }
}

/// Writes what is to stand in the file of whoever lives in the sandbox.
fn rewrite(sandbox: &Path, guest: Option<Pid>, dns: &Dns) -> net::Result<Rewritten> {
    let inode = open_netns(sandbox)?.inode()?;
    let guest = guest.filter(|pid| process::is_in_netns(*pid, inode));
    match guest.or_else(|| process::in_netns(inode)) {
        Some(pid) => rewrite_mounted(pid, INIT, PATH, |text| Some(compose(&dockers(text)?, dns))),
        None => Ok(Rewritten::Absent),
    }
}
