//! Any sequence of commands, frames and time, into a DHCP client: it keeps the rules of the simulator.
//!
//! A frame is what a server would answer, with the client's transaction and MAC, and then spoilt in
//! some places; or ARP about an address that matters. Only what is whole gets past the checksums.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use dhcp::Instant;
use dhcp::v4::{Client, Config, ConflictCheck, Defence, OnLoss};
use sim::{Command, Endpoint};
use wire::MacAddr;
use wire::arp::{Arp, Operation};
use wire::dhcp4::{Message, MessageType, Op, code, port};
use wire::frame::{Checksum, Frame, Payload, udp4};

use crate::clock::Clock;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const SERVER_MAC: MacAddr = MacAddr([2, 0xff, 0, 0, 0, 1]);
const OTHER_MAC: MacAddr = MacAddr([2, 0xfe, 0, 0, 0, 1]);

/// The addresses that there are, so that they meet.
fn address(choice: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 1, choice % 4 + 1)
}

#[derive(Debug, Arbitrary)]
struct Life {
    conflict_check: u8,
    always: bool,
    keep: bool,
    broadcast: bool,
    ipv6_only: bool,
    rapid_commit: bool,
    unfiltered: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Command(Told),
    /// An answer to the last message.
    Answer(Answer),
    /// The same frame again.
    Again,
    Arp {
        reply: bool,
        probe: bool,
        own: bool,
        sender: u8,
        target: u8,
    },
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
enum Told {
    Start,
    Renew,
    Release,
    Name(bool),
    Announce,
    Hold(bool),
    Confirm(u8),
    Insist,
}

#[derive(Debug, Arbitrary)]
struct Answer {
    kind: u8,
    address: u8,
    server: u8,
    lease_time: Option<u32>,
    timers: Option<(u16, u16)>,
    mask: Option<u8>,
    /// The lease is there at once (option 80).
    rapid: bool,
    /// It need not have an address (option 108), and may get none.
    without: Option<(u16, bool)>,
    /// Options that replace the others: code and data.
    options: Vec<(u8, Vec<u8>)>,
    /// Bytes of the payload that are set otherwise.
    edits: Vec<(u16, u8)>,
    cut: Option<u16>,
}

struct World {
    endpoint: Endpoint,
    now: Instant,
    unfiltered: bool,
    /// Randomness for the next client.
    seed: u64,
    /// The last DHCP message that the client sent.
    asked: Option<Message>,
    last: Vec<u8>,
}

impl Clock for World {
    fn now(&mut self) -> &mut Instant {
        &mut self.now
    }

    fn due(&self) -> Option<Instant> {
        self.endpoint.client.poll_timeout()
    }

    fn ring(&mut self) {
        self.wake();
    }
}

impl World {
    fn new(life: &Life) -> World {
        let checks = [ConflictCheck::Fast, ConflictCheck::Full, ConflictCheck::Off];
        let config = Config {
            conflict_check: checks[usize::from(life.conflict_check) % checks.len()],
            defence: if life.always { Defence::Always } else { Defence::Once },
            on_loss: if life.keep { OnLoss::Keep } else { OnLoss::Drop },
            broadcast: life.broadcast,
            ipv6_only: life.ipv6_only,
            rapid_commit: life.rapid_commit,
            ..Config::new(MAC)
        };
        let now = Instant::from_boot(Duration::from_secs(1000));
        World {
            endpoint: Endpoint::new(Client::new(config, 1), now),
            now,
            unfiltered: life.unfiltered,
            seed: 1,
            asked: None,
            last: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Command(told) => self.command(told),
            Step::Answer(answer) => {
                if let Some(frame) = self.answer(answer) {
                    self.hear(frame);
                }
            }
            Step::Again => self.hear(self.last.clone()),
            Step::Arp { reply, probe, own, sender, target } => {
                let mac = if own { MAC } else { OTHER_MAC };
                let sender = if probe { Ipv4Addr::UNSPECIFIED } else { address(sender) };
                let mut arp = Arp::request(mac, sender, address(target));
                if reply {
                    arp.operation = Operation::Reply;
                }
                self.hear(arp.emit(MacAddr::BROADCAST));
            }
            Step::Pass(time) => self.pass(Duration::from_millis(time.into())),
            Step::PassLong(time) => self.pass(Duration::from_secs(time.into())),
            Step::Sleep(time) => {
                self.now = self.now + Duration::from_secs(time.into());
                self.wake();
            }
            Step::Early => self.wake(),
            Step::Resume | Step::Reboot => {
                self.seed += 1;
                match step {
                    Step::Resume => self.endpoint.restart(self.seed, self.now),
                    _ => self.endpoint.reboot(self.seed, self.now),
                }
            }
        }
        self.step(|_, _| {});
    }

    fn command(&mut self, told: Told) {
        let command = match told {
            Told::Start => Command::Start,
            Told::Renew => Command::Renew,
            Told::Release => Command::Release,
            Told::Name(name) => Command::HostName(name.then_some("web")),
            Told::Announce => Command::Announce,
            Told::Hold(held) => Command::Hold(held),
            Told::Insist => Command::Insist,
            Told::Confirm(later) => Command::Confirm(Duration::from_millis(40) * later.into()),
        };
        self.endpoint.command();
        self.step(|client, now| command.give(client, now));
    }

    fn wake(&mut self) {
        self.step(|client, now| client.handle_timeout(now));
    }

    fn step(&mut self, act: impl FnOnce(&mut Client, Instant)) {
        let now = self.now;
        let done = self.endpoint.step(now, |client| act(client, now));
        let (frames, _) = done.unwrap_or_else(|wrong| panic!("at {now:?} it {wrong}"));
        self.note(frames);
    }

    fn hear(&mut self, bytes: Vec<u8>) {
        if let Ok(frame) = Frame::parse(&bytes, Checksum::Verify)
            && (self.unfiltered || self.endpoint.listens_to(&frame))
        {
            let heard = self.endpoint.hear(&frame, self.now);
            let (frames, ..) = heard.unwrap_or_else(|wrong| panic!("at {:?} it {wrong}", self.now));
            self.note(frames);
        }
        self.last = bytes;
    }

    fn note(&mut self, frames: Vec<Vec<u8>>) {
        for frame in frames {
            let frame = Frame::parse(&frame, Checksum::Verify).expect("the client sends frames");
            if let Payload::Udp4(datagram) = frame.payload {
                let message = Message::parse(datagram.payload).expect("and whole messages");
                self.asked = Some(message);
            }
        }
    }

    fn answer(&self, answer: Answer) -> Option<Vec<u8>> {
        let asked = self.asked.as_ref()?;
        let mut message = Message::new(Op::BootReply, asked.xid, MAC, Default::default());
        message.yiaddr = address(answer.address);
        let server = address(answer.server);
        let kinds = [MessageType::Offer, MessageType::Ack, MessageType::Nak];
        // Mostly what fits to the question.
        let kind = match (answer.kind % 8, asked.message_type()) {
            (choice @ 0..3, _) => kinds[usize::from(choice)],
            (_, Some(MessageType::Discover)) if !answer.rapid => MessageType::Offer,
            _ => MessageType::Ack,
        };
        let options = &mut message.options;
        options.set(code::MESSAGE_TYPE, &[kind.into()]);
        options.set(code::SERVER_ID, &server.octets());
        options.set(code::LEASE_TIME, &answer.lease_time.unwrap_or(600).to_be_bytes());
        if let Some((t1, t2)) = answer.timers {
            options.set(code::RENEWAL_TIME, &u32::from(t1).to_be_bytes());
            options.set(code::REBINDING_TIME, &u32::from(t2).to_be_bytes());
        }
        if answer.rapid {
            options.set(code::RAPID_COMMIT, &[]);
        }
        let mask = u32::MAX << (answer.mask.unwrap_or(8) % 32);
        options.set(code::SUBNET_MASK, &mask.to_be_bytes());
        if let Some((wait, none)) = answer.without {
            options.set(code::IPV6_ONLY_PREFERRED, &u32::from(wait).to_be_bytes());
            if none {
                message.yiaddr = Ipv4Addr::UNSPECIFIED;
            }
        }
        let options = &mut message.options;
        for (code, data) in answer.options.iter().take(8) {
            options.set(*code, data);
        }
        let mut payload = message.emit();
        for (place, value) in &answer.edits {
            let place = usize::from(*place) % payload.len();
            payload[place] = *value;
        }
        if let Some(end) = answer.cut {
            payload.truncate(end.into());
        }
        let from = SocketAddrV4::new(server, port::SERVER);
        let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, port::CLIENT);
        Some(udp4(SERVER_MAC, MacAddr::BROADCAST, from, to, &payload))
    }
}

/// Whether these bytes are something to look at; if they are, what [the module](self) says holds.
pub fn run(bytes: &[u8]) -> bool {
    let Ok(mut life) = Life::arbitrary_take_rest(Unstructured::new(bytes)) else { return false };
    let something = !life.steps.is_empty();
    let mut world = World::new(&life);
    for step in life.steps.drain(..).take(200) {
        world.take(step);
    }
    something
}
