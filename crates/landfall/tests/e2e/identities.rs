//! Who is who on the LAN, before and after something that all containers go through.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use lab::{DhcpServer, Message};

use crate::site::{SOON, Site, until};

/// What makes a container's identity on the LAN: MAC and address.
pub(crate) type Identity = (String, Ipv4Addr);

/// That of a container on a network.
pub(crate) fn identity<S: DhcpServer>(site: &Site<S>, name: &str, network: &str) -> Identity {
    let shown = site.shown(name, network);
    (shown.mac, shown.address)
}

/// Those of several containers on a network, by their names.
pub(crate) fn identities(
    site: &Site,
    names: &[String],
    network: &str,
) -> BTreeMap<String, Identity> {
    names.iter().map(|name| (name.clone(), identity(site, name, network))).collect()
}

/// Whether a container can be told apart, by a port of its own or by its MAC: its name says so.
pub(crate) fn is_told_apart(name: &str) -> bool {
    name.starts_with("published") || name.starts_with("fixed")
}

/// Does something after which all these containers run again by themselves, and asserts that nobody has what another had.
/// Those that can be told apart have what they had, without a DISCOVER or a RELEASE. Returns who has.
pub(crate) fn all_come_back(
    site: &mut Site,
    names: &[String],
    network: &str,
    act: impl FnOnce(&mut Site),
) -> Vec<String> {
    let before = identities(site, names, network);
    let said = |site: &Site, mac: &str| {
        [Message::Discover, Message::Release].map(|kind| site.server.logged(kind, mac).len())
    };
    let said_before: BTreeMap<&String, _> =
        before.iter().map(|(name, (mac, _))| (name, said(site, mac))).collect();
    act(site);
    for name in names {
        until(&format!("{name} runs again"), SOON * 3, || {
            (site.inspect(name, "{{.State.Running}}") == "true").then_some(())
        });
    }
    let after = identities(site, names, network);
    for (name, (mac, address)) in &after {
        for (other, (its_mac, its_address)) in before.iter().filter(|(other, _)| *other != name) {
            assert!(mac != its_mac, "{name} has the MAC of {other}");
            assert!(address != its_address, "{name} has the address of {other}");
        }
    }
    let addresses: BTreeSet<Ipv4Addr> = after.values().map(|(_, address)| *address).collect();
    assert_eq!(addresses.len(), names.len());
    for name in names.iter().filter(|name| is_told_apart(name)) {
        assert_eq!(after[name], before[name], "{name} could be told apart");
        site.reached(after[name].1);
        assert_eq!(said(site, &after[name].0), said_before[name], "of {name}");
    }
    names.iter().filter(|name| before[*name] == after[*name]).cloned().collect()
}
