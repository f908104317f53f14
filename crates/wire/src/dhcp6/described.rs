//! The names of options, and what their data says, for people (the registry "DHCPv6 Option Codes" of IANA).

use std::net::Ipv6Addr;

use super::Options;
use crate::described::{Layout, Value, value};
use crate::names::plain_name;

/// Name and layout of each option that a server may send beside what it leases, by ascending code.
#[rustfmt::skip]
const KNOWN: &[(u16, &str, Layout)] = {
    use Layout::*;
    &[
        (7, "preference", Number),
        (13, "status", Opaque),
        (17, "vendor options", Opaque),
        (21, "SIP domains", PlainNames),
        (22, "SIP servers", Addresses6),
        (23, "DNS servers", Addresses6),
        (24, "search domains", PlainNames),
        (27, "NIS servers", Addresses6),
        (28, "NIS+ servers", Addresses6),
        (29, "NIS domains", PlainNames),
        (30, "NIS+ domains", PlainNames),
        (31, "SNTP servers", Addresses6),
        (32, "information refresh time", Number),
        (39, "client FQDN", Opaque),
        (41, "POSIX time zone", Text),
        (42, "time zone", Text),
        (52, "CAPWAP controllers", Addresses6),
        (NTP_SERVERS, "NTP servers", Opaque),
        (59, "boot file URL", Text),
        (60, "boot file parameters", Opaque),
        (64, "AFTR name", PlainNames),
        (82, "longest time between Solicits", Number),
        (83, "longest time between Information-requests", Number),
        (103, "captive portal", Text),
        (144, "encrypted DNS", Opaque),
        (148, "address registration", Opaque),
    ]
};

/// NTP servers (RFC 5908 §4): each a suboption.
const NTP_SERVERS: u16 = 56;
/// Of a server's address, of a multicast group's (RFC 5908 §4.1, §4.2), and of a server's name (§4.3).
const NTP_ADDRESSES: [u16; 2] = [1, 2];
const NTP_NAME: u16 = 3;

/// What the registries call an option; `None`: it is a site's own, or hardly ever seen.
pub fn option_name(code: u16) -> Option<&'static str> {
    known(code).map(|(_, name, _)| *name)
}

/// What an option's data says; `None` where it is not known how it is laid out, or it is not laid out so.
pub fn option_value(code: u16, data: &[u8]) -> Option<Value> {
    if code == NTP_SERVERS {
        let server = |(code, data): (u16, &[u8])| match code {
            NTP_NAME => plain_name(data)?.0,
            code if NTP_ADDRESSES.contains(&code) => {
                let octets: [u8; 16] = data.try_into().ok()?;
                Some(Ipv6Addr::from(octets).to_string())
            }
            _ => None,
        };
        let servers: Option<Vec<String>> = Options::new(data).iter().map(server).collect();
        return servers.filter(|servers| !servers.is_empty()).map(Value::List);
    }
    let (_, _, layout) = known(code)?;
    value(*layout, data)
}

fn known(code: u16) -> Option<&'static (u16, &'static str, Layout)> {
    let place = KNOWN.binary_search_by_key(&code, |(code, ..)| *code).ok()?;
    KNOWN.get(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(KNOWN.is_sorted_by(|(one, ..), (other, ..)| one < other));
    }
}
