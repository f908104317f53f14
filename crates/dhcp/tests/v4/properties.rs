//! Whatever happens in whatever order: the client's promises hold.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{Client, Config, ConflictCheck, Defence, Event, Lease, OnLoss, State};
use proptest::prelude::*;
use wire::MacAddr;
use wire::arp::Arp;
use wire::dhcp4::{Message, MessageType, Op, code, port};
use wire::frame::{Checksum, Frame, Payload, Udp4, udp4};

use super::bench::{ADDRESS, MAC, OTHER, ROUTER, ROUTER_MAC, SERVER, SERVER_MAC, at};

/// Something that happens to a client.
#[derive(Debug, Clone)]
enum Happening {
    Start,
    Renew,
    Insist,
    Release,
    Announce,
    Hold(bool),
    Name(Option<u8>),
    /// The clock goes to the next deadline.
    Due,
    /// The clock goes on by itself, and `handle_timeout` is called, due or not.
    Passes(Duration),
    Answer(Answer),
    /// Somebody says who has the router's or the server's address.
    Arp {
        server: bool,
    },
    /// A frame with these bytes as its UDP payload, behind a header that fits or not.
    Garbage {
        header: bool,
        bytes: Vec<u8>,
    },
    /// The daemon starts anew with the lease that there is.
    Resume,
    /// The machine boots: the lease that there was is remembered, or only its address.
    Reboot {
        remembered: bool,
    },
    /// The link was away; the question is due after so long.
    Confirm(Duration),
    /// Another machine has an address, wants it, or asks for it.
    Stranger {
        address: u8,
        says: Says,
    },
}

/// What another machine says in ARP.
#[derive(Debug, Clone, Copy)]
enum Says {
    Announcement,
    Reply,
    Probe,
    Question,
}

#[derive(Debug, Clone)]
struct Answer {
    kind: u8,
    lease: Option<u32>,
    t1: Option<u32>,
    t2: Option<u32>,
    /// Option 108.
    v6only_wait: Option<u32>,
    address: u8,
    mask: Option<u8>,
    relayed: bool,
    /// 0: the right one.
    xid: u8,
}

fn happening() -> impl Strategy<Value = Happening> {
    let seconds = prop_oneof![
        Just(None),
        Just(Some(u32::MAX)),
        (0..5u32).prop_map(Some),
        (0..200_000u32).prop_map(Some),
        any::<u32>().prop_map(Some),
    ];
    // What is longer takes the clock to its end.
    let wait = prop_oneof![Just(None), (0..200_000u32).prop_map(Some)];
    let answer = (
        prop_oneof![10 => Just(2u8), 10 => Just(5u8), 2 => Just(6u8), 1 => any::<u8>()],
        (seconds.clone(), seconds.clone(), seconds, wait),
        prop_oneof![4 => Just(50u8), 1 => any::<u8>()],
        prop_oneof![Just(None), Just(Some(24)), (0..=32u8).prop_map(Some)],
        any::<bool>(),
        prop_oneof![9 => Just(0u8), 1 => any::<u8>()],
    )
        .prop_map(|(kind, (lease, t1, t2, v6only_wait), address, mask, relayed, xid)| {
            let times = Answer { kind, lease, t1, t2, v6only_wait, address, mask, relayed, xid };
            Happening::Answer(times)
        });
    prop_oneof![
        4 => Just(Happening::Start),
        1 => Just(Happening::Renew),
        1 => Just(Happening::Insist),
        1 => Just(Happening::Release),
        1 => Just(Happening::Announce),
        1 => any::<bool>().prop_map(Happening::Hold),
        1 => any::<Option<u8>>().prop_map(Happening::Name),
        12 => Just(Happening::Due),
        3 => (0..100_000_000u64).prop_map(|ms| Happening::Passes(Duration::from_millis(ms))),
        3 => (0..3_000u64).prop_map(|ms| Happening::Passes(Duration::from_millis(ms))),
        16 => answer,
        4 => any::<bool>().prop_map(|server| Happening::Arp { server }),
        2 => (any::<bool>(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(header, bytes)| Happening::Garbage { header, bytes }),
        1 => Just(Happening::Resume),
        1 => any::<bool>().prop_map(|remembered| Happening::Reboot { remembered }),
        2 => (0..20_000u64).prop_map(|ms| Happening::Confirm(Duration::from_millis(ms))),
        3 => (prop_oneof![6 => Just(50u8), 1 => any::<u8>()], says())
            .prop_map(|(address, says)| Happening::Stranger { address, says }),
    ]
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        Just(Says::Announcement),
        Just(Says::Reply),
        Just(Says::Probe),
        Just(Says::Question),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let check = prop_oneof![
        3 => Just(ConflictCheck::Fast),
        1 => Just(ConflictCheck::Full),
        1 => Just(ConflictCheck::Off),
    ];
    let defence = prop_oneof![Just(Defence::Once), Just(Defence::Always)];
    let on_loss = prop_oneof![Just(OnLoss::Drop), Just(OnLoss::Keep)];
    (check, defence, on_loss, any::<bool>()).prop_map(
        |(conflict_check, defence, on_loss, ipv6_only)| Config {
            conflict_check,
            defence,
            on_loss,
            ipv6_only,
            ..Config::new(MAC)
        },
    )
}

/// A client with what the outside knows of it.
struct World {
    client: Client,
    now: Instant,
    last_xid: u32,
    /// The address a container would have, by the events alone.
    configured: Option<Ipv4Addr>,
    /// The probes since the last DISCOVER, by address, until something is heard against it.
    probes: HashMap<Ipv4Addr, Vec<Instant>>,
    /// The last lease that was seen.
    remembered: Option<Lease>,
}

impl World {
    fn new(config: Config, seed: u64) -> World {
        World {
            client: Client::new(config, seed),
            now: at(0.0),
            last_xid: 0,
            configured: None,
            probes: HashMap::new(),
            remembered: None,
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start => self.client.start(self.now),
            Happening::Renew => self.client.renew(self.now),
            Happening::Insist => self.client.insist(self.now),
            Happening::Release => self.client.release(self.now),
            Happening::Announce => self.client.announce(),
            Happening::Hold(held) => self.client.hold(held),
            Happening::Name(name) => {
                let name = name.map(|n| format!("host{n}"));
                self.client.set_host_name(name.as_deref(), self.now);
            }
            Happening::Due => {
                if let Some(due) = self.client.poll_timeout() {
                    self.now = self.now.max(due);
                    self.timeout();
                }
            }
            Happening::Passes(time) => {
                self.now = self.now + time;
                self.timeout();
            }
            Happening::Answer(answer) => self.answer(&answer),
            Happening::Arp { server } => {
                let (mac, ip) = if server { (SERVER_MAC, SERVER) } else { (ROUTER_MAC, ROUTER) };
                self.hear(&Arp::request(mac, ip, ADDRESS).emit(MacAddr::BROADCAST));
            }
            Happening::Reboot { remembered } => {
                let Some(lease) = self.remembered.clone() else { return };
                let config = self.client.config().clone();
                self.client = if remembered {
                    Client::reboot_with_lease(config, lease, 6, self.now)
                } else {
                    Client::reboot(config, lease.address, 6, self.now)
                };
                // No container has lived through it.
                self.configured = None;
                self.probes.clear();
            }
            Happening::Confirm(delay) => self.client.confirm(self.now + delay, self.now),
            Happening::Stranger { address, says } => {
                self.stranger(Ipv4Addr::new(192, 0, 2, address), says);
            }
            Happening::Garbage { header, bytes } => self.garbage(header, &bytes),
            Happening::Resume => {
                if let Some(lease) = self.client.lease().cloned() {
                    let config = self.client.config().clone();
                    self.client = Client::resume(config, lease, 5, self.now);
                }
            }
        }
        self.drain();
    }

    fn timeout(&mut self) {
        self.client.handle_timeout(self.now);
        if let Some(next) = self.client.poll_timeout() {
            assert!(next > self.now, "{:?} is due again at {next:?}", self.client.state());
        }
        if let Some(lease) = self.client.lease() {
            let over = lease.expires_at <= self.now;
            assert_eq!(over, self.client.is_overdue(), "a lease is used after its end");
            assert!(!over || self.client.config().on_loss == OnLoss::Keep);
        }
    }

    /// Another machine's ARP.
    fn stranger(&mut self, address: Ipv4Addr, says: Says) {
        let arp = match says {
            Says::Announcement => Arp::announcement(OTHER, address),
            Says::Reply => Arp::probe(MAC, address).reply_to(OTHER),
            Says::Probe => Arp::probe(OTHER, address),
            Says::Question => Arp::request(OTHER, ROUTER, address),
        };
        let checked = self.client.config().conflict_check != ConflictCheck::Off;
        let holds = matches!(says, Says::Announcement | Says::Reply);
        let used = self.configured == Some(address);
        // In the background check there is no defence: what is found ends the lease.
        let leased = !self.client.is_overdue() && self.client.state() != State::Probing;
        let must_go = checked && holds && used && leased && self.client.is_probing();
        if holds || (matches!(says, Says::Probe) && !used) {
            self.probes.remove(&address);
        }
        self.hear(&arp.emit(MacAddr::BROADCAST));
        if must_go {
            assert_ne!(self.client.lease().map(|lease| lease.address), Some(address));
        }
    }

    /// The address may be used from now on: it was probed, and nothing was said against it.
    fn was_checked(&self, address: Ipv4Addr) {
        let probes = self.probes.get(&address).map_or(&[][..], Vec::as_slice);
        let since = |at: Option<&Instant>| at.map(|at| self.now.saturating_since(*at));
        match self.client.config().conflict_check {
            ConflictCheck::Fast => {
                assert!(since(probes.first()) >= Some(Duration::from_millis(2)), "{probes:?}");
            }
            ConflictCheck::Full => {
                assert!(probes.len() >= 3, "{probes:?}");
                assert!(since(probes.last()) >= Some(Duration::from_secs(2)), "{probes:?}");
            }
            ConflictCheck::Off => assert!(probes.is_empty()),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let frame = Frame::parse(bytes, Checksum::Verify).unwrap();
        self.client.handle_frame(&frame, self.now);
    }

    fn answer(&mut self, answer: &Answer) {
        let mut message = Message::new(
            Op::BootReply,
            self.last_xid ^ u32::from(answer.xid),
            MAC,
            Default::default(),
        );
        message.yiaddr = Ipv4Addr::new(192, 0, 2, answer.address);
        let options = &mut message.options;
        options.set(code::MESSAGE_TYPE, &[answer.kind]);
        options.set(code::SERVER_ID, &SERVER.octets());
        options.set(code::ROUTER, &ROUTER.octets());
        for (code, value) in [
            (code::LEASE_TIME, answer.lease),
            (code::RENEWAL_TIME, answer.t1),
            (code::IPV6_ONLY_PREFERRED, answer.v6only_wait),
            (code::REBINDING_TIME, answer.t2),
            (
                code::SUBNET_MASK,
                answer.mask.map(|len| !u32::MAX.checked_shr(len.into()).unwrap_or(0)),
            ),
        ] {
            if let Some(value) = value {
                options.set(code, &value.to_be_bytes());
            }
        }
        let from = if answer.relayed { ROUTER } else { SERVER };
        self.hear(&udp4(
            SERVER_MAC,
            MAC,
            std::net::SocketAddrV4::new(from, port::SERVER),
            std::net::SocketAddrV4::new(message.yiaddr, port::CLIENT),
            &message.emit(),
        ));
    }

    fn garbage(&mut self, header: bool, bytes: &[u8]) {
        let mut payload = Vec::new();
        if header {
            payload = Message::new(Op::BootReply, self.last_xid, MAC, Default::default()).emit();
            payload.truncate(240);
        }
        payload.extend(bytes);
        let payload = Payload::Udp4(Udp4 {
            source: std::net::SocketAddrV4::new(SERVER, port::SERVER),
            destination: std::net::SocketAddrV4::new(ADDRESS, port::CLIENT),
            payload: &payload,
        });
        let frame = Frame { source: SERVER_MAC, destination: MAC, payload };
        self.client.handle_frame(&frame, self.now);
    }

    fn drain(&mut self) {
        let mut frames = 0;
        while let Some(bytes) = self.client.poll_transmit() {
            frames += 1;
            let frame = Frame::parse(&bytes, Checksum::Verify).unwrap();
            assert_eq!(frame.source, MAC);
            match frame.payload {
                Payload::Arp(arp) => {
                    assert_eq!(arp.sender_mac, MAC);
                    if arp.is_probe() {
                        self.probes.entry(arp.target_ip).or_default().push(self.now);
                    } else {
                        assert!(!arp.sender_ip.is_unspecified());
                    }
                }
                Payload::Udp4(datagram) => {
                    let message = Message::parse(datagram.payload).unwrap();
                    assert_eq!(message.chaddr, MAC);
                    // The IP source is the address that the message claims to come from.
                    assert_eq!(*datagram.source.ip(), message.ciaddr);
                    if message.message_type() == Some(MessageType::Release) {
                        assert!(!message.ciaddr.is_unspecified());
                    }
                    match message.message_type() {
                        Some(MessageType::Discover) => self.probes.clear(),
                        Some(MessageType::Decline) => {
                            let declined = message.options.requested_address();
                            let used = self.client.lease().map(|lease| lease.address);
                            assert!(declined.is_some() && declined != used);
                        }
                        _ => {}
                    }
                    self.last_xid = message.xid;
                }
                Payload::Udp6(_) | Payload::Nd(_) => panic!("IPv6 of a DHCPv4 client"),
            }
        }
        // After a pause: an announcement, a probe, and a REQUEST with the first probe of a new check.
        assert!(frames <= 4, "{frames} frames at once");
        while let Some(event) = self.client.poll_event() {
            let lease = self.client.lease().map(|lease| lease.address);
            if let (Event::Bound | Event::Changed { .. }, Some(address)) = (&event, lease)
                && self.configured != Some(address)
            {
                self.was_checked(address);
            }
            match event {
                Event::Bound => assert!(self.configured.is_none()),
                Event::Overdue => {
                    assert_eq!(self.configured, lease);
                    assert!(self.client.is_overdue());
                }
                Event::Renewed => assert_eq!(self.configured, lease),
                Event::Changed { old } => assert_eq!(self.configured, Some(old.address)),
                Event::Lost { old, .. } => assert_eq!(self.configured, Some(old.address)),
                Event::Released => assert_eq!(self.client.state(), State::Stopped),
                Event::Ipv6Only => assert_eq!(self.client.state(), State::V6OnlyWait),
            }
            self.configured = lease;
        }
        // A release takes the lease away before it is announced as done.
        if self.client.state() == State::Releasing {
            self.configured = None;
        }
        let lease = self.client.lease();
        assert_eq!(self.configured, lease.map(|lease| lease.address), "no change without an event");
        let state = self.client.state();
        match state {
            State::Bound | State::Renewing | State::Rebinding | State::Confirming => {
                assert!(lease.is_some() && !self.client.is_overdue());
            }
            // The lease that is to be replaced, or one that is over.
            State::Probing => {}
            _ => assert_eq!(lease.is_some(), self.client.is_overdue(), "{state}"),
        }
        let listening = self.client.listening();
        if self.client.config().conflict_check == ConflictCheck::Off {
            assert_eq!(listening.conflicts, None);
        } else if state != State::Probing {
            let using = lease.map(|lease| lease.address);
            assert!(using.is_none() || listening.conflicts.is_some(), "no defence");
        } else {
            assert!(listening.conflicts.is_some(), "deaf while probing");
        }
        if let Some(lease) = lease {
            self.remembered = Some(lease.clone());
            assert!(lease.renew_at <= lease.rebind_at && lease.rebind_at <= lease.expires_at);
            assert!((1..=32).contains(&lease.prefix_len));
            lease.routes();
        }
        let idle = matches!(self.client.state(), State::Stopped | State::Init | State::Bound);
        assert!(!(idle && self.client.listening().dhcp), "listens for nothing");
        assert!(self.client.state() == State::Stopped || self.timed(), "waits for ever");
    }

    /// Whether something is due some time, or nothing need be.
    fn timed(&self) -> bool {
        let infinite = self.client.lease().is_some_and(|lease| lease.expires_at == Instant::NEVER);
        infinite || self.client.poll_timeout().is_some()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold_whatever_happens(
        seed in any::<u64>(),
        config in config(),
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        let mut world = World::new(config, seed);
        world.happen(Happening::Start);
        for happening in happenings {
            world.happen(happening);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    /// Whatever a server answers, and however it hurries: the client's own pace holds.
    #[test]
    fn traffic_is_bounded_by_time(
        seed in any::<u64>(),
        lease in prop_oneof![Just(1u32), Just(2), 1..100u32, Just(86_400)],
        naks in any::<bool>(),
        mute in any::<bool>(),
    ) {
        let mut world = World::new(Config::new(MAC), seed);
        world.happen(Happening::Start);
        let mut sent = 0;
        let end = world.now + Duration::from_secs(3600);
        while let Some(due) = world.client.poll_timeout().filter(|due| *due < end) {
            world.now = world.now.max(due);
            world.timeout();
            // The server answers without delay for as long as there is something to answer.
            loop {
                let before = world.client.progress().clone();
                world.drain();
                if mute {
                    break;
                }
                let answer = |kind| Answer {
                    kind, lease: Some(lease), t1: None, t2: None, v6only_wait: None, address: 50,
                    mask: Some(24), relayed: false, xid: 0,
                };
                match world.client.state() {
                    State::Selecting => world.answer(&answer(2)),
                    State::Requesting if naks => world.answer(&answer(6)),
                    State::Requesting | State::Renewing | State::Rebinding => {
                        world.answer(&answer(5));
                    }
                    _ => break,
                }
                if *world.client.progress() == before {
                    break;
                }
            }
            let progress = world.client.progress();
            sent = progress.discovers + progress.requests + progress.resolutions;
            prop_assert!(progress.probes <= 3 * progress.requests, "{progress:?}");
        }
        // Leases of a second: a renewal each half second. NAKs: one round a minute in the end.
        let bound = match (mute, naks) {
            (true, _) => 70,
            (false, true) => 2 * 70,
            (false, false) => 10 + 2 * 3600 * 21 / (20 * lease) + 3600 / 5 / lease,
        };
        prop_assert!(sent <= bound, "{sent} messages in an hour, at most {bound} expected");
    }
}
