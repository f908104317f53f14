//! A service of a swarm of one node, on a network with the swarm's scope. Swarms know managed plugins only.

use lab::ServerOptions;

use crate::plugin::{DRIVER, folder};
use crate::site::{SOON, Site, lan_with_dnsmasq, network_args, until};

#[test]
fn a_service_has_its_address() {
    let (lan, server) = lan_with_dnsmasq(ServerOptions::default());
    let site = Site::without_landfall(lan, server, &[], &[]);
    site.engine.install_plugin(&folder(), &["LOG_LEVEL=debug"]).unwrap();
    let idle = site.host_links();
    site.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let mut args = network_args(DRIVER, "lan", ["bridge=br0", "release_delay=0"].iter());
    args.splice(2..2, ["--scope".into(), "swarm".into()]);
    site.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());

    let on_the_lan = ["--network", "lan", "--hostname", "web", "--endpoint-mode", "dnsrr"];
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
        assert_eq!(site.named_lease(&shown.mac, "web").ip, shown.address);
        site.reached(shown.address);
    }
    site.docker(&["service", "rm", "web"]);
    site.no_lease_is_left();
    site.docker(&["network", "rm", "lan"]);
    // A network of a swarm is on the node for as long as a task needs it.
    until("the bridge has the ports that it had before", SOON, || {
        let links = site.host_links();
        let ours = |name: &&String| name.starts_with("lf");
        (links.iter().filter(ours).count() == idle.iter().filter(ours).count()).then_some(())
    });
    site.docker(&["swarm", "leave", "--force"]);
}
