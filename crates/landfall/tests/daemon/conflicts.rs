//! Which bridges, and which MACs, may be used.

use lab::{Lan, LanOptions};
use serde_json::json;
use wire::dhcp4::MessageType;

use crate::container::{Container, endpoint_ref, join_argument};
use crate::server::{Grant, Server};
use crate::site::{Endpoint, Site, endpoint_argument, id};

const MAC: &str = "02:00:00:00:00:42";

/// A host with an address on br0 and a second bridge.
fn site(second: &str, lines: &str) -> Site {
    let options = LanOptions {
        host_address: Some("10.77.0.2/16".into()),
        extra_bridge: Some(second.into()),
        ..LanOptions::default()
    };
    let lan = Lan::new(options).unwrap();
    lan.host_ns().ip_batch(lines).unwrap();
    Site::on(lan)
}

#[test]
fn another_bridge_with_an_overlapping_subnet() {
    for (address, subnet) in [("10.77.9.1/24", "10.77.9.0/24"), ("10.1.0.1/8", "10.0.0.0/8")] {
        let site = site("virbr0", &format!("addr add {address} dev virbr0\n"));
        let argument = site.network_argument("lan", &[]);
        let refusal = site.call("CreateNetwork", &argument).unwrap_err();
        for word in ["virbr0", subnet, "br0", "10.77.0.0/16", "ignore_conflicts=true"] {
            assert!(refusal.contains(word), "{word}: {refusal}");
        }
        assert_eq!(site.status()["networks"], json!([]));
        assert_eq!(site.links(), ["br0", "laptop", "lo", "router", "virbr0"], "a port is left");
        site.network("lan", &[("ignore_conflicts", "true")]);
        assert_eq!(site.status()["networks"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn another_bridge_with_another_subnet() {
    let site = site("virbr0", "addr add 192.168.122.1/24 dev virbr0\n");
    site.network("lan", &[]);
    site.network("virt", &[("bridge", "virbr0")]);
}

#[test]
fn several_networks_on_one_bridge() {
    let site = Site::new();
    let _server = Server::start(site.lan.router_ns(), "eth0", |request| {
        Grant::new([10, 77, 1, request.message.chaddr.0[5]]).answer(request)
    });
    for name in ["one", "two", "three"] {
        site.network(name, &[]);
    }
    let one = site.run("one", "a", "02:00:00:00:00:0a");
    let two = site.run("two", "b", "02:00:00:00:00:0b");
    assert!(one.ping(two.ip()) && two.ping(Lan::ROUTER));
    site.delete_network("three");
    one.stop(&site);
    site.delete_network("one");
    assert!(two.ping(Lan::ROUTER));
    two.stop(&site);
}

#[test]
fn bridges_that_docker_made() {
    for name in ["docker0", "docker_gwbridge", "br-0123456789ab"] {
        let lan = Lan::new(LanOptions { extra_bridge: Some(name.into()), ..LanOptions::default() });
        let site = Site::on(lan.unwrap());
        let argument = site.network_argument("lan", &[("bridge", name)]);
        let refusal = site.call("CreateNetwork", &argument).unwrap_err();
        assert!(refusal.contains(name) && refusal.contains("Docker made"), "{refusal}");
        assert_eq!(site.links().len(), 5, "a port is left: {:?}", site.links());
        site.network("lan", &[("bridge", name), ("ignore_conflicts", "1")]);
    }
}

#[test]
fn bridges_that_only_look_like_dockers() {
    let lan = Lan::new(LanOptions { extra_bridge: Some("br-lan".into()), ..LanOptions::default() });
    let site = Site::on(lan.unwrap());
    site.network("lan", &[("bridge", "br-lan")]);
}

#[test]
fn the_wrong_ipam_driver() {
    let site = Site::new();
    let mut argument = site.network_argument("lan", &[]);
    argument["IPv4Data"] = json!([{
        "AddressSpace": "LocalDefault", "Pool": "172.18.0.0/16", "Gateway": "172.18.0.1/16",
        "AuxAddresses": {},
    }]);
    let refusal = site.call("CreateNetwork", &argument).unwrap_err();
    let command = "docker network create -d landfall --ipam-driver null -o bridge=br0";
    assert!(refusal.contains(command), "{refusal}");
    assert_eq!(site.links(), ["br0", "laptop", "lo", "router"]);
}

#[test]
fn options_that_cannot_be_taken() {
    let site = Site::new();
    for (option, words) in [
        (("lease_timout", "5s"), "did you mean \"lease_timeout\"?"),
        (("mode", "l3"), "bridge, macvlan or ipvlan"),
        (("ipv6", "yes"), "false, true, auto, slaac or dhcp"),
        (("lease_timeout", "soon"), "a time such as 10s"),
    ] {
        let argument = site.network_argument("lan", &[option]);
        let refusal = site.call("CreateNetwork", &argument).unwrap_err();
        assert!(refusal.contains(words), "{option:?}: {refusal}");
    }
    // What the engine itself adds is none of our business.
    site.network("lan", &[("com.docker.network.advertise_addr_ms", "100")]);
}

#[test]
fn the_same_mac_twice() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    site.network("other", &[]);
    let first = site.run("lan", "first", MAC);
    for network in ["lan", "other"] {
        let refusal = site.try_create(network, "second", MAC).unwrap_err();
        let holder = format!("endpoint {}", &id("first")[..12]);
        for word in [&id("second")[..12], MAC, "br0", &holder] {
            assert!(refusal.contains(word), "{word}: {refusal}");
        }
    }
    // The one that has it has not noticed.
    assert!(first.ping(Lan::ROUTER));
    assert_eq!(site.shown("first")["state"], "BOUND");
    assert_eq!(site.endpoint_links().len(), 1, "{:?}", site.endpoint_links());
    assert_eq!((server.count(MessageType::Discover), server.count(MessageType::Release)), (1, 0));
    // Once it is gone the MAC is free.
    first.stop(&site);
    let second = Container::start(&site, site.create("lan", "second", MAC));
    assert!(second.ping(Lan::ROUTER));
}

#[test]
fn the_same_mac_on_two_bridges() {
    let lan = Lan::new(LanOptions { extra_bridge: Some("br1".into()), ..LanOptions::default() });
    let site = Site::on(lan.unwrap());
    let far = lab::Namespace::new("far").unwrap();
    site.host()
        .ip_batch(&format!(
            "link add up1 type veth peer name eth0 netns {}\nlink set up1 master br1 up\n",
            far.path().display()
        ))
        .unwrap();
    far.ip_batch("addr add 10.77.0.1/16 dev eth0\nlink set eth0 up\n").unwrap();
    let grant = Grant::new([10, 77, 1, 5]);
    let theirs = grant.clone();
    let _far = Server::start(&far, "eth0", move |request| theirs.answer(request));
    let _near = Server::granting(&site.lan, grant);
    site.network("lan", &[]);
    site.network("lan1", &[("bridge", "br1")]);
    // Two LANs: neither knows of the other.
    let containers = [site.run("lan", "a", MAC), site.run("lan1", "b", MAC)];
    assert!(containers.iter().all(|container| container.ping(Lan::ROUTER)));
    for container in containers {
        container.stop(&site);
    }
}

#[test]
fn macs_that_no_station_can_have() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    for mac in ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"] {
        let refusal = site.try_create("lan", "web", mac).unwrap_err();
        assert!(
            refusal.contains(mac) && refusal.contains("cannot be a container's MAC"),
            "{refusal}"
        );
    }
    for mac in ["02:00:00:00:00", "02-00-00-00-00-00-00-01", "banana"] {
        let body = endpoint_argument("lan", "web", mac).to_string();
        let answer = site.answer("NetworkDriver.CreateEndpoint", &body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains(mac), "{answer:?}");
    }
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
    assert!(server.requests().is_empty());
}

#[test]
fn a_mac_of_the_daemons_making() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |request| {
        Grant::new([10, 77, 1, request.message.chaddr.0[5].max(1)]).answer(request)
    });
    site.network("lan", &[]);
    let (one, two) = (site.create("lan", "a", ""), site.create("lan", "b", ""));
    assert_ne!(one.mac, two.mac);
    for endpoint in [&one, &two] {
        assert!(endpoint.mac.starts_with("02:"), "{}", endpoint.mac);
        let sent = server.requests().iter().any(|r| r.message.chaddr.to_string() == endpoint.mac);
        assert!(sent, "{}", endpoint.mac);
    }
}

/// An engine would refuse the second address in words of its own, once all is made.
#[test]
fn two_networks_of_one_subnet_in_one_container() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |request| {
        Grant::new([10, 77, 1, request.message.chaddr.0[5]]).answer(request)
    });
    site.network("lan", &[]);
    site.network("again", &[]);
    let web = Container::start(&site, site.create("lan", "web", "02:00:00:00:00:42"));
    let second = site.create("again", "second", "02:00:00:00:00:43");
    let key = |endpoint: &Endpoint| format!("/run/docker/netns/{}", &endpoint.id[..12]);
    let join = |key: &str| site.call("Join", &join_argument(&second, key));
    let refusal = join(&key(&web.endpoint)).unwrap_err();
    let words = "br0 leads to 10.77.0.0/16, and the container is on 10.77.0.0/16 by br0 (network ";
    assert!(refusal.contains(&format!("{words}{})", &id("lan")[..12])), "{refusal}");
    // Another container may, and the same one again.
    join(&key(&second)).unwrap();
    site.call("Join", &join_argument(&web.endpoint, &key(&web.endpoint))).unwrap();
    site.ok("DeleteEndpoint", &endpoint_ref(&second));
    web.stop(&site);
    server.wait_count(MessageType::Release, 2);
    assert_eq!(site.endpoint_links(), [""; 0]);
}
