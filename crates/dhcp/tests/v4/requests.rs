//! Which option goes into which message: RFC 2131 table 5.

use std::net::Ipv4Addr;

use dhcp::v4::{Client, Config};
use wire::dhcp4::{Message, MessageType, code};

use super::bench::*;

fn config() -> Config {
    Config {
        host_name: Some("web".into()),
        client_id: Some(vec![0, 1, 2, 3].into()),
        classes: classes("landfall", ""),
        requested_address: Some(Ipv4Addr::new(192, 0, 2, 77)),
        broadcast: true,
        ..plain()
    }
}

fn codes(message: &Message) -> Vec<u8> {
    message.options.iter().map(|(code, _)| code).collect()
}

/// In all messages but DHCPRELEASE: name, type, size, class, identifier, list of parameters.
const COMMON: [u8; 6] = [
    code::HOST_NAME,
    code::MESSAGE_TYPE,
    code::PARAMETER_REQUEST_LIST,
    code::MAX_MESSAGE_SIZE,
    code::VENDOR_CLASS,
    code::CLIENT_ID,
];

fn common_and(more: &[u8]) -> Vec<u8> {
    let mut codes = [&COMMON[..], more].concat();
    codes.sort_unstable();
    codes
}

#[test]
fn every_message_has_the_options_of_its_kind_and_no_others() {
    let mut bench = Bench::with(config());
    bench.run(|client, now| client.start(now));
    let discover = bench.discover();
    assert_eq!(codes(&discover.message), common_and(&[code::REQUESTED_ADDRESS]));
    let wanted = discover.message.options.requested_address();
    assert_eq!(wanted, Some(Ipv4Addr::new(192, 0, 2, 77)));

    bench.answer(offer(&discover));
    let select = bench.request();
    let both = [code::REQUESTED_ADDRESS, code::SERVER_ID];
    assert_eq!(codes(&select.message), common_and(&both));
    assert_eq!(select.message.options.requested_address(), Some(ADDRESS));
    assert_eq!(select.message.options.server_id(), Some(SERVER));
    bench.answer(ack(&select));
    bench.event();

    bench.next_deadline();
    let renewal = bench.request();
    assert_eq!(codes(&renewal.message), common_and(&[]));
    let rebind_at = bench.seconds(bench.client.lease().unwrap().rebind_at);
    bench.until(rebind_at);
    let rebind = bench.all_sent().pop().unwrap();
    let What::Dhcp { message: rebind, .. } = rebind.what else { panic!("not DHCP") };
    assert_eq!(codes(&rebind), common_and(&[]));

    for message in [&discover.message, &select.message] {
        assert!(message.broadcast);
        assert_eq!(message.ciaddr, Ipv4Addr::UNSPECIFIED);
    }
    for message in [&renewal.message, &rebind] {
        assert!(!message.broadcast, "there is an address to answer to");
        assert_eq!(message.ciaddr, ADDRESS);
    }
    for message in [&discover.message, &select.message, &renewal.message, &rebind] {
        let options = &message.options;
        assert_eq!(options.host_name().as_deref(), Some("web"));
        assert_eq!(options.client_id(), Some(&[0, 1, 2, 3][..]));
        assert_eq!(options.get(code::VENDOR_CLASS), Some(&b"landfall"[..]));
        assert_eq!(options.max_message_size(), Some(1500));
        assert_eq!(message.giaddr, Ipv4Addr::UNSPECIFIED);
        assert_eq!(message.siaddr, Ipv4Addr::UNSPECIFIED);
        assert_eq!(message.yiaddr, Ipv4Addr::UNSPECIFIED);
    }

    bench.run(|client, now| client.release(now));
    let release = bench.asked(MessageType::Release).message;
    assert_eq!(codes(&release), [code::MESSAGE_TYPE, code::SERVER_ID, code::CLIENT_ID]);
    assert!(!release.broadcast);

    let mut bench = Bench::of(Client::reboot(config(), ADDRESS, 1, at(0.0)));
    assert_eq!(codes(&bench.request().message), common_and(&[code::REQUESTED_ADDRESS]));
}

#[test]
fn a_name_for_the_dns_goes_in_the_place_of_the_host_name() {
    for (name, wish) in [("web", &b"\x05\0\0\x03web"[..]), ("web.lan", b"\x05\0\0\x03web\x03lan\0")]
    {
        let named = Config { host_name: Some(name.into()), register_dns: true, ..plain() };
        let mut bench = Bench::with(named);
        bench.run(|client, now| client.start(now));
        let discover = bench.discover();
        bench.answer(offer(&discover));
        for message in [discover.message, bench.request().message] {
            assert_eq!(message.options.get(code::CLIENT_FQDN), Some(wish));
            assert_eq!(message.options.get(code::HOST_NAME), None, "RFC 4702 §3.1");
        }
    }
    // What cannot be in the DNS may be a host's name to its server; without a name there is nothing to say.
    for (name, sent) in [("my host", &[code::HOST_NAME][..]), ("", &[])] {
        let named = Config { host_name: Some(name.into()), register_dns: true, ..plain() };
        let mut bench = Bench::with(named);
        bench.run(|client, now| client.start(now));
        let of_names = [code::HOST_NAME, code::CLIENT_FQDN];
        let codes = codes(&bench.discover().message);
        assert_eq!(codes.into_iter().filter(|c| of_names.contains(c)).collect::<Vec<_>>(), sent);
    }
}

#[test]
fn the_user_class_is_one_class_with_its_length() {
    for (class, sent) in [("iot", Some(&b"\x03iot"[..])), ("", None), (&"x".repeat(256), None)] {
        let mut bench = Bench::with(Config { classes: classes("", class), ..plain() });
        bench.run(|client, now| client.start(now));
        let discover = bench.discover();
        assert_eq!(discover.message.options.get(code::USER_CLASS), sent);
        bench.answer(offer(&discover));
        let request = bench.request();
        assert_eq!(request.message.options.get(code::USER_CLASS), sent);
        bench.answer(ack(&request));
        bench.event();
        bench.run(|client, now| client.release(now));
        let release = bench.asked(MessageType::Release);
        assert_eq!(release.message.options.get(code::USER_CLASS), None, "RFC 2131 table 5");
    }
}

#[test]
fn what_is_not_configured_is_not_sent() {
    // What is shorter than its option may be counts as not configured.
    let short = Config {
        host_name: Some("".into()),
        classes: classes("", ""),
        client_id: Some(vec![0].into()),
        ..plain()
    };
    for config in [plain(), short] {
        let mut bench = Bench::with(config);
        bench.run(|client, now| client.start(now));
        let message = bench.discover().message;
        let expected = [
            code::MESSAGE_TYPE,
            code::PARAMETER_REQUEST_LIST,
            code::MAX_MESSAGE_SIZE,
            code::CLIENT_ID,
        ];
        assert_eq!(codes(&message), expected);
        assert!(!message.broadcast);
        // As BusyBox udhcpc: hardware type and MAC.
        assert_eq!(message.options.client_id(), Some(&[1, 2, 0, 0, 0, 0, 0x42][..]));
    }
}

#[test]
fn the_classless_routes_are_asked_for_before_the_routers() {
    let mut bench = Bench::new();
    bench.run(|client, now| client.start(now));
    let message = bench.discover().message;
    let list = message.options.parameter_request_list();
    let place = |code| list.iter().position(|asked| *asked == code).unwrap();
    assert!(place(code::CLASSLESS_ROUTES) < place(code::ROUTER));
    let mut sorted = list.to_vec();
    sorted.sort_unstable();
    let mut expected = vec![1, 3, 6, 12, 15, 26, 28, 51, 54, 58, 59, 119, 121, 249];
    // For people and what runs in containers.
    expected.extend([7, 42, 43, 66, 67, 100, 101, 150, 252]);
    expected.sort_unstable();
    assert_eq!(sorted, expected);
}
