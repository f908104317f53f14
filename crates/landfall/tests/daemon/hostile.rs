//! Replies that no server should send, among those of a good one: ignored, and the daemon lives.

use std::net::Ipv4Addr;

use lab::Lan;
use serde_json::{Value, json};
use wire::MacAddr;
use wire::dhcp4::MessageType;

use crate::server::{Grant, Reply, Request, Server};
use crate::site::{SOON, Site, endpoint_argument, id};

/// Where options begin in a message.
const OPTIONS: usize = 240;

/// Everything bad that can be said in answer to `request`, which the grant `bad` would answer well with `kind`.
fn nonsense(bad: &Grant, request: &Request, kind: MessageType) -> Vec<Reply> {
    let message = |grant: &Grant| grant.message(request, kind);
    let good = message(bad).emit();
    let altered = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut payload = good.clone();
        change(&mut payload);
        payload
    };
    let mut payloads = vec![
        // Another exchange; another machine; a request; an unknown hardware; no cookie.
        altered(&|p| p[4] ^= 0x55),
        altered(&|p| p[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 0x99])),
        altered(&|p| p[0] = 1),
        altered(&|p| p[0] = 77),
        altered(&|p| p[1] = 6),
        altered(&|p| p[2] = 255),
        altered(&|p| p[2] = 0),
        altered(&|p| p[236..240].fill(0)),
        // Cut off: nothing, the header, the cookie, in the middle of an option.
        Vec::new(),
        good[..3].to_vec(),
        good[..100].to_vec(),
        good[..OPTIONS].to_vec(),
        good[..OPTIONS + 2].to_vec(),
        // An option that is longer than the message.
        altered(&|p| p[OPTIONS + 1] = 255),
        // Options that are noise.
        altered(&|p| {
            let mut noise = fastrand::Rng::with_seed(7);
            p[OPTIONS..].fill_with(|| noise.u8(..));
        }),
        altered(&|p| p[OPTIONS..].fill(255)),
        altered(&|p| p[OPTIONS..].fill(0)),
    ];
    // `file` and `sname` hold options that say that `file` and `sname` hold options.
    let overloaded = Grant { server: None, ..bad.clone() };
    let mut loop_of_fields = message(&overloaded).emit();
    loop_of_fields[44..47].copy_from_slice(&[52, 1, 3]);
    loop_of_fields[108..111].copy_from_slice(&[52, 1, 3]);
    loop_of_fields.splice(OPTIONS..OPTIONS, [52, 1, 3]);
    payloads.push(loop_of_fields);
    // Well-formed, and not to be taken: no server, no time, an address that no host can have.
    let grants = [
        Grant { server: None, ..bad.clone() },
        Grant { server: Some(Ipv4Addr::UNSPECIFIED), ..bad.clone() },
        Grant { server: Some(Ipv4Addr::BROADCAST), ..bad.clone() },
        Grant { lease: 0, ..bad.clone() },
        Grant { address: Ipv4Addr::UNSPECIFIED, ..bad.clone() },
        Grant { address: Ipv4Addr::BROADCAST, ..bad.clone() },
        Grant { address: Ipv4Addr::LOCALHOST, ..bad.clone() },
        Grant { address: Ipv4Addr::new(224, 0, 0, 1), ..bad.clone() },
        Grant { address: Ipv4Addr::new(10, 77, 255, 255), ..bad.clone() },
        Grant { address: Lan::ROUTER, ..bad.clone() },
        // Another client's identifier (RFC 6842).
        bad.clone().option(61, &[1, 2, 0, 0, 0, 0, 0x99]),
    ];
    payloads.extend(grants.iter().map(|grant| message(grant).emit()));
    // A message type that no server sends.
    payloads.push(bad.message(request, MessageType::Discover).emit());
    payloads.into_iter().map(|payload| bad.send(request, payload)).collect()
}

/// The bad words first, then the good one.
fn answer(bad: &Grant, good: &Grant, request: &Request) -> Vec<Reply> {
    let kind = match request.kind {
        MessageType::Discover => MessageType::Offer,
        MessageType::Request => MessageType::Ack,
        _ => return Vec::new(),
    };
    let mut replies = nonsense(bad, request, kind);
    replies.extend(good.answer(request));
    replies
}

#[test]
fn nonsense_is_ignored_and_the_good_lease_wins() {
    let site = Site::new();
    let good = Grant::new([10, 77, 1, 5]).times(1, 100, 200);
    let bad = Grant::new([10, 77, 66, 6]);
    let server = Server::start(site.lan.router_ns(), "eth0", {
        let good = good.clone();
        move |request| answer(&bad, &good, request)
    });
    site.network("lan", &[("lease_timeout", "3s")]);
    let container = site.run("lan", "web", "");
    assert_eq!(container.endpoint.address, "10.77.1.5/16");
    assert_eq!(server.count(MessageType::Discover), 1);

    // Each is counted with the endpoint that it was for, once in the OFFER's place and once in the ACK's.
    let ignored = |status: &Value| {
        let reasons = status["ignored"].as_object().unwrap();
        let mut counts = reasons.clone();
        counts.retain(|_, count| *count != 0);
        Value::from(counts)
    };
    let expected = json!({
        // Those that are cut off in their header name no client.
        "malformed": 2 * 11, "not_a_reply": 2 * 2, "other_exchange": 2,
        "other_client_id": 2, "no_server": 2 * 4, "bad_address": 2 * 6, "bad_lease_time": 2, "unexpected": 2,
    });
    assert_eq!(ignored(&site.shown("web")), expected);
    let counters = site.status()["ipv4_counters"].clone();
    assert_eq!(ignored(&counters), expected);
    let said =
        ["discovers", "offers", "requests", "acks", "naks"].map(|name| counters[name].clone());
    assert_eq!(said, [1, 1, 1, 1, 0]);
    let log = site.landfall.log();
    let of_no_server = log.grep("reason=\"no_server\"");
    assert_eq!(of_no_server.len(), 2 * 4);
    assert!(of_no_server.iter().all(|line| line.contains(&id("web")[..12])), "{of_no_server:?}");

    // The same in answer to renewals.
    for _ in 0..2 {
        let mark = server.mark();
        server.wait_after(mark, "a renewal", SOON, |r| {
            r.kind == MessageType::Request && !r.message.ciaddr.is_unspecified()
        });
    }
    assert_eq!(container.cidrs(), ["10.77.1.5/16"]);
    assert_eq!(site.shown("web")["address"], "10.77.1.5/16");
    assert_eq!(server.count(MessageType::Discover), 1);
    let log = site.landfall.log();
    assert_eq!((log.grep("panicked"), log.grep("fault in Landfall")), (vec![], vec![]));
    container.stop(&site);
}

#[test]
fn floods_of_nonsense_do_not_cost_the_lease() {
    let site = Site::new();
    let good = Grant::new([10, 77, 1, 5]);
    let bad = Grant::new([10, 77, 66, 6]);
    // A second machine on the LAN that answers everything a hundred times, by broadcast.
    let rogue = site.lan.add_machine("rogue").unwrap();
    rogue.ip_batch("addr add 10.77.0.66/16 dev eth0\n").unwrap();
    let rogue = Server::start(&rogue, "eth0", move |request| {
        (0..100).flat_map(|_| nonsense(&bad, request, MessageType::Offer)).collect()
    });
    let server = Server::granting(&site.lan, good);
    site.network("lan", &[]);
    let container = site.run("lan", "web", "");
    assert_eq!(container.endpoint.address, "10.77.1.5/16");
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(server.count(MessageType::Discover), 1);
    assert_eq!(rogue.count(MessageType::Discover), 1);
}

#[test]
fn an_ack_of_a_server_that_was_not_asked() {
    let site = Site::new();
    let rogue_server = Ipv4Addr::new(10, 77, 0, 66);
    let rogue_ns = site.lan.add_machine("rogue").unwrap();
    rogue_ns.ip_batch(&format!("addr add {rogue_server}/16 dev eth0\n")).unwrap();
    let rogue = Grant { server: Some(rogue_server), ..Grant::new([10, 77, 66, 6]) };
    // It offers nothing, but acknowledges what others are asked for, as soon as it hears it.
    let _rogue = Server::start(&rogue_ns, "eth0", move |request| match request.kind {
        MessageType::Request => vec![rogue.reply(request, MessageType::Ack)],
        _ => Vec::new(),
    });
    let server = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    site.network("lan", &[]);
    let argument = endpoint_argument("lan", "web", "");
    let call = site.begin("CreateEndpoint", &argument);
    let discover = server.wait_for(MessageType::Discover, SOON);
    let good = Grant::new([10, 77, 1, 5]);
    server.send(&good.reply(&discover, MessageType::Offer));
    let request = server.wait_for(MessageType::Request, SOON);
    assert_ne!(request.message.chaddr, MacAddr::ZERO);
    // The rogue's ACK has gone out by now or goes out at the same time: it must not matter.
    server.send(&good.reply(&request, MessageType::Ack));
    let answer = call.answer();
    assert!(answer.contains("10.77.1.5/16"), "{answer}");
}
