//! What holds for all inputs.

use proptest::prelude::*;
use wire::dhcp6::{Builder, Message, MessageType, Options};

use crate::common::{build, damage, message, pairs};
use crate::readers::read_all;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn messages_come_back_as_they_were((kind, xid, pairs) in message()) {
        let payload = build(kind, xid, &pairs);
        let read = Message::parse(&payload).unwrap();
        prop_assert_eq!((read.kind, read.xid), (kind, xid));
        prop_assert!(read.options.is_whole());
        let options: Vec<_> =
            read.options.iter().map(|(code, data)| (code, data.to_vec())).collect();
        prop_assert_eq!(options, pairs);
    }

    #[test]
    fn nested_options_come_back_as_they_were(
        outer in pairs(),
        header in prop::collection::vec(any::<u8>(), 0..30),
        inner in pairs(),
    ) {
        let message = Builder::new(MessageType::Reply, 1);
        let message = outer.iter().fold(message, |m, (code, data)| m.option(*code, data));
        let payload = message
            .nest(60_000, &header, |nested| {
                inner.iter().fold(nested, |nested, (code, data)| nested.option(*code, data))
            })
            .option(7, &[9])
            .finish();
        let options = Message::parse(&payload).unwrap().options;
        prop_assert!(options.is_whole());
        let data = options.iter().filter(|(code, _)| *code == 60_000).last().unwrap().1;
        prop_assert_eq!(&data[..header.len()], &header[..]);
        let read: Vec<_> = Options::new(&data[header.len()..])
            .iter()
            .map(|(code, data)| (code, data.to_vec()))
            .collect();
        prop_assert_eq!(read, inner);
        prop_assert_eq!(options.iter().last(), Some((7, &[9][..])));
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = Message::parse(&bytes) {
            read_all(message.options);
        }
        read_all(Options::new(&bytes));
    }

    #[test]
    fn damaged_messages_are_survived((kind, xid, pairs) in message(), damage in damage()) {
        let damaged = damage.apply(build(kind, xid, &pairs));
        if let Ok(message) = Message::parse(&damaged) {
            read_all(message.options);
        }
    }

    /// What was read can be written again, and is then read as the same.
    #[test]
    fn what_is_read_is_written_as_it_was(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let options = Options::new(&bytes);
        let message = Builder::new(MessageType::Reply, 1);
        let payload = options.iter().fold(message, |m, (code, data)| m.option(code, data)).finish();
        let again = Message::parse(&payload).unwrap().options;
        prop_assert!(again.iter().eq(options.iter()));
        if options.is_whole() {
            prop_assert_eq!(&payload[4..], &bytes[..]);
        }
    }
}
