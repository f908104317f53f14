//! Nobody else has the address: probing it, DHCPDECLINE, and its defence (RFC 5227).
//!
//! A [`Check`] runs beside the phases: it may begin with the REQUEST, decides when PROBING may become
//! BOUND, and goes on in the background. The container's own kernel answers probes for an address
//! that it has already; such an answer bears the client's MAC, and what bears the client's MAC is
//! never a conflict.

use std::net::Ipv4Addr;
use std::time::Duration;

use wire::MacAddr;
use wire::arp::Arp;

use super::backoff::after_conflict;
use super::client::Client;
use super::phase::Phase;
use super::progress::{Conflict, bump};
use super::request::Intent;
use super::{ConflictCheck, Defence, Event, Loss};
use crate::Instant;

/// PROBE_WAIT (RFC 5227 §1.1, as the others here): the longest delay before the first probe.
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// PROBE_NUM.
const PROBE_NUM: u8 = 3;
/// PROBE_MIN: the shortest time between two probes.
const PROBE_MIN: Duration = Duration::from_secs(1);
/// PROBE_MAX: the longest.
const PROBE_MAX: Duration = Duration::from_secs(2);
/// ANNOUNCE_WAIT: for how long after the last probe an answer counts.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
/// DEFEND_INTERVAL.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// For how long [`ConflictCheck::Fast`] waits after its first probe: a machine on the LAN answers
/// ARP from its kernel, within a fraction of that. What answers later is met in the background.
const FAST_WAIT: Duration = Duration::from_millis(2);
/// The same packet so soon after it is a copy and no second conflict: the port and the endpoint's
/// own link may both have heard it. Another packet is one: the other machine's defence, for example,
/// which must not leave both with the address.
const ECHO: Duration = Duration::from_millis(100);
/// For how long an OFFER of an address that was declined is not taken.
const DECLINED_KEPT: Duration = Duration::from_secs(10);

/// The check of one address.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) address: Ipv4Addr,
    /// Probes sent.
    sent: u8,
    /// When the next probe is due; after the last one, when the check is over.
    next_at: Instant,
    /// From here on the address may be used.
    clear_at: Instant,
    /// Who has the address, if that was heard before there is a grant that could be declined.
    holder: Option<MacAddr>,
}

/// What is remembered of conflicts.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Addresses that were another's, in a row.
    row: u8,
    /// The last of them, and when it was found out.
    declined: Option<(Ipv4Addr, Instant)>,
    /// When the address in use was defended, and against what.
    defended: Option<(Instant, Arp)>,
}

impl Check {
    fn failed(address: Ipv4Addr, holder: MacAddr) -> Check {
        let never = Instant::NEVER;
        Check { address, sent: 0, next_at: never, clear_at: never, holder: Some(holder) }
    }

    /// When something is due. `waiting`: the address is not in use yet, and is to be.
    fn deadline(&self, waiting: bool) -> Instant {
        match self.holder {
            Some(_) => Instant::NEVER,
            None if waiting => self.next_at.min(self.clear_at),
            None => self.next_at,
        }
    }
}

/// Checking.
impl Client {
    /// Begins to check an address, unless it is being checked already.
    pub(crate) fn check_address(&mut self, address: Ipv4Addr, now: Instant) {
        if self.check.as_ref().is_some_and(|check| check.address == address) {
            return;
        }
        let (next_at, clear_at) = match self.config.conflict_check {
            ConflictCheck::Fast => (now, now + FAST_WAIT),
            ConflictCheck::Full => (now + PROBE_WAIT.mul_f64(self.rng.f64()), Instant::NEVER),
            ConflictCheck::Off => return,
        };
        self.check = Some(Box::new(Check { address, sent: 0, next_at, clear_at, holder: None }));
        self.check_timeout(now);
    }

    /// A REQUEST for an address has gone out: [`ConflictCheck::Fast`] does not wait for the ACK.
    pub(crate) fn check_with_request(&mut self, address: Ipv4Addr, now: Instant) {
        if self.config.conflict_check == ConflictCheck::Fast && !self.uses(address) {
            self.check_address(address, now);
        }
    }

    /// A lease was granted: checks its address before it is used, or goes on checking.
    pub(crate) fn check_grant(&mut self, now: Instant) {
        let Phase::Probing { lease, .. } = &self.phase else { return };
        let (address, server) = (lease.address, lease.server);
        self.check_address(address, now);
        match self.noted_holder() {
            Some(holder) => self.yield_address(address, Some(server), holder, now),
            None => self.check_timeout(now),
        }
    }

    /// Sends the probe that is due, and takes the lease into use when its address is free.
    pub(crate) fn check_timeout(&mut self, now: Instant) {
        let Some(check) = self.check.as_deref_mut().filter(|check| check.holder.is_none()) else {
            return;
        };
        let clear = now >= check.clear_at;
        let due = now >= check.next_at;
        let over = due && check.sent == PROBE_NUM;
        if over {
            self.check = None;
            self.trouble = None;
        } else if due {
            check.sent += 1;
            let wait = if check.sent < PROBE_NUM {
                PROBE_MIN + (PROBE_MAX - PROBE_MIN).mul_f64(self.rng.f64())
            } else {
                ANNOUNCE_WAIT
            };
            check.next_at = now + wait;
            if check.sent == PROBE_NUM {
                check.clear_at = check.clear_at.min(check.next_at);
            }
            let probe = Arp::probe(self.config.link_mac(), check.address);
            bump(&mut self.progress.probes);
            self.transmit(probe.emit(MacAddr::BROADCAST));
        }
        if clear {
            self.use_checked(now);
        }
    }

    /// When the check needs the clock.
    pub(crate) fn check_deadline(&self) -> Instant {
        let waiting = matches!(self.phase, Phase::Probing { .. });
        self.check.as_ref().map_or(Instant::NEVER, |check| check.deadline(waiting))
    }

    /// The address is free: the lease that was granted may be used, unless the machine slept for
    /// longer than it lasted.
    fn use_checked(&mut self, now: Instant) {
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Probing { lease, then } if lease.expires_at > now => self.bind(lease, then, now),
            Phase::Probing { .. } => match self.kept.take_if(|_| !self.overdue) {
                Some(kept) => self.go_on_with(*kept, now),
                // If it was not the machine that slept, the next grant will be as short.
                None => self.start_over(now, now),
            },
            other => self.phase = other,
        }
    }

    /// Who was heard to have the address that was asked for.
    pub(crate) fn noted_holder(&self) -> Option<MacAddr> {
        self.check.as_ref()?.holder
    }

    /// The address that is being checked and not in use yet.
    pub(crate) fn address_to_be_used(&self) -> Option<Ipv4Addr> {
        self.check.as_ref().map(|check| check.address).filter(|address| !self.uses(*address))
    }

    /// Whether an OFFER of `address` is not taken because it was declined just now.
    pub(crate) fn declined_lately(&self, address: Ipv4Addr, now: Instant) -> bool {
        let declined = self.trouble.as_ref().and_then(|trouble| trouble.declined);
        declined.is_some_and(|(declined, at)| {
            declined == address && now.saturating_since(at) < DECLINED_KEPT
        })
    }

    /// Whether the next DISCOVER has to wait because of conflicts.
    pub(crate) fn in_conflict(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.row > 0)
    }

    fn uses(&self, address: Ipv4Addr) -> bool {
        self.lease().is_some_and(|lease| lease.address == address)
    }
}

/// Conflicts.
impl Client {
    /// Looks whether ARP tells of another machine with the address.
    ///
    /// A router that answers ARP for others (proxy ARP) is such a machine too: RFC 5227 §2.1.1 knows
    /// no exception, and behind such a router the address is indeed not the client's alone.
    pub(crate) fn watch_for_conflict(&mut self, arp: &Arp, now: Instant) {
        let holder = arp.sender_mac;
        // No machine has a group address or none; and what comes back to us from a loop, from the
        // container itself or from the port that holds its place is no conflict.
        if self.config.conflict_check == ConflictCheck::Off
            || holder == self.config.link_mac()
            || !holder.is_unicast()
        {
            return;
        }
        if let Some(check) = &self.check {
            let address = check.address;
            // A probe for an address that is in use already is answered by whoever has it, and the
            // other machine stands back; before that, both do (RFC 5227 §2.1.1).
            let wants = arp.is_probe() && arp.target_ip == address && !self.uses(address);
            if arp.sender_ip == address || wants {
                return self.found_in_check(address, holder, now);
            }
        }
        if self.uses(arp.sender_ip) {
            self.defend(arp, now);
        }
    }

    /// That machine turned out to be the client's own link.
    pub(crate) fn forget_conflict_with(&mut self, mac: MacAddr) {
        // Where there is a grant by now it is given up already.
        self.check.take_if(|check| check.holder == Some(mac));
        if let Some(trouble) = &mut self.trouble {
            trouble.defended.take_if(|(_, heard)| heard.sender_mac == mac);
        }
    }

    fn found_in_check(&mut self, address: Ipv4Addr, holder: MacAddr, now: Instant) {
        let server = match &self.phase {
            Phase::Probing { lease, .. } if lease.address == address => Some(lease.server),
            Phase::Leased { lease, .. } if lease.address == address => Some(lease.server),
            // What has not been granted cannot be declined, and the server may be granting it just
            // now: the ACK or the time for another REQUEST decides.
            _ => {
                if let Some(check) = &mut self.check {
                    check.holder.get_or_insert(holder);
                }
                return;
            }
        };
        self.yield_address(address, server, holder, now);
    }

    /// RFC 5227 §2.4: another machine uses the address of the lease.
    fn defend(&mut self, arp: &Arp, now: Instant) {
        let holder = arp.sender_mac;
        let trouble = self.trouble.get_or_insert_default();
        let within = |time: Duration, at: Instant| now.saturating_since(at) < time;
        let copy = trouble.defended.is_some_and(|(at, first)| first == *arp && within(ECHO, at));
        let again = trouble.defended.is_some_and(|(at, _)| within(DEFEND_INTERVAL, at));
        match self.config.defence {
            Defence::Once if copy => {}
            Defence::Once if again => self.give_up(holder, now),
            Defence::Always if again => {}
            Defence::Once | Defence::Always => {
                trouble.defended = Some((now, *arp));
                if let Some(address) = self.lease().map(|lease| lease.address) {
                    self.note_conflict(address, holder);
                }
                self.send_announcement();
            }
        }
    }

    /// The defence did not help.
    fn give_up(&mut self, holder: MacAddr, now: Instant) {
        if let Phase::Leased { lease, .. } = &self.phase {
            let (address, server) = (lease.address, lease.server);
            return self.yield_address(address, Some(server), holder, now);
        }
        // A lease that is over, or is being replaced: the search goes on without it.
        let Some(old) = self.kept.take() else { return };
        self.overdue = false;
        self.note_conflict(old.address, holder);
        self.trouble.get_or_insert_default().declined = Some((old.address, now));
        self.wanted = self.config.requested_address.filter(|wanted| *wanted != old.address);
        if let Phase::Requesting { offer, .. } = &self.phase
            && offer.address == old.address
        {
            // Granted anew in this moment, it will be declined.
            self.check = Some(Box::new(Check::failed(old.address, holder)));
        }
        self.emit(Event::Lost { old, why: Loss::Conflict { holder } });
    }

    /// The address is another machine's: tells the server (RFC 2131 §3.1, step 5), stops using it,
    /// and looks for another one after a while.
    ///
    /// `server`: who granted it; `None` if nobody did.
    pub(crate) fn yield_address(
        &mut self,
        address: Ipv4Addr,
        server: Option<Ipv4Addr>,
        holder: MacAddr,
        now: Instant,
    ) {
        self.note_conflict(address, holder);
        self.check = None;
        let trouble = self.trouble.get_or_insert_default();
        trouble.row = trouble.row.saturating_add(1);
        trouble.declined = Some((address, now));
        trouble.defended = None;
        let row = trouble.row;
        if let Some(server) = server {
            let xid = self.rng.u32(..);
            let intent = Intent::Decline { server, address, holder };
            let everyone = (MacAddr::BROADCAST, Ipv4Addr::BROADCAST);
            self.send(intent, (xid, 0), Ipv4Addr::UNSPECIFIED, everyone);
        }
        if self.uses(address) {
            self.lose(Loss::Conflict { holder });
        } else if let Some(kept) = self.kept.take_if(|_| !self.overdue) {
            // The server wanted to replace a lease that goes on until its own end.
            return self.go_on_with(*kept, now);
        }
        let other = self.config.requested_address.filter(|wanted| *wanted != address);
        self.wanted = self.kept.as_ref().map(|kept| kept.address).or(other);
        let delay = after_conflict(row, self.eager, &mut self.rng);
        if delay.is_zero() {
            self.discover(now, now);
        } else {
            self.phase = Phase::Init { until: now + delay, began: now };
        }
    }

    fn note_conflict(&mut self, address: Ipv4Addr, holder: MacAddr) {
        bump(&mut self.progress.conflicts);
        self.progress.last_conflict = Some(Conflict { address, holder });
    }
}
