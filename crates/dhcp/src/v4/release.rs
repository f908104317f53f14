//! Giving the lease back (RFC 2131 §4.4.6).

use std::time::Duration;

use wire::MacAddr;

use super::Event;
use super::client::Client;
use super::next_hop::{Resolve, Unicast};
use super::phase::Phase;
use super::request::Intent;
use crate::Instant;

/// How long the answer to a DISCOVER that asked for a lease at once may take until it is not waited for any more.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

impl Client {
    /// Gives the lease back and stops. [`Event::Released`] says that all frames have been handed
    /// out; it comes at once where the server's MAC is known, else after an ARP exchange, which
    /// takes 3 s if nobody answers. A client that is stopped stays so, without an event.
    ///
    /// The DHCPRELEASE is a unicast from the leased address. There is no answer to it. In REQUESTING
    /// the server may have granted already what is on its way: that is given back too, and so is
    /// what was granted and is not in use yet (PROBING), or not again (a lease that was there before
    /// the machine booted). So may it have in SELECTING with Rapid Commit, and there only its ACK tells
    /// what: it is waited for for a second. Where there is nothing to give back, the event comes at once.
    pub fn release(&mut self, now: Instant) {
        let unicast = match &self.phase {
            Phase::Stopped | Phase::Releasing { .. } | Phase::Withdrawing { .. } => return,
            Phase::Leased { lease, .. } | Phase::Probing { lease, .. }
                if now >= lease.expires_at =>
            {
                None
            }
            Phase::Leased { lease, .. } | Phase::Probing { lease, .. } => Some(Unicast::of(lease)),
            Phase::Requesting { offer, .. } => Some(*offer),
            Phase::Rebooting { remembered: Some(remembered), .. }
                if now < remembered.lease.expires_at =>
            {
                Some(Unicast::of(&remembered.lease))
            }
            Phase::Init { .. }
            | Phase::Selecting { .. }
            | Phase::Rebooting { .. }
            | Phase::V6OnlyWait { .. } => None,
        };
        self.kept = None;
        self.overdue = false;
        self.check = None;
        match (unicast, &self.phase) {
            (Some(unicast), _) => self.release_by(unicast, now),
            (None, Phase::Selecting { exchange, rapid: true, .. }) => {
                let exchange = *exchange;
                self.phase = Phase::Withdrawing { exchange, until: now + ON_ITS_WAY };
            }
            (None, _) => self.stop(),
        }
    }

    /// Gives back what was granted, on that way.
    pub(crate) fn release_by(&mut self, unicast: Unicast, now: Instant) {
        self.phase = Phase::Releasing { unicast, resolve: Resolve::new(unicast.hop, now) };
        match unicast.next_hop {
            Some(mac) => self.finish_release(mac),
            None => self.release_timeout(now),
        }
    }

    /// No ACK came.
    pub(crate) fn withdraw_timeout(&mut self, now: Instant) {
        if self.phase.deadline() <= now {
            self.stop();
        }
    }

    /// Asks for the next hop's MAC, or gives up asking.
    pub(crate) fn release_timeout(&mut self, now: Instant) {
        let Phase::Releasing { unicast, resolve } = &mut self.phase else { return };
        if now < resolve.again_at {
            return;
        }
        let Unicast { address, hop, .. } = *unicast;
        if resolve.step(now) {
            self.ask_who_has(hop, address);
        } else {
            // The last resort: the right IP packet to everybody. A server on the link takes it.
            self.finish_release(MacAddr::BROADCAST);
        }
    }

    pub(crate) fn finish_release(&mut self, mac: MacAddr) {
        let Phase::Releasing { unicast, .. } = &self.phase else { return };
        let Unicast { address, server, .. } = *unicast;
        let xid = self.rng.u32(..);
        let intent = Intent::Release { server, address };
        self.send(intent, (xid, 0), address, (mac, server));
        self.stop();
    }

    fn stop(&mut self) {
        self.phase = Phase::Stopped;
        self.emit(Event::Released);
    }
}
