//! What happens when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use dhcp::Instant;

/// Things to come, in the order of their times; what is due at one time comes in the order in which
/// it was put in.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Entry<T>>,
    count: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    number: u64,
    what: T,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Queue<T> {
        Queue { heap: BinaryHeap::new(), count: 0 }
    }

    pub(crate) fn push(&mut self, at: Instant, what: T) {
        self.count += 1;
        self.heap.push(Entry { at, number: self.count, what });
    }

    /// The first thing, if it is due not later than `end`.
    pub(crate) fn pop(&mut self, end: Instant) -> Option<(Instant, T)> {
        if self.heap.peek()?.at > end {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }
}

impl<T> Ord for Entry<T> {
    /// Reversed: the heap's greatest is the first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn first_by_time_then_by_arrival() {
        let at = |seconds| Instant::from_boot(Duration::from_secs(seconds));
        let mut queue = Queue::new();
        for (second, what) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c')] {
            queue.push(at(second), what);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(at(2))).collect();
        assert_eq!(order, [(at(1), 'a'), (at(2), 'b'), (at(2), 'c')]);
        assert_eq!(queue.pop(at(3)), Some((at(3), 'd')));
        assert_eq!(queue.pop(at(9)), None);
    }
}
