//! `docker run`, beside none and a driver of Docker's own.

use crate::Result;
use crate::figure::{Effort, Figure, Samples, Section, TIMES};
use crate::site::{BRIDGE, IPAM, LANDFALL, MACVLAN, OWN_MACVLAN, Site};

/// Two networks of a kind, one of which the other is measured by; each with what it is called.
struct Kind {
    title: &'static str,
    by: (&'static str, &'static str),
    ours: (&'static str, &'static str),
    at_most: Option<f64>,
}

/// On a bridge.
pub(crate) fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let kind = Kind {
        title: "docker run",
        by: (BRIDGE, "Docker's own bridge"),
        ours: (LANDFALL, "Landfall"),
        at_most: Some(0.9),
    };
    kind.measure(site, effort)
}

/// As a child of a parent. Docker's own driver asks no server for an address.
pub(crate) fn macvlan(site: &Site, effort: Effort) -> Result<Section> {
    site.macvlan_networks()?;
    let kind = Kind {
        title: "docker run with macvlan",
        by: (OWN_MACVLAN, "Docker's own macvlan"),
        ours: (MACVLAN, "Landfall's macvlan"),
        at_most: None,
    };
    kind.measure(site, effort)
}

/// On a bridge, with Landfall as IPAM driver beside the null one.
pub(crate) fn ipam(site: &Site, effort: Effort) -> Result<Section> {
    site.ipam_network()?;
    let kind = Kind {
        title: "docker run with Landfall as IPAM driver",
        by: (LANDFALL, "Landfall, null IPAM driver"),
        ours: (IPAM, "Landfall as IPAM driver"),
        at_most: None,
    };
    kind.measure(site, effort)
}

impl Kind {
    /// Runs a container without a network and on each of them in turn.
    fn measure(&self, site: &Site, effort: Effort) -> Result<Section> {
        let Self { title, by: (by, by_name), ours: (ours, our_name), at_most } = *self;
        let networks = ["none", by, ours];
        for network in networks {
            site.run_once(network)?; // nobody pays for what happens the first time only
        }
        let mut times = [Samples::default(), Samples::default(), Samples::default()];
        for _ in 0..effort.of(31, 5) {
            for (network, times) in networks.into_iter().zip(&mut times) {
                times.time(|| site.run_once(network))?;
            }
        }
        let [none, by_times, our_times] = &times;
        let over_none = |times: &Samples| times.median() - none.median();
        let names = ["--network none", by_name, our_name];
        let mut rows: Vec<_> =
            names.into_iter().zip(&times).map(|(n, times)| times.row(n)).collect();
        rows.push(by_times.less(none).row(&format!("{by_name}, over the none before it")));
        rows.push(our_times.less(none).row(&format!("{our_name}, over the none before it")));
        let medians = names.into_iter().zip(&times);
        let mut figures: Vec<_> = medians
            .map(|(name, times)| Figure::median(format!("`docker run`, {name}"), "ms", times))
            .collect();
        figures.push(Figure::new(format!("{by_name} over none"), "ms", over_none(by_times)));
        figures.push(Figure::new(format!("{our_name} over none"), "ms", over_none(our_times)));
        let ratio = Figure::new(
            format!("`{title}`: extra over none ÷ that of {by_name}"),
            "",
            over_none(our_times) / over_none(by_times),
        );
        figures.push(match at_most {
            Some(at_most) => ratio.at_most(at_most),
            None => ratio,
        });
        Ok(Section {
            title,
            how: "`docker run --rm --network … busybox true` from start to end, in turn on each network. The extra over \
                  none is the difference of the medians."
                .to_owned(),
            head: TIMES.to_vec(),
            rows,
            figures,
        })
    }
}
