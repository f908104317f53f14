//! The name of a segment's addresses: all that it takes to find them again is in it, so it outlives every memory.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::mode::{self, IPVLAN, MACVLAN, Mode};
use super::options::{InvalidOption, invalid, is_interface_name, lease_timeout, name, nearest};
use super::vlan;

/// The options of a pool: those of a network that say where the LAN is, and for how long to wait for it.
const ALL: &[&str] = &[
    name::BRIDGE,
    IPVLAN_MODE,
    name::LEASE_TIMEOUT,
    name::MACVLAN_MODE,
    name::MODE,
    name::PARENT,
    name::VLAN,
];
/// What Docker's own ipvlan driver calls its mode.
const IPVLAN_MODE: &str = "ipvlan_mode";
/// What a pool's name begins with whose segment is behind a bridge.
const BRIDGE: &str = "bridge";
/// The same where containers have their parent's MAC.
const PARENT_ALONE: &str = "parent";

/// What tells a pool of another driver's network.
const APART: &str = ":apart";

/// The addresses of a segment, in one subnet. As text `bridge:br0:10.77.0.0/16`, with `.30` behind the first word in a VLAN of
/// the bridge's, and with `:apart` at the end for another driver's network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PoolId {
    pub(super) reach: Reach,
    /// The bridge or the parent.
    pub(super) interface: String,
    pub(super) subnet: Ipv4Net,
    /// Whether another driver makes the links.
    pub(super) apart: bool,
}

/// How the containers reach their segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    /// Behind a bridge, in the VLAN of that number where it keeps them apart.
    Bridge(Option<u16>),
    /// As macvlan children of a parent.
    Macvlan,
    /// As children of a parent whose MAC they have.
    ParentAlone,
}

/// The text names no pool.
#[derive(Debug, thiserror::Error)]
#[error("{0:.80?} is no pool of Landfall's, such as bridge:br0:10.77.0.0/16")]
pub(crate) struct InvalidPoolId(String);

/// Why the options of a pool cannot be taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPool {
    /// One of them.
    #[error("an --ipam-opt cannot be taken: {0}")]
    Option(#[from] InvalidOption),
    /// They name no segment, or two.
    #[error(
        "the --ipam-opt must name the LAN as the -o of the network do: `--ipam-opt bridge=br0 -o bridge=br0` or \
         `--ipam-opt mode=macvlan --ipam-opt parent=eth0 -o mode=macvlan -o parent=eth0` (Docker tells IPAM drivers \
         nothing of -o). For a network of Docker's own macvlan or bridge driver it is `--ipam-opt parent=eth0` alone, with \
         the name of the card or of the bridge, and for one of its ipvlan driver `--ipam-opt parent=eth0 --ipam-opt \
         ipvlan_mode=l2`"
    )]
    NoSegment,
}

/// What a user says of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// None: it is found out what the links hang on.
    pub(super) reach: Option<Reach>,
    /// Whether another driver makes them.
    pub(super) apart: bool,
    pub(super) interface: String,
    /// How long a server may take to answer.
    pub(super) patience: Duration,
}

impl Wish {
    /// Parses `--ipam-opt`.
    pub(crate) fn parse(given: &BTreeMap<String, String>) -> Result<Wish, InvalidPool> {
        if let Some(unknown) = given.keys().find(|key| !ALL.contains(&key.as_str())) {
            let nearest = nearest(unknown, ALL);
            let unknown = InvalidOption::Unknown { name: unknown.clone(), nearest, all: ALL };
            return Err(unknown.into());
        }
        let get = |name: &'static str| given.get(name).map(|value| (name, value.as_str()));
        let patience = lease_timeout(get(name::LEASE_TIMEOUT))?;
        let mode = get(name::MODE).map(|(_, mode)| mode);
        let ipvlan_mode = get(IPVLAN_MODE);
        match (mode, get(name::BRIDGE), get(name::PARENT)) {
            (None | Some("bridge"), Some(_), None) | (Some(MACVLAN | IPVLAN), None, Some(_))
                if ipvlan_mode.is_none() =>
            {
                let uplink = mode::parse(get)?;
                let reach = Some(Reach::of(uplink.mode, uplink.vlan));
                Ok(Wish { reach, apart: false, interface: uplink.interface, patience })
            }
            (None, None, Some((name, parent))) if get(name::MACVLAN_MODE).is_none() => {
                if let Some((name, vlan)) = get(name::VLAN) {
                    let reason = "another driver's containers are in the VLAN of their parent: write the name of its \
                                  interface, such as `parent=eth0.30`, in both places";
                    return Err(invalid(name, vlan, reason).into());
                }
                if !is_interface_name(parent) {
                    let reason = "that cannot be the name of an interface";
                    return Err(invalid(name, parent, reason).into());
                }
                let reach = match ipvlan_mode {
                    None => None,
                    Some((_, "l2")) => Some(Reach::ParentAlone),
                    Some((name, other)) => {
                        let reason = "l2: in another mode containers are behind the host, in a subnet that is not the LAN's";
                        return Err(invalid(name, other, reason).into());
                    }
                };
                Ok(Wish { reach, apart: true, interface: parent.to_owned(), patience })
            }
            _ => Err(InvalidPool::NoSegment),
        }
    }
}

/// Whether that option of a network is to be told as an option of its pool as well.
pub(crate) fn is_of_both(option: &str) -> bool {
    option != IPVLAN_MODE && ALL.contains(&option)
}

impl PoolId {
    /// In which all its addresses are.
    pub(crate) fn subnet(&self) -> Ipv4Net {
        self.subnet
    }
}

impl Reach {
    /// `vlan`: of which of the VLANs on a bridge.
    pub(super) fn of(mode: Mode, vlan: Option<u16>) -> Reach {
        match mode {
            Mode::Bridge => Reach::Bridge(vlan),
            mode if mode.has_parents_mac() => Reach::ParentAlone,
            Mode::Macvlan(_) | Mode::Ipvlan => Reach::Macvlan,
        }
    }

    fn read(text: &str) -> Option<Reach> {
        match vlan::of(text) {
            Some((BRIDGE, vlan)) => Some(Reach::Bridge(Some(vlan))),
            _ if text == BRIDGE => Some(Reach::Bridge(None)),
            _ if text == PARENT_ALONE => Some(Reach::ParentAlone),
            _ => Some(Reach::Macvlan).filter(|_| text == MACVLAN),
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Bridge(None) => f.write_str(BRIDGE),
            Reach::Bridge(Some(vlan)) => write!(f, "{BRIDGE}.{vlan}"),
            Reach::Macvlan => f.write_str(MACVLAN),
            Reach::ParentAlone => f.write_str(PARENT_ALONE),
        }
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apart = if self.apart { APART } else { "" };
        write!(f, "{}:{}:{}{apart}", self.reach, self.interface, self.subnet)
    }
}

impl FromStr for PoolId {
    type Err = InvalidPoolId;

    fn from_str(text: &str) -> Result<PoolId, InvalidPoolId> {
        let read = || {
            let (reach, rest) = text.split_once(':')?;
            // The name of an interface has no colon.
            let (interface, rest) = rest.split_once(':')?;
            let (subnet, apart) =
                rest.strip_suffix(APART).map_or((rest, false), |subnet| (subnet, true));
            let reach = Reach::read(reach)?;
            let interface = Some(interface).filter(|name| is_interface_name(name))?.to_owned();
            Some(PoolId { reach, interface, subnet: subnet.parse().ok()?, apart })
        };
        read().ok_or_else(|| InvalidPoolId(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(options: &[(&str, &str)]) -> Result<Wish, InvalidPool> {
        Wish::parse(&options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn a_pool_is_told_by_its_name() {
        for text in [
            "bridge:br0:10.77.0.0/16",
            "macvlan:eth0.30:192.168.7.0/24",
            "macvlan:eth0:192.168.7.0/24:apart",
            "bridge.30:br0:10.30.0.0/16",
            "parent:eth0:192.168.7.0/24",
            "parent:eth0:192.168.7.0/24:apart",
        ] {
            let pool: PoolId = text.parse().unwrap();
            assert_eq!(pool.to_string(), text);
        }
        for text in [
            "",
            "bridge",
            "bridge:br0",
            "bridge:br0:",
            "bridge::10.77.0.0/16",
            "bridge:br0:10.77.0.0",
            "bridge:br0:10.77.0.0/33",
            "bridge:br0:10.77.0.0/16:aside",
            "bridge:../br0:10.77.0.0/16",
            "vlan:br0:10.77.0.0/16",
            "bridge.0:br0:10.77.0.0/16",
            "bridge.4095:br0:10.77.0.0/16",
            "macvlan.30:eth0:10.77.0.0/16",
            "LocalDefault/10.77.0.0/16",
        ] {
            assert!(text.parse::<PoolId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_readme_lists_all_of_them() {
        assert_eq!(super::super::options::listed("| `--ipam-opt` "), ALL);
    }

    #[test]
    fn the_options_name_one_segment() {
        let bridge = wish(&[("bridge", "br0"), ("lease_timeout", "25s")]).unwrap();
        assert_eq!((bridge.reach, bridge.interface.as_str()), (Some(Reach::Bridge(None)), "br0"));
        assert_eq!(bridge.patience, Duration::from_secs(25));
        let macvlan = wish(&[("mode", "macvlan"), ("parent", "eth0")]).unwrap();
        assert_eq!((macvlan.reach, macvlan.interface.as_str()), (Some(Reach::Macvlan), "eth0"));
        assert_eq!(macvlan.patience, Duration::from_secs(10));
        let on_30 = wish(&[("bridge", "br0"), ("vlan", "30")]).unwrap();
        assert_eq!((on_30.reach, on_30.interface.as_str()), (Some(Reach::Bridge(Some(30))), "br0"));
        let on_30 = wish(&[("mode", "macvlan"), ("parent", "eth0"), ("vlan", "30")]).unwrap();
        assert_eq!((on_30.reach, on_30.interface.as_str()), (Some(Reach::Macvlan), "eth0.30"));
        let ipvlan = wish(&[("mode", "ipvlan"), ("parent", "eth0")]).unwrap();
        let passthru = [("mode", "macvlan"), ("parent", "eth0"), ("macvlan_mode", "passthru")];
        for alone in [ipvlan, wish(&passthru).unwrap()] {
            assert_eq!((alone.reach, &*alone.interface), (Some(Reach::ParentAlone), "eth0"));
        }
        let private = [("mode", "macvlan"), ("parent", "eth0"), ("macvlan_mode", "private")];
        assert_eq!(wish(&private).unwrap().reach, Some(Reach::Macvlan));
        let apart = wish(&[("parent", "eth0")]).unwrap();
        assert_eq!((apart.reach, apart.apart, apart.interface.as_str()), (None, true, "eth0"));
        let apart = wish(&[("parent", "eth0"), ("ipvlan_mode", "l2")]).unwrap();
        assert_eq!((apart.reach, apart.apart), (Some(Reach::ParentAlone), true));
        assert!(matches!(
            wish(&[("parent", "eth0"), ("ipvlan_mode", "l3")]),
            Err(InvalidPool::Option(InvalidOption::Value { name: "ipvlan_mode", .. }))
        ));
        for wrong in [
            &[][..],
            &[("mode", "bridge")],
            &[("mode", "macvlan")],
            &[("bridge", "br0"), ("parent", "eth0")],
            &[("mode", "macvlan"), ("bridge", "br0"), ("parent", "eth0")],
            &[("mode", "l3"), ("bridge", "br0")],
            &[("parent", "eth0"), ("macvlan_mode", "passthru")],
            &[("mode", "ipvlan"), ("parent", "eth0"), ("ipvlan_mode", "l2")],
            &[("bridge", "br0"), ("ipvlan_mode", "l2")],
        ] {
            assert_eq!(wish(wrong), Err(InvalidPool::NoSegment), "{wrong:?}");
        }
        for (wrong, words) in [
            (&[("bridge", "br/0")][..], "interface"),
            (&[("bridge", "br0"), ("lease_timeout", "0")], "10s"),
            (&[("bridge", "br0"), ("vlan", "4095")], "1 to 4094"),
            (&[("parent", "eth0"), ("vlan", "30")], "`parent=eth0.30`"),
            (&[("birdge", "br0")], "did you mean \"bridge\"?"),
            (&[("bridge", "br0"), ("release_delay", "5m")], "the options are bridge, ipvlan_mode"),
        ] {
            let error = wish(wrong).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("--ipam-opt"), "{error}");
        }
    }
}
