//! Macvlan children of a link.

use std::os::fd::{AsFd, AsRawFd};

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoMacVlan, MacVlanMode};
use rtnetlink::{LinkMacVlan, LinkMessageBuilder, LinkUnspec};
use wire::MacAddr;

use crate::{Error, Netlink, Netns, Result};

/// How a macvlan child reaches its siblings on the same parent, by iproute2's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Directly, within the parent.
    Bridge,
    /// Not at all.
    Private,
    /// Through the switch, which must send back what it gets (IEEE 802.1Qbg).
    Vepa,
    /// It is the only one, has the parent's own MAC, and all that comes in at the parent.
    Passthru,
}

/// A macvlan child to be made.
#[derive(Debug, Clone)]
pub struct Macvlan {
    /// Name, at most 15 bytes.
    pub name: String,
    /// The index of its parent, in the namespace of the connection.
    pub parent: u32,
    /// How it reaches its siblings.
    pub mode: MacvlanMode,
    /// Ethernet address. Given here it counts as set by an administrator, so that udev's
    /// `MACAddressPolicy=` leaves it alone; the kernel's choice if `None`.
    pub mac: Option<MacAddr>,
    /// The network namespace it is born in; the parent's if `None`.
    pub netns: Option<Netns>,
    /// Whether it does ARP: without (NOARP) it neither asks nor answers.
    pub arp: bool,
}

impl Netlink {
    /// Makes a macvlan child, down, with its parent's MTU, and returns its index, which counts in the
    /// namespace it is born in.
    ///
    /// # Errors
    /// [`Error::is_exists`] when the name is taken; [`Error::is_busy`] when something else takes what
    /// comes in at the parent, as ipvlan children, a bridge or a bond do; EINVAL for what cannot be a
    /// parent, and for one that has a child in the mode `passthru`; EOPNOTSUPP without CONFIG_MACVLAN.
    pub async fn create_macvlan(&self, child: &Macvlan) -> Result<u32> {
        let Macvlan { name, parent, .. } = child;
        let tried = format!("make {name}, a macvlan child of link {parent}");
        let mode = match child.mode {
            MacvlanMode::Bridge => MacVlanMode::Bridge,
            MacvlanMode::Private => MacVlanMode::Private,
            MacvlanMode::Vepa => MacVlanMode::Vepa,
            MacvlanMode::Passthru => MacVlanMode::Passthrough,
        };
        let mut builder = LinkMessageBuilder::<LinkMacVlan>::new_with_info_kind(InfoKind::MacVlan)
            .name(name)
            .link(*parent)
            .set_info_data(InfoData::MacVlan(vec![InfoMacVlan::Mode(mode)]));
        if let Some(mac) = child.mac {
            builder = builder.address(mac.0.to_vec());
        }
        if let Some(netns) = &child.netns {
            builder = builder.setns_by_fd(netns.as_fd().as_raw_fd());
        }
        if !child.arp {
            builder = builder.arp(false);
        }
        let message = RouteNetlinkMessage::NewLink(builder.build());
        self.change(message, NLM_F_CREATE | NLM_F_EXCL, &tried).await?;
        let link = match &child.netns {
            Some(netns) => Netlink::in_netns(netns)?.link(name).await?,
            None => self.link(name).await?,
        };
        let vanished =
            || Error::NoAnswer { tried, seen: "it was removed again at once".to_owned() };
        link.map(|link| link.index).ok_or_else(vanished)
    }

    /// Moves a link, which is down afterwards, to another network namespace.
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is none; [`Error::is_exists`] when its name is taken there.
    pub async fn set_netns(&self, index: u32, netns: &Netns) -> Result<()> {
        let message = LinkUnspec::new_with_index(index).setns_by_fd(netns.as_fd().as_raw_fd());
        self.set_link(message.build(), &format!("move to {netns}")).await
    }
}
