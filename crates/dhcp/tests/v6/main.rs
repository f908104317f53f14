//! The DHCPv6 client from outside: tables of what goes in and what comes out, with the time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod acquire;
mod bench;
mod confirm;
mod hostile;
mod inform;
mod keep;
mod leases;
mod properties;
mod register;
mod release;
mod requests;
