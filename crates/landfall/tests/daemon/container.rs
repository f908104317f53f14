//! What an engine does with an endpoint: its sandbox, its link, addresses and routes.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use lab::{Log, Namespace, Process};
use serde_json::{Value, json};

use crate::site::{Endpoint, SOON, Site, eventually, ip_json, same};

/// The kernel's lifetime of an address that has no end.
pub(crate) const FOREVER: u64 = u32::MAX as u64;

/// A sandbox with an endpoint's link in it.
pub(crate) struct Container {
    pub(crate) endpoint: Endpoint,
    pub(crate) ns: Namespace,
    /// The interface's name in it.
    pub(crate) interface: String,
    /// The link's name on the host.
    link: String,
    key: String,
    /// What Join answered.
    pub(crate) joined: Value,
}

impl Container {
    /// Makes a sandbox, hands the endpoint over to it and does what an engine then does.
    pub(crate) fn start(site: &Site, endpoint: Endpoint) -> Container {
        let container = Container::join(site, endpoint);
        container.move_in(site);
        container
    }

    /// Makes a sandbox and asks what belongs into it; the link stays where it is.
    pub(crate) fn join(site: &Site, endpoint: Endpoint) -> Container {
        let ns = Namespace::new(&endpoint.id[..12]).unwrap();
        let key = format!("/run/docker/netns/{}", &endpoint.id[..12]);
        site.machine().bind(&ns, &key).unwrap();
        let joined = site.ok("Join", &join_argument(&endpoint, &key));
        let names = &joined["InterfaceName"];
        Container {
            interface: format!("{}0", names["DstPrefix"].as_str().unwrap()),
            link: names["SrcName"].as_str().unwrap().to_owned(),
            endpoint,
            ns,
            key,
            joined,
        }
    }

    /// Moves the link in and sets it up, in the engine's order: down, name, MAC, address, up, routes on the link, routes
    /// through routers, default route.
    pub(crate) fn move_in(&self, site: &Site) {
        let Container { link, interface, endpoint, joined, .. } = self;
        let sandbox = self.ns.path().display();
        site.host().ip_batch(&format!("link set {link} netns {sandbox}\n")).unwrap();
        // As engines do since 26.0.2.
        let disabled = if endpoint.address6.is_empty() { "1" } else { "0" };
        self.ns.sysctl(&format!("ipv6/conf/{link}/disable_ipv6"), disabled).unwrap();
        let mut lines = format!("link set {link} down\nlink set {link} name {interface}\n");
        if !endpoint.mac.is_empty() {
            lines += &format!("link set {interface} address {}\n", endpoint.mac);
        }
        if !endpoint.address.is_empty() {
            lines += &format!("addr add {} dev {interface}\n", endpoint.address);
        }
        if !endpoint.address6.is_empty() {
            lines += &format!("addr add {} dev {interface} nodad\n", endpoint.address6);
        }
        lines += &format!("link set {interface} up\n");
        let routes = joined["StaticRoutes"].as_array().cloned().unwrap_or_default();
        let of_type = |kind| routes.iter().filter(move |route| route["RouteType"] == kind);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for route in of_type(1) {
            assert_eq!(route.get("NextHop"), None, "{route}");
            let destination = text(&route["Destination"]);
            lines += &format!("route add {destination} dev {interface} scope link\n");
        }
        for route in of_type(0) {
            let (to, via) = (text(&route["Destination"]), text(&route["NextHop"]));
            lines += &format!("route add {to} via {via}\n");
        }
        if let Some(gateway) = joined.get("Gateway") {
            lines += &format!("route add default via {}\n", text(gateway));
        }
        self.ns.ip_batch(&lines).unwrap();
    }

    /// Leave, the link moved back, DeleteEndpoint: what an engine does when a container ends.
    pub(crate) fn stop(self, site: &Site) {
        self.leave(site);
        self.move_out(site);
        self.delete(site);
    }

    /// Leave.
    pub(crate) fn leave(&self, site: &Site) {
        assert_eq!(site.ok("Leave", &endpoint_ref(&self.endpoint)), json!({}));
    }

    /// Moves the link back to the host's namespace, under its old name. As engines do, takes a link that is not there for
    /// one that needs no moving.
    pub(crate) fn move_out(&self, site: &Site) {
        let Container { link, interface, .. } = self;
        let host = site.host().path().display();
        let moved = self.ns.ip_batch(&format!(
            "link set {interface} down\nlink set {interface} name {link}\n\
             link set {link} netns {host}\n"
        ));
        if let Err(error) = moved {
            let error = error.to_string();
            let gone = ["Cannot find device", "No such device"];
            assert!(gone.iter().any(|words| error.contains(words)), "{error}");
        }
    }

    /// Starts a program in the sandbox: until it ends, the container is alive.
    pub(crate) fn inhabit(&self, site: &Site) -> Process {
        inhabit(site, &self.ns, &self.key)
    }

    /// DeleteEndpoint, and the sandbox's name goes.
    pub(crate) fn delete(self, site: &Site) {
        assert_eq!(site.ok("DeleteEndpoint", &endpoint_ref(&self.endpoint)), json!({}));
        site.machine().unbind(&self.key).unwrap();
    }

    /// Its IPv4 addresses on the LAN, as `ip -json` shows them.
    pub(crate) fn addresses(&self) -> Vec<Value> {
        let links = ip_json(&self.ns, &["-4", "addr", "show", "dev", &self.interface]);
        links[0]["addr_info"].as_array().cloned().unwrap_or_default()
    }

    /// The seconds that the first of them has to live; [`FOREVER`].
    pub(crate) fn lifetime(&self) -> u64 {
        self.addresses().first().map_or(0, |first| first["valid_life_time"].as_u64().unwrap())
    }

    /// Its IPv4 addresses with their prefix lengths.
    pub(crate) fn cidrs(&self) -> Vec<String> {
        let text = |a: &Value| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"]);
        self.addresses().iter().map(text).collect()
    }

    /// Its IPv4 routes, `DESTINATION via ROUTER dev INTERFACE`, without those that the kernel made; sorted.
    pub(crate) fn routes(&self) -> Vec<String> {
        let routes = ip_json(&self.ns, &["-4", "route", "show"]);
        let routes = routes.as_array().unwrap().iter().filter(|r| r["protocol"] != "kernel");
        let text = |route: &Value| {
            let field = |name: &str| route[name].as_str().unwrap_or_default().to_owned();
            let via = route["gateway"].as_str().map(|via| format!(" via {via}"));
            format!("{}{} dev {}", field("dst"), via.unwrap_or_default(), field("dev"))
        };
        let mut routes: Vec<String> = routes.map(text).collect();
        routes.sort();
        routes
    }

    /// Whether `ip` answers its ping.
    pub(crate) fn ping(&self, ip: Ipv4Addr) -> bool {
        self.ns.ping(ip).unwrap()
    }

    /// The address without its prefix length.
    pub(crate) fn ip(&self) -> Ipv4Addr {
        self.endpoint.ip()
    }
}

impl Endpoint {
    /// The address without its prefix length.
    pub(crate) fn ip(&self) -> Ipv4Addr {
        self.address.split('/').next().unwrap().parse().unwrap()
    }
}

/// Starts a program in a sandbox with that key.
pub(crate) fn inhabit(site: &Site, ns: &Namespace, key: &str) -> Process {
    let net = format!("--net={key}");
    let argv = ["nsenter", &net, "sleep", "infinity"];
    let log = Log::new("the container");
    let process = site.machine().spawn("the container", &[], &argv, &log).unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let net = format!("/proc/{}/ns/net", process.pid());
    eventually("the program in the sandbox", SOON, || {
        same(inode(Path::new(&net)), &inode(ns.path()))
    });
    process
}

/// The argument of calls about an endpoint.
pub(crate) fn endpoint_ref(endpoint: &Endpoint) -> Value {
    json!({ "NetworkID": endpoint.network, "EndpointID": endpoint.id })
}

/// The argument of Join.
pub(crate) fn join_argument(endpoint: &Endpoint, key: &str) -> Value {
    let mut argument = endpoint_ref(endpoint);
    argument["SandboxKey"] = json!(key);
    argument["Options"] = json!({ "com.docker.network.endpoint.exposedports": [] });
    argument
}
