//! The daemon's end of the admin socket.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::json;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::engine::api::Status;

/// How long answers under way may take to go out once the daemon stops.
const GRACE: Duration = Duration::from_secs(1);

/// Answers operators on `listener` until `stop`, with what `status` returns at that moment.
pub(crate) async fn serve<S>(listener: UnixListener, status: S, stop: CancellationToken)
where
    S: Fn() -> Status + Clone + Send + Sync + 'static,
{
    let served = axum::serve(listener, router(status))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
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

fn router<S>(status: S) -> Router
where
    S: Fn() -> Status + Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/v1/status", get(async |State(status): State<S>| Json(status())))
        .route("/v1/version", get(async || Json(json!({ "version": env!("CARGO_PKG_VERSION") }))))
        .fallback(async |uri: Uri| {
            refuse(
                StatusCode::NOT_FOUND,
                format!("there is no {:.80}: ask for /v1/status or /v1/version", uri.path()),
            )
        })
        .method_not_allowed_fallback(async || {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET".to_owned())
        })
        .with_state(status)
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
