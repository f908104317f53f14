//! What one client may do, judged by what it was told and by what it says. No server is believed.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::{Client, Event, Lease, OnLoss, State};
use wire::dhcp4::{Message, MessageType, Op, code, port};
use wire::frame::{Checksum, Frame, Payload};

use crate::coverage::STATES;

const SECOND: Duration = Duration::from_secs(1);
/// Frames and events that one step may give.
const OUTBOX: u32 = 8;
/// Grants and REQUESTs that are remembered.
const REMEMBERED: usize = 32;
/// Frames that a command may cost: a renewal before T1 is five REQUESTs, with three questions by ARP
/// before each but the first.
const COMMAND: f64 = 17.0;

/// The rules for one client, with what they have to remember. What is returned is what is wrong.
#[derive(Debug)]
pub struct Rules {
    /// REQUESTs lately: the transaction, and when it was asked last.
    asked: VecDeque<(u32, Instant)>,
    /// DISCOVERs that ask for a lease at once (RFC 4039), in the same way: when each was sent first.
    at_once: VecDeque<(u32, Instant)>,
    /// What DHCPACKs to them granted.
    told: VecDeque<Grant>,
    /// The one that the client has made a lease of.
    used: Option<Grant>,
    /// The address that the container has by the events.
    address: Option<Ipv4Addr>,
    frames: u32,
    purses: [Purse; STATES.len()],
    /// How often the lease makes the client ask, at most.
    period: Duration,
    state: State,
    /// How long the client has been in `state`, as far as it was woken when it wanted.
    stayed: Duration,
    looked: Instant,
    due: Instant,
}

/// What a DHCPACK granted.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Grant {
    address: Ipv4Addr,
    server: Option<Ipv4Addr>,
    until: Instant,
}

/// Frames that may be sent at once.
#[derive(Debug, Clone, Copy)]
struct Purse {
    frames: f64,
    filled: Instant,
}

/// So many frames at once, and one more for each interval that passes.
struct Budget {
    burst: f64,
    interval: Duration,
}

/// The back-off that is declared for a state. Where the lease asks for more, it is a quarter of the
/// shortest time between two attempts: three questions by ARP and a REQUEST.
fn budget(state: State) -> Budget {
    let (burst, seconds) = match state {
        // The second announcement, and the RELEASE.
        State::Stopped | State::Releasing | State::V6OnlyWait => (4.0, 60),
        State::Init | State::Rebooting => (6.0, 10),
        // 0, 1, 3, 7 … 127 s; while somebody waits the first two conflicts and the first NAK begin that
        // anew, at once or after a second.
        State::Selecting => (16.0, 4),
        State::Probing | State::Bound => (8.0, 4),
        State::Confirming => (10.0, 4),
        // Three REQUESTs and three probes; and after NAKs in a row, 0, 1, 2, 4 s apart, as many.
        State::Requesting => (20.0, 4),
        // The interval is the lease's.
        State::Renewing | State::Rebinding => (18.0, 15),
    };
    Budget { burst, interval: SECOND * seconds }
}

/// How far ahead a timer may be set, and how long a state may last, both without anything heard.
fn patience(state: State) -> (Duration, Duration) {
    let (timer, stay) = match state {
        State::Init => (66, 76),
        State::Selecting => (65, u32::MAX),
        State::Requesting => (65, 70),
        State::Rebooting => (15, 20),
        State::Probing => (3, 9),
        State::Releasing => (1, 4),
        State::Confirming => (65, u32::MAX),
        // As the lease says.
        State::Stopped | State::Bound | State::Renewing | State::Rebinding | State::V6OnlyWait => {
            (u32::MAX, u32::MAX)
        }
    };
    (SECOND * timer, SECOND * stay)
}

impl Rules {
    /// For a client that is new at `now`.
    pub fn new(now: Instant) -> Rules {
        let purses = STATES.map(|state| Purse { frames: budget(state).burst, filled: now });
        Rules {
            asked: VecDeque::new(),
            at_once: VecDeque::new(),
            told: VecDeque::new(),
            used: None,
            address: None,
            frames: 0,
            purses,
            period: Duration::MAX,
            state: State::Stopped,
            stayed: Duration::ZERO,
            looked: now,
            due: Instant::NEVER,
        }
    }

    /// The address that the container has, by the events alone.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.address
    }

    /// The client was made anew: by a restart of the daemon, which leaves the container as it is, or
    /// by one of the machine.
    pub fn renewed(&mut self, address: Option<Ipv4Addr>) {
        self.address = address;
        self.command();
    }

    /// A command is given. What it costs is the caller's affair, and so is the time it takes.
    pub fn command(&mut self) {
        self.stayed = Duration::ZERO;
        self.credit(COMMAND);
    }

    /// Somebody asked for something that costs so many frames.
    pub fn allow(&mut self, frames: u8) {
        self.credit(frames.into());
    }

    fn credit(&mut self, frames: f64) {
        for (purse, state) in self.purses.iter_mut().zip(STATES) {
            purse.frames = (purse.frames + frames).min(budget(state).burst);
        }
    }

    /// A message reaches the client.
    pub fn heard(&mut self, message: &Message) {
        if message.op != Op::BootReply || message.message_type() != Some(MessageType::Ack) {
            return;
        }
        let rapid = message.options.get(code::RAPID_COMMIT).is_some();
        let answered = |(xid, _): &&(u32, Instant)| *xid == message.xid;
        let asked = self.asked.iter().rev().find(answered);
        let asked = asked.or_else(|| self.at_once.iter().find(answered).filter(|_| rapid));
        let (Some((_, asked)), Some(seconds)) = (asked, message.options.lease_time()) else {
            return;
        };
        let lifetime = match seconds {
            u32::MAX => Duration::MAX,
            seconds => SECOND * seconds,
        };
        let (address, server) = (message.yiaddr, message.options.server_id());
        let grant = Grant { address, server, until: *asked + lifetime };
        if !self.told.contains(&grant) {
            remember(&mut self.told, grant);
        }
    }

    /// Before each command or input.
    pub fn step(&mut self, now: Instant) {
        self.frames = 0;
        let woken = now.min(self.due.max(self.looked));
        self.stayed = self.stayed.saturating_add(woken.saturating_since(self.looked));
        self.looked = now;
    }

    /// A frame that the client sends: says whether it begins an exchange, which is a DHCPREQUEST
    /// with a transaction of its own.
    ///
    /// `before`: the address of the container before the step.
    ///
    /// # Errors
    ///
    /// It must not be sent, or not yet.
    pub fn sent(
        &mut self,
        client: &Client,
        before: Option<Ipv4Addr>,
        bytes: &[u8],
        now: Instant,
    ) -> Result<bool, String> {
        let mac = client.config().mac;
        let frame = Frame::parse(bytes, Checksum::Verify).map_err(|error| error.to_string())?;
        if frame.source != mac {
            return Err(format!("sends as {}", frame.source));
        }
        let mut begins = false;
        match frame.payload {
            Payload::Arp(arp) if arp.sender_mac != mac => {
                return Err(format!("says in ARP that it is {}", arp.sender_mac));
            }
            Payload::Arp(_) => {}
            Payload::Udp4(datagram) => {
                let message =
                    Message::parse(datagram.payload).map_err(|error| error.to_string())?;
                let source = *datagram.source.ip();
                if message.chaddr != mac {
                    return Err(format!("sends for {}", message.chaddr));
                }
                if datagram.destination.port() != port::SERVER {
                    return Err(format!("sends to port {}", datagram.destination.port()));
                }
                if source != message.ciaddr {
                    return Err(format!("sends from {source} for {}", message.ciaddr));
                }
                let unbound = matches!(client.state(), State::Stopped | State::Releasing);
                // What became a lease in this step may be used at once: the events follow.
                let leased = client.lease().is_some_and(|lease| lease.address == source);
                // Or is given back at once, as the server would have it (RFC 8925).
                let spared = client.state() == State::V6OnlyWait
                    && message.message_type() == Some(MessageType::Release)
                    && self.told.iter().any(|grant| grant.address == source);
                let may = before == Some(source) || leased || unbound || spared;
                if !(source.is_unspecified() || may) {
                    return Err(format!("sends from {source}, which it has not"));
                }
                let rapid = message.options.get(code::RAPID_COMMIT).is_some();
                if rapid && message.message_type() != Some(MessageType::Discover) {
                    return Err("asks for a lease at once, and not in a DISCOVER".to_owned());
                }
                if rapid && self.at_once.iter().all(|(xid, _)| *xid != message.xid) {
                    remember(&mut self.at_once, (message.xid, now));
                }
                if message.message_type() == Some(MessageType::Request) {
                    begins = self.asked.back().is_none_or(|(xid, _)| *xid != message.xid);
                    remember(&mut self.asked, (message.xid, now));
                }
            }
            Payload::Udp6(_) | Payload::Nd(_) => return Err("sends IPv6".to_owned()),
        }
        self.frames += 1;
        if self.frames > OUTBOX {
            return Err(format!("sends more than {OUTBOX} frames at once"));
        }
        self.pay(client.state(), now)?;
        Ok(begins)
    }

    fn pay(&mut self, state: State, now: Instant) -> Result<(), String> {
        let Budget { burst, interval } = budget(state);
        let interval = interval.min(self.period / 4).as_secs_f64();
        let purse = self.purses.iter_mut().zip(STATES).find(|(_, other)| *other == state);
        let (purse, _) = purse.expect("STATES has all");
        let passed = now.saturating_since(purse.filled).as_secs_f64() / interval;
        *purse = Purse { frames: (purse.frames + passed).min(burst) - 1.0, filled: now };
        if purse.frames < 0.0 {
            return Err(format!("sends more than {burst} frames and one in {interval} s"));
        }
        Ok(())
    }

    /// An event of the client.
    ///
    /// # Errors
    ///
    /// It does not fit to those before, or to the lease.
    pub fn event(&mut self, event: &Event, lease: Option<&Lease>) -> Result<(), String> {
        let has = self.address;
        let fits = match event {
            Event::Bound => has.is_none(),
            Event::Renewed | Event::Overdue => has.is_some(),
            Event::Changed { old } | Event::Lost { old, .. } => has == Some(old.address),
            Event::Released | Event::Ipv6Only => true,
        };
        if !fits {
            return Err(format!("says {event:?}, and the container has {has:?}"));
        }
        match event {
            // Several events may come in one step, and the lease is that of the last.
            Event::Bound | Event::Changed { .. } => self.address = lease.map(|l| l.address),
            Event::Lost { .. } | Event::Released => self.address = None,
            Event::Renewed | Event::Overdue | Event::Ipv6Only => {}
        }
        Ok(())
    }

    /// The client after a step, with all its frames and events fetched.
    ///
    /// # Errors
    ///
    /// It uses what it must not use, or will not wake up when it has to.
    pub fn check(&mut self, client: &Client, now: Instant) -> Result<(), String> {
        let state = client.state();
        if state != self.state {
            (self.state, self.stayed) = (state, Duration::ZERO);
        }
        let due = client.poll_timeout();
        self.due = due.unwrap_or(Instant::NEVER);
        self.check_timers(client, now)?;

        let lease = client.lease();
        let releasing = state == State::Releasing;
        if self.address != lease.map(|lease| lease.address) && !releasing {
            return Err(format!("has {:?} and a lease {lease:?}", self.address));
        }
        let overdue = client.is_overdue();
        if overdue && client.config().on_loss != OnLoss::Keep {
            return Err("keeps an address that is to be dropped".into());
        }
        let Some(lease) = lease else { return Ok(()) };
        if lease.expires_at <= now && !overdue {
            return Err(format!("uses an address whose lease is over: {lease:?}"));
        }
        if lease.expires_at != Instant::NEVER && !overdue && self.due > lease.expires_at {
            return Err(format!("will not wake up before the lease is over: {lease:?}"));
        }
        let grants = |grant: &Grant| {
            grant.address == lease.address
                && grant.server == Some(lease.server)
                && grant.until >= lease.expires_at
        };
        if !self.used.as_ref().is_some_and(grants) {
            let Some(told) = self.told.iter().copied().rfind(grants) else {
                return Err(format!("nobody granted {lease:?}; last grants {:?}", self.told));
            };
            self.used = Some(told);
        }
        let floor = (lease.lifetime() / 20).clamp(SECOND, SECOND * 60);
        let until_t1 = lease.renew_at.saturating_since(lease.start);
        self.period = floor.min(until_t1).max(SECOND / 10);
        Ok(())
    }

    /// Every state is left on time-outs.
    fn check_timers(&self, client: &Client, now: Instant) -> Result<(), String> {
        let state = self.state;
        let (timer, stay) = patience(state);
        let ahead = self.due.saturating_since(now);
        let endless = client.lease().is_some_and(|lease| lease.renew_at == Instant::NEVER);
        let resting = state == State::Stopped || (state == State::Bound && endless);
        if client.poll_timeout().is_none() && !resting {
            return Err("waits without a timer".into());
        }
        if ahead > timer && timer < SECOND * u32::MAX {
            return Err(format!("sleeps for {ahead:?}"));
        }
        if self.stayed > stay {
            return Err(format!("has been here for {:?}", self.stayed));
        }
        Ok(())
    }
}

fn remember<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() == REMEMBERED {
        all.pop_front();
    }
    all.push_back(one);
}
