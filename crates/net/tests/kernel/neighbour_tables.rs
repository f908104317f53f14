//! What a port hears of IPv6 through the filter with a table, on frames from a wire.

use std::net::Ipv6Addr;

use net::{Filter, NeighbourTable, Netlink, PacketSocket, Sees};

use crate::common::{Ipv6, Udp, arp_request, frame, in_fresh_netns, mac, tagged, wire};

const OTHER: &str = "02:00:00:00:00:99";
const OURS: &str = "02:00:00:00:00:42";
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn low(address: Ipv6Addr) -> u32 {
    address.to_bits() as u32
}

fn about(kind: u8, target: &str) -> Vec<u8> {
    Ipv6::neighbour(mac(OTHER), kind, ip(target)).bytes()
}

fn reply(payload: &[u8]) -> Vec<u8> {
    Ipv6::udp(mac(OTHER), mac(OURS), (547, 546), payload).bytes()
}

/// A port on a wire, and the other end of it.
struct Segment {
    others: PacketSocket,
    port: PacketSocket,
    table: NeighbourTable,
}

impl Segment {
    async fn new() -> Self {
        // Both ends would speak IPv6 by themselves.
        net::sysctl::disable_ipv6_of_new_links(&net::Netns::current().unwrap()).unwrap();
        let (a, b) = wire(&Netlink::here().unwrap(), "a", "b").await;
        let table = NeighbourTable::new(16_384).unwrap();
        let port = PacketSocket::open(b, &Filter::nothing(), Sees::Incoming).unwrap();
        port.set_neighbour_table(&table).unwrap();
        let others = PacketSocket::open(a, &Filter::nothing(), Sees::Incoming).unwrap();
        Self { others, port, table }
    }

    /// Sends frames and returns those of them that the port hears. Another one that it hears for
    /// certain is sent last and ends the waiting.
    async fn heard(&self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let last = reply(b"the last");
        for bytes in frames.iter().chain([&last]) {
            self.others.send(bytes).unwrap();
        }
        let mut heard = Vec::new();
        loop {
            let got = frame(&self.port).await;
            if got == last {
                return heard;
            }
            heard.push(got);
        }
    }

    async fn hears(&self, bytes: Vec<u8>) -> bool {
        !self.heard(&[bytes]).await.is_empty()
    }
}

#[test]
fn neighbour_discovery_is_heard_about_what_is_in_the_table() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        let spoken = [
            about(SOLICITATION, "fe80::ff:fe00:42"),
            about(ADVERTISEMENT, "fe80::ff:fe00:42"),
            about(SOLICITATION, "2001:db8::ff:fe00:42"),
        ];
        let others = [
            about(SOLICITATION, "fe80::ff:fe00:43"),
            about(ADVERTISEMENT, "fe80::fe00:42:0"),
            about(SOLICITATION, "2001:db8::42"),
            Ipv6::neighbour(mac(OTHER), 133, ip("fe80::ff:fe00:42")).bytes(),
            Ipv6::neighbour(mac(OTHER), 137, ip("fe80::ff:fe00:42")).bytes(),
        ];
        assert!(segment.heard(&spoken).await.is_empty(), "an empty table");
        let low = low(ip("fe80::ff:fe00:42"));
        for _ in 0..2 {
            segment.table.set(low).unwrap();
            assert_eq!(segment.heard(&[&others[..], &spoken].concat()).await, spoken);
        }
        for _ in 0..2 {
            segment.table.remove(low).unwrap();
            assert!(segment.heard(&spoken).await.is_empty());
        }
    });
}

#[test]
fn servers_and_routers_are_heard_whatever_is_in_the_table() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        let spoken = [
            Ipv6::router(mac(OTHER)).bytes(),
            Ipv6 { to: mac(OURS), ..Ipv6::router(mac(OTHER)) }.bytes(),
            reply(b"a reply"),
            Ipv6::udp(mac(OTHER), mac(OURS), (4000, 546), b"from any port").bytes(),
        ];
        assert_eq!(segment.heard(&spoken).await, spoken);
    });
}

#[test]
fn all_other_traffic_is_not_heard() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        segment.table.set(low(ip("fe80::ff:fe00:42"))).unwrap();
        let router = Ipv6::router(mac(OTHER));
        let neighbour = Ipv6::neighbour(mac(OTHER), SOLICITATION, ip("fe80::ff:fe00:42"));
        let behind = |first: u8, extension: &[u8], inner: &Ipv6| {
            let payload = [extension, &inner.payload].concat();
            Ipv6 { next_header: first, payload, ..inner.clone() }.bytes()
        };
        let mut frames = vec![
            Ipv6::udp(mac(OTHER), mac(OURS), (546, 547), b"to a server").bytes(),
            Ipv6::udp(mac(OTHER), mac(OURS), (547, 68), b"to another client").bytes(),
            // From elsewhere.
            Ipv6 { hop_limit: 254, ..router.clone() }.bytes(),
            Ipv6 { hop_limit: 254, ..neighbour.clone() }.bytes(),
            // Hop-by-hop options, a fragment, destination options.
            behind(0, &[58, 0, 5, 2, 0, 0, 1, 0], &router),
            behind(44, &[58, 0, 0, 1, 0, 0, 0, 1], &router),
            behind(60, &[58, 0, 1, 4, 0, 0, 0, 0], &neighbour),
            behind(
                44,
                &[17, 0, 0, 1, 0, 0, 0, 1],
                &Ipv6::udp(mac(OTHER), mac(OURS), (547, 546), b""),
            ),
            Ipv6 { next_header: 6, ..router.clone() }.bytes(),
            Ipv6::icmp(mac(OTHER), 128, &[0; 4]).bytes(),
            Ipv6::icmp(mac(OTHER), 143, &[0; 24]).bytes(),
            // What another kind of filter hears.
            Udp::like_offer(mac(OTHER), mac(OURS)).bytes(),
            arp_request(mac(OTHER), [10, 0, 0, 1], [10, 0, 0, 2]),
        ];
        let whole = neighbour.bytes();
        frames.extend((14..whole.len()).map(|length| whole[..length].to_vec()));
        assert_eq!(segment.heard(&frames).await, Vec::<Vec<u8>>::new());
        assert!(segment.hears(whole).await);
    });
}

#[test]
fn only_the_segment_itself_is_heard_and_no_vlan_on_it() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        segment.table.set(low(ip("fe80::ff:fe00:42"))).unwrap();
        for good in [
            about(SOLICITATION, "fe80::ff:fe00:42"),
            Ipv6::router(mac(OTHER)).bytes(),
            reply(b"a reply"),
        ] {
            assert!(segment.hears(tagged(&good, 0xa000)).await, "a priority tag");
            assert!(!segment.hears(tagged(&good, 42)).await);
            assert!(!segment.hears(tagged(&good, 0xa001)).await);
            assert!(!segment.hears(tagged(&tagged(&good, 42), 0)).await);
        }
    });
}

#[test]
fn a_thousand_questions_about_others_wake_nobody() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        for n in 0..1000 {
            segment.table.set(0xfe01_0000 + n).unwrap();
        }
        let chatter: Vec<Vec<u8>> =
            (0..1000u16).map(|n| about(SOLICITATION, &format!("fe80::ff:fe02:{n:x}"))).collect();
        // In parts, so that no queue on the way overflows.
        for part in chatter.chunks(100) {
            assert_eq!(segment.heard(part).await, Vec::<Vec<u8>>::new());
        }
        assert!(segment.hears(about(SOLICITATION, "fe80::ff:fe01:7")).await);
    });
}

#[test]
fn a_full_table_says_so_and_goes_on() {
    let table = NeighbourTable::new(2).unwrap();
    table.set(1).unwrap();
    table.set(2).unwrap();
    table.set(2).unwrap();
    let error = table.set(3).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::E2BIG), "{error}");
    assert!(error.to_string().contains("end with 00000003 in a table of 2"), "{error}");
    table.remove(1).unwrap();
    table.set(3).unwrap();
    let error = NeighbourTable::new(0).unwrap_err();
    assert!(error.to_string().starts_with("make a BPF filter with a table of 0 IPv6 addresses"));
}

#[test]
fn the_sockets_keep_what_was_asked_for_last() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        segment.table.set(low(ip("fe80::ff:fe00:42"))).unwrap();
        let Segment { table, port, others } = segment;
        drop(table);
        let segment = Segment { table: NeighbourTable::new(1).unwrap(), port, others };
        assert!(segment.hears(about(SOLICITATION, "fe80::ff:fe00:42")).await);
    });
}

#[test]
fn without_a_table_all_neighbour_discovery_passes() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        segment.port.set_filter(&Filter::ipv6_control()).unwrap();
        let router = Ipv6::router(mac(OTHER));
        let good = [
            about(SOLICITATION, "fe80::ff:fe00:42"),
            about(ADVERTISEMENT, "2001:db8::1"),
            router.bytes(),
            reply(b"a reply"),
        ];
        let bad = [
            Ipv6 { hop_limit: 64, ..router.clone() }.bytes(),
            Ipv6 { next_header: 0, ..router.clone() }.bytes(),
            Ipv6::icmp(mac(OTHER), 133, &[0; 4]).bytes(),
            Ipv6::icmp(mac(OTHER), 137, &[0; 36]).bytes(),
            Ipv6::udp(mac(OTHER), mac(OURS), (546, 547), b"to a server").bytes(),
            tagged(&router.bytes(), 42),
            Udp::like_offer(mac(OTHER), mac(OURS)).bytes(),
            arp_request(mac(OTHER), [10, 0, 0, 1], [10, 0, 0, 2]),
        ];
        assert_eq!(segment.heard(&[&bad[..], &good].concat()).await, good);
    });
}
