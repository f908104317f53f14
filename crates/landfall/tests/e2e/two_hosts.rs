//! Two Docker hosts on one LAN, which know nothing of each other.

use std::net::Ipv4Addr;
use std::path::Path;

use lab::{
    DhcpServer, Engine, EngineOptions, EngineVersion, Landfall, ServerOptions, landfall_binary,
};

use crate::compose::has_compose;
use crate::site::{Site, lan_with_dnsmasq};

const FILE: &str = "/srv/compose.yaml";

/// Runs the example with a network of its own, and tells MAC and address of each of two containers of its service.
fn up(engine: &Engine) -> [(String, Ipv4Addr); 2] {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/own-network");
    let text = std::fs::read_to_string(example.join("compose.yaml")).unwrap();
    engine.machine().write(FILE, &text).unwrap();
    engine
        .machine()
        .ok(&["docker-compose", "-p", "home", "-f", FILE, "up", "-d", "--scale", "web=2"])
        .unwrap();
    ["home-web-1", "home-web-2"].map(|container| {
        let format = "{{range .NetworkSettings.Networks}}{{.MacAddress}} {{.IPAddress}}{{end}}";
        let shown = ["inspect", "-f", format, container];
        let shown = engine.docker_ok(&shown).unwrap();
        let (mac, ip) = shown.trim().split_once(' ').unwrap();
        (mac.to_owned(), ip.parse().unwrap())
    })
}

#[test]
fn the_same_compose_file_on_both() {
    let (lan, server) = lan_with_dnsmasq(ServerOptions::default());
    let other = lan.another_host("otherhost").unwrap();
    let site = Site::on(lan, server, &[]);
    if !has_compose(&site) {
        println!("no docker-compose beside this engine: run on 26.1 and 28.5");
        return;
    }
    // Dropped in this order: the engine goes before the network that it stands in.
    let engine =
        Engine::start(EngineVersion::from_env().unwrap(), &other, EngineOptions::default());
    let engine = engine.unwrap();
    let _landfall: Landfall = engine.spawn_landfall(&landfall_binary().unwrap(), &[], &[]).unwrap();
    let (here, there) = (up(&site.engine), up(&engine));
    let all = [&here[..], &there].concat();
    for (n, (mac, ip)) in all.iter().enumerate() {
        site.reached(*ip);
        let same = |(other_mac, other_ip): &(String, Ipv4Addr)| mac == other_mac || ip == other_ip;
        assert!(!all[n + 1..].iter().any(same), "{all:?}");
        let lease = site.server.leases().unwrap().into_iter().find(|lease| lease.mac == *mac);
        assert_eq!(lease.map(|lease| lease.ip), Some(*ip));
    }
    for (from, to) in [(&site.engine, &there), (&engine, &here)] {
        for (_, ip) in to {
            let ping = ["exec", "home-web-1", "ping", "-c", "1", "-W", "3", &ip.to_string()];
            from.docker_ok(&ping).unwrap();
        }
    }
    for engine in [&site.engine, &engine] {
        let down = ["docker-compose", "-p", "home", "-f", FILE, "down", "-t", "0"];
        engine.machine().ok(&down).unwrap();
    }
    site.no_lease_is_left();
}
