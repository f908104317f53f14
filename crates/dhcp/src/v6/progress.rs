//! What a client has seen and done, for error messages and status.

use std::net::Ipv6Addr;

use wire::dhcp6::{Duid, StatusCode};

/// Counters since the client was made, and the last words of the servers.
///
/// The counters saturate. They tell apart "nothing heard", "an Advertise but no Reply" and
/// "refused".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Solicits sent.
    pub solicits: u32,
    /// Advertises that offered something, whether the client went for them or not.
    pub advertises: u32,
    /// Requests sent.
    pub requests: u32,
    /// Confirms sent.
    pub confirms: u32,
    /// Renews sent.
    pub renews: u32,
    /// Rebinds sent.
    pub rebinds: u32,
    /// Declines sent.
    pub declines: u32,
    /// Releases sent.
    pub releases: u32,
    /// Information-requests sent.
    pub information_requests: u32,
    /// ADDR-REG-INFORMs sent.
    pub registrations: u32,
    /// Replies that gave, prolonged or confirmed something.
    pub replies: u32,
    /// Refusals: Advertises and Replies with a status other than `Success`, or with nothing of what
    /// was asked for.
    pub refusals: u32,
    /// Preferred lifetimes beyond the valid one, which were cut there.
    pub capped: u32,
    /// What arrived and was not used, by reason.
    pub ignored: Ignored,
    /// The last Advertise that offered something.
    pub last_offer: Option<Box<Offered>>,
    /// The last refusal.
    pub last_refusal: Option<Box<Refusal>>,
}

/// Messages, or parts of them, that were not used, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Not a message between a client and a server, or from no host's address.
    pub malformed: u16,
    /// A message from a client.
    pub not_a_reply: u16,
    /// A Reconfigure: the client never offers to take one (RFC 8415 §16.11).
    pub reconfigure: u16,
    /// An answer to something else, or too late (transaction).
    pub other_exchange: u16,
    /// No client identifier, or not ours.
    pub other_client: u16,
    /// No server identifier, or one that cannot be a DUID.
    pub no_server: u16,
    /// From a server other than the one that was asked.
    pub other_server: u16,
    /// A message type that has no meaning in the client's state, or a Reply to a Solicit without
    /// Rapid Commit.
    pub unexpected: u16,
    /// Nothing in it is for the client's identity associations.
    pub no_association: u16,
    /// An association with T1 beyond T2.
    pub bad_times: u16,
    /// An address or a prefix that no host can have.
    pub bad_address: u16,
    /// More addresses or prefixes than a lease holds.
    pub too_many: u16,
}

impl Ignored {
    /// All of them together.
    pub fn total(&self) -> u32 {
        [
            self.malformed,
            self.not_a_reply,
            self.reconfigure,
            self.other_exchange,
            self.other_client,
            self.no_server,
            self.other_server,
            self.unexpected,
            self.no_association,
            self.bad_times,
            self.bad_address,
            self.too_many,
        ]
        .into_iter()
        .map(u32::from)
        .sum()
    }

    pub(crate) fn count(&mut self, reason: Reason) {
        let counter = match reason {
            Reason::Malformed => &mut self.malformed,
            Reason::NotAReply => &mut self.not_a_reply,
            Reason::Reconfigure => &mut self.reconfigure,
            Reason::OtherExchange => &mut self.other_exchange,
            Reason::OtherClient => &mut self.other_client,
            Reason::NoServer => &mut self.no_server,
            Reason::OtherServer => &mut self.other_server,
            Reason::Unexpected => &mut self.unexpected,
            Reason::NoAssociation => &mut self.no_association,
            Reason::BadTimes => &mut self.bad_times,
            Reason::BadAddress => &mut self.bad_address,
            Reason::TooMany => &mut self.too_many,
            // Counted as a refusal.
            Reason::Refused => return,
        };
        *counter = counter.saturating_add(1);
    }
}

/// Why something is not used; one for each counter of [`Ignored`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Malformed,
    NotAReply,
    Reconfigure,
    OtherExchange,
    OtherClient,
    NoServer,
    OtherServer,
    Unexpected,
    NoAssociation,
    BadTimes,
    BadAddress,
    TooMany,
    Refused,
}

/// Who offered what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The server's DUID.
    pub server: Duid,
    /// Where its Advertise came from: the server itself, or a relay.
    pub source: Ipv6Addr,
    /// The first address offered, if there is one.
    pub address: Option<Ipv6Addr>,
    /// The first prefix offered and its length, if there is one.
    pub prefix: Option<(Ipv6Addr, u8)>,
}

/// Who refused, and in which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The server's DUID.
    pub server: Duid,
    /// The status; `Success` where the server gave nothing and did not say why.
    pub status: StatusCode,
    /// The server's reason, printable ASCII, at most 255 characters.
    pub message: Option<Box<str>>,
}

/// Counts one more, up to the counter's end.
pub(crate) fn bump(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
