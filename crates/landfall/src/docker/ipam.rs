//! The IPAM driver's part of the front door (`docker.ipamdriver/1.0`): Docker asks for addresses before it makes
//! endpoints.
//!
//! Calls and fields are those of moby's `daemon/libnetwork/ipams/remote/api`. Unlike a network driver's, a refusal is told
//! in the field `Error`.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use serde::Serialize;

use super::answer::{Answer, Done, Failure};
use super::body::Argument;
use super::containers::Containers;
use super::driver::Driver;
use super::ipam_request::{ADDRESS_SPACE, GATEWAY, Released};
use super::request::Ignored;
use crate::engine::api::{AddressRequest, PoolRequest};
use crate::engine::pool::PoolId;

type Result<T> = std::result::Result<Answer<T>, Failure>;

fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::NoAddress(error.to_string())
}

/// To `GetCapabilities`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Capabilities {
    /// With it Docker would invent a MAC at each start of a container whose user gave none, and ipvlan would refuse it.
    #[serde(rename = "RequiresMACAddress")]
    requires_mac_address: bool,
    /// What Docker would tell again after its start is in the store.
    requires_request_replay: bool,
}

/// To `GetDefaultAddressSpaces`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddressSpaces {
    local_default_address_space: &'static str,
    global_default_address_space: &'static str,
}

/// To `RequestPool`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PoolAnswer {
    #[serde(rename = "PoolID")]
    id: String,
    pool: String,
    data: BTreeMap<&'static str, String>,
}

/// To `RequestAddress`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddressAnswer {
    address: String,
    data: BTreeMap<&'static str, String>,
}

pub(super) async fn get_capabilities(_: Argument<Ignored>) -> Result<Capabilities> {
    Ok(Answer(Capabilities { requires_mac_address: false, requires_request_replay: false }))
}

pub(super) async fn get_default_address_spaces(_: Argument<Ignored>) -> Result<AddressSpaces> {
    Ok(Answer(AddressSpaces {
        local_default_address_space: ADDRESS_SPACE,
        global_default_address_space: ADDRESS_SPACE,
    }))
}

pub(super) async fn request_pool<D: Driver>(
    State(driver): State<D>,
    Argument(request): Argument<PoolRequest>,
) -> Result<PoolAnswer> {
    let pool = driver.request_pool(request).await.map_err(refused)?;
    let (id, subnet) = (pool.id.to_string(), pool.id.subnet());
    // Where there is none Docker would go on to ask for one, and wants no empty answer.
    let gateway = match pool.gateway {
        Some(router) => format!("{router}/{}", subnet.prefix_len()),
        None => "0.0.0.0/0".to_owned(),
    };
    let data = BTreeMap::from([(GATEWAY, gateway)]);
    Ok(Answer(PoolAnswer { id, pool: subnet.to_string(), data }))
}

pub(super) async fn release_pool<D: Driver>(
    State(driver): State<D>,
    Argument(pool): Argument<PoolId>,
) -> Result<Done> {
    driver.release_pool(&pool).await.map_err(refused)?;
    Ok(Answer(Done {}))
}

pub(super) async fn request_address<D: Driver>(
    State(driver): State<D>,
    Extension(containers): Extension<Containers>,
    Argument(mut request): Argument<AddressRequest>,
) -> Result<AddressAnswer> {
    if !request.gateway {
        let networks = driver.networks_of(&request.pool);
        request.candidates =
            containers.asking(networks, request.name.clone(), request.address).await;
    }
    let address = driver.request_address(request).await.map_err(refused)?;
    Ok(Answer(AddressAnswer { address: address.to_string(), data: BTreeMap::new() }))
}

pub(super) async fn release_address<D: Driver>(
    State(driver): State<D>,
    Argument(Released { pool, address }): Argument<Released>,
) -> Result<Done> {
    driver.release_address(&pool, address).await.map_err(refused)?;
    Ok(Answer(Done {}))
}
