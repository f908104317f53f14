//! Clients that share the MAC of their link (ipvlan). That nothing but that MAC is on the wire, in DHCP as in ARP, the bench
//! sees at each frame.

use dhcp::v4::{Config, ConflictCheck, Event};
use wire::MacAddr;
use wire::dhcp4::code;

use super::bench::*;

/// What the client would have if it had a MAC of its own.
const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);

#[test]
fn the_links_mac_is_on_the_wire_and_the_identifier_is_its_own() {
    let config = Config::new(OWN);
    let mut bench = Bench::with(Config {
        link: Some(MAC),
        broadcast: true,
        conflict_check: ConflictCheck::Fast,
        ..config
    });
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
    bench.hear_arp(wire::arp::Arp::announcement(MAC, ADDRESS));
    bench.answer(ack(&request));
    bench.next_deadline();
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
    let _ = bench.all_sent();
    bench.run(|client, now| client.release(now));
    let _ = bench.all_sent();
}
