//! That a port of ours changes nothing of a bridge and sends nothing of its own.

use net::{BridgePort, Filter, Netlink, Netns, PacketSocket, PortState, Sees};

use crate::common::{Station, arp_request, bridge, frame, in_fresh_netns, mac, run, veth};

/// A filter that lets everything through is not for use; to watch a whole wire the tests take
/// tcpdump's place with the kernel's own counters.
fn sent(link: &str) -> u64 {
    let path = format!("/sys/class/net/{link}/statistics/tx_packets");
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}
