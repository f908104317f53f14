//! What all DHCP servers of the lab have in common, so that one test can run against each.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::log::{Line, Log};
use crate::{Error, Lan, Mode6, Result, ServerOptions6};

/// How long a server has to come up.
pub(crate) const START: Duration = Duration::from_secs(20);

/// An address kept for one MAC.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The client's hardware address, `02:00:00:00:00:42`.
    pub mac: String,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Its name, if the server gives it one.
    pub name: Option<String>,
}

/// What a server gives out.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// First and last address of the pool. Default 10.77.1.1 to 10.77.20.254, in 10.77.0.0/16.
    pub pool: (Ipv4Addr, Ipv4Addr),
    /// Length of the LAN's prefix.
    pub prefix: u8,
    /// Lease time in seconds. dnsmasq raises anything below 120 to 120: use `renew` and `rebind` for quick renewals.
    pub lease: u32,
    /// T1 in seconds (option 58).
    pub renew: Option<u32>,
    /// T2 in seconds (option 59).
    pub rebind: Option<u32>,
    /// Router (option 3). Default 10.77.0.1.
    pub router: Option<Ipv4Addr>,
    /// Domain name (option 15). Default `lan.test`.
    pub domain: Option<String>,
    /// Addresses kept for some.
    pub reservations: Vec<Reservation>,
    /// dnsmasq and ISC only: ping an address before it is offered, which costs dnsmasq three seconds when it is free, and ISC
    /// one. Off.
    pub ping_check: bool,
    /// dnsmasq only: what it does for IPv6. Nothing, by default.
    pub ipv6: Option<Mode6>,
    /// dnsmasq only: what it gives out for IPv6.
    pub server6: ServerOptions6,
    /// Further words for dnsmasq's command line, members of Kea's `Dhcp4` (each a JSON object) or statements of ISC's file.
    pub extra: Vec<String>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            pool: (Ipv4Addr::new(10, 77, 1, 1), Ipv4Addr::new(10, 77, 20, 254)),
            prefix: 16,
            lease: 3600,
            renew: None,
            rebind: None,
            router: Some(Lan::ROUTER),
            domain: Some("lan.test".into()),
            reservations: Vec::new(),
            ping_check: false,
            ipv6: None,
            server6: ServerOptions6::default(),
            extra: Vec::new(),
        }
    }
}

impl ServerOptions {
    /// The LAN's netmask.
    pub(crate) fn mask(&self) -> Ipv4Addr {
        let host_bits = 32_u32.saturating_sub(u32::from(self.prefix));
        Ipv4Addr::from_bits(u32::MAX.checked_shl(host_bits).unwrap_or(0))
    }
}

/// A lease in the server's own table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The client's hardware address, in lower case.
    pub mac: String,
    /// The address.
    pub ip: Ipv4Addr,
    /// The client's name, as the server knows it.
    pub name: Option<String>,
    /// When it ends.
    pub expiry: SystemTime,
}

/// A running DHCP server.
pub trait DhcpServer {
    /// `dnsmasq`, `kea` or `isc`.
    fn kind(&self) -> &'static str;

    /// What it writes, over all its runs.
    fn log(&self) -> &Arc<Log>;

    /// The leases in its table now; those given back are not in it.
    fn leases(&self) -> Result<Vec<Lease>>;

    /// Stops it; its table stays.
    fn stop(&mut self) -> Result<()>;

    /// Starts it again (after stopping it, if it runs) with the table it had, and waits until it serves.
    fn restart(&mut self) -> Result<()>;

    /// Starts it again with other options; its table stays.
    fn reconfigure(&mut self, interface: &str, options: ServerOptions) -> Result<()>;

    /// The lines of its log that tell of a message from or to `mac`.
    fn logged(&self, message: Message, mac: &str) -> Vec<String> {
        let words = self.words(message);
        let lines = self.log().grep(words);
        lines.into_iter().filter(|line| line.to_lowercase().contains(mac)).collect()
    }

    /// The first line of its log that tells of a message from or to `mac`; waits for it, since a server answers and writes
    /// its table before its log is read.
    fn wait_logged(&self, message: Message, mac: &str, timeout: Duration) -> Result<Line> {
        let words = self.words(message);
        let wanted = |line: &str| line.contains(words) && line.to_lowercase().contains(mac);
        self.log().wait_after(0, &format!("{message:?} of {mac}"), wanted, timeout)
    }

    /// The words by which its log tells of a message.
    fn words(&self, message: Message) -> &'static str;

    /// Waits until `wanted` accepts its table, which it then returns.
    fn wait_leases(
        &self,
        what: &str,
        timeout: Duration,
        wanted: &dyn Fn(&[Lease]) -> bool,
    ) -> Result<Vec<Lease>> {
        let what = format!("{what} in the lease table of {}", self.kind());
        wait_table(what, timeout, &|| self.leases(), wanted)
    }
}

/// Reads a server's table until `wanted` accepts it.
pub(crate) fn wait_table<L: Debug>(
    what: String,
    timeout: Duration,
    read: &dyn Fn() -> Result<Vec<L>>,
    wanted: &dyn Fn(&[L]) -> bool,
) -> Result<Vec<L>> {
    let until = Instant::now() + timeout;
    loop {
        let leases = read()?;
        if wanted(&leases) {
            return Ok(leases);
        }
        if Instant::now() >= until {
            let seen = format!("The table: {leases:?}");
            return Err(Error::TimedOut { what, after: timeout, seen });
        }
        // The table is a file that the server rewrites: no event says that it is whole.
        thread::sleep(Duration::from_millis(10));
    }
}

/// A DHCP message, to look for in a server's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// DHCPDISCOVER, received.
    Discover,
    /// DHCPREQUEST, received.
    Request,
    /// DHCPACK, sent.
    Ack,
    /// DHCPNAK, sent.
    Nak,
    /// DHCPDECLINE, received.
    Decline,
    /// DHCPRELEASE, received.
    Release,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        let mask = |prefix| ServerOptions { prefix, ..ServerOptions::default() }.mask();
        assert_eq!(mask(16), Ipv4Addr::new(255, 255, 0, 0));
        assert_eq!(mask(32), Ipv4Addr::BROADCAST);
        assert_eq!(mask(0), Ipv4Addr::UNSPECIFIED);
    }
}
