//! The same for IPv6: routers, DHCPv6 servers, and endpoints with a real [`dhcp::ipv6::Client`] each.
//!
//! Conditions, time, seeds and the trace are those of the IPv4 [`Lan`](crate::Lan). Frames go where a
//! switch with snooping would send them: to the MAC, to all routers, all servers or all nodes, and
//! those about one address to who has it or is about to.
//!
//! | file | its job |
//! |---|---|
//! | `lan` | stations, frames between them, time |
//! | `endpoint` | a client and the container it speaks for |
//! | `router` | a router: when it advertises, and what |
//! | `server` | a DHCPv6 server: what it answers, and how it misbehaves |
//! | `association` | what a server says of an association, of addresses as of prefixes |
//! | `answer` | that, as options |
//! | `site` | what prefixes are cut from |
//! | `registry` | addresses that a server was told of |
//! | `sent` | what a client sends, by kind, and how often it may |
//! | `rules` | what one client may do |
//! | `registrations` | what it may tell servers of addresses that it made itself |
//! | `watch` | what must hold among all, at every step |

mod answer;
mod association;
mod endpoint;
mod lan;
mod registrations;
mod registry;
mod router;
mod rules;
mod sent;
mod server;
mod site;
mod watch;

pub use endpoint::{Endpoint, History};
pub use lan::{Lan, RouterId, ServerId};
pub use registry::Registry;
pub use router::Router;
pub use sent::{KINDS, Kind, Sent};
pub use server::{Fault, Server, Terms};
pub use site::Site;
