//! Whatever happens in whatever order: the coordinator's promises hold.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::{Client, Config, DuplicateCheck, Event, InterfaceId, Mode, Saved, State};
use proptest::prelude::*;
use wire::dhcp6::{Message, MessageType};
use wire::nd::{NdOption, PrefixInformation};

use super::bench::*;
use super::lan::*;

/// Something that happens to a client.
#[derive(Debug, Clone)]
enum Happening {
    Start,
    Release,
    Renew,
    Confirm(Duration),
    Hold(bool),
    Announce,
    Name(Option<u8>),
    Resume,
    Reboot,
    /// The clock goes to the next deadline.
    Due,
    Passes(Duration),
    Advertisement(Box<Advertisement>),
    /// A server answers the last question.
    Answer {
        reply: bool,
        address: u8,
        preferred: u32,
        valid: u32,
    },
    Garbage(Vec<u8>),
    /// Another machine has, asks for or wants an address.
    Neighbour {
        about: prop::sample::Index,
        says: u8,
    },
}

fn seconds() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(u32::MAX), 0..10u32, 0..20_000u32, any::<u32>()]
}

fn advertisement() -> impl Strategy<Value = Box<Advertisement>> {
    let prefix = (0..20u16, any::<[bool; 2]>(), seconds(), seconds()).prop_map(
        |(number, [on_link, autonomous], valid, preferred)| {
            NdOption::Prefix(PrefixInformation {
                prefix: Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 0),
                length: 64,
                on_link,
                autonomous,
                valid,
                preferred,
            })
        },
    );
    let options = prop::collection::vec(prefix, 0..4);
    (0..12u8, any::<u16>(), any::<[bool; 2]>(), options).prop_map(
        |(number, lifetime, [managed, other], options)| {
            let mut said = router().number(number).lifetime(lifetime);
            (said.header.managed, said.header.other) = (managed, other);
            said.options.extend(options);
            Box::new(said.dns("2001:db8::53", u32::from(lifetime)))
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    let answer = (any::<bool>(), 0..4u8, seconds(), seconds()).prop_map(
        |(reply, address, preferred, valid)| Happening::Answer { reply, address, preferred, valid },
    );
    prop_oneof![
        4 => Just(Happening::Start),
        1 => Just(Happening::Release),
        1 => Just(Happening::Renew),
        1 => (0..20_000u64).prop_map(|ms| Happening::Confirm(Duration::from_millis(ms))),
        1 => any::<bool>().prop_map(Happening::Hold),
        1 => Just(Happening::Announce),
        1 => any::<Option<u8>>().prop_map(Happening::Name),
        1 => Just(Happening::Resume),
        1 => Just(Happening::Reboot),
        12 => Just(Happening::Due),
        3 => (0..20_000_000u64).prop_map(|ms| Happening::Passes(Duration::from_millis(ms))),
        3 => (0..3_000u64).prop_map(|ms| Happening::Passes(Duration::from_millis(ms))),
        8 => advertisement().prop_map(Happening::Advertisement),
        12 => answer,
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Happening::Garbage),
        3 => (any::<prop::sample::Index>(), 0..6u8)
            .prop_map(|(about, says)| Happening::Neighbour { about, says }),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let mode = prop_oneof![2 => Just(Mode::Auto), 1 => Just(Mode::Slaac), 1 => Just(Mode::Dhcp)];
    let stable = InterfaceId::Stable { secret: [7; 16], network: b"lan"[..].into() };
    let id = prop_oneof![Just(InterfaceId::Eui64), Just(stable)];
    let check = prop_oneof![Just(DuplicateCheck::Optimistic), Just(DuplicateCheck::Off)];
    let prefix = prop_oneof![3 => Just(None), 1 => Just(Some(56))];
    (mode, id, check, prefix).prop_map(|(mode, interface_id, duplicate_check, prefix)| Config {
        mode,
        interface_id,
        duplicate_check,
        prefix,
        ..Config::new(MAC)
    })
}

/// A client with what the outside knows of it.
struct World {
    bench: Bench,
    /// The last question to a server.
    question: Option<Vec<u8>>,
    /// When the first answer must stand.
    ready_by: Option<Instant>,
}

impl World {
    fn happen(&mut self, happening: Happening) {
        let bench = &mut self.bench;
        let started = |now: Instant| Some(now + Duration::from_millis(2500));
        match happening {
            Happening::Start => {
                if bench.client.state() == State::Stopped {
                    self.ready_by = started(bench.now);
                }
                bench.run(|client, now| client.start(now));
            }
            Happening::Release => {
                self.ready_by = None;
                bench.run(|client, now| client.release(now));
            }
            Happening::Renew => bench.run(|client, now| client.renew(now)),
            Happening::Confirm(delay) => bench.run(|client, now| client.confirm(now + delay, now)),
            Happening::Hold(held) => bench.run(|client, _| client.hold(held)),
            Happening::Announce => bench.run(|client, _| client.announce()),
            Happening::Name(name) => {
                let name = name.map(|name| format!("c{name}"));
                bench.run(|client, now| client.set_host_name(name.as_deref(), now));
            }
            Happening::Resume | Happening::Reboot => {
                let saved = bench.client.saved();
                let json = serde_json::to_string(&saved).unwrap();
                assert_eq!(serde_json::from_str::<Saved>(&json).unwrap(), saved);
                let config = bench.client.config().clone();
                let resume = matches!(happening, Happening::Resume);
                self.ready_by = if resume { None } else { started(bench.now) };
                bench.run(|client, now| {
                    *client = if resume {
                        Client::resume(config, saved, 5, now)
                    } else {
                        Client::reboot(config, saved, 6, now)
                    };
                });
            }
            Happening::Due => {
                if let Some(due) = bench.client.poll_timeout() {
                    bench.now = bench.now.max(due);
                    self.timeout();
                }
            }
            Happening::Passes(time) => {
                bench.now = bench.now + time;
                self.timeout();
            }
            Happening::Advertisement(said) => bench.advertise(&said),
            Happening::Answer { reply, address, preferred, valid } => {
                if let Some(question) = &self.question {
                    let asked = Message::parse(question).unwrap();
                    let advertise = asked.kind == MessageType::Solicit && !reply;
                    let kind = if advertise { MessageType::Advertise } else { MessageType::Reply };
                    let address = ip(&format!("2001:db8::{address:x}"));
                    bench.reply_with(kind, &question.clone(), (address, preferred, valid));
                }
            }
            Happening::Garbage(bytes) => bench.answer(&bytes),
            Happening::Neighbour { about, says } => {
                let all: Vec<_> = bench.client.neighbours().map(|n| n.address).collect();
                if !all.is_empty() {
                    let address = all[about.index(all.len())];
                    let frame = match says {
                        0 => claim(OTHER_MAC, address),
                        1 => probe(OTHER_MAC, address, None),
                        2 => solicitation(OTHER_MAC, address, address),
                        3 => claim(MAC, address),
                        _ => solicitation(OTHER_MAC, OTHER, address),
                    };
                    bench.hear(&frame);
                }
            }
        }
        self.look();
    }

    fn timeout(&mut self) {
        let bench = &mut self.bench;
        bench.run(Client::handle_timeout);
        assert!(bench.client.poll_timeout().is_none_or(|next| next > bench.now), "busy");
        let configuration = bench.client.configuration();
        let over = configuration.addresses.iter().any(|address| address.valid_until <= bench.now);
        // What newer times say is told when half of the old ones is over.
        assert!(!over, "an address is used beyond its lifetime: {configuration:?}");
        assert!(configuration.routers.iter().all(|router| router.until > bench.now));
        if self.ready_by.is_some_and(|by| bench.now >= by) {
            let ready = bench.events.contains(&Event::Ready);
            assert!(ready, "not ready in time: {:?}", bench.client);
        }
    }

    /// Looks at what came of it.
    fn look(&mut self) {
        let bench = &mut self.bench;
        assert!(bench.sent.len() <= 120, "{} frames at once", bench.sent.len());
        for sent in bench.sent.drain(..) {
            if let What::Dhcp(payload) = sent.what {
                self.question = Some(payload);
            }
        }
        for event in bench.events.drain(..) {
            match event {
                Event::Ready => {
                    assert!(self.ready_by.is_some(), "ready twice, or without a start");
                    self.ready_by = None;
                }
                Event::Changed { .. } | Event::Renewed => {
                    assert!(self.ready_by.is_none(), "told before it is ready");
                }
                Event::Duplicate { .. } => {}
                Event::Released => assert_eq!(bench.client.state(), State::Stopped),
            }
        }
        let configuration = bench.client.configuration();
        assert!(configuration.addresses.len() <= 16 + 8);
        assert!(configuration.dns.len() <= 16 && configuration.search.len() <= 40);
        for (number, address) in configuration.addresses.iter().enumerate() {
            assert_eq!(address.prefix_len, 128);
            assert!(address.preferred_until <= address.valid_until);
            let before = &configuration.addresses[..number];
            assert!(before.iter().all(|other| other.address != address.address));
        }
        if bench.client.state() == State::Stopped {
            assert_eq!(bench.client.poll_timeout(), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn promises_hold(
        config in config(), seed in any::<u64>(),
        happenings in prop::collection::vec(happening(), 1..80)
    ) {
        let bench = Bench::of(Client::new(config, seed));
        let mut world = World { bench, question: None, ready_by: None };
        for happening in happenings {
            world.happen(happening);
        }
    }

    /// However it goes on, the first answer is not waited for longer than it may be.
    #[test]
    fn it_is_ready_in_time(
        config in config(), seed in any::<u64>(),
        heard in prop::collection::vec((0..400u64, advertisement()), 0..8)
    ) {
        let mut bench = Bench::of(Client::new(config, seed));
        bench.run(|client, now| client.start(now));
        let mut millis = 0;
        for (pause, said) in heard {
            millis += pause;
            bench.until(millis as f64 / 1000.0);
            bench.advertise(&said);
        }
        bench.until((millis as f64 / 1000.0).max(2.5));
        prop_assert_eq!(bench.events.iter().filter(|event| **event == Event::Ready).count(), 1);
    }
}
