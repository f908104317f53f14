//! What dhcproto reads and what we read, side by side: for the tests here and for `crates/hostile`.
//!
//! Its raw view of a message is right as long as the options field is whole and no option comes
//! twice apart.

use std::collections::BTreeMap;

use dhcproto::v4::{self, borrowed};
use wire::dhcp4::{Message, Op, Options};

/// It reads what we write, as far as it fits into one message.
#[track_caller]
pub(crate) fn assert_they_read(message: &Message) {
    let emitted = message.emit();
    let theirs = borrowed::Message::new(&emitted).unwrap();
    assert_eq!(theirs.opcode() == v4::Opcode::BootRequest, message.op == Op::BootRequest);
    assert_eq!(theirs.xid(), message.xid);
    assert_eq!(theirs.secs(), message.secs);
    assert_eq!(theirs.flags().broadcast(), message.broadcast);
    assert_eq!(theirs.ciaddr(), message.ciaddr);
    assert_eq!(theirs.yiaddr(), message.yiaddr);
    assert_eq!(theirs.siaddr(), message.siaddr);
    assert_eq!(theirs.giaddr(), message.giaddr);
    assert_eq!(theirs.chaddr(), message.chaddr.0);
    let mut read: Vec<_> =
        theirs.opts().map(|option| (u8::from(option.code()), option.data().to_vec())).collect();
    // The message type comes first, the rest by code.
    if message.options.get(53).is_some() {
        assert_eq!(read.first().map(|(code, _)| *code), Some(53));
    }
    read.sort();
    let ours: Vec<_> = message.options.iter().map(|(code, data)| (code, data.to_vec())).collect();
    assert_eq!(read, ours);
}

/// We read the options of a message as it does, with the pieces of each joined. The field must be
/// whole and without overload.
#[track_caller]
pub(crate) fn assert_we_join(payload: &[u8]) {
    let mut joined: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for option in borrowed::Message::new(payload).unwrap().opts() {
        joined.entry(option.code().into()).or_default().extend(option.data());
    }
    let mut expected = Options::default();
    for (code, data) in &joined {
        expected.set(*code, data);
    }
    assert_eq!(Message::parse(payload).map(|message| message.options), Ok(expected));
}
