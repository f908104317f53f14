//! What a server says of an identity association, of addresses as of prefixes (RFC 8415 §18.3).

use std::ops::RangeInclusive;
use std::time::Duration;

use dhcp::Instant;
use wire::dhcp6::{INFINITY, StatusCode};

use super::server::Fault;
use crate::database::{Database, Host};

/// What is said of one thing of it, or of all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says<A> {
    /// It is the client's for so many seconds: preferred, valid.
    Grants(A, u32, u32),
    /// A status instead.
    Refuses(StatusCode),
}

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Solicit,
    Request,
    Renew,
    Rebind,
}

/// One client's association, as a server looks at it.
#[derive(Debug)]
pub(crate) struct Association<'a, A> {
    pub(crate) client: &'a [u8],
    /// What the client says that it has, or wishes for.
    pub(crate) held: Vec<A>,
    pub(crate) database: &'a mut Database<A>,
    pub(crate) pool: &'a RangeInclusive<A>,
    /// Lifetimes in seconds: preferred, valid.
    pub(crate) lifetimes: (u32, u32),
    /// What is said when the pool has nothing for the client.
    pub(crate) none_left: StatusCode,
    pub(crate) fault: Option<Fault>,
    /// What everybody gets, whoever has it.
    pub(crate) to_all: Option<A>,
    /// Whether a Rebind of what is not known is answered. Else another server may know it.
    pub(crate) sole: bool,
    pub(crate) now: Instant,
}

impl<A: Host> Association<'_, A> {
    /// What the server says; nothing is not to mention the association.
    pub(crate) fn answer(&mut self, wish: Wish) -> Vec<Says<A>> {
        match wish {
            Wish::Solicit => vec![self.offer()],
            Wish::Request => vec![self.give()],
            Wish::Renew | Wish::Rebind => self.extend(wish),
        }
    }

    fn offer(&mut self) -> Says<A> {
        let Some(chosen) = self.choose() else { return Says::Refuses(self.none_left) };
        if self.to_all.is_none() {
            self.database.offer(self.client, chosen, self.now);
        }
        self.lease(chosen)
    }

    fn give(&mut self) -> Says<A> {
        if self.fault == Some(Fault::NoBinding) {
            return Says::Refuses(StatusCode::NoBinding);
        }
        match self.choose() {
            Some(chosen) => self.grant(chosen),
            None => Says::Refuses(self.none_left),
        }
    }

    /// RFC 8415 §18.3.4, §18.3.5.
    fn extend(&mut self, wish: Wish) -> Vec<Says<A>> {
        if self.fault == Some(Fault::NoBinding) {
            return vec![Says::Refuses(StatusCode::NoBinding)];
        }
        if let Some(to_all) = self.to_all {
            return vec![self.grant(to_all)];
        }
        let renews = wish == Wish::Renew;
        if self.held.is_empty() {
            // What a client did not get before it may get now.
            return if renews || self.sole { vec![self.give()] } else { Vec::new() };
        }
        let known = self.database.of_client(self.client);
        let Some(known) = known.filter(|known| self.held.contains(known)) else {
            let answers = renews || self.sole;
            return if answers { vec![Says::Refuses(StatusCode::NoBinding)] } else { Vec::new() };
        };
        let new = match self.fault {
            // Somebody nobody is, so that it is another one.
            Some(Fault::Moves) => self.database.choose(b"", None, self.pool, self.now),
            _ if self.pool.contains(&known) => Some(known),
            // The link, or what is delegated here, has other numbers now.
            _ => self.database.choose(self.client, None, self.pool, self.now),
        };
        // All else that the client names is not its own any more.
        let gone = self.held.iter().filter(|held| Some(**held) != new);
        let mut says: Vec<_> = gone.map(|gone| Says::Grants(*gone, 0, 0)).collect();
        says.push(match new {
            Some(new) => self.grant(new),
            None => Says::Refuses(self.none_left),
        });
        says
    }

    fn choose(&self) -> Option<A> {
        let wanted = self.held.first().copied();
        self.to_all.or_else(|| self.database.choose(self.client, wanted, self.pool, self.now))
    }

    fn grant(&mut self, what: A) -> Says<A> {
        let until = match self.lifetimes.1 {
            INFINITY => Instant::NEVER,
            seconds => self.now + Duration::from_secs(seconds.into()),
        };
        let granted = self.to_all.is_some()
            || (self.pool.contains(&what)
                && self.database.grant(self.client, what, self.now, until));
        if granted { self.lease(what) } else { Says::Refuses(self.none_left) }
    }

    fn lease(&self, what: A) -> Says<A> {
        Says::Grants(what, self.lifetimes.0, self.lifetimes.1)
    }
}
