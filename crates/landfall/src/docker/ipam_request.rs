//! What Docker sends to its IPAM driver, as values of Landfall's engine.
//!
//! Field names are those of moby's `daemon/libnetwork/ipams/remote/api`.

use std::net::Ipv4Addr;

use super::answer::Failure;
use super::body::FromFields;
use super::fields::Fields;
use super::request::texts;
use crate::engine::api::{AddressRequest, PoolRequest};
use crate::engine::pool::PoolId;

/// The name of Landfall's address space, for local and global networks alike: Docker takes a subnet that a route of the
/// host leads to only where the two have one name, and asks for another for ever where they have not.
pub(super) const ADDRESS_SPACE: &str = "landfall";
/// Whether an address is for an endpoint or for something else.
const REQUEST_TYPE: &str = "RequestAddressType";
/// The router, in what is told of a pool; and among the types of requests.
pub(super) const GATEWAY: &str = "com.docker.network.gateway";
/// The name of the container, from engine 29 on.
const CONTAINER_NAME: &str = "com.docker.network.endpoint.name";

/// An address that Docker does not need any more.
pub(super) struct Released {
    pub(super) pool: PoolId,
    pub(super) address: Ipv4Addr,
}

impl FromFields for PoolRequest {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, Failure> {
        Ok(PoolRequest {
            options: texts(fields.map("Options")?.into_iter().flatten())?,
            subnet: fields.text("Pool")?.to_owned(),
            range: fields.text("SubPool")?.to_owned(),
            ipv6: fields.flag("V6")?,
        })
    }
}

impl FromFields for PoolId {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, Failure> {
        fields
            .text("PoolID")?
            .parse()
            .map_err(|error| Failure::Malformed(format!("PoolID: {error}")))
    }
}

impl FromFields for AddressRequest {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, Failure> {
        let options = texts(fields.map("Options")?.into_iter().flatten())?;
        let name = options.get(CONTAINER_NAME).filter(|name| !name.is_empty());
        Ok(AddressRequest {
            pool: PoolId::from_fields(fields)?,
            address: match fields.text("Address")? {
                "" => None,
                text => Some(address(text)?),
            },
            gateway: options.get(REQUEST_TYPE).is_some_and(|wanted| wanted == GATEWAY),
            name: name.map(|name| name.as_str().into()),
            candidates: Vec::new(),
        })
    }
}

impl FromFields for Released {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, Failure> {
        Ok(Released {
            pool: PoolId::from_fields(fields)?,
            address: address(fields.text("Address")?)?,
        })
    }
}

fn address(text: &str) -> Result<Ipv4Addr, Failure> {
    text.parse().map_err(|_| Failure::Malformed(format!("Address {text:.40?} is no IPv4 address")))
}
