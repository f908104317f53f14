//! Neighbour discovery for IPv6 (RFC 4861).

use serde::{Deserialize, Serialize};

/// Which router, or which of two routes, to take first (RFC 4191 §2.1). In order: the most
/// preferred is the greatest.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    /// After others.
    Low,
    /// As routers that say nothing of it.
    #[default]
    Medium,
    /// Before others.
    High,
}
