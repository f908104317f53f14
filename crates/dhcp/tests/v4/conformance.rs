//! Requirements of the RFCs that no other test shows; `docs/conformance.md` lists all.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use dhcp::v4::{Client, Config, ConflictCheck, Event, Route};
use wire::MacAddr;
use wire::arp::Arp;
use wire::dhcp4::{Message, MessageType, code};

use super::bench::*;

/// All DHCP messages that were sent and not looked at.
fn messages(bench: &mut Bench) -> Vec<Message> {
    let dhcp = |sent: Sent| match sent.what {
        What::Dhcp { message, .. } => Some(message),
        What::Arp(_) => None,
    };
    bench.all_sent().into_iter().filter_map(dhcp).collect()
}

/// RFC 2131 §2, §3.1, §3.2, §3.5, §4.2 and §4.4.1: one identifier in all messages, one list of
/// parameters in all that may have one. RFC 2132 §2: text ends without NUL.
#[test]
fn one_identifier_and_one_list_go_through_a_clients_life() {
    let config = Config {
        host_name: Some("web".into()),
        client_id: Some(vec![255, 7, 7, 7, 7, 0, 4, 1, 2].into()),
        classes: classes("landfall", ""),
        ..checking(ConflictCheck::Fast)
    };
    let mut bench = Bench::with(config.clone());
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(offer(&discover));
    let request = bench.request();
    bench.probe(ADDRESS);
    // Declined, and another address taken.
    bench.hear_arp(occupied());
    bench.answer(ack(&request));
    let decline = bench.declined();
    let again = bench.discover();
    bench.answer(offer(&again).address(OTHER_ADDRESS));
    let select = bench.request();
    bench.answer(ack(&select).address(OTHER_ADDRESS));
    bench.until(1.0);
    assert_eq!(bench.event(), Event::Bound);
    let mut life = vec![discover.message, request.message, decline.message];
    life.extend([again.message, select.message]);
    // Renewed in vain, rebound, confirmed, given back.
    bench.until(f64::from(LEASE) - 1.0);
    bench.run(|client, now| client.confirm(now, now));
    bench.run(|client, now| client.release(now));
    bench.until(f64::from(LEASE) + 5.0);
    life.extend(messages(&mut bench));
    let reboot = Client::reboot(config, ADDRESS, 1, at(0.0));
    life.push(Bench::of(reboot).request().message);

    let kinds: HashSet<_> = life.iter().filter_map(|message| message.message_type()).collect();
    assert_eq!(kinds.len(), 4, "DISCOVER, REQUEST, DECLINE, RELEASE: {kinds:?}");
    assert!(life.len() > 10, "{}", life.len());
    let list = life[0].options.get(code::PARAMETER_REQUEST_LIST).unwrap().to_vec();
    for message in &life {
        let options = &message.options;
        assert_eq!(options.get(code::CLIENT_ID), Some(&[255, 7, 7, 7, 7, 0, 4, 1, 2][..]));
        let last =
            matches!(message.message_type(), Some(MessageType::Decline | MessageType::Release));
        let expected = (!last).then_some(&*list);
        assert_eq!(options.get(code::PARAMETER_REQUEST_LIST), expected);
        assert_eq!(options.get(code::HOST_NAME), (!last).then_some(&b"web"[..]));
        assert_eq!(options.get(code::VENDOR_CLASS), (!last).then_some(&b"landfall"[..]));
        assert_eq!(message.giaddr, Ipv4Addr::UNSPECIFIED);
    }
}

/// RFC 2131 §4.3.2: what the ACK says is used, not what the OFFER said.
#[test]
fn the_ack_counts_and_not_the_offer() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    bench.answer(
        offer(&discover).lease(100).mask([255, 0, 0, 0]).set(code::DNS_SERVER, &[192, 0, 2, 53]),
    );
    let request = bench.request();
    let router = Ipv4Addr::new(192, 0, 2, 254);
    bench.answer(ack(&request).address(OTHER_ADDRESS).set(code::ROUTER, &router.octets()));
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.address, lease.prefix_len), (OTHER_ADDRESS, 24));
    assert_eq!(lease.gateway(), Some(router));
    assert_eq!(lease.lifetime().as_secs(), u64::from(LEASE));
    assert!(lease.options.dns_servers().is_empty());
}

/// RFC 2131 §4.1: transaction identifiers are random, so that two clients hardly ever have the same.
#[test]
fn no_two_of_a_thousand_clients_share_a_transaction() {
    let mut xids = HashSet::new();
    for seed in 0..1000 {
        let mut bench = Bench::of(Client::new(plain(), seed));
        bench.run(|client, now| client.start(now));
        assert!(xids.insert(bench.discover().message.xid));
    }
    let high = xids.iter().filter(|xid| **xid > u32::MAX / 2).count();
    assert!((400..600).contains(&high), "of the whole range: {high}");
}

/// RFC 3442, "Requirements to Avoid Sizing Constraints": the size counts the IP and UDP headers, and
/// is the interface's MTU at least.
#[test]
fn a_server_may_fill_an_ethernet_frame() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    assert_eq!(bench.discover().message.options.max_message_size(), Some(1500));
}

/// RFC 3442, "DHCP Client Behavior": option 33 is ignored beside option 121, and here always: its
/// routes have no masks.
#[test]
fn static_routes_by_class_are_not_taken() {
    const STATIC_ROUTES: u8 = 33;
    let by_class = [198, 51, 100, 0, 192, 0, 2, 7];
    let mut bench = Bench::bound_by(|answer| answer.set(STATIC_ROUTES, &by_class));
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.gateway(), lease.routes()), (Some(ROUTER), vec![]));

    bench.next_deadline();
    let request = bench.request();
    let list = request.message.options.parameter_request_list();
    assert!(!list.contains(&STATIC_ROUTES), "nor are they asked for");
    let classless = [8, 10, 192, 0, 2, 3];
    let answer =
        ack(&request).set(STATIC_ROUTES, &by_class).set(code::CLASSLESS_ROUTES, &classless);
    bench.answer(answer);
    let lease = bench.client.lease().unwrap();
    let ten = Ipv4Addr::new(10, 0, 0, 0);
    let via = Some(Ipv4Addr::new(192, 0, 2, 3));
    assert_eq!(lease.routes(), [Route { destination: ten, prefix_len: 8, via }]);
    assert_eq!(lease.gateway(), None);
}

/// RFC 8925 §3.2: who did not ask for option 108 ignores it.
#[test]
fn ipv6_only_preferred_is_not_asked_for_and_does_no_harm() {
    let wait = 1800u32.to_be_bytes();
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    let list = discover.message.options.parameter_request_list();
    assert!(!list.contains(&code::IPV6_ONLY_PREFERRED));
    bench.answer(offer(&discover).set(code::IPV6_ONLY_PREFERRED, &wait));
    let request = bench.request();
    assert_eq!(request.at, discover.at, "without a pause");
    bench.answer(ack(&request).set(code::IPV6_ONLY_PREFERRED, &wait));
    assert_eq!(bench.event(), Event::Bound);
    for _ in 0..3 {
        bench.next_deadline();
        let request = bench.request();
        bench.answer(ack(&request).set(code::IPV6_ONLY_PREFERRED, &wait));
        assert_eq!(bench.event(), Event::Renewed);
    }
    bench.silent();
}

/// RFC 5227 §2.1: an address in use is not probed again as a matter of course.
#[test]
fn renewals_bring_no_probes() {
    for check in [ConflictCheck::Fast, ConflictCheck::Full] {
        let mut bench = started(check);
        bench.exchange();
        bench.until(60.0);
        assert_eq!(bench.event(), Event::Bound);
        bench.all_sent();
        for _ in 0..20 {
            bench.next_deadline();
            let request = bench.request();
            bench.answer(ack(&request));
            assert_eq!(bench.event(), Event::Renewed);
        }
        bench.until(bench.seconds(bench.now) + 60.0);
        bench.silent();
        assert_eq!(bench.client.progress().probes, 3);
    }
}

/// RFC 5227 §2.3 and §2.4: an announcement is as a probe, with the address for both; defence is one.
#[test]
fn an_announcement_has_the_address_twice_and_no_target_mac() {
    let mut bench = started(ConflictCheck::Fast);
    bench.exchange();
    bench.until(60.0);
    assert_eq!(bench.event(), Event::Bound);
    bench.all_sent();
    bench.run(|client, _| client.announce());
    let (announced, to_mac) = bench.arp();
    assert_eq!(to_mac, MacAddr::BROADCAST);
    assert_eq!(announced, Arp { sender_ip: ADDRESS, ..Arp::probe(MAC, ADDRESS) });
    assert_eq!(announced.target_mac, MacAddr::ZERO);
    bench.until(70.0);
    bench.all_sent();
    bench.hear_arp(Arp::announcement(OTHER, ADDRESS));
    assert_eq!(bench.arp(), (announced, MacAddr::BROADCAST));
    bench.until(90.0);
    bench.silent();
}
