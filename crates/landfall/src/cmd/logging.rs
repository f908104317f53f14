//! The daemon's log: lines on standard output.
//!
//! Docker takes a managed plugin's standard output into its own log as information and its
//! standard error as errors; systemd takes both alike.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic;
use std::str::FromStr;

use tracing::error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged: a level for everything, levels for parts of the program, or both.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter(Targets);

/// The text is no filter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no log level: give error, warn, info, debug, trace or off, or levels for parts of \
     the program such as `info,landfall::docker=debug`"
)]
pub(super) struct InvalidFilter(String);

impl FromStr for Filter {
    type Err = InvalidFilter;

    /// Empty text is what a plugin setting looks like that nobody set: the default, `info`.
    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let mut targets = Targets::new().with_default(LevelFilter::INFO);
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (target, level) = match part.split_once('=') {
                Some((target, level)) => (Some(target.trim()), level.trim()),
                None => (None, part),
            };
            // `Targets` would take a misspelt level for the name of a part to log all of.
            let level = level.parse::<LevelFilter>();
            let level = level.map_err(|_| InvalidFilter(part.to_owned()))?;
            targets = match target {
                Some(target) if target.is_empty() || target.contains(char::is_whitespace) => {
                    return Err(InvalidFilter(part.to_owned()));
                }
                Some(target) => targets.with_target(target, level),
                None => targets.with_default(level),
            };
        }
        Ok(Filter(targets))
    }
}

/// Starts the log, and puts panics into it.
pub(super) fn start(Filter(targets): Filter) -> Result<(), String> {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false);
    let log = tracing_subscriber::registry().with(targets).with(lines);
    log.try_init().map_err(|error| format!("cannot start the log: {error}"))?;
    panic::set_hook(Box::new(|panic| {
        let trace = Backtrace::capture();
        match trace.status() {
            BacktraceStatus::Captured => error!("{panic}\n{trace}"),
            _ => error!("{panic} (RUST_BACKTRACE=1 would tell more)"),
        }
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    fn enabled(filter: &str, target: &str, level: Level) -> bool {
        filter.parse::<Filter>().unwrap().0.would_enable(target, &level)
    }

    #[test]
    fn levels() {
        assert!(enabled("warn", "landfall::docker", Level::WARN));
        assert!(!enabled("warn", "landfall::docker", Level::INFO));
        assert!(enabled("DEBUG", "landfall", Level::DEBUG));
        assert!(!enabled("off", "landfall", Level::ERROR));
    }

    #[test]
    fn unset_is_info() {
        assert!(enabled("", "landfall", Level::INFO));
        assert!(!enabled(" ", "landfall", Level::DEBUG));
    }

    #[test]
    fn parts() {
        let filter = "warn, landfall::docker = trace";
        assert!(enabled(filter, "landfall::docker::guard", Level::TRACE));
        assert!(!enabled(filter, "landfall::engine", Level::INFO));
        // What is not named keeps the default.
        assert!(enabled("landfall::docker=trace", "landfall::engine", Level::INFO));
    }

    #[test]
    fn misspelt() {
        for (text, part) in [
            ("inof", "inof"),
            ("info,landfall=lots", "landfall=lots"),
            ("=debug", "=debug"),
            ("info landfall=debug", "info landfall=debug"),
        ] {
            let error = text.parse::<Filter>().unwrap_err();
            assert_eq!(error, InvalidFilter(part.to_owned()));
            assert!(error.to_string().contains("error, warn, info, debug, trace"));
        }
    }
}
