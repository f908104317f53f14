//! Is this message for us, and can it be trusted: the one place that says no.

use std::net::Ipv4Addr;

use wire::MacAddr;
use wire::dhcp4::{Message, MessageType, code};
use wire::frame::Udp4;

use super::lease::{Grant, classful_prefix_len, is_host, is_host_in, same_subnet};
use super::progress::{Reason, Refusal};

/// `op` of a reply (RFC 2131 §2).
const BOOTREPLY: u8 = 2;

/// A reply that has been checked.
#[derive(Debug)]
pub(crate) enum Reply {
    Offer(Grant),
    /// An OFFER of no address (`yiaddr` is 0), but of the word that none is needed: its option 108, in seconds (RFC 8925
    /// §3.3).
    NoAddress(u32),
    Ack(Grant),
    Nak(Refusal),
}

/// What a reply must repeat.
pub(crate) struct Expected<'a> {
    pub(crate) mac: MacAddr,
    /// `None`: no answer is waited for.
    pub(crate) xid: Option<u32>,
    pub(crate) client_id: &'a [u8],
}

impl Reply {
    /// Reads a datagram that came in a frame from `source_mac`.
    ///
    /// `op`, `chaddr` and `xid` are looked at first: on a large segment most of what a client hears
    /// is meant for others.
    pub(crate) fn parse(
        source_mac: MacAddr,
        datagram: &Udp4<'_>,
        expected: &Expected<'_>,
    ) -> Result<Reply, Reason> {
        let header = datagram.payload.first_chunk::<34>().ok_or(Reason::Malformed)?;
        let [op, _, _, _, x0, x1, x2, x3, .., m0, m1, m2, m3, m4, m5] = *header;
        if op != BOOTREPLY {
            return Err(Reason::NotAReply);
        }
        if MacAddr([m0, m1, m2, m3, m4, m5]) != expected.mac {
            return Err(Reason::OtherMachine);
        }
        let xid = expected.xid.ok_or(Reason::OtherExchange)?;
        if u32::from_be_bytes([x0, x1, x2, x3]) != xid {
            return Err(Reason::OtherExchange);
        }

        let message = Message::parse(datagram.payload).map_err(|_| Reason::Malformed)?;
        let kind = message.message_type().ok_or(Reason::Malformed)?;
        // RFC 6842: a server that sends it sends the one it got. Older ones do not send it.
        if message.options.get(code::CLIENT_ID).is_some_and(|id| id != expected.client_id) {
            return Err(Reason::OtherClientId);
        }
        let server = message.options.server_id().filter(|server| is_host(*server));
        let server = server.ok_or(Reason::NoServer)?;
        match kind {
            MessageType::Offer => match message.options.ipv6_only_preferred() {
                Some(wait) if message.yiaddr.is_unspecified() => Ok(Reply::NoAddress(wait)),
                _ => Ok(Reply::Offer(grant(source_mac, datagram, server, message)?)),
            },
            MessageType::Ack => Ok(Reply::Ack(grant(source_mac, datagram, server, message)?)),
            MessageType::Nak => {
                let message = message.options.message().map(Into::into);
                Ok(Reply::Nak(Refusal { server, message }))
            }
            _ => Err(Reason::Unexpected),
        }
    }
}

fn grant(
    source_mac: MacAddr,
    datagram: &Udp4<'_>,
    server: Ipv4Addr,
    message: Message,
) -> Result<Grant, Reason> {
    let address = message.yiaddr;
    // A mask of /0 would make the whole Internet a neighbour: as good as none.
    let prefix_len = message.options.prefix_len().filter(|len| (1..=32).contains(len));
    let bad_mask = prefix_len.is_none() && message.options.get(code::SUBNET_MASK).is_some();
    let prefix_len = prefix_len.unwrap_or_else(|| classful_prefix_len(address));
    if !is_host_in(address, prefix_len) || address == server {
        return Err(Reason::BadAddress);
    }
    let lifetime = message.options.lease_time().filter(|seconds| *seconds > 0);
    let lifetime = lifetime.ok_or(Reason::BadLeaseTime)?;
    // Only what the server itself sent, on the link, tells its MAC: else it is a relay's or a
    // router's, and the way back may be another.
    let next_hop = (*datagram.source.ip() == server
        && same_subnet(address, server, prefix_len)
        && source_mac.is_unicast())
    .then_some(source_mac);
    Ok(Grant {
        address,
        prefix_len,
        bad_mask,
        server,
        next_hop,
        lifetime,
        renewal: message.options.renewal_time(),
        rebinding: message.options.rebinding_time(),
        options: message.options,
    })
}
