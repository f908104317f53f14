//! DHCPv6 from outside: the RFCs' layouts, hostile input, properties, and another codec as a
//! witness.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests; clippy's own exemption misses helpers outside of #[test] functions"
)]

mod allocation;
mod common;
mod differential;
mod duid;
mod hostile;
mod oracle;
mod properties;
mod readers;
mod rfc;
