//! Changes that are not on the disk yet: the last one of each network, endpoint and name.

use std::collections::{BTreeMap, HashSet};

use super::Table;

/// What is to be written: a record, or its end.
#[derive(Debug, Default)]
pub(super) struct Pending(BTreeMap<(Table, Box<str>), Record>);

/// The bytes that are to be kept; none: nothing is.
type Record = Option<Box<[u8]>>;

impl Pending {
    /// Puts a change in place of an earlier one of the same network or endpoint.
    pub(super) fn put(&mut self, table: Table, id: &str, record: Option<Vec<u8>>) {
        self.0.insert((table, id.into()), record.map(Into::into));
    }

    /// The same, unless there is a change already, which is newer.
    pub(super) fn put_older(&mut self, table: Table, id: &str, record: Vec<u8>) {
        self.0.entry((table, id.into())).or_insert_with(|| Some(record.into()));
    }

    /// Drops the ends of what is not on the disk, so that containers that come and go while nothing
    /// can be written leave nothing here.
    pub(super) fn drop_ends_of_others(&mut self, on_disk: &HashSet<(Table, &str)>) {
        self.0.retain(|(table, id), record| record.is_some() || on_disk.contains(&(*table, &**id)));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Table, &str, Option<&[u8]>)> {
        self.0.iter().map(|((table, id), record)| (*table, &**id, record.as_deref()))
    }

    /// Whether one of them is about a network.
    pub(super) fn has_networks(&self) -> bool {
        self.iter().any(|(table, ..)| table == Table::Networks)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
