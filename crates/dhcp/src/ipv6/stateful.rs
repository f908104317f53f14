//! When DHCPv6 is spoken, and what becomes of its lease.

use std::net::{Ipv6Addr, SocketAddrV6};

use wire::MacAddr;
use wire::dhcp6::port;
use wire::frame::{Udp6, udp6};

use super::client::{Client, Phase};
use super::{Event, Mode, OnLoss};
use crate::Instant;
use crate::v6::{self, Lease, LeasedAddress, State};

impl Client {
    /// Whether a server is to be asked for a lease, by what is known now.
    pub(crate) fn wants_lease(&self) -> bool {
        let delegates = self.config.prefix.is_some();
        match self.config.mode {
            Mode::Dhcp => true,
            Mode::Slaac => delegates,
            // First the routers say whether addresses are to be had. A lease that there is is not
            // dropped because one changes its mind.
            Mode::Auto => {
                (self.host.is_heard() && (delegates || self.host.learned().managed))
                    || self.asked_unbidden
                    || self.server.as_ref().is_some_and(|server| server.lease().is_some())
                    || (delegates && !matches!(self.phase, Phase::Starting(_)))
            }
        }
    }

    /// Whether a server that is asked is to give an address, by what is known now.
    fn wants_address(&self) -> bool {
        match self.config.mode {
            Mode::Dhcp => true,
            Mode::Slaac => false,
            Mode::Auto => {
                self.config.prefix.is_none()
                    || self.asked_unbidden
                    || (self.host.is_heard() && self.host.learned().managed)
            }
        }
    }

    /// Speaks DHCPv6, or stops, as the routers say.
    pub(crate) fn consult(&mut self, now: Instant) {
        let heard = self.host.is_heard();
        match &self.phase {
            Phase::Starting(waiting) if !heard && now >= waiting.ask_at(&self.config) => {
                // RFC 4862 §5.5.2: without routers a server may be asked for addresses.
                self.asked_unbidden = true;
            }
            Phase::Starting(_) | Phase::Told => {}
            Phase::Stopped | Phase::Releasing => return,
        }
        let learned = self.host.learned();
        let (managed, other) = (learned.managed, learned.other);
        let vain = self.is_unanswered() || self.has_prefixes_alone();
        if self.asked_unbidden && heard && !managed && vain {
            // A router is there and knows nothing of addresses to be leased.
            self.asked_unbidden = false;
            if !self.wants_lease() {
                self.server = None;
                self.dirty = true;
            }
        }
        // From now on it is not unbidden.
        self.asked_unbidden &= !(heard && managed);
        let vain = self.server.as_ref().is_some_and(|server| server.asks_in_vain());
        if heard && vain && !self.wants_lease() {
            // The lease is over, and the routers do not speak of a server any more.
            self.server = None;
            self.dirty = true;
        }
        if self.wants_lease() {
            let address = self.wants_address();
            let server = self.server();
            if address || heard {
                server.want_address(address, now);
            }
            if let State::Stopped | State::Informing | State::Informed = server.state() {
                server.start(now);
            }
        } else if heard && (managed || other) {
            let server = self.server();
            if server.state() == State::Stopped {
                server.inform(now);
            }
        }
    }

    /// The DHCPv6 client, made when it is first needed.
    pub(crate) fn server(&mut self) -> &mut v6::Client {
        let address = self.wants_address();
        let (config, rng) = (&self.config, &mut self.rng);
        let make = || Box::new(v6::Client::new(server_config(config, address), rng.u64(..)));
        self.server.get_or_insert_with(make)
    }

    pub(crate) fn resume_lease(&mut self, lease: Lease, now: Instant) {
        let address = self.wants_address() || !lease.addresses.is_empty();
        let (config, seed) = (server_config(&self.config, address), self.rng.u64(..));
        self.server = Some(Box::new(v6::Client::resume(config, lease, seed, now)));
    }

    pub(crate) fn reboot_lease(&mut self, lease: Lease, now: Instant) {
        let address = self.wants_address() || !lease.addresses.is_empty();
        let (config, seed) = (server_config(&self.config, address), self.rng.u64(..));
        self.server = Some(Box::new(v6::Client::reboot_with_lease(config, lease, seed, now)));
    }

    /// Whether no server has said anything.
    fn is_unanswered(&self) -> bool {
        self.server.as_ref().is_some_and(|server| {
            server.lease().is_none()
                && server.progress().advertises == 0
                && server.progress().replies == 0
                && matches!(server.state(), State::Init | State::Soliciting)
        })
    }

    fn has_prefixes_alone(&self) -> bool {
        let lease = self.server.as_ref().and_then(|server| server.lease());
        lease.is_some_and(|lease| lease.addresses.is_empty())
    }

    /// Takes a datagram, if it is for the DHCPv6 client.
    pub(crate) fn handle_datagram(&mut self, datagram: &Udp6<'_>, now: Instant) {
        let destination = *datagram.destination.ip();
        if datagram.destination.port() == port::CLIENT
            && self.host.is_ours(destination)
            && let Some(server) = &mut self.server
        {
            server.handle_message(*datagram.source.ip(), datagram.payload, now);
        }
    }

    /// Tells a server that wants to know of the addresses that were made without it (RFC 9686).
    pub(crate) fn register(&mut self, now: Instant) {
        if let Phase::Stopped | Phase::Releasing = self.phase {
            return;
        }
        let Some(server) = &mut self.server else { return };
        for entry in self.host.learned().addresses.iter() {
            // What is doubted may be of another link.
            if let Some(address) = entry.what.address
                && !(entry.doubted || self.host.is_checked(address))
            {
                if server.registers() {
                    server.register(address, entry.what.preferred_until, entry.until, now);
                } else {
                    server.ask_to_register(now);
                }
            }
        }
    }

    /// Tells it that an address is not in use any more.
    pub(crate) fn unregister(&mut self, gone: &[Ipv6Addr], now: Instant) {
        if let Some(server) = self.server.as_mut().filter(|server| server.registers()) {
            for address in gone {
                server.unregister(*address, now);
            }
            self.follow_server(now);
        }
    }

    /// Sends what the DHCPv6 client has to say, and takes what happened to it.
    pub(crate) fn follow_server(&mut self, now: Instant) {
        let Some(server) = &mut self.server else { return };
        let mut frames = Vec::new();
        while let Some(transmit) = server.poll_transmit() {
            let source = transmit.source.or(self.host.link_local());
            // Without a link-local address nothing can be said (RFC 8415 §18.2).
            frames.extend(source.map(|source| {
                let to = transmit.destination;
                let macs = (self.config.link_mac(), MacAddr::of_group(to));
                let from = socket(source, port::CLIENT);
                udp6(macs.0, macs.1, from, socket(to, port::SERVER), &transmit.payload)
            }));
        }
        let mut released = false;
        let keeps = self.config.on_loss == OnLoss::Keep;
        while let Some(event) = server.poll_event() {
            self.dirty = true;
            released |= matches!(event, v6::Event::Released);
            if let v6::Event::Lost { old, why: v6::Loss::Expired } = &event
                && keeps
            {
                self.kept = usable(old).map(|leased| leased.address).collect();
            }
        }
        let lease = server.lease();
        if lease.is_some() {
            self.kept = Vec::new();
        }
        let leased = lease.into_iter().flat_map(usable).map(|leased| leased.address);
        let leased: Vec<_> = leased.chain(self.kept.iter().copied()).collect();
        self.host.set_leased(&leased, now);
        self.transmit_all(frames);
        if released {
            self.finish_release();
        }
    }

    /// Another machine has `address`: the server that gave it is told.
    pub(crate) fn duplicate(
        &mut self,
        (address, holder): (Ipv6Addr, MacAddr),
        given_up: bool,
        now: Instant,
    ) {
        let leased = |server: &mut v6::Client| {
            let mut lease = server.lease().into_iter().flat_map(|lease| &lease.addresses);
            lease.any(|leased| leased.address == address)
        };
        if let Some(server) = &mut self.server
            && leased(server)
        {
            server.decline(address, now);
        }
        self.kept.retain(|kept| *kept != address);
        self.emit(Event::Duplicate { address, holder, given_up });
    }

    /// Gives the lease back and stops; from now on there is no configuration any more.
    /// [`Event::Released`] says that a server has heard it, or that all was tried, for 15 s. A client
    /// that is stopped stays so, without an event.
    pub fn release(&mut self, now: Instant) {
        if let Phase::Stopped | Phase::Releasing = self.phase {
            return;
        }
        let made: Vec<_> = self.host.learned().made().collect();
        self.unregister(&made, now);
        self.phase = Phase::Releasing;
        self.remembered = None;
        self.kept = Vec::new();
        self.untold = false;
        *self.told = super::Configuration::default();
        match &mut self.server {
            Some(server) if server.state() != State::Stopped => server.release(now),
            _ => self.finish_release(),
        }
        self.follow(now);
    }

    fn finish_release(&mut self) {
        if let Phase::Releasing = self.phase {
            self.phase = Phase::Stopped;
            self.server = None;
            self.information = None;
            self.host.stop();
            self.emit(Event::Released);
        }
    }
}

/// The addresses of a lease that a server can give: no link-local ones, and no groups.
pub(crate) fn usable(lease: &Lease) -> impl Iterator<Item = &LeasedAddress> {
    lease
        .addresses
        .iter()
        .filter(|leased| !leased.address.is_unicast_link_local() && !leased.address.is_multicast())
}

fn server_config(config: &super::Config, address: bool) -> v6::Config {
    v6::Config {
        duid: config.duid.clone(),
        iaid: config.iaid,
        address,
        requested_address: config.requested_address,
        prefix: config.prefix,
        host_name: config.host_name.clone(),
        classes: config.classes.clone(),
        rapid_commit: true,
    }
}

fn socket(address: Ipv6Addr, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(address, port, 0, 0)
}
