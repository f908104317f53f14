//! Files that are mounted one by one into a container, which may have anything else in their place.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use net::{Rewritten, rewrite_mounted};
use nix::unistd::Pid;

/// A root of its own with files of many kinds in it, and a process there.
struct Container {
    process: Child,
    /// What is mounted into it, outside.
    folder: tempfile::TempDir,
}

const SCRIPT: &str = r#"set -e
R=$(mktemp -d); mount -t tmpfs none "$R"; mkdir "$R/usr" "$R/etc" "$R/real"
mount --rbind /usr "$R/usr"
for name in bin lib lib64; do ln -s "usr/$name" "$R/$name"; done
for name in mounted read-only pipe; do : > "$R/etc/$name"; done
mount --bind "$1/mounted" "$R/etc/mounted"
mount --bind "$1/read-only" "$R/etc/read-only"; mount -o remount,bind,ro "$R/etc/read-only"
mkfifo "$1/pipe"; mount --bind "$1/pipe" "$R/etc/pipe"
echo inside > "$R/etc/plain"
ln -s "$1/victim" "$R/etc/to-the-host"; ln -s mounted "$R/etc/to-mounted"
ln -s /etc "$R/folder"
echo ready; exec chroot "$R" sleep infinity"#;

impl Container {
    fn new() -> Container {
        let folder = tempfile::tempdir().unwrap();
        for name in ["mounted", "read-only", "victim"] {
            fs::write(folder.path().join(name), "old, and longer\n").unwrap();
        }
        let mut process = Command::new("unshare")
            .args(["--mount", "sh", "-c", SCRIPT, "container"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let container = Container { process, folder };
        // `exec` follows the word.
        while fs::read_link(format!("/proc/{}/root", container.pid())).unwrap() == Path::new("/") {
            std::thread::yield_now();
        }
        container
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().try_into().unwrap())
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn rewrite(&self, path: &str) -> net::Result<Rewritten> {
        rewrite_mounted(self.pid(), Pid::this(), path, |_| Some("new\n".into()))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_mounted_file_is_rewritten_in_place() {
    let container = Container::new();
    assert_eq!(container.rewrite("/etc/mounted").unwrap(), Rewritten::Changed);
    assert_eq!(fs::read_to_string(container.outside("mounted")).unwrap(), "new\n");
    assert_eq!(container.rewrite("/etc/mounted").unwrap(), Rewritten::Same);
    let refused = rewrite_mounted(container.pid(), Pid::this(), "/etc/mounted", |old| {
        assert_eq!(old, "new\n");
        None
    });
    assert_eq!(refused.unwrap(), Rewritten::Refused);
    // No text, and too long for one.
    for bytes in [vec![0xff], vec![b'x'; 65 * 1024]] {
        fs::write(container.outside("mounted"), &bytes).unwrap();
        assert_eq!(container.rewrite("/etc/mounted").unwrap(), Rewritten::Refused);
        assert_eq!(fs::read(container.outside("mounted")).unwrap(), bytes);
    }
}

#[test]
fn whatever_else_stands_there_is_left_alone() {
    let container = Container::new();
    for path in ["plain", "pipe", "to-the-host", "to-mounted", "nothing", "plain/below", ""] {
        let path = format!("/etc/{path}");
        assert_eq!(container.rewrite(&path).unwrap(), Rewritten::Absent, "{path}");
    }
    for path in ["/folder/mounted", "/../etc/mounted"] {
        assert_eq!(container.rewrite(path).unwrap(), Rewritten::Absent, "{path}");
    }
    assert!(container.rewrite("/etc/read-only").is_err());
    for name in ["mounted", "read-only", "victim"] {
        let text = fs::read_to_string(container.outside(name)).unwrap();
        assert_eq!(text, "old, and longer\n", "{name}");
    }
}

#[test]
fn a_process_that_has_not_come_into_its_container_has_none() {
    let container = Container::new();
    let (me, path) = (Pid::this(), "/proc/self/status");
    let rewritten = rewrite_mounted(me, me, path, |_| panic!("read"));
    assert_eq!(rewritten.unwrap(), Rewritten::Absent);
    let gone = rewrite_mounted(Pid::from_raw(i32::MAX), me, "/etc/mounted", |_| None);
    assert!(gone.unwrap_err().is_not_found());
    drop(container);
}
