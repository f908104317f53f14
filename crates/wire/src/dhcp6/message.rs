//! The fixed part of a message (RFC 8415 §8).

use std::fmt;

use super::Options;
use crate::Error;

/// Message type and transaction.
pub(super) const HEADER: usize = 4;
/// What a UDP datagram can carry over IPv6 without jumbograms.
pub(super) const LONGEST: usize = 65_535 - 8;

/// What a message is for (RFC 8415 §7.3, RFC 9686 §4.2 and §4.3). Those of relays are laid out
/// otherwise and never reach a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// A client looks for servers.
    Solicit = 1,
    /// A server offers.
    Advertise = 2,
    /// A client takes an offer.
    Request = 3,
    /// A client asks whether its addresses are right for the link.
    Confirm = 4,
    /// A client asks the server of its leases to prolong them.
    Renew = 5,
    /// A client asks any server to prolong its leases.
    Rebind = 6,
    /// A server grants, refuses or informs.
    Reply = 7,
    /// A client gives leases back.
    Release = 8,
    /// A client refuses addresses because they are in use.
    Decline = 9,
    /// A server wants the client to ask anew.
    Reconfigure = 10,
    /// A client asks for configuration without leases.
    InformationRequest = 11,
    /// A client tells of an address that it made itself.
    AddrRegInform = 36,
    /// A server has taken note of it.
    AddrRegReply = 37,
}

impl TryFrom<u8> for MessageType {
    type Error = Error;

    fn try_from(value: u8) -> Result<Self, Error> {
        Ok(match value {
            1 => MessageType::Solicit,
            2 => MessageType::Advertise,
            3 => MessageType::Request,
            4 => MessageType::Confirm,
            5 => MessageType::Renew,
            6 => MessageType::Rebind,
            7 => MessageType::Reply,
            8 => MessageType::Release,
            9 => MessageType::Decline,
            10 => MessageType::Reconfigure,
            11 => MessageType::InformationRequest,
            36 => MessageType::AddrRegInform,
            37 => MessageType::AddrRegReply,
            other => return Err(Error::Dhcp6MessageType(other)),
        })
    }
}

impl From<MessageType> for u8 {
    fn from(kind: MessageType) -> u8 {
        kind as u8
    }
}

impl fmt::Display for MessageType {
    /// As the RFCs write it: `Solicit`, `Information-request`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MessageType::Solicit => "Solicit",
            MessageType::Advertise => "Advertise",
            MessageType::Request => "Request",
            MessageType::Confirm => "Confirm",
            MessageType::Renew => "Renew",
            MessageType::Rebind => "Rebind",
            MessageType::Reply => "Reply",
            MessageType::Release => "Release",
            MessageType::Decline => "Decline",
            MessageType::Reconfigure => "Reconfigure",
            MessageType::InformationRequest => "Information-request",
            MessageType::AddrRegInform => "ADDR-REG-INFORM",
            MessageType::AddrRegReply => "ADDR-REG-REPLY",
        })
    }
}

/// A message between a client and a server (RFC 8415 §8), as it stands in a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is for.
    pub kind: MessageType,
    /// Transaction, 24 bits: a reply repeats the request's.
    pub xid: u32,
    /// Its options.
    pub options: Options<'a>,
}

impl<'a> Message<'a> {
    /// Reads the payload of a UDP datagram.
    ///
    /// An option that the end cuts off is left out. What an option means is looked at by the reader
    /// of that option, so that a malformed one hides no other.
    ///
    /// # Errors
    ///
    /// The header is short, the type is none of a client or a server, or there are more bytes than
    /// a datagram can carry.
    pub fn parse(payload: &'a [u8]) -> Result<Message<'a>, Error> {
        if payload.len() > LONGEST {
            return Err(Error::DhcpLength(payload.len()));
        }
        let Some(([kind, x0, x1, x2], options)) = payload.split_first_chunk::<HEADER>() else {
            let have = payload.len();
            return Err(Error::Truncated { what: "DHCPv6 message", need: HEADER, have });
        };
        Ok(Message {
            kind: (*kind).try_into()?,
            xid: u32::from_be_bytes([0, *x0, *x1, *x2]),
            options: Options::new(options),
        })
    }
}
