//! Addresses and routes.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use net::address::prolong_addresses;
use net::route::{MAIN_TABLE, protocol, scope};
use net::{Lifetime, Netlink, Netns, Prolongation, Route, RouteKind};

use crate::common::{in_fresh_netns, run, veth};

fn net4(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

/// A namespace with one link that is up.
async fn one_link() -> (Netlink, u32) {
    let netlink = Netlink::here().unwrap();
    let (index, _) = netlink.create_veth(&veth("eth0", "other", None)).await.unwrap();
    (netlink, index)
}

#[test]
fn an_address_gets_and_renews_its_lifetime() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let address: IpNet = "10.77.3.4/16".parse().unwrap();
        let hour = Lifetime { valid: Some(7200), preferred: Some(3600) };
        let broadcast = Some(Ipv4Addr::new(10, 77, 255, 255));
        netlink.replace_address(index, address, hour, broadcast).await.unwrap();

        let [found] = &netlink.addresses(Some(index)).await.unwrap()[..] else { panic!() };
        assert_eq!((found.ifindex, found.address), (index, address));
        assert_eq!((found.scope, found.broadcast), (0, broadcast));
        // It runs from now on.
        assert!((7195..=7200).contains(&found.lifetime.valid.unwrap()), "{found:?}");
        assert!((3595..=3600).contains(&found.lifetime.preferred.unwrap()), "{found:?}");
        let shown = run("ip addr show eth0");
        assert!(shown.contains("brd 10.77.255.255 scope global dynamic eth0"), "{shown}");

        let longer = Lifetime { valid: Some(20_000), preferred: Some(10_000) };
        netlink.replace_address(index, address, longer, broadcast).await.unwrap();
        let [found] = &netlink.addresses(Some(index)).await.unwrap()[..] else { panic!() };
        assert!(found.lifetime.valid.unwrap() > 19_990, "{found:?}");

        netlink.replace_address(index, address, Lifetime::FOREVER, broadcast).await.unwrap();
        let [found] = &netlink.addresses(Some(index)).await.unwrap()[..] else { panic!() };
        assert_eq!(found.lifetime, Lifetime::FOREVER);

        netlink.delete_address(index, address).await.unwrap();
        assert_eq!(netlink.addresses(Some(index)).await.unwrap(), []);
        assert!(netlink.delete_address(index, address).await.unwrap_err().is_not_found());
    });
}

#[test]
fn addresses_in_many_namespaces_are_prolonged_in_one_go() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let address: IpNet = "10.77.3.4/16".parse().unwrap();
        let short = Lifetime { valid: Some(300), preferred: Some(300) };
        let longer = Lifetime { valid: Some(20_000), preferred: Some(10_000) };
        let (mut inside, mut wanted) = (Vec::new(), Vec::new());
        for name in ["a", "b", "c"] {
            let netns = Netns::create().unwrap();
            let veth = veth(name, "eth0", Some(&netns));
            let (_, ifindex) = netlink.create_veth(&veth).await.unwrap();
            let links = Netlink::in_netns(&netns).unwrap();
            links.replace_address(ifindex, address, short, None).await.unwrap();
            inside.push((links, ifindex));
            wanted.push(Prolongation { netns, ifindex, address, lifetime: longer });
        }
        // The second one's link is gone, and the third one has no address any more.
        wanted[1].ifindex += 1000;
        inside[2].0.delete_address(inside[2].1, address).await.unwrap();
        let file = std::env::current_exe().unwrap();
        wanted.push(Prolongation { netns: Netns::open(&file).unwrap(), ..wanted[0].clone() });

        let namespaces: Vec<u64> = wanted.iter().map(|one| one.netns.inode().unwrap()).collect();
        let results = prolong_addresses(wanted).await.unwrap();
        let [Ok(()), Err(gone), Ok(()), Err(no_namespace)] = &results[..] else {
            panic!("{results:?}")
        };
        assert!(gone.is_not_found(), "{gone}");
        assert_eq!(no_namespace.raw_os_error(), Some(22), "EINVAL: {no_namespace}");
        let mut left = Vec::new();
        for (links, ifindex) in &inside {
            let found = links.addresses(Some(*ifindex)).await.unwrap();
            left.push(found.first().and_then(|found| found.lifetime.valid));
        }
        let [Some(first), Some(second), Some(third)] = left[..] else { panic!("{left:?}") };
        assert!(first > 19_990 && second <= 300 && third > 19_990, "{left:?}");

        // Nobody has stayed there.
        for task in std::fs::read_dir("/proc/self/task").unwrap() {
            // A thread that has just ended has no namespace.
            let Ok(netns) = Netns::open(&task.unwrap().path().join("ns/net")) else { continue };
            assert!(!namespaces.contains(&netns.inode().unwrap()));
        }
    });
}

#[test]
fn the_kernel_removes_an_address_at_the_end_of_its_lifetime() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let second = Lifetime { valid: Some(1), preferred: Some(1) };
        netlink.replace_address(index, "10.0.0.2/24".parse().unwrap(), second, None).await.unwrap();
        while !netlink.addresses(Some(index)).await.unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn addresses_of_all_links_and_families_are_listed() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        for address in ["10.0.0.2/32", "192.168.5.6/24", "fd00::5/64"] {
            let address = address.parse().unwrap();
            netlink.replace_address(index, address, Lifetime::FOREVER, None).await.unwrap();
        }
        let of_link = netlink.addresses(Some(index)).await.unwrap();
        let mut texts: Vec<_> = of_link.iter().map(|a| a.address.to_string()).collect();
        texts.sort();
        assert_eq!(texts, ["10.0.0.2/32", "192.168.5.6/24", "fd00::5/64"]);
        assert!(of_link.iter().all(|a| a.broadcast.is_none()));
        let all = netlink.addresses(None).await.unwrap();
        let loopback: IpNet = "127.0.0.1/8".parse().unwrap();
        assert!(all.iter().any(|a| a.ifindex == 1 && a.address == loopback && a.scope == 254));
        assert!(of_link.iter().all(|a| all.contains(a)));
    });
}

#[test]
fn an_address_with_another_prefix_length_is_a_second_one() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        for address in ["10.0.0.2/24", "10.0.0.2/16"] {
            let address = address.parse().unwrap();
            netlink.replace_address(index, address, Lifetime::FOREVER, None).await.unwrap();
        }
        assert_eq!(netlink.addresses(Some(index)).await.unwrap().len(), 2);
    });
}

#[test]
fn lifetimes_that_make_no_sense_are_refused() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let address = "10.0.0.2/24".parse().unwrap();
        for (valid, preferred) in [(Some(0), Some(0)), (Some(10), Some(20)), (Some(10), None)] {
            let lifetime = Lifetime { valid, preferred };
            let error = netlink.replace_address(index, address, lifetime, None).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(22), "EINVAL: {error}");
        }
        let lifetime = Lifetime::FOREVER;
        let error = netlink.replace_address(4711, address, lifetime, None).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert!(error.to_string().contains("10.0.0.2/24 on link 4711"), "{error}");
    });
}

#[test]
fn routes_are_added_replaced_listed_and_deleted() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        let address = "10.77.3.4/16".parse().unwrap();
        netlink.replace_address(index, address, Lifetime::FOREVER, None).await.unwrap();
        let listed = || async { netlink.routes_v4().await.unwrap() };
        let kernels = Route {
            source: Some(Ipv4Addr::new(10, 77, 3, 4)),
            protocol: protocol::KERNEL,
            ..Route::on_link(net4("10.77.0.0/16"), index)
        };
        assert_eq!(
            listed().await,
            std::slice::from_ref(&kernels),
            "the kernel's own route, not the local table"
        );

        let gateway = Ipv4Addr::new(10, 77, 0, 1);
        let default = Route::via(Ipv4Net::default(), gateway, index);
        netlink.add_route(&default).await.unwrap();
        assert!(listed().await.contains(&default));
        assert!(run("ip route").contains("default via 10.77.0.1 dev eth0 proto dhcp"));
        let again = netlink.add_route(&default).await.unwrap_err();
        assert!(again.is_exists(), "{again}");
        assert!(again.to_string().contains("0.0.0.0/0 via 10.77.0.1"), "{again}");

        let other = Route::via(Ipv4Net::default(), Ipv4Addr::new(10, 77, 0, 2), index);
        netlink.replace_route(&other).await.unwrap();
        assert!(listed().await.contains(&other) && !listed().await.contains(&default));

        let costly = Route { metric: Some(500), ..default.clone() };
        netlink.add_route(&costly).await.unwrap();
        assert!(listed().await.contains(&costly) && listed().await.contains(&other));

        netlink.delete_route(&costly).await.unwrap();
        netlink.delete_route(&other).await.unwrap();
        assert_eq!(listed().await, [kernels]);
        assert!(netlink.delete_route(&other).await.unwrap_err().is_not_found());
    });
}

#[test]
fn a_router_outside_the_subnet_needs_a_route_to_it_or_onlink() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        // What some clouds lease: a /32, and a router that is not in it.
        let address = "198.51.100.7/32".parse().unwrap();
        netlink.replace_address(index, address, Lifetime::FOREVER, None).await.unwrap();
        let router = Ipv4Addr::new(192, 0, 2, 1);
        let default = Route::via(Ipv4Net::default(), router, index);
        let error = netlink.add_route(&default).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(101), "ENETUNREACH: {error}");

        let onlink = Route { onlink: true, ..default.clone() };
        netlink.add_route(&onlink).await.unwrap();
        assert_eq!(netlink.routes_v4().await.unwrap(), std::slice::from_ref(&onlink));
        netlink.delete_route(&onlink).await.unwrap();

        netlink.add_route(&Route::on_link(net4("192.0.2.1/32"), index)).await.unwrap();
        netlink.add_route(&default).await.unwrap();
        assert_eq!(netlink.routes_v4().await.unwrap().len(), 2);
    });
}

#[test]
fn routes_that_others_made_are_read() {
    in_fresh_netns(|| async {
        let (netlink, index) = one_link().await;
        run("ip addr add 10.0.0.2/24 dev eth0");
        run("ip route add blackhole 10.1.0.0/16");
        run("ip route add 10.2.0.0/16 via 10.0.0.1 dev eth0 src 10.0.0.2 metric 7");
        run("ip route add 10.3.0.0/16 nexthop via 10.0.0.3 dev eth0 nexthop via 10.0.0.4 dev eth0");
        run("ip route add 10.4.0.0/16 via inet6 fe80::1 dev eth0");
        run("ip route add 10.5.0.0/16 dev eth0 table 100");
        let routes = netlink.routes_v4().await.unwrap();
        let to = |text: &str| -> Vec<Route> {
            routes.iter().filter(|r| r.destination == net4(text)).cloned().collect()
        };
        let [blackhole] = &to("10.1.0.0/16")[..] else { panic!("{routes:?}") };
        assert_eq!((blackhole.kind, blackhole.ifindex), (RouteKind::Blackhole, None));
        let [with_source] = &to("10.2.0.0/16")[..] else { panic!("{routes:?}") };
        assert_eq!(
            *with_source,
            Route {
                destination: net4("10.2.0.0/16"),
                gateway: Some(Ipv4Addr::new(10, 0, 0, 1)),
                ifindex: Some(index),
                source: Some(Ipv4Addr::new(10, 0, 0, 2)),
                onlink: false,
                scope: scope::UNIVERSE,
                protocol: protocol::BOOT,
                metric: Some(7),
                table: MAIN_TABLE,
                kind: RouteKind::Unicast,
            }
        );
        let gateways: Vec<_> =
            to("10.3.0.0/16").iter().map(|r| (r.gateway.unwrap().octets()[3], r.ifindex)).collect();
        assert_eq!(gateways, [(3, Some(index)), (4, Some(index))]);
        assert_eq!(to("10.4.0.0/16"), [], "its gateway is IPv6");
        assert_eq!(to("10.5.0.0/16"), [], "another table");
    });
}
