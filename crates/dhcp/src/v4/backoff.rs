//! When the next transmission is due.

use std::time::Duration;

use fastrand::Rng;

use crate::Instant;

/// The longest delay of RFC 2131 §4.1.
const LONGEST: u8 = 64;
/// The shortest time between two attempts to prolong a lease (RFC 2131 §4.4.5).
const RETRY_FLOOR: Duration = Duration::from_secs(60);
/// The same for leases too short for it, see [`retry`].
const SHORT_RETRY_FLOOR: Duration = Duration::from_secs(1);

/// RFC 2131 §3.1, step 5: the shortest time between a DHCPDECLINE and the next DISCOVER.
const DECLINE_PAUSE: Duration = Duration::from_secs(10);
/// MAX_CONFLICTS (RFC 5227 §1.1): conflicts in a row before it is one new address a minute.
const MAX_CONFLICTS: u8 = 10;
/// RATE_LIMIT_INTERVAL (RFC 5227 §1.1).
const RATE_LIMIT_INTERVAL: Duration = Duration::from_secs(60);

/// Delays that double up to 64 s, each with a jitter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    seconds: u8,
}

impl Backoff {
    /// 1, 2, 4 … 64 s: while somebody waits.
    pub(crate) fn eager() -> Backoff {
        Backoff { seconds: 1 }
    }

    /// 4, 8, 16, 32, 64 s (RFC 2131 §4.1).
    pub(crate) fn standard() -> Backoff {
        Backoff { seconds: 4 }
    }

    /// The delay before the next transmission.
    pub(crate) fn step(&mut self, rng: &mut Rng) -> Duration {
        let delay = Duration::from_secs(self.seconds.into());
        self.seconds = self.seconds.saturating_mul(2).min(LONGEST);
        jitter(delay, rng)
    }
}

/// `delay` ± 1 s (RFC 2131 §4.1), or ± a quarter of it where that is less.
pub(crate) fn jitter(delay: Duration, rng: &mut Rng) -> Duration {
    let spread = (delay / 4).min(Duration::from_secs(1));
    delay - spread + 2 * spread.mul_f64(rng.f64())
}

/// The wait before DISCOVER after `naks` DHCPNAKs in a row: 0, 1, 2, 4 … 64 s.
pub(crate) fn after_nak(naks: u32, rng: &mut Rng) -> Duration {
    match naks.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => jitter(Duration::from_secs(1 << doublings.min(6)), rng),
    }
}

/// The wait before DISCOVER after so many conflicts in a row (RFC 2131 §3.1, RFC 5227 §2.1.1): 10 s
/// and up to a second more, from the tenth on a minute. While somebody waits for the first lease the
/// first wait is none and the second is 1 s.
pub(crate) fn after_conflict(conflicts: u8, eager: bool, rng: &mut Rng) -> Duration {
    match conflicts {
        0 | 1 if eager => Duration::ZERO,
        2 if eager => jitter(Duration::from_secs(1), rng),
        MAX_CONFLICTS.. => RATE_LIMIT_INTERVAL + Duration::from_secs(1).mul_f64(rng.f64()),
        _ => DECLINE_PAUSE + Duration::from_secs(1).mul_f64(rng.f64()),
    }
}

/// The next attempt to prolong a lease that is to be prolonged before `end` (T2 when renewing, the
/// expiry when rebinding): after half of what is left, but not before the floor (RFC 2131 §4.4.5).
///
/// The floor is 60 s, or a twentieth of `lifetime` for leases below 20 minutes: with 60 s such a
/// lease would hang on one packet.
pub(crate) fn retry(now: Instant, end: Instant, lifetime: Duration) -> Instant {
    let floor = (lifetime / 20).clamp(SHORT_RETRY_FLOOR, RETRY_FLOOR);
    now + (end.saturating_since(now) / 2).max(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn doubles_up_to_64_seconds_within_the_jitter() {
        for (mut backoff, expected) in [
            (Backoff::eager(), [1, 2, 4, 8, 16, 32, 64, 64]),
            (Backoff::standard(), [4, 8, 16, 32, 64, 64, 64, 64]),
        ] {
            let mut rng = Rng::with_seed(3);
            for seconds in expected {
                let delay = Duration::from_secs(seconds);
                let spread = (delay / 4).min(SECOND);
                let got = backoff.step(&mut rng);
                assert!(got >= delay - spread && got <= delay + spread, "{got:?} for {delay:?}");
            }
        }
    }

    #[test]
    fn the_first_nak_costs_no_time_and_the_hundredth_a_minute() {
        let mut rng = Rng::with_seed(3);
        assert_eq!(after_nak(1, &mut rng), Duration::ZERO);
        assert!(after_nak(2, &mut rng) >= SECOND * 3 / 4);
        for naks in [8, 100, u32::MAX] {
            let delay = after_nak(naks, &mut rng);
            assert!(delay >= SECOND * 63 && delay <= SECOND * 65, "{delay:?}");
        }
    }

    #[test]
    fn conflicts_cost_ten_seconds_and_from_the_tenth_on_a_minute() {
        let mut rng = Rng::with_seed(3);
        assert_eq!(after_conflict(1, true, &mut rng), Duration::ZERO);
        assert!(after_conflict(2, true, &mut rng) <= SECOND * 5 / 4);
        for (conflicts, eager, seconds) in [
            (3, true, 10),
            (1, false, 10),
            (2, false, 10),
            (9, true, 10),
            (10, true, 60),
            (255, false, 60),
        ] {
            let delay = after_conflict(conflicts, eager, &mut rng);
            assert!(delay >= SECOND * seconds && delay <= SECOND * (seconds + 1), "{delay:?}");
        }
    }

    #[test]
    fn retries_after_half_of_the_rest_but_not_before_the_floor() {
        let at = |seconds| Instant::BOOT + SECOND * seconds;
        let day = SECOND * 86_400;
        assert_eq!(retry(at(100), at(10_100), day), at(5_100));
        assert_eq!(retry(at(100), at(120), day), at(160));
        // Two minutes: six seconds.
        assert_eq!(retry(at(100), at(104), SECOND * 120), at(106));
        assert_eq!(retry(at(100), at(100), SECOND), at(101));
    }
}
