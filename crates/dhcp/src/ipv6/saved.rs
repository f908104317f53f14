//! What outlives the process.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::stateful::usable;
use super::{Configuration, Mode};
use crate::nd::Learned;
use crate::v6::{Information, Lease};
use crate::{Instant, nd};

/// What outlives the process: all that was learnt and leased, and what the container was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// What the container has, as it was last told.
    pub configuration: Configuration,
    /// What routers said.
    pub learned: Learned,
    /// What a server leased.
    pub lease: Option<Lease>,
    /// What a server said without a lease.
    pub information: Option<Information>,
    /// Addresses of a lease that is over, which stay in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Ipv6Addr>,
    /// Whether a server of this link wants to know of addresses that were made without it (RFC 9686).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub registers: bool,
}

impl Saved {
    /// Until when an address of it is valid; none if there is none.
    pub fn valid_until(&self) -> Option<Instant> {
        self.configuration.addresses.iter().map(|address| address.valid_until).max()
    }

    /// The same with each moment put through `clock`: from an earlier boot's times to this one's.
    /// What never ends stays so.
    #[must_use]
    pub fn translate(mut self, clock: impl Fn(Instant) -> Instant) -> Saved {
        let clock = |at| if at == Instant::NEVER { at } else { clock(at) };
        self.configuration.translate(&clock);
        self.learned.translate(&clock);
        if let Some(lease) = &mut self.lease {
            for at in [&mut lease.start, &mut lease.t1_at, &mut lease.t2_at] {
                *at = clock(*at);
            }
            for leased in &mut lease.addresses {
                leased.preferred_until = clock(leased.preferred_until);
                leased.valid_until = clock(leased.valid_until);
            }
            for leased in &mut lease.prefixes {
                leased.preferred_until = clock(leased.preferred_until);
                leased.valid_until = clock(leased.valid_until);
            }
        }
        if let Some(information) = &mut self.information {
            information.refresh_at = clock(information.refresh_at);
        }
        self
    }
}

impl Client {
    /// What is to be stored: after each event, and no more often.
    pub fn saved(&self) -> Saved {
        // Until the first answer stands, what was stored before is better than nothing.
        if let Some(remembered) = &self.remembered {
            return (**remembered).clone();
        }
        Saved {
            configuration: self.configuration().clone(),
            learned: self.host.learned().clone(),
            lease: self.server.as_ref().and_then(|server| server.lease().cloned()),
            information: self.information().cloned(),
            kept: self.kept.clone(),
            registers: self.server.as_ref().is_some_and(|server| server.registers()),
        }
    }

    /// Goes on after a restart of the daemon, within one boot, with what was [`saved`](Self::saved):
    /// all of it is in use. What has ended meanwhile is told by [`Event::Changed`](super::Event), and
    /// there is no [`Event::Ready`](super::Event). Routers are asked within 10 s, at a random
    /// moment, and a server as the lease's times say.
    pub fn resume(config: super::Config, saved: Saved, seed: u64, now: Instant) -> Client {
        let mut client = Client::new(config, seed);
        let config = client.host.config.clone();
        let leased = saved.lease.iter().flat_map(usable).map(|leased| leased.address);
        let leased = leased.chain(saved.kept.iter().copied()).collect();
        let seed = client.rng.u64(..);
        client.host = nd::Host::resume(config, saved.learned, leased, seed, now);
        client.told = Box::new(saved.configuration);
        client.information = saved.information.map(Box::new);
        client.kept = saved.kept;
        if let Some(lease) = saved.lease {
            client.resume_lease(lease, now);
        } else if client.host.learned().is_empty() {
            // No router has said anything: a server is asked unbidden, as before.
            client.asked_unbidden = client.config.mode == Mode::Auto;
        }
        if saved.registers {
            client.server().resume_registering(now);
        }
        client.go_on(now);
        client
    }

    /// Had `saved` before the machine booted, with its times in this boot's
    /// ([`Saved::translate`]), and asks whether it is still right. A server confirms the lease, or
    /// its silence does after 2 s; routers say anew what is so. If none does in
    /// [`Config::patience`](super::Config::patience), what they said before goes on to its end.
    /// [`Event::Ready`](super::Event) tells the outcome.
    pub fn reboot(config: super::Config, saved: Saved, seed: u64, now: Instant) -> Client {
        let mut client = Client::new(config, seed);
        client.begin(Some(saved), now);
        client
    }
}
