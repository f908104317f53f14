//! DHCP servers: one is right, none is no LAN, several are a lottery.

use std::time::Duration;

use net::PortState;

use super::probe::Heard;
use super::report::{Finding, check};
use crate::upstream::Offer;

/// Judges what was heard on a bridge within `wait`.
pub(super) fn judge(bridge: &str, heard: &Heard, wait: Duration) -> Finding {
    let seconds = wait.as_secs_f64();
    match heard.offers.as_slice() {
        [] if heard.past_firewall == Some(true) => {
            let seen = "a server answers the host, and not its containers";
            Finding::error(check::DHCP_SERVER, bridge, seen).advise("see the firewall above")
        }
        [] if heard.held_back.is_some() => {
            let state = heard.held_back.map(state).unwrap_or_default();
            let seen = format!("nothing heard: spanning tree keeps a new port {state}");
            Finding::error(check::DHCP_SERVER, bridge, seen)
                .advise(format!("is there a loop? `bridge link show`, `ip -d link show {bridge}`"))
        }
        [] => match heard.foreign {
            Some(foreign) => Finding::error(check::DHCP_SERVER, bridge, foreign.seen(bridge))
                .advise(foreign.advice()),
            None => {
                let seen = format!("no DHCP server answered a DISCOVER within {seconds}s");
                Finding::error(check::DHCP_SERVER, bridge, seen).advise(format!(
                    "does it run, has it free addresses, does it serve MACs that it does not know, is \
                     {bridge} on its VLAN? `tcpdump -eni {bridge} port 67 or port 68` shows what passes"
                ))
            }
        },
        [one] => Finding::ok(check::DHCP_SERVER, bridge, describe(one)),
        several => {
            let servers: Vec<String> = several.iter().map(describe).collect();
            let seen = format!("{} servers answered: {}", several.len(), servers.join("; "));
            Finding::warning(check::DHCP_SERVER, bridge, seen).advise(
                "a client takes whichever is first: switch all but one off, unless they share \
                 one pool (failover). Routers, Wi-Fi access points and libvirt bring their own; \
                 option 54 (server identifier) and the MAC tell which is which",
            )
        }
    }
}

fn describe(offer: &Offer) -> String {
    let Offer { server, mac, address, prefix, router, lease } = offer;
    let prefix = prefix.map(|length| format!("/{length}")).unwrap_or_default();
    let router = router.map_or("no router".to_owned(), |router| format!("router {router}"));
    let lease = match lease {
        None => "without a lease time".to_owned(),
        Some(u32::MAX) => "for ever".to_owned(),
        Some(seconds) => format!("for {seconds}s"),
    };
    format!("{server} ({mac}) offers {address}{prefix}, {router}, {lease}")
}

fn state(state: PortState) -> &'static str {
    match state {
        PortState::Disabled => "disabled",
        PortState::Listening => "listening",
        PortState::Learning => "learning",
        PortState::Blocking => "blocking",
        PortState::Forwarding => "forwarding",
    }
}

#[cfg(test)]
mod tests {
    use wire::MacAddr;

    use super::super::report::Report;
    use super::*;
    use crate::upstream::{Foreign, sample};

    #[test]
    fn what_is_said_of_servers() {
        let one = sample();
        let other = Offer {
            server: [10, 77, 0, 9].into(),
            prefix: None,
            router: None,
            lease: Some(u32::MAX),
            ..one.clone()
        };
        let wait = Duration::from_secs(5);
        let silence = Heard::default();
        let mut findings = vec![
            judge("br0", &Heard { offers: vec![one.clone()], ..silence.clone() }, wait),
            judge("br0", &Heard { offers: vec![one, other], ..silence.clone() }, wait),
            judge("br0", &silence, wait),
            judge("br0", &Heard { past_firewall: Some(false), ..silence.clone() }, wait),
            judge("br0", &Heard { past_firewall: Some(true), ..silence.clone() }, wait),
            judge("br0", &Heard { held_back: Some(PortState::Blocking), ..silence.clone() }, wait),
        ];
        let (own, server) = (MacAddr([2, 0, 0, 0, 0, 1]), [10, 77, 0, 1].into());
        let foreign = [
            Foreign::Dropped { own, neighbour: server },
            Foreign::Unserved { own, server },
            Foreign::Unclear { own, server },
        ];
        let foreign = foreign.map(|foreign| {
            judge("br0", &Heard { foreign: Some(foreign), ..silence.clone() }, wait)
        });
        findings.extend(foreign);
        insta::assert_snapshot!(Report::new(findings).text());
    }
}
