//! Is this message for us, and can it be trusted: one place that says no (RFC 8415 §16).

use std::net::Ipv6Addr;

use wire::dhcp6::{Message, MessageType, Options};

use super::progress::Reason;

/// A server's message that answers what the client has asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    /// Advertise or Reply.
    pub(crate) kind: MessageType,
    pub(crate) source: Ipv6Addr,
    /// The server's DUID.
    pub(crate) server: &'a [u8],
    pub(crate) options: Options<'a>,
}

/// Reads a payload, far enough to know that it is an answer of a server at all.
pub(crate) fn message(source: Ipv6Addr, payload: &[u8]) -> Result<Message<'_>, Reason> {
    if source.is_multicast() || source.is_unspecified() {
        return Err(Reason::Malformed);
    }
    let message = Message::parse(payload).map_err(|_| Reason::Malformed)?;
    match message.kind {
        MessageType::Advertise | MessageType::Reply | MessageType::AddrRegReply => Ok(message),
        MessageType::Reconfigure => Err(Reason::Reconfigure),
        _ => Err(Reason::NotAReply),
    }
}

/// Whether the message answers transaction `xid` of the client `duid`.
pub(crate) fn answer<'a>(
    source: Ipv6Addr,
    message: Message<'a>,
    xid: Option<u32>,
    duid: &[u8],
) -> Result<Answer<'a>, Reason> {
    let Message { kind, options, .. } = message;
    if xid.ok_or(Reason::Unexpected)? != message.xid {
        return Err(Reason::OtherExchange);
    }
    if options.client_id() != Some(duid) {
        return Err(Reason::OtherClient);
    }
    let server = options.server_id().ok_or(Reason::NoServer)?;
    Ok(Answer { kind, source, server, options })
}
