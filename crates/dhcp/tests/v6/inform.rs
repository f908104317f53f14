//! Configuration without leases: RFC 8415 §18.2.6, §18.2.10.4, §21.23.

use dhcp::v6::{Event, State};
use wire::dhcp6::{INFINITY, MessageType, StatusCode, code};

use super::bench::*;

/// A client that asks, its Information-request not looked at yet.
fn asking() -> Bench {
    let mut bench = Bench::new();
    bench.run(|client, now| client.inform(now));
    bench
}

fn answer_to(asked: &Sent) -> Answer {
    Answer::to(asked, MessageType::Reply)
        .set(code::DNS_SERVERS, &DNS.octets())
        .set(code::DOMAIN_LIST, b"\x03lan\x00\x04home\x04arpa\x00")
        .set(code::TIME_ZONE_NAME, b"Europe/Berlin")
}

#[test]
fn two_messages_make_information() {
    let mut bench = asking();
    bench.state(State::Informing);
    let asked = bench.asked(MessageType::InformationRequest);
    let options = asked.message().options;
    assert_eq!((options.ia_na().count(), options.ia_pd().count()), (0, 0));
    assert_eq!(options.elapsed_time(), Some(0));
    let codes: Vec<_> = options.option_request().collect();
    for code in [
        code::DNS_SERVERS,
        code::DOMAIN_LIST,
        code::INFORMATION_REFRESH_TIME,
        code::INF_MAX_RT,
        code::ADDR_REG_ENABLE,
        code::NTP_SERVERS,
        code::TIME_ZONE_NAME,
    ] {
        assert!(codes.contains(&code), "{codes:?}");
    }
    bench.answer(answer_to(&asked));
    assert_eq!(bench.event(), Event::Informed);
    bench.silent();
    bench.state(State::Informed);
    assert!(!bench.client.listening());
    let information = bench.client.information().unwrap();
    assert_eq!(information.dns, [DNS]);
    assert_eq!(information.search, ["lan".into(), "home.arpa".into()]);
    assert_eq!(information.server, server());
    assert!(!information.registers);
    // All else that concerns the endpoint, and nothing twice.
    let others: Vec<_> = information.options.options().iter().collect();
    assert_eq!(others, [(code::TIME_ZONE_NAME, &b"Europe/Berlin"[..])]);
    assert_eq!(bench.client.lease(), None);
}

#[test]
fn it_is_asked_for_anew_when_its_time_is_over() {
    for (said, expected) in [
        (None, 86_400.0),
        (Some(3600), 3600.0),
        (Some(600), 600.0),
        (Some(599), 600.0),
        (Some(0), 600.0),
    ] {
        let mut bench = asking();
        let asked = bench.asked(MessageType::InformationRequest);
        let mut answer = answer_to(&asked);
        if let Some(seconds) = said {
            let seconds: u32 = seconds;
            answer = answer.set(code::INFORMATION_REFRESH_TIME, &seconds.to_be_bytes());
        }
        bench.answer(answer);
        assert_eq!(bench.event(), Event::Informed);
        bench.until(expected - 0.001);
        bench.silent();
        bench.until(expected + 1.0);
        let again = bench.asked(MessageType::InformationRequest);
        assert!((expected..expected + 1.0).contains(&bench.seconds(again.at)), "INF_MAX_DELAY");
        assert_ne!(again.message().xid, asked.message().xid);
        // What is known stays known.
        assert!(bench.client.information().is_some());
        bench.answer(answer_to(&again));
        assert_eq!(bench.event(), Event::Informed);
    }
}

#[test]
fn a_refresh_time_without_end_is_the_last_word() {
    let mut bench = asking();
    let asked = bench.asked(MessageType::InformationRequest);
    bench.answer(answer_to(&asked).set(code::INFORMATION_REFRESH_TIME, &INFINITY.to_be_bytes()));
    assert_eq!(bench.client.poll_timeout(), None);
    // Unless the caller asks.
    bench.run(|client, now| client.inform(now));
    bench.asked(MessageType::InformationRequest);
}

#[test]
fn it_is_asked_for_until_somebody_answers() {
    let mut bench = asking();
    bench.until(30_000.0);
    let times: Vec<_> = bench.all_sent().iter().map(|sent| bench.seconds(sent.at)).collect();
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((0.9..=1.1).contains(&waits[0]), "{waits:?}");
    assert!((3240.0..=3960.0).contains(waits.last().unwrap()), "{waits:?}");
    bench.state(State::Informing);
}

#[test]
fn inf_max_rt_is_heeded() {
    let mut bench = asking();
    let asked = bench.asked(MessageType::InformationRequest);
    let failed = done(&asked, StatusCode::UnspecFail);
    bench.answer(failed.set(code::INF_MAX_RT, &120u32.to_be_bytes()));
    bench.state(State::Informing);
    bench.until(3000.0);
    let times: Vec<_> = bench.all_sent().iter().map(|sent| bench.seconds(sent.at)).collect();
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!((108.0..=132.0).contains(&longest), "{times:?}");
}

#[test]
fn a_client_that_looks_for_a_lease_does_not_ask_beside_it() {
    let mut bench = Bench::bound();
    bench.run(|client, now| client.inform(now));
    bench.silent();
    bench.state(State::Bound);
}

#[test]
fn a_client_that_was_informed_can_still_look_for_a_lease() {
    let mut bench = asking();
    let asked = bench.asked(MessageType::InformationRequest);
    bench.answer(answer_to(&asked));
    assert_eq!(bench.event(), Event::Informed);
    bench.run(|client, now| client.start(now));
    bench.bind(|answer| answer);
    assert!(bench.client.information().is_some());
}

#[test]
fn another_link_may_have_other_information() {
    let mut bench = asking();
    let asked = bench.asked(MessageType::InformationRequest);
    bench.answer(answer_to(&asked));
    assert_eq!(bench.event(), Event::Informed);
    bench.run(|client, now| client.confirm(at(5.0), now));
    bench.silent();
    bench.until(6.0);
    bench.asked(MessageType::InformationRequest);
}
