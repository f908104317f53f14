//! Any payload of a datagram: decoded, every option read, said again, stored and loaded.

use wire::dhcp4::{Message, Options};

use crate::readers;

/// Whether these bytes are something to look at; if they are, what [the module](self) says holds.
pub fn run(payload: &[u8]) -> bool {
    let Ok(message) = Message::parse(payload) else { return false };
    readers::read_all(&message.options);

    let emitted = message.emit();
    assert!((300..=1472).contains(&emitted.len()));
    let again = Message::parse(&emitted).expect("what was emitted is a message");
    let fixed = |message: &Message| Message { options: Options::default(), ..message.clone() };
    assert_eq!(fixed(&again), fixed(&message));
    // An option may be missing for want of room, but never a part of one.
    for (code, data) in again.options.iter() {
        assert_eq!(message.options.get(code), Some(data));
    }

    let stored = serde_json::to_string(&message.options).expect("options are text");
    assert_eq!(serde_json::from_str::<Options>(&stored).ok(), Some(message.options));
    true
}
