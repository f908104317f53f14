//! Codecs for what a DHCP client sees of a LAN: Ethernet, ARP, neighbour discovery, UDP over IPv4
//! and IPv6, DHCPv4 and DHCPv6.
//!
//! Bytes become values and values become bytes. Everything that comes in is hostile: decoders are
//! total (they return an [`Error`], never panic), bound what they allocate by the frame they were
//! given, and do no I/O. DHCP is our own code; the frames around it are `smoltcp::wire`, wrapped.

pub mod arp;
mod described;
pub mod dhcp4;
pub mod dhcp6;
mod error;
pub mod frame;
mod mac;
pub mod mld;
mod names;
pub mod nd;

pub use described::Value;
pub use error::Error;
pub use mac::MacAddr;
