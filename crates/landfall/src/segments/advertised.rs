//! What routers have last told all: a client that starts need not wait until they say it again.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use wire::frame::{Checksum, Frame, Payload};
use wire::nd::Message;

/// Routers of which is kept what they said: as many as a client heeds.
const ROUTERS: usize = 8;
/// A router says something in half an hour (MaxRtrAdvInterval, RFC 4861 §6.2.1), or is gone.
const SILENCE: Duration = Duration::from_secs(1800);

/// What each router said last, those that were heard first first: whoever floods the link comes behind
/// them, and beyond the eighth not at all.
#[derive(Debug, Clone, Default)]
pub(super) struct Advertised(Vec<Said>);

#[derive(Debug, Clone)]
struct Said {
    router: Ipv6Addr,
    at: Instant,
    bytes: Vec<u8>,
    checksum: Checksum,
}

impl Advertised {
    /// Keeps what a router tells all at `at`, in the place of what it said before.
    pub(super) fn note(
        &mut self,
        frame: &Frame<'_>,
        (bytes, checksum): (&[u8], Checksum),
        at: Instant,
    ) {
        let Payload::Nd(nd) = &frame.payload else { return };
        let Message::RouterAdvertisement(_) = nd.message else { return };
        if !nd.destination.is_multicast() {
            return;
        }
        let said = Said { router: nd.source, at, bytes: bytes.to_vec(), checksum };
        if let Some(known) = self.0.iter_mut().find(|known| known.router == said.router) {
            *known = said;
            return;
        }
        if self.0.len() >= ROUTERS {
            self.0.retain(|known| at.saturating_since(known.at) <= SILENCE);
        }
        if self.0.len() < ROUTERS {
            self.0.push(said);
        }
    }

    /// All of it, with its times.
    pub(super) fn frames(&self) -> impl Iterator<Item = (Instant, Frame<'_>)> {
        self.0
            .iter()
            .filter_map(|said| Some((said.at, Frame::parse(&said.bytes, said.checksum).ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use wire::MacAddr;
    use wire::nd::{self, RouterAdvertisement};

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    fn router(number: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number)
    }

    fn hear(advertised: &mut Advertised, number: u16, seconds: u64) {
        let message = Message::RouterAdvertisement(RouterAdvertisement::default());
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let bytes = nd::emit(mac, router(number), nd::ALL_NODES, &message, &[]);
        let frame = Frame::parse(&bytes, Checksum::Verify).unwrap();
        advertised.note(&frame, (&bytes, Checksum::Verify), at(seconds));
    }

    fn kept(advertised: &Advertised) -> Vec<(Instant, Ipv6Addr)> {
        let source = |frame: Frame<'_>| match frame.payload {
            Payload::Nd(nd) => nd.source,
            other => panic!("{other:?}"),
        };
        advertised.frames().map(|(at, frame)| (at, source(frame))).collect()
    }

    #[test]
    fn a_flood_does_not_push_out_who_was_there_before() {
        let mut advertised = Advertised::default();
        hear(&mut advertised, 1, 0);
        for number in 100..10_000 {
            hear(&mut advertised, number, 10);
        }
        hear(&mut advertised, 1, 20);
        let all = kept(&advertised);
        assert_eq!((all.len(), all[0]), (ROUTERS, (at(20), router(1))));
        // Who has been silent for half an hour makes room.
        hear(&mut advertised, 1, 1811);
        hear(&mut advertised, 2, 1811);
        assert_eq!(kept(&advertised), [(at(1811), router(1)), (at(1811), router(2))]);
    }
}
