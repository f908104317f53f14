//! Any Ethernet frame: decoded and, as far as it goes, everything inside it.
//!
//! smoltcp takes every checksum for right when it is fuzzed, so that damage gets behind them.

use wire::dhcp4::Message;
use wire::frame::{Checksum, Frame, Payload, udp4, udp6};

use crate::readers;

/// Whether these bytes are something to look at; if they are, what [the module](self) says holds.
pub fn run(bytes: &[u8]) -> bool {
    let mut something = false;
    for checksum in [Checksum::Verify, Checksum::Partial] {
        let Ok(frame) = Frame::parse(bytes, checksum) else { continue };
        something = true;
        let again = match &frame.payload {
            // The Ethernet source of a frame of ours is ARP's sender.
            Payload::Arp(arp) if arp.sender_mac == frame.source => arp.emit(frame.destination),
            Payload::Arp(_) => continue,
            Payload::Udp4(udp) => {
                if let Ok(message) = Message::parse(udp.payload) {
                    readers::read_all(&message.options);
                }
                udp4(frame.source, frame.destination, udp.source, udp.destination, udp.payload)
            }
            Payload::Udp6(udp) => {
                udp6(frame.source, frame.destination, udp.source, udp.destination, udp.payload)
            }
            // Options of other kinds do not come back: `nd_decode` looks at them.
            Payload::Nd(_) => continue,
        };
        assert_eq!(Frame::parse(&again, Checksum::Verify), Ok(frame));
    }
    something
}
