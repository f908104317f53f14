//! The thread that writes, and goes on when it cannot.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use redb::Database;

use super::file::{self, Opened, Read, Refusal};
use super::pending::Pending;
use super::queue::Batches;
use super::{Change, Error, Health, IN_USE, Table, copy, encoding, load};

/// How long a change that nobody waits for may wait for others.
const LINGER: Duration = Duration::from_secs(1);
/// The pause after a failure, and the longest that it becomes.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(16);

/// Tells all that should be kept, when the file that had it is gone.
pub(super) type Witness = Arc<OnceLock<Box<dyn Fn() -> Vec<Change> + Send + Sync>>>;

pub(super) struct Writer {
    path: PathBuf,
    copy_path: PathBuf,
    instance: String,
    /// The number of the last record written.
    last: u64,
    /// None: it must be opened again.
    database: Option<Database>,
    pending: Pending,
    /// The copy of the networks may not be what it should.
    copy_is_old: bool,
    failure: Option<Failure>,
    health: Arc<Mutex<Health>>,
    witness: Witness,
}

struct Failure {
    reason: String,
    retry: Instant,
    pause: Duration,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        copy_path: PathBuf,
        instance: String,
        last: u64,
        pending: Pending,
    ) -> Writer {
        Writer {
            path,
            copy_path,
            instance,
            last,
            database: None,
            pending,
            copy_is_old: true,
            failure: None,
            health: Arc::default(),
            witness: Arc::default(),
        }
    }

    /// Goes on with a file that was opened, or not.
    pub(super) fn begin(&mut self, writing: Result<Database, Refusal>, set_aside: Option<PathBuf>) {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).set_aside = set_aside;
        match writing {
            Ok(database) => self.database = Some(database),
            Err(refusal) => self.failed(refusal.into()),
        }
        self.tell();
    }

    pub(super) fn health(&self) -> Arc<Mutex<Health>> {
        self.health.clone()
    }

    pub(super) fn witness(&self) -> Witness {
        self.witness.clone()
    }

    pub(super) fn run(mut self, batches: &Batches) {
        self.write(false);
        while let Some(batch) = batches.next(LINGER, self.failure.as_ref().map(|f| f.retry)) {
            let mut flush = false;
            let mut asked = Vec::new();
            for write in batch {
                flush |= write.change.is_none();
                asked.extend(write.done.map(|done| (done, write.change.is_none())));
                if let Some(change) = write.change {
                    self.take(change);
                }
            }
            self.write(flush);
            for (done, all) in asked {
                let answer = match &self.failure {
                    Some(failure) if all => Err(self.error(&failure.reason)),
                    // On the disk, or it waits and `health` says so.
                    _ => Ok(()),
                };
                // Whoever asked may be gone by now: the change stands all the same.
                let _ = done.send(answer);
            }
        }
        self.write(true);
        if let Some(database) = self.database {
            file::close(database);
        }
    }

    fn take(&mut self, change: Change) {
        if let Some((table, id, record)) = self.encode(&change) {
            self.pending.put(table, id, record);
        }
    }

    /// Takes all that should be kept, but for what has changed since.
    fn take_all(&mut self) {
        let all = self.witness.get().map(|tell| tell()).unwrap_or_default();
        for change in &all {
            if let Some((table, id, Some(record))) = self.encode(change) {
                self.pending.put_older(table, id, record);
            }
        }
    }

    fn encode<'a>(&mut self, change: &'a Change) -> Option<(Table, &'a str, Option<Vec<u8>>)> {
        self.last += 1;
        let n = self.last;
        let (table, id, record) = match change {
            Change::PutNetwork(record) => {
                (Table::Networks, record.id.as_str(), Some(encoding::encode(record, n)))
            }
            Change::DeleteNetwork(id) => (Table::Networks, id.as_str(), None),
            Change::PutEndpoint(record) => {
                (Table::Endpoints, record.id.as_str(), Some(encoding::encode(record, n)))
            }
            Change::DeleteEndpoint(id) => (Table::Endpoints, id.as_str(), None),
            Change::PutName(record) => {
                (Table::Names, &*record.key, Some(encoding::encode(record, n)))
            }
            Change::DeleteName(key) => (Table::Names, &**key, None),
        };
        match record.transpose() {
            Ok(record) => Some((table, id, record)),
            Err(error) => {
                tracing::error!(%error, ?change, "not kept: it cannot be written as JSON");
                None
            }
        }
    }

    /// Writes what is to be written, unless it has just failed and is not asked for by name.
    fn write(&mut self, now: bool) {
        let idle = self.pending.is_empty() && !self.copy_is_old && self.failure.is_none();
        let too_soon = self.failure.as_ref().is_some_and(|f| Instant::now() < f.retry);
        if idle || (too_soon && !now) {
            self.tell();
            return;
        }
        match self.try_to_write() {
            Ok(()) => {
                if let Some(Failure { reason, .. }) = self.failure.take() {
                    tracing::info!(
                        path = %self.path.display(), was = reason,
                        "the state can be written again, and all of it is on the disk"
                    );
                }
            }
            Err(reason) => self.failed(reason),
        }
        self.tell();
    }

    fn try_to_write(&mut self) -> Result<(), String> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.open_again()?,
        };
        if !self.pending.is_empty() {
            if let Err(reason) = file::write(&database, &self.instance, &self.pending) {
                // After a failure `redb` wants to be opened again.
                file::close(database);
                return Err(reason);
            }
            self.copy_is_old |= self.pending.has_networks();
            self.pending.clear();
        }
        let copied = if self.copy_is_old { self.write_copy(&database) } else { Ok(()) };
        self.database = Some(database);
        copied?;
        self.copy_is_old = false;
        Ok(())
    }

    fn open_again(&mut self) -> Result<Database, String> {
        let Opened { read, writing, set_aside } = file::open(&self.path);
        match read {
            Read::Whole(content) => {
                let networks = content.networks.iter().map(|(id, _)| (Table::Networks, &**id));
                let endpoints = content.endpoints.iter().map(|(id, _)| (Table::Endpoints, &**id));
                let names = content.names.iter().map(|(key, _)| (Table::Names, &**key));
                let on_disk: HashSet<(Table, &str)> =
                    networks.chain(endpoints).chain(names).collect();
                self.pending.drop_ends_of_others(&on_disk);
            }
            Read::Damaged { reason, salvage } => {
                let known = self.failure.as_ref().is_some_and(|_| set_aside.is_none());
                if !known {
                    load::tell_damage(&self.path, &reason, set_aside.as_deref());
                }
                if self.witness.get().is_none() {
                    load::restore(&salvage, &copy::read(&self.copy_path), &mut self.pending);
                }
                self.take_all();
            }
            Read::Nothing => self.take_all(),
            Read::Failed(_) => {}
        }
        if set_aside.is_some() {
            self.health.lock().unwrap_or_else(PoisonError::into_inner).set_aside = set_aside;
        }
        writing.map_err(Into::into)
    }

    fn write_copy(&self, database: &Database) -> Result<(), String> {
        let networks = file::networks(database)?;
        let text = copy::render(&self.instance, &networks, &copy::read(&self.copy_path));
        if fs::read(&self.copy_path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        copy::write(&self.copy_path, &text)
            .map_err(|error| format!("{}: {error}", self.copy_path.display()))
    }

    fn failed(&mut self, reason: String) {
        let pause = self.failure.as_ref().map_or(RETRY, |f| (f.pause * 2).min(LONGEST_RETRY));
        if self.failure.as_ref().is_none_or(|earlier| earlier.reason != reason) {
            let error = self.error(&reason);
            tracing::error!(
                "{error}. Containers start all the same; what changes is kept in memory, lost with \
                 the process, and written as soon as it can be"
            );
        }
        self.failure = Some(Failure { reason, retry: Instant::now() + pause, pause });
    }

    fn tell(&self) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.fault = self.failure.as_ref().map(|f| self.error(&f.reason).to_string());
        health.waiting = self.pending.len();
    }

    fn error(&self, reason: &str) -> Error {
        Error { action: "write", path: self.path.clone(), reason: reason.into() }
    }
}

impl From<Refusal> for String {
    fn from(refusal: Refusal) -> String {
        match refusal {
            Refusal::InUse => IN_USE.to_owned(),
            Refusal::Reason(reason) => reason,
        }
    }
}
