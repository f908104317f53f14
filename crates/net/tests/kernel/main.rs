//! What this crate does with a real kernel. Every test makes its own network namespaces and
//! touches nothing outside them; all need root, and fail without.

mod common;

mod addresses;
mod bridges;
mod clocks;
mod filters;
mod forwarding;
mod links;
mod namespaces;
mod packets;
mod processes;
mod watches;
