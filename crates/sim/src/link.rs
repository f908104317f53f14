//! What happens to a frame on its way.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use dhcp::Instant;
use fastrand::Rng;

/// The state of the LAN. It may be changed at any time and is asked for each frame and receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// The part of the frames that is lost, 0 to 1.
    pub loss: f64,
    /// The part of the frames that arrives twice.
    pub duplication: f64,
    /// The part of the frames that is overtaken by later ones: they take `held_back` longer.
    pub reordering: f64,
    /// The shortest and the longest time on the way.
    pub delay: (Duration, Duration),
    /// How much longer a frame takes that is overtaken.
    pub held_back: Duration,
}

impl Conditions {
    /// Nothing is lost, and everything arrives within a tenth to a half of a millisecond.
    pub fn good() -> Conditions {
        Conditions {
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            delay: (Duration::from_micros(100), Duration::from_micros(500)),
            held_back: Duration::from_millis(20),
        }
    }

    /// Every third frame is lost, every tenth comes twice or late, and the way takes up to 200 ms.
    pub fn awful() -> Conditions {
        Conditions {
            loss: 0.33,
            duplication: 0.1,
            reordering: 0.1,
            delay: (Duration::from_millis(1), Duration::from_millis(200)),
            held_back: Duration::from_millis(700),
        }
    }

    /// Nothing arrives.
    pub fn cut() -> Conditions {
        Conditions { loss: 1.0, ..Conditions::good() }
    }

    /// Whether they are as they should not be: something is lost, doubled, reordered, or takes longer
    /// than 10 ms.
    pub fn are_bad(&self) -> bool {
        let spoilt = self.loss + self.duplication + self.reordering > 0.0;
        spoilt || self.delay.1 > Duration::from_millis(10)
    }

    /// The copies of a frame that arrive.
    pub(crate) fn deliveries(&self, rng: &mut Rng) -> impl Iterator<Item = Delivery> + use<> {
        let (shortest, longest) = self.delay;
        let spread = u64::try_from(longest.saturating_sub(shortest).as_nanos()).unwrap_or(u64::MAX);
        let mut delivery = || Delivery {
            delay: shortest + Duration::from_nanos(rng.u64(..=spread)),
            overtaken: rng.f64() < self.reordering,
        };
        let (first, second) = (delivery(), delivery());
        let arrives = rng.f64() >= self.loss;
        let twice = rng.f64() < self.duplication;
        [arrives.then_some(first), (arrives && twice).then_some(second)].into_iter().flatten()
    }
}

/// How one copy of a frame arrives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Delivery {
    /// The time on the way.
    pub(crate) delay: Duration,
    /// Whether later frames arrive before it.
    pub(crate) overtaken: bool,
}

/// The ways between stations. What goes one of them arrives in order, unless the conditions say
/// otherwise.
#[derive(Debug)]
pub(crate) struct Ways<S> {
    last_arrival: HashMap<(S, S), Instant>,
}

impl<S: Copy + Eq + Hash> Ways<S> {
    pub(crate) fn new() -> Ways<S> {
        Ways { last_arrival: HashMap::new() }
    }

    /// When the copies of a frame arrive that is sent at `now`.
    pub(crate) fn arrivals(
        &mut self,
        (from, at): (S, S),
        conditions: &Conditions,
        now: Instant,
        rng: &mut Rng,
    ) -> impl Iterator<Item = Instant> {
        let held_back = conditions.held_back;
        conditions.deliveries(rng).map(move |delivery| {
            let arrival = now + delivery.delay;
            let last = self.last_arrival.entry((from, at)).or_insert(arrival);
            if delivery.overtaken {
                return arrival + held_back;
            }
            *last = arrival.max(*last);
            *last
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_lost_doubled_and_held_back_as_often_as_said() {
        let conditions =
            Conditions { loss: 0.5, duplication: 0.2, reordering: 0.1, ..Conditions::good() };
        let mut rng = Rng::with_seed(1);
        let all: Vec<Vec<_>> =
            (0..10_000).map(|_| conditions.deliveries(&mut rng).collect()).collect();
        let part = |of: &dyn Fn(&Vec<Delivery>) -> bool| {
            all.iter().filter(|copies| of(copies)).count() as f64 / 10_000.0
        };
        assert!((part(&|copies| copies.is_empty()) - 0.5).abs() < 0.03);
        assert!((part(&|copies| copies.len() == 2) - 0.1).abs() < 0.03);
        let late = |copies: &Vec<Delivery>| copies.first().is_some_and(|copy| copy.overtaken);
        assert!((part(&late) - 0.05).abs() < 0.03);
        assert_eq!(Conditions::cut().deliveries(&mut rng).count(), 0);
        assert_eq!(Conditions::good().deliveries(&mut rng).count(), 1);
    }
}
