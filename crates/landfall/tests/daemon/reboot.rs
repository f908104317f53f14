//! The machine boots: the kernel is empty, the state directory is not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use wire::MacAddr;
use wire::dhcp4::{MessageType, code};

use crate::container::{Container, FOREVER, endpoint_ref};
use crate::server::{Grant, Request, Server, nak};
use crate::site::{SOON, Site, at_once, eventually, same};

const MAC: &str = "02:00:00:00:00:42";

fn grant() -> Grant {
    Grant::new([10, 77, 1, 66]).times(1800, 3150, 3600)
}

/// A site where a container had a lease when the machine went down.
fn after_boot(options: &[(&str, &str)], clock: bool) -> (Site, Server) {
    let mut site = Site::new();
    let server = Server::granting(&site.lan, grant());
    site.network("lan", options);
    let container = site.run("lan", "one", MAC);
    assert_eq!(container.endpoint.address, "10.77.1.66/16");
    drop(container);
    site.boot(clock);
    assert_ne!(site.shown("one")["held_until"], Value::Null);
    (site, server)
}

/// DHCPREQUEST in INIT-REBOOT (RFC 2131 §4.3.2): the address in option 50, no server, no `ciaddr`.
fn asks_whether_it_is_still_right(request: &Request) -> bool {
    let options = &request.message.options;
    let last = request.message.chaddr.0[5];
    request.kind == MessageType::Request
        && options.get(code::REQUESTED_ADDRESS) == Some(&[10, 77, 1, last][..])
        && options.get(code::SERVER_ID).is_none()
        && request.message.ciaddr.is_unspecified()
}

/// Waits until so many have asked, since the `mark`, whether their lease is still right.
fn all_ask(server: &Server, mark: usize, count: usize) {
    eventually("all have asked", SOON * 4, || {
        let said = server.requests();
        let said = said[mark..].iter().filter(|request| asks_whether_it_is_still_right(request));
        let who: BTreeSet<MacAddr> = said.map(|request| request.message.chaddr).collect();
        same(who.len(), &count)
    });
}

#[test]
fn a_container_has_its_address_again_in_one_round_trip() {
    for clock in [true, false] {
        let (site, server) = after_boot(&[("release_delay", "1h")], clock);
        let mark = server.mark();
        let container = site.run("lan", "two", MAC);
        assert_eq!(container.endpoint.address, "10.77.1.66/16");
        let said = server.requests();
        assert!(asks_whether_it_is_still_right(&said[mark]), "{:?}", said[mark]);
        assert_eq!(said.len(), mark + 1, "one exchange");
        assert_eq!(site.shown("one"), Value::Null);
        assert!(container.ping(lab::Lan::ROUTER));
        // It goes on as any: held, and handed over.
        container.stop(&site);
        assert_eq!(site.run("lan", "three", MAC).endpoint.address, "10.77.1.66/16");
        assert_eq!(server.count(MessageType::Discover), 1);
    }
}

/// All containers come back at once after a boot, and a server's queue is short.
#[test]
fn sixty_containers_ask_sixteen_at_a_time() {
    const COUNT: usize = 60;
    const AT_ONCE: usize = 16;
    let mut site = Site::new();
    let by_mac = |mac: MacAddr| Grant::new([10, 77, 1, mac.0[5]]);
    let server = Server::start(site.lan.router_ns(), "eth0", move |request| {
        by_mac(request.message.chaddr).answer(request)
    });
    let macs: Vec<String> = (1..=COUNT).map(|n| format!("02:00:00:00:00:{n:02x}")).collect();
    site.network("lan", &[("lease_timeout", "25s")]);
    at_once(macs.iter().collect(), |mac| site.create("lan", &format!("a{}", &mac[15..]), mac));
    // Without a clock nobody goes on before there is an answer.
    site.boot(false);

    /// Who has asked and has no answer yet, and how many these were at most.
    #[derive(Default)]
    struct Asking {
        open: BTreeMap<MacAddr, Request>,
        answered: BTreeSet<MacAddr>,
        most: usize,
    }
    let asking = Arc::new(Mutex::new(Asking::default()));
    let heard = asking.clone();
    server.behave(move |request| {
        let mut asking = heard.lock().unwrap();
        let mac = request.message.chaddr;
        if request.kind == MessageType::Request && !asking.answered.contains(&mac) {
            asking.open.insert(mac, request.clone());
            asking.most = asking.most.max(asking.open.len());
        }
        vec![]
    });
    let mark = server.mark();
    let made = thread::scope(|scope| {
        let made = scope.spawn(|| {
            let create = |mac: &String| site.create("lan", &format!("b{}", &mac[15..]), mac);
            at_once(macs.iter().collect(), create)
        });
        // By the time that one of them asks again everybody has come.
        eventually("a second REQUEST of one", SOON, || {
            let said = server.requests();
            let who: BTreeSet<MacAddr> = said[mark..].iter().map(|r| r.message.chaddr).collect();
            if said.len() - mark > who.len() { Ok(()) } else { Err(format!("{who:?}")) }
        });
        assert_eq!(asking.lock().unwrap().open.len(), AT_ONCE);
        // For each that has its answer another one asks.
        for _ in 0..COUNT {
            let request = eventually("the next REQUEST", SOON, || {
                let mut asking = asking.lock().unwrap();
                let (mac, request) = asking.open.pop_first().ok_or("nobody asks")?;
                asking.answered.insert(mac);
                Ok(request)
            });
            let grant = by_mac(request.message.chaddr);
            server.send(&grant.reply(&request, MessageType::Ack));
        }
        made.join().unwrap()
    });
    let addresses: BTreeSet<Ipv4Addr> = made.iter().map(|endpoint| endpoint.ip()).collect();
    assert_eq!(addresses.len(), COUNT);
    assert_eq!(asking.lock().unwrap().most, AT_ONCE);
    assert_eq!(server.count(MessageType::Discover), COUNT, "none after the boot");
}

/// Nobody comes back for it, and its network goes.
#[test]
fn what_nobody_came_back_for_is_given_back_with_its_network() {
    let (site, server) = after_boot(&[], true);
    let mark = server.mark();
    site.delete_network("lan");
    let release =
        server.wait_after(mark, "RELEASE", SOON, |request| request.kind == MessageType::Release);
    assert_eq!(release.message.ciaddr, Ipv4Addr::new(10, 77, 1, 66));
    assert_eq!(server.requests().len(), mark + 1, "and nothing else");
    assert_eq!(site.links(), ["br0", "laptop", "lo", "router"]);
    // Without a clock nobody knows whose it is by now.
    let (site, server) = after_boot(&[], false);
    let mark = server.mark();
    site.delete_network("lan");
    assert_eq!(server.mark(), mark);
}

#[test]
fn the_server_has_changed_its_mind() {
    let (site, server) = after_boot(&[], true);
    server.behave(|request| {
        if asks_whether_it_is_still_right(request) {
            return vec![nak(request, lab::Lan::ROUTER, "wrong network")];
        }
        Grant::new([10, 77, 2, 2]).answer(request)
    });
    assert_eq!(site.create("lan", "two", MAC).address, "10.77.2.2/16");
    assert_eq!(server.count(MessageType::Discover), 2);
}

#[test]
fn the_host_is_up_before_the_router() {
    let (site, server) = after_boot(&[], true);
    server.behave(|_| vec![]);
    let began = std::time::Instant::now();
    let container = site.run("lan", "two", MAC);
    assert_eq!(container.endpoint.address, "10.77.1.66/16");
    // The RFC's two seconds of silence, and not the ten of `lease_timeout`.
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(server.count(MessageType::Discover), 1, "none after the boot");
    // The exchange goes on behind, and what the router says in the end counts.
    let mark = server.mark();
    server.grant(Grant { routers: vec![lab::Lan::LAPTOP], ..grant() });
    server.wait_after(mark, "asked again", SOON, asks_whether_it_is_still_right);
    eventually("the new router", SOON, || {
        same(container.routes(), &vec!["default via 10.77.0.9 dev eth0".to_owned()])
    });
}

/// An engine starts the containers of a network one after the other: they are not silent for two seconds each.
#[test]
fn one_after_the_other_is_up_before_the_router() {
    let mut site = Site::new();
    let answer =
        |request: &Request| Grant::new([10, 77, 1, request.message.chaddr.0[5]]).answer(request);
    let server = Server::start(site.lan.router_ns(), "eth0", answer);
    site.network("lan", &[]);
    let macs: Vec<String> = (1..=12).map(|n| format!("02:00:00:00:00:{n:02x}")).collect();
    let create = |site: &Site, run: &str, mac: &str| {
        let made = site.create("lan", &format!("{run}{}", &mac[15..]), mac);
        let last = u8::from_str_radix(&mac[15..], 16).unwrap();
        assert_eq!(made.ip(), Ipv4Addr::new(10, 77, 1, last));
    };
    macs.iter().for_each(|mac| create(&site, "a", mac));
    site.boot(true);
    server.behave(|_| vec![]);
    let began = std::time::Instant::now();
    let (late, first) = macs.split_last().unwrap();
    first.iter().for_each(|mac| create(&site, "b", mac));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let mark = server.mark();
    server.behave(answer);
    all_ask(&server, mark, first.len());
    // The router has been heard: whoever comes now asks before it goes on.
    let mark = server.mark();
    create(&site, "b", late);
    assert!(server.requests()[mark..].iter().any(asks_whether_it_is_still_right));
}

/// More than may ask at a time: those whose turn does not come go on as well, and ask later.
#[test]
fn all_of_them_are_up_before_the_router() {
    const COUNT: usize = 60;
    let mut site = Site::new();
    let answer = |request: &Request| {
        let last = request.message.chaddr.0[5];
        Grant::new([10, 77, 1, last]).times(1800, 3150, 3600).answer(request)
    };
    let server = Server::start(site.lan.router_ns(), "eth0", answer);
    let macs: Vec<String> = (1..=COUNT).map(|n| format!("02:00:00:00:00:{n:02x}")).collect();
    site.network("lan", &[]);
    at_once(macs.iter().collect(), |mac| site.create("lan", &format!("a{}", &mac[15..]), mac));
    site.boot(true);
    server.behave(|_| vec![]);
    let began = std::time::Instant::now();
    at_once(macs.iter().collect(), |mac| {
        let made = site.create("lan", &format!("b{}", &mac[15..]), mac);
        let last = u8::from_str_radix(&mac[15..], 16).unwrap();
        assert_eq!(made.ip(), std::net::Ipv4Addr::new(10, 77, 1, last));
    });
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let mark = server.mark();
    server.behave(answer);
    // Each of them hears in the end that its lease is still right.
    all_ask(&server, mark, COUNT);
}

#[test]
fn without_a_clock_no_lease_is_trusted_and_a_start_fails_without_a_server() {
    let (site, server) = after_boot(&[("lease_timeout", "4s")], false);
    server.behave(|_| vec![]);
    let refusal = site.try_create("lan", "two", MAC).unwrap_err();
    assert!(refusal.contains("no DHCP server answered on br0 within 4s"), "{refusal}");
    assert_eq!(site.endpoint_links(), [] as [&str; 0]);
    // The identity waits for the next try, and its address with the server.
    assert_eq!(server.count(MessageType::Release), 0);
    server.grant(grant());
    let mark = server.mark();
    assert_eq!(site.create("lan", "three", MAC).address, "10.77.1.66/16");
    assert!(asks_whether_it_is_still_right(&server.requests()[mark]));
}

#[test]
fn no_server_last_goes_on_with_the_last_address() {
    let options = [("lease_timeout", "3s"), ("no_server", "last")];
    let (site, server) = after_boot(&options, false);
    server.behave(|_| vec![]);
    let container = site.run("lan", "two", MAC);
    assert_eq!(container.endpoint.address, "10.77.1.66/16");
    assert!(container.ping(lab::Lan::LAPTOP));
    eventually("known in its sandbox", SOON, || {
        same(site.shown("two")["interface"].clone(), &json!("eth0"))
    });
    assert_eq!(container.lifetime(), FOREVER, "until a server says otherwise");
    // One that never had an address fails.
    site.try_create("lan", "new", "02:00:00:00:00:43").unwrap_err();
    server.grant(grant());
    eventually("a lease", SOON * 7, || same(site.shown("two")["state"].clone(), &json!("BOUND")));
    assert!(container.ping(lab::Lan::LAPTOP));
}

#[test]
fn no_server_wait_starts_without_an_address() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |_| vec![]);
    site.network("lan", &[("lease_timeout", "1s"), ("no_server", "wait")]);
    let answer = site.ok("CreateEndpoint", &crate::site::endpoint_argument("lan", "one", MAC));
    assert_eq!(answer["Interface"]["Address"], "");
    let endpoint = crate::site::Endpoint {
        network: crate::site::id("lan"),
        id: crate::site::id("one"),
        mac: MAC.into(),
        address: String::new(),
        address6: String::new(),
    };
    let container = Container::start(&site, endpoint.clone());
    assert_eq!(container.joined["DisableGatewayService"], true, "no docker_gwbridge");
    assert_eq!(container.joined.get("Gateway"), None);
    assert_eq!(container.cidrs(), [] as [&str; 0]);
    server.grant(grant());
    eventually("the address", SOON * 2, || same(container.cidrs(), &vec!["10.77.1.66/16".into()]));
    eventually("the route", SOON, || {
        same(container.routes(), &vec!["default via 10.77.0.1 dev eth0".to_owned()])
    });
    assert!(site.lan.ping(lab::Place::Laptop, Ipv4Addr::new(10, 77, 1, 66)).unwrap());
    site.ok("Leave", &endpoint_ref(&endpoint));
}
