//! What a host has seen and done, for error messages and status.

use std::net::Ipv6Addr;

use wire::MacAddr;

/// Counters since the host was made. They saturate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Router solicitations sent.
    pub solicitations: u32,
    /// Router advertisements that were taken in.
    pub advertisements: u32,
    /// Advertisements, or parts of them, that were not: too many in a second, from ourselves, about
    /// what cannot be.
    pub ignored: u32,
    /// Neighbour solicitations sent to check addresses.
    pub probes: u32,
    /// Times another machine was found with an address.
    pub duplicates: u32,
    /// The last of them.
    pub last_duplicate: Option<Box<Duplicate>>,
}

/// Who had an address that was to be the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    /// The address.
    pub address: Ipv6Addr,
    /// The other machine's MAC.
    pub holder: MacAddr,
}

/// Counts one more, up to the counter's end.
pub(crate) fn bump(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
