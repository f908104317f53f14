//! What a network and a single endpoint tell the DHCP server of themselves, and what they ask it for.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};
use wire::MacAddr;
use wire::dhcp4::{Message, MessageType, code};

use crate::container::Container;
use crate::server::{Grant, Reply, Request, Server};
use crate::site::{SOON, Site, eventually};

const MAC: &str = "02:00:00:00:00:42";

fn grants(site: &Site) -> Server {
    Server::granting(&site.lan, Grant::new([10, 77, 1, 9]).times(2, 60, 120))
}

/// A server that gives each client the address that it asks for, unless another has it: then one that is nobody's.
fn obliging(site: &Site) -> Server {
    let mut leases: HashMap<Ipv4Addr, MacAddr> = HashMap::new();
    Server::start(site.lan.router_ns(), "eth0", move |request: &Request| -> Vec<Reply> {
        let message = &request.message;
        if request.kind == MessageType::Release {
            leases.remove(&message.ciaddr);
        }
        let last = message.chaddr.0[5];
        let wanted = message.options.requested_address().unwrap_or([10, 77, 2, last].into());
        let free = leases.get(&wanted).is_none_or(|holder| *holder == message.chaddr);
        let address = if free { wanted.octets() } else { [10, 77, 3, last] };
        if request.kind == MessageType::Request {
            leases.insert(address.into(), message.chaddr);
        }
        Grant::new(address).answer(request)
    })
}

/// The options by which a server knows a client.
fn told(message: &Message) -> [Option<&[u8]>; 5] {
    [code::CLIENT_ID, code::VENDOR_CLASS, code::USER_CLASS, code::HOST_NAME, code::CLIENT_FQDN]
        .map(|code| message.options.get(code))
}

#[test]
fn the_server_is_told_from_the_first_packet_to_the_last() {
    let mut site = Site::new();
    let server = grants(&site);
    let classes = [("vendor_class", "acme"), ("user_class", "iot"), ("register_dns", "true")];
    site.network("lan", &classes);
    let asked = [("hostname", "web"), ("client_id", "disk 7")];
    let endpoint = site.try_create_asking("lan", "one", MAC, &asked).unwrap();
    let container = Container::start(&site, endpoint);
    let all =
        [Some(&b"\0disk 7"[..]), Some(b"acme"), Some(b"\x03iot"), None, Some(b"\x05\0\0\x03web")];
    for kind in [MessageType::Discover, MessageType::Request] {
        let heard = server.wait_for(kind, SOON);
        assert_eq!(told(&heard.message), all, "{kind}");
    }
    // A daemon that comes after it says the same.
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let mark = server.mark();
    let renewal = server.wait_after(mark, "a renewal", SOON, |r| r.kind == MessageType::Request);
    assert_eq!(told(&renewal.message), all);
    container.stop(&site);
    let release = server.wait_for(MessageType::Release, SOON);
    assert_eq!(told(&release.message), [all[0], None, None, None, None]);
}

#[test]
fn a_networks_identifier_is_that_of_one_container_at_a_time() {
    let site = Site::new();
    let server = obliging(&site);
    site.network("lan", &[("client_id", "box"), ("release_delay", "1h")]);
    site.network("lan2", &[]);
    let first = site.run("lan", "one", MAC);
    assert_eq!(
        server.wait_for(MessageType::Discover, SOON).message.options.client_id(),
        Some(&b"\0box"[..])
    );
    let taken = "client_id \"box\" is in use on br0 by endpoint ";
    for (network, asked) in [("lan", &[][..]), ("lan2", &[("client_id", "box")])] {
        let refusal = site.try_create_asking(network, "two", "", asked).unwrap_err();
        assert!(refusal.contains(taken), "{refusal}");
    }
    // One of its own is another matter.
    site.try_create_asking("lan", "own", "", &[("client_id", "other")]).unwrap();

    // Whoever takes it over from one that has ended asks the server, which has been given the lease back.
    first.stop(&site);
    assert_eq!(server.count(MessageType::Release), 0);
    site.create("lan", "next", "");
    assert_eq!(site.shown("one"), Value::Null);
    assert_eq!(server.count(MessageType::Release), 1);
}

#[test]
fn the_address_that_is_asked_for() {
    let site = Site::new();
    let server = obliging(&site);
    site.network("lan", &[]);
    let endpoint = site.try_create_asking("lan", "one", "", &[("ip", "10.77.0.50")]).unwrap();
    assert_eq!(endpoint.address, "10.77.0.50/16");
    let discover = server.wait_for(MessageType::Discover, SOON);
    assert_eq!(discover.message.options.requested_address(), Some([10, 77, 0, 50].into()));
}

#[test]
fn another_address_is_refused_and_nothing_is_left() {
    let mut site = Site::new();
    let server = grants(&site);
    // Much longer than the refusal takes.
    site.network("lan", &[("lease_timeout", "10m"), ("no_server", "wait")]);
    let before = site.links();
    let refusal = site.try_create_asking("lan", "one", MAC, &[("ip", "10.77.0.50")]).unwrap_err();
    for words in ["10.77.0.1 on br0 offered 10.77.1.9 and not 10.77.0.50", MAC, "ip=10.77.0.50"] {
        assert!(refusal.contains(words), "no {words:?} in {refusal}");
    }
    let refusal = site.try_create_asking("lan", "one", MAC, &[("ip", "192.0.2.50")]).unwrap_err();
    for words in ["offered 10.77.1.9 and not 192.0.2.50", "not of the LAN's subnet 10.77.0.0/16"] {
        assert!(refusal.contains(words), "no {words:?} in {refusal}");
    }
    for kind in [MessageType::Request, MessageType::Release] {
        assert_eq!(server.count(kind), 0, "{kind}");
    }
    assert_eq!(site.links(), before);
    assert_eq!(site.shown("one"), Value::Null);
    let (_, endpoints) = site.stop_and_read_store();
    assert_eq!(endpoints, [] as [&str; 0]);
}

#[test]
fn a_lease_that_is_held_makes_way_for_who_asks_for_its_address() {
    let site = Site::new();
    let server = obliging(&site);
    site.network("lan", &[("release_delay", "1h")]);
    let first = site.run("lan", "one", MAC);
    let ip = first.endpoint.ip().to_string();
    first.stop(&site);
    // Another container.
    let second = site.try_create_asking("lan", "two", "", &[("ip", &ip)]).unwrap();
    assert_eq!((second.ip().to_string(), second.mac == MAC), (ip.clone(), false));
    assert_eq!(site.shown("one"), Value::Null);
    let second = Container::start(&site, second);
    second.stop(&site);

    // The one that comes back for it has it at once.
    let mac = site.shown("two")["mac"].as_str().unwrap().to_owned();
    let mark = server.mark();
    let again = site.try_create_asking("lan", "three", &mac, &[("ip", &ip)]).unwrap();
    assert_eq!((again.ip().to_string(), server.mark()), (ip, mark));
    Container::start(&site, again).stop(&site);

    // And one that comes back for another address has given this one back.
    let again = site.try_create_asking("lan", "four", &mac, &[("ip", "10.77.0.50")]).unwrap();
    assert_eq!(again.address, "10.77.0.50/16");
    assert_eq!(server.count(MessageType::Release), 2);
}

#[test]
fn a_container_that_runs_follows_its_server_to_another_address() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 0, 50]).times(1, 60, 120));
    site.network("lan", &[]);
    let endpoint = site.try_create_asking("lan", "one", MAC, &[("ip", "10.77.0.50")]).unwrap();
    let container = Container::start(&site, endpoint);
    let moved = Grant::new([10, 77, 1, 9]);
    server.behave(move |request| match request.message.ciaddr.is_unspecified() {
        true => moved.answer(request),
        false => vec![crate::server::nak(request, lab::Lan::ROUTER, "renumbered")],
    });
    eventually("the other address", SOON, || {
        let cidrs = container.cidrs();
        if cidrs == ["10.77.1.9/16"] { Ok(()) } else { Err(format!("{cidrs:?}")) }
    });
}

#[test]
fn the_interface_is_called_as_asked_as_far_as_the_engine_lets_it() {
    let mut site = Site::new();
    let _server = grants(&site);
    site.network("lan", &[]);
    let ifname = [("com.docker.network.endpoint.ifname", "uplink0")];
    let endpoint = site.try_create_asking("lan", "one", MAC, &ifname).unwrap();
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let container = Container::start(&site, endpoint);
    assert_eq!(container.joined["InterfaceName"]["DstName"], "uplink0");
    assert_eq!(container.joined["InterfaceName"]["DstPrefix"], "uplink");
    eventually("the name in the status", SOON, || match &site.shown("one")["interface"] {
        name if name == "uplink0" => Ok(()),
        other => Err(other.to_string()),
    });
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let site = Site::new();
    let server = grants(&site);
    site.network("lan", &[]);
    site.network("lan6", &[("ipv4", "false"), ("ipv6", "auto")]);
    for (network, option, value, words) in [
        ("lan", "hostnme", "web", "did you mean \"hostname\"?"),
        ("lan", "ip", "10.77.0.50/16", "option ip=\"10.77.0.50/16\""),
        ("lan", "hostname", "my web", "a host name"),
        ("lan", "client_id", "", "a text of 1 to 254 bytes"),
        ("lan", "com.docker.network.endpoint.ifname", "a/b", "the name of an interface"),
        ("lan6", "ip", "10.77.0.50", "the network has no IPv4"),
    ] {
        let refusal = site.try_create_asking(network, "one", "", &[(option, value)]).unwrap_err();
        assert!(refusal.contains(words), "{option}={value}: {refusal}");
    }
    assert_eq!(server.mark(), 0, "not a word to the server");
    assert_eq!(site.status()["endpoints"], json!([]));
}

/// The MAC that belongs to a name is the same for ever, on this host.
#[test]
fn a_name_has_its_mac_for_ever() {
    let mut site = Site::new();
    let server = obliging(&site);
    site.network("lan", &[]);
    let create = |site: &Site, endpoint: &str, name: &str| {
        site.try_create_asking("lan", endpoint, "", &[("identity", name)])
    };
    let delete = |site: &Site, endpoint: &crate::site::Endpoint| {
        site.ok("DeleteEndpoint", &crate::container::endpoint_ref(endpoint));
    };
    let web = create(&site, "one", "web").unwrap();
    let other = create(&site, "two", "other").unwrap();
    assert_ne!(web.mac, other.mac);
    // Two at a time would be one client.
    let refusal = create(&site, "three", "web").unwrap_err();
    assert!(
        refusal.contains(&format!("MAC {} is in use on br0 by endpoint ", web.mac)),
        "{refusal}"
    );
    delete(&site, &web);
    delete(&site, &other);
    server.wait_count(MessageType::Release, 2);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let again = create(&site, "four", "web").unwrap();
    assert_eq!((&again.mac, &again.address), (&web.mac, &web.address));
    delete(&site, &again);
    // With another network on the bridge as well.
    site.delete_network("lan");
    site.network("lan", &[]);
    assert_eq!(create(&site, "five", "web").unwrap().mac, web.mac);

    let both = site.try_create_asking("lan", "six", MAC, &[("identity", "web")]).unwrap_err();
    assert!(both.contains("--mac-address"), "{both}");
    // Another host is somebody else.
    let elsewhere = Site::new();
    let _server = obliging(&elsewhere);
    elsewhere.network("lan", &[]);
    assert_ne!(create(&elsewhere, "one", "web").unwrap().mac, web.mac);
}
