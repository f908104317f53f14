//! The plugin's image in a registry, put there without an engine and installed in one line.

use std::path::Path;

use lab::ServerOptions;

use crate::plugin::{DRIVER, registry};
use crate::site::{Site, lan_with_dnsmasq};

const MAC: &str = "02:00:00:00:00:4c";
const REPOSITORY: &str = "localhost:5000/landfall";

#[test]
fn from_a_registry() {
    let (lan, server) = lan_with_dnsmasq(ServerOptions::default());
    let site = Site::without_landfall(lan, server, &[], &[]);
    let push = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/plugin-push");
    let push = push.to_str().unwrap();
    // There is none yet.
    let refused = site.lan.host_ns().run(&[push, REPOSITORY, "amd64"]).unwrap();
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && words.contains("there is no registry at localhost:5000"),
        "{words}"
    );
    let _registry = registry(&site);
    let pushed = site.lan.host_ns().ok(&[push, REPOSITORY, "amd64"]).unwrap();
    let compressed: u64 = pushed.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(compressed <= 4_000_000, "{pushed}");
    // Once more: what is there is not sent again, and the tags are the same.
    assert_eq!(site.lan.host_ns().ok(&[push, REPOSITORY, "amd64"]).unwrap(), pushed);

    let image = format!("{REPOSITORY}:release-linux-amd64");
    let install = ["plugin", "install", "--alias", "landfall", "--grant-all-permissions", &image];
    site.docker(&install);
    let own = ["-o", "bridge=br0", "-o", "release_delay=0", "lan"];
    site.docker(
        &[&["network", "create", "-d", DRIVER, "--ipam-driver", "null"], &own[..]].concat(),
    );
    site.run("web", &["--network", "lan", "--mac-address", MAC, "--hostname", "web"]);
    let lease = site.named_lease(MAC, "web");
    assert_eq!(site.address("web", "lan"), lease.ip);
    site.reached(lease.ip);
    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
    for tag in [concat!(env!("CARGO_PKG_VERSION"), "-linux-amd64"), "latest-linux-amd64"] {
        let image = format!("{REPOSITORY}:{tag}");
        site.docker(&[
            "plugin",
            "install",
            "--alias",
            tag,
            "--disable",
            "--grant-all-permissions",
            &image,
        ]);
    }
}
