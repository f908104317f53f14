//! ARP for the leased address: announcing it (RFC 5227 §2.3) and holding its place.

use std::time::Duration;

use wire::MacAddr;
use wire::arp::{Arp, Operation};

use super::client::Client;
use crate::Instant;

/// ANNOUNCE_INTERVAL (RFC 5227 §1.1).
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

/// The second of two announcements (ANNOUNCE_NUM).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announcement {
    /// None is to come.
    Done,
    /// The first has just gone out; the clock is read at the next `handle_timeout`.
    Begun,
    /// Due then.
    At(Instant),
}

impl Announcement {
    pub(crate) fn deadline(self) -> Instant {
        match self {
            Announcement::Done => Instant::NEVER,
            Announcement::Begun => Instant::BOOT,
            Announcement::At(at) => at,
        }
    }
}

impl Client {
    /// Announces the leased address by gratuitous ARP, twice, 2 s apart (RFC 5227 §2.3): call it
    /// when the container has the address. Without a lease nothing is sent.
    ///
    /// The second one is timed by the next [`Client::handle_timeout`], for which
    /// [`Client::poll_timeout`] asks at once.
    pub fn announce(&mut self) {
        if self.send_announcement() {
            self.announcement = Announcement::Begun;
        }
    }

    pub(crate) fn announcement_timeout(&mut self, now: Instant) {
        match self.announcement {
            Announcement::Begun => {
                self.announcement = Announcement::At(now + ANNOUNCE_INTERVAL);
            }
            Announcement::At(at) if now >= at => {
                self.announcement = Announcement::Done;
                self.send_announcement();
            }
            Announcement::At(_) | Announcement::Done => {}
        }
    }

    pub(crate) fn send_announcement(&mut self) -> bool {
        let Some(lease) = self.lease() else { return false };
        let frame =
            Arp::announcement(self.config().link_mac(), lease.address).emit(MacAddr::BROADCAST);
        self.transmit(frame);
        true
    }

    /// Answers for the leased address while no container does; other machines' probes as well, so
    /// that they stand back (RFC 5227 §2.1.1).
    pub(crate) fn hold_place(&mut self, arp: &Arp) {
        let mac = self.config().link_mac();
        let asked = self.lease().is_some_and(|lease| arp.target_ip == lease.address);
        if self.held
            && asked
            && arp.operation == Operation::Request
            && arp.sender_mac != mac
            // Somebody else uses the address. To answer would tell them that they own it.
            && arp.sender_ip != arp.target_ip
        {
            self.transmit(arp.reply_to(mac).emit(arp.sender_mac));
        }
    }
}
