//! `docker run`, beside none and Docker's own bridge.

use crate::Result;
use crate::figure::{Effort, Figure, Samples, Section, TIMES};
use crate::site::{BRIDGE, LANDFALL, Site};

/// Runs a container on each kind of network in turn.
pub(crate) fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let networks = ["none", BRIDGE, LANDFALL];
    for network in networks {
        site.run_once(network)?; // nobody pays for what happens the first time only
    }
    let mut times = [Samples::default(), Samples::default(), Samples::default()];
    for _ in 0..effort.of(31, 5) {
        for (network, times) in networks.into_iter().zip(&mut times) {
            times.time(|| site.run_once(network))?;
        }
    }
    let [none, bridge, landfall] = &times;
    let over_none = |times: &Samples| times.median() - none.median();
    let ratio = over_none(landfall) / over_none(bridge);
    let names = ["--network none", "Docker's own bridge", "Landfall"];
    let mut rows: Vec<_> = names.into_iter().zip(&times).map(|(n, times)| times.row(n)).collect();
    rows.push(bridge.less(none).row("Docker's own bridge, over the none before it"));
    rows.push(landfall.less(none).row("Landfall, over the none before it"));
    let medians = names.into_iter().zip(&times);
    let mut figures: Vec<_> = medians
        .map(|(name, times)| Figure::median(format!("`docker run`, {name}"), "ms", times))
        .collect();
    figures.push(Figure::new("Docker's own bridge over none", "ms", over_none(bridge)));
    figures.push(Figure::new("Landfall over none", "ms", over_none(landfall)));
    figures.push(
        Figure::new(
            "`docker run`: Landfall's extra over none ÷ that of Docker's own bridge",
            "",
            ratio,
        )
        .at_most(0.9),
    );
    Ok(Section {
        title: "docker run",
        how: "`docker run --rm --network … busybox true` from start to end, in turn on each network. The extra over none \
              is the difference of the medians."
            .to_owned(),
        head: TIMES.to_vec(),
        rows,
        figures,
    })
}
