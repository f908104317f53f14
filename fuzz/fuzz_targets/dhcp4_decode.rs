//! Any payload of a datagram: decoded, every option read, said again, stored and loaded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::dhcp4::{Message, Options};

#[path = "../../crates/wire/tests/codec/readers.rs"]
mod readers;

fuzz_target!(|payload: &[u8]| {
    let Ok(message) = Message::parse(payload) else { return };
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
});
