//! End to end: a real Docker Engine, a real DHCP server and the daemon, on a LAN of the test's own.
//!
//! The engine is the one that `LANDFALL_ENGINE` names (20, 26 or 28).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

mod site;

mod lifecycle;
