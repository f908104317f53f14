//! What routers tell all on a segment: kept for those that start later, and handed on to the clients at
//! a pace that no router sets.
//!
//! Each advertisement concerns each client. A router has one in three seconds for all (RFC 4861 §6.2.6),
//! and what comes faster is a fault or an attack: it must cost neither the daemon's time nor the word of a
//! router that was there before. Whoever is heard first is kept first, as in each client's own lists.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use wire::frame::{Checksum, Frame};

/// Routers of which is kept what they said: as many as a client heeds.
const ROUTERS: usize = 8;
/// Advertisements of one that is kept that are handed on in a second, and those of all others together once so many are
/// kept. A client reads ten.
const EACH: u8 = 2;
const STRANGERS: u8 = 2;
const SECOND: Duration = Duration::from_secs(1);
/// The same words are no news within this time.
const REPEATED: Duration = Duration::from_millis(500);
/// One that was silent for so long makes room for another: the longest time between two advertisements (RFC 4861 §6.2.1).
const SILENT: Duration = Duration::from_secs(1800);

/// What routers last told all, in the order in which they were first heard.
#[derive(Default)]
pub(super) struct Advertised {
    routers: Vec<Router>,
    strangers: Rate,
}

struct Router {
    source: Ipv6Addr,
    /// When it said the last of it.
    at: Instant,
    bytes: Vec<u8>,
    checksum: Checksum,
    /// When it was last handed on.
    handed_on: Instant,
    rate: Rate,
    /// Its newest word, which came too soon to be handed on.
    late: Option<(Vec<u8>, Checksum)>,
}

/// How many there were within a second.
struct Rate {
    began: Instant,
    count: u8,
}

impl Default for Rate {
    fn default() -> Rate {
        Rate { began: Instant::BOOT, count: 0 }
    }
}

impl Rate {
    fn admits(&mut self, most: u8, now: Instant) -> bool {
        if now.saturating_since(self.began) >= SECOND {
            *self = Rate { began: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= most
    }
}

impl Router {
    /// This is its word now.
    fn says(&mut self, bytes: Vec<u8>, checksum: Checksum, now: Instant) {
        (self.bytes, self.checksum, self.late) = (bytes, checksum, None);
        (self.at, self.handed_on) = (now, now);
    }
}

impl Advertised {
    /// Takes in what the router at `source` tells all at `now`. Whether the clients are to hear it.
    pub(super) fn hear(
        &mut self,
        source: Ipv6Addr,
        (bytes, checksum): (&[u8], Checksum),
        now: Instant,
    ) -> bool {
        if let Some(router) = self.routers.iter_mut().find(|router| router.source == source) {
            let same = router.bytes == bytes;
            if same {
                router.at = now;
                router.late = None;
            }
            if same && now.saturating_since(router.handed_on) < REPEATED {
                return false;
            }
            if !router.rate.admits(EACH, now) {
                router.late = (!same).then(|| (bytes.to_vec(), checksum));
                return false;
            }
            router.says(bytes.to_vec(), checksum, now);
            return true;
        }
        if self.routers.len() >= ROUTERS {
            if !self.strangers.admits(STRANGERS, now) {
                return false;
            }
            let silent = |router: &Router| now.saturating_since(router.at) >= SILENT;
            let Some(place) = self.routers.iter().position(silent) else { return true };
            self.routers.remove(place);
        }
        let rate = Rate { began: now, count: 1 };
        let bytes = bytes.to_vec();
        let (at, handed_on, late) = (now, now, None);
        self.routers.push(Router { source, at, bytes, checksum, handed_on, rate, late });
        true
    }

    /// When the next word that came too soon is due; none: none did.
    pub(super) fn due(&self) -> Option<Instant> {
        let late = self.routers.iter().filter(|router| router.late.is_some());
        late.map(|router| router.rate.began + SECOND).min()
    }

    /// The newest word of a router, which came too soon and is due now: it is what counts, however fast it was said.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Vec<u8>, Checksum)> {
        let due = |router: &&mut Router| router.late.is_some() && router.rate.began + SECOND <= now;
        let router = self.routers.iter_mut().find(due)?;
        let (bytes, checksum) = router.late.take()?;
        router.rate.admits(EACH, now);
        router.says(bytes.clone(), checksum, now);
        Some((bytes, checksum))
    }

    /// Forgets all of it: the link may lead elsewhere by now.
    pub(super) fn forget(&mut self) {
        self.routers.clear();
    }

    /// What was said not too long ago, each with the time at which it was: a router that is gone says nothing more, and
    /// one that spoke once and for ever is not heard for ever.
    pub(super) fn frames(&self, now: Instant) -> impl Iterator<Item = (Instant, Frame<'_>)> {
        let recent = move |router: &&Router| now.saturating_since(router.at) < SILENT;
        self.routers.iter().filter(recent).filter_map(|router| {
            Some((router.at, Frame::parse(&router.bytes, router.checksum).ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use wire::MacAddr;
    use wire::frame::Payload;
    use wire::nd::{ALL_NODES, Message, RouterAdvertisement, emit};

    use super::*;

    fn router(number: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number)
    }

    struct Bench {
        advertised: Advertised,
        now: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            let now = Instant::from_boot(Duration::from_secs(1000));
            Bench { advertised: Advertised::default(), now }
        }

        fn after(&mut self, milliseconds: u64) -> &mut Bench {
            self.now = self.now + Duration::from_millis(milliseconds);
            self
        }

        fn hear(&mut self, number: u16, lifetime: u16) -> bool {
            let said = RouterAdvertisement { lifetime, ..RouterAdvertisement::default() };
            let message = Message::RouterAdvertisement(said);
            let mac = MacAddr([2, 0, 0, 0, 0, 1]);
            let frame = emit(mac, router(number), ALL_NODES, &message, &[]);
            self.advertised.hear(router(number), (&frame, Checksum::Verify), self.now)
        }

        /// Who is kept.
        fn kept(&self) -> Vec<Ipv6Addr> {
            let source = |frame: Frame<'_>| match frame.payload {
                Payload::Nd(nd) => Some(nd.source),
                _ => None,
            };
            self.advertised.frames(self.now).filter_map(|(_, frame)| source(frame)).collect()
        }
    }

    #[test]
    fn the_same_words_are_news_again_after_half_a_second() {
        let mut bench = Bench::new();
        assert!(bench.hear(1, 1800));
        assert!(!bench.after(499).hear(1, 1800));
        assert!(bench.after(1).hear(1, 1800));
        // Other words at once.
        assert!(bench.after(1000).hear(1, 1800));
        assert!(bench.hear(1, 0));
    }

    #[test]
    fn a_router_is_handed_on_twice_a_second_however_much_it_says() {
        let mut bench = Bench::new();
        for second in 0..3 {
            let passed = (0..1000).filter(|n| bench.hear(1, second * 1000 + n)).count();
            assert_eq!(passed, 2);
            bench.after(1000);
        }
    }

    /// A router takes back what it said a moment ago.
    #[test]
    fn what_came_too_soon_is_handed_on_later_and_only_the_last_of_it() {
        let mut bench = Bench::new();
        let begin = bench.now;
        assert!(bench.hear(1, 1800) && bench.hear(1, 0));
        assert!(!bench.after(10).hear(1, 900) && !bench.after(10).hear(1, 600));
        assert_eq!(bench.advertised.due(), Some(begin + SECOND));
        let (early, due) = (begin + Duration::from_millis(999), begin + SECOND);
        assert_eq!(bench.advertised.take_due(early), None);
        bench.now = due;
        let (bytes, _) = bench.advertised.take_due(bench.now).unwrap();
        let frame = Frame::parse(&bytes, Checksum::Verify).unwrap();
        let Payload::Nd(nd) = frame.payload else { panic!("{frame:?}") };
        let Message::RouterAdvertisement(said) = nd.message else { panic!("{nd:?}") };
        assert_eq!(said.lifetime, 600);
        assert_eq!((bench.advertised.due(), bench.advertised.take_due(bench.now)), (None, None));
        // It counts as one of the next second's two.
        assert!(bench.hear(1, 300));
        assert!(!bench.hear(1, 200));
        // What is said again as it stands is no news that waits.
        assert!(!bench.hear(1, 300));
        assert_eq!(bench.advertised.due(), None);
    }

    #[test]
    fn what_was_said_long_ago_or_on_another_link_is_told_to_nobody() {
        let mut bench = Bench::new();
        bench.hear(1, 1800);
        bench.after(1_000_000).hear(2, 1800);
        assert_eq!(bench.kept(), [router(1), router(2)]);
        assert_eq!(bench.after(800_000).kept(), [router(2)]);
        bench.advertised.forget();
        assert!(bench.kept().is_empty());
        assert!(bench.hear(2, 1800), "news again");
    }

    #[test]
    fn a_flood_of_strangers_pushes_out_nobody_and_does_not_cost_a_router_its_word() {
        let mut bench = Bench::new();
        assert!(bench.hear(1, 1800));
        bench.after(10_000);
        // Several routers may answer the first question at once.
        let passed = (2..2000).filter(|number| bench.hear(*number, 1800)).count();
        assert_eq!(passed, ROUTERS - 1 + 2);
        assert!(bench.hear(1, 1800));
        for _ in 0..20 {
            bench.after(1000);
            for number in 3000..3100 {
                bench.hear(number, 1800);
            }
        }
        assert_eq!(bench.kept().len(), ROUTERS);
        assert_eq!(bench.kept()[0], router(1), "and first of all");
        bench.after(1000);
        assert!(bench.hear(1, 1800));
        // Nobody speaks for half an hour, and another one comes.
        bench.after(1_800_000);
        assert!(bench.hear(1, 1800) && bench.hear(9, 1800));
        assert!(bench.kept().contains(&router(1)) && bench.kept().contains(&router(9)));
    }
}
