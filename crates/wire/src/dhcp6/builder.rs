//! Writing messages.

use super::MessageType;
use super::message::LONGEST;
use super::options::PREFIX;

/// Writes a message, option after option in the order of the calls.
///
/// An option that no longer fits a datagram, or the option around it, is left out whole.
#[derive(Debug, Clone)]
pub struct Builder {
    bytes: Vec<u8>,
    /// How long `bytes` may become.
    limit: usize,
}

impl Builder {
    /// A message without options; of `xid` the low 24 bits.
    pub fn new(kind: MessageType, xid: u32) -> Builder {
        let [_, x0, x1, x2] = xid.to_be_bytes();
        Builder { bytes: vec![kind.into(), x0, x1, x2], limit: LONGEST }
    }

    /// Appends an option.
    #[must_use]
    pub fn option(self, code: u16, data: &[u8]) -> Builder {
        self.nest(code, data, |inner| inner)
    }

    /// Appends an option whose data is `header` and the options that `fill` appends.
    #[must_use]
    pub fn nest(
        mut self,
        code: u16,
        header: &[u8],
        fill: impl FnOnce(Builder) -> Builder,
    ) -> Builder {
        let start = self.bytes.len();
        let data = start + PREFIX;
        let longest = self.limit.min(data + usize::from(u16::MAX));
        if data + header.len() > longest {
            return self;
        }
        self.bytes.extend(code.to_be_bytes());
        self.bytes.extend([0; 2]);
        self.bytes.extend_from_slice(header);
        let mut bytes = fill(Builder { bytes: self.bytes, limit: longest }).bytes;
        // Not longer than what the limit allows.
        let length = (bytes.len() - data) as u16;
        if let Some(place) = bytes.get_mut(start + 2..data) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Builder { bytes, limit: self.limit }
    }

    /// The payload of a UDP datagram.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
