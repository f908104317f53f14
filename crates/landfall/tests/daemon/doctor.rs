//! `landfall doctor` on a Docker host of the test's own: what it finds, and that it leaves nothing.

use std::net::Ipv4Addr;

use lab::{
    DhcpServer, Dnsmasq, Lan, LanOptions, Log, Machine, Roots, ServerOptions, landfall_binary,
};
use serde_json::Value;
use wire::dhcp4::MessageType;

use crate::server::{Grant, Server};
use crate::site::{SOON, Site, eventually, ip_json, link_names, same};

const INSIDE: &str = "/usr/local/bin/landfall";

/// What doctor said.
pub(crate) struct Said {
    status: i32,
    findings: Vec<Value>,
}

impl Said {
    /// The severity and the words of the only finding of a check.
    pub(crate) fn only(&self, check: &str) -> (&str, String) {
        let mut of_check = self.findings.iter().filter(|finding| finding["check"] == check);
        let found = of_check.next().unwrap_or_else(|| panic!("no {check}: {:#?}", self.findings));
        assert_eq!(of_check.next(), None, "{check} twice");
        let word = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        let words = format!("{}: {} — {}", word("subject"), word("seen"), word("advice"));
        (found["severity"].as_str().unwrap(), words)
    }

    /// The checks with a finding of that severity.
    pub(crate) fn checks(&self, severity: &str) -> Vec<&str> {
        let some = self.findings.iter().filter(|finding| finding["severity"] == severity);
        some.map(|finding| finding["check"].as_str().unwrap()).collect()
    }
}

/// What somebody has made of a link: not its counters and timers, nor what the kernel notes of its carrier by and by.
fn looks(lan: &Lan) -> Vec<Value> {
    let fields = ["ifindex", "ifname", "address", "mtu", "master", "promiscuity"];
    let noted = ["NO-CARRIER", "LOWER_UP"];
    let looks = |link: &Value| {
        let flags = link["flags"].as_array().unwrap().iter();
        let set = flags.filter(|flag| !noted.contains(&flag.as_str().unwrap())).cloned().collect();
        fields.iter().map(|field| link[field].clone()).chain([Value::Array(set)]).collect()
    };
    ip_json(lan.host_ns(), &["link", "show"]).as_array().unwrap().iter().map(looks).collect()
}

/// Runs it; whatever it finds, the Docker host's links are then what they were.
pub(crate) fn doctor(machine: &Machine, lan: &Lan, args: &[&str]) -> Said {
    let before = looks(lan);
    let argv: Vec<&str> = [INSIDE, "doctor", "--json"].iter().chain(args).copied().collect();
    let output = machine.run(&argv).unwrap();
    assert_eq!(looks(lan), before, "the host's links");
    let text = String::from_utf8(output.stdout).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    assert_eq!(document["version"], 1);
    Said {
        status: output.status.code().unwrap(),
        findings: document["findings"].as_array().unwrap().clone(),
    }
}

/// A Docker host on which no daemon runs.
fn host(lan: &Lan) -> Machine {
    let machine = Machine::start("dockerhost", &Roots::lan().unwrap(), lan.host_ns()).unwrap();
    machine.copy_in(&landfall_binary().unwrap(), INSIDE).unwrap();
    machine
}

fn lan() -> Lan {
    Lan::new(LanOptions::default()).unwrap()
}

#[test]
fn a_healthy_host() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let said = doctor(site.machine(), &site.lan, &["--wait", "1"]);
    let none: [&str; 0] = [];
    assert_eq!(said.checks("warning"), none, "{:#?}", said.findings);
    assert_eq!(said.checks("error"), none, "{:#?}", said.findings);
    assert_eq!(said.status, 0);
    for (check, words) in [
        ("daemon", "networks: 1"),
        ("uplink", "br0: leads to a LAN by router, laptop"),
        ("firewall", "gets no bridged frames"),
        ("dhcp-server", "10.77.0.1 ("),
        ("dhcp-server", "offers 10.77.1.5/16, router 10.77.0.1, for 3600s"),
    ] {
        let (severity, seen) = said.only(check);
        assert_eq!(severity, "ok", "{check}: {seen}");
        assert!(seen.contains(words), "{check}: {seen}");
    }
    // The daemon is looked at too, and its own folder.
    let of = |check: &str| said.findings.iter().filter(|f| f["check"] == check).count();
    assert_eq!((of("privileges"), of("socket")), (2, 2), "{:#?}", said.findings);
    assert!(said.only("bridge").1.starts_with("br0: up"));

    // One question, which binds nobody: a MAC of nobody's, broadcast, and no REQUEST.
    let requests = server.requests();
    let [discover] = requests.as_slice() else { panic!("{requests:#?}") };
    assert_eq!(discover.kind, MessageType::Discover);
    assert!(discover.message.broadcast);
    assert_eq!(discover.message.chaddr.0[0], 0x02);
    let fdb = site.host().ok(&["bridge", "fdb", "show", "br", "br0"]).unwrap();
    assert!(!fdb.contains(&discover.message.chaddr.to_string()), "{fdb}");
}

#[test]
fn networks_without_ipv4_need_no_dhcpv4_server() {
    let site = Site::new();
    site.network("one", &[("ipv4", "false"), ("ipv6", "auto")]);
    let said = doctor(site.machine(), &site.lan, &["--wait", "1"]);
    let (severity, seen) = said.only("dhcp-server");
    assert!(severity == "note" && seen.contains("ipv4=false"), "{severity}: {seen}");
    assert_eq!((said.checks("error"), said.checks("warning")), (vec![], vec!["ipv6-router"]));
    // Another network on the bridge does.
    site.network("two", &[]);
    let said = doctor(site.machine(), &site.lan, &["--wait", "1"]);
    assert_eq!(said.only("dhcp-server").0, "error");
}

#[test]
fn a_line_for_each_finding() {
    let lan = lan();
    let output = host(&lan).run(&[INSIDE, "doctor", "--no-probe", "br0"]).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |check: &str| -> Vec<&str> {
        text.lines().filter(|line| line.split_whitespace().nth(1) == Some(check)).collect()
    };
    assert_eq!(line("bridge"), ["ok       bridge      br0: up, MTU 1500"]);
    let [daemon] = line("daemon")[..] else { panic!("{text}") };
    assert!(daemon.starts_with("warning  daemon      this host: no Landfall daemon"), "{daemon}");
    assert!(daemon.contains(" — Start it (`systemctl start landfall`"), "{daemon}");
    assert_eq!(line("dhcp-server"), Vec::<&str>::new());
}

/// dnsmasq as it is by default pings for three seconds before it offers an address, and a lease
/// that was never asked for is in no table.
#[test]
fn a_server_that_takes_its_time() {
    let lan = lan();
    let options = ServerOptions { ping_check: true, ..ServerOptions::default() };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let said = doctor(&host(&lan), &lan, &["br0"]);
    let (severity, words) = said.only("dhcp-server");
    assert_eq!(severity, "ok", "{words}");
    assert_eq!(server.leases().unwrap(), []);
}

#[test]
fn a_bridge_without_ports() {
    let lan = lan();
    lan.host_ns().ip_batch("link set router nomaster\nlink set laptop nomaster\n").unwrap();
    let machine = host(&lan);
    let said = doctor(&machine, &lan, &["br0"]);
    let (severity, words) = said.only("uplink");
    assert_eq!((severity, said.status), ("warning", 1), "{words}");
    assert!(words.contains("`ip link set eth0 master br0`"), "{words}");
    // With a port it would get a carrier and another MAC.
    assert!(!said.findings.iter().any(|finding| finding["check"] == "dhcp-server"));
    // Not named, it is not one to be looked at.
    let said = doctor(&machine, &lan, &[]);
    assert!(said.only("bridge").1.contains("no bridge that leads to a LAN"));
    assert_eq!(said.status, 1);
}

#[test]
fn a_bridge_that_only_has_containers() {
    let lan = lan();
    let container = lan.add_machine("veth0a1b2c3").unwrap();
    container.ip_batch("addr add 10.77.3.3/16 dev eth0\n").unwrap();
    lan.host_ns().ip_batch("link set router nomaster\nlink set laptop nomaster\n").unwrap();
    let machine = host(&lan);
    let said = doctor(&machine, &lan, &["--wait", "1", "br0"]);
    let (severity, words) = said.only("uplink");
    assert_eq!((severity, said.status), ("warning", 2), "{words}");
    assert!(words.contains("nothing but containers"), "{words}");
    assert_eq!(said.checks("error"), ["dhcp-server"]);

    // One of which may serve them all, on purpose.
    let grant = Grant::new([10, 77, 1, 5]);
    let _server = Server::start(&container, "eth0", move |request| grant.answer(request));
    let said = doctor(&machine, &lan, &["--wait", "1", "br0"]);
    let (severity, words) = said.only("uplink");
    assert_eq!((severity, said.checks("error")), ("note", vec![]), "{words}");
}

#[test]
fn a_dead_uplink() {
    let lan = lan();
    for ns in [lan.router_ns(), lan.laptop_ns()] {
        ns.ip_batch("link set eth0 down\n").unwrap();
    }
    let said = doctor(&host(&lan), &lan, &["--no-probe"]);
    let (severity, words) = said.only("uplink");
    assert_eq!(severity, "warning", "{words}");
    assert!(words.contains("has a carrier: router, laptop"), "{words}");
}

#[test]
fn nobody_serves() {
    let lan = lan();
    let said = doctor(&host(&lan), &lan, &["--wait", "1"]);
    let (severity, words) = said.only("dhcp-server");
    assert_eq!(severity, "error");
    assert!(words.contains("br0: no DHCP server answered a DISCOVER within 1s"), "{words}");
    assert_eq!((said.checks("error").len(), said.status), (1, 2));
}

#[test]
fn two_serve() {
    let lan = lan();
    let _one = Server::granting(&lan, Grant::new([10, 77, 1, 5]));
    let grant = Grant { server: Some(Lan::LAPTOP), ..Grant::new([10, 77, 9, 9]) };
    let _other = Server::start(lan.laptop_ns(), "eth0", move |request| grant.answer(request));
    let said = doctor(&host(&lan), &lan, &["--wait", "1"]);
    let (severity, words) = said.only("dhcp-server");
    assert_eq!(severity, "warning", "{words}");
    for (ip, ns) in [(Lan::ROUTER, lan.router_ns()), (Lan::LAPTOP, lan.laptop_ns())] {
        let link = &ip_json(ns, &["link", "show", "eth0"])[0];
        let server = format!("{ip} ({})", link["address"].as_str().unwrap());
        assert!(words.contains(&server), "{server}: {words}");
    }
    assert_eq!((said.checks("error"), said.status), (vec![], 1));
}

#[test]
fn a_firewall_that_drops_bridged_frames() {
    let options = LanOptions { bridge_netfilter: true, ..LanOptions::default() };
    let lan = Lan::new(options).unwrap();
    lan.host_ns().ok(&["iptables", "-P", "FORWARD", "DROP"]).unwrap();
    let machine = host(&lan);
    let ask = |args: &[&str]| {
        let said = doctor(&machine, &lan, args);
        let (severity, words) = said.only("firewall");
        (severity.to_owned(), words, said)
    };
    let policy = "FORWARD of iptables drops what no rule accepts";

    // Without proof it is a suspicion, be it that nobody was asked or that nobody answers.
    let (severity, words, said) = ask(&["--no-probe"]);
    assert_eq!((severity.as_str(), said.status), ("warning", 1), "{words}");
    assert!(words.contains(policy), "{words}");
    let (severity, words, said) = ask(&["--wait", "1"]);
    assert_eq!((severity.as_str(), said.only("dhcp-server").0), ("warning", "error"), "{words}");

    let server = Server::granting(&lan, Grant::new([10, 77, 1, 5]));
    let (severity, words, said) = ask(&["--wait", "1"]);
    assert_eq!((severity.as_str(), said.status), ("error", 2), "{words}");
    assert!(words.contains("answers past it and not through it"), "{words}");

    // The rule that it gives, word for word.
    let rule = words.split('`').find(|part| part.starts_with("iptables ")).unwrap();
    lan.host_ns().ok(&rule.split_whitespace().collect::<Vec<_>>()).unwrap();
    let (severity, words, said) = ask(&["--wait", "1"]);
    assert_eq!((severity.as_str(), said.only("dhcp-server").0), ("ok", "ok"), "{words}");
    let (severity, words, _) = ask(&["--no-probe"]);
    assert_eq!(severity, "note", "{words}");
    assert_eq!(server.count(MessageType::Request), 0);
}

#[test]
fn spanning_tree_costs_its_delay() {
    let lan = lan();
    let _server = Server::granting(&lan, Grant::new([10, 77, 1, 5]));
    let stp =
        ["ip", "link", "set", "br0", "type", "bridge", "forward_delay", "200", "stp_state", "1"];
    lan.host_ns().ok(&stp).unwrap();
    let said = doctor(&host(&lan), &lan, &["--wait", "1"]);
    let (severity, words) = said.only("spanning-tree");
    assert_eq!(severity, "note");
    assert!(words.contains("silent for 4s"), "{words}");
    assert_eq!(said.only("dhcp-server").0, "ok", "{:?}", said.only("dhcp-server"));
}

#[test]
fn a_folder_that_cannot_be_written_to() {
    let lan = lan();
    let machine = host(&lan);
    machine.ok(&["mkdir", "-p", "/var/lib/landfall"]).unwrap();
    machine
        .ok(&["mount", "-t", "tmpfs", "-o", "ro,mode=700", "none", "/var/lib/landfall"])
        .unwrap();
    let said = doctor(&machine, &lan, &["--no-probe"]);
    let (severity, words) = said.only("state");
    assert_eq!((severity, said.status), ("error", 2), "{words}");
    assert!(words.starts_with("/var/lib/landfall: its file system is read-only"), "{words}");
}

#[test]
fn a_daemon_that_was_killed() {
    let mut site = Site::new();
    site.landfall.kill9().unwrap();
    let said = doctor(site.machine(), &site.lan, &["--no-probe"]);
    assert_eq!(said.checks("error"), ["socket", "socket"], "{:#?}", said.findings);
    assert_eq!(said.only("daemon").0, "warning");
    assert_eq!(said.status, 2);

    // Ended in order, it leaves nothing that is wrong.
    site.landfall.restart().unwrap();
    site.landfall.stop().unwrap();
    let said = doctor(site.machine(), &site.lan, &["--no-probe"]);
    assert_eq!((said.checks("error"), said.checks("warning")), (vec![], vec!["daemon"]));
}

#[test]
fn a_user_who_may_nothing() {
    let lan = lan();
    let machine = host(&lan);
    let argv = ["setpriv", "--reuid=65534", "--clear-groups", INSIDE, "doctor", "--json", "br0"];
    let output = machine.run(&argv).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = Said { status: 1, findings: document["findings"].as_array().unwrap().clone() };
    let (severity, words) = said.only("privileges");
    assert_eq!(severity, "warning");
    assert!(
        words.contains("lacks CAP_NET_ADMIN, CAP_NET_RAW") && words.contains("sudo"),
        "{words}"
    );
    assert_eq!(said.only("uplink").0, "ok");
}

#[test]
fn no_such_bridge() {
    let lan = lan();
    let said = doctor(&host(&lan), &lan, &["--no-probe", "br7", "lo", "br0"]);
    let bridges = said.findings.iter().filter(|finding| finding["check"] == "bridge");
    let subjects: Vec<_> = bridges
        .map(|finding| {
            (finding["subject"].as_str().unwrap(), finding["severity"].as_str().unwrap())
        })
        .collect();
    assert_eq!(subjects, [("br7", "error"), ("lo", "error"), ("br0", "ok")]);
    assert_eq!(said.status, 2);
}

#[test]
fn killed_while_it_listens_it_leaves_nothing() {
    let lan = lan();
    let machine = host(&lan);
    let before = link_names(lan.host_ns());
    let log = Log::new("doctor");
    let running = machine.spawn("doctor", &[], &[INSIDE, "doctor", "--wait", "60", "br0"], &log);
    let running = running.unwrap();
    eventually("its port", SOON, || {
        let links = link_names(lan.host_ns());
        if links.len() > before.len() { Ok(()) } else { Err(format!("{links:?}")) }
    });
    running.kill9().unwrap();
    eventually("the host's links as before", SOON, || same(link_names(lan.host_ns()), &before));
}

/// Replies that are unicast to the MAC reach the port too, and a server may name itself by another
/// address than it sends from.
#[test]
fn a_server_that_answers_by_unicast() {
    let lan = lan();
    let name = Ipv4Addr::new(10, 77, 0, 53);
    let grant = Grant { unicast: true, server: Some(name), ..Grant::new([10, 77, 1, 5]) };
    let _server = Server::granting(&lan, grant);
    let said = doctor(&host(&lan), &lan, &["--wait", "1"]);
    let (severity, words) = said.only("dhcp-server");
    assert_eq!(severity, "ok", "{words}");
    assert!(words.starts_with("br0: 10.77.0.53 ("), "{words}");
}
