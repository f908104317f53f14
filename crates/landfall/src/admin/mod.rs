//! The operator's front door: HTTP/1.1 with JSON on the admin socket, and the client of it.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | what `landfall status --json` prints; `docs/status-schema.md` has its fields |
//! | `GET /v1/leases/NAME` | what `landfall lease show NAME --json` prints; `docs/lease-schema.md` has its fields |
//! | `GET /v1/events` | what happens from now on, a line of JSON each, without end; `docs/events.md` has them |
//! | `GET /metrics` | counters and gauges for Prometheus; `docs/metrics.md` has them; asked for, on a TCP address too |
//! | `GET /v1/version` | `{"version": "0.1.0"}`, the daemon's |
//!
//! Whatever else is asked gets a 4xx with `{"error": "…"}`. Fields may be added to an answer of
//! `v1`; none is renamed, removed or given another meaning.

pub(crate) mod client;
mod metrics;
#[cfg(test)]
pub(crate) mod sample;
mod server;
mod tcp;
#[cfg(test)]
mod tests;

pub(crate) use server::{serve, serve_metrics};
pub(crate) use tcp::Address;

/// The name of the admin socket where it stands among Docker's plugin sockets, as it does inside a
/// managed plugin: that folder is the only one which both the plugin and the host see.
const NAME_AMONG_PLUGINS: &str = "landfall-admin.sock";
