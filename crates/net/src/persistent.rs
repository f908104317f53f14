//! Network namespaces that outlive the process, named by a bind mount (as `ip netns` does).
//!
//! The mount is made in pid 1's mount namespace: a managed plugin's own is thrown away with the
//! plugin, and a sandboxed systemd unit's with the unit, and a mount in it with them. Where pid
//! 1's cannot be entered (a plugin without `pidhost` sees itself as pid 1; CAP_SYS_CHROOT or
//! CAP_SYS_PTRACE missing), the mount is made in the process's own.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use crate::netns::{on_throw_away_thread, unshare_here};
use crate::{Error, Netns, Result};

impl Netns {
    /// Opens the namespace that is mounted at `path`, or makes one with `lo` up and mounts it
    /// there. The flag tells whether it was made now.
    ///
    /// Folders on the way are made (0755). A plain file at the path, left by a name whose mount
    /// has gone, is mounted over. The path is one of pid 1's mount namespace (see above), and the
    /// caller may be unable to see it.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN; what folders, file and mount answer.
    pub fn open_or_create_persistent(path: &Path) -> Result<(Self, bool)> {
        on_throw_away_thread(|| {
            enter_lasting_mount_namespace()?;
            if let Some(fd) = mounted_namespace(path)? {
                return Ok((Self::from_fd(fd.into()), false));
            }
            prepare_mount_point(path)?;
            unshare_here()?;
            mount(
                Some("/proc/thread-self/ns/net"),
                path,
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )
            .map_err(|e| {
                Error::os(format!("mount a network namespace at {}", path.display()), e)
            })?;
            Ok((Self::current()?, true))
        })?
    }

    /// Takes away the name that [`Netns::open_or_create_persistent`] gave. The namespace itself
    /// goes when its last socket, process and handle have gone. A name that is not there is fine.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN; what unmounting and removing the file answer.
    pub fn remove_persistent(path: &Path) -> Result<()> {
        on_throw_away_thread(|| {
            enter_lasting_mount_namespace()?;
            // More than one, if two processes raced for the name.
            while mounted_namespace(path)?.is_some() {
                umount2(path, MntFlags::MNT_DETACH).map_err(|e| {
                    Error::os(format!("unmount the network namespace at {}", path.display()), e)
                })?;
            }
            match std::fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    Err(Error::os(format!("remove {}", path.display()), e))
                }
                _ => Ok(()),
            }
        })?
    }
}

/// Puts the calling (throw-away) thread into pid 1's mount namespace, if it may.
fn enter_lasting_mount_namespace() -> Result<()> {
    // Only a thread that shares its root and working directory with no other may change its
    // mount namespace (setns(2)).
    unshare(CloneFlags::CLONE_FS)
        .map_err(|e| Error::os("give a thread its own root directory (unshare CLONE_FS)", e))?;
    let entered = File::open("/proc/1/ns/mnt")
        .and_then(|namespace| setns(namespace, CloneFlags::CLONE_NEWNS).map_err(io::Error::from));
    if let Err(error) = entered {
        tracing::debug!(%error, "pid 1's mount namespace is closed to us, staying in our own");
    }
    Ok(())
}

/// The namespace mounted at `path`; `None` for no file or one that is no mounted namespace.
fn mounted_namespace(path: &Path) -> Result<Option<File>> {
    let tried = || format!("open network namespace {}", path.display());
    match File::open(path) {
        Ok(file) => {
            let stat = fstatfs(&file).map_err(|e| Error::os(tried(), e))?;
            Ok((stat.filesystem_type() == NSFS_MAGIC).then_some(file))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::os(tried(), e)),
    }
}

fn prepare_mount_point(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(|e| Error::os(format!("make folder {}", folder.display()), e))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map(drop)
        .map_err(|e| Error::os(format!("make the mount point {}", path.display()), e))
}
