//! Landfall as Docker's IPAM driver too.

use lab::{Capture, DhcpServer, Dnsmasq, Lease, Message, ServerOptions};
use serde_json::Value;

use crate::identities::{all_come_back, identity};
use crate::macvlan;
use crate::site::{
    DISCOVER, REQUEST, SOON, Site, count, default_routes, inside, lan_with_dnsmasq, nth, run_args,
    until,
};

/// Of a container that publishes a port of its own.
const NAME: &str = "published";
const MAC: &str = "02:00:00:00:00:49";
/// In the server's pool.
const ASKED: &str = "10.77.5.60";
const ROUTER: &str = "10.77.0.1";
/// The command of the documentation.
const CREATE: [&str; 10] = [
    "network",
    "create",
    "-d",
    "landfall",
    "--ipam-driver",
    "landfall",
    "--ipam-opt",
    "bridge=br0",
    "-o",
    "bridge=br0",
];

/// What `docker network inspect` shows of a network's addresses.
fn shown(site: &Site, network: &str) -> (String, String) {
    let config = site.docker(&["network", "inspect", "-f", "{{json .IPAM.Config}}", network]);
    let config: Value = serde_json::from_str(&config).unwrap();
    let text = |key: &str| config[0][key].as_str().unwrap_or_default().to_owned();
    let gateway = text("Gateway");
    // Up to engine 26 with its prefix, where its user did not name it.
    (text("Subnet"), gateway.split('/').next().unwrap().to_owned())
}

fn create(site: &Site, name: &str, options: &[&str]) {
    site.docker(&[&CREATE[..], options, &[name]].concat());
}

#[test]
fn networks_show_the_lans_subnet_and_containers_have_its_leases() {
    let site = Site::new(ServerOptions::default());
    let links = site.host_links();
    let wanted = ("10.77.0.0/16".to_owned(), ROUTER.to_owned());
    // By the command that knows what Docker must be told.
    let command = ["network", "create", "lan", "--bridge", "br0", "--ipam"];
    assert_eq!(
        site.landfall_says(&[&command[..], &["--print"]].concat()),
        "docker network create -d landfall --ipam-driver landfall --ipam-opt bridge=br0 -o bridge=br0 lan\n"
    );
    site.landfall_says(&command);
    assert_eq!(shown(&site, "lan"), wanted);
    site.docker(&["network", "rm", "lan"]);
    assert_eq!(site.host_links(), links);
    let release = ["-o", "release_delay=0"];
    create(
        &site,
        "lan",
        &[&["--subnet", "10.77.0.0/16", "--gateway", ROUTER], &release[..]].concat(),
    );
    assert_eq!(shown(&site, "lan"), wanted);

    site.run("web", &["--network", "lan"]);
    let at = site.shown("web", "lan");
    let sandbox = site.sandbox("web");
    let there = inside(&sandbox, "eth0");
    assert_eq!((&there.mac, at.prefix, &*at.gateway), (&at.mac, 16, ROUTER));
    assert_eq!(there.addresses, [format!("{}/16", at.address)]);
    assert!(there.lives > 0 && there.lives < 1 << 30, "as long as its lease: {there:?}");
    assert_eq!(default_routes(&sandbox), [(ROUTER.to_owned(), "eth0".to_owned())]);
    site.reached(at.address);
    site.logged(Message::Discover, &at.mac, 1);

    // An address and a MAC of its own.
    let own = ["--network", "lan", "--ip", ASKED, "--mac-address", MAC];
    site.run("own", &own);
    assert_eq!(identity(&site, "own", "lan"), (MAC.to_owned(), ASKED.parse().unwrap()));
    site.logged(Message::Discover, MAC, 1);
    site.docker(&["stop", "own"]);
    site.docker(&["start", "own"]);
    assert_eq!(identity(&site, "own", "lan"), (MAC.to_owned(), ASKED.parse().unwrap()));
    // Another has it.
    let said = site.docker_fails(&run_args("two", &["--network", "lan", "--ip", ASKED]));
    assert!(said.contains(ASKED), "{said}");

    site.docker(&["rm", "-f", "own", "web", "two"]);
    site.no_lease_is_left();
    site.docker(&["network", "rm", "lan"]);
    assert_eq!((site.endpoints().len(), site.host_links()), (0, links));
}

/// A container has its lease before anything of it is there, and keeps it over everything that ends.
#[test]
fn a_lease_comes_first_and_stays() {
    let mut site = Site::new(ServerOptions::default());
    create(&site, "lan", &["--subnet", "10.77.0.0/16"]);
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.run(NAME, &["--network", "lan", "--restart", "always", "-p", "8080:80"]);
    let web = identity(&site, NAME, "lan");
    site.reached(web.1);
    nth(&capture, &web.0, REQUEST, 1, SOON);
    let log = site.log().tail(200);
    let at = |words: &str| log.find(words).unwrap_or_else(|| panic!("no {words:?} in: {log}"));
    assert!(at("IpamDriver.RequestAddress") < at("endpoint made"));

    // What its user asks of the driver is known when Docker asks for the address.
    let asks = "name=lan,driver-opt=identity=disk7,driver-opt=hostname=disk7";
    site.run("any", &["--network", asks]);
    let disk7 = identity(&site, "any", "lan");
    site.docker(&["rm", "-f", "any"]);
    site.run("other", &["--network", asks]);
    assert_eq!(identity(&site, "other", "lan"), disk7);
    assert_eq!(count(&capture, &disk7.0, DISCOVER), 1);
    site.docker(&["rm", "-f", "other"]);

    // A restart of the container, of Landfall, of dockerd, and dockerd's sudden end.
    site.docker(&["restart", "-t", "0", NAME]);
    assert_eq!(identity(&site, NAME, "lan"), web);
    site.landfall().kill9().unwrap();
    site.landfall().restart().unwrap();
    site.reached(web.1);
    let names = [NAME.to_owned()];
    all_come_back(&mut site, &names, "lan", |site| site.engine.restart_dockerd(&[]).unwrap());
    all_come_back(&mut site, &names, "lan", |site| site.engine.kill_dockerd(&[]).unwrap());
    assert_eq!(identity(&site, NAME, "lan"), web);
    site.docker(&["rm", "-f", NAME]);
    site.run(NAME, &["--network", "lan", "-p", "8080:80"]);
    assert_eq!(identity(&site, NAME, "lan"), web);
    assert_eq!(count(&capture, &web.0, DISCOVER), 1, "it was never asked for anew");
    site.docker(&["rm", "-f", NAME]);
    site.docker(&["network", "rm", "lan"]);
    site.no_lease_is_left();
    assert_eq!(site.endpoints().len(), 0);
}

#[test]
fn an_address_out_of_the_stock() {
    let site = Site::new(ServerOptions::default());
    create(&site, "lan", &["-o", "warm=2", "-o", "release_delay=0"]);
    let stock = site.stock(2);
    site.run("web", &["--network", "lan"]);
    let at = site.shown("web", "lan");
    let has = (at.mac.clone(), format!("{}/16", at.address));
    assert!(stock.contains(&has), "{has:?} of {stock:?}");
    let there = inside(&site.sandbox("web"), "eth0");
    assert_eq!((there.mac, there.addresses), (has.0, vec![has.1]));
    site.reached(at.address);
    site.logged(Message::Discover, &at.mac, 1);
    site.docker(&["rm", "-f", "web"]);
    site.docker(&["network", "rm", "lan"]);
    site.no_lease_is_left();
    assert_eq!(site.endpoints().len(), 0);
}

#[test]
fn what_cannot_be_is_refused_in_plain_words() {
    let site = Site::new(ServerOptions::default());
    let links = site.host_links();
    for (options, words) in [
        (&["--subnet", "10.78.0.0/16"][..], "Write `--subnet 10.77.0.0/16`, or leave it out"),
        (
            &["--subnet", "10.77.0.0/16", "--gateway", "10.77.0.9"],
            "that the DHCP server names, 10.77.0.1",
        ),
        (&["--subnet", "10.77.0.0/16", "--ip-range", "10.77.9.0/24"], "--ip-range 10.77.9.0/24"),
        (&["--ipam-opt", "birdge=br0"], "did you mean \"bridge\"?"),
        (&["-o", "no_server=wait"], "option no_server=wait cannot be had"),
    ] {
        let said = site.docker_fails(&[&CREATE[..], options, &["lan"]].concat());
        assert!(said.contains(words), "no {words:?} in: {said}");
        assert!(!site.docker(&["network", "ls", "--format", "{{.Name}}"]).contains("lan"));
    }
    until("the port is gone", SOON, || (site.host_links() == links).then_some(()));
}

/// As docs/moving-over.md has it, for who comes from Docker's macvlan with a static pool.
#[test]
fn an_address_of_its_own_on_a_network_card() {
    let lan = macvlan::lan();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let mut site = Site::on(lan, server, &[]);
    let links = site.host_links();
    let mut args = vec!["network", "create", "-d", "landfall", "--ipam-driver", "landfall"];
    let pool = ["mode=macvlan", "parent=eth0", "macvlan_mode=bridge", "lease_timeout=5s"];
    args.extend(pool.iter().flat_map(|option| ["--ipam-opt", *option]));
    args.extend(["-o", "mode=macvlan", "-o", "parent=eth0", "--subnet", "10.77.0.0/16", "lan"]);
    site.server.stop().unwrap();
    let said = site.docker_fails(&args);
    assert!(said.contains("no DHCP server answered on eth0 within 5s"), "{said}");
    site.server.restart().unwrap();
    site.docker(&args);
    assert_eq!(shown(&site, "lan").0, "10.77.0.0/16");

    let asks = ["--network", "lan", "--ip", ASKED];
    site.run("web", &asks);
    site.run("db", &["--network", "lan"]);
    let (web, db) = (site.shown("web", "lan"), site.shown("db", "lan"));
    assert_eq!(web.address.to_string(), ASKED);
    for (name, at) in [("web", &web), ("db", &db)] {
        let sandbox = site.sandbox(name);
        let has = inside(&sandbox, "eth0");
        assert_eq!((has.mac, has.addresses), (at.mac.clone(), vec![format!("{}/16", at.address)]));
        let link = sandbox.ok(&["ip", "-d", "link", "show", "eth0"]).unwrap();
        assert!(link.contains("macvlan mode bridge "), "{link}");
        assert_eq!(default_routes(&sandbox), [(ROUTER.to_owned(), "eth0".to_owned())]);
        site.reached(at.address);
        site.logged(Message::Discover, &at.mac, 1);
    }
    assert!(site.sandbox("db").ping(web.address).unwrap());
    let said = site.docker_fails(&run_args("two", &asks));
    assert!(said.contains(ASKED), "{said}");
    site.docker(&["rm", "two"]);
    site.docker(&["restart", "-t", "0", "web"]);
    assert_eq!(site.shown("web", "lan"), web);
    site.reached(web.address);

    site.docker(&["rm", "-f", "web", "db"]);
    site.docker(&["network", "rm", "lan"]);
    site.no_lease_is_left();
    assert_eq!((site.endpoints().len(), site.host_links()), (0, links));
}

/// What a container of Docker's own driver has: an address that the server has leased, prolonged, and given back.
fn on_a_network_of_dockers_own(site: &Site, create: &[&str]) {
    let links = site.host_links();
    let head = ["network", "create", "--ipam-driver", "landfall"];
    site.docker(&[&head[..], create, &["lan"]].concat());
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.run("web", &["--network", "lan"]);
    let at = site.shown("web", "lan");
    let lease = |leases: &[Lease]| leases.iter().find(|lease| lease.ip == at.address).cloned();
    let what = format!("a lease of {}", at.address);
    let leased = site.server.wait_leases(&what, SOON, &|all| lease(all).is_some()).unwrap();
    let mac = lease(&leased).unwrap().mac;
    assert_ne!(mac, at.mac, "the lease has a MAC of its own");
    let sandbox = site.sandbox("web");
    assert_eq!(inside(&sandbox, "eth0").addresses, [format!("{}/16", at.address)]);
    assert_eq!(default_routes(&sandbox), [(ROUTER.to_owned(), "eth0".to_owned())]);
    site.reached(at.address);
    assert!(sandbox.ping(ROUTER.parse().unwrap()).unwrap());
    // The first, and two renewals; the container is in reach all the same.
    nth(&capture, &mac, REQUEST, 3, SOON);
    site.logged(Message::Ack, &mac, 3);
    site.reached(at.address);
    assert_eq!(site.shown("web", "lan").address, at.address);
    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
    site.docker(&["network", "rm", "lan"]);
    assert_eq!(site.endpoints().len(), 0);
    until("nothing is left", SOON, || (site.host_links() == links).then_some(()));
}

fn renewing() -> ServerOptions {
    ServerOptions { renew: Some(3), ..ServerOptions::default() }
}

#[test]
fn dockers_own_macvlan_has_leases() {
    let lan = macvlan::lan();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", renewing()).unwrap();
    let site = Site::on(lan, server, &[]);
    let create = ["-d", "macvlan", "--ipam-opt", "parent=eth0", "-o", "parent=eth0"];
    on_a_network_of_dockers_own(&site, &create);
}

#[test]
fn dockers_own_bridge_has_leases() {
    let (lan, server) = lan_with_dnsmasq(renewing());
    let site = Site::on(lan, server, &[]);
    let create = [
        "-d",
        "bridge",
        "--ipam-opt",
        "parent=br0",
        "-o",
        "com.docker.network.bridge.name=br0",
        "--subnet",
        "10.77.0.0/16",
        "--gateway",
        "10.77.0.2",
        "--aux-address",
        "DefaultGatewayIPv4=10.77.0.1",
    ];
    on_a_network_of_dockers_own(&site, &create);
}
