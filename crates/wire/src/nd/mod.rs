//! Neighbour and router discovery for IPv6 (RFC 4861), with the options that hosts need of
//! RFC 4191 (router preference, routes), RFC 8106 (DNS) and RFC 3971 (nonce).
//!
//! What [`Frame::parse`](crate::frame::Frame::parse) lets through is valid by RFC 4861 §6.1.1,
//! §6.1.2, §7.1.1 and §7.1.2: the hop limit is 255, so it comes from this link; the checksum is
//! right; the code is 0; no option has the length 0. An option of unknown kind or of a wrong
//! length is passed over by [`Options::iter`] and harms no other.
//!
//! ```
//! use wire::frame::{Checksum, Frame, Payload};
//! use wire::nd::{self, Message, NdOption};
//!
//! let mac = wire::MacAddr([2, 0, 0, 0, 0, 0x42]);
//! let from = "fe80::ff:fe00:42".parse()?;
//! let ask = Message::RouterSolicitation;
//! let frame = nd::emit(mac, from, nd::ALL_ROUTERS, &ask, &[NdOption::SourceMac(mac)]);
//!
//! let heard = Frame::parse(&frame, Checksum::Verify)?;
//! let Payload::Nd(heard) = heard.payload else { unreachable!() };
//! assert_eq!(heard.message, ask);
//! assert_eq!(heard.options.source_mac(), Some(mac));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod emit;
mod message;
mod options;

pub use address::{ALL_NODES, ALL_ROUTERS, solicited_node};
pub use emit::{emit, emit_to};
pub use message::{Message, Nd, NeighbourAdvertisement, Preference, RouterAdvertisement};
pub use options::{
    DnsServers, NdOption, Options, PrefixInformation, RouteInformation, SearchDomains,
};
