//! A set of options in one piece of memory.

use std::fmt;

use super::{code, field};

/// Code and length before each option's data.
const PREFIX: usize = 3;

/// The options of a message, each once, whole and in the order of their codes.
///
/// It is one allocation of exactly the bytes it needs (code, length in two bytes, data), because
/// each lease keeps its options for as long as it lives. Looking one up walks over the others.
///
/// Data is kept as it came: what it means, and whether it means anything, is said by the reader of
/// the option ([`routers`](Options::routers), [`lease_time`](Options::lease_time) and so on), which
/// takes a malformed option for a missing one.
///
/// Serialised, it is a map from the code to the data in hexadecimal digits: `{"54": "c0a80001"}`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Invariant: well-formed entries with strictly ascending codes.
    bytes: Box<[u8]>,
}

impl Options {
    /// The data of an option; empty for an option without data.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.iter().find(|(found, _)| *found == code).map(|(_, data)| data)
    }

    /// Sets an option, in place of the one that was there.
    ///
    /// Pad (0), End (255) and Overload (52) say how a message is laid out and are no part of a set;
    /// data of more than 65,535 bytes fits no message. Setting these changes nothing.
    pub fn set(&mut self, code: u8, data: &[u8]) {
        if is_content(code) && data.len() <= usize::from(u16::MAX) {
            self.rebuild(code, Some(data));
        }
    }

    /// Takes an option out, if it is there.
    pub fn remove(&mut self, code: u8) {
        if self.get(code).is_some() {
            self.rebuild(code, None);
        }
    }

    /// Code and data of each option, by ascending code.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> + Clone {
        Entries(&self.bytes)
    }

    /// Whether there is no option at all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that the options take in a message, without End.
    pub(super) fn wire_len(&self) -> usize {
        self.iter().map(|(_, data)| field::wire_len(data.len())).sum()
    }

    /// Joins the pieces of each option in the order they come (RFC 3396 §7).
    ///
    /// The pieces are those of one datagram, so no option exceeds 16 bits. Whatever their number
    /// and order, it takes time in proportion to them: lengths are added up first, then each piece
    /// is copied to its place.
    pub(super) fn join<'a>(pieces: impl Iterator<Item = (u8, &'a [u8])> + Clone) -> Options {
        let pieces = pieces.filter(|(code, _)| is_content(*code));

        let mut lengths: [Option<u16>; 256] = [None; 256];
        for (code, piece) in pieces.clone() {
            if let Some(length) = lengths.get_mut(usize::from(code)) {
                *length = Some(length.unwrap_or(0).saturating_add(piece.len() as u16));
            }
        }

        let size = lengths.iter().flatten().map(|length| PREFIX + usize::from(*length)).sum();
        let mut bytes = Vec::with_capacity(size);
        let mut places = [0; 256];
        for (code, (length, place)) in lengths.iter().zip(&mut places).enumerate() {
            if let Some(length) = length {
                push_prefix(&mut bytes, code as u8, *length);
                *place = bytes.len();
                bytes.resize(bytes.len() + usize::from(*length), 0);
            }
        }

        for (code, piece) in pieces {
            if let Some(place) = places.get_mut(usize::from(code))
                && let Some(there) = bytes.get_mut(*place..*place + piece.len())
            {
                there.copy_from_slice(piece);
                *place += piece.len();
            }
        }
        Options { bytes: bytes.into_boxed_slice() }
    }

    /// Rebuilds the set without `code` or, when there is data, with this for it.
    fn rebuild(&mut self, code: u8, data: Option<&[u8]>) {
        let size = self.bytes.len() + data.map_or(0, |data| PREFIX + data.len());
        let mut bytes = Vec::with_capacity(size);
        let before = self.iter().filter(|(other, _)| *other < code);
        let after = self.iter().filter(|(other, _)| *other > code);
        for (code, data) in before.chain(data.map(|data| (code, data))).chain(after) {
            push_prefix(&mut bytes, code, data.len() as u16);
            bytes.extend_from_slice(data);
        }
        self.bytes = bytes.into_boxed_slice();
    }
}

/// Whether a code names contents rather than the layout of the message around it.
pub(super) fn is_content(code: u8) -> bool {
    !matches!(code, code::PAD | code::END | code::OVERLOAD)
}

/// Appends what stands before an option's data.
fn push_prefix(bytes: &mut Vec<u8>, code: u8, length: u16) {
    let [high, low] = length.to_be_bytes();
    bytes.extend([code, high, low]);
}

/// The entries of [`Options`].
#[derive(Clone)]
struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([code, high, low], rest) = self.0.split_first_chunk::<PREFIX>()?;
        let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        self.0 = rest;
        Some((*code, data))
    }
}

impl fmt::Debug for Options {
    /// A map as in the serialised form: `{54: c0a80001}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(code, data)| (code, Hex(data)))).finish()
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
