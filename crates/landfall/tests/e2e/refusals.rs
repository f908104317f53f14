//! What a user sees who asks for what cannot be, and that nothing is left of it.

use std::time::{Duration, Instant};

use lab::{Capture, DhcpServer, EngineVersion, Message, Place, ServerOptions};

use crate::site::{DISCOVER, Site, count, network_args, run_args};

const MAC: &str = "02:00:00:00:00:46";

#[test]
fn refusals_say_why_and_leave_nothing() {
    let mut site = Site::new(ServerOptions::default());
    networks_that_cannot_be(&site);
    a_lan_that_is_looked_at_first(&mut site);
    a_name_that_is_taken(&site);
    a_mac_that_is_taken(&site);
    a_dead_server(&mut site);
}

/// Asks for a network with these options, and asserts that the answer has all these words in it.
fn refused(site: &Site, args: &[String], words: &[&str]) {
    let said = site.docker_fails(&args.iter().map(String::as_str).collect::<Vec<_>>());
    for word in words {
        assert!(said.contains(word), "{args:?}: no {word:?} in: {said}");
    }
}

/// A network is made where a server answers, and not where none does.
fn a_lan_that_is_looked_at_first(site: &mut Site) {
    let options = ["validate_dhcp=true", "lease_timeout=1s"];
    site.network("lan", &options);
    site.no_lease_is_left();
    site.docker(&["network", "rm", "lan"]);
    site.server.stop().unwrap();
    let idle = site.host_links();
    refused(
        site,
        &site.network_args("lan", &options),
        &["no DHCP server answered on br0 within 1s"],
    );
    assert_eq!(site.host_links(), idle);
    site.server.restart().unwrap();
}

fn networks_that_cannot_be(site: &Site) {
    site.lan.ok(Place::Host, &["ip", "link", "add", "br-down", "type", "bridge"]).unwrap();
    let before = site.host_links();
    let cases: [(&[&str], &[&str]); 12] = [
        (
            &["bridge=br0", "lease_timout=5s"],
            &["\"lease_timout\"", "did you mean \"lease_timeout\"?"],
        ),
        (&["bridge=br0", "lease_timeout=soon"], &["lease_timeout=\"soon\"", "10s"]),
        (&["bridge=br0", "mode=macvlan"], &["option bridge", "mode=macvlan", "-o parent="]),
        (&["parent=eth0"], &["option parent", "mode=bridge", "-o mode=macvlan"]),
        (&["mode=macvlan"], &["option parent is missing", "-o mode=macvlan -o parent=eth0"]),
        (&["mode=macvlan", "parent=br0"], &["br0 is a bridge", "-o bridge=br0"]),
        (&["mode=l3"], &["mode=\"l3\"", "bridge, macvlan or ipvlan"]),
        (&["bridge=br0", "ipv6=yes"], &["ipv6=\"yes\"", "slaac"]),
        (&["lease_timeout=5s"], &["option bridge is missing", "-o bridge=br0"]),
        (&["bridge=nobr0"], &["no interface nobr0", "ip link add nobr0 type bridge"]),
        (&["bridge=router"], &["router is not a bridge but of the kind veth"]),
        (&["bridge=br-down"], &["bridge br-down is down", "ip link set br-down up"]),
    ];
    for (options, words) in cases {
        refused(site, &network_args("landfall", "bad", options.iter()), words);
    }
    let with_dockers_addresses = ["network", "create", "-d", "landfall", "-o", "bridge=br0", "bad"];
    refused(
        site,
        &with_dockers_addresses.map(String::from),
        &["docker network create -d landfall --ipam-driver null -o bridge=br0 NAME"],
    );
    // Engines up to 27 refuse `--ipv6` with the null IPAM driver themselves.
    if EngineVersion::from_env().unwrap() != EngineVersion::V28 {
        let mut ipv6 = site.network_args("bad", &[]);
        ipv6.insert(2, "--ipv6".into());
        refused(site, &ipv6, &[]);
    }

    let networks = site.docker(&["network", "ls", "--format", "{{.Name}}"]);
    assert!(!networks.contains("bad"), "{networks}");
    assert_eq!(site.status()["networks"].as_array().unwrap().len(), 0);
    assert_eq!(site.host_links(), before);
    site.lan.ok(Place::Host, &["ip", "link", "del", "br-down"]).unwrap();
}

fn a_name_that_is_taken(site: &Site) {
    site.network("lan", &[]);
    let before = (site.host_links(), site.status()["networks"].clone());
    refused(site, &site.network_args("lan", &[]), &["network with name lan already exists"]);
    assert_eq!((site.host_links(), site.status()["networks"].clone()), before);
}

/// Also across the networks of one bridge; whoever has it keeps his lease.
fn a_mac_that_is_taken(site: &Site) {
    site.network("lan2", &[]);
    site.run("first", &["--network", "lan", "--hostname", "first", "--mac-address", MAC]);
    let lease = site.named_lease(MAC, "first");
    let before = site.host_links();
    let id = site.inspect("first", "{{.Id}}");
    for network in ["lan", "lan2"] {
        let args = run_args("second", &["--network", network, "--mac-address", MAC]);
        let said = site.docker_fails(&args);
        for word in [MAC, "in use on br0", "first", &id[..12]] {
            assert!(said.contains(word), "no {word:?} in: {said}");
        }
        site.docker(&["rm", "second"]);
    }
    assert_eq!(site.host_links(), before);
    site.logged(Message::Discover, MAC, 1);
    site.logged(Message::Release, MAC, 0);
    assert_eq!(site.server.leases().unwrap(), std::slice::from_ref(&lease));
    site.reached(lease.ip);
    site.docker(&["rm", "-f", "first"]);
    site.no_lease_is_left();
    site.docker(&["network", "rm", "lan2"]);
}

/// The start fails when `lease_timeout` is over, and works once the server does.
fn a_dead_server(site: &mut Site) {
    site.network("quick", &["lease_timeout=2s"]);
    let before = site.host_links();
    let on_lan = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.server.stop().unwrap();

    let start = Instant::now();
    let args = run_args("web", &["--network", "quick", "--mac-address", MAC]);
    let said = site.docker_fails(&args);
    let took = start.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(10)).contains(&took), "{took:?}");
    // It goes on asking while the cause is looked for.
    let discovers = 2..=count(&on_lan, MAC, DISCOVER);
    let told = format!(" DISCOVERs sent from {MAC}, nothing heard");
    assert!(discovers.into_iter().any(|n| said.contains(&format!("{n}{told}"))), "{said}");
    for words in
        ["no DHCP server answered on br0 within 2s", "ip link show master br0", "-o lease_timeout="]
    {
        assert!(said.contains(words), "no {words:?} in: {said}");
    }
    assert_eq!(site.host_links(), before);
    assert!(site.endpoints().is_empty());

    site.server.restart().unwrap();
    site.docker(&["start", "web"]);
    site.reached(site.address("web", "quick"));
    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
    assert_eq!(site.host_links(), before);
}
