//! What leases taken in advance are worth where the server looks for three seconds whether somebody has an address.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use lab::{Dnsmasq, LanOptions, ServerOptions};

use crate::Result;
use crate::crowd::{remove_all, run};
use crate::figure::{Effort, Figure, Samples, Section, TIMES};
use crate::site::{BRIDGE, LANDFALL, Site, in_parallel};

/// How many containers start at once.
const CROWD: usize = 20;
/// A network that has a lease for each of them in stock.
const WARM: &str = "warm";
/// What the daemon says of each.
const IN_STOCK: &str = "a lease taken in advance";
/// More than any stock takes to be filled.
const FILLED_WITHIN: Duration = Duration::from_secs(600);

/// Starts containers at once without a network, on Docker's own, without a stock and with one, in turn.
pub(crate) fn measure(state: &Path, effort: Effort) -> Result<Section> {
    let server = ServerOptions { ping_check: true, ..ServerOptions::default() };
    let site = Site::on(LanOptions::default(), state, |lan| {
        Ok(Dnsmasq::start(lan.router_ns(), "eth0", server)?)
    })?;
    let log = site.landfall.log();
    let mut mark = log.mark();
    site.landfall_network(WARM, &[&format!("warm={CROWD}")])?;
    let networks = ["none", BRIDGE, LANDFALL, WARM];
    let mut times: [Samples; 4] = Default::default();
    let mut failures = [0; 4];
    for round in 0..effort.of(5, 1) {
        for ((network, times), failures) in networks.into_iter().zip(&mut times).zip(&mut failures)
        {
            if network == WARM {
                let left = Cell::new(CROWD);
                let filled = |line: &str| {
                    left.set(left.get() - usize::from(line.contains(IN_STOCK)));
                    left.get() == 0
                };
                log.wait_after(mark, "a full stock", filled, FILLED_WITHIN)?;
                mark = log.mark();
            }
            let name = |n| format!("{network}-{round}-{n}");
            let started =
                times.time(|| Ok(in_parallel(CROWD, CROWD, |n| run(&site, network, &name(n)))))?;
            *failures += started.iter().filter(|result| result.is_err()).count();
            remove_all(&site, &(0..CROWD).map(name).collect::<Vec<_>>())?;
        }
    }
    let [none, bridge, without, with] = &times;
    let [_, _, failed_without, failed_with] = failures;
    let failed = |name, count| {
        Figure::new(format!("{CROWD} at once, a slow server: failures {name}"), "", count as f64)
    };
    Ok(Section {
        title: "Leases taken in advance",
        how: format!(
            "{CROWD} × `docker run -d --network … busybox sleep infinity` at the same time, until the last has returned, \
             beside a dnsmasq that pings each address before it offers it: without a network, on \
             Docker's own bridge, on Landfall, and on Landfall \
             with `warm={CROWD}` once the stock is full. Then all are removed."
        ),
        head: TIMES.to_vec(),
        rows: vec![
            none.row("--network none"),
            bridge.row("Docker's own bridge"),
            without.row("Landfall"),
            with.row(&format!("Landfall, warm={CROWD}")),
        ],
        figures: vec![
            Figure::median(format!("{CROWD} at once, a slow server, --network none"), "ms", none),
            Figure::median(
                format!("{CROWD} at once, Docker's own bridge, which asks no server"),
                "ms",
                bridge,
            ),
            Figure::median(format!("{CROWD} at once, a slow server, no stock"), "ms", without),
            Figure::median(format!("{CROWD} at once, a slow server, a full stock"), "ms", with),
            Figure::new(
                format!("{CROWD} at once, a slow server, a full stock: wall time ÷ that of none"),
                "",
                with.median() / none.median(),
            )
            .at_most(1.3),
            Figure::new(
                format!("{CROWD} at once: wall time of Docker's own bridge ÷ that of none"),
                "",
                bridge.median() / none.median(),
            ),
            failed("without a stock", failed_without),
            failed("with a full stock", failed_with).at_most(0.0),
        ],
    })
}
