//! The DHCPv4 client from outside: tables of what goes in and what comes out, with the time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod acquire;
mod announce;
mod apart;
mod bench;
mod confirm;
mod conflict;
mod conformance;
mod decline;
mod defects;
mod defence;
mod demand;
mod hostile;
mod ipv6_only;
mod keep;
mod keep_address;
mod leases;
mod next_hop;
mod properties;
mod rapid_commit;
mod reboot;
mod release;
mod requests;
mod shared_link;
