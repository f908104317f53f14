//! A virtual LAN in virtual time, to test DHCP clients on.
//!
//! A [`Lan`] joins [endpoints](Endpoint), each with a real [`dhcp::v4::Client`], and [servers](Server),
//! good and bad, by [links](Conditions) that lose, delay, duplicate and reorder. Everything random
//! comes from one seed and time passes from event to event, so that a thousand clients live through
//! days in about a second and a run can be repeated exactly.
//!
//! At every step the [watch](Watch) compares what clients do with what they may do: no address is
//! used outside its lease, no two endpoints hold one address of an honest server, nobody sends more
//! than back-off allows, and every frame bears the MAC of its sender. A scenario adds what it
//! expects in the end.
//!
//! ```
//! use std::time::Duration;
//!
//! use sim::{Lan, Server};
//!
//! sim::seeds("a lease in a lossy LAN", 0..3, |seed| {
//!     let mut lan = Lan::new(seed);
//!     lan.conditions.loss = 0.2;
//!     lan.add_server(Server::home_router());
//!     let fleet = lan.add_fleet(10);
//!     lan.start(fleet, Duration::from_secs(1));
//!     lan.run_for(Duration::from_secs(600));
//!     assert_eq!(lan.bound(), 10);
//! });
//! ```
//!
//! [`v6`] is the same for IPv6.
//!
//! | file | its job |
//! |---|---|
//! | `lan` | stations, frames between them, time |
//! | `link` | what happens to a frame on its way, and in which order they arrive |
//! | `queue` | what happens when |
//! | `endpoint` | a client and the container it speaks for |
//! | `squatter` | a machine with addresses that nobody gave it |
//! | `server` | a DHCP server: what it answers, and how it misbehaves |
//! | `database` | which client has which address |
//! | `rules` | what one client may do |
//! | `watch` | what must hold among all, at every step |
//! | `coverage` | which input a client got in which state |
//! | `command` | what a caller may tell a client |
//! | `byzantine` | what a hostile server makes of a valid reply |
//! | `trace` | the last frames, for a failure's report |
//! | `seeds` | many runs, and the one that failed again |

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the simulator is part of tests: to panic is how it reports"
)]

mod byzantine;
mod command;
mod coverage;
mod database;
mod endpoint;
mod lan;
mod link;
mod queue;
mod rules;
mod seeds;
mod server;
mod squatter;
mod trace;
pub mod v6;
mod watch;

pub use byzantine::Byzantine;
pub use command::Command;
pub use coverage::{Coverage, INPUTS, Input, STATES};
pub use database::{Database, Host};
pub use endpoint::{Endpoint, History};
pub use lan::{Exchanges, Lan, ServerId, SquatterId};
pub use link::Conditions;
pub use rules::Rules;
pub use seeds::seeds;
pub use server::{Position, Server, Terms, Unknown};
pub use squatter::Squatter;
