//! Many endpoints at once: all are made, all are removed, and nothing is left of them.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use lab::{DhcpServer, Dnsmasq, Lan, LanOptions, Message, Namespace, ServerOptions};

use crate::container::{Container, endpoint_ref};
use crate::site::{SOON, Site, at_once, eventually, id, ip_json, same};

const COUNT: usize = 200;
/// What the kernel gives a bridge.
const MOST_PORTS: usize = 1023;

/// Open descriptors and threads of the daemon.
fn held(site: &Site) -> (usize, usize) {
    let entries = |of| fs::read_dir(format!("/proc/{}/{of}", site.landfall.pid())).unwrap().count();
    (entries("fd"), entries("task"))
}

/// The next run takes all of them up again; neither a container nor the server notices.
fn killed_and_started_again(site: &mut Site, container: &Container, server: &Dnsmasq) {
    let discovers = || server.log().grep(server.words(Message::Discover)).len();
    let addresses = |site: &Site| -> BTreeSet<String> {
        let status = site.status();
        let endpoints = status["endpoints"].as_array().unwrap().iter();
        endpoints.map(|e| format!("{} {} {}", e["id"], e["mac"], e["address"])).collect()
    };
    let (before, asked, links) = (addresses(site), discovers(), site.endpoint_links());
    let ping = "ping -n -i 0.05 -c 30 -W 1 10.77.0.1";
    let argv: Vec<&str> = ping.split(' ').collect();
    let output = thread::scope(|scope| {
        let ping = scope.spawn(|| container.ns.run(&argv).unwrap());
        site.landfall.kill9().unwrap();
        site.landfall.restart().unwrap();
        ping.join().unwrap()
    });
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains(" 0% packet loss"), "{output}");
    assert_eq!(addresses(site), before);
    assert_eq!(site.endpoint_links(), links);
    assert_eq!(discovers(), asked);
}

#[test]
fn two_hundred_endpoints() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let mut site = Site::on(lan);
    site.network("lan", &[("lease_timeout", "25s")]);
    // The first one brings up whatever is brought up once.
    site.run("lan", "first", "").stop(&site);
    let before = held(&site);

    let names: Vec<String> = (0..COUNT).map(|n| format!("c{n:03}")).collect();
    let endpoints = at_once(names, |name| site.create("lan", &name, ""));
    let addresses: BTreeSet<String> = endpoints.iter().map(|e| e.address.clone()).collect();
    assert_eq!(addresses.len(), COUNT);
    assert_eq!(site.status()["endpoints"].as_array().unwrap().len(), COUNT);
    server.wait_leases("all", SOON, &|leases| leases.len() == COUNT).unwrap();
    // An idle endpoint holds no descriptor and no thread.
    eventually("no more descriptors than before", SOON, || {
        let now = held(&site);
        if now.0 <= before.0 { Ok(()) } else { Err(format!("{now:?}, before {before:?}")) }
    });

    // Every tenth has a container; each is removed at the same time as all others.
    let (with, without): (Vec<_>, Vec<_>) =
        endpoints.into_iter().enumerate().partition(|(n, _)| n % 10 == 0);
    let containers = at_once(with, |(_, endpoint)| Container::start(&site, endpoint));
    assert!(containers.iter().all(|container| container.ping(Lan::ROUTER)));
    killed_and_started_again(&mut site, &containers[0], &server);
    let removed = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| at_once(containers, |container| container.stop(&site)));
        at_once(without, |(_, endpoint)| {
            site.ok("Leave", &endpoint_ref(&endpoint));
            site.ok("DeleteEndpoint", &endpoint_ref(&endpoint));
        });
    });
    let removed = removed.elapsed();
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
    // The table alone does not tell: its file is empty for a moment whenever the server rewrites it.
    eventually("a RELEASE of each", SOON, || {
        same(server.log().grep(server.words(Message::Release)).len(), &(COUNT + 1))
    });
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    // Far from the half minute after which engines give up.
    assert!(removed < Duration::from_secs(15), "{removed:?}");
    // A thread that has nothing to do any more ends within ten seconds.
    eventually("descriptors and threads as before", Duration::from_secs(20), || {
        let now = held(&site);
        if now.0 <= before.0 && now.1 <= before.1 {
            Ok(())
        } else {
            Err(format!("{now:?}, before {before:?}"))
        }
    });
    let (_, left) = site.stop_and_read_store();
    same(left, &vec![]).unwrap();
}

fn ports(host: &Namespace, bridge: &str) -> usize {
    ip_json(host, &["link", "show", "master", bridge]).as_array().unwrap().len()
}

/// Gives a bridge ports, down and of no use, until so many are left.
fn fill(host: &Namespace, bridge: &str, left: usize) {
    let wanted = MOST_PORTS - left - ports(host, bridge);
    // Both ends of a pair are ports: half the links, and no loop as long as they are down.
    let lines: String = (0..wanted)
        .map(|n| match n % 2 {
            0 => {
                format!("link add {bridge}-{n} master {bridge} type veth peer {bridge}-{}\n", n + 1)
            }
            _ => format!("link set {bridge}-{n} master {bridge}\n"),
        })
        .collect();
    host.ip_batch(&lines).unwrap();
    assert_eq!(ports(host, bridge), MOST_PORTS - left);
}

#[test]
fn a_bridge_that_is_full() {
    let options = LanOptions { extra_bridge: Some("br1".into()), ..LanOptions::default() };
    let lan = Lan::new(options).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let mut site = Site::on(lan);
    site.network("lan", &[]);
    let first = site.run("lan", "first", "");
    fill(site.host(), "br0", 1);
    let last = site.run("lan", "last", "");
    assert_eq!(ports(site.host(), "br0"), MOST_PORTS);
    let before = site.links();

    let refusal = site.try_create("lan", "more", "").unwrap_err();
    for words in [&id("lan")[..12], &id("more")[..12], "bridge br0 has all of the 1023 ports"] {
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
    // Nothing is left of it, and nobody else has noticed.
    assert_eq!(site.links(), before);
    assert_eq!(site.shown("more"), serde_json::Value::Null);
    server.wait_leases("those of the two", SOON, &|leases| leases.len() == 2).unwrap();
    assert!(first.ping(Lan::ROUTER) && last.ping(Lan::ROUTER));
    // One goes, another comes.
    last.stop(&site);
    let more = site.run("lan", "more", "");
    assert!(more.ping(Lan::ROUTER));

    // A bridge with no place for Landfall's own port.
    fill(site.host(), "br1", 0);
    let before = site.links();
    let argument = site.network_argument("lan1", &[("bridge", "br1")]);
    let refusal = site.call("CreateNetwork", &argument).unwrap_err();
    assert!(refusal.contains("bridge br1 has all of the 1023 ports"), "{refusal}");
    assert_eq!(site.links(), before);

    for container in [first, more] {
        container.stop(&site);
    }
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    let (networks, endpoints) = site.stop_and_read_store();
    assert_eq!((networks, endpoints), (vec![id("lan")], vec![]));
}
