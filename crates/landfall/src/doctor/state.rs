//! The state folder: networks and leases outlive the daemon there.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use redb::{DatabaseError, ReadOnlyDatabase};

use super::report::{Finding, check};
use crate::engine::api::StateStatus;

/// Where it is if nobody says otherwise.
const DEFAULT: &str = "/var/lib/landfall";
/// The file in it.
const FILE: &str = "landfall.redb";
/// Below this many free bytes a few thousand leases may not fit.
const ENOUGH: u64 = 16 << 20;

/// The folder of a daemon, by the path under which this process sees it: a plugin has a root of
/// its own.
pub(super) fn folder_of(pid: i32) -> PathBuf {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let (arguments, environment) = (read("cmdline"), read("environ"));
    let inside = setting(&arguments, &environment).unwrap_or_else(|| DEFAULT.to_owned());
    let through = PathBuf::from(format!("/proc/{pid}/root{inside}"));
    let identity = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let same = identity(&through) == identity(Path::new(&inside));
    if same { inside.into() } else { through }
}

/// What a daemon was told, by `--state-dir` or the environment: lists of words, each with a NUL.
fn setting(arguments: &[u8], environment: &[u8]) -> Option<String> {
    let words = |bytes: &[u8]| -> Vec<String> {
        let words = bytes.split(|byte| *byte == 0);
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    };
    let arguments = words(arguments);
    let after = |name: &str| {
        let at = arguments.iter().position(|word| word == name)?;
        arguments.get(at + 1).cloned()
    };
    let joined = || arguments.iter().find_map(|word| word.strip_prefix("--state-dir="));
    after("--state-dir")
        .or_else(|| joined().map(str::to_owned))
        .or_else(|| {
            let variables = words(environment);
            variables.iter().find_map(|v| v.strip_prefix("LANDFALL_STATE_DIR=")).map(str::to_owned)
        })
        .filter(|path| path.starts_with('/'))
}

/// What there is at the folder's path.
#[derive(Debug)]
enum Folder {
    Missing,
    Unknown(io::Error),
    NotADirectory,
    There { mode: u32, read_only: bool, free: u64, file: File },
}

/// What there is in it.
#[derive(Debug, PartialEq, Eq)]
enum File {
    /// A daemon has it open, or there is none yet.
    Unseen,
    Opens,
    /// The last daemon did not end in order.
    NotClosed,
    /// Another process has it.
    Held,
    Broken(String),
}

/// What the daemon itself says of it.
pub(super) fn judge_told(state: &StateStatus) -> Vec<Finding> {
    const WHO: &str = "the daemon";
    let StateStatus { fault, waiting, unreadable, set_aside } = state;
    let mut findings = Vec::new();
    if let Some(fault) = fault {
        let seen =
            format!("{fault}; changes of {waiting} networks and endpoints are in memory only");
        findings.push(Finding::error(check::STATE, WHO, seen).advise(
            "make the folder writable, or make room: they are written then, without a restart",
        ));
    }
    if *unreadable > 0 {
        let seen = format!("{unreadable} records cannot be read and are left alone");
        findings.push(Finding::warning(check::STATE, WHO, seen).advise(
            "its log names them; those of a newer Landfall need that version, a damaged network is \
             removed and created again",
        ));
    }
    if let Some(path) = set_aside {
        let seen = format!("its state was damaged and is kept as {path}");
        findings.push(Finding::warning(check::STATE, WHO, seen).advise(
            "look at the disk (`dmesg`, `smartctl -a`); containers that lost their lease get one \
             when they start again",
        ));
    }
    findings
}

/// Looks at `folder`, or at the default one. `daemon`: a daemon uses it, whose file is not touched.
pub(super) fn examine(folder: Option<&Path>, daemon: bool) -> Vec<Finding> {
    let folder = folder.unwrap_or(Path::new(DEFAULT));
    judge(&folder.display().to_string(), &look(folder, daemon), daemon)
}

fn look(path: &Path, daemon: bool) -> Folder {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Folder::Missing,
        Err(error) => return Folder::Unknown(error),
    };
    if !metadata.is_dir() {
        return Folder::NotADirectory;
    }
    let system = match statvfs(path) {
        Ok(system) => system,
        Err(errno) => return Folder::Unknown(errno.into()),
    };
    Folder::There {
        mode: metadata.mode() & 0o777,
        read_only: system.flags().contains(FsFlags::ST_RDONLY),
        // Their types are those of the target's C library.
        #[allow(clippy::unnecessary_cast)]
        free: (system.blocks_available() as u64).saturating_mul(system.fragment_size() as u64),
        file: if daemon { File::Unseen } else { open(&path.join(FILE)) },
    }
}

/// Opens the file as a reader, which changes nothing in it.
fn open(path: &Path) -> File {
    if !path.exists() {
        return File::Unseen;
    }
    match ReadOnlyDatabase::open(path) {
        Ok(_) => File::Opens,
        Err(DatabaseError::DatabaseAlreadyOpen) => File::Held,
        Err(DatabaseError::RepairAborted) => File::NotClosed,
        Err(error) => File::Broken(error.to_string()),
    }
}

fn judge(path: &str, folder: &Folder, daemon: bool) -> Vec<Finding> {
    let (mode, read_only, free, file) = match folder {
        Folder::There { mode, read_only, free, file } => (*mode, *read_only, *free, file),
        Folder::Missing if daemon => {
            let seen = "gone, while a daemon runs: leases will be forgotten";
            return vec![
                Finding::error(check::STATE, path, seen).advise("`systemctl restart landfall`"),
            ];
        }
        Folder::Missing => {
            let seen = "not there yet: the daemon makes it when it first starts";
            return vec![Finding::note(check::STATE, path, seen)];
        }
        Folder::NotADirectory => {
            return vec![
                Finding::error(check::STATE, path, "is no folder")
                    .advise("remove it, or name another with --state-dir"),
            ];
        }
        Folder::Unknown(error) => {
            let seen = format!("cannot be looked at: {error}");
            return vec![Finding::note(check::STATE, path, seen).advise("`sudo landfall doctor`")];
        }
    };
    let mut findings = Vec::new();
    if read_only {
        let seen = "its file system is read-only: no network or lease can be kept";
        let advice = format!(
            "`mount -o remount,rw $(findmnt -no TARGET -T {path})` after a look at `dmesg`, or \
             another folder with --state-dir"
        );
        findings.push(Finding::error(check::STATE, path, seen).advise(advice));
    }
    let mebibytes = free >> 20;
    if free < ENOUGH {
        let seen = format!("{mebibytes} MiB free: leases may soon not be kept any more");
        findings.push(Finding::warning(check::STATE, path, seen).advise(format!("`df -h {path}`")));
    }
    let file_path = format!("{path}/{FILE}");
    match file {
        File::Unseen | File::Opens => {}
        File::NotClosed => findings.push(Finding::note(
            check::STATE,
            file_path,
            "was not closed in order (a kill or a power cut): the next start repairs it",
        )),
        File::Held => findings.push(
            Finding::warning(check::STATE, &file_path, "another process has it open")
                .advise(format!("a daemon that does not answer? `fuser -v {file_path}`")),
        ),
        File::Broken(error) => findings.push(
            Finding::error(check::STATE, &file_path, format!("cannot be opened: {error}")).advise(
                "look at the disk (`dmesg`); the next start keeps it under another name, and goes on \
                 with the networks and what else can be read",
            ),
        ),
    }
    if findings.is_empty() {
        let seen = format!("there and writable, {mebibytes} MiB free");
        findings.push(Finding::ok(check::STATE, path, seen));
    }
    if mode & 0o007 != 0 {
        let seen = format!("mode {mode:04o}: every user may read who has which address");
        findings
            .push(Finding::note(check::STATE, path, seen).advise(format!("`chmod 700 {path}`")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use redb::Database;

    use super::super::report::Report;
    use super::*;

    fn there(read_only: bool, free: u64, file: File) -> Folder {
        Folder::There { mode: 0o700, read_only, free, file }
    }

    #[test]
    fn what_is_said_of_a_folder() {
        let said = |folder: &Folder, daemon| Report::new(judge("/state", folder, daemon)).text();
        let mut all = said(&Folder::Missing, true) + &said(&Folder::Missing, false);
        all += &said(&Folder::NotADirectory, false);
        all += &said(&Folder::Unknown(io::ErrorKind::PermissionDenied.into()), false);
        all += &said(&there(false, ENOUGH, File::Unseen), true);
        all += &said(&there(false, ENOUGH - 1, File::Opens), false);
        all += &said(&there(true, 1 << 30, File::NotClosed), false);
        all += &said(&there(false, 1 << 30, File::Held), false);
        all += &said(&there(false, 1 << 30, File::Broken("checksum".into())), false);
        let open =
            Folder::There { mode: 0o755, read_only: false, free: 1 << 30, file: File::Opens };
        all += &said(&open, false);
        insta::assert_snapshot!(all);
    }

    #[test]
    fn what_a_daemon_says() {
        assert!(judge_told(&StateStatus::default()).is_empty());
        let told = judge_told(&StateStatus {
            fault: Some("cannot write the state in /state/landfall.redb: it is full".into()),
            waiting: 3,
            unreadable: 2,
            set_aside: Some("/state/landfall.redb.damaged-1".into()),
        });
        insta::assert_snapshot!(Report::new(told).text());
    }

    #[test]
    fn what_there_is_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(open(&path), File::Unseen);
        let database = Database::create(&path).unwrap();
        assert_eq!(open(&path), File::Held);
        assert!(matches!(look(folder.path(), true), Folder::There { file: File::Unseen, .. }));
        drop(database);
        assert_eq!(open(&path), File::Opens);
        fs::write(&path, "no database").unwrap();
        assert!(matches!(open(&path), File::Broken(_)));
        assert!(matches!(look(&path, false), Folder::NotADirectory));
        assert!(matches!(look(&folder.path().join("none"), false), Folder::Missing));
    }

    #[test]
    fn where_a_daemon_keeps_it() {
        let words = |words: &[&str]| words.join("\0").into_bytes();
        let arguments = words(&["landfall", "serve", "--state-dir", "/a", ""]);
        let environment = words(&["HOME=/", "LANDFALL_STATE_DIR=/b", ""]);
        assert_eq!(setting(&arguments, &environment).as_deref(), Some("/a"));
        let arguments = words(&["landfall", "serve", "--state-dir=/c", ""]);
        assert_eq!(setting(&arguments, &environment).as_deref(), Some("/c"));
        let arguments = words(&["landfall", "serve", ""]);
        assert_eq!(setting(&arguments, &environment).as_deref(), Some("/b"));
        assert_eq!(setting(&arguments, b""), None);
        // Relative to a folder that is not known.
        assert_eq!(setting(b"landfall\0--state-dir\0here\0", b""), None);
    }
}
