//! When to ask for routers (RFC 4861 §6.3.7, RFC 7559).

use std::time::Duration;

use fastrand::Rng;

use crate::Instant;

/// IRT (RFC 7559 §2): the first pause.
const INITIAL: Duration = Duration::from_secs(4);
/// The pause behind the first one if somebody waits: a router that answers it at once has done so by
/// then, and one that holds its answers to all back for 3 s (radvd) answers the second, which comes from
/// an address, in unicast.
const QUICK: Duration = Duration::from_millis(20);
/// MRT: the longest.
const LONGEST: Duration = Duration::from_secs(3600);

/// Solicitations, until a router answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Soliciting {
    /// When the next one is due.
    pub(crate) at: Instant,
    /// The pause behind it, but for the first.
    pause: Duration,
    /// When the third is due after the first, if somebody waits.
    short: Option<Duration>,
    /// How many there were.
    pub(crate) sent: u8,
}

impl Soliciting {
    /// The first at `at`. If somebody waits, the second comes 20 ms and the third `short` after it.
    pub(crate) fn new(at: Instant, short: Option<Duration>) -> Soliciting {
        Soliciting { at, pause: INITIAL, short, sent: 0 }
    }

    /// One goes out.
    pub(crate) fn step(&mut self, now: Instant, rng: &mut Rng) {
        self.sent = self.sent.saturating_add(1);
        let pause = match self.short {
            Some(_) if self.sent == 1 => QUICK,
            Some(short) if self.sent == 2 => short.saturating_sub(QUICK),
            _ => {
                let pause = self.pause;
                self.pause = (pause * 2).min(LONGEST);
                // RFC 7559 §2: RAND is between -0.1 and 0.1.
                pause.mul_f64(0.9 + 0.2 * rng.f64())
            }
        };
        self.at = now + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let mut rng = Rng::with_seed(3);
        let mut now = Instant::BOOT;
        let short = Duration::from_millis(250);
        let mut soliciting = Soliciting::new(now, Some(short));
        let mut pauses = Vec::new();
        for _ in 0..14 {
            now = soliciting.at;
            soliciting.step(now, &mut rng);
            pauses.push(soliciting.at.saturating_since(now).as_secs_f64());
        }
        assert_eq!(pauses[..2], [0.02, 0.23]);
        let expected = [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600];
        for (pause, expected) in pauses[2..].iter().zip(expected.map(f64::from)) {
            assert!((0.9..=1.1).contains(&(pause / expected)), "{pause} for {expected}");
        }
    }
}
