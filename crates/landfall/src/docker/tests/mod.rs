//! The wire as engines speak it: raw bytes on a unix socket, and an engine with a script behind it.

mod calls;
mod fake;
mod hangup;
mod hostile;
mod ipam;
mod recorded;
mod transport;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::containers::Containers;
use super::serve;
use fake::Fake;

/// The driver on a socket of its own.
struct Served {
    folder: tempfile::TempDir,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    fn new(fake: Fake) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("landfall.sock")).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, fake, Containers::under(Vec::new()), stop.clone()));
        Served { folder, stop, task }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("landfall.sock")
    }

    async fn connect(&self) -> Connection {
        Connection(UnixStream::connect(self.path()).await.unwrap())
    }

    /// Posts `body` on a connection of its own.
    async fn call(&self, call: &str, body: &str) -> Reply {
        self.connect().await.exchange(&engine_28(call, body.as_bytes())).await
    }
}

/// An engine's end of a connection.
struct Connection(UnixStream);

impl Connection {
    /// The driver may answer and close before it has read all: what it answered is what counts.
    async fn send(&mut self, bytes: &[u8]) {
        match self.0.write_all(bytes).await {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => panic!("{error}"),
            _ => {}
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Reply {
        self.send(request).await;
        self.reply().await.expect("an answer")
    }

    /// The next answer; none if the connection ends without one.
    async fn reply(&mut self) -> Option<Reply> {
        // The longest that the driver takes by itself are the two seconds at its end.
        tokio::time::timeout(Duration::from_secs(10), self.read_reply()).await.expect("in time")
    }

    async fn read_reply(&mut self) -> Option<Reply> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) if head.is_empty() => return None,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let header = |name: &str| {
            head.lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
        };
        let mut body = vec![0; header("content-length").expect("a length").parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        Some(Reply {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            content_type: header("content-type").unwrap_or_default(),
            body: String::from_utf8(body).unwrap(),
        })
    }
}

/// An answer, as an engine reads it.
#[derive(Debug)]
struct Reply {
    status: u16,
    content_type: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The error's text, as the user gets it to see.
    fn error(&self) -> String {
        self.json()["Err"].as_str().unwrap_or_else(|| panic!("no Err: {self:?}")).to_owned()
    }
}

/// A request as Engine 28 writes it; 26.1 does the same.
fn engine_28(call: &str, body: &[u8]) -> Vec<u8> {
    request(call, "plugin.moby.localhost", body)
}

/// A request as Engine 20.10 writes it: its host has no name.
fn engine_20(call: &str, body: &[u8]) -> Vec<u8> {
    request(call, "", body)
}

fn request(call: &str, host: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST /{call} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Go-http-client/1.1\r\n\
         Content-Length: {}\r\nAccept: application/vnd.docker.plugins.v1.2+json\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend(body);
    bytes
}
