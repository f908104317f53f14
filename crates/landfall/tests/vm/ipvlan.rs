//! Containers that are ipvlan children of a network card, and share its MAC.

use lab::{DhcpServer, Dnsmasq, Lan, LanOptions, Message, ServerOptions};

use crate::container::Container;
use crate::pools::{Pool, try_create};
use crate::site::{SOON, Site, at_once, eventually, ip_json, same};

const IPVLAN: [(&str, &str); 2] = [("mode", "ipvlan"), ("parent", "eth0")];

/// A LAN to which the host is connected by a network card.
fn lan() -> Lan {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let card =
        "link add wire type veth peer name eth0\nlink set wire master br0 up\nlink set eth0 up\n";
    lan.host_ns().ip_batch(card).unwrap();
    lan
}

#[test]
#[ignore = "runs in a virtual machine"]
fn all_share_the_parents_mac() {
    let lan = lan();
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

/// With Landfall as IPAM driver: the lease is there before the child.
#[test]
#[ignore = "runs in a virtual machine"]
fn addresses_before_endpoints() {
    let lan = lan();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let mut site = Site::on(lan);
    let links = site.links();
    let pool = Pool::with_network(&site, "lan", &IPVLAN, &[]);
    assert_eq!(pool.id, "parent:eth0:10.77.0.0/16");
    assert_eq!(server.leases().unwrap(), [], "no lease is taken");
    let (web, db) = (pool.run(&site, "lan", "web"), pool.run(&site, "lan", "db"));
    for container in [&web, &db] {
        assert_eq!(container.endpoint.mac, "", "there is none to be set");
        assert!(container.ping(Lan::ROUTER));
        assert!(site.lan.laptop_ns().ping(container.ip()).unwrap());
    }
    assert!(web.ip() != db.ip() && web.ping(db.ip()));
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
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    site.delete_network("lan");
    pool.release(&site);
    assert_eq!(site.links(), links);
}

/// Each tries whether the parent admits a child.
#[test]
#[ignore = "runs in a virtual machine"]
fn networks_that_are_made_at_once() {
    let site = Site::on(lan());
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let made = at_once(names.to_vec(), |name| {
        site.call("CreateNetwork", &site.network_argument(name, &IPVLAN))
    });
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}
