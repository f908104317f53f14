//! What README.md and docs/moving-over.md tell users to type, typed on machines with systemd and Docker Engine 20.10, 26.1
//! and 28.5: the bridge, the plugin from a folder and from a registry, its upgrade, the switch to the service and back.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use lab::{
    DhcpServer, Dnsmasq, Lan, LanOptions, Machine, Message, Namespace, Place, Roots, ServerOptions,
};

use crate::site::{SOON, eventually, same};
use crate::systemd::{of, ok};

pub(crate) const README: &str = include_str!("../../../../README.md");
const MOVING_OVER: &str = include_str!("../../../../docs/moving-over.md");
const MAC: &str = "02:00:00:00:00:4d";
const IMAGE: &str = "localhost:5000/landfall:release-linux-amd64";

/// The lines of a document's block of commands that has `line`.
pub(crate) fn block<'a>(document: &'a str, line: &str) -> Vec<&'a str> {
    let blocks = document.split("\n```\n").skip(1).step_by(2);
    let lines = blocks.map(|block| block.lines().collect::<Vec<_>>());
    let mut found = lines.filter(|lines| lines.iter().any(|it| it.starts_with(line)));
    let first = found.next().unwrap_or_else(|| panic!("no block has the line '{line}'"));
    assert_eq!(found.next(), None, "two blocks have the line '{line}'");
    first
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

const REGISTRY: &str = "version: 0.1\n\
    storage: {filesystem: {rootdirectory: /run/registry}}\n\
    http: {addr: \"127.0.0.1:5000\"}\n";
/// What is typed where the source is.
const MAKE: &str = "make ";

/// A machine, and the network that it stands in.
struct Host<'a> {
    machine: Machine,
    net: &'a Namespace,
}

impl Host<'_> {
    /// Types what a block of commands has for `make` where the source is.
    fn makes(&self, document: &str, line: &str) {
        let lines = block(document, line);
        for line in lines.iter().filter(|line| line.starts_with(MAKE)) {
            let folder = repository();
            let argv = ["env", "-C", folder.to_str().unwrap()].into_iter().chain(line.split(' '));
            self.net.ok(&argv.collect::<Vec<_>>()).unwrap();
        }
    }

    /// Types the rest of it, in root's folder, as one script: a variable goes from line to line.
    fn types(&self, document: &str, line: &str) {
        let mut lines = block(document, line);
        lines.retain(|line| !line.starts_with(MAKE));
        let script = format!("set -e; cd /root\n{}", lines.join("\n"));
        self.machine.ok(&["bash", "-c", &script]).unwrap_or_else(|error| {
            let journal = self.machine.run(&["journalctl", "--no-pager", "-n", "60"]).unwrap();
            panic!("{error}\n{}", String::from_utf8_lossy(&journal.stdout))
        });
    }

    fn docker(&self, line: &str) -> String {
        ok(&self.machine, &format!("docker {line}")).trim().to_owned()
    }

    /// The binary in a plugin's file system.
    fn binary_of(&self, plugin: &str) -> Vec<u8> {
        let id = self.docker(&format!("plugin inspect -f {{{{.Id}}}} {plugin}"));
        let path = format!("/var/lib/docker/plugins/{id}/rootfs/landfall");
        fs::read(self.machine.path(&path)).unwrap()
    }
}

#[test]
fn on_engine_20() {
    as_documented("bookworm-systemd");
}

#[test]
fn on_engine_26() {
    as_documented("trixie-systemd");
}

#[test]
fn on_engine_28() {
    as_documented("forky");
}

fn as_documented(root: &str) {
    // What the host's card is plugged into.
    let lan = Lan::new(LanOptions { bridge: "switch".into(), ..LanOptions::default() }).unwrap();
    lan.host_ns()
        .ip_batch("link add eth0 type veth peer name port\nlink set port master switch up\n")
        .unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let root = Roots::of(root).unwrap();
    let machine = Machine::start_with_systemd("dockerhost", &root, lan.host_ns()).unwrap();
    let host = Host { machine, net: lan.host_ns() };
    eventually("the engine", SOON, || {
        same(of(&host.machine, "docker", "ActiveState"), &"active".into())
    });
    // A registry at localhost:5000: Debian's unit asks who pushes. And what is not on such a machine.
    host.machine.write("/root/registry.yml", REGISTRY).unwrap();
    ok(&host.machine, "systemctl stop docker-registry");
    ok(&host.machine, "systemd-run docker-registry serve /root/registry.yml");
    host.machine.write("/usr/local/bin/sudo", "#!/bin/sh\nexec \"$@\"\n").unwrap();
    ok(&host.machine, "chmod +x /usr/local/bin/sudo");
    ok(&host.machine, "docker import /lab/busybox.tar busybox");

    host.types(README, "ip link add br0 type bridge");
    the_plugin_from_a_folder(&host);
    the_plugins_of_a_registry(&host);

    // The first network and container, whatever the driver is called here.
    let create = block(README, "docker run --rm -ti --network lan alpine")[0];
    ok(&host.machine, &create.replace("-d landfall ", "-d landfall:latest "));
    host.docker(&format!(
        "run -d --restart=always --stop-signal=KILL --network lan --mac-address {MAC} --name web busybox sleep infinity"
    ));
    let leases = server.wait_leases("one", SOON, &|leases| leases.len() == 1).unwrap();
    let ip = leases[0].ip;
    let still_there = |after: &str| {
        eventually(after, SOON, || same(lan.ping(Place::Laptop, ip).unwrap(), &true));
        is_bound(&host, ip);
        assert_eq!(server.logged(Message::Discover, MAC).len(), 1, "{after}");
        assert_eq!(server.logged(Message::Release, MAC).len(), 0, "{after}");
    };
    still_there("the start");

    a_registry_has_another_version(&host);
    host.types(README, "docker plugin upgrade --grant-all-permissions");
    let description = "plugin inspect -f {{.Config.Description}} landfall";
    assert!(host.docker(description).starts_with("Next: "));
    still_there("an upgrade");

    let package = concat!("landfall_", env!("CARGO_PKG_VERSION"), "_amd64.deb");
    let made = repository().join("dist").join(package);
    host.machine.copy_in(&made, &format!("/root/{package}")).unwrap();
    host.types(MOVING_OVER, "dpkg --install landfall_");
    assert_eq!(of(&host.machine, "landfall", "ActiveState"), "active");
    assert_eq!(host.docker("plugin ls -q"), "");
    still_there("the switch to the service");
    host.types(MOVING_OVER, "systemctl disable --now landfall.service");
    assert_eq!(of(&host.machine, "landfall", "ActiveState"), "inactive");
    still_there("the switch to the plugin");

    host.docker("rm -f web");
    host.docker("network rm lan");
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
}

fn the_plugin_from_a_folder(host: &Host) {
    host.makes(README, "docker plugin create landfall dist/plugin");
    let made = repository().join("dist/plugin");
    for folder in ["run/docker/plugins", "var/lib/landfall"] {
        ok(&host.machine, &format!("mkdir -p /root/dist/plugin/rootfs/{folder}"));
    }
    for file in ["config.json", "rootfs/landfall"] {
        host.machine.copy_in(&made.join(file), &format!("/root/dist/plugin/{file}")).unwrap();
    }
    host.types(README, "docker plugin create landfall dist/plugin");
    host.types(README, "sudo install \"/var/lib/docker/plugins/");
    assert!(ok(&host.machine, "landfall status").starts_with("No containers"));
    host.docker("plugin rm -f landfall");
}

/// Each tag of the table has the binary for its architecture; the one for this machine's is installed.
fn the_plugins_of_a_registry(host: &Host) {
    host.makes(README, "make plugin-push ARCH=all");
    host.types(README, "make plugin-push ARCH=all");
    let mut tags = 0;
    for row in README.lines().filter(|line| line.contains("-bit ")) {
        let words: Vec<&str> = row.split('`').collect();
        let (arch, tag) = (words[1], words[3]);
        let install = "plugin install --disable --grant-all-permissions --alias";
        host.docker(&format!("{install} {arch} localhost:5000/landfall:{tag}"));
        let built = fs::read(repository().join(format!("dist/landfall-linux-{arch}"))).unwrap();
        assert!(host.binary_of(arch) == built, "{tag}");
        host.docker(&format!("plugin rm {arch}"));
        tags += 1;
    }
    assert_eq!(tags, 4);
    assert_eq!(host.docker("plugin inspect -f {{.Enabled}} landfall"), "true");
}

/// Another version under the tag that the README names: another content.
fn a_registry_has_another_version(host: &Host) {
    let config = host.machine.read("/root/dist/plugin/config.json").unwrap();
    let config = config.replacen("\"description\": \"", "\"description\": \"Next: ", 1);
    host.machine.write("/root/dist/plugin/config.json", &config).unwrap();
    host.docker(&format!("plugin create {IMAGE} /root/dist/plugin"));
    host.docker(&format!("plugin push {IMAGE}"));
    host.docker(&format!("plugin rm {IMAGE}"));
}

/// The daemon has the lease, with that address.
fn is_bound(host: &Host, ip: Ipv4Addr) {
    let status = ok(&host.machine, "landfall status");
    assert!(status.contains(&ip.to_string()) && status.contains("BOUND"), "{status}");
}
