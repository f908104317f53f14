//! One function for each call of the protocol.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;

use super::answer::{
    Activated, Allocated, Answer, Capabilities, Created, Done, Failure, JoinAnswer, OperInfo,
};
use super::body::Argument;
use super::containers::{Containers, Fingerprint};
use super::driver::Driver;
use super::request::{EndpointRef, Ignored};
use crate::engine::api::{Health, JoinRequest, NewEndpoint, NewNetwork};
use crate::engine::ids::NetworkId;

type Result<T> = std::result::Result<Answer<T>, Failure>;

fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::Refused(error.to_string())
}

/// What kinds of plugin this is. Only asked of one that stands as a socket on the host.
pub(super) async fn activate(_: Argument<Ignored>) -> Result<Activated> {
    Ok(Answer(Activated { implements: ["NetworkDriver", "IpamDriver"] }))
}

/// Networks are each node's own business, and what hangs on one is reachable from all nodes.
pub(super) async fn get_capabilities(_: Argument<Ignored>) -> Result<Capabilities> {
    Ok(Answer(Capabilities { scope: "local", connectivity_scope: "global" }))
}

/// For drivers of global scope: a swarm's managers would agree on options here. Nothing to add.
pub(super) async fn allocate_network(_: Argument<Ignored>) -> Result<Allocated> {
    Ok(Answer(Allocated { options: BTreeMap::new() }))
}

/// Calls that mean nothing to a driver of local scope whose containers stand on the LAN: there is
/// no cluster whose nodes matter, nothing allocated to be freed.
pub(super) async fn nothing_to_do(_: Argument<Ignored>) -> Result<Done> {
    Ok(Answer(Done {}))
}

/// The endpoint has the default route of its container from now on. What ports to publish it says too is of no interest.
pub(super) async fn program_external_connectivity<D: Driver>(
    State(driver): State<D>,
    Argument(EndpointRef { network, endpoint }): Argument<EndpointRef>,
) -> Result<Done> {
    driver.choose_way_out(&network, &endpoint, true);
    Ok(Answer(Done {}))
}

/// It has not any more.
pub(super) async fn revoke_external_connectivity<D: Driver>(
    State(driver): State<D>,
    Argument(EndpointRef { network, endpoint }): Argument<EndpointRef>,
) -> Result<Done> {
    driver.choose_way_out(&network, &endpoint, false);
    Ok(Answer(Done {}))
}

pub(super) async fn create_network<D: Driver>(
    State(driver): State<D>,
    Argument(new): Argument<NewNetwork>,
) -> Result<Done> {
    driver.create_network(new).await.map_err(refused)?;
    Ok(Answer(Done {}))
}

pub(super) async fn delete_network<D: Driver>(
    State(driver): State<D>,
    Argument(id): Argument<NetworkId>,
) -> Result<Done> {
    driver.delete_network(&id).await.map_err(refused)?;
    Ok(Answer(Done {}))
}

pub(super) async fn create_endpoint<D: Driver>(
    State(driver): State<D>,
    Extension(containers): Extension<Containers>,
    Argument((mut new, fingerprint)): Argument<(NewEndpoint, Fingerprint)>,
) -> Result<Created> {
    let (address_given, mac_given) = (new.address.is_some(), new.mac.is_some());
    new.candidates = containers.starting(&new.network, fingerprint).await;
    let attachment = driver.create_endpoint(new).await.map_err(refused)?;
    Ok(Answer(Created::new(&attachment, address_given, mac_given)))
}

pub(super) async fn endpoint_oper_info<D: Driver>(
    State(driver): State<D>,
    Argument(EndpointRef { network, endpoint }): Argument<EndpointRef>,
) -> Result<OperInfo> {
    let value = driver.endpoint_info(&network, &endpoint).into_iter().collect();
    Ok(Answer(OperInfo { value }))
}

pub(super) async fn delete_endpoint<D: Driver>(
    State(driver): State<D>,
    Argument(EndpointRef { network, endpoint }): Argument<EndpointRef>,
) -> Result<Done> {
    driver.delete_endpoint(&network, &endpoint).await.map_err(refused)?;
    Ok(Answer(Done {}))
}

pub(super) async fn join<D: Driver>(
    State(driver): State<D>,
    Argument(request): Argument<JoinRequest>,
) -> Result<JoinAnswer> {
    let joined = driver.join(request).await.map_err(refused)?;
    Ok(Answer(joined.into()))
}

pub(super) async fn leave<D: Driver>(
    State(driver): State<D>,
    Argument(EndpointRef { network, endpoint }): Argument<EndpointRef>,
) -> Result<Done> {
    driver.leave(&network, &endpoint).await.map_err(refused)?;
    Ok(Answer(Done {}))
}

/// How the daemon fares, for whoever watches it: no call of the engine's.
pub(super) async fn health<D: Driver>(State(driver): State<D>) -> Answer<Health> {
    Answer(driver.health())
}

/// The engine takes 404 for "this driver does not do that".
pub(super) async fn unknown_path(uri: Uri) -> Failure {
    Failure::UnknownPath(uri.path().to_owned())
}

pub(super) async fn not_post() -> Failure {
    Failure::NotPost
}
