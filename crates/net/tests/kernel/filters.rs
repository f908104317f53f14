//! That the kernel's BPF machine gives the verdicts that the interpreter gives, on frames from a
//! wire: above all about VLAN tags, which it keeps outside the bytes.

use net::{Filter, Netlink, PacketSocket, Sees};

use crate::common::{Udp, arp_request, frame, in_fresh_netns, mac, wire};

const CLIENT: &str = "02:00:00:00:00:42";

/// Sends frames over a wire to a socket with a filter and returns which of them came through, by
/// position. The last one sent is always one that does, and ends the waiting.
async fn through(filter: &Filter, frames: &[Vec<u8>]) -> Vec<usize> {
    let netlink = Netlink::here().unwrap();
    let (a, b) = wire(&netlink, "a", "b").await;
    let from = PacketSocket::open(a, &Filter::nothing(), Sees::Incoming).unwrap();
    let to = PacketSocket::open(b, filter, Sees::Incoming).unwrap();
    let last = Udp { payload: b"the last".to_vec(), ..offer() }.bytes();
    for bytes in frames.iter().chain([&last]) {
        from.send(bytes).unwrap();
    }
    let mut seen = Vec::new();
    loop {
        let got = frame(&to).await;
        if got == last {
            break;
        }
        let position = frames.iter().position(|sent| without_tag(sent) == got);
        seen.push(position.expect("a frame that nobody sent"));
    }
    netlink.delete_link(a).await.unwrap();
    seen
}

fn offer() -> Udp {
    Udp::like_offer(mac("02:00:00:00:00:01"), mac(CLIENT))
}

/// The frame with an IEEE 802.1Q tag.
fn tagged(bytes: &[u8], control_information: u16) -> Vec<u8> {
    let mut frame = bytes[..12].to_vec();
    frame.extend([0x81, 0]);
    frame.extend(control_information.to_be_bytes());
    frame.extend(&bytes[12..]);
    frame
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
fn dhcp_replies_and_arp_for_one() {
    in_fresh_netns(|| async {
        let seen = through(&Filter::dhcp4_replies_and_arp_for(mac(CLIENT)), &traffic()).await;
        assert_eq!(seen, [0, 1, 3, 4, 5, 6]);
    });
}
