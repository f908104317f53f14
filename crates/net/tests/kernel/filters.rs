//! That the kernel's BPF machine gives the verdicts that the interpreter gives, on frames from a
//! wire: above all about VLAN tags, which it keeps outside the bytes.

use net::{FdbKind, Filter, Netlink, PacketSocket, Sees};

use crate::common::{
    Ipv6, Station, Udp, arp_request, bridge, frame, in_fresh_netns, mac, tagged, wire,
};

const CLIENT: &str = "02:00:00:00:00:42";

/// Sends frames over a wire to a socket with a filter and returns which of them came through, by
/// position. The last one sent is always one that does, and ends the waiting.
async fn through(filter: &Filter, frames: &[Vec<u8>]) -> Vec<usize> {
    let netlink = Netlink::here().unwrap();
    let (a, b) = wire(&netlink, "a", "b").await;
    let from = PacketSocket::open(a, &Filter::nothing(), Sees::Incoming).unwrap();
    let to = PacketSocket::open(b, filter, Sees::Incoming).unwrap();
    let seen = pass(&from, &to, frames).await;
    netlink.delete_link(a).await.unwrap();
    seen
}

/// The same between two sockets.
async fn pass(from: &PacketSocket, to: &PacketSocket, frames: &[Vec<u8>]) -> Vec<usize> {
    let last = Udp { payload: b"the last".to_vec(), ..offer() }.bytes();
    for bytes in frames.iter().chain([&last]) {
        from.send(bytes).unwrap();
    }
    let mut seen = Vec::new();
    loop {
        let got = frame(to).await;
        if got == last {
            break;
        }
        let position = frames.iter().position(|sent| without_tag(sent) == got);
        seen.push(position.expect("a frame that nobody sent"));
    }
    seen
}

fn offer() -> Udp {
    Udp::like_offer(mac("02:00:00:00:00:01"), mac(CLIENT))
}

/// What a receiver gets of it: the kernel takes the outermost tag out.
fn without_tag(bytes: &[u8]) -> Vec<u8> {
    match bytes[12..14] {
        [0x81, 0] => [&bytes[..12], &bytes[16..]].concat(),
        _ => bytes.to_vec(),
    }
}

fn traffic() -> Vec<Vec<u8>> {
    let plain = offer().bytes();
    let server = mac("02:00:00:00:00:01");
    let mut tcp = plain.clone();
    tcp[23] = 6;
    vec![
        /* 0 */ plain.clone(),
        /* 1 */ Udp { to: wire::MacAddr::BROADCAST, ..offer() }.bytes(),
        /* 2 */ Udp { to: mac("02:00:00:00:00:43"), ..offer() }.bytes(),
        /* 3 */ Udp { options: vec![1; 40], ..offer() }.bytes(),
        /* 4 */
        Udp { fragment: 0x4000, payload: b"do not fragment".to_vec(), ..offer() }.bytes(),
        /* 5 */ tagged(&Udp { payload: b"priority".to_vec(), ..offer() }.bytes(), 0xa000),
        /* 6 */ arp_request(server, [10, 0, 0, 1], [10, 0, 0, 2]),
        /* 7 */ tagged(&plain, 42),
        /* 8 */ tagged(&tagged(&plain, 42), 0),
        /* 9 */ Udp { fragment: 0x2000, ..offer() }.bytes(),
        /* 10 */ Udp { fragment: 0x0010, ..offer() }.bytes(),
        /* 11 */ Udp { destination: ([10, 0, 0, 2], 67), ..offer() }.bytes(),
        /* 12 */
        Udp { destination: ([10, 0, 0, 2], 53), options: vec![0, 68, 0, 68], ..offer() }.bytes(),
        /* 13 */ tcp,
        /* 14 */ tagged(&arp_request(server, [10, 0, 0, 1], [10, 0, 0, 2]), 42),
        /* 15 */ plain[..30].to_vec(),
    ]
}

#[test]
fn dhcp_replies() {
    in_fresh_netns(|| async {
        let seen = through(&Filter::dhcp4_replies(), &traffic()).await;
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn dhcp_replies_and_arp() {
    in_fresh_netns(|| async {
        let seen = through(&Filter::dhcp4_replies_and_arp(), &traffic()).await;
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn an_ear_hears_what_a_container_is_sent_and_not_what_it_says() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let container = Station::on(bridge, "container", CLIENT).await;
        let server = Station::on(bridge, "server", "02:00:00:00:00:01").await;
        let ear = PacketSocket::open_ear(container.port).unwrap();
        let mut frames = traffic();
        let mut answer = arp_request(mac("02:00:00:00:00:01"), [10, 0, 0, 1], [10, 0, 0, 2]);
        answer[21] = 2;
        frames.push(/* 16 */ answer);
        let own = Udp { payload: b"the container's own".to_vec(), ..offer() }.bytes();
        container.socket(&Filter::nothing()).send(&own).unwrap();
        let seen = pass(&server.socket(&Filter::nothing()), &ear, &frames).await;
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 16]);
    });
}

/// What a container is sent of IPv6, first what an ear hears of it.
fn traffic6() -> Vec<Vec<u8>> {
    let (server, client) = (mac("02:00:00:00:00:01"), mac(CLIENT));
    let target = "fe80::ff:fe00:42".parse().unwrap();
    let router = Ipv6::router(server);
    vec![
        /* 0 */ Ipv6::udp(server, client, (547, 546), b"a reply").bytes(),
        /* 1 */ router.bytes(),
        /* 2 */ Ipv6 { to: client, ..router.clone() }.bytes(),
        /* 3 */ Ipv6 { to: client, ..Ipv6::neighbour(server, 136, target) }.bytes(),
        /* 4 */ tagged(&Ipv6 { to: client, hop_limit: 254, ..router.clone() }.bytes(), 0),
        /* 5 */ Ipv6 { hop_limit: 254, ..router.clone() }.bytes(),
        /* 6 */ Ipv6 { next_header: 60, ..router.clone() }.bytes(),
        /* 7 */ Ipv6::udp(server, client, (546, 547), b"a question").bytes(),
        /* 8 */ Ipv6::udp(server, client, (53, 5353), b"of the container").bytes(),
        /* 9 */ Ipv6::icmp(server, 128, &[0; 4]).bytes(),
        /* 10 */ tagged(&router.bytes(), 42),
    ]
}

#[test]
fn an_ear_hears_servers_routers_and_neighbours_of_ipv6() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let container = Station::on(bridge, "container", CLIENT).await;
        let server = Station::on(bridge, "server", "02:00:00:00:00:01").await;
        let ear = PacketSocket::open_ear(container.port).unwrap();
        container.socket(&Filter::nothing()).send(&Ipv6::router(mac(CLIENT)).bytes()).unwrap();
        let mut frames = traffic6();
        let target = "fe80::ff:fe00:42".parse().unwrap();
        frames.push(Ipv6::neighbour(mac("02:00:00:00:00:01"), 135, target).bytes());
        let seen = pass(&server.socket(&Filter::nothing()), &ear, &frames).await;
        assert_eq!(seen, [0, 1, 2, 3]);
    });
}

#[test]
fn ears_on_two_links_do_not_hear_each_others_frames() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let (one, other) = ("02:00:00:00:00:41", "02:00:00:00:00:42");
        let stations =
            [Station::on(bridge, "one", one).await, Station::on(bridge, "other", other).await];
        let server = Station::on(bridge, "server", "02:00:00:00:00:01").await;
        for (station, mac) in stations.iter().zip([one, other]) {
            netlink.fdb_replace(self::mac(mac), station.port, FdbKind::Dynamic).await.unwrap();
        }
        let sender = server.socket(&Filter::nothing());
        let to = |mac: &str| Udp { to: self::mac(mac), ..offer() }.bytes();
        // Again and again, as the kernel gives a new socket the memory and number of an old one.
        for _ in 0..20 {
            let ears = stations.each_ref().map(|at| PacketSocket::open_ear(at.port).unwrap());
            for mac in [other, one] {
                sender.send(&to(mac)).unwrap();
            }
            assert_eq!(frame(&ears[0]).await, to(one));
            assert_eq!(frame(&ears[1]).await, to(other));
        }
    });
}

#[test]
fn without_the_right_to_load_programs_an_ear_hears_nevertheless() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let container = Station::on(bridge, "container", CLIENT).await;
        let server = Station::on(bridge, "server", "02:00:00:00:00:01").await;
        let sender = server.socket(&Filter::nothing());
        keep_network_rights_only();
        let ear = PacketSocket::open_ear(container.port).unwrap();
        let seen = pass(&sender, &ear, &traffic()).await;
        assert_eq!(seen.get(..6), Some(&[0, 1, 2, 3, 4, 5][..]));
        let seen = pass(&sender, &ear, &traffic6()).await;
        assert_eq!(seen, [0, 1, 2, 3]);
    });
}

/// Takes all capabilities from the calling thread but CAP_NET_ADMIN and CAP_NET_RAW.
fn keep_network_rights_only() {
    const VERSION_3: u32 = 0x2008_0522; // linux/capability.h
    let kept = 1u32 << 12 | 1 << 13;
    let header = [VERSION_3, 0];
    let sets = [kept, kept, 0, 0, 0, 0]; // effective, permitted, inheritable; then the upper halves
    // SAFETY: the structures that capset(2) reads for this version, which outlive the call; the
    // thread is the calling one.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(result, 0);
}
