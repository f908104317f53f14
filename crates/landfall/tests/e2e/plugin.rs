//! The managed plugin, as `make plugin` makes it: a container's life, the plugin switched off and on under it, and dockerd, with
//! which it goes, restarted and killed.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use lab::{Capture, Log, Message, Pings, Process, ServerOptions, landfall_binary};

use crate::identities::{all_come_back, is_told_apart};
use crate::site::{
    DISCOVER, SOON, Site, count, inside, lan_with_dnsmasq, last_request, network_args,
    next_renewal, renewal_once_back, until,
};

/// A managed plugin is a driver by its whole name.
pub(crate) const DRIVER: &str = "landfall:latest";
/// Another version of it.
const NEXT: &str = "localhost:5000/landfall:next";
const MAC: &str = "02:00:00:00:00:48";
const LEASE: u32 = 120;
const T1: u32 = 4;

/// What `make plugin` has made.
pub(crate) fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dist/plugin");
    assert!(folder.join("rootfs/landfall").is_file(), "dist/plugin is missing: `make plugin`");
    folder
}

#[test]
fn the_managed_plugin() {
    let folder = folder();
    let (lan, server) =
        lan_with_dnsmasq(ServerOptions { lease: LEASE, renew: Some(T1), ..Default::default() });
    let mut site = Site::without_landfall(lan, server, &[], &[]);
    let on_lan = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.engine.install_plugin(&folder, &["LOG_LEVEL=debug"]).unwrap();
    // Whoever has only the plugin takes the command out of it.
    site.engine.machine().copy_in(&landfall_binary().unwrap(), "/usr/local/bin/landfall").unwrap();

    let _registry = a_registry_has_another_version(&site);

    // The command finds out what Docker calls the plugin.
    let create = ["network", "create", "lan", "--bridge", "br0", "-o", "release_delay=0"];
    assert!(
        site.landfall_says(&[&create[..], &["--print"]].concat())
            .contains(&format!("-d {DRIVER} "))
    );
    site.landfall_says(&create);
    let idle = site.host_links();
    site.run("web", &["--network", "lan", "--hostname", "web", "--mac-address", MAC]);

    let pings = Pings::start(site.lan.laptop_ns(), site.address("web", "lan")).unwrap();
    it_serves(&site, &on_lan);
    it_is_switched_off_and_on(&site, &on_lan);
    it_is_upgraded(&site, &on_lan);

    assert_eq!(pings.lost().unwrap(), [] as [usize; 0]);
    assert_eq!(count(&on_lan, MAC, DISCOVER), 1, "the lease is that of the start");
    site.docker(&["stop", "web"]);
    site.no_lease_is_left();
    site.logged(Message::Release, MAC, 1);
    assert_eq!(site.host_links(), idle);
    assert!(site.endpoints().is_empty());

    dockerd_starts_again(&mut site);
}

/// Creates a network on the bridge, with a further `-o` option.
fn network(site: &Site, name: &str, option: &str) {
    let args = network_args(DRIVER, name, ["bridge=br0", option].iter());
    site.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Who is who says `/proc/1/root`: the engine's files are not the plugin's.
fn dockerd_starts_again(site: &mut Site) {
    network(site, "held", "release_delay=10m");
    let on_it = ["--network", "held", "--restart", "always"];
    let names = ["published1", "published2", "plain1", "plain2"].map(String::from);
    for (name, options) in names.iter().zip([&["-p", "8101:80"], &["-p", "8102:80"], &[][..], &[]])
    {
        site.run(name, &[&on_it[..], options].concat());
    }
    all_come_back(site, &names, "held", |site| site.engine.restart_dockerd(&[]).unwrap());
    all_come_back(site, &names, "held", |site| site.engine.kill_dockerd(&[]).unwrap());
    for name in names.iter().filter(|name| is_told_apart(name)) {
        let mac = site.shown(name, "held").mac;
        site.logged(Message::Discover, &mac, 1);
        site.logged(Message::Release, &mac, 0);
    }
    for name in &names {
        site.docker(&["rm", "-f", name]);
    }
    site.docker(&["network", "rm", "held"]);
    site.no_lease_is_left();
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

/// Starts a registry on the host, at `localhost:5000`.
pub(crate) fn registry(site: &Site) -> Process {
    let machine = site.engine.machine();
    machine
        .write(
            "/run/registry.yml",
            "version: 0.1\nstorage: {filesystem: {rootdirectory: /run/registry}}\nhttp: {addr: \"127.0.0.1:5000\"}\n",
        )
        .unwrap();
    let log = Log::new("the registry");
    let argv = ["docker-registry", "serve", "/run/registry.yml"];
    let registry = machine.spawn("registry", &[], &argv, &log).unwrap();
    log.wait_for("listening on", SOON).unwrap();
    registry
}

/// Starts a registry and puts another version into it.
fn a_registry_has_another_version(site: &Site) -> Process {
    let (registry, machine) = (registry(site), site.engine.machine());
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
    registry
}

/// To another version, from a registry, under the same name.
fn it_is_upgraded(site: &Site, on_lan: &Capture) {
    let before = site.endpoints().remove(0);
    let last = last_request(on_lan, MAC);
    site.docker(&["plugin", "disable", "-f", "landfall"]);
    let upgrade = ["plugin", "upgrade", "--grant-all-permissions", "--skip-remote-check"];
    site.docker(&[&upgrade[..], &["landfall", NEXT]].concat());
    let description = ["plugin", "inspect", "-f", "{{.Config.Description}}", "landfall"];
    assert!(site.docker(&description).starts_with("Next: "));
    site.docker(&["plugin", "enable", "landfall"]);
    let back = SystemTime::now();
    let after = site.endpoints().remove(0);
    for field in ["id", "container", "mac", "address", "server", "host_name", "interface"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    renewal_once_back(on_lan, MAC, T1, last, back);
}

/// Neither the container nor the server notices; only the log says less from now on.
fn it_is_switched_off_and_on(site: &Site, on_lan: &Capture) {
    let address = site.address("web", "lan");
    let last = last_request(on_lan, MAC);
    site.docker(&["plugin", "disable", "-f", "landfall"]);
    let id = site.docker(&["plugin", "inspect", "-f", "{{.Id}}", "landfall"]);
    let state = format!("/var/lib/docker/plugins/{id}/propagated-mount");
    let state = fs::read_dir(site.engine.machine().path(&state)).unwrap();
    assert_ne!(state.count(), 0, "the state is in the propagated mount");

    let doctor = ["/usr/local/bin/landfall", "doctor", "--no-probe"];
    let output = site.engine.machine().run(&doctor).unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let disabled = format!("{DRIVER}: the managed plugin is installed but disabled");
    assert!(!output.status.success() && found.contains(&disabled), "{found}");

    site.docker(&["plugin", "set", "landfall", "LOG_LEVEL=warn"]);
    let mark = site.log().mark();
    site.docker(&["plugin", "enable", "landfall"]);
    let back = SystemTime::now();
    assert_eq!(site.endpoints()[0]["address"], format!("{address}/16"));
    renewal_once_back(on_lan, MAC, T1, last, back);
    let said: Vec<String> =
        site.log().lines().split_off(mark).into_iter().map(|line| line.text).collect();
    let info = said.iter().find(|line| line.contains("serving") || line.contains("lease renewed"));
    assert_eq!(info, None, "with LOG_LEVEL=warn");
}
