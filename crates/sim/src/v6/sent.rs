//! What a client sends, by kind, and how often it may.

use std::time::Duration;

use dhcp::Instant;
use wire::dhcp6::{self, MessageType};
use wire::frame::{Checksum, Frame, Payload};
use wire::nd::Message;

const SECOND: Duration = Duration::from_secs(1);

/// What a frame of a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Solicit.
    Solicit,
    /// Request.
    Request,
    /// Confirm.
    Confirm,
    /// Renew.
    Renew,
    /// Rebind.
    Rebind,
    /// Release.
    Release,
    /// Decline.
    Decline,
    /// Information-request.
    InformationRequest,
    /// ADDR-REG-INFORM.
    Registration,
    /// Router solicitation.
    RouterSolicitation,
    /// Neighbour solicitation: the check of an address.
    NeighbourSolicitation,
    /// Neighbour advertisement.
    NeighbourAdvertisement,
    /// Report to multicast routers.
    Report,
}

/// All kinds.
pub const KINDS: [Kind; 13] = [
    Kind::Solicit,
    Kind::Request,
    Kind::Confirm,
    Kind::Renew,
    Kind::Rebind,
    Kind::Release,
    Kind::Decline,
    Kind::InformationRequest,
    Kind::Registration,
    Kind::RouterSolicitation,
    Kind::NeighbourSolicitation,
    Kind::NeighbourAdvertisement,
    Kind::Report,
];

impl Kind {
    /// The kind of a frame; `None` for what no client sends.
    pub(crate) fn of(bytes: &[u8]) -> Option<Kind> {
        // A hop-by-hop header, with a type 143 behind it (RFC 3810 §5.2).
        if bytes.get(12..14) == Some(&[0x86, 0xdd]) && bytes.get(20) == Some(&0) {
            return (bytes.get(62) == Some(&143)).then_some(Kind::Report);
        }
        match Frame::parse(bytes, Checksum::Verify).ok()?.payload {
            Payload::Nd(nd) => match nd.message {
                Message::RouterSolicitation => Some(Kind::RouterSolicitation),
                Message::NeighbourSolicitation { .. } => Some(Kind::NeighbourSolicitation),
                Message::NeighbourAdvertisement(_) => Some(Kind::NeighbourAdvertisement),
                Message::RouterAdvertisement(_) => None,
            },
            Payload::Udp6(datagram) => match dhcp6::Message::parse(datagram.payload).ok()?.kind {
                MessageType::Solicit => Some(Kind::Solicit),
                MessageType::Request => Some(Kind::Request),
                MessageType::Confirm => Some(Kind::Confirm),
                MessageType::Renew => Some(Kind::Renew),
                MessageType::Rebind => Some(Kind::Rebind),
                MessageType::Release => Some(Kind::Release),
                MessageType::Decline => Some(Kind::Decline),
                MessageType::InformationRequest => Some(Kind::InformationRequest),
                MessageType::AddrRegInform => Some(Kind::Registration),
                _ => None,
            },
            Payload::Arp(_) | Payload::Udp4(_) => None,
        }
    }

    /// So many frames at once, and one more for each interval that passes.
    fn budget(self) -> (f64, Duration) {
        let (burst, seconds) = match self {
            // 0, 1, 3, 7 … up to SOL_MAX_RT or INF_MAX_RT; after refusals and conflicts in a row once a
            // minute.
            Kind::Solicit | Kind::InformationRequest => (18, 50),
            // Ten in two and a half minutes; after refusals one a minute.
            Kind::Request => (20, 15),
            // Five in ten seconds, for a command only.
            Kind::Confirm => (6, 3600),
            // The first wait is 10 s, then it doubles; short leases: see `period`.
            Kind::Renew | Kind::Rebind => (10, 60),
            Kind::Release => (8, 3600),
            // Five for an address, and a conflict in 10 s.
            Kind::Decline => (12, 2),
            // Three for an address, of which a minute may bring sixteen; how often for one, see
            // `registrations`.
            Kind::Registration => (48, 1),
            // RFC 7559: 4 s between two, but for the first of a start.
            Kind::RouterSolicitation => (8, 4),
            // Twice for an address, of which a minute may bring sixteen from routers and some more
            // from servers.
            Kind::NeighbourSolicitation => (64, 1),
            // Twice for an address when it is announced, and once when it is checked.
            Kind::NeighbourAdvertisement => (100, 1),
            // Two for an address and one for its end; all of them once in 120 s.
            Kind::Report => (100, 1),
        };
        (f64::from(burst), SECOND * seconds)
    }

    /// Whether a short lease makes it more frequent.
    fn follows_the_lease(self) -> bool {
        matches!(self, Kind::Solicit | Kind::Request | Kind::Renew | Kind::Rebind)
    }
}

/// What a client has sent so far, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    counts: [u32; KINDS.len()],
}

impl Sent {
    /// Frames of that kind.
    pub fn of(&self, kind: Kind) -> u32 {
        self.counts[kind as usize]
    }

    /// Frames in all.
    pub fn total(&self) -> u32 {
        self.counts.iter().sum()
    }

    pub(crate) fn count(&mut self, kind: Kind) {
        self.counts[kind as usize] += 1;
    }

    /// Adds what another client has sent.
    pub fn add(&mut self, other: &Sent) {
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count += other;
        }
    }
}

/// Frames that may be sent at once, by kind.
#[derive(Debug)]
pub(crate) struct Purses {
    frames: [(f64, Instant); KINDS.len()],
}

impl Purses {
    /// Full ones.
    pub(crate) fn new(now: Instant) -> Purses {
        Purses { frames: KINDS.map(|kind| (kind.budget().0, now)) }
    }

    /// Pays for a frame; `period`: how often the lease makes the client ask, at most.
    pub(crate) fn pay(&mut self, kind: Kind, period: Duration, now: Instant) -> Result<(), String> {
        let (burst, interval) = kind.budget();
        let interval = if kind.follows_the_lease() { interval.min(period) } else { interval };
        let (frames, filled) = &mut self.frames[kind as usize];
        let passed = now.saturating_since(*filled).as_secs_f64() / interval.as_secs_f64();
        (*frames, *filled) = ((*frames + passed).min(burst) - 1.0, now);
        if *frames < 0.0 {
            return Err(format!("sends more than {burst} of {kind:?} and one in {interval:?}"));
        }
        Ok(())
    }

    /// Somebody asked for something that costs so many frames.
    pub(crate) fn credit(&mut self, kind: Kind, frames: u8) {
        let purse = &mut self.frames[kind as usize].0;
        *purse = (*purse + f64::from(frames)).min(kind.budget().0);
    }
}
