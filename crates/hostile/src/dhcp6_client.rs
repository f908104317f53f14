//! Any sequence of commands, messages and time, into a DHCPv6 client: it neither panics nor hurries,
//! and uses nothing outside of its lifetime.
//!
//! A message is what a server would answer, with the client's transaction and DUID, and then spoilt
//! in some places.

use std::net::Ipv6Addr;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use dhcp::Instant;
use dhcp::v6::{Client, Config, Event, Lease, State};
use wire::MacAddr;
use wire::dhcp6::{Builder, Duid, Ia, IaAddress, IaPrefix, Message, MessageType, SERVERS, code};

use crate::clock::Clock;

const IAID: u32 = 7;
const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

fn duid(number: u8) -> Duid {
    Duid::link_layer(MacAddr([2, 0, 0, 0, 0, number]))
}

/// The addresses that there are, so that they meet.
fn address(choice: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(choice % 4) + 1)
}

#[derive(Debug, Arbitrary)]
struct Life {
    address: bool,
    prefix: bool,
    rapid_commit: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Start,
    Inform,
    Renew,
    Release,
    Decline(u8),
    Name(bool),
    Confirm(u8),
    Register {
        address: u8,
        preferred: u16,
        valid: u16,
    },
    Unregister(u8),
    /// An answer to the last message.
    Answer(Answer),
    /// So many milliseconds pass, with all that is due in them.
    Pass(u16),
    /// The same in seconds.
    PassLong(u16),
    /// The clock jumps: the machine slept.
    Sleep(u16),
    /// The timer goes off too early.
    Early,
    /// The daemon starts anew.
    Resume,
    /// The machine boots.
    Reboot,
}

#[derive(Debug, Arbitrary)]
struct Answer {
    kind: u8,
    server: bool,
    t1: u32,
    t2: u32,
    addresses: Vec<(u8, u32, u32)>,
    prefixes: Vec<(u8, u8, u32, u32)>,
    status: Option<u8>,
    /// Further options: code and data.
    options: Vec<(u8, Vec<u8>)>,
    /// Bytes of the payload that are set otherwise.
    edits: Vec<(u16, u8)>,
    cut: Option<u16>,
}

struct World {
    client: Client,
    now: Instant,
    /// Randomness for the next client.
    seed: u64,
    /// The last message that the client sent.
    asked: Vec<u8>,
    lease: Option<Lease>,
}

impl Clock for World {
    fn now(&mut self) -> &mut Instant {
        &mut self.now
    }

    fn due(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    fn ring(&mut self) {
        self.wake();
        self.drain();
    }
}

impl World {
    fn take(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Start => self.client.start(now),
            Step::Inform => self.client.inform(now),
            Step::Renew => self.client.renew(now),
            Step::Release => self.client.release(now),
            Step::Decline(choice) => self.client.decline(address(choice), now),
            Step::Name(name) => self.client.set_host_name(name.then_some("web"), now),
            Step::Confirm(later) => {
                self.client.confirm(now + Duration::from_millis(40) * later.into(), now);
            }
            Step::Register { address: choice, preferred, valid } => {
                let after = |seconds: u16| now + Duration::from_secs(seconds.into());
                self.client.register(address(choice), after(preferred), after(valid), now);
            }
            Step::Unregister(choice) => self.client.unregister(address(choice), now),
            Step::Answer(answer) => {
                if let Some(payload) = self.answer(answer) {
                    self.client.handle_message(SOURCE, &payload, now);
                }
            }
            Step::Pass(time) => self.pass(Duration::from_millis(time.into())),
            Step::PassLong(time) => self.pass(Duration::from_secs(time.into())),
            Step::Sleep(time) => {
                self.now = now + Duration::from_secs(time.into());
                self.wake();
            }
            Step::Early => self.wake(),
            Step::Resume => {
                if let Some(lease) = self.client.lease().cloned() {
                    self.seed += 1;
                    let config = self.client.config().clone();
                    self.client = Client::resume(config, lease, self.seed, now);
                }
            }
            Step::Reboot => {
                if let Some(lease) = self.lease.clone() {
                    self.seed += 1;
                    let config = self.client.config().clone();
                    self.client = Client::reboot_with_lease(config, lease, self.seed, now);
                }
            }
        }
        self.drain();
    }

    fn wake(&mut self) {
        self.client.handle_timeout(self.now);
        assert!(self.client.poll_timeout().is_none_or(|next| next > self.now), "busy");
        if let Some(lease) = self.client.lease() {
            assert!(lease.addresses.iter().all(|leased| leased.valid_until > self.now));
            assert!(lease.prefixes.iter().all(|leased| leased.valid_until > self.now));
        }
    }

    fn drain(&mut self) {
        let mut messages = 0;
        while let Some(transmit) = self.client.poll_transmit() {
            assert_eq!(transmit.destination, SERVERS);
            assert!(transmit.payload.len() <= 1232);
            let message = Message::parse(&transmit.payload).expect("the client sends messages");
            assert!(message.options.is_whole() && message.options.client_id().is_some());
            if message.kind == MessageType::AddrRegInform {
                assert!(transmit.source.is_some());
                continue;
            }
            messages += 1;
            self.asked = transmit.payload;
        }
        assert!(messages <= 2, "{messages} messages at once");
        while let Some(event) = self.client.poll_event() {
            if event == Event::Released {
                assert_eq!(self.client.state(), State::Stopped);
            }
        }
        if let Some(lease) = self.client.lease() {
            assert!(!lease.is_empty());
            assert!(lease.addresses.len() <= Lease::MOST && lease.prefixes.len() <= Lease::MOST);
            self.lease = Some(lease.clone());
        }
    }

    fn answer(&self, answer: Answer) -> Option<Vec<u8>> {
        let asked = Message::parse(&self.asked).ok()?;
        // Mostly what fits to the question.
        let kind = match (answer.kind % 8, asked.kind) {
            (0, _) => MessageType::Advertise,
            (1, _) => MessageType::Reply,
            (2, _) => MessageType::Reconfigure,
            (3, _) => MessageType::AddrRegReply,
            (_, MessageType::Solicit) => MessageType::Advertise,
            _ => MessageType::Reply,
        };
        let status = |inner: Builder| match answer.status {
            Some(status) => inner.option(code::STATUS_CODE, &[0, status % 8]),
            None => inner,
        };
        let header = Ia::header(IAID, answer.t1, answer.t2);
        let mut message = Builder::new(kind, asked.xid)
            .option(code::CLIENT_ID, &duid(1))
            .option(code::SERVER_ID, &duid(if answer.server { 2 } else { 3 }))
            .nest(code::IA_NA, &header, |ia| {
                status(answer.addresses.iter().take(12).fold(ia, |ia, (choice, p, v)| {
                    ia.option(code::IA_ADDRESS, &IaAddress::header(address(*choice), *p, *v))
                }))
            })
            .nest(code::IA_PD, &header, |ia| {
                status(answer.prefixes.iter().take(12).fold(ia, |ia, (choice, length, p, v)| {
                    let data = IaPrefix::header(address(*choice), *length, *p, *v);
                    ia.option(code::IA_PREFIX, &data)
                }))
            });
        for (code, data) in answer.options.iter().take(8) {
            message = message.option((*code).into(), data);
        }
        let mut payload = message.finish();
        for (place, value) in &answer.edits {
            let place = usize::from(*place) % payload.len();
            payload[place] = *value;
        }
        if let Some(end) = answer.cut {
            payload.truncate(end.into());
        }
        Some(payload)
    }
}

/// Whether these bytes are something to look at; if they are, what [the module](self) says holds.
pub fn run(bytes: &[u8]) -> bool {
    let Ok(mut life) = Life::arbitrary_take_rest(Unstructured::new(bytes)) else { return false };
    let something = !life.steps.is_empty();
    let config = Config {
        address: life.address,
        prefix: life.prefix.then_some(56),
        rapid_commit: life.rapid_commit,
        ..Config::new(duid(1), IAID)
    };
    let now = Instant::from_boot(Duration::from_secs(1000));
    let client = Client::new(config, 1);
    let mut world = World { client, now, seed: 1, asked: Vec::new(), lease: None };
    for step in life.steps.drain(..).take(200) {
        world.take(step);
    }
    something
}
