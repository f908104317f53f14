//! What must outlive the process: networks, endpoints and their leases.
//!
//! One `redb` file and one thread that writes it (fed by `queue`). What several callers want written at the same
//! moment goes into one transaction, so fifty containers that start at once do not pay for fifty
//! flushes. A write that was acknowledged is on the disk.

mod queue;
mod record;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub(crate) use record::{EndpointRecord, NetworkRecord, Phase, StoredLease};

use crate::engine::ids::{EndpointId, NetworkId};
use queue::{Batches, Write, Writes};

/// The version of the records that this daemon writes, and the newest that it reads.
const VERSION: u32 = 2;
/// How long a change that nobody waits for may wait for others.
const LINGER: Duration = Duration::from_secs(1);
/// Memory that the database may use for pages. Reads happen at start only.
const CACHE_BYTES: usize = 256 * 1024;

const NETWORKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("networks");
const ENDPOINTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("endpoints");
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");

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
}

impl Change {
    /// The endpoint that it is about.
    fn endpoint(&self) -> Option<&EndpointId> {
        match self {
            Change::PutNetwork(_) | Change::DeleteNetwork(_) => None,
            Change::PutEndpoint(record) => Some(&record.id),
            Change::DeleteEndpoint(id) => Some(id),
        }
    }
}

/// What was found at the start.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Tells this state directory from any other: four hexadecimal digits.
    pub(crate) instance: String,
    /// All networks.
    pub(crate) networks: Vec<NetworkRecord>,
    /// All endpoints.
    pub(crate) endpoints: Vec<EndpointRecord>,
}

/// The open store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    path: Arc<Path>,
    writes: Writes,
}

/// A record as it is written.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    record: T,
}

impl Store {
    /// Opens the store in `dir`, making both if they are not there, and reads all of it.
    ///
    /// A record that cannot be read is an error that names it; nothing is thrown away.
    pub(crate) fn open(dir: &Path) -> Result<(Store, Loaded), Error> {
        let path: Arc<Path> = dir.join("landfall.redb").into();
        let error = |action| {
            let path = path.to_path_buf();
            move |reason: &dyn std::fmt::Display| Error {
                action,
                path: path.clone(),
                reason: reason.to_string().into(),
            }
        };
        std::fs::create_dir_all(dir).map_err(|e| error("make")(&e))?;
        let database =
            Database::builder().set_cache_size(CACHE_BYTES).create(&path).map_err(|e| match e {
                redb::DatabaseError::DatabaseAlreadyOpen => error("open")(&format!(
                    "{e}: another Landfall uses this directory; give this one its own with \
                     --state-dir"
                )),
                e => error("open")(&e),
            })?;
        let loaded = load(&database).map_err(|reason| error("read")(&reason))?;
        let (writes, batches) = queue::queue();
        let thread_path = path.clone();
        std::thread::Builder::new()
            .name("store".into())
            .stack_size(256 * 1024)
            .spawn(move || write_all(&database, &thread_path, &batches))
            .map_err(|e| error("open")(&e))?;
        Ok((Store { path, writes }, loaded))
    }

    /// Makes a change durable: when this returns it is on the disk.
    pub(crate) async fn commit(&self, change: Change) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        self.send(Some(change), Some(done))?;
        answer.await.map_err(|_| self.closed())?
    }

    /// Queues a change behind those before it; a failure is logged. It is on the disk a second
    /// later, together with what else has come by then: many renewals cost one flush.
    ///
    /// For what the next change repeats or the next start finds out by itself.
    pub(crate) fn commit_later(&self, change: Change) {
        if let Err(error) = self.send(Some(change), None) {
            tracing::error!(%error, "a change is lost");
        }
    }

    /// Waits until all changes so far are on the disk.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        self.send(None, Some(done))?;
        answer.await.map_err(|_| self.closed())?
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

fn load(database: &Database) -> Result<Loaded, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    // A write transaction, since reading a table that was never made is an error.
    let transaction = database.begin_write().map_err(|e| text(&e))?;
    let loaded = {
        let mut meta = transaction.open_table(META).map_err(|e| text(&e))?;
        let kept = meta.get("instance").map_err(|e| text(&e))?.map(|i| i.value().to_owned());
        let instance = match kept {
            Some(instance) => instance,
            None => {
                let instance = format!("{:04x}", random_u16().map_err(|e| text(&e))?);
                meta.insert("instance", instance.as_str()).map_err(|e| text(&e))?;
                instance
            }
        };
        let networks = transaction.open_table(NETWORKS).map_err(|e| text(&e))?;
        let endpoints = transaction.open_table(ENDPOINTS).map_err(|e| text(&e))?;
        Loaded {
            instance,
            networks: read_records("network", &networks)?,
            endpoints: read_records("endpoint", &endpoints)?,
        }
    };
    transaction.commit().map_err(|e| text(&e))?;
    Ok(loaded)
}

fn random_u16() -> Result<u16, io::Error> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u16::from_be_bytes(bytes))
}

fn read_records<T: DeserializeOwned>(
    kind: &str,
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Vec<T>, String> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let mut records = Vec::new();
    for entry in table.iter().map_err(|e| e.to_string())? {
        let (key, value) = entry.map_err(|e| e.to_string())?;
        let at = |e: &dyn std::fmt::Display| format!("{kind} {}: {e}", key.value());
        let Version { v } = serde_json::from_slice(value.value()).map_err(|e| at(&e))?;
        if v > VERSION {
            return Err(at(&format!(
                "written by a newer Landfall (record version {v}, this one reads up to \
                 {VERSION}); run that version, or give this one another --state-dir"
            )));
        }
        let versioned: Versioned<T> = serde_json::from_slice(value.value()).map_err(|e| at(&e))?;
        records.push(versioned.record);
    }
    Ok(records)
}

fn write_all(database: &Database, path: &Path, batches: &Batches) {
    while let Some(batch) = batches.next(LINGER) {
        let result = write_batch(database, &batch).map_err(|reason| Error {
            action: "write",
            path: path.to_path_buf(),
            reason: reason.to_string().into(),
        });
        for write in batch {
            match (write.done, &result) {
                // Whoever asked may be gone by now: the change stands all the same.
                (Some(done), result) => drop(done.send(result.clone())),
                (None, Err(error)) => tracing::error!(%error, change = ?write.change, "not kept"),
                (None, Ok(())) => {}
            }
        }
    }
}

fn write_batch(database: &Database, batch: &[Write]) -> Result<(), Box<dyn std::error::Error>> {
    let transaction = database.begin_write()?;
    {
        let mut networks = transaction.open_table(NETWORKS)?;
        let mut endpoints = transaction.open_table(ENDPOINTS)?;
        for change in last_of_each(batch) {
            match change {
                Change::PutNetwork(record) => {
                    networks.insert(record.id.as_str(), encode(record)?.as_slice())?;
                }
                Change::DeleteNetwork(id) => drop(networks.remove(id.as_str())?),
                Change::PutEndpoint(record) => {
                    endpoints.insert(record.id.as_str(), encode(record)?.as_slice())?;
                }
                Change::DeleteEndpoint(id) => drop(endpoints.remove(id.as_str())?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// The changes of a batch in their order, without those that a later one of the same endpoint
/// makes pointless.
fn last_of_each(batch: &[Write]) -> impl Iterator<Item = &Change> {
    let changes = || batch.iter().filter_map(|write| write.change.as_ref()).enumerate();
    let last: HashMap<&EndpointId, usize> =
        changes().filter_map(|(at, change)| Some((change.endpoint()?, at))).collect();
    changes()
        .filter(move |(at, change)| {
            change.endpoint().is_none_or(|endpoint| last.get(endpoint) == Some(at))
        })
        .map(|(_, change)| change)
}

fn encode<T: Serialize>(record: &T) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Versioned { v: VERSION, record })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_changes_of_an_endpoint_only_the_last_is_written() {
        let endpoint = |id| Some(Change::DeleteEndpoint(EndpointId::new(id).unwrap()));
        let network = |id| Some(Change::DeleteNetwork(NetworkId::new(id).unwrap()));
        let changes =
            [endpoint("a"), network("n"), endpoint("b"), None, endpoint("a"), network("n")];
        let batch = changes.map(|change| Write { change, done: None });
        let kept: Vec<usize> = last_of_each(&batch)
            .map(|kept| {
                let is =
                    |write: &Write| write.change.as_ref().is_some_and(|c| std::ptr::eq(c, kept));
                batch.iter().position(is).unwrap()
            })
            .collect();
        assert_eq!(kept, [1, 2, 4, 5]);
    }
}
