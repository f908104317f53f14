//! The managed plugin, as `make plugin` makes it: a container's life, and the plugin switched off and on under it.

use std::fs;
use std::path::PathBuf;

use lab::{Capture, Log, Message, ServerOptions, landfall_binary};

use crate::site::{
    DISCOVER, REQUEST, SOON, Site, count, inside, lan_with_dnsmasq, last_request, network_args,
    next_renewal, nth, until,
};

/// A managed plugin is a driver by its whole name.
const DRIVER: &str = "landfall:latest";
const MAC: &str = "02:00:00:00:00:48";
const LEASE: u32 = 120;
const T1: u32 = 4;

#[test]
fn the_managed_plugin() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dist/plugin");
    assert!(folder.join("rootfs/landfall").is_file(), "dist/plugin is missing: `make plugin`");
    let (lan, server) =
        lan_with_dnsmasq(ServerOptions { lease: LEASE, renew: Some(T1), ..Default::default() });
    let site = Site::without_landfall(lan, server, &[]);
    let on_lan = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.engine.install_plugin(&folder, &["LOG_LEVEL=debug"]).unwrap();
    // Whoever has only the plugin takes the command out of it.
    site.engine.machine().copy_in(&landfall_binary().unwrap(), "/usr/local/bin/landfall").unwrap();

    let args = network_args(DRIVER, "lan", ["bridge=br0", "release_delay=0"].iter());
    site.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let idle = site.host_links();
    site.run("web", &["--network", "lan", "--hostname", "web", "--mac-address", MAC]);

    it_serves(&site, &on_lan);
    it_is_switched_off_and_on(&site, &on_lan);
    it_is_upgraded(&site, &on_lan);

    assert_eq!(count(&on_lan, MAC, DISCOVER), 1, "the lease is that of the start");
    site.docker(&["stop", "web"]);
    site.no_lease_is_left();
    site.logged(Message::Release, MAC, 1);
    assert_eq!(site.host_links(), idle);
    assert!(site.endpoints().is_empty());
}

/// Address, name, renewal; the address in the container lives as long as its lease, which needs the host's first process
/// for a way to the sandbox.
fn it_serves(site: &Site, on_lan: &Capture) {
    let address = site.named_lease(MAC, "web").ip;
    assert_eq!(site.address("web", "lan"), address);
    site.reached(address);
    let endpoint = &site.endpoints()[0];
    assert_eq!(endpoint["address"], format!("{address}/16"));
    assert_eq!(endpoint["host_name"], "web");
    assert_eq!(endpoint["interface"], "eth0");
    assert_eq!(endpoint["container"], site.inspect("web", "{{.Id}}"));

    next_renewal(on_lan, MAC, T1);
    let sandbox = site.sandbox("web");
    until("the address lives on", SOON, || {
        let left = inside(&sandbox, "eth0").lives;
        (u64::from(LEASE - T1) + 1..=u64::from(LEASE)).contains(&left).then_some(())
    });
    site.engine.log().wait_for("lease renewed", SOON).unwrap();
}

/// To another version, from a registry, under the same name.
fn it_is_upgraded(site: &Site, on_lan: &Capture) {
    const NEXT: &str = "localhost:5000/landfall:next";
    let machine = site.engine.machine();
    machine
        .write(
            "/run/registry.yml",
            "version: 0.1\nstorage: {filesystem: {rootdirectory: /run/registry}}\nhttp: {addr: \"127.0.0.1:5000\"}\n",
        )
        .unwrap();
    let log = Log::new("the registry");
    let argv = ["docker-registry", "serve", "/run/registry.yml"];
    let _registry = machine.spawn("registry", &[], &argv, &log).unwrap();
    log.wait_for("listening on", SOON).unwrap();
    // Another version is another content.
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dist/plugin");
    machine.ok(&["mkdir", "-p", "/tmp/next/rootfs/run/docker/plugins"]).unwrap();
    machine.ok(&["mkdir", "-p", "/tmp/next/rootfs/var/lib/landfall"]).unwrap();
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    let config = config.replacen("\"description\": \"", "\"description\": \"Next: ", 1);
    machine.write("/tmp/next/config.json", &config).unwrap();
    machine.copy_in(&folder.join("rootfs/landfall"), "/tmp/next/rootfs/landfall").unwrap();
    machine.write("/tmp/next/rootfs/version", "next\n").unwrap();
    site.docker(&["plugin", "create", NEXT, "/tmp/next"]);
    site.docker(&["plugin", "push", NEXT]);
    site.docker(&["plugin", "rm", NEXT]);

    let address = site.address("web", "lan");
    let before = site.endpoints().remove(0);
    site.docker(&["plugin", "disable", "-f", "landfall"]);
    site.reached(address);
    let upgrade = ["plugin", "upgrade", "--grant-all-permissions", "--skip-remote-check"];
    site.docker(&[&upgrade[..], &["landfall", NEXT]].concat());
    let description = ["plugin", "inspect", "-f", "{{.Config.Description}}", "landfall"];
    assert!(site.docker(&description).starts_with("Next: "));
    let (_, sent) = last_request(on_lan, MAC);
    site.docker(&["plugin", "enable", "landfall"]);
    let after = site.endpoints().remove(0);
    for field in ["id", "container", "mac", "address", "server", "host_name", "interface"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    nth(on_lan, MAC, REQUEST, sent + 1, SOON);
    site.reached(address);
}

/// Neither the container nor the server notices; only the log says less from now on.
fn it_is_switched_off_and_on(site: &Site, on_lan: &Capture) {
    let address = site.address("web", "lan");
    site.docker(&["plugin", "disable", "-f", "landfall"]);
    site.reached(address);
    let id = site.docker(&["plugin", "inspect", "-f", "{{.Id}}", "landfall"]);
    let state = format!("/var/lib/docker/plugins/{id}/propagated-mount");
    let state = fs::read_dir(site.engine.machine().path(&state)).unwrap();
    assert_ne!(state.count(), 0, "the state is in the propagated mount");

    site.docker(&["plugin", "set", "landfall", "LOG_LEVEL=warn"]);
    let mark = site.log().mark();
    let (_, sent) = last_request(on_lan, MAC);
    site.docker(&["plugin", "enable", "landfall"]);
    assert_eq!(site.endpoints()[0]["address"], format!("{address}/16"));
    nth(on_lan, MAC, REQUEST, sent + 1, SOON);
    site.reached(address);
    let said: Vec<String> =
        site.log().lines().split_off(mark).into_iter().map(|line| line.text).collect();
    let info = said.iter().find(|line| line.contains("serving") || line.contains("lease renewed"));
    assert_eq!(info, None, "with LOG_LEVEL=warn");
}
