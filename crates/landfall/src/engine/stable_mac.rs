//! The MAC that belongs to a name: who comes back after everything of it was forgotten is known again.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;
use wire::MacAddr;

/// The MAC that belongs to a name on a segment: the same for ever, and another on each host, as each has a `secret` of its
/// own. Locally administered and unicast.
///
/// Client identifier, DUID and IAID are made of the MAC, and so is a server's memory of whom it gave which address.
pub(super) fn mac_of(secret: [u8; 16], interface: &str, name: &str) -> MacAddr {
    let mut hasher = SipHasher24::new_with_key(&secret);
    for part in ["MAC", interface, name] {
        hasher.write(part.as_bytes());
        // Neither a name nor an interface has it.
        hasher.write_u8(0);
    }
    let [a, b, c, d, e, ..] = hasher.finish().to_be_bytes();
    MacAddr([0x02, a, b, c, d, e])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_mac_on_a_segment_of_a_host() {
        let mac = mac_of([7; 16], "br0", "web");
        assert_eq!(mac_of([7; 16], "br0", "web"), mac);
        assert!(mac.is_unicast() && mac.0[0] == 0x02);
        // What was made of it is at DHCP servers: it stays as it is for ever.
        assert_eq!(mac.to_string(), "02:12:32:7d:05:6b");
        for other in [
            mac_of([8; 16], "br0", "web"),
            mac_of([7; 16], "br1", "web"),
            mac_of([7; 16], "br0", "db"),
            mac_of([7; 16], "br0w", "eb"),
        ] {
            assert_ne!(other, mac);
        }
    }
}
