//! The MAC that belongs to a name: who comes back after everything of it was forgotten is known again.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;
use wire::MacAddr;

use super::options::Options;

/// The MAC that belongs to a name on a network's segment, a VLAN of a bridge being one: the same for ever, and another on each
/// host, as each has a `secret` of its own. Locally administered and unicast.
///
/// Client identifier, DUID and IAID are made of the MAC, and so is a server's memory of whom it gave which address.
pub(super) fn mac_of(secret: [u8; 16], on: &Options, name: &str) -> MacAddr {
    let mut hasher = SipHasher24::new_with_key(&secret);
    for part in ["MAC", &on.segment_name(), name] {
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

    fn mac_on(secret: [u8; 16], bridge: &str, vlan: Option<u16>, name: &str) -> MacAddr {
        let bridge = Some(("bridge".to_owned(), bridge.to_owned()));
        let vlan = vlan.map(|vlan| ("vlan".to_owned(), vlan.to_string()));
        mac_of(secret, &Options::parse(&bridge.into_iter().chain(vlan).collect()).unwrap(), name)
    }

    #[test]
    fn a_name_has_one_mac_on_a_segment_of_a_host() {
        let mac = mac_on([7; 16], "br0", None, "web");
        assert_eq!(mac_on([7; 16], "br0", None, "web"), mac);
        assert!(mac.is_unicast() && mac.0[0] == 0x02);
        // What was made of it is at DHCP servers: it stays as it is for ever.
        assert_eq!(mac.to_string(), "02:12:32:7d:05:6b");
        for other in [
            mac_on([8; 16], "br0", None, "web"),
            mac_on([7; 16], "br1", None, "web"),
            mac_on([7; 16], "br0", None, "db"),
            mac_on([7; 16], "br0w", None, "eb"),
            mac_on([7; 16], "br0", Some(30), "web"),
        ] {
            assert_ne!(other, mac);
        }
    }

    #[test]
    fn a_name_on_two_vlans_of_a_bridge_has_two_macs() {
        let on = |vlan| mac_on([7; 16], "br0", Some(vlan), "web");
        assert_ne!(on(30), on(31));
        // At DHCP servers as well.
        assert_eq!(on(30).to_string(), "02:bb:ac:69:f5:54");
    }
}
