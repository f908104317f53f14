//! Options as they stand in a message or in another option: code, length, data.

use std::fmt;

/// Code and length before each option's data.
pub(super) const PREFIX: usize = 4;

/// The options of a message, or those within an option, in the order in which they came: a view of
/// the bytes, which costs nothing to make or to copy.
///
/// An option may come more than once; which codes may, the reader knows ([`ia_na`](Options::ia_na)
/// gives all, [`server_id`](Options::server_id) the first). Looking one up walks over the others.
///
/// What an option means, and whether it means anything, is said by its reader, which takes a
/// malformed option for a missing one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Options<'a> {
    bytes: &'a [u8],
}

impl<'a> Options<'a> {
    /// The options in `bytes`. What does not end within them is left out, and what follows it.
    pub fn new(bytes: &'a [u8]) -> Options<'a> {
        Options { bytes }
    }

    /// The data of the first option with this code; empty for an option without data.
    pub fn get(self, code: u16) -> Option<&'a [u8]> {
        self.all(code).next()
    }

    /// The data of each option with this code.
    pub fn all(self, code: u16) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.iter().filter(move |(found, _)| *found == code).map(|(_, data)| data)
    }

    /// Code and data of each option.
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> + Clone {
        Entries(self.bytes)
    }

    /// Whether there is no whole option.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// Whether the last option ends where the bytes do: nothing was cut off.
    pub fn is_whole(self) -> bool {
        self.iter().map(|(_, data)| PREFIX + data.len()).sum::<usize>() == self.bytes.len()
    }
}

#[derive(Clone)]
struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([c0, c1, l0, l1], rest) = self.0.split_first_chunk::<PREFIX>()?;
        let length = u16::from_be_bytes([*l0, *l1]);
        let (data, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some((u16::from_be_bytes([*c0, *c1]), data))
    }
}

impl fmt::Debug for Options<'_> {
    /// Code and data in hexadecimal digits: `[(13, 0000)]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(code, data)| (code, Hex(data)))).finish()
    }
}

/// Bytes as hexadecimal digits.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
