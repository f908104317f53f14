//! A parent: a link on which Landfall and the containers have macvlan children.
//!
//! Landfall's own child stands in its own namespace, as the inner ends of ports on bridges do, so that
//! nobody answers ARP for the host there. It has the name of a port.

use net::{Link, LinkWatch, Macvlan, MacvlanMode, Netlink, Netns};

use super::Access;
use super::hearing::Hearing;
use super::line::Line;
use super::port::{OPENING, Port, PortError, name};
use crate::engine::vlan;

/// Finds a parent.
pub(super) async fn find(host: &Netlink, name: &str, access: Access) -> Result<Link, PortError> {
    let kernel = |source| PortError::Kernel { interface: name.to_owned(), source };
    let link = host.link(name).await.map_err(kernel)?;
    let link = link.ok_or_else(|| match vlan::impossible(name) {
        Some(id) => PortError::NoSuchVlan { interface: name.to_owned(), id: id.to_owned() },
        None => PortError::NoParent(name.to_owned()),
    })?;
    let unfit = |why, instead| PortError::Unfit { name: name.to_owned(), why, instead };
    match link.kind.as_deref() {
        Some("bridge") => {
            let instead = format!("leave out `mode`, and write `-o bridge={name}`");
            return Err(unfit("is a bridge".to_owned(), instead));
        }
        Some(kind @ ("macvlan" | "macvtap" | "ipvlan" | "ipvtap")) => {
            let instead = "name the network card that it is made of".to_owned();
            return Err(unfit(format!("is a {kind} child itself"), instead));
        }
        _ => {}
    }
    if let Some(master) = link.master {
        let master = host.link_by_index(master).await.map_err(kernel)?;
        let (master, is_bridge) = match master {
            Some(master) => (master.name, master.kind.as_deref() == Some("bridge")),
            None => ("another link".to_owned(), false),
        };
        let instead = match is_bridge {
            true => format!("write `-o bridge={master}` and leave out `mode`"),
            false => format!("write `-o parent={master}`"),
        };
        return Err(unfit(
            format!("is a port of {master}, which takes all that comes in"),
            instead,
        ));
    }
    is_ethernet(&link, access)?;
    Ok(link)
}

/// Fails for what is no network card with a cable, nor like one.
pub(super) fn is_ethernet(link: &Link, access: Access) -> Result<(), PortError> {
    let unfit = |why: &str, instead: &str| PortError::Unfit {
        name: link.name.clone(),
        why: why.to_owned(),
        instead: instead.to_owned(),
    };
    if link.mac.is_none() || link.name == "lo" {
        let instead = "name the network card that is connected to the LAN (`ip -br link`)";
        return Err(unfit("is no Ethernet interface", instead));
    }
    if access == Access::Parent && net::link::is_wireless(&link.name) {
        let why = "is wireless, and an access point lets no other MAC than the card's own pass";
        return Err(unfit(why, "name a wired one (`ip -br link`), or write `-o mode=ipvlan`"));
    }
    Ok(())
}

/// Adopts the child of an earlier run, or makes one.
pub(super) async fn open(
    home: &Netns,
    home_links: &Netlink,
    host: &Netlink,
    instance: &str,
    parent: &Link,
) -> Result<Port, PortError> {
    let kernel = |source| PortError::Kernel { interface: parent.name.clone(), source };
    let name = name(instance, parent.index, None);
    let child = match adopt(home_links, &name, parent).await.map_err(kernel)? {
        Some(child) => child,
        None => {
            let child = Macvlan {
                name,
                parent: parent.index,
                mode: MacvlanMode::Bridge,
                mac: None,
                netns: Some(home.clone()),
                arp: false,
            };
            host.create_macvlan(&child).await.map_err(|source| {
                match source.is_busy() || source.is_invalid() {
                    true => PortError::Taken(parent.name.clone()),
                    false => kernel(source),
                }
            })?
        }
    };
    home_links.set_up(child).await.map_err(kernel)?;
    if parent.carrier {
        // Without one nothing passes.
        wait_until_open(home, home_links, child).await.map_err(kernel)?;
    }
    let line = Line::at_parent(home, parent.index, child).map_err(kernel)?;
    let hearing = Hearing::of(line.hears(), &parent.name).map_err(kernel)?;
    Ok(Port { seen: parent.index, own_child: Some(child), shared_mac: None, line, hearing })
}

/// Fails where a parent admits no ipvlan child: one is made, and removed again. It has a port's name, so that what a killed
/// daemon leaves of it goes with the strays of the next.
pub(super) async fn admits_ipvlan(
    host: &Netlink,
    instance: &str,
    parent: &Link,
) -> Result<(), PortError> {
    let kernel = |source| PortError::Kernel { interface: parent.name.clone(), source };
    let name = name(instance, parent.index, None);
    match host.create_ipvlan(&name, parent.index).await {
        Ok(()) => host.delete_link_named(&name).await.map(drop).map_err(kernel),
        Err(source) if source.is_busy() || source.is_invalid() => {
            Err(PortError::Taken(parent.name.clone()))
        }
        Err(source) if source.is_unsupported() => Err(PortError::Unfit {
            name: parent.name.clone(),
            why: "cannot have ipvlan children, as this kernel makes none".to_owned(),
            instead: "`modprobe ipvlan`, or write `-o mode=macvlan`".to_owned(),
        }),
        Err(source) => Err(kernel(source)),
    }
}

/// What is said and heard at a parent itself.
pub(super) fn open_alone(parent: &Link) -> Result<Port, PortError> {
    let kernel = |source| PortError::Kernel { interface: parent.name.clone(), source };
    let line = Line::at_parent_alone(parent.index).map_err(kernel)?;
    let hearing = Hearing::of(line.hears(), &parent.name).map_err(kernel)?;
    Ok(Port { seen: parent.index, own_child: None, shared_mac: parent.mac, line, hearing })
}

async fn adopt(home_links: &Netlink, name: &str, parent: &Link) -> Result<Option<u32>, net::Error> {
    match home_links.link(name).await? {
        Some(child) if is_child(&child) && child.peer_index == Some(parent.index) => {
            Ok(Some(child.index))
        }
        // Of a link whose index is in use again.
        Some(other) => home_links.delete_link(other.index).await.map(|()| None),
        None => Ok(None),
    }
}

/// Whether a link in Landfall's own namespace is its child of a parent.
pub(super) fn is_child(link: &Link) -> bool {
    link.kind.as_deref() == Some("macvlan")
}

/// Waits until the kernel has taken note of the child's carrier: what is sent before it drops.
async fn wait_until_open(home: &Netns, home_links: &Netlink, child: u32) -> Result<(), net::Error> {
    // Before the first look, so that no change is missed.
    let mut watch = LinkWatch::in_netns(home)?;
    let open = async {
        while home_links.link_by_index(child).await?.is_some_and(|link| !link.operational) {
            watch.next().await?;
        }
        Ok(())
    };
    tokio::time::timeout(OPENING, open).await.unwrap_or_else(|_| {
        tracing::warn!(child, "the port is not in operation after {OPENING:?}");
        Ok(())
    })
}
