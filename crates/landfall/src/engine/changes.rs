//! What differs between what an endpoint had and what it has: for the log, for events and for whoever reads them.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use dhcp::ipv6::Configuration;
use dhcp::v4::Lease;
use serde::{Deserialize, Serialize};
use wire::MacAddr;
use wire::dhcp4::{code, option_name, option_value};

use super::events::Kind;
use super::ids::EndpointId;
use super::{Engine, with_prefix};

/// One thing that is another than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// What it is: `address`, `router`, or an option's name.
    pub(crate) what: String,
    /// What it was; none: it was not there.
    pub(crate) before: Option<String>,
    /// What it is now; none: it is no more.
    pub(crate) now: Option<String>,
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { what, before, now } = self;
        let shown = |value: &Option<String>| value.as_deref().unwrap_or("none").to_owned();
        write!(f, "{what} {} -> {}", shown(before), shown(now))
    }
}

/// Several, in one line.
pub(crate) fn listed(changes: &[Change]) -> String {
    changes.iter().map(Change::to_string).collect::<Vec<_>>().join("; ")
}

/// What a container sees of the difference between two leases, options that nobody heeds included.
pub(super) fn of_lease(old: &Lease, new: &Lease) -> Vec<Change> {
    // The router as it is in force, which options 121 and 249 have a say in.
    let mut changes = vec![
        change("address", Some(with_prefix(old)), Some(with_prefix(new))),
        change("router", old.gateway(), new.gateway()),
    ];
    let codes: BTreeSet<u8> = [old, new]
        .into_iter()
        .flat_map(|lease| lease.options.iter().map(|(code, _)| code))
        .collect();
    // Servers give back the host name that they were told.
    let told = [code::ROUTER, code::HOST_NAME];
    changes.extend(codes.into_iter().filter(|code| !told.contains(code)).map(|code| {
        let what = option_name(code).map_or_else(|| format!("option {code}"), str::to_owned);
        let shown = |lease: &Lease| lease.options.get(code).map(|data| in_words(code, data));
        change(&what, shown(old), shown(new))
    }));
    changes.into_iter().flatten().collect()
}

/// An option's data as people read it; what is not known, in hexadecimal digits.
fn in_words(code: u8, data: &[u8]) -> String {
    let hex = || data.iter().map(|byte| format!("{byte:02x}")).collect();
    option_value(code, data).map_or_else(hex, |value| value.to_string())
}

/// The same for IPv6: what is another than before, times aside.
pub(super) fn of_ipv6(old: &Configuration, new: &Configuration) -> Vec<Change> {
    let changes = [
        change("link-local address", old.link_local, new.link_local),
        change_of_list("addresses", old, new, |c| c.addresses.iter().map(|a| a.address).collect()),
        change_of_list("routers", old, new, |c| c.routers.iter().map(|r| r.address).collect()),
        change_of_list("routes", old, new, |c| {
            let shown =
                |r: &dhcp::ipv6::Route| format!("{}/{} via {}", r.destination, r.length, r.router);
            c.routes.iter().map(shown).collect()
        }),
        change_of_list("prefixes on the link", old, new, |c| {
            c.on_link.iter().map(|p| format!("{}/{}", p.prefix, p.length)).collect()
        }),
        change_of_list("delegated prefixes", old, new, |c| {
            c.delegated.iter().map(|p| format!("{}/{}", p.prefix, p.length)).collect()
        }),
        change_of_list("DNS servers", old, new, |c| c.dns.clone()),
        change_of_list("search domains", old, new, |c| c.search.clone()),
        change("MTU", old.mtu, new.mtu),
        change("hop limit", old.hop_limit, new.hop_limit),
    ];
    changes.into_iter().flatten().collect()
}

fn change<T: Display + PartialEq>(what: &str, old: Option<T>, new: Option<T>) -> Option<Change> {
    (old != new).then(|| Change {
        what: what.to_owned(),
        before: old.map(|old| old.to_string()),
        now: new.map(|new| new.to_string()),
    })
}

fn change_of_list<T: Display>(
    what: &str,
    old: &Configuration,
    new: &Configuration,
    list: impl Fn(&Configuration) -> Vec<T>,
) -> Option<Change> {
    let shown = |configuration| {
        let items: Vec<String> = list(configuration).iter().map(T::to_string).collect();
        (!items.is_empty()).then(|| items.join(", "))
    };
    change(what, shown(old), shown(new))
}

impl Engine {
    /// How an endpoint's lease differs from what it was.
    pub(super) fn changes_of(&self, id: &EndpointId, old: &Lease) -> Vec<Change> {
        let lease = self.segment_of(id).and_then(|(segment, mac)| segment.view(mac)?.lease);
        lease.map(|new| of_lease(old, &new)).unwrap_or_default()
    }

    /// Tells the log how a lease has changed.
    pub(super) fn log_change(&self, id: &EndpointId, mac: MacAddr, (old, new): (&Lease, &Lease)) {
        let network = self.network_of(id);
        let (address, server) = (with_prefix(new), new.server);
        tracing::info!(
            %network, endpoint = %id, %mac, %address, %server,
            "lease changed: {}", listed(&of_lease(old, new))
        );
    }

    /// The same for IPv6; followers are told as well.
    pub(super) fn log_change6(&self, id: &EndpointId, old: &Configuration) {
        let Some((segment, mac)) = self.segment_of(id) else { return };
        let Some(view) = segment.ipv6().and_then(|ipv6| ipv6.view(mac)) else { return };
        let (network, changes) = (self.network_of(id), of_ipv6(old, &view.configuration));
        tracing::info!(%network, endpoint = %id, %mac, "IPv6 changed: {}", listed(&changes));
        self.happened_with(id, Kind::Ipv6Changed, |event| {
            (event.address, event.server) = (None, None);
            event.changes = changes;
        });
    }

    /// The identifier of an endpoint's network, for the log.
    fn network_of(&self, id: &EndpointId) -> String {
        let state = self.lock();
        state.endpoints.get(id).map(|endpoint| endpoint.network.id.to_string()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use dhcp::Instant;
    use dhcp::ipv6::{Address, Origin};

    use super::super::reboot::tests::stored;
    use super::*;

    fn lease(options: &[(u8, &[u8])]) -> Lease {
        let mut lease = stored(None).lease;
        options.iter().for_each(|(code, data)| lease.options.set(*code, data));
        lease
    }

    #[test]
    fn each_thing_with_what_it_was_and_is() {
        let old =
            lease(&[(3, &[192, 168, 7, 1]), (6, &[8, 8, 8, 8]), (12, b"web"), (15, b"a.example")]);
        let new = Lease {
            prefix_len: 25,
            ..lease(&[(3, &[192, 168, 7, 2]), (6, &[8, 8, 8, 8, 9, 9, 9, 9]), (224, &[1, 0xff])])
        };
        assert_eq!(
            listed(&of_lease(&old, &new)),
            "address 192.168.7.20/24 -> 192.168.7.20/25; router 192.168.7.1 -> 192.168.7.2; \
             DNS servers 8.8.8.8 -> 8.8.8.8, 9.9.9.9; domain name a.example -> none; \
             option 224 none -> 01ff"
        );
        assert_eq!(of_lease(&old, &old), []);
    }

    #[test]
    fn times_of_ipv6_are_no_change() {
        let with = |addresses: &[&str], until| Configuration {
            addresses: addresses
                .iter()
                .map(|address| Address {
                    address: address.parse().unwrap(),
                    prefix_len: 128,
                    origin: Origin::Slaac,
                    preferred_until: until,
                    valid_until: until,
                })
                .collect(),
            ..Configuration::default()
        };
        let old = with(&["2001:db8::5"], Instant::NEVER);
        assert_eq!(of_ipv6(&old, &with(&["2001:db8::5"], Instant::BOOT)), []);
        let dns = vec![Ipv6Addr::LOCALHOST];
        let new = Configuration { dns, ..with(&["2001:db8::5", "2001:db8::6"], Instant::NEVER) };
        assert_eq!(
            listed(&of_ipv6(&old, &new)),
            "addresses 2001:db8::5 -> 2001:db8::5, 2001:db8::6; DNS servers none -> ::1"
        );
    }
}
