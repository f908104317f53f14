//! What a container tells the LAN's DHCP server of itself, and what it asks it for, as `docker` lets users say it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::thread;

use lab::{
    DhcpServer, DhcpServer6, Dnsmasq, Kea, Kea6, Lan, LanOptions, Message, Mode6, Radvd,
    RouterOptions, ServerOptions, ServerOptions6,
};

use crate::identities::{identities, identity};
use crate::site::{SOON, Site, inside, run_args, until};

const MAC: &str = "02:00:00:00:00:48";
/// What the server keeps for the client identifier `disk7`, whatever its MAC.
const RESERVED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 77);
const REQUESTED: &str = "10.77.5.50";

#[test]
fn containers_say_who_they_are_and_what_they_want() {
    let lan = Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap();
    let options = ServerOptions {
        ipv6: Some(Mode6::Stateful),
        extra: vec![format!("--dhcp-host=id:disk7,{RESERVED}")],
        ..ServerOptions::default()
    };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let site = Site::on(lan, server, &[]);
    let classes = ["vendor_class=acme", "user_class=iot", "register_dns=true", "ipv6=auto"];
    site.network("lan", &classes);
    told_by_a_container(&site);
    an_address_of_its_own(&site);
    no_name(&site);
}

/// A server that remembers nobody whose lease is given back, as Kea, is asked for what the name had.
#[test]
fn a_name_asks_for_the_addresses_that_it_gave_back() {
    let lan = Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap();
    let router = lan.router_ns();
    let server = Kea::start(router, "eth0", ServerOptions::default()).unwrap();
    let server6 = Kea6::start(router, "eth0", &ServerOptions6::default()).unwrap();
    let managed = RouterOptions { managed: true, ..RouterOptions::default() };
    let _router = Radvd::start(router, "eth0", &managed).unwrap();
    let mut site = Site::on(lan, server, &[]);
    site.network("lan", &["ipv6=dhcp"]);
    let run = |site: &Site<Kea>, name: &str| {
        site.run(name, &["--network", "lan"]);
        let format = "{{(index .NetworkSettings.Networks \"lan\").GlobalIPv6Address}}";
        (identity(site, name, "lan"), site.inspect(name, format))
    };
    let web = run(&site, "web");
    assert!(!web.1.is_empty());
    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
    server6.wait_leases6("given back", SOON, &|leases| leases.is_empty()).unwrap();
    let other = run(&site, "other");
    assert!(other.0.1 != web.0.1 && other.1 != web.1, "{other:?} after {web:?}");
    site.landfall().kill9().unwrap();
    site.landfall().restart().unwrap();
    assert_eq!(run(&site, "web"), web);
    // Where another has it by then, it has one that is free.
    site.docker(&["rm", "-f", "web"]);
    let ip = format!("name=lan,driver-opt=ip={}", web.0.1);
    site.run("taker", &["--network", &ip]);
    let again = run(&site, "web").0;
    assert!(again.0 == web.0.0 && again.1 != web.0.1, "{again:?}");
    site.reached(again.1);
}

/// The same container name has the same MAC and the same address, for ever: over `rm` and `run`, networks that are made anew and
/// a Landfall that is started anew. And nobody else ever has them.
#[test]
fn a_name_has_its_identity_for_ever() {
    let mut site = Site::new(ServerOptions::default());
    site.network("lan", &[]);
    let run = |site: &Site, name: &str| {
        site.run(name, &["--network", "lan"]);
        identity(site, name, "lan")
    };
    let remove = |site: &Site, names: &[&str]| {
        site.docker(&[&["rm", "-f"], names].concat());
        site.no_lease_is_left();
    };
    let web = run(&site, "web");
    remove(&site, &["web"]);
    // Whoever comes within a minute is somebody else.
    let other = run(&site, "other");
    assert!(other.0 != web.0 && other.1 != web.1, "{other:?} after {web:?}");
    assert_eq!(run(&site, "web"), web);
    remove(&site, &["web", "other"]);
    site.docker(&["network", "rm", "lan"]);
    site.landfall().kill9().unwrap();
    site.landfall().restart().unwrap();
    site.network("lan", &[]);
    assert_eq!(run(&site, "other"), other);
    assert_eq!(run(&site, "web"), web);

    // The name goes over to another while its owner runs on under a new one.
    site.docker(&["rename", "web", "old"]);
    let new = run(&site, "web");
    assert!(new.0 != web.0 && new.1 != web.1, "{new:?} beside {web:?}");
    remove(&site, &["web", "old", "other"]);

    // By a name of its own, whatever the container is called.
    let asks = "name=lan,driver-opt=identity=web";
    site.run("any", &["--network", asks]);
    assert_eq!(identity(&site, "any", "lan"), web);
}

/// With nothing said of `release_delay`, as most have it: what a container had is held for its name, whoever comes at once
/// after it, one or several, and whether Docker asks for the address first or not.
#[test]
fn nobody_inherits_from_a_container_that_is_gone() {
    let site = Site::new(ServerOptions::default());
    let ipam = ["--ipam-driver", "landfall", "--ipam-opt", "bridge=br0"];
    let networks = [("null", &["--ipam-driver", "null"][..]), ("own", &ipam)];
    for (before, (lan, ipam)) in networks.into_iter().enumerate() {
        let create = ["network", "create", "-d", "landfall", "-o", "bridge=br0"];
        site.docker(&[&create[..], ipam, &[lan]].concat());
        let plain = ["--network", lan];
        site.run("web", &plain);
        let web = identity(&site, "web", lan);
        site.docker(&["rm", "-f", "web"]);
        // It looks as that one did, but for its name.
        site.run("next", &plain);
        let next = identity(&site, "next", lan);
        site.docker(&["rm", "-f", "next"]);
        let names = ["one", "two", "three", "four"];
        thread::scope(|scope| {
            for name in names {
                let (site, plain) = (&site, &plain);
                scope.spawn(move || site.run(name, plain));
            }
        });
        let found = identities(&site, &names.map(String::from), lan);
        let all = || found.values().chain([&web, &next]);
        let macs: BTreeSet<_> = all().map(|(mac, _)| mac).collect();
        let addresses: BTreeSet<_> = all().map(|(_, address)| address).collect();
        let distinct = (macs.len(), addresses.len());
        assert_eq!(distinct, (6, 6), "{found:?} after {web:?} and {next:?}");

        for (name, had) in [("next", next), ("web", web)] {
            let held = |e: &serde_json::Value| e["mac"] == *had.0 && !e["held_until"].is_null();
            assert!(site.endpoints().iter().any(held), "{name}: {had:?}");
            site.run(name, &plain);
            assert_eq!(identity(&site, name, lan), had, "{name}");
            // Its MAC is that of the name on the network before as well, with which its lease went.
            site.logged(Message::Discover, &had.0, before + 1);
            site.logged(Message::Release, &had.0, before);
        }
        site.docker(&[&["rm", "-f", "web", "next"], &names[..]].concat());
        site.docker(&["network", "rm", lan]);
        site.no_lease_is_left();
    }
}

/// With leases taken in advance a name keeps the MAC that it got with its first, and a new one has its lease before it
/// starts.
#[test]
fn a_name_keeps_what_was_taken_in_advance() {
    let mut site = Site::new(ServerOptions::default());
    site.network("lan", &["warm=2"]);
    let run = |site: &Site, name: &str| {
        let stock = site.stock(2);
        site.run(name, &["--network", "lan"]);
        let found = identity(site, name, "lan");
        (stock.iter().any(|(mac, _)| *mac == found.0), found)
    };
    let (of_stock, web) = run(&site, "web");
    assert!(of_stock, "{web:?}");
    let (of_stock, db) = run(&site, "db");
    assert!(of_stock && db.0 != web.0, "{db:?} beside {web:?}");
    site.docker(&["rm", "-f", "web", "db"]);
    until("both given back", SOON, || {
        let leases = site.server.leases().unwrap();
        (![&web, &db].iter().any(|(mac, _)| leases.iter().any(|l| l.mac == *mac))).then_some(())
    });
    site.landfall().kill9().unwrap();
    site.landfall().restart().unwrap();
    let (of_stock, again) = run(&site, "web");
    assert!(!of_stock);
    assert_eq!(again, web);
}

/// Waits for a line of the server's log.
fn logged(site: &Site, words: &str) {
    let found = site.server.log().wait_for(words, SOON);
    found.unwrap_or_else(|error| panic!("{error}\n{}", site.server.log().tail(60)));
}

/// How many lines of the server's log have these words.
fn times(site: &Site, words: &str) -> usize {
    site.server.log().grep(words).len()
}

/// Waits until Landfall knows the name that a container has in its own eyes.
fn known_as(site: &Site, name: &str) {
    until("the container's own name", SOON, || {
        site.endpoints().iter().any(|endpoint| endpoint["host_name"] == name).then_some(())
    });
}

fn told_by_a_container(site: &Site) {
    let on_lan = "name=lan,driver-opt=hostname=web,driver-opt=client_id=disk7,\
                  driver-opt=com.docker.network.endpoint.ifname=uplink0";
    site.run("one", &["--network", on_lan, "--hostname", "box", "--mac-address", MAC]);
    assert_eq!(site.address("one", "lan"), RESERVED);
    // Option 81, which the server answers, and never 12 beside it.
    for words in ["vendor class: acme", "user class: iot", "name: web", "option: 81 FQDN"] {
        logged(site, words);
    }
    let lease = site.named_lease(MAC, "web");
    assert_eq!(lease.ip, RESERVED);
    let table = site.server.table().unwrap();
    let of_ipv4 = table.lines().find(|line| line.contains(MAC)).unwrap();
    assert!(of_ipv4.ends_with(" web 00:64:69:73:6b:37"), "{of_ipv4}");
    // Beside its address, what a DHCPv6 server was told: option 39.
    assert_eq!(table.lines().filter(|line| line.contains(" web ")).count(), 2, "{table}");

    assert_eq!(inside(&site.sandbox("one"), "uplink0").mac, MAC);
    known_as(site, "box");
    assert_eq!(times(site, "name: box"), 0);
    site.docker(&["restart", "-t", "1", "one"]);
    assert_eq!(site.address("one", "lan"), RESERVED);
    assert_eq!(site.named_lease(MAC, "web").ip, RESERVED);
    site.docker(&["rm", "-f", "one"]);
    site.no_lease_is_left();
}

fn an_address_of_its_own(site: &Site) {
    site.run("one", &[]);
    let ip = format!("ip={REQUESTED}");
    site.docker(&["network", "connect", "--driver-opt", &ip, "lan", "one"]);
    assert_eq!(site.address("one", "lan").to_string(), REQUESTED);
    site.reached(REQUESTED.parse().unwrap());

    // Another's, one of another subnet, and an option that there is not.
    let before = (site.host_links(), site.server.leases().unwrap());
    for (option, words) in [
        (&*ip, "on br0 offered 10.77."),
        (&*ip, &*format!("and not {REQUESTED}, which `ip={REQUESTED}` asks for")),
        ("ip=192.168.1.1", "and not 192.168.1.1"),
        ("hostnme=web", "did you mean \"hostname\"?"),
    ] {
        let on_lan = format!("name=lan,driver-opt={option}");
        let said = site.docker_fails(&run_args("two", &["--network", &on_lan]));
        assert!(said.contains(words), "no {words:?} in: {said}");
        site.docker(&["rm", "two"]);
        assert_eq!((site.host_links(), site.server.leases().unwrap()), before);
        assert_eq!(site.endpoints().len(), 1);
    }
    site.docker(&["rm", "-f", "one"]);
    site.no_lease_is_left();
}

fn no_name(site: &Site) {
    site.network("quiet", &["hostname=none"]);
    site.run("one", &["--network", "quiet", "--hostname", "box", "--mac-address", MAC]);
    known_as(site, "box");
    let leases = site.server.leases().unwrap();
    assert_eq!(leases.iter().map(|lease| &lease.name).collect::<Vec<_>>(), [&None]);
    assert_eq!(times(site, "name: box"), 0);
    site.docker(&["rm", "-f", "one"]);
    site.no_lease_is_left();
}
