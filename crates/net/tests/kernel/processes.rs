//! Processes found by their namespace, and what they call themselves.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use net::process::{
    container_id, in_initial_user_namespace, in_netns, is_in_netns, share_uts, uts_host_name,
};
use net::{HostNameChanges, Netns};
use nix::unistd::Pid;

use crate::common::in_fresh_netns;

/// A process in a UTS namespace of its own that does as it is told, line by line.
struct Told(Child);

impl Told {
    /// Starts it in the namespace of the calling thread.
    fn start() -> Self {
        let child = Command::new("unshare")
            .args(["--uts", "sh", "-c", "while read line; do eval \"$line\"; echo done; done"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = Self(child);
        told.tell("true");
        told
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{command}").unwrap();
        let mut answer = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n");
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_process_is_found_by_its_namespace_as_long_as_it_lives() {
    let netns = Netns::create().unwrap();
    let inode = netns.inode().unwrap();
    // The test's own thread in it does not count: the process is elsewhere.
    assert_eq!(netns.run(|| in_netns(inode)).unwrap(), None);
    let first = netns.run(Told::start).unwrap();
    assert_eq!(in_netns(inode), Some(first.pid()));
    assert!(is_in_netns(first.pid(), inode));
    assert!(!is_in_netns(first.pid(), inode + 1));
    let pid = first.pid();
    drop(first);
    assert!(!is_in_netns(pid, inode));
    assert_eq!(in_netns(inode), None);
    assert_eq!(in_netns(0), None);
}

#[test]
fn the_host_name_of_a_process_is_read_and_ours_untouched() {
    let mut other = Told::start();
    let ours = nix::unistd::gethostname().unwrap();
    other.tell("hostname web.example");
    assert_eq!(uts_host_name(other.pid()).unwrap(), "web.example");
    assert_eq!(nix::unistd::gethostname().unwrap(), ours);
    assert!(!share_uts(other.pid(), Pid::this()).unwrap());
    assert!(share_uts(Pid::parent(), Pid::this()).unwrap());
    let gone = other.pid();
    drop(other);
    let error = uts_host_name(gone).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(error.to_string().contains(&gone.to_string()), "{error}");
    assert_eq!(container_id(gone), None);
}

#[test]
fn a_change_of_a_host_name_is_noticed() {
    in_fresh_netns(|| async {
        let mut other = Told::start();
        let mut changes = HostNameChanges::new().unwrap();
        other.tell("hostname changed");
        // Other tests change names as well, and nobody says whose it was.
        loop {
            changes.changed().await.unwrap();
            if uts_host_name(other.pid()).unwrap() == "changed" {
                break;
            }
        }
    });
}

#[test]
fn a_user_namespace_is_noticed() {
    assert!(in_initial_user_namespace());
    let program = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(program)
        .args(["processes::errand_look_from_a_user_namespace", "--exact"])
        .env("LANDFALL_TEST_ERRAND", "look")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn errand_look_from_a_user_namespace() {
    if std::env::var_os("LANDFALL_TEST_ERRAND").is_some() {
        assert!(!in_initial_user_namespace());
    }
}
