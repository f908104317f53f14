//! Leases of an earlier boot of the machine.
//!
//! After a boot the kernel is empty and the engine starts its containers as new endpoints. What is
//! left is in the store: who had which lease. The container that comes back, if it can be told
//! which one it is, asks its server whether the lease is still right (INIT-REBOOT, RFC 2131 §3.2)
//! instead of asking for any.

use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::Lease;
use jiff::Timestamp;

use super::hold::now;
use super::ids::EndpointId;
use super::{Endpoint, Engine, ipv6};
use crate::store::StoredLease;

/// How long an identity waits for its container if nobody knows whether its lease goes on.
const UNKNOWN: Duration = Duration::from_secs(24 * 3600);

/// What may be expected of a lease of an earlier boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remembered {
    /// It goes on: its times are those of this boot.
    Valid(Lease),
    /// It has ended, or nobody can tell. Its times mean nothing.
    Unsure(Lease),
}

impl Remembered {
    /// Without a clock that is set no stored time is trusted.
    pub(super) fn of(stored: &StoredLease, clock_is_set: bool) -> Remembered {
        let (wall, now) = (Timestamp::now(), Instant::from_boot(net::boot_now()));
        Remembered::at(stored, clock_is_set.then_some(wall), now)
    }

    fn at(stored: &StoredLease, wall: Option<Timestamp>, now: Instant) -> Remembered {
        let old = &stored.lease;
        let age =
            wall.and_then(|wall| Duration::try_from(wall.duration_since(stored.obtained)).ok());
        let Some(age) = age.filter(|age| *age < old.lifetime()) else {
            return Remembered::Unsure(old.clone());
        };
        let from_now = |at: Instant| match at {
            Instant::NEVER => Instant::NEVER,
            at => now + at.saturating_since(old.start).saturating_sub(age),
        };
        Remembered::Valid(Lease {
            start: now - age,
            renew_at: from_now(old.renew_at),
            rebind_at: from_now(old.rebind_at),
            expires_at: from_now(old.expires_at),
            ..old.clone()
        })
    }

    /// Until when it is worth keeping.
    pub(super) fn until(&self, now: Instant) -> Instant {
        match self {
            Remembered::Valid(lease) => lease.expires_at.min(now + UNKNOWN * 30),
            Remembered::Unsure(_) => now + UNKNOWN,
        }
    }
}

impl Engine {
    /// Takes up again what an endpoint had before the machine booted, as far as that goes on: who gives it back needs a
    /// client that has it. Does nothing for an endpoint that has one.
    pub(super) async fn revive(&self, id: &EndpointId) {
        let (network, lease, saved) = {
            let state = self.lock();
            let Some(endpoint) = state.endpoints.get(id).filter(|e| e.is_remembered()) else {
                return;
            };
            let clock_is_set = net::wall_clock_is_set();
            let lease = endpoint.remembered.as_deref().map(|s| Remembered::of(s, clock_is_set));
            let lease = match lease {
                // It is not to be prolonged any more.
                Some(Remembered::Valid(lease)) => {
                    Some(Lease { renew_at: lease.expires_at, rebind_at: lease.expires_at, ..lease })
                }
                Some(Remembered::Unsure(_)) | None => None,
            };
            let saved = endpoint.remembered6.as_deref();
            let saved = saved.and_then(|stored| ipv6::of_earlier_boot(stored, clock_is_set));
            (endpoint.network.clone(), lease, saved)
        };
        if lease.is_none() && saved.is_none() {
            return;
        }
        let options = &network.options;
        let opened = self.0.segments.get_as_it_is(&options.interface, options.access()).await;
        let Ok((segment, link)) = opened else { return };
        let (config, config6) = {
            let state = self.lock();
            let Some(endpoint) = state.endpoints.get(id) else { return };
            (self.client_config(endpoint), self.ipv6_config(endpoint, link.mtu))
        };
        let taken_up = match lease {
            Some(lease) => segment.resume(id, config, lease, None).await,
            None => segment.enter(id, config, None).await,
        };
        if taken_up.is_err() {
            // Whoever has the MAC now has what belongs to it.
            return;
        }
        if let (Some(saved), Some(config)) = (saved, config6)
            && let Ok(ipv6) = self.0.segments.ipv6_of(&segment)
        {
            ipv6.resume(id, config, Some(saved), None);
        }
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.segment = Some(segment);
        }
    }
}

impl Endpoint {
    /// Until when what it had before is worth keeping: its lease, or where it has IPv6 only its addresses.
    pub(super) fn remembered_until(&self) -> Instant {
        let clock_is_set = net::wall_clock_is_set();
        if let Some(stored) = &self.remembered {
            return Remembered::of(stored, clock_is_set).until(now());
        }
        let stored = self.remembered6.as_deref();
        let saved = stored.and_then(|stored| ipv6::of_earlier_boot(stored, clock_is_set));
        let longest = saved.and_then(|saved| saved.valid_until()).filter(|until| *until > now());
        longest.map_or(now() + UNKNOWN, |until| until.min(now() + UNKNOWN * 30))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A lease of an earlier boot, for so long; none: for ever.
    pub(in super::super) fn stored(expires: Option<Duration>) -> StoredLease {
        let start = Instant::BOOT + HOUR * 100;
        StoredLease {
            lease: Lease {
                address: Ipv4Addr::new(192, 168, 7, 20),
                prefix_len: 24,
                server: Ipv4Addr::new(192, 168, 7, 1),
                next_hop: None,
                start,
                renew_at: start + HOUR,
                rebind_at: start + HOUR * 2,
                expires_at: expires.map_or(Instant::NEVER, |lifetime| start + lifetime),
                options: Default::default(),
            },
            boot_id: "earlier".into(),
            obtained: "2026-11-22T08:00:00Z".parse().unwrap(),
        }
    }

    fn at(stored: &StoredLease, wall: Option<&str>) -> Remembered {
        let now = Instant::BOOT + Duration::from_secs(20);
        Remembered::at(stored, wall.map(|wall| wall.parse().unwrap()), now)
    }

    #[test]
    fn what_is_left_of_it_counts_from_now() {
        let now = Instant::BOOT + Duration::from_secs(20);
        let Remembered::Valid(lease) = at(&stored(Some(HOUR * 3)), Some("2026-11-22T09:30:00Z"))
        else {
            panic!("it goes on");
        };
        assert_eq!(lease.renew_at, now, "overdue");
        assert_eq!(lease.rebind_at, now + HOUR / 2);
        assert_eq!(lease.expires_at, now + HOUR * 3 / 2);
        let Remembered::Valid(lease) = at(&stored(None), Some("2046-11-22T09:30:00Z")) else {
            panic!("it goes on for ever");
        };
        assert_eq!(lease.expires_at, Instant::NEVER);
    }

    #[test]
    fn nothing_is_trusted_without_a_clock_nor_after_its_end_nor_before_its_beginning() {
        for wall in [
            None,
            Some("2026-11-22T11:00:00Z"),
            Some("2036-11-22T08:00:00Z"),
            Some("2026-11-22T07:59:59Z"),
            Some("1970-01-01T00:00:00Z"),
        ] {
            let seen = at(&stored(Some(HOUR * 3)), wall);
            assert!(matches!(seen, Remembered::Unsure(_)), "{wall:?}: {seen:?}");
        }
    }
}
