//! A machine with addresses that nobody gave it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use wire::MacAddr;
use wire::arp::{Arp, Operation};

/// A machine that uses addresses which a server gives to others: a printer with a fixed address, or
/// one of an earlier network.
#[derive(Debug, Clone)]
pub struct Squatter {
    /// The MAC of its card.
    pub mac: MacAddr,
    /// Its addresses. They may be changed while it runs.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Questions answered.
    pub answered: u32,
}

impl Squatter {
    /// A machine with those addresses.
    pub fn new(mac: MacAddr, addresses: impl IntoIterator<Item = Ipv4Addr>) -> Squatter {
        Squatter { mac, addresses: addresses.into_iter().collect(), answered: 0 }
    }

    /// What its kernel answers to ARP. An announcement of one of its addresses is no question, and
    /// Linux says nothing to it.
    pub(crate) fn handle_arp(&mut self, arp: &Arp) -> Option<Vec<u8>> {
        let asked = arp.operation == Operation::Request
            && self.addresses.contains(&arp.target_ip)
            && !arp.is_gratuitous();
        if !asked || arp.sender_mac == self.mac {
            return None;
        }
        self.answered += 1;
        Some(arp.reply_to(self.mac).emit(arp.sender_mac))
    }
}
