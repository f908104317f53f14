//! Landfall as IPAM driver: a lease that is there before its endpoint.

use std::net::Ipv4Addr;
#[cfg(feature = "fault-points")]
use std::path::Path;

#[cfg(feature = "fault-points")]
use lab::{Lan, LanOptions};
use serde_json::{Value, json};
use wire::dhcp4::{MessageType, code};

use crate::container::{Container, endpoint_ref};
use crate::pools::{Pool, call, pool, try_create, with_pool};
use crate::server::{Grant, Request, Server};
use crate::site::{Endpoint, Pending, SOON, Site, endpoint_argument, eventually, id, same};
use crate::warm::by_mac;

const POOL: &str = "bridge:br0:10.77.0.0/16";
const MAC: &str = "02:00:00:00:00:42";

/// Gives what is asked for, else 10.77.1.X, where X is the last byte of the MAC.
fn grant(request: &Request) -> Grant {
    let message = &request.message;
    match message.options.get(code::REQUESTED_ADDRESS) {
        Some(&[a, b, c, d]) => Grant::new([a, b, c, d]),
        _ if !message.ciaddr.is_unspecified() => Grant::new(message.ciaddr.octets()),
        _ => Grant::new([10, 77, 1, message.chaddr.0[5]]),
    }
}

fn server(site: &Site) -> Server {
    Server::start(site.lan.router_ns(), "eth0", |request| grant(request).answer(request))
}

/// What an engine does for `docker network create --ipam-driver landfall`.
fn network(site: &Site, options: &[(&str, &str)]) {
    pool(site, &[("bridge", "br0")], "").unwrap();
    site.ok("CreateNetwork", &with_pool(site, "lan", options, "10.77.0.0/16"));
}

/// The argument of RequestAddress; `name` as Engine 29 tells it.
fn address_argument(address: &str, name: Option<&str>) -> Value {
    let options = name.map(|name| json!({"com.docker.network.endpoint.name": name}));
    json!({"PoolID": POOL, "Address": address, "Options": options})
}

fn request(site: &Site, address: &str, name: Option<&str>) -> String {
    let answer = call(site, "RequestAddress", &address_argument(address, name));
    let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", site.landfall.log().tail(30)));
    answer["Address"].as_str().unwrap().to_owned()
}

fn release(site: &Site, address: &str) {
    let address = address.split('/').next().unwrap();
    let argument = json!({"PoolID": POOL, "Address": address});
    assert_eq!(call(site, "ReleaseAddress", &argument), Ok(json!({})));
}

fn create(site: &Site, name: &str, mac: &str, address: &str) -> Endpoint {
    try_create(site, "lan", name, mac, address)
        .unwrap_or_else(|error| panic!("{error}\n{}", site.landfall.log().tail(30)))
}

/// Leave, DeleteEndpoint and ReleaseAddress.
fn end(site: &Site, container: Container) {
    let endpoint = container.endpoint.clone();
    container.stop(site);
    release(site, &endpoint.address);
}

fn ours(site: &Site) -> Vec<String> {
    site.links().into_iter().filter(|name| name.starts_with("lf")).collect()
}

#[test]
fn a_pool_is_what_the_server_gives_addresses_of() {
    let site = Site::new();
    let server = server(&site);
    let answer = json!({
        "PoolID": POOL,
        "Pool": "10.77.0.0/16",
        "Data": {"com.docker.network.gateway": "10.77.0.1/16"},
    });
    for subnet in ["", "10.77.0.0/16"] {
        assert_eq!(pool(&site, &[("bridge", "br0")], subnet), Ok(answer.clone()));
    }
    assert_eq!(server.count(MessageType::Request), 0, "no lease is taken");
    // Docker asks whether its user may have that router.
    let gateway = |router: &str| {
        let options = json!({"RequestAddressType": "com.docker.network.gateway"});
        let argument = json!({"PoolID": POOL, "Address": router, "Options": options});
        call(&site, "RequestAddress", &argument)
    };
    assert_eq!(gateway("10.77.0.1").unwrap()["Address"], "10.77.0.1/16");
    let error = gateway("10.77.0.9").unwrap_err();
    for words in ["--gateway 10.77.0.9", "names, 10.77.0.1", "`-o gateway=ADDRESS`"] {
        assert!(error.contains(words), "no {words:?} in: {error}");
    }
    for _ in 0..2 {
        assert_eq!(call(&site, "ReleasePool", &json!({"PoolID": POOL})), Ok(json!({})));
    }
    assert_eq!(ours(&site), Vec::<String>::new(), "the port has gone");
}

#[test]
fn a_pool_that_fits_no_segment() {
    let site = Site::new();
    let silent = [("bridge", "br0"), ("lease_timeout", "300ms")];
    let error = pool(&site, &silent, "").unwrap_err();
    for words in [
        "no DHCP server answered on br0 within 0.3s",
        "`ip link show master br0`",
        "--ipam-opt lease_timeout=25s",
    ] {
        assert!(error.contains(words), "no {words:?} in: {error}");
    }
    // The same causes are looked for as where a container has no answer.
    for ns in [site.lan.router_ns(), site.lan.laptop_ns()] {
        ns.ip_batch("link set eth0 down\n").unwrap();
    }
    let error = pool(&site, &silent, "").unwrap_err();
    assert!(error.contains("are down or without carrier"), "{error}");
    for ns in [site.lan.router_ns(), site.lan.laptop_ns()] {
        ns.ip_batch("link set eth0 up\n").unwrap();
    }
    let _server = server(&site);
    for (options, subnet, words) in [
        (&[("bridge", "br0")][..], "10.78.0.0/16", "Write `--subnet 10.77.0.0/16`"),
        (&[("bridge", "br0")], "10.77.0.0/24", "fits no segment"),
        (&[("bridge", "br0")], "10.76.0.0/15", "gives out addresses of 10.77.0.0/16"),
        (&[("bridge", "br9")], "", "there is no interface br9"),
        (&[("bridge", "br9")], "", "is to be written as `--ipam-opt` as well"),
        (&[], "", "the --ipam-opt must name the LAN as the -o of the network do"),
        (&[("mode", "macvlan")], "", "--ipam-opt bridge=br0 -o bridge=br0"),
        (&[("brigde", "br0")], "", "did you mean \"bridge\"?"),
    ] {
        let error = pool(&site, options, subnet).unwrap_err();
        assert!(error.contains(words), "no {words:?} in: {error}");
    }
    for (field, value, words) in [
        ("V6", json!(true), "-o ipv6=auto"),
        ("SubPool", json!("10.77.9.0/24"), "--ip-range 10.77.9.0/24"),
    ] {
        let mut argument = json!({"Options": {"bridge": "br0"}});
        argument[field] = value;
        let error = call(&site, "RequestPool", &argument).unwrap_err();
        assert!(error.contains(words), "no {words:?} in: {error}");
    }
    eventually("no port", SOON, || same(ours(&site), &vec![]));

    // A network whose options say something else than those of its pool, or what cannot be had with one.
    for (options, subnet, words) in [
        (&[][..], "10.78.0.0/16", "on br0, and its pool 10.78.0.0/16 is not"),
        (&[("ipv4", "false"), ("ipv6", "auto")], "10.77.0.0/16", "option ipv4=false"),
        (&[("no_server", "wait")], "10.77.0.0/16", "option no_server=wait"),
    ] {
        pool(&site, &[("bridge", "br0")], "").unwrap();
        let error =
            site.call("CreateNetwork", &with_pool(&site, "lan", options, subnet)).unwrap_err();
        assert!(error.contains(words), "no {words:?} in: {error}");
        call(&site, "ReleasePool", &json!({"PoolID": POOL})).unwrap();
    }
    // An address without a network, and one of elsewhere.
    let error = call(&site, "RequestAddress", &address_argument("", None)).unwrap_err();
    let words = "no network of Landfall's has its addresses from the pool";
    assert!(error.contains(words) && error.contains(POOL), "{error}");
    network(&site, &[]);
    let error = call(&site, "RequestAddress", &address_argument("10.78.0.5", None)).unwrap_err();
    assert!(error.contains("10.78.0.5 is not in the subnet 10.77.0.0/16 of br0"), "{error}");
}

/// Who fails does not take the port away from who is still asking.
#[test]
fn two_who_ask_at_once() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    let asks = json!({"Options": {"bridge": "br0"}});
    let pending = Pending::ipam(&site, "RequestPool", &asks);
    server.wait_count(MessageType::Discover, 1);
    let fails = json!({"Options": {"bridge": "br0"}, "SubPool": "10.77.9.0/24"});
    call(&site, "RequestPool", &fails).unwrap_err();
    server.behave(|request| grant(request).answer(request));
    let answer = pending.answer();
    assert!(answer.contains(POOL), "{answer}");
}

#[test]
fn a_lease_is_there_before_its_endpoint_which_goes_on_with_it() {
    let mut site = Site::new();
    let server = server(&site);
    network(&site, &[]);
    let probe = server.count(MessageType::Discover);
    let address = request(&site, "", None);
    assert_eq!(server.count(MessageType::Request), 1, "the lease is taken");
    assert_eq!(site.endpoint_links(), Vec::<String>::new(), "and nothing else is there");
    assert_eq!(site.leases("granted"), 1);

    let endpoint = create(&site, "web", "", &address);
    let asked = server.wait_for(MessageType::Request, SOON);
    assert_eq!(endpoint.mac, asked.message.chaddr.to_string());
    // An engine that did not hear the answer asks once more.
    assert_eq!(create(&site, "web", "", &address), endpoint);
    assert_eq!(server.count(MessageType::Discover), probe + 1);
    assert_eq!((site.leases("granted"), site.leases("handed_over")), (1, 0));
    let shown = site.status()["endpoints"].as_array().unwrap().len();
    assert_eq!(shown, 1);

    let container = Container::start(&site, endpoint);
    end(&site, container);
    server.wait_count(MessageType::Release, 1);
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
    call(&site, "ReleasePool", &json!({"PoolID": POOL})).unwrap();
    site.delete_network("lan");
    assert_eq!(ours(&site), Vec::<String>::new());
    assert_eq!(site.stop_and_read_store(), (vec![], vec![]));
}

#[test]
fn what_nobody_comes_for_is_given_back() {
    let site = Site::new();
    let server = server(&site);
    network(&site, &[("release_delay", "1h")]);
    let address = request(&site, "", None);
    release(&site, &address);
    server.wait_count(MessageType::Release, 1);
    assert_eq!(site.status()["endpoints"], json!([]));
    // What is not known is no error.
    release(&site, &address);

    // Nor is a lease left by a caller that hangs up.
    server.behave(|request| match request.kind {
        MessageType::Discover => grant(request).answer(request),
        _ => Vec::new(),
    });
    let mark = server.mark();
    let pending = Pending::ipam(&site, "RequestAddress", &address_argument("", None));
    server.wait_after(mark, "the REQUEST", SOON, |r| r.kind == MessageType::Request);
    pending.hang_up();
    eventually("it is undone", SOON, || same(site.status()["endpoints"].clone(), &json!([])));
}

/// An engine that dies after its question never makes the endpoint, nor says that it does not.
#[cfg(feature = "fault-points")]
#[test]
fn an_engine_that_died_leaves_no_lease() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_landfall"));
    let mut site = Site::with(lan, binary, &["LANDFALL_PATIENCE=700"]);
    let server = server(&site);
    network(&site, &[]);
    request(&site, "", None);
    server.wait_count(MessageType::Release, 1);
    eventually("it is forgotten", SOON, || same(site.status()["endpoints"].clone(), &json!([])));
    // Nor with the daemon.
    request(&site, "", None);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    server.wait_count(MessageType::Release, 2);
    eventually("it is forgotten", SOON, || same(site.status()["endpoints"].clone(), &json!([])));
}

#[test]
fn a_daemon_that_starts_anew_knows_what_was_leased_ahead() {
    let mut site = Site::new();
    let server = server(&site);
    network(&site, &[]);
    let address = request(&site, "", None);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let mark = server.mark();
    let endpoint = create(&site, "web", "", &address);
    let since: Vec<Request> = server.requests().split_off(mark);
    assert!(since.iter().all(|r| r.kind != MessageType::Discover), "{since:#?}");
    let container = Container::start(&site, endpoint);
    end(&site, container);
    server.wait_count(MessageType::Release, 1);
}

/// Docker's own macvlan or bridge, say: Landfall has a lease for an address that somebody else puts on a link.
#[test]
fn a_lease_for_another_drivers_link() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |request| {
        grant(request).times(2, 3000, 3600).answer(request)
    });
    let answer = pool(&site, &[("parent", "br0")], "").unwrap();
    let apart = "bridge:br0:10.77.0.0/16:apart";
    assert_eq!(answer["PoolID"], apart);
    let request = |address: &str, options: Value| {
        let argument = json!({"PoolID": apart, "Address": address, "Options": options});
        let answer = call(&site, "RequestAddress", &argument).unwrap();
        answer["Address"].as_str().unwrap().to_owned()
    };
    // Docker's bridge has the gateway for itself, and containers a router that is kept for them.
    let of_gateway = json!({"RequestAddressType": "com.docker.network.gateway"});
    assert_eq!(request("10.77.0.3", of_gateway), "10.77.0.3/16");
    assert_eq!(request("10.77.0.1", json!(null)), "10.77.0.1/16");
    assert_eq!(server.count(MessageType::Request), 0);

    let named = json!({"com.docker.network.endpoint.name": "web"});
    let address = request("", named.clone());
    let first = server.wait_for(MessageType::Request, SOON);
    assert_eq!(first.message.options.get(code::HOST_NAME), Some(&b"web"[..]));
    let ip = address.split('/').next().unwrap().to_owned();
    // Nobody but that link answers for it.
    let ping = ["ping", "-c", "1", "-W", "1", &ip];
    assert!(!site.lan.router_ns().run(&ping).unwrap().status.success());
    let neighbours = site.lan.router_ns().ok(&["ip", "neigh", "show", &ip]).unwrap();
    assert!(!neighbours.contains("lladdr"), "{neighbours}");

    // The lease is prolonged, and the link's own MAC is not in the way; by the daemon's next run, too.
    let renewal = |mark: usize| {
        let renewed =
            server.wait_after(mark, "a renewal", SOON, |r| r.kind == MessageType::Request);
        assert!(renewed.message.ciaddr.is_unspecified() && renewed.message.broadcast);
        assert_eq!(renewed.to, Ipv4Addr::BROADCAST);
        assert_eq!(renewed.message.chaddr, first.message.chaddr);
    };
    let renewed = site.leases("renewed");
    renewal(server.mark());
    eventually("it is prolonged", SOON, || match site.leases("renewed") {
        now if now > renewed => Ok(()),
        now => Err(now.to_string()),
    });
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    renewal(server.mark());
    let shown = site.status()["endpoints"][0].clone();
    assert_eq!(shown["address"], json!(address));

    let argument = json!({"PoolID": apart, "Address": ip});
    assert_eq!(call(&site, "ReleaseAddress", &argument), Ok(json!({})));
    server.wait_count(MessageType::Release, 1);
    assert_eq!(site.status()["endpoints"], json!([]));
    // The same container again.
    let argument = json!({"PoolID": apart, "Address": "", "Options": named});
    assert_eq!(call(&site, "RequestAddress", &argument).unwrap()["Address"], json!(address));
    call(&site, "ReleaseAddress", &json!({"PoolID": apart, "Address": ip})).unwrap();
    call(&site, "ReleasePool", &json!({"PoolID": apart})).unwrap();
    eventually("no port", SOON, || same(ours(&site), &vec![]));
    assert_eq!(site.stop_and_read_store(), (vec![], vec![]));
}

/// As Engine 29 tells it.
#[test]
fn a_name_has_its_mac_and_its_address_for_ever() {
    let site = Site::new();
    let server = server(&site);
    network(&site, &[("release_delay", "1h")]);
    let run = |name: &str, endpoint: &str| {
        let address = request(&site, "", Some(name));
        Container::start(&site, create(&site, endpoint, "", &address))
    };
    let web = run("web", "one");
    let first = web.endpoint.clone();
    end(&site, web);
    assert_eq!(server.count(MessageType::Release), 0, "the address waits for its container");
    let other = run("other", "two");
    assert_ne!(other.endpoint.mac, first.mac);
    assert_ne!(other.endpoint.address, first.address);
    let mark = server.mark();
    let again = run("web", "three");
    assert_eq!((&again.endpoint.mac, &again.endpoint.address), (&first.mac, &first.address));
    assert_eq!(site.leases("handed_over"), 1);
    let of_web = |r: &Request| r.message.chaddr.to_string() == first.mac;
    let since: Vec<Request> = server.requests().split_off(mark);
    assert!(!since.iter().any(|r| of_web(r) && r.kind == MessageType::Discover), "{since:#?}");
    end(&site, again);
    end(&site, other);
    call(&site, "ReleasePool", &json!({"PoolID": POOL})).unwrap();
    site.delete_network("lan");
    server.wait_count(MessageType::Release, 2);

    // Nothing is left of it but its name.
    network(&site, &[]);
    let address = request(&site, "", Some("web"));
    let endpoint = create(&site, "four", "", &address);
    assert_eq!((endpoint.mac, endpoint.address), (first.mac, first.address));
}

/// Of an engine that does not say for whom it asks the MAC is learnt only with the endpoint.
#[test]
fn a_mac_of_the_users_own_has_the_address_that_docker_was_told() {
    let site = Site::new();
    let server = server(&site);
    network(&site, &[]);
    let address = request(&site, "", None);
    let mark = server.mark();
    let endpoint = create(&site, "web", MAC, &address);
    let since: Vec<Request> = server.requests().split_off(mark);
    let said: Vec<_> =
        since.iter().map(|r| (r.message.chaddr.to_string() == MAC, r.kind)).collect();
    let wanted = [
        (false, MessageType::Release),
        (true, MessageType::Discover),
        (true, MessageType::Request),
    ];
    assert_eq!(said, wanted, "what another identity has is given back first");
    let container = Container::start(&site, endpoint);
    assert_eq!(site.shown("web")["address"], address);
    end(&site, container);

    // `--ip`: the lease is taken with the endpoint, and is that one or none.
    let mark = server.mark();
    assert_eq!(request(&site, "10.77.5.60", None), "10.77.5.60/16");
    assert_eq!(server.mark(), mark, "it may be for no endpoint at all");
    create(&site, "own", "", "10.77.5.60/16");
    let leased = server.requests().split_off(mark);
    let asked = leased.iter().find(|r| r.kind == MessageType::Request).unwrap();
    let option = asked.message.options.get(code::REQUESTED_ADDRESS);
    assert_eq!(option, Some(&Ipv4Addr::new(10, 77, 5, 60).octets()[..]));
    server.grant(Grant::new([10, 77, 9, 9]));
    let error = try_create(&site, "lan", "none", "", "10.77.5.61/16").unwrap_err();
    assert!(error.contains("offered 10.77.9.9 and not 10.77.5.61"), "{error}");
}

#[test]
fn an_endpoint_with_an_address_of_elsewhere() {
    let site = Site::new();
    let _server = server(&site);
    site.network("lan", &[]);
    let error = try_create(&site, "lan", "web", "", "172.19.0.2/16").unwrap_err();
    for words in ["172.19.0.2/16", "--ipam-driver null", &id("web")[..12], &id("lan")[..12]] {
        assert!(error.contains(words), "no {words:?} in: {error}");
    }
    // The network is on the LAN, and its user has an address for the container twice.
    call(&site, "ReleasePool", &json!({"PoolID": POOL})).unwrap();
    site.delete_network("lan");
    network(&site, &[]);
    let address = request(&site, "", None);
    let mut argument = endpoint_argument("lan", "web", "");
    argument["Interface"]["Address"] = json!(address);
    argument["Options"]["ip"] = json!("10.77.5.60");
    let error = site.call("CreateEndpoint", &argument).unwrap_err();
    assert!(error.contains("ip=10.77.5.60") && error.contains("write `--ip`"), "{error}");
    site.ok(
        "DeleteEndpoint",
        &endpoint_ref(&Endpoint {
            network: id("lan"),
            id: id("web"),
            mac: String::new(),
            address: String::new(),
            address6: String::new(),
        }),
    );
}

/// One network is of Docker's own driver, and one of Landfall's, on the same segment.
#[test]
fn another_drivers_container_keeps_its_lease() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", by_mac);
    let apart = Pool::request(&site, &[("parent", "br0")]);
    let theirs = apart.address(&site, Some("theirs")).unwrap();
    let pool = Pool::with_network(&site, "lan", &[("bridge", "br0")], &[]);
    // `--ip`, of which an engine up to 28 does not say what it is for.
    let refusal = try_create(&site, "lan", "ours", "", &theirs).unwrap_err();
    assert!(refusal.contains(theirs.split('/').next().unwrap()), "{refusal}");
    let endpoints = site.status()["endpoints"].clone();
    let has_it = |endpoint: &Value| endpoint["address"] == json!(theirs);
    assert!(endpoints.as_array().unwrap().iter().any(has_it), "{endpoints}");
    assert_eq!(server.count(MessageType::Release), 0);
    site.delete_network("lan");
    pool.release(&site);
    apart.give_back(&site, &theirs);
    server.wait_count(MessageType::Release, 1);
}

/// Of a network of Docker's own driver no more is known than its containers' addresses: these are followed all the same.
#[test]
fn another_drivers_bridge_is_made_again() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", by_mac);
    let apart = Pool::request(&site, &[("parent", "br0")]);
    let theirs = apart.address(&site, Some("theirs")).unwrap();
    let address: Ipv4Addr = theirs.split('/').next().unwrap().parse().unwrap();
    for by_the_next_daemon in [false, true] {
        if by_the_next_daemon {
            site.landfall.kill9().unwrap();
            site.landfall.restart().unwrap();
        }
        let mark = server.mark();
        let again = "link delete br0\nlink add br0 type bridge\nlink set router master br0\n\
                     link set laptop master br0\nlink set br0 up\n";
        site.host().ip_batch(again).unwrap();
        server.wait_after(mark, "is it still right", SOON, |request| {
            let asked = request.message.options.requested_address();
            request.kind == MessageType::Request && asked == Some(address)
        });
    }
    assert_eq!(server.count(MessageType::Discover), 2, "the pool's, and its own");
    apart.give_back(&site, &theirs);
    server.wait_count(MessageType::Release, 1);
}
