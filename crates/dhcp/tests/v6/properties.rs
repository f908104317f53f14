//! Whatever happens in whatever order: the client's promises hold.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::v6::{Client, Config, Event, Lease, State};
use proptest::prelude::*;
use wire::dhcp6::{Message, MessageType, SERVERS, StatusCode, code};

use super::bench::{
    ADDRESS, Answer, Filled, IAID, OTHER_ADDRESS, PREFIX, SOURCE, Sent, at, duid, other_server,
    plain, server, with_prefix,
};

/// Something that happens to a client.
#[derive(Debug, Clone)]
enum Happening {
    Start,
    Inform,
    Renew,
    Release,
    Decline(bool),
    Name(Option<u8>),
    /// The clock goes to the next deadline.
    Due,
    /// The clock goes on by itself, and `handle_timeout` is called, due or not.
    Passes(Duration),
    Answer(Reply),
    /// A message with these bytes as its options, or as all of it.
    Garbage {
        header: bool,
        bytes: Vec<u8>,
    },
    /// The daemon starts anew with the lease that there is.
    Resume,
    /// The machine boots: the lease that there was is remembered.
    Reboot,
    /// The link was away; the question is due after so long.
    Confirm(Duration),
    Register {
        address: u8,
        lifetimes: (u32, u32),
    },
    Unregister(u8),
}

#[derive(Debug, Clone)]
struct Reply {
    /// 0 to 1: what fits the question; else this kind.
    kind: u8,
    other_server: bool,
    status: Option<u16>,
    addresses: Option<Association>,
    prefixes: Option<Association>,
    rapid_commit: bool,
    preference: u8,
    registers: bool,
    max_rt: Option<u32>,
    /// 0: the right one.
    xid: u8,
}

#[derive(Debug, Clone)]
struct Association {
    t1: u32,
    t2: u32,
    /// Which address, preferred and valid lifetime.
    contents: Vec<(bool, u32, u32)>,
    status: Option<u16>,
}

fn seconds() -> impl Strategy<Value = u32> {
    prop_oneof![
        2 => Just(0u32),
        1 => Just(u32::MAX),
        2 => 0..5u32,
        4 => 0..200_000u32,
        1 => any::<u32>(),
    ]
}

fn status() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![8 => Just(None), 3 => (0..8u16).prop_map(Some)]
}

fn association() -> impl Strategy<Value = Option<Association>> {
    let contents = prop::collection::vec((any::<bool>(), seconds(), seconds()), 0..3);
    let filled = (seconds(), seconds(), contents, status())
        .prop_map(|(t1, t2, contents, status)| Association { t1, t2, contents, status });
    prop_oneof![5 => filled.prop_map(Some), 1 => Just(None)]
}

fn answer() -> impl Strategy<Value = Reply> {
    let kind = prop_oneof![20 => Just(0u8), 2 => any::<u8>()];
    let flags = (prop::bool::weighted(0.2), any::<bool>(), prop::bool::weighted(0.2));
    let preference = prop_oneof![Just(0u8), Just(255), any::<u8>()];
    let max_rt = prop_oneof![4 => Just(None), 1 => seconds().prop_map(Some)];
    let xid = prop_oneof![12 => Just(0u8), 1 => any::<u8>()];
    (kind, flags, status(), association(), association(), preference, max_rt, xid).prop_map(
        |(kind, flags, status, addresses, prefixes, preference, max_rt, xid)| {
            let (other_server, rapid_commit, registers) = flags;
            Reply {
                kind,
                other_server,
                status,
                addresses,
                prefixes,
                rapid_commit,
                preference,
                registers,
                max_rt,
                xid,
            }
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Start),
        1 => Just(Happening::Inform),
        1 => Just(Happening::Renew),
        1 => Just(Happening::Release),
        2 => any::<bool>().prop_map(Happening::Decline),
        1 => any::<Option<u8>>().prop_map(Happening::Name),
        12 => Just(Happening::Due),
        3 => (0..100_000_000u64).prop_map(|ms| Happening::Passes(Duration::from_millis(ms))),
        3 => (0..3_000u64).prop_map(|ms| Happening::Passes(Duration::from_millis(ms))),
        20 => answer().prop_map(Happening::Answer),
        2 => (any::<bool>(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(header, bytes)| Happening::Garbage { header, bytes }),
        1 => Just(Happening::Resume),
        1 => Just(Happening::Reboot),
        2 => (0..20_000u64).prop_map(|ms| Happening::Confirm(Duration::from_millis(ms))),
        1 => (any::<u8>(), (seconds(), seconds()))
            .prop_map(|(address, lifetimes)| Happening::Register { address, lifetimes }),
        1 => any::<u8>().prop_map(Happening::Unregister),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    (any::<bool>(), 0..3u8).prop_map(|(rapid_commit, wishes)| Config {
        rapid_commit,
        address: wishes != 1,
        prefix: (wishes > 0).then_some(56),
        ..plain()
    })
}

/// An address that the endpoint made itself.
fn own(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0x42, 0, 0, (number % 20).into())
}

/// What a container would have, by the events alone.
type Configured = (Vec<Ipv6Addr>, Vec<(Ipv6Addr, u8)>);

fn configured(lease: &Lease) -> Configured {
    let addresses = lease.addresses.iter().map(|leased| leased.address).collect();
    (addresses, lease.prefixes.iter().map(|leased| (leased.prefix, leased.length)).collect())
}

/// A client with what the outside knows of it.
struct World {
    client: Client,
    now: Instant,
    last: Option<Sent>,
    configured: Option<Configured>,
    /// The last lease that was seen.
    remembered: Option<Lease>,
}

impl World {
    fn new(config: Config, seed: u64) -> World {
        World {
            client: Client::new(config, seed),
            now: at(0.0),
            last: None,
            configured: None,
            remembered: None,
        }
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Start => self.client.start(now),
            Happening::Inform => self.client.inform(now),
            Happening::Renew => self.client.renew(now),
            Happening::Release => {
                self.client.release(now);
                // The lease goes with the command.
                self.configured = None;
            }
            Happening::Decline(other) => {
                self.client.decline(if other { OTHER_ADDRESS } else { ADDRESS }, now);
            }
            Happening::Name(name) => {
                let name = name.map(|n| format!("host{n}"));
                self.client.set_host_name(name.as_deref(), now);
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
            Happening::Answer(reply) => self.answer(&reply),
            Happening::Garbage { header, bytes } => {
                let mut payload = Vec::new();
                if header && let Some(last) = &self.last {
                    payload = Answer::to(last, MessageType::Reply).payload();
                }
                payload.extend(bytes);
                self.client.handle_message(SOURCE, &payload, now);
            }
            Happening::Resume => {
                if let Some(lease) = self.client.lease().cloned() {
                    let config = self.client.config().clone();
                    self.client = Client::resume(config, lease, 5, now);
                }
            }
            Happening::Reboot => {
                let Some(lease) = self.remembered.clone() else { return };
                let config = self.client.config().clone();
                self.client = Client::reboot_with_lease(config, lease, 6, now);
                // No container has lived through it.
                self.configured = None;
            }
            Happening::Confirm(delay) => self.client.confirm(now + delay, now),
            Happening::Register { address, lifetimes: (preferred, valid) } => {
                let after = |seconds: u32| now + Duration::from_secs(seconds.into());
                self.client.register(own(address), after(preferred), after(valid), now);
            }
            Happening::Unregister(address) => self.client.unregister(own(address), now),
        }
        self.drain();
    }

    fn timeout(&mut self) {
        self.client.handle_timeout(self.now);
        if let Some(next) = self.client.poll_timeout() {
            assert!(next > self.now, "{:?} is due again at {next:?}", self.client.state());
        }
        if let Some(lease) = self.client.lease() {
            let ends = lease.addresses.iter().map(|leased| leased.valid_until);
            let ends = ends.chain(lease.prefixes.iter().map(|leased| leased.valid_until));
            assert!(ends.min() > Some(self.now), "used after its end");
        }
    }

    fn answer(&mut self, reply: &Reply) {
        let Some(last) = &self.last else { return };
        let kinds = [MessageType::Advertise, MessageType::Reply, MessageType::Reconfigure];
        let kind = match (reply.kind, last.message().kind) {
            (0, MessageType::Solicit) if !reply.rapid_commit => MessageType::Advertise,
            (0, _) => MessageType::Reply,
            (other, _) => kinds[usize::from(other) % kinds.len()],
        };
        let mut answer = Answer::to(last, kind);
        answer.xid ^= u32::from(reply.xid);
        let filled = |association: &Association, choices: [Ipv6Addr; 2], length| Filled {
            iaid: IAID,
            t1: association.t1,
            t2: association.t2,
            contents: (association.contents.iter())
                .map(|(other, preferred, valid)| {
                    (choices[usize::from(*other)], length, *preferred, *valid)
                })
                .collect(),
            status: association.status.map(StatusCode::from),
        };
        answer.addresses =
            reply.addresses.as_ref().map(|ia| filled(ia, [ADDRESS, OTHER_ADDRESS], 128));
        let second = Ipv6Addr::from_bits(PREFIX.to_bits() + (1 << 72));
        answer.prefixes = reply.prefixes.as_ref().map(|ia| filled(ia, [PREFIX, second], 56));
        answer = answer.set(code::PREFERENCE, &[reply.preference]);
        if reply.other_server {
            answer = answer.server(other_server());
        }
        if reply.rapid_commit {
            answer = answer.set(code::RAPID_COMMIT, &[]);
        }
        if reply.registers {
            answer = answer.set(code::ADDR_REG_ENABLE, &[]);
        }
        if let Some(seconds) = reply.max_rt {
            answer = answer.set(code::SOL_MAX_RT, &seconds.to_be_bytes());
            answer = answer.set(code::INF_MAX_RT, &seconds.to_be_bytes());
        }
        if let Some(status) = reply.status {
            answer = answer.status(status.into());
        }
        self.client.handle_message(SOURCE, &answer.payload(), self.now);
    }

    fn drain(&mut self) {
        let mut messages = 0;
        while let Some(transmit) = self.client.poll_transmit() {
            assert_eq!(transmit.destination, SERVERS);
            assert!(transmit.payload.len() <= 1232, "it fits any link");
            let message = Message::parse(&transmit.payload).unwrap();
            assert!(message.options.is_whole());
            assert_eq!(message.options.client_id(), Some(&duid()[..]));
            let sent = Sent { at: self.now, source: transmit.source, payload: transmit.payload };
            if sent.message().kind == MessageType::AddrRegInform {
                let address = sent.message().options.addresses().next().unwrap().address;
                assert_eq!(sent.source, Some(address));
                continue;
            }
            assert_eq!(sent.source, None, "never from an address that may be wrong");
            messages += 1;
            self.last = Some(sent);
        }
        // After a pause: the end of one question and the beginning of another.
        assert!(messages <= 2, "{messages} messages at once");
        while let Some(event) = self.client.poll_event() {
            let before = self.configured.clone();
            match event {
                Event::Bound => assert_eq!(before, None),
                Event::Changed { old } | Event::Lost { old, .. } => {
                    assert_eq!(before, Some(configured(&old)));
                }
                Event::Renewed => assert!(before.is_some()),
                Event::Released => assert_eq!(self.client.state(), State::Stopped),
                Event::Informed => assert!(self.client.information().is_some()),
                Event::Registered { .. } => {}
            }
            self.configured = self.client.lease().map(configured);
        }
        let lease = self.client.lease();
        assert_eq!(self.configured, lease.map(configured), "no change without an event");
        let state = self.client.state();
        let leased =
            matches!(state, State::Bound | State::Renewing | State::Rebinding | State::Confirming);
        assert_eq!(lease.is_some(), leased, "{state}");
        if let Some(lease) = lease {
            self.remembered = Some(lease.clone());
            assert!(!lease.is_empty());
            assert!(lease.addresses.len() <= Lease::MOST && lease.prefixes.len() <= Lease::MOST);
            assert!([server(), other_server()].contains(&lease.server));
            for leased in &lease.addresses {
                assert!(leased.preferred_until <= leased.valid_until);
            }
        }
        assert!(matches!(state, State::Stopped | State::Informed) || self.timed(), "{state}");
    }

    /// Whether something is due some time, or nothing need be.
    fn timed(&self) -> bool {
        let infinite = self.client.lease().is_some_and(|lease| lease.t1_at == Instant::NEVER);
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
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Whatever state it is in: when nobody answers any more, it is left, but for those that rest.
    #[test]
    fn silence_leads_out_of_every_state(
        seed in any::<u64>(),
        config in config(),
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let mut world = World::new(config, seed);
        world.happen(Happening::Start);
        for happening in happenings {
            world.happen(happening);
        }
        for _ in 0..600 {
            world.happen(Happening::Due);
        }
        let endless = |lease: &Lease| lease.expires_at() == Instant::NEVER;
        let state = world.client.state();
        match state {
            // For ever, at the pace of the RFC.
            State::Soliciting | State::Informing | State::Stopped | State::Informed => {}
            // An infinite lease, or one that lasts for years.
            State::Bound | State::Renewing | State::Rebinding => {
                let lease = world.client.lease().unwrap();
                let years = Duration::from_secs(86_400);
                prop_assert!(endless(lease) || lease.expires_at() > world.now + years);
            }
            _ => prop_assert!(false, "{state} has no end"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever a server answers, and however it hurries: the client's own pace holds.
    #[test]
    fn traffic_is_bounded_by_time(
        seed in any::<u64>(),
        prefix in any::<bool>(),
        valid in prop_oneof![Just(1u32), Just(2), 1..100u32, Just(86_400)],
        replies in prop::collection::vec(answer(), 1..6),
        tame in any::<bool>(),
    ) {
        let config = if prefix { with_prefix() } else { plain() };
        let mut world = World::new(config, seed);
        world.happen(Happening::Start);
        let end = world.now + Duration::from_secs(3600);
        let mut replies = replies.iter().cycle();
        let mut hour = 0;
        while let Some(due) = world.client.poll_timeout().filter(|due| *due < end) {
            world.now = world.now.max(due);
            world.timeout();
            world.drain();
            // The server answers without delay for as long as there is something to answer.
            for _ in 0..50 {
                if !world.client.listening() {
                    break;
                }
                let mut reply = replies.next().unwrap().clone();
                reply.other_server = false;
                if tame {
                    let contents = vec![(false, valid, valid)];
                    let ia = Association { t1: 0, t2: 0, contents, status: None };
                    (reply.kind, reply.xid, reply.status) = (0, 0, None);
                    (reply.addresses, reply.prefixes) = (Some(ia.clone()), Some(ia));
                }
                world.answer(&reply);
                world.drain();
            }
            let progress = world.client.progress();
            hour = progress.solicits + progress.requests + progress.renews + progress.rebinds
                + progress.declines + progress.releases + progress.confirms;
        }
        let bound = if tame { 20 + 2 * 3600 * 21 / (20 * valid) } else { 4 * 3600 };
        prop_assert!(hour <= bound, "{hour} messages in an hour, at most {bound} expected");
    }
}
