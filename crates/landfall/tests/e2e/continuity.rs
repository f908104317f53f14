//! Landfall and dockerd restart and are killed under running containers.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use lab::{Capture, Message, Pings, ServerOptions};
use serde_json::Value;

use crate::site::{
    DISCOVER, RELEASE, SOON, Site, count, inside, lan_with_dnsmasq, last_request, next_renewal,
    renewal_once_back, until,
};

const MAC: &str = "02:00:00:00:00:45";
const T1: u32 = 4;
const LIVE_RESTORE: [&str; 1] = ["--live-restore"];
const NAMES: [&str; 2] = ["web", "other"];

/// A laptop pings two containers all the while.
#[test]
fn leases_go_on() {
    let (lan, server) =
        lan_with_dnsmasq(ServerOptions { lease: 120, renew: Some(T1), ..Default::default() });
    let mut site = Site::on(lan, server, &LIVE_RESTORE);
    let on_lan = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.network("lan", &[]);
    let idle = site.host_links();
    site.run("web", &["--network", "lan", "--hostname", "web", "--mac-address", MAC]);
    site.run("other", &["--network", "lan", "--hostname", "other"]);
    let macs = NAMES.map(|name| site.shown(name, "lan").mac);
    let addresses = NAMES.map(|name| site.address(name, "lan"));
    // Their names went out in a renewal: what comes next begins after one of both.
    for (name, mac) in NAMES.iter().zip(&macs) {
        site.named_lease(mac, name);
    }
    let pings = addresses.map(|address| Pings::start(site.lan.laptop_ns(), address).unwrap());

    let landfall_stops = |site: &mut Site| site.landfall().restart().unwrap();
    let landfall_is_killed = |site: &mut Site| {
        site.landfall().kill9().unwrap();
        site.landfall().restart().unwrap();
    };
    for restart in [&landfall_stops as &dyn Fn(&mut Site), &landfall_is_killed] {
        // Just renewed, so that nothing is renewed between here and the restart.
        for mac in &macs {
            next_renewal(&on_lan, mac, T1);
        }
        // Renewals are written a second later. What must be on the disk before it is answered takes along all that waits.
        site.network("written", &[]);
        let before = NAMES.map(|name| endpoint(&site, name));
        goes_on(&mut site, &on_lan, &macs, |site| {
            restart(site);
            for (name, before) in NAMES.iter().zip(before) {
                assert_same(before, endpoint(site, name));
            }
        });
        site.docker(&["network", "rm", "written"]);
        let here = inside(&site.sandbox("web"), "eth0").addresses;
        assert_eq!(here, [format!("{}/16", addresses[0])]);
    }

    // With `--live-restore` the containers do not notice, and dockerd knows them again.
    let dockerd_stops = |site: &mut Site| site.engine.restart_dockerd(&LIVE_RESTORE).unwrap();
    let dockerd_is_killed = |site: &mut Site| site.engine.kill_dockerd(&LIVE_RESTORE).unwrap();
    let started =
        |site: &Site| NAMES.map(|name| site.inspect(name, "{{.State.Pid}} {{.State.StartedAt}}"));
    let before = started(&site);
    for restart in [&dockerd_stops as &dyn Fn(&mut Site), &dockerd_is_killed] {
        goes_on(&mut site, &on_lan, &macs, restart);
        assert_eq!(started(&site), before);
        assert_eq!(NAMES.map(|name| site.address(name, "lan")), addresses);
    }
    for (name, pings) in NAMES.iter().zip(&pings) {
        assert_eq!(pings.lost().unwrap(), [] as [usize; 0], "pings of {name}");
    }

    // The driver is known again as well.
    site.run("late", &["--network", "lan", "--hostname", "late"]);
    site.reached(site.address("late", "lan"));
    for name in ["late", "other", "web"] {
        site.docker(&["rm", "-f", name]);
    }
    site.no_lease_is_left();
    for mac in &macs {
        site.logged(Message::Discover, mac, 1);
        site.logged(Message::Release, mac, 1);
    }
    assert_eq!(site.host_links(), idle);
    assert!(site.endpoints().is_empty());
}

/// Does something that no container and no server notices: the next renewal of each comes when it would have come.
fn goes_on(site: &mut Site, on_lan: &Capture, macs: &[String], act: impl FnOnce(&mut Site)) {
    let last: Vec<_> = macs.iter().map(|mac| last_request(on_lan, mac)).collect();
    act(site);
    let back = SystemTime::now();
    for (mac, last) in macs.iter().zip(last) {
        renewal_once_back(on_lan, mac, T1, last, back);
        assert_eq!(count(on_lan, mac, DISCOVER), 1, "the lease of {mac} is that of the start");
        assert_eq!(count(on_lan, mac, RELEASE), 0, "of {mac}");
    }
}

/// The endpoint with this host name, once it is not renewing, and its link is found again after a start.
fn endpoint(site: &Site, host_name: &str) -> Value {
    let is_it = |of: &Value| {
        of["host_name"] == host_name && of["state"] == "BOUND" && of["interface"] == "eth0"
    };
    until(host_name, SOON, || site.endpoints().into_iter().find(is_it))
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
