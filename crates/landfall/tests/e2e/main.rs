//! End to end: a real Docker Engine, a real DHCP server and the daemon, on a LAN of the test's own.
//!
//! The engine is the one that `LANDFALL_ENGINE` names (20, 26 or 28). Starting one costs seconds, so each test
//! here walks through all that one site can show.
//!
//! | file | shows |
//! |---|---|
//! | `lifecycle` | one container from `network create` to `network rm`, against dnsmasq and Kea |
//! | `restarts` | containers that start again, end at once, or are removed by force |
//! | `returns` | containers that come back with the address that they had, and never another's: dockerd restarts, the host boots, no server is there |
//! | `networks` | `network connect` and `disconnect`; a container on several networks |
//! | `identity` | what a container tells the DHCP server of itself, and asks it for |
//! | `options` | options that only the container or the host notices |
//! | `servers` | what options say to Kea and ISC dhcpd, what these say to containers, and which addresses they give |
//! | `applied` | what a container gets of what servers say: router, MTU |
//! | `dns` | what a container knows of the LAN's DNS |
//! | `crowd` | twenty containers at once |
//! | `compose` | Compose projects |
//! | `examples` | the Compose files in `examples/` |
//! | `refusals` | what a user sees who asks for what cannot be |
//! | `ipam` | Landfall as IPAM driver too |
//! | `macvlan` | containers on a network card, without a bridge |
//! | `ipv6` | the addresses of a LAN with IPv6 |
//! | `firewall` | br_netfilter and Docker's FORWARD policy |
//! | `continuity` | Landfall and dockerd restart under running containers |
//! | `plugin` | the managed plugin |
//! | `upgrades` | the managed plugin to another version and back, and a power cut on the way |
//! | `switch_over` | from the managed plugin to the service and back |
//! | `managed` | the managed plugin as IPAM driver, and in containers' files |

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

mod identities;
mod site;

mod applied;
mod compose;
mod continuity;
mod crowd;
mod dns;
mod examples;
mod firewall;
mod identity;
mod install;
mod ipam;
mod ipv6;
mod lifecycle;
mod macvlan;
mod managed;
mod networks;
mod options;
mod plugin;
mod refusals;
mod restarts;
mod returns;
mod servers;
mod swarm;
mod switch_over;
mod two_hosts;
mod upgrades;
