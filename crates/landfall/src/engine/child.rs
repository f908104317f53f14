//! An endpoint's link where it is a macvlan child of a parent.
//!
//! All of it moves into the sandbox, so no link of the host tells what becomes of it there. That it has
//! left the host's namespace is the notice to look for it in its sandbox once; that its sandbox has gone
//! shows when its engine says so, or when it is to be changed there.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use net::{Link, LinkWatch, Macvlan, Netlink, Netns};
use tokio::time::{Instant, sleep, timeout};
use wire::MacAddr;

use super::ids::EndpointId;
use super::mode::{MacvlanMode, Mode};
use super::sandbox::{Inside, Sandbox, open_netns};
use super::worker::LinkNews;
use super::{Engine, container_link, own_link};
use crate::store::{EndpointRecord, Phase};

/// How long an engine may take from the move into a sandbox until the link is up there.
const UP_WITHIN: Duration = Duration::from_secs(30);
/// How often a MAC is tried that another child still has.
const TRIED_EVERY: Duration = Duration::from_millis(20);

impl Engine {
    /// Makes the child of an endpoint in the host's namespace, down, and returns its index there.
    ///
    /// Its alias goes into the sandbox with it, where its name is the engine's choice.
    ///
    /// `tried_for`: how long to wait for a MAC that another child on the parent has up: that of the
    /// container's last run may be about to go. None: nobody has ever had it.
    pub(super) async fn make_child(
        &self,
        (id, mac): (&EndpointId, MacAddr),
        (parent, mode): (u32, Mode),
        tried_for: Option<Duration>,
    ) -> net::Result<u32> {
        let host = &self.0.host;
        let name = container_link(id);
        let (home, home_links) = self.0.segments.home();
        let mode = match mode {
            // What is not the child of a parent does not come here.
            Mode::Bridge | Mode::Ipvlan => return self.make_ipvlan_child(&name, parent).await,
            Mode::Macvlan(mode) => mode,
        };
        // There is only one with the parent's MAC.
        let of_its_own = mode != MacvlanMode::Passthru;
        let tried_for = tried_for.filter(|_| of_its_own);
        let child = Macvlan {
            name: name.clone(),
            parent,
            mode: match mode {
                MacvlanMode::Bridge => net::MacvlanMode::Bridge,
                MacvlanMode::Private => net::MacvlanMode::Private,
                MacvlanMode::Vepa => net::MacvlanMode::Vepa,
                MacvlanMode::Passthru => net::MacvlanMode::Passthru,
            },
            mac: of_its_own.then_some(mac),
            netns: tried_for.map(|_| home.clone()),
            arp: true,
        };
        let made = host.create_macvlan(&child).await?;
        let place = if tried_for.is_some() { home_links } else { host };
        place.set_alias(made, &name).await?;
        let Some(tried_for) = tried_for else { return Ok(made) };
        // Only where it may be up: in the host's namespace it would answer for the host.
        self.try_mac(id, home_links, made, tried_for).await?;
        home_links.set_netns(made, &Netns::current()?).await?;
        let moved = host.link(&name).await?;
        Ok(moved.map_or(0, |link| link.index))
    }

    async fn make_ipvlan_child(&self, name: &str, parent: u32) -> net::Result<u32> {
        let host = &self.0.host;
        host.create_ipvlan(name, parent).await?;
        let made = host.link(name).await?.map_or(0, |link| link.index);
        host.set_alias(made, name).await?;
        Ok(made)
    }

    /// The kernel gives no two children of a parent the same MAC, and says so when the second is set up.
    async fn try_mac(
        &self,
        id: &EndpointId,
        home_links: &Netlink,
        child: u32,
        patience: Duration,
    ) -> net::Result<()> {
        let until = Instant::now() + patience;
        loop {
            match home_links.set_up(child).await {
                Err(error) if error.is_busy() && Instant::now() < until && self.is_creating(id) => {
                    sleep(TRIED_EVERY).await;
                }
                tried => return tried,
            }
        }
    }

    fn is_creating(&self, id: &EndpointId) -> bool {
        self.lock().endpoints.get(id).is_some_and(|endpoint| endpoint.phase == Phase::Creating)
    }

    /// Removes what the host has of an endpoint's link.
    pub(super) async fn delete_own_link(&self, mode: Mode, id: &EndpointId) -> net::Result<()> {
        let name = own_link(mode, id);
        self.0.host.delete_link_named(&name).await?;
        if mode != Mode::Bridge {
            // It may still be where its MAC was tried.
            self.0.segments.home().1.delete_link_named(&name).await?;
        }
        Ok(())
    }

    /// Removes an endpoint's child in its sandbox.
    pub(super) async fn delete_child(&self, sandbox: &Path, inside: &Inside) -> net::Result<()> {
        match Sandbox::open(sandbox, inside).await? {
            Some(found) => found.links.delete_link(found.ifindex).await,
            None => Ok(()),
        }
    }

    /// What there is of an endpoint's link, after a restart: what the host has of it, or its child in its
    /// sandbox, with the index 0.
    pub(super) async fn find_link(
        &self,
        record: &EndpointRecord,
        mode: Mode,
        links: &HashMap<&str, &Link>,
    ) -> Option<Link> {
        if let Some(link) = links.get(own_link(mode, &record.id).as_str()) {
            return Some((*link).clone());
        }
        let Phase::Joined(path) = &record.phase else { return None };
        if mode == Mode::Bridge {
            return None;
        }
        let found = async {
            match Sandbox::open(path, &Inside::child(&record.id)).await? {
                Some(sandbox) => sandbox.links.link_by_index(sandbox.ifindex).await,
                None => Ok(None),
            }
        };
        match found.await {
            Ok(link) => link.map(|link| Link { index: 0, carrier: link.up, ..link }),
            Err(error) => {
                tracing::debug!(endpoint = %record.id, %error, "its sandbox has gone");
                None
            }
        }
    }

    /// An endpoint's child has left the host's namespace: once it is up in its sandbox, that is news.
    pub(super) fn child_moved(&self, id: &EndpointId) {
        let (path, inside) = {
            let state = self.lock();
            let Some(endpoint) = state.endpoints.get(id) else { return };
            let Phase::Joined(path) = &endpoint.phase else { return };
            (path.clone(), endpoint.inside(id))
        };
        let (engine, id) = (self.clone(), id.clone());
        tokio::spawn(async move {
            let up = timeout(UP_WITHIN, wait_until_up(&path, &inside)).await;
            let news = match up {
                Ok(Ok(())) => LinkNews::Up(id.clone()),
                // Its container has ended meanwhile; its engine may not live to say so.
                Ok(Err(error)) if error.is_not_found() => LinkNews::Gone(id.clone()),
                Ok(Err(error)) => {
                    tracing::warn!(endpoint = %id, %error, "the sandbox is out of reach");
                    return;
                }
                Err(_) => {
                    tracing::warn!(endpoint = %id, "the link is not up in its sandbox");
                    return;
                }
            };
            {
                let mut state = engine.lock();
                let Some(endpoint) = state.endpoints.get_mut(&id) else { return };
                if endpoint.phase != Phase::Joined(path) {
                    return;
                }
                endpoint.carrier = matches!(news, LinkNews::Up(_));
            }
            engine.tell(news);
        });
    }
}

async fn wait_until_up(sandbox: &Path, inside: &Inside) -> net::Result<()> {
    let netns = open_netns(sandbox)?;
    // Before the first look, so that no change is missed.
    let mut watch = LinkWatch::in_netns(&netns)?;
    let links = Netlink::in_netns(&netns)?;
    while !links.links().await?.iter().any(|link| inside.is(link) && link.up) {
        watch.next().await?;
    }
    Ok(())
}
