//! Finding the daemon, and asking it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::NAME_AMONG_PLUGINS;

/// How long a daemon may take to answer. Its answers come from memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// A daemon's answer to `GET /v1/status`.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The socket it answered on.
    pub(crate) socket: PathBuf,
    /// Other sockets on which a daemon answers too.
    pub(crate) others: Vec<PathBuf>,
    /// The document, as it came.
    pub(crate) document: Bytes,
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
    let sockets = named.map_or_else(|| candidates(root), |socket| vec![socket.to_owned()]);
    let (mut tried, mut answered) = (Vec::new(), Vec::new());
    for socket in sockets {
        match ask(&socket).await {
            Ok(document) => answered.push((socket, document)),
            Err(failure) => tried.push((socket, failure)),
        }
    }
    let mut answered = answered.into_iter();
    match answered.next() {
        Some((socket, document)) => {
            let others = answered.map(|(socket, _)| socket).collect();
            Ok(Answer { socket, others, document })
        }
        None => Err(NotReachable { tried, named: named.is_some() }),
    }
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

async fn ask(socket: &Path) -> Result<Bytes, Failure> {
    let asked = async {
        let stream = UnixStream::connect(socket).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let answer = async {
            let request =
                Request::get("/v1/status").header(HOST, "landfall").body(Empty::<Bytes>::new());
            // The request is made of constants.
            let request = request.map_err(|error| io::Error::other(error.to_string()))?;
            let response = sender.send_request(request).await?;
            if response.status() != StatusCode::OK {
                return Err(Failure::Status(response.status()));
            }
            Ok(response.into_body().collect().await?.to_bytes())
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
