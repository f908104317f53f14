//! DHCPv6 messages and options (RFC 8415, 3646, 4704, 9686).
//!
//! [`Message::parse`] takes the payload of a UDP datagram and refuses only what has no meaning at
//! all. What it returns is a view of the bytes: nothing is copied, nothing allocated, and nothing is
//! read deeper than somebody asks, one level of options at a time. A malformed option is the trouble
//! of whoever reads that option and of no other. A [`Builder`] writes messages.
//!
//! ```
//! use wire::dhcp6::{Builder, Duid, Message, MessageType, code};
//!
//! let duid = Duid::link_layer(wire::MacAddr([2, 0, 0, 0, 0, 0x42]));
//! let payload = Builder::new(MessageType::Solicit, 7)
//!     .option(code::CLIENT_ID, &duid)
//!     .nest(code::IA_NA, &[&[0; 11][..], &[1]].concat(), |ia| ia)
//!     .finish();
//!
//! let heard = Message::parse(&payload)?;
//! assert_eq!((heard.kind, heard.xid), (MessageType::Solicit, 7));
//! assert_eq!(heard.options.client_id(), Some(&duid[..]));
//! assert_eq!(heard.options.ia_na().count(), 1);
//! # Ok::<(), wire::Error>(())
//! ```

mod builder;
pub mod code;
mod described;
mod duid;
mod ia;
mod kept;
mod message;
mod options;
mod readers;
mod status;

use std::net::Ipv6Addr;

pub use builder::Builder;
pub use described::{option_name, option_value};
pub use duid::Duid;
pub use ia::{Ia, IaAddress, IaPrefix};
pub use kept::KeptOptions;
pub use message::{Message, MessageType};
pub use options::Options;
pub use readers::{Fqdn, VendorClass};
pub use status::{Status, StatusCode};

/// A lifetime, T1 or T2 without end (RFC 8415 §7.7).
pub const INFINITY: u32 = u32::MAX;

/// All_DHCP_Relay_Agents_and_Servers (RFC 8415 §7.1).
pub const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// UDP ports (RFC 8415 §7.2).
pub mod port {
    /// Where clients listen.
    pub const CLIENT: u16 = 546;
    /// Where servers and relays listen.
    pub const SERVER: u16 = 547;
}
