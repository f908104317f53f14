//! What a client may tell servers of the addresses that it made itself (RFC 9686).

use std::collections::{HashMap, HashSet};
use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{Address, Client, Origin};
use wire::dhcp6::{INFINITY, Message};

use super::rules::network;

const SECOND: Duration = Duration::from_secs(1);
/// Transmissions of one message (RFC 9686 §4.5: MRC).
const TRANSMISSIONS: u8 = 3;
/// The shortest pause between two: IRT, and a tenth less.
const PAUSE: Duration = Duration::from_millis(900);
/// Most addresses that a client tells of.
const MOST: usize = 16;
/// The longest time between two registrations of one address (RFC 9686 §4.6).
const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// How long routers of what may be another link are given to say the same again.
const CONFIRMATION: Duration = Duration::from_secs(4);
/// Within this time daemons that start anew tell of their addresses.
const RESUMED: Duration = Duration::from_secs(10);

/// What has been told. What is returned is what is wrong.
#[derive(Debug)]
pub(crate) struct Registrations {
    /// Whether a server of this link has said that it wants to know.
    offered: bool,
    /// Whether it said so in an answer that the client was waiting for.
    heeded: bool,
    /// Until when a client may wait: many begin anew at once, and what was told on another link is not
    /// believed for a while.
    patience: Instant,
    /// Whether the client goes on where another ended.
    resumed: bool,
    told: HashMap<Ipv6Addr, Told>,
    /// Addresses that another machine was found with.
    lost: HashSet<Ipv6Addr>,
}

#[derive(Debug)]
struct Told {
    xid: u32,
    began: Instant,
    last: Instant,
    transmissions: u8,
    answered: bool,
    /// Until when it was said to be valid; its end is told by now.
    until: Instant,
    /// The shortest valid lifetime that it may have had since then.
    least: Duration,
    /// Whether it was taken back, or is not in use any more.
    gone: bool,
}

impl Registrations {
    /// A server says that it wants to know, in an answer that the client `waits` for or in another.
    pub(crate) fn offered(&mut self, waits: bool) {
        self.offered = true;
        self.heeded |= waits;
    }

    /// The client begins anew, on the same link, and has forgotten what it told; or that a server
    /// wants to know as well.
    pub(crate) fn restart(&mut self, offered: bool, now: Instant) {
        let patience = now + RESUMED;
        *self = Registrations { offered, patience, resumed: true, ..Registrations::default() };
    }

    /// The link may be another one: from `at` on routers are asked.
    pub(crate) fn forget(&mut self, at: Instant) {
        *self = Registrations { patience: at + CONFIRMATION, ..Registrations::default() };
    }

    /// A router gives the addresses of a prefix so many seconds.
    pub(crate) fn prolonged(&mut self, prefix: Ipv6Addr, seconds: u32) {
        for (address, told) in &mut self.told {
            if network(*address) == prefix {
                told.least = told.least.min(lifetime(seconds));
            }
        }
    }

    /// A server has taken note.
    pub(crate) fn answered(&mut self, message: &Message<'_>) {
        let Some(noted) = message.options.addresses().next() else { return };
        let told = self.told.get_mut(&noted.address);
        if let Some(told) = told.filter(|told| told.xid == message.xid) {
            told.answered = true;
        }
    }

    /// Another machine has an address, so nothing may come from it any more.
    pub(crate) fn lost(&mut self, address: Ipv6Addr, now: Instant) -> Result<(), String> {
        self.lost.insert(address);
        match self.told.remove(&address) {
            Some(told) if told.last == now => {
                Err(format!("tells of {address}, which another machine has"))
            }
            _ => Ok(()),
        }
    }

    /// The client tells of an address.
    pub(crate) fn sent(
        &mut self,
        client: &Client,
        source: Ipv6Addr,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), String> {
        if !self.offered {
            return Err(format!("tells of {source}, and no server wants to know"));
        }
        let mut said = message.options.addresses();
        let (Some(said), None) = (said.next(), said.next()) else {
            return Err("does not tell of one address".into());
        };
        if said.address != source {
            return Err(format!("tells of {} from {source}", said.address));
        }
        if message.options.server_id().is_some() {
            return Err(format!("tells one server alone of {source}"));
        }
        let leased = client.lease().into_iter().flat_map(|lease| &lease.addresses);
        if leased.into_iter().any(|leased| leased.address == source) {
            return Err(format!("tells of {source}, which is leased"));
        }
        if source.is_unicast_link_local() || is_checked(client, source) {
            return Err(format!("tells of {source}, which is no address to be told of yet"));
        }
        if self.lost.contains(&source) {
            return Err(format!("tells of {source}, which another machine has"));
        }
        let ends = said.valid == 0;
        let until = now + lifetime(said.valid);
        let new = Told {
            xid: message.xid,
            began: now,
            last: now,
            transmissions: 1,
            answered: false,
            until,
            least: lifetime(said.valid),
            gone: ends,
        };
        let Some(told) = self.told.get_mut(&source) else {
            // Who began anew may have told of it before.
            if ends && !self.resumed {
                return Err(format!("takes {source} back, of which it never told"));
            }
            self.told.insert(source, new);
            return Ok(());
        };
        if told.xid == message.xid {
            if told.answered || told.transmissions == TRANSMISSIONS || now < told.last + PAUSE {
                return Err(format!("repeats what it said of {source}: {told:?}"));
            }
            told.transmissions += 1;
            (told.last, told.until) = (now, until);
            return Ok(());
        }
        // 80 % of the lifetime, and the multiplier.
        let pause = told.least.min(LONGEST).mul_f64(0.8 * 0.9);
        if !(ends || told.gone) && now + SECOND < told.began + pause {
            return Err(format!("tells too soon again of {source}: {told:?}"));
        }
        *told = new;
        Ok(())
    }

    /// The client after a step, with the addresses of its container. `waits`: the container has none
    /// yet. `punctual`: what is to be told must have been told by now.
    pub(crate) fn check(
        &mut self,
        client: &Client,
        configured: &[Address],
        (waits, punctual): (bool, bool),
        now: Instant,
    ) -> Result<(), String> {
        if !self.offered || waits {
            return Ok(());
        }
        self.lost.retain(|lost| !configured.iter().any(|one| one.address == *lost));
        let made = |address: Ipv6Addr| {
            let mut all = configured.iter().filter(|one| one.origin == Origin::Slaac);
            all.any(|one| one.address == address)
        };
        for (address, told) in &mut self.told {
            if !told.gone && !made(*address) {
                if told.last == now {
                    return Err(format!("tells of {address}, which its container has not"));
                }
                told.gone = true;
            }
        }
        // Some that are gone may still be told of.
        self.told.retain(|_, told| !told.gone || now < told.last + 60 * SECOND);
        if !self.heeded || !punctual || self.told.len() > MOST {
            return Ok(());
        }
        for address in configured.iter().filter(|one| one.origin == Origin::Slaac) {
            let told = self.told.get(&address.address).filter(|told| !told.gone);
            match told {
                None if now < self.patience || is_checked(client, address.address) => {}
                // In the last second there is nothing to be told, and times are told to 2 s.
                None if address.valid_until < now + 3 * SECOND => {}
                None => return Err(format!("does not tell of {}", address.address)),
                Some(told) => {
                    // An end that has moved by a hundredth need not be told.
                    let lasted = told.until.saturating_since(told.last);
                    if told.until != Instant::NEVER && now > told.until + lasted / 50 + SECOND {
                        return Err(format!("lets servers forget {}: {told:?}", address.address));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Default for Registrations {
    fn default() -> Registrations {
        Registrations {
            offered: false,
            heeded: false,
            patience: Instant::BOOT,
            resumed: false,
            told: HashMap::new(),
            lost: HashSet::new(),
        }
    }
}

fn is_checked(client: &Client, address: Ipv6Addr) -> bool {
    client.neighbours().any(|neighbour| neighbour.address == address && neighbour.probing)
}

fn lifetime(seconds: u32) -> Duration {
    match seconds {
        INFINITY => Duration::MAX,
        seconds => SECOND * seconds,
    }
}
