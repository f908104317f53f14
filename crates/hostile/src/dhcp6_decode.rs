//! Any payload of a datagram: decoded, every option read, and written again as it was.

use wire::dhcp6::{Builder, Message, Options};

#[path = "../../wire/tests/codec6/readers.rs"]
mod readers;

/// Whether these bytes are something to look at; if they are, what [the module](self) says holds.
pub fn run(payload: &[u8]) -> bool {
    readers::read_all(Options::new(payload));
    let Ok(message) = Message::parse(payload) else { return false };
    readers::read_all(message.options);

    let copy = Builder::new(message.kind, message.xid);
    let copy = message.options.iter().fold(copy, |copy, (code, data)| copy.option(code, data));
    let emitted = copy.finish();
    let again = Message::parse(&emitted).expect("what was emitted is a message");
    assert!(again.options.is_whole() && again.options.iter().eq(message.options.iter()));
    if message.options.is_whole() {
        assert_eq!(emitted, payload);
    }
    true
}
