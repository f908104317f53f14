//! The pace at which RELEASEs go out.
//!
//! Nothing acknowledges a RELEASE, and a server's receive buffer holds some 150 messages (Linux's
//! default): of 200 leases given back within some milliseconds up to 32 stayed with a dnsmasq that
//! had to wait for the processor. What waits for its turn is still held here, so nobody else waits for it.

use std::time::Duration;

use dhcp::Instant;

/// RELEASEs that may go out at the same moment.
const BURST: u32 = 32;
/// Time for the server to take one of those beyond: it may stand still for two seconds before one
/// is lost, and 200 leases are given back within four.
const INTERVAL: Duration = Duration::from_millis(20);

/// Spaces out what is sent on one segment.
#[derive(Debug)]
pub(super) struct Pace {
    /// When all that was let through so far would have gone out one by one.
    due: Instant,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { due: Instant::BOOT }
    }
}

impl Pace {
    /// Takes a place in the row: how long from `now` until it is its turn.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        let spared = INTERVAL * BURST;
        let queued = self.due.saturating_since(now);
        self.due = if queued.is_zero() { now } else { self.due } + INTERVAL;
        queued.saturating_sub(spared - INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_out_at_once_and_the_rest_one_by_one() {
        let mut pace = Pace::default();
        let now = Instant::BOOT + Duration::from_secs(100);
        for _ in 0..BURST {
            assert_eq!(pace.wait(now), Duration::ZERO);
        }
        assert_eq!(pace.wait(now), INTERVAL);
        assert_eq!(pace.wait(now), INTERVAL * 2);
        // What the time between has taken away need not be waited for again.
        assert_eq!(pace.wait(now + INTERVAL * 2), INTERVAL);
        // After a pause there is a whole burst again.
        let later = now + Duration::from_secs(1);
        for _ in 0..BURST {
            assert_eq!(pace.wait(later), Duration::ZERO);
        }
        assert_eq!(pace.wait(later), INTERVAL);
    }
}
