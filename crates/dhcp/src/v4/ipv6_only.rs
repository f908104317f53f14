//! Doing without IPv4 where the network says that it can be done (RFC 8925).

use std::time::Duration;

use super::Event;
use super::client::Client;
use super::lease::Grant;
use super::phase::Phase;
use super::progress::{Reason, bump};
use crate::Instant;

/// MIN_V6ONLY_WAIT (RFC 8925 §3.4).
const MIN_V6ONLY_WAIT: Duration = Duration::from_secs(300);

/// V6ONLY_WAIT for what the option says, in seconds.
fn at_least(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into()).max(MIN_V6ONLY_WAIT)
}

impl Client {
    /// Asks for an address although the network would have the client do without: IPv6 did not come, or has gone.
    /// From then on option 108 is neither asked for nor heeded. Does nothing unless the client is in V6ONLY_WAIT.
    pub fn insist(&mut self, now: Instant) {
        if let Phase::V6OnlyWait { .. } = self.phase {
            self.config.ipv6_only = false;
            self.eager = true;
            self.discover(now, now);
        }
    }

    /// How long a grant tells the client to do without IPv4. `None`: it does not, or nobody has asked; or there is a
    /// lease in use, which goes on (RFC 8925 §3.2).
    pub(crate) fn v6only_wait(&self, grant: &Grant) -> Option<Duration> {
        let heeded = self.config.ipv6_only && self.lease().is_none();
        grant.options.ipv6_only_preferred().filter(|_| heeded).map(at_least)
    }

    /// An OFFER that has no address in it for those who would do without. To all others it is none.
    pub(crate) fn offered_no_address(&mut self, wait: u32, now: Instant) -> Result<(), Reason> {
        match self.phase {
            Phase::Selecting { .. } if self.config.ipv6_only && self.lease().is_none() => {
                bump(&mut self.progress.offers);
                self.do_without(at_least(wait), now);
                Ok(())
            }
            Phase::Selecting { .. } | Phase::Requesting { .. } => Err(Reason::BadAddress),
            _ => Err(Reason::Unexpected),
        }
    }

    /// V6ONLY_WAIT: no IPv4 until that time is over, and then it is asked for again.
    pub(crate) fn do_without(&mut self, wait: Duration, now: Instant) {
        self.check = None;
        self.eager = false;
        self.refusals = 0;
        self.phase = Phase::V6OnlyWait { until: now + wait };
        self.emit(Event::Ipv6Only);
    }
}
