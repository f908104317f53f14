//! A machine on the LAN that says whatever the test tells it, frame by frame.

use std::net::Ipv6Addr;

use lab::Namespace;
use net::{Filter, PacketSocket, Sees};
use nix::net::if_::if_nametoindex;
use tokio::runtime::{Builder, Runtime};
use wire::MacAddr;
use wire::nd::{
    ALL_NODES, Message, NdOption, PrefixInformation, RouteInformation, RouterAdvertisement, emit,
};

use crate::site::{SOON, eventually, ip_json, same};

/// What sends raw frames on one interface.
pub(crate) struct Rogue {
    socket: PacketSocket,
    /// Its socket is registered there.
    _runtime: Runtime,
}

impl Rogue {
    /// On an interface of a namespace.
    pub(crate) fn on(ns: &Namespace, interface: &str) -> Rogue {
        // Before, the kernel drops what is sent.
        eventually("a carrier", SOON, || {
            let state = ip_json(ns, &["link", "show", interface])[0]["operstate"].clone();
            same(state, &"UP".into())
        });
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let socket = ns.enter(|| {
            let _entered = runtime.enter();
            let index = if_nametoindex(interface).unwrap();
            PacketSocket::open(index, &Filter::nothing(), Sees::Incoming).unwrap()
        });
        Rogue { socket: socket.unwrap(), _runtime: runtime }
    }

    /// Sends a frame; waits where a queue is full.
    pub(crate) fn send(&self, frame: &[u8]) {
        loop {
            match self.socket.send(frame) {
                Ok(()) => return,
                Err(error) if error.is_full() => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A router as it tells all of itself: which link-local address, by its last part, and which MAC it has.
#[derive(Clone, Debug)]
pub(crate) struct Advertisement {
    pub(crate) number: u16,
    pub(crate) message: RouterAdvertisement,
    pub(crate) options: Vec<NdOption>,
}

impl Advertisement {
    /// A default router for half an hour that says nothing else.
    pub(crate) fn of(number: u16) -> Advertisement {
        let message = RouterAdvertisement { lifetime: 1800, ..RouterAdvertisement::default() };
        Advertisement { number, message, options: Vec::new() }
    }

    /// With other words in its header.
    pub(crate) fn header(mut self, change: impl FnOnce(&mut RouterAdvertisement)) -> Self {
        change(&mut self.message);
        self
    }

    /// With a prefix that is on the link and for addresses.
    pub(crate) fn prefix(mut self, prefix: Ipv6Addr, valid: u32) -> Self {
        self.options.push(NdOption::Prefix(PrefixInformation {
            prefix,
            length: 64,
            on_link: true,
            autonomous: true,
            valid,
            preferred: valid,
        }));
        self
    }

    /// With a route of 48 bits.
    pub(crate) fn route(mut self, prefix: Ipv6Addr, lifetime: u32) -> Self {
        let preference = self.message.preference;
        self.options.push(NdOption::Route(RouteInformation {
            prefix,
            length: 48,
            preference,
            lifetime,
        }));
        self
    }

    /// Its link-local address.
    pub(crate) fn source(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xbad, 0, self.number)
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        let [high, low] = self.number.to_be_bytes();
        let mac = MacAddr([2, 0, 0xba, 0xd0, high, low]);
        let message = Message::RouterAdvertisement(self.message);
        emit(mac, self.source(), ALL_NODES, &message, &self.options)
    }

    /// The frame with further bytes where options are, and a right checksum.
    pub(crate) fn frame_with(&self, body: &[u8]) -> Vec<u8> {
        const IPV6: usize = 14;
        const ICMP: usize = IPV6 + 40;
        let mut frame = self.frame();
        frame.extend(body);
        let length = u16::try_from(frame.len() - ICMP).unwrap();
        frame[IPV6 + 4..IPV6 + 6].copy_from_slice(&length.to_be_bytes());
        frame[ICMP + 2..ICMP + 4].fill(0);
        // RFC 8200 §8.1: addresses, length, next header, message.
        let words = frame[IPV6 + 8..].chunks(2);
        let words =
            words.map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |b| (*b).into()));
        let mut sum: u32 = words.sum::<u32>() + u32::from(length) + 58;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        frame[ICMP + 2..ICMP + 4].copy_from_slice(&(!sum as u16).to_be_bytes());
        frame
    }
}
