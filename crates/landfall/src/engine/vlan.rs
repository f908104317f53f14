//! VLANs (IEEE 802.1Q), and the names of their interfaces: `eth0.30`.

/// The identifiers that a VLAN can have (IEEE 802.1Q, 9.6).
pub(crate) const IDS: std::ops::RangeInclusive<u16> = 1..=4094;
/// Of what the interface of that name is one, and of which VLAN, if the name says so.
pub(crate) fn of(name: &str) -> Option<(&str, u16)> {
    let (lower, id) = split(name)?;
    Some((lower, id.parse().ok().filter(|id| IDS.contains(id))?))
}

/// What a name says of a VLAN that there cannot be.
pub(crate) fn impossible(name: &str) -> Option<&str> {
    split(name).map(|(_, id)| id).filter(|_| of(name).is_none())
}

fn split(name: &str) -> Option<(&str, &str)> {
    let (lower, id) = name.rsplit_once('.')?;
    let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !lower.is_empty()).then_some((lower, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_of_vlans() {
        for (name, said) in [
            ("eth0.30", Some(("eth0", 30))),
            ("eth0.1", Some(("eth0", 1))),
            ("br0.4094", Some(("br0", 4094))),
            ("eth0.30.40", Some(("eth0.30", 40))),
            ("eth0.0", None),
            ("eth0.4095", None),
            ("eth0.99999", None),
            ("eth0", None),
            ("eth0.", None),
            (".30", None),
            ("eth0.a30", None),
        ] {
            assert_eq!(of(name), said, "{name}");
        }
        assert_eq!(
            ["eth0.0", "eth0.4095", "eth0.99999"].map(impossible),
            ["0", "4095", "99999"].map(Some)
        );
        assert_eq!(["eth0", "eth0.30", "wan.a"].map(impossible), [None; 3]);
    }
}
