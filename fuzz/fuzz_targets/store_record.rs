//! A record of the store: whatever lies there, what is read is what is written again.
//!
//! The daemon is a binary crate, so its records are taken in here file by file.

#![no_main]
#![allow(dead_code, reason = "the daemon uses the rest")]

use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[path = "../../crates/landfall/src/engine"]
mod engine {
    pub(crate) mod ids;
    pub(crate) mod options;
}
#[path = "../../crates/landfall/src/store/record.rs"]
mod record;

/// As `store` wraps them.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    record: T,
}

fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(Versioned::<T> { v, record }) = serde_json::from_slice(bytes) else { return };
    let written = serde_json::to_vec(&Versioned { v, record: &record }).expect("records are text");
    let read: Versioned<T> = serde_json::from_slice(&written).expect("what is written is read");
    assert_eq!(read.record, record);
}

fuzz_target!(|bytes: &[u8]| {
    again::<record::NetworkRecord>(bytes);
    again::<record::EndpointRecord>(bytes);
});
