//! Containers that end at once: what they ask for, and what they leave at the server.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::{Capture, DhcpServer};

use crate::Result;
use crate::figure::{Effort, Figure, Section};
use crate::site::{LANDFALL, Site};

/// Option 53 of a DISCOVER.
const DISCOVER: u8 = 1;
/// How long a RELEASE that was sent may be on its way into the server's table.
const SOON: Duration = Duration::from_secs(10);

/// Runs containers that end at once.
pub(crate) fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let before = site.leases()?;
    let capture = Capture::start(site.lan.router_ns(), "eth0")?;
    let runs = effort.of(30, 5);
    for _ in 0..runs {
        site.run_once(LANDFALL)?;
    }
    let left = leases_left(site, &before)?;
    let discovers = capture.pick(|frame| frame.dhcp().filter(|m| m.kind == DISCOVER)).len();
    let each = discovers as f64 / runs as f64;
    Ok(Section {
        title: "Containers that end at once",
        how: format!(
            "`docker run --rm busybox true`, {runs} times; DISCOVERs are counted at the server's interface."
        ),
        head: vec!["", "runs", "DISCOVERs", "leases left"],
        rows: vec![vec![
            "Landfall".into(),
            runs.to_string(),
            discovers.to_string(),
            left.to_string(),
        ]],
        figures: vec![
            Figure::new("DISCOVERs per container start", "", each).at_most(1.0),
            Figure::new("leases left by containers that end at once", "", left as f64).at_most(0.0),
        ],
    })
}

/// How many leases the server has that it had not before, as soon as that is none, or after a while.
pub(crate) fn leases_left(site: &Site, before: &BTreeSet<String>) -> Result<usize> {
    let none = |leases: &[lab::Lease]| leases.iter().all(|lease| before.contains(&lease.mac));
    // What is still there then is counted, and is no failure to measure.
    let _ = site.server.wait_leases("no new lease", SOON, &none);
    let leases = site.leases()?;
    let left = leases.difference(before);
    // How they came to be left is in the server's log.
    for mac in left.clone() {
        let (server, ours) = (site.server.log().grep(mac), site.landfall.log().grep(mac));
        eprintln!("bench: left at the server: {}", [server, ours].concat().join("\n  "));
    }
    Ok(left.count())
}
