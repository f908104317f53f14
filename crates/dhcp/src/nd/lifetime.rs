//! Lifetimes as routers say them.

use std::time::Duration;

use crate::Instant;

/// All ones: for ever (RFC 4861 §4.6.2).
const INFINITE: u32 = u32::MAX;
/// A valid lifetime that an unauthenticated router cannot shorten an address's below (RFC 4862
/// §5.5.3(e)).
const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

/// The end of a lifetime that begins now.
pub(crate) fn until(seconds: u32, now: Instant) -> Instant {
    if seconds == INFINITE { Instant::NEVER } else { now + Duration::from_secs(seconds.into()) }
}

/// The end of the valid lifetime of an address that was valid until `current`, when a router says
/// `seconds` (RFC 4862 §5.5.3(e)): what is longer than two hours or than what is left counts; else
/// two hours are left, or less if there was less.
pub(crate) fn valid_until(current: Instant, seconds: u32, now: Instant) -> Instant {
    let said = until(seconds, now);
    let least = now + TWO_HOURS;
    if said > least || said > current { said } else { current.min(least) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_of_all_ones_never_ends() {
        let now = Instant::from_boot(Duration::from_secs(5));
        assert_eq!(until(u32::MAX, now), Instant::NEVER);
        assert_eq!(until(7, now), Instant::from_boot(Duration::from_secs(12)));
    }

    #[test]
    fn an_address_is_not_made_invalid_within_two_hours() {
        let at = |seconds| Instant::from_boot(Duration::from_secs(seconds));
        const HOURS: u64 = 3600;
        for (current, said, expected) in [
            // Above two hours: as it is said.
            (at(10 * HOURS), 3 * 3600, at(3 * HOURS)),
            // Below, and more is left: two hours.
            (at(10 * HOURS), 3600, at(2 * HOURS)),
            (at(10 * HOURS), 0, at(2 * HOURS)),
            (Instant::NEVER, 0, at(2 * HOURS)),
            // Below, and less than two hours are left: what is left, unless it is prolonged.
            (at(HOURS), 0, at(HOURS)),
            (at(HOURS), 1800, at(HOURS)),
            (at(HOURS), 5400, at(5400)),
            (at(HOURS), u32::MAX, Instant::NEVER),
        ] {
            assert_eq!(valid_until(current, said, Instant::BOOT), expected, "{current:?} {said}");
        }
    }
}
