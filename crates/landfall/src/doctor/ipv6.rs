//! IPv6 on a LAN: who routes, who leases, and whether both say the same.

use std::path::Path;
use std::time::Duration;

use super::probe6::{Heard6, Router, Server};
use super::report::{Finding, check};

/// Whether this kernel has IPv6. `wanted`: a network of the daemon's wants it.
pub(super) fn examine_kernel(wanted: bool) -> Finding {
    judge_kernel(Path::new("/proc/sys/net/ipv6").exists(), wanted)
}

fn judge_kernel(there: bool, wanted: bool) -> Finding {
    let subject = "this host";
    if there {
        return Finding::ok(check::IPV6, subject, "the kernel has it");
    }
    let seen = "the kernel has none, or it was switched off at boot (`ipv6.disable=1`)";
    if wanted {
        Finding::error(check::IPV6, subject, format!("{seen}: networks with `ipv6` need it"))
            .advise("boot without it, or make the networks with `-o ipv6=false`")
    } else {
        Finding::note(check::IPV6, subject, seen)
    }
}

/// Judges what was heard on a bridge within `wait`. `wanted`: a network of the daemon's on it wants IPv6.
pub(super) fn judge(bridge: &str, heard: &Heard6, wanted: bool, wait: Duration) -> Vec<Finding> {
    let findings = [
        Some(routers(bridge, heard, wanted, wait)),
        addresses(bridge, heard, wanted),
        servers(bridge, heard, wait),
    ];
    findings.into_iter().flatten().collect()
}

fn routers(bridge: &str, heard: &Heard6, wanted: bool, wait: Duration) -> Finding {
    let seconds = wait.as_secs_f64();
    let described: Vec<String> = heard.routers.iter().map(describe_router).collect();
    match heard.routers.as_slice() {
        [] => {
            let seen = format!("no router answered a solicitation within {seconds}s");
            if !wanted {
                return Finding::note(check::IPV6_ROUTER, bridge, seen);
            }
            Finding::warning(check::IPV6_ROUTER, bridge, seen).advise(format!(
                "does it advertise itself (radvd, `dnsmasq --enable-ra`)? Does a switch with RA \
                 guard, or ip6tables on bridged frames, keep it out? `tcpdump -eni {bridge} icmp6` \
                 shows what passes"
            ))
        }
        several if several.iter().all(|router| router.lifetime == 0) => {
            let seen = format!("nobody is a default router: {}", described.join("; "));
            // Hubs of smart homes are routers to what is behind them.
            let finding = if wanted { Finding::warning } else { Finding::note };
            finding(check::IPV6_ROUTER, bridge, seen)
                .advise("nothing beyond the LAN is reached by IPv6: is the router's uplink down?")
        }
        [_] => Finding::ok(check::IPV6_ROUTER, bridge, described.join("; ")),
        _ => {
            let seen = format!("{} routers: {}", heard.routers.len(), described.join("; "));
            Finding::note(check::IPV6_ROUTER, bridge, seen).advise(
                "containers take addresses from all of them: are all of them yours? Wi-Fi routers \
                 and shared phones advertise themselves as well",
            )
        }
    }
}

/// What gives a host no address of all that routers say.
fn addresses(bridge: &str, heard: &Heard6, wanted: bool) -> Option<Finding> {
    let gives = |router: &Router| {
        router.managed
            || router.prefixes.iter().any(|(prefix, made)| *made && prefix.prefix_len() == 64)
    };
    let none = !heard.routers.is_empty() && !heard.routers.iter().any(gives);
    (none && wanted && heard.servers.is_empty()).then(|| {
        let seen = "routers speak of no addresses: no prefix of 64 bits to make them of (A), no \
                    server that leases them (M)";
        Finding::warning(check::IPV6_ROUTER, bridge, seen)
            .advise("`AdvAutonomous on` or `AdvManagedFlag on` in radvd")
    })
}

fn servers(bridge: &str, heard: &Heard6, wait: Duration) -> Option<Finding> {
    let seconds = wait.as_secs_f64();
    let managed = heard.routers.iter().find(|router| router.managed);
    let described: Vec<String> = heard.servers.iter().map(describe_server).collect();
    let refusing = heard.servers.iter().all(|server| server.offer.is_err());
    Some(match (heard.servers.as_slice(), managed) {
        ([], None) => return None,
        ([], Some(router)) => {
            let seen = format!(
                "{} says that addresses are leased (M), and no server answered a Solicit within \
                 {seconds}s",
                router.address
            );
            Finding::warning(check::DHCPV6_SERVER, bridge, seen).advise(format!(
                "does it run, has it free addresses? `tcpdump -eni {bridge} port 546 or port 547` \
                 shows what passes; without one, switch the router's M flag off"
            ))
        }
        (_, Some(_)) if refusing => {
            Finding::warning(check::DHCPV6_SERVER, bridge, described.join("; "))
                .advise("has it free addresses, and some for clients that it does not know?")
        }
        ([_], _) => Finding::ok(check::DHCPV6_SERVER, bridge, described.join("; ")),
        _ => {
            let seen = format!("{} servers: {}", heard.servers.len(), described.join("; "));
            Finding::note(check::DHCPV6_SERVER, bridge, seen).advise(
                "a client takes the one with the highest preference: are all of them yours?",
            )
        }
    })
}

fn describe_router(router: &Router) -> String {
    let Router { address, mac, lifetime, managed, other, prefixes } = router;
    let flags = match (managed, other) {
        (true, _) => ", addresses by DHCPv6 (M)",
        (false, true) => ", DNS by DHCPv6 (O)",
        (false, false) => "",
    };
    let prefix = |(prefix, made): &(ipnet::Ipv6Net, bool)| {
        format!("{prefix}{}", if *made { " for addresses (A)" } else { "" })
    };
    let prefixes: Vec<String> = prefixes.iter().map(prefix).collect();
    let prefixes = match prefixes.as_slice() {
        [] => ", no prefix".to_owned(),
        some => format!(", {}", some.join(", ")),
    };
    format!("{address} ({mac}) for {lifetime}s{flags}{prefixes}")
}

fn describe_server(Server { duid, mac, offer }: &Server) -> String {
    match offer {
        Ok(address) => format!("{duid} ({mac}) offers {address}"),
        Err(status) => format!("{duid} ({mac}) offers nothing: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use wire::MacAddr;
    use wire::dhcp6::StatusCode;

    use super::super::report::Report;
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    fn router(last: u16) -> Router {
        Router {
            address: std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last),
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            lifetime: 1800,
            managed: false,
            other: false,
            prefixes: vec![("2001:db8:7::/64".parse().unwrap(), true)],
        }
    }

    fn server(duid: &str, offer: Result<&str, StatusCode>) -> Server {
        let offer = offer.map(|address| address.parse().unwrap());
        Server { duid: duid.to_owned(), mac: MacAddr([2, 0, 0, 0, 0, 5]), offer }
    }

    fn text(findings: Vec<Finding>) -> String {
        Report::new(findings).text()
    }

    #[test]
    fn what_is_said_of_the_kernel() {
        let all = [(true, true), (false, true), (false, false)];
        insta::assert_snapshot!(text(
            all.map(|(there, wanted)| judge_kernel(there, wanted)).into()
        ));
    }

    #[test]
    fn what_is_said_of_routers_and_servers() {
        let of = |routers: &[Router], servers: &[Server], wanted| {
            let heard = Heard6 { routers: routers.into(), servers: servers.into() };
            text(judge("br0", &heard, wanted, WAIT)) + "\n"
        };
        let managed = Router { managed: true, prefixes: vec![], ..router(1) };
        let bare = Router { other: true, prefixes: vec![], ..router(1) };
        let lan = ("2001:db8:7::/48".parse().unwrap(), true);
        let wide = Router { prefixes: vec![lan], ..router(1) };
        let leaving = Router { lifetime: 0, ..router(1) };
        let leases = server("0001", Ok("2001:db8:7::1:5"));
        let empty = server("0002", Err(StatusCode::NoAddrsAvail));
        let mut all = of(&[], &[], false) + &of(&[], &[], true);
        all += &of(&[router(1)], &[], true);
        all += &of(&[router(1), router(2)], &[], true);
        all += &of(&[leaving], &[], true);
        all += &of(&[bare], &[], true);
        all += &of(&[wide], &[], true);
        all += &of(std::slice::from_ref(&managed), &[], true);
        all += &of(std::slice::from_ref(&managed), std::slice::from_ref(&leases), true);
        all += &of(&[managed], std::slice::from_ref(&empty), true);
        all += &of(&[], &[leases, empty], true);
        insta::assert_snapshot!(all);
    }
}
