//! A second copy of all networks, in a file of its own.
//!
//! Docker tells of a network once and never again, so the loss of its record would be the loss of
//! the network. Networks change rarely: the copy is written anew, whole, when one does.
//!
//! One line each, `ID RECORD`; the first is the instance's.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::encoding::{decode, encode};
use super::file::Rows;
use super::record::NetworkRecord;

/// No identifier of a network.
const INSTANCE: &str = "@instance";

#[derive(Serialize, Deserialize)]
struct Instance {
    instance: String,
}

/// What a copy holds.
#[derive(Debug, Default)]
pub(super) struct Copy {
    pub(super) instance: Option<String>,
    pub(super) networks: HashMap<String, Vec<u8>>,
}

/// Reads a copy; what is damaged in it, or not there, is left out.
pub(super) fn read(path: &Path) -> Copy {
    let mut copy = Copy::default();
    for line in fs::read(path).unwrap_or_default().split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b' ') else { continue };
        let Some((id, record)) = line.split_at_checked(at) else { continue };
        let Ok(id) = std::str::from_utf8(id) else { continue };
        let record = record.get(1..).unwrap_or_default();
        if id == INSTANCE {
            copy.instance = decode::<Instance>(record).ok().map(|(of, _)| of.instance);
        } else {
            copy.networks.insert(id.to_owned(), record.to_owned());
        }
    }
    copy
}

/// What a copy of these networks looks like. Of one whose record is damaged the earlier copy stays.
pub(super) fn render(instance: &str, networks: &Rows, earlier: &Copy) -> Vec<u8> {
    let mut text = Vec::new();
    let mut line = |id: &str, record: &[u8]| {
        if !record.contains(&b'\n') {
            text.extend_from_slice(id.as_bytes());
            text.push(b' ');
            text.extend_from_slice(record);
            text.push(b'\n');
        }
    };
    if let Ok(record) = encode(&Instance { instance: instance.to_owned() }, 0) {
        line(INSTANCE, &record);
    }
    for (id, record) in networks {
        let damaged =
            matches!(decode::<NetworkRecord>(record), Err(super::encoding::Unreadable::Damaged(_)));
        match earlier.networks.get(id) {
            Some(earlier) if damaged => line(id, earlier),
            _ => line(id, record),
        }
    }
    text
}

/// Puts a copy in place of the earlier one: at any moment one of the two is there.
pub(super) fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("networks.new");
    let written = (|| {
        let mut file = File::create(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
