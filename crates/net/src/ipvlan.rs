//! Ipvlan children of a link, which all have its MAC.

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{IpVlanMode, LinkAttribute};
use rtnetlink::{LinkIpVlan, LinkUnspec};

use crate::{Netlink, Result};

impl Netlink {
    /// Makes an ipvlan child of the link `parent`, in the mode `l2`, down. What comes in at the parent goes to the child that has
    /// the IP address, and broadcasts to all.
    ///
    /// # Errors
    /// [`crate::Error::is_exists`] when the name is taken; [`crate::Error::is_busy`] when something else takes what comes in at the
    /// parent, as macvlan children, a bridge or a bond do; EINVAL for what cannot be a parent, and for one with ipvlan children in
    /// another mode; [`crate::Error::is_unsupported`] without CONFIG_IPVLAN.
    pub async fn create_ipvlan(&self, name: &str, parent: u32) -> Result<()> {
        let message = LinkIpVlan::new(name, parent, IpVlanMode::L2).build();
        let tried = format!("make {name}, an ipvlan child of link {parent}");
        self.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL, &tried).await
    }

    /// Notes something about a link (`ip link set … alias`), which goes with it into other namespaces.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] when there is none.
    pub async fn set_alias(&self, index: u32, alias: &str) -> Result<()> {
        let message = LinkUnspec::new_with_index(index)
            .append_extra_attribute(LinkAttribute::IfAlias(alias.to_owned()));
        self.set_link(message.build(), "note an alias of").await
    }
}
