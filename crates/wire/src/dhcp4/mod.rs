//! DHCPv4 messages (RFC 2131) and options (RFC 2132, 3004, 3396, 3397, 3442, 4702, 8925).
//!
//! [`Message::parse`] takes the payload of a UDP datagram and refuses only what has no meaning at
//! all; a malformed option is the trouble of whoever reads that option and of no other.
//! [`Message::emit`] writes what RFC 2131 §2 lays out.
//!
//! ```
//! use wire::dhcp4::{Message, MessageType, Op, Options, code};
//!
//! let mut options = Options::default();
//! options.set(code::MESSAGE_TYPE, &[MessageType::Discover.into()]);
//! options.set(code::HOST_NAME, b"web");
//! let mac = wire::MacAddr([2, 0, 0, 0, 0, 0x42]);
//! let discover = Message { broadcast: true, ..Message::new(Op::BootRequest, 7, mac, options) };
//!
//! let payload = discover.emit();
//! let heard = Message::parse(&payload)?;
//! assert_eq!(heard, discover);
//! assert_eq!(heard.options.host_name().as_deref(), Some("web"));
//! # Ok::<(), wire::Error>(())
//! ```

pub mod code;
mod described;
mod field;
mod fqdn;
mod message;
mod options;
mod options_serde;
mod readers;
mod routes;

pub use described::{option_name, option_value};
pub use fqdn::fqdn_wish;
pub use message::{Message, MessageType, Op};
pub use options::Options;
pub use routes::ClasslessRoute;

/// UDP ports (RFC 2131 §4.1).
pub mod port {
    /// Where servers and relays listen.
    pub const SERVER: u16 = 67;
    /// Where clients listen.
    pub const CLIENT: u16 = 68;
}
