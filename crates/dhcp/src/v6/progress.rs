//! What a client has seen and done, for error messages and status.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};
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

/// Messages, or parts of them, that were not used, by reason. The counters saturate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// Not a message between a client and a server, or from no host's address.
    pub malformed: u32,
    /// A message from a client.
    pub not_a_reply: u32,
    /// A Reconfigure: the client never offers to take one (RFC 8415 §16.11).
    pub reconfigure: u32,
    /// An answer to something else, or too late (transaction).
    pub other_exchange: u32,
    /// No client identifier, or not ours.
    pub other_client: u32,
    /// No server identifier, or one that cannot be a DUID.
    pub no_server: u32,
    /// From a server other than the one that was asked.
    pub other_server: u32,
    /// A message type that has no meaning in the client's state, or a Reply to a Solicit without
    /// Rapid Commit.
    pub unexpected: u32,
    /// Nothing in it is for the client's identity associations.
    pub no_association: u32,
    /// An association with T1 beyond T2.
    pub bad_times: u32,
    /// An address or a prefix that no host can have.
    pub bad_address: u32,
    /// More addresses or prefixes than a lease holds.
    pub too_many: u32,
}

impl Ignored {
    /// All of them together.
    pub fn total(&self) -> u32 {
        self.by_reason().into_iter().map(|(_, count)| count).fold(0, u32::saturating_add)
    }

    /// Each count with the name of its reason.
    pub fn by_reason(mut self) -> [(&'static str, u32); 12] {
        self.counters().map(|(reason, count)| (reason, *count))
    }

    /// Adds what was counted between two moments.
    pub fn add(&mut self, before: Ignored, after: Ignored) {
        let counted = before.by_reason().into_iter().zip(after.by_reason());
        for ((_, total), ((_, before), (_, after))) in self.counters().into_iter().zip(counted) {
            *total = total.saturating_add(after.saturating_sub(before));
        }
    }

    fn counters(&mut self) -> [(&'static str, &mut u32); 12] {
        [
            ("malformed", &mut self.malformed),
            ("not_a_reply", &mut self.not_a_reply),
            ("reconfigure", &mut self.reconfigure),
            ("other_exchange", &mut self.other_exchange),
            ("other_client", &mut self.other_client),
            ("no_server", &mut self.no_server),
            ("other_server", &mut self.other_server),
            ("unexpected", &mut self.unexpected),
            ("no_association", &mut self.no_association),
            ("bad_times", &mut self.bad_times),
            ("bad_address", &mut self.bad_address),
            ("too_many", &mut self.too_many),
        ]
    }

    pub(crate) fn count(&mut self, reason: Reason) {
        bump(match reason {
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
        });
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
