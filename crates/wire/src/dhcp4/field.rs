//! Options as they stand in a message: code, length, data, one field after the other.

use super::{Options, code};

/// The longest piece of an option: its length is one byte.
const LONGEST_PIECE: usize = 255;

/// The three fields of a message that can hold options.
pub(super) struct Fields<'a> {
    /// The options field behind the magic cookie.
    pub(super) options: &'a [u8],
    /// The boot file's name, unless overloaded.
    pub(super) file: &'a [u8],
    /// The server's name, unless overloaded.
    pub(super) sname: &'a [u8],
}

impl Fields<'_> {
    /// All options, those of the overloaded fields included, each joined from its pieces.
    ///
    /// The order is that of RFC 3396 §5: options, `file`, `sname`. Only the options field can
    /// declare an overload; option 52 inside `file` or `sname` says nothing.
    pub(super) fn gather(&self) -> Options {
        let (file, sname) = match overload(self.options) {
            1 => (self.file, &[][..]),
            2 => (&[][..], self.sname),
            3 => (self.file, self.sname),
            _ => (&[][..], &[][..]),
        };
        Options::join(Pieces(self.options).chain(Pieces(file)).chain(Pieces(sname)))
    }
}

/// Option 52 of the options field; 0 when it is missing or malformed.
fn overload(options: &[u8]) -> u8 {
    match Pieces(options).find(|(code, _)| *code == code::OVERLOAD) {
        Some((_, &[value])) => value,
        _ => 0,
    }
}

/// The options of one field, pieces of one option apart. Ends at End, at the end of the field, or
/// before an option that the field cuts off.
#[derive(Clone)]
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.0 {
                [code::PAD, rest @ ..] => self.0 = rest,
                [] | [_] | [code::END, ..] => return None,
                [code, length, rest @ ..] => {
                    let (data, rest) = rest.split_at_checked(usize::from(*length))?;
                    self.0 = rest;
                    return Some((*code, data));
                }
            }
        }
    }
}

/// Bytes that [`write()`] takes for an option of `length` bytes.
pub(super) fn wire_len(length: usize) -> usize {
    length + 2 * length.div_ceil(LONGEST_PIECE).max(1)
}

/// Writes an option, split into adjacent pieces when it is longer than 255 bytes (RFC 3396 §6).
pub(super) fn write(out: &mut Vec<u8>, code: u8, mut data: &[u8]) {
    loop {
        let (piece, rest) = data.split_at_checked(LONGEST_PIECE).unwrap_or((data, &[]));
        out.push(code);
        // Not longer than LONGEST_PIECE.
        out.push(piece.len() as u8);
        out.extend_from_slice(piece);
        if rest.is_empty() {
            return;
        }
        data = rest;
    }
}
