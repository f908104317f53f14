//! Parents of macvlan and ipvlan children: whether they lead anywhere.

use net::Link;

use super::report::{Finding, check};

/// Judges the parent of that name.
pub(super) fn judge(links: &[Link], name: &str) -> Finding {
    let error = |seen, advice: String| Finding::error(check::UPLINK, name, seen).advise(advice);
    match links.iter().find(|link| link.name == name) {
        None => error(
            "there is no such interface",
            "its containers have lost theirs with it: start them again when it is back".to_owned(),
        ),
        Some(link) if !link.up => error("is down", format!("`ip link set {name} up`")),
        Some(link) if !link.carrier => {
            error("has no carrier", format!("look at the cable and `ip -br link show {name}`"))
        }
        Some(link) => {
            let seen = format!("up, MTU {}: containers are its children", link.mtu);
            Finding::ok(check::UPLINK, name, seen)
        }
    }
}
