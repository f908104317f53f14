//! What moves a segment: frames that come in, timers that fire, and what clients say in answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use dhcp::Instant;
use dhcp::v4::Event;
use wire::MacAddr;
use wire::dhcp4::{Message, port};
use wire::frame::{Checksum, Frame, Payload};

use super::LeaseEvent;
use super::clients::{Entry, State, Waiting};
use super::drive::drive;
use super::ear::Ear;
use super::hearing::Wants;
use super::segment::{Segment, now};
use super::wake::{BURST, REST, renews, wake};
use crate::engine::api::Ipv4Counters;
use crate::engine::counters::Heard;
use crate::fault::point;

/// `xid` in a BOOTP message (RFC 951 §3).
const XID: std::ops::Range<usize> = 4..8;
/// `chaddr` in a BOOTP message (RFC 951 §3).
const CHADDR: std::ops::Range<usize> = 28..34;
/// Where a frame says what it carries.
const ETHERTYPE: std::ops::Range<usize> = 12..14;
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

impl Segment {
    /// Follows up on a mutation of a client.
    pub(super) fn settle(&self, state: &mut State, mac: MacAddr) {
        self.follow(state, mac);
        self.arm(state);
    }

    /// The same without the timer.
    fn follow(&self, state: &mut State, mac: MacAddr) {
        let Some(entry) = state.clients.get_mut(&mac) else { return };
        let listening = entry.client.listening();
        // Ears before mouth: the answer may be there before `send` returns.
        let asks = listening.resolving.is_some() || entry.client.is_probing();
        let listening = listening.dhcp || asks;
        Ear::follow(&mut entry.ear, entry.link.filter(|_| listening), &self.me, mac);
        let wants = Wants::of(&entry.client);
        if wants != entry.wants {
            state.hear(mac, wants);
        }
        let Some(entry) = state.clients.get_mut(&mac) else { return };
        while let Some(frame) = entry.client.poll_transmit() {
            if let Err(error) = self.line.send(&frame) {
                // Lost on our side is lost like anywhere else: it is sent again in its time.
                tracing::warn!(%error, interface = self.interface, %mac, "frame not sent");
            }
            point("create: frame sent");
            match Frame::parse(&frame, Checksum::Verify).map(|frame| frame.payload) {
                Ok(Payload::Udp4(datagram)) => self.count_sent(mac, entry, datagram.payload),
                _ => state.said.push_back((mac, frame)),
            }
        }
        entry.tell_grant();
        entry.tell_offer();
        let mut ended = false;
        while let Some(event) = entry.client.poll_event() {
            ended |= matches!(event, Event::Released);
            self.report(entry, event);
        }
        let wake = wake(&entry.client);
        if ended {
            self.remove(state, mac);
        } else {
            state.timers.change(mac, &mut entry.wake, wake);
        }
    }

    /// Repeats what was said, and sets the timer to what is due next.
    pub(super) fn arm(&self, state: &mut State) {
        self.repeat(state);
        state.timers.arm(&self.timer, &self.interface, None);
    }

    fn report(&self, entry: &mut Entry, event: Event) {
        match (&event, entry.waiting.take()) {
            (Event::Bound, Some(Waiting::Bound(start))) => {
                // Whoever gave up has released the lease, or goes on without waiting for it.
                if let Some(lease) = entry.client.lease()
                    && start.bound.send(Some(lease.clone())).is_ok()
                {
                    return;
                }
            }
            (Event::Ipv6Only, Some(Waiting::Bound(start))) => {
                if start.bound.send(None).is_ok() {
                    return;
                }
            }
            (Event::Released, Some(Waiting::Released { .. })) => return,
            (_, waiting) => entry.waiting = waiting,
        }
        // The engine ends before its segments only when the process ends.
        let _ = self.events.send(LeaseEvent { endpoint: entry.owner.clone(), event });
    }

    pub(super) async fn drive(self: Arc<Self>) {
        let frame = |bytes: &[u8], checksum| self.handle_frame(bytes, checksum);
        drive(&self.interface, self.line.hears(), &self.timer, frame, || self.handle_timeouts())
            .await;
    }

    fn handle_timeouts(&self) {
        let now = now();
        let state = &mut *self.lock();
        let mut renewals = 0;
        while let Some(mac) = state.timers.pop_due(now) {
            if let Some(entry) = state.clients.get_mut(&mac) {
                entry.wake = Instant::NEVER;
                if renews(&entry.client, now) {
                    if renewals == BURST {
                        state.timers.change(mac, &mut entry.wake, now + REST);
                        continue;
                    }
                    renewals += 1;
                }
                entry.client.handle_timeout(now);
                self.follow(state, mac);
            }
        }
        self.arm(state);
    }

    /// Hands a frame to the client that it is for.
    pub(super) fn handle_frame(&self, bytes: &[u8], checksum: Checksum) {
        if bytes.get(ETHERTYPE) == Some(&ETHERTYPE_IPV6) {
            // From an ear: the port has another socket for that.
            if let Some(ipv6) = self.ipv6() {
                ipv6.handle_frame(bytes, checksum);
            }
            return;
        }
        let frame = match Frame::parse(bytes, checksum) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::trace!(%error, interface = self.interface, "frame ignored");
                return;
            }
        };
        let mut state = self.lock();
        self.deliver(&mut state, &frame, None);
        self.arm(&mut state);
    }

    /// Hands a frame to the clients that it is for, except its sender.
    fn deliver(&self, state: &mut State, frame: &Frame<'_>, sender: Option<MacAddr>) {
        let concerned = match &frame.payload {
            Payload::Udp4(datagram) if datagram.destination.port() == port::CLIENT => {
                state.silent = false;
                self.meant_by(&state.clients, datagram.payload)
            }
            Payload::Udp4(_) | Payload::Udp6(_) | Payload::Nd(_) => BTreeSet::new(),
            Payload::Arp(arp) => state.hearing.concerned_by(arp),
        };
        for mac in concerned.into_iter().filter(|mac| Some(*mac) != sender) {
            if let Some(entry) = state.clients.get_mut(&mac) {
                let before = Heard::of(entry.client.progress());
                entry.client.handle_frame(frame, now());
                if let Payload::Udp4(_) = frame.payload {
                    self.count_heard(mac, entry, &before);
                }
                self.follow(state, mac);
            }
        }
    }

    /// The client that a server's message is for: that with its MAC; where all have one, that with its transaction.
    fn meant_by(
        &self,
        clients: &HashMap<MacAddr, Box<Entry>>,
        message: &[u8],
    ) -> BTreeSet<MacAddr> {
        let chaddr = message.get(CHADDR).and_then(|bytes| bytes.try_into().ok()).map(MacAddr);
        if self.shared_mac.is_none() || chaddr != self.shared_mac {
            return chaddr.into_iter().collect();
        }
        let xid = message.get(XID).and_then(|bytes| bytes.try_into().ok());
        let Some(xid) = xid.map(u32::from_be_bytes) else { return BTreeSet::new() };
        let meant = clients.iter().filter(|(_, entry)| entry.client.awaits(xid));
        meant.map(|(mac, _)| *mac).collect()
    }

    /// Counts what a client has said to servers.
    fn count_sent(&self, mac: MacAddr, entry: &Entry, message: &[u8]) {
        let message = Message::parse(message).ok();
        let Some(kind) = message.and_then(|message| message.message_type()) else { return };
        self.count(|counters| counters.count_message(kind));
        let (endpoint, interface) = (&entry.owner, &self.interface);
        tracing::debug!(%endpoint, %mac, interface, %kind, "DHCP message sent");
    }

    /// Counts what a client has made of a datagram, and says which was of no use.
    fn count_heard(&self, mac: MacAddr, entry: &Entry, before: &Heard) {
        let after = Heard::of(entry.client.progress());
        let (endpoint, interface) = (&entry.owner, &self.interface);
        for kind in before.until(&after) {
            self.count(|counters| counters.count_message(kind));
            tracing::debug!(%endpoint, %mac, interface, %kind, "DHCP reply received");
        }
        self.count(|counters| counters.ignored.add(before.ignored, after.ignored));
        let reasons = before.ignored.by_reason().into_iter().zip(after.ignored.by_reason());
        for (_, (reason, _)) in reasons.filter(|(before, after)| before != after) {
            tracing::debug!(%endpoint, %mac, interface, reason, "DHCP reply ignored");
        }
    }

    fn count(&self, count: impl FnOnce(&mut Ipv4Counters)) {
        count(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The port does not hear what it says itself: what one client says by ARP is handed to those
    /// of its siblings that it concerns.
    fn repeat(&self, state: &mut State) {
        while let Some((sender, bytes)) = state.said.pop_front() {
            if let Ok(frame) = Frame::parse(&bytes, Checksum::Verify) {
                self.deliver(state, &frame, Some(sender));
            }
        }
    }
}
