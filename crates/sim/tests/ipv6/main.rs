//! Fleets of IPv6 endpoints through days of routers and servers, good and bad.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests; clippy's own exemption misses helpers outside of #[test] functions"
)]

mod hostile;
mod lans;
mod prefixes;
mod reboot;
mod registrations;
mod routers;
mod servers;
mod storms;
mod worlds;
