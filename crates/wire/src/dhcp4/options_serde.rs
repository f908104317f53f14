//! Options in text formats: a map from the code to hexadecimal digits.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Options;
use super::options::{Hex, is_content};

impl Serialize for Options {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.iter().map(|(code, data)| (code.to_string(), Hex(data).to_string())))
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OptionsVisitor)
    }
}

struct OptionsVisitor;

impl<'de> Visitor<'de> for OptionsVisitor {
    type Value = Options;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from DHCP option codes to their data in hexadecimal digits")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
        let mut options = Options::default();
        while let Some((code, digits)) = map.next_entry::<String, String>()? {
            let number = code
                .parse()
                .ok()
                .filter(|number| is_content(*number))
                .ok_or_else(|| A::Error::custom(format!("{code:?} is no DHCP option code")))?;
            let data =
                from_hex(&digits).filter(|data| data.len() <= usize::from(u16::MAX)).ok_or_else(
                    || A::Error::custom(format!("data of DHCP option {code} is not hexadecimal")),
                )?;
            options.set(number, &data);
        }
        Ok(options)
    }
}

/// Pairs of hexadecimal digits, nothing else.
fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some((nibble(*high)? << 4 | nibble(*low)?) as u8)).collect()
}
