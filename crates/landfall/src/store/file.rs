//! The `redb` file: read, opened for writing, written.
//!
//! Seen of redb 4.5 with damaged files: opening fails with an error or a panic that unwinds, reading
//! a file that opened may panic, and a flipped byte in a file that was closed in order goes unnoticed.
//! So a file is first read into memory and judged there; the one on the disk is opened only if all
//! its pages are whole. What is not is set aside as it was found.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
    TableError,
};

use super::Table;
use super::encoding::{Salvage, salvage};
use super::pending::Pending;

/// Memory that the database may use for pages. Reads happen at start only.
const CACHE_BYTES: usize = 256 * 1024;
/// No database in memory grows beyond what was read by more than this.
const GROWTH: usize = 16 << 20;

const NETWORKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("networks");
const ENDPOINTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("endpoints");
const NAMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("names");
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const INSTANCE: &str = "instance";

/// Identifiers and records, as they lie in a table.
pub(super) type Rows = Vec<(String, Vec<u8>)>;

/// All that is in a file.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) instance: Option<String>,
    pub(super) networks: Rows,
    pub(super) endpoints: Rows,
    pub(super) names: Rows,
}

/// What was read.
#[derive(Debug)]
pub(super) enum Read {
    /// There is no file, or an empty one.
    Nothing,
    Whole(Content),
    Damaged {
        reason: String,
        salvage: Salvage,
    },
    /// The kernel does not let us.
    Failed(io::Error),
}

/// Why a file is not open for writing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Another process has it.
    InUse,
    /// For this reason.
    Reason(String),
}

/// A file that was judged.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) read: Read,
    /// Open for writing, or why not.
    pub(super) writing: Result<Database, Refusal>,
    /// Where a damaged one is now.
    pub(super) set_aside: Option<PathBuf>,
}

/// Reads the file, and opens it for writing if it can be.
pub(super) fn open(path: &Path) -> Opened {
    let read = read(path);
    let mut set_aside = None;
    let writing = match &read {
        Read::Failed(error) => Err(Refusal::Reason(format!("it cannot be read: {error}"))),
        Read::Nothing | Read::Whole(_) => open_for_writing(path),
        Read::Damaged { .. } => match move_away(path) {
            Ok(to) => {
                set_aside = Some(to);
                open_for_writing(path)
            }
            Err(reason) => Err(Refusal::Reason(reason)),
        },
    };
    Opened { read, writing, set_aside }
}

fn read(path: &Path) -> Read {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Read::Nothing,
        Err(error) => Read::Failed(error),
        Ok(bytes) if bytes.is_empty() => Read::Nothing,
        Ok(bytes) => match content(bytes.clone()) {
            Ok(content) => Read::Whole(content),
            Err(reason) => Read::Damaged { reason, salvage: salvage(&bytes) },
        },
    }
}

/// Reads all tables of a file whose pages are whole.
pub(super) fn content(bytes: Vec<u8>) -> Result<Content, String> {
    guarded(|| {
        let most = bytes.len().saturating_add(GROWTH);
        let memory = Memory { bytes: Mutex::new(bytes), most };
        let mut builder = Database::builder();
        let mut database = builder.set_cache_size(CACHE_BYTES).create_with_backend(memory)?;
        // False: there was something to put in order, and it is.
        database.check_integrity()?;
        // A write transaction, since none other is kept from seeing half a repair.
        let transaction = database.begin_write()?;
        let meta = transaction.open_table(META)?;
        let instance = meta.get(INSTANCE)?.map(|instance| instance.value().to_owned());
        drop(meta);
        let networks = rows(&transaction.open_table(NETWORKS)?)?;
        let endpoints = rows(&transaction.open_table(ENDPOINTS)?)?;
        let names = rows(&transaction.open_table(NAMES)?)?;
        let content = Content { instance, networks, endpoints, names };
        transaction.abort()?;
        Ok(content)
    })
}

/// Makes a folder for root only, if it is not there: who has which address is nobody else's business.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    fs::DirBuilder::new().mode(0o700).create(folder)
}

fn open_for_writing(path: &Path) -> Result<Database, Refusal> {
    if let Some(folder) = path.parent() {
        make_folder(folder).map_err(|e| Refusal::Reason(e.to_string()))?;
    }
    let empty = fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
    let mut in_use = false;
    let opened = guarded(|| {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        in_use = matches!(database, Err(DatabaseError::DatabaseAlreadyOpen));
        Ok(database?)
    });
    if opened.is_err() && empty && !in_use {
        // One begun and not finished is nothing that anybody could read.
        let _ = fs::remove_file(path);
    }
    opened.map_err(|reason| if in_use { Refusal::InUse } else { Refusal::Reason(reason) })
}

/// Renames a file to a name in the same folder that is free.
fn move_away(path: &Path) -> Result<PathBuf, String> {
    let name = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{n}"));
        PathBuf::from(name)
    };
    let free = (1..).map(name).find(|to| fs::symlink_metadata(to).is_err());
    let to = free.ok_or("there is no free name for it")?;
    fs::rename(path, &to).map_err(|e| format!("it is damaged and cannot be set aside: {e}"))?;
    Ok(to)
}

/// Writes changes, all or none.
pub(super) fn write(database: &Database, instance: &str, changes: &Pending) -> Result<(), String> {
    guarded(|| {
        let transaction = database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            if meta.get(INSTANCE)?.is_none() {
                meta.insert(INSTANCE, instance)?;
            }
            let mut networks = transaction.open_table(NETWORKS)?;
            let mut endpoints = transaction.open_table(ENDPOINTS)?;
            let mut names = transaction.open_table(NAMES)?;
            for (table, key, value) in changes.iter() {
                let table = match table {
                    Table::Networks => &mut networks,
                    Table::Endpoints => &mut endpoints,
                    Table::Names => &mut names,
                };
                match value {
                    Some(value) => drop(table.insert(key, value)?),
                    None => drop(table.remove(key)?),
                }
            }
        }
        transaction.commit()?;
        Ok(())
    })
}

/// All networks as they lie there.
pub(super) fn networks(database: &Database) -> Result<Rows, String> {
    guarded(|| {
        let transaction = database.begin_read()?;
        let table = match transaction.open_table(NETWORKS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Rows::new()),
            Err(error) => return Err(error.into()),
        };
        rows(&table)
    })
}

fn rows(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Rows, Box<dyn std::error::Error>> {
    let mut rows = Rows::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        rows.push((key.value().to_owned(), value.value().to_owned()));
    }
    Ok(rows)
}

/// Closes a file whatever is wrong with it.
pub(super) fn close(database: Database) {
    if let Err(reason) = guarded(|| database.close().map_err(Into::into)) {
        tracing::debug!(reason, "the state was not closed in order; the next start repairs it");
    }
}

/// An error or a panic of `redb`, in words.
fn guarded<T>(work: impl FnOnce() -> Result<T, Box<dyn std::error::Error>>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("redb gave up on it: {}", words.unwrap_or("no reason given")))
        }
    }
}

/// A file's bytes, of which nothing comes back to the disk.
#[derive(Debug)]
struct Memory {
    bytes: Mutex<Vec<u8>>,
    /// How long it may become: a damaged header can ask for anything.
    most: usize,
}

impl Memory {
    fn part<T>(
        &self,
        offset: u64,
        length: usize,
        work: impl FnOnce(&mut [u8]) -> T,
    ) -> io::Result<T> {
        let mut bytes = self.bytes.lock().map_err(|_| io::Error::other("poisoned"))?;
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let part = bytes.get_mut(from..from.saturating_add(length));
        Ok(work(part.ok_or(io::ErrorKind::UnexpectedEof)?))
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        let bytes = self.bytes.lock().map_err(|_| io::Error::other("poisoned"))?;
        Ok(bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.part(offset, out.len(), |part| out.copy_from_slice(part))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.most);
        let length = length.ok_or(io::ErrorKind::StorageFull)?;
        self.bytes.lock().map_err(|_| io::Error::other("poisoned"))?.resize(length, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.part(offset, data.len(), |part| part.copy_from_slice(data))
    }
}
