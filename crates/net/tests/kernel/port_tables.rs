//! What a port hears through the filter with a table, on frames from a wire.

use std::net::Ipv4Addr;

use net::{Filter, Netlink, PacketSocket, PortTable, Sees, Watch};
use wire::MacAddr;

use crate::common::{Udp, arp_request, frame, in_fresh_netns, mac, tagged, wire};

const OURS: &str = "02:00:00:00:00:42";
const OTHER: &str = "02:00:00:00:00:99";
const ADDRESS: [u8; 4] = [10, 0, 0, 42];
const ELSEWHERE: [u8; 4] = [10, 0, 0, 7];
const NOBODY: [u8; 4] = [0; 4];

/// A port on a wire, and the other end of it.
struct Segment {
    others: PacketSocket,
    port: PacketSocket,
    table: PortTable,
}

impl Segment {
    async fn new() -> Self {
        Self::on("a", "b").await
    }

    async fn on(name: &str, other: &str) -> Self {
        let (a, b) = wire(&Netlink::here().unwrap(), name, other).await;
        let table = PortTable::new(16_384).unwrap();
        let port = PacketSocket::open(b, &Filter::nothing(), Sees::Incoming).unwrap();
        port.set_port_table(&table).unwrap();
        let others = PacketSocket::open(a, &Filter::nothing(), Sees::Incoming).unwrap();
        Self { others, port, table }
    }

    fn watch(&self, watch: Watch) {
        self.table.set(ADDRESS.into(), watch).unwrap();
    }

    /// Sends frames and returns those of them that the port hears. Another one that it hears for
    /// certain is sent last and ends the waiting.
    async fn heard(&self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let last = Udp { payload: b"the last".to_vec(), ..offer() }.bytes();
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

fn offer() -> Udp {
    Udp::like_offer(mac("02:00:00:00:00:01"), mac(OURS))
}

/// A port that has leased the address and left it to its container.
fn leased() -> Watch {
    Watch { mac: Some(mac(OURS)), ..Watch::default() }
}

fn request(from: &str, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    arp_request(mac(from), sender, target)
}

fn reply(from: &str, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = request(from, sender, target);
    frame[21] = 2;
    frame
}

#[test]
fn another_sender_of_a_watched_address_is_heard() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        let spoken = [
            request(OTHER, ADDRESS, ELSEWHERE),
            request(OTHER, ADDRESS, ADDRESS),
            reply(OTHER, ADDRESS, ELSEWHERE),
            reply(OTHER, ADDRESS, ADDRESS),
        ];
        assert!(segment.heard(&spoken).await.is_empty(), "an empty table");
        segment.watch(leased());
        assert_eq!(segment.heard(&spoken).await, spoken);
        // MAC addresses that differ in one byte only, each in turn.
        for position in 0..6 {
            let mut frame = request(OURS, ADDRESS, ELSEWHERE);
            frame[22 + position] ^= 1;
            assert!(segment.hears(frame).await, "byte {position}");
        }
    });
}

#[test]
fn its_own_container_is_not_heard() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        segment.watch(Watch { held: true, probing: true, ..leased() });
        let spoken = [
            request(OURS, ADDRESS, ELSEWHERE),
            request(OURS, ADDRESS, ADDRESS),
            request(OURS, NOBODY, ADDRESS),
            reply(OURS, ADDRESS, ELSEWHERE),
        ];
        assert!(segment.heard(&spoken).await.is_empty());
        // It is the sender in the ARP packet that counts.
        let mut by_another_card = request(OURS, ADDRESS, ELSEWHERE);
        by_another_card[6..12].copy_from_slice(&mac(OTHER).0);
        assert!(!segment.hears(by_another_card).await);
    });
}

#[test]
fn requests_for_a_held_address_are_heard() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        let asked = [request(OTHER, ELSEWHERE, ADDRESS), request(OTHER, NOBODY, ADDRESS)];
        segment.watch(leased());
        assert!(segment.heard(&asked).await.is_empty(), "the container answers");
        segment.watch(Watch { held: true, ..leased() });
        assert_eq!(segment.heard(&asked).await, asked);
        assert!(!segment.hears(reply(OTHER, ELSEWHERE, ADDRESS)).await, "no question");
        assert!(!segment.hears(request(OTHER, ADDRESS.map(|byte| byte ^ 1), ELSEWHERE)).await);
        segment.watch(leased());
        assert!(segment.heard(&asked).await.is_empty(), "the container answers again");
    });
}

#[test]
fn others_probes_for_a_probed_address_are_heard() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        let probe = request(OTHER, NOBODY, ADDRESS);
        segment.watch(Watch { probing: true, ..leased() });
        assert!(segment.hears(probe.clone()).await);
        assert!(segment.hears(reply(OTHER, ADDRESS, NOBODY)).await, "somebody has it");
        assert!(!segment.hears(request(OURS, NOBODY, ADDRESS)).await, "its own probe");
        assert!(!segment.hears(request(OTHER, ELSEWHERE, ADDRESS)).await, "a question, no probe");
        let mut no_request = probe.clone();
        no_request[21] = 2;
        assert!(!segment.hears(no_request).await, "a reply from nobody");
        segment.watch(leased());
        assert!(!segment.hears(probe).await, "probing is over");
    });
}

#[test]
fn an_address_that_is_asked_for_is_heard_from_anybody() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        let answers = [reply(OTHER, ADDRESS, ELSEWHERE), reply(OURS, ADDRESS, ELSEWHERE)];
        segment.watch(Watch { asked: true, ..Watch::default() });
        assert_eq!(segment.heard(&answers).await, answers);
        assert!(!segment.hears(request(OTHER, ELSEWHERE, ADDRESS)).await);
        // A next hop that is a container of ours.
        segment.watch(Watch { asked: true, ..leased() });
        assert_eq!(segment.heard(&answers).await, answers);
        // Without a MAC address everybody is another.
        segment.watch(Watch::default());
        assert_eq!(segment.heard(&answers).await, answers);
        segment.table.remove(ADDRESS.into()).unwrap();
        assert!(segment.heard(&answers).await.is_empty());
    });
}

#[test]
fn every_combination_is_as_documented() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        let addresses = [ADDRESS, ELSEWHERE, NOBODY];
        for bits in 0..16 {
            let [mac_known, held, probing, asked] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let watch = Watch { mac: mac_known.then(|| mac(OURS)), held, probing, asked };
            segment.watch(watch);
            let (mut sent, mut wanted) = (Vec::new(), Vec::new());
            for (from, sender, target) in [OURS, OTHER]
                .into_iter()
                .flat_map(|from| addresses.map(|sender| (from, sender)))
                .flat_map(|(from, sender)| addresses.map(|target| (from, sender, target)))
            {
                let another = watch.mac != Some(mac(from));
                let speaks = sender == ADDRESS && (another || asked);
                let asks = target == ADDRESS && another && (held || probing && sender == NOBODY);
                let (question, answer) =
                    (request(from, sender, target), reply(from, sender, target));
                if speaks || asks {
                    wanted.push(question.clone());
                }
                if speaks {
                    wanted.push(answer.clone());
                }
                sent.extend([question, answer]);
            }
            assert_eq!(sent.len(), 36);
            assert_eq!(segment.heard(&sent).await, wanted, "{watch:?}");
        }
    });
}

#[test]
fn removed_entries_are_gone_and_may_be_removed_again() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        let spoken = request(OTHER, ADDRESS, ELSEWHERE);
        segment.watch(leased());
        assert!(segment.hears(spoken.clone()).await);
        segment.table.remove(ADDRESS.into()).unwrap();
        segment.table.remove(ADDRESS.into()).unwrap();
        assert!(!segment.hears(spoken.clone()).await);
        segment.watch(leased());
        assert!(segment.hears(spoken).await);
    });
}

#[test]
fn what_is_no_whole_arp_packet_for_ipv4_over_ethernet_is_dropped() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        segment.watch(Watch { held: true, asked: true, ..leased() });
        for good in [request(OTHER, ADDRESS, ELSEWHERE), request(OTHER, ELSEWHERE, ADDRESS)] {
            assert_eq!(good.len(), 42);
            assert!(segment.hears(good.clone()).await);
            let short: Vec<Vec<u8>> = (14..42).map(|length| good[..length].to_vec()).collect();
            assert!(segment.heard(&short).await.is_empty());
            let padded = [&good[..], &[0; 18]].concat();
            assert!(segment.hears(padded).await);
            // Hardware type, protocol type, both lengths.
            for position in 14..20 {
                let mut other = good.clone();
                other[position] ^= 2;
                assert!(!segment.hears(other).await, "byte {position}");
            }
        }
    });
}

#[test]
fn only_the_segment_itself_is_heard_and_no_vlan_on_it() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        segment.watch(Watch { held: true, ..leased() });
        for good in [request(OTHER, ELSEWHERE, ADDRESS), offer().bytes()] {
            assert!(segment.hears(good.clone()).await);
            assert!(segment.hears(tagged(&good, 0xa000)).await, "a priority tag");
            assert!(!segment.hears(tagged(&good, 42)).await);
            assert!(!segment.hears(tagged(&good, 0xa001)).await);
            assert!(!segment.hears(tagged(&tagged(&good, 42), 0)).await);
        }
    });
}

#[test]
fn ten_thousand_addresses() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        let address = |n: u32| Ipv4Addr::from_bits(0x0a01_0000 + n);
        let own = |n: u32| MacAddr([2, 0x42, 0, 0, (n >> 8) as u8, n as u8]);
        for n in 0..10_000 {
            let watch = Watch { mac: Some(own(n)), held: n % 2 == 0, ..Watch::default() };
            segment.table.set(address(n), watch).unwrap();
        }
        for n in (0..10_000).step_by(97) {
            let ip = address(n).octets();
            let spoken = [
                arp_request(own(n), ip, ELSEWHERE),
                arp_request(own(n + 1), ip, ELSEWHERE),
                arp_request(own(n + 1), ELSEWHERE, ip),
            ];
            let wanted = if n % 2 == 0 { &spoken[1..] } else { &spoken[1..2] };
            assert_eq!(segment.heard(&spoken).await, wanted, "{n}");
        }
        assert!(!segment.hears(arp_request(mac(OTHER), address(10_000).octets(), ELSEWHERE)).await);
        for n in 0..10_000 {
            segment.table.remove(address(n)).unwrap();
        }
        let spoken = arp_request(mac(OTHER), address(5000).octets(), ELSEWHERE);
        assert!(!segment.hears(spoken).await);
    });
}

#[test]
fn a_full_table_says_so_and_goes_on() {
    let table = PortTable::new(2).unwrap();
    let [first, second, third] = [1, 2, 3].map(|last| Ipv4Addr::new(10, 0, 0, last));
    table.set(first, leased()).unwrap();
    table.set(second, leased()).unwrap();
    table.set(second, Watch::default()).unwrap();
    let error = table.set(third, leased()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::E2BIG), "{error}");
    assert!(error.to_string().contains("10.0.0.3 in a table of 2 addresses"), "{error}");
    table.remove(first).unwrap();
    table.set(third, leased()).unwrap();
}

#[test]
fn the_chatter_of_others_wakes_nobody() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        for n in 0..=255 {
            let watch = Watch { mac: Some(MacAddr([2, 0, 0, 0, 1, n])), ..Watch::default() };
            segment.table.set(Ipv4Addr::new(10, 0, 1, n), watch).unwrap();
        }
        // A thousand packets: others among themselves, and containers of ours that ask and answer.
        let chatter: Vec<Vec<u8>> = (0..=249)
            .flat_map(|n| {
                let others = MacAddr([2, 0, 0, 0, 9, n]);
                let own = MacAddr([2, 0, 0, 0, 1, n]);
                let mut answer = arp_request(own, [10, 0, 1, n], [10, 0, 0, n]);
                answer[21] = 2;
                [
                    arp_request(others, [10, 0, 0, n], [10, 0, 0, 1]),
                    arp_request(others, [10, 0, 0, n], [10, 0, 1, n]),
                    arp_request(own, [10, 0, 1, n], [10, 0, 0, 1]),
                    answer,
                ]
            })
            .collect();
        assert_eq!(chatter.len(), 1000);
        // In parts, so that no queue on the way overflows.
        for part in chatter.chunks(100) {
            assert!(segment.heard(part).await.is_empty());
        }
    });
}

#[test]
fn two_ports_have_a_table_each_and_one_table_serves_two() {
    in_fresh_netns(|| async {
        let one = Segment::new().await;
        let two = Segment::on("c", "d").await;
        let spoken = request(OTHER, ADDRESS, ELSEWHERE);
        one.watch(leased());
        assert!(one.hears(spoken.clone()).await);
        assert!(!two.hears(spoken.clone()).await);
        two.port.set_port_table(&one.table).unwrap();
        assert!(two.hears(spoken.clone()).await);
        let Segment { table, port, others } = one;
        drop(table);
        let segment = Segment { table: PortTable::new(1).unwrap(), port, others };
        assert!(segment.hears(spoken.clone()).await, "the sockets keep it");
        assert!(two.hears(spoken).await);
    });
}

#[test]
fn of_ipv4_the_same_passes_as_through_the_classic_filter() {
    in_fresh_netns(|| async {
        let segment = Segment::new().await;
        segment.watch(Watch { held: true, ..leased() });
        let classic =
            PacketSocket::open(segment.port.ifindex(), &Filter::dhcp4_replies(), Sees::Incoming)
                .unwrap();
        let mut frames = Vec::new();
        let mut add = |udp: Udp| {
            let payload = (frames.len() as u32).to_be_bytes().to_vec(); // to tell them apart
            frames.push(Udp { payload, ..udp }.bytes());
        };
        for words in 0..=10 {
            let options = [0, 68].repeat(2 * words);
            add(Udp { options: options.clone(), ..offer() });
            add(Udp { options, destination: ([10, 0, 0, 2], 67), ..offer() });
        }
        for fragment in [0x4000, 0x8000, 0x2000, 0x0001, 0x1000, 0x1fff] {
            add(Udp { fragment, ..offer() });
        }
        for port in [0, 67, 69, 0x4400, 0xff44] {
            add(Udp { destination: ([10, 0, 0, 2], port), ..offer() });
        }
        for to in [MacAddr::BROADCAST, mac(OTHER)] {
            add(Udp { to, ..offer() });
        }
        let whole = offer().bytes();
        for (position, value) in [(12, 0x86), (13, 0xdd), (23, 6), (23, 1)] {
            let mut other = whole.clone();
            other[position] = value;
            frames.push(other);
        }
        frames.extend((14..whole.len()).map(|length| whole[..length].to_vec()));
        let frames: Vec<Vec<u8>> = frames
            .into_iter()
            .flat_map(|bytes| [0xa000, 7].map(|tag| tagged(&bytes, tag)).into_iter().chain([bytes]))
            .collect();
        // In parts, so that no queue overflows.
        let mut passed = 0;
        for frames in frames.chunks(60) {
            let heard = segment.heard(frames).await;
            passed += heard.len();
            for wanted in heard {
                assert_eq!(frame(&classic).await, wanted);
            }
            let last = frame(&classic).await;
            assert!(last.ends_with(b"the last"), "one more through the classic filter: {last:x?}");
        }
        // Of whole datagrams: 11 header lengths, 2 harmless flags, 2 destinations; of a cut one
        // all but those without a port. Each with no tag and with a priority tag.
        let cut = whole.len() - (14 + 20 + 4);
        assert_eq!(passed, 2 * (11 + 2 + 2 + cut));
    });
}

#[test]
fn the_refusal_tells_what_is_needed() {
    let error = PortTable::new(0).unwrap_err();
    assert!(error.to_string().starts_with("make a BPF filter with a table of 0 addresses"));
    let unprivileged = std::fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled");
    if unprivileged.is_ok_and(|disabled| disabled.trim() == "0") {
        return; // here the kernel refuses nobody
    }
    let error = std::thread::spawn(|| {
        // No thread but this one loses its rights.
        // SAFETY: a system call on plain numbers, for the calling thread alone.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) }, 0);
        PortTable::new(16).unwrap_err()
    })
    .join()
    .unwrap();
    assert!(error.is_denied(), "{error}");
    assert!(error.to_string().contains("needs CAP_BPF or CAP_SYS_ADMIN"), "{error}");
}
