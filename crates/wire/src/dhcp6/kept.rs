//! Options that outlive the message in which they came.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Options;
use super::duid::from_hex;
use super::options::{Hex, PREFIX};

/// Some options of a message, as they stood in it, in one piece of memory of exactly their size.
///
/// Serialised, it is text in hexadecimal digits.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeptOptions(Box<[u8]>);

impl KeptOptions {
    /// Those of `options` that `wanted` says, as many as find room in so many bytes: one that does not is left out whole.
    pub fn new(options: Options<'_>, room: usize, wanted: impl Fn(u16) -> bool) -> KeptOptions {
        let mut bytes = Vec::new();
        for (code, data) in options.iter().filter(|(code, _)| wanted(*code)) {
            // It has come with such a length.
            let length = data.len() as u16;
            if bytes.len() + PREFIX + data.len() <= room {
                bytes.extend(code.to_be_bytes());
                bytes.extend(length.to_be_bytes());
                bytes.extend_from_slice(data);
            }
        }
        KeptOptions(bytes.into())
    }

    /// The options, to be read.
    pub fn options(&self) -> Options<'_> {
        Options::new(&self.0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for KeptOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.options(), f)
    }
}

impl Serialize for KeptOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for KeptOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let bytes = from_hex(&digits)
            .ok_or_else(|| D::Error::custom("DHCPv6 options that are not in hexadecimal digits"))?;
        Ok(KeptOptions(bytes.into()))
    }
}
