//! What all DHCPv6 servers of the lab have in common, so that one test can run against each.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::dhcp_server::wait_table;
use crate::log::{Line, Log};
use crate::{Lan, Result};

/// How hosts come by their addresses, where one program is both router and DHCPv6 server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode6 {
    /// From the advertised prefix; there is no DHCPv6.
    Slaac,
    /// From the advertised prefix; DHCPv6 has the rest (the O flag).
    Stateless,
    /// By DHCPv6 alone (the M flag, a prefix without the A flag).
    Stateful,
    /// Both ways (the M flag, a prefix with the A flag).
    Both,
    /// By DHCPv6, of which nobody tells: no advertisements.
    Unadvertised,
}

impl Mode6 {
    /// Whether addresses are leased.
    pub fn leases(self) -> bool {
        matches!(self, Self::Stateful | Self::Both | Self::Unadvertised)
    }
}

/// An address kept for one client.
#[derive(Clone, Debug)]
pub struct Reservation6 {
    /// The client's DUID, `00:03:00:01:02:00:00:00:00:42`.
    pub duid: String,
    /// Its address.
    pub ip: Ipv6Addr,
    /// Its name, if the server gives it one.
    pub name: Option<String>,
}

/// Prefixes for routers behind this one.
#[derive(Clone, Copy, Debug)]
pub struct Delegation {
    /// What they are cut from, such as 2001:db8:7700::/40.
    pub prefix: Ipv6Addr,
    /// The length of that.
    pub length: u8,
    /// The length of each.
    pub delegated: u8,
}

/// What a server gives out.
#[derive(Clone, Debug)]
pub struct ServerOptions6 {
    /// First and last address of the pool. Default 2001:db8:77::1:0 to 2001:db8:77::1:ffff, in a /64.
    pub pool: (Ipv6Addr, Ipv6Addr),
    /// Preferred lifetime in seconds. dnsmasq: always the valid one's.
    pub preferred: u32,
    /// Valid lifetime in seconds. dnsmasq raises anything below 120 to 120.
    pub valid: u32,
    /// T1 in seconds; otherwise the server's own choice. Not dnsmasq (half of the lifetime, less up to a sixteenth), not
    /// WIDE.
    pub renew: Option<u32>,
    /// T2 in seconds; otherwise the server's own choice. Neither dnsmasq nor WIDE.
    pub rebind: Option<u32>,
    /// DNS servers. Default the router. dnsmasq advertises them too.
    pub dns: Vec<Ipv6Addr>,
    /// Domains to search. Default `lan.test`. dnsmasq advertises them too.
    pub search: Vec<String>,
    /// Addresses kept for some.
    pub reservations: Vec<Reservation6>,
    /// Whether a Solicit that asks for it is answered by a Reply. dnsmasq: always.
    pub rapid_commit: bool,
    /// Prefixes to delegate. dnsmasq has none.
    pub delegation: Option<Delegation>,
    /// dnsmasq only: for how many seconds its advertisements make it a default router; 0: it is none.
    pub router_lifetime: u16,
}

impl Default for ServerOptions6 {
    fn default() -> Self {
        let pool = |last| Ipv6Addr::from_bits(Lan::PREFIX6.to_bits() | 0x1_0000 | last);
        Self {
            pool: (pool(0), pool(0xffff)),
            preferred: 1800,
            valid: 3600,
            renew: None,
            rebind: None,
            dns: vec![Lan::ROUTER6],
            search: vec!["lan.test".into()],
            reservations: Vec::new(),
            rapid_commit: false,
            delegation: None,
            router_lifetime: 1800,
        }
    }
}

impl ServerOptions6 {
    /// The LAN's prefix, which is 64 bits long.
    pub(crate) fn prefix(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.pool.0.to_bits() >> 64 << 64)
    }

    /// The DNS servers, between separators.
    pub(crate) fn dns_list(&self, separator: &str) -> String {
        self.dns.iter().map(Ipv6Addr::to_string).collect::<Vec<_>>().join(separator)
    }
}

/// A lease in the server's own table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease6 {
    /// The client's DUID, `00:03:00:01:…`, in lower case.
    pub duid: String,
    /// The identity association it is for.
    pub iaid: u32,
    /// The address, or the prefix.
    pub ip: Ipv6Addr,
    /// 128, or the length of the prefix.
    pub length: u8,
    /// The client's name, where the server keeps one.
    pub name: Option<String>,
    /// When it ends.
    pub expiry: SystemTime,
}

/// A running DHCPv6 server.
pub trait DhcpServer6 {
    /// `dnsmasq`, `kea`, `isc` or `wide`.
    fn kind(&self) -> &'static str;

    /// What it writes, over all its runs.
    fn log(&self) -> &Arc<Log>;

    /// The leases in its table now; those given back are not in it.
    fn leases6(&self) -> Result<Vec<Lease6>>;

    /// Stops it; its table stays.
    fn stop(&mut self) -> Result<()>;

    /// Starts it again (after stopping it, if it runs) with the table it had, and waits until it serves.
    fn restart(&mut self) -> Result<()>;

    /// The words by which its log tells of a message.
    fn words6(&self, message: Message6) -> &'static str;

    /// The lines of its log that tell of a message from or to the client `of`: its DUID, `00:03:00:01:…`, for dnsmasq and
    /// Kea; its link-local address for the others.
    fn logged6(&self, message: Message6, of: &str) -> Vec<String> {
        let words = self.words6(message);
        let lines = self.log().grep(words);
        lines.into_iter().filter(|line| line.to_lowercase().contains(of)).collect()
    }

    /// The first of those lines; waits for it, since a server answers and writes its table before its log is read.
    fn wait_logged6(&self, message: Message6, of: &str, timeout: Duration) -> Result<Line> {
        let words = self.words6(message);
        let wanted = |line: &str| line.contains(words) && line.to_lowercase().contains(of);
        self.log().wait_after(0, &format!("{message:?} of {of}"), wanted, timeout)
    }

    /// Waits until `wanted` accepts its table, which it then returns.
    fn wait_leases6(
        &self,
        what: &str,
        timeout: Duration,
        wanted: &dyn Fn(&[Lease6]) -> bool,
    ) -> Result<Vec<Lease6>> {
        let what = format!("{what} in the DHCPv6 lease table of {}", self.kind());
        wait_table(what, timeout, &|| self.leases6(), wanted)
    }
}

/// A DHCPv6 message, to look for in a server's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message6 {
    /// Solicit, received.
    Solicit,
    /// Advertise, sent.
    Advertise,
    /// Request, received.
    Request,
    /// Confirm, received.
    Confirm,
    /// Renew, received.
    Renew,
    /// Rebind, received.
    Rebind,
    /// Reply, sent.
    Reply,
    /// Release, received.
    Release,
    /// Decline, received.
    Decline,
    /// Information-request, received.
    InformationRequest,
}
