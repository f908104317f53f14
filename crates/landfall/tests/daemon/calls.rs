//! The calls of one container's life, in order, repeated, and of what nobody knows.

use lab::{Capture, Lan, Place};
use serde_json::{Value, json};
use wire::dhcp4::MessageType;

use crate::container::{Container, endpoint_ref, join_argument};
use crate::server::{Grant, Server};
use crate::site::{SOON, Site, endpoint_argument, eventually, host_link, id, same};

#[test]
fn a_containers_life() {
    let mut site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    let before = site.links();

    let activated = site.answer("Plugin.Activate", "");
    assert_eq!(activated.body, r#"{"Implements":["NetworkDriver","IpamDriver"]}"#);
    let capabilities = site.answer("NetworkDriver.GetCapabilities", "");
    assert_eq!(capabilities.body, r#"{"Scope":"local","ConnectivityScope":"global"}"#);
    let network = site.network_argument("lan", &[]);
    assert_eq!(site.ok("CreateNetwork", &network), json!({}));

    let mac = "02:00:00:00:00:42";
    let endpoint = site.create("lan", "web", mac);
    assert_eq!(endpoint.address, "10.77.1.5/16");
    let info = site.ok("EndpointOperInfo", &endpoint_ref(&endpoint));
    assert_eq!(info["Value"]["address"], "10.77.1.5/16", "{info}");
    assert_eq!(info["Value"]["mac"], mac, "{info}");

    let container = Container::join(&site, endpoint);
    let endpoint = container.endpoint.clone();
    assert_eq!(container.joined["Gateway"], Lan::ROUTER.to_string());
    assert_eq!(container.joined["InterfaceName"]["DstPrefix"], "eth");
    assert_eq!(container.joined["DisableGatewayService"], false);
    assert_eq!(container.joined["StaticRoutes"], json!([]));
    container.move_in(&site);
    let mut programmed = endpoint_ref(&endpoint);
    programmed["Options"] = json!({ "com.docker.network.portmap": [] });
    assert_eq!(site.ok("ProgramExternalConnectivity", &programmed), json!({}));

    assert!(site.lan.ping(Place::Laptop, container.ip()).unwrap());
    assert!(container.ping(Lan::LAPTOP));
    eventually("the interface in the status", SOON, || {
        same(site.shown("web")["interface"].clone(), &json!("eth0"))
    });
    let shown = site.shown("web");
    assert_eq!(shown["address"], "10.77.1.5/16");
    assert_eq!(shown["gateway"], "10.77.0.1");
    assert_eq!(shown["server"], "10.77.0.1");
    assert_eq!(shown["state"], "BOUND");
    assert_eq!(shown["docker_shows"], Value::Null);

    assert_eq!(site.ok("RevokeExternalConnectivity", &endpoint_ref(&endpoint)), json!({}));
    container.leave(&site);
    let release = server.wait_for(MessageType::Release, SOON);
    assert_eq!(release.message.ciaddr, endpoint.ip());
    assert_eq!(release.to, Lan::ROUTER);
    container.move_out(&site);
    container.delete(&site);
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
    site.delete_network("lan");
    assert_eq!(site.links(), before);

    let kinds: Vec<MessageType> = server.requests().iter().map(|request| request.kind).collect();
    let expected = [MessageType::Discover, MessageType::Request, MessageType::Release];
    assert_eq!(kinds, expected);
    assert_eq!(site.stop_and_read_store(), (vec![], vec![]));
}

#[test]
fn the_same_endpoint_twice_has_one_link_and_one_lease() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let first = site.create("lan", "web", "");
    assert_eq!(site.create("lan", "web", ""), first);
    let container = Container::join(&site, first.clone());
    let key = format!("/run/docker/netns/{}", &id("web")[..12]);
    assert_eq!(site.ok("Join", &join_argument(&first, &key)), container.joined);
    container.move_in(&site);
    // After the start as well: an engine that lost the answer asks again.
    assert_eq!(site.create("lan", "web", ""), first);
    assert_eq!(site.ok("Join", &join_argument(&first, &key)), container.joined);
    assert_eq!(site.endpoint_links(), [host_link("web")]);
    assert_eq!(server.count(MessageType::Discover), 1);
    assert!(container.ping(Lan::ROUTER));
}

#[test]
fn the_same_endpoint_from_two_callers_at_once() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    site.network("lan", &[]);
    let argument = endpoint_argument("lan", "web", "02:00:00:00:00:42");
    let first = site.begin("CreateEndpoint", &argument);
    let discover = server.wait_for(MessageType::Discover, SOON);
    let second = site.call("CreateEndpoint", &argument).unwrap_err();
    assert!(second.contains(&id("web")[..12]) && second.contains("another call"), "{second}");
    // The second caller's end is not the end of what the first one waits for.
    let grant = Grant::new([10, 77, 1, 5]);
    server.grant(grant.clone());
    server.send(&grant.reply(&discover, MessageType::Offer));
    let answer = first.answer();
    assert!(answer.contains(r#""Address":"10.77.1.5/16""#), "{answer}");
    assert_eq!(site.endpoint_links().len(), 2, "one veth: {:?}", site.endpoint_links());
    assert_eq!(server.count(MessageType::Discover), 1);
}

#[test]
fn an_interface_is_named_as_the_network_says() {
    let site = Site::new();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[("interface_prefix", "lan")]);
    let container = site.run("lan", "web", "");
    assert_eq!(container.joined["InterfaceName"]["DstPrefix"], "lan");
    assert!(container.ping(Lan::ROUTER));
    eventually("the interface in the status", SOON, || {
        same(site.shown("web")["interface"].clone(), &json!("lan0"))
    });
}

#[test]
fn the_same_network_twice() {
    let site = Site::new();
    site.network("lan", &[]);
    let links = site.links();
    site.network("lan", &[]);
    assert_eq!(site.links(), links);
    let other = site.network_argument("lan", &[("lease_timeout", "5s")]);
    let refusal = site.call("CreateNetwork", &other).unwrap_err();
    assert!(refusal.contains(&id("lan")[..12]), "{refusal}");
}

#[test]
fn what_is_not_known_can_be_left_and_deleted() {
    let site = Site::new();
    let unknown = json!({ "NetworkID": id("lan"), "EndpointID": id("web") });
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    for _ in 0..2 {
        for method in ["Leave", "DeleteEndpoint", "DeleteNetwork", "RevokeExternalConnectivity"] {
            assert_eq!(site.ok(method, &unknown), json!({}), "{method}");
        }
        assert_eq!(site.ok("EndpointOperInfo", &unknown), json!({ "Value": {} }));
        // The same with a network that is known.
        site.network("lan", &[]);
    }
    assert_eq!(capture.pick(lab::Frame::dhcp), []);
}

#[test]
fn an_endpoint_without_its_network_or_a_join_without_its_endpoint_is_an_error() {
    let site = Site::new();
    let refusal = site.try_create("lan", "web", "").unwrap_err();
    assert!(refusal.contains(&format!("network {}", &id("lan")[..12])), "{refusal}");
    assert!(refusal.contains("docker network rm"), "no remedy: {refusal}");

    site.network("lan", &[]);
    let mut join = json!({ "NetworkID": id("lan"), "EndpointID": id("web") });
    join["SandboxKey"] = json!("/run/docker/netns/0123456789ab");
    let refusal = site.call("Join", &join).unwrap_err();
    assert!(refusal.contains(&format!("endpoint {}", &id("web")[..12])), "{refusal}");
    assert!(refusal.contains(&format!("network {}", &id("lan")[..12])), "{refusal}");
    assert_eq!(site.status()["endpoints"], json!([]));
}

#[test]
fn a_sandbox_that_cannot_be_one() {
    let site = Site::new();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let endpoint = site.create("lan", "web", "");

    let rootless = "/run/user/1000/docker/netns/0123456789ab";
    let refusal = site.call("Join", &join_argument(&endpoint, rootless)).unwrap_err();
    assert!(refusal.contains("rootless") && refusal.contains(rootless), "{refusal}");
    for key in ["", "netns", "../netns", "/run/docker/../../etc"] {
        let refusal = site.call("Join", &join_argument(&endpoint, key)).unwrap_err();
        assert!(refusal.contains("path of a network namespace"), "{key}: {refusal}");
        assert!(refusal.contains(key), "{refusal}");
    }
    // None of it has cost the endpoint anything.
    let container = Container::start(&site, endpoint);
    assert!(container.ping(Lan::ROUTER));
}

#[test]
fn a_sandbox_that_is_not_there_yet() {
    let site = Site::new();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let endpoint = site.create("lan", "web", "");
    // Up to Engine 27 the namespace comes after Join.
    let key = "/run/docker/netns/fedcba987654";
    site.ok("Join", &join_argument(&endpoint, key));
    site.machine().path("/run/docker/netns").read_dir().unwrap_err();
    let container = Container::start(&site, endpoint);
    assert!(container.ping(Lan::ROUTER));
}
