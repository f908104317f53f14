//! What kind of client it is, for servers that treat kinds differently.

/// The classes that a client names to its server. One that is empty, or longer than its option may be, is not
/// sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classes {
    /// The vendor class: option 60 (RFC 2132 §9.13), in DHCPv6 option 16 (RFC 8415 §21.16), at most 255 bytes.
    pub vendor: Box<str>,
    /// The user class: option 77 (RFC 3004), in DHCPv6 option 15 (RFC 8415 §21.15), one of at most 255 bytes.
    pub user: Box<str>,
}
