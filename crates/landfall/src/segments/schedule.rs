//! Which client is to be woken when.

use std::collections::BTreeSet;

use dhcp::Instant;
use net::BootTimer;
use wire::MacAddr;

/// The clients that wait for a time, the earliest first.
#[derive(Default)]
pub(super) struct Schedule {
    timers: BTreeSet<(Instant, MacAddr)>,
    /// What the timer is set to.
    armed: Option<Instant>,
}

impl Schedule {
    /// A client is to be woken at another time than `noted`.
    pub(super) fn change(&mut self, mac: MacAddr, noted: &mut Instant, wake: Instant) {
        if wake != *noted {
            self.forget(mac, *noted);
            *noted = wake;
            if wake != Instant::NEVER {
                self.timers.insert((wake, mac));
            }
        }
    }

    /// A client is not to be woken any more.
    pub(super) fn forget(&mut self, mac: MacAddr, noted: Instant) {
        self.timers.remove(&(noted, mac));
    }

    /// No client is.
    pub(super) fn clear(&mut self) {
        self.timers.clear();
    }

    /// Takes out the next client whose time has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<MacAddr> {
        let (at, mac) = *self.timers.first()?;
        (at <= now).then(|| {
            self.timers.pop_first();
            mac
        })
    }

    /// Sets the timer to what is due next, a client's time or the `other` one.
    pub(super) fn arm(&mut self, timer: &BootTimer, interface: &str, other: Option<Instant>) {
        let next = self.timers.first().map(|(at, _)| *at).into_iter().chain(other).min();
        if next != self.armed {
            self.armed = next;
            if let Err(error) = timer.set(next.map(Instant::since_boot)) {
                tracing::error!(%error, interface, "timer not set");
            }
        }
    }
}
