//! Containers that are ipvlan children of a network card, and share its MAC.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use lab::{
    DhcpServer, DhcpServer6, Dnsmasq, Kea6, Lan, LanOptions, Lease6, Message, Message6, Mode6,
    Place, Radvd, RouterOptions, ServerOptions, ServerOptions6,
};

use crate::container::Container;
use crate::pools::{Pool, try_create};
use crate::site::{SOON, Site, at_once, eventually, ip_json, prolonged, same, stocked_for_good};

const IPVLAN: [(&str, &str); 2] = [("mode", "ipvlan"), ("parent", "eth0")];

/// A LAN to which the host is connected by a network card.
pub(crate) fn lan(options: LanOptions) -> Lan {
    let lan = Lan::new(options).unwrap();
    let card =
        "link add wire type veth peer name eth0\nlink set wire master br0 up\nlink set eth0 up\n";
    lan.host_ns().ip_batch(card).unwrap();
    lan
}

#[test]
#[ignore = "runs in a virtual machine"]
fn all_share_the_parents_mac() {
    let lan = lan(LanOptions::default());
    let options = ServerOptions { renew: Some(5), ..ServerOptions::default() };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let mut site = Site::on(lan);
    let mac = ip_json(site.host(), &["link", "show", "eth0"])[0]["address"].clone();
    let mac = mac.as_str().unwrap().to_owned();
    // A parent with macvlan children, wherever these are, admits no ipvlan child.
    let links = site.links();
    let elsewhere = site.lan.laptop_ns().path().display().to_string();
    let child = format!("link add mv0 link eth0 netns {elsewhere} type macvlan\n");
    site.host().ip_batch(&child).unwrap();
    let refusal = site.call("CreateNetwork", &site.network_argument("lan", &IPVLAN)).unwrap_err();
    assert!(refusal.contains("eth0 is in use by something that admits no child"), "{refusal}");
    site.lan.laptop_ns().ip_batch("link delete mv0\n").unwrap();
    site.network("lan", &IPVLAN);
    assert_eq!(site.links(), links, "what was tried is gone");
    let refusal = site.try_create("lan", "bad", "02:00:00:00:00:42").unwrap_err();
    assert!(refusal.contains("leave out `--mac-address`"), "{refusal}");

    let (web, db) = (site.run("lan", "web", ""), site.run("lan", "db", ""));
    for container in [&web, &db] {
        assert_eq!(container.endpoint.mac, "", "there is none to be set");
        let inside = &ip_json(&container.ns, &["link", "show", "eth0"])[0];
        assert_eq!(inside["linkinfo"]["info_kind"], "ipvlan", "{inside}");
        assert_eq!(inside["linkinfo"]["info_data"]["mode"], "l2", "{inside}");
        assert_eq!(inside["address"], mac.as_str());
        assert_eq!(container.routes(), ["default via 10.77.0.1 dev eth0"]);
        assert!(container.ping(Lan::ROUTER));
        assert!(site.lan.laptop_ns().ping(container.ip()).unwrap());
    }
    assert!(web.ip() != db.ip() && web.ping(db.ip()));
    // What tells them apart is an identifier of IAID and DUID (RFC 4361).
    let table = server.table().unwrap();
    let mine: Vec<&str> = table.lines().filter(|line| line.contains(&mac)).collect();
    assert!(mine.len() == 2 && mine.iter().all(|line| line.contains(" ff:")), "{table}");

    // The server's answer to a unicast is heard, also by the next daemon.
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let mark = server.log().mark();
    for container in [&web, &db] {
        let (ip, acknowledged) = (container.ip().to_string(), server.words(Message::Ack));
        let of_it = |line: &str| line.contains(acknowledged) && line.contains(&ip);
        server.log().wait_after(mark, "a renewal", of_it, SOON).unwrap();
    }
    eventually("both have renewed", SOON, || same(site.leases("renewed") >= 2, &true));
    assert_eq!(server.log().grep(server.words(Message::Discover)).len(), 2);
    eventually("their interfaces are known", SOON, || {
        let of = |name| site.shown(name)["interface"].clone();
        same([of("web"), of("db")], &["eth0".into(), "eth0".into()])
    });

    // A parent with ipvlan children admits no macvlan child.
    let macvlan = [("mode", "macvlan"), ("parent", "eth0")];
    let refusal = site.call("CreateNetwork", &site.network_argument("bad", &macvlan)).unwrap_err();
    assert!(refusal.contains("eth0 is in use by something that admits no child"), "{refusal}");

    let ip = web.ip();
    web.stop(&site);
    assert!(!db.ping(ip) && db.ping(Lan::ROUTER), "each has a link of its own");
    db.stop(&site);
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    site.delete_network("lan");
    let links = site.links();
    assert!(
        !links.iter().any(|name| name.starts_with('l') && name != "lo" && name != "laptop"),
        "{links:?}"
    );
}

/// As when a bond goes over to its other card: the kernel gives all children the new one (`daemon::passthru` says more).
#[test]
#[ignore = "runs in a virtual machine"]
fn the_parents_mac_is_another_now() {
    const NEW: &str = "02:00:00:00:00:99";
    let lan = lan(LanOptions::default());
    let options = ServerOptions { renew: Some(5), ..ServerOptions::default() };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let site = Site::on(lan);
    site.network("lan", &IPVLAN);
    let all = [site.run("lan", "web", ""), site.run("lan", "db", "")];
    let laptop = site.lan.laptop_ns();
    for container in &all {
        assert!(laptop.ping(container.ip()).unwrap());
    }
    let mark = server.log().mark();
    site.host().ip_batch(&format!("link set eth0 address {NEW}\n")).unwrap();
    for container in &all {
        let ip = container.ip().to_string();
        eventually("its neighbours are told", SOON, || {
            same(ip_json(laptop, &["neigh", "show", &ip])[0]["lladdr"].clone(), &NEW.into())
        });
        let acknowledged = server.words(Message::Ack);
        let of_it =
            |line: &str| line.contains(acknowledged) && line.contains(&ip) && line.contains(NEW);
        server.log().wait_after(mark, "its lease goes on", of_it, SOON).unwrap();
        assert!(container.ping(Lan::ROUTER) && laptop.ping(container.ip()).unwrap());
    }
    assert_eq!(server.log().grep(server.words(Message::Discover)).len(), 2);
}

/// With Landfall as IPAM driver: the lease is there before the child.
#[test]
#[ignore = "runs in a virtual machine"]
fn addresses_before_endpoints() {
    let (mut site, server) = dual();
    let links = site.links();
    let pool = Pool::with_network(&site, "lan", &IPVLAN, &[("ipv6", "auto")]);
    assert_eq!(pool.id, "parent:eth0:10.77.0.0/16");
    assert_eq!(server.leases().unwrap(), [], "no lease is taken");
    let (web, db) = (pool.run(&site, "lan", "web"), pool.run(&site, "lan", "db"));
    for container in [&web, &db] {
        assert_eq!(container.endpoint.mac, "", "there is none to be set");
        assert!(container.ping(Lan::ROUTER));
        assert!(site.lan.laptop_ns().ping(container.ip()).unwrap());
    }
    assert!(web.ip() != db.ip() && web.ping(db.ip()));
    reached_by_ipv6(&site, [("web", &web), ("db", &db)]);
    let asked = || server.log().grep(server.words(Message::Discover)).len();
    assert_eq!(asked(), 3, "the pool's, and one for each");

    // The daemon ends between the address and its endpoint.
    let address = pool.address(&site, Some("mid")).unwrap();
    assert_eq!(server.leases().unwrap().len(), 3);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let endpoint = try_create(&site, "lan", "mid", "", &address).unwrap();
    let mid = Container::start(&site, endpoint);
    assert!(mid.ping(Lan::ROUTER));
    assert_eq!(asked(), 4, "it goes on with its lease");

    for container in [web, db, mid] {
        pool.end(&site, container);
    }
    no_lease_is_left(&server);
    site.delete_network("lan");
    pool.release(&site);
    assert_eq!(site.links(), links);
}

/// Each tries whether the parent admits a child.
#[test]
#[ignore = "runs in a virtual machine"]
fn networks_that_are_made_at_once() {
    let site = Site::on(lan(LanOptions::default()));
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let made = at_once(names.to_vec(), |name| {
        site.call("CreateNetwork", &site.network_argument(name, &IPVLAN))
    });
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

/// The link-local address that a container has from Landfall, and its other two.
fn addresses6(
    site: &Site,
    (name, container): (&str, &Container),
) -> (Ipv6Addr, BTreeSet<Ipv6Addr>) {
    let own = || site.shown(name)["ipv6"]["link_local"].as_str().map(str::to_owned);
    eventually("its addresses", SOON, || {
        let all = container.ns.addresses6(&container.interface).unwrap();
        let seen = format!("{all:?}");
        let (links, others): (Vec<_>, Vec<_>) =
            all.iter().map(|address| address.ip).partition(|ip| ip.is_unicast_link_local());
        match links[..] {
            [link] if others.len() == 2 && own() == Some(link.to_string()) => {
                Ok((link, others.into_iter().collect()))
            }
            _ => Err(seen),
        }
    })
}

#[test]
#[ignore = "runs in a virtual machine"]
fn each_has_ipv6_addresses_of_its_own() {
    let mut site = Site::on(lan(LanOptions { ipv6: true, ..LanOptions::default() }));
    let router = site.lan.router_ns();
    let _dhcpv4 = Dnsmasq::start(router, "eth0", ServerOptions::default()).unwrap();
    let leases = ServerOptions6 {
        preferred: 16,
        renew: Some(4),
        rebind: Some(14),
        ..ServerOptions6::default()
    };
    let server = Kea6::start(router, "eth0", &leases).unwrap();
    let says = RouterOptions { managed: true, ..RouterOptions::default() };
    let _router = Radvd::start(router, "eth0", &says).unwrap();
    let refusal = site.network_argument(
        "bad",
        &[&IPVLAN[..], &[("ipv6", "auto"), ("ipv6_address", "eui64")]].concat(),
    );
    let refusal = site.call("CreateNetwork", &refusal).unwrap_err();
    assert!(refusal.contains("stable (or leave it out)"), "{refusal}");
    site.network("lan", &[&IPVLAN[..], &[("ipv6", "auto"), ("release_delay", "1h")]].concat());

    let known = |site: &Site, name| {
        let endpoint = site.try_create_asking("lan", name, "", &[("identity", "web")]).unwrap();
        Container::start(site, endpoint)
    };
    let (web, db) = (known(&site, "web"), site.run("lan", "db", ""));
    // One of the router's prefix, and one that is leased, for each; and nothing of it is another's.
    let both = [("web", &web), ("db", &db)];
    let all = |site: &Site| both.map(|container| addresses6(site, container));
    let [(web_own, web_all), (db_own, db_all)] = all(&site);
    assert!(web_own != db_own && web_all.is_disjoint(&db_all), "{web_all:?} {db_all:?}");
    let leased = server.leases6().unwrap();
    assert_eq!(leased.len(), 2, "{leased:?}");
    assert_ne!(leased[0].duid, leased[1].duid);
    let mac = ip_json(site.host(), &["link", "show", "eth0"])[0]["address"].clone();
    let mac = mac.as_str().unwrap().to_owned();
    for (container, has) in [(&web, &web_all), (&db, &db_all)] {
        assert!(leased.iter().any(|lease| has.contains(&lease.ip)), "{leased:?} {has:?}");
        for address in has {
            for place in [Place::Laptop, Place::Router] {
                assert!(site.lan.ping6(place, *address).unwrap(), "{place:?} to {address}");
            }
            // Neighbours are told the MAC of the card.
            let known = ["-6", "neigh", "show", &address.to_string()];
            let known = ip_json(site.lan.laptop_ns(), &known);
            assert_eq!(known[0]["lladdr"], mac.as_str(), "{known}");
        }
        for there in [Lan::ROUTER6, Lan::LAPTOP6] {
            assert!(container.ns.ping6(there).unwrap(), "{there}");
        }
    }
    assert!(db_all.iter().all(|address| web.ns.ping6(*address).unwrap()));

    // Why `ipv6_pd` is refused: what is routed to a container and is not an address of its interface does not come in there.
    let laptop = site.lan.laptop_ns();
    let behind = Ipv6Addr::new(0x2001, 0xdb8, 0x7700, 0, 0, 0, 0, 1);
    laptop.ip_batch(&format!("route add {behind}/128 via {web_own} dev eth0\n")).unwrap();
    web.ns.ip_batch(&format!("link set lo up\naddr add {behind}/128 dev lo\n")).unwrap();
    assert!(!laptop.ping6(behind).unwrap());
    web.ns.ip_batch(&format!("addr add {behind}/128 dev eth0 nodad\n")).unwrap();
    assert!(laptop.ping6(behind).unwrap());
    web.ns.ip_batch(&format!("addr del {behind}/128 dev eth0\n")).unwrap();

    // Servers' answers are heard while the containers have the addresses, also by the next daemon.
    let renewed = |site: &Site| ["web", "db"].map(|name| prolonged(site, name));
    renewed(&site);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    renewed(&site);
    for Lease6 { duid, .. } in &leased {
        let count = |message| server.logged6(message, duid).len();
        assert_eq!((count(Message6::Solicit), count(Message6::Rebind)), (1, 0));
    }
    assert_eq!(all(&site), [(web_own, web_all.clone()), (db_own, db_all)]);

    // The port answers for one whose container has ended, and it has all of it again.
    web.stop(&site);
    let laptop = site.lan.laptop_ns();
    laptop.ok(&["ip", "neigh", "flush", "dev", "eth0"]).unwrap();
    for address in &web_all {
        assert!(!laptop.ping6(*address).unwrap());
        let neighbour = ip_json(laptop, &["-6", "neigh", "show", &address.to_string()]);
        assert_eq!(neighbour[0]["lladdr"], mac.as_str(), "{neighbour}");
    }
    let again = known(&site, "again");
    assert_eq!(addresses6(&site, ("again", &again)), (web_own, web_all.clone()));
    assert!(web_all.iter().all(|address| laptop.ping6(*address).unwrap()));
    again.stop(&site);
    db.stop(&site);
    site.delete_network("lan");
    server.wait_leases6("given back", SOON, &|leases| leases.is_empty()).unwrap();
}

/// IPv4 and IPv6 of a router that has both.
fn dual() -> (Site, Dnsmasq) {
    let lan = lan(LanOptions { ipv6: true, ..LanOptions::default() });
    let options = ServerOptions { ipv6: Some(Mode6::Both), ..ServerOptions::default() };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    (Site::on(lan), server)
}

/// Each has two addresses of its own, at which the LAN reaches it.
fn reached_by_ipv6(site: &Site, both: [(&str, &Container); 2]) {
    let [(web_own, web), (db_own, db)] = both.map(|container| addresses6(site, container));
    assert!(web_own != db_own && web.is_disjoint(&db), "{web:?} {db:?}");
    for address in web.union(&db) {
        assert!(site.lan.ping6(Place::Laptop, *address).unwrap(), "{address}");
    }
}

fn no_lease_is_left(server: &Dnsmasq) {
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    server.wait_leases6("nor one of IPv6", SOON, &|leases| leases.is_empty()).unwrap();
}

/// Here a spare's MAC is not on the wire: a container gets the client identifier that is made of it.
#[test]
#[ignore = "runs in a virtual machine"]
fn leases_taken_in_advance() {
    let (mut site, server) = dual();
    site.network("lan", &[&IPVLAN[..], &[("warm", "2"), ("ipv6", "auto")]].concat());
    let stock = stocked_for_good(&site, 2);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let (web, db) = (site.run("lan", "web", ""), site.run("lan", "db", ""));
    // The other may have the one that was taken for the first.
    assert!(stock.contains(&web.endpoint.address), "{stock:?}");
    assert_ne!(web.ip(), db.ip());
    for container in [&web, &db] {
        assert!(site.lan.ping(Place::Laptop, container.ip()).unwrap());
    }
    reached_by_ipv6(&site, [("web", &web), ("db", &db)]);
    server.wait_leases("filled up", SOON, &|leases| leases.len() == 4).unwrap();
    assert_eq!(site.leases("handed_over"), 2, "no container asked for itself");
    web.stop(&site);
    db.stop(&site);
    site.delete_network("lan");
    no_lease_is_left(&server);
}
