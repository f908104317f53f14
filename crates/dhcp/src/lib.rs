//! DHCP clients as pure state machines: no sockets, no clocks, no threads, no hidden randomness.
//!
//! A [`v4::Client`] is one endpoint's DHCPv4 client from the first DISCOVER to the RELEASE. An
//! [`ipv6::Client`] is all of its IPv6: an [`nd::Host`] that hears routers, makes addresses and speaks
//! for them, and a [`v6::Client`], its DHCPv6 client from the first Solicit to the Release. Bytes,
//! time and a seed go in; frames, events and the next deadline come out. The same sequence of calls
//! gives the same frames, on a real segment as in the simulator.
//!
//! # The run loop
//!
//! There are four families of calls: *commands* (`start`, `renew`, `confirm`, `release`, `announce`, …),
//! *inputs* (`handle_frame`, `handle_timeout`), *outputs* (`poll_transmit`, `poll_event`,
//! `poll_timeout`) and *getters*, which take `&self` and change nothing. One rule joins them:
//!
//! > After each command or input: drain `poll_transmit` and `poll_event`, then ask `poll_timeout`,
//! > all before the next command or input.
//!
//! ```
//! use std::time::Duration;
//!
//! use dhcp::Instant;
//! use dhcp::v4::{Client, Config, State};
//! use wire::MacAddr;
//!
//! let mut now = Instant::from_boot(Duration::from_secs(1000));
//! let config = Config::new(MacAddr([2, 0, 0, 0, 0, 0x42]));
//! let mut client = Client::new(config, 7);
//!
//! client.start(now); // a command
//! let mut sent = 0;
//! for _ in 0..3 {
//!     while let Some(_frame) = client.poll_transmit() {
//!         sent += 1; // write it to the packet socket
//!     }
//!     while let Some(_event) = client.poll_event() {
//!         unreachable!("nobody answers on this segment");
//!     }
//!     // Open or close the ear: `client.listening()` says what the socket must pass.
//!     assert!(client.listening().dhcp);
//!     // Sleep until then, or until a frame comes (`client.handle_frame(&frame, now)`).
//!     now = client.poll_timeout().expect("a client that asks has a next time to ask");
//!     client.handle_timeout(now);
//! }
//! assert_eq!(sent, 3);
//! assert_eq!(client.state(), State::Selecting);
//! ```
//!
//! The DHCPv6 client takes and gives messages, not frames: `handle_message` and the payloads of
//! [`v6::Transmit`]. What is said of frames below is true of them.
//!
//! What a caller may rely on:
//!
//! - `handle_timeout` may be called early (it does nothing) and late (all that is overdue is done
//!   at once, as after a suspend). After `handle_timeout(now)`, `poll_timeout` is later than `now`.
//! - A frame from `poll_transmit` is whole, from the Ethernet header on, and its Ethernet source is
//!   the client's MAC, always; where it shares that of its link, the link's.
//! - `handle_frame` may be given any frame of the segment. What is not meant for the client is
//!   dropped; `chaddr` is looked at before anything is decoded.
//! - Time is given by the caller and does not run backwards. See [`Instant`] for the clock.
//! - Nothing that comes from the LAN makes a client panic, send without bound or grow.

mod classes;
mod instant;
pub mod ipv6;
pub mod nd;
pub mod v4;
pub mod v6;

pub use classes::Classes;
pub use instant::Instant;

/// How long an answer about a lease of an earlier boot is waited for before it is used without one, if it is still good
/// (RFC 2131 §3.2 lets a client do so; the same is done with DHCPv6's Confirm).
pub const REBOOT_SILENCE: std::time::Duration = std::time::Duration::from_secs(2);
