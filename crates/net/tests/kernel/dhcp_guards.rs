//! A container behind a guarded link, as one that serves DHCP and as one that uses the network.

use net::{Filter, Lifetime, LinkWatch, Netlink, Netns, PacketSocket, Sees};
use wire::MacAddr;

use crate::common::{
    Sniffer, Station, Udp, arp_request, bridge, frame, in_fresh_netns, mac, operational, run,
    source, veth, wire,
};

const CONTAINER: &str = "02:00:00:00:00:42";
const CLIENT: &str = "02:00:00:00:00:07";

fn offer() -> Vec<u8> {
    Udp::like_offer(mac(CONTAINER), mac(CLIENT)).bytes()
}

fn discover() -> Vec<u8> {
    Udp::like_discover(mac(CONTAINER)).bytes()
}

/// An IPv6 frame to all nodes, with extension headers and what follows them.
fn ipv6(first: u8, rest: &[&[u8]]) -> Vec<u8> {
    let payload = rest.concat();
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1];
    frame.extend(mac(CONTAINER).0);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([first, 255]);
    frame.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    frame.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    frame.extend(payload);
    frame
}

fn udp6(from: u16, to: u16) -> Vec<u8> {
    let mut bytes = [from.to_be_bytes(), to.to_be_bytes()].concat();
    bytes.extend([0, 8, 0, 0]);
    bytes
}

fn tagged(bytes: &[u8], ethertype: u16, vlan: u16) -> Vec<u8> {
    let tag = [ethertype.to_be_bytes(), vlan.to_be_bytes()].concat();
    [&bytes[..12], &tag, &bytes[12..]].concat()
}

/// What is dropped.
fn as_server_or_router() -> Vec<Vec<u8>> {
    let udp = Udp::like_offer(mac(CONTAINER), mac(CLIENT));
    let advertisement: &[u8] = &[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    let redirect: &[u8] = &[[137, 0, 0, 0], [0; 4]].concat();
    vec![
        offer(),
        Udp { to: MacAddr::BROADCAST, ..udp.clone() }.bytes(),
        Udp { options: vec![1; 8], ..udp.clone() }.bytes(),
        Udp { source: ([10, 0, 0, 1], 4000), ..udp.clone() }.bytes(),
        Udp { destination: ([10, 0, 0, 2], 67), ..udp.clone() }.bytes(),
        Udp { fragment: 0x2000, ..udp }.bytes(),
        tagged(&offer(), 0x8100, 7),
        tagged(&tagged(&offer(), 0x8100, 7), 0x88a8, 8),
        ipv6(17, &[&udp6(547, 546)]),
        ipv6(58, &[advertisement]),
        ipv6(58, &[redirect]),
        ipv6(0, &[&[58, 0, 5, 2, 0, 0, 1, 0], advertisement]),
        ipv6(44, &[&[58, 0, 0, 1, 0, 0, 0, 1], advertisement]),
        ipv6(44, &[&[60, 0, 0, 1, 0, 0, 0, 1], &[58, 1, 1, 4, 0, 0, 0, 0]]),
        tagged(&ipv6(58, &[advertisement]), 0x8100, 7),
        // RFC 7113 §2.1: behind other headers, long ones, several, and more than are followed.
        ipv6(60, &[&[58, 0, 1, 4, 0, 0, 0, 0], advertisement]),
        ipv6(43, &[&[58, 0, 0, 0, 0, 0, 0, 0], advertisement]),
        ipv6(60, &[&[58, 30, 1, 4, 0, 0, 0, 0], &[0; 240], advertisement]),
        ipv6(
            0,
            &[
                &[60, 0, 1, 4, 0, 0, 0, 0],
                &[44, 0, 1, 4, 0, 0, 0, 0],
                &[58; 1],
                &[0; 7],
                advertisement,
            ],
        ),
        ipv6(
            60,
            &[&[60, 0, 1, 4, 0, 0, 0, 0].repeat(3), &[58, 0, 1, 4, 0, 0, 0, 0], advertisement],
        ),
        // §2.2: the first fragment, which ends before it shows what it is.
        ipv6(60, &[&[44, 0, 1, 4, 0, 0, 0, 0], &[58, 0, 0, 1, 0, 0, 0, 1], &[134, 0, 0, 0]]),
        // As a server in a fragment that is one by itself (RFC 6946).
        ipv6(44, &[&[17, 0, 0, 0, 0, 0, 0, 1], &udp6(547, 546)]),
    ]
}

/// What passes.
fn as_client() -> Vec<Vec<u8>> {
    let udp = Udp::like_discover(mac(CONTAINER));
    vec![
        discover(),
        Udp { source: ([10, 0, 0, 2], 5353), destination: ([10, 0, 0, 1], 53), ..udp.clone() }
            .bytes(),
        // A later fragment, whose first bytes look like an offer.
        Udp { fragment: 0x0010, source: ([10, 0, 0, 1], 67), ..udp }.bytes(),
        arp_request(mac(CONTAINER), [10, 0, 0, 2], [10, 0, 0, 1]),
        tagged(&discover(), 0x8100, 7),
        ipv6(17, &[&udp6(546, 547)]),
        ipv6(58, &[&[133, 0, 0, 0, 0, 0, 0, 0]]),
        ipv6(58, &[&[135, 0, 0, 0, 0, 0, 0, 0], &[0; 16]]),
        ipv6(58, &[&[128, 0, 0, 0, 0, 0, 0, 0]]),
        // Behind other headers, and in the first and a later fragment.
        ipv6(60, &[&[58, 0, 1, 4, 0, 0, 0, 0], &[128, 0, 0, 0, 0, 0, 0, 0]]),
        ipv6(44, &[&[58, 0, 0, 1, 0, 0, 0, 1], &[128, 0, 0, 0, 0, 0, 0, 0]]),
        ipv6(44, &[&[58, 0, 0, 8, 0, 0, 0, 1], &[134, 0, 0, 0, 0, 0, 0, 0]]),
    ]
}

#[test]
fn servers_and_routers_behind_the_link_are_not_heard() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        // With snooping a bridge drops some multicasts of its own accord.
        run("ip link set br0 type bridge mcast_snooping 0");
        let container = Station::on(bridge, "lf-1", CONTAINER).await;
        let lan = Station::on(bridge, "lan", CLIENT).await;
        let from = container.socket(&Filter::nothing());
        let sniffer = lan.netns.run(|| Sniffer::on(lan.eth0)).unwrap();

        let (bad, good) = (as_server_or_router(), as_client());
        for bytes in bad.iter().chain(&good) {
            from.send(bytes).unwrap();
        }
        for bytes in bad.iter().chain(&good) {
            assert_eq!(
                of_the_container(&sniffer).await,
                without_tag(bytes),
                "before there is a guard"
            );
        }
        assert!(netlink.guard_drops().await.unwrap().is_empty());

        netlink.guard_dhcp(container.port).await.unwrap();
        assert_eq!(netlink.guard_drops().await.unwrap(), [(container.port, 0)].into());
        for (bad, good) in bad.iter().zip(good.iter().cycle()) {
            from.send(bad).unwrap();
            from.send(good).unwrap();
            assert_eq!(
                of_the_container(&sniffer).await,
                without_tag(good),
                "the first of these: {bad:x?}"
            );
        }
        let drops = [(container.port, bad.len() as u32)];
        assert_eq!(netlink.guard_drops().await.unwrap(), drops.into());

        // What goes to the container is not looked at.
        let lan = lan.socket(&Filter::nothing());
        let to = container.socket(&Filter::dhcp4_replies());
        let ack = Udp::like_offer(mac(CLIENT), mac(CONTAINER)).bytes();
        lan.send(&ack).unwrap();
        assert_eq!(frame(&to).await, ack);
    });
}

/// The next frame that the container has sent: the bridge speaks of its own accord (IPv6).
async fn of_the_container(sniffer: &Sniffer) -> Vec<u8> {
    loop {
        let frame = sniffer.next().await;
        if source(&frame) == mac(CONTAINER) {
            return frame;
        }
    }
}

/// What a receiver gets of it: the kernel takes the outermost tag out.
fn without_tag(bytes: &[u8]) -> Vec<u8> {
    match bytes[12..14] {
        [0x81, 0] | [0x88, 0xa8] => [&bytes[..12], &bytes[16..]].concat(),
        _ => bytes.to_vec(),
    }
}

#[test]
fn a_second_guard_is_the_first() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (a, b) = wire(&netlink, "a", "b").await;
        netlink.guard_dhcp(a).await.unwrap();
        let shown = run("tc filter show dev a ingress");
        assert!(shown.contains("pref 1 bpf chain 0 handle 0x4c46 direct-action"), "{shown}");
        let from = PacketSocket::open(b, &Filter::nothing(), Sees::Incoming).unwrap();
        let sniffer = Sniffer::on(a);
        from.send(&offer()).unwrap();
        netlink.guard_dhcp(a).await.unwrap();
        assert_eq!(run("tc filter show dev a ingress"), shown);
        from.send(&offer()).unwrap();
        from.send(&discover()).unwrap();
        seen_last(&sniffer, &discover()).await;
        assert_eq!(netlink.guard_drops().await.unwrap(), [(a, 2)].into(), "one count goes on");
    });
}

/// Waits until a frame that was sent last has come in. A sniffer is before tc: the frames sent
/// earlier have been through it when this one is seen.
async fn seen_last(sniffer: &Sniffer, last: &[u8]) {
    while sniffer.next().await != last {}
}

#[test]
fn others_filters_have_their_say_about_what_passes() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (a, b) = wire(&netlink, "a", "b").await;
        let drops_all = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(drops_all.path(), "1,6 0 0 2").unwrap();
        let path = drops_all.path().display();
        run("tc qdisc add dev a clsact");
        run(&format!(
            "tc filter add dev a ingress pref 1 protocol all bpf da bytecode-file {path}"
        ));
        netlink.guard_dhcp(a).await.unwrap();
        assert_eq!(run("tc filter show dev a ingress").matches("bytecode").count(), 2);
        let from = PacketSocket::open(b, &Filter::nothing(), Sees::Incoming).unwrap();
        let sniffer = Sniffer::on(a);
        let last = arp_request(mac(CONTAINER), [10, 0, 0, 2], [10, 0, 0, 1]);
        for bytes in [offer(), discover(), last.clone()] {
            from.send(&bytes).unwrap();
        }
        seen_last(&sniffer, &last).await;
        let drops = netlink.guard_drops().await.unwrap()[&a];
        assert!(drops >= 2, "{drops}: by the guard, and by the other");
    });
}

#[test]
fn the_container_uses_the_network() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let container = Netns::create().unwrap();
        let mut watch = LinkWatch::here().unwrap();
        let (port, eth0) =
            netlink.create_veth(&veth("lf-1", "eth0", Some(&container))).await.unwrap();
        netlink.guard_dhcp(port).await.unwrap();
        operational(&mut watch, &netlink, port).await;
        let address = |text: &str| text.parse().unwrap();
        netlink
            .replace_address(port, address("10.0.0.1/24"), Lifetime::FOREVER, None)
            .await
            .unwrap();
        let inside = Netlink::in_netns(&container).unwrap();
        inside
            .replace_address(eth0, address("10.0.0.2/24"), Lifetime::FOREVER, None)
            .await
            .unwrap();
        container.run(|| run("ping -c 1 -W 5 10.0.0.1")).unwrap();
        assert_eq!(netlink.guard_drops().await.unwrap(), [(port, 0)].into());
    });
}

#[test]
fn a_link_that_is_not_there() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let error = netlink.guard_dhcp(4711).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert!(
            error.to_string().starts_with("drop DHCP server traffic from link 4711"),
            "{error}"
        );
    });
}
