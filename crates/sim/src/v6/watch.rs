//! What must hold among clients and servers, at every step.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{DuplicateCheck, Origin};

use super::endpoint::Endpoint;
use super::server::Server;
use super::site::Site;

/// For how long two may have one address that a dishonest server gave to both: their check goes out
/// at once and is answered by return.
const PARTED: Duration = Duration::from_secs(5);

/// Looks at each endpoint after each step, beside its own rules: who has which address, and what do
/// the servers say to it. What it returns is what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    addresses: Holders<Ipv6Addr>,
    sites: Holders<Site>,
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
        let client = &endpoint.client.config().duid[..];
        let addresses = endpoint.configured.iter().map(|address| address.address);
        for left in self.addresses.update(number, addresses) {
            self.shared.remove(&left);
            self.unseen.remove(&left);
        }
        let sites = endpoint.delegated.iter().map(|one| Site::of(one.prefix));
        self.sites.update(number, sites);
        let lawless = servers.iter().any(|server| !server.is_honest());
        for address in &endpoint.configured {
            self.check_holders(address.address, endpoints, lawless, now)?;
            if address.origin != Origin::Dhcp || lawless {
                continue;
            }
            let granted = |server: &Server| server.database.granted_until(client, address.address);
            let granted = servers.iter().filter_map(granted).max();
            if granted.is_none_or(|until| until + slack < address.valid_until) {
                return Err(format!("uses for longer than {granted:?}: {address:?}"));
            }
        }
        if lawless {
            return Ok(());
        }
        for one in &endpoint.delegated {
            let site = Site::of(one.prefix);
            if let &[first, second, ..] = self.sites.of(site) {
                return Err(format!("{first} and {second} have prefixes of {site:?}"));
            }
            let granted = |server: &Server| server.delegated.granted_until(client, site);
            let granted = servers.iter().filter_map(granted).max();
            if granted.is_none_or(|until| until + slack < one.valid_until) {
                return Err(format!("uses for longer than {granted:?}: {one:?}"));
            }
        }
        Ok(())
    }

    /// Never two, unless a server gave the address to both: then one of them finds out.
    fn check_holders(
        &mut self,
        address: Ipv6Addr,
        endpoints: &[Endpoint],
        lawless: bool,
        now: Instant,
    ) -> Result<(), String> {
        let holders = self.addresses.of(address);
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

/// Who has what.
#[derive(Debug)]
struct Holders<K> {
    /// Endpoints by number.
    of: HashMap<K, Vec<usize>>,
    /// What each had after its last step.
    held: Vec<Vec<K>>,
}

impl<K> Default for Holders<K> {
    fn default() -> Holders<K> {
        Holders { of: HashMap::new(), held: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash> Holders<K> {
    fn of(&self, what: K) -> &[usize] {
        self.of.get(&what).map_or(&[], Vec::as_slice)
    }

    /// An endpoint has `new` now. Returns what it had with others before and now one or none has.
    fn update(&mut self, number: usize, new: impl Iterator<Item = K> + Clone) -> Vec<K> {
        if self.held.len() <= number {
            self.held.resize(number + 1, Vec::new());
        }
        if self.held[number].iter().copied().eq(new.clone()) {
            return Vec::new();
        }
        let old = std::mem::replace(&mut self.held[number], new.collect());
        let new = &self.held[number];
        let mut parted = Vec::new();
        for gone in old.iter().filter(|what| !new.contains(what)) {
            let left = self.of.entry(*gone).or_default();
            left.retain(|other| *other != number);
            if left.len() < 2 {
                parted.push(*gone);
            }
            if left.is_empty() {
                self.of.remove(gone);
            }
        }
        for added in new.iter().filter(|what| !old.contains(what)) {
            let holders = self.of.entry(*added).or_default();
            if !holders.contains(&number) {
                holders.push(number);
            }
        }
        parted
    }
}
