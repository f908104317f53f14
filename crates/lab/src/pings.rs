//! Pings that go on while a test does other things, and what became of each.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::log::Log;
use crate::process::Launch;
use crate::{Namespace, Process, Result};

/// How long an answer may take. One that comes is none that was lost.
const ANSWER: Duration = Duration::from_secs(10);

/// One machine pings another twenty times a second, as a process of its own that ends with this value.
#[derive(Debug)]
pub struct Pings {
    _ping: Process,
    log: Arc<Log>,
}

impl Pings {
    /// Starts them from `net`, and waits for the first answer.
    pub fn start(net: &Namespace, to: Ipv4Addr) -> Result<Self> {
        let name = format!("the pings of {to}");
        let net = format!("--net={}", net.path().display());
        let to = to.to_string();
        let argv = ["nsenter", &net, "ping", "-n", "-i", "0.05", &to].map(String::from).into();
        let log = Log::new(&*name);
        let ping = Process::launch(&name, &Launch { argv, forks: false }, &log)?;
        let pings = Self { _ping: ping, log };
        pings.next_answer()?;
        Ok(pings)
    }

    /// The sequence numbers of those so far that were not answered, up to one that was sent after this call and was; an error
    /// if none is answered any more.
    pub fn lost(&self) -> Result<Vec<usize>> {
        // What is answered next may have been sent before; by then all that were sent before have had the time of those.
        self.next_answer()?;
        let answered: BTreeSet<usize> =
            self.log.lines().iter().filter_map(|line| sequence(&line.text)).collect();
        let last = answered.last().copied().unwrap_or_default();
        Ok((1..last).filter(|number| !answered.contains(number)).collect())
    }

    fn next_answer(&self) -> Result<()> {
        let answer = |line: &str| sequence(line).is_some();
        self.log.wait_after(self.log.mark(), "an answer", answer, ANSWER).map(drop)
    }
}

/// The sequence number in an answer: `64 bytes from 10.77.1.5: icmp_seq=7 ttl=64 time=0.05 ms`.
fn sequence(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once(" bytes from ")?;
    let (_, rest) = rest.split_once("icmp_seq=")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capture, Lan, LanOptions, Place};

    #[test]
    fn answers() {
        let answer = "64 bytes from 10.77.1.5: icmp_seq=7 ttl=64 time=0.052 ms";
        assert_eq!(sequence(answer), Some(7));
        let silence = "From 10.77.0.9 icmp_seq=7 Destination Host Unreachable";
        assert_eq!(sequence(silence), None);
    }

    #[test]
    fn those_without_an_answer_are_told() {
        let lan = Lan::new(LanOptions::default()).unwrap();
        let pings = Pings::start(lan.laptop_ns(), Lan::ROUTER).unwrap();
        assert_eq!(pings.lost().unwrap(), [] as [usize; 0]);
        let sent = Capture::start(lan.laptop_ns(), "eth0").unwrap();
        lan.ok(Place::Host, &["ip", "link", "set", "router", "nomaster"]).unwrap();
        for _ in 0..3 {
            sent.wait_after(sent.mark(), "one more ping", ANSWER, |frame| frame.outgoing).unwrap();
        }
        lan.ok(Place::Host, &["ip", "link", "set", "router", "master", "br0"]).unwrap();
        let lost = pings.lost().unwrap();
        assert!(lost.len() >= 2, "{lost:?}");
    }
}
