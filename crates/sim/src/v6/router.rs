//! A router: when it advertises, and what.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use fastrand::Rng;
use wire::MacAddr;
use wire::nd::{self, DnsServers, Message, Nd, NdOption, PrefixInformation, RouterAdvertisement};

/// MAX_RA_DELAY_TIME and MIN_DELAY_BETWEEN_RAS (RFC 4861 §10).
const LONGEST_DELAY: Duration = Duration::from_millis(500);
const SHORTEST_PAUSE: Duration = Duration::from_secs(3);

/// A router, as a station on the LAN. All fields may be changed while it runs.
#[derive(Debug, Clone)]
pub struct Router {
    /// The MAC of its card.
    pub mac: MacAddr,
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// What it says of itself.
    pub header: RouterAdvertisement,
    /// What else it says.
    pub options: Vec<NdOption>,
    /// MaxRtrAdvInterval (RFC 4861 §6.2.1): it advertises after a random time between a third of this
    /// and all of it.
    pub interval: Duration,
    /// It hears, and says nothing.
    pub silent: bool,
    /// When it last advertised to all, or will.
    to_all_at: Option<Instant>,
}

/// What answers a solicitation, and when.
#[derive(Debug)]
pub(crate) enum Answer {
    ToAll(Instant),
    To(MacAddr, Ipv6Addr, Instant),
}

impl Router {
    /// What most homes have: addresses from 2001:db8:1::/64 for a day, preferred for four hours, a
    /// name server, and no DHCPv6.
    pub fn home() -> Router {
        let mac = MacAddr([0x02, 0xfe, 0, 0, 0, 1]);
        let prefix = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0);
        let dns = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x53);
        Router {
            mac,
            address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
            header: RouterAdvertisement { hop_limit: 64, lifetime: 1800, ..Default::default() },
            options: vec![
                NdOption::SourceMac(mac),
                Router::prefix(prefix, 86_400, 14_400),
                NdOption::DnsServers(DnsServers { lifetime: 1800, servers: vec![dns] }),
            ],
            interval: Duration::from_secs(600),
            silent: false,
            to_all_at: None,
        }
    }

    /// A router whose LAN has its addresses from a DHCPv6 server: M flag, no autonomous prefix.
    pub fn managed() -> Router {
        let home = Router::home();
        let header = RouterAdvertisement { managed: true, ..home.header };
        let options = vec![NdOption::SourceMac(home.mac)];
        Router { header, options, ..home }
    }

    /// Another router of the same LAN, `number` 2 to 255, which says that it is one and no more.
    pub fn other(number: u8) -> Router {
        let home = Router::home();
        let mac = MacAddr([0x02, 0xfe, 0, 0, 0, number]);
        Router {
            mac,
            address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into()),
            options: vec![NdOption::SourceMac(mac)],
            ..home
        }
    }

    /// A prefix of 64 bits that is on the link and autonomous, with these lifetimes in seconds.
    pub fn prefix(prefix: Ipv6Addr, valid: u32, preferred: u32) -> NdOption {
        NdOption::Prefix(PrefixInformation {
            prefix,
            length: 64,
            on_link: true,
            autonomous: true,
            valid,
            preferred,
        })
    }

    /// Its advertisement to all, as a frame.
    pub fn advertisement(&self) -> Vec<u8> {
        self.advertisement_to(MacAddr::of_group(nd::ALL_NODES), nd::ALL_NODES)
    }

    pub(crate) fn advertisement_to(&self, mac: MacAddr, to: Ipv6Addr) -> Vec<u8> {
        let message = Message::RouterAdvertisement(self.header);
        nd::emit_to((self.mac, mac), (self.address, to), &message, &self.options)
    }

    /// The pause before the next advertisement that nobody asks for.
    pub(crate) fn pause(&self, rng: &mut Rng) -> Duration {
        self.interval.mul_f64(1.0 / 3.0 + rng.f64() * 2.0 / 3.0)
    }

    /// It advertises to all.
    pub(crate) fn spoke(&mut self, now: Instant) {
        self.to_all_at = Some(now);
    }

    /// RFC 4861 §6.2.6: to who asks from an address, else to all, which not more often than once in
    /// 3 s; `None` if that is to come already.
    pub(crate) fn hear(
        &mut self,
        (mac, nd): (MacAddr, &Nd<'_>),
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Answer> {
        if self.silent || nd.message != Message::RouterSolicitation {
            return None;
        }
        let at = now + LONGEST_DELAY.mul_f64(rng.f64());
        if !nd.source.is_unspecified() {
            return Some(Answer::To(mac, nd.source, at));
        }
        if self.to_all_at.is_some_and(|other| other > now) {
            return None;
        }
        let at = self.to_all_at.map_or(at, |last| at.max(last + SHORTEST_PAUSE));
        self.to_all_at = Some(at);
        Some(Answer::ToAll(at))
    }
}
