//! Addresses that were made without a server, told to one that wants to know (RFC 9686).

use std::net::Ipv6Addr;

use dhcp::ipv6::{Client, Config, Event, Mode};
use wire::dhcp6::{Builder, Ia, IaAddress, Message, MessageType, code};

use super::bench::*;
use super::lan::*;

const LIFETIME: u32 = 7200;

fn config() -> Config {
    Config { mode: Mode::Slaac, ..Config::new(MAC) }
}

/// Answers an Information-request, as a server that wants to know.
fn inform(bench: &mut Bench) {
    let question = bench.asked(MessageType::InformationRequest);
    let question = Message::parse(&question).unwrap();
    let reply = Builder::new(MessageType::Reply, question.xid)
        .option(code::CLIENT_ID, question.options.client_id().unwrap())
        .option(code::SERVER_ID, &SERVER_DUID)
        .option(code::ADDR_REG_ENABLE, &[])
        .finish();
    bench.answer(&reply);
}

/// A client that has an address since second 0, and has told a server of it, at second 10.
fn registered() -> Bench {
    let mut bench = Bench::with(config());
    bench.advertise(&router().other().prefix(LIFETIME, 3600));
    inform(&mut bench);
    bench.until(10.0);
    bench.ready();
    let told = told(&bench);
    assert_eq!(told.len(), 3, "three times, as nobody answers");
    bench.sent.clear();
    bench
}

/// When it was told of addresses, of which, and with which valid lifetime.
fn told(bench: &Bench) -> Vec<(f64, Ipv6Addr, u32)> {
    let told = |sent: &Sent| {
        let What::Dhcp(payload) = &sent.what else { return None };
        let message = Message::parse(payload).unwrap();
        let address = message.options.addresses().next()?;
        assert_eq!((message.kind, sent.from), (MessageType::AddrRegInform, address.address));
        let since = sent.at.saturating_since(at(0.0)).as_secs_f64();
        Some((since, address.address, address.valid))
    };
    bench.sent.iter().filter_map(told).collect()
}

#[test]
fn an_address_is_told_as_soon_as_it_is_checked() {
    let mut bench = Bench::with(config());
    bench.advertise(&router().other().prefix(LIFETIME, 3600));
    inform(&mut bench);
    bench.until(0.5);
    bench.ready();
    bench.until(10.0);
    let (first, address, _) = told(&bench)[0];
    assert_eq!(address, ADDRESS);
    // Not before it is known to be nobody else's.
    assert!(first >= 2.0, "{first}");
}

#[test]
fn on_another_link_it_is_told_as_soon_as_it_is_checked_again() {
    let mut bench = registered();
    bench.run(|client, now| client.confirm(now, now));
    bench.advertise(&router().other().prefix(LIFETIME, 3600));
    bench.until(11.0);
    inform(&mut bench);
    bench.until(20.0);
    let (first, address, _) = told(&bench)[0];
    assert_eq!(address, ADDRESS);
    assert!(first >= 12.0, "{first}");
}

#[test]
fn of_another_links_prefix_nothing_is_told() {
    let mut bench = registered();
    bench.run(|client, now| client.confirm(now, now));
    let other = autonomous(ip("2001:db8:2::"), LIFETIME, 3600);
    bench.advertise(&router().other().option(other));
    bench.until(11.0);
    inform(&mut bench);
    bench.until(60.0);
    let told = told(&bench);
    assert!(!told.is_empty() && told.iter().all(|(_, address, _)| *address != ADDRESS), "{told:?}");
    // Unless nobody says anything there: then it is the same link.
    let mut bench = registered();
    bench.run(|client, now| client.confirm(now, now));
    bench.until(60.0);
    assert_eq!(bench.addresses(), [ADDRESS]);
}

#[test]
fn nothing_comes_from_an_address_that_another_machine_has() {
    let mut bench = registered();
    // Told of and not answered yet, with its check over.
    bench.advertise(&router().other().prefix(LIFETIME * 2, 3600));
    bench.until(8000.0);
    bench.sent.clear();
    // It is defended once in ten seconds, and given up when it is checked anew.
    bench.run(|client, now| client.confirm(now, now));
    bench.hear(&claim(OTHER_MAC, ADDRESS));
    assert!(bench.addresses().is_empty());
    bench.until(8060.0);
    assert_eq!(told(&bench), []);
}

#[test]
fn what_is_given_up_is_told() {
    let mut bench = registered();
    bench.run(|client, now| client.release(now));
    assert_eq!(bench.event(), Event::Released);
    assert_eq!(told(&bench), [(10.0, ADDRESS, 0)]);
    bench.until(60.0);
    assert_eq!(told(&bench).len(), 1);
}

#[test]
fn while_a_lease_is_given_back_nothing_else_is_told() {
    let mut bench = Bench::started();
    bench.advertise(&router().managed().prefix(LIFETIME, 3600));
    let solicit = bench.asked(MessageType::Solicit);
    bench.reply(MessageType::Advertise, &solicit);
    let request = bench.asked(MessageType::Request);
    let asked = Message::parse(&request).unwrap();
    let ia = asked.options.ia_na().next().unwrap();
    let reply = Builder::new(MessageType::Reply, asked.xid)
        .option(code::CLIENT_ID, asked.options.client_id().unwrap())
        .option(code::SERVER_ID, &SERVER_DUID)
        .option(code::ADDR_REG_ENABLE, &[])
        .nest(code::IA_NA, &Ia::header(ia.iaid, 0, 0), |inner| {
            inner.option(code::IA_ADDRESS, &IaAddress::header(LEASED, PREFERRED, VALID))
        })
        .finish();
    bench.answer(&reply);
    bench.until(10.0);
    assert_eq!(told(&bench).len(), 3);
    bench.sent.clear();
    bench.run(|client, now| client.release(now));
    bench.advertise(&router().managed().prefix(LIFETIME / 2, 1800));
    bench.until(60.0);
    let told = told(&bench);
    assert_eq!(told.len(), 3, "three times, as nobody answers");
    assert!(told.iter().all(|(_, address, valid)| (*address, *valid) == (ADDRESS, 0)), "{told:?}");
}

#[test]
fn a_restarted_daemon_knows_that_somebody_wants_to_know() {
    let saved = registered().client.saved();
    assert!(saved.registers);
    let text = serde_json::to_string(&saved).unwrap();
    assert_eq!(serde_json::from_str::<dhcp::ipv6::Saved>(&text).unwrap(), saved);
    let mut bench = Bench::of(Client::resume(config(), saved.clone(), 2, at(20.0)));
    bench.now = at(20.0);
    assert_eq!(told(&bench), []);
    bench.until(30.0);
    assert_eq!(told(&bench)[0].1, ADDRESS);
    // A boot may be one on another link.
    let mut bench = Bench::of(Client::reboot(config(), saved, 2, at(0.0)));
    bench.advertise(&router().prefix(LIFETIME, 3600));
    bench.until(60.0);
    assert_eq!(told(&bench), []);
}

/// A server that wants to know answers, granting what is asked for.
fn grant(bench: &mut Bench, kind: MessageType) {
    let question = bench.asked(kind);
    let asked = Message::parse(&question).unwrap();
    let iaid = asked.options.ia_na().next().unwrap().iaid;
    let reply = Builder::new(MessageType::Reply, asked.xid)
        .option(code::CLIENT_ID, asked.options.client_id().unwrap())
        .option(code::SERVER_ID, &SERVER_DUID)
        .option(code::ADDR_REG_ENABLE, &[])
        .nest(code::IA_NA, &Ia::header(iaid, 0, 0), |inner| {
            inner.option(code::IA_ADDRESS, &IaAddress::header(LEASED, PREFERRED, VALID))
        });
    bench.answer(&reply.finish());
}

/// A Confirm cannot ask whether a server wants to know.
#[test]
fn who_had_a_lease_confirmed_asks_early_whether_to_tell_of_the_address_beside_it() {
    let said = router().managed().prefix(LIFETIME, 3600);
    let both = || {
        let mut bench = Bench::started();
        bench.advertise(&said);
        bench.lease();
        bench.until(10.0);
        bench.sent.clear();
        bench.events.clear();
        bench
    };
    let saved = both().client.saved();
    let mut elsewhere = both();
    elsewhere.run(|client, now| client.confirm(now, now));
    let rebooted = Client::reboot(Config::new(MAC), saved, 2, at(10.0));
    let mut rebooted = Bench::of(rebooted);
    rebooted.now = at(10.0);
    for mut bench in [elsewhere, rebooted] {
        bench.advertise(&said);
        let confirm = bench.asked(MessageType::Confirm);
        bench.reply(MessageType::Reply, &confirm);
        bench.until(11.5);
        assert_eq!(bench.try_asked(MessageType::Renew), None, "not before it is checked");
        bench.until(13.0);
        grant(&mut bench, MessageType::Renew);
        assert_eq!(told(&bench)[0].1, ADDRESS);
        bench.sent.clear();
        bench.until(60.0);
        assert_eq!(bench.sent.iter().filter(|s| matches!(s.what, What::Dhcp(_))).count(), 2);
    }
    // Nobody is asked twice, whether there is an answer or not, and who has made no address asks nothing.
    let mut bench = both();
    bench.run(|client, now| client.confirm(now, now));
    bench.advertise(&said);
    let confirm = bench.asked(MessageType::Confirm);
    bench.reply(MessageType::Reply, &confirm);
    bench.until(200.0);
    let renews = || bench.sent.iter().filter(|s| matches!(s.what, What::Dhcp(_)));
    assert_eq!(renews().count(), 5, "one exchange");
    bench.sent.clear();
    bench.until(1500.0);
    assert_eq!(bench.sent.iter().filter(|s| matches!(s.what, What::Dhcp(_))).count(), 0);
    let mut bench = Bench::started();
    bench.advertise(&router().managed());
    bench.lease();
    bench.until(10.0);
    bench.sent.clear();
    bench.run(|client, now| client.confirm(now, now));
    bench.advertise(&router().managed());
    let confirm = bench.asked(MessageType::Confirm);
    bench.reply(MessageType::Reply, &confirm);
    bench.until(200.0);
    assert_eq!(bench.try_asked(MessageType::Renew), None);
}
