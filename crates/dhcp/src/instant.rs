//! Time as the clients see it.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of this boot of the machine: the time since boot, suspend included (`CLOCK_BOOTTIME`).
///
/// The clock that runs on through a suspend is the right one for leases: the server's clock does
/// not sleep. A stored value means something until the machine boots again, and not after.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(Duration);

impl Instant {
    /// The moment of boot; earlier than or equal to every other.
    pub const BOOT: Instant = Instant(Duration::ZERO);
    /// The end of what does not end: later than every other.
    pub const NEVER: Instant = Instant(Duration::MAX);

    /// The moment at which `CLOCK_BOOTTIME` shows `since_boot`.
    pub const fn from_boot(since_boot: Duration) -> Instant {
        Instant(since_boot)
    }

    /// What `CLOCK_BOOTTIME` shows at this moment.
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to here, zero if `earlier` is later, [`Duration::MAX`] for
    /// [`Instant::NEVER`].
    pub fn saturating_since(self, earlier: Instant) -> Duration {
        if self == Self::NEVER { Duration::MAX } else { self.0.saturating_sub(earlier.0) }
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates: what is too far away is [`Instant::NEVER`], and that stays what it is.
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(duration))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    /// Saturates at [`Instant::BOOT`]; [`Instant::NEVER`] stays what it is.
    fn sub(self, duration: Duration) -> Instant {
        if self == Self::NEVER { self } else { Instant(self.0.saturating_sub(duration)) }
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER { f.write_str("never") } else { write!(f, "{:?}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_absorbing_and_last() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Instant::NEVER + hour, Instant::NEVER);
        assert_eq!(Instant::NEVER - hour, Instant::NEVER);
        assert_eq!(Instant::NEVER.saturating_since(Instant::BOOT + hour), Duration::MAX);
        assert!(Instant::BOOT + hour < Instant::NEVER);
    }

    #[test]
    fn arithmetic_saturates_at_boot() {
        let second = Duration::from_secs(1);
        assert_eq!(Instant::BOOT - second, Instant::BOOT);
        assert_eq!(Instant::BOOT.saturating_since(Instant::BOOT + second), Duration::ZERO);
        assert_eq!((Instant::BOOT + second).saturating_since(Instant::BOOT), second);
    }

    #[test]
    fn survives_the_store() {
        for instant in [Instant::BOOT, Instant::from_boot(Duration::new(7, 5)), Instant::NEVER] {
            let text = serde_json::to_string(&instant).unwrap();
            assert_eq!(serde_json::from_str::<Instant>(&text).unwrap(), instant);
        }
    }
}
