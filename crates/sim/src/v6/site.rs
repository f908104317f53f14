//! What servers cut the prefixes from that they delegate.

use std::net::Ipv6Addr;

use crate::database::Host;

/// The first 48 bits of an address. A server sets one apart for each client, so that prefixes of
/// whatever length never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site(u64);

impl Site {
    /// How many bits all prefixes of one have in common.
    pub const BITS: u8 = 48;

    /// The one that an address, or a prefix of at least as many bits, is of.
    pub fn of(address: Ipv6Addr) -> Site {
        Site((address.to_bits() >> (128 - u32::from(Site::BITS))) as u64)
    }

    /// The first prefix of it, of any length.
    pub fn prefix(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(u128::from(self.0) << (128 - u32::from(Site::BITS)))
    }
}

impl Host for Site {
    fn plus(self, count: u32) -> Site {
        Site(self.0.saturating_add(count.into()))
    }

    fn behind(self, first: Site) -> u32 {
        u32::try_from(self.0.saturating_sub(first.0)).unwrap_or(u32::MAX)
    }
}
