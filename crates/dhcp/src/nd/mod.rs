//! Neighbour and router discovery of one endpoint (RFC 4861, RFC 4862).

mod interface_id;

pub use interface_id::InterfaceId;

use serde::{Deserialize, Serialize};

/// Whether it is checked that nobody else has an address (RFC 4862 §5.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateCheck {
    /// An address is usable at once (RFC 4429), and is asked for in the background. If another
    /// machine has it, it is given up.
    #[default]
    Optimistic,
    /// None, and no defence either.
    Off,
}
