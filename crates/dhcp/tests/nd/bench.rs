//! A host on the bench: virtual time, and what it sent.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use dhcp::Instant;
use dhcp::nd::{Config, DuplicateCheck, Event, Host, InterfaceId, Made};
use wire::MacAddr;
use wire::frame::{Checksum, Frame, Payload};
use wire::mld::Membership;
use wire::nd::{Message, NdOption, NeighbourAdvertisement};

use super::lan::{Advertisement, MAC};

/// A frame the host sent, read back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) to_mac: MacAddr,
    pub(crate) from: Ipv6Addr,
    pub(crate) to: Ipv6Addr,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Nd(Message, Vec<NdOption>),
    Report(Membership, Vec<Ipv6Addr>),
}

pub(crate) struct Bench {
    pub(crate) host: Host,
    pub(crate) now: Instant,
    pub(crate) sent: VecDeque<Sent>,
    pub(crate) events: VecDeque<Event>,
}

/// So many seconds on the bench's clock.
pub(crate) fn at(seconds: f64) -> Instant {
    Instant::from_boot(Duration::from_secs_f64(1000.0 + seconds))
}

pub(crate) fn config() -> Config {
    Config {
        mac: MAC,
        link: None,
        interface_id: InterfaceId::Eui64,
        autonomous: true,
        duplicate_check: DuplicateCheck::Optimistic,
        link_mtu: 1500,
        patience: Duration::from_millis(250),
    }
}

/// One with identifiers that can be made anew.
pub(crate) fn stable() -> Config {
    let interface_id = InterfaceId::Stable { secret: [7; 16], network: b"lan"[..].into() };
    Config { interface_id, ..config() }
}

/// One that checks nothing.
pub(crate) fn unchecked() -> Config {
    Config { duplicate_check: DuplicateCheck::Off, ..config() }
}

impl Bench {
    pub(crate) fn started() -> Bench {
        Bench::with(config())
    }

    pub(crate) fn with(config: Config) -> Bench {
        let mut bench = Bench::of(Host::new(config, 1));
        bench.run(|host, now| host.start(None, now));
        bench
    }

    pub(crate) fn of(host: Host) -> Bench {
        let (sent, events) = (VecDeque::new(), VecDeque::new());
        let mut bench = Bench { host, now: at(0.0), sent, events };
        bench.drain();
        bench
    }

    /// A host that has heard this since second 0, has been waited for no more, and has checked its
    /// addresses by second 10.
    pub(crate) fn told(config: Config, advertisement: &Advertisement) -> Bench {
        let mut bench = Bench::with(config);
        bench.hear(&advertisement.frame());
        bench.host.rest();
        bench.until(10.0);
        bench.sent.clear();
        bench.events.clear();
        bench
    }

    pub(crate) fn run(&mut self, act: impl FnOnce(&mut Host, Instant)) {
        act(&mut self.host, self.now);
        self.drain();
    }

    /// Lets time pass up to `seconds`, with a `handle_timeout` at each deadline.
    pub(crate) fn until(&mut self, seconds: f64) {
        let end = at(seconds);
        assert!(end >= self.now, "the bench's clock is at {:?} already", self.now);
        while let Some(due) = self.host.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.run(Host::handle_timeout);
            assert!(self.host.poll_timeout().is_none_or(|next| next > self.now), "busy");
        }
        self.now = end;
    }

    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        let frame = Frame::parse(bytes, Checksum::Verify).expect("the bench sends whole frames");
        let Payload::Nd(nd) = frame.payload else { panic!("no neighbour discovery") };
        self.host.handle(frame.source, &nd, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(bytes) = self.host.poll_transmit() {
            self.sent.push_back(read(self.now, &bytes));
        }
        while let Some(event) = self.host.poll_event() {
            self.events.push_back(event);
        }
    }

    /// Nothing was sent.
    pub(crate) fn silent(&mut self) {
        assert_eq!(self.sent, []);
    }

    /// What was sent of one kind since the last time; the rest is dropped.
    fn all<T>(&mut self, pick: impl Fn(&Sent) -> Option<T>) -> Vec<T> {
        self.sent.drain(..).filter_map(|sent| pick(&sent)).collect()
    }

    /// Times and sources of router solicitations, and whether they tell the MAC.
    pub(crate) fn router_solicitations(&mut self) -> Vec<(Instant, Ipv6Addr, bool)> {
        self.all(|sent| match &sent.what {
            What::Nd(Message::RouterSolicitation, options) => {
                Some((sent.at, sent.from, options.contains(&NdOption::SourceMac(MAC))))
            }
            _ => None,
        })
    }

    /// Times and targets of the solicitations that check addresses.
    pub(crate) fn probes(&mut self) -> Vec<(Instant, Ipv6Addr)> {
        self.all(|sent| match sent.what {
            What::Nd(Message::NeighbourSolicitation { target }, _) => Some((sent.at, target)),
            _ => None,
        })
    }

    /// Advertisements and where they went.
    pub(crate) fn advertisements(&mut self) -> Vec<(NeighbourAdvertisement, Ipv6Addr, MacAddr)> {
        self.all(|sent| match &sent.what {
            What::Nd(Message::NeighbourAdvertisement(advertisement), options) => {
                assert_eq!(options[..], [NdOption::TargetMac(MAC)]);
                assert_eq!(sent.from, advertisement.target);
                Some((*advertisement, sent.to, sent.to_mac))
            }
            _ => None,
        })
    }

    pub(crate) fn reports(&mut self) -> Vec<(Membership, Vec<Ipv6Addr>)> {
        self.all(|sent| match &sent.what {
            What::Report(membership, groups) => Some((*membership, groups.clone())),
            What::Nd(..) => None,
        })
    }

    pub(crate) fn addresses(&self) -> Vec<Ipv6Addr> {
        self.host.learned().made().collect()
    }

    /// The only address that was made, and the end of its valid lifetime.
    pub(crate) fn made(&self) -> (Made, Instant) {
        let mut all = self.host.learned().addresses.iter();
        let only = all.next().expect("an address was made");
        assert!(all.next().is_none());
        (only.what, only.until)
    }
}

/// Reads a frame that a host has sent.
pub(crate) fn read(at: Instant, bytes: &[u8]) -> Sent {
    let address = |at: usize| {
        let octets: [u8; 16] = bytes[at..at + 16].try_into().unwrap();
        Ipv6Addr::from(octets)
    };
    assert_eq!((&bytes[6..12], &bytes[12..14]), (&MAC.0[..], &[0x86, 0xdd][..]));
    let to_mac = MacAddr(bytes[..6].try_into().unwrap());
    let (from, to) = (address(22), address(38));
    // A hop-by-hop header: a report.
    let what = if bytes[20] == 0 {
        assert_eq!((bytes[21], bytes[62], to), (1, 143, wire::mld::ALL_MLD_ROUTERS));
        let count = usize::from(u16::from_be_bytes([bytes[68], bytes[69]]));
        let membership = match bytes[70] {
            2 => Membership::Current,
            3 => Membership::Left,
            4 => Membership::Joined,
            other => panic!("record type {other}"),
        };
        What::Report(membership, (0..count).map(|n| address(74 + 20 * n)).collect())
    } else {
        let frame = Frame::parse(bytes, Checksum::Verify).expect("frames are whole");
        let Payload::Nd(nd) = frame.payload else { panic!("{frame:?}") };
        What::Nd(nd.message, nd.options.iter().collect())
    };
    if to.is_multicast() {
        assert_eq!(to_mac, MacAddr::of_group(to));
    }
    Sent { at, to_mac, from, to, what }
}
