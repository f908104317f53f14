//! Finding the daemon, and asking it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::NAME_AMONG_PLUGINS;

/// How long a daemon may take to answer. Its answers come from memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// A daemon's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The socket it answered on.
    pub(crate) socket: PathBuf,
    /// Other sockets on which a daemon answers too.
    pub(crate) others: Vec<PathBuf>,
    /// The document, as it came.
    pub(crate) document: Bytes,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// No daemon answered.
    #[error(transparent)]
    NotReachable(#[from] NotReachable),
    /// One did, and has no such thing.
    #[error("{words}")]
    NotFound {
        /// The socket it answered on.
        socket: PathBuf,
        /// What it says.
        words: String,
    },
}

/// No daemon answered.
#[derive(Debug)]
pub(crate) struct NotReachable {
    /// What was tried, and what came of it, in that order.
    tried: Vec<(PathBuf, Failure)>,
    /// Whether the user named the socket.
    named: bool,
}

/// What kept a socket from answering.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("nothing there")]
    Absent,
    #[error("a socket that nothing listens on: its daemon is gone")]
    Stale,
    #[error("permission denied: ask as root")]
    Denied,
    #[error("no answer within {}s: the daemon hangs, or is still starting", PATIENCE.as_secs())]
    Silent,
    #[error("answers {0}: no Landfall daemon, or one of another version")]
    Status(StatusCode),
    /// A daemon that has no such thing; what it says.
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Io(io::Error),
    #[error("does not speak HTTP: {0}")]
    Http(#[from] hyper::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Failure::Absent,
            io::ErrorKind::ConnectionRefused => Failure::Stale,
            io::ErrorKind::PermissionDenied => Failure::Denied,
            _ => Failure::Io(error),
        }
    }
}

/// Asks for the status: of the daemon on `named`, else of the first that answers where daemons
/// are: the service's socket, then those of managed plugins. `root` is `/`.
pub(crate) async fn status(named: Option<&Path>, root: &Path) -> Result<Answer, NotReachable> {
    match get("/v1/status", named, root).await {
        Ok(answer) => Ok(answer),
        Err(NoAnswer::NotReachable(error)) => Err(error),
        // Something answers there that has no status.
        Err(NoAnswer::NotFound { socket, words }) => Err(NotReachable {
            tried: vec![(socket, Failure::NotFound(words))],
            named: named.is_some(),
        }),
    }
}

/// Asks for the document at `path`, in the same way: the first that there is.
pub(crate) async fn get(path: &str, named: Option<&Path>, root: &Path) -> Result<Answer, NoAnswer> {
    let sockets = named.map_or_else(|| candidates(root), |socket| vec![socket.to_owned()]);
    let (mut tried, mut answered, mut missing) = (Vec::new(), Vec::new(), None);
    for socket in sockets {
        match ask(&socket, path).await {
            Ok(document) => answered.push((socket, document)),
            Err(Failure::NotFound(words)) => missing = missing.or(Some((socket, words))),
            Err(failure) => tried.push((socket, failure)),
        }
    }
    let mut answered = answered.into_iter();
    match answered.next() {
        Some((socket, document)) => {
            let others = answered.map(|(socket, _)| socket).collect();
            Ok(Answer { socket, others, document })
        }
        None => Err(match missing {
            Some((socket, words)) => NoAnswer::NotFound { socket, words },
            None => NotReachable { tried, named: named.is_some() }.into(),
        }),
    }
}

/// A document without end: lines as they come.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    connection: JoinHandle<()>,
    /// What has come of a line that has not ended yet, or of several that have.
    rest: Vec<u8>,
}

impl Lines {
    /// The next line, without its end; `None` when the daemon has ended.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=end).collect();
                line.pop();
                return Some(line);
            }
            let frame = self.body.frame().await?.ok()?;
            self.rest.extend(frame.into_data().unwrap_or_default());
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Follows what the daemon tells at `path`, in the same way; none of it is waited for.
pub(crate) async fn follow(
    path: &str,
    named: Option<&Path>,
    root: &Path,
) -> Result<Lines, NotReachable> {
    let sockets = named.map_or_else(|| candidates(root), |socket| vec![socket.to_owned()]);
    let mut tried = Vec::new();
    for socket in sockets {
        let opened = tokio::time::timeout(PATIENCE, open(&socket, path));
        match opened.await.unwrap_or(Err(Failure::Silent)) {
            Ok(lines) => return Ok(lines),
            Err(failure) => tried.push((socket, failure)),
        }
    }
    Err(NotReachable { tried, named: named.is_some() })
}

async fn open(socket: &Path, path: &str) -> Result<Lines, Failure> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(async move {
        // How it ended is told by the body.
        let _ = connection.await;
    });
    let request = Request::get(path).header(HOST, "landfall").body(Empty::<Bytes>::new());
    let request = request.map_err(|error| io::Error::other(error.to_string()))?;
    let response = sender.send_request(request).await?;
    match response.status() {
        StatusCode::OK => Ok(Lines { body: response.into_body(), connection, rest: Vec::new() }),
        status => Err(Failure::Status(status)),
    }
}

/// A part of a path, with what is no letter, digit or the like in hexadecimal digits (RFC 3986 §2.1).
pub(crate) fn encoded(part: &str) -> String {
    let mut path = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            path.push(byte.into());
        } else {
            path += &format!("%{byte:02X}");
        }
    }
    path
}

/// Where a daemon's admin socket may be: the service's; inside the managed plugin, its own; on the
/// host, one for each plugin that has one. Also those that are not there, for the error's sake.
fn candidates(root: &Path) -> Vec<PathBuf> {
    let plugins = root.join("run/docker/plugins");
    let mut of_plugins: Vec<PathBuf> = std::fs::read_dir(&plugins)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join(NAME_AMONG_PLUGINS))
        .filter(|socket| socket.exists())
        .collect();
    of_plugins.sort();
    let mut all = vec![root.join("run/landfall/admin.sock"), plugins.join(NAME_AMONG_PLUGINS)];
    all.append(&mut of_plugins);
    all
}

/// The words in which a daemon says no.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

async fn ask(socket: &Path, path: &str) -> Result<Bytes, Failure> {
    let asked = async {
        let stream = UnixStream::connect(socket).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let answer = async {
            let request = Request::get(path).header(HOST, "landfall").body(Empty::<Bytes>::new());
            // The path is made of constants and of what is encoded.
            let request = request.map_err(|error| io::Error::other(error.to_string()))?;
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            match status {
                StatusCode::OK => Ok(body),
                StatusCode::NOT_FOUND => Err(match serde_json::from_slice(&body) {
                    Ok(Refusal { error }) => Failure::NotFound(error),
                    Err(_) => Failure::Status(status),
                }),
                _ => Err(Failure::Status(status)),
            }
        };
        tokio::pin!(answer);
        tokio::select! {
            done = &mut answer => done,
            ended = connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(error.into()),
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(Failure::Silent))
}

impl fmt::Display for NotReachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no Landfall daemon answers; looked at")?;
        for (socket, failure) in &self.tried {
            writeln!(f, "  {}: {failure}", socket.display())?;
        }
        let todo = if self.named {
            "Is that the daemon's --admin-socket? Without one, `landfall status` looks for it."
        } else {
            "Start it (`systemctl start landfall`, or `docker plugin enable PLUGIN`), or name its \
             socket with --admin-socket."
        };
        f.write_str(todo)
    }
}

impl std::error::Error for NotReachable {}
