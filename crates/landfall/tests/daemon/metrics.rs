//! What the daemon tells whoever watches it: `/metrics` and `Plugin.Health`, and the page about them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{TcpListener, TcpStream};

use lab::{Dnsmasq, Lan, LanOptions, Mode6, ServerOptions, landfall_binary};
use serde_json::Value;

use crate::server::{Grant, Server};
use crate::site::{SOON, Site, eventually, exchange, get, id, same};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");

/// Type, label and the label's values of each metric, by its name.
type Metrics = BTreeMap<String, (String, String, BTreeSet<String>)>;

/// What a page in Prometheus's text format has.
fn exposed(page: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            let known =
                metrics.insert(name.to_owned(), (kind.to_owned(), String::new(), BTreeSet::new()));
            assert!(known.is_none(), "{name} comes twice");
        } else if !line.starts_with('#') {
            let (sample, number) = line.rsplit_once(' ').unwrap();
            number.parse::<u64>().unwrap();
            let Some((name, label)) = sample.split_once('{') else {
                assert!(metrics.contains_key(sample), "{line} has no type");
                continue;
            };
            let (label, value) = label.strip_suffix("\"}").unwrap().split_once("=\"").unwrap();
            let (_, known, values) =
                metrics.get_mut(name).unwrap_or_else(|| panic!("{line} has no type"));
            *known = label.to_owned();
            assert!(values.insert(value.to_owned()), "{line} comes twice");
        }
    }
    metrics
}

/// The cells of the rows of a document's tables of so many columns, without backticks.
fn rows(document: &str, columns: usize) -> Vec<Vec<String>> {
    let lines = document.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let rows = lines.map(|line| line.split(" | ").map(|cell| cell.replace('`', "")).collect());
    rows.filter(|row: &Vec<String>| row.len() == columns).collect()
}

/// What the page about them has: name, type, label with its values, meaning.
fn documented() -> Metrics {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let metric = |row: Vec<String>| {
        let (label, values) = row[2].split_once(": ").unwrap_or_default();
        let values =
            values.split(", ").filter(|value| !value.is_empty()).map(str::to_owned).collect();
        (row[0].clone(), (row[1].clone(), label.to_owned(), values))
    };
    rows(&document, 4).into_iter().map(metric).collect()
}

/// One number of a page.
fn number(page: &str, sample: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in {page}")).parse().unwrap()
}

#[test]
fn all_metrics_are_documented_and_count() {
    let site = Site::new();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let container = site.run("lan", "web", "02:00:00:00:00:42");
    let (head, page) = get(site.landfall.admin_socket(), "/metrics");
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    let mut exposed = exposed(&page);
    // Its value is no list.
    let version = exposed.get_mut("landfall_build_info").unwrap();
    assert_eq!(version.2, BTreeSet::from([env!("CARGO_PKG_VERSION").to_owned()]));
    version.2 = BTreeSet::from(["the daemon's".to_owned()]);
    assert_eq!(exposed, documented());
    for (sample, count) in [
        ("landfall_networks", 1),
        ("landfall_endpoints{state=\"BOUND\"}", 1),
        ("landfall_endpoints{state=\"SELECTING\"}", 0),
        ("landfall_leases_total{outcome=\"granted\"}", 1),
        ("landfall_dhcp4_messages_total{type=\"discover\"}", 1),
        ("landfall_state_fault", 0),
    ] {
        assert_eq!(number(&page, sample), count, "{sample}");
    }
    container.stop(&site);
    eventually("the release is counted", SOON, || {
        let (_, page) = get(site.landfall.admin_socket(), "/metrics");
        let released = number(&page, "landfall_leases_total{outcome=\"released\"}");
        let sent = number(&page, "landfall_dhcp4_messages_total{type=\"release\"}");
        if (released, sent) == (1, 1) { Ok(()) } else { Err(page) }
    });
}

/// How many lines of the log tell of that at that endpoint.
fn told(site: &Site, says: &[&str], endpoint: &str) -> u64 {
    let lines = site.landfall.log().grep(&id(endpoint)[..12]);
    lines.iter().filter(|line| says.iter().all(|words| line.contains(words))).count() as u64
}

/// What counts together what happened to two endpoints can be told apart by the log.
#[test]
fn each_count_is_in_the_log_with_its_endpoint() {
    let site = Site::on(Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap());
    let options = ServerOptions {
        ipv6: Some(Mode6::Both),
        renew: Some(2),
        rebind: Some(4),
        ..ServerOptions::default()
    };
    let _server = Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap();
    site.network("lan", &[("ipv6", "auto")]);
    let both = [site.run("lan", "web", ""), site.run("lan", "db", "")];
    let of_each =
        |says: &[&str]| -> Vec<u64> { ["web", "db"].map(|name| told(&site, says, name)).into() };
    eventually("both have renewed", SOON, || {
        let renewed = of_each(&["lease renewed"]);
        same(renewed.iter().all(|count| *count > 0), &true)
    });
    both.into_iter().for_each(|container| container.stop(&site));
    let kind = |kind: &str| format!("kind={kind}");
    let all = [
        ("landfall_leases_total", "outcome", "granted", "endpoint made", String::new()),
        ("landfall_leases_total", "outcome", "renewed", "lease renewed", String::new()),
        ("landfall_leases_total", "outcome", "released", "its lease is given back", String::new()),
        (
            "landfall_dhcp4_messages_total",
            "type",
            "discover",
            "DHCP message sent",
            kind("DISCOVER"),
        ),
        ("landfall_dhcp4_messages_total", "type", "offer", "DHCP reply received", kind("OFFER")),
        ("landfall_dhcp4_messages_total", "type", "request", "DHCP message sent", kind("REQUEST")),
        ("landfall_dhcp4_messages_total", "type", "ack", "DHCP reply received", kind("ACK")),
        ("landfall_dhcp4_messages_total", "type", "release", "DHCP message sent", kind("RELEASE")),
        (
            "landfall_dhcp6_messages_total",
            "type",
            "solicit",
            "DHCPv6 message sent",
            kind("Solicit"),
        ),
        (
            "landfall_dhcp6_messages_total",
            "type",
            "reply",
            "DHCPv6 message received",
            kind("Reply"),
        ),
        (
            "landfall_dhcp6_messages_total",
            "type",
            "release",
            "DHCPv6 message sent",
            kind("Release"),
        ),
        (
            "landfall_router_messages_total",
            "type",
            "solicitation",
            "router solicitation sent",
            String::new(),
        ),
    ];
    for (metric, label, value, says, kind) in all {
        let sample = format!("{metric}{{{label}=\"{value}\"}}");
        eventually(&sample, SOON, || {
            let (_, page) = get(site.landfall.admin_socket(), "/metrics");
            let lines = of_each(&[says, &kind]);
            assert!(number(&page, &sample) >= 2, "{sample}: it has happened to both");
            match lines.contains(&0) {
                true => Err(format!("{lines:?}")),
                false => same(lines.iter().sum(), &number(&page, &sample)),
            }
        });
    }
}

#[test]
fn metrics_over_tcp_where_they_are_asked_for() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let site = Site::with(lan, &landfall_binary().unwrap(), &["LANDFALL_METRICS_LISTEN=9100"]);
    let ask = |path| {
        let stream = site.host().enter(|| TcpStream::connect("127.0.0.1:9100").unwrap()).unwrap();
        exchange(stream, path)
    };
    let (head, page) = ask("/metrics");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(number(&page, "landfall_networks"), 0);
    // What the admin socket tells root is for root.
    let (head, body) = ask("/v1/status");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}{body}");
    // 127.0.0.1 and no other address: port 9100 is 238C.
    let listening = site.host().ok(&["cat", "/proc/net/tcp", "/proc/net/tcp6"]).unwrap();
    let listening = listening.lines().filter_map(|line| line.split_whitespace().nth(1));
    let of_port: Vec<&str> = listening.filter(|local| local.ends_with(":238C")).collect();
    assert!(of_port.iter().all(|local| *local == "0100007F:238C"), "{of_port:?}");
}

#[test]
fn an_address_that_another_has_does_not_stop_the_driver() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let node_exporter =
        lan.host_ns().enter(|| TcpListener::bind("127.0.0.1:9100").unwrap()).unwrap();
    let site = Site::with(lan, &landfall_binary().unwrap(), &["LANDFALL_METRICS_LISTEN=9100"]);
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let container = site.run("lan", "web", "");
    assert!(container.ping(Lan::ROUTER));
    site.landfall.log().wait_for("no metrics there yet", SOON).unwrap();
    drop(node_exporter);
    site.landfall.log().wait_for("metrics are served", SOON).unwrap();
    let connect = || site.host().enter(|| TcpStream::connect("127.0.0.1:9100").unwrap()).unwrap();
    assert!(exchange(connect(), "/metrics").1.contains("landfall_endpoints"));

    // Nor do those who connect and say nothing take the descriptors that leases need.
    let mut silent: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    let last = silent.pop().unwrap();
    eventually("16 are let in", SOON, || same(waiting(&site), &84));
    drop(silent);
    assert!(exchange(last, "/metrics").1.contains("landfall_endpoints"), "its turn comes");
}

/// How many connections to port 9100 (238C) wait in the kernel to be let in.
fn waiting(site: &Site) -> u64 {
    let all = site.host().ok(&["cat", "/proc/net/tcp"]).unwrap();
    let mut all = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = all.find(|line| line[1].ends_with(":238C") && line[3] == "0A").unwrap();
    let (_, queue) = listening[4].split_once(':').unwrap();
    u64::from_str_radix(queue, 16).unwrap()
}

#[test]
fn health_on_the_plugin_socket() {
    let site = Site::new();
    site.network("lan", &[]);
    let posted: Value = serde_json::from_str(&site.answer("Plugin.Health", "").body).unwrap();
    let (head, read) = get(site.landfall.plugin_socket(), "/Plugin.Health");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let read: Value = serde_json::from_str(&read).unwrap();
    let status = site.status();
    assert_eq!((&read["healthy"], &read["networks"]), (&true.into(), &1.into()));
    for (mine, of_status) in [
        ("instance_id", "instance"),
        ("version", "version"),
        ("state", "state"),
        ("leases", "leases"),
        ("ipv4_counters", "ipv4_counters"),
        ("ipv6_counters", "ipv6_counters"),
    ] {
        assert_eq!((&read[mine], &posted[mine]), (&status[of_status], &read[mine]), "{mine}");
    }
    assert!(read["uptime_seconds"].is_u64());
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let documented: BTreeSet<String> =
        rows(&document, 3).into_iter().map(|row| row[0].clone()).collect();
    let fields: BTreeSet<String> = read.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, documented);
}
