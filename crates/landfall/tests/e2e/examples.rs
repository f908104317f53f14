//! The Compose files in `examples/`, run as they stand.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use lab::{Dnsmasq, LanOptions, Mode6, Place, Reservation, ServerOptions};

use crate::compose::has_compose;
use crate::macvlan;
use crate::site::{SOON, Site, until};

const NAS: &str = "02:00:00:00:00:42";
const RESERVED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 42);
const REQUESTED: Ipv4Addr = Ipv4Addr::new(10, 77, 5, 50);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// A project of an example.
struct Project<'a> {
    site: &'a Site,
    name: &'a str,
    /// Of the file, on the Docker host.
    file: String,
}

impl Project<'_> {
    /// `docker-compose ARGS…`, which must succeed.
    fn compose(&self, args: &[&str]) -> String {
        let argv = [&["docker-compose", "-p", self.name, "-f", &self.file][..], args].concat();
        self.site
            .engine
            .machine()
            .ok(&argv)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// What Compose calls the container of a service.
    fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    /// The address of a service on the network `lan`, at which it is reached from the LAN.
    fn on_the_lan(&self, service: &str) -> Ipv4Addr {
        self.on_the_lan_by(service, &format!("{}_lan", self.name))
    }

    /// The same on a network of that name.
    fn on_the_lan_by(&self, service: &str, network: &str) -> Ipv4Addr {
        let shown = self.site.shown(&self.container(service), network);
        self.site.reached(shown.address);
        shown.address
    }
}

#[test]
fn each_runs_as_it_stands() {
    let lan = macvlan::lan_with(LanOptions { ipv6: true, ..LanOptions::default() });
    let reservation = Reservation { mac: NAS.into(), ip: RESERVED, name: None };
    let options = ServerOptions {
        ipv6: Some(Mode6::Both),
        reservations: vec![reservation],
        ..ServerOptions::default()
    };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let site = Site::on(lan, server, &[]);
    if !has_compose(&site) {
        println!("no docker-compose beside this engine: run on 26.1 and 28.5");
        return;
    }
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.push(entry.file_name().into_string().unwrap());
        }
    }
    names.sort();
    let idle = site.host_links();
    for name in &names {
        let text = fs::read_to_string(folder().join(name).join("compose.yaml")).unwrap();
        let file = format!("/srv/{name}/compose.yaml");
        site.engine.machine().write(&file, &text).unwrap();
        let project = Project { site: &site, name, file };
        if name == "shared-network" {
            site.landfall_says(&["network", "create", "lan", "--bridge", "br0"]);
        }
        project.compose(&["up", "-d"]);
        holds(&project);
        project.compose(&["down", "-t", "0"]);
        if name == "shared-network" {
            site.docker(&["network", "rm", "lan"]);
        }
        // With its network goes what is held.
        site.no_lease_is_left();
        assert_eq!(site.host_links(), idle, "{name}");
    }
}

/// What an example promises.
fn holds(project: &Project<'_>) {
    let Project { site, name, .. } = project;
    match *name {
        "own-network" => {
            let ip = project.on_the_lan("web");
            let mac = site.shown("own-network-web-1", "own-network_lan").mac;
            assert_eq!(site.named_lease(&mac, "my-web").ip, ip);
        }
        "shared-network" => {
            let other = Project { name: "other", file: project.file.clone(), site };
            other.compose(&["up", "-d"]);
            let both: BTreeSet<Ipv4Addr> =
                [project, &other].map(|project| project.on_the_lan_by("web", "lan")).into();
            assert_eq!(both.len(), 2);
            other.compose(&["down", "-t", "0"]);
        }
        "static-mac" => assert_eq!(project.on_the_lan("nas"), RESERVED),
        "requested-ip" => {
            // Compose 2.26, which comes with Engine 26.1, does not know it.
            if lab::EngineVersion::from_env().unwrap() != lab::EngineVersion::V26 {
                assert_eq!(project.on_the_lan("web"), REQUESTED);
            }
        }
        "dual-stack" => {
            project.on_the_lan("web");
            let container = project.container("web");
            let format = "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}";
            let ip: IpAddr = site.inspect(&container, format).parse().unwrap();
            let IpAddr::V6(ip) = ip else { panic!("{ip}") };
            until("reached by IPv6", SOON, || {
                site.lan.ping6(Place::Laptop, ip).unwrap().then_some(())
            });
        }
        "macvlan" => {
            project.on_the_lan("web");
        }
        "several-networks" => {
            project.on_the_lan("web");
            let web = project.container("web");
            let asked = ["exec", &web, "wget", "-qO-", "http://db/etc/hostname"];
            until("the database answers by its name", SOON, || {
                let answered = site.engine.docker(&asked).unwrap();
                answered.status.success().then_some(())
            });
        }
        other => panic!("nothing is known of examples/{other}: say here what it promises"),
    }
}
