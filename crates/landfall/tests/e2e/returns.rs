//! Containers that come back: with the address and the MAC that they had, and never with another's.

use std::fs;
use std::path::Path;

use lab::{Capture, Landfall, Machine, Message, Result, ServerOptions, landfall_binary};

use crate::identities::{self, Identity, all_come_back, is_told_apart};
use crate::site::{REQUEST, SOON, Site, lan_with_dnsmasq, messages, run_args, until};

/// Engines put it into every container's start: nothing of a test's containers may differ in it.
const LAN: [&str; 2] = ["--network", "lan"];

fn identity(site: &Site, name: &str) -> Identity {
    identities::identity(site, name, "lan")
}

/// The endpoint's state in `landfall status` by its container's host name: held or not.
fn is_held(site: &Site, host_name: &str) -> bool {
    let endpoints = site.endpoints();
    let endpoint = endpoints.iter().find(|e| e["host_name"] == host_name);
    endpoint.is_some_and(|endpoint| !endpoint["held_until"].is_null())
}

#[test]
fn a_container_that_comes_back_goes_on_with_its_lease() {
    let site = Site::new(ServerOptions::default());
    site.network("lan", &["release_delay=10m"]);
    site.run("web", &[&LAN[..], &["--hostname", "web", "-p", "8080:80"]].concat());
    // Two that no call tells apart; one of them never starts.
    site.run("plain", &[&LAN[..], &["--hostname", "plain"]].concat());
    site.docker(&[&["create", "--name", "never"], &LAN[..], &["busybox", "true"]].concat());
    let (web, plain) = (identity(&site, "web"), identity(&site, "plain"));

    for (name, before) in [("web", &web), ("plain", &plain)] {
        site.docker(&["restart", name]);
        assert_eq!(identity(&site, name), *before, "restart of {name}");
        site.reached(before.1);
        site.docker(&["stop", name]);
        until("held", SOON, || is_held(&site, name).then_some(()));
        site.docker(&["start", name]);
        assert_eq!(identity(&site, name), *before, "stop and start of {name}");
        site.reached(before.1);
        assert!(!is_held(&site, name));
    }

    // A stranger that looks the same, while the lease of the other is held.
    site.docker(&["stop", "plain"]);
    site.run("stranger", &[&LAN[..], &["--hostname", "stranger"]].concat());
    let stranger = identity(&site, "stranger");
    assert!(stranger.0 != plain.0 && stranger.1 != plain.1);
    // One that is running already and is connected: nothing tells that it is not the other.
    site.docker(&["run", "-d", "--name", "late", "busybox", "sleep", "infinity"]);
    site.docker(&["network", "connect", "lan", "late"]);
    let late = identity(&site, "late");
    assert!(late.0 != plain.0 && late.1 != plain.1);
    site.docker(&["start", "plain"]);
    assert_eq!(identity(&site, "plain"), plain);

    // Removed, and made again under its name.
    site.docker(&["rm", "-f", "web"]);
    site.run("web", &[&LAN[..], &["--hostname", "web", "-p", "8080:80"]].concat());
    assert_eq!(identity(&site, "web"), web);

    for (mac, _) in [&web, &plain] {
        site.logged(Message::Discover, mac, 1);
        site.logged(Message::Release, mac, 0);
    }
    for name in ["web", "plain", "never", "stranger", "late"] {
        site.docker(&["rm", "-f", name]);
    }
    site.docker(&["network", "rm", "lan"]);
    site.no_lease_is_left();
}

/// Twenty containers as a home server has them: ten that publish a port of their own, four that expose the same one, six
/// with nothing that would tell them apart. dockerd restarts them all at once, and nobody can be asked who is who.
#[test]
fn dockerd_restarts_twenty_mixed_containers() {
    let mut site = Site::new(ServerOptions::default());
    site.network("lan", &["release_delay=10m"]);
    let published: Vec<String> = (1..=10).map(|n| format!("{}:80", 8100 + n)).collect();
    let mut names: Vec<String> = Vec::new();
    let mut start = |kind: &str, n: usize, options: &[&str]| {
        let name = format!("{kind}{n}");
        site.run(&name, &[&LAN[..], &["--restart", "always"], options].concat());
        names.push(name);
    };
    for (n, port) in published.iter().enumerate() {
        start("published", n, &["-p", port]);
    }
    (0..4).for_each(|n| start("exposed", n, &["--expose", "80"]));
    (0..6).for_each(|n| start("plain", n, &[]));
    for (how, act) in [
        (
            "stopped",
            &(|site: &mut Site| site.engine.restart_dockerd(&[]).unwrap()) as &dyn Fn(&mut Site),
        ),
        ("killed", &|site| site.engine.kill_dockerd(&[]).unwrap()),
    ] {
        let kept = all_come_back(&mut site, &names, "lan", act);
        println!(
            "dockerd {how} and started: {} of {} have their MAC and address again: {kept:?}",
            kept.len(),
            names.len()
        );
    }
    for name in names.iter().filter(|name| is_told_apart(name)) {
        let (mac, _) = identity(&site, name);
        site.logged(Message::Discover, &mac, 1);
        site.logged(Message::Release, &mac, 0);
    }
}

/// A site whose host can boot: what is to outlast that is kept in a folder.
fn that_boots(folder: &Path, start: impl Fn(&Machine) -> Result<Landfall>) -> Site {
    let folders = ["/var/lib/docker", "/var/lib/landfall"].map(|inside| {
        let outside = folder.join(inside.trim_start_matches('/'));
        fs::create_dir_all(&outside).unwrap();
        (outside, inside.to_owned())
    });
    let (lan, server) = lan_with_dnsmasq(ServerOptions::default());
    let mut site = Site::without_landfall(lan, server, &[], &folders);
    site.landfall = Some(start(site.engine.machine()).unwrap());
    site
}

/// Starts Landfall on a host that has booted; `clock`: whether its clock has a battery.
fn start(machine: &Machine, clock: bool) -> Result<Landfall> {
    let set = "mkdir -p /sys/class/rtc/rtc0 && echo 1 > /sys/class/rtc/rtc0/hctosys";
    let battery = if clock { set } else { "true" };
    machine.ok(&["sh", "-c", &format!("mount -t tmpfs none /sys/class && {battery}")])?;
    Landfall::spawn_beside(machine, &landfall_binary()?, &[], &["LOG_LEVEL=debug"])
}

/// The power is cut, and the host boots: no kernel has anything of what was, and containers start again by themselves. One
/// that publishes a port and one with a MAC of its own can be told apart, two others cannot.
#[test]
fn the_host_boots() {
    let folder = tempfile::tempdir().unwrap();
    let start = |machine: &Machine| start(machine, true);
    let mut site = that_boots(folder.path(), start);
    site.network("lan", &["release_delay=10m", "lease_timeout=4s"]);
    let mut names: Vec<String> = Vec::new();
    let mut run = |name: &str, options: &[&str]| {
        site.run(name, &[&LAN[..], &["--restart", "always", "--hostname", name], options].concat());
        names.push(name.to_owned());
    };
    run("published", &["-p", "8100:80"]);
    run("fixed", &["--mac-address", "02:00:00:00:00:49"]);
    run("plain1", &[]);
    run("plain2", &[]);
    for name in &names {
        site.named_lease(&identity(&site, name).0, name);
    }
    let on_lan = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    all_come_back(&mut site, &names, "lan", |site| {
        site.landfall = Some(site.engine.reboot(&site.lan, start).unwrap());
    });
    // INIT-REBOOT (RFC 2131 §4.3.2): the address in option 50, and no `ciaddr`.
    for name in names.iter().filter(|name| is_told_apart(name)) {
        let (mac, address) = identity(&site, name);
        let (_, first) = messages(&on_lan, &mac).remove(0);
        assert_eq!((first.kind, first.requested), (REQUEST, Some(address)), "{name}: {first:?}");
        assert!(first.ciaddr.is_unspecified(), "{first:?}");
        site.logged(Message::Discover, &mac, 1);
    }

    // Once more, and this time before the router. The engine is there all the same, and so are those that can be told apart.
    let apart: Vec<String> = names.iter().filter(|name| is_told_apart(name)).cloned().collect();
    let before = identities::identities(&site, &apart, "lan");
    site.lan.host_ns().ip_batch("link set router nomaster\n").unwrap();
    site.landfall = Some(site.engine.reboot(&site.lan, start).unwrap());
    for name in &apart {
        until(&format!("{name} runs without a server's word"), SOON, || {
            (site.inspect(name, "{{.State.Running}}") == "true").then_some(())
        });
    }
    assert_eq!(identities::identities(&site, &apart, "lan"), before);
    before.values().for_each(|(_, address)| site.reached(*address));
    site.lan.host_ns().ip_batch("link set router master br0\n").unwrap();

    for name in &names {
        site.docker(&["rm", "-f", name]);
    }
    // With its network goes what nobody came back for.
    site.docker(&["network", "rm", "lan"]);
    site.no_lease_is_left();
}

/// What `no_server` says: while there is no server a start fails, goes on with the last address, or waits for one. The host
/// has booted without a clock, so that nobody knows which leases still go on.
#[test]
fn what_a_start_gets_while_no_server_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let start = |machine: &Machine| start(machine, false);
    let mut site = that_boots(folder.path(), start);
    let choices = ["fail", "last", "wait"];
    for choice in choices {
        let no_server = format!("no_server={choice}");
        site.network(choice, &[&no_server, "lease_timeout=2s", "release_delay=10m"]);
        site.run(choice, &["--network", choice]);
    }
    let had = choices.map(|name| identities::identity(&site, name, name));
    let [failing, last, waiting] = &had;
    // As the container sees it.
    let has = |site: &Site, container: &str| {
        let seen = site.docker(&["exec", container, "ip", "-4", "addr", "show", "eth0"]);
        let word = seen.split_whitespace().skip_while(|word| *word != "inet").nth(1);
        word.map(str::to_owned)
    };
    let has_had = |site: &Site, container: &str, had: &Identity| {
        (has(site, container)? == format!("{}/16", had.1)).then_some(())
    };
    let fails = |site: &Site, args: &[&str]| {
        let said = site.docker_fails(args);
        assert!(said.contains("no DHCP server answered on br0"), "{said}");
    };
    site.server.stop().unwrap();
    // Who comes here for the first time has no last address.
    for network in ["fail", "last"] {
        fails(&site, &run_args("new", &["--network", network]));
        site.docker(&["rm", "new"]);
    }
    site.run("new", &["--network", "wait"]);
    assert_eq!(has(&site, "new"), None);
    site.server.restart().unwrap();
    let first = until("its first address", SOON * 7, || has(&site, "new"));
    site.reached(first.strip_suffix("/16").unwrap().parse().unwrap());
    site.docker(&["rm", "-f", "new"]);

    site.server.stop().unwrap();
    site.landfall = Some(site.engine.reboot(&site.lan, start).unwrap());
    fails(&site, &["start", "fail"]);
    site.docker(&["start", "last", "wait"]);
    assert_eq!(identities::identity(&site, "last", "last"), *last);
    has_had(&site, "last", last).unwrap();
    site.reached(last.1);
    assert_eq!(has(&site, "wait"), None);

    site.server.restart().unwrap();
    until("the address that it had", SOON * 7, || has_had(&site, "wait", waiting));
    site.reached(waiting.1);
    until("a lease for each", SOON * 7, || {
        let endpoints = site.endpoints();
        let bound = |mac: &str| endpoints.iter().any(|e| e["mac"] == mac && e["state"] == "BOUND");
        (bound(&last.0) && bound(&waiting.0)).then_some(())
    });
    has_had(&site, "last", last).unwrap();
    site.docker(&["start", "fail"]);
    assert_eq!(identities::identity(&site, "fail", "fail"), *failing);
}
