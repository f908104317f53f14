//! A service of a swarm of one node, on a network with the swarm's scope. Swarms know managed plugins only.

use lab::ServerOptions;

use crate::plugin::{DRIVER, folder};
use crate::site::{SOON, Site, lan_with_dnsmasq, until};

#[test]
fn a_service_has_its_address() {
    let (lan, server) = lan_with_dnsmasq(ServerOptions::default());
    let site = Site::without_landfall(lan, server, &[], &[]);
    site.engine.install_plugin(&folder(), &["LOG_LEVEL=debug"]).unwrap();
    let idle = site.host_links();
    site.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    // A swarm's ingress network has the host's firewall look at bridged frames.
    let pass = ["iptables", "-I", "FORWARD", "-i", "br0", "-o", "br0", "-j", "ACCEPT"];
    site.lan.host_ns().ok(&pass).unwrap();
    // A swarm's managers know no null IPAM driver, nor have all nodes one bridge: what a node's network is like is its own
    // to say.
    let options = ["-o", "bridge=br0", "-o", "release_delay=0", "--ipam-driver", "null"];
    let own = ["network", "create", "--config-only"];
    site.docker(&[&own[..], &options, &["lan-here"]].concat());
    let of_all = ["--scope", "swarm", "--config-from", "lan-here", "-d", DRIVER, "lan"];
    site.docker(&[&["network", "create"], &of_all[..]].concat());

    let on_the_lan =
        ["--network", "lan", "--hostname", "web{{.Task.Slot}}", "--endpoint-mode", "dnsrr"];
    let service = ["service", "create", "-d", "--name", "web", "--no-resolve-image"];
    let program = ["--stop-signal", "SIGKILL", "--replicas", "2", "busybox", "sleep", "infinity"];
    site.docker(&[&service[..], &on_the_lan, &program].concat());
    let tasks = until("two tasks run", SOON * 2, || {
        let label = "label=com.docker.swarm.service.name=web";
        let running = site.docker(&["ps", "-q", "--no-trunc", "--filter", label]);
        let tasks: Vec<String> = running.lines().map(str::to_owned).collect();
        (tasks.len() == 2).then_some(tasks)
    });
    for task in &tasks {
        let shown = site.shown(task, "lan");
        let name = site.inspect(task, "{{.Config.Hostname}}");
        assert_eq!(site.named_lease(&shown.mac, &name).ip, shown.address);
        site.reached(shown.address);
    }
    site.docker(&["service", "rm", "web"]);
    site.no_lease_is_left();
    site.docker(&["network", "rm", "lan"]);
    site.docker(&["network", "rm", "lan-here"]);
    // A network of a swarm is on the node for as long as a task needs it.
    until("the bridge has the ports that it had before", SOON, || {
        let links = site.host_links();
        let ours = |name: &&String| name.starts_with("lf");
        (links.iter().filter(ours).count() == idle.iter().filter(ours).count()).then_some(())
    });
    site.docker(&["swarm", "leave", "--force"]);
}
