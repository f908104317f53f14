//! Six defects that recur in other systems' clients; none of them may be here. Those that are about
//! packets are tested here, the two about the store and the socket as far as they touch them.

use std::net::Ipv4Addr;

use dhcp::v4::{Client, Event, Lease, State};
use wire::dhcp4::{MessageType, code};

use super::bench::*;

/// Renewing at BOOTP's next server, which may be anywhere.
#[test]
fn siaddr_is_not_the_server() {
    let next_server = Ipv4Addr::new(192, 0, 2, 66);
    let mut bench = Bench::bound_by(|mut answer| {
        answer.message.siaddr = next_server;
        answer
    });
    bench.next_deadline();
    let renewal = bench.request();
    assert_eq!((renewal.to, renewal.to_mac), (SERVER, SERVER_MAC));
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.asked(MessageType::Release).to, SERVER);
}

/// A RELEASE that the server ignores: without `ciaddr` or server identifier, with another client
/// identifier, or from 0.0.0.0.
#[test]
fn a_release_names_the_lease_as_the_server_knows_it() {
    let mut bench = Bench::bound();
    bench.run(|client, now| client.release(now));
    let release = bench.asked(MessageType::Release);
    assert_eq!((release.from, release.to, release.to_mac), (ADDRESS, SERVER, SERVER_MAC));
    assert_eq!(release.message.ciaddr, ADDRESS);
    let options: Vec<u8> = release.message.options.iter().map(|(code, _)| code).collect();
    assert_eq!(options, [code::MESSAGE_TYPE, code::SERVER_ID, code::CLIENT_ID]);
    assert_eq!(release.message.options.server_id(), Some(SERVER));
    assert_eq!(release.message.options.client_id(), Some(&[1, 2, 0, 0, 0, 0, 0x42][..]));
}

/// A NAK, or one renewal that fails, ignored or fatal.
#[test]
fn the_client_gets_over_a_nak_and_a_lost_renewal() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let _lost = bench.request();
    bench.next_deadline();
    bench.resolve(SERVER, SERVER_MAC);
    let renewal = bench.request();
    bench.answer(nak(&renewal));
    assert!(matches!(bench.event(), Event::Lost { .. }));
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
}

/// The lease forgotten when the keeper restarts.
#[test]
fn a_stored_lease_is_renewed_and_released_by_the_next_process() {
    let stored = serde_json::to_vec(Bench::bound().client.lease().unwrap()).unwrap();
    let lease: Lease = serde_json::from_slice(&stored).unwrap();
    let mut bench = Bench::of(Client::resume(plain(), lease, 99, at(5.0)));
    bench.next_deadline();
    let renewal = bench.request();
    assert_eq!((renewal.to, renewal.message.ciaddr), (SERVER, ADDRESS));
    bench.answer(ack(&renewal));
    assert_eq!(bench.event(), Event::Renewed);
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.asked(MessageType::Release).message.ciaddr, ADDRESS);
}

/// A renewal's new configuration thrown away.
#[test]
fn what_a_renewal_brings_is_the_lease_from_then_on() {
    let mut bench = Bench::bound();
    bench.next_deadline();
    let request = bench.request();
    let other = Ipv4Addr::new(192, 0, 2, 254);
    bench.answer(ack(&request).set(code::ROUTER, &other.octets()));
    let Event::Changed { old } = bench.event() else { panic!("unnoticed") };
    assert_eq!(old.gateway(), Some(ROUTER));
    assert_eq!(bench.client.lease().unwrap().gateway(), Some(other));
}

/// A sleeping machine's timers that count only the time awake. (The Ethernet source of each frame
/// is compared with the MAC in [`Bench`], for every test.)
#[test]
fn time_asleep_counts() {
    let mut bench = Bench::bound();
    bench.now = at(f64::from(LEASE) + 3600.0);
    bench.run(|client, now| client.handle_timeout(now));
    assert!(matches!(bench.event(), Event::Lost { .. }));
    bench.state(State::Selecting);
}
