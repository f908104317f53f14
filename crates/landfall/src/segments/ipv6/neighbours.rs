//! Whose neighbour discovery the port hears.
//!
//! As for ARP, the kernel has a table of what matters and drops all else; here is kept which clients an
//! address matters to.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv6Addr;

use net::{Filter, NeighbourTable, PacketSocket};
use wire::MacAddr;

/// Addresses that the kernel's table has room for: some for each of a bridge's 1,023 ports.
const ADDRESSES: u32 = 8192;

/// Who listens to what.
pub(super) struct Hearing {
    /// None where the kernel has no such tables: then all of it comes in.
    table: Option<NeighbourTable>,
    /// By address, the clients to which it matters.
    concerned: BTreeSet<(Ipv6Addr, MacAddr)>,
    /// How often each entry of the table is needed.
    uses: HashMap<u32, usize>,
}

impl Hearing {
    /// Has the port's socket hear routers and DHCPv6 servers, and no neighbours yet.
    pub(super) fn of(socket: &PacketSocket, interface: &str) -> net::Result<Hearing> {
        let table = NeighbourTable::new(ADDRESSES)
            .and_then(|table| socket.set_neighbour_table(&table).map(|()| table))
            .inspect_err(|error| {
                tracing::warn!(%error, interface, "the port hears all neighbour discovery of the LAN");
            })
            .ok();
        if table.is_none() {
            socket.set_filter(&Filter::ipv6_control())?;
        }
        Ok(Hearing { table, concerned: BTreeSet::new(), uses: HashMap::new() })
    }

    /// A client wants to hear of other addresses than before.
    pub(super) fn update(&mut self, mac: MacAddr, old: &[Ipv6Addr], new: &[Ipv6Addr]) {
        for address in old {
            self.concerned.remove(&(*address, mac));
        }
        self.concerned.extend(new.iter().map(|address| (*address, mac)));
        let Some(table) = &self.table else { return };
        // First what comes, so that what stays is never missing.
        let mut told = Ok(());
        for low in new.iter().copied().map(low) {
            let uses = self.uses.entry(low).or_insert(0);
            *uses += 1;
            if *uses == 1 {
                told = told.and(table.set(low));
            }
        }
        for low in old.iter().copied().map(low) {
            if let Some(uses) = self.uses.get_mut(&low) {
                *uses -= 1;
                if *uses == 0 {
                    self.uses.remove(&low);
                    told = told.and(table.remove(low));
                }
            }
        }
        if let Err(error) = told {
            tracing::error!(%error, %mac, "others who use an address are not heard");
        }
    }

    /// The clients to which an address matters.
    pub(super) fn concerned_by(&self, address: Ipv6Addr) -> BTreeSet<MacAddr> {
        let of_it = (address, MacAddr([0; 6]))..=(address, MacAddr([0xff; 6]));
        self.concerned.range(of_it).map(|(_, mac)| *mac).collect()
    }
}

/// By what the kernel's table knows an address: a solicited-node group has no more of it.
fn low(address: Ipv6Addr) -> u32 {
    u128::from(address) as u32
}
