//! What the engine sends, as values of Landfall's engine.
//!
//! Field names are those of moby's `daemon/libnetwork/drivers/remote/api`, option keys those of
//! its `netlabel`. Options of the engine's that Landfall has no use for are not looked at.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use serde_json::{Map, Value};

use super::answer::Failure;
use super::body::FromFields;
use super::containers::Fingerprint;
use super::fields::{Fields, kind};
use super::ipam_request::ADDRESS_SPACE;
use crate::engine::api::{JoinRequest, NewEndpoint, NewNetwork};
use crate::engine::ids::{EndpointId, InvalidId, NetworkId};

/// The user's `-o key=value`.
const GENERIC: &str = "com.docker.network.generic";
/// `--ipv6`.
const ENABLE_IPV6: &str = "com.docker.network.enable_ipv6";
/// `--ipv4=false`, from engine 28 on.
const ENABLE_IPV4: &str = "com.docker.network.enable_ipv4";
/// What begins like this among an endpoint's options is the engine's; all else its user wrote.
const OF_THE_ENGINE: &str = "com.docker.";
/// The name of an endpoint's interface: a driver option, or Compose's `interface_name`.
const IFNAME: &str = "com.docker.network.endpoint.ifname";
/// `--internal`.
const INTERNAL: &str = "com.docker.network.internal";

/// Nothing: the call's argument, if there is one, does not matter.
pub(super) struct Ignored;

impl FromFields for Ignored {
    fn from_fields(_: &Fields<'_>) -> Result<Self, Failure> {
        Ok(Ignored)
    }
}

impl FromFields for NetworkId {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, Failure> {
        id(fields, "NetworkID", NetworkId::new)
    }
}

/// Which endpoint of which network.
pub(super) struct EndpointRef {
    pub(super) network: NetworkId,
    pub(super) endpoint: EndpointId,
}

impl FromFields for EndpointRef {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, Failure> {
        Ok(EndpointRef {
            network: id(fields, "NetworkID", NetworkId::new)?,
            endpoint: id(fields, "EndpointID", EndpointId::new)?,
        })
    }
}

impl FromFields for NewNetwork {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, Failure> {
        let empty = Map::new();
        let options = fields.map("Options")?.unwrap_or(&empty);
        let (addresses_from_lan, pool) = pools(fields)?;
        Ok(NewNetwork {
            id: id(fields, "NetworkID", NetworkId::new)?,
            options: user_options(options)?,
            addresses_from_lan,
            pool,
            ipv4: flag(options, ENABLE_IPV4, true)?,
            ipv6: flag(options, ENABLE_IPV6, false)?,
            internal: flag(options, INTERNAL, false)?,
        })
    }
}

/// An endpoint, and what tells of its container.
impl FromFields for (NewEndpoint, Fingerprint) {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, Failure> {
        let EndpointRef { network, endpoint } = EndpointRef::from_fields(fields)?;
        let interface = fields.object("Interface", "Interface.")?;
        let address6 = interface.text("AddressIPv6")?;
        if !address6.is_empty() {
            return Err(Failure::Refused(format!(
                "Docker's IPAM driver has given endpoint {endpoint} of network {network} the address \
                 {address6}, but here addresses come from the LAN's routers and DHCP servers: make the \
                 network with `--ipam-driver null`"
            )));
        }
        let address = match interface.text("Address")? {
            "" => None,
            text => Some(text.parse().map_err(|error| {
                Failure::Malformed(format!("Interface.Address {text:.40?}: {error}"))
            })?),
        };
        let mac =
            match interface.text("MacAddress")? {
                "" => None,
                text => Some(text.parse().map_err(|error| {
                    Failure::Malformed(format!("Interface.MacAddress: {error}"))
                })?),
            };
        let empty = Map::new();
        let options = fields.map("Options")?.unwrap_or(&empty);
        let new = NewEndpoint {
            network,
            id: endpoint,
            mac,
            address,
            options: texts(options.iter().filter(|(key, _)| !key.starts_with(OF_THE_ENGINE)))?,
            interface: texts(options.iter().filter(|(key, _)| *key == IFNAME))?
                .into_values()
                .find(|name| !name.is_empty()),
            candidates: Vec::new(),
        };
        Ok((new, Fingerprint::of(options)))
    }
}

impl FromFields for JoinRequest {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, Failure> {
        let EndpointRef { network, endpoint } = EndpointRef::from_fields(fields)?;
        let sandbox = fields.text("SandboxKey")?;
        if !sandbox.starts_with('/') || sandbox.contains('\0') {
            return Err(Failure::Malformed(format!(
                "SandboxKey must be the path of a network namespace, and is {sandbox:.80?}"
            )));
        }
        Ok(JoinRequest { network, endpoint, sandbox: sandbox.into() })
    }
}

fn id<T>(
    fields: &Fields<'_>,
    name: &'static str,
    new: impl Fn(&str) -> Result<T, InvalidId>,
) -> Result<T, Failure> {
    let text = fields.text(name)?;
    if text.is_empty() {
        return Err(Failure::Malformed(format!("{name} is missing")));
    }
    new(text).map_err(|error| Failure::Malformed(format!("{name}: {error}")))
}

/// Whether the LAN gives out the network's addresses, and in which subnet Landfall's own IPAM driver does so for
/// it. The null IPAM driver's address space is `null`, and its one pool holds every address. A network without any
/// pool leaves nothing to give out either.
fn pools(fields: &Fields<'_>) -> Result<(bool, Option<Ipv4Net>), Failure> {
    let (mut from_lan, mut own) = (true, None);
    for (list, path, everything) in
        [("IPv4Data", "IPv4Data.", "0.0.0.0/0"), ("IPv6Data", "IPv6Data.", "::/0")]
    {
        for pool in fields.objects(list, path)? {
            let (space, addresses) = (pool.text("AddressSpace")?, pool.text("Pool")?);
            if space == ADDRESS_SPACE
                && let Ok(subnet) = addresses.parse()
            {
                own = Some(subnet);
            } else {
                from_lan &= space == "null" && addresses == everything;
            }
        }
    }
    Ok((from_lan, own))
}

/// The user's options of a network.
fn user_options(options: &Map<String, Value>) -> Result<BTreeMap<String, String>, Failure> {
    match options.get(GENERIC) {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(generic)) => texts(generic.iter()),
        Some(other) => Err(bad_option(GENERIC, "an object", other)),
    }
}

/// Options as text. Docker's own client sends strings only; API clients and Compose files come
/// with `true` and `10`, which mean what their text means.
pub(super) fn texts<'a>(
    options: impl Iterator<Item = (&'a String, &'a Value)>,
) -> Result<BTreeMap<String, String>, Failure> {
    options
        .map(|(key, value)| {
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(bad_option(key, "a string", value));
                }
            };
            Ok((key.clone(), text))
        })
        .collect()
}

/// A switch of the engine's own: a boolean, or its text.
fn flag(options: &Map<String, Value>, key: &str, default: bool) -> Result<bool, Failure> {
    match options.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(other) => Err(bad_option(key, "a boolean", other)),
    }
}

fn bad_option(key: &str, wanted: &str, seen: &Value) -> Failure {
    Failure::Malformed(format!("option {key:.80?} must be {wanted}, and is {}", kind(seen)))
}
