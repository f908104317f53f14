//! How the kernel is to do IPv6 on one interface.

use std::io;
use std::path::PathBuf;

use super::{path, read, write};
use crate::{Error, Netns, Result};

/// What link-local addresses, and addresses from routers' prefixes, are made from
/// (`addr_gen_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressGeneration {
    /// The MAC address (modified EUI-64, RFC 4291).
    Eui64,
    /// The kernel makes no link-local address; others as [`AddressGeneration::Eui64`].
    NoLinkLocal,
    /// A secret (RFC 7217). EINVAL where none is set.
    StablePrivacy,
    /// A secret that is made at random for the interface.
    Random,
}

/// Settings of one interface, each as in `net.ipv6.conf.<interface>`; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ipv6Settings {
    /// No IPv6 at all (`disable_ipv6`). To turn it off removes all addresses and routes there.
    pub disable: Option<bool>,
    /// The kernel heeds router advertisements: 0 never, 1 unless it forwards, 2 always.
    pub accept_ra: Option<u8>,
    /// It makes addresses from the prefixes in them.
    pub autoconf: Option<bool>,
    /// It makes temporary addresses (RFC 8981): 0 no, 1 yes, 2 and prefers them.
    pub use_tempaddr: Option<u8>,
    /// What addresses are made from.
    pub addr_gen_mode: Option<AddressGeneration>,
    /// How often it asks whether a new address is taken (`dad_transmits`). With 0 it still waits.
    pub dad_transmits: Option<u8>,
    /// The hop limit of what is sent from here, 1 to 255.
    pub hop_limit: Option<u8>,
    /// The longest IPv6 packet (bytes), 1280 to the MTU of the link. The kernel sets it to the
    /// link's when that changes, when the link comes up and when IPv6 is turned on.
    pub mtu: Option<u32>,
}

/// Changes how the kernel does IPv6 on an interface of a namespace; what is as it is to be already
/// is not written, and what the kernel does not have is left out.
///
/// All is done in one visit, in an order that makes sense: IPv6 is turned on only when all else is
/// set but the MTU, which turning it on would set again.
///
/// # A link-local address at once
///
/// Left to itself a kernel that turns IPv6 on makes a link-local address and checks for one to two
/// seconds whether somebody has it; until then nothing can be sent from it, and what is sent on the
/// link is one solicitation and, twice each before and after that, a report to multicast routers.
/// An address that has been checked already is there at once, its reports too, and usable within
/// a millisecond or so, so:
///
/// 1. `ipv6_of` with [`AddressGeneration::NoLinkLocal`], `accept_ra: Some(0)` and
///    `disable: Some(false)`: the kernel makes none, and says nothing on the link at all, no router
///    solicitation either;
/// 2. [`crate::Netlink::replace_address_v6`] with the link-local address, as a /64, and
///    [`crate::AddressFlags::NO_DAD`]. With it come the route to fe80::/64 and, within a second, two
///    to five reports about its multicast group, from the address itself: switches that snoop need
///    them;
/// 3. if that address is the one that the kernel would make from the MAC address,
///    [`AddressGeneration::Eui64`] again. It finds the address there, and nothing is sent. If it is
///    another, the kernel would make its own beside it: then this step must be left out.
///
/// A link that is set down loses all its addresses. When it is set up again the kernel makes its
/// link-local one again, with its check, after step 3, and none without.
///
/// # Errors
/// [`Error::is_not_found`] when there is no such interface, or no IPv6 on it, as on one with an MTU
/// below 1280 or where the kernel has none; EINVAL for what cannot be the name of an interface, for
/// an MTU out of bounds and for [`AddressGeneration::StablePrivacy`] without a secret;
/// [`Error::is_denied`] when `/proc/sys` is read-only, as in a managed plugin, and no `/proc` of our
/// own can be mounted; as [`Netns::run`]. What was set before stays set.
pub async fn ipv6_of(netns: &Netns, interface: &str, settings: Ipv6Settings) -> Result<()> {
    let interface = interface.to_owned();
    // To turn IPv6 on or off waits for the kernel's global lock.
    netns.run_long(move || apply(&interface, settings)).await?
}

fn apply(interface: &str, settings: Ipv6Settings) -> Result<()> {
    let tried = || format!("change IPv6 settings of interface {interface:?}");
    if !is_name(interface) {
        return Err(Error::os(tried(), io::Error::from_raw_os_error(libc::EINVAL)));
    }
    let folder = PathBuf::from("ipv6/conf").join(interface);
    path(&folder).metadata().map_err(|e| Error::os(tried(), e))?;
    for (name, value) in wanted(settings) {
        let Some(value) = value else { continue };
        let name = folder.join(name);
        let value = value.to_string();
        if read(&name)?.is_some_and(|present| present != value) {
            write(&name, &value)?;
        }
    }
    Ok(())
}

/// The settings by name, in the order in which they are written.
fn wanted(settings: Ipv6Settings) -> [(&'static str, Option<u32>); 8] {
    let mode = |mode| match mode {
        AddressGeneration::Eui64 => 0,
        AddressGeneration::NoLinkLocal => 1,
        AddressGeneration::StablePrivacy => 2,
        AddressGeneration::Random => 3,
    };
    [
        ("accept_ra", settings.accept_ra.map(u32::from)),
        ("autoconf", settings.autoconf.map(u32::from)),
        ("use_tempaddr", settings.use_tempaddr.map(u32::from)),
        ("addr_gen_mode", settings.addr_gen_mode.map(mode)),
        ("dad_transmits", settings.dad_transmits.map(u32::from)),
        ("hop_limit", settings.hop_limit.map(u32::from)),
        ("disable_ipv6", settings.disable.map(u32::from)),
        ("mtu", settings.mtu),
    ]
}

/// Whether an interface may have that name. `all` and `default` are something else there.
fn is_name(name: &str) -> bool {
    let reserved = [".", "..", "all", "default"];
    !name.is_empty()
        && name.len() < libc::IFNAMSIZ
        && !reserved.contains(&name)
        && !name.contains(['/', ':', '\0'])
        && !name.contains(char::is_whitespace)
}
