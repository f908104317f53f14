//! A client and the container it speaks for.

use std::net::Ipv4Addr;

use dhcp::Instant;
use dhcp::v4::{Client, Config, Event, Listening, Loss, State};
use wire::MacAddr;
use wire::arp::{Arp, Operation};
use wire::dhcp4::{Message, MessageType, Op, port};
use wire::frame::{Frame, Payload, Udp4};

use crate::coverage::Input;
use crate::rules::Rules;

/// A container on the LAN with its client.
#[derive(Debug)]
pub struct Endpoint {
    /// The client.
    pub client: Client,
    /// The address that the container has.
    pub configured: Option<Ipv4Addr>,
    /// Whether the container is up. As long as it is not, nobody answers ARP for it but the client,
    /// which is told to hold the place.
    pub up: bool,
    /// What has happened so far.
    pub history: History,
    /// When the timer of the client goes off.
    pub(crate) armed: Option<Instant>,
    pub(crate) rules: Rules,
}

/// What a client has told by its events, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Times it became bound.
    pub bound: u32,
    /// Renewals without a change.
    pub renewed: u32,
    /// Renewals with one.
    pub changed: u32,
    /// Leases lost, for whatever reason.
    pub lost: u32,
    /// Of these, because another machine had the address.
    pub conflicts: u32,
    /// Leases that ended while their address stayed in use.
    pub overdue: u32,
    /// Releases done.
    pub released: u32,
    /// Frames sent by the client.
    pub frames: u32,
    /// Since when it has had no address, after a loss.
    pub without_since: Option<Instant>,
}

impl Endpoint {
    /// A container that is up, with a client that is new at `now`.
    pub fn new(client: Client, now: Instant) -> Endpoint {
        Endpoint {
            client,
            configured: None,
            up: true,
            history: History::default(),
            armed: None,
            rules: Rules::new(now),
        }
    }

    /// The MAC.
    pub fn mac(&self) -> MacAddr {
        self.client.config().mac
    }

    /// A command follows, see [`Rules::command`].
    pub fn command(&mut self) {
        self.rules.command();
    }

    /// The daemon starts anew, with the lease that its store has. [`Endpoint::step`] must follow.
    pub fn restart(&mut self, seed: u64, now: Instant) {
        let config = self.client.config().clone();
        let client = match self.client.lease().cloned() {
            Some(lease) => Client::resume(config, lease, seed, now),
            None => started(config, seed, now),
        };
        self.replace(client, self.configured);
    }

    /// The machine boots: the container is gone, and its lease remembered. [`Endpoint::step`] must
    /// follow.
    pub fn reboot(&mut self, seed: u64, now: Instant) {
        let config = self.client.config().clone();
        let client = match self.client.lease().cloned() {
            Some(lease) => Client::reboot_with_lease(config, lease, seed, now),
            None => started(config, seed, now),
        };
        self.replace(client, None);
    }

    fn replace(&mut self, client: Client, address: Option<Ipv4Addr>) {
        self.client = client;
        self.configured = address;
        self.rules.renewed(address);
        self.client.hold(!self.up);
    }

    /// Does to the container what the event asks for.
    pub(crate) fn apply(&mut self, event: &Event, now: Instant) -> Result<(), String> {
        self.rules.event(event, self.client.lease())?;
        match event {
            Event::Bound => self.history.bound += 1,
            Event::Renewed => self.history.renewed += 1,
            Event::Changed { .. } => self.history.changed += 1,
            Event::Overdue => self.history.overdue += 1,
            Event::Lost { why, .. } => {
                self.history.lost += 1;
                self.history.conflicts += u32::from(matches!(why, Loss::Conflict { .. }));
                self.history.without_since = Some(now);
            }
            Event::Released => self.history.released += 1,
            // Its clients do not ask for it.
            Event::Ipv6Only => {}
        }
        let address = self.rules.address();
        if address.is_some() {
            self.history.without_since = None;
        }
        if address != self.configured {
            self.configured = address;
            self.rules.allow(2);
            self.client.announce();
        }
        Ok(())
    }

    /// One step of the client by the contract of its run loop: what it does, then all frames and
    /// events it has for it. Returns the frames, and how many exchanges they begin.
    ///
    /// # Errors
    ///
    /// Something breaks the [rules](crate::Rules).
    pub fn step(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Client),
    ) -> Result<(Vec<Vec<u8>>, u32), String> {
        let before = self.configured;
        self.rules.step(now);
        act(&mut self.client);
        let (mut frames, mut exchanges) = (Vec::new(), 0);
        loop {
            if let Some(frame) = self.client.poll_transmit() {
                self.history.frames += 1;
                let begins = self.rules.sent(&self.client, before, &frame, now)?;
                exchanges += u32::from(begins);
                frames.push(frame);
            } else if let Some(event) = self.client.poll_event() {
                self.apply(&event, now)?;
            } else {
                break;
            }
        }
        if let State::Releasing = self.client.state() {
            self.configured = None;
        }
        self.rules.check(&self.client, now)?;
        Ok((frames, exchanges))
    }

    /// The same for a frame that comes in: says as well what it was to the client.
    ///
    /// # Errors
    ///
    /// Something breaks the [rules](crate::Rules).
    pub fn hear(
        &mut self,
        frame: &Frame<'_>,
        now: Instant,
    ) -> Result<(Vec<Vec<u8>>, u32, Input), String> {
        let mut input = match &frame.payload {
            Payload::Arp(arp) => self.hear_arp(arp),
            Payload::Udp4(datagram) => self.hear_datagram(datagram),
            Payload::Udp6(_) | Payload::Nd(_) => Input::ForAnother,
        };
        let ignored = self.client.progress().ignored().total();
        let (frames, exchanges) = self.step(now, |client| client.handle_frame(frame, now))?;
        if self.client.progress().ignored().total() > ignored {
            input = match input {
                Input::Offer => Input::OfferIgnored,
                Input::Ack => Input::AckIgnored,
                Input::Nak => Input::NakIgnored,
                other => other,
            };
        }
        Ok((frames, exchanges, input))
    }

    fn hear_datagram(&mut self, datagram: &Udp4<'_>) -> Input {
        const CHADDR: std::ops::Range<usize> = 28..34;
        match datagram.payload.get(CHADDR) {
            None => return Input::Malformed,
            Some(mac) if *mac != self.mac().0 => return Input::ForAnother,
            Some(_) => {}
        }
        let Ok(message) = Message::parse(datagram.payload) else { return Input::Malformed };
        self.rules.heard(&message);
        match message.message_type().filter(|_| message.op == Op::BootReply) {
            Some(MessageType::Offer) => Input::Offer,
            Some(MessageType::Ack) => Input::Ack,
            Some(MessageType::Nak) => Input::Nak,
            _ => Input::OtherMessage,
        }
    }

    fn hear_arp(&mut self, arp: &Arp) -> Input {
        let Listening { conflicts, requests, resolving, .. } = self.client.listening();
        let question = arp.operation == Operation::Request;
        if question && requests == Some(arp.target_ip) {
            // While the place is held, each question is answered.
            self.rules.allow(1);
        }
        if arp.sender_mac == self.mac() {
            Input::ArpOwn
        } else if conflicts == Some(arp.sender_ip) {
            Input::ArpConflict
        } else if question && arp.is_probe() && conflicts == Some(arp.target_ip) {
            Input::ArpProbe
        } else if resolving == Some(arp.sender_ip) {
            Input::ArpNextHop
        } else if question && requests == Some(arp.target_ip) {
            Input::ArpQuestion
        } else {
            Input::ArpOther
        }
    }

    /// Whether a frame passes the filter that the client asks for.
    pub fn listens_to(&self, frame: &Frame<'_>) -> bool {
        match &frame.payload {
            Payload::Arp(arp) => self.hears(arp),
            Payload::Udp4(datagram) => {
                datagram.destination.port() == port::CLIENT && self.client.listening().dhcp
            }
            Payload::Udp6(_) | Payload::Nd(_) => false,
        }
    }

    /// The same of an ARP packet.
    pub(crate) fn hears(&self, arp: &Arp) -> bool {
        let Listening { conflicts, requests, resolving, .. } = self.client.listening();
        let foreign = arp.sender_mac != self.mac();
        let question = arp.operation == Operation::Request;
        (foreign && conflicts == Some(arp.sender_ip))
            || (foreign && question && requests == Some(arp.target_ip))
            || resolving == Some(arp.sender_ip)
    }

    /// What the container's kernel answers to ARP.
    pub(crate) fn kernel_reply(&self, arp: &Arp) -> Option<Vec<u8>> {
        let asked = self.configured == Some(arp.target_ip) && arp.sender_mac != self.mac();
        (self.up && asked && arp.operation == Operation::Request && !arp.is_gratuitous())
            .then(|| arp.reply_to(self.mac()).emit(arp.sender_mac))
    }
}

fn started(config: Config, seed: u64, now: Instant) -> Client {
    let mut client = Client::new(config, seed);
    client.start(now);
    client
}
