//! What a client has seen and done, for error messages and status.

use std::net::Ipv4Addr;

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
    /// What arrived and was not used, by reason.
    pub ignored: Ignored,
    /// The last valid DHCPOFFER.
    pub last_offer: Option<Offered>,
    /// The last DHCPNAK.
    pub last_nak: Option<Box<Refusal>>,
    /// The last address that another machine had.
    pub last_conflict: Option<Conflict>,
}

/// Replies that were not used, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Not a DHCPv4 message: too short, no cookie, broken options, no message type.
    pub malformed: u16,
    /// A message from a client (`op` is not BOOTREPLY).
    pub not_a_reply: u16,
    /// Meant for another machine (`chaddr`).
    pub other_machine: u16,
    /// An answer to something else, or too late (`xid`).
    pub other_exchange: u16,
    /// A client identifier that is not ours came back (RFC 6842 §3).
    pub other_client_id: u16,
    /// No server identifier (option 54), or one that is no host's address.
    pub no_server: u16,
    /// From a server other than the one whose offer was taken.
    pub other_server: u16,
    /// `yiaddr` is no address a host can have.
    pub bad_address: u16,
    /// No lease time (option 51), zero, or over on arrival.
    pub bad_lease_time: u16,
    /// An OFFER of an address that the client declined less than 10 s ago.
    pub declined_address: u16,
    /// A message type that has no meaning in the client's state.
    pub unexpected: u16,
}

impl Ignored {
    /// All of them together.
    pub fn total(&self) -> u32 {
        [
            self.malformed,
            self.not_a_reply,
            self.other_machine,
            self.other_exchange,
            self.other_client_id,
            self.no_server,
            self.other_server,
            self.bad_address,
            self.bad_lease_time,
            self.declined_address,
            self.unexpected,
        ]
        .into_iter()
        .map(u32::from)
        .sum()
    }

    pub(crate) fn count(&mut self, reason: Reason) {
        let counter = match reason {
            Reason::Malformed => &mut self.malformed,
            Reason::NotAReply => &mut self.not_a_reply,
            Reason::OtherMachine => &mut self.other_machine,
            Reason::OtherExchange => &mut self.other_exchange,
            Reason::OtherClientId => &mut self.other_client_id,
            Reason::NoServer => &mut self.no_server,
            Reason::OtherServer => &mut self.other_server,
            Reason::BadAddress => &mut self.bad_address,
            Reason::BadLeaseTime => &mut self.bad_lease_time,
            Reason::DeclinedAddress => &mut self.declined_address,
            Reason::Unexpected => &mut self.unexpected,
        };
        *counter = counter.saturating_add(1);
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
