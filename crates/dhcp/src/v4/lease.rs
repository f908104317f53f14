//! What an ACK grants: an address, for how long, and the routes that come with it.

use std::net::Ipv4Addr;
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use wire::MacAddr;
use wire::dhcp4::{Options, code};

use crate::Instant;

/// `0xffffffff` seconds: a lease without end (RFC 2131 §3.3).
const INFINITE: u32 = u32::MAX;
/// T1 and T2 come up to this part of themselves earlier, so that endpoints that started together do
/// not renew together for ever (RFC 2131 §4.4.5 asks for such a fuzz).
const FUZZ: f64 = 0.05;

/// Options that say something about the message or the lease's times and nothing about how the
/// endpoint is to be configured.
const NO_CONFIGURATION: [u8; 12] = [
    code::MESSAGE_TYPE,
    code::SERVER_ID,
    code::LEASE_TIME,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
    code::REQUESTED_ADDRESS,
    code::MESSAGE,
    code::CLIENT_ID,
    code::RAPID_COMMIT,
    RELAY_AGENT,
    // The mask is in `prefix_len`.
    code::SUBNET_MASK,
    // Does not concern a lease that is in use.
    code::IPV6_ONLY_PREFERRED,
];
/// Relay agent information (RFC 3046): for the relay, which should have taken it out.
const RELAY_AGENT: u8 = 82;

/// A DHCPv4 lease.
///
/// The times are those of one boot of the machine, see [`Instant`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its subnet's prefix, 1 to 32. Without a usable mask (option 1) it is that of
    /// the address's class.
    pub prefix_len: u8,
    /// The server identifier (option 54): where renewals and the RELEASE go.
    pub server: Ipv4Addr,
    /// The server's MAC if the last ACK came from the server itself, on the link; else unknown,
    /// and unicasts are preceded by an ARP request.
    pub next_hop: Option<MacAddr>,
    /// When the REQUEST was sent that the server granted. All other times count from here.
    pub start: Instant,
    /// T1: ask the server to prolong it.
    pub renew_at: Instant,
    /// T2: ask any server.
    pub rebind_at: Instant,
    /// From here on the address must not be used; [`Instant::NEVER`] for an infinite lease.
    pub expires_at: Instant,
    /// The configuration that came with it, without what only concerns the message or the fields
    /// above (options 1, 50, 51, 53, 54, 56, 58, 59, 61, 80, 82, 108).
    pub options: Options,
}

/// A route that comes with a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// The destination's network address.
    pub destination: Ipv4Addr,
    /// The length of its prefix, 1 to 32.
    pub prefix_len: u8,
    /// The router, or `None` for a destination that is on the link.
    pub via: Option<Ipv4Addr>,
}

impl Lease {
    /// The router of the default route (RFC 3442): from option 121 or 249 where one is present,
    /// even if it then names none; else the first usable one of option 3.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        match self.options.classless_routes() {
            Some(routes) => {
                routes.iter().filter(|r| r.prefix_len == 0).find_map(|r| self.router(r.gateway))
            }
            None => self.options.routers().into_iter().find_map(|router| self.router(router)),
        }
    }

    /// All routes except the default route and the one of the lease's own subnet, in the order in
    /// which they can be added.
    ///
    /// Routes to what is on the link come first, those to routers outside the subnet included (a
    /// mask of /32, as some clouds send it); then those of option 121 or 249. Routes whose router is
    /// no host's address are left out.
    pub fn routes(&self) -> Vec<Route> {
        let classless = self.options.classless_routes().unwrap_or_default();
        let classless: Vec<_> = classless.iter().filter(|route| route.prefix_len > 0).collect();
        let mut on_link: Vec<Route> = classless
            .iter()
            .filter(|route| route.gateway.is_unspecified())
            .map(|route| Route {
                destination: route.destination,
                prefix_len: route.prefix_len,
                via: None,
            })
            .collect();
        let routed: Vec<Route> = classless
            .iter()
            .filter_map(|route| {
                Some(Route {
                    destination: route.destination,
                    prefix_len: route.prefix_len,
                    via: Some(self.router(route.gateway)?),
                })
            })
            .collect();
        for router in self.gateway().into_iter().chain(routed.iter().filter_map(|r| r.via)) {
            if !self.on_link(router) && !on_link.iter().any(|route| route.contains(router)) {
                on_link.push(Route { destination: router, prefix_len: 32, via: None });
            }
        }
        on_link.extend(routed);
        on_link
    }

    /// Whether the endpoint's configuration under both is the same: address, prefix and options
    /// (routers, routes, DNS, MTU, …). The server and the times do not count, and neither does the
    /// host name (option 12), which some servers send back as they got it.
    pub fn same_configuration(&self, other: &Lease) -> bool {
        fn options(lease: &Lease) -> impl Iterator<Item = (u8, &[u8])> {
            lease.options.iter().filter(|(code, _)| *code != code::HOST_NAME)
        }
        self.address == other.address
            && self.prefix_len == other.prefix_len
            && options(self).eq(options(other))
    }

    /// Whether `address` is in the lease's subnet.
    pub fn on_link(&self, address: Ipv4Addr) -> bool {
        same_subnet(self.address, address, self.prefix_len)
    }

    /// How long the server granted it, [`Duration::MAX`] for an infinite lease.
    pub fn lifetime(&self) -> Duration {
        self.expires_at.saturating_since(self.start)
    }

    /// Whose ARP answer tells where a unicast to the server goes: the server, or the router to it.
    pub(crate) fn hop_to_server(&self) -> Ipv4Addr {
        if self.on_link(self.server) {
            return self.server;
        }
        let best = self
            .routes()
            .into_iter()
            .filter(|route| route.contains(self.server))
            .max_by_key(|route| route.prefix_len);
        match best {
            Some(Route { via, .. }) => via.unwrap_or(self.server),
            // Without any router it can only be on the link, whatever the mask says.
            None => self.gateway().unwrap_or(self.server),
        }
    }

    /// `address` if a router can have it.
    fn router(&self, address: Ipv4Addr) -> Option<Ipv4Addr> {
        (is_host(address) && address != self.address).then_some(address)
    }
}

impl Route {
    /// Whether the route leads to `address`.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        same_subnet(self.destination, address, self.prefix_len)
    }
}

/// What a server offers or grants, checked, before it has a beginning.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_len: u8,
    /// Whether there was a mask (option 1) that is none, so that the prefix is that of the address's class.
    pub(crate) bad_mask: bool,
    pub(crate) server: Ipv4Addr,
    pub(crate) next_hop: Option<MacAddr>,
    /// Lease time, T1 and T2 in seconds as the server sent them.
    pub(crate) lifetime: u32,
    pub(crate) renewal: Option<u32>,
    pub(crate) rebinding: Option<u32>,
    pub(crate) options: Options,
}

impl Grant {
    /// The lease, counted from `start`, when the REQUEST was sent (RFC 2131 §4.4.1).
    pub(crate) fn into_lease(self, start: Instant, rng: &mut Rng) -> Lease {
        let (renew_at, rebind_at, expires_at) = if self.lifetime == INFINITE {
            (Instant::NEVER, Instant::NEVER, Instant::NEVER)
        } else {
            let lifetime = Duration::from_secs(self.lifetime.into());
            let (t1, t2) = timers(self.lifetime, self.renewal, self.rebinding);
            // One factor for both keeps their order.
            let early = 1.0 - FUZZ * rng.f64();
            (start + t1.mul_f64(early), start + t2.mul_f64(early), start + lifetime)
        };
        let mut options = self.options;
        for code in NO_CONFIGURATION {
            options.remove(code);
        }
        Lease {
            address: self.address,
            prefix_len: self.prefix_len,
            server: self.server,
            next_hop: self.next_hop,
            start,
            renew_at,
            rebind_at,
            expires_at,
            options,
        }
    }
}

/// T1 and T2: the server's if 0 < T1 < T2 < lease time, else 0.5 and 0.875 of the lease time
/// (RFC 2131 §4.4.5) for whichever does not fit.
fn timers(lifetime: u32, renewal: Option<u32>, rebinding: Option<u32>) -> (Duration, Duration) {
    let whole = Duration::from_secs(lifetime.into());
    let seconds = |value: u32| Duration::from_secs(value.into());
    let t2 = rebinding.filter(|t2| (1..lifetime).contains(t2)).map(seconds);
    let t2 = t2.unwrap_or(whole * 7 / 8);
    let t1 = renewal.filter(|t1| *t1 > 0).map(seconds).filter(|t1| *t1 < t2);
    // A server that sets only T2, and that below half of the lease, leaves T1 the same proportion.
    let t1 = t1.unwrap_or_else(|| if whole / 2 < t2 { whole / 2 } else { t2 * 4 / 7 });
    (t1, t2)
}

/// The prefix length of an address's class (RFC 791 §3.2), for a lease without a mask.
pub(crate) fn classful_prefix_len(address: Ipv4Addr) -> u8 {
    match address.octets() {
        [0..128, ..] => 8,
        [128..192, ..] => 16,
        _ => 24,
    }
}

/// Whether one host can have the address, as far as it can be told without its mask.
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    (1..224).contains(&first) && first != 127
}

/// Whether a host in a subnet with this prefix length can have the address: not the subnet's own or
/// its broadcast address, except where there is room for neither (RFC 3021).
pub(crate) fn is_host_in(address: Ipv4Addr, prefix_len: u8) -> bool {
    let host_bits = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
    let host = address.to_bits() & host_bits;
    is_host(address) && (prefix_len >= 31 || (host != 0 && host != host_bits))
}

/// Whether both are in one subnet with this prefix length.
pub(crate) fn same_subnet(one: Ipv4Addr, other: Ipv4Addr, prefix_len: u8) -> bool {
    let host_bits = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
    (one.to_bits() ^ other.to_bits()) & !host_bits == 0
}
