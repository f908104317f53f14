//! A parent that is the interface of a VLAN, as its name says: `eth0.30`. Made when it is first needed, and removed with the
//! last network that uses it.
//!
//! What Landfall made has an alias that says so, and what an administrator made is left alone. It is born in
//! Landfall's own namespace, and comes to the host with its name and its alias in one step, so that whenever this process dies
//! the next one knows what is whose. The host has no address there, and answers nothing.

use net::sysctl::{Ipv6Settings, ipv6_of};
use net::{Link, Netns};

use super::port::{self, PortError};
use super::{Access, Segments, parent};
use crate::engine::vlan::of;

/// What the kind of such a link is called.
const KIND: &str = "vlan";

/// Whether it is the interface of a VLAN.
pub(super) fn is_vlan(link: &Link) -> bool {
    link.kind.as_deref() == Some(KIND)
}

impl Segments {
    /// What says that this daemon made an interface.
    fn mark(&self) -> String {
        format!("landfall-{}", self.instance)
    }

    fn is_marked(&self, link: &Link) -> bool {
        is_vlan(link) && link.alias.as_deref() == Some(&self.mark())
    }

    /// The parent of that name; none: it is to be made, and can be.
    pub(super) async fn look_for_parent(
        &self,
        name: &str,
        access: Access,
    ) -> Result<Option<Link>, PortError> {
        match parent::find(&self.host, name, access).await {
            Ok(link) => {
                self.is_of_its_name(&link).await?;
                Ok(Some(link))
            }
            Err(PortError::NoParent(_)) if let Some((lower, id)) = of(name) => {
                self.lower(name, (lower, id), access).await.map(|_| None)
            }
            Err(error) => Err(error),
        }
    }

    /// The parent of that name, made if it is missing and the name says of which VLAN.
    pub(super) async fn parent(&self, name: &str, access: Access) -> Result<Link, PortError> {
        match (self.look_for_parent(name, access).await?, of(name)) {
            (Some(link), _) => Ok(link),
            (None, Some(of)) => self.make_vlan(name, of, access).await,
            (None, None) => Err(PortError::NoParent(name.to_owned())),
        }
    }

    /// An interface that is called as one of another VLAN is a trap.
    async fn is_of_its_name(&self, link: &Link) -> Result<(), PortError> {
        let (Some(is), Some((lower, id))) = (link.vlan, of(&link.name)) else { return Ok(()) };
        let on = match (link.peer_index, link.peer_netnsid) {
            (Some(index), None) => self.host.link_by_index(index).await,
            _ => Ok(None),
        };
        let on = on.map_err(|source| PortError::Kernel { interface: link.name.clone(), source })?;
        if is == id && on.as_ref().is_some_and(|on| on.name == lower) {
            return Ok(());
        }
        let on = on.map_or_else(|| "another link".to_owned(), |on| on.name);
        Err(PortError::Unfit {
            name: link.name.clone(),
            why: format!("is the interface of VLAN {is} of {on}, whatever its name says"),
            instead: format!(
                "give it another name (`ip link set {} name vlan{is}`), or name another",
                link.name
            ),
        })
    }

    /// What an interface of a VLAN is to stand on.
    async fn lower(
        &self,
        name: &str,
        (lower, id): (&str, u16),
        access: Access,
    ) -> Result<Link, PortError> {
        let kernel = |source| PortError::Kernel { interface: name.to_owned(), source };
        let unfit = |why: String, instead: &str| PortError::Unfit {
            name: lower.to_owned(),
            why,
            instead: instead.to_owned(),
        };
        let found = self.host.link(lower).await.map_err(kernel)?;
        let found = found.ok_or_else(|| PortError::NoParent(lower.to_owned()))?;
        parent::is_ethernet(&found, access)?;
        if !found.up {
            return Err(PortError::ParentDown(lower.to_owned()));
        }
        let links = self.host.links().await.map_err(kernel)?;
        let same = |link: &&Link| {
            link.vlan == Some(id)
                && link.peer_index == Some(found.index)
                && link.peer_netnsid.is_none()
        };
        match links.iter().find(same) {
            Some(other) => {
                let why = format!("has an interface of VLAN {id} already, {}", other.name);
                Err(unfit(why, &format!("write `-o parent={}`", other.name)))
            }
            None => Ok(found),
        }
    }

    /// What must be set up for that link, which is down, to be up.
    pub(super) async fn lowest_down(&self, link: &Link) -> String {
        if let Some((lower, _)) = of(&link.name).filter(|_| is_vlan(link))
            && let Ok(Some(lower)) = self.host.link(lower).await
            && !lower.up
        {
            return lower.name;
        }
        link.name.clone()
    }

    async fn make_vlan(
        &self,
        name: &str,
        (lower, id): (&str, u16),
        access: Access,
    ) -> Result<Link, PortError> {
        let kernel = |source| PortError::Kernel { interface: name.to_owned(), source };
        let lower = self.lower(name, (lower, id), access).await?;
        let here = Netns::current().map_err(kernel)?;
        let born_as = port::name(&self.instance, lower.index, Some(id));
        // Of a run that was killed between the two steps.
        self.home_links.delete_link_named(&born_as).await.map_err(kernel)?;
        self.host.create_vlan(&born_as, lower.index, id, &self.home).await.map_err(|source| {
            match source.is_unsupported() {
                true => {
                    PortError::NoVlans { interface: name.to_owned(), lower: lower.name.clone() }
                }
                false => kernel(source),
            }
        })?;
        let made = self.come_home(&born_as, name, &here).await.map_err(kernel)?;
        let no_ipv6 = Ipv6Settings { disable: Some(true), ..Ipv6Settings::default() };
        match ipv6_of(&here, name, no_ipv6).await {
            // The kernel has none.
            Err(error) if !error.is_not_found() => return Err(kernel(error)),
            _ => {}
        }
        self.host.set_up(made).await.map_err(kernel)?;
        tracing::info!(
            interface = name,
            vlan = id,
            lower = lower.name,
            "the VLAN's interface is made"
        );
        let link = self.host.link(name).await.map_err(kernel)?;
        link.ok_or_else(|| PortError::NoParent(name.to_owned()))
    }

    /// The second step: from Landfall's own namespace to the host's. The index that it has there.
    async fn come_home(&self, born_as: &str, name: &str, here: &Netns) -> net::Result<u32> {
        let Some(born) = self.home_links.link(born_as).await? else { return Ok(0) };
        if let Err(error) = self.home_links.hand_over(born.index, here, name, &self.mark()).await {
            // In one of the two it is, if the name was taken meanwhile.
            let _ = self.home_links.delete_link_named(born_as).await;
            let _ = self.host.delete_link_named(born_as).await;
            return Err(error);
        }
        Ok(self.host.link(name).await?.map_or(0, |link| link.index))
    }

    /// Removes the interface of that name, if it is of a VLAN and this daemon made it.
    pub(super) async fn remove_vlan(&self, name: &str) {
        if of(name).is_none() {
            return;
        }
        let removed = async {
            match self.host.link(name).await? {
                Some(link) if self.is_marked(&link) => {
                    tracing::info!(interface = name, "no network uses the VLAN any more");
                    self.host.delete_link(link.index).await
                }
                _ => Ok(()),
            }
        };
        if let Err(error) = removed.await
            && !error.is_not_found()
        {
            tracing::warn!(%error, interface = name, "the VLAN's interface stays behind");
        }
    }

    /// Of those links, the interfaces of VLANs that this daemon made and of which no network is told.
    pub(super) fn stray_vlans<'a>(
        &self,
        links: &'a [Link],
        used: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = &'a Link> {
        links.iter().filter(move |link| self.is_marked(link) && !used(&link.name))
    }
}
