//! Clients that share the MAC of their link (ipvlan). That nothing but that MAC is on the wire the bench sees at each frame.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddrV6};

use dhcp::ipv6::{Config, InterfaceId};
use wire::MacAddr;
use wire::dhcp6::{Builder, Ia, IaAddress, Message, MessageType, SERVERS, code, port};
use wire::frame::udp6;
use wire::nd::{Message as NdMessage, NdOption};

use super::bench::*;
use super::lan::*;

/// One whose own MAC, which is not on the wire, ends with `last`.
fn sharing(last: u8) -> Bench {
    let interface_id = InterfaceId::Stable { secret: [7; 16], network: b"lan"[..].into() };
    let config = Config::new(MacAddr([2, 0, 0, 0, 1, last]));
    Bench::with(Config { link: Some(MAC), interface_id, ..config })
}

/// The first DHCPv6 message that was sent, which must come from the client's own address.
fn asked(bench: &mut Bench) -> Vec<u8> {
    let own = bench.client.link_local().unwrap();
    while let Some(sent) = bench.sent.pop_front() {
        if let What::Dhcp(payload) = sent.what {
            assert_eq!((sent.from, sent.to), (own, SERVERS));
            return payload;
        }
    }
    panic!("nothing was asked");
}

/// A server's answer to `question`, to that address: a lease of `address`.
fn answer(kind: MessageType, question: &[u8], (to, address): (Ipv6Addr, Ipv6Addr)) -> Vec<u8> {
    let question = Message::parse(question).unwrap();
    let ia = question.options.ia_na().next().unwrap();
    let payload = Builder::new(kind, question.xid)
        .option(code::CLIENT_ID, question.options.client_id().unwrap())
        .option(code::SERVER_ID, &SERVER_DUID)
        .nest(code::IA_NA, &Ia::header(ia.iaid, 0, 0), |ia| {
            ia.option(code::IA_ADDRESS, &IaAddress::header(address, PREFERRED, VALID))
        })
        .finish();
    let from = SocketAddrV6::new(SERVER, port::SERVER, 0, 0);
    udp6(SERVER_MAC, MAC, from, SocketAddrV6::new(to, port::CLIENT, 0, 0), &payload)
}

#[test]
fn each_has_addresses_and_a_lease_of_its_own() {
    let mut both = [sharing(7), sharing(8)];
    let addresses = [ip("2001:db8:1::a"), ip("2001:db8:1::b")];
    for bench in &mut both {
        bench.advertise(&router().managed().prefix(7200, 3600));
    }
    let own = both.each_ref().map(|bench| bench.client.link_local().unwrap());
    assert!(own[0] != own[1] && !own.contains(&LINK_LOCAL), "{own:?}");
    let mut solicits = both.each_mut().map(asked);
    let identity = |message: &Vec<u8>| {
        let message = Message::parse(message).unwrap();
        let iaid = message.options.ia_na().next().unwrap().iaid;
        (message.options.client_id().unwrap().to_vec(), iaid)
    };
    let [one, other] = solicits.each_ref().map(identity);
    assert!(one.0 != other.0 && one.1 != other.1, "{one:?} {other:?}");
    for kind in [MessageType::Advertise, MessageType::Reply] {
        for (n, address) in addresses.into_iter().enumerate() {
            // All that comes to the MAC comes to both.
            let frame = answer(kind, &solicits[n], (own[n], address));
            both.iter_mut().for_each(|bench| bench.hear(&frame));
            if kind == MessageType::Advertise {
                solicits[n] = asked(&mut both[n]);
            }
        }
    }
    let mut all = BTreeSet::new();
    for (bench, address) in both.iter_mut().zip(addresses) {
        bench.ready();
        let has = bench.addresses();
        assert!(has.len() == 2 && has.contains(&address) && !has.contains(&ADDRESS), "{has:?}");
        assert!(has.iter().all(|address| bench.client.is_ours(*address)));
        assert_eq!(bench.client.progress().server.unwrap().ignored, Default::default());
        all.extend(has);
    }
    assert_eq!(all.len(), 4);
}

#[test]
fn neighbours_are_told_the_links_mac() {
    let mut bench = sharing(7);
    bench.run(|client, _| client.hold(true));
    let own = bench.client.link_local().unwrap();
    // What the link itself says is no conflict, whether its kernel or a sibling's client says it: while the address is
    // checked, and later on.
    let of_the_link = |bench: &mut Bench| {
        bench.hear(&probe(MAC, own, Some([1; 6])));
        bench.hear(&claim(MAC, own));
        bench.client.progress().host.duplicates
    };
    assert_eq!(of_the_link(&mut bench), 0);
    bench.until(5.0);
    assert_eq!(of_the_link(&mut bench), 0);
    bench.sent.clear();
    bench.hear(&solicitation(OTHER_MAC, OTHER, own));
    let answer = bench.nd().remove(0);
    assert_eq!((answer.to, answer.to_mac), (OTHER, OTHER_MAC));
    let What::Nd(NdMessage::NeighbourAdvertisement(said), options) = answer.what else {
        panic!("{answer:?}")
    };
    assert_eq!((said.target, &options[..]), (own, &[NdOption::TargetMac(MAC)][..]));
    // It asks routers in its own name.
    bench.run(|client, now| client.renew(now));
    let asked = bench.nd().remove(0);
    assert!(matches!(asked.what, What::Nd(NdMessage::RouterSolicitation, _)), "{asked:?}");
    bench.hear(&claim(OTHER_MAC, own));
    assert_eq!(bench.client.progress().host.duplicates, 1);
}

/// As a bond's when its first card fails.
#[test]
fn the_links_mac_is_another_now() {
    const NEW: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x77]);
    let mut bench = sharing(7);
    bench.advertise(&router().prefix(7200, 3600));
    bench.ready();
    bench.until(5.0);
    bench.sent.clear();
    let own = bench.addresses();
    bench.mac = NEW;
    bench.run(|client, _| client.set_link(NEW));
    let told = |bench: &mut Bench| -> BTreeSet<Ipv6Addr> {
        let said = bench.nd().into_iter().map(|sent| match sent.what {
            What::Nd(NdMessage::NeighbourAdvertisement(said), options) => {
                assert_eq!(options, [NdOption::TargetMac(NEW)]);
                said.target
            }
            other => panic!("{other:?}"),
        });
        said.collect()
    };
    let all = told(&mut bench);
    assert!(own.iter().all(|address| all.contains(address)), "{own:?}: {all:?}");
    bench.until(10.0);
    assert_eq!(told(&mut bench), all, "the second time");
    // The link itself is no other machine, and its addresses are what they were.
    bench.hear(&claim(NEW, own[0]));
    assert_eq!(bench.client.progress().host.duplicates, 0);
    assert_eq!(bench.addresses(), own);
    bench.run(|client, _| client.set_link(NEW));
    assert!(bench.sent.is_empty());
}

#[test]
fn an_address_that_somebody_has_gives_way_to_another() {
    // RFC 7217's counter goes on the same way each time, and each in its own.
    let taken = |last| {
        let mut bench = sharing(last);
        let first = bench.client.link_local().unwrap();
        bench.hear(&probe(OTHER_MAC, first, Some([1; 6])));
        let second = bench.client.link_local().unwrap();
        assert!(second != first && second.is_unicast_link_local());
        second
    };
    assert_eq!(taken(7), taken(7));
    assert_ne!(taken(7), taken(8));
}
