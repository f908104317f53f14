//! What happened to endpoints' IPv6 and is not followed yet.
//!
//! A router may change its mind faster than containers can be told, and what it says concerns all of them. So
//! of each endpoint one thing waits at most: what it had when it was last told, and what it has then counts.

use std::collections::{HashMap, VecDeque};

use dhcp::ipv6::Event;

use super::ids::EndpointId;
use crate::segments::Ipv6Event;

/// Endpoints that wait for their turn.
#[derive(Default)]
pub(super) struct Backlog {
    order: VecDeque<EndpointId>,
    events: HashMap<EndpointId, Event>,
}

impl Backlog {
    /// One more thing has happened.
    pub(super) fn add(&mut self, Ipv6Event { endpoint, event }: Ipv6Event) {
        if let Event::Duplicate { address, holder, given_up } = event {
            tracing::warn!(
                %endpoint, %address, %holder, given_up, "address in use by another machine"
            );
        }
        match self.events.remove(&endpoint) {
            Some(before) => {
                self.events.insert(endpoint, both(before, event));
            }
            None => {
                self.order.push_back(endpoint.clone());
                self.events.insert(endpoint, event);
            }
        }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Those who have waited longest, so many at most.
    pub(super) fn take(&mut self, most: usize) -> Vec<Ipv6Event> {
        let first = self.order.drain(..most.min(self.order.len()));
        let events = first.filter_map(|endpoint| {
            let event = self.events.remove(&endpoint)?;
            Some(Ipv6Event { endpoint, event })
        });
        events.collect()
    }
}

/// Two things in one.
fn both(before: Event, after: Event) -> Event {
    match (before, after) {
        // Nothing of it was told.
        (Event::Ready, _) => Event::Ready,
        (before @ Event::Changed { .. }, _) => before,
        (Event::Renewed, Event::Duplicate { .. } | Event::Released) => Event::Renewed,
        (Event::Renewed | Event::Duplicate { .. } | Event::Released, after) => after,
    }
}

#[cfg(test)]
mod tests {
    use dhcp::ipv6::Configuration;

    use super::*;

    fn happened(name: &str, event: Event) -> Ipv6Event {
        Ipv6Event { endpoint: name.to_owned().try_into().unwrap(), event }
    }

    fn changed(mtu: u16) -> Event {
        Event::Changed { old: Box::new(Configuration { mtu: Some(mtu), ..Default::default() }) }
    }

    #[test]
    fn one_thing_waits_for_each_in_the_order_of_their_first() {
        let mut backlog = Backlog::default();
        let duplicate = || Event::Duplicate {
            address: "2001:db8::1".parse().unwrap(),
            holder: "02:00:00:00:00:09".parse().unwrap(),
            given_up: true,
        };
        for event in [Event::Renewed, changed(1500), duplicate(), changed(1400), Event::Renewed] {
            backlog.add(happened("aa", event));
            backlog.add(happened("bb", Event::Renewed));
        }
        for event in [Event::Ready, changed(1300)] {
            backlog.add(happened("cc", event));
        }
        let mut told = Vec::new();
        for most in [2, 2] {
            let taken = backlog.take(most).into_iter();
            told.extend(taken.map(|Ipv6Event { endpoint, event }| (endpoint.to_string(), event)));
        }
        let wanted = [("aa", changed(1500)), ("bb", Event::Renewed), ("cc", Event::Ready)];
        assert_eq!(told, wanted.map(|(name, event)| (name.to_owned(), event)));
        assert!(backlog.is_empty());
    }
}
