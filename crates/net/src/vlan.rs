//! VLANs (IEEE 802.1Q): interfaces of one on a link, and what a bridge's port is a member of.

use std::os::fd::{AsFd, AsRawFd};

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::link::{
    AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags, InfoData, InfoKind, InfoVlan, LinkAttribute,
    LinkExtentMask, LinkMessage,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVlan};

use crate::{Netlink, Netns, Result};

impl Netlink {
    /// Makes the interface of a VLAN (1 to 4094) on the link `lower`, down and without ARP, born in `netns` under the name `name`.
    /// Frames of that VLAN that come in at `lower` come in there, without their tag, and what is sent there leaves with it.
    ///
    /// # Errors
    /// [`crate::Error::is_exists`] when the name is taken, or `lower` has an interface of that VLAN; EOPNOTSUPP without
    /// CONFIG_VLAN_8021Q, and on links that take no VLANs; ERANGE for an id out of range.
    pub async fn create_vlan(&self, name: &str, lower: u32, id: u16, netns: &Netns) -> Result<()> {
        let message = new_vlan(name, lower, id, netns);
        let tried = format!("make {name}, the interface of VLAN {id} on link {lower}");
        self.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL, &tried).await
    }

    /// Moves a link, which is down afterwards, to another network namespace, where it has that name and that alias
    /// (`ip link set … alias`): there is no moment at which it is there without.
    ///
    /// # Errors
    /// As [`Netlink::set_netns`].
    pub async fn hand_over(
        &self,
        index: u32,
        netns: &Netns,
        name: &str,
        alias: &str,
    ) -> Result<()> {
        let message = LinkUnspec::new_with_index(index)
            .setns_by_fd(netns.as_fd().as_raw_fd())
            .name(name)
            .append_extra_attribute(LinkAttribute::IfAlias(alias.to_owned()));
        self.set_link(message.build(), &format!("move to {netns}, as {name},")).await
    }

    /// Makes a bridge's port a member of one VLAN (1 to 4094), to which belongs what comes in without a tag (PVID) and of which
    /// frames go out without one; it leaves the VLAN `instead_of`, if it is a member.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] when there is no such link; EOPNOTSUPP when it is no port of a bridge, and without
    /// CONFIG_BRIDGE_VLAN_FILTERING.
    pub async fn set_port_vlan(&self, port: u32, id: u16, instead_of: u16) -> Result<()> {
        let member = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
        self.set_link(port_vlan(port, id, member), "set the VLAN of").await?;
        if instead_of == id || instead_of == 0 {
            return Ok(());
        }
        let message = port_vlan(port, instead_of, BridgeVlanInfoFlags::empty());
        let tried = format!("take VLAN {instead_of} from link {port}");
        // The kernel does not mind one that is no member.
        self.change(RouteNetlinkMessage::DelLink(message), 0, &tried).await
    }

    /// The VLANs whose frames pass the ports of all bridges: each port's index, and a VLAN of which it is a member.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn port_vlans(&self) -> Result<Vec<(u32, u16)>> {
        let mut message = LinkMessage::default();
        message.header.interface_family = AddressFamily::Bridge;
        // Not in ranges: one by one.
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::Brvlan]));
        let message = RouteNetlinkMessage::GetLink(message);
        let ports = self.dump(message, "list the VLANs of bridges' ports", members).await?;
        Ok(ports.into_iter().flatten().collect())
    }
}

fn new_vlan(name: &str, lower: u32, id: u16, netns: &Netns) -> LinkMessage {
    LinkMessageBuilder::<LinkVlan>::new_with_info_kind(InfoKind::Vlan)
        .name(name)
        .link(lower)
        .set_info_data(InfoData::Vlan(vec![InfoVlan::Id(id)]))
        .setns_by_fd(netns.as_fd().as_raw_fd())
        .arp(false)
        .build()
}

/// A port and one VLAN of it.
fn port_vlan(port: u32, vid: u16, flags: BridgeVlanInfoFlags) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.interface_family = AddressFamily::Bridge;
    message.header.index = port;
    let info = AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid });
    message.attributes.push(LinkAttribute::AfSpecBridge(vec![info]));
    message
}

fn members(message: RouteNetlinkMessage) -> Option<Vec<(u32, u16)>> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let port = message.header.index;
    let infos = message.attributes.into_iter().filter_map(|attribute| match attribute {
        LinkAttribute::AfSpecBridge(infos) => Some(infos),
        _ => None,
    });
    let vlan = |info| match info {
        AfSpecBridge::VlanInfo(info) => Some((port, info.vid)),
        _ => None,
    };
    Some(infos.flatten().filter_map(vlan).collect())
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::Emitable;

    use super::*;

    fn bytes(message: &LinkMessage) -> Vec<u8> {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        bytes
    }

    /// As `bridge vlan add dev PORT vid 30 pvid untagged` and `bridge vlan del dev PORT vid 1` send it (iproute2 6.1).
    #[test]
    fn a_ports_vlan_as_iproute2_says_it() {
        let member = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
        #[rustfmt::skip]
        let added = [
            7, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // AF_BRIDGE, link 5
            12, 0, 26, 0,            // IFLA_AF_SPEC
            8, 0, 2, 0, 6, 0, 30, 0, // IFLA_BRIDGE_VLAN_INFO: PVID and UNTAGGED, 30
        ];
        assert_eq!(bytes(&port_vlan(5, 30, member)), added);
        let taken = bytes(&port_vlan(5, 1, BridgeVlanInfoFlags::empty()));
        assert_eq!(taken.get(20..), Some(&[8, 0, 2, 0, 0, 0, 1, 0][..]));
    }
}
