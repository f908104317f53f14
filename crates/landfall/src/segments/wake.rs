//! When the clients of a segment are woken: renewals together, as a wake-up costs more than what is
//! done in it, but not too many at once.

use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{Client, State};

/// How long a renewal waits for others at most.
const MOST_PATIENCE: Duration = Duration::from_secs(1);
/// And which part of the lease at most.
const PART: u32 = 1000;

/// Renewals that may begin at the same moment: a server's receive queue holds some 150 messages.
pub(super) const BURST: usize = 32;
/// The others wait so long.
pub(super) const REST: Duration = Duration::from_millis(100);

/// When a client is to be woken. Only T1 is put off, to a moment that it has in common with others.
pub(super) fn wake(client: &Client) -> Instant {
    let wake = client.poll_timeout().unwrap_or(Instant::NEVER);
    match client.lease() {
        Some(lease) if wake == lease.renew_at && wake != Instant::NEVER => {
            round_up(wake, (lease.lifetime() / PART).min(MOST_PATIENCE))
        }
        _ => wake,
    }
}

/// Whether a client that has its turn at `now` begins a renewal.
pub(super) fn renews(client: &Client, now: Instant) -> bool {
    client.state() == State::Bound && client.lease().is_some_and(|lease| lease.renew_at <= now)
}

/// The first multiple of `unit` since boot that is not before `at`.
fn round_up(at: Instant, unit: Duration) -> Instant {
    let (at, unit) = (at.since_boot().as_nanos(), unit.as_nanos());
    let rounded = if unit == 0 { at } else { at.next_multiple_of(unit) };
    Instant::from_boot(Duration::from_nanos(u64::try_from(rounded).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use dhcp::v4::{Config, Lease};
    use wire::MacAddr;

    use super::*;

    /// A client that holds a lease with that T1 and lifetime, in milliseconds.
    fn holder(renew_at: u64, lifetime: u64) -> Client {
        let at = |millis| Instant::from_boot(Duration::from_millis(millis));
        let lease = Lease {
            address: [10, 0, 0, 2].into(),
            prefix_len: 24,
            server: [10, 0, 0, 1].into(),
            next_hop: None,
            start: Instant::BOOT,
            renew_at: at(renew_at),
            rebind_at: at(lifetime - 1),
            expires_at: at(lifetime),
            options: wire::dhcp4::Options::default(),
        };
        let config = Config::new(MacAddr([2, 0, 0, 0, 0, 1]));
        Client::resume(config, lease, 1, Instant::BOOT)
    }

    fn woken(client: &Client) -> u64 {
        wake(client).since_boot().as_millis() as u64
    }

    #[test]
    fn renewals_of_one_second_are_made_together() {
        for renew_at in [1_799_001, 1_799_500, 1_800_000] {
            assert_eq!(woken(&holder(renew_at, 3_600_000)), 1_800_000);
        }
    }

    #[test]
    fn a_short_lease_waits_for_a_thousandth_of_it() {
        assert_eq!(woken(&holder(30_001, 60_000)), 30_060);
        assert_eq!(woken(&holder(30_060, 60_000)), 30_060);
    }

    #[test]
    fn nothing_but_t1_is_put_off() {
        let mut client = holder(1_799_001, 3_600_000);
        let t1 = wake(&client);
        assert!(renews(&client, t1) && !renews(&client, Instant::BOOT));
        client.handle_timeout(t1);
        assert!(!renews(&client, t1), "it has begun");
        assert!(client.poll_timeout().is_some_and(|retry| retry == wake(&client)));
        let mut expiring = holder(1_799_001, 3_600_000);
        expiring.handle_timeout(Instant::from_boot(Duration::from_millis(3_599_999)));
        assert!(expiring.poll_timeout().is_some_and(|expiry| expiry == wake(&expiring)));
    }
}
