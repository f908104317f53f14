//! Clients that share the MAC of their link (ipvlan). That nothing but that MAC is on the wire, in DHCP as in ARP, the bench
//! sees at each frame.

use dhcp::v4::{Config, ConflictCheck, Event, State};
use wire::MacAddr;
use wire::arp::Arp;
use wire::dhcp4::code;

use super::bench::*;

/// What the client would have if it had a MAC of its own.
const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);

/// One whose own MAC is [`OWN`].
fn sharing(link: MacAddr) -> Config {
    let config = Config::new(OWN);
    let conflict_check = ConflictCheck::Fast;
    Config { link: Some(link), broadcast: true, conflict_check, ..config }
}

#[test]
fn the_links_mac_is_on_the_wire_and_the_identifier_is_its_own() {
    let mut bench = Bench::with(sharing(MAC));
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    let xid = discover.message.xid;
    assert!(discover.message.broadcast);
    assert_eq!(discover.message.options.get(code::CLIENT_ID), Some(&[1, 2, 0, 0, 0, 0, 7][..]));
    assert!(bench.client.awaits(xid) && !bench.client.awaits(xid ^ 1));
    bench.answer(offer(&discover));
    let request = bench.request();
    // What the link itself says is no conflict.
    bench.probe(ADDRESS);
    bench.hear_arp(Arp::announcement(MAC, ADDRESS));
    bench.answer(ack(&request));
    bench.next_deadline();
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
    let _ = bench.all_sent();
    bench.run(|client, now| client.release(now));
    let _ = bench.all_sent();
}

/// As a bond's when its first card fails.
#[test]
fn the_links_mac_is_another_now() {
    const NEW: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x77]);
    let mut bench = Bench::with(sharing(MAC));
    bench.run(|client, now| client.start(now));
    bench.exchange();
    bench.next_deadline();
    assert_eq!(bench.event(), Event::Bound);
    bench.until(10.0);
    let _ = bench.all_sent();
    // The container speaks with it before the client knows: it defends its address against what looks like another machine.
    bench.hear_arp(Arp::announcement(NEW, ADDRESS));
    assert_eq!(bench.arp().0, Arp::announcement(MAC, ADDRESS));
    bench.mac = NEW;
    bench.run(|client, _| client.set_link(NEW));
    assert_eq!(bench.arp().0, Arp::announcement(NEW, ADDRESS), "that is mended at once");
    // No conflict any more, neither of the new one nor with a real one within ten seconds of that (RFC 5227 §2.4).
    bench.hear_arp(Arp::announcement(NEW, ADDRESS));
    bench.silent();
    bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
    assert_eq!(bench.arp().0, Arp::announcement(NEW, ADDRESS));
    bench.state(State::Bound);
    bench.until(15.0);
    assert_eq!(bench.arp().0, Arp::announcement(NEW, ADDRESS), "the second time");
    // It is who it was.
    bench.run(|client, now| client.renew(now));
    let id = bench.request().message.options.get(code::CLIENT_ID).map(<[u8]>::to_vec);
    assert_eq!(id.as_deref(), Some(&[1, 2, 0, 0, 0, 0, 7][..]));
    // Told once more, there is nothing to tell.
    bench.run(|client, _| client.set_link(NEW));
    bench.silent();
}
