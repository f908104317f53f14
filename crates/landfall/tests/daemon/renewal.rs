//! Keeping a lease: renewal, rebinding, refusal, expiry.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lab::{
    Arp, Capture, DhcpServer, Dnsmasq, Frame, Lan, LanOptions, Message, Place, Reservation,
    ServerOptions,
};
use serde_json::{Value, json};
use wire::dhcp4::MessageType;

use crate::container::Container;
use crate::server::{Grant, Reply, Request, Server, nak};
use crate::site::{SOON, Site, eventually, host_link, id, ip_json, same};

const MAC: &str = "02:00:00:00:00:42";
const ADDRESS: [u8; 4] = [10, 77, 1, 5];

/// A container whose server gives `grant` for now.
fn run_with(grant: Grant) -> (Site, Server, Container) {
    let site = Site::new();
    let server = Server::granting(&site.lan, grant);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    (site, server, container)
}

/// A request that prolongs a lease: it names the client's address.
fn prolongs(request: &Request) -> bool {
    request.kind == MessageType::Request && !request.message.ciaddr.is_unspecified()
}

/// Waits for gratuitous ARP that says that the container has `ip`.
fn wait_announced(capture: &Capture, mark: usize, ip: Ipv4Addr) {
    let announces = |arp: Arp| arp.sender == ip && arp.target == ip && arp.sender_mac == MAC;
    capture
        .wait_after(mark, &format!("an announcement of {ip}"), SOON, |frame: &Frame| {
            frame.arp().is_some_and(announces)
        })
        .unwrap();
}

/// Waits until the container has exactly that address.
fn wait_address(container: &Container, cidr: &str) {
    eventually("the address", SOON, || same(container.cidrs(), &vec![cidr.to_owned()]));
}

fn wait_routes(container: &Container, routes: &[&str]) {
    let routes: Vec<String> = routes.iter().map(|&route| route.into()).collect();
    eventually("the routes", SOON, || same(container.routes(), &routes));
}

#[test]
fn at_t1_by_unicast_to_the_server_identifier() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(2, 60, 120));
    let on_lan = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    let on_link = Capture::start(site.host(), &host_link("web")).unwrap();
    let asked = server.wait_for(MessageType::Request, SOON).at;
    let first_expiry = site.shown("web")["expires_at"].clone();

    let renewal = server.wait_after(0, "a renewal", SOON, prolongs);
    // T1 of 2 s, up to 5 % earlier.
    let after = (renewal.at - asked).as_secs_f64();
    assert!((1.85..3.0).contains(&after), "{after}");
    assert_eq!(renewal.to, Lan::ROUTER);
    assert_eq!(renewal.message.ciaddr, container.ip());
    let asks = |f: &Frame| f.dhcp().is_some_and(|d| d.kind == 3);
    let sent = on_lan.wait_for("the renewal", SOON, asks).unwrap().dhcp().unwrap();
    let router = ip_json(site.lan.router_ns(), &["link", "show", "eth0"]);
    assert_eq!(sent.destination, router[0]["address"].as_str().unwrap());
    assert_eq!((sent.source.as_str(), sent.mac.as_str()), (MAC, MAC));
    assert_eq!((sent.from, sent.to), (container.ip(), Lan::ROUTER));
    // RFC 2131, table 5: in RENEWING neither option 50 nor 54.
    assert_eq!(sent.requested, None);
    // The ACK goes to the container's link, not to Landfall's port.
    let acked = |f: &Frame| f.outgoing && f.dhcp().is_some_and(|d| d.kind == 5);
    let ack = on_link.wait_for("the ACK on the link", SOON, acked).unwrap().dhcp().unwrap();
    assert_eq!((ack.destination.as_str(), ack.to), (MAC, container.ip()));

    eventually("a later expiry", SOON, || {
        let now = site.shown("web")["expires_at"].clone();
        if now == first_expiry { Err(now.to_string()) } else { Ok(()) }
    });
    assert_eq!(site.shown("web")["state"], "BOUND");
    assert_eq!(container.cidrs(), ["10.77.1.5/16"]);
    assert_eq!(server.count(MessageType::Discover), 1);
}

#[test]
fn before_the_link_is_in_a_sandbox() {
    // Nobody but the port has the address then: a server that asks for it by ARP hears the port.
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new(ADDRESS).times(1, 60, 120));
    site.network("lan", &[]);
    let endpoint = site.create("lan", "web", MAC);
    let expiry = site.shown("web")["expires_at"].clone();
    server.wait_after(0, "a renewal", SOON, prolongs);
    eventually("a later expiry", SOON, || {
        let now = site.shown("web")["expires_at"].clone();
        if now == expiry { Err(site.shown("web").to_string()) } else { Ok(()) }
    });
    let container = Container::start(&site, endpoint);
    assert!(container.ping(Lan::ROUTER));
    // And once it is there, the link answers, as quickly.
    let mark = server.mark();
    server.wait_after(mark, "a renewal", SOON, prolongs);
    eventually("an answer to it", SOON, || {
        same(site.shown("web")["state"].clone(), &json!("BOUND"))
    });
    assert_eq!(server.count(MessageType::Discover), 1);
}

#[test]
fn at_t2_by_broadcast_when_the_server_is_silent() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(1, 2, 60));
    let grant = Grant::new(ADDRESS).times(1, 2, 60);
    server.behave(move |request| {
        // Deaf for what is sent to it alone, as one whose address has changed.
        if request.to == Ipv4Addr::BROADCAST { grant.answer(request) } else { Vec::new() }
    });
    let mark = server.mark();
    let rebinding =
        server.wait_after(mark, "a rebinding", SOON, |r| prolongs(r) && r.to.is_broadcast());
    assert_eq!(rebinding.message.ciaddr, container.ip());
    let silent = server.requests().iter().filter(|r| prolongs(r) && !r.to.is_broadcast()).count();
    assert!(silent >= 1, "no unicast before the broadcast");
    eventually("the lease goes on", SOON, || {
        same(site.shown("web")["state"].clone(), &json!("BOUND"))
    });
    assert_eq!(container.cidrs(), ["10.77.1.5/16"]);
    assert_eq!(server.count(MessageType::Discover), 1);
}

#[test]
fn another_server_takes_the_lease_over_at_t2() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(1, 2, 60));
    drop(server);
    let ns = site.lan.add_machine("second").unwrap();
    ns.ip_batch("addr add 10.77.0.3/16 dev eth0\n").unwrap();
    let grant =
        Grant { server: Some([10, 77, 0, 3].into()), ..Grant::new(ADDRESS).times(1, 60, 120) };
    let second = Server::start(&ns, "eth0", move |request| grant.answer(request));
    second.wait_after(0, "a rebinding", SOON, |r| prolongs(r) && r.to.is_broadcast());
    eventually("the second server", SOON, || {
        same(site.shown("web")["server"].clone(), &json!("10.77.0.3"))
    });
    // From here on by unicast to the second one.
    second.wait_after(0, "a renewal", SOON, |r| prolongs(r) && !r.to.is_broadcast());
    assert_eq!(container.cidrs(), ["10.77.1.5/16"]);
}

#[test]
fn a_nak_takes_the_address_away_and_the_next_one_is_applied() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(1, 60, 120));
    container.ns.ip_batch("route add 10.50.0.0/16 via 10.77.0.9 dev eth0\n").unwrap();
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    let next = Grant::new([10, 77, 1, 6]).times(60, 90, 120);
    let held: Ipv4Addr = ADDRESS.into();
    server.behave(move |request| {
        if request.message.ciaddr == held {
            vec![nak(request, Lan::ROUTER, "wrong network")]
        } else {
            next.answer(request)
        }
    });
    wait_address(&container, "10.77.1.6/16");
    assert_eq!(server.count(MessageType::Discover), 2);
    wait_announced(&capture, 0, [10, 77, 1, 6].into());
    // The default route and what somebody made by hand.
    wait_routes(
        &container,
        &["10.50.0.0/16 via 10.77.0.9 dev eth0", "default via 10.77.0.1 dev eth0"],
    );
    assert!(site.lan.ping(Place::Laptop, [10, 77, 1, 6].into()).unwrap());
    let shown = site.shown("web");
    assert_eq!(shown["address"], "10.77.1.6/16");
    assert_eq!(shown["docker_shows"], "10.77.1.5/16");
    site.landfall.log().wait_for("wrong network", SOON).unwrap();
    // The first lease of the start, and the second after the first was refused.
    assert_eq!(site.leases("granted"), 2);
    assert_eq!(site.leases("refused"), 1);
}

#[test]
fn after_a_nak_and_silence_there_is_no_address() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(1, 60, 120));
    server.behave(|request| {
        if prolongs(request) { vec![nak(request, Lan::ROUTER, "gone")] } else { Vec::new() }
    });
    eventually("no address", SOON, || same(container.cidrs(), &vec![]));
    let shown = site.shown("web");
    assert_eq!(shown["address"], Value::Null);
    assert_eq!(shown["state"], "SELECTING");
    container.stop(&site);
    assert_eq!(server.count(MessageType::Release), 0);
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
}

#[test]
fn at_expiry_the_address_goes_and_it_comes_back_with_the_server() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(1, 2, 4));
    container.ns.ip_batch("route add 10.50.0.0/16 via 10.77.0.9 dev eth0\n").unwrap();
    let granted = server.wait_for(MessageType::Request, SOON).at;
    server.behave(|_| Vec::new());
    let mark = server.mark();
    // Looks once more for whoever there is.
    let discover = server
        .wait_after(mark, "a DISCOVER", SOON, |request| request.kind == MessageType::Discover);
    let after = (discover.at - granted).as_secs_f64();
    assert!(after >= 3.9, "the lease of 4 s was given up after {after} s");
    assert_eq!(discover.message.options.requested_address(), Some(ADDRESS.into()));
    eventually("no address", Duration::from_secs(2), || same(container.cidrs(), &vec![]));
    assert_eq!(site.shown("web")["address"], Value::Null);

    server.grant(Grant::new(ADDRESS).times(60, 90, 120));
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    wait_address(&container, "10.77.1.5/16");
    wait_announced(&capture, 0, ADDRESS.into());
    wait_routes(
        &container,
        &["10.50.0.0/16 via 10.77.0.9 dev eth0", "default via 10.77.0.1 dev eth0"],
    );
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(site.shown("web")["docker_shows"], Value::Null);
}

#[test]
fn a_dead_server_is_asked_at_half_of_what_is_left() {
    let (_site, server, container) = run_with(Grant::new(ADDRESS).times(1, 6, 20));
    let granted = server.wait_for(MessageType::Request, SOON).at;
    server.behave(|_| Vec::new());
    let until = Instant::now() + SOON;
    let renewals = loop {
        let mut requests = server.requests();
        requests.retain(prolongs);
        if requests.iter().any(|r| r.to.is_broadcast()) {
            break requests;
        }
        assert!(Instant::now() < until, "{requests:#?}");
        let mark = server.mark();
        server.wait_after(mark, "another request", SOON, |_| true);
    };
    // At 1, then after half of what is left until 6: 3.5, 4.75 and, not within a second of the last, 5.75; up to 5 %
    // earlier. Then by broadcast at 6.
    let times: Vec<f64> = renewals.iter().map(|r| (r.at - granted).as_secs_f64()).collect();
    let expected = [1.0, 3.5, 4.75, 5.75, 6.0];
    assert_eq!(times.len(), expected.len(), "{times:?}");
    for (seen, wanted) in times.iter().zip(expected) {
        assert!(*seen >= wanted * 0.95 - 0.05 && *seen <= wanted + 0.5, "{times:?}");
    }
    assert_eq!(container.cidrs(), ["10.77.1.5/16"]);
}

/// A server that gives another lease when it is asked to prolong this one.
fn change(server: &Server, grant: Grant) {
    server.behave(move |request| -> Vec<Reply> { grant.answer(request) });
}

#[test]
fn a_changed_address() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new(ADDRESS).times(4, 60, 120));
    site.network("lan", &[]);
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    let container = site.run("lan", "web", MAC);
    // The first address is announced twice, two seconds apart: neither may pass for the second one's.
    eventually("two announcements", SOON, || {
        let count = capture.pick(|f| f.arp().filter(|arp| arp.sender == arp.target)).len();
        if count >= 2 { Ok(()) } else { Err(count.to_string()) }
    });
    container
        .ns
        .ip_batch("route add 10.50.0.0/16 via 10.77.0.9 dev eth0\naddr add 192.0.2.7/32 dev eth0\n")
        .unwrap();
    change(&server, Grant::new([10, 77, 2, 6]).times(60, 90, 120));
    eventually("the addresses", SOON, || {
        let mut cidrs = container.cidrs();
        cidrs.sort();
        same(cidrs, &vec!["10.77.2.6/16".to_owned(), "192.0.2.7/32".to_owned()])
    });
    wait_announced(&capture, 0, [10, 77, 2, 6].into());
    wait_routes(
        &container,
        &["10.50.0.0/16 via 10.77.0.9 dev eth0", "default via 10.77.0.1 dev eth0"],
    );
    assert!(site.lan.ping(Place::Laptop, [10, 77, 2, 6].into()).unwrap());
    let shown = site.shown("web");
    assert_eq!(shown["address"], "10.77.2.6/16");
    assert_eq!(shown["docker_shows"], "10.77.1.5/16");
    container.stop(&site);
    let release = server.wait_for(MessageType::Release, SOON);
    assert_eq!(release.message.ciaddr, Ipv4Addr::new(10, 77, 2, 6));
}

#[test]
fn a_changed_router() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(1, 60, 120));
    container.ns.ip_batch("route add 10.50.0.0/16 via 10.77.0.9 dev eth0\n").unwrap();
    let routers = vec![Lan::LAPTOP];
    change(&server, Grant { routers, ..Grant::new(ADDRESS).times(60, 90, 120) });
    wait_routes(
        &container,
        &["10.50.0.0/16 via 10.77.0.9 dev eth0", "default via 10.77.0.9 dev eth0"],
    );
    assert_eq!(site.shown("web")["gateway"], "10.77.0.9");
    assert_eq!(container.cidrs(), ["10.77.1.5/16"]);
    // Docker removes the default route that it knows: ours must be out of its way by then.
    let _alive = container.inhabit(&site);
    container.leave(&site);
    eventually("no default route", SOON, || {
        same(container.routes(), &vec!["10.50.0.0/16 via 10.77.0.9 dev eth0".to_owned()])
    });
    container.move_out(&site);
    container.delete(&site);
}

#[test]
fn what_has_changed_is_in_the_log_with_what_it_was() {
    let dns = |last| Grant::new(ADDRESS).option(6, &[10, 77, 0, last]);
    let site = Site::new();
    let server = Server::granting(&site.lan, dns(1).option(15, b"home.example").times(2, 60, 120));
    site.network("lan", &[]);
    let _container = site.run("lan", "web", MAC);
    let shown = site.shown("web");
    assert_eq!((&shown["dns"], &shown["domain"]), (&json!(["10.77.0.1"]), &json!("home.example")));
    let mask = Some(Ipv4Addr::new(255, 255, 255, 0));
    let routers = vec![Lan::LAPTOP];
    let next = Grant { mask, routers, ..dns(9).times(60, 90, 120) }.option(42, &[10, 77, 0, 4]);
    change(&server, Grant { address: [10, 77, 0, 6].into(), ..next });
    let line = site.landfall.log().wait_for("lease changed: ", SOON).unwrap().text;
    for part in [
        "address 10.77.1.5/16 -> 10.77.0.6/24",
        "router 10.77.0.1 -> 10.77.0.9",
        "DNS servers 10.77.0.1 -> 10.77.0.9",
        "domain name home.example -> none",
        "NTP servers none -> 10.77.0.4",
        &format!("network={}", &id("lan")[..12]),
        &format!("endpoint={}", &id("web")[..12]),
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let shown = site.shown("web");
    assert_eq!((&shown["dns"], &shown["domain"]), (&json!(["10.77.0.9"]), &Value::Null));
}

#[test]
fn a_router_that_comes_and_one_that_goes() {
    let grant = Grant::new(ADDRESS).times(1, 60, 120);
    let (site, server, container) = run_with(Grant { routers: vec![], ..grant.clone() });
    assert_eq!(container.routes(), Vec::<String>::new());
    change(&server, grant.clone());
    wait_routes(&container, &["default via 10.77.0.1 dev eth0"]);
    change(&server, Grant { routers: vec![], ..grant });
    wait_routes(&container, &[]);
    assert_eq!(site.shown("web")["gateway"], Value::Null);
    assert_eq!(container.cidrs(), ["10.77.1.5/16"]);
}

#[test]
fn a_changed_mask() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(1, 60, 120));
    container.ns.ip_batch("route add 10.50.0.0/16 via 10.77.0.1 dev eth0\n").unwrap();
    let mask = Some(Ipv4Addr::new(255, 255, 255, 0));
    change(&server, Grant { mask, ..Grant::new(ADDRESS).times(60, 90, 120) });
    wait_address(&container, "10.77.1.5/24");
    // The router is outside the subnet now: reached on the link, and so is the route through it.
    wait_routes(
        &container,
        &[
            "10.50.0.0/16 via 10.77.0.1 dev eth0",
            "10.77.0.1 dev eth0",
            "default via 10.77.0.1 dev eth0",
        ],
    );
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(site.shown("web")["docker_shows"], "10.77.1.5/16");
}

#[test]
fn changed_classless_routes() {
    let routes = |third, router| {
        let mut routes = vec![16, 10, third, 10, 77, 0, router];
        routes.extend([0, 10, 77, 0, 1]);
        routes
    };
    let grant = Grant::new(ADDRESS).times(1, 60, 120);
    let (_site, server, container) = run_with(grant.clone().option(121, &routes(60, 1)));
    container.ns.ip_batch("route add 10.50.0.0/16 via 10.77.0.9 dev eth0\n").unwrap();
    let [by_hand, default] =
        ["10.50.0.0/16 via 10.77.0.9 dev eth0", "default via 10.77.0.1 dev eth0"];
    wait_routes(&container, &[by_hand, "10.60.0.0/16 via 10.77.0.1 dev eth0", default]);
    change(&server, grant.clone().option(121, &routes(60, 9)));
    wait_routes(&container, &[by_hand, "10.60.0.0/16 via 10.77.0.9 dev eth0", default]);
    change(&server, grant.clone().option(121, &routes(61, 9)));
    wait_routes(&container, &[by_hand, "10.61.0.0/16 via 10.77.0.9 dev eth0", default]);
    change(&server, grant);
    wait_routes(&container, &[by_hand, default]);
}

/// The first lease's routes are the engine's work.
#[test]
fn a_classless_route_that_goes() {
    let routes = [16, 10, 60, 10, 77, 0, 9, 0, 10, 77, 0, 1];
    let grant = Grant::new(ADDRESS).times(1, 60, 120);
    let (_site, server, container) = run_with(grant.clone().option(121, &routes));
    let default = "default via 10.77.0.1 dev eth0";
    wait_routes(&container, &["10.60.0.0/16 via 10.77.0.9 dev eth0", default]);
    change(&server, grant);
    wait_routes(&container, &[default]);
}

/// While a lease is away another interface may stand in; with the next lease the choice is Docker's again.
#[test]
fn the_default_route_comes_back_to_the_interface_that_had_it() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(1, 60, 120));
    let held: Ipv4Addr = ADDRESS.into();
    server.behave(move |request| {
        let refused = request.message.ciaddr == held;
        if refused { vec![nak(request, Lan::ROUTER, "no more")] } else { Vec::new() }
    });
    wait_routes(&container, &[]);
    container
        .ns
        .ip_batch(
            "link add eth1 type veth peer name eth1x\nlink set eth1 up\nlink set eth1x up\n\
             addr add 10.88.0.2/32 dev eth1\nroute add 10.88.0.0/16 dev eth1\n\
             route add default via 10.88.0.1 dev eth1\n",
        )
        .unwrap();
    server.grant(Grant::new([10, 77, 1, 6]).times(60, 90, 120));
    wait_routes(&container, &["10.88.0.0/16 dev eth1", "default via 10.77.0.1 dev eth0"]);
    assert_eq!(site.shown("web")["gateway"], "10.77.0.1");
}

/// Which of a container's networks has the default route is Docker's choice.
#[test]
fn the_default_route_of_another_interface_is_left_alone() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(1, 60, 120));
    let elsewhere = ["10.88.0.0/16 dev eth1", "default via 10.88.0.1 dev eth1"];
    container
        .ns
        .ip_batch(
            "route del default\n\
             link add eth1 type veth peer name eth1x\nlink set eth1 up\nlink set eth1x up\n\
             addr add 10.88.0.2/32 dev eth1\nroute add 10.88.0.0/16 dev eth1\n\
             route add default via 10.88.0.1 dev eth1\n",
        )
        .unwrap();
    let routers = vec![Lan::LAPTOP];
    change(&server, Grant { routers, ..Grant::new([10, 77, 2, 6]).times(1, 60, 120) });
    wait_address(&container, "10.77.2.6/16");
    eventually("the status", SOON, || {
        same(site.shown("web")["gateway"].clone(), &json!("10.77.0.9"))
    });
    wait_routes(&container, &elsewhere);
    // Nor does it go with the lease, or come with the next.
    let held: Ipv4Addr = [10, 77, 2, 6].into();
    let next = Grant::new(ADDRESS).times(60, 90, 120);
    server.behave(move |request| {
        if request.message.ciaddr == held {
            vec![nak(request, Lan::ROUTER, "no more")]
        } else {
            next.answer(request)
        }
    });
    wait_address(&container, "10.77.1.5/16");
    wait_routes(&container, &elsewhere);
    let _alive = container.inhabit(&site);
    container.leave(&site);
    wait_routes(&container, &elsewhere);
}

#[test]
fn a_server_that_grants_less_and_less() {
    let (site, server, container) = run_with(Grant::new(ADDRESS).times(1, 60, 1000));
    change(&server, Grant::new(ADDRESS).times(100, 200, 300));
    eventually("the shorter life", SOON, || {
        let seconds = container.addresses()[0]["valid_life_time"].as_u64().unwrap();
        if (250..=301).contains(&seconds) { Ok(()) } else { Err(seconds.to_string()) }
    });
    assert_eq!(site.shown("web")["state"], "BOUND");
}

/// A real server whose owner changed its configuration: dnsmasq keeps its leases and tells the news at the next renewal.
#[test]
fn a_dnsmasq_that_was_configured_anew() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let options = |router, lease| ServerOptions {
        router: Some(router),
        lease,
        renew: Some(2),
        rebind: Some(4),
        reservations: vec![Reservation { mac: MAC.into(), ip: ADDRESS.into(), name: None }],
        ..ServerOptions::default()
    };
    let mut server = Dnsmasq::start(lan.router_ns(), "eth0", options(Lan::ROUTER, 3600)).unwrap();
    let site = Site::on(lan);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    wait_routes(&container, &["default via 10.77.0.1 dev eth0"]);
    // Right after one renewal, so that it is back before the next: a lease as long as this is not asked for again within
    // a minute.
    let acks = |line: &str| line.contains("DHCPACK(") && line.contains(MAC);
    let mark = server.log().mark();
    server.log().wait_after(mark, "a renewal", acks, SOON).unwrap();
    server.stop().unwrap();
    let server = Dnsmasq::start(site.lan.router_ns(), "eth0", options(Lan::LAPTOP, 7200)).unwrap();
    wait_routes(&container, &["default via 10.77.0.9 dev eth0"]);
    eventually("the longer life", SOON, || {
        let seconds = container.addresses()[0]["valid_life_time"].as_u64().unwrap();
        if seconds > 3600 { Ok(()) } else { Err(seconds.to_string()) }
    });
    assert_eq!(container.cidrs(), ["10.77.1.5/16"]);
    assert!(container.ping(Lan::LAPTOP));
    assert_eq!(server.logged(Message::Discover, MAC), Vec::<String>::new());
    container.stop(&site);
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
}
