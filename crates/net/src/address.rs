//! IP addresses on links.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv6Net};
use rtnetlink::AddressMessageBuilder;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags as RawFlags, AddressMessage, CacheInfo,
};

use crate::netlink::change_waiting;
use crate::visit::{Traveller, tour};
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

/// `IFAPROT_*`: who put an address on its link. Kernels before 5.18 say nothing of it (0).
pub mod protocol {
    /// The kernel, to the loopback link.
    pub const KERNEL_LOOPBACK: u8 = 1;
    /// The kernel, as a router advertised (SLAAC, RFC 4862).
    pub const KERNEL_ROUTER_ADVERTISEMENT: u8 = 2;
    /// The kernel: the link-local address.
    pub const KERNEL_LINK_LOCAL: u8 = 3;
}

/// What is said of an address (`IFA_F_*`), together with `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressFlags(pub u32);

impl AddressFlags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// IPv6: made by the kernel to be changed again and again (RFC 8981). IPv4: not the first one
    /// of its subnet.
    pub const TEMPORARY: Self = Self(0x01);
    /// IPv6: can be used at once, without duplicate detection. Read back as well.
    pub const NO_DAD: Self = Self(0x02);
    /// IPv6: can be used while its duplicate detection runs (RFC 4429).
    pub const OPTIMISTIC: Self = Self(0x04);
    /// IPv6: another machine has it; it is not used.
    pub const DAD_FAILED: Self = Self(0x08);
    /// Its preferred lifetime is over.
    pub const DEPRECATED: Self = Self(0x20);
    /// IPv6: its duplicate detection runs, or has found another machine that has it; not used.
    pub const TENTATIVE: Self = Self(0x40);
    /// Its lifetime has no end.
    pub const PERMANENT: Self = Self(0x80);
    /// IPv6: the kernel makes temporary addresses beside it.
    pub const MANAGE_TEMPORARY: Self = Self(0x100);
    /// No route to its prefix comes with it.
    pub const NO_PREFIX_ROUTE: Self = Self(0x200);
    /// IPv6: its lower half was made from a secret (RFC 7217).
    pub const STABLE_PRIVACY: Self = Self(0x800);

    /// Whether all of `flags` are set.
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl std::ops::BitOr for AddressFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
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
    /// What state it is in, and what was said of it when it was put there.
    pub flags: AddressFlags,
    /// Who put it there: see [`protocol`]. 0 when nobody said.
    pub protocol: u8,
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

    /// Puts an IPv6 address on a link, or renews its lifetime if it is there already.
    ///
    /// - The kernel knows an IPv6 address by itself, whatever its prefix length, and keeps the one
    ///   that it has.
    /// - Flags are given again with each renewal: [`AddressFlags::NO_PREFIX_ROUTE`],
    ///   [`AddressFlags::MANAGE_TEMPORARY`] and [`AddressFlags::NO_DAD`] are taken from an address
    ///   that is renewed without.
    /// - Without [`AddressFlags::NO_DAD`] a new address is tentative for one to two seconds. Given
    ///   to one that is tentative already, the flag may come too late to end that.
    /// - Without [`AddressFlags::NO_PREFIX_ROUTE`] a route to the prefix comes with it, even to a
    ///   /128, with metric 256.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] when there is no such link; [`crate::Error::is_denied`] when
    /// IPv6 is off there (`disable_ipv6`); EINVAL for a lifetime of 0 or `preferred` above `valid`.
    pub async fn replace_address_v6(
        &self,
        ifindex: u32,
        address: Ipv6Net,
        lifetime: Lifetime,
        flags: AddressFlags,
    ) -> Result<()> {
        self.change(
            RouteNetlinkMessage::NewAddress(flagged(ifindex, address, lifetime, flags)),
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

/// An address in another network namespace whose lifetime is to be renewed.
#[derive(Debug, Clone)]
pub struct Prolongation {
    /// Where its link is.
    pub netns: Netns,
    /// The link's index there.
    pub ifindex: u32,
    /// The address, host bits and all, with its prefix length.
    pub address: IpNet,
    /// How long it may be used from now on.
    pub lifetime: Lifetime,
}

/// Renews the lifetimes of addresses in other network namespaces; one that is not there is put
/// there. What [`Netlink::replace_address`] does, in short visits one after the other instead of
/// over a connection: for what is done to thousands of namespaces again and again. A visit takes
/// about 0.03 ms. The results are in the order of the addresses.
///
/// They are made to their end even if the future is dropped.
///
/// # Errors
/// When there is no thread to make the visits. Each one: as [`Netlink::replace_address`] and
/// [`Netns::run`].
pub async fn prolong_addresses(wanted: Vec<Prolongation>) -> Result<Vec<Result<()>>> {
    let prolong = |traveller: &Traveller, wanted: Prolongation| {
        let Prolongation { netns, ifindex, address, lifetime } = wanted;
        let message = RouteNetlinkMessage::NewAddress(living(ifindex, address, lifetime));
        let tried = || format!("put address {address} on link {ifindex} in {netns}");
        traveller.visit(&netns, || change_waiting(message, NLM_F_CREATE | NLM_F_REPLACE, tried))?
    };
    tour(move |traveller| wanted.into_iter().map(|one| prolong(traveller, one)).collect()).await
}

fn living(ifindex: u32, address: IpNet, lifetime: Lifetime) -> AddressMessage {
    let mut message = message(ifindex, address);
    let mut times = CacheInfo::default();
    times.ifa_valid = lifetime.valid.unwrap_or(FOREVER);
    times.ifa_preferred = lifetime.preferred.unwrap_or(FOREVER);
    message.attributes.push(AddressAttribute::CacheInfo(times));
    message
}

pub(crate) fn flagged(
    ifindex: u32,
    address: Ipv6Net,
    lifetime: Lifetime,
    flags: AddressFlags,
) -> AddressMessage {
    let mut message = living(ifindex, address.into(), lifetime);
    message.attributes.push(AddressAttribute::Flags(RawFlags::from_bits_retain(flags.0)));
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
        // The header has the lower eight; the attribute all.
        let mut flags = AddressFlags(message.header.flags.bits().into());
        let mut protocol = 0;
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
                AddressAttribute::Flags(all) => flags = AddressFlags(all.bits()),
                AddressAttribute::Protocol(by) => protocol = by.into(),
                _ => {}
            }
        }
        Some(Self {
            ifindex: message.header.index,
            address: IpNet::new(local.or(remote)?, message.header.prefix_len).ok()?,
            scope: message.header.scope.into(),
            lifetime,
            broadcast,
            flags,
            protocol,
        })
    }
}
