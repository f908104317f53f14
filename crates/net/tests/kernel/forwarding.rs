//! Forwarding entries of bridges, and neighbours.

use net::{FdbEntry, FdbKind, Filter, Lifetime, LinkWatch, Netlink};

use crate::common::{
    Station, Udp, arp_request, bridge, frame, in_fresh_netns, mac, operational, run,
};

#[test]
fn an_entry_leads_to_the_port_it_was_set_to_until_the_address_speaks_elsewhere() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let a = Station::on(bridge, "a", "02:00:00:00:00:0a").await;
        let b = Station::on(bridge, "b", "02:00:00:00:00:0b").await;
        let guest = mac("02:00:00:00:00:42");
        let entry = || async {
            let found = netlink.fdb(bridge).await.unwrap();
            found.into_iter().find(|entry| entry.mac == guest).map(|e| (e.ifindex, e.kind))
        };
        assert_eq!(entry().await, None);

        netlink.fdb_replace(guest, a.port, FdbKind::Dynamic).await.unwrap();
        assert_eq!(entry().await, Some((a.port, FdbKind::Dynamic)));
        let shown = run("bridge fdb show br br0");
        assert!(shown.contains("02:00:00:00:00:42 dev a master br0"), "{shown}");
        assert!(!shown.contains("02:00:00:00:00:42 dev a master br0 permanent"), "{shown}");
        netlink.fdb_replace(guest, b.port, FdbKind::Dynamic).await.unwrap();
        assert_eq!(entry().await, Some((b.port, FdbKind::Dynamic)));

        // It is like a learnt one: the first frame from the guest moves it.
        let (from_a, at_b) = (a.socket(&Filter::nothing()), b.socket(&Filter::dhcp4_replies()));
        let to_all = wire::MacAddr::BROADCAST;
        from_a.send(&Udp::like_offer(guest, to_all).bytes()).unwrap();
        frame(&at_b).await;
        assert_eq!(entry().await, Some((a.port, FdbKind::Dynamic)));

        netlink.fdb_delete(guest, a.port).await.unwrap();
        assert_eq!(entry().await, None);
        let error = netlink.fdb_delete(guest, a.port).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert!(error.to_string().contains("02:00:00:00:00:42"), "{error}");
    });
}

#[test]
fn a_static_entry_outlives_a_dynamic_one_and_moves_as_well() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let a = Station::on(bridge, "a", "02:00:00:00:00:0a").await;
        let b = Station::on(bridge, "b", "02:00:00:00:00:0b").await;
        let (stays, ages) = (mac("02:00:00:00:00:42"), mac("02:00:00:00:00:43"));
        let entry = |mac| {
            let netlink = &netlink;
            async move {
                let found = netlink.fdb(bridge).await.unwrap();
                found.into_iter().find(|entry| entry.mac == mac)
            }
        };
        run("ip link set br0 type bridge ageing_time 100");
        netlink.fdb_replace(ages, b.port, FdbKind::Dynamic).await.unwrap();
        netlink.fdb_replace(stays, b.port, FdbKind::Static).await.unwrap();
        while entry(ages).await.is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let mut wanted =
            FdbEntry { mac: stays, ifindex: b.port, vlan: None, kind: FdbKind::Static };
        assert_eq!(entry(stays).await, Some(wanted.clone()));

        let (from_a, at_b) = (a.socket(&Filter::nothing()), b.socket(&Filter::dhcp4_replies()));
        from_a.send(&Udp::like_offer(stays, wire::MacAddr::BROADCAST).bytes()).unwrap();
        frame(&at_b).await;
        wanted.ifindex = a.port;
        assert_eq!(entry(stays).await, Some(wanted));
    });
}

#[test]
fn only_the_entries_of_one_bridge_are_listed() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (br0, br1) = (bridge(&netlink, "br0").await, bridge(&netlink, "br1").await);
        let a = Station::on(br0, "a", "02:00:00:00:00:0a").await;
        let b = Station::on(br1, "b", "02:00:00:00:00:0b").await;
        let guest = mac("02:00:00:00:00:42");
        for port in [a.port, b.port] {
            netlink.fdb_replace(guest, port, FdbKind::Dynamic).await.unwrap();
        }
        let found = netlink.fdb(br0).await.unwrap();
        let ports: Vec<_> =
            found.iter().filter(|e| e.mac == guest).map(|entry| entry.ifindex).collect();
        assert_eq!(ports, [a.port]);
        assert!(found.iter().all(|entry| [a.port, br0].contains(&entry.ifindex)), "{found:?}");
        // The port's own address.
        let own = netlink.link_by_index(a.port).await.unwrap().unwrap().mac.unwrap();
        assert!(found.iter().any(|entry| entry.mac == own && entry.kind == FdbKind::Local));
        assert!(netlink.fdb(4711).await.unwrap_err().is_not_found());
        let no_port = netlink.fdb_replace(guest, br0, FdbKind::Dynamic).await;
        assert!(no_port.is_err(), "a bridge is no port of itself");
    });
}

#[test]
fn neighbours_tell_who_holds_an_address() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let mut watch = LinkWatch::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let a = Station::on(bridge, "a", "02:00:00:00:00:0a").await;
        let address = "10.0.0.1/24".parse().unwrap();
        netlink.replace_address(bridge, address, Lifetime::FOREVER, None).await.unwrap();
        operational(&mut watch, &netlink, bridge).await;
        // The kernel notes who asks for its own address.
        let socket = a.socket(&Filter::dhcp4_replies_and_arp());
        let us = mac("02:00:00:00:00:0a");
        socket.send(&arp_request(us, [10, 0, 0, 7], [10, 0, 0, 1])).unwrap();
        let answer = frame(&socket).await;
        assert_eq!(answer[12..14], [8, 6]);
        // The kernel's own multicast groups are there as well.
        let found = netlink.neighbours(bridge).await.unwrap();
        let asker = std::net::IpAddr::from([10, 0, 0, 7]);
        let neighbour = found.iter().find(|neighbour| neighbour.address == asker).unwrap();
        assert_eq!((neighbour.mac, neighbour.valid), (Some(us), true));
        assert!(found.iter().all(|neighbour| neighbour.ifindex == bridge), "{found:?}");
        assert_eq!(netlink.neighbours(a.port).await.unwrap(), []);
    });
}
