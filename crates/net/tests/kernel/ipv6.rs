//! Addresses and routes of IPv6.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::{IpNet, Ipv6Net};
use net::route::protocol;
use net::route6::DEFAULT_METRIC;
use net::{
    AddressFlags, Filter, Lifetime, Netlink, Netns, PacketSocket, Prolongation6, Route6, RouteKind,
    RoutePreference6, Sees, address, prolong_ipv6,
};
use wire::nd::{self, NdOption, PrefixInformation};

use crate::common::{in_fresh_netns, mac, run, veth, wire};

fn net6(text: &str) -> Ipv6Net {
    text.parse().unwrap()
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// A namespace with one link over which frames pass.
async fn one_link() -> (Netlink, u32) {
    let netlink = Netlink::here().unwrap();
    let (index, _) = wire(&netlink, "eth0", "other").await;
    (netlink, index)
}

/// The address of that link, if it is there.
async fn found(netlink: &Netlink, index: u32, address: Ipv6Net) -> Option<net::Address> {
    let listed = netlink.addresses(Some(index)).await.unwrap();
    listed.into_iter().find(|found| found.address == IpNet::V6(address))
}

#[test]
fn an_address_without_duplicate_detection_is_usable_at_once_and_brings_no_route() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let address = net6("2001:db8::5/64");
        let flags = AddressFlags::NO_DAD | AddressFlags::NO_PREFIX_ROUTE;
        let hour = Lifetime { valid: Some(7200), preferred: Some(3600) };
        netlink.replace_address_v6(index, address, hour, flags).await.unwrap();
        let seen = found(&netlink, index, address).await.unwrap();
        assert!(seen.flags.contains(flags), "{seen:?}");
        assert!(!seen.flags.contains(AddressFlags::TENTATIVE), "{seen:?}");
        assert!(!seen.flags.contains(AddressFlags::PERMANENT), "{seen:?}");
        assert_eq!((seen.scope, seen.protocol), (0, 0));
        assert!((7195..=7200).contains(&seen.lifetime.valid.unwrap()), "{seen:?}");
        assert!((3595..=3600).contains(&seen.lifetime.preferred.unwrap()), "{seen:?}");
        assert_eq!(run("ip -6 route show root 2001:db8::/32"), "");
        std::net::UdpSocket::bind((address.addr(), 0)).unwrap();

        // The preferred lifetime is over.
        let old = Lifetime { valid: Some(7200), preferred: Some(0) };
        netlink.replace_address_v6(index, address, old, flags).await.unwrap();
        let seen = found(&netlink, index, address).await.unwrap();
        assert!(seen.flags.contains(AddressFlags::DEPRECATED | flags), "{seen:?}");
        // And comes again.
        netlink.replace_address_v6(index, address, Lifetime::FOREVER, flags).await.unwrap();
        let seen = found(&netlink, index, address).await.unwrap();
        assert!(!seen.flags.contains(AddressFlags::DEPRECATED), "{seen:?}");
        assert!(seen.flags.contains(AddressFlags::PERMANENT | flags), "{seen:?}");
        assert_eq!(seen.lifetime, Lifetime::FOREVER);

        // Without the flag the renewal makes the route.
        netlink
            .replace_address_v6(index, address, Lifetime::FOREVER, AddressFlags::NO_DAD)
            .await
            .unwrap();
        let route = run("ip -6 route show root 2001:db8::/32");
        assert!(route.contains("2001:db8::/64 dev eth0 proto kernel metric 256"), "{route}");
        let seen = found(&netlink, index, address).await.unwrap();
        assert!(!seen.flags.contains(AddressFlags::NO_PREFIX_ROUTE), "{seen:?}");
        netlink.delete_address(index, address.into()).await.unwrap();
        assert_eq!(found(&netlink, index, address).await, None);
    });
}

#[test]
fn a_renewal_with_another_prefix_length_goes_to_the_same_address() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let flags = AddressFlags::NO_DAD | AddressFlags::NO_PREFIX_ROUTE;
        let (narrow, wide) = (net6("2001:db8::5/128"), net6("2001:db8::5/64"));
        netlink.replace_address_v6(index, narrow, Lifetime::FOREVER, flags).await.unwrap();
        let hour = Lifetime { valid: Some(7200), preferred: Some(3600) };
        netlink.replace_address_v6(index, wide, hour, flags).await.unwrap();
        assert_eq!(found(&netlink, index, wide).await, None);
        let seen = found(&netlink, index, narrow).await.unwrap();
        assert!(seen.lifetime.valid.unwrap() > 7190, "{seen:?}");
    });
}

#[test]
fn an_address_that_is_checked_is_tentative_first_and_failed_if_another_has_it() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let other = netlink.link("other").await.unwrap().unwrap().index;
        let [taken, free] = [net6("2001:db8::5/64"), net6("2001:db8::6/64")];
        // Not at once: neighbours answer on a link of their own only.
        netlink
            .replace_address_v6(other, taken, Lifetime::FOREVER, AddressFlags::NO_DAD)
            .await
            .unwrap();
        for address in [taken, free] {
            netlink
                .replace_address_v6(index, address, Lifetime::FOREVER, AddressFlags::NONE)
                .await
                .unwrap();
            let seen = found(&netlink, index, address).await.unwrap();
            assert!(seen.flags.contains(AddressFlags::TENTATIVE), "{seen:?}");
        }
        let tentative = async |address| {
            let seen = found(&netlink, index, address).await.unwrap();
            let failed = seen.flags.contains(AddressFlags::DAD_FAILED);
            (seen.flags.contains(AddressFlags::TENTATIVE) && !failed, failed)
        };
        for (address, failed) in [(free, false), (taken, true)] {
            loop {
                let (undecided, seen) = tentative(address).await;
                if !undecided {
                    assert_eq!(seen, failed, "{address}");
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
}

#[test]
fn who_made_an_address_is_told() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let other = netlink.link("other").await.unwrap().unwrap().index;
        let link_local = loop {
            // The kernel makes it a little after frames pass, and none on eth0, a port's end.
            if let Some(link_local) = netlink.addresses(Some(other)).await.unwrap().pop() {
                break link_local;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let protocol = address::protocol::KERNEL_LINK_LOCAL;
        assert_eq!((link_local.scope, link_local.protocol), (253, protocol));
        assert!(link_local.flags.contains(AddressFlags::PERMANENT));
        run(
            "ip addr add 2001:db8::7/64 dev eth0 mngtmpaddr noprefixroute valid_lft 600 preferred_lft 300",
        );
        let seen = found(&netlink, index, net6("2001:db8::7/64")).await.unwrap();
        let flags = AddressFlags::MANAGE_TEMPORARY | AddressFlags::NO_PREFIX_ROUTE;
        assert!(seen.flags.contains(flags), "{seen:?}");
    });
}

#[test]
fn an_address_is_refused_where_ipv6_is_off() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        run("sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1");
        let flags = AddressFlags::NO_DAD;
        let address = net6("2001:db8::5/64");
        let put = |index| netlink.replace_address_v6(index, address, Lifetime::FOREVER, flags);
        let error = put(index).await.unwrap_err();
        assert!(error.is_denied(), "{error}");
        let error = put(4711).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
        let route = Route6::via(Ipv6Net::default(), ip("fe80::1"), index, 100);
        let error = netlink.add_route_v6(&route).await.unwrap_err();
        assert!(error.is_denied(), "{error}");
    });
}

/// The routes other than those that the kernel makes.
async fn routes(netlink: &Netlink) -> Vec<Route6> {
    let mut routes = netlink.routes_v6().await.unwrap();
    routes.retain(|route| route.protocol != protocol::KERNEL);
    routes
}

#[test]
fn routes_are_added_replaced_listed_and_deleted() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let default =
            |router: &str, metric| Route6::via(Ipv6Net::default(), ip(router), index, metric);
        let first = Route6 {
            preference: RoutePreference6::High,
            lifetime: Some(1800),
            ..default("fe80::1", 1001)
        };
        netlink.add_route_v6(&first).await.unwrap();
        assert_eq!(routes(&netlink).await, std::slice::from_ref(&first));
        let shown = run("ip -6 route show default");
        assert!(shown.starts_with("default via fe80::1 dev eth0 proto ra metric 1001"), "{shown}");
        assert!(shown.contains("pref high"), "{shown}");

        // The same metric is taken, by whichever router.
        for again in [first.clone(), default("fe80::2", 1001)] {
            let error = netlink.add_route_v6(&again).await.unwrap_err();
            assert!(error.is_exists(), "{error}");
        }
        let second = Route6 {
            preference: RoutePreference6::Low,
            mtu: Some(1400),
            hop_limit: Some(32),
            ..default("fe80::2", 1002)
        };
        netlink.replace_route_v6(&second).await.unwrap();
        let third = Route6 { protocol: protocol::DHCP, ..default("fe80::3", 1003) };
        netlink.replace_route_v6(&third).await.unwrap();
        assert_eq!(routes(&netlink).await, [first.clone(), second.clone(), third.clone()]);

        // Each is replaced by itself: another router, another preference, another end.
        let first_again = Route6 {
            preference: RoutePreference6::Medium,
            lifetime: Some(60),
            ..default("fe80::9", 1001)
        };
        netlink.replace_route_v6(&first_again).await.unwrap();
        let second_again = Route6 { lifetime: Some(600), ..default("fe80::2", 1002) };
        netlink.replace_route_v6(&second_again).await.unwrap();
        let now = [first_again.clone(), second_again.clone(), third.clone()];
        assert_eq!(routes(&netlink).await, now);
        netlink.replace_route_v6(&Route6 { lifetime: None, ..first_again.clone() }).await.unwrap();
        assert_eq!(routes(&netlink).await[0].lifetime, None);

        netlink.delete_route_v6(&second_again).await.unwrap();
        assert!(netlink.delete_route_v6(&second_again).await.unwrap_err().is_not_found());
        let error = netlink.delete_route_v6(&first).await.unwrap_err();
        assert!(error.is_not_found(), "the router is another: {error}");
        netlink.delete_route_v6(&first_again).await.unwrap();
        netlink.delete_route_v6(&third).await.unwrap();
        assert_eq!(routes(&netlink).await, []);
    });
}

#[test]
fn a_prolonged_route_has_another_end_and_is_otherwise_as_it_was() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let preference = RoutePreference6::High;
        let first = Route6 { preference, lifetime: Some(600), ..behind_a_router(index) };
        netlink.prolong_route_v6(&first).await.unwrap();
        assert_eq!(routes(&netlink).await, std::slice::from_ref(&first));
        for lifetime in [Some(1800), Some(60), None, Some(600)] {
            let longer = Route6 { lifetime, ..first.clone() };
            let other = Route6 { preference: RoutePreference6::Low, ..longer.clone() };
            netlink.prolong_route_v6(&other).await.unwrap();
            // One that has no end keeps none.
            let lifetime = if lifetime == Some(600) { None } else { lifetime };
            assert_eq!(routes(&netlink).await, [Route6 { lifetime, ..longer }]);
        }
    });
}

#[test]
fn a_router_that_does_not_answer_is_passed_over() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        for (router, metric) in [("fe80::1", 1001), ("fe80::2", 1002)] {
            let route = Route6::via(Ipv6Net::default(), ip(router), index, metric);
            netlink.add_route_v6(&route).await.unwrap();
        }
        let taken = || run("ip -6 route get 2001:db8:ffff::1");
        assert!(taken().contains("via fe80::1 "), "{}", taken());
        run("ip -6 neigh replace fe80::1 lladdr 02:00:00:00:00:01 dev eth0 nud failed");
        assert!(taken().contains("via fe80::2 "), "{}", taken());
    });
}

#[test]
fn the_lowest_metric_wins_whatever_the_preference() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let address = net6("2001:db8::5/128");
        let flags = AddressFlags::NO_DAD | AddressFlags::NO_PREFIX_ROUTE;
        netlink.replace_address_v6(index, address, Lifetime::FOREVER, flags).await.unwrap();
        for (router, metric, preference) in
            [("fe80::2", 1002, RoutePreference6::High), ("fe80::1", 1001, RoutePreference6::Low)]
        {
            let route = Route6::via(Ipv6Net::default(), ip(router), index, metric);
            netlink.add_route_v6(&Route6 { preference, ..route }).await.unwrap();
        }
        let taken = || run("ip -6 route get 2001:db8:ffff::1");
        assert!(taken().contains("via fe80::1 "), "{}", taken());
        let gone = Route6::via(Ipv6Net::default(), ip("fe80::1"), index, 1001);
        netlink.delete_route_v6(&gone).await.unwrap();
        assert!(taken().contains("via fe80::2 "), "{}", taken());
        assert!(taken().contains("src 2001:db8::5"), "{}", taken());
    });
}

#[test]
fn what_is_on_the_link_and_what_is_behind_a_router_of_it() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let prefix = Route6::on_link(net6("2001:db8:1::7/64"), index, 256);
        assert_eq!(prefix.destination, net6("2001:db8:1::/64"));
        let more = Route6::via(net6("2001:db8:2::/48"), ip("fe80::1"), index, 1024);
        let host = Route6::on_link(net6("2001:db8:3::9/128"), index, 1024);
        for route in [&prefix, &more, &host] {
            netlink.replace_route_v6(route).await.unwrap();
        }
        let mut seen = routes(&netlink).await;
        seen.sort_by_key(|route| route.destination);
        assert_eq!(seen, [prefix, more, host]);

        // A router that is no link-local address must be on the link.
        let far = Route6::via(net6("2001:db8:4::/48"), ip("2001:db8:9::1"), index, 7);
        let error = netlink.add_route_v6(&far).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EHOSTUNREACH), "{error}");
        let onlink = Route6 { onlink: true, ..far };
        netlink.add_route_v6(&onlink).await.unwrap();
        assert!(routes(&netlink).await.contains(&onlink));
        let nowhere = Route6 { ifindex: Some(4711), ..onlink.clone() };
        let error = netlink.add_route_v6(&nowhere).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
        let text = "add route 2001:db8:4::/48 via 2001:db8:9::1 on link 4711 with metric 7";
        assert!(error.to_string().starts_with(text), "{error}");
        let anywhere = Route6 { ifindex: None, ..behind_a_router(index) };
        let error = netlink.add_route_v6(&anywhere).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
        run("ip link set eth0 down");
        let error = netlink.add_route_v6(&behind_a_router(index)).await.unwrap_err();
        assert!(error.is_down(), "{error}");
    });
}

fn behind_a_router(index: u32) -> Route6 {
    Route6::via(net6("2001:db8:4::/48"), ip("fe80::1"), index, 7)
}

#[test]
fn a_route_whose_lifetime_is_over_is_not_taken() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let route = Route6 { lifetime: Some(1), ..behind_a_router(index) };
        netlink.add_route_v6(&route).await.unwrap();
        assert_eq!(routes(&netlink).await, std::slice::from_ref(&route));
        // It is not taken from then on. It is there until the kernel tidies up, in half a minute.
        while leads_somewhere("2001:db8:4::1") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // In the hundredth of a second about its end it reads as if it had none.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(routes(&netlink).await, [Route6 { lifetime: Some(0), ..route.clone() }]);
        let error = netlink.add_route_v6(&route).await.unwrap_err();
        assert!(error.is_exists(), "{error}");
        netlink.replace_route_v6(&Route6 { lifetime: None, ..route }).await.unwrap();
        assert!(leads_somewhere("2001:db8:4::1"));
    });
}

/// Whether there is a route.
fn leads_somewhere(destination: &str) -> bool {
    let get = ["-6", "route", "get", destination];
    std::process::Command::new("ip").args(get).output().unwrap().status.success()
}

/// A prefix that was delegated: what nobody has of it leads nowhere.
#[test]
fn what_nobody_has_is_discarded() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let prefix = net6("2001:db8:7700::/56");
        let there = || async {
            let mut routes = netlink.routes_v6().await.unwrap();
            routes.retain(|route| route.destination == prefix);
            routes
        };
        for lifetime in [None, Some(100)] {
            let route = Route6 { lifetime, ..Route6::unreachable(prefix) };
            netlink.replace_route_v6(&route).await.unwrap();
            let [read] = &there().await[..] else { panic!("{:?}", there().await) };
            assert_eq!((read.kind, read.metric), (RouteKind::Unreachable, u32::MAX));
            assert_eq!((read.protocol, read.lifetime), (protocol::DHCP, None), "not for ever?");
        }
        assert!(!leads_somewhere("2001:db8:7700::1"));
        // Whatever else there is goes before.
        let used = Route6::on_link(net6("2001:db8:7700::/64"), index, DEFAULT_METRIC);
        netlink.add_route_v6(&used).await.unwrap();
        assert!(leads_somewhere("2001:db8:7700::1"));
        assert!(!leads_somewhere("2001:db8:7700:1::1"));
        netlink.add_route_v6(&Route6::on_link(prefix, index, DEFAULT_METRIC)).await.unwrap();
        assert!(leads_somewhere("2001:db8:7700:1::1"));
        netlink.delete_route_v6(&Route6::unreachable(prefix)).await.unwrap();
        assert!(there().await.iter().all(|route| route.kind == RouteKind::Unicast));
        let again = netlink.delete_route_v6(&Route6::unreachable(prefix)).await;
        assert!(again.unwrap_err().is_not_found());
    });
}

#[test]
fn routes_that_others_made_are_read() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        run("ip -6 addr add 2001:db8::5/64 dev eth0 nodad");
        run("ip -6 route add blackhole 2001:db8:1::/48");
        run("ip -6 route add 2001:db8:2::/48 via fe80::1 dev eth0 src 2001:db8::5");
        run(
            "ip -6 route add 2001:db8:3::/48 nexthop via fe80::3 dev eth0 nexthop via fe80::4 dev eth0",
        );
        run("ip -6 route add 2001:db8:5::/48 dev eth0 table 100");
        let routes = netlink.routes_v6().await.unwrap();
        let to = |text: &str| -> Vec<Route6> {
            routes.iter().filter(|r| r.destination == net6(text)).cloned().collect()
        };
        let [blackhole] = &to("2001:db8:1::/48")[..] else { panic!("{routes:?}") };
        assert_eq!(blackhole.kind, RouteKind::Blackhole);
        let [with_source] = &to("2001:db8:2::/48")[..] else { panic!("{routes:?}") };
        assert_eq!(
            *with_source,
            Route6 {
                destination: net6("2001:db8:2::/48"),
                gateway: Some(ip("fe80::1")),
                ifindex: Some(index),
                source: Some(ip("2001:db8::5")),
                onlink: false,
                metric: DEFAULT_METRIC,
                preference: RoutePreference6::Medium,
                protocol: protocol::BOOT,
                lifetime: None,
                mtu: None,
                hop_limit: None,
                kind: RouteKind::Unicast,
            }
        );
        let mut gateways: Vec<_> =
            to("2001:db8:3::/48").iter().map(|r| (r.gateway.unwrap(), r.ifindex)).collect();
        gateways.sort();
        assert_eq!(gateways, [(ip("fe80::3"), Some(index)), (ip("fe80::4"), Some(index))]);
        assert_eq!(to("2001:db8:5::/48"), [], "another table");
        assert!(!to("fe80::/64").is_empty() && !to("2001:db8::/64").is_empty());
    });
}

#[test]
fn addresses_and_routes_in_many_namespaces_are_prolonged_in_one_go() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (address, flags) =
            (net6("2001:db8::5/128"), AddressFlags::NO_DAD | AddressFlags::NO_PREFIX_ROUTE);
        let short = Lifetime { valid: Some(300), preferred: Some(300) };
        let longer = Lifetime { valid: Some(20_000), preferred: Some(10_000) };
        let (mut inside, mut wanted) = (Vec::new(), Vec::new());
        for name in ["a", "b", "c"] {
            let netns = Netns::create().unwrap();
            let (_, ifindex) =
                netlink.create_veth(&veth(name, "eth0", Some(&netns))).await.unwrap();
            let links = Netlink::in_netns(&netns).unwrap();
            links.replace_address_v6(ifindex, address, short, flags).await.unwrap();
            let route = Route6 { lifetime: Some(300), ..behind_a_router(ifindex) };
            links.add_route_v6(&route).await.unwrap();
            inside.push((links, ifindex));
            let (addresses, routes) =
                (vec![(address, longer, flags)], vec![Route6 { lifetime: Some(9000), ..route }]);
            wanted.push(Prolongation6 { netns, ifindex, addresses, routes });
        }
        // The second one's link is gone, and the third one has no route any more.
        wanted[1].ifindex += 1000;
        inside[2].0.delete_route_v6(&behind_a_router(inside[2].1)).await.unwrap();
        let results = prolong_ipv6(wanted).await.unwrap();
        let [Ok(()), Err(gone), Ok(())] = &results[..] else { panic!("{results:?}") };
        assert!(gone.is_not_found(), "{gone}");
        let text = "put address 2001:db8::5/128 on link 10";
        assert!(gone.to_string().starts_with(text), "{gone}");
        for ((links, ifindex), last) in inside.iter().zip([true, false, true]) {
            let seen = found(links, *ifindex, address).await.unwrap();
            assert_eq!(seen.lifetime.valid > Some(19_990), last, "{seen:?}");
            assert!(seen.flags.contains(flags), "{seen:?}");
            let lifetime = if last { Some(9000) } else { Some(300) };
            let seen = routes(links).await;
            assert_eq!(seen, [Route6 { lifetime, ..behind_a_router(*ifindex) }]);
        }
    });
}

#[test]
fn a_route_for_no_time_is_over_at_once() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let route = Route6 { lifetime: Some(0), ..behind_a_router(index) };
        netlink.replace_route_v6(&route).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!leads_somewhere("2001:db8:4::1"));
        // What is longer than can be told reads as 248 days.
        let route = Route6 { lifetime: Some(u32::MAX - 1), ..route };
        netlink.replace_route_v6(&route).await.unwrap();
        assert_eq!(routes(&netlink).await[0].lifetime, Some((i32::MAX as u32).div_ceil(100)));
        let route = Route6 { lifetime: Some(u32::MAX), ..route };
        netlink.replace_route_v6(&route).await.unwrap();
        assert_eq!(routes(&netlink).await[0].lifetime, None);
    });
}

#[test]
fn what_the_kernel_made_of_an_advertisement_is_told_apart_and_deleted() {
    in_fresh_netns(|| async {
        let (netlink, router) = one_link().await;
        let host = netlink.link("other").await.unwrap().unwrap().index;
        let socket = PacketSocket::open(router, &Filter::nothing(), Sees::Incoming).unwrap();
        let prefix = PrefixInformation {
            prefix: ip("2001:db8:7::"),
            length: 64,
            on_link: true,
            autonomous: true,
            valid: 7200,
            preferred: 3600,
        };
        let advertise = |from: &str, preference| {
            let advertisement = nd::RouterAdvertisement {
                hop_limit: 64,
                managed: false,
                other: false,
                preference,
                lifetime: 1800,
                reachable: 0,
                retransmit: 0,
            };
            let message = nd::Message::RouterAdvertisement(advertisement);
            let options = [NdOption::Prefix(prefix)];
            let (mac, all) = (mac("fe:00:00:00:00:01"), nd::ALL_NODES);
            socket.send(&nd::emit(mac, ip(from), all, &message, &options)).unwrap();
        };
        let made = loop {
            advertise("fe80::1", nd::Preference::Low);
            advertise("fe80::2", nd::Preference::High);
            let mut listed = netlink.addresses(Some(host)).await.unwrap();
            listed.retain(|found| found.flags.contains(AddressFlags::MANAGE_TEMPORARY));
            if let Some(made) = listed.pop() {
                break made;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(made.address.addr(), ip("2001:db8:7::ff:fe00:1"));
        assert_eq!(made.protocol, address::protocol::KERNEL_ROUTER_ADVERTISEMENT);

        let mut made_routes = routes(&netlink).await;
        made_routes.retain(|route| route.destination == Ipv6Net::default());
        let told: Vec<_> =
            made_routes.iter().map(|r| (r.gateway.unwrap(), r.metric, r.preference)).collect();
        let wanted = [
            (ip("fe80::1"), DEFAULT_METRIC, RoutePreference6::Low),
            (ip("fe80::2"), DEFAULT_METRIC, RoutePreference6::High),
        ];
        assert_eq!(told, wanted);
        assert!(made_routes.iter().all(|route| {
            (route.protocol, route.hop_limit) == (protocol::ROUTER_ADVERTISEMENT, Some(64))
                && (1790..=1800).contains(&route.lifetime.unwrap())
        }));
        // Each is deleted by itself.
        for (done, route) in made_routes.iter().enumerate() {
            netlink.delete_route_v6(route).await.unwrap();
            let left = routes(&netlink).await;
            assert_eq!(left, made_routes[done + 1..]);
        }
        netlink.delete_address(host, made.address).await.unwrap();
        let left = netlink.addresses(Some(host)).await.unwrap();
        assert!(left.iter().all(|found| found.scope == 253), "{left:?}");
    });
}
