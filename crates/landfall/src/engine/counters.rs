//! Counting what becomes of leases.

use dhcp::v4::{Event, Loss};

use super::State;
use super::api::Counters;

impl Counters {
    /// Counts what a DHCP client tells of its lease.
    fn count(&mut self, event: &Event) {
        let counter = match event {
            Event::Bound => &mut self.granted,
            Event::Renewed => &mut self.renewed,
            Event::Changed { .. } => &mut self.changed,
            Event::Overdue => &mut self.overdue,
            Event::Lost { why: Loss::Expired, .. } => &mut self.expired,
            Event::Lost { why: Loss::Nak { .. }, .. } => &mut self.refused,
            Event::Lost { why: Loss::Conflict { .. }, .. } => &mut self.in_conflict,
            // Counted when it is asked for: some have nobody who waits for this word.
            Event::Released | Event::Ipv6Only => return,
        };
        *counter += 1;
    }
}

impl State {
    /// Counts what a DHCP client tells of its lease.
    pub(super) fn count(&mut self, event: &Event) {
        self.counters.count(event);
    }
}
