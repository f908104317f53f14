//! What a hostile server makes of a valid reply.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use fastrand::Rng;
use wire::MacAddr;
use wire::dhcp4::{Message, MessageType, code};

/// Clients whose transactions are remembered.
const VICTIMS: usize = 16;

/// A taste for lies, and whom it has heard.
#[derive(Debug, Clone)]
pub struct Byzantine {
    /// The part of the replies that is spoilt, 0 to 1.
    pub rate: f64,
    victims: VecDeque<Victim>,
}

#[derive(Debug, Clone, Copy)]
struct Victim {
    mac: MacAddr,
    xid: u32,
}

/// A reply as it goes out: to whom, and the payload of the datagram.
pub(crate) struct Lie {
    pub(crate) to: MacAddr,
    pub(crate) payload: Vec<u8>,
}

impl Byzantine {
    /// Spoils that part of the replies.
    pub fn new(rate: f64) -> Byzantine {
        Byzantine { rate, victims: VecDeque::new() }
    }

    /// Hears a client.
    pub(crate) fn hear(&mut self, message: &Message) {
        if self.victims.len() == VICTIMS {
            self.victims.pop_front();
        }
        self.victims.push_back(Victim { mac: message.chaddr, xid: message.xid });
    }

    /// What becomes of a reply that was to go `to`.
    pub(crate) fn spoil(&self, reply: &Message, to: MacAddr, rng: &mut Rng) -> Vec<Lie> {
        if rng.f64() >= self.rate {
            return vec![Lie { to, payload: reply.emit() }];
        }
        match rng.u8(..10) {
            // Something else is said.
            0..4 => {
                let mut reply = reply.clone();
                for _ in 0..rng.u8(1..4) {
                    distort(&mut reply, rng);
                }
                vec![Lie { to, payload: reply.emit() }]
            }
            4 | 5 => vec![Lie { to, payload: damage(reply.emit(), rng) }],
            // Several times, and the first is not the last.
            6 => {
                let copies = rng.usize(2..6);
                let copy = |_| {
                    let mut reply = reply.clone();
                    if rng.bool() {
                        distort(&mut reply, rng);
                    }
                    Lie { to, payload: reply.emit() }
                };
                (0..copies).map(copy).collect()
            }
            // To others, in their own transactions or in this one.
            7 | 8 => {
                let mut lies = vec![Lie { to, payload: reply.emit() }];
                for victim in &self.victims {
                    let mut reply = Message { chaddr: victim.mac, ..reply.clone() };
                    if rng.bool() {
                        reply.xid = victim.xid;
                    }
                    if rng.bool() {
                        let kind = rng.choice([MessageType::Ack, MessageType::Nak]);
                        set_kind(&mut reply, kind.map_or(5, u8::from));
                    }
                    let to = if rng.bool() { MacAddr::BROADCAST } else { victim.mac };
                    lies.push(Lie { to, payload: reply.emit() });
                }
                lies
            }
            _ => Vec::new(),
        }
    }
}

fn set_kind(reply: &mut Message, kind: u8) {
    reply.options.set(code::MESSAGE_TYPE, &[kind]);
}

/// An address that somebody may have, or nobody can.
fn address(near: Ipv4Addr, rng: &mut Rng) -> Ipv4Addr {
    match rng.u8(..8) {
        0 => Ipv4Addr::UNSPECIFIED,
        1 => Ipv4Addr::BROADCAST,
        2 => Ipv4Addr::LOCALHOST,
        3 => Ipv4Addr::new(224, 0, 0, 1),
        4 => Ipv4Addr::from_bits(rng.u32(..)),
        _ => Ipv4Addr::from_bits(near.to_bits() ^ u32::from(rng.u8(..8))),
    }
}

/// Says one thing of a reply differently.
fn distort(reply: &mut Message, rng: &mut Rng) {
    let seconds = |rng: &mut Rng| match rng.u8(..6) {
        0 => 0,
        1 => rng.u32(1..5),
        2 => u32::MAX,
        3 => u32::MAX - 1,
        4 => rng.u32(..),
        _ => rng.u32(5..900),
    };
    match rng.u8(..13) {
        0 => reply.yiaddr = address(reply.yiaddr, rng),
        1 => reply.xid ^= 1 << rng.u8(..32),
        2 => reply.chaddr.0[rng.usize(..6)] ^= 1,
        3 => reply.ciaddr = address(reply.yiaddr, rng),
        4 => {
            let server = reply.options.server_id().unwrap_or(reply.yiaddr);
            let other = address(server, rng);
            reply.options.set(code::SERVER_ID, &other.octets());
        }
        5 => set_kind(reply, rng.u8(..10)),
        6 | 7 => {
            let code = rng.choice([code::LEASE_TIME, code::RENEWAL_TIME, code::REBINDING_TIME]);
            let seconds = seconds(rng);
            reply.options.set(code.unwrap_or(code::LEASE_TIME), &seconds.to_be_bytes());
        }
        8 => {
            let mask = u32::MAX << rng.u32(..32);
            reply.options.set(code::SUBNET_MASK, &mask.to_be_bytes());
        }
        9 => {
            let router = address(reply.yiaddr, rng);
            reply.options.set(code::ROUTER, &router.octets());
        }
        10 => reply.options.set(code::CLIENT_ID, &[rng.u8(..); 7]),
        11 => {
            let present: Vec<u8> = reply.options.iter().map(|(code, _)| code).collect();
            if let Some(code) = rng.choice(present) {
                reply.options.remove(code);
            }
        }
        _ => {
            let long = vec![rng.u8(..); rng.usize(..600)];
            reply.options.set(rng.u8(1..255), &long);
        }
    }
}

/// Bytes are overwritten, the end is cut off, or more follows.
pub(crate) fn damage(mut payload: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    for _ in 0..rng.usize(..12) {
        if payload.is_empty() {
            break;
        }
        let place = rng.usize(..payload.len());
        payload[place] = if rng.bool() { rng.u8(..) } else { payload[place] ^ 1 << rng.u8(..8) };
    }
    match rng.u8(..4) {
        0 => payload.truncate(rng.usize(..=payload.len())),
        1 => {
            let more = rng.usize(..40);
            payload.extend(std::iter::repeat_with(|| rng.u8(..)).take(more));
        }
        _ => {}
    }
    payload
}
