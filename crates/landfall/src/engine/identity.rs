//! What a network has its endpoints tell DHCP servers of themselves.

use serde::{Deserialize, Serialize};

use super::options::{Given, InvalidOption, flag, invalid, name};

/// The vendor class unless the network has another.
pub(super) const VENDOR_CLASS: &str = "landfall";
/// What an option holds beside a byte for the identifier's type or the class's length.
const LONGEST_TEXT: usize = 254;

/// What a network has its endpoints tell of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Identity {
    /// The text of the client identifier (option 61); none: each endpoint's MAC.
    pub(super) client_id: Option<Box<str>>,
    /// The vendor class (option 60; DHCPv6: 16).
    pub(super) vendor_class: Box<str>,
    /// The user class (option 77; DHCPv6: 15); empty: none.
    pub(super) user_class: Box<str>,
    /// Whether the server is to tell the DNS the host name (option 81 in the place of 12).
    pub(super) register_dns: bool,
    /// Where the host name comes from.
    pub(super) hostname: HostName,
}

/// Where the host name comes from that an endpoint tells, if it has none of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HostName {
    /// It is the container's.
    #[default]
    Container,
    /// None is told.
    None,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity {
            client_id: None,
            vendor_class: VENDOR_CLASS.into(),
            user_class: "".into(),
            register_dns: false,
            hostname: HostName::default(),
        }
    }
}

impl Identity {
    /// Of a network's options.
    pub(super) fn parse<'a>(
        get: impl Fn(&'static str) -> Given<'a>,
    ) -> Result<Identity, InvalidOption> {
        Ok(Identity {
            client_id: text(get(name::CLIENT_ID))?,
            vendor_class: text(get(name::VENDOR_CLASS))?.unwrap_or_else(|| VENDOR_CLASS.into()),
            user_class: text(get(name::USER_CLASS))?.unwrap_or_default(),
            register_dns: flag(get(name::REGISTER_DNS), false)?,
            hostname: match get(name::HOSTNAME) {
                None | Some((_, "container")) => HostName::Container,
                Some((_, "none")) => HostName::None,
                Some((name, value)) => return Err(invalid(name, value, "container or none")),
            },
        })
    }
}

/// A text that fits into an option of DHCP.
pub(super) fn text(option: Given<'_>) -> Result<Option<Box<str>>, InvalidOption> {
    let Some((name, value)) = option else { return Ok(None) };
    if !(1..=LONGEST_TEXT).contains(&value.len()) || value.contains(char::is_control) {
        return Err(invalid(name, value, "a text of 1 to 254 bytes"));
    }
    Ok(Some(value.into()))
}
