//! The daemon killed at every step, and at any moment: what it then finds, it adopts or removes.
//!
//! The daemon of these tests is built with the feature `fault-points`; see `src/fault.rs`.
//!
//! | file | is |
//! |---|---|
//! | `life` | an engine that takes a container through its life, whatever becomes of the daemon |
//! | `points` | the daemon killed at each point once |
//! | `random` | the daemon killed at any moment while containers come and go |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, dead_code)] // helpers of tests are tests

#[path = "../daemon/container.rs"]
mod container;
#[path = "../../src/fault.rs"]
mod fault;
mod life;
mod points;
mod random;
#[path = "../daemon/site.rs"]
mod site;
