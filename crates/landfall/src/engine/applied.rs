//! What containers get of what the LAN's servers say: the options of a network that decide about it.

use std::net::{Ipv4Addr, Ipv6Addr};

use dhcp::v4::Lease;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::options::{Given, InvalidOption, flag, host_address, invalid, name};

/// What a network's containers get of what servers say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Applied {
    /// The default router, whichever the server names.
    pub(super) gateway: Option<Ipv4Addr>,
    /// Whether there is a default route.
    pub(super) default_route: DefaultRoute,
    /// Whether the interface has the MTU that the server names (option 26).
    pub(super) mtu: bool,
    /// What becomes of what servers and routers say of DNS.
    pub(super) dns: PropagateDns,
}

/// What becomes of what servers and routers say of DNS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PropagateDns {
    /// Nothing.
    #[default]
    False,
    /// Containers ask these servers, and not the runtime's resolver.
    True,
    /// Containers ask these servers what the runtime's resolver does not answer.
    Fallback,
}

/// Whether containers have a default route through the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DefaultRoute {
    /// If there is a router.
    #[default]
    Auto,
    /// Never, neither of IPv4 nor of IPv6.
    Never,
}

impl Applied {
    /// Of a network's options. `ipv4`: whether it has IPv4.
    pub(super) fn parse<'a>(
        get: impl Fn(&'static str) -> Given<'a>,
        ipv4: bool,
    ) -> Result<Applied, InvalidOption> {
        let default_route = match get(name::DEFAULT_ROUTE) {
            None | Some((_, "auto")) => DefaultRoute::Auto,
            Some((_, "never")) => DefaultRoute::Never,
            Some((name, value)) => return Err(invalid(name, value, "auto or never")),
        };
        let gateway = match get(name::GATEWAY) {
            None => None,
            Some((name, value)) if !ipv4 => {
                let reason = "the network has no IPv4; IPv6 has the routers that say so on the LAN";
                return Err(invalid(name, value, reason));
            }
            Some((name, value)) if default_route == DefaultRoute::Never => {
                let reason =
                    "with default_route=never there is no default route: leave one of both out";
                return Err(invalid(name, value, reason));
            }
            Some((name, value)) => match host_address(value) {
                None => {
                    let reason = "the IPv4 address of a router on the LAN, without a prefix, such as 192.168.0.254";
                    return Err(invalid(name, value, reason));
                }
                router => router,
            },
        };
        let mtu = flag(get(name::PROPAGATE_MTU), false)?;
        let dns = match get(name::PROPAGATE_DNS) {
            Some((_, "fallback")) => PropagateDns::Fallback,
            given => match flag(given, false) {
                Ok(true) => PropagateDns::True,
                Ok(false) => PropagateDns::False,
                Err(InvalidOption::Value { name, value, .. }) => {
                    return Err(invalid(name, &value, "true, false or fallback"));
                }
                Err(other) => return Err(other),
            },
        };
        Ok(Applied { gateway, default_route, mtu, dns })
    }

    /// The default router of a container that has that lease.
    pub(super) fn gateway(&self, lease: &Lease) -> Option<Ipv4Addr> {
        match self.default_route {
            DefaultRoute::Never => None,
            DefaultRoute::Auto => {
                self.gateway.filter(|router| can_route(*router, lease)).or_else(|| lease.gateway())
            }
        }
    }

    /// The router that the network's user wants and that a container with that lease cannot have.
    pub(super) fn out_of_reach(&self, lease: &Lease) -> Option<Ipv4Addr> {
        self.gateway.filter(|router| !can_route(*router, lease))
    }

    /// Whether containers may have a route to there. Where they are to have no default route, none either that leads to a
    /// large part of the Internet, as 0.0.0.0/1 and 2000::/3 do in its place: to more than an old class A, or more of what
    /// is global than a registry gives a provider. All of RFC 1918 and of RFC 4193 is fine.
    pub(super) fn admits(&self, destination: IpNet) -> bool {
        let global = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
        self.has_default_route()
            || match destination {
                IpNet::V4(net) => net.prefix_len() >= 8,
                IpNet::V6(net) => {
                    net.prefix_len() >= 32 || !(global.contains(&net) || net.contains(&global))
                }
            }
    }

    /// Whether there is a default route through the network, if it has a router.
    pub(super) fn has_default_route(&self) -> bool {
        self.default_route == DefaultRoute::Auto
    }
}

/// Whether another machine in the lease's subnet can have the address.
fn can_route(router: Ipv4Addr, lease: &Lease) -> bool {
    Ipv4Net::new(lease.address, lease.prefix_len).is_ok_and(|subnet| {
        let ends = [subnet.network(), subnet.broadcast()];
        subnet.contains(&router)
            && router != lease.address
            && (subnet.prefix_len() >= 31 || !ends.contains(&router))
    })
}

#[cfg(test)]
mod tests {
    use dhcp::Instant;
    use wire::dhcp4::{Options, code};

    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

    fn parse(given: &[(&'static str, &'static str)], ipv4: bool) -> Result<Applied, InvalidOption> {
        let get = |name| given.iter().find(|(given, _)| *given == name).copied();
        Applied::parse(get, ipv4)
    }

    /// Of 10.77.1.5/16 or so, with the router.
    fn lease(prefix_len: u8) -> Lease {
        let mut options = Options::default();
        options.set(code::ROUTER, &ROUTER.octets());
        Lease {
            address: Ipv4Addr::new(10, 77, 1, 5),
            prefix_len,
            server: ROUTER,
            next_hop: None,
            start: Instant::NEVER,
            renew_at: Instant::NEVER,
            rebind_at: Instant::NEVER,
            expires_at: Instant::NEVER,
            options,
        }
    }

    #[test]
    fn the_servers_router_the_users_or_none() {
        let gateway = |given: &[_]| parse(given, true).unwrap().gateway(&lease(16));
        assert_eq!(gateway(&[]), Some(ROUTER));
        assert_eq!(gateway(&[("default_route", "auto")]), Some(ROUTER));
        let other = Ipv4Addr::new(10, 77, 0, 254);
        assert_eq!(gateway(&[("gateway", "10.77.0.254")]), Some(other));
        assert_eq!(gateway(&[("default_route", "never")]), None);
    }

    #[test]
    fn without_a_default_route_there_is_none_to_half_of_the_internet() {
        let never = parse(&[("default_route", "never")], true).unwrap();
        for (destination, admitted) in [
            ("0.0.0.0/1", false),
            ("128.0.0.0/2", false),
            ("8.0.0.0/7", false),
            ("10.0.0.0/8", true),
            ("2000::/3", false),
            ("::/1", false),
            ("2a00::/12", false),
            ("2001:db8::/32", true),
            ("fc00::/7", true),
            ("64:ff9b::/96", true),
        ] {
            let destination: IpNet = destination.parse().unwrap();
            assert_eq!(never.admits(destination), admitted, "{destination}");
            assert!(Applied::default().admits(destination));
        }
    }

    #[test]
    fn what_becomes_of_dns() {
        for (written, dns) in [
            ("true", PropagateDns::True),
            ("fallback", PropagateDns::Fallback),
            ("0", PropagateDns::False),
        ] {
            assert_eq!(parse(&[("propagate_dns", written)], true).unwrap().dns, dns, "{written}");
        }
    }

    #[test]
    fn a_router_that_is_out_of_reach() {
        for (router, prefix_len, reached) in [
            ("10.77.255.254", 16, true),
            ("10.78.0.1", 16, false),
            // Of the subnet, and no machine's.
            ("10.77.0.0", 16, false),
            ("10.77.255.255", 16, false),
            ("10.77.1.4", 31, true),
            // The container itself.
            ("10.77.1.5", 16, false),
        ] {
            let applied = parse(&[("gateway", router)], true).unwrap();
            let router: Ipv4Addr = router.parse().unwrap();
            let lease = lease(prefix_len);
            assert_eq!(applied.out_of_reach(&lease), (!reached).then_some(router), "{router}");
            assert_eq!(applied.gateway(&lease) == Some(router), reached, "{router}");
        }
    }

    #[test]
    fn what_cannot_be_taken_is_refused() {
        for (name, value) in [
            ("gateway", ""),
            ("gateway", "10.77.0.1/16"),
            ("gateway", "fe80::1"),
            ("gateway", "0.0.0.0"),
            ("gateway", "router.lan"),
            ("default_route", "none"),
            ("default_route", "false"),
            ("propagate_mtu", "1400"),
            ("propagate_dns", "10.77.0.1"),
        ] {
            let error = parse(&[(name, value)], true).unwrap_err();
            assert!(matches!(error, InvalidOption::Value { name: n, .. } if n == name), "{error}");
        }
        let gateway = ("gateway", "10.77.0.1");
        let error = parse(&[gateway], false).unwrap_err().to_string();
        assert!(error.contains("no IPv4"), "{error}");
        let error = parse(&[gateway, ("default_route", "never")], true).unwrap_err().to_string();
        assert!(error.contains("leave one of both out"), "{error}");
    }
}
