//! The admin socket from both ends.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::server::Daemon;
use super::{client, sample, serve};
use crate::engine::api::{LeaseDetails, Status};
use crate::engine::changes::Change;
use crate::engine::events::{Event, Events, Follower, Kind};
use crate::engine::ids::NetworkId;

static EVENTS: LazyLock<Events> = LazyLock::new(Events::default);

/// A daemon that answers what the test says.
#[derive(Clone)]
struct Fake<S>(S);

impl<S: Fn() -> Status + Clone + Send + Sync + 'static> Daemon for Fake<S> {
    fn status(&self) -> Status {
        self.0()
    }

    fn lease_details(&self, who: &str) -> Vec<LeaseDetails> {
        if who == "web 1/2%" { sample::leases() } else { Vec::new() }
    }

    fn follow(&self) -> Follower {
        EVENTS.follow()
    }
}

/// A daemon that answers on `path` with the sample until the returned token is cancelled.
fn daemon(path: &Path) -> CancellationToken {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let stop = CancellationToken::new();
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(serve(listener, Fake(sample::status), stop.clone()));
    stop
}

/// The status code and the body.
async fn raw(path: &Path, request: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn the_document_of_v1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    daemon(&path);
    let answer = client::status(Some(&path), Path::new("/")).await.unwrap();
    insta::assert_snapshot!(String::from_utf8(answer.document.into()).unwrap());
}

fn fields(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                into.insert(name.clone());
                fields(value, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, into)),
        _ => {}
    }
}

/// The fields that a document describes.
fn described(schema: &str) -> BTreeSet<String> {
    let rows = schema.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// Every field that the daemon sends is described, and every one described is sent.
#[test]
fn the_schemas_tell_all_fields() {
    let mut sent = BTreeSet::new();
    fields(&serde_json::to_value(sample::status()).unwrap(), &mut sent);
    assert_eq!(sent, described(include_str!("../../../../docs/status-schema.md")));
    let mut sent = BTreeSet::new();
    let mut leases = serde_json::to_value(sample::leases()).unwrap();
    // As the other document has it.
    leases[0]["endpoint"] = Value::Null;
    fields(&leases, &mut sent);
    assert_eq!(sent, described(include_str!("../../../../docs/lease-schema.md")));
}

#[tokio::test]
async fn leases_by_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    daemon(&path);
    let ask = async |who| {
        let of = format!("/v1/leases/{}", client::encoded(who));
        client::get(&of, Some(&path), Path::new("/")).await
    };
    let found = ask("web 1/2%").await.unwrap();
    let found: Vec<LeaseDetails> = serde_json::from_slice(&found.document).unwrap();
    assert_eq!(found[0].options, sample::leases()[0].options);
    let error = ask("nobody").await.unwrap_err().to_string();
    assert!(error.starts_with("no endpoint is meant by \"nobody\": name a container"), "{error}");
}

/// A page has every kind of event and every field, and no others.
#[test]
fn the_page_about_events_has_all() {
    let id = || "e1".to_owned();
    let event = Event {
        network: Some(NetworkId::new("n1").unwrap()),
        endpoint: Some(id().try_into().unwrap()),
        name: Some("web".into()),
        container: Some("c1".into()),
        host_name: Some("web".into()),
        mac: Some("02:00:00:00:00:42".parse().unwrap()),
        address: Some(id()),
        server: Some(std::net::Ipv4Addr::LOCALHOST),
        holder: Some("02:00:00:00:00:43".parse().unwrap()),
        changes: vec![Change { what: id(), before: None, now: Some(id()) }],
        reason: Some(id()),
        missed: Some(7),
        ..Event::of(Kind::Missed)
    };
    let mut expected = BTreeSet::new();
    fields(&serde_json::to_value(event).unwrap(), &mut expected);
    let kinds = Kind::ALL.map(|kind| serde_json::to_value(kind).unwrap());
    expected.extend(kinds.iter().map(|kind| kind.as_str().unwrap().to_owned()));
    assert_eq!(described(include_str!("../../../../docs/events.md")), expected);
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_missed_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let stop = daemon(&path);
    let mut lines = client::follow("/v1/events", Some(&path), Path::new("/")).await.unwrap();
    let read = async |lines: &mut client::Lines| -> Option<Event> {
        Some(serde_json::from_slice(&lines.next().await?).unwrap())
    };
    assert_eq!(read(&mut lines).await.unwrap().event, Kind::Following);
    // More than all buffers on the way take, and nobody reads: the daemon's part is done at once.
    let reason = Some("x".repeat(1000));
    for _ in 0..10_000 {
        EVENTS.tell(Event { reason: reason.clone(), ..Event::of(Kind::LeaseRenewed) });
        tokio::task::yield_now().await;
    }
    EVENTS.tell(Event::of(Kind::NetworkMade));
    let (mut seen, mut missed) = (0, 0);
    loop {
        let event = read(&mut lines).await.unwrap();
        match event.event {
            Kind::NetworkMade => break,
            Kind::Missed => missed += event.missed.unwrap(),
            _ => seen += 1,
        }
    }
    assert!(missed > 0 && seen > 100, "{seen} seen");
    assert_eq!(seen + missed, 10_000);
    // It ends with the daemon.
    stop.cancel();
    assert!(read(&mut lines).await.is_none());
}

#[tokio::test]
async fn version_and_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    daemon(&path);
    let (code, body) = raw(&path, "GET /v1/version").await;
    assert_eq!((code, &body["version"]), (200, &env!("CARGO_PKG_VERSION").into()));
    let (code, body) = raw(&path, "GET /v2/status").await;
    assert_eq!(code, 404);
    assert!(body["error"].as_str().unwrap().contains("/v1/status"), "{body}");
    let (code, body) = raw(&path, "DELETE /v1/status").await;
    assert_eq!(code, 405);
    assert!(body["error"].is_string(), "{body}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_one_who_does_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let stop = CancellationToken::new();
    let listener = UnixListener::bind(&path).unwrap();
    // More than any socket's buffer takes.
    let long = || {
        let mut status = sample::status();
        status.endpoints[0].host_name = Some("x".repeat(4 << 20));
        status
    };
    let task = tokio::spawn(serve(listener, Fake(long), stop.clone()));
    let mut slow = UnixStream::connect(&path).await.unwrap();
    slow.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    slow.read_u8().await.unwrap();
    stop.cancel();
    let wait = std::time::Duration::from_secs(5);
    tokio::time::timeout(wait, task).await.expect("it ends").unwrap();
}

/// The places where a daemon may be, below a root of the test's own.
fn service(root: &Path) -> PathBuf {
    root.join("run/landfall/admin.sock")
}

fn plugin(root: &Path, id: &str) -> PathBuf {
    root.join("run/docker/plugins").join(id).join("landfall-admin.sock")
}

#[tokio::test]
async fn finds_the_service() {
    let root = tempfile::tempdir().unwrap();
    daemon(&service(root.path()));
    let answer = client::status(None, root.path()).await.unwrap();
    assert_eq!((answer.socket, answer.others), (service(root.path()), vec![]));
}

#[tokio::test]
async fn finds_the_managed_plugin_from_the_host_and_from_inside() {
    for place in ["77c0ffee", ""] {
        let root = tempfile::tempdir().unwrap();
        daemon(&plugin(root.path(), place));
        // Other plugins have folders there too.
        std::fs::create_dir_all(root.path().join("run/docker/plugins/0other")).unwrap();
        let answer = client::status(None, root.path()).await.unwrap();
        assert_eq!((answer.socket, answer.others), (plugin(root.path(), place), vec![]));
    }
}

#[tokio::test]
async fn a_dead_socket_does_not_hide_a_living_one() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(service(root.path()).parent().unwrap()).unwrap();
    drop(UnixListener::bind(service(root.path())).unwrap());
    daemon(&plugin(root.path(), "b"));
    let answer = client::status(None, root.path()).await.unwrap();
    assert_eq!(answer.socket, plugin(root.path(), "b"));
}

#[tokio::test]
async fn tells_of_others_that_answer() {
    let root = tempfile::tempdir().unwrap();
    daemon(&plugin(root.path(), "b"));
    daemon(&plugin(root.path(), "a"));
    daemon(&service(root.path()));
    let answer = client::status(None, root.path()).await.unwrap();
    assert_eq!(answer.socket, service(root.path()));
    assert_eq!(answer.others, [plugin(root.path(), "a"), plugin(root.path(), "b")]);
}

/// What the error says of each place, without the root of the test's own.
async fn error(named: Option<&Path>, root: &Path) -> String {
    let error = client::status(named, root).await.unwrap_err();
    error.to_string().replace(&root.display().to_string(), "")
}

#[tokio::test]
async fn finding_nothing_says_where_it_looked() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(plugin(root.path(), "a").parent().unwrap()).unwrap();
    drop(UnixListener::bind(plugin(root.path(), "a")).unwrap());
    insta::assert_snapshot!(error(None, root.path()).await, @r"
    no Landfall daemon answers; looked at
      /run/landfall/admin.sock: nothing there
      /run/docker/plugins/landfall-admin.sock: nothing there
      /run/docker/plugins/a/landfall-admin.sock: a socket that nothing listens on: its daemon is gone
    Start it (`systemctl start landfall`, or `docker plugin enable PLUGIN`), or name its socket with --admin-socket.
    ");
}

#[tokio::test]
async fn a_named_socket_is_the_only_one_asked() {
    let root = tempfile::tempdir().unwrap();
    daemon(&service(root.path()));
    let named = root.path().join("other.sock");
    insta::assert_snapshot!(error(Some(&named), root.path()).await, @r"
    no Landfall daemon answers; looked at
      /other.sock: nothing there
    Is that the daemon's --admin-socket? Without one, `landfall status` looks for it.
    ");
}

#[tokio::test]
async fn what_answers_otherwise_is_no_daemon() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("other.sock");
    for (answer, reason) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answers 404 Not Found"),
        ("SSH-2.0-other\r\n", "does not speak HTTP"),
        ("", "does not speak HTTP"),
    ] {
        let listener = UnixListener::bind(&path).unwrap();
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // All of the request first: closing before it is read would be another error.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let error = error(Some(&path), root.path()).await;
        assert!(error.contains(reason), "{error}");
        other.await.unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
