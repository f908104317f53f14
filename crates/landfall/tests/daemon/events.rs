//! `landfall events` and `landfall status --watch`: what happens, as it happens.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use lab::{Lan, landfall_binary};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::server::{Grant, Server, nak};
use crate::site::{SOON, Site, id};

const MAC: &str = "02:00:00:00:00:42";

/// What the daemon tells, line by line.
struct Events(BufReader<UnixStream>);

impl Events {
    fn follow(site: &Site) -> Events {
        let mut stream = UnixStream::connect(site.landfall.admin_socket()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: landfall\r\n\r\n").unwrap();
        let mut events = Events(BufReader::new(stream));
        assert_eq!(events.next()["event"], "following");
        events
    }

    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the daemon ended");
            // The others are of HTTP: its head, and the lengths of chunks.
            if line.starts_with('{') {
                return serde_json::from_str(&line).unwrap();
            }
        }
    }
}

#[test]
fn the_life_of_a_container() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]).times(2, 60, 120));
    let mut events = Events::follow(&site);
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    let mut expect = |kind: &str, address: Value| -> Value {
        let event = events.next();
        assert_eq!(event["event"], kind, "{event}");
        assert_eq!(event["network"], id("lan"));
        assert_eq!(event["address"], address);
        if !kind.starts_with("network") {
            assert_eq!((&event["endpoint"], &event["mac"]), (&json!(id("web")), &json!(MAC)));
        }
        event
    };
    expect("network_made", Value::Null);
    let leased = || json!("10.77.1.5/16");
    expect("endpoint_made", leased());
    assert_eq!(expect("lease_granted", leased())["server"], "10.77.0.1");
    expect("link_up", leased());
    expect("lease_renewed", leased());
    server.grant(Grant::new([10, 77, 1, 6]).times(60, 90, 120));
    let changed = expect("lease_changed", json!("10.77.1.6/16"));
    let address = json!({ "what": "address", "before": "10.77.1.5/16", "now": "10.77.1.6/16" });
    assert_eq!(changed["changes"], json!([address]));
    container.stop(&site);
    expect("lease_released", json!("10.77.1.6/16"));
    expect("endpoint_removed", Value::Null);
    server.behave(|_| Vec::new());
    site.network("slow", &[("lease_timeout", "1s")]);
    assert_eq!(events.next()["event"], "network_made");
    let refusal = site.try_create("slow", "none", MAC).unwrap_err();
    let failed = loop {
        let event = events.next();
        if event["event"] == "endpoint_failed" {
            break event;
        }
    };
    assert_eq!((&failed["endpoint"], &failed["reason"]), (&json!(id("none")), &json!(refusal)));
}

#[test]
fn what_fails_is_told_in_dockers_words_and_what_never_was_is_not() {
    let site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    let mut events = Events::follow(&site);
    let never =
        site.network_argument("never", &[("validate_dhcp", "true"), ("lease_timeout", "300ms")]);
    site.call("CreateNetwork", &never).unwrap_err();
    site.network("lan", &[("release_delay", "1h")]);
    let made = events.next();
    assert_eq!((&made["event"], &made["network"]), (&json!("network_made"), &json!(id("lan"))));
    // Before anything of it is known.
    let refusal = site.try_create_asking("lan", "bad", MAC, &[("hostnmae", "web")]).unwrap_err();
    let failed = events.next();
    assert_eq!(failed["event"], "endpoint_failed");
    assert_eq!((&failed["endpoint"], &failed["mac"]), (&json!(id("bad")), &json!(MAC)));
    assert_eq!(failed["reason"], json!(refusal));
    // When the host stands in the way.
    site.host().ip_batch("link set br0 down\n").unwrap();
    let refusal = site.try_create("lan", "bad", MAC).unwrap_err();
    let failed = events.next();
    assert_eq!((&failed["event"], &failed["reason"]), (&json!("endpoint_failed"), &json!(refusal)));
    site.host().ip_batch("link set br0 up\n").unwrap();

    // What becomes of a lease that is held.
    server.grant(Grant::new([10, 77, 1, 5]).times(2, 60, 120));
    site.run("lan", "web", MAC).stop(&site);
    while events.next()["event"] != "lease_held" {}
    let refused = site.leases("refused");
    server.behave(|request| vec![nak(request, Lan::ROUTER, "gone")]);
    let told = loop {
        let event = events.next();
        if event["event"] != "lease_renewed" {
            break event;
        }
    };
    assert_eq!((&told["event"], &told["mac"]), (&json!("lease_refused"), &json!(MAC)), "{told}");
    assert_eq!(told["reason"], "gone");
    assert_eq!(events.next()["event"], "endpoint_removed");
    assert_eq!(site.leases("refused"), refused + 1);
}

#[test]
fn an_audit_log_has_what_happens_on_networks_that_want_one() {
    let mut site = Site::new();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[("audit_log", "true")]);
    site.network("other", &[]);
    let mut events = Events::follow(&site);
    let container = site.run("lan", "web", MAC);
    // What it is busy with while the container leaves again is told later.
    while events.next()["event"] != "link_up" {}
    container.stop(&site);
    site.run("other", "db", "02:00:00:00:00:43").stop(&site);
    assert!(site.landfall.stop().unwrap().success());
    let file = site.machine().path("/var/lib/landfall/audit.jsonl");
    let log = fs::read_to_string(&file).unwrap();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let life = ["endpoint_made", "lease_granted", "link_up", "lease_released", "endpoint_removed"];
    assert_eq!(kinds, [&["network_made"][..], &life].concat());
    assert!(events.iter().all(|event| event["network"] == id("lan")), "{log}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // The next run goes on with it, and the network is remembered to want it.
    site.landfall.restart().unwrap();
    site.delete_network("lan");
    assert!(site.landfall.stop().unwrap().success());
    let more = fs::read_to_string(&file).unwrap();
    let last: Value = serde_json::from_str(more.lines().last().unwrap()).unwrap();
    assert!(more.starts_with(&log));
    assert_eq!(last["event"], "network_removed");
}

#[test]
fn the_command_prints_each_line_and_ends_with_the_daemon() {
    let mut site = Site::new();
    let mut following = Command::new(landfall_binary().unwrap())
        .args(["events", "--json", "--admin-socket"])
        .arg(site.landfall.admin_socket())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert_eq!(lines.next().unwrap()["event"], "following");
    site.network("lan", &[]);
    assert_eq!(lines.next().unwrap()["event"], "network_made");
    assert!(site.landfall.stop().unwrap().success());
    assert_eq!(lines.next(), None);
    assert_eq!(following.wait().unwrap().code(), Some(3));
}

#[test]
fn the_table_follows_what_happens() {
    let site = Site::new();
    let mut watching = Command::new(landfall_binary().unwrap())
        .args(["status", "--watch", "--admin-socket"])
        .arg(site.landfall.admin_socket())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut wait_for = |text: &str| {
        // Something is drawn every five seconds, whatever happens.
        let until = Instant::now() + SOON;
        let mut in_time = lines.by_ref().map(Result::unwrap).take_while(|_| Instant::now() < until);
        let found = in_time.find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("{text:?} was not shown in time"))
    };
    wait_for("No containers (no network).");
    site.network("lan", &[]);
    wait_for("No containers (1 network).");
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    let _container = site.run("lan", "web", MAC);
    let row = wait_for("10.77.1.5/16");
    assert!(row.contains("BOUND"), "{row}");
    kill(Pid::from_raw(watching.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert!(watching.wait().unwrap().success());
}
