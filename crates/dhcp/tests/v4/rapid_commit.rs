//! A lease of two messages (RFC 4039).

use dhcp::v4::{Config, ConflictCheck, Event, State};
use wire::dhcp4::{MessageType, code};

use super::bench::*;

fn asking(config: Config) -> Bench {
    let mut bench = Bench::with(Config { rapid_commit: true, ..config });
    bench.run(|client, now| client.start(now));
    bench
}

/// An ACK that answers a DISCOVER.
fn committed(discover: &Asked) -> Answer {
    ack(discover).set(code::RAPID_COMMIT, &[])
}

fn asks(asked: &Asked) -> bool {
    asked.message.options.get(code::RAPID_COMMIT).is_some_and(<[u8]>::is_empty)
}

#[test]
fn a_lease_in_answer_to_a_discover() {
    let mut bench = asking(plain());
    let discover = bench.discover();
    assert!(asks(&discover));
    let list = discover.message.options.parameter_request_list();
    assert!(!list.is_empty() && !list.contains(&code::RAPID_COMMIT), "RFC 4039 §3: {list:?}");
    bench.until(0.5);
    bench.answer(committed(&discover));
    assert_eq!(bench.event(), Event::Bound);
    bench.silent();
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.address, lease.server, lease.start), (ADDRESS, SERVER, discover.at));
    assert_eq!(lease.options.get(code::RAPID_COMMIT), None, "it is no configuration");
    // Renewed as any other, and the option is for DISCOVERs.
    bench.next_deadline();
    let renewal = bench.request();
    assert!(!asks(&renewal));
    bench.answer(ack(&renewal));
    assert_eq!(bench.event(), Event::Renewed);
}

#[test]
fn a_server_without_it_offers_as_ever() {
    let mut bench = asking(plain());
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    assert!(!asks(&request));
    // One that commits after another has offered is too late.
    let late = committed(&discover).server(ROUTER).address(OTHER_ADDRESS);
    bench.answer(late.from(ROUTER_MAC, ROUTER));
    bench.state(State::Requesting);
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.client.lease().unwrap().address, ADDRESS);
}

#[test]
fn an_ack_without_the_option_or_without_being_asked_for_is_none() {
    let mut bench = asking(plain());
    let discover = bench.discover();
    bench.answer(ack(&discover));
    bench.silent();
    bench.state(State::Selecting);
    bench.answer(nak(&discover));
    bench.state(State::Selecting);

    let mut bench = started(ConflictCheck::Off);
    let discover = bench.discover();
    assert!(!asks(&discover));
    bench.answer(committed(&discover));
    bench.silent();
    bench.state(State::Selecting);
}

#[test]
fn the_address_is_checked_and_declined_where_it_is_in_use() {
    let mut bench = asking(checking(ConflictCheck::Fast));
    let discover = bench.discover();
    bench.answer(committed(&discover));
    bench.probe(ADDRESS);
    bench.state(State::Probing);
    bench.hear_arp(occupied());
    let decline = bench.declined();
    assert_eq!(decline.message.options.requested_address(), Some(ADDRESS));
    assert_eq!(decline.message.options.server_id(), Some(SERVER));
    // And looked for again, as quickly.
    let discover = bench.discover();
    assert!(asks(&discover));
    bench.answer(committed(&discover).address(OTHER_ADDRESS));
    bench.probe(OTHER_ADDRESS);
    bench.until(0.1);
    assert_eq!(bench.event(), Event::Bound);
}

/// Whichever of the DISCOVERs was answered: a lease that is shorter than the search is of use, and none is too long.
#[test]
fn after_a_long_search_a_short_lease_is_counted_from_a_new_transaction() {
    let mut bench = asking(plain());
    let first = bench.discover();
    bench.until(7.9);
    let eager: Vec<Asked> = (0..2).map(|_| bench.discover()).collect();
    assert!(eager.iter().all(|again| again.message.xid == first.message.xid));
    bench.until(600.0);
    let mut last = first.clone();
    while let Some(sent) = bench.try_sent() {
        if let What::Dhcp { from, to, message } = sent.what {
            let (from, to) = (*from.ip(), *to.ip());
            last = Asked { at: sent.at, to_mac: sent.to_mac, from, to, message };
        }
    }
    assert_ne!(last.message.xid, first.message.xid);
    bench.answer(committed(&first).lease(30));
    bench.state(State::Selecting);
    bench.now = last.at;
    bench.answer(committed(&last).lease(30));
    assert_eq!(bench.event(), Event::Bound);
    assert_eq!(bench.client.lease().unwrap().start, last.at);
}

/// The server would commit another address.
#[test]
fn who_takes_one_address_only_asks_for_an_offer() {
    let config = Config { requested_address: Some(ADDRESS), rapid_commit: true, ..plain() };
    let mut bench = Bench::with(config);
    bench.client.demand();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    assert!(!asks(&discover));
    bench.answer(committed(&discover));
    bench.state(State::Selecting);
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.answer(ack(&request));
    assert_eq!(bench.event(), Event::Bound);
}

/// What nobody may know of yet is not asked for.
#[test]
fn who_may_take_nothing_yet_asks_for_an_offer() {
    let mut bench = Bench::with(Config { rapid_commit: true, ..plain() });
    bench.run(|client, now| client.start_asking(now));
    let discover = bench.discover();
    assert!(!asks(&discover));
    bench.answer(committed(&discover));
    bench.state(State::Selecting);
    // From then on it may be.
    bench.run(|client, now| client.request(now));
    bench.next_deadline();
    let again = bench.discover();
    assert!(asks(&again));
    bench.answer(committed(&again));
    assert_eq!(bench.event(), Event::Bound);
}

#[test]
fn option_108_is_heeded_and_the_lease_given_back() {
    let mut bench = asking(Config { ipv6_only: true, ..plain() });
    let discover = bench.discover();
    let without = committed(&discover).set(code::IPV6_ONLY_PREFERRED, &600u32.to_be_bytes());
    bench.answer(without);
    let release = bench.asked(MessageType::Release);
    assert_eq!((release.message.ciaddr, release.to), (ADDRESS, SERVER));
    assert_eq!(bench.event(), Event::Ipv6Only);
    bench.state(State::V6OnlyWait);
}

#[test]
fn what_a_discover_on_its_way_brings_is_given_back() {
    let mut bench = asking(plain());
    let discover = bench.discover();
    bench.until(0.2);
    bench.run(|client, now| client.release(now));
    bench.state(State::Releasing);
    // Grants nothing: another server may have.
    bench.answer(offer(&discover));
    bench.answer(ack(&discover));
    bench.silent();
    bench.answer(committed(&discover));
    let release = bench.asked(MessageType::Release);
    assert_eq!((release.message.ciaddr, release.to), (ADDRESS, SERVER));
    assert_eq!(bench.event(), Event::Released);
    bench.state(State::Stopped);
}

#[test]
fn a_discover_on_its_way_is_waited_for_a_second() {
    let mut bench = asking(plain());
    bench.discover();
    bench.run(|client, now| client.release(now));
    bench.until(0.9);
    bench.silent();
    bench.until(1.0);
    assert_eq!(bench.event(), Event::Released);
    bench.silent();
    bench.state(State::Stopped);
}
