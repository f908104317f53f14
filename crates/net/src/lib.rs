//! Linux, as far as Landfall touches it: netlink, network namespaces, packet sockets with BPF,
//! sysctls, clocks and `/proc`.
//!
//! Nothing here decides anything: each function does what it is told in one network namespace and
//! reports what the kernel said. All `unsafe` code of the workspace is in this crate. It needs
//! Linux 4.20 (`NETLINK_GET_STRICT_CHK`, `PACKET_IGNORE_OUTGOING`).
//!
//! | module | holds |
//! |---|---|
//! | [`netns`], [`persistent`] | namespaces: make, open, enter on a throw-away thread, keep by a bind mount |
//! | [`netlink`] | one rtnetlink connection; requests, dumps, time-outs, the kernel's own words on a refusal |
//! | [`link`], [`veth`], [`macvlan`], [`ipvlan`], [`vlan`] | links read and changed; a veth pair made so that it disturbs nobody; children of a parent; VLANs |
//! | [`address`], [`route`], [`route6`], [`neighbour`] | what is configured on links, bridge forwarding entries |
//! | [`prolong`] | new lifetimes for the IPv6 of many namespaces |
//! | [`watch`] | link changes as they happen |
//! | [`packet`], [`filter`] | `AF_PACKET` sockets and the classic BPF on them |
//! | `ear`, `closer` | sockets on containers' veths, cheap to open and closed where nobody waits |
//! | `visit` | one thread that visits the namespaces of containers |
//! | [`port_table`] | what a segment's port hears, by a table of addresses in the kernel (eBPF) |
//! | [`neighbour_table`] | the same of IPv6 |
//! | [`dhcp_guard`] | DHCP servers and routers are not heard behind a link (tc with BPF) |
//! | [`privileges`] | what this process may do, once it has given up the rest |
//! | [`inherited`] | sockets that systemd listens on in this process's place |
//! | [`mounted`] | files that are mounted one by one into a container |
//! | [`clock`], [`process`], [`host_name`], [`sysctl`] | boot time, processes of a namespace, changes of host names, `/proc/sys/net` |
#![allow(unsafe_code)]

pub mod address;
mod async_fd;
mod bpf;
pub mod clock;
mod closer;
pub mod dhcp_guard;
mod dhcp_reply;
mod ear;
mod error;
pub mod filter;
pub mod host_name;
pub mod inherited;
mod ipv6_control;
pub mod ipvlan;
mod kind;
pub mod link;
pub mod macvlan;
pub mod mounted;
pub mod neighbour;
pub mod neighbour_table;
pub mod netlink;
pub mod netns;
pub mod packet;
pub mod persistent;
pub mod port_table;
pub mod privileges;
pub mod process;
pub mod prolong;
pub mod route;
pub mod route6;
mod segment_frame;
pub mod sysctl;
pub mod veth;
mod visit;
pub mod vlan;
pub mod watch;

pub use address::{Address, AddressFlags, Lifetime, Prolongation};
pub use clock::{BootTimer, Wakings, boot_id, boot_now, wall_clock_is_set};
pub use error::{Error, Result};
pub use filter::Filter;
pub use host_name::HostNameChanges;
pub use link::{BridgeInfo, BridgePort, Link, MOST_BRIDGE_PORTS, PortState};
pub use macvlan::{Macvlan, MacvlanMode};
pub use mounted::{Rewritten, rewrite_mounted};
pub use neighbour::{FdbEntry, FdbKind, Neighbour};
pub use neighbour_table::NeighbourTable;
pub use netlink::Netlink;
pub use netns::Netns;
pub use packet::{Membership, PacketSocket, Received, Sees};
pub use port_table::{PortTable, Watch};
pub use prolong::{Prolongation6, prolong_ipv6};
pub use route::{Route, RouteKind};
pub use route6::{Route6, RoutePreference6};
pub use veth::{Peer, Veth};
pub use watch::{LinkChange, LinkWatch};
