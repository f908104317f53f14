//! Docker's front door: the protocols of remote network and IPAM drivers ([`ipam`]), HTTP/1.1 over a unix socket.
//!
//! A call comes in as bytes ([`body`], [`fields`]), becomes a value of the engine's own
//! ([`request`]), and the engine's answer goes out in Docker's words ([`answer`]); [`calls`] has
//! one function for each call. Which container an endpoint is for, which no call says, is read in the
//! engine's own files ([`containers`]). Nothing is decided here, except what only Docker knows of: that its
//! null IPAM driver means "addresses from the LAN", and which calls mean nothing to a driver of
//! local scope.
//!
//! What the engines send and want is in moby's `pkg/plugins` and
//! `daemon/libnetwork/drivers/remote`; it is the same from 20.10 to 29.

mod answer;
mod body;
mod calls;
pub(crate) mod containers;
mod driver;
mod fields;
mod guard;
mod ipam;
mod ipam_request;
mod request;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use containers::Containers;
use driver::Driver;

/// How long the calls under way may take to finish once the daemon stops.
const GRACE: Duration = Duration::from_secs(2);

/// All calls of the protocol. Those still unanswered when `abandon` is cancelled are dropped, and
/// so undone, and their callers are told.
fn router<D: Driver>(driver: D, containers: Containers, abandon: CancellationToken) -> Router {
    Router::new()
        .route("/Plugin.Activate", post(calls::activate))
        .route("/NetworkDriver.GetCapabilities", post(calls::get_capabilities))
        .route("/NetworkDriver.AllocateNetwork", post(calls::allocate_network))
        .route("/NetworkDriver.FreeNetwork", post(calls::nothing_to_do))
        .route("/NetworkDriver.CreateNetwork", post(calls::create_network::<D>))
        .route("/NetworkDriver.DeleteNetwork", post(calls::delete_network::<D>))
        .route("/NetworkDriver.CreateEndpoint", post(calls::create_endpoint::<D>))
        .route("/NetworkDriver.EndpointOperInfo", post(calls::endpoint_oper_info::<D>))
        .route("/NetworkDriver.DeleteEndpoint", post(calls::delete_endpoint::<D>))
        .route("/NetworkDriver.Join", post(calls::join::<D>))
        .route("/NetworkDriver.Leave", post(calls::leave::<D>))
        .route(
            "/NetworkDriver.ProgramExternalConnectivity",
            post(calls::program_external_connectivity::<D>),
        )
        .route(
            "/NetworkDriver.RevokeExternalConnectivity",
            post(calls::revoke_external_connectivity::<D>),
        )
        .route("/NetworkDriver.DiscoverNew", post(calls::nothing_to_do))
        .route("/NetworkDriver.DiscoverDelete", post(calls::nothing_to_do))
        .route("/IpamDriver.GetCapabilities", post(ipam::get_capabilities))
        .route("/IpamDriver.GetDefaultAddressSpaces", post(ipam::get_default_address_spaces))
        .route("/IpamDriver.RequestPool", post(ipam::request_pool::<D>))
        .route("/IpamDriver.ReleasePool", post(ipam::release_pool::<D>))
        .route("/IpamDriver.RequestAddress", post(ipam::request_address::<D>))
        .route("/IpamDriver.ReleaseAddress", post(ipam::release_address::<D>))
        .route("/Plugin.Health", get(calls::health::<D>).post(calls::health::<D>))
        .fallback(calls::unknown_path)
        .method_not_allowed_fallback(calls::not_post)
        .layer(Extension(containers))
        .layer(from_fn_with_state(abandon, guard::guard))
        .with_state(driver)
}

/// Answers Docker's calls on `listener` until `stop`; `containers` are those of the engine that
/// calls. Returns when no call is under way any more,
/// two seconds later at most.
pub(crate) async fn serve<D: Driver>(
    listener: UnixListener,
    driver: D,
    containers: Containers,
    stop: CancellationToken,
) {
    let abandon = CancellationToken::new();
    let router = router(driver, containers, abandon.clone());
    let served =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let out_of_patience = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
        abandon.cancel();
        // Their callers are told; a connection that still does not end is no reason to stay.
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    tokio::select! {
        // It ends without an error: axum goes on after whatever `accept` fails with.
        _ = served => {}
        () = out_of_patience => {}
    }
}
