//! Links: what they are, and single changes to them.

use std::path::Path;

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    BridgeMulticastRouterType, BridgePortState, BridgeStpState, InfoBridge, InfoBridgePort,
    InfoData, InfoPortData, InfoVlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo,
    LinkMessage, State,
};
use rtnetlink::{LinkBridgePort, LinkUnspec};
use wire::MacAddr;

use crate::{Error, Netlink, Result};

/// A network link (interface), as the kernel describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Interface index, unique in its network namespace.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// What kind of virtual link it is: "bridge", "veth", "macvlan", …; `None` for hardware.
    pub kind: Option<String>,
    /// Ethernet address; `None` for links that are not Ethernet.
    pub mac: Option<MacAddr>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Index of the bridge or bond it is a port of.
    pub master: Option<u32>,
    /// Set up by the administrator (IFF_UP).
    pub up: bool,
    /// The lower layer is there (IFF_LOWER_UP): a cable is plugged in, the veth's peer is up.
    pub carrier: bool,
    /// The kernel has taken note of the carrier (IFLA_OPERSTATE is up). It does so from a work
    /// queue, after up to some milliseconds; what is sent before it drops, and tells nobody.
    /// Never for links without an operational state, as `lo`.
    pub operational: bool,
    /// IFLA_LINK: the other end of a veth, the parent of a macvlan, what a VLAN's interface stands on, as an index in the namespace
    /// that `peer_netnsid` names.
    pub peer_index: Option<u32>,
    /// The namespace of `peer_index`, by the id it has in ours; `None` when it is ours.
    pub peer_netnsid: Option<i32>,
    /// What it is set to, if it is a bridge.
    pub bridge: Option<BridgeInfo>,
    /// Its spanning-tree state, if it is a port of a bridge.
    pub port_state: Option<PortState>,
    /// The VLAN whose interface it is.
    pub vlan: Option<u16>,
    /// What somebody has noted about it (IFLA_IFALIAS).
    pub alias: Option<String>,
}

/// A bridge's own settings, as far as they decide how frames pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BridgeInfo {
    /// Spanning tree is on, in the kernel or in a daemon.
    pub stp: bool,
    /// Seconds ÷ 100 that a new port spends in listening, and again in learning, under STP.
    pub forward_delay: u32,
    /// Seconds ÷ 100 after which a silent dynamic forwarding entry is dropped.
    pub ageing_time: u32,
    /// Frames are kept apart by VLAN.
    pub vlan_filtering: bool,
    /// The VLAN of untagged frames on new ports, where VLANs are filtered; 0 for none.
    pub default_pvid: u16,
    /// IGMP and MLD are snooped, and multicast goes only where it was asked for.
    pub multicast_snooping: bool,
    /// The bridge hands its IPv4 frames to iptables, whatever the sysctl says.
    pub nf_call_iptables: bool,
}

/// How many ports the kernel gives a bridge at most (`BR_MAX_PORTS` less the number 0).
pub const MOST_BRIDGE_PORTS: u16 = 1023;

/// The spanning-tree state of a bridge port (IEEE 802.1D).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortState {
    /// Down, or without carrier.
    Disabled,
    /// Under STP, for the first forward delay: neither learns nor forwards.
    Listening,
    /// Under STP, for the second forward delay: learns, does not forward.
    Learning,
    /// Frames pass.
    Forwarding,
    /// STP found a loop.
    Blocking,
}

impl PortState {
    pub(crate) fn from_raw(raw: u8) -> Option<Self> {
        Some(match raw {
            0 => Self::Disabled,
            1 => Self::Listening,
            2 => Self::Learning,
            3 => Self::Forwarding,
            4 => Self::Blocking,
            _ => return None,
        })
    }
}

/// Settings of a bridge port; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BridgePort {
    /// Source addresses of frames that come in through the port are learnt.
    pub learning: Option<bool>,
    /// 0 never, 1 when a querier is heard, 2 always: gets all multicast.
    pub multicast_router: Option<u8>,
    /// Exchanges no frames with other isolated ports.
    pub isolated: Option<bool>,
    /// Frames may leave by the port that they came in by.
    pub hairpin: Option<bool>,
    /// Frames to unknown unicast addresses go out by the port.
    pub unicast_flood: Option<bool>,
}

impl Netlink {
    /// The link of that name; `None` when there is none.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn link(&self, name: &str) -> Result<Option<Link>> {
        // A longer name cannot exist, and the kernel would answer ERANGE.
        if name.len() >= libc::IFNAMSIZ {
            return Ok(None);
        }
        let mut message = question();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.one_link(message, &format!("get link {name}")).await
    }

    /// The link with that index; `None` when there is none.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn link_by_index(&self, index: u32) -> Result<Option<Link>> {
        let mut message = question();
        message.header.index = index;
        self.one_link(message, &format!("get link {index}")).await
    }

    async fn one_link(&self, message: LinkMessage, tried: &str) -> Result<Option<Link>> {
        let found = self.get(RouteNetlinkMessage::GetLink(message), tried).await?;
        Ok(found.and_then(new_link))
    }

    /// All links of the namespace.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub async fn links(&self) -> Result<Vec<Link>> {
        self.dump(RouteNetlinkMessage::GetLink(question()), "list links", new_link).await
    }

    /// Removes a link, and with it a veth's other end. Takes about 20 ms, most of it RCU grace
    /// periods; several at once share them.
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is none; EOPNOTSUPP for hardware.
    pub async fn delete_link(&self, index: u32) -> Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let message = RouteNetlinkMessage::DelLink(message);
        self.change_slowly(message, &format!("delete link {index}")).await
    }

    /// Removes the link of that name. Tells whether there was one.
    ///
    /// # Errors
    /// When the kernel refuses for another reason than that there is none.
    pub async fn delete_link_named(&self, name: &str) -> Result<bool> {
        if name.len() >= libc::IFNAMSIZ {
            return Ok(false);
        }
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let message = RouteNetlinkMessage::DelLink(message);
        match self.change_slowly(message, &format!("delete link {name}")).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets a link up.
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is none; what its driver answers.
    pub async fn set_up(&self, index: u32) -> Result<()> {
        self.set_link(LinkUnspec::new_with_index(index).up().build(), "set up").await
    }

    /// Sets a link down.
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is none.
    pub async fn set_down(&self, index: u32) -> Result<()> {
        self.set_link(LinkUnspec::new_with_index(index).down().build(), "set down").await
    }

    /// Gives a link another Ethernet address.
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is none; [`Error::is_busy`] from drivers that want it
    /// down for this; EADDRNOTAVAIL for a group address.
    pub async fn set_mac(&self, index: u32, mac: MacAddr) -> Result<()> {
        let message = LinkUnspec::new_with_index(index).address(mac.0.to_vec()).build();
        self.set_link(message, &format!("set MAC address {mac} on")).await
    }

    /// Gives a link another MTU (bytes).
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is none; EINVAL outside the driver's limits.
    pub async fn set_mtu(&self, index: u32, mtu: u32) -> Result<()> {
        let message = LinkUnspec::new_with_index(index).mtu(mtu).build();
        self.set_link(message, &format!("set MTU {mtu} on")).await
    }

    /// Makes a link a port of a bridge, or of none.
    ///
    /// A bridge without a MAC address of its own takes the lowest of its ports, and one without
    /// an MTU of its own the smallest: set both on the link before.
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is no such link; EINVAL when there is no such master;
    /// [`Error::is_bridge_full`] when the bridge has no room for another port; ELOOP, EINVAL, EOPNOTSUPP when the link cannot
    /// be a port.
    pub async fn set_master(&self, index: u32, master: Option<u32>) -> Result<()> {
        let message = LinkUnspec::new_with_index(index).controller(master.unwrap_or(0)).build();
        let tried = match master {
            Some(master) => format!("make a port of link {master} of"),
            None => "detach from its bridge".to_owned(),
        };
        self.set_link(message, &tried).await
    }

    /// Gives a link another name.
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is none; [`Error::is_exists`] when the name is taken;
    /// EINVAL for a bad name; [`Error::is_busy`] before Linux 6.1 when the link is up.
    pub async fn rename(&self, index: u32, name: &str) -> Result<()> {
        let message = LinkUnspec::new_with_index(index).name(name).build();
        self.set_link(message, &format!("give the name {name} to")).await
    }

    /// Changes settings of a bridge port.
    ///
    /// # Errors
    /// [`Error::is_not_found`] when there is no such link; EINVAL when it is no bridge port.
    pub async fn set_bridge_port(&self, index: u32, settings: BridgePort) -> Result<()> {
        let mut wanted = Vec::new();
        wanted.extend(settings.learning.map(InfoBridgePort::Learning));
        wanted.extend(settings.isolated.map(InfoBridgePort::Isolated));
        wanted.extend(settings.hairpin.map(InfoBridgePort::HairpinMode));
        wanted.extend(settings.unicast_flood.map(InfoBridgePort::UnicastFlood));
        let multicast_router = settings.multicast_router.map(BridgeMulticastRouterType::from);
        wanted.extend(multicast_router.map(InfoBridgePort::MulticastRouter));
        let builder = LinkBridgePort::new(index).set_port_data(InfoPortData::BridgePort(wanted));
        // Port settings are taken from RTM_NEWLINK alone; without NLM_F_CREATE it changes.
        let message = RouteNetlinkMessage::NewLink(builder.build());
        self.change_link(message, index, "change bridge port settings of").await
    }

    pub(crate) async fn set_link(&self, message: LinkMessage, tried: &str) -> Result<()> {
        let index = message.header.index;
        self.change_link(RouteNetlinkMessage::SetLink(message), index, tried).await
    }

    /// Changes a link that is known by index, and names it in the error.
    async fn change_link(
        &self,
        message: RouteNetlinkMessage,
        index: u32,
        tried: &str,
    ) -> Result<()> {
        let result = self.change(message, 0, &format!("{tried} link {index}")).await;
        let Err(Error::Os { tried: described, detail, source }) = result else { return result };
        let name = match self.link_by_index(index).await {
            Ok(Some(link)) => format!(" ({})", link.name),
            _ => String::new(),
        };
        let tried = described.replacen(&format!("link {index}"), &format!("link {index}{name}"), 1);
        Err(Error::Os { tried, detail, source })
    }
}

/// A request for links without their counters, which nobody here reads.
fn question() -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    message
}

/// Whether the link of that name, in the namespace whose `/sys` is mounted, is a wireless card.
pub fn is_wireless(name: &str) -> bool {
    let device = Path::new("/sys/class/net").join(name);
    ["phy80211", "wireless"].iter().any(|sign| device.join(sign).exists())
}

fn new_link(message: RouteNetlinkMessage) -> Option<Link> {
    match message {
        RouteNetlinkMessage::NewLink(message) => Some(Link::from(message)),
        _ => None,
    }
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            ..Self::default()
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Address(bytes) => {
                    link.mac = <[u8; 6]>::try_from(bytes).ok().map(MacAddr);
                }
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Controller(index) => link.master = Some(index),
                LinkAttribute::OperState(state) => link.operational = state == State::Up,
                LinkAttribute::Link(index) => link.peer_index = Some(index),
                LinkAttribute::LinkNetNsId(id) => link.peer_netnsid = Some(id),
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
                LinkAttribute::LinkInfo(infos) => link.take_infos(infos),
                _ => {}
            }
        }
        link
    }
}

impl Link {
    fn take_infos(&mut self, infos: Vec<LinkInfo>) {
        for info in infos {
            match info {
                LinkInfo::Kind(kind) => self.kind = Some(kind.to_string()),
                LinkInfo::Data(InfoData::Bridge(settings)) => {
                    self.bridge = Some(BridgeInfo::from(settings));
                }
                LinkInfo::Data(InfoData::Vlan(settings)) => {
                    self.vlan = settings.iter().find_map(|setting| match setting {
                        InfoVlan::Id(id) => Some(*id),
                        _ => None,
                    });
                }
                LinkInfo::PortData(InfoPortData::BridgePort(settings)) => {
                    self.port_state = settings.iter().find_map(port_state);
                }
                _ => {}
            }
        }
    }
}

fn port_state(setting: &InfoBridgePort) -> Option<PortState> {
    Some(match setting {
        InfoBridgePort::State(BridgePortState::Disabled) => PortState::Disabled,
        InfoBridgePort::State(BridgePortState::Listening) => PortState::Listening,
        InfoBridgePort::State(BridgePortState::Learning) => PortState::Learning,
        InfoBridgePort::State(BridgePortState::Forwarding) => PortState::Forwarding,
        InfoBridgePort::State(BridgePortState::Blocking) => PortState::Blocking,
        _ => return None,
    })
}

impl From<Vec<InfoBridge>> for BridgeInfo {
    fn from(settings: Vec<InfoBridge>) -> Self {
        let mut bridge = Self::default();
        for setting in settings {
            match setting {
                InfoBridge::StpState(state) => bridge.stp = state != BridgeStpState::Disabled,
                InfoBridge::ForwardDelay(delay) => bridge.forward_delay = delay,
                InfoBridge::AgeingTime(time) => bridge.ageing_time = time,
                InfoBridge::VlanFiltering(on) => bridge.vlan_filtering = on,
                InfoBridge::VlanDefaultPvid(vlan) => bridge.default_pvid = vlan,
                InfoBridge::MulticastSnooping(on) => bridge.multicast_snooping = on,
                InfoBridge::NfCallIpTables(on) => bridge.nf_call_iptables = on,
                _ => {}
            }
        }
        bridge
    }
}
