//! What a client has seen and done, for error messages and status.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use wire::MacAddr;

/// Counters since the client was made, and the last words of the servers.
///
/// The counters saturate. They tell apart "nothing heard", "an OFFER but no ACK" and "refused".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// DHCPDISCOVERs sent.
    pub discovers: u32,
    /// DHCPOFFERs accepted as valid, whether the client went for them or not.
    pub offers: u32,
    /// DHCPREQUESTs sent, renewals included.
    pub requests: u32,
    /// DHCPACKs that gave or prolonged a lease.
    pub acks: u32,
    /// DHCPNAKs that were meant for this client.
    pub naks: u32,
    /// ARP requests for the next hop of a unicast that were sent.
    pub resolutions: u32,
    /// ARP probes sent.
    pub probes: u32,
    /// Times another machine was found with the client's address, or asked for it by a probe while
    /// the client did.
    pub conflicts: u32,
    /// DHCPDECLINEs sent.
    pub declines: u32,
    /// DHCPRELEASEs sent.
    pub releases: u32,
    /// Boxed, as it is seldom anything.
    ignored: Option<Box<Ignored>>,
    /// The last valid DHCPOFFER.
    pub last_offer: Option<Offered>,
    /// The last DHCPNAK.
    pub last_nak: Option<Box<Refusal>>,
    /// The last address that another machine had.
    pub last_conflict: Option<Conflict>,
}

impl Progress {
    /// What arrived and was not used, by reason.
    pub fn ignored(&self) -> Ignored {
        self.ignored.as_deref().copied().unwrap_or_default()
    }

    pub(crate) fn ignore(&mut self, reason: Reason) {
        self.ignored.get_or_insert_default().count(reason);
    }
}

/// Replies that were not used, by reason. The counters saturate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// Not a DHCPv4 message: too short, no cookie, broken options, no message type.
    pub malformed: u32,
    /// A message from a client (`op` is not BOOTREPLY).
    pub not_a_reply: u32,
    /// Meant for another machine (`chaddr`): a driver that tells clients apart by it hands over none of these.
    #[serde(skip)]
    pub other_machine: u32,
    /// An answer to something else, or too late (`xid`), or to nothing at all.
    pub other_exchange: u32,
    /// A client identifier that is not ours came back (RFC 6842 §3).
    pub other_client_id: u32,
    /// No server identifier (option 54), or one that is no host's address.
    pub no_server: u32,
    /// From a server other than the one whose offer was taken.
    pub other_server: u32,
    /// `yiaddr` is no address a host can have.
    pub bad_address: u32,
    /// A subnet mask (option 1) that is none, with holes or of no bits. Only the mask is not used:
    /// the address's class has one.
    pub bad_mask: u32,
    /// No lease time (option 51), zero, or over on arrival.
    pub bad_lease_time: u32,
    /// An OFFER of an address that the client declined less than 10 s ago.
    pub declined_address: u32,
    /// A message type that has no meaning in the client's state.
    pub unexpected: u32,
}

impl Ignored {
    /// How many replies were not used at all.
    pub fn total(&self) -> u32 {
        let counts = self.by_reason().into_iter().map(|(_, count)| count);
        counts.fold(self.other_machine, u32::saturating_add).saturating_sub(self.bad_mask)
    }

    /// Each count with the name of its reason; without what was meant for others.
    pub fn by_reason(mut self) -> [(&'static str, u32); 11] {
        self.counters().map(|(reason, count)| (reason, *count))
    }

    /// Adds what was counted between two moments.
    pub fn add(&mut self, before: Ignored, after: Ignored) {
        let counted = before.by_reason().into_iter().zip(after.by_reason());
        for ((_, total), ((_, before), (_, after))) in self.counters().into_iter().zip(counted) {
            *total = total.saturating_add(after.saturating_sub(before));
        }
    }

    fn counters(&mut self) -> [(&'static str, &mut u32); 11] {
        [
            ("malformed", &mut self.malformed),
            ("not_a_reply", &mut self.not_a_reply),
            ("other_exchange", &mut self.other_exchange),
            ("other_client_id", &mut self.other_client_id),
            ("no_server", &mut self.no_server),
            ("other_server", &mut self.other_server),
            ("bad_address", &mut self.bad_address),
            ("bad_mask", &mut self.bad_mask),
            ("bad_lease_time", &mut self.bad_lease_time),
            ("declined_address", &mut self.declined_address),
            ("unexpected", &mut self.unexpected),
        ]
    }

    fn count(&mut self, reason: Reason) {
        bump(match reason {
            Reason::Malformed => &mut self.malformed,
            Reason::NotAReply => &mut self.not_a_reply,
            Reason::OtherMachine => &mut self.other_machine,
            Reason::OtherExchange => &mut self.other_exchange,
            Reason::OtherClientId => &mut self.other_client_id,
            Reason::NoServer => &mut self.no_server,
            Reason::OtherServer => &mut self.other_server,
            Reason::BadAddress => &mut self.bad_address,
            Reason::BadMask => &mut self.bad_mask,
            Reason::BadLeaseTime => &mut self.bad_lease_time,
            Reason::DeclinedAddress => &mut self.declined_address,
            Reason::Unexpected => &mut self.unexpected,
        });
    }
}

/// Why a reply is not used; one for each counter of [`Ignored`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Malformed,
    NotAReply,
    OtherMachine,
    OtherExchange,
    OtherClientId,
    NoServer,
    OtherServer,
    BadAddress,
    BadMask,
    BadLeaseTime,
    DeclinedAddress,
    Unexpected,
}

/// Who offered what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// The server identifier (option 54).
    pub server: Ipv4Addr,
    /// The address offered (`yiaddr`).
    pub address: Ipv4Addr,
    /// The length of its subnet's prefix.
    pub prefix_len: u8,
}

/// Who had an address that was to be the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: Ipv4Addr,
    /// The other machine's MAC, as its ARP says.
    pub holder: MacAddr,
}

/// A DHCPNAK: who refused, and in which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The server identifier (option 54).
    pub server: Ipv4Addr,
    /// The server's reason (option 56), printable ASCII, at most 255 characters.
    pub message: Option<Box<str>>,
}

/// Counts one more, up to the counter's end.
pub(crate) fn bump(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
