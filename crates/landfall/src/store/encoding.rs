//! Records as they lie on the disk: JSON that says its version and proves that it is whole.
//!
//! `{"v":3,"n":41,"sum":"…",` and then the record's own fields. `n` grows with every record written,
//! so that of two copies in a damaged file the newer one is known. `sum` is over all the rest.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::record::EndpointRecord;
use super::record::NetworkRecord;

/// The version of the records that this daemon writes, and the newest that it reads.
pub(super) const VERSION: u32 = 3;
/// The first version whose records have a sum.
const SUMMED: u32 = 3;
/// What a record begins with, here and in a file of which nothing else can be read.
const BEGINNING: &[u8; 5] = b"{\"v\":";
/// What stands before the sum.
const SUM: &str = ",\"sum\":\"";
/// A sum's length: 64 bits in hexadecimal, and the quotation mark and comma after it.
const SUM_LENGTH: usize = 16 + 2;
/// No record is as long.
const LONGEST: usize = 1 << 16;

/// Why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A newer Landfall wrote it, in this version.
    Newer(u32),
    /// It is torn, or was changed by something else than a Landfall.
    Damaged(String),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::Newer(version) => write!(
                f,
                "it was written by a newer Landfall (record version {version}, this one reads up \
                 to {VERSION})"
            ),
            Unreadable::Damaged(reason) => write!(f, "it is damaged ({reason})"),
        }
    }
}

/// What all versions have.
#[derive(Deserialize)]
struct Head {
    v: u32,
    #[serde(default)]
    n: u64,
    sum: Option<Box<str>>,
}

/// A record's bytes, as the `n`th that is written.
pub(super) fn encode<T: Serialize>(record: &T, n: u64) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_vec(record)?;
    let fields = body.get(1..).unwrap_or_default();
    let head = format!("{{\"v\":{VERSION},\"n\":{n}");
    let sum = sum(&[head.as_bytes(), fields]);
    let mut bytes = format!("{head}{SUM}{sum:016x}\",").into_bytes();
    bytes.extend_from_slice(fields);
    Ok(bytes)
}

/// Reads a record, and which one it was.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, u64), Unreadable> {
    let damaged = |e: serde_json::Error| Unreadable::Damaged(e.to_string());
    let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
    if head.v > VERSION {
        return Err(Unreadable::Newer(head.v));
    }
    if (head.v >= SUMMED || head.sum.is_some()) && !is_whole(bytes, head.sum.as_deref()) {
        return Err(Unreadable::Damaged("its sum is wrong".into()));
    }
    Ok((serde_json::from_slice(bytes).map_err(damaged)?, head.n))
}

fn is_whole(bytes: &[u8], told: Option<&str>) -> bool {
    let at = bytes.windows(SUM.len()).position(|window| window == SUM.as_bytes());
    let Some((head, rest)) = at.and_then(|at| bytes.split_at_checked(at)) else { return false };
    let fields = rest.get(SUM.len() + SUM_LENGTH..).unwrap_or_default();
    told.is_some_and(|told| told == format!("{:016x}", sum(&[head, fields])))
}

/// FNV-1a: each step can be undone, so no change of one byte goes unseen. Against accidents, not
/// against people.
fn sum(parts: &[&[u8]]) -> u64 {
    parts.iter().copied().flatten().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What is whole in a file of which nothing else can be read.
#[derive(Debug, Default)]
pub(super) struct Salvage {
    /// By identifier, the newest copy of each: the number it was written as, and its bytes. Among
    /// them may be what was deleted.
    pub(super) networks: HashMap<String, (u64, Vec<u8>)>,
    pub(super) endpoints: HashMap<String, (u64, Vec<u8>)>,
}

/// Looks for records in the bytes of a file, wherever they lie.
pub(super) fn salvage(bytes: &[u8]) -> Salvage {
    let mut found = Salvage::default();
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == BEGINNING[0]) {
        let here = rest.get(at..).unwrap_or_default();
        rest = here.get(1..).unwrap_or_default();
        if !here.starts_with(BEGINNING) {
            continue;
        }
        let Some(record) = whole_value(here) else { continue };
        if let Ok((endpoint, n)) = decode_summed::<EndpointRecord>(record) {
            keep_newest(&mut found.endpoints, endpoint.id.as_str(), n, record);
        } else if let Ok((network, n)) = decode_summed::<NetworkRecord>(record) {
            keep_newest(&mut found.networks, network.id.as_str(), n, record);
        } else {
            continue;
        }
        rest = here.get(record.len()..).unwrap_or_default();
    }
    found
}

/// Only what proves that it is whole.
fn decode_summed<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, u64), Unreadable> {
    let head: Head =
        serde_json::from_slice(bytes).map_err(|e| Unreadable::Damaged(e.to_string()))?;
    if head.sum.is_none() {
        return Err(Unreadable::Damaged("it has no sum".into()));
    }
    decode(bytes)
}

/// The JSON value that the bytes begin with.
fn whole_value(bytes: &[u8]) -> Option<&[u8]> {
    let near = bytes.get(..bytes.len().min(LONGEST))?;
    let mut values =
        serde_json::Deserializer::from_slice(near).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    near.get(..values.byte_offset())
}

fn keep_newest(kept: &mut HashMap<String, (u64, Vec<u8>)>, id: &str, n: u64, record: &[u8]) {
    if kept.get(id).is_none_or(|(earlier, _)| *earlier < n) {
        kept.insert(id.to_owned(), (n, record.to_owned()));
    }
}
