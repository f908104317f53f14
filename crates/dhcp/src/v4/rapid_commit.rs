//! A lease of two messages, DISCOVER and ACK (RFC 4039).

use std::time::Duration;

use fastrand::Rng;
use wire::dhcp4::code;

use super::client::Client;
use super::lease::Grant;
use super::phase::{Exchange, Phase};
use crate::Instant;

/// DISCOVERs of one transaction go out for so long. Which of them an ACK answers nobody can tell, so the lease is counted
/// from the first; and a server may take a while to look whether an address is free.
const ONE_TRANSACTION: Duration = Duration::from_secs(8);

impl Exchange {
    /// Before a DISCOVER that asks for a lease at once: answers to those of long ago count no more.
    pub(crate) fn begin_anew_if_old(&mut self, rng: &mut Rng, now: Instant) {
        if now.saturating_since(self.asked) >= ONE_TRANSACTION {
            self.xid = rng.u32(..);
            self.asked = now;
        }
    }
}

impl Client {
    /// Whether a DISCOVER that goes out now asks for a lease at once. Not as long as none may be taken, nor where only
    /// one address will do: the server would commit another, to be given back.
    pub(crate) fn asks_for_rapid_commit(&self) -> bool {
        let picky = self.demanding && self.config.requested_address.is_some();
        self.config.rapid_commit && !self.patient && !picky
    }

    /// The exchange in which that is granted without a REQUEST.
    pub(crate) fn committed_rapidly(&self, grant: &Grant) -> Option<Exchange> {
        match &self.phase {
            Phase::Selecting { exchange, rapid: true, .. }
            | Phase::Withdrawing { exchange, .. }
                if grant.options.get(code::RAPID_COMMIT).is_some() =>
            {
                Some(*exchange)
            }
            _ => None,
        }
    }
}
