//! Messages laid out by hand, so that what decodes is not tested with what encodes.

use proptest::prelude::*;
use wire::MacAddr;
use wire::dhcp4::{Message, Op, Options};

/// The client of all handmade messages.
pub(crate) const MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x42]);

/// Offsets in a message (RFC 2131 §2).
pub(crate) const SNAME: usize = 44;
/// See [`SNAME`].
pub(crate) const FILE: usize = 108;
/// See [`SNAME`].
pub(crate) const COOKIE: usize = 236;
/// See [`SNAME`].
pub(crate) const OPTIONS: usize = 240;

/// A BOOTREPLY for [`MAC`] with `options` behind the cookie, exactly as given.
pub(crate) fn reply(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; OPTIONS];
    bytes[..4].copy_from_slice(&[2, 1, 6, 0]);
    bytes[4..8].copy_from_slice(&0x1234_5678_u32.to_be_bytes());
    bytes[16..20].copy_from_slice(&[192, 168, 0, 42]);
    bytes[28..34].copy_from_slice(&MAC.0);
    bytes[COOKIE..].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend_from_slice(options);
    bytes
}

/// The options of a reply that must decode.
pub(crate) fn options(bytes: &[u8]) -> Options {
    Message::parse(&reply(bytes)).unwrap().options
}

/// One option alone.
pub(crate) fn option(code: u8, data: &[u8]) -> Options {
    let mut options = Options::default();
    options.set(code, data);
    options
}

/// Codes that a set of options can hold.
pub(crate) fn code() -> impl Strategy<Value = u8> {
    (1..=254_u8).prop_filter("layout", |code| *code != 52)
}

/// Options that fit one message together.
pub(crate) fn fitting_options() -> impl Strategy<Value = Options> {
    let short = (code(), prop::collection::vec(any::<u8>(), 0..30));
    let long = (code(), prop::collection::vec(any::<u8>(), 200..600));
    (prop::collection::vec(short, 0..16), prop::option::of(long)).prop_map(|(short, long)| {
        let mut options = Options::default();
        for (code, data) in short.into_iter().chain(long) {
            options.set(code, &data);
        }
        options
    })
}

/// Any message with these options.
pub(crate) fn message(options: impl Strategy<Value = Options>) -> impl Strategy<Value = Message> {
    let op = prop_oneof![Just(Op::BootRequest), Just(Op::BootReply)];
    let addresses: [_; 4] = std::array::from_fn(|_| any::<std::net::Ipv4Addr>());
    (op, any::<(u32, u16, bool)>(), addresses, any::<[u8; 6]>(), options).prop_map(
        |(op, (xid, secs, broadcast), [ciaddr, yiaddr, siaddr, giaddr], mac, options)| Message {
            secs,
            broadcast,
            ciaddr,
            yiaddr,
            siaddr,
            giaddr,
            ..Message::new(op, xid, MacAddr(mac), options)
        },
    )
}

/// What may happen to bytes on their way: some are overwritten, the end is cut off, more follow.
#[derive(Debug, Clone)]
pub(crate) struct Damage {
    edits: Vec<(prop::sample::Index, u8)>,
    cut: Option<prop::sample::Index>,
    tail: Vec<u8>,
}

impl Damage {
    pub(crate) fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for (place, value) in &self.edits {
            *place.get_mut(&mut bytes) = *value;
        }
        if let Some(end) = self.cut {
            bytes.truncate(end.index(bytes.len()));
        }
        bytes.extend(&self.tail);
        bytes
    }
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let edits = prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..12);
    let cut = prop::option::of(any::<prop::sample::Index>());
    let tail = prop::collection::vec(any::<u8>(), 0..40);
    (edits, cut, tail).prop_map(|(edits, cut, tail)| Damage { edits, cut, tail })
}
