//! What holds for every call: a panic costs that call only, a stopping daemon waits for none, and
//! the log tells of it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::answer::Failure;

/// Runs a call within the future that hyper drops when the caller hangs up. A task of its own
/// would catch a panic as well, but would go on without its caller, and nothing would be undone.
pub(super) async fn guard(
    State(abandon): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    let mut under_way = UnderWay::new(request.uri().path());
    let response = tokio::select! {
        outcome = AssertUnwindSafe(next.run(request)).catch_unwind() => {
            outcome.unwrap_or_else(|panic| Failure::Bug(said(panic.as_ref())).into_response())
        }
        () = abandon.cancelled() => Failure::Stopping.into_response(),
    };
    under_way.answered(response.extensions().get());
    response
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic").into()
}

/// A call in the log: how it ended, and after how long.
struct UnderWay {
    call: String,
    since: Instant,
    answered: bool,
}

impl UnderWay {
    fn new(path: &str) -> Self {
        let call = path.trim_start_matches('/').chars().take(80).collect();
        UnderWay { call, since: Instant::now(), answered: false }
    }

    fn answered(&mut self, failure: Option<&Failure>) {
        self.answered = true;
        let (call, took) = (&self.call, self.since.elapsed());
        match failure {
            None => debug!(call, ?took, "answered"),
            Some(failure @ Failure::Bug(_)) => error!(call, ?took, "{failure}"),
            Some(failure) => warn!(call, ?took, "{failure}"),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.answered {
            let (call, took) = (&self.call, self.since.elapsed());
            warn!(call, ?took, "the caller hung up before it was answered");
        }
    }
}
