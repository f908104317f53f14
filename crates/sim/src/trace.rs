//! The last frames, for a failure's report.

use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use dhcp::Instant;
use wire::dhcp4::Message;
use wire::dhcp6;
use wire::frame::{Checksum, Frame, Payload};

/// How many frames are kept.
const KEPT: usize = 60;
/// How many options of each are shown.
const OPTIONS: usize = 3;

/// The last frames that were sent. They are decoded only when they are looked at.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    frames: VecDeque<(Instant, Rc<[u8]>)>,
}

impl Trace {
    pub(crate) fn record(&mut self, at: Instant, frame: &Rc<[u8]>) {
        if self.frames.len() == KEPT {
            self.frames.pop_front();
        }
        self.frames.push_back((at, Rc::clone(frame)));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, bytes) in &self.frames {
            write!(f, "  {at:?}: ")?;
            match Frame::parse(bytes, Checksum::Verify) {
                Ok(frame) => describe(&frame, f)?,
                Err(error) => write!(f, "{error}")?,
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn describe(frame: &Frame<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} > {} ", frame.source, frame.destination)?;
    match &frame.payload {
        Payload::Arp(arp) => {
            write!(f, "ARP {:?} {} for {}", arp.operation, arp.sender_ip, arp.target_ip)
        }
        Payload::Udp4(datagram) => {
            write!(f, "{} > {} ", datagram.source.ip(), datagram.destination.ip())?;
            let Ok(message) = Message::parse(datagram.payload) else { return f.write_str("?") };
            match message.message_type() {
                Some(kind) => write!(f, "{kind}")?,
                None => f.write_str("no type")?,
            }
            let Message { xid, ciaddr, yiaddr, chaddr, .. } = message;
            write!(f, " xid {xid:08x} chaddr {chaddr} ciaddr {ciaddr} yiaddr {yiaddr}")
        }
        Payload::Udp6(datagram) => {
            write!(f, "{} > {} ", datagram.source.ip(), datagram.destination.ip())?;
            let Ok(message) = dhcp6::Message::parse(datagram.payload) else {
                return f.write_str("?");
            };
            write!(f, "{} xid {:06x} {:?}", message.kind, message.xid, message.options)
        }
        Payload::Nd(nd) => {
            let options: Vec<_> = nd.options.iter().take(OPTIONS).collect();
            write!(f, "{} > {} {:?} {options:?}", nd.source, nd.destination, nd.message)
        }
    }
}
