//! What a call tells of the container that its endpoint is for.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The container's exposed ports (netlabel's `ExposedPorts`).
const EXPOSED_PORTS: &str = "com.docker.network.endpoint.exposedports";
/// Its published ports (`PortMap`).
const PORT_MAP: &str = "com.docker.network.portmap";
/// Its DNS servers, or else those of the daemon (`DNSServers`).
const DNS_SERVERS: &str = "com.docker.network.endpoint.dnsservers";

/// A port in a container: IP protocol number and port.
pub(super) type Port = (u8, u16);

/// What a CreateEndpoint carries of its container. Most containers of a home server differ in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// The exposed ports.
    pub(super) exposed: BTreeSet<Port>,
    /// The published ones, with the host's port: 0 where the engine chooses.
    pub(super) published: BTreeSet<(Port, u16)>,
    /// The DNS servers.
    pub(super) dns: Vec<String>,
}

impl Fingerprint {
    /// Of a call's options. What does not look as it should is passed over: then the fingerprint
    /// fits nobody, and nothing is known.
    pub(crate) fn of(options: &Map<String, Value>) -> Fingerprint {
        let list = |key: &str| options.get(key).and_then(Value::as_array).into_iter().flatten();
        let port = |value: &Value| {
            let number = |name: &str| value.get(name).and_then(Value::as_u64);
            Some((number("Proto")?.try_into().ok()?, number("Port")?.try_into().ok()?))
        };
        let published = |value: &Value| {
            let host = value.get("HostPort").and_then(Value::as_u64).unwrap_or_default();
            Some((port(value)?, host.try_into().ok()?))
        };
        Fingerprint {
            exposed: list(EXPOSED_PORTS).filter_map(port).collect(),
            published: list(PORT_MAP).filter_map(published).collect(),
            dns: list(DNS_SERVERS).filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }
}

/// A port as an engine's files write it: `80/tcp`.
pub(super) fn parse_port(text: &str) -> Option<Port> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => 6,
        "udp" => 17,
        "sctp" => 132,
        _ => return None,
    };
    Some((protocol, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_what_engines_send() {
        // As Engine 28.5 sent it for `-p 8080:80 --expose 53/udp --dns 192.0.2.53`.
        let options = serde_json::json!({
            EXPOSED_PORTS: [{"Proto": 17, "Port": 53}, {"Proto": 6, "Port": 80}],
            PORT_MAP: [{"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080}],
            DNS_SERVERS: ["192.0.2.53"],
        });
        let fingerprint = Fingerprint::of(options.as_object().unwrap());
        assert_eq!(fingerprint.exposed, [(6, 80), (17, 53)].into());
        assert_eq!(fingerprint.published, [((6, 80), 8080)].into());
        assert_eq!(fingerprint.dns, ["192.0.2.53"]);
        let odd = serde_json::json!({EXPOSED_PORTS: {"Port": 1}, PORT_MAP: [3], DNS_SERVERS: null});
        assert_eq!(Fingerprint::of(odd.as_object().unwrap()), Fingerprint::default());
    }

    #[test]
    fn ports_are_written_with_their_protocol() {
        assert_eq!(parse_port("80/tcp"), Some((6, 80)));
        assert_eq!(parse_port("53/udp"), Some((17, 53)));
        assert_eq!(parse_port("443"), Some((6, 443)));
        assert_eq!(parse_port("80/icmp"), None);
        assert_eq!(parse_port("65536/tcp"), None);
    }
}
