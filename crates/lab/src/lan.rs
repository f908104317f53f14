//! One pretended site: a Docker host with a bridge, a router and a laptop on one LAN.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::success;
use crate::{Error, Namespace, Result};

/// A port without spanning tree forwards when the kernel has noticed its carrier.
const FORWARDS_WITHIN: Duration = Duration::from_secs(5);

/// Which namespace of a [`Lan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The Docker host: the bridge stands here.
    Host,
    /// The router: `eth0` 10.77.0.1/16, with IPv6 2001:db8:77::1/64; a DHCP server usually runs here.
    Router,
    /// Another machine on the LAN: `eth0` 10.77.0.9/16, with IPv6 2001:db8:77::9/64.
    Laptop,
}

/// How a [`Lan`] is made.
#[derive(Clone, Debug)]
pub struct LanOptions {
    /// The bridge of the Docker host.
    pub bridge: String,
    /// The Docker host's own address on the bridge, such as `10.77.0.2/16`. None by default.
    pub host_address: Option<String>,
    /// MTU of everything on the LAN.
    pub mtu: u32,
    /// A second bridge on the Docker host, with nothing on it.
    pub extra_bridge: Option<String>,
    /// Whether the Docker host's iptables see bridged frames (`bridge-nf-call-iptables`), as on a host where
    /// br_netfilter is loaded. Docker sets FORWARD to DROP, which then cuts the LAN off.
    pub bridge_netfilter: bool,
    /// Whether router and laptop have addresses of [`Lan::PREFIX6`], and the router forwards IPv6. Who tells others of it
    /// is another matter: a [`crate::Radvd`], or a [`crate::Dnsmasq`] with IPv6. Off, there are
    /// link-local addresses alone.
    pub ipv6: bool,
    /// The Docker host's own IPv6 address on the bridge, such as `2001:db8:77::2/64`. None by default.
    pub host_address6: Option<String>,
}

impl Default for LanOptions {
    fn default() -> Self {
        Self {
            bridge: "br0".into(),
            host_address: None,
            mtu: 1500,
            extra_bridge: None,
            bridge_netfilter: false,
            ipv6: false,
            host_address6: None,
        }
    }
}

/// One pretended site. Everything in it is gone when this value is dropped or the process ends.
#[derive(Debug)]
pub struct Lan {
    host: Namespace,
    router: Namespace,
    laptop: Namespace,
    bridge: String,
    ipv6: bool,
}

impl Lan {
    /// The router's address.
    pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    /// The laptop's address.
    pub const LAPTOP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
    /// The LAN's IPv6 prefix, of 64 bits.
    pub const PREFIX6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0);
    /// The router's IPv6 address.
    pub const ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 1);
    /// The laptop's IPv6 address. It listens to no router.
    pub const LAPTOP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 9);

    /// Makes the three namespaces and their links. The bridge forwards at once (`forward_delay 0`); router and laptop
    /// are its ports `router` and `laptop`.
    pub fn new(options: LanOptions) -> Result<Self> {
        let host = Namespace::new("host")?;
        let value = if options.bridge_netfilter { "1" } else { "0" };
        filter_bridged_frames(&host, value)?;
        Self::on(host, "", options)
    }

    /// The same with a Docker host that is there already, such as this machine: the ports are called
    /// `{prefix}router` and `{prefix}laptop`, `bridge_netfilter` is left as it is, and the bridge stays behind when the
    /// rest goes.
    pub fn on(host: Namespace, prefix: &str, options: LanOptions) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let site = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |place: &str| format!("{place}-{site}");
        let lan = Self {
            host,
            router: Namespace::new(&name("router"))?,
            laptop: Namespace::new(&name("laptop"))?,
            bridge: options.bridge,
            ipv6: options.ipv6,
        };
        if options.ipv6 {
            for ns in [&lan.router, &lan.laptop] {
                skip_duplicate_detection(ns)?;
            }
            lan.router.sysctl("ipv6/conf/all/forwarding", "1")?;
            lan.laptop.sysctl("ipv6/conf/default/accept_ra", "0")?;
        }
        let (bridge, mtu) = (&lan.bridge, options.mtu);
        let mut host = format!(
            "link add {bridge} mtu {mtu} type bridge forward_delay 0\nlink set {bridge} up\n"
        );
        if let Some(extra) = options.extra_bridge {
            host += &format!("link add {extra} type bridge forward_delay 0\nlink set {extra} up\n");
        }
        for (port, ns) in [("router", &lan.router), ("laptop", &lan.laptop)] {
            host += &format!(
                "link add {prefix}{port} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {}\n\
                 link set {prefix}{port} master {bridge} up\n",
                ns.path().display()
            );
        }
        if let Some(address) = options.host_address {
            host += &format!("addr add {address} dev {bridge}\n");
        }
        if let Some(address) = options.host_address6 {
            host += &format!("addr add {address} dev {bridge} nodad\n");
        }
        lan.host.ip_batch(&host)?;
        for (ns, ip) in [(&lan.router, Self::ROUTER), (&lan.laptop, Self::LAPTOP)] {
            ns.ip_batch(&format!("addr add {ip}/16 dev eth0\nlink set eth0 up\n"))?;
        }
        for port in ["router", "laptop"] {
            lan.forwards(&format!("{prefix}{port}"))?;
        }
        lan.laptop.ok(&["ip", "route", "add", "default", "via", &Self::ROUTER.to_string()])?;
        if options.ipv6 {
            for (ns, ip) in [(&lan.router, Self::ROUTER6), (&lan.laptop, Self::LAPTOP6)] {
                ns.ip_batch(&format!("addr add {ip}/64 dev eth0\n"))?;
            }
            lan.laptop.ip_batch(&format!("route add ::/0 via {}\n", Self::ROUTER6))?;
            // Servers look for it when they start.
            lan.router.link_local("eth0")?;
        }
        Ok(lan)
    }

    /// The Docker host's bridge.
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// The Docker host.
    pub fn host_ns(&self) -> &Namespace {
        &self.host
    }

    /// The router.
    pub fn router_ns(&self) -> &Namespace {
        &self.router
    }

    /// The laptop.
    pub fn laptop_ns(&self) -> &Namespace {
        &self.laptop
    }

    /// The namespace of a place.
    pub fn ns(&self, place: Place) -> &Namespace {
        match place {
            Place::Host => &self.host,
            Place::Router => &self.router,
            Place::Laptop => &self.laptop,
        }
    }

    /// Runs a program of this machine at a place and waits for it.
    pub fn run(&self, place: Place, argv: &[&str]) -> Result<Output> {
        self.ns(place).run(argv)
    }

    /// As [`Self::run`]; a status other than 0 is an error, else its standard output.
    pub fn ok(&self, place: Place, argv: &[&str]) -> Result<String> {
        success(argv, self.run(place, argv)?)
    }

    /// Whether `ip` answers a ping from a place within three seconds.
    pub fn ping(&self, from: Place, ip: Ipv4Addr) -> Result<bool> {
        self.ns(from).ping(ip)
    }

    /// The same with IPv6.
    pub fn ping6(&self, from: Place, ip: Ipv6Addr) -> Result<bool> {
        self.ns(from).ping6(ip)
    }

    /// One more machine on the LAN: a namespace with an `eth0`, up and without an address, behind the bridge's port
    /// `port` (at most 15 bytes). On a LAN with IPv6 its kernel asks for routers at once, and listens to them.
    pub fn add_machine(&self, port: &str) -> Result<Namespace> {
        let ns = Namespace::new(port)?;
        if self.ipv6 {
            skip_duplicate_detection(&ns)?;
            ns.sysctl("ipv6/conf/default/router_solicitation_delay", "0")?;
        }
        let bridge = &self.bridge;
        self.host.ip_batch(&format!(
            "link add {port} type veth peer name eth0 netns {}\nlink set {port} master {bridge} up\n",
            ns.path().display()
        ))?;
        ns.ok(&["ip", "link", "set", "eth0", "up"])?;
        self.forwards(port)?;
        Ok(ns)
    }

    /// The same LAN as another Docker host sees it: that has a bridge of the same name, which is the machine behind the port
    /// `port` of this one's (at most 15 bytes); router and laptop are the same.
    pub fn another_host(&self, port: &str) -> Result<Lan> {
        let there = |ns: &Namespace| Namespace::open(ns.name(), ns.path());
        let lan = Self {
            host: Namespace::new(port)?,
            router: there(&self.router)?,
            laptop: there(&self.laptop)?,
            bridge: self.bridge.clone(),
            ipv6: self.ipv6,
        };
        filter_bridged_frames(&lan.host, "0")?;
        let bridge = &self.bridge;
        lan.host.ip_batch(&format!(
            "link add {bridge} type bridge forward_delay 0\nlink set {bridge} up\n"
        ))?;
        self.host.ip_batch(&format!(
            "link add {port} type veth peer name eth0 netns {}\nlink set {port} master {bridge} up\n",
            lan.host.path().display()
        ))?;
        lan.host.ip_batch(&format!("link set eth0 master {bridge} up\n"))?;
        self.forwards(port)?;
        lan.forwards("eth0")?;
        Ok(lan)
    }

    /// Waits until a port of the bridge forwards: before, the bridge drops what comes in there.
    fn forwards(&self, port: &str) -> Result<()> {
        let until = Instant::now() + FORWARDS_WITHIN;
        loop {
            let seen = self.host.ok(&["ip", "-details", "link", "show", port])?;
            if seen.contains("state forwarding") {
                return Ok(());
            }
            if Instant::now() >= until {
                let what = format!("port {port} of {} to forward", self.bridge);
                return Err(Error::TimedOut { what, after: FORWARDS_WITHIN, seen });
            }
            // The kernel tells of it by netlink only, for which the lab has no ear.
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether iptables see what a host's bridges forward.
fn filter_bridged_frames(host: &Namespace, value: &str) -> Result<()> {
    if Path::new("/proc/sys/net/bridge").exists() {
        for table in ["iptables", "ip6tables", "arptables"] {
            host.sysctl(&format!("bridge/bridge-nf-call-{table}"), value)?;
        }
    }
    Ok(())
}

/// Addresses are usable at once: whoever stands at a LAN's end has none that another one has, and a second is long.
fn skip_duplicate_detection(ns: &Namespace) -> Result<()> {
    ns.sysctl("ipv6/conf/default/accept_dad", "0")
}
