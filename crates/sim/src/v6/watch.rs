//! What must hold among clients and servers, at every step.

use std::collections::{HashMap, HashSet};
use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{DuplicateCheck, Origin};

use super::endpoint::Endpoint;
use super::server::Server;

/// For how long two may have one address that a dishonest server gave to both: their check goes out
/// at once and is answered by return.
const PARTED: Duration = Duration::from_secs(5);

/// Looks at each endpoint after each step, beside its own rules: who has which address, and what do
/// the servers say to it. What it returns is what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Who has an address: endpoints by number.
    holders: HashMap<Ipv6Addr, Vec<usize>>,
    /// What each endpoint had after its last step.
    held: Vec<Vec<Ipv6Addr>>,
    /// Since when an address has had several holders that should part.
    shared: HashMap<Ipv6Addr, Instant>,
    /// Those that a bad LAN keeps from seeing each other.
    unseen: HashSet<Ipv6Addr>,
    /// Addresses that two had at once.
    shares: u32,
}

impl Watch {
    /// An endpoint after a step. `slack`: an answer may be one to a question that was asked so much
    /// earlier than the last one.
    pub(crate) fn check(
        &mut self,
        number: usize,
        endpoints: &[Endpoint],
        servers: &[Server],
        (now, slack): (Instant, Duration),
    ) -> Result<(), String> {
        let endpoint = &endpoints[number];
        self.hold(number, endpoint);
        let lawless = servers.iter().any(|server| !server.is_honest());
        for address in &endpoint.configured {
            self.check_holders(address.address, endpoints, lawless, now)?;
            if address.origin != Origin::Dhcp || lawless {
                continue;
            }
            let client = &endpoint.client.config().duid;
            let granted = |server: &Server| server.database.granted_until(client, address.address);
            let granted = servers.iter().filter_map(granted).max();
            if granted.is_none_or(|until| until + slack < address.valid_until) {
                return Err(format!("uses for longer than {granted:?}: {address:?}"));
            }
        }
        Ok(())
    }

    fn hold(&mut self, number: usize, endpoint: &Endpoint) {
        if self.held.len() <= number {
            self.held.resize(number + 1, Vec::new());
        }
        let new = endpoint.configured.iter().map(|address| address.address);
        if self.held[number].iter().copied().eq(new.clone()) {
            return;
        }
        let old = std::mem::replace(&mut self.held[number], new.collect());
        let new = &self.held[number];
        for gone in old.iter().filter(|address| !new.contains(address)) {
            let left = self.holders.entry(*gone).or_default();
            left.retain(|other| *other != number);
            if left.len() < 2 {
                self.shared.remove(gone);
                self.unseen.remove(gone);
            }
            if left.is_empty() {
                self.holders.remove(gone);
            }
        }
        for added in new.iter().filter(|address| !old.contains(address)) {
            self.holders.entry(*added).or_default().push(number);
        }
    }

    /// Never two, unless a server gave the address to both: then one of them finds out.
    fn check_holders(
        &mut self,
        address: Ipv6Addr,
        endpoints: &[Endpoint],
        lawless: bool,
        now: Instant,
    ) -> Result<(), String> {
        let holders = self.holders.get(&address).map_or(&[][..], Vec::as_slice);
        let &[first, second, ..] = holders else { return Ok(()) };
        if !lawless {
            return Err(format!("{first} and {second} have {address}"));
        }
        let since = *self.shared.entry(address).or_insert_with(|| {
            self.shares += 1;
            now
        });
        // Who does not look is not parted from a twin.
        let blind = |number: &usize| {
            endpoints[*number].client.config().duplicate_check == DuplicateCheck::Off
        };
        if self.unseen.contains(&address) || holders.iter().any(blind) {
            return Ok(());
        }
        if now.saturating_since(since) > PARTED {
            return Err(format!("{first} and {second} have had {address} since {since:?}"));
        }
        Ok(())
    }

    /// The LAN is bad: who shares an address now, or has begun to a moment ago, may never know.
    pub(crate) fn nobody_hears(&mut self) {
        self.unseen.extend(self.shared.keys());
    }

    /// How often two had one address.
    pub(crate) fn shares(&self) -> u32 {
        self.shares
    }
}
