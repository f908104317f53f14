//! What routers said and for how long it is so.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Instant;

/// What was not said again for so long makes room where there is none: the longest time between two advertisements
/// of a router (RFC 4861 §6.2.1), each of which says all of it.
const SILENT: Duration = Duration::from_secs(1800);

/// Something that is so until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<T> {
    /// What is so.
    pub what: T,
    /// From here on it is not.
    pub until: Instant,
    /// When it was last said.
    #[serde(default = "boot")]
    pub(crate) said: Instant,
    /// It was said on what may have been another link, and has not been said again.
    pub(crate) doubted: bool,
}

/// So many things at most, each once. What is said first stays as long as it is said again: whoever wants to
/// push out others must come before them and go on talking. Some of it never ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct List<T>(Vec<Entry<T>>);

impl<T> Default for List<T> {
    fn default() -> List<T> {
        List(Vec::new())
    }
}

impl<T> List<T> {
    /// The entries in the order in which they were said first.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry<T>> {
        self.0.iter()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Entry<T>> {
        self.0.iter_mut()
    }

    /// Takes in what was said at `now`, in the place of what is the `same`. Whether it is there
    /// then: not if it is over, nor if there are `most` others.
    pub(crate) fn set(
        &mut self,
        same: impl Fn(&T) -> bool,
        what: T,
        (until, now): (Instant, Instant),
        most: usize,
    ) -> bool {
        let place = self.0.iter().position(|entry| same(&entry.what));
        let entry = Entry { what, until, said: now, doubted: false };
        match place {
            Some(place) if until <= now => {
                self.0.remove(place);
                return false;
            }
            Some(place) => {
                if let Some(old) = self.0.get_mut(place) {
                    *old = entry;
                }
            }
            None if until <= now || !self.make_room(most, now) => return false,
            None => {
                // Most lists have one entry for ever, in thousands of hosts.
                self.0.reserve_exact(1);
                self.0.push(entry);
            }
        }
        true
    }

    /// Makes room for one more of `most`, if need be in the place of what was said last longest ago. Whether there is
    /// any.
    pub(crate) fn make_room(&mut self, most: usize, now: Instant) -> bool {
        if self.0.len() < most {
            return true;
        }
        self.silent(now).map(|place| self.0.remove(place)).is_some()
    }

    /// Whether [`List::make_room`] would.
    pub(crate) fn has_room(&self, most: usize, now: Instant) -> bool {
        self.0.len() < most || self.silent(now).is_some()
    }

    /// The place of what was not said for too long, the longest first.
    fn silent(&self, now: Instant) -> Option<usize> {
        let (place, oldest) = self.0.iter().enumerate().min_by_key(|(_, entry)| entry.said)?;
        (now.saturating_since(oldest.said) >= SILENT).then_some(place)
    }

    /// Drops what is over, and says whether anything was.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        self.retain(|entry| entry.until > now)
    }

    /// When the next is over.
    pub(crate) fn next_end(&self) -> Instant {
        self.iter().map(|entry| entry.until).min().unwrap_or(Instant::NEVER)
    }

    /// Doubts all of it, or believes it again.
    pub(crate) fn doubt(&mut self, doubted: bool) {
        self.iter_mut().for_each(|entry| entry.doubted = doubted);
    }

    /// Drops what is doubted, and says whether anything was.
    pub(crate) fn drop_doubted(&mut self) -> bool {
        self.retain(|entry| !entry.doubted)
    }

    pub(crate) fn translate(&mut self, clock: &impl Fn(Instant) -> Instant) {
        for entry in self.iter_mut() {
            (entry.until, entry.said) = (clock(entry.until), clock(entry.said));
        }
    }

    fn retain(&mut self, keep: impl Fn(&Entry<T>) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(keep);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        self.0.len() != before
    }
}

/// Of what was stored by a version that did not note it.
fn boot() -> Instant {
    Instant::BOOT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn what_is_said_first_stays_and_what_is_over_goes() {
        let mut list = List::default();
        let set = |list: &mut List<u8>, what: u8, until, now| {
            list.set(|other| *other == what, what, (at(until), at(now)), 2)
        };
        assert!(set(&mut list, 1, 10, 0));
        assert!(set(&mut list, 2, 20, 0));
        assert!(!set(&mut list, 3, 30, 0), "full");
        assert!(set(&mut list, 1, 15, 0), "said again");
        assert_eq!(list.next_end(), at(15));
        assert!(!set(&mut list, 2, 5, 5), "taken back");
        assert!(set(&mut list, 3, 30, 5));
        assert!(!list.expire(at(14)));
        assert!(list.expire(at(15)));
        assert!(list.iter().map(|entry| entry.what).eq([3]));
        assert!(list.expire(at(30)) && list.is_empty());
        assert_eq!(list.next_end(), Instant::NEVER);
    }

    #[test]
    fn what_was_not_said_for_half_an_hour_makes_room_the_oldest_first() {
        let mut list = List::default();
        let set = |list: &mut List<u8>, what: u8, now| {
            list.set(|other| *other == what, what, (Instant::NEVER, at(now)), 2)
        };
        assert!(set(&mut list, 1, 0) && set(&mut list, 2, 100) && set(&mut list, 1, 200));
        assert!(!set(&mut list, 3, 1899));
        assert!(set(&mut list, 3, 1900));
        assert!(list.iter().map(|entry| entry.what).eq([1, 3]));
        assert!(!set(&mut list, 2, 1999) && set(&mut list, 2, 2000));
        assert!(list.iter().map(|entry| entry.what).eq([3, 2]));
    }

    #[test]
    fn what_is_said_again_is_not_doubted_any_more() {
        let mut list = List::default();
        for what in [1, 2] {
            list.set(|other| *other == what, what, (at(10), at(0)), 8);
        }
        list.doubt(true);
        list.set(|other| *other == 2, 2, (at(20), at(1)), 8);
        assert!(list.drop_doubted());
        assert!(list.iter().map(|entry| entry.what).eq([2]));
        assert!(!list.drop_doubted());
    }
}
