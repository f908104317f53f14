//! The way of a DHCP client for each container, as others go: the CNI plugins `bridge` and `dhcp`, and BusyBox `udhcpc` run
//! twice, on the host's side and again in the container.

use std::thread;
use std::time::{Duration, Instant};

use lab::{Log, Machine, Namespace, Process, Roots};

use crate::Result;
use crate::driver::{Driver, Endpoint, id};
use crate::figure::{Effort, Figure, Samples, Section, TIMES};
use crate::site::Site;
use crate::usage::Usage;

/// Where Debian's package containernetworking-plugins has them.
const CNI: &str = "/usr/lib/cni";
const DHCP_SOCKET: &str = "/run/cni/dhcp.sock";
const CONFIG: &str = r#"{"cniVersion":"0.4.0","name":"lan","type":"bridge","bridge":"BRIDGE","ipam":{"type":"dhcp"}}"#;
/// What udhcpc calls: takes the address where it is to stay, as the second of the two runs does.
const SCRIPT: &str = "#!/bin/sh\n\
    [ \"$1\" = bound ] || exit 0\n\
    [ -z \"$keep\" ] || ip addr replace \"$ip/$mask\" dev \"$interface\"\n\
    [ -z \"$keep\" ] || ip route replace default via \"$router\" dev \"$interface\"\n";
const SCRIPT_PATH: &str = "/run/udhcpc.sh";

/// How long the CNI daemon has to come up.
const START: Duration = Duration::from_secs(20);

/// Has each of the three bring a namespace onto the LAN, in turn.
pub(crate) fn measure(site: &Site, effort: Effort) -> Result<Section> {
    // Without an engine's own root: the CNI plugins are in one of the lab's only.
    let others = Machine::start("others", &Roots::lan()?, site.lan.host_ns())?;
    others.write(SCRIPT_PATH, SCRIPT)?;
    others.ok(&["chmod", "755", SCRIPT_PATH])?;
    let daemon = cni_daemon(&others)?;
    let before = Usage::of(daemon.pid())?;
    let driver = Driver::new(site.landfall.plugin_socket());
    let network = id(0x5b);
    driver.create_network(&network, site.lan.bridge(), &[])?;

    let [mut landfall, mut cni, mut udhcpc] = [const { Samples(Vec::new()) }; 3];
    let mut kept = Vec::new(); // a container's namespace lives as long as this
    let mut endpoints = Vec::new();
    let runs = effort.of(21, 3);
    for n in 0..runs {
        let (container, endpoint) = by_landfall(site, &driver, &network, n, &mut landfall)?;
        kept.push(container);
        endpoints.push(endpoint);
        kept.push(by_cni(site, &others, n, &mut cni)?);
        kept.push(by_udhcpc(site, &others, n, &mut udhcpc)?);
    }
    let after = Usage::of(daemon.pid())?;
    let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / runs as f64;
    let memory = each(before.private, after.private);
    let threads = each(before.threads, after.threads);
    for endpoint in &endpoints {
        driver.remove_endpoint(endpoint)?;
    }
    driver.delete_network(&network)?;
    Ok(Section {
        title: "An address in a namespace, beside per-container clients",
        how: format!(
            "From nothing to an interface with a leased address and a default route in a network namespace, in turn. \
             Landfall: CreateEndpoint, Join, and the engine's part (moving and configuring the link) by `ip -batch`. CNI: \
             ADD of Debian's `bridge` with the `dhcp` daemon. udhcpc: a veth, BusyBox udhcpc on it on the host's side, then \
             again in the namespace. With {runs} leases held, the `dhcp` daemon has {memory:.0} KiB private memory and \
             {threads:.1} threads for each."
        ),
        head: TIMES.to_vec(),
        rows: vec![
            landfall.row("Landfall"),
            udhcpc.row("udhcpc, twice"),
            cni.row("CNI bridge + dhcp"),
        ],
        figures: vec![
            Figure::median("an address in a namespace, Landfall", "ms", &landfall),
            Figure::median("an address in a namespace, udhcpc twice", "ms", &udhcpc),
            Figure::median("an address in a namespace, CNI bridge + dhcp", "ms", &cni),
            Figure::new("CNI dhcp daemon: private memory for each lease", "KiB", memory),
            Figure::new("CNI dhcp daemon: threads for each lease", "", threads),
        ],
    })
}

fn cni_daemon(others: &Machine) -> Result<Process> {
    let log = Log::new("the CNI dhcp daemon");
    let daemon = others.spawn("dhcp", &[], &[&format!("{CNI}/dhcp"), "daemon"], &log)?;
    let until = Instant::now() + START;
    // It says nothing when it is ready.
    while !others.path(DHCP_SOCKET).exists() {
        if Instant::now() > until || daemon.status().is_some() {
            return Err(format!("the CNI dhcp daemon did not come up: {}", log.tail(20)).into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(daemon)
}

fn by_landfall(
    site: &Site,
    driver: &Driver,
    network: &str,
    n: usize,
    times: &mut Samples,
) -> Result<(Namespace, Endpoint)> {
    let ns = Namespace::new("container")?;
    let endpoint_id = id(0x5b_0000 + n);
    let key = format!("/run/docker/netns/bench-{n}");
    site.engine.machine().bind(&ns, &key)?;
    let endpoint = times.time(|| {
        let endpoint = driver.create_endpoint(network, &endpoint_id, "")?;
        let joined = driver.join(&endpoint, &key)?;
        let link = &joined.link;
        let into = format!("link set {link} netns {}\n", ns.path().display());
        site.lan.host_ns().ip_batch(&into)?;
        let gateway = joined.gateway.ok_or("Join named no router")?;
        let address = &endpoint.address;
        ns.ip_batch(&format!(
            "link set {link} name eth0\naddr add {address} dev eth0\nlink set eth0 up\n\
             route add default via {gateway}\n"
        ))?;
        Ok(endpoint)
    })?;
    has_address(&ns)?;
    Ok((ns, endpoint))
}

fn by_cni(site: &Site, others: &Machine, n: usize, times: &mut Samples) -> Result<Namespace> {
    const ADD: &str = "printf %s \"$1\" | env CNI_COMMAND=ADD CNI_CONTAINERID=\"bench-$2\" CNI_NETNS=\"$3\" \
        CNI_IFNAME=eth0 CNI_PATH=\"$4\" \"$4/bridge\"";
    let ns = Namespace::new("container")?;
    let key = format!("/run/netns/bench-{n}");
    others.bind(&ns, &key)?;
    let config = CONFIG.replace("BRIDGE", site.lan.bridge());
    times.time(|| {
        others.ok(&["sh", "-euc", ADD, "sh", &config, &n.to_string(), &key, CNI])?;
        Ok(())
    })?;
    has_address(&ns)?;
    Ok(ns)
}

fn by_udhcpc(site: &Site, others: &Machine, n: usize, times: &mut Samples) -> Result<Namespace> {
    let ns = Namespace::new("container")?;
    let key = format!("/run/netns/udhcpc-{n}");
    others.bind(&ns, &key)?;
    let (host, container) = (format!("uh{n}"), format!("uc{n}"));
    let client = ["udhcpc", "-f", "-n", "-q", "-s", SCRIPT_PATH, "-i"];
    times.time(|| {
        site.lan.host_ns().ip_batch(&format!(
            "link add {host} type veth peer name {container}\n\
             link set {host} master {} up\nlink set {container} up\n",
            site.lan.bridge()
        ))?;
        others.ok(&[&client[..], &[&container]].concat())?;
        site.lan.host_ns().ip_batch(&format!(
            "link set {container} down\nlink set {container} netns {}\n",
            ns.path().display()
        ))?;
        ns.ip_batch(&format!("link set {container} name eth0\nlink set eth0 up\n"))?;
        let inside = format!("--net={key}");
        let enter = ["nsenter", &inside, "env", "keep=yes"];
        others.ok(&[&enter[..], &client[..], &["eth0"]].concat())?;
        Ok(())
    })?;
    has_address(&ns)?;
    Ok(ns)
}

/// What is not on the LAN afterwards was not the same work.
fn has_address(ns: &Namespace) -> Result<()> {
    let shown = ns.ok(&["ip", "-4", "-br", "addr", "show", "dev", "eth0"])?;
    if shown.contains(" 10.77.") { Ok(()) } else { Err(format!("no address: {shown}").into()) }
}
