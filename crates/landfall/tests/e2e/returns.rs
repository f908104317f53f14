//! Containers that come back: with the address and the MAC that they had, and never with another's.

use std::fs;

use lab::{Capture, Landfall, Machine, Message, ServerOptions, landfall_binary};

use crate::identities::{self, Identity, all_come_back, is_told_apart};
use crate::site::{REQUEST, SOON, Site, lan_with_dnsmasq, messages, until};

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

/// The power is cut, and the host boots: no kernel has anything of what was, and containers start again by themselves. One
/// that publishes a port and one with a MAC of its own can be told apart, two others cannot.
#[test]
fn the_host_boots() {
    let folder = tempfile::tempdir().unwrap();
    let kept = ["/var/lib/docker", "/var/lib/landfall"];
    let folders = kept.map(|inside| {
        let outside = folder.path().join(inside.trim_start_matches('/'));
        fs::create_dir_all(&outside).unwrap();
        (outside, inside.to_owned())
    });
    let (lan, server) = lan_with_dnsmasq(ServerOptions::default());
    let mut site = Site::without_landfall(lan, server, &[], &folders);
    // Its clock has a battery.
    let clock = "mount -t tmpfs none /sys/class && mkdir -p /sys/class/rtc/rtc0 && echo 1 > /sys/class/rtc/rtc0/hctosys";
    let start = |machine: &Machine| {
        machine.ok(&["sh", "-c", clock])?;
        Landfall::spawn_beside(machine, &landfall_binary()?, &[], &["LOG_LEVEL=debug"])
    };
    site.landfall = Some(start(site.engine.machine()).unwrap());
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
