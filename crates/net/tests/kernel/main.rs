//! What this crate does with a real kernel. Every test makes its own network namespaces and
//! touches nothing outside them; all need root, and fail without.

#![allow(unsafe_code)]
// the sniffer in `common`
// A test that cannot go on panics; clippy knows that of test functions, not of their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

mod addresses;
mod bridges;
mod clocks;
mod dhcp_guards;
mod filters;
mod forwarding;
mod ipv6;
mod ipv6_settings;
mod links;
mod macvlans;
mod mounted;
mod namespaces;
mod neighbour_tables;
mod packets;
mod port_tables;
mod processes;
mod watches;
