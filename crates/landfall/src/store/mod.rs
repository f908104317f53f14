//! What must outlive the process: networks, endpoints and their leases, and names with MACs out of stock.
//!
//! One `redb` file and one thread that writes it. What several callers want written at the same
//! moment goes into one transaction, so fifty containers that start at once do not pay for fifty
//! flushes. A write that was acknowledged is on the disk, unless the disk takes nothing: then it
//! waits in memory, [`Store::health`] says so, and it is tried again until it is taken.
//!
//! | file | its job |
//! |---|---|
//! | `record` | what is kept |
//! | `encoding` | a record's bytes, which prove that they are whole |
//! | `file` | the `redb` file |
//! | `copy` | a second copy of all networks |
//! | `load` | what there is at the start, whatever is damaged |
//! | `queue` | what waits to be written |
//! | `pending` | what could not be written yet |
//! | `secret` | what makes stable addresses this machine's own |
//! | `writer` | the thread that writes |

mod audit;
mod copy;
mod encoding;
mod file;
mod load;
mod pending;
mod queue;
mod record;
mod secret;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod versions;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

pub(crate) use audit::Audit;
pub(crate) use encoding::Unreadable;
pub(crate) use load::Loaded;
pub(crate) use record::{
    EndpointRecord, NameRecord, NetworkRecord, Phase, StoredIpv6, StoredLease,
};
pub(crate) use secret::Secret;

use crate::engine::ids::{EndpointId, NetworkId};
use queue::{Write, Writes};
use writer::Witness;

/// The file in the state folder.
const FILE: &str = "landfall.redb";
/// The copy of the networks beside it.
const COPY: &str = "landfall.networks";

/// The state could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {action} the state in {}: {reason}", path.display())]
pub(crate) struct Error {
    action: &'static str,
    path: PathBuf,
    reason: Arc<str>,
}

/// A change to what is kept.
#[derive(Debug)]
pub(crate) enum Change {
    /// Keep this network, in place of what was kept under its identifier.
    PutNetwork(Box<NetworkRecord>),
    /// Forget this network.
    DeleteNetwork(NetworkId),
    /// Keep this endpoint, in place of what was kept under its identifier.
    PutEndpoint(Box<EndpointRecord>),
    /// Forget this endpoint.
    DeleteEndpoint(EndpointId),
    /// Keep which MAC this name has.
    PutName(Box<NameRecord>),
    /// Forget the name that is kept under this key.
    DeleteName(Box<str>),
}

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Table {
    Networks,
    Endpoints,
    Names,
}

/// How the store fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Why nothing can be written; none: all is on the disk, or will be in a second.
    pub(crate) fault: Option<String>,
    /// How many networks and endpoints have changes that are in memory only because of that.
    pub(crate) waiting: usize,
    /// Where the damaged file is that this run has found.
    pub(crate) set_aside: Option<PathBuf>,
}

/// The open store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    path: Arc<Path>,
    writes: Writes,
    health: Arc<Mutex<Health>>,
    witness: Witness,
}

impl Store {
    /// Opens the store in `dir`, making both if they are not there, and reads all that can be read.
    ///
    /// Fails only if another process uses the folder. Nothing that cannot be read is thrown away, and
    /// what cannot be written waits.
    pub(crate) fn open(dir: &Path) -> Result<(Store, Loaded), Error> {
        let path: Arc<Path> = dir.join(FILE).into();
        let error = |reason: &str| Error {
            action: "open",
            path: path.to_path_buf(),
            reason: reason.into(),
        };
        // If it cannot be made, opening the file will tell.
        let _ = file::make_folder(dir);
        let lock = lock(dir).map_err(error)?;
        let (opened, copy) = (file::open(&path), copy::read(&dir.join(COPY)));
        if matches!(opened.writing, Err(file::Refusal::InUse)) {
            return Err(error(IN_USE));
        }
        let (loaded, writer) = load::load(opened, &copy, dir);
        let (health, witness) = (writer.health(), writer.witness());
        let (writes, batches) = queue::queue();
        std::thread::Builder::new()
            .name("store".into())
            .stack_size(256 * 1024)
            .spawn(move || {
                writer.run(&batches);
                drop(lock);
            })
            .map_err(|e| error(&e.to_string()))?;
        Ok((Store { path, writes, health, witness }, loaded))
    }

    /// Makes a change durable: when this returns it is on the disk, or waits in memory because the
    /// disk takes nothing ([`Self::health`]). Containers start all the same.
    pub(crate) async fn commit(&self, change: Change) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        self.send(Some(change), Some(done))?;
        answer.await.map_err(|_| self.closed())?
    }

    /// Queues a change behind those before it. It is on the disk a second
    /// later, together with what else has come by then: many renewals cost one flush.
    ///
    /// For what the next change repeats or the next start finds out by itself.
    pub(crate) fn commit_later(&self, change: Change) {
        if let Err(error) = self.send(Some(change), None) {
            tracing::error!(%error, "a change is lost");
        }
    }

    /// Waits until all changes so far are on the disk; fails if it takes nothing.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        self.send(None, Some(done))?;
        answer.await.map_err(|_| self.closed())?
    }

    /// How it fares.
    pub(crate) fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Names who tells all that should be kept, should the file be lost while the process runs.
    pub(crate) fn ask_when_lost(&self, tell: impl Fn() -> Vec<Change> + Send + Sync + 'static) {
        let _ = self.witness.set(Box::new(tell));
    }

    fn send(
        &self,
        change: Option<Change>,
        done: Option<oneshot::Sender<Result<(), Error>>>,
    ) -> Result<(), Error> {
        self.writes.push(Write { change, done }).map_err(|_| self.closed())
    }

    fn closed(&self) -> Error {
        Error {
            action: "write",
            path: self.path.to_path_buf(),
            reason: "its writer has ended".into(),
        }
    }
}

const IN_USE: &str = "another Landfall uses this directory; give this one its own with --state-dir";

/// Keeps other Landfalls out of a folder, also one in which nothing can be written.
fn lock(dir: &Path) -> Result<Option<File>, &'static str> {
    let Ok(folder) = File::open(dir) else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => Err(IN_USE),
        // Not every file system has locks; `redb` looks as well.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}
