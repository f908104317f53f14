//! What a server offers or grants in its identity associations, checked, and the lease it makes.

use std::net::Ipv6Addr;
use std::time::Duration;

use fastrand::Rng;
use wire::dhcp6::{Duid, INFINITY, Ia, KeptOptions, Options, StatusCode, code};

use super::Config;
use super::lease::{Lease, LeasedAddress, LeasedPrefix};
use super::progress::{Progress, Reason, bump};
use crate::Instant;
use crate::nd::Prefix;

/// T1 and T2 come up to this part of themselves earlier, so that endpoints that started together
/// do not renew together for ever.
const FUZZ: f64 = 0.05;
/// The earliest T1 that the client chooses, where the lifetimes leave room for it: a preferred
/// lifetime may be as short as a server likes.
const T1_FLOOR: Duration = Duration::from_secs(10);
/// Most name servers that are kept.
const MOST_SERVERS: usize = 8;
/// Most bytes of all other options that are kept: more than a server has to say, and less than a frame.
const MOST_OPTIONS: usize = 1024;

/// An address (length 128) or a prefix with its lifetimes in seconds, the preferred one not beyond
/// the valid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) address: Ipv6Addr,
    pub(crate) length: u8,
    preferred: u32,
    /// 0: it is withdrawn.
    valid: u32,
}

/// What is said of one association of the client's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Association {
    /// Whether it is in the message at all.
    pub(crate) present: bool,
    pub(crate) granted: Vec<Granted>,
    /// Whether the server does not know it.
    pub(crate) no_binding: bool,
}

impl Association {
    /// Whether there is something in it to be used.
    fn gives(&self) -> bool {
        self.granted.iter().any(|granted| granted.valid > 0)
    }

    fn mentions(&self, address: Ipv6Addr, length: u8) -> bool {
        self.granted.iter().any(|one| (one.address, one.length) == (address, length))
    }
}

/// What a message says of the client's associations, and what else configures an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) addresses: Association,
    pub(crate) prefixes: Association,
    /// The smallest T1 and T2 of the associations that are not 0.
    t1: Option<u32>,
    t2: Option<u32>,
    dns: Vec<Ipv6Addr>,
    search: Vec<Box<str>>,
    options: KeptOptions,
    /// The first status of an association that is no success.
    pub(crate) status: Option<(StatusCode, Option<Box<str>>)>,
}

impl Grant {
    /// What `options` say of the associations that the client has. What is wrong is counted.
    pub(crate) fn read(options: Options<'_>, config: &Config, progress: &mut Progress) -> Grant {
        let mut grant = Grant {
            addresses: Association::default(),
            prefixes: Association::default(),
            t1: None,
            t2: None,
            dns: dns(options),
            search: search(options),
            options: kept(options),
            status: None,
        };
        if config.address {
            for ia in options.ia_na().filter(|ia| ia.iaid == config.iaid) {
                let granted = ia.options.addresses().map(|address| {
                    let status = address.options.status().code;
                    let granted = Granted {
                        address: address.address,
                        length: 128,
                        preferred: address.preferred,
                        valid: address.valid,
                    };
                    (granted, status)
                });
                let mut association = std::mem::take(&mut grant.addresses);
                grant.take(&ia, granted, &mut association, progress);
                grant.addresses = association;
            }
        }
        if config.prefix.is_some() {
            for ia in options.ia_pd().filter(|ia| ia.iaid == config.iaid) {
                let granted = ia.options.prefixes().map(|prefix| {
                    let status = prefix.options.status().code;
                    let granted = Granted {
                        address: prefix.prefix,
                        length: prefix.length,
                        preferred: prefix.preferred,
                        valid: prefix.valid,
                    };
                    (granted, status)
                });
                let mut association = std::mem::take(&mut grant.prefixes);
                grant.take(&ia, granted, &mut association, progress);
                grant.prefixes = association;
            }
        }
        grant
    }

    /// Takes up what one association of the message holds.
    fn take(
        &mut self,
        ia: &Ia<'_>,
        granted: impl Iterator<Item = (Granted, StatusCode)>,
        association: &mut Association,
        progress: &mut Progress,
    ) {
        let both = ia.t1 > 0 && ia.t2 > 0;
        if both && ia.t1 > ia.t2 {
            // RFC 8415 §21.4: as if it were not there.
            return progress.ignored.count(Reason::BadTimes);
        }
        association.present = true;
        let status = ia.options.status();
        if status.code != StatusCode::Success {
            association.no_binding |= status.code == StatusCode::NoBinding;
            self.status.get_or_insert_with(|| (status.code, status.message()));
            return;
        }
        for (mut one, status) in granted {
            let known =
                |other: &Granted| (other.address, other.length) == (one.address, one.length);
            if status != StatusCode::Success || association.granted.iter().any(known) {
                continue;
            }
            if !is_usable(&one) {
                progress.ignored.count(Reason::BadAddress);
                continue;
            }
            if association.granted.len() >= Lease::MOST {
                progress.ignored.count(Reason::TooMany);
                break;
            }
            if one.preferred > one.valid {
                // RFC 8415 §21.6 has it thrown away, but Kea 2.2 sends it, and again each time.
                bump(&mut progress.capped);
                one.preferred = one.valid;
            }
            association.granted.push(one);
        }
        self.t1 = least(self.t1, ia.t1);
        self.t2 = least(self.t2, ia.t2);
    }

    /// Whether there is something in it to be used.
    pub(crate) fn gives(&self) -> bool {
        self.addresses.gives() || self.prefixes.gives()
    }

    /// How many of the associations that the client asks for it fills.
    pub(crate) fn completeness(&self) -> u8 {
        u8::from(self.addresses.gives()) + u8::from(self.prefixes.gives())
    }

    /// Whether any association of the client's is in the message.
    pub(crate) fn present(&self) -> bool {
        self.addresses.present || self.prefixes.present
    }

    /// Whether the server does not know an association.
    pub(crate) fn no_binding(&self) -> bool {
        self.addresses.no_binding || self.prefixes.no_binding
    }

    /// The lease, counted from `start`, when the question was sent; `None` when nothing is left.
    ///
    /// With `old`, what is not mentioned in it goes on as it was (RFC 8415 §18.2.10.1). What is
    /// over at `now` is left out.
    pub(crate) fn into_lease(
        self,
        server: &[u8],
        old: Option<&Lease>,
        (start, now): (Instant, Instant),
        rng: &mut Rng,
    ) -> Option<Lease> {
        let gives = self.gives();
        let mut lease = Lease {
            server: Duid::new(server)?,
            addresses: old.map_or_else(Vec::new, |old| old.addresses.clone()),
            prefixes: old.map_or_else(Vec::new, |old| old.prefixes.clone()),
            start,
            t1_at: Instant::NEVER,
            t2_at: Instant::NEVER,
            dns: self.dns,
            search: self.search,
            options: self.options,
        };
        for granted in &self.addresses.granted {
            let (preferred_until, valid_until) = granted.until(start);
            let new = LeasedAddress { address: granted.address, preferred_until, valid_until };
            match lease.addresses.iter_mut().find(|old| old.address == new.address) {
                Some(old) => *old = new,
                None => lease.addresses.push(new),
            }
        }
        for granted in &self.prefixes.granted {
            let (preferred_until, valid_until) = granted.until(start);
            let (prefix, length) = (granted.address, granted.length);
            let new = LeasedPrefix { prefix, length, preferred_until, valid_until };
            let same = |old: &&mut LeasedPrefix| (old.prefix, old.length) == (prefix, length);
            match lease.prefixes.iter_mut().find(same) {
                Some(old) => *old = new,
                None => lease.prefixes.push(new),
            }
        }
        let mut lease = lease.at(now);
        // What was given last is worth more than what is not mentioned any more.
        if lease.addresses.len() > Lease::MOST {
            lease.addresses.retain(|leased| self.addresses.mentions(leased.address, 128));
        }
        if lease.prefixes.len() > Lease::MOST {
            lease.prefixes.retain(|leased| self.prefixes.mentions(leased.prefix, leased.length));
        }
        lease.addresses.shrink_to_fit();
        lease.prefixes.shrink_to_fit();
        let all = self.addresses.granted.iter().chain(&self.prefixes.granted);
        let (t1, t2) =
            if gives { timers(self.t1, self.t2, all) } else { leftover_timers(lease.lifetime()) };
        // One factor for both keeps their order.
        let early = 1.0 - FUZZ * rng.f64();
        let after = |time: Option<Duration>| {
            time.map_or(Instant::NEVER, |time| start + time.mul_f64(early))
        };
        (lease.t1_at, lease.t2_at) = (after(t1), after(t2));
        (!lease.is_empty()).then_some(lease)
    }
}

impl Granted {
    fn until(&self, start: Instant) -> (Instant, Instant) {
        let after = |seconds| match seconds {
            INFINITY => Instant::NEVER,
            seconds => start + span(seconds),
        };
        (after(self.preferred), after(self.valid))
    }
}

/// T1 and T2, `None` for never: the server's where they lie before the end of what is granted, else
/// half and four fifths of the shortest preferred lifetime (RFC 8415 §14.2, §21.4).
fn timers<'a>(
    t1: Option<u32>,
    t2: Option<u32>,
    granted: impl Iterator<Item = &'a Granted> + Clone,
) -> (Option<Duration>, Option<Duration>) {
    let shortest = |lifetimes: &mut dyn Iterator<Item = u32>| {
        lifetimes.filter(|seconds| (1..INFINITY).contains(seconds)).min().map(span)
    };
    let lasting = granted.filter(|granted| granted.valid > 0);
    let end = shortest(&mut lasting.clone().map(|granted| granted.valid));
    let preferred = shortest(&mut lasting.map(|granted| granted.preferred)).or(end);
    // A preferred lifetime may be as short as a server likes.
    let part = |fraction: f64, floor: Duration| {
        let room = end.map_or(floor, |end| end.mul_f64(fraction));
        preferred.map(|preferred| preferred.mul_f64(fraction).max(floor.min(room)))
    };
    let servers = |seconds: Option<u32>| {
        let fits = |time: &Duration| end.is_none_or(|end| *time < end);
        seconds.filter(|seconds| *seconds < INFINITY).map(span).filter(fits)
    };
    // Infinity is for the server to say only where nothing ends.
    let t2 = match t2 {
        Some(INFINITY) if end.is_none() => None,
        t2 => servers(t2).or_else(|| part(0.8, T1_FLOOR * 8 / 5)),
    };
    let in_time = |t1: &Duration| t2.is_none_or(|t2| *t1 <= t2);
    let t1 = match t1 {
        Some(INFINITY) if end.is_none() => None,
        t1 => servers(t1)
            .filter(in_time)
            .or_else(|| part(0.5, T1_FLOOR).filter(in_time))
            // A server that sets only T2 leaves T1 the same proportion.
            .or(t2.map(|t2| t2.mul_f64(0.625))),
    };
    (t1, t2)
}

/// T1 and T2 of what is left of a lease when some of it was taken back and nothing given.
fn leftover_timers(lifetime: Duration) -> (Option<Duration>, Option<Duration>) {
    if lifetime == Duration::MAX {
        return (None, None);
    }
    // However often that happens, and however little is left.
    let t1 = (lifetime / 2).max(Duration::from_secs(1));
    (Some(t1), Some(lifetime.mul_f64(0.8).max(t1)))
}

fn span(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// Whether a host can have the address, or a site the prefix.
fn is_usable(granted: &Granted) -> bool {
    let address = granted.address;
    let prefix = Prefix::of(address, granted.length);
    // The container would discard all that it has no other route to.
    (granted.length == 128 || (!prefix.is_vast() && prefix.is_for_hosts()))
        && !(address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || address.is_unicast_link_local()
            || address.to_ipv4_mapped().is_some())
}

/// The smaller one of those that are not 0.
fn least(one: Option<u32>, other: u32) -> Option<u32> {
    match (one, other) {
        (one, 0) => one,
        (Some(one), other) => Some(one.min(other)),
        (None, other) => Some(other),
    }
}

/// Domain name servers, best first.
pub(crate) fn dns(options: Options<'_>) -> Vec<Ipv6Addr> {
    let mut servers: Vec<_> = options.dns_servers().take(MOST_SERVERS).collect();
    servers.shrink_to_fit();
    servers
}

/// Domains to search.
pub(crate) fn search(options: Options<'_>) -> Vec<Box<str>> {
    let mut domains: Vec<_> = options.domain_list().into_iter().map(Into::into).collect();
    domains.shrink_to_fit();
    domains
}

/// All other options that concern an endpoint and not the message.
pub(crate) fn kept(options: Options<'_>) -> KeptOptions {
    const OF_MESSAGE: [u16; 13] = [
        code::CLIENT_ID,
        code::SERVER_ID,
        code::IA_NA,
        code::IA_TA,
        code::IA_PD,
        code::PREFERENCE,
        code::STATUS_CODE,
        code::RAPID_COMMIT,
        code::SOL_MAX_RT,
        code::INF_MAX_RT,
        code::INFORMATION_REFRESH_TIME,
        // Kept as what they mean.
        code::DNS_SERVERS,
        code::DOMAIN_LIST,
    ];
    KeptOptions::new(options, MOST_OPTIONS, |code| !OF_MESSAGE.contains(&code))
}
