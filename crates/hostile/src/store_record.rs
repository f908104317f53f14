//! A record of the store: whatever lies there, what is read is what is written again.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::record;

/// As `store` wraps them.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    record: T,
}

fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> bool {
    let Ok(Versioned::<T> { v, record }) = serde_json::from_slice(bytes) else { return false };
    let written = serde_json::to_vec(&Versioned { v, record: &record }).expect("records are text");
    let read: Versioned<T> = serde_json::from_slice(&written).expect("what is written is read");
    assert_eq!(read.record, record);
    true
}

/// Whether these bytes are something to look at; if they are, what [the module](self) says holds.
pub fn run(bytes: &[u8]) -> bool {
    let network = again::<record::NetworkRecord>(bytes);
    again::<record::EndpointRecord>(bytes) || network
}
