//! Taking in what a router advertises (RFC 4861 §6.3.4, RFC 4862 §5.5.3, RFC 4191, RFC 8106 §5.3.1).

use std::net::Ipv6Addr;
use std::time::Duration;

use wire::MacAddr;
use wire::nd::{NdOption, Options, PrefixInformation, RouteInformation, RouterAdvertisement};

use super::host::Host;
use super::learned::{DefaultRouter, Learned, Made, Prefix, RouteVia};
use super::lifetime::{until, valid_until};
use super::progress::bump;
use super::{DuplicateCheck, Event};
use crate::Instant;

/// Advertisements that are read in a second, beside one of each default router. A router sends one in
/// three seconds to all (RFC 4861 §6.2.6) and one to each that asks.
const PER_SECOND: u8 = 10;
/// Addresses that are made in [`BIRTHS`]: each costs reports and solicitations of each host on the link,
/// and prefixes that last a second would have them made without end.
const MOST_BIRTHS: u8 = Learned::PREFIXES as u8;
const BIRTHS: Duration = Duration::from_secs(60);
/// IPv6's least MTU (RFC 8200 §5).
const LEAST_MTU: u32 = 1280;
/// Below this a hop limit is not meant to help: packets would not reach the far end of the Internet
/// (CVE-2015-2922).
const LEAST_HOP_LIMIT: u8 = 32;
/// The only length of a prefix that addresses are made from (RFC 4291 §2.5.1).
const AUTONOMOUS_LENGTH: u8 = 64;
/// DELAY for the check of an address that an advertisement to all has given to all (RFC 4862
/// §5.4.2: MAX_RTR_SOLICITATION_DELAY).
const IMPLOSION: Duration = Duration::from_secs(1);

/// Counts what happens within a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    began: Instant,
    count: u8,
    /// Default routers that were heard meanwhile, a bit for each by its place in the list.
    routers: u8,
}

impl Rate {
    pub(crate) const fn new() -> Rate {
        Rate { began: Instant::BOOT, count: 0, routers: 0 }
    }

    /// Whether one more may happen, of `most` within `time`.
    fn admits(&mut self, most: u8, time: Duration, now: Instant) -> bool {
        self.turn(time, now);
        self.count = self.count.saturating_add(1);
        self.count <= most
    }

    /// Whether an advertisement may be read. Those of strangers, however many, do not keep the first
    /// one of a default router, which has a place in the list, from being read.
    fn admits_router(&mut self, place: Option<usize>, now: Instant) -> bool {
        const SECOND: Duration = Duration::from_secs(1);
        self.turn(SECOND, now);
        let bit = place.map_or(0, |place| 1 << (place % Learned::ROUTERS));
        let first = bit & !self.routers != 0;
        self.routers |= bit;
        first || self.admits(PER_SECOND, SECOND, now)
    }

    fn turn(&mut self, time: Duration, now: Instant) {
        if now.saturating_since(self.began) >= time {
            *self = Rate { began: now, ..Rate::new() };
        }
    }
}

impl Host {
    /// A router's advertisement, in a frame from `mac`.
    pub(crate) fn advertised(
        &mut self,
        (mac, source): (MacAddr, Ipv6Addr),
        advertisement: &RouterAdvertisement,
        options: &Options<'_>,
        now: Instant,
    ) {
        let mac = options.source_mac().unwrap_or(mac);
        // Nobody is a router at our own address, or at a group's MAC.
        if self.is_ours(source) || mac == self.config.link_mac() || !mac.is_unicast() {
            return bump(&mut self.progress.ignored);
        }
        let place = self.learned.routers.iter().position(|entry| entry.what.address == source);
        if !self.rate.admits_router(place, now) {
            return bump(&mut self.progress.ignored);
        }
        bump(&mut self.progress.advertisements);
        let with_others = self.eager && self.heard;
        self.heard = true;
        self.changed = true;
        self.take_header(mac, source, advertisement, (with_others, now));
        for option in options.iter() {
            match option {
                NdOption::Mtu(mtu) => self.take_mtu(mtu),
                NdOption::Prefix(prefix) => self.take_prefix(&prefix, now),
                NdOption::Route(route) => self.take_route(mac, source, &route, now),
                NdOption::DnsServers(dns) => {
                    for server in dns.servers {
                        if Prefix::of(server, 128).is_for_hosts() || server.is_unicast_link_local()
                        {
                            let times = (until(dns.lifetime, now), now);
                            let list = &mut self.learned.dns;
                            list.set(|other| *other == server, server, times, Learned::DNS);
                        }
                    }
                }
                NdOption::SearchDomains(search) => {
                    for domain in search.domains {
                        let times = (until(search.lifetime, now), now);
                        let domain: Box<str> = domain.into();
                        let same = domain.clone();
                        let list = &mut self.learned.search;
                        list.set(|other| *other == same, domain, times, Learned::DNS);
                    }
                }
                NdOption::SourceMac(_) | NdOption::TargetMac(_) | NdOption::Nonce(_) => {}
            }
        }
        self.emit(Event::Advertised);
    }

    fn take_header(
        &mut self,
        mac: MacAddr,
        address: Ipv6Addr,
        advertisement: &RouterAdvertisement,
        (with_others, now): (bool, Instant),
    ) {
        let preference = advertisement.preference;
        let router = DefaultRouter { address, mac, preference };
        self.take_router(router, until(advertisement.lifetime.into(), now), now);
        if advertisement.hop_limit >= LEAST_HOP_LIMIT {
            self.learned.hop_limit = Some(advertisement.hop_limit);
            self.doubts.hop_limit = false;
        }
        // The last one counts (RFC 4861 §6.3.4), but of several routers that answer the first
        // question none takes back what another has promised.
        let (managed, other) = (self.learned.managed, self.learned.other);
        self.learned.managed = advertisement.managed || (with_others && managed);
        self.learned.other = advertisement.other || (with_others && other);
    }

    fn take_router(&mut self, router: DefaultRouter, until: Instant, now: Instant) {
        let list = &mut self.learned.routers;
        let same = |other: &DefaultRouter| other.address == router.address;
        if list.set(same, router, (until, now), Learned::ROUTERS) {
            // RFC 7559 §2.1: a default router is what was asked for.
            self.soliciting = None;
        }
    }

    fn take_mtu(&mut self, mtu: u32) {
        if (LEAST_MTU..=self.config.link_mtu.into()).contains(&mtu) {
            self.learned.mtu = u16::try_from(mtu).ok();
            self.doubts.mtu = false;
        }
    }

    fn take_prefix(&mut self, said: &PrefixInformation, now: Instant) {
        let prefix = Prefix::of(said.prefix, said.length);
        if said.length == 0 || !prefix.is_for_hosts() {
            return bump(&mut self.progress.ignored);
        }
        if said.on_link && prefix.is_vast() {
            bump(&mut self.progress.ignored);
        } else if said.on_link {
            let times = (until(said.valid, now), now);
            let list = &mut self.learned.on_link;
            list.set(|other| *other == prefix, prefix, times, Learned::PREFIXES);
        }
        // RFC 4862 §5.5.3(c): a preferred lifetime beyond the valid one.
        if said.autonomous
            && self.config.autonomous
            && said.length == AUTONOMOUS_LENGTH
            && said.preferred <= said.valid
        {
            self.take_autonomous(prefix.address, said, now);
        }
    }

    /// RFC 4862 §5.5.3(d) and (e): makes an address, or gives the one there is new lifetimes.
    fn take_autonomous(&mut self, prefix: Ipv6Addr, said: &PrefixInformation, now: Instant) {
        let preferred_until = until(said.preferred, now);
        let found = self.learned.addresses.iter_mut().find(|entry| entry.what.prefix == prefix);
        if let Some(entry) = found {
            entry.until = valid_until(entry.until, said.valid, now);
            entry.what.preferred_until = preferred_until.min(entry.until);
            (entry.said, entry.doubted) = (now, false);
            return;
        }
        if said.valid == 0
            || !self.learned.addresses.has_room(Learned::PREFIXES, now)
            || !self.births.admits(MOST_BIRTHS, BIRTHS, now)
        {
            return bump(&mut self.progress.ignored);
        }
        let before: Vec<_> = self.learned.made().collect();
        self.learned.addresses.make_room(Learned::PREFIXES, now);
        self.forget(&before);
        let attempt = self.attempts.iter().find(|(known, _)| *known == prefix);
        let attempt = attempt.map_or(0, |(_, attempt)| *attempt);
        let address = self.config.interface_id.address(self.config.mac, prefix, attempt);
        let made = Made { prefix, address, preferred_until, attempt };
        let times = (until(said.valid, now), now);
        let list = &mut self.learned.addresses;
        if list.set(|other| other.prefix == prefix, made, times, Learned::PREFIXES)
            && let Some(address) = address
        {
            let delay = if self.eager { Duration::ZERO } else { IMPLOSION.mul_f64(self.rng.f64()) };
            self.begin_use(address, now + delay, now);
        }
    }

    fn take_route(
        &mut self,
        mac: MacAddr,
        router: Ipv6Addr,
        said: &RouteInformation,
        now: Instant,
    ) {
        let (until, preference) = (until(said.lifetime, now), said.preference);
        let destination = Prefix::of(said.prefix, said.length);
        if said.length == 0 {
            // RFC 4191 §3.1: it says the same as the header, and says it better.
            return self.take_router(
                DefaultRouter { address: router, mac, preference },
                until,
                now,
            );
        }
        let same = |other: &RouteVia| other.destination == destination && other.router == router;
        let route = RouteVia { destination, router, preference };
        if said.lifetime == 0 {
            // Whatever it is by now, it can be taken back.
            self.learned.routes.set(same, route, (until, now), Learned::ROUTES);
            return;
        }
        if !destination.is_for_hosts()
            || self.learned.is_on_link(&destination)
            || self.addresses().any(|ours| destination.length > 64 && destination.contains(ours))
        {
            return bump(&mut self.progress.ignored);
        }
        self.learned.routes.set(same, route, (until, now), Learned::ROUTES);
    }

    /// Whether addresses are checked.
    pub(crate) fn checks(&self) -> bool {
        self.config.duplicate_check != DuplicateCheck::Off
    }
}
