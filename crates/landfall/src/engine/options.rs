//! The options of a network: docker-net-dhcp's, by its names, defaults and meaning.

mod ipv6;
pub(crate) mod name;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp::v4::{ConflictCheck, OnLoss};
use serde::{Deserialize, Serialize};

pub(crate) use self::ipv6::{InterfaceIdKind, Ipv6Options};
use super::applied::Applied;
use super::identity::Identity;
use super::mode::{self, Mode, Uplink, other_mode};

/// Keys of the engine itself, which travel in the same map.
const ENGINE_PREFIX: &str = "com.docker.network.";
/// A container's start holds a lock of the engine's for as long as this.
const LONGEST_LEASE_TIMEOUT: Duration = Duration::from_secs(600);
/// A lease that nobody uses is somebody else's.
const LONGEST_RELEASE_DELAY: Duration = Duration::from_secs(24 * 3600);
/// A pool of a home router has a hundred addresses, and others need some.
const MOST_WARM: usize = 64;
/// IFNAMSIZ is 16 with its NUL; the engine appends a number, for which three digits are left.
pub(super) const LONGEST_PREFIX: usize = 12;

/// The options of a network, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Options {
    /// The bridge, or the parent.
    #[serde(rename = "bridge")]
    pub(crate) interface: String,
    /// How containers reach the segment behind it.
    #[serde(default)]
    pub(crate) mode: Mode,
    /// Of which of the VLANs that the bridge keeps apart. That of a parent is in its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vlan: Option<u16>,
    /// How long a container's start waits for its first lease.
    pub(crate) lease_timeout: Duration,
    /// Whether the bridge is taken although it seems to be in conflict.
    pub(crate) ignore_conflicts: bool,
    /// Whether the host's static routes stay out of containers.
    pub(crate) skip_routes: bool,
    /// What a container's interface name begins with.
    pub(crate) interface_prefix: String,
    /// How long the lease of a container that has ended is held for its return.
    #[serde(default = "default_release_delay")]
    pub(crate) release_delay: Duration,
    /// What a container gets while no server answers.
    #[serde(default)]
    pub(crate) no_server: NoServer,
    /// How an address is checked for other users before and after it is taken into use.
    #[serde(default)]
    pub(crate) conflict_check: ConflictCheck,
    /// What becomes of the address when the lease ends and no server answers.
    #[serde(default)]
    pub(crate) on_lease_loss: OnLoss,
    /// Whether a container's DHCP server and router messages are dropped at its port.
    #[serde(default)]
    pub(crate) dhcp_guard: bool,
    /// Whether what happens to its endpoints is kept in a file.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) audit_log: bool,
    /// Whether containers have IPv4. If not, they have IPv6.
    #[serde(default = "with_ipv4")]
    pub(crate) ipv4: bool,
    /// IPv6, if it is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6: Option<Ipv6Options>,
    /// Whether the network is not made where no DHCP server answers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) validate_dhcp: bool,
    /// Whether servers may grant leases in answer to a DISCOVER (RFC 4039).
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) rapid_commit: bool,
    /// How many leases are taken in advance.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) warm: usize,
    /// What its endpoints tell DHCP servers of themselves.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) identity: Identity,
    /// What its endpoints get of what servers say.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) applied: Applied,
}

/// Whether a record can do without it.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Earlier daemons, and their records, have no networks without.
pub(crate) fn with_ipv4() -> bool {
    true
}

/// What a container gets when it starts and no DHCP server has a word for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NoServer {
    /// An error: it does not start.
    #[default]
    Fail,
    /// The address that it had before the machine booted, if there is one; else an error.
    Last,
    /// No address. It gets one once a server answers.
    Wait,
}

/// What a `docker restart` takes with the longest stop time-out that is common, and as much again.
fn default_release_delay() -> Duration {
    Duration::from_secs(60)
}

/// An option that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidOption {
    /// There is no option of that name.
    #[error("there is no option {name:?}{}; the options are {}", hint(.nearest), .all.join(", "))]
    Unknown {
        /// As it was written.
        name: String,
        /// The valid name that looks most like it, if one does.
        nearest: Option<&'static str>,
        /// The valid ones.
        all: &'static [&'static str],
    },
    /// The value cannot be taken.
    #[error("option {name}={value:?}: {reason}")]
    Value {
        /// The option.
        name: &'static str,
        /// As it was written.
        value: String,
        /// What is taken instead.
        reason: &'static str,
    },
    /// An option without which there is no network.
    #[error(
        "option bridge is missing: name the bridge that is connected to the LAN, as in `-o bridge=br0`"
    )]
    NoBridge,
    /// An option without which there is no network of macvlan children.
    #[error(
        "option parent is missing: with mode=macvlan or mode=ipvlan name the network card that is connected to the LAN, as in `-o mode=macvlan -o parent=eth0`"
    )]
    NoParent,
    /// An option that means nothing in the network's mode.
    #[error("option {name} means nothing with mode={mode}: {instead}")]
    OtherMode {
        /// The option.
        name: &'static str,
        /// The network's mode.
        mode: &'static str,
        /// What to write.
        instead: String,
    },
    /// An option that means nothing without IPv6.
    #[error("option {name} means nothing without IPv6: add `-o ipv6=auto`, or leave it out")]
    WithoutIpv6 {
        /// The option.
        name: &'static str,
    },
    /// Neither IPv4 nor IPv6.
    #[error(
        "the network has neither IPv4 nor IPv6, so its containers would have no address: `-o ipv4=false` needs `-o ipv6=auto`, `slaac` or `dhcp`"
    )]
    NoFamily,
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map(|n| format!("; did you mean {n:?}?")).unwrap_or_default()
}

impl Options {
    /// Parses what the user wrote. Keys of the engine's own (`com.docker.network.…`) pass.
    pub(crate) fn parse(given: &BTreeMap<String, String>) -> Result<Options, InvalidOption> {
        if let Some(unknown) =
            given.keys().find(|k| !k.starts_with(ENGINE_PREFIX) && !name::ALL.contains(&k.as_str()))
        {
            return Err(InvalidOption::Unknown {
                name: unknown.clone(),
                nearest: nearest(unknown, name::ALL),
                all: name::ALL,
            });
        }
        let get = |name: &'static str| given.get(name).map(|value| (name, value.as_str()));

        let Uplink { mode, interface, vlan } = mode::parse(get)?;
        let no_server = match get(name::NO_SERVER) {
            None | Some((_, "fail")) => NoServer::Fail,
            Some((_, "last")) => NoServer::Last,
            Some((_, "wait")) => NoServer::Wait,
            Some((name, value)) => return Err(invalid(name, value, "fail, last or wait")),
        };
        let dhcp_guard = flag(get(name::DHCP_GUARD), false)?;
        if dhcp_guard && mode != Mode::Bridge {
            let instead = "its containers have no link on this host that could be guarded; guard the switch's port, or use a bridge";
            return Err(other_mode(name::DHCP_GUARD, mode.name(), instead));
        }
        let ipv4 = flag(get(name::IPV4), true)?;
        let validate_dhcp = flag(get(name::VALIDATE_DHCP), false)?;
        if validate_dhcp && !ipv4 {
            let reason = "the network has no IPv4, and so no DHCPv4 server that could be asked";
            return Err(invalid(name::VALIDATE_DHCP, "true", reason));
        }
        let identity = Identity::parse(get)?;
        let warm = warm(get(name::WARM), ipv4, mode, &identity)?;
        let mut ipv6 = ipv6::parse(get, mode)?;
        match &mut ipv6 {
            None if !ipv4 => return Err(InvalidOption::NoFamily),
            // Else a container would start with no address at all.
            Some(ipv6) => ipv6.required |= !ipv4 && no_server != NoServer::Wait,
            None => {}
        }
        Ok(Options {
            interface,
            mode,
            vlan,
            lease_timeout: lease_timeout(get(name::LEASE_TIMEOUT))?,
            ignore_conflicts: flag(get(name::IGNORE_CONFLICTS), false)?,
            skip_routes: flag(get(name::SKIP_ROUTES), false)?,
            interface_prefix: match get(name::INTERFACE_PREFIX) {
                None => "eth".to_owned(),
                Some((name, value)) => {
                    if !is_plain(value) || value.len() > LONGEST_PREFIX {
                        let reason = "the beginning of an interface name: at most 12 letters, \
                                      digits, '-', '_' or '.'";
                        return Err(invalid(name, value, reason));
                    }
                    value.to_owned()
                }
            },
            conflict_check: match get(name::CONFLICT_CHECK) {
                None | Some((_, "fast")) => ConflictCheck::Fast,
                Some((_, "full")) => ConflictCheck::Full,
                Some((_, "off")) => ConflictCheck::Off,
                Some((name, value)) => return Err(invalid(name, value, "fast, full or off")),
            },
            on_lease_loss: match get(name::ON_LEASE_LOSS) {
                None | Some((_, "drop")) => OnLoss::Drop,
                Some((_, "keep")) => OnLoss::Keep,
                Some((name, value)) => return Err(invalid(name, value, "drop or keep")),
            },
            dhcp_guard,
            audit_log: flag(get(name::AUDIT_LOG), false)?,
            ipv4,
            ipv6,
            no_server,
            validate_dhcp,
            rapid_commit: flag(get(name::RAPID_COMMIT), false)?,
            warm,
            identity,
            applied: Applied::parse(get, ipv4)?,
            release_delay: match get(name::RELEASE_DELAY) {
                None => default_release_delay(),
                Some((name, value)) => {
                    duration(value).filter(|d| *d <= LONGEST_RELEASE_DELAY).ok_or_else(|| {
                        invalid(name, value, "a time such as 60s or 5m, at most 24h, or 0")
                    })?
                }
            },
        })
    }
}

impl Options {
    /// What tells the segment from others of this host, also after a boot.
    pub(crate) fn segment_name(&self) -> String {
        match self.vlan {
            Some(vlan) => format!("{}.{vlan}", self.interface),
            None => self.interface.clone(),
        }
    }
}

/// How many leases to take in advance.
fn warm(
    given: Given<'_>,
    ipv4: bool,
    mode: Mode,
    identity: &Identity,
) -> Result<usize, InvalidOption> {
    let Some((name, value)) = given else { return Ok(0) };
    let wanted = value.parse().ok().filter(|wanted| *wanted <= MOST_WARM);
    let wanted = wanted.ok_or_else(|| invalid(name, value, "a number of leases, 0 to 64"))?;
    let contradiction = match wanted {
        0 => None,
        _ if !ipv4 => Some("the network has no IPv4, and so no leases to take in advance"),
        _ if mode.admits_one() => {
            Some("a card that is passed through has one container: leave it out")
        }
        _ if identity.client_id.is_some() => {
            Some("no two leases have the same client_id: leave out one of the two options")
        }
        _ => None,
    };
    contradiction.map_or(Ok(wanted), |why| Err(invalid(name, value, why)))
}

/// How long a server may take to answer.
pub(super) fn lease_timeout(given: Given<'_>) -> Result<Duration, InvalidOption> {
    let Some((name, value)) = given else { return Ok(Duration::from_secs(10)) };
    duration(value)
        .filter(|d| !d.is_zero() && *d <= LONGEST_LEASE_TIMEOUT)
        .ok_or_else(|| invalid(name, value, "a time such as 10s, 1m30s or 500ms, at most 10m"))
}

/// An option as it was given: its name and its value.
pub(super) type Given<'a> = Option<(&'static str, &'a str)>;

pub(super) fn invalid(name: &'static str, value: &str, reason: &'static str) -> InvalidOption {
    InvalidOption::Value { name, value: value.to_owned(), reason }
}

/// The values that Go's `strconv.ParseBool` takes: docker-net-dhcp's users write them.
pub(super) fn flag(option: Given<'_>, default: bool) -> Result<bool, InvalidOption> {
    let Some((name, value)) = option else { return Ok(default) };
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(invalid(name, value, "true or false")),
    }
}

/// Go's `time.ParseDuration` without signs: `10s`, `1m30s`, `1.5h`, `500ms`.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit)?;
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// What `dev_valid_name()` of the kernel takes.
pub(super) fn is_interface_name(text: &str) -> bool {
    (1..16).contains(&text.len())
        && text != "."
        && text != ".."
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':')
}

/// The IPv4 address that a host can have.
pub(super) fn host_address(text: &str) -> Option<Ipv4Addr> {
    text.parse::<Ipv4Addr>().ok().filter(|ip| {
        !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast())
    })
}

/// What scripts in containers may take for a name without quoting it.
pub(super) fn is_plain(text: &str) -> bool {
    is_interface_name(text)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The valid name that looks most like it, if one does.
pub(super) fn nearest(wrong: &str, all: &[&'static str]) -> Option<&'static str> {
    all.iter()
        .map(|&name| (strsim::damerau_levenshtein(&wrong.to_lowercase(), name), name))
        .min()
        // Further off than a third of the word is another word.
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        .map(|(_, name)| name)
}

/// The names in the first column of the README's table that begins with these words, sorted.
#[cfg(test)]
pub(super) fn listed(head: &str) -> Vec<String> {
    let readme = include_str!("../../../../README.md");
    let table = readme.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = table.take_while(|line| line.starts_with("| `"));
    let mut names: Vec<String> =
        rows.filter_map(|row| Some(row.split('`').nth(1)?.to_owned())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<Options, InvalidOption> {
        Options::parse(&options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn a_bridge_is_enough() {
        let options = parse(&[("bridge", "br0")]).unwrap();
        assert_eq!(options.interface, "br0");
        assert_eq!(options.lease_timeout, Duration::from_secs(10));
        assert_eq!(options.interface_prefix, "eth");
        assert!(!options.ignore_conflicts && !options.skip_routes && !options.audit_log);
    }

    #[test]
    fn every_option_has_its_effect() {
        let options = parse(&[
            ("bridge", "br0"),
            ("mode", "bridge"),
            ("lease_timeout", "1m30s"),
            ("ignore_conflicts", "true"),
            ("audit_log", "true"),
            ("skip_routes", "1"),
            ("ipv6", "false"),
            ("interface_prefix", "lan"),
        ])
        .unwrap();
        assert_eq!(options.lease_timeout, Duration::from_secs(90));
        assert!(options.ignore_conflicts && options.skip_routes && options.audit_log);
        assert_eq!(options.interface_prefix, "lan");
    }

    #[test]
    fn the_readme_lists_all_of_them() {
        assert_eq!(listed("| option (`-o`)"), name::ALL);
    }

    #[test]
    fn a_misspelt_option_names_the_nearest() {
        let error = parse(&[("bridge", "br0"), ("lease_timout", "10s")]).unwrap_err();
        assert!(error.to_string().contains("did you mean \"lease_timeout\"?"), "{error}");
        let error = parse(&[("Bridge", "br0")]).unwrap_err();
        assert!(error.to_string().contains("did you mean \"bridge\"?"), "{error}");
        let error = parse(&[("colour", "red")]).unwrap_err().to_string();
        assert!(!error.contains("did you mean") && error.contains("skip_routes"), "{error}");
    }

    #[test]
    fn keys_of_the_engine_pass() {
        let options = [("bridge", "br0"), ("com.docker.network.advertise_addr_ms", "100")];
        assert!(parse(&options).is_ok());
    }

    #[test]
    fn what_cannot_be_taken_is_refused() {
        assert_eq!(parse(&[]), Err(InvalidOption::NoBridge));
        for (name, value) in [
            ("bridge", ""),
            ("bridge", "sixteencharacter"),
            ("bridge", "br/0"),
            ("bridge", "../br0"),
            ("mode", "l3"),
            ("ipv4", "auto"),
            ("ipv6", "yes"),
            ("ipv6_address", "random"),
            ("ipv6_pd", "0"),
            ("ipv6_pd", "65"),
            ("lease_timeout", "10"),
            ("lease_timeout", "-1s"),
            ("lease_timeout", "0s"),
            ("lease_timeout", "11m"),
            ("lease_timeout", "1e9h"),
            ("lease_timeout", "s"),
            ("lease_timeout", ""),
            ("skip_routes", "yes"),
            ("dhcp_guard", "on"),
            ("conflict_check", "slow"),
            ("on_lease_loss", "panic"),
            ("no_server", "retry"),
            ("release_delay", "25h"),
            ("release_delay", "60"),
            ("ignore_conflicts", ""),
            ("validate_dhcp", "10s"),
            ("rapid_commit", "fast"),
            ("client_id", ""),
            ("user_class", ""),
            ("vendor_class", "a\tb"),
            ("register_dns", "both"),
            ("hostname", "web"),
            ("interface_prefix", "thirteenchars"),
            ("interface_prefix", "$(reboot)"),
            ("interface_prefix", ""),
        ] {
            let mut options = vec![(name, value)];
            if name != "bridge" {
                options.push(("bridge", "br0"));
            }
            let error = parse(&options).unwrap_err();
            assert!(matches!(error, InvalidOption::Value { name: n, .. } if n == name), "{error}");
        }
    }

    #[test]
    fn durations_are_gos() {
        for (text, millis) in [("10s", 10_000), ("1m30s", 90_000), ("500ms", 500), ("1.5s", 1500)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "1x", "1..2s", "ß", "1ß", "9e99h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
