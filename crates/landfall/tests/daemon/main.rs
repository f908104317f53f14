//! The daemon as an engine drives it, on a LAN of the test's own: real links, namespaces and DHCP, no Docker.
//!
//! | file | is |
//! |---|---|
//! | `site` | a LAN with the daemon on it, and the calls of the plugin protocol |
//! | `container` | what an engine does with an endpoint: sandbox, link, addresses, routes |
//! | `pools` | what an engine does with Landfall as its IPAM driver |
//! | `server` | a DHCP server that says what the test tells it |
//! | `rogue` | a machine that says whatever the test tells it, frame by frame |
//! | all others | the tests, by topic |

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

mod container;
mod pools;
mod rogue;
mod server;
mod site;

mod applied;
mod bounded;
mod bridge;
mod calls;
mod conflicts;
mod delegation;
mod doctor;
mod doctor_ipv6;
mod events;
mod hang_up;
mod hold;
mod hostile;
mod hostile_routers;
mod identity;
mod in_use;
mod ipam;
mod ipam_modes;
mod ipv6;
mod ipv6_faults;
mod ipv6_mostly;
mod ipv6_only;
mod ipv6_routers;
mod lease;
mod links;
mod macvlan;
mod many;
mod metrics;
mod no_lease;
mod outages;
mod pace;
mod passthru;
mod places;
mod rapid_commit;
mod reboot;
mod renewal;
mod restart;
mod rights;
mod routes;
mod shapes;
mod state;
mod upstream;
mod validate;
mod warm;
