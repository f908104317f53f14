//! Many runs of a scenario, and the one that failed once more.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The variable that names the one seed to run.
const VARIABLE: &str = "LANDFALL_SIM_SEED";

/// Runs `scenario` for each seed. If a run fails, its seed is printed and the test ends there;
/// `LANDFALL_SIM_SEED=<seed>` then runs that seed alone. Returns whether all were run, so that their
/// sums can be judged.
///
/// # Panics
///
/// As the scenario does; and if the variable is set to something else than a number.
pub fn seeds(scenario: &str, seeds: Range<u64>, run: impl Fn(u64)) -> bool {
    match std::env::var(VARIABLE) {
        Ok(seed) => {
            run(seed.parse().expect("LANDFALL_SIM_SEED is a number"));
            false
        }
        Err(_) => {
            if let Err((seed, panic)) = first_failure(seeds, run) {
                eprintln!("{scenario}: seed {seed} failed; run it alone with {VARIABLE}={seed}");
                resume_unwind(panic);
            }
            true
        }
    }
}

fn first_failure(
    mut seeds: Range<u64>,
    run: impl Fn(u64),
) -> Result<(), (u64, Box<dyn Any + Send>)> {
    seeds.try_for_each(|seed| {
        catch_unwind(AssertUnwindSafe(|| run(seed))).map_err(|panic| (seed, panic))
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_first_seed_that_fails_is_named_and_the_last_to_run() {
        let ran = Cell::new(0);
        let (seed, _) = first_failure(0..9, |seed| {
            ran.set(ran.get() + 1);
            assert!(seed < 3, "as the test wants it");
        })
        .unwrap_err();
        assert_eq!((seed, ran.get()), (3, 4));
    }
}
