//! Bridges: where they lead, and what of their settings a container feels.

use std::fs;
use std::time::Duration;

use net::{BridgeInfo, Link};

use super::report::{Finding, check};
use crate::segments::is_own_link;

/// `addr_assign_type` of a link whose MAC somebody has set (NET_ADDR_SET).
const SET: &str = "3";
/// One for all network namespaces, and shown in the first alone.
const BACKLOG: &str = "/proc/sys/net/core/netdev_max_backlog";

/// What netlink does not tell of a bridge; `None` where `/sys` is another namespace's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sysfs {
    /// The bridge has a MAC of its own, and does not take its ports'.
    own_mac: Option<bool>,
    /// The bridge asks its ports for their multicast memberships.
    querier: Option<bool>,
    /// Frames that wait on one processor at most, `net.core.netdev_max_backlog`: of a broadcast to more ports than
    /// that the kernel drops the rest.
    backlog: Option<usize>,
}

impl Sysfs {
    pub(super) fn of(bridge: &Link) -> Sysfs {
        let read = |file: &str| {
            let text = fs::read_to_string(format!("/sys/class/net/{}/{file}", bridge.name)).ok()?;
            Some(text.trim().to_owned())
        };
        let mac = bridge.mac.map(|mac| mac.to_string());
        if read("ifindex") != Some(bridge.index.to_string()) || read("address") != mac {
            return Sysfs::default();
        }
        Sysfs {
            own_mac: read("addr_assign_type").map(|kind| kind == SET),
            querier: read("bridge/multicast_querier").map(|on| on != "0"),
            backlog: fs::read_to_string(BACKLOG).ok().and_then(|text| text.trim().parse().ok()),
        }
    }
}

/// How long a new port of a bridge neither learns nor forwards: twice the forward delay under
/// spanning tree (IEEE 802.1D), else not at all.
pub(super) fn settling(bridge: &Link) -> Duration {
    let delay = bridge.bridge.as_ref().filter(|b| b.stp).map_or(0, |b| b.forward_delay);
    Duration::from_millis(u64::from(delay) * 2 * 10)
}

/// Whether a port may lead to a LAN: it is neither Landfall's nor a container's. Container engines
/// call the host's end of a veth `veth…`; a virtual machine may be the router.
pub(super) fn leads_elsewhere(port: &Link) -> bool {
    let container = port.kind.as_deref() == Some("veth") && port.name.starts_with("veth");
    !is_own_link(&port.name) && !container
}

/// The bridges of a host that lead to a LAN.
pub(super) fn leading_elsewhere(links: &[Link]) -> Vec<String> {
    let leads = |bridge: &&Link| {
        links.iter().any(|port| port.master == Some(bridge.index) && leads_elsewhere(port))
    };
    let bridges = links.iter().filter(|link| link.kind.as_deref() == Some("bridge"));
    bridges.filter(leads).map(|bridge| bridge.name.clone()).collect()
}

/// The bridge of that name, or why there is none that could be used.
pub(super) fn find<'a>(links: &'a [Link], name: &str) -> Result<&'a Link, Finding> {
    let Some(link) = links.iter().find(|link| link.name == name) else {
        let make = format!(
            "`ip link add {name} type bridge; ip link set {name} up`, then make your network card \
             a port of it; `ip -br link show type bridge` lists those there are"
        );
        return Err(Finding::error(check::BRIDGE, name, "there is no such interface").advise(make));
    };
    match link.kind.as_deref() {
        Some("bridge") if link.up => Ok(link),
        Some("bridge") => Err(Finding::error(check::BRIDGE, name, "is down")
            .advise(format!("`ip link set {name} up`"))),
        kind => {
            let kind = kind.unwrap_or("plain interface");
            let make = format!(
                "Landfall needs a bridge that {name} is a port of: `ip link add br0 type bridge; \
                 ip link set {name} master br0; ip link set br0 up`"
            );
            let seen = format!("is no bridge but a {kind}");
            Err(Finding::error(check::BRIDGE, name, seen).advise(make))
        }
    }
}

/// Judges a bridge that is up. `heard`: a DHCP server answers on it.
pub(super) fn judge(bridge: &Link, links: &[Link], sysfs: Sysfs, heard: bool) -> Vec<Finding> {
    let name = bridge.name.as_str();
    let mut findings = vec![Finding::ok(check::BRIDGE, name, format!("up, MTU {}", bridge.mtu))];
    let ports: Vec<&Link> = links.iter().filter(|l| l.master == Some(bridge.index)).collect();
    findings.push(uplink(name, &ports, heard));
    let settings = bridge.bridge.clone().unwrap_or_default();
    findings.extend(settings_of(name, &settings, settling(bridge), sysfs.querier));
    if sysfs.own_mac == Some(false) {
        let seen = "the bridge takes its MAC from its ports: it changes with them, and so does \
                    the host's own lease";
        let mac = bridge.mac.map_or("MAC".to_owned(), |mac| mac.to_string());
        findings.push(
            Finding::note(check::BRIDGE_MAC, name, seen)
                .advise(format!("`ip link set {name} address {mac}`")),
        );
    }
    if let Some(backlog) = sysfs.backlog.filter(|backlog| *backlog <= ports.len()) {
        let seen = format!(
            "{} ports, and the kernel keeps {backlog} frames at a time: of broadcasts, as ARP sends them, some ports get none",
            ports.len()
        );
        let enough = ports.len() * 4;
        let advice = format!("`sysctl -w net.core.netdev_max_backlog={enough}`");
        findings.push(Finding::warning(check::PORTS, name, seen).advise(advice));
    }
    findings
}

fn uplink(name: &str, ports: &[&Link], heard: bool) -> Finding {
    let uplinks: Vec<&&Link> = ports.iter().filter(|port| leads_elsewhere(port)).collect();
    let names = |carrier: bool| -> String {
        let some = uplinks.iter().filter(|port| port.carrier == carrier);
        some.map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (with, without) = (names(true), names(false));
    if uplinks.is_empty() {
        let what = if ports.is_empty() { "it has no port" } else { "nothing but containers" };
        if heard {
            let seen = format!("{what}, and a DHCP server on this host or in one of them");
            return Finding::note(check::UPLINK, name, seen);
        }
        return Finding::warning(check::UPLINK, name, format!("{what}: it leads to no LAN"))
            .advise(format!(
                "`ip link set eth0 master {name}`, with the name of your network card"
            ));
    }
    if with.is_empty() {
        let seen = format!("no port that leads to a LAN has a carrier: {without}");
        return Finding::warning(check::UPLINK, name, seen)
            .advise(format!("look at the cable, and `ip -br link show master {name}`"));
    }
    let without =
        if without.is_empty() { without } else { format!("; without carrier: {without}") };
    Finding::ok(check::UPLINK, name, format!("leads to a LAN by {with}{without}"))
}

fn settings_of(
    name: &str,
    settings: &BridgeInfo,
    settling: Duration,
    querier: Option<bool>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !settling.is_zero() {
        let seen = format!(
            "on: a new port is silent for {}s. Landfall's own waits once, and asks for addresses \
             without delay then; a container's link waits each time it starts",
            settling.as_secs_f64()
        );
        findings.push(Finding::note(check::SPANNING_TREE, name, seen).advise(format!(
            "without loops `ip link set {name} type bridge stp_state 0`, else `forward_delay 200`"
        )));
    }
    if settings.vlan_filtering {
        findings.push(match settings.default_pvid {
            0 => Finding::warning(
                check::VLAN,
                name,
                "frames are kept apart by VLAN, and new ports are in none: they hear nothing",
            )
            .advise(format!("`ip link set {name} type bridge vlan_default_pvid VLAN`")),
            vlan => Finding::note(
                check::VLAN,
                name,
                format!("frames are kept apart by VLAN; containers are in VLAN {vlan}"),
            )
            .advise(format!("`bridge vlan show`: the uplink must have VLAN {vlan} too")),
        });
    }
    if settings.multicast_snooping && querier == Some(false) {
        findings.push(Finding::note(
            check::MULTICAST,
            name,
            "snooped, and the bridge asks nobody for memberships: IPv4 does not mind; IPv6 needs \
             another querier as soon as a switch on the LAN snoops too",
        ));
    }
    findings
}

/// A link for tests: up, with carrier.
#[cfg(test)]
pub(super) fn sample(name: &str, kind: Option<&str>) -> Link {
    Link {
        index: 1,
        name: name.to_owned(),
        kind: kind.map(str::to_owned),
        mac: Some(wire::MacAddr([2, 0, 0, 0, 0, 1])),
        mtu: 1500,
        up: true,
        carrier: true,
        operational: true,
        bridge: (kind == Some("bridge")).then(BridgeInfo::default),
        ..Link::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    fn port(name: &str, kind: Option<&str>, carrier: bool) -> Link {
        Link { index: 9, master: Some(1), carrier, ..sample(name, kind) }
    }

    fn text(findings: Vec<Finding>) -> String {
        Report::new(findings).text()
    }

    #[test]
    fn what_is_no_bridge() {
        let down = Link { up: false, ..sample("br1", Some("bridge")) };
        let links = [down, sample("eth0", None), sample("dummy0", Some("dummy"))];
        let findings = ["br0", "br1", "eth0", "dummy0"].map(|name| find(&links, name).unwrap_err());
        insta::assert_snapshot!(text(findings.into()));
    }

    #[test]
    fn where_a_bridge_leads() {
        let card = |carrier| port("eth0", None, carrier);
        let containers =
            || [port("lf-0123456789ab", Some("veth"), true), port("vethab12", Some("veth"), true)];
        let of = |ports: &[&Link], heard| uplink("br0", ports, heard);
        let [ours, docker] = &containers();
        let findings = vec![
            of(&[&card(true), ours], true),
            of(&[&card(true), &port("eth1", None, false)], true),
            of(&[&card(false), docker], false),
            of(&[ours, docker, &port("lfp-7a2c-3", Some("veth"), true)], false),
            of(&[docker], true),
            of(&[], false),
            of(&[&port("router", Some("veth"), true)], true),
        ];
        insta::assert_snapshot!(text(findings));
    }

    #[test]
    fn what_is_said_of_settings() {
        let mut bridge = sample("br0", Some("bridge"));
        let links = [port("eth0", None, true)];
        let quiet = Sysfs { own_mac: Some(true), querier: Some(false), backlog: Some(2) };
        let mut all = text(judge(&bridge, &links, quiet, true));
        bridge.bridge = Some(BridgeInfo {
            stp: true,
            forward_delay: 1500,
            vlan_filtering: true,
            default_pvid: 1,
            multicast_snooping: true,
            ..BridgeInfo::default()
        });
        let loud = Sysfs { own_mac: Some(false), backlog: Some(1), ..quiet };
        all += &text(judge(&bridge, &links, loud, true));
        bridge.bridge =
            Some(BridgeInfo { vlan_filtering: true, forward_delay: 1500, ..BridgeInfo::default() });
        all += &text(judge(&bridge, &links, Sysfs::default(), true));
        insta::assert_snapshot!(all);
    }

    #[test]
    fn which_bridges_are_looked_at() {
        let bridge = |index, name| Link { index, ..sample(name, Some("bridge")) };
        let on = |master, link| Link { master: Some(master), ..link };
        let links = [
            bridge(1, "br0"),
            bridge(2, "docker0"),
            bridge(3, "empty"),
            on(1, sample("eth0", None)),
            on(1, sample("lf-0123456789ab", Some("veth"))),
            on(2, sample("vethab12", Some("veth"))),
        ];
        assert_eq!(leading_elsewhere(&links), ["br0"]);
    }
}
