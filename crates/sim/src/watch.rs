//! What must hold at every step.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::State;
use wire::MacAddr;
use wire::dhcp4::{Message, port};
use wire::frame::{Checksum, Frame, Payload};

use crate::endpoint::Endpoint;
use crate::server::Server;

/// Looks at each endpoint after each step. What it returns is what is wrong.
#[derive(Debug)]
pub struct Watch {
    /// What each client may send.
    pub budget: Budget,
    holders: HashMap<Ipv4Addr, MacAddr>,
    held: HashMap<MacAddr, Ipv4Addr>,
    purses: HashMap<MacAddr, Purse>,
}

/// So many frames at once, and one more for each interval that passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Frames at once.
    pub burst: f64,
    /// The time for one more.
    pub interval: Duration,
}

#[derive(Debug)]
struct Purse {
    frames: f64,
    filled: Instant,
}

impl Watch {
    pub(crate) fn new() -> Watch {
        // A start and a few refusals in a row at once; then RFC 2131's retransmissions, which for
        // leases of some minutes are one in six seconds (three frames with ARP) near the end.
        let budget = Budget { burst: 24.0, interval: Duration::from_secs(2) };
        Watch { budget, holders: HashMap::new(), held: HashMap::new(), purses: HashMap::new() }
    }

    /// An endpoint after a step.
    pub(crate) fn check(
        &mut self,
        endpoint: &Endpoint,
        servers: &[Server],
        now: Instant,
    ) -> Result<(), String> {
        let lease = endpoint.client.lease();
        if endpoint.configured != lease.map(|lease| lease.address) {
            return Err(format!("has {:?} and a lease {lease:?}", endpoint.configured));
        }
        if let Some(old) = self.held.remove(&endpoint.mac())
            && self.holders.get(&old) == Some(&endpoint.mac())
        {
            self.holders.remove(&old);
        }
        let Some(lease) = lease else { return Ok(()) };
        if lease.expires_at <= now {
            return Err(format!("uses an address whose lease is over: {lease:?}"));
        }
        if lease.expires_at != Instant::NEVER
            && endpoint.client.poll_timeout().is_none_or(|at| at > lease.expires_at)
        {
            return Err(format!("will not wake up before the lease is over: {lease:?}"));
        }
        let Some(server) = servers.iter().find(|server| server.identifier == lease.server) else {
            return Err(format!("has a lease from nobody: {lease:?}"));
        };
        if !server.is_honest() {
            return Ok(());
        }
        let client = server.client_of(endpoint.client.config());
        match server.database.granted_until(&client, lease.address) {
            Some(until) if until >= lease.expires_at => {}
            other => return Err(format!("uses an address for longer than {other:?}: {lease:?}")),
        }
        self.held.insert(endpoint.mac(), lease.address);
        let holder = *self.holders.entry(lease.address).or_insert(endpoint.mac());
        if holder != endpoint.mac() {
            return Err(format!("{} has {} as well", holder, lease.address));
        }
        Ok(())
    }

    /// A frame that a client sends.
    pub(crate) fn check_frame(
        &mut self,
        endpoint: &Endpoint,
        address_before: Option<Ipv4Addr>,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), String> {
        let mac = endpoint.mac();
        let frame = Frame::parse(bytes, Checksum::Verify).map_err(|error| error.to_string())?;
        if frame.source != mac {
            return Err(format!("sends as {}", frame.source));
        }
        match frame.payload {
            Payload::Arp(arp) if arp.sender_mac != mac => {
                return Err(format!("says in ARP that it is {}", arp.sender_mac));
            }
            Payload::Arp(_) => {}
            Payload::Udp4(datagram) => {
                let message =
                    Message::parse(datagram.payload).map_err(|error| error.to_string())?;
                let source = *datagram.source.ip();
                if message.chaddr != mac {
                    return Err(format!("sends for {}", message.chaddr));
                }
                if datagram.destination.port() != port::SERVER {
                    return Err(format!("sends to port {}", datagram.destination.port()));
                }
                let unbound = matches!(endpoint.client.state(), State::Stopped | State::Releasing);
                if !(source.is_unspecified() || address_before == Some(source) || unbound) {
                    return Err(format!("sends from {source}, which it has not"));
                }
            }
        }
        let Budget { burst, interval } = self.budget;
        let purse = self.purses.entry(mac).or_insert(Purse { frames: burst, filled: now });
        let passed = now.saturating_since(purse.filled).as_secs_f64() / interval.as_secs_f64();
        *purse = Purse { frames: (purse.frames + passed).min(burst) - 1.0, filled: now };
        if purse.frames < 0.0 {
            return Err(format!("sends more than {burst} frames and one in {interval:?}"));
        }
        Ok(())
    }
}
