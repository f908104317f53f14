//! The body of a plugin call: whatever Docker, or somebody else, writes into it.

use crate::docker;

/// Whether these bytes are something to look at; if they are, what [the module](self) says holds.
pub fn run(bytes: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice(bytes) else { return false };
    docker::read_all(&body);
    true
}
