//! `network connect` and `disconnect` of a running container; a container on several networks.

use std::net::{Ipv4Addr, Ipv6Addr};

use lab::{
    DhcpServer, Dnsmasq, EngineVersion, Lan, LanOptions, Lease, Namespace, Prefix, Radvd,
    RouterOptions, ServerOptions,
};

use crate::site::{SOON, Site, default_routes, inside, ip_json, network_args, until};

/// The router of a second LAN, behind the Docker host's bridge `br1`.
const FAR_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const FAR_ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x78, 0, 0, 0, 0, 1);
/// Docker's own bridge, `docker0`.
const DOCKER0: &str = "172.17.0.1";

#[test]
fn containers_join_and_leave_networks() {
    let lan =
        Lan::new(LanOptions { extra_bridge: Some("br1".into()), ..Default::default() }).unwrap();
    let far = far_router(&lan);
    let far_server = Dnsmasq::start(
        &far,
        "eth0",
        ServerOptions {
            pool: (Ipv4Addr::new(10, 78, 1, 1), Ipv4Addr::new(10, 78, 20, 254)),
            router: Some(FAR_ROUTER),
            ..Default::default()
        },
    )
    .unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let site = Site::on(lan, server, &[]);
    site.network("lan", &[]);
    // By the command that knows what Docker must be told.
    let create = ["network", "create", "far", "--bridge", "br1", "-o", "release_delay=0"];
    assert_eq!(
        site.landfall_says(&[&create[..], &["--print"]].concat()),
        "docker network create -d landfall --ipam-driver null -o bridge=br1 -o release_delay=0 far\n"
    );
    site.landfall_says(&create);

    connected_and_disconnected(&site);
    on_two_lans(&site, &far, &far_server);
}

/// One default route, where the engine has put it, whatever becomes of either lease; on subnets that overlap there can be
/// no two interfaces.
#[test]
fn one_network_of_two_has_the_default_route() {
    let lan =
        Lan::new(LanOptions { extra_bridge: Some("br1".into()), ..Default::default() }).unwrap();
    let far = far_router(&lan);
    let near_options =
        |router| ServerOptions { renew: Some(3), router: Some(router), ..Default::default() };
    let pool = (Ipv4Addr::new(10, 78, 1, 1), Ipv4Addr::new(10, 78, 20, 254));
    let far_options = |router| ServerOptions { pool, ..near_options(router) };
    let mut far_server = Dnsmasq::start(&far, "eth0", far_options(FAR_ROUTER)).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", near_options(Lan::ROUTER)).unwrap();
    let mut site = Site::on(lan, server, &[]);
    site.network("lan", &[]);
    let args = network_args("landfall", "far", ["bridge=br1", "release_delay=0"].iter());
    site.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());

    let newest = EngineVersion::from_env().unwrap() == EngineVersion::V28;
    // By name, or as the user says where the engine knows how.
    let first = if newest { "lan" } else { "far" };
    let mut create = vec!["create", "--name", "both", "--stop-signal", "KILL"];
    create.extend(if newest {
        ["--network", "name=lan,gw-priority=10"]
    } else {
        ["--network", "lan"]
    });
    create.extend(["busybox", "sleep", "infinity"]);
    site.docker(&create);
    site.docker(&["network", "connect", "far", "both"]);
    site.docker(&["start", "both"]);
    let sandbox = site.sandbox("both");
    let (near_router, far_router) = (Lan::ROUTER.to_string(), FAR_ROUTER.to_string());
    assert_eq!(gateway(&sandbox), if first == "lan" { near_router } else { far_router });

    // Either server names another router, and one of both is of use.
    let (near_next, far_next) = (Lan::LAPTOP, Ipv4Addr::new(10, 78, 0, 9));
    site.server.reconfigure("eth0", near_options(near_next)).unwrap();
    far_server.reconfigure("eth0", far_options(far_next)).unwrap();
    let next = if first == "lan" { near_next } else { far_next };
    until("the next router", SOON, || (gateway(&sandbox) == next.to_string()).then_some(()));
    let followed = |network: &str, router: Ipv4Addr| {
        let address = site.address("both", network);
        let of = |e: &&serde_json::Value| {
            e["address"].as_str().unwrap_or_default() == format!("{address}/16")
        };
        let endpoints = site.endpoints();
        let endpoint = endpoints.iter().find(of)?;
        (endpoint["gateway"] == router.to_string()).then_some(())
    };
    until("the word of the near server", SOON, || followed("lan", near_next));
    until("the word of the far server", SOON, || followed("far", far_next));
    assert_eq!(gateway(&sandbox), next.to_string());

    // The one that has it goes: the other takes its place.
    let other = interface(&sandbox, site.address("both", if newest { "far" } else { "lan" }));
    site.docker(&["network", "disconnect", first, "both"]);
    let routes = default_routes(&sandbox);
    assert_eq!(routes.len(), 1, "{routes:?}");
    assert_eq!(routes[0].1, other);
    site.docker(&["rm", "-f", "both"]);

    site.network("again", &[]);
    site.run("web", &["--network", "lan"]);
    let idle = site.host_links();
    let said = site.docker_fails(&["network", "connect", "again", "web"]);
    let words = "br0 leads to 10.77.0.0/16, and the container is on 10.77.0.0/16 by br0";
    assert!(said.contains(words), "{said}");
    assert_eq!(site.host_links(), idle);
    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
}

/// Who has the default route of IPv4 is the engine's choice (here by name), and that of IPv6 is where it is, whichever
/// interface was there first.
#[test]
fn of_two_networks_the_same_one_has_both_default_routes() {
    let options = LanOptions { extra_bridge: Some("br1".into()), ipv6: true, ..Default::default() };
    let lan = Lan::new(options).unwrap();
    let far = far_router(&lan);
    let pool = (Ipv4Addr::new(10, 78, 1, 1), Ipv4Addr::new(10, 78, 20, 254));
    let far_options = ServerOptions { pool, router: Some(FAR_ROUTER), ..Default::default() };
    let _far_server = Dnsmasq::start(&far, "eth0", far_options).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let prefix = Ipv6Addr::from_bits(FAR_ROUTER6.to_bits() - 1);
    let prefix = Prefix { prefix, ..Prefix::default() };
    let far_says = RouterOptions { prefixes: vec![prefix], ..RouterOptions::default() };
    let _far_radvd = Radvd::start(&far, "eth0", &far_says).unwrap();
    let _radvd = Radvd::start(lan.router_ns(), "eth0", &RouterOptions::default()).unwrap();
    let site = Site::on(lan, server, &[]);
    site.network("lan", &["ipv6=slaac"]);
    let options = ["bridge=br1", "release_delay=0", "ipv6=slaac"];
    let args = network_args("landfall", "far", options.iter());
    site.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());

    site.run("both", &["--network", "lan"]);
    let sandbox = site.sandbox("both");
    let out = |family| {
        let to = if family == "-4" { "192.0.2.1" } else { "2001:db8:ffff::1" };
        let found = sandbox.ok(&["ip", family, "-json", "route", "get", to]).ok()?;
        let found: serde_json::Value = serde_json::from_str(&found).ok()?;
        found[0]["dev"].as_str().map(str::to_owned)
    };
    let both_by = |interface: &str| {
        until(interface, SOON, || {
            (["-4", "-6"].map(out) == [Some(interface.to_owned()), Some(interface.to_owned())])
                .then_some(())
        });
    };
    both_by("eth0");
    site.docker(&["network", "connect", "far", "both"]);
    both_by("eth1");
    for (container, network) in [("eth0", Lan::ROUTER6), ("eth1", FAR_ROUTER6)] {
        until(container, SOON, || sandbox.ping6(network).unwrap().then_some(()));
    }
    let addresses: Vec<_> = ip_json(&sandbox, &["-6", "address", "show", "scope", "global"]);
    let interfaces = addresses.iter().filter(|link| link["ifname"].is_string()).count();
    assert_eq!(interfaces, 2, "{addresses:?}");
    site.docker(&["network", "disconnect", "far", "both"]);
    both_by("eth0");
    site.docker(&["rm", "-f", "both"]);
    site.no_lease_is_left();
}

fn far_router(lan: &Lan) -> Namespace {
    let far = Namespace::new("far").unwrap();
    lan.host_ns()
        .ip_batch(&format!(
            "link add far type veth peer name eth0 netns {}\nlink set far master br1 up\n",
            far.path().display()
        ))
        .unwrap();
    far.ip_batch(&format!(
        "addr add {FAR_ROUTER}/16 dev eth0\naddr add {FAR_ROUTER6}/64 dev eth0 nodad\nlink set eth0 up\n"
    ))
    .unwrap();
    far
}

/// The interface that has an address, in a container.
fn interface(net: &Namespace, address: Ipv4Addr) -> String {
    let links = ip_json(net, &["address", "show", "to", &address.to_string()]);
    let link = links.iter().find(|link| link["ifname"].is_string());
    link.unwrap_or_else(|| panic!("nothing has {address}"))["ifname"].as_str().unwrap().to_owned()
}

fn gateway(net: &Namespace) -> String {
    let routes = default_routes(net);
    assert_eq!(routes.len(), 1, "{routes:?}");
    routes[0].0.clone()
}

/// A container on Docker's own bridge gets an address on the LAN as well, loses it, and gets it without the other.
fn connected_and_disconnected(site: &Site) {
    site.run("web", &["--hostname", "web"]);
    let idle = site.host_links();
    let sandbox = site.sandbox("web");
    assert_eq!(gateway(&sandbox), DOCKER0);

    site.docker(&["network", "connect", "lan", "web"]);
    let shown = site.shown("web", "lan");
    assert_eq!(site.named_lease(&shown.mac, "web").ip, shown.address);
    let name = interface(&sandbox, shown.address);
    assert_eq!(inside(&sandbox, &name).mac, shown.mac);
    assert_eq!(site.endpoints()[0]["interface"], name.as_str());
    gateway(&sandbox);
    site.reached(shown.address);

    site.docker(&["network", "disconnect", "lan", "web"]);
    site.no_lease_is_left();
    assert_eq!(site.host_links(), idle);
    assert_eq!(gateway(&sandbox), DOCKER0);
    assert_eq!(ip_json(&sandbox, &["link"]).len(), 2, "lo and the one on docker0");

    site.docker(&["network", "connect", "lan", "web"]);
    site.docker(&["network", "disconnect", "bridge", "web"]);
    assert_eq!(gateway(&sandbox), Lan::ROUTER.to_string());
    site.reached(site.address("web", "lan"));

    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
}

/// A container on two LANs from its start: an address from each server, one default route.
fn on_two_lans(site: &Site, far: &Namespace, far_server: &Dnsmasq) {
    let idle = site.host_links();
    let create = ["create", "--name", "both", "--hostname", "both", "--stop-signal", "KILL"];
    let rest = ["--network", "lan", "busybox", "sleep", "infinity"];
    site.docker(&[&create[..], &rest[..]].concat());
    site.docker(&["network", "connect", "far", "both"]);
    site.docker(&["start", "both"]);

    let (near, away) = (site.shown("both", "lan"), site.shown("both", "far"));
    assert_eq!((near.gateway, away.gateway), (Lan::ROUTER.to_string(), FAR_ROUTER.to_string()));
    assert_eq!(site.named_lease(&near.mac, "both").ip, near.address);
    let has = |leases: &[Lease]| leases.len() == 1 && leases[0].ip == away.address;
    far_server.wait_leases("the lease on the far LAN", SOON, &has).unwrap();
    let sandbox = site.sandbox("both");
    assert_eq!(inside(&sandbox, &interface(&sandbox, near.address)).mac, near.mac);
    assert_eq!(inside(&sandbox, &interface(&sandbox, away.address)).mac, away.mac);
    gateway(&sandbox);
    site.reached(near.address);
    assert!(far.ping(away.address).unwrap());
    assert_eq!(site.endpoints().len(), 2);

    site.docker(&["network", "disconnect", "lan", "both"]);
    site.no_lease_is_left();
    assert_eq!(gateway(&sandbox), FAR_ROUTER.to_string());
    assert!(far.ping(away.address).unwrap());
    assert!(has(&far_server.leases().unwrap()));

    site.docker(&["rm", "-f", "both"]);
    let none = |leases: &[Lease]| leases.is_empty();
    far_server.wait_leases("no lease", SOON, &none).unwrap();
    assert_eq!(site.host_links(), idle);
}
