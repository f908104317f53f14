//! How the containers of a network reach the segment, and the options that say so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::options::{Given, InvalidOption, invalid, is_interface_name, name};
use super::vlan;

/// The mode in which an endpoint is a child of a parent.
pub(crate) const MACVLAN: &str = "macvlan";
/// The mode in which an endpoint is a child of a parent and has its MAC.
pub(crate) const IPVLAN: &str = "ipvlan";

/// How containers reach the segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// By veths to a bridge.
    #[default]
    Bridge,
    /// By macvlan children of a parent.
    Macvlan(MacvlanMode),
    /// By ipvlan children of a parent, which all have its MAC.
    Ipvlan,
}

impl Mode {
    /// As the option `mode` names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::Bridge => "bridge",
            Mode::Macvlan(_) => MACVLAN,
            Mode::Ipvlan => IPVLAN,
        }
    }

    /// Whether endpoints have the parent's MAC, so that none can be given one.
    pub(super) fn has_parents_mac(self) -> bool {
        self == Mode::Ipvlan || self.admits_one()
    }

    /// Whether a parent has one endpoint at most.
    pub(super) fn admits_one(self) -> bool {
        self == Mode::Macvlan(MacvlanMode::Passthru)
    }
}

/// How containers on one parent reach each other, by iproute2's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MacvlanMode {
    /// Directly, within the parent.
    #[default]
    Bridge,
    /// Not at all.
    Private,
    /// Through the switch, which must send back what it gets.
    Vepa,
    /// There is only one, which has the parent's MAC and all that comes in there.
    Passthru,
}

/// The options that name the bridge or the parent, as a command line has them: what the user wrote of
/// them, or an example.
pub(crate) fn uplink(given: &BTreeMap<String, String>) -> String {
    let get = |name| given.get(name).map(String::as_str);
    match get(name::MODE) {
        Some(mode @ (MACVLAN | IPVLAN)) => {
            format!("-o mode={mode} -o parent={}", get(name::PARENT).unwrap_or("eth0"))
        }
        _ => format!("-o bridge={}", get(name::BRIDGE).unwrap_or("br0")),
    }
}

/// Where the LAN is reached.
pub(super) struct Uplink {
    pub(super) mode: Mode,
    /// The bridge, or the parent.
    pub(super) interface: String,
    /// Of which of the VLANs on a bridge.
    pub(super) vlan: Option<u16>,
}

/// What the options say of where the LAN is reached.
pub(super) fn parse<'a>(get: impl Fn(&'static str) -> Given<'a>) -> Result<Uplink, InvalidOption> {
    let (mode, (name, interface)) = interface(&get)?;
    if !is_interface_name(interface) {
        return Err(invalid(name, interface, "that cannot be the name of an interface"));
    }
    let interface = interface.to_owned();
    let Some((option, written)) = get(name::VLAN) else {
        return Ok(Uplink { mode, interface, vlan: None });
    };
    let id = written.parse().ok().filter(|id| vlan::IDS.contains(id));
    let id = id.ok_or_else(|| invalid(option, written, "the number of a VLAN, 1 to 4094"))?;
    if mode == Mode::Bridge {
        return Ok(Uplink { mode, interface, vlan: Some(id) });
    }
    if vlan::of(&interface).is_some() {
        let reason = "the parent is the interface of a VLAN already: leave out `vlan`, or the number behind the parent's dot";
        return Err(invalid(option, written, reason));
    }
    let interface = format!("{interface}.{id}");
    if !is_interface_name(&interface) {
        let reason = "the name of its interface, the parent's with a dot and the number, would be too long: make one with a shorter \
                      name (`ip link add link PARENT name vlan30 type vlan id 30`), and write `-o parent=vlan30` without `vlan`";
        return Err(invalid(option, written, reason));
    }
    Ok(Uplink { mode, interface, vlan: None })
}

/// The mode, and the interface that it needs, with the name of its option.
fn interface<'a>(
    get: &impl Fn(&'static str) -> Given<'a>,
) -> Result<(Mode, (&'static str, &'a str)), InvalidOption> {
    let mode = match get(name::MODE) {
        None | Some((_, "bridge")) => Mode::Bridge,
        Some((_, MACVLAN)) => Mode::Macvlan(MacvlanMode::default()),
        Some((_, IPVLAN)) => Mode::Ipvlan,
        Some((name, value)) => return Err(invalid(name, value, "bridge, macvlan or ipvlan")),
    };
    if mode == Mode::Bridge {
        if let Some((name, value)) = get(name::PARENT).or_else(|| get(name::MACVLAN_MODE)) {
            let instead = format!("add `-o mode=macvlan` to `-o {name}={value}`, or leave it out");
            return Err(other_mode(name, "bridge", &instead));
        }
        return Ok((Mode::Bridge, get(name::BRIDGE).ok_or(InvalidOption::NoBridge)?));
    }
    if let Some((name, value)) = get(name::BRIDGE) {
        let instead = format!(
            "write `-o parent=` with the name of the network card, or leave out `mode` to use the bridge {value}"
        );
        return Err(other_mode(name, mode.name(), &instead));
    }
    if mode == Mode::Ipvlan {
        if let Some((name, _)) = get(name::MACVLAN_MODE) {
            let instead = "leave it out; ipvlan children reach each other within the parent";
            return Err(other_mode(name, IPVLAN, instead));
        }
        return Ok((mode, get(name::PARENT).ok_or(InvalidOption::NoParent)?));
    }
    let mode = match get(name::MACVLAN_MODE) {
        None | Some((_, "bridge")) => MacvlanMode::Bridge,
        Some((_, "private")) => MacvlanMode::Private,
        Some((_, "vepa")) => MacvlanMode::Vepa,
        Some((_, "passthru")) => MacvlanMode::Passthru,
        Some((name, value)) => {
            return Err(invalid(name, value, "bridge, private, vepa or passthru"));
        }
    };
    Ok((Mode::Macvlan(mode), get(name::PARENT).ok_or(InvalidOption::NoParent)?))
}

/// What to say of an option that means nothing in the network's mode.
pub(super) fn other_mode(name: &'static str, mode: &'static str, instead: &str) -> InvalidOption {
    InvalidOption::OtherMode { name, mode, instead: instead.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::options::Options;

    fn parse(options: &[(&str, &str)]) -> Result<Options, InvalidOption> {
        Options::parse(&options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn how_containers_reach_the_lan() {
        let macvlan = [("mode", "macvlan"), ("parent", "eth0")];
        for (written, mode) in [
            ("bridge", MacvlanMode::Bridge),
            ("private", MacvlanMode::Private),
            ("vepa", MacvlanMode::Vepa),
            ("passthru", MacvlanMode::Passthru),
        ] {
            let options = parse(&[&macvlan[..], &[("macvlan_mode", written)]].concat()).unwrap();
            assert_eq!((options.interface.as_str(), options.mode), ("eth0", Mode::Macvlan(mode)));
        }
        assert_eq!(parse(&macvlan).unwrap().mode, Mode::Macvlan(MacvlanMode::Bridge));
        assert_eq!(parse(&[("mode", "bridge"), ("bridge", "br0")]).unwrap().mode, Mode::Bridge);
        assert_eq!(parse(&[("mode", "macvlan")]), Err(InvalidOption::NoParent));
        let error = parse(&[&macvlan[..], &[("macvlan_mode", "source")]].concat()).unwrap_err();
        assert!(matches!(error, InvalidOption::Value { name: "macvlan_mode", .. }), "{error}");
        let ipvlan = [("mode", "ipvlan"), ("parent", "eth0")];
        assert_eq!(parse(&ipvlan).unwrap().mode, Mode::Ipvlan);
        assert_eq!(parse(&[("mode", "ipvlan")]), Err(InvalidOption::NoParent));
        let bridge = ("bridge", "br0");
        for (written, refused) in [
            (&[bridge, ("parent", "eth0")][..], "parent"),
            (&[bridge, ("macvlan_mode", "vepa")], "macvlan_mode"),
            (&[("parent", "eth0")], "parent"),
            (&[macvlan[0], macvlan[1], bridge], "bridge"),
            (&[macvlan[0], macvlan[1], ("dhcp_guard", "true")], "dhcp_guard"),
            (&[ipvlan[0], ipvlan[1], ("macvlan_mode", "private")], "macvlan_mode"),
            (&[ipvlan[0], ipvlan[1], ("dhcp_guard", "true")], "dhcp_guard"),
        ] {
            let error = parse(written).unwrap_err();
            assert!(
                matches!(error, InvalidOption::OtherMode { name, .. } if name == refused),
                "{error}"
            );
        }
    }

    #[test]
    fn vlans() {
        let of = |options: &[(&str, &str)]| {
            let options = parse(options).unwrap();
            (options.interface.clone(), options.vlan, options.segment_name())
        };
        let text = str::to_owned;
        let (mode, eth0) = (("mode", "macvlan"), ("parent", "eth0"));
        assert_eq!(of(&[mode, eth0, ("vlan", "30")]), (text("eth0.30"), None, text("eth0.30")));
        assert_eq!(of(&[mode, ("parent", "eth0.30")]), (text("eth0.30"), None, text("eth0.30")));
        let on_bridge = of(&[("bridge", "br0"), ("vlan", "4094")]);
        assert_eq!(on_bridge, (text("br0"), Some(4094), text("br0.4094")));
        for vlan in ["0", "4095", "-1", "", "x", "30 "] {
            for options in [&[("bridge", "br0")][..], &[mode, eth0]] {
                let error = parse(&[options, &[("vlan", vlan)]].concat()).unwrap_err().to_string();
                assert!(error.ends_with("the number of a VLAN, 1 to 4094"), "{vlan}: {error}");
            }
        }
        let twice = parse(&[mode, ("parent", "eth0.30"), ("vlan", "40")]).unwrap_err().to_string();
        assert!(twice.contains("leave out `vlan`"), "{twice}");
        let long = parse(&[mode, ("parent", "enx0123456789ab"), ("vlan", "30")]);
        assert!(long.unwrap_err().to_string().contains("too long"));
    }
}
