//! The lower half of an address.

use std::fmt;
use std::hash::Hasher;
use std::net::Ipv6Addr;

use siphasher::sip::SipHasher24;
use wire::MacAddr;

/// How interface identifiers are made.
#[derive(Clone, PartialEq, Eq)]
pub enum InterfaceId {
    /// From the MAC (RFC 4291 appendix A): the same in every network.
    Eui64,
    /// One that stays the same as long as the prefix and the network do, and tells nothing of the
    /// MAC (RFC 7217).
    Stable {
        /// Known to nobody else.
        secret: [u8; 16],
        /// What is the network to the endpoint (RFC 7217's Network_ID).
        network: Box<[u8]>,
    },
}

impl InterfaceId {
    /// The address in `prefix` (of which the upper 64 bits count). `attempt` is RFC 7217's DAD
    /// counter; an EUI-64 has only attempt 0.
    pub(crate) fn address(&self, mac: MacAddr, prefix: Ipv6Addr, attempt: u8) -> Option<Ipv6Addr> {
        let low = match self {
            InterfaceId::Eui64 => (attempt == 0).then(|| mac.eui64())?,
            InterfaceId::Stable { secret, network } => {
                stable(secret, network, mac, prefix, attempt)
            }
        };
        let high = prefix.to_bits() & !u128::from(u64::MAX);
        Some(Ipv6Addr::from_bits(high | u128::from(low)))
    }
}

impl fmt::Debug for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterfaceId::Eui64 => f.write_str("Eui64"),
            // The secret is one.
            InterfaceId::Stable { .. } => f.write_str("Stable"),
        }
    }
}

/// RFC 7217 §5, with SipHash-2-4 as the pseudorandom function: it is one under its 128-bit key,
/// and its 64 bits are what an identifier has. The MAC stands for the interface (Net_Iface).
fn stable(secret: &[u8; 16], network: &[u8], mac: MacAddr, prefix: Ipv6Addr, attempt: u8) -> u64 {
    let [high @ .., _, _, _, _, _, _, _, _] = prefix.octets();
    // A reserved identifier (§5, step 3) leads to the next, as a duplicate does; three in a row are
    // the work of nobody.
    let tried = |round: u8| {
        let mut hasher = SipHasher24::new_with_key(secret);
        hasher.write(&high);
        hasher.write(&mac.0);
        hasher.write(&(network.len() as u64).to_be_bytes());
        hasher.write(network);
        hasher.write(&[attempt, round]);
        hasher.finish()
    };
    (0..3).map(tried).find(|id| !is_reserved(*id)).unwrap_or_else(|| mac.eui64())
}

/// Identifiers with a meaning of their own (RFC 5453): the routers' anycast address, proxy mobile
/// IPv6, and the subnet's anycast addresses.
fn is_reserved(id: u64) -> bool {
    const ETHERNET_BLOCK: std::ops::RangeInclusive<u64> =
        0x0200_5eff_fe00_0000..=0x0200_5eff_feff_ffff;
    const ANYCAST: std::ops::RangeInclusive<u64> = 0xfdff_ffff_ffff_ff80..=0xfdff_ffff_ffff_ffff;
    id == 0 || ETHERNET_BLOCK.contains(&id) || ANYCAST.contains(&id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x42]);

    #[test]
    fn an_eui_64_is_the_mac_with_its_second_bit_turned() {
        let prefix = "2001:db8:1:2::".parse().unwrap();
        let address = InterfaceId::Eui64.address(MAC, prefix, 0).unwrap();
        assert_eq!(address, "2001:db8:1:2:0:ff:fe00:42".parse::<Ipv6Addr>().unwrap());
        assert_eq!(InterfaceId::Eui64.address(MAC, prefix, 1), None);
    }

    #[test]
    fn a_stable_identifier_depends_on_all_it_is_made_from_and_on_nothing_else() {
        let make = |secret: u8, network: &[u8], mac: MacAddr, prefix: &str, attempt| {
            let id = InterfaceId::Stable { secret: [secret; 16], network: network.into() };
            let address = id.address(mac, prefix.parse().unwrap(), attempt).unwrap();
            address.to_bits() as u64
        };
        let first = make(1, b"lan", MAC, "2001:db8::", 0);
        assert_eq!(first, make(1, b"lan", MAC, "2001:db8::ffff", 0));
        for other in [
            make(2, b"lan", MAC, "2001:db8::", 0),
            make(1, b"wan", MAC, "2001:db8::", 0),
            make(1, b"lan", MacAddr([2, 0, 0, 0, 0, 0x43]), "2001:db8::", 0),
            make(1, b"lan", MAC, "2001:db8:0:1::", 0),
            make(1, b"lan", MAC, "2001:db8::", 1),
        ] {
            assert_ne!(first, other);
        }
        assert_ne!(first, MAC.eui64());
    }

    #[test]
    fn identifiers_with_a_meaning_of_their_own_are_not_taken() {
        for reserved in [0, 0x0200_5eff_fe00_5213, 0xfdff_ffff_ffff_ff80, 0xfdff_ffff_ffff_fffe] {
            assert!(is_reserved(reserved));
        }
        assert!(!is_reserved(1));
        assert!(!is_reserved(0xfdff_ffff_ffff_ff7f));
    }
}
