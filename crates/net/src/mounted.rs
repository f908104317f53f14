//! Files that are mounted one by one into what a container sees, such as its `/etc/resolv.conf`.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::Pid;

use crate::{Error, Result};

/// The longest file that is rewritten, in bytes.
const LONGEST: u64 = 64 * 1024;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewritten {
    /// It has a new text.
    Changed,
    /// The new text is the old one.
    Same,
    /// There is no new text for what stands there, or it is no text, or longer than 64 KiB.
    Refused,
    /// There is no such file.
    Absent,
}

/// Gives the file at `path`, below the root of a process, another text, in place: who has it mounted or open sees it.
/// `change` makes the new text of the old.
///
/// A container decides for itself what stands in its file system, so nothing but a regular file on a mount of its own is
/// touched, and no symbolic link is followed. A process whose root is that of `outside` has not come into its
/// container yet: the file is absent.
///
/// # Errors
/// [`Error::is_not_found`] when a process has ended; [`Error::is_denied`] without CAP_SYS_PTRACE, or without the right
/// to write it; EROFS where it is mounted read-only.
pub fn rewrite_mounted(
    pid: Pid,
    outside: Pid,
    path: &str,
    change: impl FnOnce(&str) -> Option<String>,
) -> Result<Rewritten> {
    let failed = |error| Error::os(format!("rewrite {path} of process {pid}"), error);
    let Some(mut file) = open(pid, outside, path).map_err(failed)? else {
        return Ok(Rewritten::Absent);
    };
    let mut bytes = Vec::new();
    (&mut file).take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= LONGEST);
    let Some((old, new)) = text.and_then(|old| change(&old).map(|new| (old, new))) else {
        return Ok(Rewritten::Refused);
    };
    if new == old {
        return Ok(Rewritten::Same);
    }
    file.rewind().map_err(failed)?;
    // First all of it, then its end: nobody finds the file empty.
    file.write_all(new.as_bytes()).map_err(failed)?;
    file.set_len(new.len() as u64).map_err(failed)?;
    Ok(Rewritten::Changed)
}

fn open(pid: Pid, outside: Pid, path: &str) -> io::Result<Option<File>> {
    let root_of = |pid: Pid| {
        let flags = (OFlag::O_PATH | OFlag::O_DIRECTORY).bits();
        File::options().read(true).custom_flags(flags).open(format!("/proc/{pid}/root"))
    };
    let (root, host) = (root_of(pid)?, root_of(outside)?);
    let file_of = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino()));
    if file_of(&root)? == file_of(&host)? {
        return Ok(None);
    }
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_BENEATH);
    let found: OwnedFd = match openat2(&root, path.trim_start_matches('/'), how) {
        Ok(found) => found,
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let found = File::from(found);
    if mount_of(&found)? == mount_of(&root)? || !found.metadata()?.is_file() {
        return Ok(None);
    }
    // Whatever has become of the path meanwhile: this file.
    let found = format!("/proc/self/fd/{}", found.as_raw_fd());
    File::options().read(true).write(true).open(found).map(Some)
}

/// The number of the mount that an open file is on.
fn mount_of(file: &File) -> io::Result<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let number = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    number.ok_or_else(|| io::Error::other("the kernel does not say on which mount it is"))
}
