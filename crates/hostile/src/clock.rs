//! Time that passes for a client.

use std::time::Duration;

use dhcp::Instant;

/// A world with one client in it, which does what is due when it is.
pub(crate) trait Clock {
    fn now(&mut self) -> &mut Instant;
    /// When the client wants to be woken.
    fn due(&self) -> Option<Instant>;
    /// Wakes it.
    fn ring(&mut self);

    /// Everything that is due within `time`, each when it is.
    fn pass(&mut self, time: Duration) {
        let end = *self.now() + time;
        // A short lease asks often: that is enough of it.
        for _ in 0..64 {
            match self.due() {
                Some(due) if due <= end => {
                    *self.now() = due.max(*self.now());
                    self.ring();
                }
                _ => {
                    *self.now() = end;
                    return;
                }
            }
        }
    }
}
