//! DHCP unique identifiers (RFC 8415 §11).

use std::fmt;
use std::ops::Deref;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::options::Hex;
use crate::MacAddr;

/// DUID-LL (RFC 8415 §11.4).
const LINK_LAYER: [u8; 2] = [0, 3];
/// DUID-UUID (RFC 6355 §4).
const UUID: [u8; 2] = [0, 4];
/// Hardware type Ethernet.
const ETHERNET: [u8; 2] = [0, 1];

/// Who a client or a server is: opaque bytes to everybody else, to be compared and no more.
///
/// Serialised, it is text in hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Duid(Box<[u8]>);

impl Duid {
    /// Type and identifier; `None` unless it has 3 to 130 bytes (RFC 8415 §11.1).
    pub fn new(bytes: &[u8]) -> Option<Duid> {
        Duid::is_valid(bytes).then(|| Duid(bytes.into()))
    }

    /// DUID-LL: a MAC and nothing else (RFC 8415 §11.4).
    pub fn link_layer(mac: MacAddr) -> Duid {
        Duid([&LINK_LAYER[..], &ETHERNET, &mac.0].concat().into())
    }

    /// DUID-UUID (RFC 6355 §4).
    pub fn uuid(uuid: [u8; 16]) -> Duid {
        Duid([&UUID[..], &uuid].concat().into())
    }

    /// Whether it has two bytes of type and 1 to 128 of identifier (RFC 8415 §11.1).
    pub fn is_valid(bytes: &[u8]) -> bool {
        (3..=130).contains(&bytes.len())
    }
}

impl Deref for Duid {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Duid> for Box<[u8]> {
    fn from(duid: Duid) -> Box<[u8]> {
        duid.0
    }
}

impl fmt::Display for Duid {
    /// Hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl fmt::Debug for Duid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Duid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        from_hex(&digits)
            .and_then(|bytes| Duid::new(&bytes))
            .ok_or_else(|| D::Error::custom(format!("{digits:?} is no DUID in hexadecimal digits")))
    }
}

/// Pairs of hexadecimal digits, nothing else.
pub(super) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some((nibble(*high)? << 4 | nibble(*low)?) as u8)).collect()
}
