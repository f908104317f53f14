//! `landfall status --watch`: the table, drawn anew whenever something happens.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, sleep_until};

use super::{Failure, print_on, status};
use crate::admin::client;

/// Drawn after so long even if nothing happens: the times in it pass.
const IDLE: Duration = Duration::from_secs(5);
/// Drawn no sooner than this after the last time, however much happens.
const PAUSE: Duration = Duration::from_millis(300);
/// To the upper left, and all below away.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Draws it until Ctrl-C, until nobody reads it, or until the daemon ends.
pub(super) async fn watch(named: Option<&Path>, headers: bool) -> Result<(), Failure> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut events = client::follow("/v1/events", named, Path::new("/"))
        .await
        .map_err(|error| Failure::NotReachable(error.to_string()))?;
    let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
    loop {
        let status = status::read(&status::ask(named).await?)?;
        if !print_on(&format!("{clear}{}", status::shown(&status, headers)))? {
            return Ok(());
        }
        let not_before = tokio::time::Instant::now() + PAUSE;
        let told = tokio::select! {
            _ = interrupted.recv() => return Ok(()),
            () = sleep(IDLE) => true,
            told = events.next() => told.is_some(),
        };
        if !told {
            return Err(Failure::NotReachable("the daemon has ended".to_owned()));
        }
        loop {
            tokio::select! {
                _ = interrupted.recv() => return Ok(()),
                () = sleep_until(not_before) => break,
                // What comes meanwhile is seen together.
                Some(_) = events.next() => {}
            }
        }
    }
}
