//! What waits to be written.
//!
//! Like a channel, but a change that nobody waits for wakes the writer only if there was none
//! before: hundreds of renewals in a second cost one wake-up.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Change, Error};

pub(super) struct Write {
    /// None: only to be told when everything before is on the disk.
    pub(super) change: Option<Change>,
    pub(super) done: Option<oneshot::Sender<Result<(), Error>>>,
}

/// Puts writes into the queue. When the last clone is gone, the queue ends.
#[derive(Clone)]
pub(super) struct Writes(Arc<Writer>);

struct Writer(Arc<Shared>);

/// Takes writes out of the queue. When it is gone, no more are taken in.
pub(super) struct Batches(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    writes: Vec<Write>,
    /// Somebody waits for one of them.
    urgent: bool,
    /// One of the ends is gone.
    ended: bool,
}

/// An empty queue.
pub(super) fn queue() -> (Writes, Batches) {
    let shared = Arc::<Shared>::default();
    (Writes(Arc::new(Writer(shared.clone()))), Batches(shared))
}

impl Writes {
    /// Puts a write behind those before it; gives it back if nobody takes it any more.
    pub(super) fn push(&self, write: Write) -> Result<(), Write> {
        let Writer(shared) = &*self.0;
        let mut state = shared.lock();
        if state.ended {
            return Err(write);
        }
        let wake = state.writes.is_empty() || write.done.is_some();
        state.urgent |= write.done.is_some();
        state.writes.push(write);
        drop(state);
        if wake {
            shared.news.notify_one();
        }
        Ok(())
    }
}

impl Batches {
    /// Waits for the next writes and takes all there are: at once if somebody waits for one of
    /// them, and else when the first has waited for `linger`. `None` when no more will come; no
    /// writes if there are none until `patience` says so.
    pub(super) fn next(&self, linger: Duration, patience: Option<Instant>) -> Option<Vec<Write>> {
        let Batches(shared) = self;
        let mut state = shared.lock();
        while state.writes.is_empty() {
            if state.ended {
                return None;
            }
            state = match patience.map(|until| until.checked_duration_since(Instant::now())) {
                None => shared.news.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(None) => return Some(Vec::new()),
                Some(Some(left)) => {
                    let waited = shared.news.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let until = Instant::now() + linger;
        while !state.urgent
            && !state.ended
            && let Some(left) = until.checked_duration_since(Instant::now())
        {
            let waited = shared.news.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.urgent = false;
        Some(std::mem::take(&mut state.writes))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What is in the queue is still written.
        self.0.lock().ended = true;
        self.0.news.notify_one();
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        // Whoever waits for one of these learns that nobody writes it.
        let _unwritten = std::mem::take(&mut state.writes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ids::EndpointId;

    /// Longer than a test may take.
    const HOUR: Duration = Duration::from_secs(3600);

    fn later(id: &str) -> Write {
        let id = EndpointId::new(id).unwrap();
        Write { change: Some(Change::DeleteEndpoint(id)), done: None }
    }

    fn urgent() -> (Write, oneshot::Receiver<Result<(), Error>>) {
        let (done, told) = oneshot::channel();
        (Write { change: None, done: Some(done) }, told)
    }

    fn about(writes: &[Write]) -> Vec<bool> {
        writes.iter().map(|write| write.change.is_some()).collect()
    }

    #[test]
    fn who_waits_takes_all_before_along() {
        let (writes, batches) = queue();
        let writer = std::thread::spawn(move || about(&batches.next(HOUR, None).unwrap()));
        assert!(writes.push(later("a")).is_ok() && writes.push(later("b")).is_ok());
        assert!(writes.push(urgent().0).is_ok());
        assert_eq!(writer.join().unwrap(), [true, true, false]);
    }

    #[test]
    fn what_nobody_waits_for_is_taken_after_a_while() {
        let (writes, batches) = queue();
        assert!(writes.push(later("a")).is_ok());
        assert_eq!(about(&batches.next(Duration::from_millis(1), None).unwrap()), [true]);
    }

    #[test]
    fn who_has_no_patience_gets_nothing() {
        let (writes, batches) = queue();
        let soon = Some(Instant::now() + Duration::from_millis(1));
        assert!(batches.next(HOUR, soon).unwrap().is_empty());
        assert!(writes.push(urgent().0).is_ok());
        assert_eq!(about(&batches.next(HOUR, soon).unwrap()), [false]);
    }

    #[test]
    fn what_is_in_the_queue_is_taken_when_nobody_can_add_to_it() {
        let (writes, batches) = queue();
        let other = writes.clone();
        assert!(writes.push(later("a")).is_ok());
        drop((writes, other));
        assert_eq!(about(&batches.next(HOUR, None).unwrap()), [true]);
        assert!(batches.next(HOUR, None).is_none());
    }

    #[test]
    fn who_waits_is_told_that_there_is_no_writer() {
        let (writes, batches) = queue();
        let (write, mut told) = urgent();
        assert!(writes.push(write).is_ok());
        drop(batches);
        assert_eq!(told.try_recv().err(), Some(oneshot::error::TryRecvError::Closed));
        assert!(writes.push(later("a")).is_err());
    }
}
