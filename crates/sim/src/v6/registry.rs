//! Addresses that clients made themselves, as a server takes note of them (RFC 9686 §4.2.1).

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use wire::dhcp6::{INFINITY, IaAddress};

/// What a server was told.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    noted: HashMap<Ipv6Addr, Noted>,
}

#[derive(Debug, Clone)]
struct Noted {
    client: Box<[u8]>,
    until: Instant,
}

impl Registry {
    /// Whether `client` has told that it has `address`, and that it is not over yet.
    pub fn knows(&self, client: &[u8], address: Ipv6Addr, now: Instant) -> bool {
        let noted = self.noted.get(&address);
        noted.is_some_and(|noted| *noted.client == *client && noted.until > now)
    }

    /// How many addresses it knows of that are not over yet.
    pub fn len(&self, now: Instant) -> usize {
        self.noted.values().filter(|noted| noted.until > now).count()
    }

    /// A client tells of an address; lifetimes of zero take it back.
    pub(crate) fn note(&mut self, client: &[u8], told: &IaAddress<'_>, now: Instant) {
        let until = match told.valid {
            INFINITY => Instant::NEVER,
            seconds => now + Duration::from_secs(seconds.into()),
        };
        if told.valid > 0 {
            self.noted.insert(told.address, Noted { client: client.into(), until });
        } else if self.noted.get(&told.address).is_some_and(|noted| *noted.client == *client) {
            self.noted.remove(&told.address);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.noted.clear();
    }
}
