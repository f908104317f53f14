//! What a process uses, from `/proc`.

use std::fs;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use crate::Result;

/// What a process and those that it started use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Resident memory in KiB.
    pub(crate) resident: u64,
    /// What of it nobody else has and no file backs, in KiB.
    pub(crate) private: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// Threads of all its processes.
    pub(crate) threads: u64,
    /// It and those that it started.
    pub(crate) processes: u64,
    /// Context switches of all threads that live, voluntary (one for each time that a thread goes to sleep) and not.
    pub(crate) switches: u64,
    /// CPU time since it started, in its own code and in the kernel for it; exact to a clock tick of 10 ms.
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Usage {
    /// What the process uses now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let mut usage = Self::default();
        let (mut pids, mut next) = (vec![pid], 0);
        while let Some(&pid) = pids.get(next) {
            usage.add(pid, &mut pids)?;
            next += 1;
        }
        usage.processes = pids.len().try_into()?;
        Ok(usage)
    }

    /// CPU time in all.
    pub(crate) fn cpu(&self) -> Duration {
        self.user + self.system
    }

    fn add(&mut self, pid: u32, children: &mut Vec<u32>) -> Result<()> {
        let memory = read(&format!("/proc/{pid}/smaps_rollup"))?;
        self.resident += line(&memory, "Rss:")?;
        self.private += line(&memory, "Private_Dirty:")?;
        self.descriptors += u64::try_from(fs::read_dir(format!("/proc/{pid}/fd"))?.count())?;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path().display().to_string();
            // One that has just ended has no files any more.
            let Ok(status) = read(&format!("{task}/status")) else { continue };
            self.threads += 1;
            self.switches += line(&status, "voluntary_ctxt_switches:")?;
            self.switches += line(&status, "nonvoluntary_ctxt_switches:")?;
            let theirs = read(&format!("{task}/children")).unwrap_or_default();
            children.extend(theirs.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        let stat = read(&format!("/proc/{pid}/stat"))?;
        // After the name in parentheses, which may contain anything: `utime` and `stime` are the 14th and 15th field.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let hertz = sysconf(SysconfVar::CLK_TCK)?.ok_or("the clock tick is not known")?;
        let ticks = |at: usize| -> Result<Duration> {
            let ticks: u32 = fields.get(at).ok_or("a short /proc/PID/stat")?.parse()?;
            Ok(Duration::from_secs(1) * ticks / u32::try_from(hertz)?)
        };
        self.user += ticks(11)?;
        self.system += ticks(12)?;
        Ok(())
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("reading {path}: {error}").into())
}

/// The number in the line that begins with `name`.
fn line(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| format!("no number after {name} in:\n{text}").into())
}
