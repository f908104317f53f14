//! An endpoint as a host on its link, from outside: what goes in and what comes out, with the time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod addresses;
mod answer;
mod bench;
mod duplicate;
mod hostile;
mod lan;
mod properties;
mod routers;
