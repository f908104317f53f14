//! The machine boots: the kernel is empty, the state directory is not.

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use wire::dhcp4::{MessageType, code};

use crate::container::{Container, FOREVER, endpoint_ref};
use crate::server::{Grant, Request, Server, nak};
use crate::site::{SOON, Site, eventually, same};

const MAC: &str = "02:00:00:00:00:42";

fn grant() -> Grant {
    Grant::new([10, 77, 1, 66]).times(1800, 3150, 3600)
}

/// Boots: every link of Landfall's is gone, and the boot has another identifier. `clock`: whether there is one on a
/// battery, so that the time of day can be trusted.
fn boot(site: &mut Site, clock: bool) {
    site.landfall.kill9().unwrap();
    for link in site.links().iter().filter(|name| name.starts_with("lf")) {
        // One end goes with the other.
        let _ = site.host().run(&["ip", "link", "delete", link]).unwrap();
    }
    let hctosys = u8::from(clock);
    let script = format!(
        "set -e; umount /run/netns/landfall-* || true; rm -f /run/netns/landfall-*\n\
         echo 00000000-1111-4222-8333-444444444444 > /run/boot_id\n\
         mount --bind /run/boot_id /proc/sys/kernel/random/boot_id\n\
         mount -t tmpfs none /sys/class; mkdir -p /sys/class/rtc/rtc0\n\
         echo {hctosys} > /sys/class/rtc/rtc0/hctosys"
    );
    site.machine().ok(&["sh", "-c", &script]).unwrap();
    site.landfall.restart().unwrap();
}

/// A site where a container had a lease when the machine went down.
fn after_boot(options: &[(&str, &str)], clock: bool) -> (Site, Server) {
    let mut site = Site::new();
    let server = Server::granting(&site.lan, grant());
    site.network("lan", options);
    let container = site.run("lan", "one", MAC);
    assert_eq!(container.endpoint.address, "10.77.1.66/16");
    drop(container);
    boot(&mut site, clock);
    assert_ne!(site.shown("one")["held_until"], Value::Null);
    (site, server)
}

/// DHCPREQUEST in INIT-REBOOT (RFC 2131 §4.3.2): the address in option 50, no server, no `ciaddr`.
fn asks_whether_it_is_still_right(request: &Request) -> bool {
    let options = &request.message.options;
    request.kind == MessageType::Request
        && options.get(code::REQUESTED_ADDRESS) == Some(&[10, 77, 1, 66][..])
        && options.get(code::SERVER_ID).is_none()
        && request.message.ciaddr.is_unspecified()
}

#[test]
fn a_container_has_its_address_again_in_one_round_trip() {
    for clock in [true, false] {
        let (site, server) = after_boot(&[("release_delay", "1h")], clock);
        let mark = server.mark();
        let container = site.run("lan", "two", MAC);
        assert_eq!(container.endpoint.address, "10.77.1.66/16");
        let said = server.requests();
        assert!(asks_whether_it_is_still_right(&said[mark]), "{:?}", said[mark]);
        assert_eq!(said.len(), mark + 1, "one exchange");
        assert_eq!(site.shown("one"), Value::Null);
        assert!(container.ping(lab::Lan::ROUTER));
        // It goes on as any: held, and handed over.
        container.stop(&site);
        assert_eq!(site.run("lan", "three", MAC).endpoint.address, "10.77.1.66/16");
        assert_eq!(server.count(MessageType::Discover), 1);
    }
}

#[test]
fn the_server_has_changed_its_mind() {
    let (site, server) = after_boot(&[], true);
    server.behave(|request| {
        if asks_whether_it_is_still_right(request) {
            return vec![nak(request, lab::Lan::ROUTER, "wrong network")];
        }
        Grant::new([10, 77, 2, 2]).answer(request)
    });
    assert_eq!(site.create("lan", "two", MAC).address, "10.77.2.2/16");
    assert_eq!(server.count(MessageType::Discover), 2);
}

#[test]
fn the_host_is_up_before_the_router() {
    let (site, server) = after_boot(&[], true);
    server.behave(|_| vec![]);
    let began = std::time::Instant::now();
    let container = site.run("lan", "two", MAC);
    assert_eq!(container.endpoint.address, "10.77.1.66/16");
    // The RFC's two seconds of silence, and not the ten of `lease_timeout`.
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(server.count(MessageType::Discover), 1, "none after the boot");
    // The exchange goes on behind, and what the router says in the end counts.
    let mark = server.mark();
    server.grant(Grant { routers: vec![lab::Lan::LAPTOP], ..grant() });
    server.wait_after(mark, "asked again", SOON, asks_whether_it_is_still_right);
    eventually("the new router", SOON, || {
        same(container.routes(), &vec!["default via 10.77.0.9 dev eth0".to_owned()])
    });
}

#[test]
fn without_a_clock_no_lease_is_trusted_and_a_start_fails_without_a_server() {
    let (site, server) = after_boot(&[("lease_timeout", "4s")], false);
    server.behave(|_| vec![]);
    let refusal = site.try_create("lan", "two", MAC).unwrap_err();
    assert!(refusal.contains("no DHCP server answered on br0 within 4s"), "{refusal}");
    assert_eq!(site.endpoint_links(), [] as [&str; 0]);
    // The identity waits for the next try.
    server.grant(grant());
    let mark = server.mark();
    assert_eq!(site.create("lan", "three", MAC).address, "10.77.1.66/16");
    assert!(asks_whether_it_is_still_right(&server.requests()[mark]));
}

#[test]
fn no_server_last_goes_on_with_the_last_address() {
    let options = [("lease_timeout", "3s"), ("no_server", "last")];
    let (site, server) = after_boot(&options, false);
    server.behave(|_| vec![]);
    let container = site.run("lan", "two", MAC);
    assert_eq!(container.endpoint.address, "10.77.1.66/16");
    assert!(container.ping(lab::Lan::LAPTOP));
    eventually("known in its sandbox", SOON, || {
        same(site.shown("two")["interface"].clone(), &json!("eth0"))
    });
    assert_eq!(container.lifetime(), FOREVER, "until a server says otherwise");
    // One that never had an address fails.
    site.try_create("lan", "new", "02:00:00:00:00:43").unwrap_err();
    server.grant(grant());
    eventually("a lease", SOON * 7, || same(site.shown("two")["state"].clone(), &json!("BOUND")));
    assert!(container.ping(lab::Lan::LAPTOP));
}

#[test]
fn no_server_wait_starts_without_an_address() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |_| vec![]);
    site.network("lan", &[("lease_timeout", "1s"), ("no_server", "wait")]);
    let answer = site.ok("CreateEndpoint", &crate::site::endpoint_argument("lan", "one", MAC));
    assert_eq!(answer["Interface"]["Address"], "");
    let endpoint = crate::site::Endpoint {
        network: crate::site::id("lan"),
        id: crate::site::id("one"),
        mac: MAC.into(),
        address: String::new(),
    };
    let container = Container::start(&site, endpoint.clone());
    assert_eq!(container.joined["DisableGatewayService"], true, "no docker_gwbridge");
    assert_eq!(container.joined.get("Gateway"), None);
    assert_eq!(container.cidrs(), [] as [&str; 0]);
    server.grant(grant());
    eventually("the address", SOON * 2, || same(container.cidrs(), &vec!["10.77.1.66/16".into()]));
    eventually("the route", SOON, || {
        same(container.routes(), &vec!["default via 10.77.0.1 dev eth0".to_owned()])
    });
    assert!(site.lan.ping(lab::Place::Laptop, Ipv4Addr::new(10, 77, 1, 66)).unwrap());
    site.ok("Leave", &endpoint_ref(&endpoint));
}
