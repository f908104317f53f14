//! Commands at the wrong moment, and frames out of nowhere.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use dhcp::v4::State;
use fastrand::Rng;
use sim::{Command, Endpoint, INPUTS, Input, Lan};
use wire::MacAddr;
use wire::arp::Arp;
use wire::dhcp4::{Message, MessageType, Op, code, port};
use wire::frame;

use crate::pairs::why_not;

const SECOND: Duration = Duration::from_secs(1);
const STRANGER: MacAddr = MacAddr([2, 0xfd, 0, 0, 0, 1]);
const STRANGERS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// Something happens to one endpoint, half the time to one in the state that was seen least; and
/// perhaps more follows at once: in RELEASING, which is short and rare, whatever there is time for.
pub(crate) fn act(lan: &mut Lan, rng: &mut Rng) {
    let number = pick(lan, rng);
    let releasing = lan.endpoints()[number].client.state() == State::Releasing;
    for _ in 0..if releasing { 12 } else { rng.u8(1..4) } {
        happen(lan, number, rng);
        lan.run_for(Duration::ZERO);
    }
}

/// Half the time it is what was seen least in the endpoint's state.
fn happen(lan: &mut Lan, number: usize, rng: &mut Rng) {
    let client = &lan.endpoints()[number].client;
    let gave_back = matches!(client.state(), State::Stopped | State::V6OnlyWait);
    // Its RELEASE may be on its way still, or come twice: it would free what is granted anew.
    let rests = gave_back && lan.conditions.are_bad();
    // The same of a DECLINE, which a new client knows nothing of.
    let declined = client.progress().declines > 0 && lan.conditions.are_bad();
    match rng.u8(..20) {
        0 | 1 if rests || declined => return,
        0 => return lan.restart(number),
        1 => return lan.reboot(number),
        2 => {
            let up = lan.endpoints()[number].up;
            return lan.set_up(number, !up);
        }
        _ => {}
    }
    let state = lan.endpoints()[number].client.state();
    let mut inputs = INPUTS.map(|(input, _)| input);
    rng.shuffle(&mut inputs);
    let mut can =
        inputs.into_iter().filter(|input| is_ours(*input) && why_not(state, *input).is_none());
    let input = if rng.bool() {
        can.min_by_key(|input| lan.coverage().of(state, *input))
    } else {
        can.next()
    };
    let input = input.expect("some input can come in each state");
    if matches!(input, Input::Start | Input::Insist) && rests {
        return;
    }
    if let Some(command) = command(input, rng) {
        lan.command(number, command);
    } else if input == Input::Early {
        lan.wake(number);
    } else if let Some(frame) = frame(input, &lan.endpoints()[number], rng) {
        lan.inject(number, frame);
    }
}

fn pick(lan: &Lan, rng: &mut Rng) -> usize {
    let any = rng.usize(..lan.endpoints().len());
    if rng.bool() {
        return any;
    }
    let seen = |state: State| -> u64 {
        INPUTS.iter().map(|(input, _)| lan.coverage().of(state, *input)).sum()
    };
    let states = lan.endpoints().iter().map(|endpoint| endpoint.client.state());
    states.enumerate().min_by_key(|(_, state)| seen(*state)).map_or(any, |(number, _)| number)
}

/// Whether it is made here. The others are answers of servers, which come by themselves.
fn is_ours(input: Input) -> bool {
    !matches!(input, Input::Offer | Input::Ack | Input::Nak | Input::Timeout)
}

fn command(input: Input, rng: &mut Rng) -> Option<Command> {
    Some(match input {
        Input::Start => Command::Start,
        Input::Renew => Command::Renew,
        Input::Release => Command::Release,
        Input::HostName => {
            let names = [None, Some(""), Some("web"), Some("db")];
            Command::HostName(names[rng.usize(..names.len())])
        }
        Input::Announce => Command::Announce,
        Input::Hold => Command::Hold(rng.bool()),
        Input::Confirm => Command::Confirm(SECOND.mul_f64(10.0 * rng.f64())),
        Input::Insist => Command::Insist,
        _ => return None,
    })
}

/// A frame that is that to the endpoint as it is now.
fn frame(input: Input, endpoint: &Endpoint, rng: &mut Rng) -> Option<Vec<u8>> {
    let mac = endpoint.mac();
    let listening = endpoint.client.listening();
    let some = endpoint.configured.unwrap_or(STRANGERS);
    let arp = match input {
        Input::OfferIgnored => return Some(reply(mac, Op::BootReply, MessageType::Offer, rng)),
        Input::AckIgnored => return Some(reply(mac, Op::BootReply, MessageType::Ack, rng)),
        Input::NakIgnored => return Some(reply(mac, Op::BootReply, MessageType::Nak, rng)),
        Input::OtherMessage => {
            let op = if rng.bool() { Op::BootReply } else { Op::BootRequest };
            return Some(reply(mac, op, MessageType::Request, rng));
        }
        Input::ForAnother => {
            return Some(reply(STRANGER, Op::BootReply, MessageType::Ack, rng));
        }
        Input::Malformed => {
            let length = rng.usize(..300);
            let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
            return Some(datagram(mac, &noise));
        }
        Input::ArpConflict => Arp::announcement(STRANGER, listening.conflicts?),
        Input::ArpProbe => Arp::probe(STRANGER, listening.conflicts?),
        Input::ArpNextHop => Arp::request(STRANGER, listening.resolving?, STRANGERS),
        Input::ArpQuestion => Arp::request(STRANGER, STRANGERS, listening.requests?),
        Input::ArpOwn => Arp::announcement(mac, listening.resolving.unwrap_or(some)),
        Input::ArpOther => Arp::announcement(STRANGER, STRANGERS),
        _ => return None,
    };
    Some(arp.emit(MacAddr::BROADCAST))
}

/// A message of a transaction that the client does not know.
fn reply(mac: MacAddr, op: Op, kind: MessageType, rng: &mut Rng) -> Vec<u8> {
    let mut message = Message::new(op, rng.u32(..), mac, Default::default());
    message.yiaddr = Ipv4Addr::new(192, 168, 2, rng.u8(..));
    message.options.set(code::MESSAGE_TYPE, &[kind.into()]);
    message.options.set(code::SERVER_ID, &STRANGERS.octets());
    message.options.set(code::LEASE_TIME, &3600u32.to_be_bytes());
    datagram(mac, &message.emit())
}

fn datagram(to: MacAddr, payload: &[u8]) -> Vec<u8> {
    let from = SocketAddrV4::new(STRANGERS, port::SERVER);
    let client = SocketAddrV4::new(Ipv4Addr::BROADCAST, port::CLIENT);
    frame::udp4(STRANGER, to, from, client, payload)
}
