//! Whether containers have the addresses that the daemon says they have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use net::{AddressFlags, Link, Netlink, Netns};

use super::report::{Finding, check};

/// Where engines and people name network namespaces.
const FOLDERS: [&str; 2] = ["/run/docker/netns", "/run/netns"];

/// An endpoint that is in a container, as the daemon tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// Its name for people.
    pub(super) name: String,
    /// The host's end of its link.
    pub(super) host_link: String,
    /// Its addresses, the link-local one too.
    pub(super) addresses: Vec<IpAddr>,
}

/// What is there.
#[derive(Debug, Default)]
struct Seen {
    addresses: Vec<(IpAddr, AddressFlags)>,
    /// Whether its kernel does no IPv6 on the interface.
    ipv6_is_off: bool,
}

/// Looks into each container that can be found.
pub(super) async fn examine(links: &[Link], told: &[Told]) -> Vec<Finding> {
    let index = |name: &str| links.iter().find(|link| link.name == name).map(|link| link.index);
    let wanted: BTreeSet<u32> = told.iter().filter_map(|told| index(&told.host_link)).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut seen = BTreeMap::new();
    for path in namespaces() {
        // One that goes meanwhile has nobody in it, and one that may not be entered is not seen.
        if let Ok(found) = look(&path, &wanted).await {
            seen.extend(found);
        }
    }
    judge(told, |told| index(&told.host_link).and_then(|index| seen.get(&index)))
}

fn namespaces() -> impl Iterator<Item = PathBuf> {
    let entries = FOLDERS.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

/// What interfaces in a namespace have, by the index of their other end on the host.
async fn look(path: &Path, wanted: &BTreeSet<u32>) -> net::Result<Vec<(u32, Seen)>> {
    let netns = Netns::open(path)?;
    let inside = Netlink::in_netns(&netns)?;
    let mut found = Vec::new();
    for link in inside.links().await? {
        let Some(outer) = link.peer_index.filter(|outer| wanted.contains(outer)) else { continue };
        if link.kind.as_deref() != Some("veth") || link.peer_netnsid.is_none() {
            continue;
        }
        let addresses = inside.addresses(Some(link.index)).await?;
        let addresses = addresses.iter().map(|a| (a.address.addr(), a.flags)).collect();
        let switch = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", link.name);
        let switch = netns.run(|| fs::read_to_string(switch))?;
        let ipv6_is_off = switch.is_ok_and(|value| value.trim() == "1");
        found.push((outer, Seen { addresses, ipv6_is_off }));
    }
    Ok(found)
}

fn judge<'a>(told: &[Told], seen: impl Fn(&Told) -> Option<&'a Seen>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut right = 0;
    for told in told {
        let Some(seen) = seen(told) else { continue };
        let found = judge_one(told, seen);
        right += usize::from(found.is_none());
        findings.extend(found);
    }
    if right > 0 {
        let seen = format!("with the addresses that the daemon says they have: {right}");
        findings.insert(0, Finding::ok(check::ADDRESSES, "containers", seen));
    }
    findings
}

fn judge_one(told: &Told, seen: &Seen) -> Option<Finding> {
    let there = |address: &IpAddr| seen.addresses.iter().any(|(there, _)| there == address);
    let list = |addresses: Vec<IpAddr>| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let missing: Vec<IpAddr> =
        told.addresses.iter().filter(|address| !there(address)).copied().collect();
    let with = |flag: AddressFlags| -> Vec<IpAddr> {
        let some = seen.addresses.iter().filter(|(_, flags)| flags.contains(flag));
        some.map(|(address, _)| *address).collect()
    };
    let again = "`docker restart` it; if it comes again, the daemon's log says what failed";
    let (failed, tentative) = (with(AddressFlags::DAD_FAILED), with(AddressFlags::TENTATIVE));
    let (seen, advice) = if missing.iter().any(IpAddr::is_ipv6) && seen.ipv6_is_off {
        (
            format!("IPv6 is off on its interface, so it has not {}", list(missing)),
            "somebody has set `net.ipv6.conf.….disable_ipv6` in it after its start",
        )
    } else if !missing.is_empty() {
        (format!("it has not {}", list(missing)), again)
    } else if !failed.is_empty() {
        let what = list(failed);
        (
            format!("its kernel does not use {what}: another machine has it (`dadfailed`)"),
            "`ip -6 neigh` on another machine of the LAN tells its MAC",
        )
    } else if !tentative.is_empty() {
        let what = list(tentative);
        (format!("its kernel still looks whether anybody else has {what} (`tentative`)"), again)
    } else {
        return None;
    };
    Some(Finding::warning(check::ADDRESSES, &told.name, seen).advise(advice))
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    #[test]
    fn what_is_said_of_containers() {
        let [own, made, leased]: [IpAddr; 3] =
            ["192.0.2.5", "2001:db8::5", "2001:db8::1:5"].map(|text| text.parse().unwrap());
        let told = |name: &str| Told {
            name: name.to_owned(),
            host_link: name.to_owned(),
            addresses: vec![own, made],
        };
        let none = AddressFlags::NONE;
        let whole = || vec![(own, none), (made, none), (leased, none)];
        let flagged = |flag| Seen { addresses: vec![(own, none), (made, flag)], ..Seen::default() };
        let cases = [
            ("right", Seen { addresses: whole(), ipv6_is_off: false }),
            ("lacking", Seen { addresses: vec![(made, none)], ipv6_is_off: false }),
            ("off", Seen { addresses: vec![(own, none)], ipv6_is_off: true }),
            ("failed", flagged(AddressFlags::DAD_FAILED | AddressFlags::TENTATIVE)),
            ("looking", flagged(AddressFlags::TENTATIVE)),
        ];
        let all: Vec<Told> =
            cases.iter().map(|(name, _)| told(name)).chain([told("not seen")]).collect();
        let findings = judge(&all, |told| {
            cases.iter().find(|(name, _)| *name == told.name).map(|(_, seen)| seen)
        });
        insta::assert_snapshot!(Report::new(findings).text());
    }
}
