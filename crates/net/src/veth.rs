//! Veth pairs, made so that they disturb nobody on either side.

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};
use std::os::fd::{AsFd, AsRawFd};
use wire::MacAddr;

use crate::{Error, Netlink, Netns, Result};

/// A veth pair to be made: the end that stays here, and its peer.
#[derive(Debug, Clone)]
pub struct Veth {
    /// Name of the outer end, at most 15 bytes.
    pub name: String,
    /// Ethernet address of the outer end. On a bridge it should begin with `fe:`, so that it is
    /// never the lowest and does not become the bridge's.
    pub mac: MacAddr,
    /// MTU of the outer end in bytes. On a bridge it should be the bridge's.
    pub mtu: u32,
    /// The bridge that the outer end becomes a port of.
    pub master: Option<u32>,
    /// Set the outer end up.
    pub up: bool,
    /// The other end.
    pub peer: Peer,
}

/// The other end of a veth pair.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Name, at most 15 bytes.
    pub name: String,
    /// Ethernet address; the kernel's choice if `None`.
    pub mac: Option<MacAddr>,
    /// MTU in bytes; 1500 if `None`.
    pub mtu: Option<u32>,
    /// The network namespace it is born in; the outer end's if `None`.
    pub netns: Option<Netns>,
    /// Set it up.
    pub up: bool,
    /// Whether it does ARP: without (NOARP) it neither asks nor answers.
    pub arp: bool,
}

impl Netlink {
    /// Makes a veth pair and returns the indices of the outer end and of the peer (the latter
    /// counts in the peer's namespace).
    ///
    /// The outer end never has an IPv6 link-local address, and so sends no MLD reports, neighbour
    /// or router solicitations of its own. It is complete (address, MTU, no IPv6) before it
    /// becomes a port, and a port before it is up. When a later step fails the pair is removed
    /// again.
    ///
    /// With both ends up the peer can send at once, the outer end when it is
    /// [`crate::Link::operational`], and a bridge forwards when the port's state is
    /// [`crate::PortState::Forwarding`]: both come a little later.
    ///
    /// # Errors
    /// [`Error::is_exists`] when one of the names is taken; what [`Netlink::set_master`] answers;
    /// EINVAL for a bad name, address or MTU.
    pub async fn create_veth(&self, veth: &Veth) -> Result<(u32, u32)> {
        let tried = format!("make veth {} with peer {}", veth.name, veth.peer.name);
        let message = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(&veth.name)
            .address(veth.mac.0.to_vec())
            .mtu(veth.mtu)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(veth.peer.message())))
            .build();
        self.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL, &tried)
            .await?;
        let result = self.finish_veth(veth, &tried).await;
        if result.is_err()
            && let Err(error) = self.delete_link_named(&veth.name).await
        {
            tracing::warn!(%error, "a half-made veth is left behind");
        }
        result
    }

    async fn finish_veth(&self, veth: &Veth, tried: &str) -> Result<(u32, u32)> {
        let vanished = |what| Error::NoAnswer { tried: tried.to_owned(), seen: what };
        let link = self
            .link(&veth.name)
            .await?
            .ok_or_else(|| vanished("it was removed again at once".to_owned()))?;
        let peer = link
            .peer_index
            .ok_or_else(|| vanished("the kernel names no peer for it".to_owned()))?;
        // The kernel ignores the mode while it makes a link, and heeds it too late in a message
        // that sets a link up.
        let mut port = LinkUnspec::new_with_index(link.index).append_extra_attribute(
            LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
                In6AddrGenMode::None,
            )])]),
        );
        let mut what = "turn IPv6 link-local addresses off on".to_owned();
        if let Some(master) = veth.master {
            port = port.controller(master);
            what = format!("make a port of link {master}, without IPv6, of");
        }
        self.set_link(port.build(), &what).await?;
        if veth.up {
            self.set_up(link.index).await?;
        }
        if veth.peer.up {
            // Not while it is made: the driver answers ENOTCONN as long as it has no other end.
            // And last: the end that finds the other up can send at once.
            match &veth.peer.netns {
                Some(netns) => Netlink::in_netns(netns)?.set_up(peer).await?,
                None => self.set_up(peer).await?,
            }
        }
        Ok((link.index, peer))
    }
}

impl Peer {
    fn message(&self) -> rtnetlink::packet_route::link::LinkMessage {
        let mut builder = LinkMessageBuilder::<LinkUnspec>::new().name(&self.name);
        if let Some(mac) = self.mac {
            builder = builder.address(mac.0.to_vec());
        }
        if let Some(mtu) = self.mtu {
            builder = builder.mtu(mtu);
        }
        if let Some(netns) = &self.netns {
            builder = builder.setns_by_fd(netns.as_fd().as_raw_fd());
        }
        if !self.arp {
            builder = builder.arp(false);
        }
        builder.build()
    }
}
