//! The fixed part of a message (RFC 2131 §2).

use std::fmt;
use std::net::Ipv4Addr;

use super::field::{self, Fields};
use super::{Options, code};
use crate::frame::{IPV4_HEADER, UDP_HEADER, UDP_LONGEST};
use crate::{Error, MacAddr};

/// `op` to the end of `chaddr`'s first six bytes.
const HEADER: usize = 34;
/// The rest of `chaddr`, which holds 16 bytes for the sake of longer hardware addresses.
const CHADDR_PADDING: usize = 10;
/// `sname`: a server's name, or options when overloaded.
const SNAME: usize = 64;
/// `file`: a boot file's name, or options when overloaded.
const FILE: usize = 128;
/// First four bytes of the options field.
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Everything before the options.
const FIXED: usize = HEADER + CHADDR_PADDING + SNAME + FILE + COOKIE.len();

/// BOOTP's length (RFC 951 §3): relays and servers exist that drop anything shorter.
const SHORTEST: usize = 300;
/// What fits an Ethernet frame behind an IPv4 and a UDP header without options.
const LONGEST: usize = 1500 - IPV4_HEADER - UDP_HEADER;

/// Ethernet's hardware type.
const HTYPE_ETHERNET: u8 = 1;
/// Length of an Ethernet address.
const HLEN_ETHERNET: u8 = 6;
/// BROADCAST, the only bit of `flags` with a meaning.
const FLAG_BROADCAST: u16 = 0x8000;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// From a client.
    BootRequest,
    /// From a server.
    BootReply,
}

/// What a message is for (RFC 2132 §9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// A client looks for servers.
    Discover = 1,
    /// A server offers an address.
    Offer = 2,
    /// A client takes an offer, or renews, rebinds or verifies a lease.
    Request = 3,
    /// A client refuses an address because it is in use.
    Decline = 4,
    /// A server grants.
    Ack = 5,
    /// A server refuses.
    Nak = 6,
    /// A client gives its lease back.
    Release = 7,
    /// A client that has an address asks for the other options.
    Inform = 8,
}

impl TryFrom<u8> for MessageType {
    type Error = Error;

    fn try_from(value: u8) -> Result<Self, Error> {
        Ok(match value {
            1 => MessageType::Discover,
            2 => MessageType::Offer,
            3 => MessageType::Request,
            4 => MessageType::Decline,
            5 => MessageType::Ack,
            6 => MessageType::Nak,
            7 => MessageType::Release,
            8 => MessageType::Inform,
            other => return Err(Error::DhcpMessageType(other)),
        })
    }
}

impl From<MessageType> for u8 {
    fn from(kind: MessageType) -> u8 {
        kind as u8
    }
}

impl fmt::Display for MessageType {
    /// As the RFCs write it behind `DHCP`: `DISCOVER`, `ACK`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MessageType::Discover => "DISCOVER",
            MessageType::Offer => "OFFER",
            MessageType::Request => "REQUEST",
            MessageType::Decline => "DECLINE",
            MessageType::Ack => "ACK",
            MessageType::Nak => "NAK",
            MessageType::Release => "RELEASE",
            MessageType::Inform => "INFORM",
        })
    }
}

/// A DHCP message (RFC 2131 §2). `hops` is 0; `sname` and `file` carry options or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Request or reply.
    pub op: Op,
    /// Transaction: a reply repeats the request's.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// The client cannot take unicast IP yet; servers are to broadcast (RFC 2131 §4.1).
    pub broadcast: bool,
    /// The client's address, when it has one and answers ARP for it.
    pub ciaddr: Ipv4Addr,
    /// The address given.
    pub yiaddr: Ipv4Addr,
    /// The next server of a boot, not the DHCP server: that is option 54.
    pub siaddr: Ipv4Addr,
    /// The relay between, else `0.0.0.0`.
    pub giaddr: Ipv4Addr,
    /// The client's MAC.
    pub chaddr: MacAddr,
    /// All options, those of overloaded fields included.
    pub options: Options,
}

impl Message {
    /// A message with all addresses `0.0.0.0`, `secs` 0 and no broadcast flag.
    pub fn new(op: Op, xid: u32, chaddr: MacAddr, options: Options) -> Message {
        Message {
            op,
            xid,
            secs: 0,
            broadcast: false,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr,
            options,
        }
    }

    /// Reads the payload of a UDP datagram.
    ///
    /// Repeated options are joined (RFC 3396), overloaded fields read (RFC 2132 §9.3), an option
    /// cut off by the end of its field left out. What an option means is looked at by the reader
    /// of that option, so that a malformed one hides no other.
    ///
    /// # Errors
    ///
    /// The fixed part is short, not of an Ethernet client, or without the magic cookie.
    pub fn parse(payload: &[u8]) -> Result<Message, Error> {
        let truncated =
            || Error::Truncated { what: "DHCP message", need: FIXED, have: payload.len() };
        if payload.len() > UDP_LONGEST {
            return Err(Error::DhcpLength(payload.len()));
        }
        let (header, rest) = payload.split_first_chunk::<HEADER>().ok_or_else(truncated)?;
        let (_, rest) = rest.split_first_chunk::<CHADDR_PADDING>().ok_or_else(truncated)?;
        let (sname, rest) = rest.split_first_chunk::<SNAME>().ok_or_else(truncated)?;
        let (file, rest) = rest.split_first_chunk::<FILE>().ok_or_else(truncated)?;
        let (cookie, options) = rest.split_first_chunk::<4>().ok_or_else(truncated)?;

        // Destructuring lays the header out once, checked by the compiler.
        #[rustfmt::skip]
        let [
            op, htype, hlen, _hops,
            x0, x1, x2, x3,
            s0, s1, f0, f1,
            c0, c1, c2, c3,
            y0, y1, y2, y3,
            n0, n1, n2, n3,
            g0, g1, g2, g3,
            mac @ ..
        ] = *header;

        let op = match op {
            1 => Op::BootRequest,
            2 => Op::BootReply,
            other => return Err(Error::DhcpOp(other)),
        };
        if (htype, hlen) != (HTYPE_ETHERNET, HLEN_ETHERNET) {
            return Err(Error::DhcpHardware { htype, hlen });
        }
        if *cookie != COOKIE {
            return Err(Error::DhcpCookie(u32::from_be_bytes(*cookie)));
        }
        Ok(Message {
            op,
            xid: u32::from_be_bytes([x0, x1, x2, x3]),
            secs: u16::from_be_bytes([s0, s1]),
            broadcast: u16::from_be_bytes([f0, f1]) & FLAG_BROADCAST != 0,
            ciaddr: Ipv4Addr::new(c0, c1, c2, c3),
            yiaddr: Ipv4Addr::new(y0, y1, y2, y3),
            siaddr: Ipv4Addr::new(n0, n1, n2, n3),
            giaddr: Ipv4Addr::new(g0, g1, g2, g3),
            chaddr: MacAddr(mac),
            options: Fields { options, file, sname }.gather(),
        })
    }

    /// Writes the payload of a UDP datagram: 300 to 1472 bytes.
    ///
    /// The message type comes first, the other options by code; one longer than 255 bytes is split
    /// (RFC 3396 §6). An option that no longer fits the MTU of Ethernet is left out whole.
    pub fn emit(&self) -> Vec<u8> {
        let mut out =
            Vec::with_capacity((FIXED + self.options.wire_len() + 1).clamp(SHORTEST, LONGEST));
        out.push(match self.op {
            Op::BootRequest => 1,
            Op::BootReply => 2,
        });
        out.extend([HTYPE_ETHERNET, HLEN_ETHERNET, 0]);
        out.extend(self.xid.to_be_bytes());
        out.extend(self.secs.to_be_bytes());
        out.extend(if self.broadcast { FLAG_BROADCAST } else { 0 }.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend(address.octets());
        }
        out.extend(self.chaddr.0);
        out.extend([0; CHADDR_PADDING + SNAME + FILE]);
        out.extend(COOKIE);

        let first = self.options.iter().filter(|(code, _)| *code == code::MESSAGE_TYPE);
        let others = self.options.iter().filter(|(code, _)| *code != code::MESSAGE_TYPE);
        for (code, data) in first.chain(others) {
            if out.len() + field::wire_len(data.len()) < LONGEST {
                field::write(&mut out, code, data);
            }
        }
        out.push(code::END);
        if out.len() < SHORTEST {
            out.resize(SHORTEST, code::PAD);
        }
        out
    }

    /// Option 53; `None` when it is missing (BOOTP) or of no message of RFC 2131.
    pub fn message_type(&self) -> Option<MessageType> {
        self.options.message_type()
    }
}
