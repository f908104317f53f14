//! That a port of ours changes nothing of a bridge, and sends nothing of its own.

use net::{BridgePort, Filter, LinkWatch, NeighbourTable, Netlink, Netns, PortState};

use crate::common::{
    Ipv6, Sniffer, Station, arp_request, bridge, forwarding, frame, in_fresh_netns, mac,
    port_state, run, source, veth,
};

const SOLICITATION_OF_ROUTERS: u8 = 133;

/// The ICMPv6 type of a frame, also behind the hop-by-hop header that MLD reports carry.
fn icmp6_type(frame: &[u8]) -> Option<u8> {
    let (next, body) = (*frame.get(20)?, frame.get(54..)?);
    match (&frame[12..14], next) {
        ([0x86, 0xdd], 58) => body.first().copied(),
        ([0x86, 0xdd], 0) => body.get(8).copied(),
        _ => None,
    }
}

#[test]
fn a_port_is_silent_while_an_ordinary_veth_talks() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        run("ip link add br0 type bridge mcast_snooping 0");
        run("ip link set br0 addrgenmode none");
        run("ip link set br0 up");
        let bridge = netlink.link("br0").await.unwrap().unwrap().index;

        let inside = Netns::create().unwrap();
        net::sysctl::disable_ipv6_of_new_links(&inside).unwrap();
        let mut port = veth("port", "inner", Some(&inside));
        port.master = Some(bridge);
        port.peer.arp = false;
        let (outer, inner) = netlink.create_veth(&port).await.unwrap();
        let ours = [port.mac, port.peer.mac.unwrap()];
        let sniffer = Sniffer::on(outer);

        // Born later, on the same bridge: by the time it asks for routers, which it does after
        // duplicate detection, the port would have reported its groups and asked as well.
        run("ip link add plain type veth peer name other");
        run("ip link set plain address 02:aa:00:00:00:01");
        run("ip link set other address 02:aa:00:00:00:02 master br0 up");
        run("ip link set plain up");
        loop {
            let frame = sniffer.next().await;
            assert!(!ours.contains(&source(&frame)), "the port sent {frame:x?}");
            let asks_routers = icmp6_type(&frame) == Some(SOLICITATION_OF_ROUTERS);
            if source(&frame) == mac("02:aa:00:00:00:01") && asks_routers {
                break;
            }
        }
        let all = netlink.addresses(None).await.unwrap();
        assert!(all.iter().any(|a| a.ifindex != 1), "the ordinary veth has link-local addresses");
        assert_eq!(netlink.addresses(Some(outer)).await.unwrap(), []);
        let there = Netlink::in_netns(&inside).unwrap();
        assert_eq!(there.addresses(Some(inner)).await.unwrap(), []);
    });
}

#[test]
fn a_peer_without_arp_answers_for_nobody() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let asker = Station::on(bridge, "asker", "02:00:00:00:00:0a").await;
        let mut answers = Vec::new();
        // One with ARP as the control, asked last: its answer ends the waiting for the other.
        for (name, arp, address) in [("mute", false, "10.9.9.1"), ("heard", true, "10.9.9.2")] {
            let inside = Netns::create().unwrap();
            let mut port = veth(name, "inner", Some(&inside));
            port.master = Some(bridge);
            port.peer.arp = arp;
            port.peer.mac = Some(mac(if arp { "02:00:00:00:00:02" } else { "02:00:00:00:00:01" }));
            let mut watch = LinkWatch::here().unwrap();
            let (outer, _) = netlink.create_veth(&port).await.unwrap();
            forwarding(&mut watch, outer).await;
            // Linux answers ARP for an address of any of its links on every link.
            inside.run(|| run(&format!("ip addr add {address}/32 dev lo"))).unwrap();
            answers.push(inside);
        }
        let sniffer = asker.netns.run(|| Sniffer::on(asker.eth0)).unwrap();
        let socket = asker.socket(&net::Filter::nothing());
        let us = mac("02:00:00:00:00:0a");
        for last in [1, 2] {
            socket.send(&arp_request(us, [10, 9, 9, 10], [10, 9, 9, last])).unwrap();
        }
        loop {
            let frame = sniffer.next().await;
            let is_arp_reply = frame[12..14] == [8, 6] && frame[21] == 2;
            if is_arp_reply {
                assert_eq!(source(&frame), mac("02:00:00:00:00:02"));
                break;
            }
        }
    });
}

#[test]
fn a_bridge_keeps_its_mac_and_mtu() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let bridge_now = || async {
            let link = netlink.link_by_index(bridge).await.unwrap().unwrap();
            (link.mac.unwrap(), link.mtu)
        };
        // The machine's network card; the bridge has no MAC or MTU set, and takes over its.
        run("ip link add card type veth peer name cable");
        run("ip link set card address 02:00:00:00:00:10 mtu 1450 master br0 up");
        let before = bridge_now().await;
        assert_eq!(before, (mac("02:00:00:00:00:10"), 1450));

        let mut port = veth("port", "inner", None);
        port.mtu = before.1;
        port.master = Some(bridge);
        let (outer, _) = netlink.create_veth(&port).await.unwrap();
        assert_eq!(bridge_now().await, before, "with the port");
        netlink.delete_link(outer).await.unwrap();
        assert_eq!(bridge_now().await, before, "after the port");

        // A lower MAC and a smaller MTU do change it: the test is able to fail.
        port.mac = mac("00:00:00:00:00:01");
        port.mtu = 1300;
        netlink.create_veth(&port).await.unwrap();
        assert_eq!(bridge_now().await, (port.mac, port.mtu));
    });
}

#[test]
fn bridge_settings_and_port_states_are_read() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        run(
            "ip link add br0 type bridge stp_state 1 forward_delay 200 ageing_time 1000 mcast_snooping 0",
        );
        run("ip link set br0 up");
        let link = netlink.link("br0").await.unwrap().unwrap();
        let bridge = link.bridge.unwrap();
        assert!(bridge.stp && !bridge.vlan_filtering);
        assert!(!bridge.multicast_snooping);
        assert_eq!((bridge.forward_delay, bridge.ageing_time), (200, 1000));

        run("ip link add br1 type bridge");
        let link1 = netlink.link("br1").await.unwrap().unwrap();
        let bridge1 = link1.bridge.unwrap();
        assert!(!bridge1.stp && !bridge1.vlan_filtering);
        assert!(bridge1.multicast_snooping);

        let state = |index| {
            let netlink = &netlink;
            async move { netlink.link_by_index(index).await.unwrap().unwrap().port_state }
        };
        let mut port = veth("port", "inner", None);
        port.master = Some(link.index);
        let mut watch = LinkWatch::here().unwrap();
        let (outer, inner) = netlink.create_veth(&port).await.unwrap();
        port_state(&mut watch, outer, PortState::Listening).await; // STP makes it wait
        assert_eq!(state(outer).await, Some(PortState::Listening));
        assert_eq!(state(inner).await, None, "no port");
        netlink.set_down(inner).await.unwrap();
        netlink.set_down(outer).await.unwrap();
        assert_eq!(state(outer).await, Some(PortState::Disabled));
    });
}

#[test]
fn port_settings_are_changed_one_by_one() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let mut port = veth("port", "inner", None);
        port.master = Some(bridge);
        let mut watch = LinkWatch::here().unwrap();
        let (outer, inner) = netlink.create_veth(&port).await.unwrap();
        forwarding(&mut watch, outer).await;
        let shown = || run("bridge -d link show dev port");

        let before = shown();
        assert!(before.contains("learning on") && before.contains("isolated off"), "{before}");
        let learning = BridgePort { learning: Some(false), ..BridgePort::default() };
        netlink.set_bridge_port(outer, learning).await.unwrap();
        let now = shown();
        assert_eq!(now, before.replace("learning on", "learning off"));

        let settings = BridgePort {
            multicast_router: Some(2),
            isolated: Some(true),
            hairpin: Some(true),
            unicast_flood: Some(false),
            ..BridgePort::default()
        };
        netlink.set_bridge_port(outer, settings).await.unwrap();
        let now = shown();
        for setting in ["learning off", "mcast_router 2", "isolated on", "hairpin on", "flood off"]
        {
            assert!(now.contains(setting), "{setting} is missing in: {now}");
        }
        let error = netlink.set_bridge_port(inner, learning).await.unwrap_err();
        assert!(error.to_string().contains("(inner)"), "{error}");
    });
}

#[test]
fn a_bridge_that_snoops_hands_solicitations_to_a_multicast_router_port() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        // An IPv6 address, without which nobody is asked, and no long wait for the first answers.
        run("sysctl -q -w net.ipv6.conf.default.accept_dad=0");
        let link = bridge(&netlink, "br0").await;
        run("ip link set br0 type bridge mcast_query_response_interval 10");
        run("ip link set br0 type bridge mcast_snooping 1 mcast_querier 1");
        let lan = Station::on(link, "lan", "02:00:00:00:00:99").await;
        let port = Station::on(link, "port", "02:00:00:00:00:07").await;
        let (from, to) = (lan.socket(&Filter::nothing()), port.socket(&Filter::nothing()));
        let table = NeighbourTable::new(1).unwrap();
        table.set(0xfe00_0042).unwrap();
        to.set_neighbour_table(&table).unwrap();
        let sender = mac("02:00:00:00:00:99");
        let target = "2001:db8::ff:fe00:42".parse().unwrap();
        let solicitation = Ipv6 {
            to: mac("33:33:ff:00:00:42"),
            destination: "ff02::1:ff00:42".parse::<std::net::Ipv6Addr>().unwrap().octets(),
            ..Ipv6::neighbour(sender, 135, target)
        }
        .bytes();
        // To all nodes: it comes through in any case.
        let last = Ipv6::router(sender).bytes();
        let heard = async || {
            from.send(&solicitation).unwrap();
            from.send(&last).unwrap();
            let first = frame(&to).await;
            if first == last {
                return false;
            }
            assert_eq!((first, frame(&to).await), (solicitation.clone(), last.clone()));
            true
        };
        // Until the bridge knows who has asked for what.
        while heard().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let settings = BridgePort { multicast_router: Some(2), ..BridgePort::default() };
        netlink.set_bridge_port(port.port, settings).await.unwrap();
        for _ in 0..5 {
            assert!(heard().await);
        }
        let settings = BridgePort { multicast_router: Some(1), ..BridgePort::default() };
        netlink.set_bridge_port(port.port, settings).await.unwrap();
        assert!(!heard().await);
    });
}
