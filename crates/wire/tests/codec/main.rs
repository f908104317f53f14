//! The codecs from outside: the RFCs' own examples, frames of real servers, hostile input,
//! properties, and another codec as a witness.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests; clippy's own exemption misses helpers outside of #[test] functions"
)]

mod allocation;
mod captured;
mod captured6;
mod common;
mod described;
mod differential;
mod frames;
mod frames6;
mod hostile;
mod nd;
mod nd_properties;
mod oracle;
mod properties;
mod readers;
mod rfc;
