//! What the port hears of ARP, and whom it concerns.
//!
//! The kernel has a table of the addresses that matter and drops all other ARP, so that neither a
//! busy LAN nor a thousand containers wake the daemon. Here is kept which clients an address
//! matters to, and the table in step with that.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use dhcp::v4::Client;
use net::{Filter, PacketSocket, PortTable, Watch};
use wire::MacAddr;
use wire::arp::Arp;

/// Addresses that the table has room for: more than a bridge has ports (1,023), with a next hop for
/// each.
const ADDRESSES: u32 = 4096;

/// Which ARP one client wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wants {
    /// The address that it has or is about to have: that another machine uses it.
    address: Option<Ipv4Addr>,
    /// The next hop whose MAC it asks for.
    hop: Option<Ipv4Addr>,
    /// Requests for the address: it answers them.
    held: bool,
    /// Others' probes for the address: it is being checked.
    probing: bool,
}

impl Wants {
    pub(super) fn of(client: &Client) -> Wants {
        let listening = client.listening();
        let address = listening.conflicts.or(listening.requests);
        let used = client.lease().map(|lease| lease.address);
        Wants {
            address,
            hop: listening.resolving,
            // Of one that is only being checked, probes matter and no other requests.
            held: listening.requests.is_some() && listening.requests == used,
            probing: client.is_probing(),
        }
    }

    fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        [self.address, self.hop].into_iter().flatten()
    }
}

/// Who listens to what.
#[derive(Debug)]
pub(super) struct Hearing {
    /// None where the kernel has no such tables: then all ARP comes in.
    table: Option<PortTable>,
    /// By address, the clients to which it matters.
    concerned: BTreeSet<(Ipv4Addr, MacAddr)>,
}

impl Hearing {
    /// Has the port's socket hear DHCP replies, and no ARP yet.
    pub(super) fn of(socket: &PacketSocket, interface: &str) -> net::Result<Hearing> {
        let table = PortTable::new(ADDRESSES)
            .and_then(|table| socket.set_port_table(&table).map(|()| table))
            .inspect_err(|error| {
                tracing::warn!(%error, interface, "the port hears all ARP of the LAN");
            })
            .ok();
        if table.is_none() {
            socket.set_filter(&Filter::dhcp4_replies_and_arp())?;
        }
        Ok(Hearing { table, concerned: BTreeSet::new() })
    }

    /// A client wants something else than before. `wants` tells what any client wants now.
    pub(super) fn update(
        &mut self,
        mac: MacAddr,
        (old, new): (Wants, Wants),
        wants: impl Fn(MacAddr) -> Wants,
    ) {
        for address in old.addresses() {
            self.concerned.remove(&(address, mac));
        }
        self.concerned.extend(new.addresses().map(|address| (address, mac)));
        let Some(table) = &self.table else { return };
        for address in old.addresses().chain(new.addresses()) {
            let watch = self.watch(address, &wants);
            let told = match watch {
                Some(watch) => table.set(address, watch),
                None => table.remove(address),
            };
            if let Err(error) = told {
                tracing::error!(%error, %mac, "others who use an address are not heard");
            }
        }
    }

    /// What the kernel must let through about an address.
    fn watch(&self, address: Ipv4Addr, wants: impl Fn(MacAddr) -> Wants) -> Option<Watch> {
        let mut concerned = self.concerned_with(address).peekable();
        concerned.peek()?;
        let mut watch = Watch::default();
        for mac in concerned {
            let wants = wants(mac);
            if wants.address == Some(address) {
                // Where two are to have one address, each is news for the other.
                watch.mac = if watch.mac.is_none() { Some(mac) } else { Some(MacAddr::ZERO) };
                watch.held |= wants.held;
                watch.probing |= wants.probing;
            }
            watch.asked |= wants.hop == Some(address);
        }
        watch.mac = watch.mac.filter(|mac| *mac != MacAddr::ZERO);
        Some(watch)
    }

    /// The clients that an ARP packet matters to.
    pub(super) fn concerned_by(&self, arp: &Arp) -> BTreeSet<MacAddr> {
        [arp.sender_ip, arp.target_ip]
            .into_iter()
            .flat_map(|address| self.concerned_with(address))
            .collect()
    }

    fn concerned_with(&self, address: Ipv4Addr) -> impl Iterator<Item = MacAddr> {
        let of_it = (address, MacAddr([0; 6]))..=(address, MacAddr([0xff; 6]));
        self.concerned.range(of_it).map(|(_, mac)| *mac)
    }
}
