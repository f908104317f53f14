//! What moves the IPv6 side of a segment: frames that come in, timers that fire, and what clients say in answer.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv6Addr;
use std::sync::{Arc, PoisonError};

use dhcp::Instant;
use dhcp::ipv6::Event;
use wire::MacAddr;
use wire::dhcp6::{MessageType, port};
use wire::frame::{Checksum, Frame, Payload};
use wire::nd::Message;

use super::{Entry, Ipv6, Ipv6Event, State, Waiting};
use crate::engine::api::Ipv6Counters;
use crate::engine::counters::ignored6;
use crate::segments::drive::drive;
use crate::segments::ear::Ear;
use crate::segments::segment::now;

impl Ipv6 {
    /// Follows up on a mutation of a client.
    pub(super) fn settle(&self, state: &mut State, mac: MacAddr) {
        self.follow(state, mac);
        self.arm(state);
    }

    /// The same without the timer.
    fn follow(&self, state: &mut State, mac: MacAddr) {
        let Some(entry) = state.clients.get_mut(&mac) else { return };
        // Ears before mouth: the answer may be there before `send` returns.
        let listening = entry.client.listening().dhcp;
        Ear::follow(&mut entry.ear, entry.link.filter(|_| listening), &self.segment, mac);
        state.hear(mac);
        let Some(entry) = state.clients.get_mut(&mac) else { return };
        while let Some(frame) = entry.client.poll_transmit() {
            if let Err(error) = self.line.send(&frame) {
                // Lost on our side is lost like anywhere else: it is sent again in its time.
                tracing::warn!(%error, interface = self.interface, %mac, "frame not sent");
            }
            match Frame::parse(&frame, Checksum::Verify).map(|frame| frame.payload) {
                Ok(Payload::Nd(nd)) => {
                    self.count_solicitation(mac, entry, &nd.message);
                    state.said.push_back((mac, frame));
                }
                Ok(Payload::Udp6(datagram)) => self.count_sent(mac, entry, datagram.payload),
                _ => {}
            }
        }
        let mut ended = false;
        while let Some(event) = entry.client.poll_event() {
            ended |= matches!(event, Event::Released);
            self.count(|counters| counters.count_event(&event));
            self.report(entry, event);
        }
        let wake = entry.client.poll_timeout().unwrap_or(Instant::NEVER);
        if ended {
            state.remove(mac);
        } else {
            state.timers.change(mac, &mut entry.wake, wake);
        }
    }

    fn report(&self, entry: &mut Entry, event: Event) {
        match (&event, entry.waiting.take()) {
            (Event::Ready, Some(Waiting::Ready(ready))) => {
                // Whoever gave up has released it.
                if ready.send(()).is_ok() {
                    return;
                }
            }
            (Event::Released, Some(Waiting::Released(released))) => {
                let _ = released.send(());
                return;
            }
            (Event::Ready, _) => {}
            (_, waiting) => entry.waiting = waiting,
        }
        // The engine ends before its segments only when the process ends.
        let _ = self.events.send(Ipv6Event { endpoint: entry.owner.clone(), event });
    }

    /// Sets the timer to what is due next, and repeats what was said.
    pub(super) fn arm(&self, state: &mut State) {
        self.repeat(state);
        let due = state.advertised.due();
        state.timers.arm(&self.timer, &self.interface, due);
    }

    pub(super) async fn drive(self: Arc<Self>) {
        let frame = |bytes: &[u8], checksum| self.handle_frame(bytes, checksum);
        drive(&self.interface, self.line.hears(), &self.timer, frame, || self.handle_timeouts())
            .await;
    }

    fn handle_timeouts(&self) {
        let now = now();
        let mut state = self.lock();
        while let Some(mac) = state.timers.pop_due(now) {
            if let Some(entry) = state.clients.get_mut(&mac) {
                entry.wake = Instant::NEVER;
                entry.client.handle_timeout(now);
                self.follow(&mut state, mac);
            }
        }
        while let Some((bytes, checksum)) = state.advertised.take_due(now) {
            if let Ok(frame) = Frame::parse(&bytes, checksum) {
                self.count(|counters| counters.router_advertisements_ignored -= 1);
                self.deliver(&mut state, &frame, None);
            }
        }
        self.arm(&mut state);
    }

    /// Hands a frame to the clients that it is for.
    pub(in crate::segments) fn handle_frame(&self, bytes: &[u8], checksum: Checksum) {
        let frame = match Frame::parse(bytes, checksum) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::trace!(%error, interface = self.interface, "frame ignored");
                return;
            }
        };
        let mut state = self.lock();
        if self.is_news(&mut state, &frame, bytes, checksum) {
            self.deliver(&mut state, &frame, None);
        }
        self.arm(&mut state);
    }

    /// Counts what came in, and says whether any client is to hear it.
    fn is_news(
        &self,
        state: &mut State,
        frame: &Frame<'_>,
        bytes: &[u8],
        checksum: Checksum,
    ) -> bool {
        match &frame.payload {
            Payload::Nd(nd) if matches!(nd.message, Message::RouterAdvertisement(_)) => {
                let to_all = nd.destination.is_multicast();
                let news = !to_all || state.advertised.hear(nd.source, (bytes, checksum), now());
                self.count(|counters| {
                    counters.router_advertisements += 1;
                    counters.router_advertisements_ignored += u64::from(!news);
                });
                let (interface, router) = (&self.interface, nd.source);
                tracing::debug!(interface, %router, news, "router advertisement received");
                news
            }
            Payload::Udp6(datagram) => {
                let to = *datagram.destination.ip();
                let meant = self.meant_by(&state.clients, frame, to);
                if let Some(kind) = kind(datagram.payload)
                    && meant.iter().any(|mac| state.clients.contains_key(mac))
                {
                    self.count(|counters| counters.count_message(kind));
                }
                true
            }
            _ => true,
        }
    }

    fn count(&self, count: impl FnOnce(&mut Ipv6Counters)) {
        count(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn deliver(&self, state: &mut State, frame: &Frame<'_>, sender: Option<MacAddr>) {
        let concerned: BTreeSet<MacAddr> = match &frame.payload {
            Payload::Udp6(datagram) if datagram.destination.port() == port::CLIENT => {
                self.meant_by(&state.clients, frame, *datagram.destination.ip())
            }
            Payload::Nd(nd) => match nd.message {
                Message::RouterAdvertisement(_) if frame.destination.is_unicast() => {
                    self.meant_by(&state.clients, frame, nd.destination)
                }
                Message::RouterAdvertisement(_) => state.clients.keys().copied().collect(),
                Message::NeighbourSolicitation { target } => state.hearing.concerned_by(target),
                Message::NeighbourAdvertisement(nd) => state.hearing.concerned_by(nd.target),
                Message::RouterSolicitation => BTreeSet::new(),
            },
            Payload::Udp6(_) | Payload::Udp4(_) | Payload::Arp(_) => BTreeSet::new(),
        };
        for mac in concerned.into_iter().filter(|mac| Some(*mac) != sender) {
            if let Some(entry) = state.clients.get_mut(&mac) {
                let before = ignored6(&entry.client);
                entry.client.handle_frame(frame, now());
                if let Payload::Udp6(datagram) = &frame.payload {
                    let (endpoint, interface) = (&entry.owner, &self.interface);
                    if let Some(kind) = kind(datagram.payload) {
                        tracing::debug!(%endpoint, %mac, interface, %kind, "DHCPv6 message received");
                    }
                    self.count_ignored(mac, entry, before);
                }
                self.follow(state, mac);
            }
        }
    }

    /// The client that a frame to one machine is for: that with its MAC; where all have one, those of which `address` is.
    fn meant_by(
        &self,
        clients: &HashMap<MacAddr, Box<Entry>>,
        frame: &Frame<'_>,
        address: Ipv6Addr,
    ) -> BTreeSet<MacAddr> {
        if self.shared_mac != Some(frame.destination) {
            return [frame.destination].into();
        }
        let meant = clients.iter().filter(|(_, entry)| entry.client.is_ours(address));
        meant.map(|(mac, _)| *mac).collect()
    }

    /// Counts what a client has said to servers.
    fn count_sent(&self, mac: MacAddr, entry: &Entry, message: &[u8]) {
        let Some(kind) = kind(message) else { return };
        self.count(|counters| counters.count_message(kind));
        let (endpoint, interface) = (&entry.owner, &self.interface);
        tracing::debug!(%endpoint, %mac, interface, %kind, "DHCPv6 message sent");
    }

    /// Counts what a client has asked of routers.
    fn count_solicitation(&self, mac: MacAddr, entry: &Entry, message: &Message) {
        if let Message::RouterSolicitation = message {
            self.count(|counters| counters.router_solicitations += 1);
            let (endpoint, interface) = (&entry.owner, &self.interface);
            tracing::debug!(%endpoint, %mac, interface, "router solicitation sent");
        }
    }

    /// Counts what a client has not used of a message, and says so.
    fn count_ignored(&self, mac: MacAddr, entry: &Entry, before: dhcp::v6::Ignored) {
        let after = ignored6(&entry.client);
        self.count(|counters| counters.ignored.add(before, after));
        let reasons = before.by_reason().into_iter().zip(after.by_reason());
        for (_, (reason, _)) in reasons.filter(|(before, after)| before.1 < after.1) {
            let (endpoint, interface) = (&entry.owner, &self.interface);
            tracing::debug!(%endpoint, %mac, interface, reason, "DHCPv6 message ignored");
        }
    }

    /// The port does not hear what it says itself: what one client says to its neighbours is handed
    /// to those of its siblings that it concerns.
    fn repeat(&self, state: &mut State) {
        while let Some((sender, bytes)) = state.said.pop_front() {
            if let Ok(frame) = Frame::parse(&bytes, Checksum::Verify) {
                self.deliver(state, &frame, Some(sender));
            }
        }
    }
}

/// What a DHCPv6 message is.
fn kind(message: &[u8]) -> Option<MessageType> {
    MessageType::try_from(*message.first()?).ok()
}
