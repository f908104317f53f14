//! What idle leases cost: memory, descriptors, threads, processes, wake-ups.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::field::Field;
use crate::figure::{Effort, Figure, Section, number};
use crate::server::Times;
use crate::usage::Usage;

/// Nothing is due for half a day.
const TIMES: Times = Times { lease: 86_400, renew: 43_200, rebind: 75_600 };
/// With 500 endpoints each at the end: a broadcast reaches all ports of a bridge.
const BRIDGES: u8 = 20;
const PER_SANDBOX: usize = 50;

/// Of them for the comparison of both families, and how many leases it goes up to: a thousand to a bridge.
const BRIDGES_EACH: u8 = 2;

/// One count of leases.
struct Level {
    leases: usize,
    usage: Usage,
    /// Context switches a second.
    switches: f64,
}

/// Adds endpoints step by step, and watches the daemon while nothing happens.
pub(crate) fn measure(state: &Path, effort: Effort) -> Result<Section> {
    let counts: &[usize] = effort.of(&[0, 100, 1_000, 10_000], &[0, 100, 500]);
    let window = Duration::from_secs(effort.of(30, 5));
    let mut field = Field::new(BRIDGES, TIMES, state)?;
    let mut levels = Vec::new();
    for &leases in counts {
        let began = Instant::now();
        // By the thousand, to be seen on the way.
        for upto in (1_000..leases).step_by(1_000).chain([leases]) {
            field.grow(upto, PER_SANDBOX)?;
            eprintln!("bench: {upto} leases, {:.0} s", began.elapsed().as_secs_f64());
        }
        settle(&field)?;
        let before = field.usage()?;
        // The window itself: what is measured is that nothing happens.
        thread::sleep(window);
        let usage = field.usage()?;
        let switches = usage.switches.saturating_sub(before.switches) as f64 / window.as_secs_f64();
        levels.push(Level { leases, usage, switches });
    }
    let offers = |field: &Field| field.server().counts(|counts| counts.offers);
    let before = offers(&field);
    let adoption = field.revive()?.as_secs_f64();
    let discovers = offers(&field) - before;
    let [.., few, many] = levels.as_slice() else { return Err("no two counts of leases".into()) };
    // For each lease more, from the second last count to the last.
    let slope = |of: fn(&Usage) -> u64| {
        let more = of(&many.usage) as f64 - of(&few.usage) as f64;
        more / (many.leases - few.leases) as f64
    };
    let resident = slope(|usage| usage.resident);
    let private = slope(|usage| usage.private);
    let name =
        format!("memory for each further idle lease, resident, {} to {}", few.leases, many.leases);
    let wakeups =
        format!("context switches of an idle daemon with {} leases on a silent LAN", many.leases);
    Ok(Section {
        title: "Idle leases",
        how: format!(
            "One daemon, driven through its plugin socket; real veths on {BRIDGES} bridges, {PER_SANDBOX} endpoints to a \
             sandbox, leases of a day from a simulated server, IPv6 off. At each count, once the daemon has been still for \
             some seconds, a window of {} s. The containers' identifiers (64 bytes each) are not known here: no engine \
             made them.",
            window.as_secs()
        ),
        head: vec![
            "leases",
            "resident KiB",
            "private KiB",
            "descriptors",
            "threads",
            "processes",
            "switches/s",
        ],
        rows: levels.iter().map(Level::row).collect(),
        figures: vec![
            Figure::new(name, "KiB", resident).at_most(2.0),
            Figure::new("the same, private memory", "KiB", private),
            Figure::new(
                "descriptors for each further idle lease",
                "",
                slope(|usage| usage.descriptors),
            )
            .at_most(0.0),
            Figure::new("threads for each further idle lease", "", slope(|usage| usage.threads))
                .at_most(0.0),
            Figure::new(
                "processes for each further idle lease",
                "",
                slope(|usage| usage.processes),
            )
            .at_most(0.0),
            Figure::new(wakeups, "/s", many.switches).at_most(1.0),
            Figure::new(
                format!("`kill -9`: the next start has taken up {} leases after", many.leases),
                "s",
                adoption,
            )
            .at_most(3.0),
            Figure::new("DISCOVERs in that time", "", discovers as f64).at_most(0.0),
        ],
    })
}

/// What a lease takes with IPv6 beside it, and without.
pub(crate) fn dual(state: &Path, effort: Effort) -> Result<Section> {
    let counts = effort.of([100, 1_500], [50, 150]);
    let measure = |mut field: Field| -> Result<(Vec<usize>, f64)> {
        let mut resident = Vec::new();
        for upto in counts {
            field.grow(upto, PER_SANDBOX)?;
            settle(&field)?;
            resident.push(usize::try_from(field.usage()?.resident)?);
        }
        let [few, many] = counts;
        let more = resident.last().zip(resident.first()).map_or(0, |(many, few)| many - few);
        Ok((resident, more as f64 / (many - few) as f64))
    };
    let (resident, without) = measure(Field::new(BRIDGES_EACH, TIMES, state)?)?;
    let (resident6, with) = measure(Field::dual(BRIDGES_EACH, TIMES, state)?)?;
    let row = |name: &str, resident: &[usize], each| {
        let resident = resident.iter().map(usize::to_string);
        [name.to_owned()].into_iter().chain(resident).chain([number(each)]).collect()
    };
    let [few, many] = counts;
    Ok(Section {
        title: "Idle leases with IPv6",
        how: format!(
            "As for idle leases, on {BRIDGES_EACH} bridges, {few} leases and {many}: with IPv4 alone, and with `ipv6=slaac` \
             beside routers that advertise a prefix, in a daemon each."
        ),
        head: vec!["resident KiB", "few", "many", "each"],
        rows: vec![row("IPv4", &resident, without), row("IPv4 and IPv6", &resident6, with)],
        figures: vec![
            Figure::new("memory for each further idle lease with IPv6", "KiB", with),
            Figure::new("memory for an idle lease: with IPv6 ÷ without", "", with / without)
                .at_most(2.0),
        ],
    })
}

impl Level {
    fn row(&self) -> Vec<String> {
        let Usage { resident, private, descriptors, threads, processes, .. } = self.usage;
        let mut row = vec![self.leases.to_string()];
        row.extend([resident, private, descriptors, threads, processes].map(|n| n.to_string()));
        row.push(number(self.switches));
        row
    }
}

/// Waits until the daemon has done nothing for some seconds: no event tells that it has nothing more to do.
fn settle(field: &Field) -> Result<()> {
    const STILL: Duration = Duration::from_secs(3);
    const PATIENCE: Duration = Duration::from_secs(60);
    let began = Instant::now();
    let mut since = Instant::now();
    let mut last = field.usage()?;
    while since.elapsed() < STILL {
        if began.elapsed() > PATIENCE {
            // It then shows in the window, too.
            return Ok(());
        }
        thread::sleep(Duration::from_millis(250));
        let now = field.usage()?;
        if (now.switches, now.threads) != (last.switches, last.threads) {
            since = Instant::now();
        }
        last = now;
    }
    Ok(())
}
