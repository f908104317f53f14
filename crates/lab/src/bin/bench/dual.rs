//! What IPv6 costs a start, on a LAN whose router advertises itself.

use std::path::Path;

use lab::{Dnsmasq, LanOptions, Mode6, ServerOptions};

use crate::Result;
use crate::figure::{Effort, Figure, Samples, Section, TIMES};
use crate::site::{BRIDGE, LANDFALL, Site};

/// A network on Landfall with `ipv6=auto`.
const DUAL: &str = "dual";
/// A network on Docker's own bridge with IPv6: what an engine does for an address of IPv6, whoever gave it.
const BRIDGE_DUAL: &str = "own-dual";

/// Runs a container on networks without IPv6 and with it, in turn: Landfall's, and Docker's own.
pub(crate) fn measure(state: &Path, effort: Effort) -> Result<Section> {
    let lan = LanOptions { ipv6: true, ..LanOptions::default() };
    let server = ServerOptions { ipv6: Some(Mode6::Slaac), ..ServerOptions::default() };
    let site = Site::on(lan, state, |lan| Ok(Dnsmasq::start(lan.router_ns(), "eth0", server)?))?;
    site.landfall_network(DUAL, &["ipv6=auto"])?;
    let subnet = ["--ipv6", "--subnet", "fd00:6f77:6e::/64"];
    site.engine.docker_ok(&[&["network", "create"][..], &subnet, &[BRIDGE_DUAL]].concat())?;
    let networks = [LANDFALL, DUAL, BRIDGE, BRIDGE_DUAL];
    for network in networks {
        site.run_once(network)?; // nobody pays for what happens the first time only
    }
    let mut times: [Samples; 4] = Default::default();
    for _ in 0..effort.of(31, 5) {
        for (network, times) in networks.into_iter().zip(&mut times) {
            times.time(|| site.run_once(network))?;
        }
    }
    let [without, with, bridge, bridge_with] = &times;
    let names = [
        "Landfall, IPv4",
        "Landfall, IPv4 and IPv6",
        "Docker's bridge, IPv4",
        "Docker's bridge, IPv4 and IPv6",
    ];
    Ok(Section {
        title: "docker run with IPv6",
        how: "`docker run --rm --network … busybox true` on four networks in turn: two of Landfall on one bridge, without \
              IPv6, and with `ipv6=auto` beside a router that advertises a prefix (dnsmasq); two on Docker's own bridges, \
              without and with `--ipv6`."
            .to_owned(),
        head: TIMES.to_vec(),
        rows: names.into_iter().zip(&times).map(|(name, times)| times.row(name)).collect(),
        figures: vec![
            Figure::median("`docker run`, IPv4", "ms", without),
            Figure::median("`docker run`, IPv4 and IPv6", "ms", with),
            Figure::new(
                "`docker run`: with IPv6 ÷ without",
                "",
                with.median() / without.median(),
            )
            .at_most(1.2),
            Figure::new(
                "`docker run`: with IPv6 ÷ without, Docker's own bridge",
                "",
                bridge_with.median() / bridge.median(),
            ),
        ],
    })
}
