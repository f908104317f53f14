//! What a segment keeps of its clients.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;

use dhcp::Instant;
use dhcp::v4::{Client, Lease};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_util::task::task_tracker::TaskTrackerToken;
use wire::MacAddr;

use super::ear::Ear;
use super::hearing::{Hearing, Wants};
use super::pace::Pace;
use super::schedule::Schedule;
use crate::engine::ids::EndpointId;

/// All that changes in a segment.
pub(super) struct State {
    /// Boxed, as the table has room for more than are in it.
    pub(super) clients: HashMap<MacAddr, Box<Entry>>,
    pub(super) timers: Schedule,
    /// Which ARP the port hears, and for whom.
    pub(super) hearing: Hearing,
    /// What clients have said and their siblings have not heard yet.
    pub(super) said: VecDeque<(MacAddr, Vec<u8>)>,
    pub(super) driver: Option<AbortHandle>,
    pub(super) pace: Pace,
    /// Whether no server has been heard since one that came back after a boot went on without an answer.
    pub(super) silent: bool,
}

/// An endpoint's client, and what the segment does for it.
pub(super) struct Entry {
    pub(super) owner: EndpointId,
    pub(super) client: Client,
    /// When the client wants to be woken, as noted in [`State::timers`].
    pub(super) wake: Instant,
    /// The host's end of the endpoint's veth, while a sandbox has the other end up.
    pub(super) link: Option<u32>,
    /// Reads at `link` while an exchange is under way.
    pub(super) ear: Option<Ear>,
    /// What the port hears for it.
    pub(super) wants: Wants,
    pub(super) waiting: Option<Waiting>,
}

/// Somebody waits for something of a client.
pub(super) enum Waiting {
    Bound(Box<Starting>),
    /// A server has offered something.
    Offered(oneshot::Sender<Lease>),
    Released {
        /// Its end is what is waited for.
        _done: Option<oneshot::Sender<()>>,
        /// What [`Segment::all_released`] waits for.
        _on_its_way: TaskTrackerToken,
    },
}

/// What the caller of [`Segment::acquire`](super::Segment::acquire) is told, and what for.
pub(super) struct Starting {
    /// The lease may be used; none: the LAN would have the endpoint do without IPv4.
    pub(super) bound: oneshot::Sender<Option<Lease>>,
    /// A lease was granted.
    pub(super) granted: mpsc::UnboundedSender<Lease>,
    /// The last one that was.
    pub(super) told: Option<Ipv4Addr>,
}

impl Entry {
    /// Tells who only wants to know what a server would give.
    pub(super) fn tell_offer(&mut self) {
        let asks = |waiting: &mut Waiting| matches!(waiting, Waiting::Offered(_));
        if self.waiting.as_mut().is_some_and(asks)
            && let Some(offer) = self.client.offer()
            && let Some(Waiting::Offered(asker)) = self.waiting.take()
        {
            let _ = asker.send(offer);
        }
    }

    /// Tells of a lease that was granted, so that it can be written down while its address is checked.
    pub(super) fn tell_grant(&mut self) {
        let Some(Waiting::Bound(start)) = &mut self.waiting else { return };
        if let Some(lease) = self.client.granted()
            && start.told != Some(lease.address)
        {
            start.told = Some(lease.address);
            let _ = start.granted.send(lease.clone());
        }
    }
}

impl State {
    /// Takes a client out, for [`Segment::remove`](super::Segment::remove); says whether it was there.
    pub(super) fn remove(&mut self, mac: MacAddr) -> bool {
        self.hear(mac, Wants::default());
        let removed = self.clients.remove(&mac);
        if let Some(entry) = &removed {
            self.timers.forget(mac, entry.wake);
        }
        removed.is_some()
    }

    /// Has the port hear what that client wants now.
    pub(super) fn hear(&mut self, mac: MacAddr, wants: Wants) {
        let Some(entry) = self.clients.get_mut(&mac) else { return };
        let old = std::mem::replace(&mut entry.wants, wants);
        let State { clients, hearing, .. } = self;
        hearing.update(mac, (old, wants), |mac| {
            clients.get(&mac).map(|entry| entry.wants).unwrap_or_default()
        });
    }
}
