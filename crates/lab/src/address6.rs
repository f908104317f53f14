//! The IPv6 addresses that an interface has.

use std::fs;
use std::net::Ipv6Addr;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Namespace, Result};

/// How long a link-local address may take: a link that comes up, and duplicate detection where it is not off.
const PATIENCE: Duration = Duration::from_secs(10);

/// An address that an interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address6 {
    /// The address.
    pub ip: Ipv6Addr,
    /// The length of its prefix.
    pub length: u8,
    /// Whether it can be used: duplicate detection is over, and found nobody else.
    pub usable: bool,
}

impl Namespace {
    /// The addresses of `interface`, link-local ones too.
    pub fn addresses6(&self, interface: &str) -> Result<Vec<Address6>> {
        let path = "/proc/thread-self/net/if_inet6";
        let text = self
            .enter(|| fs::read_to_string(path))?
            .map_err(Error::io(format!("reading {path} in {}", self.name())))?;
        Ok(text.lines().filter_map(|line| parse(line, interface)).collect())
    }

    /// The first usable address of `interface` that `wanted` accepts; waits for it.
    pub fn wait_address6(
        &self,
        interface: &str,
        timeout: Duration,
        wanted: impl Fn(Ipv6Addr) -> bool,
    ) -> Result<Ipv6Addr> {
        let until = Instant::now() + timeout;
        loop {
            let addresses = self.addresses6(interface)?;
            if let Some(found) = addresses.iter().find(|a| a.usable && wanted(a.ip)) {
                return Ok(found.ip);
            }
            if Instant::now() >= until {
                return Err(Error::TimedOut {
                    what: format!("an IPv6 address of {interface} in {}", self.name()),
                    after: timeout,
                    seen: format!("Its addresses: {addresses:?}"),
                });
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The link-local address of `interface`, once it can be used: Kea looks for it once, when it starts.
    pub fn link_local(&self, interface: &str) -> Result<Ipv6Addr> {
        self.wait_address6(interface, PATIENCE, |ip| ip.is_unicast_link_local())
    }
}

/// `ADDRESS INDEX LENGTH SCOPE FLAGS INTERFACE`, numbers in hexadecimal digits.
fn parse(line: &str, interface: &str) -> Option<Address6> {
    /// `IFA_F_TENTATIVE` and `IFA_F_DADFAILED` of linux/if_addr.h.
    const UNUSABLE: u8 = 0x40 | 0x08;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [ip, _, length, _, flags, name] = words.as_slice() else { return None };
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (*name == interface).then_some(Address6 {
        ip: Ipv6Addr::from_bits(u128::from_str_radix(ip, 16).ok()?),
        length: u8::from_str_radix(length, 16).ok()?,
        usable: flags & UNUSABLE == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        let line = "20010db8007700000000000000000001 02 40 00 80     eth0";
        let ip = "2001:db8:77::1".parse().unwrap();
        assert_eq!(parse(line, "eth0"), Some(Address6 { ip, length: 64, usable: true }));
        assert_eq!(parse(line, "eth1"), None);
        let line = "fe800000000000000000000000000001 02 40 20 c0     eth0";
        assert!(!parse(line, "eth0").unwrap().usable);
    }
}
