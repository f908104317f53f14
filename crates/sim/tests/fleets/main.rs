//! Fleets of clients on bad LANs with servers good, bad and hostile, for days of virtual time each.
//!
//! Each seed is a [world](world::World) of its own. The same happens in all [parts](part), with other
//! seeds; they are only apart so that they can run beside each other. Each of them judges its own share,
//! so that together they have at least the exchanges that are asked for.
//!
//! A seed that fails is printed with the last frames. It runs alone by
//!
//! ```text
//! LANDFALL_SIM_SEED=137 cargo test -p sim --test fleets first -- --nocapture
//! ```
//!
//! and ends the same way each time; which part is named does not matter.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests; clippy's own exemption misses helpers outside of #[test] functions"
)]

mod mischief;
mod pairs;
mod world;

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use sim::{Coverage, Exchanges};
use world::World;

/// Exchanges in all parts together.
const EXCHANGES: u64 = 2_000_000;
/// The part of them that is under faults: a fifth.
const FAULTY: u64 = 5;
const PARTS: u64 = 4;
/// Worlds in a part.
const WORLDS: u64 = 64;

#[derive(Default)]
struct Sum {
    exchanges: Exchanges,
    coverage: Coverage,
    slowest: Duration,
}

fn part(number: u64) {
    let sum = RefCell::new(Sum::default());
    let seeds: Range<u64> = number * WORLDS..(number + 1) * WORLDS;
    let all = sim::seeds("fleets", seeds, |seed| {
        let lived = World::new(seed).live();
        let mut sum = sum.borrow_mut();
        sum.exchanges += lived.lan.exchanges();
        sum.coverage.add(lived.lan.coverage());
        sum.slowest = sum.slowest.max(lived.slowest);
    });
    let Sum { exchanges, coverage, slowest } = sum.into_inner();
    println!("{exchanges:?}, healed within {slowest:?}\n{coverage}");
    pairs::assert_none_that_cannot_be(&coverage);
    if all {
        assert!(exchanges.begun >= EXCHANGES / PARTS, "{exchanges:?}");
        assert!(exchanges.under_faults >= exchanges.begun / FAULTY, "{exchanges:?}");
        assert!(exchanges.answered >= exchanges.begun / 2, "{exchanges:?}");
        pairs::assert_all_others(&coverage);
    }
}

#[test]
fn first() {
    part(0);
}

#[test]
fn second() {
    part(1);
}

#[test]
fn third() {
    part(2);
}

#[test]
fn fourth() {
    part(3);
}
