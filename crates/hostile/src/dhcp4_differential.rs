//! dhcproto as a witness: it reads what we write, and we read what it reads.

use arbitrary::{Arbitrary, Unstructured};
use wire::MacAddr;
use wire::dhcp4::{Message, Op, code};

#[path = "../../wire/tests/codec/oracle.rs"]
mod oracle;

/// The magic cookie's end: options follow.
const OPTIONS: usize = 240;

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    /// A message, as far as it is one.
    payload: &'a [u8],
    /// Code, data and the padding behind it.
    pieces: Vec<(u8, &'a [u8], u8)>,
    behind: Option<&'a [u8]>,
}

/// Whether these bytes are something to look at; if they are, what [the module](self) says holds.
pub fn run(bytes: &[u8]) -> bool {
    let Ok(case) = <Case<'_>>::arbitrary_take_rest(Unstructured::new(bytes)) else { return false };
    if let Ok(message) = Message::parse(case.payload) {
        // What found no room is not there.
        if Message::parse(&message.emit()).is_ok_and(|again| again == message) {
            oracle::assert_they_read(&message);
        }
    }

    let mut payload = Message::new(Op::BootReply, 9, MacAddr::BROADCAST, Default::default()).emit();
    payload.truncate(OPTIONS);
    for (option, data, padding) in &case.pieces {
        if matches!(*option, code::PAD | code::END | code::OVERLOAD) {
            continue;
        }
        let data = data.get(..255).unwrap_or(data);
        payload.extend([*option, data.len() as u8]);
        payload.extend(data);
        payload.extend(vec![code::PAD; usize::from(padding % 4)]);
    }
    if let Some(behind) = case.behind {
        payload.push(code::END);
        payload.extend(behind);
    }
    oracle::assert_we_join(&payload);
    true
}
