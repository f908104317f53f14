//! The daemon's end of the admin socket, and of the TCP address for metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::json;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::{metrics, tcp};
use crate::engine::Engine;
use crate::engine::api::{LeaseDetails, Status};
use crate::engine::events::{Event, Follower, Kind};

/// How long answers under way may take to go out once the daemon stops.
const GRACE: Duration = Duration::from_secs(1);

/// The daemon as operators see it. A trait, so that the tests of the socket put another behind it; each function does what
/// [`Engine`]'s of that name does.
pub(crate) trait Daemon: Clone + Send + Sync + 'static {
    /// See [`Engine::status`].
    fn status(&self) -> Status;
    /// See [`Engine::lease_details`].
    fn lease_details(&self, who: &str) -> Vec<LeaseDetails>;
    /// See [`Engine::follow`].
    fn follow(&self) -> Follower;
}

impl Daemon for Engine {
    fn status(&self) -> Status {
        Engine::status(self)
    }

    fn lease_details(&self, who: &str) -> Vec<LeaseDetails> {
        Engine::lease_details(self, who)
    }

    fn follow(&self) -> Follower {
        Engine::follow(self)
    }
}

/// Answers operators on `listener` until `stop`.
pub(crate) async fn serve(listener: UnixListener, daemon: impl Daemon, stop: CancellationToken) {
    serve_on(listener, router(daemon, stop.clone()), stop).await;
}

/// Answers `GET /metrics`, and nothing else, on `address` until `stop`.
pub(crate) async fn serve_metrics(
    address: tcp::Address,
    daemon: impl Daemon,
    stop: CancellationToken,
) {
    if let Some(listener) = address.listener(&stop).await {
        serve_on(listener, fenced(metrics_only(), "/metrics").with_state(daemon), stop).await;
    }
}

async fn serve_on<L>(listener: L, router: Router, stop: CancellationToken)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let served =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let out_of_patience = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        // It ends without an error: axum goes on after whatever `accept` fails with.
        _ = served => {}
        () = out_of_patience => {}
    }
}

fn router<D: Daemon>(daemon: D, stop: CancellationToken) -> Router {
    let router = metrics_only()
        .route("/v1/status", get(async |State(daemon): State<D>| Json(daemon.status())))
        .route("/v1/leases/{who}", get(leases::<D>))
        .route(
            "/v1/events",
            get(async move |State(daemon): State<D>| events(daemon.follow(), stop)),
        )
        .route("/v1/version", get(async || Json(json!({ "version": env!("CARGO_PKG_VERSION") }))));
    fenced(router, "/v1/status, /v1/leases/NAME, /v1/events, /v1/version or /metrics")
        .with_state(daemon)
}

/// Events as they happen, a line of JSON each, until `stop`. They wait in the daemon for a reader that is slow, but not for ever.
fn events(follower: Follower, stop: CancellationToken) -> Response {
    let first = Arc::new(Event::of(Kind::Following));
    let later =
        stream::unfold(follower, async |mut follower| Some((follower.next().await?, follower)));
    let all = stream::once(std::future::ready(first)).chain(later);
    let lines = all.map(|event| serde_json::to_string(&*event).map(|line| line + "\n"));
    let kind = HeaderValue::from_static("application/x-ndjson");
    let body = Body::from_stream(lines.take_until(stop.cancelled_owned()));
    ([(CONTENT_TYPE, kind)], body).into_response()
}

async fn leases<D: Daemon>(State(daemon): State<D>, Path(who): Path<String>) -> Response {
    match daemon.lease_details(&who) {
        found if found.is_empty() => {
            let error = format!(
                "no endpoint is meant by {who:.80?}: name a container, its id or host name, an endpoint's id, a MAC or an \
                 address; `landfall status` shows them"
            );
            refuse(StatusCode::NOT_FOUND, error)
        }
        found => Json(found).into_response(),
    }
}

fn metrics_only<D: Daemon>() -> Router<D> {
    Router::new()
        .route("/metrics", get(async |State(daemon): State<D>| metrics::page(daemon.status())))
}

/// With an answer to whatever else is asked; `known`: what there is.
fn fenced<D: Daemon>(router: Router<D>, known: &'static str) -> Router<D> {
    router
        .fallback(async move |uri: Uri| {
            let error = format!("there is no {:.80}: ask for {known}", uri.path());
            refuse(StatusCode::NOT_FOUND, error)
        })
        .method_not_allowed_fallback(async || {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET".to_owned())
        })
}

/// JSON as `curl` shows it best: indented.
struct Json<T>(T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        match serde_json::to_string_pretty(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, json)], body + "\n").into_response(),
            Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

fn refuse(status: StatusCode, error: String) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
