//! Which client has which address, as a server remembers it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use dhcp::Instant;

/// For how long an offered address is kept for the client it was offered to.
const OFFER_KEPT: Duration = Duration::from_secs(30);

/// Whose the addresses are that were declined. No client has this identifier.
const NOBODY: &[u8] = b"declined";

/// An address of either family, which can be counted up.
pub trait Host: Copy + Ord + Hash {
    /// The address `count` behind this one.
    fn plus(self, count: u32) -> Self;
    /// How many addresses lie between `first` and this one; [`u32::MAX`] for more than that.
    fn behind(self, first: Self) -> u32;
}

impl Host for Ipv4Addr {
    fn plus(self, count: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.to_bits().saturating_add(count))
    }

    fn behind(self, first: Ipv4Addr) -> u32 {
        self.to_bits().saturating_sub(first.to_bits())
    }
}

impl Host for Ipv6Addr {
    fn plus(self, count: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.to_bits().saturating_add(count.into()))
    }

    fn behind(self, first: Ipv6Addr) -> u32 {
        u32::try_from(self.to_bits().saturating_sub(first.to_bits())).unwrap_or(u32::MAX)
    }
}

/// The bindings of a server's pool.
#[derive(Debug, Clone)]
pub struct Database<A = Ipv4Addr> {
    bindings: BTreeMap<A, Binding>,
    by_client: HashMap<Box<[u8]>, A>,
}

impl<A> Default for Database<A> {
    fn default() -> Database<A> {
        Database { bindings: BTreeMap::new(), by_client: HashMap::new() }
    }
}

/// An address and whose it is. After the end it is remembered, but free.
#[derive(Debug, Clone)]
struct Binding {
    client: Box<[u8]>,
    /// Whether it was granted, and not only offered.
    granted: bool,
    until: Instant,
}

impl<A: Host> Database<A> {
    /// The address of a client, offered or granted, also when its time is over.
    pub fn of_client(&self, client: &[u8]) -> Option<A> {
        self.by_client.get(client).copied()
    }

    /// Until when `client` may use `address`.
    pub fn granted_until(&self, client: &[u8], address: A) -> Option<Instant> {
        let binding = self.bindings.get(&address)?;
        (binding.granted && *binding.client == *client).then_some(binding.until)
    }

    /// How many addresses are granted at the moment.
    pub fn granted(&self, now: Instant) -> usize {
        self.bindings.values().filter(|binding| binding.granted && binding.until > now).count()
    }

    /// An address for a client: the one it had, the one it wants, one that nobody ever had, or one
    /// whose time is over.
    pub(crate) fn choose(
        &self,
        client: &[u8],
        wanted: Option<A>,
        pool: &RangeInclusive<A>,
        now: Instant,
    ) -> Option<A> {
        let free = |address: &A| {
            pool.contains(address)
                && self
                    .bindings
                    .get(address)
                    .is_none_or(|binding| *binding.client == *client || binding.until <= now)
        };
        let known = self.of_client(client).filter(free);
        known
            .or_else(|| wanted.filter(free))
            .or_else(|| self.never_used(pool))
            .or_else(|| all(pool, 0).find(free))
    }

    /// The first address of the pool without a binding. Pools fill up from below, so it is looked
    /// for from above the last one first.
    fn never_used(&self, pool: &RangeInclusive<A>) -> Option<A> {
        let last = self.bindings.keys().next_back();
        let from = last.map_or(0, |last| last.behind(*pool.start()).saturating_add(1));
        all(pool, from).chain(all(pool, 0)).find(|address| !self.bindings.contains_key(address))
    }

    /// Keeps an address for a client that it is offered to.
    pub(crate) fn offer(&mut self, client: &[u8], address: A, now: Instant) {
        let granted = self.granted_until(client, address).is_some_and(|until| until > now);
        if !granted {
            self.bind(client, address, false, now + OFFER_KEPT);
        }
    }

    /// Grants `address` until `until`, unless it is another client's.
    pub(crate) fn grant(
        &mut self,
        client: &[u8],
        address: A,
        now: Instant,
        until: Instant,
    ) -> bool {
        let taken = |binding: &Binding| *binding.client != *client && binding.until > now;
        if self.bindings.get(&address).is_some_and(taken) {
            return false;
        }
        self.bind(client, address, true, until);
        true
    }

    fn bind(&mut self, client: &[u8], address: A, granted: bool, until: Instant) {
        // What was granted before is the client's until its end: it may not hear of what is new.
        if let Some(old) = self.by_client.insert(client.into(), address)
            && old != address
            && self.bindings.get(&old).is_some_and(|binding| !binding.granted)
        {
            self.bindings.remove(&old);
        }
        let until = self.granted_until(client, address).map_or(until, |old| until.max(old));
        let binding = Binding { client: client.into(), granted, until };
        if let Some(old) = self.bindings.insert(address, binding)
            && *old.client != *client
            && self.of_client(&old.client) == Some(address)
        {
            self.by_client.remove(&old.client);
        }
    }

    /// Takes an address back from its client: `false` if it is not this client's.
    pub(crate) fn release(&mut self, client: &[u8], address: A, now: Instant) -> bool {
        match self.bindings.get_mut(&address) {
            Some(binding) if *binding.client == *client && binding.granted => {
                binding.until = now;
                binding.granted = false;
                true
            }
            _ => false,
        }
    }

    /// Sets an address apart until `until`: `false` if it is not this client's.
    pub(crate) fn decline(&mut self, client: &[u8], address: A, until: Instant) -> bool {
        match self.bindings.get_mut(&address) {
            Some(binding) if *binding.client == *client => {
                *binding = Binding { client: NOBODY.into(), granted: false, until };
                self.by_client.remove(client);
                true
            }
            _ => false,
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Database::default();
    }
}

/// The addresses of a pool, from its address number `from` on.
fn all<A: Host>(pool: &RangeInclusive<A>, from: u32) -> impl Iterator<Item = A> + use<A> {
    let first = *pool.start();
    let last = if pool.is_empty() { None } else { Some(pool.end().behind(first)) };
    let numbers = last.into_iter().flat_map(move |last| from..=last);
    numbers.map(move |number| first.plus(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    fn address(host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, host)
    }

    fn pool() -> RangeInclusive<Ipv4Addr> {
        address(1)..=address(2)
    }

    #[test]
    fn an_address_is_one_clients_until_its_time_is_over() {
        let mut database = Database::default();
        assert!(database.grant(b"a", address(1), at(0), at(10)));
        assert!(!database.grant(b"b", address(1), at(9), at(19)));
        assert_eq!(database.granted_until(b"a", address(1)), Some(at(10)));
        assert_eq!(database.granted_until(b"b", address(1)), None);
        assert!(database.grant(b"b", address(1), at(10), at(20)));
        assert_eq!(database.of_client(b"a"), None);
        assert_eq!(database.granted(at(10)), 1);
    }

    #[test]
    fn a_client_gets_its_own_address_then_a_new_one_then_an_old_one() {
        let mut database = Database::default();
        let choose = |database: &Database, client: &[u8], now| {
            database.choose(client, None, &pool(), at(now))
        };
        assert_eq!(choose(&database, b"a", 0), Some(address(1)));
        database.grant(b"a", address(1), at(0), at(10));
        assert_eq!(choose(&database, b"a", 5), Some(address(1)));
        assert_eq!(choose(&database, b"b", 5), Some(address(2)));
        database.offer(b"b", address(2), at(5));
        assert_eq!(choose(&database, b"c", 5), None, "exhausted");
        assert_eq!(choose(&database, b"c", 11), Some(address(1)));
        assert_eq!(choose(&database, b"b", 11), Some(address(2)));
    }

    #[test]
    fn a_pool_with_nothing_in_it_gives_nothing() {
        let mut database = Database::default();
        let nothing = address(2)..=address(1);
        assert_eq!(database.choose(b"a", None, &nothing, at(0)), None);
        database.grant(b"a", address(1), at(0), at(10));
        assert_eq!(database.choose(b"a", Some(address(1)), &nothing, at(0)), None);
    }

    #[test]
    fn what_was_granted_is_the_clients_until_its_end() {
        let mut database = Database::default();
        database.grant(b"a", address(1), at(0), at(10));
        database.grant(b"a", address(2), at(5), at(15));
        assert_eq!(database.of_client(b"a"), Some(address(2)));
        assert_eq!(database.granted_until(b"a", address(1)), Some(at(10)));
        assert!(!database.grant(b"b", address(1), at(9), at(19)));
        assert!(database.grant(b"b", address(1), at(10), at(20)));
        assert_eq!(database.of_client(b"a"), Some(address(2)));
        database.grant(b"a", address(2), at(6), at(7));
        assert_eq!(database.granted_until(b"a", address(2)), Some(at(15)));
    }

    #[test]
    fn a_declined_address_is_nobodys_for_a_while() {
        let mut database = Database::default();
        database.grant(b"a", address(1), at(0), at(10));
        assert!(!database.decline(b"b", address(1), at(100)));
        assert!(database.decline(b"a", address(1), at(100)));
        assert_eq!(database.granted(at(1)), 0);
        assert_eq!(database.of_client(b"a"), None);
        let choose = |now| database.choose(b"a", Some(address(1)), &pool(), at(now));
        assert_eq!(choose(1), Some(address(2)));
        assert_eq!(choose(100), Some(address(1)));
    }

    #[test]
    fn only_the_holder_can_release() {
        let mut database = Database::default();
        database.grant(b"a", address(1), at(0), at(10));
        assert!(!database.release(b"b", address(1), at(1)));
        assert!(!database.release(b"a", address(2), at(1)));
        assert!(database.release(b"a", address(1), at(1)));
        assert!(!database.release(b"a", address(1), at(2)));
        assert_eq!(database.granted(at(1)), 0);
    }
}
