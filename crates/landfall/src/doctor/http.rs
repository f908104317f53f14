//! One question over HTTP/1.1 on a unix socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// How long the other end may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const LONGEST: usize = 4 << 20;

/// Asks for `path` and reads the answer as JSON.
///
/// # Errors
/// When nobody listens, the answer is none of HTTP with status 200 and JSON, or does not come
/// within five seconds.
pub(super) async fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> io::Result<T> {
    let asked = async {
        let stream = UnixStream::connect(socket).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(other)?;
        let answer = async {
            let request = Request::get(path).header(HOST, "docker").body(Empty::<Bytes>::new());
            let response = sender.send_request(request.map_err(other)?).await.map_err(other)?;
            if response.status() != StatusCode::OK {
                return Err(other(format!("GET {path} is answered {}", response.status())));
            }
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            serde_json::from_slice(&body.map_err(other)?.to_bytes()).map_err(other)
        };
        tokio::pin!(answer);
        tokio::select! {
            done = &mut answer => done,
            _ = connection => answer.await,
        }
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(late()))
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
