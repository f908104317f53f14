//! One question and its answer, and when it is asked again (RFC 8415 §15).

use std::time::Duration;

use fastrand::Rng;

use crate::Instant;

const SECOND: Duration = Duration::from_secs(1);
/// IRT of Renew and Rebind (RFC 8415 §7.6), and the shortest for leases too short for it.
const KEEP_IRT: Duration = Duration::from_secs(10);
const SHORTEST_KEEP_IRT: Duration = SECOND;
/// Renew, Rebind: no transmission later than this after the one before.
const KEEP_MRT: Duration = Duration::from_secs(600);

/// How often and how long a message is repeated: the parameters of RFC 8415 §15, none where zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The first wait.
    irt: Duration,
    /// The longest wait.
    mrt: Duration,
    /// The most transmissions.
    mrc: u8,
    /// The longest time from the first transmission to the end of the last wait.
    mrd: Duration,
    /// The first wait is longer than `irt`, never shorter (RFC 8415 §18.2.1).
    longer_first: bool,
}

impl Pace {
    const fn new(irt: Duration, mrt: Duration, mrc: u8, mrd: Duration) -> Pace {
        Pace { irt, mrt, mrc, mrd, longer_first: false }
    }

    /// Solicit; `max_rt` is SOL_MAX_RT in seconds.
    pub(crate) fn solicit(max_rt: u32) -> Pace {
        let pace = Pace::new(SECOND, Duration::from_secs(max_rt.into()), 0, Duration::ZERO);
        Pace { longer_first: true, ..pace }
    }

    /// Request: at 0, 1, 3, 7 … s, ten times; four times while somebody waits.
    pub(crate) fn request(eager: bool) -> Pace {
        Pace::new(SECOND, 30 * SECOND, if eager { 4 } else { 10 }, Duration::ZERO)
    }

    /// Confirm, and Rebind in its place (RFC 8415 §18.2.12): for ten seconds.
    pub(crate) fn confirm() -> Pace {
        Pace::new(SECOND, 4 * SECOND, 0, 10 * SECOND)
    }

    /// Renew at T1 and Rebind at T2, for a lease that lasts so long. What ends them is not here.
    ///
    /// The first wait is 10 s; for leases below 200 s a twentieth of the lease, at least 1 s: with
    /// 10 s such a lease would hang on one packet.
    pub(crate) fn keep(lifetime: Duration) -> Pace {
        let irt = (lifetime / 20).clamp(SHORTEST_KEEP_IRT, KEEP_IRT);
        Pace::new(irt, KEEP_MRT, 0, Duration::ZERO)
    }

    /// Renew before T1, because the caller wants it: five times.
    pub(crate) fn renew_early(lifetime: Duration) -> Pace {
        Pace { mrc: 5, ..Pace::keep(lifetime) }
    }

    /// Information-request; `max_rt` is INF_MAX_RT in seconds.
    pub(crate) fn inform(max_rt: u32) -> Pace {
        Pace::new(SECOND, Duration::from_secs(max_rt.into()), 0, Duration::ZERO)
    }

    /// Release.
    pub(crate) const RELEASE: Pace = Pace::new(SECOND, Duration::ZERO, 4, Duration::ZERO);
    /// Decline.
    pub(crate) const DECLINE: Pace = Pace::new(SECOND, Duration::ZERO, 5, Duration::ZERO);
    /// ADDR-REG-INFORM (RFC 9686 §4.5).
    pub(crate) const REGISTER: Pace = Pace::new(SECOND, Duration::ZERO, 3, Duration::ZERO);
}

/// Transmissions of one message until something answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    /// The transaction, 24 bits: an answer with another one is not ours.
    pub(crate) xid: u32,
    /// When the first transmission was.
    began: Instant,
    /// When the last transmission was. A lease counts from here.
    pub(crate) asked: Instant,
    /// When the next one is due, or the end of it all.
    pub(crate) at: Instant,
    /// How many there were.
    pub(crate) sent: u8,
    /// The last wait.
    rt: Duration,
    pace: Pace,
}

impl Exchange {
    /// With the first transmission due at `at`.
    pub(crate) fn new(rng: &mut Rng, pace: Pace, at: Instant) -> Exchange {
        let xid = rng.u32(..) >> 8;
        Exchange { xid, began: at, asked: at, at, sent: 0, rt: Duration::ZERO, pace }
    }

    /// Whether nothing more is to be sent, once the next time has come.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let Pace { mrc, mrd, .. } = self.pace;
        self.sent > 0
            && ((mrc > 0 && self.sent >= mrc) || (!mrd.is_zero() && now >= self.began + mrd))
    }

    /// SOL_MAX_RT or INF_MAX_RT is another, in seconds, from the next wait on (RFC 8415 §18.2.9).
    pub(crate) fn limit(&mut self, max_rt: u32) {
        self.pace.mrt = Duration::from_secs(max_rt.into());
    }

    /// Counts a transmission and sets the time of the next.
    pub(crate) fn step(&mut self, now: Instant, rng: &mut Rng) {
        // The time for the first may have come late.
        if self.sent == 0 {
            self.began = now;
        }
        let Pace { irt, mrt, mrd, longer_first, .. } = self.pace;
        self.rt = match self.sent {
            0 if longer_first => irt + irt.mul_f64((1.0 - rng.f64()) / 10.0),
            0 => vary(irt, rng),
            _ => self.rt + vary(self.rt, rng),
        };
        if !mrt.is_zero() && self.rt > mrt {
            self.rt = vary(mrt, rng);
        }
        self.asked = now;
        self.at = now + self.rt;
        if !mrd.is_zero() {
            // Later than `now`: otherwise it is over.
            self.at = self.at.min(self.began + mrd);
        }
        self.sent = self.sent.saturating_add(1);
    }

    /// Hundredths of a second since the first transmission (RFC 8415 §21.9).
    pub(crate) fn elapsed(&self, now: Instant) -> u16 {
        let elapsed = now.saturating_since(self.began).as_millis() / 10;
        u16::try_from(elapsed).unwrap_or(u16::MAX)
    }
}

/// `delay` and RAND, up to a tenth of it more or less (RFC 8415 §15).
fn vary(delay: Duration, rng: &mut Rng) -> Duration {
    delay.mul_f64(0.9 + 0.2 * rng.f64())
}

/// A random time below a second: SOL_MAX_DELAY, CNF_MAX_DELAY, INF_MAX_DELAY (RFC 8415 §7.6).
pub(crate) fn first_delay(rng: &mut Rng) -> Duration {
    SECOND.mul_f64(rng.f64())
}

/// The wait before Solicit after so many exchanges in a row that brought nothing: 0, 1, 2, 4 … 64 s.
pub(crate) fn after_refusal(refusals: u32, rng: &mut Rng) -> Duration {
    match refusals.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => vary(SECOND * (1 << doublings.min(6)), rng),
    }
}

/// The wait before Solicit after so many addresses in a row that were in use: 0, 1, 10 s, from the
/// tenth on a minute (as RFC 5227 §2.1.1 wants it of IPv4).
pub(crate) fn after_conflict(conflicts: u8, rng: &mut Rng) -> Duration {
    match conflicts {
        0 | 1 => Duration::ZERO,
        2 => vary(SECOND, rng),
        3..10 => vary(10 * SECOND, rng),
        10.. => vary(60 * SECOND, rng),
    }
}
