//! The programs run in an interpreter of classic BPF, on frames whose right verdict is known from
//! how they were made. (That the kernel's machine agrees is shown in `tests/kernel/filters.rs`.)

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// The VLAN metadata of a frame. A kernel may leave an old tag behind when it clears the flag.
#[derive(Debug, Clone, Copy)]
struct Tag {
    present: bool,
    control_information: u16,
}

const UNTAGGED: Tag = Tag { present: false, control_information: 0 };

/// Runs a program on a frame. `true`: the frame is let through, whole.
///
/// Panics on what the kernel's checker would refuse: a jump past the end, an unknown instruction.
fn passes(filter: &Filter, frame: &[u8], tag: Tag) -> bool {
    let bytes = |offset: usize, len: usize| {
        let bytes = frame.get(offset..offset.checked_add(len)?)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    };
    let (mut a, mut x, mut pc) = (0u32, 0u32, 0usize);
    loop {
        let Instruction { code, if_true, if_false, k } = filter.program[pc];
        pc += 1;
        let loaded = match code {
            WORD if k == VLAN_TAG => Some(u32::from(tag.control_information)),
            WORD if k == VLAN_TAG_PRESENT => Some(u32::from(tag.present)),
            WORD => bytes(k as usize, 4),
            HALF => bytes(k as usize, 2),
            BYTE => bytes(k as usize, 1),
            HALF_BEHIND_X => bytes(x as usize + k as usize, 2),
            X_IP_HEADER_LENGTH => match bytes(k as usize, 1) {
                Some(byte) => {
                    x = 4 * (byte & 0xf);
                    continue;
                }
                None => None,
            },
            AND => Some(a & k),
            JUMP_IF_EQUAL | JUMP_IF_BITS => {
                let holds = if code == JUMP_IF_EQUAL { a == k } else { a & k != 0 };
                pc += usize::from(if holds { if_true } else { if_false });
                continue;
            }
            RETURN => {
                return k == u32::MAX || {
                    assert_eq!(k, 0);
                    false
                };
            }
            other => panic!("unknown instruction {other:#x}"),
        };
        // A load from behind the end of the frame ends the program and drops it.
        let Some(value) = loaded else { return false };
        a = value;
    }
}

/// A frame described by what decides about it.
#[derive(Debug, Clone)]
struct Described {
    destination: [u8; 6],
    ethertype: u16,
    header_words: u8,
    protocol: u8,
    fragment: u16,
    port: u16,
    tag: Tag,
}

impl Described {
    fn dhcp_reply() -> Self {
        Self {
            destination: [0xff; 6],
            ethertype: 0x0800,
            header_words: 5,
            protocol: 17,
            fragment: 0,
            port: 68,
            tag: UNTAGGED,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.extend(self.destination);
        frame.extend([2, 0, 0, 0, 0, 9]);
        frame.extend(self.ethertype.to_be_bytes());
        frame.extend([0x40 | self.header_words, 0, 1, 44, 0, 0]);
        frame.extend(self.fragment.to_be_bytes());
        frame.extend([64, self.protocol, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        // Options that look like the ports sought, to catch a fixed offset.
        frame.extend([0, 68].repeat(2 * (usize::from(self.header_words) - 5)));
        frame.extend(67u16.to_be_bytes());
        frame.extend(self.port.to_be_bytes());
        frame.extend([0, 8, 0, 0]);
        frame
    }

    fn on_segment(&self) -> bool {
        !self.tag.present || self.tag.control_information & 0x0fff == 0
    }

    fn is_dhcp_reply(&self) -> bool {
        let whole = self.fragment & 0x3fff == 0;
        self.ethertype == 0x0800 && self.protocol == 17 && whole && self.port == 68
    }

    fn is_arp(&self) -> bool {
        self.ethertype == 0x0806
    }
}

fn check(described: &Described) {
    let frame = described.bytes();
    let verdict = |filter: Filter| passes(&filter, &frame, described.tag);
    let reply = described.on_segment() && described.is_dhcp_reply();
    let or_arp = reply || described.on_segment() && described.is_arp();
    assert_eq!(verdict(Filter::dhcp4_replies()), reply, "{described:?}");
    assert_eq!(verdict(Filter::dhcp4_replies_and_arp()), or_arp, "{described:?}");
    assert_eq!(verdict(Filter::ear()), or_arp || verdict(Filter::ipv6_control()), "{described:?}");
    assert!(!verdict(Filter::nothing()));
}

#[test]
fn dhcp_replies_pass_whatever_their_header_length() {
    for header_words in 5..=15 {
        let described = Described { header_words, ..Described::dhcp_reply() };
        assert!(described.is_dhcp_reply());
        check(&described);
    }
}

#[test]
fn each_thing_that_makes_a_frame_none_of_ours_stops_it() {
    let reply = Described::dhcp_reply;
    for described in [
        Described { ethertype: 0x86dd, ..reply() },
        Described { ethertype: 0x8100, ..reply() },
        Described { protocol: 6, ..reply() },
        Described { port: 67, ..reply() },
        Described { fragment: 0x2000, ..reply() },
        Described { fragment: 0x0001, ..reply() },
        Described { tag: Tag { present: true, control_information: 7 }, ..reply() },
        Described { tag: Tag { present: true, control_information: 0xe007 }, ..reply() },
    ] {
        assert!(!passes(&Filter::dhcp4_replies_and_arp(), &described.bytes(), described.tag));
        check(&described);
    }
}

#[test]
fn priority_tags_and_left_over_tags_do_not_stop_a_frame() {
    for tag in [
        Tag { present: true, control_information: 0xe000 },
        Tag { present: false, control_information: 7 },
    ] {
        let described = Described { tag, ..Described::dhcp_reply() };
        assert!(passes(&Filter::dhcp4_replies(), &described.bytes(), tag));
        check(&described);
    }
}

#[test]
fn a_frame_that_ends_early_is_dropped() {
    let frame = Described::dhcp_reply().bytes();
    let up_to_the_port = 14 + 20 + 4;
    for len in 0..up_to_the_port {
        assert!(!passes(&Filter::dhcp4_replies(), &frame[..len], UNTAGGED), "{len} bytes");
    }
    assert!(passes(&Filter::dhcp4_replies(), &frame[..up_to_the_port], UNTAGGED));
}

/// IPv6 without extension headers, of that next header and hop limit.
fn ipv6(next_header: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0];
    frame.extend([0, payload.len() as u8, next_header, hop_limit]);
    frame.extend([0; 32]);
    frame.extend(payload);
    frame
}

#[test]
fn of_ipv6_servers_routers_and_neighbours_pass() {
    let priority = Tag { present: true, control_information: 0xe000 };
    let vlan = Tag { present: true, control_information: 7 };
    for next_header in [0, 6, 17, 43, 44, 58, 59, 60, 255] {
        for hop_limit in [0, 64, 254, 255] {
            for kind in 0..=255 {
                // Read as UDP, it is to port 546 or to another.
                for port in [546u16, 547] {
                    let frame = ipv6(
                        next_header,
                        hop_limit,
                        &[&[kind, 0], &port.to_be_bytes()[..]].concat(),
                    );
                    let wanted = match next_header {
                        17 => port == 546,
                        58 => hop_limit == 255 && (134..=136).contains(&kind),
                        _ => false,
                    };
                    for filter in [Filter::ipv6_control(), Filter::ear()] {
                        assert_eq!(passes(&filter, &frame, UNTAGGED), wanted, "{frame:x?}");
                        assert_eq!(passes(&filter, &frame, priority), wanted, "{frame:x?}");
                        assert!(!passes(&filter, &frame, vlan), "{frame:x?}");
                    }
                    assert!(!passes(&Filter::dhcp4_replies_and_arp(), &frame, UNTAGGED));
                }
            }
        }
    }
}

prop_compose! {
    fn described()(
        destination in select(vec![[0xff; 6], [2, 0x11, 0x22, 0x33, 0x44, 0x55], [0x33, 0x33, 0, 0, 0, 1]]),
        ethertype in prop_oneof![Just(0x0800), Just(0x0806), any::<u16>()],
        header_words in 5u8..=15,
        protocol in prop_oneof![4 => Just(17), 1 => any::<u8>()],
        fragment in prop_oneof![2 => Just(0), 1 => Just(0x4000), 1 => any::<u16>()],
        port in prop_oneof![3 => Just(68), 1 => any::<u16>()],
        present in any::<bool>(),
        control_information in prop_oneof![2 => Just(0), 1 => any::<u16>()],
    ) -> Described {
        let tag = Tag { present, control_information };
        Described { destination, ethertype, header_words, protocol, fragment, port, tag }
    }
}

proptest! {
    #[test]
    fn the_verdict_is_what_the_frame_says(described in described()) {
        check(&described);
    }

    #[test]
    fn every_byte_string_gets_a_verdict(
        frame in proptest::collection::vec(any::<u8>(), 0..120),
        present in any::<bool>(),
        control_information in any::<u16>(),
    ) {
        let tag = Tag { present, control_information };
        for filter in [
            Filter::dhcp4_replies(),
            Filter::dhcp4_replies_and_arp(),
            Filter::ipv6_control(),
            Filter::ear(),
        ] {
            passes(&filter, &frame, tag);
        }
    }
}
