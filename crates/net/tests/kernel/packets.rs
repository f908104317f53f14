//! Packet sockets on real links.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use net::{
    BridgePort, FdbKind, Filter, Lifetime, LinkWatch, Membership, Netlink, Netns, PacketSocket,
    Sees,
};
use wire::MacAddr;
use wire::frame::Checksum;

use crate::common::{
    Station, Udp, arp_request, bridge, frame, in_fresh_netns, mac, operational, run, veth, wire,
};

const CLIENT: &str = "02:00:00:00:00:42";
const SERVER: &str = "02:00:00:00:00:01";

#[test]
fn a_client_behind_a_port_and_a_server_on_the_lan_hear_each_other() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let port = Station::on(bridge, "port", "02:00:00:00:00:0f").await;
        let learning = BridgePort { learning: Some(false), ..BridgePort::default() };
        netlink.set_bridge_port(port.port, learning).await.unwrap();
        let server = Station::on(bridge, "server", SERVER).await;
        let (client, server_mac) = (mac(CLIENT), mac(SERVER));

        // The server's side is an ordinary UDP socket, as dnsmasq's.
        let listener = server
            .netns
            .run(|| {
                run("ip addr add 10.0.0.1/24 dev eth0");
                let socket = UdpSocket::bind("0.0.0.0:67").unwrap();
                socket.set_broadcast(true).unwrap();
                socket
            })
            .unwrap();
        let socket = port.socket(&Filter::dhcp4_replies());
        let discover = Udp::like_discover(client);
        socket.send(&discover.bytes()).unwrap();
        let (heard, from) = tokio::task::spawn_blocking({
            let listener = listener.try_clone().unwrap();
            move || {
                let mut buffer = [0; 1500];
                let (len, from) = listener.recv_from(&mut buffer).unwrap();
                (buffer[..len].to_vec(), from)
            }
        })
        .await
        .unwrap();
        assert_eq!(heard, discover.payload);
        assert_eq!(from.to_string(), "0.0.0.0:68");

        // A broadcast answer.
        let mut buffer = [0; 1500];
        let everyone = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 255), 68);
        listener.send_to(b"broadcast answer", everyone).unwrap();
        let received = socket.recv(&mut buffer).await.unwrap();
        assert!(buffer[..received.len].ends_with(b"broadcast answer"));
        assert_eq!(received.checksum, Checksum::Partial, "it never was on a wire");
        assert!(!received.outgoing);

        // A unicast answer to the client's MAC, which no link has.
        let unicast = Udp::like_offer(server_mac, client);
        server.socket(&Filter::nothing()).send(&unicast.bytes()).unwrap();
        let received = socket.recv(&mut buffer).await.unwrap();
        assert_eq!(buffer[..received.len], unicast.bytes());
        assert_eq!(received.checksum, Checksum::Verify, "we filled it in ourselves");

        let learnt = netlink.fdb(bridge).await.unwrap();
        assert!(!learnt.iter().any(|entry| entry.mac == client), "nothing was learnt");

        // The client was last seen behind the server's port: its answers go astray until the
        // forwarding entry is put right.
        netlink.fdb_replace(client, server.port, FdbKind::Dynamic).await.unwrap();
        let astray = Udp { payload: b"astray".to_vec(), ..unicast.clone() };
        server.socket(&Filter::nothing()).send(&astray.bytes()).unwrap();
        netlink.fdb_replace(client, port.port, FdbKind::Dynamic).await.unwrap();
        server.socket(&Filter::nothing()).send(&unicast.bytes()).unwrap();
        let received = socket.recv(&mut buffer).await.unwrap();
        assert_eq!(buffer[..received.len], unicast.bytes(), "not the one that went astray");
    });
}

#[test]
fn the_host_end_of_a_veth_shows_what_the_container_receives() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let container = Station::on(bridge, "container", CLIENT).await;
        let server = Station::on(bridge, "server", SERVER).await;
        let filter = Filter::dhcp4_replies_and_arp();
        let both = PacketSocket::open(container.port, &filter, Sees::IncomingAndOutgoing).unwrap();
        let incoming = PacketSocket::open(container.port, &filter, Sees::Incoming).unwrap();

        let ack = Udp::like_offer(mac(SERVER), mac(CLIENT)).bytes();
        server.socket(&Filter::nothing()).send(&ack).unwrap();
        let mut buffer = [0; 1500];
        let received = both.recv(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..received.len], received.outgoing), (&ack[..], true));

        let question = arp_request(mac(CLIENT), [0; 4], [10, 0, 0, 2]);
        container.socket(&Filter::nothing()).send(&question).unwrap();
        let received = both.recv(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..received.len], received.outgoing), (&question[..], false));
        // The other socket was given the second frame only.
        let received = incoming.recv(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..received.len], received.outgoing), (&question[..], false));
    });
}

#[test]
fn a_socket_does_not_hear_itself() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (a, b) = wire(&netlink, "a", "b").await;
        let filter = Filter::dhcp4_replies();
        let at_a = PacketSocket::open(a, &filter, Sees::IncomingAndOutgoing).unwrap();
        let at_b = PacketSocket::open(b, &filter, Sees::IncomingAndOutgoing).unwrap();
        let own = Udp::like_offer(mac(SERVER), mac(CLIENT)).bytes();
        let others = Udp::like_offer(mac("02:00:00:00:00:02"), mac(CLIENT)).bytes();
        at_a.send(&own).unwrap();
        assert_eq!(frame(&at_b).await, own);
        at_b.send(&others).unwrap();
        assert_eq!(frame(&at_a).await, others);
    });
}

#[test]
fn another_filter_takes_the_place_of_the_first() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (a, b) = wire(&netlink, "a", "b").await;
        let from = PacketSocket::open(a, &Filter::nothing(), Sees::Incoming).unwrap();
        let to = PacketSocket::open(b, &Filter::nothing(), Sees::Incoming).unwrap();
        let question = |last| arp_request(mac(SERVER), [10, 0, 0, 1], [10, 0, 0, last]);
        from.send(&question(1)).unwrap();
        to.set_filter(&Filter::dhcp4_replies_and_arp()).unwrap();
        from.send(&question(2)).unwrap();
        assert_eq!(frame(&to).await, question(2));
        to.set_filter(&Filter::dhcp4_replies()).unwrap();
        from.send(&question(3)).unwrap();
        let offer = Udp::like_offer(mac(SERVER), mac(CLIENT)).bytes();
        from.send(&offer).unwrap();
        assert_eq!(frame(&to).await, offer);
    });
}

#[test]
fn a_macvlan_parent_gives_what_its_child_is_sent() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (parent, wire_end) = wire(&netlink, "parent", "wire").await;
        run(&format!("ip link add child link parent address {CLIENT} type macvlan mode bridge"));
        let child = netlink.link("child").await.unwrap().unwrap();
        assert_eq!(child.kind.as_deref(), Some("macvlan"));
        assert_eq!((child.peer_index, child.mac), (Some(parent), Some(mac(CLIENT))));
        let mut watch = LinkWatch::here().unwrap();
        netlink.set_up(child.index).await.unwrap();
        operational(&mut watch, &netlink, child.index).await;

        let at_parent =
            PacketSocket::open(parent, &Filter::dhcp4_replies(), Sees::Incoming).unwrap();
        let at_wire =
            PacketSocket::open(wire_end, &Filter::dhcp4_replies(), Sees::Incoming).unwrap();
        let through_child =
            PacketSocket::open(child.index, &Filter::nothing(), Sees::Incoming).unwrap();
        for to in [mac(CLIENT), MacAddr::BROADCAST] {
            let ack = Udp::like_offer(mac(SERVER), to).bytes();
            at_wire.send(&ack).unwrap();
            assert_eq!(frame(&at_parent).await, ack);
        }
        let sent = Udp { destination: ([255; 4], 68), ..Udp::like_discover(mac(CLIENT)) }.bytes();
        through_child.send(&sent).unwrap();
        assert_eq!(frame(&at_wire).await, sent);
    });
}

#[test]
fn memberships_last_as_long_as_the_socket() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (a, _) = wire(&netlink, "a", "b").await;
        let promiscuity = || {
            let shown = run("ip -d link show a");
            let (_, rest) = shown.split_once("promiscuity ").unwrap();
            rest.split(' ').next().unwrap().to_owned()
        };
        assert_eq!(promiscuity(), "0");
        let socket = PacketSocket::open(a, &Filter::nothing(), Sees::Incoming).unwrap();
        // A veth has no filter for single addresses, so the kernel opens it altogether.
        socket.add_membership(Membership::Unicast(mac(CLIENT))).unwrap();
        assert_eq!(promiscuity(), "1");
        socket.add_membership(Membership::Promiscuous).unwrap();
        assert_eq!(promiscuity(), "2");
        drop(socket);
        while promiscuity() != "0" {
            tokio::task::yield_now().await; // it is closed on another thread
        }
    });
}

#[test]
fn a_link_that_goes_down_and_up_is_heard_again() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (a, b) = wire(&netlink, "a", "b").await;
        let from = PacketSocket::open(a, &Filter::nothing(), Sees::Incoming).unwrap();
        let to = PacketSocket::open(b, &Filter::dhcp4_replies(), Sees::Incoming).unwrap();
        let mut buffer = [0; 1500];
        netlink.set_down(b).await.unwrap();
        let error = to.recv(&mut buffer).await.unwrap_err();
        assert!(error.is_down(), "{error}");
        assert!(error.to_string().contains(&format!("link {b}")), "{error}");
        assert!(to.send(&Udp::like_discover(mac(CLIENT)).bytes()).unwrap_err().is_down());
        let mut watch = LinkWatch::here().unwrap();
        netlink.set_up(b).await.unwrap();
        operational(&mut watch, &netlink, a).await;
        let offer = Udp::like_offer(mac(SERVER), mac(CLIENT)).bytes();
        from.send(&offer).unwrap();
        assert_eq!(frame(&to).await, offer);

        netlink.set_down(b).await.unwrap();
        let on_down = PacketSocket::open(b, &Filter::dhcp4_replies(), Sees::Incoming).unwrap();
        assert!(on_down.recv(&mut buffer).await.unwrap_err().is_down(), "the first receive tells");
    });
}

#[test]
fn a_link_that_is_removed_is_told_once_and_then_not_found() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (a, b) = wire(&netlink, "a", "b").await;
        let socket = PacketSocket::open(b, &Filter::dhcp4_replies(), Sees::Incoming).unwrap();
        netlink.delete_link(a).await.unwrap();
        let mut buffer = [0; 1500];
        assert!(socket.recv(&mut buffer).await.unwrap_err().is_down());
        let error = socket.send(&Udp::like_discover(mac(CLIENT)).bytes()).unwrap_err();
        assert!(error.is_not_found(), "{error}");
        let error = PacketSocket::open(b, &Filter::nothing(), Sees::Incoming).unwrap_err();
        assert!(error.is_not_found(), "{error}");
    });
}

#[test]
fn a_frame_beyond_the_mtu_is_refused_and_one_beyond_the_buffer_cut() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (a, b) = wire(&netlink, "a", "b").await;
        let from = PacketSocket::open(a, &Filter::nothing(), Sees::Incoming).unwrap();
        let to = PacketSocket::open(b, &Filter::dhcp4_replies(), Sees::Incoming).unwrap();
        let offer = Udp::like_offer(mac(SERVER), mac(CLIENT));
        let long = |payload| Udp { payload: vec![7; payload], ..offer.clone() }.bytes();
        let error = from.send(&long(1600)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(90), "EMSGSIZE: {error}");
        from.send(&long(1000)).unwrap();
        let mut buffer = [0; 100];
        let received = to.recv(&mut buffer).await.unwrap();
        assert_eq!((received.len, &buffer[..]), (100, &long(1000)[..100]));
    });
}

#[test]
fn a_full_queue_is_reported() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (a, _) = wire(&netlink, "a", "b").await;
        // A queue that lets nothing out.
        run("tc qdisc add dev a root tbf rate 8bit burst 1600 limit 100000");
        let socket = PacketSocket::open(a, &Filter::nothing(), Sees::Incoming).unwrap();
        let frame = Udp { payload: vec![0; 1400], ..Udp::like_discover(mac(CLIENT)) }.bytes();
        let error = (0..1000).find_map(|_| socket.send(&frame).err()).expect("no queue is endless");
        assert!(error.is_full(), "{error}");
    });
}

#[test]
fn opened_and_closed_sockets_leave_no_descriptor_behind() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let inside = Netns::create().unwrap();
        let (_, inner) = netlink.create_veth(&veth("a", "b", Some(&inside))).await.unwrap();
        // Other tests of this process open descriptors too: only packet sockets are counted.
        let packet_sockets = || {
            inside.run(|| {
                let table = std::fs::read_to_string("/proc/thread-self/net/packet").unwrap();
                table.lines().count() - 1
            })
        };
        for _ in 0..100 {
            PacketSocket::open_in(&inside, inner, &Filter::nothing(), Sees::Incoming).unwrap();
        }
        while packet_sockets().unwrap() != 0 {
            tokio::task::yield_now().await; // closed on other threads
        }
    });
}

#[test]
fn an_address_of_the_link_does_not_matter() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (a, b) = wire(&netlink, "a", "b").await;
        let address = "10.0.0.2/24".parse().unwrap();
        netlink.replace_address(b, address, Lifetime::FOREVER, None).await.unwrap();
        let from = PacketSocket::open(a, &Filter::nothing(), Sees::Incoming).unwrap();
        let to = PacketSocket::open(b, &Filter::dhcp4_replies(), Sees::Incoming).unwrap();
        // To its own MAC and IP address and a port that nobody listens on: the kernel answers
        // with port-unreachable, and the socket hears it nevertheless.
        let own = netlink.link_by_index(b).await.unwrap().unwrap().mac.unwrap();
        let ack = Udp::like_offer(mac(SERVER), own).bytes();
        from.send(&ack).unwrap();
        assert_eq!(frame(&to).await, ack);
    });
}
