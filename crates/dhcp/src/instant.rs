//! Time as the clients see it.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of this boot of the machine: the time since boot, suspend included (`CLOCK_BOOTTIME`),
/// in nanoseconds.
///
/// The clock that runs on through a suspend is the right one for leases: the server's clock does
/// not sleep. A stored value means something until the machine boots again, and not after. It is
/// stored as a [`Duration`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Duration", into = "Duration")]
pub struct Instant(u64);

impl Instant {
    /// The moment of boot; earlier than or equal to every other.
    pub const BOOT: Instant = Instant(0);
    /// The end of what does not end: later than every other.
    pub const NEVER: Instant = Instant(u64::MAX);

    /// The moment at which `CLOCK_BOOTTIME` shows `since_boot`; after 584 years [`Instant::NEVER`].
    pub const fn from_boot(since_boot: Duration) -> Instant {
        let nanos = since_boot.as_nanos();
        if nanos < u64::MAX as u128 { Instant(nanos as u64) } else { Instant::NEVER }
    }

    /// What `CLOCK_BOOTTIME` shows at this moment, [`Duration::MAX`] for [`Instant::NEVER`].
    pub const fn since_boot(self) -> Duration {
        if self.0 == u64::MAX { Duration::MAX } else { Duration::from_nanos(self.0) }
    }

    /// The time from `earlier` to here, zero if `earlier` is later, [`Duration::MAX`] for
    /// [`Instant::NEVER`].
    pub fn saturating_since(self, earlier: Instant) -> Duration {
        if self == Self::NEVER {
            Duration::MAX
        } else {
            Duration::from_nanos(self.0.saturating_sub(earlier.0))
        }
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates: what is too far away is [`Instant::NEVER`], and that stays what it is.
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(Instant::from_boot(duration).0))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    /// Saturates at [`Instant::BOOT`]; [`Instant::NEVER`] stays what it is.
    fn sub(self, duration: Duration) -> Instant {
        if self == Self::NEVER {
            self
        } else {
            Instant(self.0.saturating_sub(Instant::from_boot(duration).0))
        }
    }
}

impl From<Duration> for Instant {
    fn from(since_boot: Duration) -> Instant {
        Instant::from_boot(since_boot)
    }
}

impl From<Instant> for Duration {
    fn from(instant: Instant) -> Duration {
        instant.since_boot()
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            f.write_str("never")
        } else {
            write!(f, "{:?}", self.since_boot())
        }
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
        // What earlier versions stored.
        for (text, instant) in [
            (r#"{"secs":7,"nanos":5}"#, Instant::from_boot(Duration::new(7, 5))),
            (r#"{"secs":18446744073709551615,"nanos":999999999}"#, Instant::NEVER),
        ] {
            assert_eq!(serde_json::to_string(&instant).unwrap(), text);
            assert_eq!(serde_json::from_str::<Instant>(text).unwrap(), instant);
        }
    }
}
