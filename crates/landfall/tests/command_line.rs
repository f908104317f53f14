//! The binary as a user and a service manager see it.
//!
//! Each daemon has a network namespace and a `/run` of its own, so that none touches this host's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn landfall(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A daemon with all its files in a folder of its own.
struct Daemon {
    folder: tempfile::TempDir,
    child: Child,
    log: BufReader<ChildStdout>,
}

impl Daemon {
    fn command(folder: &tempfile::TempDir) -> Command {
        Self::command_after(folder, "")
    }

    /// One that a shell starts after it has done something.
    fn command_after(folder: &tempfile::TempDir, script: &str) -> Command {
        // `unshare` becomes the shell and that the daemon, so the child's pid is the daemon's.
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--mount", "sh", "-c"])
            .arg(format!("mount -t tmpfs none /run && {script} exec \"$0\" serve"))
            .arg(env!("CARGO_BIN_EXE_landfall"))
            .env("LANDFALL_PLUGIN_SOCKET", folder.path().join("plugins/landfall.sock"))
            .env("LANDFALL_ADMIN_SOCKET", folder.path().join("run/admin.sock"))
            .env("LANDFALL_STATE_DIR", folder.path().join("state"))
            .stdout(Stdio::piped());
        command
    }

    fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// Starts one and waits until it serves.
    fn start_with(change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Self::command(&folder);
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stdout.take().unwrap());
        let mut daemon = Daemon { folder, child, log };
        daemon.until_logged("serving");
        daemon
    }

    /// Reads the log up to a line with this text.
    fn until_logged(&mut self, text: &str) {
        let mut log = String::new();
        while self.log.read_line(&mut log).unwrap() > 0 {
            if log.lines().next_back().is_some_and(|line| line.contains(text)) {
                return;
            }
        }
        panic!("{text:?} never came in the log:\n{log}");
    }

    fn plugin_socket(&self) -> PathBuf {
        self.folder.path().join("plugins/landfall.sock")
    }

    fn admin_socket(&self) -> PathBuf {
        self.folder.path().join("run/admin.sock")
    }

    fn status(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        run(landfall(&["status"]).args(arguments).env("LANDFALL_ADMIN_SOCKET", self.admin_socket()))
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn version() {
    let version = format!("landfall {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in ["version", "--version", "-V"] {
        assert_eq!(run(&mut landfall(&[arguments])), (Some(0), version.clone(), String::new()));
    }
}

#[test]
fn help() {
    let mut all = String::new();
    let commands: [&[&str]; 6] = [
        &["serve"],
        &["status"],
        &["lease", "show"],
        &["events"],
        &["doctor"],
        &["network", "create"],
    ];
    for command in [&[][..]].into_iter().chain(commands) {
        let arguments = &[command, &["--help"]].concat();
        let (code, text, _) = run(&mut landfall(arguments));
        assert_eq!(code, Some(0));
        all += &format!("$ landfall {}\n{text}\n", arguments.join(" "));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn wrong_usage_is_2() {
    for (arguments, reason) in [
        (&["dance"][..], "unrecognized subcommand"),
        (&["status", "--jso"], "--json"),
        (&["status", "--json", "--no-headers"], "cannot be used with"),
        (&["doctor", "--wait", "0"], "1..=60"),
        (&["doctor", "--wait", "3", "--no-probe"], "cannot be used with"),
        (&["serve", "--log-level", "loud"], "\"loud\" is no log level: give error, warn"),
        (&[], "Usage:"),
    ] {
        let (code, out, err) = run(&mut landfall(arguments));
        assert_eq!((code, &*out), (Some(2), ""), "{arguments:?}");
        assert!(err.contains(reason), "{arguments:?}: {err}");
    }
    let (code, _, err) = run(landfall(&["serve"]).env("LOG_LEVEL", "inof"));
    assert_eq!(code, Some(2));
    assert!(err.contains("\"inof\" is no log level"), "{err}");
}

#[test]
fn no_daemon_is_3() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let (code, out, err) = run(landfall(&["status", "--admin-socket"]).arg(&socket));
    assert_eq!((code, &*out), (Some(3), ""));
    assert!(err.contains(&format!("{}: nothing there", socket.display())), "{err}");
}

#[test]
fn serves_and_ends_at_once() {
    for signal in ["-TERM", "-INT"] {
        let mut daemon = Daemon::start();
        for socket in [daemon.plugin_socket(), daemon.admin_socket()] {
            assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let request = "POST /Plugin.Activate HTTP/1.1\r\nHost: plugin.moby.localhost\r\n\
                       Content-Length: 0\r\n\r\n";
        let mut docker = UnixStream::connect(daemon.plugin_socket()).unwrap();
        docker.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 15];
        docker.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");

        let asked = Instant::now();
        daemon.signal(signal);
        let status = daemon.child.wait().unwrap();
        // The connection above is open still.
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        assert_eq!(status.code(), Some(0), "signal {:?}", status.signal());
        assert!(!daemon.plugin_socket().exists());
        assert!(!daemon.admin_socket().exists());
    }
}

#[test]
fn status_of_a_daemon_with_nothing_to_do() {
    let daemon = Daemon::start();
    let nothing = "No containers (no network).\n".to_owned();
    assert_eq!(daemon.status(&[]), (Some(0), nothing, String::new()));
    assert_eq!(daemon.status(&["--no-headers"]), (Some(0), String::new(), String::new()));
    let (code, json, _) = daemon.status(&["--json"]);
    assert_eq!(code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&json["networks"], &json["endpoints"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
}

/// A reader who has seen enough is no failure.
#[test]
fn standard_output_may_be_closed() {
    let daemon = Daemon::start();
    let mut child = landfall(&["status"])
        .env("LANDFALL_ADMIN_SOCKET", daemon.admin_socket())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap()), (Some(0), String::new()));
}

#[test]
fn a_second_daemon_does_not_take_the_socket_over() {
    let daemon = Daemon::start();
    let mut second = Daemon::command(&daemon.folder);
    let (code, _, err) = run(second.stderr(Stdio::piped()));
    assert_eq!(code, Some(1));
    let socket = daemon.plugin_socket();
    assert!(err.contains(&format!("already answers on {}", socket.display())), "{err}");
    assert!(socket.exists());
    assert_eq!(daemon.status(&[]).0, Some(0));
}

/// After a crash the sockets are there still; the next daemon replaces them.
#[test]
fn starts_again_after_a_crash() {
    let mut daemon = Daemon::start();
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    assert!(daemon.plugin_socket().exists());
    assert_eq!(daemon.status(&[]).0, Some(3));

    daemon.child = Daemon::command(&daemon.folder).spawn().unwrap();
    daemon.log = BufReader::new(daemon.child.stdout.take().unwrap());
    daemon.until_logged("serving");
    assert_eq!(daemon.status(&[]).0, Some(0));
}

/// A state folder that cannot be one is a failure with a reason, and leaves no socket.
#[test]
fn a_failed_start_is_1() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state"), "a file").unwrap();
    let (code, _, err) = run(Daemon::command(&folder).stderr(Stdio::piped()));
    assert_eq!(code, Some(1));
    assert!(err.starts_with("landfall: "), "{err}");
    assert!(err.contains(&folder.path().join("state").display().to_string()), "{err}");
    assert!(!folder.path().join("plugins/landfall.sock").exists());
    assert!(!folder.path().join("run/admin.sock").exists());
}

/// A daemon that is started as systemd starts it, which listens on a socket in its place.
fn handed(folder: &tempfile::TempDir, listener: &UnixListener) -> Command {
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1;";
    let mut command = Daemon::command_after(folder, script);
    command.stdin(OwnedFd::from(listener.try_clone().unwrap()));
    command
}

/// Calls wait while there is no daemon, and its end is not the socket's.
#[test]
fn takes_over_the_socket_that_systemd_listens_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plugins/landfall.sock");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let ask = || {
        let mut docker = UnixStream::connect(&path).unwrap();
        let request =
            b"POST /Plugin.Activate HTTP/1.1\r\nHost: landfall\r\nContent-Length: 0\r\n\r\n";
        docker.write_all(request).unwrap();
        docker
    };
    let answered = |mut docker: UnixStream| {
        let mut answer = [0; 15];
        docker.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    };
    for _ in 0..2 {
        let early = ask();
        let mut child = handed(&folder, &listener).spawn().unwrap();
        answered(early);
        answered(ask());
        let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(killed.success() && child.wait().unwrap().success());
        assert!(path.exists() && !folder.path().join("run/admin.sock").exists());
    }
}

#[test]
fn refuses_a_socket_that_is_neither_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (code, _, err) = run(handed(&folder, &listener).stderr(Stdio::piped()));
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("systemd listens on {}", path.display())), "{err}");
    assert!(err.contains("ListenStream="), "{err}");
    assert!(!folder.path().join("plugins/landfall.sock").exists());
}

#[test]
fn tells_systemd() {
    let folder = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let told = || {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap().trim().to_owned()
    };
    let daemon = Daemon::start_with(|command| {
        command.env("NOTIFY_SOCKET", folder.path().join("notify"));
    });
    assert_eq!(told(), "READY=1");
    daemon.signal("-TERM");
    assert_eq!(told(), "STOPPING=1");
}
