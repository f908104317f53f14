//! Many containers at once: started, and removed.

use std::fs;

use crate::Result;
use crate::discovers::leases_left;
use crate::figure::{Effort, Figure, Samples, Section, TIMES};
use crate::site::{BRIDGE, LANDFALL, Site, in_parallel};
use crate::usage::Usage;

/// What a container of these takes with its shim, generously, in KiB.
const CONTAINER_KIB: u64 = 24 * 1024;
/// What must be left for all others, in KiB.
const RESERVE_KIB: u64 = 1024 * 1024;
/// What a removal takes at most, in seconds, and the status by which `timeout` says that it took longer.
const REMOVED_WITHIN: &str = "180";
const TIMED_OUT: i32 = 124;
/// How many containers one `docker rm` removes at a time.
const DOCKER_RM_WIDTH: usize = 50;

/// Starts containers at once, in turn without a network, on Docker's own bridge and on Landfall.
pub(crate) fn start(site: &Site, effort: Effort) -> Result<Section> {
    let crowd = effort.of(50, 10);
    let networks = ["none", BRIDGE, LANDFALL];
    let mut times = [const { Samples(Vec::new()) }; 3];
    let mut failures = [0; 3];
    let daemon = || Usage::of(site.landfall.pid());
    let before = daemon()?;
    for round in 0..effort.of(5, 2) {
        for ((network, times), failures) in networks.into_iter().zip(&mut times).zip(&mut failures)
        {
            let name = |n| format!("{network}-{round}-{n}");
            let started =
                times.time(|| Ok(in_parallel(crowd, crowd, |n| run(site, network, &name(n)))))?;
            *failures += started.iter().filter(|result| result.is_err()).count();
            if let Some(Err(error)) = started.iter().find(|result| result.is_err()) {
                eprintln!("bench: one of {crowd} on {network}: {error}");
            }
            let names: Vec<String> = (0..crowd).map(name).collect();
            remove_all(site, &names)?;
        }
    }
    let [none, bridge, landfall] = &times;
    let [_, _, failed] = failures;
    let cpu = daemon()?.cpu().saturating_sub(before.cpu()).as_secs_f64() * 1e3;
    let cpu = cpu / (crowd * landfall.len()) as f64;
    let ratio = landfall.median() / none.median();
    Ok(Section {
        title: "Many containers started at once",
        how: format!(
            "{crowd} × `docker run -d --network … busybox sleep infinity` at the same time, until the last has returned, in \
             turn without a network, on Docker's own bridge and on Landfall; then all are removed. {} rounds and not 20: \
             each takes as long as {crowd} containers need. Landfall itself takes {cpu:.1} ms of CPU time for a container's start and removal.",
            none.len()
        ),
        head: TIMES.to_vec(),
        rows: vec![
            none.row("--network none"),
            bridge.row("Docker's own bridge"),
            landfall.row("Landfall"),
        ],
        figures: vec![
            Figure::new("Landfall's CPU time for a container's start and removal", "ms", cpu),
            Figure::median(format!("{crowd} at once, Docker's own bridge"), "ms", bridge),
            Figure::median(format!("{crowd} at once, --network none"), "ms", none),
            Figure::median(format!("{crowd} at once, Landfall"), "ms", landfall),
            Figure::new(format!("{crowd} containers at once: wall time ÷ that of none"), "", ratio)
                .at_most(1.3),
            Figure::new(format!("{crowd} containers at once: failures"), "", failed as f64)
                .at_most(0.0),
        ],
    })
}

/// Removes containers at once, and looks what is left.
pub(crate) fn remove(site: &Site, effort: Effort) -> Result<Section> {
    let whole: usize = effort.of(200, 20);
    let (leases, links) = (site.leases()?, site.links()?);
    let batch = whole.min(room()?);
    let (mut removed, mut times) = (0, Samples::default());
    while removed < whole {
        let count = batch.min(whole - removed);
        let names: Vec<String> = (0..count).map(|n| format!("many-{}", removed + n)).collect();
        let started = in_parallel(count, 8, |n| {
            run(site, LANDFALL, names.get(n).map(String::as_str).unwrap_or_default())
        });
        started.into_iter().collect::<Result<Vec<_>>>()?;
        times.time(|| remove_all(site, &names))?;
        removed += count;
    }
    let leases_left = leases_left(site, &leases)?;
    let links_left = site.links()?.difference(&links).count();
    let seconds = times.0.iter().sum::<f64>() / 1e3;
    Ok(Section {
        title: "Many containers removed at once",
        how: format!(
            "{whole} containers, {batch} of them at a time as memory allows, removed by `docker rm -f` \
             ({DOCKER_RM_WIDTH} each, all at the same time); then the server's table and the host's links are compared \
             with those before."
        ),
        head: vec!["", "containers", "seconds", "leases left", "links left"],
        rows: vec![vec![
            "Landfall".into(),
            whole.to_string(),
            format!("{seconds:.1}"),
            leases_left.to_string(),
            links_left.to_string(),
        ]],
        figures: vec![
            Figure::new(format!("{whole} containers removed at once"), "s", seconds),
            Figure::new(
                format!("{whole} containers removed at once: leases left at the server"),
                "",
                leases_left as f64,
            )
            .at_most(0.0),
            Figure::new(
                format!("{whole} containers removed at once: links left on the host"),
                "",
                links_left as f64,
            )
            .at_most(0.0),
        ],
    })
}

pub(crate) fn run(site: &Site, network: &str, name: &str) -> Result<()> {
    let options = ["--network", network, "--name", name, "busybox", "sleep", "infinity"];
    site.engine.docker_ok(&[&["run", "-d"][..], &options].concat())?;
    Ok(())
}

/// All at the same time: a `docker rm` removes no more than some at once.
pub(crate) fn remove_all(site: &Site, names: &[String]) -> Result<()> {
    let lots: Vec<&[String]> = names.chunks(DOCKER_RM_WIDTH).collect();
    let done = in_parallel(lots.len(), lots.len(), |n| {
        let lot = lots.get(n).copied().unwrap_or_default();
        let command = ["timeout", REMOVED_WITHIN, "docker", "rm", "-f"];
        let argv: Vec<&str> = command.into_iter().chain(lot.iter().map(String::as_str)).collect();
        match site.engine.machine().run(&argv)?.status.code() {
            Some(0) => Ok(()),
            // On any driver's network: of two locks one goroutine holds either (`getSvcRecords`, `processEndpointDelete`).
            Some(TIMED_OUT) => Err(format!(
                "the engine removes nothing any more after {REMOVED_WITHIN} s: 20.10 may lock itself up when \
                 containers of one network are removed at once (moby#46661, mended in 23.0). Try again, or \
                 LANDFALL_ENGINE=28"
            )
            .into()),
            status => Err(format!("docker rm -f ended with status {status:?}").into()),
        }
    });
    done.into_iter().collect::<Result<Vec<_>>>().map(drop)
}

/// For how many containers there is memory.
fn room() -> Result<usize> {
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = available.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    let available = available.ok_or("/proc/meminfo does not tell MemAvailable")?;
    Ok(usize::try_from(available.saturating_sub(RESERVE_KIB) / CONTAINER_KIB)?.max(1))
}
