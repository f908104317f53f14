//! IPv6 with a real engine: what `docker` shows, what the LAN reaches, what comes back.

use std::net::Ipv6Addr;

use lab::{
    Delegation, DhcpServer6, Dnsmasq, EngineVersion, Isc6, Kea6, Lan, LanOptions, Lease6, Mode6,
    Namespace, Place, Radvd, RouterOptions, ServerOptions, ServerOptions6, Wide6,
};

use crate::site::{SOON, Site, inside, ip_json, run_args, until};

const MAC: &str = "02:00:00:00:00:42";
const MADE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0xff, 0xfe00, 0x42);

fn site(ipv6: Mode6) -> Site {
    let lan = Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap();
    let options = ServerOptions { ipv6: Some(ipv6), ..ServerOptions::default() };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    Site::on(lan, server, &[])
}

/// The IPv6 address that Docker shows.
fn shown(site: &Site, container: &str) -> Ipv6Addr {
    let format = "{{(index .NetworkSettings.Networks \"lan\").GlobalIPv6Address}}";
    site.inspect(container, format).parse().unwrap()
}

/// The IPv6 addresses of a container's that are not link-local, as itself sees them.
fn global(site: &Site, container: &str) -> Vec<Ipv6Addr> {
    let show = ["exec", container, "ip", "-6", "addr", "show", "dev", "eth0", "scope", "global"];
    let seen = site.docker(&show);
    let lines = seen.lines().filter_map(|line| line.trim().strip_prefix("inet6 "));
    lines.map(|line| line.split('/').next().unwrap().parse().unwrap()).collect()
}

/// LAN and container reach each other, and the container has its router.
fn reached(site: &Site, container: &str, address: Ipv6Addr) {
    let sandbox: Namespace = site.sandbox(container);
    until("the laptop reaches it", SOON, || {
        site.lan.ping6(Place::Laptop, address).unwrap().then_some(())
    });
    assert!(sandbox.ping6(Lan::LAPTOP6).unwrap());
    let router = site.lan.router_ns().link_local("eth0").unwrap();
    let default = sandbox.ok(&["ip", "-6", "route", "show", "default"]).unwrap();
    assert!(default.contains(&format!("via {router} ")), "{default}");
}

#[test]
fn a_container_has_the_addresses_of_its_lan_and_docker_shows_one() {
    for mode in [Mode6::Slaac, Mode6::Stateless, Mode6::Stateful, Mode6::Both] {
        let leased = mode.leases();
        let site = site(mode);
        site.network("lan", &["ipv6=auto", "release_delay=60s"]);
        site.run("web", &["--network", "lan", "--mac-address", MAC]);
        let address = shown(&site, "web");
        assert_eq!(address != MADE, leased, "{mode:?}: {address}");
        reached(&site, "web", address);
        if mode == Mode6::Both {
            reached(&site, "web", MADE);
        }
        // It comes back with what it had.
        site.docker(&["restart", "-t", "1", "web"]);
        assert_eq!(shown(&site, "web"), address, "{mode:?}");
        reached(&site, "web", address);
        site.docker(&["rm", "-f", "web"]);
    }
}

/// What of it a container takes is what its network says, and whether it starts without any.
#[test]
fn each_network_takes_what_it_says() {
    for mode in [Mode6::Both, Mode6::Slaac] {
        let site = site(mode);
        // Whether there is an address from the server, and one from the router's prefix.
        for (option, leases, makes) in [
            ("ipv6=true", true, true),
            ("ipv6=auto", true, true),
            ("ipv6=dhcp", true, false),
            ("ipv6=slaac", false, true),
            ("ipv6=false", false, false),
        ] {
            let leases = leases && mode.leases();
            site.network("lan", &[option]);
            site.run("web", &["--network", "lan", "--mac-address", MAC]);
            let has = global(&site, "web");
            let leased = has.iter().filter(|address| **address != MADE).count();
            let found = (leased, has.contains(&MADE));
            assert_eq!(found, (leases.into(), makes), "{option}, {mode:?}: {has:?}");
            for address in has {
                reached(&site, "web", address);
            }
            site.docker(&["rm", "-f", "web"]);
            site.docker(&["network", "rm", "lan"]);
            if option == "ipv6=false" {
                continue;
            }

            site.network("lan", &[option, "ipv6_required=true", "lease_timeout=2s"]);
            let run = run_args("web", &["--network", "lan", "--mac-address", MAC]);
            if leases || makes {
                site.docker(&run);
                reached(&site, "web", shown(&site, "web"));
            } else {
                let said = site.docker_fails(&run);
                assert!(said.contains("ipv6_required"), "{said}");
                assert_eq!(site.endpoints().len(), 0);
            }
            site.docker(&["rm", "-f", "web"]);
            site.docker(&["network", "rm", "lan"]);
            site.no_lease_is_left();
        }
    }
}

/// Each time the same, and none that tells the MAC.
#[test]
fn a_stable_address_says_nothing_of_the_mac() {
    let site = site(Mode6::Slaac);
    site.network("lan", &["ipv6=slaac", "ipv6_address=stable"]);
    let run = || {
        site.run("web", &["--network", "lan", "--mac-address", MAC]);
        let address = shown(&site, "web");
        reached(&site, "web", address);
        site.docker(&["rm", "-f", "web"]);
        address
    };
    let first = run();
    assert_eq!(first.segments()[..4], MADE.segments()[..4], "{first}");
    assert!(first.segments()[5] & 0xff != 0xff && first.segments()[6] >> 8 != 0xfe, "{first}");
    assert_eq!(run(), first);
}

/// Kea delegates it; what the container does not use of it is discarded there.
#[test]
fn a_prefix_for_a_container() {
    let lan = Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap();
    let server4 = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let _radvd = Radvd::start(lan.router_ns(), "eth0", &RouterOptions::default()).unwrap();
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, 0x7700, 0, 0, 0, 0, 0);
    let delegation = Some(Delegation { prefix, length: 40, delegated: 56 });
    let options = ServerOptions6 { delegation, ..ServerOptions6::default() };
    let server = Kea6::start(lan.router_ns(), "eth0", &options).unwrap();
    let site = Site::on(lan, server4, &[]);
    site.network("plain", &["ipv6=auto"]);
    site.network("lan", &["ipv6=auto", "ipv6_pd=56"]);
    let discarded = |name: &str| {
        site.sandbox(name).ok(&["ip", "-6", "route", "show", "type", "unreachable"]).unwrap()
    };
    site.run("none", &["--network", "plain"]);
    site.run("web", &["--network", "lan", "--mac-address", MAC]);
    let is_one = |lease: &&Lease6| lease.length == 56;
    let leases =
        server.wait_leases6("a prefix", SOON, &|leases| leases.iter().any(|l| is_one(&l))).unwrap();
    let prefix = format!("{}/56", leases.iter().find(is_one).unwrap().ip);
    until("what is discarded", SOON, || discarded("web").contains(&prefix).then_some(()));
    until("the prefix shown", SOON, || {
        let has = |e: &serde_json::Value| e["ipv6"]["prefixes"] == serde_json::json!([prefix]);
        site.endpoints().iter().any(has).then_some(())
    });
    assert_eq!((discarded("none"), leases.iter().filter(is_one).count()), (String::new(), 1));
    site.docker(&["rm", "-f", "web", "none"]);
    server.wait_leases6("no lease", SOON, &|leases| leases.is_empty()).unwrap();
}

/// Routers and servers that are programs of their own, as LANs have them, in all the ways a LAN can have its addresses.
#[test]
fn every_server_in_every_mode() {
    type Start = fn(&Namespace, &str, &ServerOptions6) -> lab::Result<Box<dyn DhcpServer6>>;
    let servers: [(&str, Start); 3] = [
        ("kea", |ns, eth, options| Ok(Box::new(Kea6::start(ns, eth, options)?))),
        ("isc", |ns, eth, options| Ok(Box::new(Isc6::start(ns, eth, options)?))),
        ("wide", |ns, eth, options| Ok(Box::new(Wide6::start(ns, eth, options)?))),
    ];
    let modes = [Mode6::Slaac, Mode6::Stateless, Mode6::Stateful, Mode6::Both, Mode6::Unadvertised];
    let lan = Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap();
    let server4 = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let site = Site::on(lan, server4, &[]);
    let router = site.lan.router_ns();
    // Nobody but the DHCPv6 server speaks of it.
    let options = ServerOptions6 { dns: vec![Lan::LAPTOP6], ..ServerOptions6::default() };
    for mode in modes {
        let radvd = (mode != Mode6::Unadvertised).then(|| {
            let (managed, other) = (mode.leases(), mode != Mode6::Slaac);
            let mut said = RouterOptions { managed, other, ..RouterOptions::default() };
            said.prefixes[0].autonomous = mode != Mode6::Stateful;
            Radvd::start(router, "eth0", &said).unwrap()
        });
        // Made anew, as the network remembers what the LAN's routers said before.
        site.network("lan", &["ipv6=auto", "release_delay=0"]);
        // Where none leases or tells anything, one is enough.
        let heard = if mode == Mode6::Slaac { &servers[..1] } else { &servers[..] };
        for (name, start) in heard {
            let server = start(router, "eth0", &options).unwrap();
            site.run("web", &["--network", "lan", "--mac-address", MAC]);
            let address = shown(&site, "web");
            let leases = server.leases6().unwrap();
            let leased = leases.iter().any(|lease| lease.ip == address);
            assert_eq!(leased, mode.leases(), "{name}, {mode:?}: {address}, {leases:?}");
            if !leased {
                assert_eq!(address, MADE, "{name}, {mode:?}");
            }
            // Without an advertisement nobody knows who is on the link (RFC 5942 §4), nor a router.
            if radvd.is_some() {
                reached(&site, "web", address);
            }
            if mode == Mode6::Both {
                reached(&site, "web", MADE);
            }
            until("the server's word on DNS", SOON, || {
                let told = site.endpoints()[0]["ipv6"]["dns"].as_array().unwrap().clone();
                let told = told.contains(&Lan::LAPTOP6.to_string().into());
                (told == (mode != Mode6::Slaac)).then_some(())
            });
            site.docker(&["rm", "-f", "web"]);
            server.wait_leases6("no lease", SOON, &|leases| leases.is_empty()).unwrap();
        }
        // Gone without a word.
        drop(radvd);
        site.docker(&["network", "rm", "lan"]);
    }
}

/// No address of Docker's, no way out by `docker_gwbridge`, and `docker` shows what there is.
#[test]
fn a_network_without_ipv4() {
    let site = site(Mode6::Both);
    site.network("lan", &["ipv4=false", "ipv6=auto", "release_delay=60s"]);
    site.run("web", &["--network", "lan", "--mac-address", MAC]);
    let address = shown(&site, "web");
    let ipv6_only = |site: &Site| {
        let format = "{{(index .NetworkSettings.Networks \"lan\").IPAddress}}";
        assert!(["", "invalid IP"].contains(&&*site.inspect("web", format)));
        let sandbox = site.sandbox("web");
        let links = ip_json(&sandbox, &["link"]);
        let names: Vec<_> = links.iter().map(|link| link["ifname"].as_str().unwrap()).collect();
        assert_eq!(names, ["lo", "eth0"]);
        assert_eq!(inside(&sandbox, "eth0").addresses, [] as [&str; 0]);
    };
    ipv6_only(&site);
    reached(&site, "web", address);
    reached(&site, "web", MADE);
    assert!(site.landfall_says(&["status"]).contains(&address.to_string()));
    site.docker(&["restart", "-t", "1", "web"]);
    assert_eq!(shown(&site, "web"), address);
    ipv6_only(&site);
    reached(&site, "web", address);
    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
}

/// A LAN that would have those do without IPv4 who can (option 108, RFC 8925).
#[test]
fn a_container_that_can_do_without_ipv4_does() {
    let lan = Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap();
    let extra = vec!["--dhcp-option=108,00:00:07:08".to_owned()];
    let options = ServerOptions { ipv6: Some(Mode6::Slaac), extra, ..ServerOptions::default() };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let site = Site::on(lan, server, &[]);
    site.network("lan", &["ipv6=auto", "release_delay=60s"]);
    site.run("web", &["--network", "lan", "--mac-address", MAC]);
    for _ in 0..2 {
        assert_eq!(shown(&site, "web"), MADE);
        reached(&site, "web", MADE);
        let sandbox = site.sandbox("web");
        assert_eq!(ip_json(&sandbox, &["link"]).len(), 2, "no docker_gwbridge");
        assert_eq!(inside(&sandbox, "eth0").addresses, [] as [&str; 0]);
        assert_eq!(site.endpoints()[0]["state"], "V6ONLY_WAIT");
        site.docker(&["restart", "-t", "1", "web"]);
    }
    site.no_lease_is_left();
    // On a network that does not ask it is as ever.
    site.network("ipv4", &[]);
    site.run("old", &["--network", "ipv4"]);
    site.reached(site.address("old", "ipv4"));
}

/// Engines from 28 on have a switch of their own for it.
#[test]
fn the_engine_s_own_switch_says_the_same() {
    if EngineVersion::from_env().unwrap() != EngineVersion::V28 {
        return;
    }
    let site = site(Mode6::Slaac);
    let mut args = site.network_args("lan", &[]);
    args.extend(["--ipv4=false", "--ipv6"].map(String::from));
    site.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
    site.run("web", &["--network", "lan", "--mac-address", MAC]);
    assert_eq!(shown(&site, "web"), MADE);
    reached(&site, "web", MADE);
    assert_eq!(site.endpoints()[0]["state"], "OFF");
    site.docker(&["rm", "-f", "web"]);
}

#[test]
fn a_lan_without_ipv6_costs_no_start() {
    let site = Site::new(ServerOptions::default());
    site.network("lan", &["ipv6=auto", "release_delay=60s"]);
    site.run("web", &["--network", "lan"]);
    let format = "{{(index .NetworkSettings.Networks \"lan\").GlobalIPv6Address}}";
    assert_eq!(site.inspect("web", format), "");
    site.reached(site.address("web", "lan"));
}
