//! The options of a single endpoint: what a user asks for one container on one network.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::identity::text;
use super::options::{
    Given, InvalidOption, LONGEST_PREFIX, host_address, invalid, is_plain, name, nearest,
};

/// The address that the container must get.
const IP: &str = "ip";
/// The name to which its MAC belongs.
pub(super) const IDENTITY: &str = "identity";
/// What the interface is called in the container; the front door has a name of its own for it.
const IFNAME: &str = "ifname";
/// All that the user can write, sorted.
const ALL: &[&str] = &[name::CLIENT_ID, name::HOSTNAME, IDENTITY, IP];

/// The options of an endpoint, parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EndpointOptions {
    /// The address that it must get at the start (option 50).
    pub(crate) ip: Option<Ipv4Addr>,
    /// The host name that it tells instead of the container's.
    pub(crate) hostname: Option<Box<str>>,
    /// The text of its client identifier (option 61).
    pub(crate) client_id: Option<Box<str>>,
    /// The name to which its MAC belongs, in place of the container's.
    pub(crate) identity: Option<Box<str>>,
    /// What its interface is to be called in the sandbox.
    pub(crate) interface: Option<Box<str>>,
}

impl EndpointOptions {
    /// Parses what the user wrote. `interface`: the name that the runtime passed on. `ipv4`: whether the network
    /// has IPv4.
    pub(crate) fn parse(
        given: &BTreeMap<String, String>,
        interface: Option<&str>,
        ipv4: bool,
    ) -> Result<EndpointOptions, InvalidOption> {
        if let Some(unknown) = given.keys().find(|key| !ALL.contains(&key.as_str())) {
            return Err(InvalidOption::Unknown {
                name: unknown.clone(),
                nearest: nearest(unknown, ALL),
                all: ALL,
            });
        }
        let get = |name: &'static str| given.get(name).map(|value| (name, value.as_str()));
        Ok(EndpointOptions {
            ip: get(IP).map(|(_, value)| address(value, ipv4)).transpose()?,
            hostname: host_name(get(name::HOSTNAME))?,
            client_id: text(get(name::CLIENT_ID))?,
            identity: text(get(IDENTITY))?,
            interface: match interface {
                Some(wrong) if !is_plain(wrong) => {
                    let reason =
                        "the name of an interface: at most 15 letters, digits, '-', '_' or '.'";
                    return Err(invalid(IFNAME, wrong, reason));
                }
                name => name.map(Into::into),
            },
        })
    }

    /// What the interface's name begins with, for a runtime that numbers interfaces whatever it is told: so `lan0` is
    /// what the first one gets.
    pub(super) fn interface_prefix(&self) -> Option<&str> {
        let prefix = self.interface.as_deref()?.trim_end_matches(|c: char| c.is_ascii_digit());
        (1..=LONGEST_PREFIX).contains(&prefix.len()).then_some(prefix)
    }
}

fn address(value: &str, ipv4: bool) -> Result<Ipv4Addr, InvalidOption> {
    if !ipv4 {
        return Err(invalid(IP, value, "the network has no IPv4"));
    }
    let reason = "an IPv4 address that a host can have, without a prefix, such as 192.168.0.55";
    host_address(value).ok_or_else(|| invalid(IP, value, reason))
}

/// A name that can be in the DNS.
fn host_name(option: Given<'_>) -> Result<Option<Box<str>>, InvalidOption> {
    match option {
        Some((name, value)) if wire::dhcp4::fqdn_wish(value).is_none() => {
            let reason =
                "a host name: letters, digits, '-', '_' and '.', at most 63 between two dots";
            Err(invalid(name, value, reason))
        }
        name => Ok(name.map(|(_, value)| value.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<EndpointOptions, InvalidOption> {
        let given = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        EndpointOptions::parse(&given, None, true)
    }

    fn interface(name: &str) -> Result<EndpointOptions, InvalidOption> {
        EndpointOptions::parse(&BTreeMap::new(), Some(name), true)
    }

    #[test]
    fn each_is_what_was_asked_for() {
        assert_eq!(parse(&[]), Ok(EndpointOptions::default()));
        let given = [("ip", "10.77.0.50"), ("hostname", "web.lan"), ("client_id", "böse web")];
        let options = parse(&given).unwrap();
        assert_eq!(options.ip, Some(Ipv4Addr::new(10, 77, 0, 50)));
        assert_eq!(options.hostname.as_deref(), Some("web.lan"));
        assert_eq!(options.client_id.as_deref(), Some("böse web"));
    }

    #[test]
    fn the_readme_lists_all_of_them() {
        let mut all = [ALL, &["com.docker.network.endpoint.ifname"]].concat();
        all.sort_unstable();
        assert_eq!(super::super::options::listed("| driver option "), all);
    }

    #[test]
    fn a_misspelt_option_names_the_nearest() {
        let error = parse(&[("hostnme", "web")]).unwrap_err().to_string();
        assert!(error.contains("did you mean \"hostname\"?"), "{error}");
        assert!(error.ends_with("the options are client_id, hostname, identity, ip"), "{error}");
        // A network's.
        let error = parse(&[("bridge", "br0")]).unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }

    #[test]
    fn what_cannot_be_taken_is_refused() {
        for (name, value) in [
            ("ip", ""),
            ("ip", "10.77.0.50/16"),
            ("ip", "2001:db8::1"),
            ("ip", "0.0.0.0"),
            ("ip", "255.255.255.255"),
            ("ip", "224.0.0.1"),
            ("ip", "127.0.0.1"),
            ("hostname", ""),
            ("hostname", "my web"),
            ("hostname", "$(reboot)"),
            ("hostname", &"x".repeat(64)),
            ("identity", ""),
            ("client_id", ""),
            ("client_id", "a\nb"),
            ("client_id", &"x".repeat(255)),
        ] {
            let error = parse(&[(name, value)]).unwrap_err();
            assert!(matches!(error, InvalidOption::Value { name: n, .. } if n == name), "{error}");
        }
        let ip = [("ip".to_owned(), "10.77.0.50".to_owned())].into();
        let error = EndpointOptions::parse(&ip, None, false).unwrap_err().to_string();
        assert!(error.contains("no IPv4"), "{error}");
        for wrong in ["", "a b", "sixteencharacter", "../eth0"] {
            assert!(interface(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_runtime_that_counts_is_given_the_name_without_its_number() {
        for (name, prefix) in [
            ("lan0", Some("lan")),
            ("uplink", Some("uplink")),
            ("eth0.30", Some("eth0.")),
            ("17", None),
            // With a number behind it it would be too long.
            ("thirteenchars", None),
            ("twelveletter0", Some("twelveletter")),
        ] {
            assert_eq!(interface(name).unwrap().interface_prefix(), prefix, "{name}");
        }
    }
}
