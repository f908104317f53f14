//! What there is at the start, whatever is damaged.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::copy::Copy;
use super::encoding::{Salvage, Unreadable, decode};
use super::file::{Content, Opened, Read, Rows};
use super::pending::Pending;
use super::record::{EndpointRecord, NameRecord, NetworkRecord};
use super::writer::Writer;
use super::{COPY, FILE, Table};
use crate::engine::ids::{EndpointId, InvalidId, NetworkId};

/// What was found at the start.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Tells this state directory from any other: four hexadecimal digits.
    pub(crate) instance: String,
    /// All networks.
    pub(crate) networks: Vec<NetworkRecord>,
    /// All endpoints.
    pub(crate) endpoints: Vec<EndpointRecord>,
    /// Names that have a MAC out of those that were kept in stock.
    pub(crate) names: Vec<NameRecord>,
    /// Networks whose records are there and cannot be read. They stay as they are.
    pub(crate) unreadable_networks: HashMap<NetworkId, Unreadable>,
    /// The same of endpoints.
    pub(crate) unreadable_endpoints: HashMap<EndpointId, Unreadable>,
    /// The file was damaged: among the endpoints may be some that were deleted before.
    pub(crate) salvaged: bool,
}

/// Makes of what was read what is known, and the writer for what comes.
pub(super) fn load(opened: Opened, copy: &Copy, dir: &Path) -> (Loaded, Writer) {
    let Opened { read, writing, set_aside } = opened;
    let mut loaded = Loaded::default();
    let mut pending = Pending::default();
    let mut last = 0;
    let mut instance = None;
    match read {
        Read::Whole(Content { instance: kept, networks, endpoints, names }) => {
            instance = kept;
            loaded.names = read_names(&names, &mut last);
            loaded.networks = records(&networks, &mut loaded.unreadable_networks, &mut last);
            loaded.endpoints = records(&endpoints, &mut loaded.unreadable_endpoints, &mut last);
            loaded.take_from_copy(copy, &mut last);
        }
        Read::Nothing => restore(&Salvage::default(), copy, &mut pending),
        Read::Damaged { reason, salvage } => {
            tell_damage(&dir.join(FILE), &reason, set_aside.as_deref());
            restore(&salvage, copy, &mut pending);
            loaded.salvaged = true;
        }
        Read::Failed(error) => {
            tracing::error!(
                path = %dir.join(FILE).display(), %error,
                "the state cannot be read: going on with the copy of the networks, without leases"
            );
            let rows: Rows = copy.networks.clone().into_iter().collect();
            loaded.networks = records(&rows, &mut loaded.unreadable_networks, &mut last);
        }
    }
    let rows = |table| -> Rows {
        let of_table = pending.iter().filter(|(of, ..)| *of == table);
        of_table.filter_map(|(_, id, row)| Some((id.to_owned(), row?.to_owned()))).collect()
    };
    if !pending.is_empty() {
        let unreadable = &mut loaded.unreadable_networks;
        loaded.networks = records(&rows(Table::Networks), unreadable, &mut last);
        let unreadable = &mut loaded.unreadable_endpoints;
        loaded.endpoints = records(&rows(Table::Endpoints), unreadable, &mut last);
        tracing::warn!(
            networks = loaded.networks.len(),
            endpoints = loaded.endpoints.len(),
            "put back from what could be read"
        );
    }
    loaded.tell_unreadable();
    let instance = instance.filter(|i| is_instance(i));
    let instance = instance.or_else(|| copy.instance.clone().filter(|i| is_instance(i)));
    loaded.instance = instance.unwrap_or_else(new_instance);
    let (path, copy_path) = (dir.join(FILE), dir.join(COPY));
    let mut writer = Writer::new(path, copy_path, loaded.instance.clone(), last, pending);
    writer.begin(writing, set_aside);
    (loaded, writer)
}

/// Says that a file is damaged, and what becomes of it.
pub(super) fn tell_damage(path: &Path, reason: &str, set_aside: Option<&Path>) {
    let to = set_aside.map_or_else(|| "where it is".into(), |to| to.display().to_string());
    tracing::error!(
        path = %path.display(), reason, kept = to,
        "the state is damaged: it is kept as it was found, and Landfall goes on with what can be \
         read of it and its copy of the networks"
    );
}

/// What there was in a file that is lost, as far as it is known, to be written into the next one.
pub(super) fn restore(salvage: &Salvage, copy: &Copy, pending: &mut Pending) {
    for (id, record) in &copy.networks {
        pending.put_older(Table::Networks, id, record.clone());
    }
    // Where there is a copy, a network that is not in it was deleted.
    if copy.instance.is_none() {
        for (id, (_, record)) in &salvage.networks {
            pending.put_older(Table::Networks, id, record.clone());
        }
    }
    for (id, (_, record)) in &salvage.endpoints {
        pending.put_older(Table::Endpoints, id, record.clone());
    }
}

impl Loaded {
    /// Takes networks from the copy whose records are damaged.
    fn take_from_copy(&mut self, copy: &Copy, last: &mut u64) {
        let Loaded { networks, unreadable_networks, .. } = self;
        unreadable_networks.retain(|id, why| {
            let Unreadable::Damaged(_) = why else { return true };
            let Some(row) = copy.networks.get(id.as_str()) else { return true };
            match read_record::<NetworkRecord>(id.as_str(), row) {
                Ok((record, n)) => {
                    tracing::warn!(network = %id, %why, "its record: the copy is used");
                    *last = (*last).max(n);
                    networks.push(record);
                    false
                }
                Err(_) => true,
            }
        });
    }

    fn tell_unreadable(&self) {
        fn tell(kind: &str, id: &dyn Display, why: &Unreadable) {
            tracing::error!("the record of {kind} {id} cannot be read, and is left alone: {why}");
        }
        self.unreadable_networks.iter().for_each(|(id, why)| tell("network", id, why));
        self.unreadable_endpoints.iter().for_each(|(id, why)| tell("endpoint", id, why));
    }
}

trait Record: DeserializeOwned {
    type Id: TryFrom<String, Error = InvalidId> + Eq + Hash;
    fn id(&self) -> &str;
}

impl Record for NetworkRecord {
    type Id = NetworkId;
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl Record for EndpointRecord {
    type Id = EndpointId;
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

fn read_record<T: Record>(id: &str, row: &[u8]) -> Result<(T, u64), Unreadable> {
    let (record, n) = decode::<T>(row)?;
    if record.id() == id {
        Ok((record, n))
    } else {
        Err(Unreadable::Damaged("it lies under another identifier".into()))
    }
}

fn records<T: Record>(
    rows: &Rows,
    unreadable: &mut HashMap<T::Id, Unreadable>,
    last: &mut u64,
) -> Vec<T> {
    let mut records = Vec::with_capacity(rows.len());
    for (id, row) in rows {
        match (read_record(id, row), T::Id::try_from(id.clone())) {
            (Ok((record, n)), _) => {
                *last = (*last).max(n);
                records.push(record);
            }
            (Err(why), Ok(id)) => drop(unreadable.insert(id, why)),
            // Nobody can ask for it.
            (Err(why), Err(_)) => tracing::error!(id, %why, "a record is left alone"),
        }
    }
    records
}

/// A name whose record cannot be read has the MAC that any name has.
fn read_names(rows: &Rows, last: &mut u64) -> Vec<NameRecord> {
    let read = |(key, row): &(String, Vec<u8>)| match decode::<NameRecord>(row) {
        Ok((record, n)) if *record.key == **key => {
            *last = (*last).max(n);
            Some(record)
        }
        other => {
            let why = other.err().map(|why| why.to_string());
            tracing::error!(key, why, "the record of a name's MAC cannot be read");
            None
        }
    };
    rows.iter().filter_map(read).collect()
}

/// It becomes part of file names.
fn is_instance(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn new_instance() -> String {
    format!("{:04x}", random_u16().unwrap_or_else(|_| std::process::id() as u16))
}

fn random_u16() -> Result<u16, io::Error> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u16::from_be_bytes(bytes))
}
