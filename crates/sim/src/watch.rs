//! What must hold among clients and servers, at every step.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{ConflictCheck, Defence, State};

use crate::endpoint::Endpoint;
use crate::server::Server;

/// For how long two may have one address that a dishonest server gave to both, as long as the LAN is
/// good and the containers talk.
const PARTED: Duration = Duration::from_secs(180);

/// Looks at each endpoint after each step, beside its own [rules](crate::Rules): who has which
/// address, and what do the servers say to it. What it returns is what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Who has an address: endpoints by number.
    holders: HashMap<Ipv4Addr, Vec<usize>>,
    /// What each endpoint had after its last step.
    held: Vec<Option<Ipv4Addr>>,
    /// Since when an address has had several holders that should part.
    shared: HashMap<Ipv4Addr, Instant>,
    /// Addresses that two had at once.
    shares: u32,
}

impl Watch {
    /// An endpoint after a step.
    pub(crate) fn check(
        &mut self,
        number: usize,
        endpoints: &[Endpoint],
        servers: &[Server],
        now: Instant,
    ) -> Result<(), String> {
        let endpoint = &endpoints[number];
        let lease = endpoint.client.lease();
        self.hold(number, lease.map(|lease| lease.address));
        let lawless = servers.iter().any(|server| !server.is_honest());
        if let Some(lease) = lease {
            self.check_holders(lease.address, endpoints, lawless, now)?;
        }
        let Some(lease) = lease else { return Ok(()) };
        let Some(server) = servers.iter().find(|server| server.identifier == lease.server) else {
            let forged = servers.iter().any(|server| server.forges());
            return if forged {
                Ok(())
            } else {
                Err(format!("has a lease from nobody: {lease:?}"))
            };
        };
        if lawless {
            return Ok(());
        }
        let client = server.client_of(endpoint.client.config());
        // A lease that the server has just replaced is used until the new address is checked, and
        // one that is over if the endpoint is told to.
        let replaced = endpoint.client.state() == State::Probing;
        match server.database.granted_until(&client, lease.address) {
            Some(until) if until >= lease.expires_at => Ok(()),
            _ if replaced || endpoint.client.is_overdue() => Ok(()),
            other => Err(format!("uses an address for longer than {other:?}: {lease:?}")),
        }
    }

    fn hold(&mut self, number: usize, address: Option<Ipv4Addr>) {
        if self.held.len() <= number {
            self.held.resize(number + 1, None);
        }
        let old = std::mem::replace(&mut self.held[number], address);
        if old == address {
            return;
        }
        if let Some(old) = old {
            let left = self.holders.entry(old).or_default();
            left.retain(|other| *other != number);
            if left.len() < 2 {
                self.shared.remove(&old);
            }
            if left.is_empty() {
                self.holders.remove(&old);
            }
        }
        if let Some(address) = address {
            self.holders.entry(address).or_default().push(number);
        }
    }

    /// Never two, unless a server gave the address to both: then one of them finds out.
    fn check_holders(
        &mut self,
        address: Ipv4Addr,
        endpoints: &[Endpoint],
        lawless: bool,
        now: Instant,
    ) -> Result<(), String> {
        let holders = self.holders.get(&address).map_or(&[][..], Vec::as_slice);
        let &[first, second, ..] = holders else { return Ok(()) };
        // Who keeps what is over may meet the next holder.
        let overdue = holders.iter().any(|number| endpoints[*number].client.is_overdue());
        if !lawless && !overdue {
            return Err(format!("{first} and {second} have {address}"));
        }
        // Who does not look, or does not yield, is not parted from a twin.
        let parts = |number: &&usize| {
            let config = endpoints[**number].client.config();
            config.conflict_check != ConflictCheck::Off && config.defence == Defence::Once
        };
        if holders.iter().filter(parts).count() < 2 {
            return Ok(());
        }
        let since = *self.shared.entry(address).or_insert_with(|| {
            self.shares += 1;
            now
        });
        if now.saturating_since(since) > PARTED {
            return Err(format!("{first} and {second} have had {address} since {since:?}"));
        }
        Ok(())
    }

    /// The time that is granted for parting begins anew: the LAN is bad, or nobody talks.
    pub(crate) fn nobody_hears(&mut self, now: Instant) {
        self.shared.values_mut().for_each(|since| *since = now);
    }

    /// How often two had one address.
    pub(crate) fn shares(&self) -> u32 {
        self.shares
    }
}
