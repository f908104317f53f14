//! Containers that come back: with the address and the MAC that they had, and never with another's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use lab::{Message, ServerOptions};

use crate::site::{SOON, Site, until};

/// Engines put it into every container's start: nothing of a test's containers may differ in it.
const LAN: [&str; 2] = ["--network", "lan"];

/// What makes a container's identity on the LAN.
type Identity = (String, Ipv4Addr);

fn identity(site: &Site, name: &str) -> Identity {
    let shown = site.shown(name, "lan");
    (shown.mac, shown.address)
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
    let all = |site: &Site| -> BTreeMap<String, Identity> {
        names.iter().map(|name| (name.clone(), identity(site, name))).collect()
    };
    let before = all(&site);
    let restart = |site: &mut Site, how: &str, act: &dyn Fn(&mut Site)| {
        let before = all(site);
        act(site);
        for name in &names {
            until(&format!("{name} runs again"), SOON * 3, || {
                (site.inspect(name, "{{.State.Running}}") == "true").then_some(())
            });
        }
        let after = all(site);
        let kept: Vec<&String> =
            names.iter().filter(|name| before[*name] == after[*name]).collect();
        println!(
            "{how}: {} of {} have their MAC and address again: {kept:?}",
            kept.len(),
            names.len()
        );
        for name in names.iter().filter(|name| name.starts_with("published")) {
            assert!(kept.contains(&name), "{name} could be told apart, by its port");
        }
        // What one had, no other has.
        for (name, (mac, address)) in &after {
            for (other, (its_mac, its_address)) in before.iter().filter(|(other, _)| *other != name)
            {
                assert!(mac != its_mac, "{name} has the MAC of {other}");
                assert!(address != its_address, "{name} has the address of {other}");
            }
        }
        let addresses: BTreeSet<Ipv4Addr> = after.values().map(|(_, address)| *address).collect();
        assert_eq!(addresses.len(), names.len());
        kept.len()
    };
    let stopped = restart(&mut site, "dockerd stopped and started", &|site| {
        site.engine.restart_dockerd(&[]).unwrap();
    });
    let killed = restart(&mut site, "dockerd killed and started", &|site| {
        site.engine.kill_dockerd(&[]).unwrap();
    });
    assert!(stopped >= 10 && killed >= 10);
    for (mac, _) in before.iter().filter(|(n, _)| n.starts_with("published")).map(|(_, i)| i) {
        site.logged(Message::Discover, mac, 1);
        site.logged(Message::Release, mac, 0);
    }
}
