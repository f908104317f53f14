//! Telling servers of addresses that the endpoint made itself (RFC 9686).

use std::net::Ipv6Addr;
use std::time::Duration;

use fastrand::Rng;
use wire::dhcp6::{Builder, INFINITY, IaAddress, Message, MessageType, SERVERS, code};

use super::client::Client;
use super::exchange::{Exchange, Pace};
use super::phase::{Phase, Upkeep};
use super::progress::{Reason, bump};
use super::{Event, Transmit};
use crate::Instant;

/// Most addresses that are registered.
const MOST: usize = 16;
/// After a restart of the daemon addresses are told of within this time, not all at once.
const RESUMED_SPREAD: Duration = Duration::from_secs(10);
/// The longest time between two registrations of an address whose end moves (RFC 9686 §4.6).
const LONGEST_REFRESH: Duration = Duration::from_secs(4 * 3600);

/// The addresses that servers are to know of, whether they want to or not.
#[derive(Debug)]
pub(crate) struct Registrations {
    /// Whether a server on this link wants to know (RFC 9686 §4.4).
    wanted: bool,
    /// AddrRegDesyncMultiplier: 0.9 to 1.1.
    desync: f64,
    /// Nothing is told before.
    from: Instant,
    list: Vec<Registration>,
}

#[derive(Debug)]
struct Registration {
    address: Ipv6Addr,
    preferred_until: Instant,
    valid_until: Instant,
    /// The end of the valid lifetime that was told.
    told_until: Instant,
    /// It is not used any more: lifetimes of zero are told, and then it is forgotten.
    ends: bool,
    /// While it is being told.
    exchange: Option<Exchange>,
    /// When it is told anew, because its end has moved.
    refresh_at: Instant,
    /// When that would be if its end moved.
    next_refresh: Instant,
}

impl Registrations {
    fn new(rng: &mut Rng) -> Registrations {
        let desync = 0.9 + 0.2 * rng.f64();
        Registrations { wanted: false, desync, from: Instant::BOOT, list: Vec::new() }
    }

    fn deadline(&self) -> Instant {
        self.list.iter().map(Registration::deadline).min().unwrap_or(Instant::NEVER)
    }

    /// AddrRegRefreshInterval (RFC 9686 §4.6).
    fn interval(&self, valid_until: Instant, now: Instant) -> Duration {
        let lifetime = valid_until.saturating_since(now);
        (lifetime / 5 * 4).min(LONGEST_REFRESH).mul_f64(self.desync)
    }
}

impl Registration {
    fn deadline(&self) -> Instant {
        let asks = self.exchange.map_or(Instant::NEVER, |exchange| exchange.at);
        asks.min(self.refresh_at).min(self.valid_until)
    }
}

/// Seconds until then, rounded down.
fn seconds(until: Instant, now: Instant) -> u32 {
    let seconds = until.saturating_since(now).as_secs();
    u32::try_from(seconds).unwrap_or(INFINITY)
}

impl Client {
    /// Notes an address that the endpoint made itself, or new lifetimes of it. As soon as a server of
    /// this link wants to know of such addresses ([`Client::registers`]) it is told: three times, or
    /// until [`Event::Registered`]; and again when the end of the valid lifetime has moved.
    ///
    /// The messages come from the address itself, see [`Transmit::source`]. Addresses of the lease,
    /// addresses without global scope and more than 16 are not taken.
    pub fn register(
        &mut self,
        address: Ipv6Addr,
        preferred_until: Instant,
        valid_until: Instant,
        now: Instant,
    ) {
        let leased = self
            .lease()
            .is_some_and(|lease| lease.addresses.iter().any(|leased| leased.address == address));
        let scoped = !(address.is_unicast_link_local()
            || address.is_multicast()
            || address.is_loopback()
            || address.is_unspecified());
        if leased || !scoped || valid_until <= now {
            return;
        }
        let rng = &mut self.rng;
        let all = self.registrations.get_or_insert_with(|| Box::new(Registrations::new(rng)));
        all.list.retain(|known| known.valid_until > now);
        let (interval, room) = (all.interval(valid_until, now), all.list.len() < MOST);
        let from = all.from;
        let preferred_until = preferred_until.min(valid_until);
        match all.list.iter_mut().find(|known| known.address == address && !known.ends) {
            Some(known) => {
                known.preferred_until = preferred_until;
                known.valid_until = valid_until;
                // Against what was told, so that many small moves do not go untold.
                let told = known.told_until.saturating_since(now);
                let moved = told.abs_diff(valid_until.saturating_since(now));
                if moved > told / 100 {
                    known.refresh_at = known.refresh_at.min(now + interval).min(known.next_refresh);
                }
            }
            None if room => all.list.push(Registration {
                address,
                preferred_until,
                valid_until,
                told_until: valid_until,
                ends: false,
                exchange: None,
                refresh_at: now.max(from),
                next_refresh: now + interval,
            }),
            None => {}
        }
        self.register_timeout(now);
    }

    /// The endpoint has an address that it made itself. Where a lease was confirmed, no server of the link has been asked
    /// yet whether it wants to know (RFC 9686 §4.4), as a Confirm has no option request: it is by an early Renew.
    pub fn ask_to_register(&mut self, now: Instant) {
        let idle = matches!(self.phase, Phase::Leased { upkeep: Upkeep::Idle, .. });
        if idle && !std::mem::replace(&mut self.asked_to_register, true) {
            self.renew(now);
        }
    }

    /// The endpoint has given up an address that it made itself.
    pub fn unregister(&mut self, address: Ipv6Addr, now: Instant) {
        let Some(all) = &mut self.registrations else { return };
        let wanted = all.wanted;
        all.list.retain(|known| known.address != address || wanted);
        for known in all.list.iter_mut().filter(|known| known.address == address && !known.ends) {
            known.ends = true;
            known.exchange = None;
            known.refresh_at = now;
        }
        self.register_timeout(now);
    }

    /// Whether a server of this link wants to know of addresses that the endpoint made itself.
    pub fn registers(&self) -> bool {
        self.registrations.as_ref().is_some_and(|all| all.wanted)
    }

    /// A server wants to know (RFC 9686 §4.4): from now on, until the link is another.
    pub(crate) fn begin_registering(&mut self, now: Instant) {
        let rng = &mut self.rng;
        let all = self.registrations.get_or_insert_with(|| Box::new(Registrations::new(rng)));
        if !std::mem::replace(&mut all.wanted, true) {
            self.register_timeout(now);
        }
    }

    /// Goes on after a restart of the daemon, on the same link, whose servers want to know.
    pub fn resume_registering(&mut self, now: Instant) {
        let rng = &mut self.rng;
        let mut all = Box::new(Registrations::new(rng));
        (all.wanted, all.from) = (true, now + RESUMED_SPREAD.mul_f64(rng.f64()));
        self.registrations = Some(all);
    }

    /// When something is due; nothing but the end of addresses as long as nobody wants to know.
    pub(crate) fn register_deadline(&self) -> Instant {
        let wanted = self.registrations.as_ref().filter(|all| all.wanted);
        wanted.map_or(Instant::NEVER, |all| all.deadline())
    }

    /// Whether an ADDR-REG-REPLY is waited for.
    pub(crate) fn is_registering(&self) -> bool {
        let all = self.registrations.as_ref();
        all.is_some_and(|all| all.list.iter().any(|known| known.exchange.is_some()))
    }

    /// Tells what is due.
    pub(crate) fn register_timeout(&mut self, now: Instant) {
        let Some(all) = self.registrations.as_mut().filter(|all| all.wanted) else { return };
        // One that ends is told for as long as its lifetime would have lasted, at most. In the last second
        // there is nothing to be told any more: lifetimes of zero would take the address back.
        all.list.retain(|known| seconds(known.valid_until, now) > 0);
        let intervals: Vec<_> =
            all.list.iter().map(|known| all.interval(known.valid_until, now)).collect();
        let mut messages = Vec::new();
        for (known, interval) in all.list.iter_mut().zip(intervals) {
            if now >= known.refresh_at {
                known.exchange = Some(Exchange::new(&mut self.rng, Pace::REGISTER, now));
                known.refresh_at = Instant::NEVER;
                known.next_refresh = now + interval;
            }
            let Some(exchange) = known.exchange.as_mut().filter(|exchange| now >= exchange.at)
            else {
                continue;
            };
            if exchange.is_over(now) {
                known.exchange = None;
                continue;
            }
            exchange.step(now, &mut self.rng);
            known.told_until = known.valid_until;
            let (preferred, valid) = match known.ends {
                true => (0, 0),
                false => (seconds(known.preferred_until, now), seconds(known.valid_until, now)),
            };
            let header = IaAddress::header(known.address, preferred, valid);
            let payload = Builder::new(MessageType::AddrRegInform, exchange.xid)
                .option(code::CLIENT_ID, &self.config.duid)
                .option(code::IA_ADDRESS, &header)
                .finish();
            let source = Some(known.address);
            messages.push(Transmit { source, destination: SERVERS, payload });
        }
        all.list.retain(|known| !known.ends || known.exchange.is_some());
        for message in messages {
            bump(&mut self.progress.registrations);
            self.transmit(message);
        }
    }

    /// An ADDR-REG-REPLY: the server has taken note (RFC 9686 §4.3).
    pub(crate) fn registered(&mut self, message: Message<'_>) -> Result<(), Reason> {
        let told = message.options.addresses().next().ok_or(Reason::BadAddress)?.address;
        let all = self.registrations.as_mut().ok_or(Reason::Unexpected)?;
        let asked =
            |known: &&mut Registration| known.exchange.is_some_and(|e| e.xid == message.xid);
        let known = all.list.iter_mut().find(asked).ok_or(Reason::OtherExchange)?;
        if known.address != told {
            return Err(Reason::BadAddress);
        }
        known.exchange = None;
        if known.ends {
            all.list.retain(|known| known.address != told || !known.ends);
        } else {
            self.emit(Event::Registered { address: told });
        }
        Ok(())
    }
}
