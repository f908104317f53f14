//! How the containers of a network reach the segment, and the options that say so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::options::{Given, InvalidOption, invalid, name};

/// The mode in which an endpoint is a child of a parent.
pub(crate) const MACVLAN: &str = "macvlan";

/// How containers reach the segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// By veths to a bridge.
    #[default]
    Bridge,
    /// By macvlan children of a parent.
    Macvlan(MacvlanMode),
}

impl Mode {
    /// As the option `mode` names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::Bridge => "bridge",
            Mode::Macvlan(_) => MACVLAN,
        }
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
}

/// The options that name the bridge or the parent, as a command line has them: what the user wrote of
/// them, or an example.
pub(crate) fn uplink(given: &BTreeMap<String, String>) -> String {
    let get = |name| given.get(name).map(String::as_str);
    match get(name::MODE) {
        Some(MACVLAN) => {
            format!("-o mode=macvlan -o parent={}", get(name::PARENT).unwrap_or("eth0"))
        }
        _ => format!("-o bridge={}", get(name::BRIDGE).unwrap_or("br0")),
    }
}

/// The mode that the options say, and the interface that it needs, with the name of its option.
pub(super) fn parse<'a>(
    get: impl Fn(&'static str) -> Given<'a>,
) -> Result<(Mode, (&'static str, &'a str)), InvalidOption> {
    let macvlan = match get(name::MODE) {
        None | Some((_, "bridge")) => false,
        Some((_, MACVLAN)) => true,
        Some((name, value)) => return Err(invalid(name, value, "bridge or macvlan")),
    };
    if !macvlan {
        if let Some((name, value)) = get(name::PARENT).or_else(|| get(name::MACVLAN_MODE)) {
            let instead = format!("add `-o mode=macvlan` to `-o {name}={value}`, or leave it out");
            return Err(other_mode(name, "bridge", &instead));
        }
        return Ok((Mode::Bridge, get(name::BRIDGE).ok_or(InvalidOption::NoBridge)?));
    }
    if let Some((name, value)) = get(name::BRIDGE) {
        let instead = format!(
            "write `-o parent=` with the name of the network card, or leave out mode=macvlan to use the bridge {value}"
        );
        return Err(other_mode(name, MACVLAN, &instead));
    }
    let mode = match get(name::MACVLAN_MODE) {
        None | Some((_, "bridge")) => MacvlanMode::Bridge,
        Some((_, "private")) => MacvlanMode::Private,
        Some((_, "vepa")) => MacvlanMode::Vepa,
        Some((name, value @ "passthru")) => {
            let reason = "it would give the container the parent's own MAC, and the host's network with it; bridge, private or vepa";
            return Err(invalid(name, value, reason));
        }
        Some((name, value)) => return Err(invalid(name, value, "bridge, private or vepa")),
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
        ] {
            let options = parse(&[&macvlan[..], &[("macvlan_mode", written)]].concat()).unwrap();
            assert_eq!((options.interface.as_str(), options.mode), ("eth0", Mode::Macvlan(mode)));
        }
        assert_eq!(parse(&macvlan).unwrap().mode, Mode::Macvlan(MacvlanMode::Bridge));
        assert_eq!(parse(&[("mode", "bridge"), ("bridge", "br0")]).unwrap().mode, Mode::Bridge);
        assert_eq!(parse(&[("mode", "macvlan")]), Err(InvalidOption::NoParent));
        let error = parse(&[&macvlan[..], &[("macvlan_mode", "passthru")]].concat()).unwrap_err();
        assert!(matches!(error, InvalidOption::Value { name: "macvlan_mode", .. }), "{error}");
        let bridge = ("bridge", "br0");
        for (written, refused) in [
            (&[bridge, ("parent", "eth0")][..], "parent"),
            (&[bridge, ("macvlan_mode", "vepa")], "macvlan_mode"),
            (&[("parent", "eth0")], "parent"),
            (&[macvlan[0], macvlan[1], bridge], "bridge"),
            (&[macvlan[0], macvlan[1], ("dhcp_guard", "true")], "dhcp_guard"),
        ] {
            let error = parse(written).unwrap_err();
            assert!(
                matches!(error, InvalidOption::OtherMode { name, .. } if name == refused),
                "{error}"
            );
        }
    }
}
