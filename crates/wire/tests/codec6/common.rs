//! Messages laid out by hand, and damage.

use proptest::prelude::*;
use wire::dhcp6::{Builder, MessageType};

pub(crate) const KINDS: [MessageType; 13] = [
    MessageType::Solicit,
    MessageType::Advertise,
    MessageType::Request,
    MessageType::Confirm,
    MessageType::Renew,
    MessageType::Rebind,
    MessageType::Reply,
    MessageType::Release,
    MessageType::Decline,
    MessageType::Reconfigure,
    MessageType::InformationRequest,
    MessageType::AddrRegInform,
    MessageType::AddrRegReply,
];

/// One option as it stands in a message.
pub(crate) fn option(code: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&code.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
}

/// A Reply with these options, exactly as given.
pub(crate) fn reply(options: &[u8]) -> Vec<u8> {
    [&[7, 0x12, 0x34, 0x56][..], options].concat()
}

/// Options: code and data.
pub(crate) type Pairs = Vec<(u16, Vec<u8>)>;

pub(crate) fn pairs() -> impl Strategy<Value = Pairs> {
    let known = prop_oneof![0..40u16, 80..84u16, Just(148), any::<u16>()];
    prop::collection::vec((known, prop::collection::vec(any::<u8>(), 0..60)), 0..20)
}

/// Any message: its type, its transaction and its options.
pub(crate) fn message() -> impl Strategy<Value = (MessageType, u32, Pairs)> {
    (prop::sample::select(&KINDS[..]), 0..1u32 << 24, pairs())
}

pub(crate) fn build(kind: MessageType, xid: u32, pairs: &Pairs) -> Vec<u8> {
    let message = Builder::new(kind, xid);
    pairs.iter().fold(message, |message, (code, data)| message.option(*code, data)).finish()
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
