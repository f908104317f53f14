//! Which option goes into which message: RFC 8415 §18.2 and appendix B, RFC 4704 §4.

use dhcp::Classes;
use dhcp::v6::Config;
use wire::dhcp6::{MessageType, StatusCode, code};

use super::bench::*;

/// A client that says all it can say.
fn talkative() -> Config {
    Config {
        host_name: Some("web".into()),
        classes: Classes { vendor: "landfall".into(), user: "iot".into() }.into(),
        requested_address: Some(ADDRESS),
        rapid_commit: true,
        ..with_prefix()
    }
}

/// The codes in a message, in order.
fn codes(sent: &Sent) -> Vec<u16> {
    sent.message().options.iter().map(|(code, _)| code).collect()
}

/// What each kind of message holds.
fn expected(kind: MessageType) -> &'static [u16] {
    use code::*;
    match kind {
        MessageType::Solicit => &[
            CLIENT_ID,
            ELAPSED_TIME,
            IA_NA,
            IA_PD,
            RAPID_COMMIT,
            OPTION_REQUEST,
            CLIENT_FQDN,
            USER_CLASS,
            VENDOR_CLASS,
        ],
        MessageType::Request | MessageType::Renew => &[
            CLIENT_ID,
            SERVER_ID,
            ELAPSED_TIME,
            IA_NA,
            IA_PD,
            OPTION_REQUEST,
            CLIENT_FQDN,
            USER_CLASS,
            VENDOR_CLASS,
        ],
        MessageType::Rebind => &[
            CLIENT_ID,
            ELAPSED_TIME,
            IA_NA,
            IA_PD,
            OPTION_REQUEST,
            CLIENT_FQDN,
            USER_CLASS,
            VENDOR_CLASS,
        ],
        MessageType::Release => &[CLIENT_ID, SERVER_ID, ELAPSED_TIME, IA_NA, IA_PD],
        MessageType::Decline => &[CLIENT_ID, SERVER_ID, ELAPSED_TIME, IA_NA],
        MessageType::Confirm => &[CLIENT_ID, ELAPSED_TIME, IA_NA],
        MessageType::InformationRequest => {
            &[CLIENT_ID, ELAPSED_TIME, OPTION_REQUEST, USER_CLASS, VENDOR_CLASS]
        }
        _ => &[],
    }
}

#[track_caller]
fn check(sent: &Sent) {
    let kind = sent.message().kind;
    assert_eq!(codes(sent), expected(kind), "{kind}");
    let requested: Vec<_> = sent.message().options.option_request().collect();
    let has = |code| requested.contains(&code);
    match kind {
        MessageType::Solicit | MessageType::Request | MessageType::Renew | MessageType::Rebind => {
            assert!(has(code::SOL_MAX_RT) && has(code::DNS_SERVERS) && has(code::CLIENT_FQDN));
            assert!(has(code::ADDR_REG_ENABLE) && has(code::DOMAIN_LIST));
        }
        MessageType::InformationRequest => {
            assert!(has(code::INF_MAX_RT) && has(code::INFORMATION_REFRESH_TIME));
        }
        _ => assert!(requested.is_empty()),
    }
    // What a server must be asked for by no option request (RFC 8415 §21.7).
    for code in [code::CLIENT_ID, code::SERVER_ID, code::IA_NA, code::IA_PD, code::RAPID_COMMIT] {
        assert!(!has(code));
    }
}

#[test]
fn every_message_has_the_options_of_its_kind_and_no_others() {
    let mut bench = Bench::started(talkative());
    let solicit = bench.asked(MessageType::Solicit);
    check(&solicit);
    assert_eq!(solicit.addresses(), Some(vec![ADDRESS]));
    bench.answer(advertise(&solicit));
    let request = bench.asked(MessageType::Request);
    check(&request);
    bench.answer(reply(&request));
    bench.next_deadline();
    check(&bench.asked(MessageType::Renew));
    while bench.client.state() != dhcp::v6::State::Rebinding {
        bench.all_sent();
        bench.next_deadline();
    }
    let rebind = bench.asked(MessageType::Rebind);
    check(&rebind);
    bench.answer(reply(&rebind));
    bench.run(|client, now| client.decline(ADDRESS, now));
    let decline = bench.asked(MessageType::Decline);
    check(&decline);
    bench.answer(done(&decline, StatusCode::Success));
    let renew = bench.asked(MessageType::Renew);
    check(&renew);
    bench.answer(reply(&renew));
    bench.run(|client, now| client.release(now));
    check(&bench.asked(MessageType::Release));

    let mut bench = Bench::started(Config { prefix: None, ..talkative() });
    bench.bind(|answer| answer);
    bench.run(|client, now| client.confirm(now, now));
    check(&bench.asked(MessageType::Confirm));

    let mut bench = Bench::with(talkative());
    bench.run(|client, now| client.inform(now));
    check(&bench.asked(MessageType::InformationRequest));
}

#[test]
fn what_is_not_configured_is_not_sent() {
    let mut bench = Bench::started(plain());
    let solicit = bench.asked(MessageType::Solicit);
    let bare = [code::CLIENT_ID, code::ELAPSED_TIME, code::IA_NA, code::OPTION_REQUEST];
    assert_eq!(codes(&solicit), bare);
    assert!(!solicit.message().options.option_request().any(|code| code == code::CLIENT_FQDN));
    let empty = Config { host_name: Some("".into()), ..plain() };
    let mut bench = Bench::started(empty);
    assert_eq!(codes(&bench.asked(MessageType::Solicit)), bare);
    let wrong = Config {
        host_name: Some("no name!".into()),
        classes: Classes { vendor: "x".repeat(256).into(), user: "x".repeat(256).into() }.into(),
        ..plain()
    };
    let mut bench = Bench::started(wrong);
    assert_eq!(codes(&bench.asked(MessageType::Solicit)), bare);
}

#[test]
fn times_are_the_servers_to_say() {
    let mut bench = Bench::started(talkative());
    let solicit = bench.asked(MessageType::Solicit);
    let zero = |sent: &Sent| {
        let options = sent.message().options;
        for ia in options.ia_na() {
            assert_eq!((ia.iaid, ia.t1, ia.t2), (IAID, 0, 0));
            assert!(ia.options.addresses().all(|a| (a.preferred, a.valid) == (0, 0)));
        }
        for ia in options.ia_pd() {
            assert_eq!((ia.iaid, ia.t1, ia.t2), (IAID, 0, 0));
            assert!(ia.options.prefixes().all(|p| (p.preferred, p.valid) == (0, 0)));
        }
    };
    zero(&solicit);
    bench.answer(advertise(&solicit));
    let request = bench.asked(MessageType::Request);
    zero(&request);
    bench.answer(reply(&request));
    bench.next_deadline();
    zero(&bench.asked(MessageType::Renew));
}

#[test]
fn a_name_without_a_dot_is_for_the_server_to_complete() {
    for (name, wire) in [
        ("web", &b"\x01\x03web"[..]),
        ("web.lan", b"\x01\x03web\x03lan\x00"),
        ("web.lan.", b"\x01\x03web\x03lan\x00"),
    ] {
        let mut bench = Bench::started(Config { host_name: Some(name.into()), ..plain() });
        let solicit = bench.asked(MessageType::Solicit);
        assert_eq!(solicit.message().options.get(code::CLIENT_FQDN), Some(wire));
    }
}

#[test]
fn the_classes_are_one_each_and_the_vendor_s_is_nobodys_number() {
    let mut bench = Bench::started(talkative());
    let solicit = bench.asked(MessageType::Solicit);
    assert_eq!(solicit.message().options.user_class().collect::<Vec<_>>(), [b"iot"]);
    let class = solicit.message().options.vendor_classes().next().unwrap();
    assert_eq!(class.enterprise, 0);
    assert_eq!(class.classes().collect::<Vec<_>>(), [b"landfall"]);
}

#[test]
fn no_two_of_a_thousand_clients_share_a_transaction() {
    let xids: std::collections::HashSet<_> = (0..1000)
        .map(|seed| {
            let mut client = dhcp::v6::Client::new(plain(), seed);
            client.start(at(0.0));
            let payload = client.poll_transmit().unwrap().payload;
            payload[1..4].to_vec()
        })
        .collect();
    // 24 bits: of a thousand, one pair in thirty tries.
    assert!(xids.len() >= 998, "{}", xids.len());
}
