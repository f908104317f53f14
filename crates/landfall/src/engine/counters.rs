//! Counting what becomes of leases, and what is said of DHCPv4 and IPv6.

use dhcp::v4::{Event, Loss, Progress};
use dhcp::{ipv6, v4, v6};
use wire::dhcp4;
use wire::dhcp6::MessageType;

use super::State;
use super::api::{Counters, Ipv4Counters, Ipv6Counters};

impl Counters {
    /// Counts what a DHCP client tells of its lease.
    fn count(&mut self, event: &Event) {
        let counter = match event {
            Event::Bound => &mut self.granted,
            Event::Renewed => &mut self.renewed,
            Event::Changed { .. } => &mut self.changed,
            Event::Overdue => &mut self.overdue,
            Event::Lost { why: Loss::Expired, .. } => &mut self.expired,
            Event::Lost { why: Loss::Nak { .. }, .. } => &mut self.refused,
            Event::Lost { why: Loss::Conflict { .. }, .. } => &mut self.in_conflict,
            // Counted when it is asked for: some have nobody who waits for this word.
            Event::Released | Event::Ipv6Only => return,
        };
        *counter += 1;
    }
}

impl State {
    /// Counts what a DHCP client tells of its lease.
    pub(super) fn count(&mut self, event: &Event) {
        self.counters.count(event);
    }
}

/// What one DHCPv4 client has heard so far.
#[derive(Clone, Copy)]
pub(crate) struct Heard {
    offers: u32,
    acks: u32,
    naks: u32,
    pub(crate) ignored: v4::Ignored,
}

impl Heard {
    pub(crate) fn of(progress: &Progress) -> Heard {
        let Progress { offers, acks, naks, .. } = *progress;
        Heard { offers, acks, naks, ignored: progress.ignored() }
    }

    /// What a client has heard since that was of use to it.
    pub(crate) fn until(&self, after: &Heard) -> impl Iterator<Item = dhcp4::MessageType> {
        use dhcp4::MessageType::{Ack, Nak, Offer};
        let all = [
            (Offer, self.offers, after.offers),
            (Ack, self.acks, after.acks),
            (Nak, self.naks, after.naks),
        ];
        all.into_iter().filter(|(_, before, after)| before < after).map(|(kind, ..)| kind)
    }
}

impl Ipv4Counters {
    /// Counts a message that a client has sent, or has heard and used.
    pub(crate) fn count_message(&mut self, kind: dhcp4::MessageType) {
        let counter = match kind {
            dhcp4::MessageType::Discover => &mut self.discovers,
            dhcp4::MessageType::Offer => &mut self.offers,
            dhcp4::MessageType::Request => &mut self.requests,
            dhcp4::MessageType::Ack => &mut self.acks,
            dhcp4::MessageType::Nak => &mut self.naks,
            dhcp4::MessageType::Decline => &mut self.declines,
            dhcp4::MessageType::Release => &mut self.releases,
            dhcp4::MessageType::Inform => return,
        };
        *counter += 1;
    }
}

/// What a client has not used of what DHCPv6 servers have said to it so far.
pub(crate) fn ignored6(client: &ipv6::Client) -> v6::Ignored {
    client.progress().server.map(|server| server.ignored).unwrap_or_default()
}

impl Ipv6Counters {
    /// Counts a DHCPv6 message.
    pub(crate) fn count_message(&mut self, kind: MessageType) {
        let counter = match kind {
            MessageType::Solicit => &mut self.solicits,
            MessageType::Advertise => &mut self.advertises,
            MessageType::Request => &mut self.requests,
            MessageType::Confirm => &mut self.confirms,
            MessageType::Renew => &mut self.renews,
            MessageType::Rebind => &mut self.rebinds,
            MessageType::Reply => &mut self.replies,
            MessageType::Release => &mut self.releases,
            MessageType::Decline => &mut self.declines,
            MessageType::InformationRequest => &mut self.information_requests,
            MessageType::AddrRegInform => &mut self.registrations,
            MessageType::AddrRegReply | MessageType::Reconfigure => return,
        };
        *counter += 1;
    }

    /// Counts what a client tells of its configuration.
    pub(crate) fn count_event(&mut self, event: &ipv6::Event) {
        match event {
            ipv6::Event::Changed { .. } => self.configurations_changed += 1,
            ipv6::Event::Duplicate { .. } => self.duplicates += 1,
            ipv6::Event::Ready | ipv6::Event::Renewed | ipv6::Event::Released => {}
        }
    }
}
