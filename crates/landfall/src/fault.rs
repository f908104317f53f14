//! Moments at which a test kills the daemon.
//!
//! They exist only with the feature `fault-points`, which the shipped binary is built without: there
//! a point is nothing at all. With it the environment variable `LANDFALL_FAULT` names the point at
//! which the process ends as by `kill -9`, and `name#3` the third time that it comes by there.
//! `LANDFALL_HALT`, `name=PATH`, names one at which it waits for the test: PATH is a FIFO, which the test
//! opens for writing when it may come by there, and closes when it may go on.

use std::time::Duration;

/// All points, in the order of a container's life.
#[cfg(feature = "fault-points")]
pub(crate) const POINTS: [&str; 40] = [
    "network: known",
    "network: recorded",
    "network: port made",
    "create: known",
    "create: recorded",
    "create: link to be made",
    "create: link made",
    "create: frame sent",
    "create: granted",
    "create: lease recorded",
    "join: known",
    "join: recorded",
    "join: link up",
    "join: forwarded",
    "join: configured",
    "join: announced",
    "join: guest known",
    "renew: acknowledged",
    "renew: kept",
    "renew: applied",
    "change: known",
    "change: applied",
    "hold: known",
    "hold: recorded",
    "hold: place taken",
    "claim: taken",
    "claim: lease taken over",
    "warm: known",
    "warm: recorded",
    "warm: granted",
    "warm: lease recorded",
    "leave: known",
    "leave: recorded",
    "leave: given back",
    "delete: link removed",
    "delete: forgotten",
    "forget: network known",
    "forget: network recorded",
    "forget: port unused",
    "forget: port removed",
];

/// How long to wait for what may never come: less, if a test says so by `LANDFALL_PATIENCE`, in
/// milliseconds.
pub(crate) fn patience(long: Duration) -> Duration {
    #[cfg(feature = "fault-points")]
    if let Some(millis) = std::env::var("LANDFALL_PATIENCE").ok().and_then(|text| text.parse().ok())
    {
        return Duration::from_millis(millis);
    }
    long
}

/// The process may end here, or wait.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub(crate) fn point(_name: &'static str) {}

/// The process may end here, or wait.
#[cfg(feature = "fault-points")]
pub(crate) fn point(name: &'static str) {
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use nix::sys::signal::{Signal, raise};

    /// What is left until the process ends at that point.
    static FAULT: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    /// Where it waits, and for whom.
    static HALT: OnceLock<Option<(String, String)>> = OnceLock::new();

    assert!(POINTS.contains(&name), "{name} is not among the fault points");
    let fault = FAULT.get_or_init(|| {
        let asked = std::env::var("LANDFALL_FAULT").ok()?;
        let (point, times) = asked.split_once('#').unwrap_or((&asked, "1"));
        Some((point.to_owned(), AtomicU32::new(times.parse().ok()?)))
    });
    if let Some((point, left)) = fault
        && point == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        // Said before, since the process has no last words; in one go, as the log goes on beside it.
        let _ = std::io::stderr().write_all(format!("fault point: {name}\n").as_bytes());
        let _ = raise(Signal::SIGKILL);
    }
    let halt = HALT.get_or_init(|| {
        let asked = std::env::var("LANDFALL_HALT").ok()?;
        asked.split_once('=').map(|(point, fifo)| (point.to_owned(), fifo.to_owned()))
    });
    if let Some((point, fifo)) = halt
        && point == name
    {
        // Everything else goes on. Where the FIFO is no more, nobody waits for anybody.
        let _ = tokio::task::block_in_place(|| std::fs::read(fifo));
    }
}
