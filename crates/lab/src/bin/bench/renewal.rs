//! What a renewal costs.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::field::Field;
use crate::figure::{Effort, Figure, Section, number};
use crate::server::Times;

/// Quick renewals of leases that never come near their end.
const TIMES: Times = Times { lease: 3600, renew: 4, rebind: 3000 };
const BRIDGES: u8 = 4;

/// Lets endpoints in sandboxes renew their leases and sees what CPU time the daemon takes for it.
pub(crate) fn measure(state: &Path, effort: Effort) -> Result<Section> {
    let endpoints: usize = effort.of(200, 20);
    let rounds = effort.of(10, 4);
    let mut field = Field::new(BRIDGES, TIMES, state)?;
    field.grow(endpoints, 1)?;
    let server = field.server();
    let renewals = || server.counts(|counts| counts.renewals);
    let wait = |upto: usize| {
        let patience = Duration::from_secs(u64::from(TIMES.renew) * 40);
        server.wait("renewals", patience, |counts| counts.renewals >= upto)
    };
    // Past all that belongs to the starts.
    wait(renewals() + 2 * endpoints)?;
    let (before, first) = (field.usage()?, renewals());
    wait(first + rounds * endpoints)?;
    let (after, last) = (field.usage()?, renewals());
    let count = (last - first) as f64;
    let each = |before: Duration, after: Duration| {
        after.saturating_sub(before).as_secs_f64() * 1e3 / count
    };
    let cpu = each(before.cpu(), after.cpu());
    let (user, system) = (each(before.user, after.user), each(before.system, after.system));
    let switches = (after.switches.saturating_sub(before.switches)) as f64 / count;
    let adoption = field.revive()?.as_secs_f64();
    // On time: each comes within T1 of its last.
    let (server, began) = (field.server(), Instant::now());
    let upto = server.counts(|counts| counts.renewals) + endpoints;
    let patience = Duration::from_secs(u64::from(TIMES.renew) * 40);
    server.wait("renewals after the start", patience, |counts| counts.renewals >= upto)?;
    let late = began.elapsed().saturating_sub(Duration::from_secs(TIMES.renew.into()));
    Ok(Section {
        title: "A renewal",
        how: format!(
            "{endpoints} endpoints on {BRIDGES} bridges, each in a sandbox of its own with a process in it; T1 is {} s. The \
             daemon's CPU time over {count:.0} renewals, from /proc/PID/stat; the lease on the disk and the address's \
             lifetime in the sandbox are part of it.",
            TIMES.renew
        ),
        head: vec!["for each renewal", "CPU ms", "its own code", "kernel", "context switches"],
        rows: vec![vec![
            "Landfall".to_owned(),
            number(cpu),
            number(user),
            number(system),
            number(switches),
        ]],
        figures: vec![
            Figure::new("CPU for a renewal", "ms", cpu).at_most(0.2),
            Figure::new("CPU for a renewal, in the daemon's own code", "ms", user),
            Figure::new("CPU for a renewal, in the kernel", "ms", system),
            Figure::new("context switches for a renewal", "", switches),
            Figure::new(
                format!("`kill -9`: the next start has taken up {endpoints} leases after"),
                "s",
                adoption,
            )
            .at_most(1.0),
            Figure::new("and as many renewals come later than T1 by", "s", late.as_secs_f64()),
        ],
    })
}
