//! The daemon killed at every step, and at any moment: what it then finds, it adopts or removes. And what else only a
//! daemon of the test's own can be put through.
//!
//! The daemon of these tests is built with the feature `fault-points`; see `src/fault.rs`.
//!
//! | file | is |
//! |---|---|
//! | `life` | an engine that takes a container through its life, whatever becomes of the daemon |
//! | `points` | the daemon killed at each point once |
//! | `boots` | the daemon killed when the machine has just booted |
//! | `halts` | calls that meet each other: one waits at a point, another goes on |
//! | `clocks` | the wall clock is set, and the machine sleeps |
//! | `random` | the daemon killed at any moment while containers come and go |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, dead_code)] // helpers of tests are tests

#[path = "../daemon/container.rs"]
mod container;
#[path = "../../src/fault.rs"]
mod fault;
mod life;
#[path = "../daemon/server.rs"]
mod server;

mod boots;
mod clocks;
mod halts;
mod ipv6;
mod points;
mod random;
#[path = "../daemon/site.rs"]
mod site;
