//! Speaking for the addresses: answers to solicitations while no container answers, announcements,
//! and reports to multicast routers.

use std::net::Ipv6Addr;
use std::time::Duration;

use wire::MacAddr;
use wire::mld::{self, Membership};
use wire::nd::{self, Message, NdOption, NeighbourAdvertisement};

use super::host::Host;
use crate::Instant;

/// RetransTimer: the time between two announcements (RFC 4861 §7.2.6).
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);
/// Queriers ask every 125 s and forget after twice that (RFC 3810 §9.2, §9.4). The port answers no
/// queries; it repeats before it is forgotten.
const REPORT_INTERVAL: Duration = Duration::from_secs(120);

/// Something that is repeated, and whose first time nobody told the time of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nothing is to come.
    Done,
    /// The first has just gone out; the clock is read at the next `handle_timeout`.
    Begun,
    /// Due then.
    At(Instant),
}

impl Again {
    pub(crate) fn deadline(self) -> Instant {
        match self {
            Again::Done => Instant::NEVER,
            Again::Begun => Instant::BOOT,
            Again::At(at) => at,
        }
    }
}

impl Host {
    /// Announces all addresses by unsolicited advertisements (RFC 4861 §7.2.6), when the container has them: twice, 1 s apart, and
    /// the second time when all are checked, as until then they replace nothing in others' caches (RFC 4429 §3.3).
    pub fn announce(&mut self) {
        if self.announce_all() {
            self.announcement = Again::Begun;
        }
    }

    /// Sets the MAC of the link that it shares with others ([`Config::link`](super::Config::link)): all that is said from here on
    /// bears it. If it is another than before, the neighbours are told.
    pub fn set_link(&mut self, link: MacAddr) {
        if self.config.link.replace(link) != Some(link) {
            self.announce();
        }
    }

    /// While `held`, solicitations for the endpoint's addresses are answered, and switches are kept
    /// in mind of its groups: no container does.
    pub fn hold(&mut self, held: bool) {
        if held && !self.held && self.report_all() {
            self.reporting = Again::Begun;
        } else if !held {
            self.reporting = Again::Done;
        }
        self.held = held;
    }

    pub(crate) fn repeat_timeout(&mut self, now: Instant) {
        match self.announcement {
            Again::Begun => self.announcement = Again::At(now + ANNOUNCE_INTERVAL),
            Again::At(at) if now >= at && !self.checking.is_empty() => {
                self.announcement = Again::At(now + ANNOUNCE_INTERVAL);
            }
            Again::At(at) if now >= at => {
                self.announcement = Again::Done;
                self.announce_all();
            }
            Again::At(_) | Again::Done => {}
        }
        match self.reporting {
            Again::Begun => self.reporting = Again::At(now + REPORT_INTERVAL),
            Again::At(at) if now >= at => {
                self.reporting = Again::At(now + REPORT_INTERVAL);
                self.report_all();
            }
            Again::At(_) | Again::Done => {}
        }
    }

    /// Answers a solicitation from `mac` and `source`, which may be `::`.
    pub(crate) fn answer(&mut self, target: Ipv6Addr, (mac, source): (MacAddr, Ipv6Addr)) {
        // Whoever asks from an address of ours would be told that it is theirs.
        if !self.held || !mac.is_unicast() || self.is_ours(source) {
            return;
        }
        // RFC 4429 §3.3: an address that is being checked replaces nothing in others' caches.
        let replaces = !self.is_checked(target);
        if source.is_unspecified() {
            return self.advertise(target, nd::ALL_NODES, replaces);
        }
        let advertisement =
            NeighbourAdvertisement { target, router: false, solicited: true, replaces };
        let message = Message::NeighbourAdvertisement(advertisement);
        let ours = self.config.link_mac();
        let options = [NdOption::TargetMac(ours)];
        self.transmit(nd::emit_to((ours, mac), (target, source), &message, &options));
    }

    /// Advertises an address to a group.
    pub(crate) fn advertise(&mut self, target: Ipv6Addr, group: Ipv6Addr, replaces: bool) {
        let advertisement =
            NeighbourAdvertisement { target, router: false, solicited: false, replaces };
        let message = Message::NeighbourAdvertisement(advertisement);
        let mac = self.config.link_mac();
        self.transmit(nd::emit(mac, target, group, &message, &[NdOption::TargetMac(mac)]));
    }

    fn announce_all(&mut self) -> bool {
        let addresses: Vec<_> = self.addresses().collect();
        for address in &addresses {
            let replaces = !self.is_checked(*address);
            self.advertise(*address, nd::ALL_NODES, replaces);
        }
        !addresses.is_empty()
    }

    fn report_all(&mut self) -> bool {
        let addresses: Vec<_> = self.addresses().collect();
        self.report(Membership::Current, &addresses);
        !addresses.is_empty()
    }

    /// Reports the groups of these addresses. A group that another address of ours is in is not
    /// left.
    pub(crate) fn report(&mut self, membership: Membership, addresses: &[Ipv6Addr]) {
        let mut groups: Vec<_> = addresses.iter().map(|a| nd::solicited_node(*a)).collect();
        if membership == Membership::Left {
            groups.retain(|group| {
                let others = self.addresses().filter(|ours| !addresses.contains(ours));
                !others.map(nd::solicited_node).any(|other| other == *group)
            });
        }
        groups.sort_unstable();
        groups.dedup();
        if groups.is_empty() {
            return;
        }
        let source = self.link_local.unwrap_or(Ipv6Addr::UNSPECIFIED);
        self.transmit(mld::report(self.config.link_mac(), source, membership, &groups));
    }
}
