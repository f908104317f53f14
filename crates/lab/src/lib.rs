//! Real LANs, DHCP servers and Docker Engines on one machine, for the demo, the tests and the benchmarks.
//!
//! | piece | is |
//! |---|---|
//! | [`Lan`] | one site: the network namespaces of a Docker host with its bridge, a router and a laptop |
//! | [`Dnsmasq`], [`Kea`], [`Isc`] | DHCP servers on it, behind the trait [`DhcpServer`] |
//! | [`Dnsmasq`] again, [`Kea6`], [`Isc6`], [`Wide6`] | DHCPv6 servers on it, behind the trait [`DhcpServer6`] |
//! | [`Dnsmasq`] again, [`Radvd`] | IPv6 routers that advertise themselves |
//! | [`Capture`] | what passes an interface, frame by frame, with the kernel's time stamps |
//! | [`Pings`] | a machine that pings another all the while, and which of them got no answer |
//! | [`Engine`] | a Docker Engine (20.10, 26.1 or 28.5) on the site's Docker host |
//! | [`Landfall`] | the daemon under test, beside an engine or without one |
//! | [`run_in_virtual_machine`] | a program on Debian's kernel, for what this machine's kernel may not have |
//! | [`run_on_architecture`] | a script on a machine of another architecture |
//! | [`Machine`] | what the servers and engines run in: own namespaces on an overlay over a Debian root |
//!
//! ```no_run
//! # fn main() -> lab::Result<()> {
//! use lab::{Dnsmasq, Engine, EngineOptions, EngineVersion, Lan, LanOptions, Place, ServerOptions};
//!
//! let lan = Lan::new(LanOptions::default())?;
//! let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default())?;
//! let engine = Engine::start(EngineVersion::from_env()?, &lan, EngineOptions::default())?;
//! let mut landfall = engine.spawn_landfall(&lab::landfall_binary()?, &[], &[])?;
//! engine.docker_ok(&["network", "create", "-d", "landfall", "--ipam-driver", "null", "-o", "bridge=br0", "lan"])?;
//! engine.docker_ok(&["run", "-d", "--network", "lan", "--name", "web", "busybox", "sleep", "infinity"])?;
//! let lease = &lab::DhcpServer::leases(&server)?[0];
//! assert!(lan.ping(Place::Laptop, lease.ip)?);
//! landfall.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! **What a lab makes ends with it**, also when the test panics or is killed with `SIGKILL`. Nothing has a
//! name in the file system or in `/run/netns`: a network namespace lives by a file descriptor of this process;
//! mounts are made in the private mount namespace of a [`Machine`]; a machine is a pid namespace whose first
//! process gets `SIGKILL` when this process ends. The one exception is an engine's cgroup directory: its name
//! carries the process that made it, it goes with the [`Engine`], and every later engine (or
//! [`cleanup_stale`]) removes those of processes that are no more. The Debian roots stay, on purpose.
//!
//! Needs root and Debian's iproute2, util-linux, iputils-ping and mmdebstrap (`scripts/prepare`).

mod address6;
mod capture;
mod cgroup;
mod dhcp6_server;
mod dhcp_server;
mod dnsmasq;
mod dnsmasq6;
mod docker_engine;
mod error;
mod frame;
mod frame6;
mod http;
mod isc;
mod isc6;
mod kea;
mod kea6;
mod lan;
mod landfall;
mod log;
mod machine;
mod netns;
mod pings;
mod process;
mod radvd;
mod roots;
mod spawner;
mod udhcpc;
mod virtual_machine;
mod wide6;

pub use address6::Address6;
pub use capture::Capture;
pub use cgroup::cleanup_stale;
pub use dhcp_server::{DhcpServer, Lease, Message, Reservation, ServerOptions};
pub use dhcp6_server::{
    Delegation, DhcpServer6, Lease6, Message6, Mode6, Reservation6, ServerOptions6,
};
pub use dnsmasq::Dnsmasq;
pub use docker_engine::{Engine, EngineOptions, EngineVersion};
pub use error::{Error, Result};
pub use frame::{Arp, DhcpSummary, Frame, dhcp_option};
pub use frame6::{Dhcp6Summary, Icmp6};
pub use http::{Answer, post};
pub use isc::Isc;
pub use isc6::Isc6;
pub use kea::Kea;
pub use kea6::Kea6;
pub use lan::{Lan, LanOptions, Place};
pub use landfall::{Landfall, landfall_binary};
pub use log::{Line, Log};
pub use machine::Machine;
pub use netns::Namespace;
pub use pings::Pings;
pub use process::Process;
pub use radvd::{AdvertisedRoute, Preference, Prefix, Radvd, RouterOptions};
pub use roots::Roots;
pub use udhcpc::udhcpc;
pub use virtual_machine::{VirtualRun, run_in_virtual_machine, run_on_architecture};
pub use wide6::Wide6;
