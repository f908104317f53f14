//! The daemon killed at any moment while containers come and go.
//!
//! `LANDFALL_KILLS` says how often (30); the seed is printed, and `LANDFALL_SEED` sets it. Where in the
//! daemon's work a kill falls is not the seed's alone to say: the clock has its part.

use std::env;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::life::{Crashing, Guest, Line};
use crate::site::{endpoint_argument, id};

/// Containers that come and go at the same time.
const WORKERS: usize = 4;

fn asked(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn killed_at_any_moment() {
    let kills = asked("LANDFALL_KILLS", 30);
    let seed = asked("LANDFALL_SEED", u64::from(std::process::id()));
    println!("{kills} kills, LANDFALL_SEED={seed}");
    let mut site = Crashing::new(1000);
    site.network("0");
    let line = site.line();
    let site = Mutex::new(site);
    let (over, lives, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let mut random = fastrand::Rng::with_seed(seed);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (site, line, over, lives, refused) = (&site, &line, &over, &lives, &refused);
            scope.spawn(move || {
                let names = (0..).map(|n| format!("{worker}{n:x}"));
                for name in names.take_while(|_| !over.load(Ordering::SeqCst)) {
                    let counter = if live(site, line, &name) { lives } else { refused };
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..kills {
            // At any moment: there is no event to wait for.
            thread::sleep(Duration::from_micros(random.u64(1_000..150_000)));
            let mut site = lock(&site);
            let pid = Pid::from_raw(site.site.landfall.pid().cast_signed());
            kill(pid, Signal::SIGKILL).unwrap();
            site.wait_for_end();
            site.revive();
        }
        over.store(true, Ordering::SeqCst);
    });
    let (lives, refused) = (lives.into_inner(), refused.into_inner());
    println!("{lives} lives, {refused} refused");
    assert!(lives >= WORKERS && lives > refused, "{lives} lives, {refused} refused");
    site.into_inner().unwrap().end();
}

fn lock(site: &Mutex<Crashing>) -> MutexGuard<'_, Crashing> {
    site.lock().unwrap()
}

/// A container's life, by an engine that calls again when a call broke. Says whether it began.
fn live(site: &Mutex<Crashing>, line: &Line, name: &str) -> bool {
    let this = json!({ "NetworkID": id("lan"), "EndpointID": id(name) });
    let Ok(answer) = line.call("CreateEndpoint", &endpoint_argument("lan", name, "")) else {
        return false;
    };
    let mut guest = Guest::new(&lock(site).site, name, "", &answer);
    let joined = line.call("Join", &guest.join_argument());
    if joined.is_ok() {
        guest.move_in(line.host());
        guest.inhabit(&lock(site).site);
        guest.reaches_the_router();
        guest.leave_alone();
        line.call("Leave", &this).unwrap();
        guest.move_out(line.host());
    }
    line.call("DeleteEndpoint", &this).unwrap();
    guest.unbind(&lock(site).site);
    joined.is_ok()
}
