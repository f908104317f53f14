//! What a network's options say of IPv6.

use dhcp::ipv6::Mode as Ipv6Mode;
use serde::{Deserialize, Serialize};

use super::{Given, InvalidOption, flag, invalid, name};
use crate::engine::mode::Mode;

/// What a network that wants IPv6 wants of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ipv6Options {
    /// Where addresses come from.
    pub(crate) mode: Ipv6Mode,
    /// How the lower half of an address from a router's prefix is made.
    pub(crate) address: InterfaceIdKind,
    /// The length of the prefix to ask for.
    pub(crate) prefix: Option<u8>,
    /// Whether a container does not start without an address.
    pub(crate) required: bool,
}

/// How the lower half of an address from a router's prefix is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InterfaceIdKind {
    /// From the MAC (RFC 4291, appendix A); not with ipvlan, where all have the same.
    #[default]
    Eui64,
    /// The same for the same MAC in the same network, and another in each other one (RFC 7217).
    Stable,
}

/// What the options say of IPv6, on a network whose containers reach the segment in that way.
pub(super) fn parse<'a>(
    get: impl Fn(&'static str) -> Given<'a>,
    reached: Mode,
) -> Result<Option<Ipv6Options>, InvalidOption> {
    let mode = match get(name::IPV6) {
        Some((_, "auto")) => Some(Ipv6Mode::Auto),
        Some((_, "slaac")) => Some(Ipv6Mode::Slaac),
        Some((_, "dhcp")) => Some(Ipv6Mode::Dhcp),
        given => match flag(given, false) {
            Ok(true) => Some(Ipv6Mode::Auto),
            Ok(false) => None,
            Err(InvalidOption::Value { name, value, .. }) => {
                let reason = "false, true, auto, slaac or dhcp";
                return Err(InvalidOption::Value { name, value, reason });
            }
            Err(other) => return Err(other),
        },
    };
    let address = match get(name::IPV6_ADDRESS) {
        Some((name, value @ "eui64")) if reached == Mode::Ipvlan => {
            let reason = "stable (or leave it out): with mode=ipvlan all containers have the parent's MAC, of which there is but one address";
            return Err(invalid(name, value, reason));
        }
        None if reached == Mode::Ipvlan => InterfaceIdKind::Stable,
        None | Some((_, "eui64")) => InterfaceIdKind::Eui64,
        Some((_, "stable")) => InterfaceIdKind::Stable,
        Some((name, value)) => return Err(invalid(name, value, "eui64 or stable")),
    };
    let prefix = match get(name::IPV6_PD) {
        None => None,
        Some((name, value)) if reached == Mode::Ipvlan => {
            let reason = "not with mode=ipvlan: the kernel hands a container there what is for its own addresses, and nothing that is for others behind it";
            return Err(invalid(name, value, reason));
        }
        Some((name, value)) => match value.parse() {
            Ok(length @ 1..=64) => Some(length),
            _ => return Err(invalid(name, value, "the length of a prefix, 1 to 64, such as 60")),
        },
    };
    let required = flag(get(name::IPV6_REQUIRED), false)?;
    if mode.is_none() {
        let given =
            [name::IPV6_ADDRESS, name::IPV6_PD].into_iter().find(|name| get(name).is_some());
        if let Some(name) = given.or(required.then_some(name::IPV6_REQUIRED)) {
            return Err(InvalidOption::WithoutIpv6 { name });
        }
    }
    Ok(mode.map(|mode| Ipv6Options { mode, address, prefix, required }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::options::Options;

    fn parse(options: &[(&str, &str)]) -> Result<Options, InvalidOption> {
        Options::parse(&options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn ipv6_is_what_is_asked_for() {
        let ipv6 =
            |given: &[(&str, &str)]| parse(&[&[("bridge", "br0")], given].concat()).unwrap().ipv6;
        assert_eq!(ipv6(&[]), None);
        assert_eq!(ipv6(&[("ipv6", "false")]), None);
        assert_eq!(ipv6(&[("ipv6_required", "false")]), None);
        // What it would be made of does not switch it on.
        for given in [("ipv6_address", "stable"), ("ipv6_pd", "60"), ("ipv6_required", "true")] {
            for off in [&[][..], &[("ipv6", "false")]] {
                let error = parse(&[&[("bridge", "br0"), given], off].concat()).unwrap_err();
                assert_eq!(error, InvalidOption::WithoutIpv6 { name: given.0 });
            }
        }
        for auto in ["true", "auto", "1"] {
            assert_eq!(ipv6(&[("ipv6", auto)]), Some(Ipv6Options::default()), "{auto}");
        }
        let given = [
            ("ipv6", "dhcp"),
            ("ipv6_address", "stable"),
            ("ipv6_pd", "60"),
            ("ipv6_required", "true"),
        ];
        let all = Ipv6Options {
            mode: Ipv6Mode::Dhcp,
            address: InterfaceIdKind::Stable,
            prefix: Some(60),
            required: true,
        };
        assert_eq!(ipv6(&given), Some(all));
    }

    #[test]
    fn where_all_have_one_mac_no_address_is_made_of_it() {
        let ipvlan = [("mode", "ipvlan"), ("parent", "eth0"), ("ipv6", "slaac")];
        let kind = |given: &[(&str, &str)]| parse(given).map(|all| all.ipv6.unwrap().address);
        assert_eq!(kind(&ipvlan), Ok(InterfaceIdKind::Stable));
        let given = |value| [&ipvlan[..], &[("ipv6_address", value)]].concat();
        assert_eq!(kind(&given("stable")), Ok(InterfaceIdKind::Stable));
        let error = kind(&given("eui64")).unwrap_err();
        assert!(matches!(error, InvalidOption::Value { name: "ipv6_address", .. }), "{error}");
        let error = kind(&[&ipvlan[..], &[("ipv6_pd", "60")]].concat()).unwrap_err();
        assert!(matches!(error, InvalidOption::Value { name: "ipv6_pd", .. }), "{error}");
        // The only one on a card may as well have the addresses of the card's MAC.
        let mode = [("mode", "macvlan"), ("macvlan_mode", "passthru"), ipvlan[1], ipvlan[2]];
        assert_eq!(kind(&mode), Ok(InterfaceIdKind::Eui64));
    }

    #[test]
    fn without_ipv4_there_is_ipv6_and_no_start_without_it() {
        let parse = |given: &[(&str, &str)]| parse(&[&[("bridge", "br0")], given].concat());
        let required = |options: Options| (options.ipv4, options.ipv6.unwrap().required);
        assert_eq!(required(parse(&[("ipv6", "true")]).unwrap()), (true, false));
        let only = [("ipv4", "false"), ("ipv6", "slaac")];
        assert_eq!(required(parse(&only).unwrap()), (false, true));
        let waits = [&only[..], &[("no_server", "wait")]].concat();
        assert_eq!(required(parse(&waits).unwrap()), (false, false));
        for neither in [&[("ipv4", "false")][..], &[("ipv4", "0"), ("ipv6", "false")]] {
            assert_eq!(parse(neither), Err(InvalidOption::NoFamily), "{neither:?}");
        }
    }
}
