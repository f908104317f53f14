//! The calls of an engine, without one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;

/// As long as engines wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon's plugin socket.
#[derive(Clone, Debug)]
pub(crate) struct Driver {
    socket: PathBuf,
}

/// An endpoint that was made.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    network: String,
    id: String,
    /// With its prefix length: `10.77.1.1/16`.
    pub(crate) address: String,
}

/// What Join answered.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    /// The container's end of the link, on the host.
    pub(crate) link: String,
    pub(crate) gateway: Option<String>,
}

impl Driver {
    /// The daemon that listens there.
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Asks what the driver can do: a call that does nothing.
    pub(crate) fn capabilities(&self) -> Result<()> {
        self.call("GetCapabilities", &json!({})).map(drop)
    }

    /// Makes a network on a bridge, with further options.
    pub(crate) fn create_network(
        &self,
        network: &str,
        bridge: &str,
        options: &[(&str, &str)],
    ) -> Result<()> {
        let options: BTreeMap<_, _> = [("bridge", bridge)].iter().chain(options).copied().collect();
        let argument = json!({
            "NetworkID": network,
            "Options": {
                "com.docker.network.enable_ipv6": false,
                "com.docker.network.generic": options,
            },
            "IPv4Data": [{ "AddressSpace": "null", "Pool": "0.0.0.0/0" }],
            "IPv6Data": [],
        });
        self.call("CreateNetwork", &argument).map(drop)
    }

    /// Deletes a network.
    pub(crate) fn delete_network(&self, network: &str) -> Result<()> {
        self.call("DeleteNetwork", &json!({ "NetworkID": network })).map(drop)
    }

    /// Makes an endpoint.
    pub(crate) fn create_endpoint(&self, network: &str, id: &str, mac: &str) -> Result<Endpoint> {
        let argument = json!({
            "NetworkID": network,
            "EndpointID": id,
            "Interface": { "Address": "", "AddressIPv6": "", "MacAddress": mac },
            "Options": {
                "com.docker.network.endpoint.exposedports": [],
                "com.docker.network.portmap": [],
            },
        });
        let answer = self.call("CreateEndpoint", &argument)?;
        let address =
            text(&answer, "/Interface/Address").ok_or("CreateEndpoint gave no address")?;
        Ok(Endpoint { network: network.to_owned(), id: id.to_owned(), address })
    }

    /// Hands an endpoint over to a sandbox.
    pub(crate) fn join(&self, endpoint: &Endpoint, sandbox: &str) -> Result<Joined> {
        let argument = json!({
            "NetworkID": endpoint.network,
            "EndpointID": endpoint.id,
            "SandboxKey": sandbox,
            "Options": { "com.docker.network.endpoint.exposedports": [] },
        });
        let answer = self.call("Join", &argument)?;
        let link = text(&answer, "/InterfaceName/SrcName").ok_or("Join named no link")?;
        Ok(Joined { link, gateway: text(&answer, "/Gateway") })
    }

    /// Leave and DeleteEndpoint.
    pub(crate) fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        let argument = json!({ "NetworkID": endpoint.network, "EndpointID": endpoint.id });
        self.call("Leave", &argument)?;
        self.call("DeleteEndpoint", &argument).map(drop)
    }

    fn call(&self, method: &str, argument: &Value) -> Result<Value> {
        let call = format!("NetworkDriver.{method}");
        let answer = lab::post(&self.socket, &call, &argument.to_string(), PATIENCE)?;
        let body: Value = serde_json::from_str(&answer.body)?;
        if answer.status != 200 || body.get("Err").is_some() {
            return Err(format!("{method} was answered {}: {body}", answer.status).into());
        }
        Ok(body)
    }
}

/// Docker's kind of identifier, of a number: told apart by the first twelve digits.
pub(crate) fn id(number: usize) -> String {
    format!("{number:012x}{:052x}", 0)
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}
