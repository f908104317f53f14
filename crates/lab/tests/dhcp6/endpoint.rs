//! The project's own IPv6 client as a machine on the LAN: its frames go out by a packet socket, what comes is taken from a
//! capture. The machine's own kernel keeps out of it.

use std::time::{Duration, Instant};

use dhcp::ipv6::{Client, Config, Event};
use lab::{Capture, Lan, Namespace};
use net::{Filter, Netns, PacketSocket, Sees};
use tokio::runtime::{Builder, Runtime};
use wire::MacAddr;
use wire::frame::{Checksum, Frame, Payload};

pub(crate) struct Endpoint {
    pub(crate) client: Client,
    /// What happened, and when, counted from the start.
    pub(crate) events: Vec<(Duration, Event)>,
    /// The DHCPv6 messages and neighbour discovery that came and went, in short, for an error to tell.
    story: Vec<String>,
    started: Instant,
    socket: PacketSocket,
    capture: Capture,
    /// How many frames of the capture were looked at.
    seen: usize,
    /// What the socket is registered with.
    _runtime: Runtime,
    _ns: Namespace,
}

impl Endpoint {
    /// A client that was just started, known by its MAC 02:00:00:00:00:`last`.
    pub(crate) fn start(lan: &Lan, last: u8, config: impl FnOnce(&mut Config)) -> Self {
        let mac = MacAddr([2, 0, 0, 0, 0, last]);
        let ns = lan.add_machine(&format!("endpoint{last}")).unwrap();
        ns.sysctl("ipv6/conf/eth0/disable_ipv6", "1").unwrap();
        ns.ok(&["ip", "link", "set", "eth0", "address", &mac.to_string()]).unwrap();
        let index = ns.enter(|| nix::net::if_::if_nametoindex("eth0")).unwrap().unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let netns = Netns::open(ns.path()).unwrap();
        let entered = runtime.enter();
        let socket =
            PacketSocket::open_in(&netns, index, &Filter::nothing(), Sees::Incoming).unwrap();
        drop(entered);
        let mut settings = Config::new(mac);
        config(&mut settings);
        let mut endpoint = Self {
            client: Client::new(settings, u64::from(last)),
            events: Vec::new(),
            story: Vec::new(),
            started: Instant::now(),
            socket,
            capture: Capture::start(&ns, "eth0").unwrap(),
            seen: 0,
            _runtime: runtime,
            _ns: ns,
        };
        // There is no container that would answer for its addresses.
        endpoint.client.hold(true);
        endpoint.act(Client::start);
        endpoint
    }

    /// Its DUID as the servers write it.
    pub(crate) fn duid(&self) -> String {
        let bytes = self.client.config().duid.iter();
        bytes.map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    }

    /// What was sent and heard, and what followed from it.
    pub(crate) fn story(&self) -> String {
        self.story.join("\n")
    }

    /// Gives a command or an input and drains the outputs, as the contract says.
    pub(crate) fn act(&mut self, act: impl FnOnce(&mut Client, dhcp::Instant)) {
        act(&mut self.client, dhcp::Instant::from_boot(net::clock::boot_now()));
        while let Some(frame) = self.client.poll_transmit() {
            self.socket.send(&frame).unwrap();
        }
        while let Some(event) = self.client.poll_event() {
            self.story.push(format!("{:?} {event:?}", self.started.elapsed()));
            self.events.push((self.started.elapsed(), event));
        }
    }

    /// Runs the client until `done`, and returns how long it took.
    pub(crate) fn run_until(
        &mut self,
        what: &str,
        timeout: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Duration {
        let began = Instant::now();
        while !done(self) {
            assert!(
                began.elapsed() < timeout,
                "{what}: not seen within {timeout:?}. {:#?}\n{:#?}\n{:#?}",
                self.story,
                self.client.progress(),
                self.client.configuration()
            );
            self.step();
        }
        began.elapsed()
    }

    /// Runs the client for so long.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        self.run_until("the time", time * 2, |_| Instant::now() >= until);
    }

    /// Until its first answer stands.
    pub(crate) fn ready(&mut self) -> Duration {
        self.run_until("the first answer", Duration::from_secs(10), |endpoint| {
            endpoint.events.iter().any(|(_, event)| *event == Event::Ready)
        })
    }

    /// One frame, or one deadline.
    fn step(&mut self) {
        let now = dhcp::Instant::from_boot(net::clock::boot_now());
        let due = self.client.poll_timeout().map(|at| at.saturating_since(now));
        let wait = due.unwrap_or(Duration::MAX).min(Duration::from_millis(20));
        let next = self.capture.wait_after(self.seen, "a frame", wait, |_| true);
        let Ok(captured) = next else { return self.act(Client::handle_timeout) };
        self.seen += 1;
        // What the servers' kernels leave to a card that is not there is not filled in here.
        let Ok(frame) = Frame::parse(&captured.bytes, Checksum::Partial) else { return };
        if let Payload::Nd(_) | Payload::Udp6(_) = frame.payload {
            let way = if captured.outgoing { "sent" } else { "heard" };
            self.story.push(format!("{:?} {way} {}", self.started.elapsed(), short(&frame)));
        }
        if !captured.outgoing {
            self.act(|client, now| client.handle_frame(&frame, now));
        }
    }
}

fn short(frame: &Frame<'_>) -> String {
    match &frame.payload {
        Payload::Nd(nd) => format!("{:?}", nd.message),
        Payload::Udp6(udp) => {
            let message = wire::dhcp6::Message::parse(udp.payload);
            format!("{} > {}: {message:02x?}", udp.source, udp.destination)
        }
        other => format!("{other:?}"),
    }
}
