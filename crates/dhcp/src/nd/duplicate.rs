//! Nobody else has an address: duplicate address detection (RFC 4862 §5.4) for addresses that are
//! in use meanwhile (RFC 4429), with a nonce that tells our own packets (RFC 7527), and defence.
//!
//! The container's own kernel answers for an address that it has already. Such an answer bears the
//! endpoint's MAC, and what bears the endpoint's MAC is never a conflict: nor is what another host on a shared link says, whose
//! kernel gives no two of them one address.

use std::net::Ipv6Addr;
use std::time::Duration;

use wire::MacAddr;
use wire::mld::Membership;
use wire::nd::{self, Message, NdOption};

use super::Event;
use super::answer::Again;
use super::host::{Host, LINK_LOCAL};
use super::progress::{Duplicate, bump};
use crate::Instant;

/// DupAddrDetectTransmits (RFC 4862 §5.1): one more than its default. The first one goes out with
/// the report that has switches open the way back.
const TRANSMITS: u8 = 2;
/// RetransTimer (RFC 4861 §10).
const RETRANS_TIMER: Duration = Duration::from_secs(1);
/// IDGEN_RETRIES (RFC 7217 §6): other identifiers after the first one.
pub(crate) const IDGEN_RETRIES: u8 = 3;
/// As in RFC 5227 §1.1: the shortest time between two defences.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// The check of one address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check {
    pub(crate) address: Ipv6Addr,
    /// What tells our own packets that come back (RFC 7527 §4.1).
    nonce: [u8; 6],
    sent: u8,
    /// When the next solicitation is due; after the last one, when the check is over.
    pub(crate) next_at: Instant,
}

impl Host {
    /// An address is in use from now on: switches let through what is sent to its group, and from
    /// `at` on it is checked.
    pub(crate) fn begin_use(&mut self, address: Ipv6Addr, at: Instant, now: Instant) {
        self.report(Membership::Joined, &[address]);
        if self.held && self.reporting == Again::Done {
            self.reporting = Again::Begun;
        }
        self.check(address, at, now);
    }

    /// Checks an address, unless it is being checked already.
    pub(crate) fn check(&mut self, address: Ipv6Addr, at: Instant, now: Instant) {
        if self.checks() && !self.is_checked(address) {
            let mut nonce = [0; 6];
            self.rng.fill(&mut nonce);
            self.checking.push(Check { address, nonce, sent: 0, next_at: at });
            self.check_timeout(now);
        }
    }

    /// Sends the solicitations that are due, and ends the checks that are over.
    pub(crate) fn check_timeout(&mut self, now: Instant) {
        if self.checking.is_empty() {
            return;
        }
        let mut checking = std::mem::take(&mut self.checking);
        checking.retain_mut(|check| {
            if now < check.next_at {
                return true;
            }
            if check.sent == TRANSMITS {
                self.checked(check.address);
                return false;
            }
            check.sent += 1;
            check.next_at = now + RETRANS_TIMER;
            let group = nd::solicited_node(check.address);
            let message = Message::NeighbourSolicitation { target: check.address };
            let options = [NdOption::Nonce(check.nonce.into())];
            if check.sent > 1 {
                self.report(Membership::Joined, &[check.address]);
            }
            bump(&mut self.progress.probes);
            let mac = self.config.link_mac();
            self.transmit(nd::emit(mac, Ipv6Addr::UNSPECIFIED, group, &message, &options));
            true
        });
        self.checking = checking;
        if self.checking.is_empty() {
            self.checking = Vec::new();
        }
    }

    pub(crate) fn check_deadline(&self) -> Instant {
        self.checking.iter().map(|check| check.next_at).min().unwrap_or(Instant::NEVER)
    }

    /// Whether an address is being checked.
    pub(crate) fn is_checked(&self, address: Ipv6Addr) -> bool {
        self.checking.iter().any(|check| check.address == address)
    }

    /// Nobody else has it: routers may know where it is (RFC 9131 §4.1).
    fn checked(&mut self, address: Ipv6Addr) {
        if !address.is_unicast_link_local() {
            self.advertise(address, nd::ALL_ROUTERS, true);
        }
    }

    /// Another machine asks for `target`, from no address: it is about to have it as well.
    pub(crate) fn probed(
        &mut self,
        target: Ipv6Addr,
        nonce: Option<&[u8]>,
        holder: MacAddr,
        now: Instant,
    ) {
        let ours = |check: &Check| check.address == target && nonce != Some(&check.nonce[..]);
        if self.checking.iter().any(ours) {
            self.found(target, holder, now);
        }
    }

    /// Another machine says that it has `target`, which is ours.
    pub(crate) fn claimed(&mut self, target: Ipv6Addr, holder: MacAddr, now: Instant) {
        if !self.checks() {
        } else if self.is_checked(target) {
            self.found(target, holder, now);
        } else {
            self.note(target, holder);
            let defended = self.defended.is_some_and(|at| now < at + DEFEND_INTERVAL);
            if !defended {
                self.defended = Some(now);
                self.advertise(target, nd::ALL_NODES, true);
            }
        }
    }

    /// The address is another machine's: takes another one, or gives it up.
    fn found(&mut self, address: Ipv6Addr, holder: MacAddr, now: Instant) {
        self.note(address, holder);
        self.checking.retain(|check| check.address != address);
        self.report(Membership::Left, &[address]);
        self.changed = true;
        let (config, learned) = (&self.config, &mut self.learned);
        let make = |prefix, attempt: u8| {
            let address = config.interface_id.address(config.mac, prefix, attempt);
            address.filter(|_| attempt <= IDGEN_RETRIES)
        };
        let instead = if self.link_local == Some(address) {
            learned.attempt = learned.attempt.saturating_add(1);
            self.link_local = make(LINK_LOCAL, learned.attempt);
            self.link_local
        } else if let Some(entry) =
            learned.addresses.iter_mut().find(|entry| entry.what.address == Some(address))
        {
            let made = &mut entry.what;
            made.attempt = made.attempt.saturating_add(1);
            made.address = make(made.prefix, made.attempt);
            made.address
        } else {
            // A server gave it, and a server may give another.
            self.leased.retain(|leased| *leased != address);
            None
        };
        self.emit(Event::Duplicate { address, holder, given_up: instead.is_none() });
        if let Some(instead) = instead {
            self.begin_use(instead, now, now);
        }
    }

    fn note(&mut self, address: Ipv6Addr, holder: MacAddr) {
        bump(&mut self.progress.duplicates);
        self.progress.last_duplicate = Some(Box::new(Duplicate { address, holder }));
    }
}
