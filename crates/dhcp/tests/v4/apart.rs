//! An address that another link has, with a MAC of its own: `Config::apart`.

use std::net::Ipv4Addr;

use dhcp::v4::{Config, Event, State};
use wire::MacAddr;
use wire::arp::Arp;
use wire::dhcp4::code;

use super::bench::*;

fn bound() -> Bench {
    let mut bench = Bench::with(Config { apart: true, broadcast: true, ..plain() });
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    assert!(discover.message.broadcast);
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
    bench
}

/// An answer to the address would go to that link, and the server would learn the wrong MAC for it.
#[test]
fn it_is_renewed_by_broadcast_from_no_address() {
    let mut bench = bound();
    for _ in 0..3 {
        let t1 = bench.client.lease().unwrap().renew_at;
        bench.until(bench.seconds(t1));
        bench.state(State::Rebinding);
        let request = bench.request();
        assert_eq!(request.at, t1);
        assert_eq!((request.to_mac, request.to), (MacAddr::BROADCAST, Ipv4Addr::BROADCAST));
        assert_eq!(request.from, Ipv4Addr::UNSPECIFIED);
        assert_eq!(request.message.ciaddr, Ipv4Addr::UNSPECIFIED);
        assert!(request.message.broadcast);
        let options = &request.message.options;
        assert_eq!(options.get(code::REQUESTED_ADDRESS), Some(&ADDRESS.octets()[..]));
        assert_eq!(options.get(code::SERVER_ID), None);
        bench.answer(ack(&request));
        assert_eq!(bench.event(), Event::Renewed);
        bench.state(State::Bound);
    }
}

#[test]
fn without_an_answer_it_is_asked_for_until_the_end() {
    let mut bench = bound();
    let (t1, end) = {
        let lease = bench.client.lease().unwrap();
        (bench.seconds(lease.renew_at), bench.seconds(lease.expires_at))
    };
    bench.until(t1 - 0.001);
    // Before T1 there is nothing to be told early: nobody would ask again.
    bench.run(|client, now| client.renew(now));
    bench.silent();
    bench.until(t1);
    let mut times = vec![];
    loop {
        let request = bench.request();
        times.push(bench.seconds(request.at));
        bench.next_deadline();
        if bench.client.lease().is_none() {
            break;
        }
    }
    assert_eq!(bench.seconds(bench.now), end);
    assert!((4..20).contains(&times.len()), "{times:?}");
}

#[test]
fn its_place_is_not_held() {
    let mut bench = bound();
    bench.run(|client, _| client.hold(true));
    assert_eq!(bench.client.listening().requests, None);
    bench.hear_arp(Arp::request(OTHER, OTHER_ADDRESS, ADDRESS));
    bench.silent();
}
