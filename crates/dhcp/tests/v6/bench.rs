//! A client on the bench: virtual time, what it sent, and answers made from what it asked.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::v6::{Client, Config, Event, State, Transmit};
use wire::MacAddr;
use wire::dhcp6::{
    Builder, Duid, Ia, IaAddress, IaPrefix, Message, MessageType, SERVERS, StatusCode, code,
};

pub(crate) const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x42]);
pub(crate) const IAID: u32 = 0x42;
pub(crate) const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x50);
pub(crate) const OTHER_ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x51);
pub(crate) const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0);
/// Where the server's messages come from.
pub(crate) const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const DNS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
/// What the servers here grant unless a test says otherwise, in seconds.
pub(crate) const PREFERRED: u32 = 4000;
pub(crate) const VALID: u32 = 7200;
pub(crate) const T1: u32 = 2000;
pub(crate) const T2: u32 = 3200;

/// The DUID of the server that is meant unless a test says otherwise.
pub(crate) fn server() -> Duid {
    Duid::link_layer(MacAddr([2, 0, 0, 0, 0, 2]))
}

/// Another server's.
pub(crate) fn other_server() -> Duid {
    Duid::link_layer(MacAddr([2, 0, 0, 0, 0, 3]))
}

pub(crate) fn duid() -> Duid {
    Duid::link_layer(MAC)
}

/// A client that wants an address in four messages, and is known by its DUID.
pub(crate) fn plain() -> Config {
    Config { rapid_commit: false, ..Config::new(duid(), IAID) }
}

/// The same, and a prefix.
pub(crate) fn with_prefix() -> Config {
    Config { prefix: Some(56), ..plain() }
}

/// A message the client sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) source: Option<Ipv6Addr>,
    pub(crate) payload: Vec<u8>,
}

impl Sent {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::parse(&self.payload).expect("messages are whole")
    }

    /// The addresses of its IA_NA, if it has one.
    pub(crate) fn addresses(&self) -> Option<Vec<Ipv6Addr>> {
        let ia = self.message().options.ia_na().next()?;
        Some(ia.options.addresses().map(|address| address.address).collect())
    }

    /// The prefixes of its IA_PD, if it has one.
    pub(crate) fn prefixes(&self) -> Option<Vec<(Ipv6Addr, u8)>> {
        let ia = self.message().options.ia_pd().next()?;
        Some(ia.options.prefixes().map(|prefix| (prefix.prefix, prefix.length)).collect())
    }
}

pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) now: Instant,
    sent: VecDeque<Sent>,
    events: VecDeque<Event>,
}

/// So many seconds on the bench's clock.
pub(crate) fn at(seconds: f64) -> Instant {
    Instant::from_boot(Duration::from_secs_f64(1000.0 + seconds))
}

impl Bench {
    /// A [`plain`] client, stopped.
    pub(crate) fn new() -> Bench {
        Bench::with(plain())
    }

    pub(crate) fn with(config: Config) -> Bench {
        Bench::of(Client::new(config, 1))
    }

    pub(crate) fn of(client: Client) -> Bench {
        Bench::at(client, at(0.0))
    }

    /// A client that was made at `now`.
    pub(crate) fn at(client: Client, now: Instant) -> Bench {
        let mut bench = Bench { client, now, sent: VecDeque::new(), events: VecDeque::new() };
        bench.drain();
        bench
    }

    /// One that was started, its Solicit not looked at yet.
    pub(crate) fn started(config: Config) -> Bench {
        let mut bench = Bench::with(config);
        bench.run(|client, now| client.start(now));
        bench
    }

    /// A client with a lease since second 0.
    pub(crate) fn bound() -> Bench {
        Bench::bound_by(|answer| answer)
    }

    /// The same with a Reply that `edit` has changed.
    pub(crate) fn bound_by(edit: impl FnOnce(Answer) -> Answer) -> Bench {
        let mut bench = Bench::started(plain());
        bench.bind(edit);
        bench
    }

    /// A client with an address and a prefix since second 0.
    pub(crate) fn bound_with_prefix() -> Bench {
        let mut bench = Bench::started(with_prefix());
        bench.bind(|answer| answer);
        bench
    }

    /// Answers its Solicit and what follows.
    pub(crate) fn bind(&mut self, edit: impl FnOnce(Answer) -> Answer) {
        let solicit = self.asked(MessageType::Solicit);
        self.answer(advertise(&solicit));
        let request = self.asked(MessageType::Request);
        self.answer(edit(reply(&request)));
        assert_eq!(self.event(), Event::Bound);
        self.silent();
    }

    /// Gives a command or an input and drains the outputs, as the contract says.
    pub(crate) fn run(&mut self, act: impl FnOnce(&mut Client, Instant)) {
        act(&mut self.client, self.now);
        self.drain();
    }

    /// Lets time pass up to `seconds`, with a `handle_timeout` at each deadline.
    pub(crate) fn until(&mut self, seconds: f64) {
        let end = at(seconds);
        assert!(end >= self.now, "the bench's clock is at {:?} already", self.now);
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.run(Client::handle_timeout);
            assert!(self.client.poll_timeout().is_none_or(|next| next > self.now), "busy");
        }
        self.now = end;
    }

    /// Lets time pass to the next deadline.
    pub(crate) fn next_deadline(&mut self) {
        let due = self.client.poll_timeout().expect("something is due some time");
        self.now = self.now.max(due);
        self.run(Client::handle_timeout);
    }

    pub(crate) fn hear(&mut self, payload: &[u8]) {
        self.client.handle_message(SOURCE, payload, self.now);
        self.drain();
    }

    pub(crate) fn answer(&mut self, answer: Answer) {
        self.hear(&answer.payload());
    }

    fn drain(&mut self) {
        while let Some(Transmit { source, destination, payload }) = self.client.poll_transmit() {
            assert_eq!(destination, SERVERS);
            let message = Message::parse(&payload).expect("messages are whole");
            assert!(message.options.is_whole(), "all of it");
            assert_eq!(message.options.client_id(), Some(&duid()[..]), "the client's DUID");
            assert!(!message.options.reconfigure_accept(), "no part in reconfiguration");
            self.sent.push_back(Sent { at: self.now, source, payload });
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push_back(event);
        }
    }

    /// The next message sent.
    #[track_caller]
    pub(crate) fn sent(&mut self) -> Sent {
        self.sent.pop_front().expect("the client sent something")
    }

    /// The next message sent, which must be of this type.
    #[track_caller]
    pub(crate) fn asked(&mut self, kind: MessageType) -> Sent {
        let sent = self.sent();
        assert_eq!(sent.message().kind, kind);
        sent
    }

    /// All that was sent and not looked at.
    pub(crate) fn all_sent(&mut self) -> Vec<Sent> {
        self.sent.drain(..).collect()
    }

    #[track_caller]
    pub(crate) fn event(&mut self) -> Event {
        self.events.pop_front().expect("something happened")
    }

    /// Nothing more was sent, nothing more happened.
    #[track_caller]
    pub(crate) fn silent(&self) {
        assert!(self.sent.is_empty(), "sent: {:?}", self.sent);
        assert!(self.events.is_empty(), "events: {:?}", self.events);
    }

    #[track_caller]
    pub(crate) fn state(&self, state: State) {
        assert_eq!(self.client.state(), state);
    }

    /// The only address of the lease.
    #[track_caller]
    pub(crate) fn address(&self) -> Ipv6Addr {
        let lease = self.client.lease().expect("a lease");
        let [leased] = lease.addresses[..] else { panic!("{lease:?}") };
        leased.address
    }

    pub(crate) fn seconds(&self, instant: Instant) -> f64 {
        instant.saturating_since(at(0.0)).as_secs_f64()
    }
}

/// An association that a server fills.
#[derive(Debug, Clone)]
pub(crate) struct Filled {
    pub(crate) iaid: u32,
    pub(crate) t1: u32,
    pub(crate) t2: u32,
    /// Address (or prefix), its length, preferred and valid lifetime.
    pub(crate) contents: Vec<(Ipv6Addr, u8, u32, u32)>,
    pub(crate) status: Option<StatusCode>,
}

/// A server's message.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) kind: MessageType,
    pub(crate) xid: u32,
    pub(crate) client: Option<Vec<u8>>,
    pub(crate) server: Option<Vec<u8>>,
    pub(crate) addresses: Option<Filled>,
    pub(crate) prefixes: Option<Filled>,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

impl Answer {
    /// A message with nothing but the identifiers in it.
    pub(crate) fn to(asked: &Sent, kind: MessageType) -> Answer {
        let message = asked.message();
        Answer {
            kind,
            xid: message.xid,
            client: message.options.client_id().map(Into::into),
            server: Some(server().to_vec()),
            addresses: None,
            prefixes: None,
            options: Vec::new(),
        }
    }

    /// What was asked for, with the times that the tests are used to.
    fn grant(asked: &Sent, kind: MessageType) -> Answer {
        let filled = |(address, length)| Filled {
            iaid: IAID,
            t1: T1,
            t2: T2,
            contents: vec![(address, length, PREFERRED, VALID)],
            status: None,
        };
        let options = asked.message().options;
        Answer {
            addresses: options.ia_na().next().map(|_| filled((ADDRESS, 128))),
            prefixes: options.ia_pd().next().map(|_| filled((PREFIX, 56))),
            ..Answer::to(asked, kind)
        }
        .set(code::DNS_SERVERS, &DNS.octets())
    }

    pub(crate) fn set(mut self, code: u16, data: &[u8]) -> Answer {
        self.options.retain(|(known, _)| *known != code);
        self.options.push((code, data.to_vec()));
        self
    }

    pub(crate) fn server(mut self, server: Duid) -> Answer {
        self.server = Some(server.to_vec());
        self
    }

    pub(crate) fn status(self, status: StatusCode) -> Answer {
        self.set(code::STATUS_CODE, &u16::from(status).to_be_bytes())
    }

    /// The association for addresses, edited.
    pub(crate) fn na(mut self, edit: impl FnOnce(&mut Filled)) -> Answer {
        edit(self.addresses.as_mut().expect("addresses were asked for"));
        self
    }

    /// The association for prefixes, edited.
    pub(crate) fn pd(mut self, edit: impl FnOnce(&mut Filled)) -> Answer {
        edit(self.prefixes.as_mut().expect("prefixes were asked for"));
        self
    }

    /// Another address than the usual.
    pub(crate) fn address(self, address: Ipv6Addr) -> Answer {
        self.na(|ia| ia.contents = vec![(address, 128, PREFERRED, VALID)])
    }

    /// T1, T2, preferred and valid lifetime of all addresses.
    pub(crate) fn times(self, t1: u32, t2: u32, preferred: u32, valid: u32) -> Answer {
        self.na(|ia| {
            (ia.t1, ia.t2) = (t1, t2);
            for (.., p, v) in &mut ia.contents {
                (*p, *v) = (preferred, valid);
            }
        })
    }

    /// The association for addresses says no.
    pub(crate) fn refuses(self, status: StatusCode) -> Answer {
        self.na(|ia| {
            ia.contents.clear();
            ia.status = Some(status);
        })
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut message = Builder::new(self.kind, self.xid);
        if let Some(client) = &self.client {
            message = message.option(code::CLIENT_ID, client);
        }
        if let Some(server) = &self.server {
            message = message.option(code::SERVER_ID, server);
        }
        let status = |inner: Builder, ia: &Filled| match ia.status {
            Some(status) => inner.option(code::STATUS_CODE, &u16::from(status).to_be_bytes()),
            None => inner,
        };
        if let Some(ia) = &self.addresses {
            message = message.nest(code::IA_NA, &Ia::header(ia.iaid, ia.t1, ia.t2), |inner| {
                let fill = |inner: Builder, (address, _, preferred, valid): &_| {
                    let data = IaAddress::header(*address, *preferred, *valid);
                    inner.option(code::IA_ADDRESS, &data)
                };
                status(ia.contents.iter().fold(inner, fill), ia)
            });
        }
        if let Some(ia) = &self.prefixes {
            message = message.nest(code::IA_PD, &Ia::header(ia.iaid, ia.t1, ia.t2), |inner| {
                let fill = |inner: Builder, (prefix, length, preferred, valid): &_| {
                    let data = IaPrefix::header(*prefix, *length, *preferred, *valid);
                    inner.option(code::IA_PREFIX, &data)
                };
                status(ia.contents.iter().fold(inner, fill), ia)
            });
        }
        let options = self.options.iter();
        options.fold(message, |message, (code, data)| message.option(*code, data)).finish()
    }
}

pub(crate) fn advertise(asked: &Sent) -> Answer {
    Answer::grant(asked, MessageType::Advertise)
}

pub(crate) fn reply(asked: &Sent) -> Answer {
    Answer::grant(asked, MessageType::Reply)
}

/// A Reply that says nothing but its status.
pub(crate) fn done(asked: &Sent, status: StatusCode) -> Answer {
    Answer::to(asked, MessageType::Reply).status(status)
}
