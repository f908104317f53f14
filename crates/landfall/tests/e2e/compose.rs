//! Compose projects: a network that was there before, and one that the project makes itself.

use std::path::Path;

use lab::{Dnsmasq, EngineVersion, Lan, LanOptions, ServerOptions};
use serde_json::Value;

use crate::site::{Site, inside};

const MAC: &str = "02:00:00:00:00:47";

/// A service on a network that somebody else made.
const SHARED: &str = "
version: '3'
services:
  app:
    hostname: my-http
    image: busybox
    command: sleep infinity
    stop_signal: SIGKILL
    mac_address: 02:00:00:00:00:47
    networks:
      - dhcp
networks:
  dhcp:
    external:
      name: my-dhcp-net
";

/// Two services on a network of the project's own, with the options of docker-net-dhcp's README.
const OWN: &str = "
version: '3'
services:
  app:
    image: busybox
    command: sleep infinity
    stop_signal: SIGKILL
    hostname: my-server
    networks:
      - dhcp
  peer:
    image: busybox
    command: sleep infinity
    stop_signal: SIGKILL
    networks:
      - dhcp
networks:
  dhcp:
    driver: landfall
    driver_opts:
      bridge: br0
      ipv6: 'true'
      ignore_conflicts: 'false'
      skip_routes: 'false'
    ipam:
      driver: 'null'
";

#[test]
fn compose_projects() {
    let site = Site::new(ServerOptions::default());
    on_a_shared_network(&site);
    on_a_network_of_its_own(&site);
}

/// The two of docker-net-dhcp's README, whose driver is called otherwise; all else is as there.
#[test]
fn those_of_docker_net_dhcp() {
    let lan = Lan::new(LanOptions { bridge: "my-bridge".into(), ..LanOptions::default() }).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let site = Site::on(lan, server, &[]);
    if !has_compose(&site) {
        println!("Docker Engine 20.10 comes without docker-compose 2: on 26.1 and 28.5");
        return;
    }
    // What serves nothing here.
    let import = ["import", "--change", "CMD [\"sleep\", \"infinity\"]"];
    site.docker(&[&import[..], &["/lab/busybox.tar", "nginx"]].concat());

    let shared = "version: '3'\nservices:\n  app:\n    hostname: my-http\n    image: nginx\n    \
        mac_address: 86:41:68:f8:85:b9\n    networks:\n      - dhcp\nnetworks:\n  dhcp:\n    external:\n      \
        name: my-dhcp-net\n";
    site.network("my-dhcp-net", &[]);
    compose(&site, shared, &["up", "-d"]);
    let app = site.shown("proj-app-1", "my-dhcp-net");
    // Compose 2.26 loses a service's MAC, on Docker's own networks as well.
    if EngineVersion::from_env().unwrap() != EngineVersion::V26 {
        assert_eq!(app.mac, "86:41:68:f8:85:b9");
    }
    assert_eq!(site.named_lease(&app.mac, "my-http").ip, app.address);
    site.reached(app.address);
    compose(&site, shared, &["down", "-t", "1"]);

    let own = "version: '3'\nservices:\n  app:\n    image: nginx\n    hostname: my-server\n    networks:\n      \
        - dhcp\nnetworks:\n  dhcp:\n    driver: landfall\n    driver_opts:\n      bridge: my-bridge\n      \
        ipv6: 'true'\n      ignore_conflicts: 'false'\n      skip_routes: 'false'\n    ipam:\n      driver: 'null'\n";
    compose(&site, own, &["up", "-d"]);
    let app = site.shown("proj-app-1", "proj_dhcp");
    assert_eq!(site.named_lease(&app.mac, "my-server").ip, app.address);
    site.reached(app.address);
    // Made anew it is who it was.
    let first = site.inspect("proj-app-1", "{{.Id}}");
    compose(&site, own, &["up", "-d", "-t", "1", "--force-recreate"]);
    assert_ne!(site.inspect("proj-app-1", "{{.Id}}"), first);
    assert_eq!(site.shown("proj-app-1", "proj_dhcp"), app);
    site.reached(app.address);
    compose(&site, own, &["down", "-t", "1"]);
}

/// Whether this engine's Debian has docker-compose 2: from trixie on.
pub(crate) fn has_compose(site: &Site) -> bool {
    Path::new(&site.engine.machine().path("/usr/bin/docker-compose")).exists()
}

fn compose(site: &Site, file: &str, args: &[&str]) {
    const FILE: &str = "/srv/proj/docker-compose.yml";
    site.engine.machine().write(FILE, file).unwrap();
    let argv: Vec<&str> = ["docker-compose", "-f", FILE].iter().chain(args).copied().collect();
    site.engine.machine().ok(&argv).unwrap();
}

/// What Compose calls a service's first container, and how it runs it.
fn run_service(site: &Site, service: &str, network: &str, options: &[&str]) {
    let label = format!("com.docker.compose.service={service}");
    let name = format!("proj-{service}-1");
    let mut all = vec!["--label", "com.docker.compose.project=proj", "--label", &label];
    all.extend(["--network", network, "--network-alias", service]);
    all.extend(options);
    site.run(&name, &all);
}

/// [`SHARED`], as it must be written for this engine's Compose: 2.26, which comes with Engine 26.1, loses a service's
/// `mac_address`, on Docker's own networks as well, but not that of the service on a network.
fn shared() -> String {
    const OF_SERVICE: &str = "
    mac_address: 02:00:00:00:00:47
    networks:
      - dhcp
";
    const ON_NETWORK: &str = "
    networks:
      dhcp:
        mac_address: 02:00:00:00:00:47
";
    match EngineVersion::from_env().unwrap() {
        EngineVersion::V26 => SHARED.replace(OF_SERVICE, ON_NETWORK),
        EngineVersion::V20 | EngineVersion::V28 => SHARED.into(),
    }
}

fn on_a_shared_network(site: &Site) {
    site.network("my-dhcp-net", &[]);
    let idle = site.host_links();
    let with_compose = has_compose(site);
    if with_compose {
        compose(site, &shared(), &["up", "-d"]);
    } else {
        let options = ["--hostname", "my-http", "--mac-address", MAC];
        run_service(site, "app", "my-dhcp-net", &options);
    }

    let lease = site.named_lease(MAC, "my-http");
    assert_eq!(site.address("proj-app-1", "my-dhcp-net"), lease.ip);
    assert_eq!(inside(&site.sandbox("proj-app-1"), "eth0").mac, MAC);
    site.reached(lease.ip);

    if with_compose {
        compose(site, &shared(), &["down"]);
    } else {
        site.docker(&["rm", "-f", "proj-app-1"]);
    }
    site.no_lease_is_left();
    assert_eq!(site.host_links(), idle);
    site.docker(&["network", "rm", "my-dhcp-net"]);
}

fn on_a_network_of_its_own(site: &Site) {
    let untouched = site.host_links();
    let with_compose = has_compose(site);
    if with_compose {
        compose(site, OWN, &["up", "-d"]);
    } else {
        let more = ["ipv6=true", "ignore_conflicts=false", "skip_routes=false"];
        let mut args = site.network_args("proj_dhcp", &more);
        for label in ["com.docker.compose.project=proj", "com.docker.compose.network=dhcp"] {
            args.splice(2..2, ["--label".into(), label.into()]);
        }
        site.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
        run_service(site, "app", "proj_dhcp", &["--hostname", "my-server"]);
        run_service(site, "peer", "proj_dhcp", &[]);
    }

    let app = site.shown("proj-app-1", "proj_dhcp");
    let peer = site.shown("proj-peer-1", "proj_dhcp");
    assert_eq!(site.named_lease(&app.mac, "my-server").ip, app.address);
    // Without a host name of its own a container is called by its short id, at the server as well.
    let id = site.inspect("proj-peer-1", "{{.Id}}");
    assert_eq!(site.named_lease(&peer.mac, &id[..12]).ip, peer.address);
    site.reached(app.address);
    site.reached(peer.address);
    // Services know each other by name.
    let pinged = site.docker(&["exec", "proj-peer-1", "ping", "-c", "1", "-w", "5", "app"]);
    assert!(pinged.contains(&app.address.to_string()), "{pinged}");
    let names: Vec<Value> = site.endpoints().iter().map(|e| e["host_name"].clone()).collect();
    assert!(names.contains(&"my-server".into()) && names.contains(&id[..12].into()), "{names:?}");

    if with_compose {
        compose(site, OWN, &["down"]);
    } else {
        site.docker(&["rm", "-f", "proj-app-1", "proj-peer-1"]);
        site.docker(&["network", "rm", "proj_dhcp"]);
    }
    site.no_lease_is_left();
    assert_eq!(site.host_links(), untouched);
}
