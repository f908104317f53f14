//! Options of both DHCPs as people read them: a name, and what the data says.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::names::{name, plain_list, search_list, without_trailing_nuls};

/// What an option's data says. In JSON it is a boolean, a number, a string or a list of strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A number; where it is a time, in seconds.
    Number(i64),
    /// An address, a name, or words: printable ASCII.
    Text(String),
    /// Addresses, names, routes or numbers, in the server's order.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Flag(true) => f.write_str("yes"),
            Value::Flag(false) => f.write_str("no"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::List(items) => f.write_str(&items.join(", ")),
        }
    }
}

/// How an option's data is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One byte, 0 or 1.
    Flag,
    /// A number of one, two or four bytes.
    Number,
    /// A number of four bytes with a sign.
    Signed,
    /// Numbers of two bytes.
    Numbers,
    /// One address of IPv4.
    Address,
    /// Addresses of IPv4.
    Addresses,
    /// Pairs of IPv4 addresses: a destination and its router, or an address and a mask.
    Pairs,
    /// Addresses of IPv6.
    Addresses6,
    /// Printable ASCII.
    Text,
    /// A host or domain name as text.
    Name,
    /// Domain names, compressed as in DNS (RFC 3397).
    CompressedNames,
    /// Domain names without compression (RFC 8415 §10).
    PlainNames,
    /// Something that only its own reader knows, or nobody here.
    Opaque,
}

/// What data says that is laid out so; `None`: it is not laid out so, or only its own reader knows.
pub(crate) fn value(layout: Layout, data: &[u8]) -> Option<Value> {
    let list = |items: Vec<String>| (!items.is_empty()).then_some(Value::List(items));
    match layout {
        Layout::Flag => match data {
            [0] => Some(Value::Flag(false)),
            [1] => Some(Value::Flag(true)),
            _ => None,
        },
        Layout::Number => match data {
            [one] => Some(Value::Number((*one).into())),
            [a, b] => Some(Value::Number(u16::from_be_bytes([*a, *b]).into())),
            [a, b, c, d] => Some(Value::Number(u32::from_be_bytes([*a, *b, *c, *d]).into())),
            _ => None,
        },
        Layout::Signed => {
            data.try_into().ok().map(|data| Value::Number(i32::from_be_bytes(data).into()))
        }
        Layout::Numbers => {
            list(pieces(data, |piece: [u8; 2]| u16::from_be_bytes(piece).to_string())?)
        }
        Layout::Address => {
            let octets: [u8; 4] = data.try_into().ok()?;
            Some(Value::Text(Ipv4Addr::from(octets).to_string()))
        }
        Layout::Addresses => {
            list(pieces(data, |piece: [u8; 4]| Ipv4Addr::from(piece).to_string())?)
        }
        Layout::Pairs => list(pieces(data, |[a, b, c, d, e, f, g, h]: [u8; 8]| {
            format!("{} {}", Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h))
        })?),
        Layout::Addresses6 => {
            list(pieces(data, |piece: [u8; 16]| Ipv6Addr::from(piece).to_string())?)
        }
        Layout::Text => text(data),
        Layout::Name => name(data).map(Value::Text),
        Layout::CompressedNames => list(search_list(data)?),
        Layout::PlainNames => list(plain_list(data)?),
        Layout::Opaque => None,
    }
}

/// Each piece of `N` bytes; `None` where something is left over.
fn pieces<const N: usize>(data: &[u8], show: impl Fn([u8; N]) -> String) -> Option<Vec<String>> {
    let (pieces, []) = data.as_chunks::<N>() else { return None };
    Some(pieces.iter().map(|piece| show(*piece)).collect())
}

/// Words. Some servers end them with NUL or, where they name a file for browsers (option 252), with a line break.
fn text(data: &[u8]) -> Option<Value> {
    let data = without_trailing_nuls(data).trim_ascii_end();
    let printable = !data.is_empty() && data.iter().all(|byte| matches!(byte, b' '..=b'~'));
    printable.then(|| Value::Text(String::from_utf8_lossy(data).into_owned()))
}
