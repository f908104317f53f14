//! What the daemon may do, and who may command it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use lab::Lan;
use serde_json::json;

use crate::container::Container;
use crate::server::{Grant, Server};
use crate::site::{SOON, Site, endpoint_argument, eventually, id, same};

/// Net admin, net raw, sys chroot, sys ptrace, sys admin.
const NEEDED: u64 = 1 << 12 | 1 << 13 | 1 << 18 | 1 << 19 | 1 << 21;

/// A field of `/proc/PID/task/*/status`, of each thread.
fn of_each_thread(site: &Site, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", site.landfall.pid())).unwrap();
    let status = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("status")).ok();
    // Threads end while one looks.
    let each = tasks.filter_map(|entry| status(entry.ok()?));
    let field = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
    };
    each.map(field).collect()
}

#[test]
fn the_daemon_has_no_more_rights_than_it_needs() {
    let site = Site::new();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    // All that the rights are for: a port, links, an exchange, a sandbox that is entered, and a name that is learnt.
    let container = site.run("lan", "web", "");
    let guest = container.inhabit(&site);
    assert!(container.ping(Lan::ROUTER));
    eventually("the interface in the status", SOON, || {
        same(site.shown("web")["interface"].clone(), &json!("eth0"))
    });
    let threads = of_each_thread(&site, "Name").len();
    assert!(threads >= 3, "{threads}");
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        for seen in of_each_thread(&site, set) {
            assert_eq!(u64::from_str_radix(&seen, 16).unwrap(), NEEDED, "{set}");
        }
    }
    for set in ["CapInh", "CapAmb"] {
        assert!(of_each_thread(&site, set).iter().all(|seen| seen == "0000000000000000"), "{set}");
    }
    assert!(of_each_thread(&site, "NoNewPrivs").iter().all(|seen| seen == "1"));
    // 2: a filter.
    assert!(of_each_thread(&site, "Seccomp").iter().all(|seen| seen == "2"));
    assert_eq!(site.landfall.log().grep("more rights than it needs").len(), 0);
    drop(guest);
    container.stop(&site);
}

#[test]
fn only_root_may_command_it() {
    let mut site = Site::new();
    for round in 0..2 {
        for path in [site.landfall.plugin_socket(), site.landfall.admin_socket()] {
            let metadata = fs::symlink_metadata(path).unwrap();
            assert!(metadata.file_type().is_socket());
            let seen = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
            assert_eq!(seen, (0o600, 0, 0), "{} in round {round}", path.display());
        }
        site.landfall.kill9().unwrap();
        site.landfall.restart().unwrap();
    }
}

#[test]
fn an_identifier_that_could_be_a_path_or_a_command_is_refused() {
    let site = Site::new();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let links = site.links();
    let long = "a".repeat(300);
    for hostile in ["../x", "a/b", "a\0b", "a\nb", "$(reboot)", "`id`", "a b", "", "ä", &long] {
        let mut network = site.network_argument("lan", &[]);
        network["NetworkID"] = json!(hostile);
        let refusal = site.call("CreateNetwork", &network).unwrap_err();
        assert!(refusal.len() < 400, "{refusal}");
        let mut endpoint = endpoint_argument("lan", "web", "");
        endpoint["EndpointID"] = json!(hostile);
        site.call("CreateEndpoint", &endpoint).unwrap_err();
        for method in ["Join", "Leave", "DeleteEndpoint", "EndpointOperInfo"] {
            let mut argument = json!({ "NetworkID": id("lan"), "EndpointID": hostile });
            argument["SandboxKey"] = json!("/run/docker/netns/0123456789ab");
            // Refused, or not known: nothing comes of it.
            let _ = site.call(method, &argument);
        }
        // What becomes a name in /sys or an interface's prefix in a sandbox.
        for option in ["bridge", "interface_prefix"] {
            if hostile.is_empty() {
                continue;
            }
            let argument = site.network_argument("other", &[(option, hostile)]);
            let refusal = site.call("CreateNetwork", &argument).unwrap_err();
            assert!(refusal.len() < 800, "{refusal}");
        }
    }
    assert_eq!(site.links(), links);
    assert_eq!(site.status()["endpoints"], json!([]));
    let container: Container = site.run("lan", "web", "");
    assert!(container.ping(Lan::ROUTER));
}
