//! The argument of a call, taken from its body.

use axum::body::{HttpBody, to_bytes};
use axum::extract::{FromRequest, Request};
use serde_json::Value;

use super::answer::Failure;
use super::fields::Fields;

/// The largest body that is read. An engine's are a few kilobytes at most.
pub(super) const MAX_BODY: usize = 1 << 20;

/// A value that a call's argument becomes.
pub(super) trait FromFields: Sized {
    /// Reads it from the body's fields.
    fn from_fields(fields: &Fields<'_>) -> Result<Self, Failure>;
}

/// The argument of a call. Unlike axum's `Json` it wants no Content-Type, since the engine sends
/// none, and takes an empty body, which is how the engine writes "no argument".
pub(super) struct Argument<T>(pub(super) T);

impl<T: FromFields, S: Sync> FromRequest<S> for Argument<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        // What announces itself as too large is not waited for.
        if request.body().size_hint().lower() > MAX_BODY as u64 {
            return Err(Failure::TooLarge);
        }
        let bytes = to_bytes(request.into_body(), MAX_BODY).await.map_err(unread)?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|error| Failure::Malformed(format!("the body is not JSON: {error}")))?
        };
        T::from_fields(&Fields::of_body(&body)?).map(Argument)
    }
}

/// Why the body did not come in whole.
fn unread(error: axum::Error) -> Failure {
    let source = error.into_inner();
    if source.is::<http_body_util::LengthLimitError>() {
        Failure::TooLarge
    } else {
        Failure::Malformed(format!("the body did not come in whole: {source}"))
    }
}
