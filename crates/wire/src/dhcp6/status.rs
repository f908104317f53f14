//! How it went (RFC 8415 §21.13).

use std::fmt;

use super::{Options, code};

/// Longest words of a server that go into a log.
const LONGEST_MESSAGE: usize = 255;

/// A status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusCode {
    /// 0; also where there is no status.
    Success,
    /// 1: it did not work, for no reason that has a code.
    UnspecFail,
    /// 2: no address is left.
    NoAddrsAvail,
    /// 3: the server does not know the lease.
    NoBinding,
    /// 4: the addresses are not right for the link.
    NotOnLink,
    /// 5: what came by unicast is to come by multicast.
    UseMulticast,
    /// 6: no prefix is left.
    NoPrefixAvail,
    /// Any other.
    Other(u16),
}

impl From<u16> for StatusCode {
    fn from(value: u16) -> StatusCode {
        match value {
            0 => StatusCode::Success,
            1 => StatusCode::UnspecFail,
            2 => StatusCode::NoAddrsAvail,
            3 => StatusCode::NoBinding,
            4 => StatusCode::NotOnLink,
            5 => StatusCode::UseMulticast,
            6 => StatusCode::NoPrefixAvail,
            other => StatusCode::Other(other),
        }
    }
}

impl From<StatusCode> for u16 {
    fn from(code: StatusCode) -> u16 {
        match code {
            StatusCode::Success => 0,
            StatusCode::UnspecFail => 1,
            StatusCode::NoAddrsAvail => 2,
            StatusCode::NoBinding => 3,
            StatusCode::NotOnLink => 4,
            StatusCode::UseMulticast => 5,
            StatusCode::NoPrefixAvail => 6,
            StatusCode::Other(other) => other,
        }
    }
}

impl fmt::Display for StatusCode {
    /// As the RFC writes it: `NoBinding`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StatusCode::Success => "Success",
            StatusCode::UnspecFail => "UnspecFail",
            StatusCode::NoAddrsAvail => "NoAddrsAvail",
            StatusCode::NoBinding => "NoBinding",
            StatusCode::NotOnLink => "NotOnLink",
            StatusCode::UseMulticast => "UseMulticast",
            StatusCode::NoPrefixAvail => "NoPrefixAvail",
            StatusCode::Other(other) => return write!(f, "status {other}"),
        })
    }
}

/// A status code with the server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// The code.
    pub code: StatusCode,
    /// The words, as they came.
    pub text: &'a [u8],
}

impl Status<'_> {
    /// The words, fit for a log: at most 255 characters, with `?` for all that is not printable
    /// ASCII; `None` when there are none.
    pub fn message(&self) -> Option<Box<str>> {
        let printable =
            |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
        let text: String = self.text.iter().take(LONGEST_MESSAGE).map(printable).collect();
        (!text.is_empty()).then(|| text.into())
    }
}

impl<'a> Options<'a> {
    /// The status (option 13); `Success` where there is none.
    pub fn status(self) -> Status<'a> {
        self.get(code::STATUS_CODE)
            .and_then(|data| data.split_first_chunk::<2>())
            .map(|(code, text)| Status { code: u16::from_be_bytes(*code).into(), text })
            .unwrap_or(Status { code: StatusCode::Success, text: &[] })
    }
}
