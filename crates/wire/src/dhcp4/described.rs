//! The names of options, and what their data says, for people (RFC 2132 and the registry "BOOTP Vendor Extensions and
//! DHCP Options" of IANA).

use super::routes::classless_routes;
use crate::described::{Layout, Value, value};

/// Name and layout of each option that a server may send, by ascending code.
#[rustfmt::skip]
const KNOWN: &[(u8, &str, Layout)] = {
    use Layout::*;
    &[
        (1, "subnet mask", Address),
        (2, "time offset", Signed),
        (3, "routers", Addresses),
        (4, "time servers", Addresses),
        (5, "IEN 116 name servers", Addresses),
        (6, "DNS servers", Addresses),
        (7, "log servers", Addresses),
        (8, "quotes servers", Addresses),
        (9, "LPR servers", Addresses),
        (10, "Impress servers", Addresses),
        (11, "RLP servers", Addresses),
        (12, "host name", Name),
        (13, "boot file size", Number),
        (14, "merit dump file", Text),
        (15, "domain name", Name),
        (16, "swap server", Address),
        (17, "root path", Text),
        (18, "extensions path", Text),
        (19, "IP forwarding", Flag),
        (20, "source routing", Flag),
        (21, "policy filter", Pairs),
        (22, "largest reassembled datagram", Number),
        (23, "default TTL", Number),
        (24, "path MTU aging time", Number),
        (25, "path MTU plateaus", Numbers),
        (26, "interface MTU", Number),
        (27, "all subnets are local", Flag),
        (28, "broadcast address", Address),
        (29, "mask discovery", Flag),
        (30, "mask supplier", Flag),
        (31, "router discovery", Flag),
        (32, "router solicitation address", Address),
        (33, "static routes", Pairs),
        (34, "trailer encapsulation", Flag),
        (35, "ARP cache time", Number),
        (36, "IEEE 802.3 encapsulation", Flag),
        (37, "TCP default TTL", Number),
        (38, "TCP keepalive interval", Number),
        (39, "TCP keepalive garbage", Flag),
        (40, "NIS domain", Text),
        (41, "NIS servers", Addresses),
        (42, "NTP servers", Addresses),
        (43, "vendor options", Opaque),
        (44, "NetBIOS name servers", Addresses),
        (45, "NetBIOS datagram servers", Addresses),
        (46, "NetBIOS node type", Number),
        (47, "NetBIOS scope", Text),
        (48, "X font servers", Addresses),
        (49, "X display managers", Addresses),
        (51, "lease time", Number),
        (54, "server identifier", Address),
        (56, "message", Text),
        (58, "renewal time (T1)", Number),
        (59, "rebinding time (T2)", Number),
        (60, "vendor class", Text),
        (61, "client identifier", Opaque),
        (64, "NIS+ domain", Text),
        (65, "NIS+ servers", Addresses),
        (66, "TFTP server", Text),
        (67, "boot file", Text),
        (68, "Mobile IP home agents", Addresses),
        (69, "SMTP servers", Addresses),
        (70, "POP3 servers", Addresses),
        (71, "NNTP servers", Addresses),
        (72, "WWW servers", Addresses),
        (73, "finger servers", Addresses),
        (74, "IRC servers", Addresses),
        (75, "StreetTalk servers", Addresses),
        (76, "STDA servers", Addresses),
        (81, "client FQDN", Opaque),
        (82, "relay agent information", Opaque),
        (98, "UAP servers", Text),
        (100, "POSIX time zone", Text),
        (101, "time zone", Text),
        (108, "IPv6-only preferred", Number),
        (114, "captive portal", Text),
        (116, "auto-configure", Number),
        (117, "name service search order", Numbers),
        (118, "subnet selection", Address),
        (119, "search domains", CompressedNames),
        (120, "SIP servers", Opaque),
        (121, "classless routes", Opaque),
        (124, "vendor classes by enterprise", Opaque),
        (125, "vendor options by enterprise", Opaque),
        (138, "CAPWAP controllers", Addresses),
        (150, "TFTP servers", Addresses),
        (162, "encrypted DNS", Opaque),
        (209, "PXELINUX configuration file", Text),
        (210, "PXELINUX path prefix", Text),
        (211, "PXELINUX reboot time", Number),
        (212, "6rd", Opaque),
        (249, "classless routes (Microsoft)", Opaque),
        (252, "WPAD", Text),
    ]
};

/// What the registries call an option; `None`: it is a site's own, or hardly ever seen.
pub fn option_name(code: u8) -> Option<&'static str> {
    known(code).map(|(_, name, _)| *name)
}

/// What an option's data says; `None` where it is not known how it is laid out, or it is not laid out so.
pub fn option_value(code: u8, data: &[u8]) -> Option<Value> {
    if let super::code::CLASSLESS_ROUTES | super::code::CLASSLESS_ROUTES_MICROSOFT = code {
        let routes = classless_routes(data)?.into_iter().map(|route| {
            let via = match route.gateway.is_unspecified() {
                true => String::new(),
                false => format!(" via {}", route.gateway),
            };
            format!("{}/{}{via}", route.destination, route.prefix_len)
        });
        return Some(Value::List(routes.collect()));
    }
    let (_, _, layout) = known(code)?;
    value(*layout, data)
}

fn known(code: u8) -> Option<&'static (u8, &'static str, Layout)> {
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
