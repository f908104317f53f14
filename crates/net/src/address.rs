//! IP addresses on links.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use rtnetlink::AddressMessageBuilder;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, CacheInfo};

use crate::netlink::change_in;
use crate::{Netlink, Netns, Result};

/// What the kernel takes for "for ever".
const FOREVER: u32 = u32::MAX;

/// How long an address may be used, counted from when it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Seconds until the kernel removes the address; `None` for never. Must not be 0.
    pub valid: Option<u32>,
    /// Seconds until it is no longer taken for new connections; `None` for never. At most `valid`.
    pub preferred: Option<u32>,
}

impl Lifetime {
    /// Until it is removed.
    pub const FOREVER: Self = Self { valid: None, preferred: None };
}

/// An address of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The link.
    pub ifindex: u32,
    /// The address, host bits and all, with its prefix length.
    pub address: IpNet,
    /// How far it counts: 0 everywhere, 253 on this link, 254 on this host (`RT_SCOPE_*`).
    pub scope: u8,
    /// What is left of its lifetime.
    pub lifetime: Lifetime,
    /// The IPv4 broadcast address.
    pub broadcast: Option<Ipv4Addr>,
}

impl Netlink {
    /// The addresses of one link, or of all.
    ///
    /// # Errors
    /// When the kernel cannot be asked; [`crate::Error::is_not_found`] when there is no such link.
    pub async fn addresses(&self, ifindex: Option<u32>) -> Result<Vec<Address>> {
        let mut message = AddressMessage::default();
        message.header.index = ifindex.unwrap_or(0);
        let wanted = |index| ifindex.is_none_or(|wanted| wanted == index);
        self.dump(RouteNetlinkMessage::GetAddress(message), "list addresses", |message| {
            match message {
                RouteNetlinkMessage::NewAddress(message) => {
                    Address::read(message).filter(|address| wanted(address.ifindex))
                }
                _ => None,
            }
        })
        .await
    }

    /// Puts an address on a link, or renews its lifetime if it is there already.
    ///
    /// The kernel knows an IPv4 address by address **and** prefix length: with another prefix
    /// length it becomes a second one beside the first. The broadcast address of one that exists
    /// does not change.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] when there is no such link; EINVAL for a lifetime of 0 or
    /// `preferred` above `valid`.
    pub async fn replace_address(
        &self,
        ifindex: u32,
        address: IpNet,
        lifetime: Lifetime,
        broadcast: Option<Ipv4Addr>,
    ) -> Result<()> {
        let mut message = living(ifindex, address, lifetime);
        if let Some(broadcast) = broadcast {
            message.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        self.change(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_REPLACE,
            &format!("put address {address} on link {ifindex}"),
        )
        .await
    }

    /// Takes an address off a link.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] when the link or the address is not there.
    pub async fn delete_address(&self, ifindex: u32, address: IpNet) -> Result<()> {
        self.change(
            RouteNetlinkMessage::DelAddress(message(ifindex, address)),
            0,
            &format!("take address {address} off link {ifindex}"),
        )
        .await
    }
}

/// Renews the lifetime of an address in another network namespace; one that is not there is put
/// there. What [`Netlink::replace_address`] does, in one short visit instead of over a connection:
/// for what is done to thousands of namespaces again and again. The calling thread waits for it,
/// about 0.1 ms.
///
/// # Errors
/// As [`Netlink::replace_address`] and [`Netns::run`].
pub fn prolong_address(
    netns: &Netns,
    ifindex: u32,
    address: IpNet,
    lifetime: Lifetime,
) -> Result<()> {
    let message = RouteNetlinkMessage::NewAddress(living(ifindex, address, lifetime));
    let tried = || format!("put address {address} on link {ifindex}");
    change_in(netns, message, NLM_F_CREATE | NLM_F_REPLACE, tried)
}

fn living(ifindex: u32, address: IpNet, lifetime: Lifetime) -> AddressMessage {
    let mut message = message(ifindex, address);
    let mut times = CacheInfo::default();
    times.ifa_valid = lifetime.valid.unwrap_or(FOREVER);
    times.ifa_preferred = lifetime.preferred.unwrap_or(FOREVER);
    message.attributes.push(AddressAttribute::CacheInfo(times));
    message
}

fn message(ifindex: u32, address: IpNet) -> AddressMessage {
    let mut message = match address {
        IpNet::V4(net) => AddressMessageBuilder::<Ipv4Addr>::new()
            .index(ifindex)
            .address(net.addr(), net.prefix_len())
            .build(),
        IpNet::V6(net) => AddressMessageBuilder::<std::net::Ipv6Addr>::new()
            .index(ifindex)
            .address(net.addr(), net.prefix_len())
            .build(),
    };
    // The builder adds a broadcast address of its own reckoning.
    message.attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Broadcast(_)));
    message
}

impl Address {
    fn read(message: AddressMessage) -> Option<Self> {
        let (mut local, mut remote) = (None::<IpAddr>, None);
        let mut broadcast = None;
        let mut lifetime = Lifetime::FOREVER;
        let finite = |seconds| (seconds != FOREVER).then_some(seconds);
        for attribute in message.attributes {
            match attribute {
                // IPv4: the own address; IPv6: there only beside a peer's.
                AddressAttribute::Local(address) => local = Some(address),
                AddressAttribute::Address(address) => remote = Some(address),
                AddressAttribute::Broadcast(address) => broadcast = Some(address),
                AddressAttribute::CacheInfo(times) => {
                    lifetime.valid = finite(times.ifa_valid);
                    lifetime.preferred = finite(times.ifa_preferred);
                }
                _ => {}
            }
        }
        Some(Self {
            ifindex: message.header.index,
            address: IpNet::new(local.or(remote)?, message.header.prefix_len).ok()?,
            scope: message.header.scope.into(),
            lifetime,
            broadcast,
        })
    }
}
