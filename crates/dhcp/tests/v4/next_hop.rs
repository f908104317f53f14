//! Whose MAC a unicast goes to: learnt from the ACK, or asked for.

use std::net::Ipv4Addr;

use dhcp::v4::{Event, Listening, State};
use wire::MacAddr;
use wire::dhcp4::{MessageType, code};

use super::bench::*;

const FAR_SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);

/// The server is behind a relay: its identifier is far away, the relay is the router.
fn relayed(answer: Answer) -> Answer {
    answer.server(FAR_SERVER).from(ROUTER_MAC, ROUTER)
}

#[test]
fn behind_a_relay_the_router_is_asked_for() {
    let mut bench = Bench::bound_by(relayed);
    assert_eq!(bench.client.lease().unwrap().next_hop, None);
    bench.next_deadline();
    let resolving = Listening { resolving: Some(ROUTER), ..Listening::default() };
    assert_eq!(bench.client.listening(), Listening { dhcp: true, ..resolving });
    bench.resolve(ROUTER, ROUTER_MAC);
    let request = bench.request();
    assert_eq!((request.to, request.to_mac), (FAR_SERVER, ROUTER_MAC));
    assert_eq!(bench.client.listening(), Listening { dhcp: true, ..Listening::default() });
    // The server answers by itself this time, through the router.
    bench.answer(ack(&request).server(FAR_SERVER).from(ROUTER_MAC, FAR_SERVER));
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(
        bench.client.lease().unwrap().next_hop,
        None,
        "the router's MAC is not the server's"
    );
}

#[test]
fn the_router_of_the_longest_route_leads_to_the_server() {
    let mut bench = Bench::bound_by(|answer| {
        let routes = [
            &[0, 192, 0, 2, 1][..],
            &[8, 203, 192, 0, 2, 3],
            &[24, 203, 0, 113, 192, 0, 2, 4],
            &[24, 203, 0, 114, 192, 0, 2, 5],
        ]
        .concat();
        relayed(answer).set(code::CLASSLESS_ROUTES, &routes)
    });
    bench.next_deadline();
    bench.resolve(Ipv4Addr::new(192, 0, 2, 4), MacAddr([2, 0, 0, 0, 0, 4]));
    assert_eq!(bench.request().to_mac, MacAddr([2, 0, 0, 0, 0, 4]));
}

#[test]
fn a_server_that_answers_from_another_address_is_asked_for() {
    let second = Ipv4Addr::new(192, 0, 2, 7);
    let mut bench = Bench::bound_by(|answer| answer.from(SERVER_MAC, second));
    assert_eq!(bench.client.lease().unwrap().next_hop, None);
    bench.next_deadline();
    bench.resolve(SERVER, SERVER_MAC);
    assert_eq!(bench.request().to, SERVER);
}

#[test]
fn with_a_mask_of_32_the_router_or_else_the_server_is_asked_for() {
    let mut bench = Bench::bound_by(|answer| answer.mask([255, 255, 255, 255]));
    bench.next_deadline();
    bench.resolve(ROUTER, ROUTER_MAC);
    assert_eq!(bench.request().to_mac, ROUTER_MAC);

    let mut bench =
        Bench::bound_by(|answer| answer.mask([255, 255, 255, 255]).without(code::ROUTER));
    bench.next_deadline();
    bench.resolve(SERVER, SERVER_MAC);
    assert_eq!(bench.request().to_mac, SERVER_MAC);
}

#[test]
fn a_retry_asks_again_and_finds_the_servers_new_card() {
    let new_card = MacAddr([2, 0, 0, 0, 0, 0x22]);
    let mut bench = Bench::bound();
    bench.next_deadline();
    assert_eq!(bench.request().to_mac, SERVER_MAC);
    bench.next_deadline();
    bench.resolve(SERVER, new_card);
    let request = bench.request();
    assert_eq!(request.to_mac, new_card);
    bench.answer(ack(&request).from(new_card, SERVER));
    assert_eq!(bench.event(), Event::Renewed);
    assert_eq!(bench.client.lease().unwrap().next_hop, Some(new_card));
}

#[test]
fn arp_is_asked_three_times_a_second_apart() {
    let mut bench = Bench::bound_by(relayed);
    bench.next_deadline();
    let began = bench.seconds(bench.now);
    bench.until(began + 30.0);
    let times: Vec<_> =
        bench.all_sent().iter().map(|sent| bench.seconds(sent.at) - began).collect();
    assert_eq!(times.len(), 3);
    for (time, expected) in times.iter().zip([0.0, 1.0, 2.0]) {
        assert!((time - expected).abs() < 1e-6);
    }
    assert_eq!(bench.client.listening().resolving, None);
    bench.state(State::Renewing);
    assert_eq!(bench.client.progress().resolutions, 3);
    assert_eq!(bench.client.progress().requests, 1, "no REQUEST goes out without a way");
    // A late answer means nothing.
    let late = wire::arp::Arp::request(ROUTER_MAC, ROUTER, ADDRESS).reply_to(MAC);
    bench.hear(&late.emit(MAC));
    bench.silent();
}

#[test]
fn other_peoples_answers_and_group_addresses_are_no_way() {
    let mut bench = Bench::bound_by(relayed);
    bench.next_deadline();
    let (question, _) = bench.arp();
    let elsewhere = wire::arp::Arp { target_ip: SERVER, ..question };
    bench.hear(&elsewhere.reply_to(SERVER_MAC).emit(MAC));
    bench.hear(&question.reply_to(MacAddr::BROADCAST).emit(MAC));
    bench.hear(&question.reply_to(MacAddr::ZERO).emit(MAC));
    bench.silent();
    // A request of the router itself tells its MAC as well.
    bench.hear(&wire::arp::Arp::request(ROUTER_MAC, ROUTER, SERVER).emit(MacAddr::BROADCAST));
    assert_eq!(bench.request().to_mac, ROUTER_MAC);
}

#[test]
fn a_relayed_release_asks_for_the_router_too() {
    let mut bench = Bench::bound_by(relayed);
    bench.run(|client, now| client.release(now));
    bench.state(State::Releasing);
    assert_eq!(bench.client.lease(), None);
    let resolving = Listening { resolving: Some(ROUTER), ..Listening::default() };
    assert_eq!(bench.client.listening(), resolving);
    bench.resolve(ROUTER, ROUTER_MAC);
    let release = bench.asked(MessageType::Release);
    assert_eq!((release.from, release.to, release.to_mac), (ADDRESS, FAR_SERVER, ROUTER_MAC));
    assert_eq!(bench.event(), Event::Released);
}
