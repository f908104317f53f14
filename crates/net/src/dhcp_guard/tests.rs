//! The program runs in an interpreter of classic BPF, on frames whose right verdict is known from
//! how they were made. (That the kernel's machine agrees is shown in `tests/kernel/guards.rs`.)

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::bpf::classic::JUMP;

/// Runs the program on a frame. `true`: it is dropped.
///
/// Panics on what the kernel's checker would refuse: a jump past the end, an unknown instruction.
fn dropped(frame: &[u8]) -> bool {
    let bytes = |offset: u32, len: usize| {
        let bytes = frame.get(offset as usize..(offset as usize).checked_add(len)?)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    };
    let program = program();
    let (mut a, mut x, mut pc, mut memory) = (0u32, 0u32, 0usize, [0u32; 16]);
    loop {
        let Instruction { code, if_true, if_false, k } = program[pc];
        pc += 1;
        let loaded = match code {
            HALF => bytes(k, 2),
            HALF_BEHIND_X => bytes(x + k, 2),
            BYTE_BEHIND_X => bytes(x + k, 1),
            FROM_MEMORY => Some(memory[k as usize]),
            A_FROM_X => Some(x),
            ADD => Some(a + k),
            ADD_X => Some(a + x),
            AND => Some(a & k),
            SHIFT_LEFT => Some(a << k),
            LENGTH => Some(frame.len() as u32),
            CONSTANT => Some(k),
            SUBTRACT => Some(a.wrapping_sub(k)),
            SUBTRACT_X => Some(a.wrapping_sub(x)),
            JUMP_IF_EQUAL | JUMP_IF_BITS => {
                let holds = if code == JUMP_IF_EQUAL { a == k } else { a & k != 0 };
                pc += usize::from(if holds { if_true } else { if_false });
                continue;
            }
            RETURN => {
                assert!([TC_ACT_SHOT, TC_ACT_UNSPEC].contains(&k));
                return k == TC_ACT_SHOT;
            }
            _ => {
                match code {
                    TO_MEMORY => memory[k as usize] = a,
                    X => x = k,
                    X_FROM_A => x = a,
                    JUMP => pc += k as usize,
                    other => panic!("unknown instruction {other:#x}"),
                }
                continue;
            }
        };
        // A load from behind the end of the frame ends the program, and the frame passes.
        let Some(value) = loaded else { return false };
        a = value;
    }
}

/// What is behind the IP headers.
#[derive(Debug, Clone, Copy)]
enum Inner {
    Udp { from: u16, to: u16 },
    Icmpv6(u8),
    Tcp { from: u16, to: u16 },
}

/// A frame described by what decides about it.
#[derive(Debug, Clone)]
struct Described {
    /// Ethertypes of the tags that are in the bytes.
    tags: Vec<u16>,
    ip: Ip,
    inner: Inner,
}

#[derive(Debug, Clone)]
enum Ip {
    V4 { header_words: u8, fragment: u16 },
    V6 { extensions: Vec<Extension> },
}

#[derive(Debug, Clone, Copy)]
enum Extension {
    /// Its type, and its length in units of 8 bytes, without the first.
    Options(u8, u8),
    /// Offset and flags.
    Fragment(u16),
}

impl Extension {
    fn kind(self) -> u8 {
        match self {
            Extension::Options(kind, _) => kind,
            Extension::Fragment(_) => 44,
        }
    }
}

impl Described {
    fn v4(inner: Inner) -> Self {
        Self { tags: Vec::new(), ip: Ip::V4 { header_words: 5, fragment: 0 }, inner }
    }

    fn v6(extensions: &[Extension], inner: Inner) -> Self {
        Self { tags: Vec::new(), ip: Ip::V6 { extensions: extensions.to_vec() }, inner }
    }

    /// The frame, and where the last header begins.
    fn bytes_and_start(&self) -> (Vec<u8>, usize) {
        let mut frame = vec![0xff; 6];
        frame.extend([2, 0, 0, 0, 0, 9]);
        for tag in &self.tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 68]); // a VLAN that looks like a port
        }
        let protocol = match self.inner {
            Inner::Udp { .. } => 17,
            Inner::Icmpv6(_) => 58,
            Inner::Tcp { .. } => 6,
        };
        match &self.ip {
            Ip::V4 { header_words, fragment } => {
                frame.extend([0x08, 0x00, 0x40 | header_words, 0, 1, 44, 0, 0]);
                frame.extend(fragment.to_be_bytes());
                frame.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
                // Options that look like ports, to catch a fixed offset.
                frame.extend([0, 67].repeat(2 * (usize::from(*header_words) - 5)));
            }
            Ip::V6 { extensions } => {
                let kinds: Vec<u8> =
                    extensions.iter().map(|e| e.kind()).chain([protocol]).collect();
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 1, 44, kinds[0], 255]);
                frame.extend([0xfe; 32]);
                for (extension, next) in extensions.iter().zip(&kinds[1..]) {
                    match extension {
                        Extension::Options(_, length) => {
                            frame.extend([*next, *length]);
                            frame.extend([134; 6]);
                            frame.extend([134; 8].repeat((*length).into()));
                        }
                        Extension::Fragment(fragment) => {
                            frame.extend([*next, 0]);
                            frame.extend(fragment.to_be_bytes());
                            frame.extend([0, 0, 0, 1]);
                        }
                    }
                }
            }
        }
        let start = frame.len();
        match self.inner {
            Inner::Udp { from, to } | Inner::Tcp { from, to } => {
                frame.extend(from.to_be_bytes());
                frame.extend(to.to_be_bytes());
                frame.extend([0, 8, 0, 0]);
            }
            Inner::Icmpv6(kind) => frame.extend([kind, 0, 0, 0, 0, 0, 0, 0]),
        }
        (frame, start)
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes_and_start().0
    }

    fn is_to_be_dropped(&self) -> bool {
        let vlan = |tag: &u16| [0x8100, 0x88a8].contains(tag);
        match &self.tags[..] {
            [tag, ..] if !vlan(tag) => return false,
            // Deeper than is looked.
            [_, second, ..] => return vlan(second),
            _ => {}
        }
        match (&self.ip, self.inner) {
            (Ip::V4 { fragment, .. }, Inner::Udp { from, to }) => {
                fragment & 0x1fff == 0 && (from == 67 || to == 68)
            }
            (Ip::V4 { .. }, _) => false,
            (Ip::V6 { extensions }, inner) => {
                for (position, extension) in extensions.iter().enumerate() {
                    match extension {
                        _ if position == 3 => return true, // too many to be looked into
                        Extension::Fragment(fragment) if fragment & 0xfff8 != 0 => return false,
                        _ => {}
                    }
                }
                match inner {
                    Inner::Udp { from, to } => from == 547 || to == 546,
                    Inner::Icmpv6(kind) => kind == 134 || kind == 137,
                    Inner::Tcp { .. } => false,
                }
            }
        }
    }
}

fn check(described: &Described) {
    assert_eq!(dropped(&described.bytes()), described.is_to_be_dropped(), "{described:?}");
}

const OFFER: Inner = Inner::Udp { from: 67, to: 68 };
const DISCOVER: Inner = Inner::Udp { from: 68, to: 67 };
const ADVERTISE: Inner = Inner::Udp { from: 547, to: 546 };
const SOLICIT: Inner = Inner::Udp { from: 546, to: 547 };
const ROUTER: Inner = Inner::Icmpv6(134);

/// IP behind SNAP, and tags behind tags, are not for containers to say.
#[test]
fn what_hides_an_ethertype_is_dropped() {
    let behind_snap = |tags: &[u8], ethertype: u16| {
        let mut frame = vec![0xff; 12];
        frame.extend(tags);
        frame.extend([0, 60, 0xaa, 0xaa, 3, 0, 0, 0]);
        frame.extend(ethertype.to_be_bytes());
        frame.extend([0x60; 48]);
        frame
    };
    for tags in [&[][..], &[0x81, 0, 0, 0]] {
        for ethertype in [0x0800, 0x86dd, 0x8100, 0x88a8] {
            assert!(dropped(&behind_snap(tags, ethertype)), "{tags:?} {ethertype:#x}");
        }
        assert!(!dropped(&behind_snap(tags, 0x809b)), "{tags:?}");
    }
    // Spanning tree is no SNAP.
    assert!(!dropped(&[&[0xff; 12][..], &[0, 38, 0x42, 0x42, 3], &[0; 40]].concat()));
    let three = Described { tags: vec![0x8100, 0x88a8], ..Described::v6(&[], ROUTER) };
    assert!(dropped(&three.bytes()));
}

#[test]
fn what_servers_and_routers_send_is_dropped() {
    for described in [
        Described::v4(OFFER),
        Described::v4(Inner::Udp { from: 67, to: 67 }),
        Described::v4(Inner::Udp { from: 4000, to: 68 }),
        Described::v6(&[], ADVERTISE),
        Described::v6(&[], Inner::Udp { from: 547, to: 547 }),
        Described::v6(&[], Inner::Udp { from: 4000, to: 546 }),
        Described::v6(&[], ROUTER),
        Described::v6(&[], Inner::Icmpv6(137)),
    ] {
        assert!(dropped(&described.bytes()), "{described:?}");
        check(&described);
    }
}

#[test]
fn what_clients_and_others_send_passes() {
    for described in [
        Described::v4(DISCOVER),
        Described::v4(Inner::Udp { from: 5353, to: 5353 }),
        Described::v4(Inner::Udp { from: 547, to: 546 }),
        Described::v4(Inner::Tcp { from: 67, to: 68 }),
        Described::v4(Inner::Icmpv6(134)),
        Described::v6(&[], SOLICIT),
        Described::v6(&[], Inner::Udp { from: 67, to: 68 }),
        Described::v6(&[], Inner::Tcp { from: 547, to: 546 }),
        // Router solicitation, neighbour solicitation and advertisement, echo request.
        Described::v6(&[], Inner::Icmpv6(133)),
        Described::v6(&[], Inner::Icmpv6(135)),
        Described::v6(&[], Inner::Icmpv6(136)),
        Described::v6(&[], Inner::Icmpv6(128)),
        // An MLD report.
        Described::v6(&[Extension::Options(0, 0)], Inner::Icmpv6(143)),
    ] {
        assert!(!dropped(&described.bytes()), "{described:?}");
        check(&described);
    }
    let mut arp = vec![0xff; 6];
    arp.extend([2, 0, 0, 0, 0, 9, 0x08, 0x06]);
    arp.extend([
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
    ]);
    assert!(!dropped(&arp));
}

#[test]
fn ip_options_and_extension_headers_hide_nothing() {
    for header_words in 5..=15 {
        let ip = Ip::V4 { header_words, fragment: 0x4000 };
        assert!(dropped(&Described { ip, ..Described::v4(OFFER) }.bytes()), "{header_words}");
    }
    for kind in [0, 43, 60] {
        for length in [0, 1, 31] {
            for count in 1..=3 {
                let extensions = vec![Extension::Options(kind, length); count];
                for inner in [ADVERTISE, ROUTER] {
                    assert!(dropped(&Described::v6(&extensions, inner).bytes()), "{extensions:?}");
                }
                assert!(!dropped(&Described::v6(&extensions, SOLICIT).bytes()), "{extensions:?}");
            }
        }
    }
    let too_many = [Extension::Options(60, 0); 4];
    assert!(dropped(&Described::v6(&too_many, SOLICIT).bytes()));
}

#[test]
fn of_fragments_the_first_is_looked_into() {
    for (fragment, first) in [(0x2000, true), (0x0001, false), (0x2001, false), (0x1fff, false)] {
        let ip = Ip::V4 { header_words: 5, fragment };
        let described = Described { ip, ..Described::v4(OFFER) };
        assert_eq!(dropped(&described.bytes()), first, "{fragment:#x}");
    }
    for (fragment, first) in [(0x0001, true), (0x0000, true), (0x0008, false), (0xfff9, false)] {
        let extensions = [Extension::Fragment(fragment), Extension::Options(60, 2)];
        for inner in [ADVERTISE, ROUTER] {
            let described = Described::v6(&extensions, inner);
            assert_eq!(dropped(&described.bytes()), first, "{fragment:#x}");
        }
    }
}

#[test]
fn a_frame_that_ends_before_the_header_in_question_is_dropped() {
    for described in [
        Described::v4(DISCOVER),
        Described::v4(OFFER),
        Described::v6(&[Extension::Options(60, 3)], SOLICIT),
        Described::v6(&[Extension::Fragment(1), Extension::Options(60, 3)], ROUTER),
        Described::v6(&[Extension::Fragment(1)], Inner::Icmpv6(128)),
    ] {
        let (bytes, start) = described.bytes_and_start();
        for len in start..start + 8 {
            assert!(dropped(&bytes[..len]), "{described:?} of {len} bytes");
        }
    }
    let (bytes, start) = Described::v6(&[Extension::Options(60, 3)], SOLICIT).bytes_and_start();
    for len in 14 + 40..start {
        assert!(dropped(&bytes[..len]), "{len} bytes");
    }
}

#[test]
fn tags_hide_nothing() {
    for tag in [0x8100, 0x88a8] {
        for (described, to_be_dropped) in [
            (Described::v4(OFFER), true),
            (Described::v4(DISCOVER), false),
            (Described::v6(&[Extension::Options(0, 0)], ROUTER), true),
            (Described::v6(&[], SOLICIT), false),
        ] {
            let described = Described { tags: vec![tag], ..described };
            assert_eq!(dropped(&described.bytes()), to_be_dropped, "{described:?}");
        }
    }
}

fn inner() -> impl Strategy<Value = Inner> {
    let port = || prop_oneof![4 => select(vec![67u16, 68, 546, 547]), 1 => any::<u16>()];
    prop_oneof![
        4 => (port(), port()).prop_map(|(from, to)| Inner::Udp { from, to }),
        1 => (port(), port()).prop_map(|(from, to)| Inner::Tcp { from, to }),
        4 => prop_oneof![3 => select(vec![133u8, 134, 135, 137]), 1 => any::<u8>()]
            .prop_map(Inner::Icmpv6),
    ]
}

fn extension() -> impl Strategy<Value = Extension> {
    prop_oneof![
        3 => (select(vec![0u8, 43, 60]), 0u8..4).prop_map(|(k, l)| Extension::Options(k, l)),
        1 => prop_oneof![3 => 0u16..8, 1 => any::<u16>()].prop_map(Extension::Fragment),
    ]
}

fn described() -> impl Strategy<Value = Described> {
    let v4 = (5u8..=15, prop_oneof![3 => select(vec![0u16, 0x4000, 0x2000]), 1 => any::<u16>()])
        .prop_map(|(header_words, fragment)| Ip::V4 { header_words, fragment });
    let v6 =
        proptest::collection::vec(extension(), 0..7).prop_map(|extensions| Ip::V6 { extensions });
    let tag = prop_oneof![9 => select(vec![0x8100u16, 0x88a8]), 1 => Just(0x9100)];
    let tags = proptest::collection::vec(tag, 0..3);
    (tags, prop_oneof![v4, v6], inner()).prop_map(|(tags, ip, inner)| Described { tags, ip, inner })
}

proptest! {
    #[test]
    fn the_verdict_is_what_the_frame_says(described in described()) {
        check(&described);
    }

    #[test]
    fn every_byte_string_gets_a_verdict(
        ethertype in select(vec![0x0800u16, 0x86dd, 0x8100]),
        rest in proptest::collection::vec(prop_oneof![any::<u8>(), select(vec![0u8, 17, 44, 58, 60])], 0..200),
    ) {
        dropped(&[&[0xff; 12], &ethertype.to_be_bytes()[..], &rest].concat());
    }
}
