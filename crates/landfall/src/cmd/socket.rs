//! A listening unix socket that only root can reach, and that leaves nothing behind.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket};

/// How many callers may wait until recovery is done; the kernel allows `net.core.somaxconn`.
const BACKLOG: u32 = 1024;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Another daemon serves there.
    #[error(
        "another process already answers on {}: stop it, or give this daemon a socket of its own \
         (--plugin-socket, --admin-socket)",
        .0.display()
    )]
    InUse(PathBuf),
    /// Something else than a socket has that name.
    #[error("{} is there and is no socket: remove it, or give another path", .0.display())]
    NoSocket(PathBuf),
    /// systemd listens somewhere else.
    #[error(
        "systemd listens on {} for this daemon, which is to answer elsewhere: make ListenStream= of \
         landfall.socket the path of --plugin-socket (LANDFALL_PLUGIN_SOCKET)",
        .0.display()
    )]
    Elsewhere(PathBuf),
    /// The kernel refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
}

/// A socket's file, removed when this is dropped unless another daemon has put its own there.
///
/// To be dropped before the listener: as long as that lives, no other daemon takes the name over,
/// and the kernel gives the inode's number to no other file.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Listens on `path`, for root only. Makes the folders above it, and removes a socket that nobody
/// listens on any more. Calls that arrive before they are accepted wait.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, SocketFile), Error> {
    let io = |what| move |source| Error::Io { what, path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| Error::Io {
            what: "make the folder",
            path: folder.to_owned(),
            source,
        })?;
    }
    remove_stale(path)?;
    let socket = UnixSocket::new_stream().map_err(io("make a socket for"))?;
    socket.bind(path).map_err(io("bind"))?;
    let metadata = fs::symlink_metadata(path).map_err(io("look at"))?;
    let file = SocketFile { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) };
    // Before it listens nobody can connect, so there is no moment at which others could.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io("set the mode of"))?;
    let listener = socket.listen(BACKLOG).map_err(io("listen on"))?;
    Ok((listener, file))
}

/// The same, but for a socket among `inherited` that listens there already: that is taken out of them, and its file stays
/// for who made it.
pub(super) fn take_or_bind(
    path: &Path,
    inherited: &mut Vec<StdListener>,
) -> Result<(UnixListener, Option<SocketFile>), Error> {
    match inherited.iter().position(|listener| is_one_file(&path_of(listener), path)) {
        Some(at) => {
            let source = |source| Error::Io { what: "listen on", path: path.to_owned(), source };
            let listener = UnixListener::from_std(inherited.swap_remove(at)).map_err(source)?;
            Ok((listener, None))
        }
        None => bind(path).map(|(listener, file)| (listener, Some(file))),
    }
}

/// Fails if there is a socket that nobody has taken: whoever calls there would wait for ever.
pub(super) fn all_taken(inherited: &[StdListener]) -> Result<(), Error> {
    inherited.first().map_or(Ok(()), |listener| Err(Error::Elsewhere(path_of(listener))))
}

/// Whether both paths lead to one file, as `/run/x` and `/var/run/x` do.
fn is_one_file(one: &Path, other: &Path) -> bool {
    let file = |path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    one == other || file(one).is_some_and(|one| file(other) == Some(one))
}

/// Where it listens; empty where that is no file.
fn path_of(listener: &StdListener) -> PathBuf {
    let address = listener.local_addr().ok();
    address.and_then(|address| Some(address.as_pathname()?.to_owned())).unwrap_or_default()
}

fn remove_stale(path: &Path) -> Result<(), Error> {
    let io = |what| move |source| Error::Io { what, path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io("look at")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(Error::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(io("remove the stale socket"))
        }
        // Its owner has just gone, and taken it along.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full backlog is a daemon too.
        Ok(_) => Err(Error::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(Error::InUse(path.to_owned()))
        }
        Err(error) => Err(io("see who listens on")(error)),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove the socket {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn makes_its_folders_and_is_for_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/landfall.sock");
        let (_listener, file) = bind(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_call_waits_until_it_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.sock");
        let (listener, _file) = bind(&path).unwrap();
        let _early = tokio::net::UnixStream::connect(&path).await.unwrap();
        listener.accept().await.unwrap();
    }

    #[tokio::test]
    async fn replaces_a_socket_whose_daemon_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (_listener, _file) = bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn leaves_a_living_daemon_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.sock");
        let (_listener, _file) = bind(&path).unwrap();
        let error = bind(&path).unwrap_err();
        assert!(matches!(&error, Error::InUse(named) if *named == path), "{error}");
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn leaves_a_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.sock");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(bind(&path).unwrap_err(), Error::NoSocket(_)));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn does_not_remove_its_successors_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.sock");
        let (_listener, old) = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (_successor, _new) = bind(&path).unwrap();
        drop(old);
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn names_the_folder_that_cannot_be_made() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let path = folder.path().join("file/landfall.sock");
        let error = bind(&path).unwrap_err().to_string();
        assert!(error.starts_with("cannot make the folder"), "{error}");
        assert!(error.contains(&folder.path().join("file").display().to_string()), "{error}");
    }
}
