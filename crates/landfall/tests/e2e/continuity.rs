//! Landfall and dockerd restart under running containers.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use lab::{Capture, Message, ServerOptions};
use serde_json::Value;

use crate::site::{DISCOVER, Site, count, inside, lan_with_dnsmasq, last_request, renewal_after};

const MAC: &str = "02:00:00:00:00:45";
const T1: u32 = 6;
const LIVE_RESTORE: [&str; 1] = ["--live-restore"];

#[test]
fn leases_go_on() {
    let (lan, server) =
        lan_with_dnsmasq(ServerOptions { lease: 120, renew: Some(T1), ..Default::default() });
    let mut site = Site::on(lan, server, &LIVE_RESTORE);
    let on_lan = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.network("lan", &[]);
    let idle = site.host_links();
    site.run("web", &["--network", "lan", "--hostname", "web", "--mac-address", MAC]);
    let address = site.named_lease(MAC, "web").ip;

    landfall_restarts(&mut site, &on_lan, address);
    dockerd_restarts(&mut site, &on_lan, address);

    assert_eq!(count(&on_lan, MAC, DISCOVER), 1, "the lease is that of the start");
    site.docker(&["stop", "web"]);
    site.no_lease_is_left();
    site.logged(Message::Release, MAC, 1);
    assert_eq!(site.host_links(), idle);
    assert!(site.endpoints().is_empty());
}

/// The next renewal comes when it would have come, and everything is known that was known.
fn landfall_restarts(site: &mut Site, on_lan: &Capture, address: Ipv4Addr) {
    let before = site.endpoints().remove(0);
    let (last, sent) = last_request(on_lan, MAC);
    site.landfall().restart().unwrap();
    site.reached(address);
    assert_same(before, site.endpoints().remove(0));
    assert_eq!(inside(&site.sandbox("web"), "eth0").addresses, [format!("{address}/16")]);

    renewal_after(on_lan, MAC, T1, last, sent);
    site.reached(address);
}

/// With `--live-restore` the container does not notice, and dockerd knows it again.
fn dockerd_restarts(site: &mut Site, on_lan: &Capture, address: Ipv4Addr) {
    let started = site.inspect("web", "{{.State.Pid}} {{.State.StartedAt}}");
    let (last, sent) = last_request(on_lan, MAC);
    site.engine.restart_dockerd(&LIVE_RESTORE).unwrap();
    assert_eq!(site.inspect("web", "{{.State.Pid}} {{.State.StartedAt}}"), started);
    assert_eq!(site.address("web", "lan"), address);
    site.reached(address);
    renewal_after(on_lan, MAC, T1, last, sent);

    // The driver is known again as well.
    site.run("late", &["--network", "lan", "--hostname", "late"]);
    site.reached(site.address("late", "lan"));
    site.docker(&["rm", "-f", "late"]);
}

/// That an endpoint is what it was. Its times are counted from the boot and shown by the wall clock: the two do not run
/// alike to the nanosecond.
fn assert_same(mut before: Value, mut after: Value) {
    for time in ["renews_at", "expires_at"] {
        let take = |of: &mut Value| of[time].take().as_str().unwrap().parse::<Timestamp>().unwrap();
        let moved = take(&mut after).duration_since(take(&mut before));
        assert!(moved.abs() < SignedDuration::from_millis(500), "{time} moved by {moved}");
    }
    assert_eq!(after, before);
}
