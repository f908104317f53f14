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
}

impl Ipv4Counters {
    /// Counts a message that a client has sent.
    pub(crate) fn count_sent(&mut self, message: &[u8]) {
        let kind = dhcp4::Message::parse(message).ok().and_then(|sent| sent.message_type());
        let counter = match kind {
            Some(dhcp4::MessageType::Discover) => &mut self.discovers,
            Some(dhcp4::MessageType::Request) => &mut self.requests,
            Some(dhcp4::MessageType::Decline) => &mut self.declines,
            Some(dhcp4::MessageType::Release) => &mut self.releases,
            _ => return,
        };
        *counter += 1;
    }

    /// Counts what a client has made of something that came in.
    pub(crate) fn count_heard(&mut self, before: &Heard, after: &Heard) {
        let counted = |before: u32, after: u32| u64::from(after.saturating_sub(before));
        self.offers += counted(before.offers, after.offers);
        self.acks += counted(before.acks, after.acks);
        self.naks += counted(before.naks, after.naks);
        self.ignored.add(before.ignored, after.ignored);
    }
}

/// What a client has not used of what DHCPv6 servers have said to it so far.
pub(crate) fn ignored6(client: &ipv6::Client) -> v6::Ignored {
    client.progress().server.map(|server| server.ignored).unwrap_or_default()
}

impl Ipv6Counters {
    /// Counts a DHCPv6 message.
    pub(crate) fn count_message(&mut self, message: &[u8]) {
        let kind = message.first().and_then(|kind| MessageType::try_from(*kind).ok());
        let counter = match kind {
            Some(MessageType::Solicit) => &mut self.solicits,
            Some(MessageType::Advertise) => &mut self.advertises,
            Some(MessageType::Request) => &mut self.requests,
            Some(MessageType::Confirm) => &mut self.confirms,
            Some(MessageType::Renew) => &mut self.renews,
            Some(MessageType::Rebind) => &mut self.rebinds,
            Some(MessageType::Reply) => &mut self.replies,
            Some(MessageType::Release) => &mut self.releases,
            Some(MessageType::Decline) => &mut self.declines,
            Some(MessageType::InformationRequest) => &mut self.information_requests,
            Some(MessageType::AddrRegInform) => &mut self.registrations,
            Some(MessageType::AddrRegReply | MessageType::Reconfigure) | None => return,
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
