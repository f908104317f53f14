//! From the managed plugin to the host service and back, with the steps of docs/moving-over.md.

use lab::{Message, ServerOptions, landfall_binary};

use crate::identities::{all_come_back, identity};
use crate::plugin::{DRIVER, folder};
use crate::site::{Site, lan_with_dnsmasq, network_args};

const MAC: &str = "02:00:00:00:00:4e";
/// The file by which the service is found as `landfall:latest` as well; the package's socket unit makes it (`Symlinks=`).
const ALIAS: &str = "/run/docker/plugins/landfall:latest.sock";

fn network(site: &Site, driver: &str, name: &str) {
    let args = network_args(driver, name, ["bridge=br0", "release_delay=10m"].iter());
    site.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
}

fn state_of_the_plugin(site: &Site) -> String {
    let id = site.docker(&["plugin", "inspect", "-f", "{{.Id}}", "landfall"]);
    format!("/var/lib/docker/plugins/{id}/propagated-mount")
}

fn copy(site: &Site, from: &str, to: &str) {
    let machine = site.engine.machine();
    machine.ok(&["mkdir", "-p", to]).unwrap();
    machine.ok(&["cp", "-a", &format!("{from}/."), to]).unwrap();
}

#[test]
fn from_the_plugin_to_the_service_and_back() {
    let (lan, server) = lan_with_dnsmasq(ServerOptions::default());
    let mut site = Site::without_landfall(lan, server, &[], &[]);
    site.engine.install_plugin(&folder(), &[]).unwrap();
    network(&site, DRIVER, "lan");
    let on_it = ["--network", "lan", "--restart", "always"];
    let names = ["published1", "fixed1"].map(String::from);
    site.run("published1", &[&on_it[..], &["-p", "8101:80"]].concat());
    site.run("fixed1", &[&on_it[..], &["--mac-address", MAC]].concat());

    // Who is told apart has not asked for a new lease, nor given one back: `all_come_back` looks.
    let told_apart = all_come_back(&mut site, &names, "lan", to_the_service);
    assert_eq!(told_apart, names);
    // Networks that are made now may have either name.
    network(&site, "landfall", "plain");
    site.run("plain1", &["--network", "plain"]);
    site.reached(identity(&site, "plain1", "plain").1);
    let told_apart = all_come_back(&mut site, &names, "lan", to_the_plugin);
    assert_eq!(told_apart, names);
    site.logged(Message::Discover, MAC, 1);

    // A managed plugin is a driver by its whole name only: such a network is to be removed before.
    let words = site.docker_fails(&["start", "plain1"]);
    assert!(words.contains("landfall"), "{words}");
    assert!(site.docker_fails(&["network", "rm", "plain"]).contains("landfall"));
}

fn to_the_service(site: &mut Site) {
    site.docker(&["plugin", "disable", "-f", "landfall"]);
    copy(site, &state_of_the_plugin(site), "/var/lib/landfall");
    site.docker(&["plugin", "rm", "-f", "landfall"]);
    let binary = landfall_binary().unwrap();
    site.landfall = Some(site.engine.spawn_landfall(&binary, &[], &["LOG_LEVEL=debug"]).unwrap());
    site.engine.machine().ok(&["ln", "-sf", "landfall.sock", ALIAS]).unwrap();
    site.engine.restart_dockerd(&[]).unwrap();
}

fn to_the_plugin(site: &mut Site) {
    assert!(site.landfall().stop().unwrap().success());
    site.landfall = None;
    let machine = site.engine.machine();
    machine.ok(&["rm", ALIAS]).unwrap();
    machine
        .ok(&[
            "mkdir",
            "-p",
            "/tmp/plugin/rootfs/run/docker/plugins",
            "/tmp/plugin/rootfs/var/lib/landfall",
        ])
        .unwrap();
    for file in ["config.json", "rootfs/landfall"] {
        machine.copy_in(&folder().join(file), &format!("/tmp/plugin/{file}")).unwrap();
    }
    site.docker(&["plugin", "create", "landfall", "/tmp/plugin"]);
    copy(site, "/var/lib/landfall", &state_of_the_plugin(site));
    site.docker(&["plugin", "enable", "landfall"]);
    site.engine.restart_dockerd(&[]).unwrap();
}
