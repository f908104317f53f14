//! The coordinator of an endpoint's IPv6 from outside: what goes in and what comes out, with the
//! time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod bench;
mod changes;
#[path = "../nd/lan.rs"]
#[allow(dead_code, reason = "shared with the tests of neighbour discovery")]
mod lan;
mod life;
mod memory;
mod properties;
mod register;
mod shared_link;
mod start;
