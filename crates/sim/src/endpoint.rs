//! A client and the container it speaks for.

use std::net::Ipv4Addr;

use dhcp::Instant;
use dhcp::v4::{Client, Event};
use wire::MacAddr;
use wire::arp::{Arp, Operation};

/// A container on the LAN with its client.
#[derive(Debug)]
pub struct Endpoint {
    /// The client.
    pub client: Client,
    /// The address that the container has.
    pub configured: Option<Ipv4Addr>,
    /// Whether the container is up. As long as it is not, nobody answers ARP for it but the client,
    /// which is told to hold the place.
    pub up: bool,
    /// What has happened so far.
    pub history: History,
    /// When the timer of the client goes off.
    pub(crate) armed: Option<Instant>,
}

/// What a client has told by its events, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Times it became bound.
    pub bound: u32,
    /// Renewals without a change.
    pub renewed: u32,
    /// Renewals with one.
    pub changed: u32,
    /// Leases lost.
    pub lost: u32,
    /// Releases done.
    pub released: u32,
    /// Frames sent by the client.
    pub frames: u32,
    /// Since when it has had no address, after a loss.
    pub without_since: Option<Instant>,
}

impl Endpoint {
    pub(crate) fn new(client: Client) -> Endpoint {
        Endpoint { client, configured: None, up: true, history: History::default(), armed: None }
    }

    /// The MAC.
    pub fn mac(&self) -> MacAddr {
        self.client.config().mac
    }

    /// Does to the container what the event asks for.
    pub(crate) fn apply(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Bound => self.history.bound += 1,
            Event::Renewed => self.history.renewed += 1,
            Event::Changed { .. } => self.history.changed += 1,
            Event::Lost { .. } => {
                self.history.lost += 1;
                self.history.without_since = Some(now);
            }
            Event::Released => self.history.released += 1,
        }
        let address = self.client.lease().map(|lease| lease.address);
        if address.is_some() {
            self.history.without_since = None;
        }
        if address != self.configured {
            self.configured = address;
            self.client.announce();
        }
    }

    /// What the container's kernel answers to ARP.
    pub(crate) fn kernel_reply(&self, arp: &Arp) -> Option<Vec<u8>> {
        let asked = self.configured == Some(arp.target_ip) && arp.sender_mac != self.mac();
        (self.up && asked && arp.operation == Operation::Request)
            .then(|| arp.reply_to(self.mac()).emit(arp.sender_mac))
    }
}
